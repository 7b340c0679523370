//! The body of a JSON or Python string up to and with its closing quote, read through its escapes (RFC 8259, section
//! 7): what is bounded is the decoded text, whichever way it is written. Lone surrogates are refused.

use super::lengths::{LengthBounds, LengthSet, Lengths};
use super::{Automaton, Classes, Step, Unwanted, utf8};
use regex_syntax::utf8::Utf8Sequences;

/// Which escapes a string may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Escapes {
    /// Every escape of the JSON grammar.
    #[default]
    Any,
    /// What Python's `json.dumps(ensure_ascii=False)` writes: `\" \\ \b \f \n \r \t`, and `\u00XX` for the other
    /// control characters; everything else stands as itself.
    Minimal,
    /// What Python's `json.dumps` writes by default: as `Minimal`, and every character from U+0080 on as `\uXXXX`.
    Ascii,
    /// The escapes of JSON that Python reads alike, and `\'`: neither `\/` nor surrogates.
    Python,
}

impl Escapes {
    fn allows(self, letter: u8) -> bool {
        match letter {
            b'/' => self == Escapes::Any,
            b'\'' => self == Escapes::Python,
            _ => true,
        }
    }
}

// Kinds of decoder states; 0 to 7 are those of UTF-8, 0 being between characters.
const ESCAPE: u32 = 8;
/// `\u` and 0 to 3 hex digits; the value holds the digits.
const HEX: u32 = 9;
/// A high surrogate has been read (the value); a backslash has to follow.
const LOW_SLASH: u32 = 13;
const LOW_U: u32 = 14;
/// The second `\u` and 0 to 3 hex digits; the value is the high surrogate shifted left by 16, and the digits.
const LOW_HEX: u32 = 15;
const DONE: u32 = 19;

/// States are `[kind, value]`, followed by the state of the automaton over the decoded text, if there is one.
pub(crate) struct JsonString {
    escapes: Escapes,
    quote: u8,
    inner: Option<Box<dyn Automaton>>,
    /// For each byte the first and last byte of its class in `inner`.
    classes: Box<[(u8, u8); 256]>,
    bounds: Option<LengthBounds>,
}

impl JsonString {
    /// `inner` restricts the decoded text; `bounds` are those it was made with.
    pub(crate) fn new(
        escapes: Escapes,
        quote: u8,
        inner: Option<Box<dyn Automaton>>,
        bounds: Option<LengthBounds>,
    ) -> JsonString {
        let classes = inner.as_ref().map_or_else(Classes::utf8, |inner| inner.classes());
        JsonString { escapes, quote, inner, classes: Box::new(classes.ranges()), bounds }
    }

    fn raw_allowed(&self, byte: u8) -> bool {
        byte >= 0x20 && byte != self.quote && byte != b'\\' && (byte < 0x80 || self.escapes != Escapes::Ascii)
    }

    /// True if `\uXXXX` may stand for code points in some part of `low ..= high`; calls `visit` for those parts.
    fn escaped_ranges(&self, low: u32, high: u32, mut visit: impl FnMut(u32, u32) -> bool) -> bool {
        let ranges: &[(u32, u32)] = match self.escapes {
            Escapes::Any => &[(0, 0xd7ff), (0xe000, 0x10ffff)],
            Escapes::Minimal => &[(0, 7), (11, 11), (14, 0x1f)],
            Escapes::Python => &[(0, 0xd7ff), (0xe000, 0xffff)],
            Escapes::Ascii => &[(0, 7), (11, 11), (14, 0x1f), (0x80, 0xd7ff), (0xe000, 0x10ffff)],
        };
        ranges.iter().any(|&(from, to)| {
            let (from, to) = (from.max(low), to.min(high));
            from <= to && visit(from, to)
        })
    }

    /// Visits the inner states behind the characters `low ..= high` until `visit` says true.
    fn behind(
        &self,
        inner: &[u32],
        low: u32,
        high: u32,
        visit: &mut dyn FnMut(Option<&[u32]>) -> bool,
    ) -> bool {
        let Some(automaton) = &self.inner else { return visit(None) };
        let (Some(low), Some(high)) = (char::from_u32(low), char::from_u32(high)) else { return false };
        fn descend(
            (automaton, classes): (&dyn Automaton, &[(u8, u8); 256]),
            state: &[u32],
            ranges: &[regex_syntax::utf8::Utf8Range],
            visit: &mut dyn FnMut(Option<&[u32]>) -> bool,
        ) -> bool {
            let Some((range, rest)) = ranges.split_first() else { return visit(Some(state)) };
            let mut next = Vec::new();
            let mut byte = range.start;
            loop {
                if automaton.step(state, byte, &mut next) != Step::Dead {
                    let state = std::mem::take(&mut next);
                    if descend((automaton, classes), &state, rest, visit) {
                        return true;
                    }
                }
                // One byte stands for its class.
                let last = classes[byte as usize].1;
                if last >= range.end {
                    return false;
                }
                byte = last + 1;
            }
        }
        let by_class = (automaton.as_ref(), &*self.classes);
        Utf8Sequences::new(low, high).any(|seq| descend(by_class, inner, seq.as_slice(), visit))
    }

