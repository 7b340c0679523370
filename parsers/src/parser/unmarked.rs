//! Calls that begin in the middle of text with nothing but the name of a tool on offer, in front of a special token.
//!
//! Text that ends in the beginning of such a name is held back; nothing else is.

use super::call::MAX_NAME;
use super::{Machine, Mode, is_ws};
use crate::program::{Found, Program, Region, Unmarked};

/// Most white space between a name that no marker announces and what shows that it is one.
const MAX_GAP: usize = 16;

/// Whether a tool's name can hold the byte where nothing frames it.
#[inline(always)]
pub(super) fn is_in_name(byte: u8) -> bool {
    const IN_NAME: [bool; 256] = {
        let mut all = [false; 256];
        let mut byte = 0u8;
        while byte < 128 {
            all[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/');
            byte += 1;
        }
        all
    };
    IN_NAME[usize::from(byte)]
}

impl Machine {
    /// The last word in front of offset `end` of `pending` and `bytes`, where it could be a tool's name: where it
    /// begins and ends.
    fn last_word(&self, bytes: &[u8], end: usize) -> Option<(usize, usize)> {
        let byte = |at: usize| self.byte(bytes, at);
        let run = |end: usize, most: usize, test: fn(u8) -> bool| {
            (0..end.min(most)).take_while(|back| test(byte(end - 1 - back))).count()
        };
        let stop = end - run(end, MAX_GAP + 1, is_ws);
        let len = run(stop, MAX_NAME + 1, is_in_name);
        let begin = stop - len;
        let in_word = |byte: u8| is_in_name(byte) || byte >= 0x80;
        let apart = match begin.checked_sub(1) {
            Some(before) => !in_word(byte(before)),
            None => self.pending_at() == self.behind || !in_word(self.out.last()),
        };
        (apart && end - stop <= MAX_GAP && (1..=MAX_NAME).contains(&len)).then_some((begin, stop))
    }

    /// Where the text in hand, of which all after `end` may belong to a literal, ends in what may be the name of an
    /// unmarked call.
    pub(super) fn unmarked_tail(&self, bytes: &[u8], end: usize) -> Option<usize> {
        let (begin, stop) = self.last_word(bytes, end)?;
        let word = self.pending.iter().chain(bytes).take(stop).skip(begin);
        word.clone().next().filter(|byte| self.tools.begins(**byte))?;
        let whole = stop < self.pending.len() + bytes.len();
        self.tools.could_be(word, stop - begin, whole).then_some(begin)
    }

    /// Whether the text in hand, of which nothing waits, ends in what may be the name of an unmarked call.
    #[inline(always)]
    pub(super) fn may_name(&self, region: &Region, bytes: &[u8]) -> bool {
        region.unmarked.is_some() && self.ends_in_name(bytes)
    }

    #[inline(never)]
    fn ends_in_name(&self, bytes: &[u8]) -> bool {
        let word = bytes.iter().rev().take(MAX_NAME).take_while(|byte| is_in_name(**byte));
        word.last().is_some_and(|&first| self.tools.begins(first))
            && self.unmarked_tail(bytes, bytes.len()).is_some()
    }

    /// A literal was found in text: where the call begins that it shows the word in front of it to be.
    pub(super) fn unmarked_call(&self, rules: &Unmarked, bytes: &[u8], found: Found) -> Option<usize> {
        let literal = self.pending.iter().chain(bytes).take(found.end).skip(found.start);
        rules.behind.iter().find(|text| literal.clone().eq(text.iter()))?;
        let (begin, stop) = self.last_word(bytes, found.start)?;
        let word = self.pending.iter().chain(bytes).take(stop).skip(begin);
        self.tools.could_be(word, stop - begin, true).then_some(begin)
    }

    /// A call begins at offset `begin` of `pending` and `bytes`, with its name; the text in front has been given out.
    pub(super) fn start_unmarked(
        &mut self,
        p: &Program,
        rules: &Unmarked,
        begin: usize,
        bytes: &[u8],
    ) -> usize {
        let Mode::In(text) = self.mode else { return bytes.len() };
        let held = std::mem::take(&mut self.pending);
        let at = self.at - held.len() as u64 + begin as u64;
        let (in_held, behind) = (&held[begin.min(held.len())..], &bytes[begin.saturating_sub(held.len())..]);
        self.start_call(at, in_held, behind, text);
        self.enter(p, rules.name);
        self.again(p, held, begin)
    }
}
