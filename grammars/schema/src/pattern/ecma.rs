//! Reader of ECMA-262 regular expressions (Unicode mode, with the leniencies of Annex B that are unambiguous), and
//! the removal of search semantics and anchors.
//!
//! Anchors are resolved by algebra instead of being kept: each sub-expression is split into four languages
//! ([`Parts`]): with or without the demand that the string begins before it, and that it ends after it. Concatenation
//! keeps only the consistent combinations; at the end the parts without a demand get `(?s:.)*` on that side.
//! Look-around, back-references, word boundaries and inline flags are refused by name.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Repetition};

use super::PatternError;

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 200;

/// The language of whole strings in which `source` is found.
pub(super) fn parse(source: &str) -> Result<Hir, PatternError> {
    let mut parser = Parser { source, at: 0, depth: 0 };
    let parts = parser.alternation()?;
    if parser.at < source.len() {
        return Err(parser.invalid("unmatched `)`"));
    }
    Ok(parts.searched())
}

/// An expression, split by what it demands of its surroundings; the index is `begins * 2 + ends`.
#[derive(Clone)]
struct Parts {
    /// The language under each demand.
    all: [Option<Hir>; 4],
    /// Whether that language holds the empty string.
    empty: [bool; 4],
}

const BEGINS: usize = 2;
const ENDS: usize = 1;

impl Parts {
    fn none() -> Parts {
        Parts { all: [None, None, None, None], empty: [false; 4] }
    }

    fn plain(hir: Hir) -> Parts {
        let mut parts = Parts::none();
        parts.empty[0] = hir.properties().minimum_len() == Some(0);
        parts.all[0] = Some(hir);
        parts
    }

    fn anchor(demand: usize) -> Parts {
        let mut parts = Parts::none();
        parts.all[demand] = Some(Hir::empty());
        parts.empty[demand] = true;
        parts
    }

    fn is_plain(&self) -> bool {
        self.all[1..].iter().all(Option::is_none)
    }

    fn add(&mut self, demand: usize, hir: Hir) {
        self.empty[demand] |= hir.properties().minimum_len() == Some(0);
        self.all[demand] = Some(match self.all[demand].take() {
            Some(old) => Hir::alternation(vec![old, hir]),
            None => hir,
        });
    }

    fn union(mut self, other: Parts) -> Parts {
        for (demand, hir) in other.all.into_iter().enumerate() {
            if let Some(hir) = hir {
                self.add(demand, hir);
            }
        }
        self
    }

    fn then(&self, next: &Parts) -> Parts {
        let mut out = Parts::none();
        for (x, left) in self.all.iter().enumerate() {
            let Some(left) = left else { continue };
            for (y, right) in next.all.iter().enumerate() {
                let Some(right) = right else { continue };
                let (left_ends, right_begins) = (x & ENDS != 0, y & BEGINS != 0);
                let hir = match (left_ends, right_begins) {
                    (false, false) => Hir::concat(vec![left.clone(), right.clone()]),
                    (true, false) if next.empty[y] => left.clone(),
                    (false, true) if self.empty[x] => right.clone(),
                    (true, true) if self.empty[x] && next.empty[y] => Hir::empty(),
                    _ => continue,
                };
                out.add(x | y, hir);
            }
        }
        out
    }

    fn star(self) -> Parts {
        let [plain, ends, begins, both] = self.all;
        let loops = plain.map(|p| repeat(p, 0, None)).unwrap_or_else(Hir::empty);
        let mut out = Parts::plain(loops.clone());
        if let Some(ends) = &ends {
            out.add(ENDS, Hir::concat(vec![loops.clone(), ends.clone()]));
        }
        if let Some(begins) = &begins {
            out.add(BEGINS, Hir::concat(vec![begins.clone(), loops.clone()]));
        }
        if let (Some(begins), Some(ends)) = (begins, ends) {
            out.add(BEGINS | ENDS, Hir::concat(vec![begins, loops, ends]));
        }
        if let Some(both) = both {
            out.add(BEGINS | ENDS, both);
        }
        out
    }

