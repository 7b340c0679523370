//! Values in other notations than JSON, to JSON text, as they come: Python's literals and keyword arguments,
//! and objects with bare keys and marked strings.
//!
//! Nothing is built: strings are given out as they arrive. What is not as the notation has it, but can be read
//! in one way only, is read so and remembered as mended: a delimiter that is missing, a bracket too many, a
//! word without quotes. Where there is no such way, the reader of broken JSON takes over.

mod members;
mod single;
mod strings;

use std::collections::BTreeSet;

use toolglot_schema::TypeSet;

use super::is_ws;
use super::number::number;
use crate::program::{Markers, Scan};
#[cfg(test)]
use single::Whole;
pub(super) use single::literal;

/// Where JSON text goes.
pub(super) trait Sink {
    /// Text of JSON.
    fn json(&mut self, text: &str);
    /// Bytes of the input, from this offset of it, as the inside of a JSON string.
    fn escaped(&mut self, bytes: &[u8], at: u64);
    /// Bytes of the input as they are.
    fn raw(&mut self, bytes: &[u8], at: u64);
    /// What comes is a member that its object has already, or such a member is over.
    fn pass_over(&mut self, on: bool);
}

/// What stands around the values.
pub(super) struct Around<'a> {
    /// Whether the byte, outside strings and brackets, may begin what follows keyword arguments.
    pub(super) ends: &'a dyn Fn(u8) -> bool,
    /// The markers of strings.
    pub(super) markers: Option<&'a Markers>,
    /// No special token comes in these bytes.
    pub(super) plain: bool,
    /// The types that a parameter may have.
    pub(super) types: &'a dyn Fn(&str) -> TypeSet,
}

/// What the reader met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    /// The bytes are used up.
    More,
    /// The values are over, in front of the next byte.
    End,
    /// They were cut short by this literal, which has been taken.
    Literal(usize),
    /// The next byte fits nothing. What was kept back has been given out as it is.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `a='x', n=3`
    Keywords,
    /// Python's or JSON's literals, within brackets that JSON may have opened.
    Literals,
    /// Bare keys and marked strings.
    Marked,
    /// One literal and nothing else.
    Single,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In front of a keyword argument.
    Argument,
    /// Inside its name.
    Name,
    /// Behind its name.
    Equals,
    Value,
    /// Behind `[`, `(` or a comma in a list: a value or the end.
    ValueOrEnd,
    KeyOrEnd,
    Colon,
    /// Behind a value; whether white space has come.
    After(bool),
    /// Inside a string; whether three quotes end it.
    Text {
        quote: u8,
        long: bool,
    },
    /// Behind a quote inside a string, which is its end unless a letter or digit follows.
    Ended {
        quote: u8,
    },
    /// Behind the first quote: one or two more may follow.
    Quotes {
        quote: u8,
        seen: u8,
    },
    /// Inside a long string: quotes that may be its end.
    Closing {
        quote: u8,
        seen: u8,
    },
    Escape {
        quote: u8,
        long: bool,
    },
    /// Hex digits of an escape: how many it has, how many of them are due, their value, and which of them are
    /// capital letters.
    Hex {
        quote: u8,
        long: bool,
        of: u8,
        due: u8,
        value: u32,
        capitals: u8,
    },
    /// Between two markers.
    Marked,
    Word,
    /// Bytes behind a value or key that may be a marker out of place.
    Stray {
        colon: bool,
    },
    Done,
}

/// A reader of one argument list or one value.
#[derive(Debug)]
pub(super) struct Literal {
    at: At,
    form: Form,
    /// Open brackets, by what closes them, and how many there are of each kind.
    stack: Vec<u8>,
    open: [usize; 3],
    /// The keys of the open objects, the outermost first; keyword arguments are one.
    seen: Vec<BTreeSet<Vec<u8>>>,
    /// The member in hand is passed over, as its object has its key: how many brackets are open around it.
    repeated: Option<usize>,
    /// A word, a key, or a string that is no string by its schema.
    word: Vec<u8>,
    word_at: u64,
    /// The end of a marked string that may be no part of it: closing brackets and white space, then what may
    /// begin a literal.
    tail: Vec<u8>,
    /// How many bytes of `tail` are brackets and white space.
    closers: usize,
    tail_at: u64,
    /// Where the search for literals stands, and in which reading.
    node: u16,
    plain: bool,
    /// A high surrogate that waits for its other half.
    high: u32,
    keys: u32,
    /// A comma waits for what it separates.
    comma: bool,
    /// The string or word in progress is a key.
    key: bool,
    /// The string in progress is kept until its end.
    kept: bool,
    /// The types that the outermost value may have.
    types: TypeSet,
    pub(super) mended: bool,
    pub(super) valid: bool,
}

