//! Where in a chunk a literal may begin.
//!
//! Most text holds no first byte of a literal, and one look for those bytes passes over it at once. Where one stands,
//! the literals are compared with what follows, so that what only begins like a literal costs a comparison and not a
//! walk through the automaton. Where such bytes crowd, sixteen places at a time are judged by two bytes each.

use crate::program::Entry;

/// The beginnings of a set of literals.
#[derive(Debug)]
pub(super) struct Starts {
    first: First,
    /// Whether a literal begins with the byte.
    begins: [bool; 256],
    pairs: Vec<Pair>,
    /// What literals with one [`key`] have in common, by the key.
    heads: Box<[Head; KEYS]>,
    /// The literals.
    texts: Vec<Box<[u8]>>,
}

/// The first bytes of the literals.
#[derive(Debug)]
enum First {
    None,
    One(u8),
    Two(u8, u8),
    Three(u8, u8, u8),
    Many,
}

/// The first two bytes of some literals, each once for every place of a window.
#[derive(Debug)]
struct Pair {
    first: [u8; PLACES],
    second: [u8; PLACES],
    /// Not zero for a literal of one byte, which takes any second one.
    any: [u8; PLACES],
}

/// The first sixteen bytes of a literal, as two words, and which bits of them others of its key have, too.
#[derive(Debug, Clone, Copy)]
struct Head {
    words: [u64; 2],
    masks: [u64; 2],
}

/// How many places are judged at a time.
const PLACES: usize = 16;

/// Below this length a call of memchr costs more than it saves.
const SHORT: usize = 16;

/// How many bytes are judged in windows before the next look for a first byte.
const CROWD: usize = 8 * PLACES + 1;

/// How many bytes make a key, and how many keys there are.
const KEY: usize = 4;
const KEYS: usize = 64;

/// A number for the first bytes of a literal, in a word. That others have it, too, costs no more than a comparison.
#[inline(always)]
fn key(word: u64) -> usize {
    ((word as u32).wrapping_mul(0x9e37_79b1) >> (32 - KEYS.ilog2())) as usize
}

impl Starts {
    pub(super) fn new(entries: &[Entry]) -> Starts {
        let mut texts: Vec<&[u8]> = entries.iter().map(|entry| &entry.text[..]).collect();
        texts.retain(|text| !text.is_empty());
        texts.sort_unstable();
        texts.dedup();
        let mut first: Vec<u8> = texts.iter().map(|text| text[0]).collect();
        first.dedup();
        let mut begins = [false; 256];
        first.iter().for_each(|&byte| begins[usize::from(byte)] = true);
        let alike = texts.chunk_by(|a, b| a.iter().take(2).eq(b.iter().take(2)));
        let pairs = alike.map(|texts| Pair::new(texts[0])).collect();
        let mut heads = Box::new([Head::NONE; KEYS]);
        for text in &texts {
            let head = Head::new(text);
            if text.len() >= KEY {
                heads[key(head.words[0])].join(head);
            } else {
                // It is too short to have one key.
                heads.iter_mut().for_each(|all| all.join(head));
            }
        }
        let texts = texts.into_iter().map(Box::from).collect();
        let first = match first[..] {
            [] => First::None,
            [a] => First::One(a),
            [a, b] => First::Two(a, b),
            [a, b, c] => First::Three(a, b, c),
            _ => First::Many,
        };
        Starts { first, begins, pairs, heads, texts }
    }

    /// Whether a literal begins with the byte.
    #[inline(always)]
    pub(super) fn begins(&self, byte: u8) -> bool {
        self.begins[usize::from(byte)]
    }

    /// The offset of the first place at which a literal stands, as far as the bytes go; in the last few, one may stand.
    #[inline(always)]
    pub(super) fn skip(&self, bytes: &[u8]) -> usize {
        let at = self.first(bytes);
        if at == bytes.len() { at } else { self.judge(bytes, at) }
    }