    fn searched(self) -> Hir {
        let mut cases = Vec::new();
        for (demand, hir) in self.all.into_iter().enumerate() {
            let Some(hir) = hir else { continue };
            let mut parts = Vec::with_capacity(3);
            if demand & BEGINS == 0 {
                parts.push(anything());
            }
            if demand != 0 || !self.empty[0] {
                parts.push(hir);
            }
            if demand & ENDS == 0 && (demand != 0 || !self.empty[0]) {
                parts.push(anything());
            }
            cases.push(Hir::concat(parts));
        }
        if cases.is_empty() { Hir::fail() } else { Hir::alternation(cases) }
    }
}

fn repeat(hir: Hir, min: u32, max: Option<u32>) -> Hir {
    // `(x*)*` and the like would otherwise nest without saying more.
    if min == 0
        && max.is_none()
        && let HirKind::Repetition(inner) = hir.kind()
        && inner.min <= 1
        && inner.max.is_none()
    {
        return Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: inner.sub.clone() });
    }
    Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(hir) })
}

fn anything() -> Hir {
    repeat(class([('\0', char::MAX)], false), 0, None)
}

fn class(ranges: impl IntoIterator<Item = (char, char)>, negated: bool) -> Hir {
    let mut set = ClassUnicode::new(ranges.into_iter().map(|(a, b)| ClassUnicodeRange::new(a, b)));
    if negated {
        set.negate();
    }
    Hir::class(Class::Unicode(set))
}