impl Default for Literal {
    fn default() -> Self {
        Literal {
            at: At::Argument,
            form: Form::Keywords,
            stack: Vec::new(),
            open: [0; 3],
            seen: Vec::new(),
            repeated: None,
            word: Vec::new(),
            word_at: 0,
            tail: Vec::new(),
            closers: 0,
            tail_at: 0,
            node: 0,
            plain: false,
            high: 0,
            keys: 0,
            comma: false,
            key: false,
            kept: false,
            types: TypeSet::ALL,
            mended: false,
            valid: true,
        }
    }
}

/// What a byte came to.
enum Stepped {
    Taken,
    /// The state moved without the byte.
    Again,
    Bad,
    Literal(usize),
}

impl Literal {
    fn reset(&mut self, form: Form, at: At) {
        let (mut stack, mut word) = (std::mem::take(&mut self.stack), std::mem::take(&mut self.word));
        let mut tail = std::mem::take(&mut self.tail);
        stack.clear();
        word.clear();
        tail.clear();
        *self = Literal { form, at, stack, word, tail, ..Literal::default() };
        if form == Form::Keywords {
            self.seen.push(BTreeSet::new());
        }
    }

    /// Keyword arguments come.
    pub(super) fn begin_keywords(&mut self) {
        self.reset(Form::Keywords, At::Argument);
    }

    /// An object with bare keys and marked strings comes.
    pub(super) fn begin_marked(&mut self) {
        self.reset(Form::Marked, At::Value);
    }

    /// What began as JSON goes on as literals: inside these brackets (true for an object), in front of a key or
    /// a value.
    pub(super) fn go_on(&mut self, brackets: impl Iterator<Item = bool>, key: bool) {
        self.reset(Form::Literals, if key { At::KeyOrEnd } else { At::Value });
        brackets.for_each(|object| self.push(if object { b'}' } else { b']' }));
    }

    pub(super) fn is_keywords(&self) -> bool {
        self.form == Form::Keywords
    }

    /// How many brackets of JSON are open.
    pub(super) fn depth(&self) -> usize {
        self.open[0] + self.open[1]
    }

    /// Takes bytes up to whatever is met, the first of them at offset `from`; gives back how many.
    pub(super) fn run(
        &mut self,
        bytes: &[u8],
        from: u64,
        around: &Around<'_>,
        sink: &mut impl Sink,
    ) -> (usize, Met) {
        let scan = around.markers.map(|markers| markers.expected.scan(around.plain));
        if let (Some(scan), true) = (scan, around.plain != self.plain) {
            self.change_reading(scan);
        }
        self.plain = around.plain;
        let mut i = 0;
        while let Some(&byte) = bytes.get(i) {
            if self.ends_before(byte, around) {
                self.end_keywords(sink);
                return (i, Met::End);
            }
            let stepped = match (self.at, scan) {
                (At::Text { quote, .. }, _) if byte != quote && byte != b'\\' => {
                    let rest = &bytes[i..];
                    let plain = memchr::memchr2(quote, b'\\', rest).unwrap_or(rest.len());
                    self.pair_fails(sink);
                    self.text(&rest[..plain], from + i as u64, sink);
                    i += plain;
                    continue;
                }
                (At::Marked, Some(scan)) => {
                    let (used, stepped) = self.marked(scan, around, &bytes[i..], from + i as u64, sink);
                    i += used;
                    stepped
                }
                _ => {
                    let stepped = self.step(byte, from + i as u64, scan, around, sink);
                    i += usize::from(matches!(stepped, Stepped::Taken | Stepped::Literal(_)));
                    stepped
                }
            };
            match stepped {
                Stepped::Taken | Stepped::Again => {}
                Stepped::Literal(which) => return (i, Met::Literal(which)),
                Stepped::Bad => {
                    self.give_up(sink);
                    return (i, Met::Broken);
                }
            }
            if self.at == At::Done {
                return (i, Met::End);
            }
        }
        (bytes.len(), Met::More)
    }