    /// The offset of the first byte with which a literal begins.
    #[inline(always)]
    fn first(&self, bytes: &[u8]) -> usize {
        let found = match self.first {
            First::None => None,
            _ if bytes.len() < SHORT => bytes.iter().position(|&byte| self.begins(byte)),
            First::One(a) => memchr::memchr(a, bytes),
            First::Two(a, b) => memchr::memchr2(a, b, bytes),
            First::Three(a, b, c) => memchr::memchr3(a, b, c, bytes),
            First::Many => bytes.iter().position(|&byte| self.begins(byte)),
        };
        found.unwrap_or(bytes.len())
    }

    /// As [`Starts::skip`]; the first byte with which a literal begins is at `at`.
    #[inline(never)]
    fn judge(&self, bytes: &[u8], mut at: usize) -> usize {
        while at < bytes.len() && !self.fits(&bytes[at..]) {
            at += 1;
            let leap = self.first(&bytes[at..]);
            at += leap;
            if leap < SHORT && bytes.len() - at > PLACES {
                match self.pass_crowd(&bytes[at..]) {
                    (place, true) => return at + place,
                    (passed, false) => at += passed,
                }
            }
        }
        at
    }

    /// Where in the next windows a literal stands, and that one does; or else how many bytes are no places for one.
    #[inline(never)]
    fn pass_crowd(&self, bytes: &[u8]) -> (usize, bool) {
        let crowd = bytes.len().min(CROWD) - 1;
        let last = crowd.saturating_sub(PLACES);
        let mut at = 0;
        while at < crowd {
            // The last window lies over the one before it.
            let from = last.min(at);
            let Some(window) = bytes[from..].first_chunk() else { return (0, false) };
            let mut marks = [0; PLACES];
            self.mark(window, &mut marks);
            let marks = u128::from_le_bytes(marks) >> (8 * (at - from));
            for (at, mut marks) in [(at, marks as u64), (at + 8, (marks >> 64) as u64)] {
                while marks != 0 {
                    let place = at + (marks.trailing_zeros() / 8) as usize;
                    if self.fits(&bytes[place..]) {
                        return (place, true);
                    }
                    marks &= marks - 1;
                }
            }
            at = from + PLACES;
        }
        (crowd, false)
    }

    /// Marks the places at which the first two bytes of a literal stand. Apart from its caller, which would have the
    /// compiler take the marks to pieces.
    #[inline(never)]
    fn mark(&self, window: &[u8; PLACES + 1], marks: &mut [u8; PLACES]) {
        for pair in &self.pairs {
            for (place, mark) in marks.iter_mut().enumerate() {
                let first = window[place] == pair.first[place];
                let second = u8::from(window[place + 1] == pair.second[place]) | pair.any[place];
                *mark |= u8::from(first) & second;
            }
        }
    }

    /// Whether one of the literals stands at the front, as far as the bytes go; where they are few, one may stand.
    #[inline(always)]
    fn fits(&self, bytes: &[u8]) -> bool {
        let Some((here, behind)) = bytes.split_first_chunk() else { return self.fits_short(bytes) };
        let here = u64::from_le_bytes(*here);
        let head = &self.heads[key(here)];
        head.differs(0, here) == 0
            && behind
                .first_chunk()
                .is_none_or(|next| head.differs(1, u64::from_le_bytes(*next)) == 0 && self.is_one(bytes))
    }

    /// Whether one of the literals stands at the front, as far as the bytes go.
    #[inline(never)]
    fn is_one(&self, bytes: &[u8]) -> bool {
        self.texts.iter().any(|text| {
            let len = text.len().min(bytes.len());
            text[..len] == bytes[..len]
        })
    }

    /// As [`Starts::fits`], for fewer than eight bytes.
    #[inline(never)]
    fn fits_short(&self, bytes: &[u8]) -> bool {
        match *bytes {
            [] => false,
            [first] => self.begins(first),
            [first, second] | [first, second, _] => self.pairs.iter().any(|pair| pair.is(first, second)),
            _ => {
                let (here, all) = word(bytes);
                self.heads[key(here)].differs(0, here) & all == 0
            }
        }
    }
}

