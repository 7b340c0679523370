//! Strings in quotes and between markers, as they come.

use toolglot_schema::TypeSet;

use super::{Around, At, Form, Literal, Sink, Stepped, starts_name};
use crate::parser::escape::escape;
use crate::parser::is_ws;
use crate::parser::value::typed;
use crate::program::Scan;

impl Literal {
    pub(super) fn open_text(&mut self, sink: &mut impl Sink) {
        self.kept = self.key || self.outermost() && !self.types.contains(TypeSet::STRING);
        self.word.clear();
        if !self.kept {
            sink.json("\"");
        }
    }

    /// More of a string.
    pub(super) fn text(&mut self, bytes: &[u8], at: u64, sink: &mut impl Sink) {
        if self.kept {
            self.word.extend_from_slice(bytes);
        } else {
            sink.escaped(bytes, at);
        }
    }

    /// A character of a string that stood as an escape.
    fn character(&mut self, c: char, sink: &mut impl Sink) {
        let mut buffer = [0; 4];
        let text = c.encode_utf8(&mut buffer);
        match text.as_bytes() {
            _ if self.kept => self.word.extend_from_slice(text.as_bytes()),
            [byte @ (b'"' | b'\\' | 0..0x20)] => sink.json(escape(*byte)),
            _ => sink.json(text),
        }
    }

    /// The string is over; a key tells which types come.
    pub(super) fn close_string(&mut self, around: &Around<'_>, sink: &mut impl Sink) {
        if self.key && self.form == Form::Marked && self.stack.len() == 1 {
            self.types = (around.types)(&String::from_utf8_lossy(&self.word));
        }
        self.close_text(sink);
    }

    pub(super) fn close_text(&mut self, sink: &mut impl Sink) {
        if self.key {
            let word = std::mem::take(&mut self.word);
            self.next_member(&word, sink);
            self.word = word;
            self.separate(sink);
        }
        if self.kept
            && !self.key
            && let Ok(text) = std::str::from_utf8(&self.word)
        {
            sink.json(&typed(text, self.types, false));
        } else {
            if self.kept {
                sink.json("\"");
                sink.escaped(&self.word, self.word_at);
            }
            sink.json("\"");
        }
        self.kept = false;
        self.value_ended();
    }

    /// Two quotes and nothing more.
    pub(super) fn empty_text(&mut self, sink: &mut impl Sink) {
        self.open_text(sink);
        self.close_text(sink);
    }

    /// One byte of a string in quotes that is more than text.
    pub(super) fn in_text(&mut self, byte: u8, around: &Around<'_>, sink: &mut impl Sink) -> Stepped {
        match self.at {
            At::Quotes { quote, seen } if byte == quote => {
                if seen == 2 {
                    self.open_text(sink);
                    self.at = At::Text { quote, long: true };
                } else {
                    self.at = At::Quotes { quote, seen: seen + 1 };
                }
            }
            At::Quotes { quote, seen } => {
                self.open_text(sink);
                if seen == 2 {
                    self.close_string(around, sink);
                } else {
                    self.at = At::Text { quote, long: false };
                }
                return Stepped::Again;
            }
            At::Text { quote, long } if byte == b'\\' => self.at = At::Escape { quote, long },
            At::Text { quote, long: true } => {
                self.pair_fails(sink);
                self.at = At::Closing { quote, seen: 1 };
            }
            At::Text { quote, .. } => {
                self.pair_fails(sink);
                self.at = At::Ended { quote };
            }
            // No string ends in front of a letter: the quote is one of its characters.
            At::Ended { quote } if starts_name(byte) => {
                self.mended = true;
                self.character(char::from(quote), sink);
                self.at = At::Text { quote, long: false };
                return Stepped::Again;
            }
            At::Ended { .. } => {
                self.close_string(around, sink);
                return Stepped::Again;
            }
            At::Closing { quote, seen: 2 } if byte == quote => self.close_string(around, sink),
            At::Closing { quote, seen } if byte == quote => self.at = At::Closing { quote, seen: seen + 1 },
            At::Closing { quote, seen } => {
                (0..seen).for_each(|_| self.character(char::from(quote), sink));
                self.at = At::Text { quote, long: true };
                return Stepped::Again;
            }
            At::Escape { quote, long } => self.escaped(byte, quote, long, sink),
            At::Hex { quote, long, of, due, value, capitals } => match char::from(byte).to_digit(16) {
                Some(digit) if due > 1 => {
                    let capitals = capitals << 1 | u8::from(byte.is_ascii_uppercase());
                    self.at = At::Hex { quote, long, of, due: due - 1, value: value * 16 + digit, capitals };
                }
                Some(digit) => {
                    self.unit(value * 16 + digit, sink);
                    self.at = At::Text { quote, long };
                }
                None => {
                    self.no_escape(of, of - due, value, capitals, sink);
                    self.at = At::Text { quote, long };
                    return Stepped::Again;
                }
            },
            _ => return Stepped::Bad,
        }
        Stepped::Taken
    }