    /// Whether keyword arguments end in front of the byte.
    fn ends_before(&self, byte: u8, around: &Around<'_>) -> bool {
        self.form == Form::Keywords
            && self.stack.is_empty()
            && matches!(
                self.at,
                At::Argument
                    | At::Name
                    | At::Equals
                    | At::Value
                    | At::After(_)
                    | At::Word
                    | At::Quotes { seen: 2, .. }
            )
            && (byte == b')' || (around.ends)(byte))
    }

    fn end_keywords(&mut self, sink: &mut impl Sink) {
        match self.at {
            At::Word => {
                let _ = self.end_word(sink);
            }
            At::Quotes { seen: 2, .. } => self.empty_text(sink),
            At::Argument | At::After(_) => {}
            // A name without a value, or a value that did not come.
            _ => {
                self.valid = false;
                self.give_up(sink);
            }
        }
        self.member_over(sink);
        sink.json(if self.keys == 0 { "{}" } else { "}" });
        self.at = At::Done;
    }

    /// The place of the values ends here, at a literal or with the input. Whether they are whole: where only
    /// closing brackets stand behind a marked string, they close what is open, and so does a literal behind a
    /// value.
    pub(super) fn leave(&mut self, at_literal: bool, sink: &mut impl Sink) -> bool {
        if matches!(self.at, At::Ended { .. }) {
            self.close_text(sink);
        }
        if self.at == At::Done {
            return true;
        }
        if at_literal && self.form == Form::Marked && matches!(self.at, At::After(_)) {
            self.close_all(sink);
            return true;
        }
        if self.is_whole() {
            self.close_text(sink);
            self.close_all(sink);
            return true;
        }
        if self.at == At::Marked {
            let tail = std::mem::take(&mut self.tail);
            self.text(&tail, self.tail_at, sink);
        }
        self.give_up(sink);
        false
    }

    /// Closing brackets are missing.
    fn close_all(&mut self, sink: &mut impl Sink) {
        self.mended = true;
        while !self.stack.is_empty() {
            self.close(sink);
        }
    }

    /// Whether nothing but the marker of a last string is missing.
    pub(super) fn is_whole(&self) -> bool {
        let mut closers = self.tail.iter().filter(|byte| !is_ws(**byte));
        self.at == At::Marked
            && self.closers == self.tail.len()
            && !self.key
            && self.stack.iter().rev().all(|close| closers.next() == Some(close))
            && closers.next().is_none()
    }

    /// Gives out what is kept, as it is.
    fn give_up(&mut self, sink: &mut impl Sink) {
        self.valid = false;
        self.pair_fails(sink);
        self.separate(sink);
        if self.repeated.take().is_some() {
            sink.pass_over(false);
        }
        match self.at {
            At::Name | At::Equals | At::Word | At::Stray { .. } => sink.raw(&self.word, self.word_at),
            At::Quotes { quote, seen } => (0..seen).for_each(|_| sink.raw(&[quote], self.word_at)),
            At::Text { .. } | At::Closing { .. } | At::Escape { .. } | At::Hex { .. } | At::Marked
                if self.kept =>
            {
                sink.json("\"");
                sink.escaped(&self.word, self.word_at);
            }
            _ => {}
        }
        self.word.clear();
    }

    /// The markers are now searched for in another reading.
    fn change_reading(&mut self, scan: &Scan) {
        let seen: &[u8] = match self.at {
            At::Marked => &self.tail[self.closers..],
            At::Word | At::Stray { .. } => &self.word[self.word.len().saturating_sub(64)..],
            _ => &[],
        };
        self.node = scan.walk(0, seen);
    }

    /// Whether the value in hand is that of a parameter.
    fn outermost(&self) -> bool {
        match self.form {
            Form::Keywords => self.stack.is_empty(),
            Form::Marked => self.stack.len() == 1,
            Form::Literals | Form::Single => false,
        }
    }

    fn value_ended(&mut self) {
        let whole = self.form != Form::Keywords && self.stack.is_empty();
        self.at = match (self.key, whole) {
            (true, _) => At::Colon,
            (false, true) => At::Done,
            (false, false) => At::After(false),
        };
        self.key = false;
    }