const DIGIT: &[(char, char)] = &[('0', '9')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
/// ECMA-262 WhiteSpace and LineTerminator.
const SPACE: &[(char, char)] = &[
    ('\t', '\r'),
    (' ', ' '),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{feff}', '\u{feff}'),
];
const LINE_ENDS: &[(char, char)] = &[('\n', '\n'), ('\r', '\r'), ('\u{2028}', '\u{2029}')];

/// What an escape stands for.
enum Atom {
    Char(char),
    /// A surrogate that is not half of a pair: no string holds one.
    Surrogate(u32),
    Set(Vec<(char, char)>),
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn invalid(&self, why: impl Into<String>) -> PatternError {
        PatternError { at: self.at, why: why.into(), unsupported: false }
    }

    fn unsupported(&self, why: impl Into<String>) -> PatternError {
        PatternError { at: self.at, why: why.into(), unsupported: true }
    }

    fn alternation(&mut self) -> Result<Parts, PatternError> {
        let first = self.sequence()?;
        if self.peek() != Some('|') {
            return Ok(first);
        }
        let mut cases = vec![first];
        while self.eat("|") {
            cases.push(self.sequence()?);
        }
        if cases.iter().all(Parts::is_plain) {
            let all = cases.into_iter().flat_map(|c| c.all.into_iter().flatten());
            return Ok(Parts::plain(Hir::alternation(all.collect())));
        }
        Ok(cases.into_iter().reduce(Parts::union).unwrap_or_else(Parts::none))
    }

    fn sequence(&mut self) -> Result<Parts, PatternError> {
        // Runs without anchors are concatenated at once, so that literals join.
        let mut done: Option<Parts> = None;
        let mut run: Vec<Hir> = Vec::new();
        let flush = |done: &mut Option<Parts>, run: &mut Vec<Hir>| {
            if !run.is_empty() {
                let part = Parts::plain(Hir::concat(std::mem::take(run)));
                *done = Some(match done.take() {
                    Some(before) => before.then(&part),
                    None => part,
                });
            }
        };
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            let term = self.term()?;
            if term.is_plain() {
                // A term without any part (an empty class) matches nothing.
                run.push(term.all[0].clone().unwrap_or_else(Hir::fail));
            } else {
                flush(&mut done, &mut run);
                done = Some(match done.take() {
                    Some(before) => before.then(&term),
                    None => term,
                });
            }
        }
        flush(&mut done, &mut run);
        Ok(done.unwrap_or_else(|| Parts::plain(Hir::empty())))
    }

    fn term(&mut self) -> Result<Parts, PatternError> {
        let atom = self.atom()?;
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match self.counts()? {
                Some(counts) => counts,
                None => return Ok(atom),
            },
            _ => return Ok(atom),
        };
        if self.peek() != Some('}') {
            self.next();
        } else {
            self.eat("}");
        }
        self.eat("?"); // laziness picks a match, it does not change the language
        if matches!(self.peek(), Some('*' | '+' | '?'))
            || (self.peek() == Some('{') && self.counts()?.is_some())
        {
            return Err(self.invalid("nothing to repeat"));
        }
        if atom.is_plain() {
            let Some(hir) = atom.all[0].clone() else {
                return Ok(if min == 0 { Parts::plain(Hir::empty()) } else { Parts::none() });
            };
            return Ok(Parts::plain(repeat(hir, min, max)));
        }
        let optional = || Parts::plain(Hir::empty()).union(atom.clone());
        match (min, max) {
            (0, None) => Ok(atom.star()),
            (min, max) if min <= 4 && max.is_none_or(|max| max <= 4) => {
                let mut out = Parts::plain(Hir::empty());
                for _ in 0..min {
                    out = out.then(&atom);
                }
                match max {
                    None => Ok(out.then(&atom.clone().star())),
                    Some(max) => Ok((min..max).fold(out, |out, _| out.then(&optional()))),
                }
            }
            _ => Err(self.unsupported("an anchor inside a counted repetition")),
        }
    }

    /// `{n}`, `{n,}` or `{n,m}` up to its `}`; nothing is read if this is a literal brace.
    fn counts(&mut self) -> Result<Option<(u32, Option<u32>)>, PatternError> {
        let rest = &self.rest()[1..];
        let Some(end) = rest.find('}') else { return Ok(None) };
        let body = &rest[..end];
        let number = |text: &str| -> Result<u32, PatternError> {
            text.parse().map_err(|_| self.unsupported(format!("the repetition count {text} is too large")))
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let counts = match body.split_once(',') {
            None if digits(body) => (number(body)?, Some(number(body)?)),
            Some((min, "")) if digits(min) => (number(min)?, None),
            Some((min, max)) if digits(min) && digits(max) => (number(min)?, Some(number(max)?)),
            _ => return Ok(None),
        };
        if counts.1.is_some_and(|max| max < counts.0) {
            return Err(self.invalid("the counts of a repetition are out of order"));
        }
        self.at += 1 + end;
        Ok(Some(counts))
    }

    fn atom(&mut self) -> Result<Parts, PatternError> {
        let Some(c) = self.next() else { return Err(self.invalid("unexpected end")) };
        Ok(match c {
            '^' => Parts::anchor(BEGINS),
            '$' => Parts::anchor(ENDS),
            '.' => Parts::plain(class(LINE_ENDS.iter().copied(), true)),
            '(' => return self.group(),
            '[' => Parts::plain(self.class()?),
            '\\' => match self.escape(false)? {
                Atom::Char(c) => Parts::plain(literal(c)),
                Atom::Set(ranges) => Parts::plain(class(ranges, false)),
                Atom::Surrogate(code) => {
                    return Err(self.unsupported(format!("the lone surrogate \\u{code:04x}")));
                }
            },
            '*' | '+' | '?' => return Err(self.invalid("nothing to repeat")),
            c => Parts::plain(literal(c)),
        })
    }

    fn group(&mut self) -> Result<Parts, PatternError> {
        if self.eat("?") {
            let unnamed = self.eat(":");
            if unnamed {
            } else if self.rest().starts_with("<=") || self.rest().starts_with("<!") {
                return Err(self.unsupported("look-behind"));
            } else if self.rest().starts_with('=') || self.rest().starts_with('!') {
                return Err(self.unsupported("look-ahead"));
            } else if self.eat("<") {
                let Some(end) = self.rest().find('>') else {
                    return Err(self.invalid("unclosed group name"));
                };
                self.at += end + 1;
            } else {
                return Err(self.unsupported("inline flags"));
            }
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unsupported(format!("more than {MAX_DEPTH} nested groups")));
        }
        let inner = self.alternation()?;
        self.depth -= 1;
        if !self.eat(")") {
            return Err(self.invalid("unclosed group"));
        }
        Ok(inner)
    }

    fn escape(&mut self, in_class: bool) -> Result<Atom, PatternError> {
        let Some(c) = self.next() else { return Err(self.invalid("`\\` at the end")) };
        let set = |ranges: &[(char, char)]| Ok(Atom::Set(ranges.to_vec()));
        let without = |ranges: &[(char, char)]| Ok(Atom::Set(complement(ranges)));
        match c {
            'd' => set(DIGIT),
            'D' => without(DIGIT),
            'w' => set(WORD),
            'W' => without(WORD),
            's' => set(SPACE),
            'S' => without(SPACE),
            'p' | 'P' => self.property(c == 'P'),
            't' => Ok(Atom::Char('\t')),
            'n' => Ok(Atom::Char('\n')),
            'v' => Ok(Atom::Char('\u{b}')),
            'f' => Ok(Atom::Char('\u{c}')),
            'r' => Ok(Atom::Char('\r')),
            'b' if in_class => Ok(Atom::Char('\u{8}')),
            'b' | 'B' => Err(self.unsupported(format!("the word boundary \\{c}"))),
            'k' => Err(self.unsupported("a back-reference")),
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => Ok(Atom::Char('\0')),
            '0'..='9' => Err(self.unsupported("a back-reference or octal escape")),
            'c' => match self.next() {
                Some(letter) if letter.is_ascii_alphabetic() => Ok(Atom::Char(char::from(letter as u8 % 32))),
                _ => Err(self.invalid("`\\c` needs a letter")),
            },
            'x' => {
                let code = self.hex(2).ok_or_else(|| self.invalid("`\\x` needs two hex digits"))?;
                Ok(Atom::Char(char::from(code as u8)))
            }
            'u' => self.unicode(),
            c if c.is_ascii_alphanumeric() => Err(self.invalid(format!("unknown escape `\\{c}`"))),
            c => Ok(Atom::Char(c)),
        }
    }

    fn hex(&mut self, len: usize) -> Option<u32> {
        let text = self.rest().get(..len)?;
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let code = u32::from_str_radix(text, 16).ok()?;
        self.at += len;
        Some(code)
    }

    fn unicode(&mut self) -> Result<Atom, PatternError> {
        if self.eat("{") {
            let end = self.rest().find('}').ok_or_else(|| self.invalid("unclosed `\\u{`"))?;
            let code =
                u32::from_str_radix(&self.rest()[..end], 16).map_err(|_| self.invalid("bad `\\u{...}`"))?;
            self.at += end + 1;
            return match char::from_u32(code) {
                Some(c) => Ok(Atom::Char(c)),
                None if code <= 0x10ffff => Ok(Atom::Surrogate(code)),
                None => Err(self.invalid("`\\u{...}` is beyond U+10FFFF")),
            };
        }
        let first = self.hex(4).ok_or_else(|| self.invalid("`\\u` needs four hex digits"))?;
        if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            if let Some(second) = self.hex(4).filter(|s| (0xdc00..0xe000).contains(s)) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(code)
                    .map(Atom::Char)
                    .ok_or_else(|| self.invalid("bad surrogate pair"));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).map_or(Atom::Surrogate(first), Atom::Char))
    }

    fn property(&mut self, negated: bool) -> Result<Atom, PatternError> {
        let name = self.rest().strip_prefix('{').and_then(|rest| Some(&rest[..rest.find('}')?]));
        let Some(name) = name else { return Err(self.invalid("`\\p` needs a name in braces")) };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '=';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(self.invalid(format!("`{name}` is not a Unicode property")));
        }
        let name = name.to_owned();
        let parsed = regex_syntax::Parser::new().parse(&format!("\\p{{{name}}}"));
        let ranges: Vec<(char, char)> = match parsed.as_ref().map(Hir::kind) {
            Ok(HirKind::Class(Class::Unicode(class))) => class.iter().map(|r| (r.start(), r.end())).collect(),
            _ => return Err(self.invalid(format!("`{name}` is not a known Unicode property"))),
        };
        self.at += name.len() + 2;
        Ok(Atom::Set(if negated { complement(&ranges) } else { ranges }))
    }

    fn class(&mut self) -> Result<Hir, PatternError> {
        let negated = self.eat("^");
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            if self.eat("]") {
                return Ok(class(ranges, negated));
            }
            let low = self.class_atom()?;
            let is_range = self.rest().starts_with('-') && !self.rest()[1..].starts_with(']');
            if !is_range || matches!(low, Atom::Set(_)) {
                match low {
                    Atom::Char(c) => ranges.push((c, c)),
                    Atom::Set(set) => ranges.extend(set),
                    Atom::Surrogate(code) => {
                        return Err(self.unsupported(format!("the lone surrogate \\u{code:04x}")));
                    }
                }
                continue;
            }
            self.eat("-");
            let code = |atom: &Atom| match atom {
                Atom::Char(c) => Some(u32::from(*c)),
                Atom::Surrogate(code) => Some(*code),
                Atom::Set(_) => None,
            };
            let high = self.class_atom()?;
            match (code(&low), code(&high), high) {
                (Some(low), Some(high), _) => {
                    if low > high {
                        return Err(self.invalid("a character range is out of order"));
                    }
                    if low >= 0xd800 && high <= 0xdfff {
                        return Err(self.unsupported("a range of lone surrogates"));
                    }
                    // No string holds a surrogate: the ends move to the nearest character.
                    let low = char::from_u32(low).unwrap_or('\u{e000}');
                    let high = char::from_u32(high).unwrap_or('\u{d7ff}');
                    ranges.push((low, high));
                }
                (_, _, Atom::Set(set)) => {
                    // Annex B: `[a-\d]` is `a`, `-` and the digits.
                    if let Atom::Char(c) = low {
                        ranges.push((c, c));
                    }
                    ranges.push(('-', '-'));
                    ranges.extend(set);
                }
                _ => return Err(self.invalid("bad character range")),
            }
        }
    }

    fn class_atom(&mut self) -> Result<Atom, PatternError> {
        match self.next() {
            None => Err(self.invalid("unclosed character class")),
            Some('\\') => self.escape(true),
            Some(c) => Ok(Atom::Char(c)),
        }
    }
}

