//! Free text in UTF-8: text without given strings in it, raw text up to a terminator, text other than given words.

use super::lengths::Lengths;
use super::{Automaton, Classes, Regex, Step, Unwanted, is_lead, utf8};
use crate::GrammarError;
use std::collections::VecDeque;

const MAX_NODES: usize = 1 << 13;

/// The Aho-Corasick automaton of some byte strings (Aho and Corasick, 1975), as a full table.
struct Finder {
    next: Vec<[u32; 256]>,
    /// True where one of the strings has just been completed.
    found: Vec<bool>,
}

impl Finder {
    fn new(strings: &[Vec<u8>]) -> Result<Finder, GrammarError> {
        let total: usize = strings.iter().map(Vec::len).sum();
        if total >= MAX_NODES {
            return Err(GrammarError::Limit { what: "bytes of excluded strings", limit: MAX_NODES as u64 });
        }
        let mut next = vec![[0u32; 256]];
        let mut found = vec![false];
        for string in strings {
            let mut at = 0usize;
            for &byte in string {
                if next[at][byte as usize] == 0 {
                    next[at][byte as usize] = next.len() as u32;
                    next.push([0; 256]);
                    found.push(false);
                }
                at = next[at][byte as usize] as usize;
            }
            found[at] = true;
        }
        let mut fail = vec![0usize; next.len()];
        let mut queue: VecDeque<usize> = next[0].iter().map(|&n| n as usize).filter(|&n| n != 0).collect();
        while let Some(node) = queue.pop_front() {
            found[node] |= found[fail[node]];
            let beyond = next[fail[node]];
            for (child, beyond) in next[node].iter_mut().zip(beyond) {
                if *child == 0 {
                    *child = beyond;
                } else {
                    fail[*child as usize] = beyond as usize;
                    queue.push_back(*child as usize);
                }
            }
        }
        Ok(Finder { next, found })
    }

    fn classes(&self) -> Classes {
        let mut classes = Classes::utf8();
        for byte in 1..=255u8 {
            let same = |row: &[u32; 256]| row[byte as usize] == row[byte as usize - 1];
            if !self.next.iter().all(same) {
                classes.cut(byte, 255);
            }
        }
        classes
    }

    fn step(&self, node: u32, byte: u8) -> Option<u32> {
        let to = self.next[node as usize][byte as usize];
        (!self.found[to as usize]).then_some(to)
    }

    /// Whether one of the strings is completed before the end of `string`, which follows from `node` on.
    fn ends_early(&self, node: u32, string: &[u8]) -> bool {
        let (_, before) = string.split_last().unwrap_or((&0, &[]));
        before.iter().try_fold(node, |at, &b| self.step(at, b)).is_none()
    }

    /// Steps text and UTF-8 state together; `None` unless the character can be completed without a find.
    fn step_utf8(&self, node: u32, at: u32, byte: u8) -> Option<(u32, u32)> {
        let at = utf8::step(at, byte)?;
        let node = self.step(node, byte)?;
        (at == utf8::BOUNDARY || (0x80..=0xbf).any(|b| self.step_utf8(node, at, b).is_some()))
            .then_some((node, at))
    }
}

/// UTF-8 text in which none of the given strings occurs, nor across its end where one that overlaps itself, such as
/// `>>>`, follows.
pub(crate) struct FreeText {
    finder: Finder,
    /// Per finder node: may the text not end here?
    held: Vec<bool>,
}

impl FreeText {
    pub(crate) fn new(excluded: &[Vec<u8>]) -> Result<FreeText, GrammarError> {
        let finder = Finder::new(excluded)?;
        let overlaps = |t: &[u8]| (1..t.len()).any(|k| t.ends_with(&t[..k]));
        // One that holds another of them never follows: the other one would be found first, wherever the text ends.
        let whole = |t: &Vec<u8>| !excluded.iter().any(|o| o != t && t.windows(o.len()).any(|w| w == o));
        let alone: Vec<&Vec<u8>> = excluded.iter().filter(|t| overlaps(t) && whole(t)).collect();
        let held = (0..finder.next.len() as u32).map(|node| alone.iter().any(|t| finder.ends_early(node, t)));
        Ok(FreeText { held: held.collect(), finder })
    }
}

impl Automaton for FreeText {
    fn start(&self, out: &mut Vec<u32>) {
        out.extend([0, utf8::BOUNDARY]);
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        out.clear();
        match self.finder.step_utf8(state[0], state[1], byte) {
            Some((node, at)) => {
                out.extend([node, at]);
                if is_lead(byte) { Step::Starts } else { Step::Within }
            }
            None => Step::Dead,
        }
    }

    fn accepts(&self, state: &[u32]) -> bool {
        state[1] == utf8::BOUNDARY && !self.held[state[0] as usize]
    }