    // ---- one byte ----

    fn step(
        &mut self,
        byte: u8,
        at: u64,
        scan: Option<&Scan>,
        around: &Around<'_>,
        sink: &mut impl Sink,
    ) -> Stepped {
        match self.at {
            At::Argument | At::Equals | At::Value | At::ValueOrEnd | At::KeyOrEnd | At::Colon
                if is_ws(byte) => {}
            At::After(_) if is_ws(byte) => self.at = At::After(true),
            At::Argument if byte == b',' => {}
            At::Argument if starts_name(byte) => self.start_word(At::Name, byte, at),
            At::Name if starts_name(byte) || b"-.".contains(&byte) => self.word.push(byte),
            At::Name => {
                self.at = At::Equals;
                return Stepped::Again;
            }
            At::Equals if byte == b'=' || byte == b':' => self.keyword(around, sink),
            At::Colon if byte == b':' => {
                sink.json(": ");
                self.at = At::Value;
            }
            At::Value | At::ValueOrEnd | At::KeyOrEnd => return self.value(byte, at, sink),
            At::After(space) => return self.after(byte, at, space, scan, sink),
            At::Colon if begins(scan, byte) => return self.search(At::Stray { colon: true }, at),
            At::Stray { colon } => return self.stray(byte, colon, scan, around, sink),
            At::Word => return self.in_word(byte, scan, around, sink),
            At::Quotes { .. }
            | At::Text { .. }
            | At::Ended { .. }
            | At::Closing { .. }
            | At::Escape { .. }
            | At::Hex { .. } => return self.in_text(byte, around, sink),
            _ => return Stepped::Bad,
        }
        Stepped::Taken
    }

    fn start_word(&mut self, state: At, byte: u8, at: u64) {
        self.word.clear();
        self.word.push(byte);
        self.word_at = at;
        self.at = state;
    }

    /// The next byte is the first of a word or of a marker.
    fn search(&mut self, state: At, at: u64) -> Stepped {
        self.word.clear();
        self.word_at = at;
        self.node = 0;
        self.at = state;
        Stepped::Again
    }

    /// The name of a keyword argument is over.
    fn keyword(&mut self, around: &Around<'_>, sink: &mut impl Sink) {
        let word = std::mem::take(&mut self.word);
        self.next_member(&word, sink);
        sink.json(if self.keys == 0 { "{\"" } else { ", \"" });
        self.keys += 1;
        sink.escaped(&word, self.word_at);
        sink.json("\": ");
        self.types = (around.types)(&String::from_utf8_lossy(&word));
        self.word = word;
        self.at = At::Value;
    }

    fn value(&mut self, byte: u8, at: u64, sink: &mut impl Sink) -> Stepped {
        let key = self.at == At::KeyOrEnd;
        if self.at != At::Value && matches!(byte, b']' | b'}' | b')') {
            return self.closed(byte, sink);
        }
        let marked = self.form == Form::Marked;
        match byte {
            b'"' => self.at = At::Quotes { quote: byte, seen: 1 },
            b'\'' if !marked => self.at = At::Quotes { quote: byte, seen: 1 },
            b'[' | b'{' if !key => {
                self.separate(sink);
                sink.json(if byte == b'[' { "[" } else { "{" });
                self.push(if byte == b'[' { b']' } else { b'}' });
                self.at = if byte == b'[' { At::ValueOrEnd } else { At::KeyOrEnd };
                return Stepped::Taken;
            }
            b'(' if !key && !marked => {
                self.separate(sink);
                sink.json("[");
                self.push(b')');
                self.at = At::ValueOrEnd;
                return Stepped::Taken;
            }
            _ if marked && !self.stack.is_empty() && !b",:{}[]".contains(&byte) => {
                self.key = key;
                if !key {
                    self.separate(sink);
                }
                return self.search(At::Word, at);
            }
            _ if !marked && (starts_name(byte) || b"-+.".contains(&byte)) => {
                self.start_word(At::Word, byte, at);
            }
            _ => return Stepped::Bad,
        }
        self.key = key;
        self.word_at = at;
        if !key {
            self.separate(sink);
        }
        Stepped::Taken
    }