    /// Visits the inner states behind every way to complete `\u` and its first digits (code units `low ..= high`).
    fn behind_units(
        &self,
        inner: &[u32],
        low: u32,
        high: u32,
        visit: &mut dyn FnMut(Option<&[u32]>) -> bool,
    ) -> bool {
        if self.escaped_ranges(low, high, |a, b| self.behind(inner, a, b, visit)) {
            return true;
        }
        let (first, last) = (low.max(0xd800), high.min(0xdbff));
        if first > last {
            return false;
        }
        let (a, b) = (0x10000 + ((first - 0xd800) << 10), 0x10000 + ((last - 0xd800) << 10) + 0x3ff);
        self.escaped_ranges(a, b, |a, b| self.behind(inner, a, b, visit))
    }

    /// Visits the inner states behind every way to complete the given state's character.
    fn ahead(&self, state: &[u32], visit: &mut dyn FnMut(Option<&[u32]>) -> bool) -> bool {
        let (kind, value, inner) = (state[0], state[1], &state[2..]);
        match kind {
            ESCAPE => {
                SHORT.iter().any(|&(letter, c)| {
                    self.escapes.allows(letter) && self.behind(inner, u32::from(c), u32::from(c), visit)
                }) || self.behind_units(inner, 0, 0xffff, visit)
            }
            HEX..LOW_SLASH => {
                let shift = 4 * (4 - (kind - HEX));
                self.behind_units(inner, value << shift, (value << shift) + (1 << shift) - 1, visit)
            }
            LOW_SLASH | LOW_U => {
                let base = 0x10000 + ((value - 0xd800) << 10);
                self.escaped_ranges(base, base + 0x3ff, |a, b| self.behind(inner, a, b, visit))
            }
            LOW_HEX..DONE => {
                let (high, digits) = (value >> 16, value & 0xffff);
                let shift = 4 * (4 - (kind - LOW_HEX));
                let (low, last) = (digits << shift, (digits << shift) + (1 << shift) - 1);
                let (low, last) = (low.max(0xdc00), last.min(0xdfff));
                if low > last {
                    return false;
                }
                let base = 0x10000 + ((high - 0xd800) << 10);
                self.escaped_ranges(base + low - 0xdc00, base + last - 0xdc00, |a, b| {
                    self.behind(inner, a, b, visit)
                })
            }
            _ => false,
        }
    }

    /// Writes a state inside an escape if the escape can be completed. Values that no longer matter are dropped.
    fn enter(&self, kind: u32, value: u32, inner: &[u32], step: Step, out: &mut Vec<u32>) -> Step {
        out.extend([kind, value]);
        out.extend_from_slice(inner);
        if !self.ahead(out, &mut |_| true) {
            out.clear();
            return Step::Dead;
        }
        if self.inner.is_none() && matches!(self.escapes, Escapes::Any | Escapes::Python) {
            out[1] = match kind {
                10 if value != 0xd => 0,
                11 if value >> 4 != 0xd || value & 0xf < 8 => 0,
                11 => 0xd8,
                12 if value >> 8 != 0xd || value >> 4 & 0xf < 8 => 0,
                12 => 0xd80,
                LOW_SLASH | LOW_U => 0xd800,
                16 => 0xd800 << 16 | 0xd,
                17 => 0xd800 << 16 | 0xdc,
                18 => 0xd800 << 16 | 0xdc0,
                LOW_HEX => 0xd800 << 16,
                _ => value,
            };
        }
        step
    }

    /// Completes the character `c` that was written as an escape.
    fn complete(&self, c: u32, inner: &[u32], step: Step, out: &mut Vec<u32>) -> Step {
        let mut state = None;
        self.behind(inner, c, c, &mut |next| {
            state = Some(next.map(<[u32]>::to_vec));
            true
        });
        match state {
            Some(next) => {
                out.extend([utf8::BOUNDARY, 0]);
                out.extend(next.into_iter().flatten());
                step
            }
            None => Step::Dead,
        }
    }
}

/// The short escapes and what they stand for.
const SHORT: [(u8, u8); 9] = [
    (b'"', b'"'),
    (b'\\', b'\\'),
    (b'/', b'/'),
    (b'b', 8),
    (b'f', 12),
    (b'n', b'\n'),
    (b'r', b'\r'),
    (b't', b'\t'),
    (b'\'', b'\''),
];