    fn lengths(&self, state: &[u32]) -> Lengths {
        // One character more leads out of what overlaps.
        Lengths::AtLeast(u32::from(state[1] == utf8::BOUNDARY && self.held[state[0] as usize]))
    }

    fn classes(&self) -> Classes {
        self.finder.classes()
    }
}

/// Free text that holds no match of a pattern whose matches end in ASCII.
pub(crate) struct Without {
    text: FreeText,
    pattern: Regex,
}

impl Without {
    /// `pattern` finds its matches anywhere in a text.
    pub(crate) fn new(text: FreeText, pattern: Regex) -> Without {
        Without { text, pattern }
    }
}

impl Automaton for Without {
    fn start(&self, out: &mut Vec<u32>) {
        self.text.start(out);
        let mut inner = Vec::new();
        self.pattern.start(&mut inner);
        out.extend(inner);
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        let (text, pattern) = state.split_at(2);
        let step = self.text.step(text, byte, out);
        let mut inner = Vec::new();
        // Between characters both may end, and inside one no match ends: what is not dead is alive.
        if step == Step::Dead
            || self.pattern.step(pattern, byte, &mut inner) == Step::Dead
            || self.pattern.accepts(&inner)
        {
            return Step::Dead;
        }
        out.extend(inner);
        step
    }

    fn accepts(&self, state: &[u32]) -> bool {
        self.text.accepts(&state[..2])
    }

    fn lengths(&self, _: &[u32]) -> Lengths {
        Lengths::AtLeast(0)
    }

    fn classes(&self) -> Classes {
        let mut classes = self.text.classes();
        classes.refine(&self.pattern.classes());
        classes
    }
}

/// UTF-8 text that, followed by any of its terminators, has no earlier end: no terminator occurs in it, nor across
/// its end.
pub(crate) struct RawText {
    finder: Finder,
    /// Per finder node: may the text end here?
    may_end: Vec<bool>,
}

impl RawText {
    pub(crate) fn new(terminators: &[Vec<u8>]) -> Result<RawText, GrammarError> {
        let finder = Finder::new(terminators)?;
        let may_end: Vec<bool> = (0..finder.next.len() as u32)
            .map(|node| !terminators.iter().any(|t| finder.ends_early(node, t)))
            .collect();
        // From every node some character has to lead back to where the text may end.
        let escapes = (0..0x80u8).any(|b| finder.next.iter().all(|row| row[b as usize] == 0));
        if !escapes {
            return Err(GrammarError::unsupported(
                "",
                "terminator",
                "the terminators use every ASCII character, so raw text could not be continued",
            ));
        }
        Ok(RawText { finder, may_end })
    }
}

impl Automaton for RawText {
    fn start(&self, out: &mut Vec<u32>) {
        out.extend([0, utf8::BOUNDARY]);
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        out.clear();
        match self.finder.step_utf8(state[0], state[1], byte) {
            Some((node, at)) => {
                out.extend([node, at]);
                if is_lead(byte) { Step::Starts } else { Step::Within }
            }
            None => Step::Dead,
        }
    }

    fn accepts(&self, state: &[u32]) -> bool {
        state[1] == utf8::BOUNDARY && self.may_end[state[0] as usize]
    }

    fn classes(&self) -> Classes {
        self.finder.classes()
    }

    fn lengths(&self, state: &[u32]) -> Lengths {
        // Inside a character whose end may complete part of a terminator, the worst case is one more character.
        let safe = if state[1] == utf8::BOUNDARY {
            self.may_end[state[0] as usize]
        } else {
            let mut nodes = vec![(state[0], state[1])];
            let mut safe = false;
            while let Some((node, at)) = nodes.pop() {
                if at == utf8::BOUNDARY {
                    safe |= self.may_end[node as usize];
                } else {
                    nodes.extend((0x80..=0xbf).filter_map(|b| self.finder.step_utf8(node, at, b)));
                }
            }
            safe
        };
        Lengths::AtLeast(u32::from(!safe))
    }
}

/// UTF-8 text other than the given words.
pub(crate) struct NotWords {
    words: Vec<Box<[u8]>>,
}

const FREE: u32 = u32::MAX;

impl NotWords {
    pub(crate) fn new(words: impl IntoIterator<Item = Vec<u8>>) -> NotWords {
        let mut words: Vec<Box<[u8]>> = words.into_iter().map(Vec::into_boxed_slice).collect();
        words.sort_unstable();
        words.dedup();
        NotWords { words }
    }

    fn is_word(&self, state: &[u32]) -> bool {
        let [low, high, depth, _] = *state else { return false };
        low != FREE && low < high && self.words[low as usize].len() == depth as usize
    }
}

