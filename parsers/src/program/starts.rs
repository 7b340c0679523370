//! Where in a chunk a literal may begin.
//!
//! Most text holds no first byte of a literal, and one look for those bytes passes over it at once. Where one stands,
//! the literals are compared with what follows, so that what only begins like a literal costs a comparison and not a
//! walk through the automaton. Where such bytes crowd, eight places at a time are judged by two bytes each.

use crate::program::Entry;

/// The beginnings of a set of literals.
#[derive(Debug)]
pub(super) struct Starts {
    first: First,
    /// Whether a literal begins with the byte.
    begins: [bool; 256],
    leads: Vec<Lead>,
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

/// The first two bytes of some literals, each in all places of a word; a literal of one byte takes any second one.
#[derive(Debug)]
struct Lead {
    first: u64,
    second: u64,
    /// Zero where any second byte will do.
    cares: u64,
    literals: Vec<Literal>,
}

#[derive(Debug)]
struct Literal {
    text: Box<[u8]>,
    /// Its first eight bytes, and which of them it has.
    head: u64,
    mask: u64,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Below this length a call of memchr costs more than it saves.
const SHORT: usize = 16;

/// Eight places and the byte behind them. What is shorter is left to the automaton.
pub(super) const WINDOW: usize = 9;

/// How many bytes are judged eight at a time before the next look for a first byte.
const CROWD: usize = 129;

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
        let leads = alike.map(Lead::new).collect();
        let first = match first[..] {
            [] => First::None,
            [a] => First::One(a),
            [a, b] => First::Two(a, b),
            [a, b, c] => First::Three(a, b, c),
            _ => First::Many,
        };
        Starts { first, begins, leads }
    }

    /// Whether a literal begins with the byte.
    #[inline(always)]
    pub(super) fn begins(&self, byte: u8) -> bool {
        self.begins[usize::from(byte)]
    }

    /// The offset of the first place at which a literal may stand. What follows has been looked at, but for the last
    /// few bytes.
    #[inline(always)]
    pub(super) fn skip(&self, bytes: &[u8]) -> usize {
        let at = self.first(bytes);
        if bytes.len() - at < WINDOW { at } else { self.judge(bytes, at) }
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
    fn judge(&self, bytes: &[u8], mut at: usize) -> usize {
        let mut leap = SHORT;
        while !self.may_fit(&bytes[at..]) {
            at += 1;
            if leap < SHORT {
                at += self.pass_crowd(&bytes[at..]);
            }
            leap = self.first(&bytes[at..]);
            at += leap;
        }
        at
    }

    /// How many bytes at the front are no places for a literal; not all bytes are looked at.
    fn pass_crowd(&self, bytes: &[u8]) -> usize {
        let crowd = &bytes[..bytes.len().min(CROWD)];
        let Some(last) = crowd.len().checked_sub(WINDOW) else { return 0 };
        let mut at = 0;
        while let Some(window) = crowd[at..].first_chunk::<WINDOW>() {
            let (here, next) = (word(window), word(&window[1..]));
            let places = self.leads.iter().filter_map(|lead| lead.place(here, next, &bytes[at..]));
            if let Some(place) = places.min() {
                return at + place;
            }
            if at == last {
                break;
            }
            at = last.min(at + 8);
        }
        crowd.len() - 1
    }

    /// Whether one of the literals may stand at the front. It does if there are bytes enough to look at.
    fn may_fit(&self, bytes: &[u8]) -> bool {
        let here = word(bytes);
        bytes.len() < WINDOW
            || self.leads.iter().any(|lead| lead.unlike(here, here >> 8) & 0xff == 0 && lead.may_fit(bytes))
    }
}

impl Lead {
    /// Of texts that begin alike.
    fn new(texts: &[&[u8]]) -> Self {
        let all = |byte: u8| ONES * u64::from(byte);
        let (second, cares) = texts[0].get(1).map_or((0, 0), |&byte| (all(byte), u64::MAX));
        let literals = texts.iter().map(|text| Literal::new(text)).collect();
        Lead { first: all(texts[0][0]), second, cares, literals }
    }

    /// The first of eight places at which one of the literals may stand. `here` are the bytes at the places, `next`
    /// those behind them, and `bytes` all there are.
    #[inline(always)]
    fn place(&self, here: u64, next: u64, bytes: &[u8]) -> Option<usize> {
        let mut marks = zeros(self.unlike(here, next));
        while marks != 0 {
            let place = (marks.trailing_zeros() / 8) as usize;
            if self.may_fit(&bytes[place..]) {
                return Some(place);
            }
            marks &= marks - 1;
        }
        None
    }

    /// Whether one of the literals may stand at the front, where the first two bytes do.
    #[inline(always)]
    fn may_fit(&self, bytes: &[u8]) -> bool {
        let here = word(bytes);
        bytes.len() < WINDOW || self.literals.iter().any(|literal| literal.fits(here, bytes))
    }

    /// Zero in each byte of `here` at which these two bytes stand, `next` being the bytes behind them.
    #[inline(always)]
    fn unlike(&self, here: u64, next: u64) -> u64 {
        here ^ self.first | (next ^ self.second) & self.cares
    }
}

impl Literal {
    fn new(text: &[u8]) -> Self {
        let mut head = [0; 8];
        let len = text.len().min(8);
        head[..len].copy_from_slice(&text[..len]);
        let mask = if len == 8 { u64::MAX } else { (1 << (8 * len)) - 1 };
        Literal { head: u64::from_le_bytes(head), mask, text: text.into() }
    }

    /// Whether it stands at the front of the bytes, as far as they go; the first of them are `here`.
    #[inline(always)]
    fn fits(&self, here: u64, bytes: &[u8]) -> bool {
        if (here ^ self.head) & self.mask != 0 {
            return false;
        }
        let len = self.text.len().min(bytes.len());
        len <= 8 || self.text[8..len] == bytes[8..len]
    }
}

/// A mark in the high bit of each byte that is zero. There may be false marks above a true one.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// The first eight bytes, the first of them the lowest.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
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
        let sets: [&[&str]; 5] = [
            &["<tool_call>", "</tool_call>", "<think>", "</think>"],
            &["[", "<|python_tag|>", "abc"],
            &["]]>", "a", "b1", "b2", "c"],
            &["\n</parameter>", "</parameter>", "aab"],
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
                            assert!(at == cut || starts.begins(text[at]), "{texts:?} in {shown}: {at}");
                            assert!(cut - at < WINDOW || fits(&text[at..]), "{texts:?} in {shown}: {at}");
                        }
                    }
                }
            }
        }
    }
}
