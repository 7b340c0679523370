//! Characters as JSON strings write them: as they are, or escaped (RFC 8259, section 7).

use crate::automaton::Escapes;
use crate::front::rules::Part;
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// Short escapes: the letter and what it stands for.
const SHORT: [(char, char); 8] = [
    ('"', '"'),
    ('\\', '\\'),
    ('/', '/'),
    ('b', '\u{8}'),
    ('f', '\u{c}'),
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
];

fn range(from: char, to: char) -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new(from, to)])
}

fn has(class: &ClassUnicode, c: char) -> bool {
    class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&c))
}

/// The ways to write one of these characters in a JSON string.
pub(super) fn encoded(class: &ClassUnicode, escapes: Escapes) -> Part {
    let mut raw = class.clone();
    raw.difference(&range('\0', '\u{1f}'));
    raw.difference(&range('"', '"'));
    raw.difference(&range('\\', '\\'));
    if escapes == Escapes::Ascii {
        raw.difference(&range('\u{80}', char::MAX));
    }
    let mut ways = Vec::new();
    if !raw.ranges().is_empty() {
        ways.push(Part::Class(raw));
    }
    let mut behind = Vec::new();
    let letters: Vec<ClassUnicodeRange> = SHORT
        .iter()
        .filter(|&&(letter, c)| (letter != '/' || escapes == Escapes::Any) && has(class, c))
        .map(|&(letter, _)| ClassUnicodeRange::new(letter, letter))
        .collect();
    if !letters.is_empty() {
        behind.push(Part::Class(ClassUnicode::new(letters)));
    }
    // What `\u` may stand for.
    let mut spelled = class.clone();
    if escapes != Escapes::Any {
        let mut allowed = range('\0', '\u{1f}');
        for (_, c) in SHORT {
            allowed.difference(&range(c, c));
        }
        if escapes == Escapes::Ascii {
            allowed.union(&range('\u{80}', char::MAX));
        }
        spelled.intersect(&allowed);
    }
    let mut units = Vec::new();
    for span in spelled.ranges() {
        hex(u32::from(span.start()), u32::from(span.end()), &mut units);
    }
    if !units.is_empty() {
        behind.push(Part::Seq(vec![Part::Text("u".into()), Part::alt(units)]));
    }
    if !behind.is_empty() {
        ways.push(Part::Seq(vec![Part::Text("\\".into()), Part::alt(behind)]));
    }
    Part::alt(ways)
}

/// The code points `low ..= high` behind `\u`: four digits, or two surrogates.
fn hex(low: u32, high: u32, out: &mut Vec<Part>) {
    const SUPPLEMENT: u32 = 0x10000;
    if low < SUPPLEMENT {
        // Characters lie on either side of the surrogates, never among them.
        let last = high.min(SUPPLEMENT - 1);
        for (from, to) in [(low, last.min(0xd7ff)), (low.max(0xe000), last)] {
            if from <= to {
                out.extend(digits(from, to, 4));
            }
        }
    }
    if high < SUPPLEMENT {
        return;
    }
    let (from, to) = (low.max(SUPPLEMENT) - SUPPLEMENT, high - SUPPLEMENT);
    let mut pair = |first: (u32, u32), second: (u32, u32)| {
        out.push(Part::seq(vec![
            Part::alt(digits(0xd800 + first.0, 0xd800 + first.1, 4)),
            Part::Text("\\u".into()),
            Part::alt(digits(0xdc00 + second.0, 0xdc00 + second.1, 4)),
        ]));
    };
    let (mut first, last) = (from >> 10, to >> 10);
    if first == last {
        return pair((first, first), (from & 0x3ff, to & 0x3ff));
    }
    if from & 0x3ff != 0 {
        pair((first, first), (from & 0x3ff, 0x3ff));
        first += 1;
    }
    let whole = to & 0x3ff == 0x3ff;
    let end = if whole { last } else { last - 1 };
    if first <= end {
        pair((first, end), (0, 0x3ff));
    }
    if !whole {
        pair((last, last), (0, to & 0x3ff));
    }
}

/// The numbers `low ..= high` in so many hex digits.
fn digits(low: u32, high: u32, count: u32) -> Vec<Part> {
    if count == 0 {
        return vec![Part::empty()];
    }
    let unit = 1 << (4 * (count - 1));
    let (mut first, last) = (low / unit, high / unit);
    let mut out = Vec::new();
    let mut add = |from: u32, to: u32, rest: Vec<Part>| {
        out.push(Part::seq(vec![Part::Class(digit(from, to)), Part::alt(rest)]));
    };
    if first == last {
        add(first, first, digits(low % unit, high % unit, count - 1));
        return out;
    }
    if !low.is_multiple_of(unit) {
        add(first, first, digits(low % unit, unit - 1, count - 1));
        first += 1;
    }
    let whole = high % unit == unit - 1;
    let end = if whole { last } else { last - 1 };
    if first <= end {
        let any = Part::Class(digit(0, 15)).repeat(count - 1, Some(count - 1));
        let any = if count == 1 { Part::empty() } else { any };
        add(first, end, vec![any]);
    }
    if !whole {
        add(last, last, digits(0, high % unit, count - 1));
    }
    out
}

/// Hex digits, letters in either case.
fn digit(from: u32, to: u32) -> ClassUnicode {
    let chars = (from..=to).filter_map(|value| char::from_digit(value, 16));
    ClassUnicode::new(chars.flat_map(|c| [c, c.to_ascii_uppercase()]).map(|c| ClassUnicodeRange::new(c, c)))
}