impl Automaton for NotWords {
    fn start(&self, out: &mut Vec<u32>) {
        out.extend([0, self.words.len() as u32, 0, utf8::BOUNDARY]);
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        out.clear();
        let [low, high, depth, at] = *state else { return Step::Dead };
        let Some(at) = utf8::step(at, byte) else { return Step::Dead };
        let (low, high) = if low == FREE { (0, 0) } else { narrow(&self.words, low, high, depth, byte) };
        if low < high {
            out.extend([low, high, depth + 1, at]);
        } else {
            out.extend([FREE, FREE, 0, at]);
        }
        if is_lead(byte) { Step::Starts } else { Step::Within }
    }

    fn accepts(&self, state: &[u32]) -> bool {
        state[3] == utf8::BOUNDARY && !self.is_word(state)
    }

    fn classes(&self) -> Classes {
        let mut classes = Classes::utf8();
        for &byte in self.words.iter().flatten() {
            classes.cut(byte, byte);
        }
        classes
    }

    fn lengths(&self, state: &[u32]) -> Lengths {
        // In the middle of a character there is always another way to finish it than the words' own.
        Lengths::AtLeast(u32::from(state[3] == utf8::BOUNDARY && self.is_word(state)))
    }

    fn unwanted(&self, state: &[u32]) -> Option<Unwanted<'_>> {
        let [low, high, read, utf8::BOUNDARY] = *state else { return None };
        let words = if low == FREE { &[] } else { &self.words[low as usize..high as usize] };
        Some(Unwanted { words, read: read as usize })
    }
}

/// The part of the sorted `words[low..high]`, which agree on `depth` bytes, whose next byte is `byte`.
pub(crate) fn narrow(words: &[Box<[u8]>], low: u32, high: u32, depth: u32, byte: u8) -> (u32, u32) {
    let depth = depth as usize;
    let part = &words[low as usize..high as usize];
    let from = part.partition_point(|w| w.len() <= depth || w[depth] < byte);
    let count = part[from..].partition_point(|w| w[depth] == byte);
    (low + from as u32, low + (from + count) as u32)
}

#[cfg(test)]
mod tests {
    use super::super::LazyDfa;
    use super::*;

    fn run(dfa: &LazyDfa, text: &[u8]) -> Option<bool> {
        let mut at = 0;
        for &b in text {
            at = dfa.step(at, b).expect("within limits")?.state;
        }
        Some(dfa.accepts(at))
    }

    #[test]
    fn free_text_never_contains_what_is_excluded() {
        let d =
            LazyDfa::new(Box::new(FreeText::new(&[b"<call>".to_vec(), b"call!".to_vec()]).expect("small")));
        assert_eq!(run(&d, "é <cal> call".as_bytes()), Some(true));
        assert_eq!(run(&d, b"<call"), Some(true));
        assert_eq!(run(&d, b"x<call>"), None);
        assert_eq!(run(&d, b"<call!"), None);
        assert_eq!(run(&d, &[0xc3]), Some(false));
        assert_eq!(run(&d, &[0xff]), None);
    }

    #[test]
    fn free_text_without_a_pattern() {
        let hir = regex_syntax::parse(r"\[ *(?:ab|é)\(|(?:\A|\n)\[[a-z]+\(").expect("parses");
        let text = FreeText::new(&[b"<c>".to_vec()]).expect("small");
        let d = LazyDfa::new(Box::new(Without::new(text, Regex::new(&hir, true, None).expect("builds"))));
        for (text, expected) in [
            ("x [ab] [x( é", Some(true)),
            ("[ab", Some(true)),
            ("x [ ab(", None),
            ("x[é(", None),
            ("[x(", None),
            ("a\n[x(", None),
            ("a <c>", None),
            ("a <c", Some(true)),
        ] {
            assert_eq!(run(&d, text.as_bytes()), expected, "{text}");
        }
        assert_eq!(run(&d, &[b'[', 0xc3]), Some(false));
    }

    #[test]
    fn raw_text_ends_before_its_first_terminator() {
        let d = LazyDfa::new(Box::new(RawText::new(&[b"\"\"\"".to_vec()]).expect("small")));
        assert_eq!(run(&d, b"a"), Some(true));
        // One quote before the terminator would make the terminator begin earlier.
        assert_eq!(run(&d, b"a\""), Some(false));
        assert_eq!(run(&d, b"a\"b"), Some(true));
        assert_eq!(run(&d, b"a\"\"\""), None);
    }

    #[test]
    fn words_are_excluded_whole() {
        let d = LazyDfa::new(Box::new(NotWords::new([b"ab".to_vec(), b"abc".to_vec(), b"x".to_vec()])));
        for (text, expected) in
            [("", true), ("a", true), ("ab", false), ("abc", false), ("abcd", true), ("x", false)]
        {
            assert_eq!(run(&d, text.as_bytes()), Some(expected), "{text}");
        }
    }
}