impl Pair {
    /// With which the text begins.
    fn new(text: &[u8]) -> Self {
        let (second, any) = text.get(1).map_or((0, 1), |&byte| (byte, 0));
        Pair { first: [text[0]; PLACES], second: [second; PLACES], any: [any; PLACES] }
    }

    fn is(&self, first: u8, second: u8) -> bool {
        first == self.first[0] && (second == self.second[0] || self.any[0] != 0)
    }
}

impl Head {
    /// Of no literal: nothing is like it but zeros.
    const NONE: Head = Head { words: [0; 2], masks: [u64::MAX; 2] };

    fn new(text: &[u8]) -> Self {
        let (first, mask) = word(text);
        let (next, next_mask) = word(&text[text.len().min(8)..]);
        Head { words: [first, next], masks: [mask, next_mask] }
    }

    /// What both have in common; or the other one, where this is of no literal.
    fn join(&mut self, other: Head) {
        if self.words == [0; 2] && self.masks == [u64::MAX; 2] {
            *self = other;
        }
        for (at, word) in other.words.iter().enumerate() {
            self.masks[at] &= other.masks[at] & !(self.words[at] ^ word);
        }
    }

    /// Zero where the word is like the first one, or like the second.
    #[inline(always)]
    fn differs(&self, at: usize, word: u64) -> u64 {
        (word ^ self.words[at]) & self.masks[at]
    }
}

/// The first eight bytes, the first of them the lowest, and a mask of those that there are.
#[inline(always)]
fn word(bytes: &[u8]) -> (u64, u64) {
    match bytes.first_chunk() {
        Some(all) => (u64::from_le_bytes(*all), u64::MAX),
        None => {
            let word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            (word, (1 << (8 * bytes.len())) - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(texts: &[&str]) -> Starts {
        let entries = texts.iter().map(|text| Entry { text: (*text).into(), action: 0 });
        Starts::new(&entries.collect::<Vec<_>>())
    }

    #[test]
    fn passes_what_only_begins_like_a_literal() {
        let sets: [&[&str]; 6] = [
            &["<tool_call>", "</tool_call>", "<think>", "</think>"],
            &["[", "<|python_tag|>", "abc"],
            &["]]>", "a", "b1", "b2", "c"],
            &["\n</parameter>", "</parameter>", "aab"],
            &["</function>", "</function_invocation>", "<tool_calls_of_the_turn>", "\0\0\0\0\0"],
            &[],
        ];
        for texts in sets {
            let starts = starts(texts);
            let fits = |bytes: &[u8]| {
                let mut texts = texts.iter().map(|text| text.as_bytes());
                texts.any(|text| text.starts_with(bytes) || bytes.starts_with(text))
            };
            for unit in
                ["x", "<", "</", "<tool_ca", "</tool_", "<|", "\u{1}<t", "]]", "aa", "b", "\n", "\n</p"]
                    .into_iter()
                    .chain(["</function_invo", "<tool_calls_of_the", "\0"])
            {
                for len in [0, 1, 7, 8, 9, 15, 16, 17, 33, 150, 300] {
                    let filler: Vec<u8> = unit.bytes().cycle().take(len).collect();
                    for end in texts.iter().copied().chain(["", "<", "<tool_call", "x"]) {
                        let text = [&filler[..], end.as_bytes(), b"xy"].concat();
                        for cut in len.saturating_sub(2)..=text.len() {
                            let text = &text[..cut];
                            let at = starts.skip(text);
                            let shown = text.escape_ascii().to_string();
                            assert!((0..at).all(|at| !fits(&text[at..])), "{texts:?} in {shown}: {at}");
                            assert!(cut - at < 16 || fits(&text[at..]), "{texts:?} in {shown}: {at}");
                        }
                    }
                }
            }
        }
    }
}