    /// Bytes of a marked string; gives back how many were taken.
    pub(super) fn marked(
        &mut self,
        scan: &Scan,
        around: &Around<'_>,
        bytes: &[u8],
        at: u64,
        sink: &mut impl Sink,
    ) -> (usize, Stepped) {
        let from = self.tail.len();
        let mut i = 0;
        let found = loop {
            if self.node == 0 {
                i += scan.skip(&bytes[i..]);
            }
            let Some(&byte) = bytes.get(i) else { break None };
            i += 1;
            self.node = scan.step(self.node, byte);
            if let Some(found) = scan.ends(self.node, from + i) {
                break Some(found);
            }
        };
        // Where what may be a literal begins, and the brackets and white space in front of it.
        let start = found.map_or(from + i - scan.depth(self.node), |found| found.start);
        let byte = |at: usize| if at < from { self.tail[at] } else { bytes[at - from] };
        let is_closer = |at: usize| is_ws(byte(at)) || matches!(byte(at), b'}' | b']');
        let text = (self.closers..start).rev().find(|&at| !is_closer(at)).map(|last| last + 1);
        let end = text.unwrap_or(0);
        if end > 0 {
            let tail = std::mem::take(&mut self.tail);
            let held = end.min(from);
            self.text(&tail[..held], at - from as u64, sink);
            self.text(&bytes[..end - held], at, sink);
            self.tail = tail;
            self.tail.drain(..held);
        }
        let kept = end.max(from) - from;
        self.tail.extend_from_slice(&bytes[kept..i]);
        self.closers = start - end;
        self.tail_at = at + end as u64 - from as u64;
        let Some(found) = found else { return (i, Stepped::Taken) };
        self.node = 0;
        self.tail.truncate(self.closers);
        let markers = around.markers;
        if markers.is_some_and(|markers| markers.is_marker(found.action)) {
            let tail = std::mem::take(&mut self.tail);
            self.text(&tail, self.tail_at, sink);
            self.tail = tail;
            self.tail.clear();
            self.closers = 0;
            self.close_string(around, sink);
            return (i, Stepped::Taken);
        }
        self.leave(true, sink);
        (i, Stepped::Literal(usize::from(found.action)))
    }

    fn escaped(&mut self, byte: u8, quote: u8, long: bool, sink: &mut impl Sink) {
        self.at = At::Text { quote, long };
        let plain = match byte {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'a' => '\u{7}',
            b'v' => '\u{b}',
            b'0' => '\0',
            b'\\' | b'\'' | b'"' => char::from(byte),
            // JSON has this one, Python reads both characters.
            b'/' if self.form == Form::Literals => '/',
            // A line that goes on.
            b'\n' => return,
            b'x' | b'u' | b'U' => {
                let due = match byte {
                    b'x' => 2,
                    b'u' => 4,
                    _ => 8,
                };
                self.at = At::Hex { quote, long, of: due, due, value: 0, capitals: 0 };
                return;
            }
            _ => {
                self.pair_fails(sink);
                self.character('\\', sink);
                self.text(&[byte], 0, sink);
                return;
            }
        };
        self.pair_fails(sink);
        self.character(plain, sink);
    }

    /// What began as an escape of `of` hex digits ended behind `seen` of them: it is text, such as a path's `\Users`.
    fn no_escape(&mut self, of: u8, seen: u8, value: u32, capitals: u8, sink: &mut impl Sink) {
        self.pair_fails(sink);
        self.character('\\', sink);
        self.character(if of == 2 { 'x' } else { ['u', 'U'][usize::from(of == 8)] }, sink);
        for left in (0..u32::from(seen)).rev() {
            let digit = char::from_digit(value >> (4 * left) & 15, 16).unwrap_or_default();
            let capital = capitals >> left & 1 == 1;
            self.character(if capital { digit.to_ascii_uppercase() } else { digit }, sink);
        }
    }

    /// A code unit or code point from an escape.
    fn unit(&mut self, value: u32, sink: &mut impl Sink) {
        if (0xDC00..0xE000).contains(&value) && self.high != 0 {
            let code = 0x10000 + ((self.high - 0xD800) << 10) + (value - 0xDC00);
            self.high = 0;
            return self.code_point(code, sink);
        }
        self.pair_fails(sink);
        if (0xD800..0xDC00).contains(&value) {
            self.high = value;
        } else {
            self.code_point(value, sink);
        }
    }

    fn code_point(&mut self, code: u32, sink: &mut impl Sink) {
        self.character(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), sink);
    }

    /// A high surrogate stayed alone.
    pub(super) fn pair_fails(&mut self, sink: &mut impl Sink) {
        if std::mem::take(&mut self.high) != 0 {
            self.character(char::REPLACEMENT_CHARACTER, sink);
        }
    }
}