fn hex_digit(byte: u8) -> Option<u32> {
    (byte as char).to_digit(16)
}

impl Automaton for JsonString {
    fn start(&self, out: &mut Vec<u32>) {
        out.extend([utf8::BOUNDARY, 0]);
        if let Some(inner) = &self.inner {
            let mut state = Vec::new();
            inner.start(&mut state);
            out.extend(state);
        }
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        out.clear();
        let (kind, value, inner) = (state[0], state[1], &state[2..]);
        match kind {
            utf8::BOUNDARY if byte == self.quote => {
                if self.inner.as_ref().is_some_and(|automaton| !automaton.accepts(inner)) {
                    return Step::Dead;
                }
                out.extend([DONE, 0]);
                Step::Within
            }
            utf8::BOUNDARY if byte == b'\\' => self.enter(ESCAPE, 0, inner, Step::Starts, out),
            0..utf8::STATES => {
                let Some(next) = utf8::step(kind, byte) else { return Step::Dead };
                if kind == utf8::BOUNDARY && !self.raw_allowed(byte) {
                    return Step::Dead;
                }
                out.extend([next, 0]);
                if let Some(automaton) = &self.inner {
                    let mut after = Vec::new();
                    if automaton.step(inner, byte, &mut after) == Step::Dead {
                        return Step::Dead;
                    }
                    out.extend(after);
                }
                if kind == utf8::BOUNDARY { Step::Starts } else { Step::Within }
            }
            ESCAPE if byte == b'u' => self.enter(HEX, 0, inner, Step::Within, out),
            ESCAPE => match SHORT.iter().find(|&&(letter, _)| letter == byte) {
                Some(&(letter, _)) if !self.escapes.allows(letter) => Step::Dead,
                Some(&(_, c)) => self.complete(u32::from(c), inner, Step::Within, out),
                None => Step::Dead,
            },
            HEX..LOW_SLASH => {
                let Some(digit) = hex_digit(byte) else { return Step::Dead };
                let value = value << 4 | digit;
                if kind < HEX + 3 {
                    return self.enter(kind + 1, value, inner, Step::Within, out);
                }
                if (0xd800..=0xdbff).contains(&value) {
                    return self.enter(LOW_SLASH, value, inner, Step::Within, out);
                }
                if !self.escaped_ranges(value, value, |_, _| true) {
                    return Step::Dead;
                }
                self.complete(value, inner, Step::Within, out)
            }
            LOW_SLASH if byte == b'\\' => self.enter(LOW_U, value, inner, Step::Within, out),
            LOW_U if byte == b'u' => self.enter(LOW_HEX, value << 16, inner, Step::Within, out),
            LOW_HEX..DONE => {
                let Some(digit) = hex_digit(byte) else { return Step::Dead };
                let (high, digits) = (value >> 16, (value & 0xffff) << 4 | digit);
                if kind < LOW_HEX + 3 {
                    return self.enter(kind + 1, high << 16 | digits, inner, Step::Within, out);
                }
                if !(0xdc00..=0xdfff).contains(&digits) {
                    return Step::Dead;
                }
                let c = 0x10000 + ((high - 0xd800) << 10) + digits - 0xdc00;
                if !self.escaped_ranges(c, c, |_, _| true) {
                    return Step::Dead;
                }
                self.complete(c, inner, Step::Within, out)
            }
            _ => Step::Dead,
        }
    }

    fn accepts(&self, state: &[u32]) -> bool {
        state[0] == DONE
    }

    fn classes(&self) -> Classes {
        let mut classes = Classes::utf8();
        classes.cut(0, 0x1f);
        for byte in b"\"'\\/bfnrtu0123456789abcdefABCDEF" {
            classes.cut(*byte, *byte);
        }
        if let Some(inner) = &self.inner {
            classes.refine(&inner.classes());
        }
        classes
    }