fn literal(c: char) -> Hir {
    let mut bytes = [0; 4];
    Hir::literal(c.encode_utf8(&mut bytes).as_bytes())
}

fn complement(ranges: &[(char, char)]) -> Vec<(char, char)> {
    let mut set = ClassUnicode::new(ranges.iter().map(|(a, b)| ClassUnicodeRange::new(*a, *b)));
    set.negate();
    set.iter().map(|r| (r.start(), r.end())).collect()
}

#[cfg(test)]
mod tests {
    use crate::Pattern;

    fn check(source: &str, yes: &[&str], no: &[&str]) {
        let pattern = Pattern::parse(source).unwrap_or_else(|e| panic!("{source}: {e}"));
        assert!(pattern.hir().properties().look_set().is_empty(), "{source} keeps an anchor");
        yes.iter().for_each(|text| assert!(pattern.is_match(text), "{source} should match {text:?}"));
        no.iter().for_each(|text| assert!(!pattern.is_match(text), "{source} should not match {text:?}"));
    }

    #[test]
    fn search_semantics_and_anchors() {
        check("a+", &["a", "xax", "\naa"], &["", "b"]);
        check("^a", &["a", "ab"], &["ba", ""]);
        check("a$", &["a", "ba"], &["ab", "a\n"]);
        check("^a$", &["a"], &["aa", "a\n", ""]);
        check("^a|b$", &["ax", "xb", "a", "b"], &["xa", "bx"]);
        check("(^|x)a($|y)", &["a", "xa", "zxay", "ay", "zxa"], &["za", "az", "zaz"]);
        check("a^b", &[], &["ab", "a^b", "b"]);
        check("$^", &[""], &["a"]);
        check("^$|^abc$", &["", "abc"], &["abcd", "x"]);
        check("", &["", "anything"], &[]);
        check("(^a|b)*c", &["c", "xc", "abc", "bbc"], &["a", ""]);
        check("^(?:a|$)+$", &["a", "aa", ""], &["b", "ab"]);
        check("(^a){2}", &[], &["aa", "a"]);
        check("(?:^a?){2}b", &["ab", "b"], &["aab", "xb"]);
    }