    fn after(
        &mut self,
        byte: u8,
        at: u64,
        space: bool,
        scan: Option<&Scan>,
        sink: &mut impl Sink,
    ) -> Stepped {
        match (byte, self.stack.last()) {
            (b',', None) if self.form == Form::Keywords => self.at = At::Argument,
            (b',', Some(close)) => {
                self.at = if *close == b'}' { At::KeyOrEnd } else { At::ValueOrEnd };
                self.comma = true;
            }
            (b']' | b'}' | b')', _) => return self.closed(byte, sink),
            // A comma was forgotten.
            (_, None) if self.form == Form::Keywords && space && starts_name(byte) => {
                self.mended = true;
                self.at = At::Argument;
                return Stepped::Again;
            }
            _ if begins(scan, byte) => return self.search(At::Stray { colon: false }, at),
            (_, Some(b'}')) if self.form == Form::Marked && starts_name(byte) => {
                self.mended = true;
                self.comma = true;
                self.at = At::KeyOrEnd;
                return Stepped::Again;
            }
            _ => return Stepped::Bad,
        }
        Stepped::Taken
    }

    /// Behind a value or a key: a marker that is one too many, or a literal that ends all.
    fn stray(
        &mut self,
        byte: u8,
        colon: bool,
        scan: Option<&Scan>,
        around: &Around<'_>,
        sink: &mut impl Sink,
    ) -> Stepped {
        let Some((scan, markers)) = scan.zip(around.markers) else { return Stepped::Bad };
        self.node = scan.step(self.node, byte);
        self.word.push(byte);
        if let Some(found) = scan.ends(self.node, self.word.len()) {
            if found.start > 0 {
                self.word.pop();
                return Stepped::Bad;
            }
            self.word.clear();
            self.node = 0;
            self.at = if colon { At::Colon } else { At::After(false) };
            if !markers.is_marker(found.action) {
                self.leave(true, sink);
                return Stepped::Literal(usize::from(found.action));
            }
            self.mended = true;
        } else if scan.depth(self.node) < self.word.len() {
            self.word.pop();
            return Stepped::Bad;
        }
        Stepped::Taken
    }

    // ---- words ----

    fn in_word(
        &mut self,
        byte: u8,
        scan: Option<&Scan>,
        around: &Around<'_>,
        sink: &mut impl Sink,
    ) -> Stepped {
        if self.form != Form::Marked {
            if starts_name(byte) || b".+-".contains(&byte) {
                self.word.push(byte);
                return Stepped::Taken;
            }
            let stepped = self.end_word(sink);
            // Of a key's quotes the first was forgotten.
            if matches!((byte, self.at), (b'"' | b'\'', At::Colon)) {
                self.mended = true;
                return Stepped::Taken;
            }
            return stepped;
        }
        let ends = if self.key { b":,{}".contains(&byte) } else { b",}]".contains(&byte) };
        if ends {
            self.node = 0;
            return self.end_marked_word(around, sink);
        }
        self.word.push(byte);
        let Some((scan, markers)) = scan.zip(around.markers) else { return Stepped::Taken };
        self.node = scan.step(self.node, byte);
        let Some(found) = scan.ends(self.node, self.word.len()) else { return Stepped::Taken };
        self.node = 0;
        self.word.truncate(found.start);
        let empty = self.word.trim_ascii().is_empty();
        if !markers.is_marker(found.action) {
            if !empty {
                let _ = self.end_marked_word(around, sink);
            }
            self.leave(true, sink);
            return Stepped::Literal(usize::from(found.action));
        }
        if empty {
            self.word.clear();
            self.open_text(sink);
            self.tail.clear();
            self.closers = 0;
            self.at = At::Marked;
            return Stepped::Taken;
        }
        // The marker in front of the string is missing.
        self.mended = true;
        let word = std::mem::take(&mut self.word);
        self.open_text(sink);
        self.text(word.trim_ascii(), self.word_at, sink);
        self.close_string(around, sink);
        Stepped::Taken
    }

    /// A bare key or value among marked strings.
    fn end_marked_word(&mut self, around: &Around<'_>, sink: &mut impl Sink) -> Stepped {
        let trimmed = self.word.trim_ascii_end().len();
        self.word.truncate(trimmed);
        if self.key {
            let word = std::mem::take(&mut self.word);
            self.open_text(sink);
            self.text(&word, self.word_at, sink);
            self.close_string(around, sink);
            return Stepped::Again;
        }
        self.end_word(sink)
    }