    fn unwanted(&self, state: &[u32]) -> Option<Unwanted<'_>> {
        match state {
            [utf8::BOUNDARY, _, inner @ ..] => self.inner.as_ref()?.unwanted(inner),
            _ => None,
        }
    }

    fn rest_of_character(&self, state: &[u32]) -> Option<u32> {
        Some(match state[0] {
            utf8::BOUNDARY | DONE => 0,
            1 => 1,
            2..=4 => 2,
            5..utf8::STATES => 3,
            // `u`, four digits, and perhaps another escape of six bytes.
            ESCAPE => 11,
            kind @ HEX..LOW_SLASH => 10 - (kind - HEX),
            LOW_SLASH => 6,
            LOW_U => 5,
            kind => 4 - (kind - LOW_HEX),
        })
    }

    fn lengths(&self, state: &[u32]) -> Lengths {
        let Some(automaton) = &self.inner else { return Lengths::AtLeast(0) };
        match state[0] {
            0..utf8::STATES => automaton.lengths(&state[2..]),
            DONE => match self.bounds {
                Some(bounds) => {
                    let mut none = LengthSet::empty(bounds);
                    none.insert(0);
                    Lengths::Set(none)
                }
                None => Lengths::AtLeast(0),
            },
            _ => {
                let mut least: Option<u32> = None;
                let mut set: Option<LengthSet> = None;
                self.ahead(state, &mut |inner| {
                    match inner.map(|i| automaton.lengths(i)) {
                        Some(Lengths::AtLeast(n)) => least = Some(least.map_or(n, |l| l.min(n))),
                        Some(Lengths::Set(more)) => match &mut set {
                            Some(set) => {
                                set.merge(&more, 0);
                            }
                            None => set = Some(more),
                        },
                        None => {}
                    }
                    least == Some(0)
                });
                match (least, set) {
                    (Some(n), _) => Lengths::AtLeast(n),
                    (None, Some(set)) => Lengths::Set(set),
                    (None, None) => Lengths::AtLeast(0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LazyDfa, NotWords, Regex};
    use super::*;

    fn run(dfa: &LazyDfa, text: &str) -> Option<bool> {
        let mut at = 0;
        for &b in text.as_bytes() {
            at = dfa.step(at, b).expect("within limits")?.state;
        }
        Some(dfa.accepts(at))
    }

    #[test]
    fn escapes_as_rfc_8259_has_them() {
        let d = LazyDfa::new(Box::new(JsonString::new(Escapes::Any, b'"', None, None)));
        for text in ["\"", "a é\"", r#"\"\\\/\b\f\n\r\t""#, r#"\u0041\uD83D\ude00""#, "\u{7f}\u{1f600}\""] {
            assert_eq!(run(&d, text), Some(true), "{text}");
        }
        for text in ["\n", r"\x", r"\u00g", r"\udc00", r"\ud83d\n", r"\ud83d\u0041", r"\ud83dx", "\"x"] {
            assert_eq!(run(&d, text), None, "{text}");
        }
        assert_eq!(run(&d, "abc"), Some(false));
    }

    #[test]
    fn policies_differ() {
        let minimal = LazyDfa::new(Box::new(JsonString::new(Escapes::Minimal, b'"', None, None)));
        assert_eq!(run(&minimal, "\\u001f\\né\""), Some(true));
        assert_eq!(run(&minimal, "\\u00"), Some(false));
        for text in [r"\u000a", r"\u002", r"\/", r"\u01", r"\ud"] {
            assert_eq!(run(&minimal, text), None, "{text}");
        }
        let ascii = LazyDfa::new(Box::new(JsonString::new(Escapes::Ascii, b'"', None, None)));
        assert_eq!(run(&ascii, "\\u00e9\\ud83d\\ude00\""), Some(true));
        assert_eq!(run(&ascii, "é"), None);
        assert_eq!(run(&ascii, r"\u0041"), None);
    }

    #[test]
    fn python_strings_end_at_their_own_quote() {
        let d = LazyDfa::new(Box::new(JsonString::new(Escapes::Python, b'\'', None, None)));
        for text in ["'", "a\"b'", r#"\'\"\\\n\t\u00e9\uffff'"#, "é\u{1f600}'"] {
            assert_eq!(run(&d, text), Some(true), "{text}");
        }
        for text in ["\n", r"\/", r"\x41", r"\ud83d", r"\ud8", r"\udc", "''"] {
            assert_eq!(run(&d, text), None, "{text}");
        }
        assert_eq!(run(&d, r"\ud7"), Some(false));
    }

    #[test]
    fn patterns_see_the_decoded_text() {
        let hir = regex_syntax::parse("^[a-c\u{e9}]+$").expect("parses");
        let regex = Regex::new(&hir, true, None).expect("builds");
        let d = LazyDfa::new(Box::new(JsonString::new(Escapes::Any, b'"', Some(Box::new(regex)), None)));
        assert_eq!(run(&d, "aé\""), Some(true));
        assert_eq!(run(&d, r#"\u0061\u00E9""#), Some(true));
        for text in ["\"", "d", r"\u0064", r"\u01", r"\n", r"\ud8"] {
            assert_eq!(run(&d, text), None, "{text}");
        }
        assert_eq!(run(&d, r"\u006"), Some(false));
    }

    #[test]
    fn excluded_words_are_excluded_in_every_spelling() {
        let words = NotWords::new([b"ab".to_vec()]);
        let d = LazyDfa::new(Box::new(JsonString::new(Escapes::Any, b'"', Some(Box::new(words)), None)));
        for text in ["ab\"", "\\u0061b\"", "a\\u0062\""] {
            assert_eq!(run(&d, text), None, "{text}");
        }
        assert_eq!(run(&d, "abc\""), Some(true));
    }
}