    #[test]
    fn classes_and_escapes() {
        check(r"^\d{2}$", &["12"], &["1", "١٢"]);
        check(r"^\w+$", &["a_9"], &["é", "a b"]);
        check(r"^\s$", &["\u{feff}", "\u{2003}", "\t", "\u{b}"], &["\u{85}", "a"]);
        check(r"^\S\D\W$", &["xx-", "éxé"], &["x1-", "xxa", " x-"]);
        check(r"^[^\d-]$", &["a"], &["1", "-"]);
        check(r"^[\w.-]+$", &["a.-"], &["a b"]);
        check(r"^[a-\d]$", &["a", "-", "5"], &["b"]);
        check(r"^\p{Lu}\p{Script=Greek}\P{L}$", &["Aα1"], &["aα1", "Aa1", "Aαa"]);
        check(r"^\u00e9\u{1F432}\uD83D\uDC32\x41\cA\0$", &["é🐲🐲A\u{1}\0"], &[]);
        check("^🐲*$", &["", "🐲🐲"], &["🐉"]);
        check("^.$", &["a", "🐲", "\u{b}"], &["\n", "\u{2028}", ""]);
        check("[]", &[], &["", "a"]);
        check("^[^]$", &["\n", "a"], &[""]);
        check(r"^a{,2}{$", &["a{,2}{"], &["aa"]);
        check(r"^(?<year>\d{4})-(?:x|y)+?$", &["2024-x", "2024-xyx"], &["2024-"]);
        check(r"^[\u0000-\uFFFF]$", &["a", "\u{ffff}"], &["🐲"]);
        check(r"^[\b]\/\-$", &["\u{8}/-"], &[]);
    }