    /// A number, a word of either language, or a string without its quotes.
    fn end_word(&mut self, sink: &mut impl Sink) -> Stepped {
        let word = std::mem::take(&mut self.word);
        let known = match word.as_slice() {
            b"True" | b"true" => Some("true"),
            b"False" | b"false" => Some("false"),
            b"None" | b"null" => Some("null"),
            _ => None,
        };
        let string_only = self.outermost() && self.types == TypeSet::STRING;
        let quoted = self.key || string_only;
        if self.key {
            self.next_member(&word, sink);
            self.separate(sink);
        }
        match (known, if known.is_none() { number(&word) } else { None }) {
            (Some(known), _) if !self.key => sink.json(known),
            (None, Some(number)) if !quoted => sink.json(&number),
            (None, None) if self.form == Form::Literals && !self.key => {
                self.word = word;
                return Stepped::Bad;
            }
            (known, number) => {
                self.mended |= known.is_none() && number.is_none() && self.form != Form::Literals;
                sink.json("\"");
                sink.escaped(&word, self.word_at);
                sink.json("\"");
            }
        }
        self.word = word;
        self.word.clear();
        self.value_ended();
        Stepped::Again
    }
}

/// Whether a literal may begin with the byte.
fn begins(scan: Option<&Scan>, byte: u8) -> bool {
    scan.is_some_and(|scan| scan.begins(byte))
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads keyword arguments in pieces.
    fn keywords(text: &str, chunk: usize, types: &dyn Fn(&str) -> TypeSet) -> (String, Met, bool) {
        let mut reader = Literal::default();
        reader.begin_keywords();
        let around = Around { ends: &|_| false, markers: None, plain: false, types };
        let mut out = Whole::default();
        let mut met = Met::More;
        for (i, piece) in text.as_bytes().chunks(chunk).enumerate() {
            (_, met) = reader.run(piece, (i * chunk) as u64, &around, &mut out);
            if met != Met::More {
                break;
            }
        }
        (out.text, met, reader.mended)
    }

    #[test]
    fn converts_arguments_in_any_cut() {
        let text = "a='x\\u00e9\\ud83d\\ude00', b=[1, {'k': None}], c=''\n, d=True) rest";
        let json = "{\"a\": \"xé😀\", \"b\": [1, {\"k\": null}], \"c\": \"\", \"d\": true}";
        for chunk in 1..text.len() {
            let got = keywords(text, chunk, &|_| TypeSet::ALL);
            assert_eq!(got, (json.to_owned(), Met::End, false), "{chunk}");
        }
    }

    #[test]
    fn types_say_what_quotes_leave_open() {
        let types = |key: &str| if key == "n" { TypeSet::NUMBER } else { TypeSet::STRING };
        let (out, _, mended) = keywords("n='3', zip=01234, m='3')", 3, &types);
        assert_eq!(out, r#"{"n": 3, "zip": "01234", "m": "3"}"#);
        assert!(!mended);
        let (out, _, mended) = keywords("city=Oslo n='x')", 3, &types);
        assert_eq!((out.as_str(), mended), (r#"{"city": "Oslo", "n": "x"}"#, true));
    }

    #[test]
    fn a_quote_in_front_of_a_letter_ends_no_string() {
        let text = "a='it's John', b=['don't', {'k': 'it's'}])";
        let json = r#"{"a": "it's John", "b": ["don't", {"k": "it's"}]}"#;
        for chunk in 1..text.len() {
            let got = keywords(text, chunk, &|_| TypeSet::ALL);
            assert_eq!(got, (json.to_owned(), Met::End, true), "{chunk}");
        }
    }

    #[test]
    fn escapes_that_are_none_are_text() {
        let text = r"a='C:\Users\uAbzz\xQ\U0001F60')";
        for chunk in 1..text.len() {
            let (out, met, _) = keywords(text, chunk, &|_| TypeSet::ALL);
            assert_eq!(
                (out.as_str(), met),
                (r#"{"a": "C:\\Users\\uAbzz\\xQ\\U0001F60"}"#, Met::End),
                "{chunk}"
            );
        }
    }
}