    #[test]
    fn refusals_name_the_construct() {
        for (source, word, unsupported) in [
            ("a(?=b)", "look-ahead", true),
            ("(?<!a)b", "look-behind", true),
            (r"(a)\1", "back-reference", true),
            (r"\bfoo", "word boundary", true),
            ("(?i)a", "inline flags", true),
            (r"[\ud800-\udbff]", "surrogate", true),
            ("(^a){9}", "anchor", true),
            ("(a", "unclosed group", false),
            ("a)", "unmatched", false),
            ("[a", "unclosed", false),
            ("a**", "nothing to repeat", false),
            ("a{3,1}", "out of order", false),
            (r"\p{Nope}", "property", false),
            (r"\Z", "unknown escape", false),
            ("(x{1000}){1000}", "states", true),
        ] {
            let error = Pattern::parse(source).unwrap_err();
            assert!(error.why.contains(word), "{source}: {error}");
            assert_eq!(error.unsupported, unsupported, "{source}");
        }
    }

    #[test]
    fn disjointness() {
        let p = |s: &str| Pattern::parse(s).unwrap();
        assert_eq!(p("^x-").is_disjoint(&p("^/")), Some(true));
        assert_eq!(p("^x").is_disjoint(&p("y$")), Some(false));
        assert_eq!(p(r"^\d+$").is_disjoint(&p("^[a-z]+$")), Some(true));
    }
}
