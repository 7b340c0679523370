//! Python literals and keyword arguments to JSON text, as they come.

use super::escape::escape_into;
use super::is_ws;

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
    After,
    /// Inside a string; whether three quotes end it.
    Text {
        quote: u8,
        long: bool,
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
    /// Hex digits of an escape: how many are due, and their value.
    Hex {
        quote: u8,
        long: bool,
        due: u8,
        value: u32,
    },
    Word,
    Done,
}

/// A converter of one argument list or one literal.
#[derive(Debug)]
pub(super) struct Python {
    at: At,
    /// Open brackets, by what closes them.
    stack: Vec<u8>,
    word: Vec<u8>,
    /// A high surrogate that waits for its other half.
    high: u32,
    keys: u32,
    /// One literal, not an argument list.
    single: bool,
    /// A comma waits for what it separates.
    comma: bool,
    /// The string in progress is a key.
    key: bool,
    pub(super) valid: bool,
    /// JSON text that is ready.
    pub(super) out: Vec<u8>,
}

impl Default for Python {
    fn default() -> Self {
        Python {
            at: At::Argument,
            stack: Vec::new(),
            word: Vec::new(),
            high: 0,
            keys: 0,
            single: false,
            comma: false,
            key: false,
            valid: true,
            out: Vec::new(),
        }
    }
}

impl Python {
    pub(super) fn reset(&mut self) {
        *self = Python { out: std::mem::take(&mut self.out), ..Python::default() };
        self.out.clear();
    }

    pub(super) fn ended(&self) -> bool {
        self.at == At::Done
    }

    /// Takes bytes of keyword arguments up to a byte, outside strings and brackets, that may begin what
    /// follows them; gives back how many. JSON text is appended to `out`.
    pub(super) fn run(&mut self, bytes: &[u8], marker: &dyn Fn(u8) -> bool) -> usize {
        let mut i = 0;
        while let Some(&byte) = bytes.get(i) {
            let outside = self.stack.is_empty()
                && matches!(
                    self.at,
                    At::Argument
                        | At::Name
                        | At::Equals
                        | At::After
                        | At::Word
                        | At::Value
                        | At::Quotes { .. }
                );
            if outside && !self.single && (marker(byte) || byte == b')') {
                if self.at == At::Word {
                    self.end_word();
                }
                if let At::Quotes { seen, .. } = self.at {
                    self.empty_text(seen);
                }
                self.at = At::Done;
                return i;
            }
            if let At::Text { quote, .. } = self.at {
                let plain = bytes[i..]
                    .iter()
                    .position(|&byte| byte == quote || byte == b'\\')
                    .unwrap_or(bytes.len() - i);
                if plain > 0 {
                    self.pair_fails();
                    escape_into(&bytes[i..i + plain], &mut self.out);
                    i += plain;
                    continue;
                }
            }
            if self.step(byte) {
                i += 1;
            }
        }
        bytes.len()
    }

    /// The end of the arguments.
    pub(super) fn finish(&mut self) {
        if self.keys == 0 {
            self.out.extend_from_slice(b"{}");
        } else {
            self.out.push(b'}');
        }
    }

    /// One byte; whether it was taken.
    fn step(&mut self, byte: u8) -> bool {
        match self.at {
            At::Argument | At::Equals | At::Value | At::ValueOrEnd | At::KeyOrEnd | At::Colon | At::After
                if is_ws(byte) => {}
            At::Argument if byte == b',' => {}
            At::Argument if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => {
                self.word.clear();
                self.word.push(byte);
                self.at = At::Name;
            }
            At::Name if byte.is_ascii_alphanumeric() || b"_-.".contains(&byte) || byte >= 0x80 => {
                self.word.push(byte);
            }
            At::Name => {
                self.at = At::Equals;
                return false;
            }
            At::Equals if byte == b'=' || byte == b':' => {
                self.out.extend_from_slice(if self.keys == 0 { b"{\"" } else { b", \"" });
                self.keys += 1;
                let word = std::mem::take(&mut self.word);
                escape_into(&word, &mut self.out);
                self.out.extend_from_slice(b"\": ");
                self.at = At::Value;
            }
            At::Value | At::ValueOrEnd | At::KeyOrEnd => return self.value(byte),
            At::Colon if byte == b':' => {
                self.out.extend_from_slice(b": ");
                self.at = At::Value;
            }
            At::After => self.after(byte),
            At::Quotes { quote, seen } => {
                if byte == quote {
                    if seen == 2 {
                        self.open_text();
                        self.at = At::Text { quote, long: true };
                    } else {
                        self.at = At::Quotes { quote, seen: seen + 1 };
                    }
                } else if seen == 2 {
                    self.empty_text(seen);
                    return false;
                } else {
                    self.open_text();
                    self.at = At::Text { quote, long: false };
                    return false;
                }
            }
            At::Text { quote, long } => {
                if byte == b'\\' {
                    self.at = At::Escape { quote, long };
                } else {
                    // Only the quote is left; see `run`.
                    self.pair_fails();
                    if long {
                        self.at = At::Closing { quote, seen: 1 };
                    } else {
                        self.close_text();
                    }
                }
            }
            At::Closing { quote, seen } => {
                if byte == quote && seen == 2 {
                    self.close_text();
                } else if byte == quote {
                    self.at = At::Closing { quote, seen: seen + 1 };
                } else {
                    for _ in 0..seen {
                        escape_into(&[quote], &mut self.out);
                    }
                    self.at = At::Text { quote, long: true };
                    return false;
                }
            }
            At::Escape { quote, long } => self.escaped(byte, quote, long),
            At::Hex { quote, long, due, value } => match char::from(byte).to_digit(16) {
                Some(digit) if due > 1 => {
                    self.at = At::Hex { quote, long, due: due - 1, value: value * 16 + digit };
                }
                Some(digit) => {
                    self.unit(value * 16 + digit);
                    self.at = At::Text { quote, long };
                }
                None => {
                    self.unit(0xFFFD);
                    self.at = At::Text { quote, long };
                    return false;
                }
            },
            At::Word => {
                if byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte) {
                    self.word.push(byte);
                } else {
                    self.end_word();
                    return false;
                }
            }
            _ => self.valid = false,
        }
        true
    }

    fn value(&mut self, byte: u8) -> bool {
        let key = self.at == At::KeyOrEnd;
        if self.at != At::Value && self.stack.last() == Some(&byte) {
            self.comma = false;
            self.close();
            return true;
        }
        if std::mem::take(&mut self.comma) {
            self.out.extend_from_slice(b", ");
        }
        match byte {
            b'\'' | b'"' => {
                self.key = key;
                self.at = At::Quotes { quote: byte, seen: 1 };
            }
            b'[' | b'(' if !key => {
                self.out.push(b'[');
                self.stack.push(if byte == b'[' { b']' } else { b')' });
                self.at = At::ValueOrEnd;
            }
            b'{' if !key => {
                self.out.push(b'{');
                self.stack.push(b'}');
                self.at = At::KeyOrEnd;
            }
            _ if byte.is_ascii_alphanumeric() || b"-+._".contains(&byte) => {
                self.key = key;
                self.word.clear();
                self.word.push(byte);
                self.at = At::Word;
            }
            _ => self.valid = false,
        }
        true
    }

    fn after(&mut self, byte: u8) {
        self.comma = byte == b',' && !self.stack.is_empty();
        match (byte, self.stack.last()) {
            (b',', None) if !self.single => self.at = At::Argument,
            (b',', Some(b'}')) => self.at = At::KeyOrEnd,
            (b',', Some(_)) => self.at = At::ValueOrEnd,
            (_, Some(&close)) if close == byte => self.close(),
            _ => self.valid = false,
        }
    }

    fn close(&mut self) {
        let close = self.stack.pop();
        self.out.push(if close == Some(b'}') { b'}' } else { b']' });
        self.value_ended();
    }

    fn value_ended(&mut self) {
        self.at = match (self.key, self.single && self.stack.is_empty()) {
            (true, _) => At::Colon,
            (false, true) => At::Done,
            (false, false) => At::After,
        };
        self.key = false;
    }

    fn open_text(&mut self) {
        self.out.push(b'"');
    }

    fn close_text(&mut self) {
        self.out.push(b'"');
        self.value_ended();
    }

    /// Two quotes and nothing more: an empty string. One quote alone opened a string.
    fn empty_text(&mut self, seen: u8) {
        self.open_text();
        if seen == 2 {
            self.close_text();
        } else {
            self.valid = false;
        }
    }

    fn escaped(&mut self, byte: u8, quote: u8, long: bool) {
        self.at = At::Text { quote, long };
        let plain = match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'a' => 7,
            b'v' => 11,
            b'0' => 0,
            b'\\' | b'\'' | b'"' => byte,
            b'\n' => {
                // A line that goes on.
                return;
            }
            b'x' | b'u' | b'U' => {
                let due = match byte {
                    b'x' => 2,
                    b'u' => 4,
                    _ => 8,
                };
                self.at = At::Hex { quote, long, due, value: 0 };
                return;
            }
            _ => {
                self.pair_fails();
                escape_into(&[b'\\', byte], &mut self.out);
                return;
            }
        };
        self.pair_fails();
        escape_into(&[plain], &mut self.out);
    }

    /// A code unit or code point from an escape.
    fn unit(&mut self, value: u32) {
        if (0xDC00..0xE000).contains(&value) && self.high != 0 {
            let code = 0x10000 + ((self.high - 0xD800) << 10) + (value - 0xDC00);
            self.high = 0;
            return self.push_char(code);
        }
        self.pair_fails();
        if (0xD800..0xDC00).contains(&value) {
            self.high = value;
        } else {
            self.push_char(value);
        }
    }

    fn push_char(&mut self, code: u32) {
        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut buffer = [0; 4];
        escape_into(c.encode_utf8(&mut buffer).as_bytes(), &mut self.out);
    }

    /// A high surrogate stayed alone.
    fn pair_fails(&mut self) {
        if std::mem::take(&mut self.high) != 0 {
            self.push_char(0xFFFD);
        }
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        let json: Option<Vec<u8>> = match word.as_slice() {
            b"True" | b"true" => Some(b"true".to_vec()),
            b"False" | b"false" => Some(b"false".to_vec()),
            b"None" | b"null" => Some(b"null".to_vec()),
            word => number(word),
        };
        match json {
            Some(json) if self.key => {
                self.out.push(b'"');
                self.out.extend_from_slice(&json);
                self.out.push(b'"');
            }
            Some(json) => self.out.extend_from_slice(&json),
            None => {
                // A bare word: models forget the quotes.
                self.out.push(b'"');
                escape_into(&word, &mut self.out);
                self.out.push(b'"');
                self.valid &= !self.single;
            }
        }
        self.word = word;
        self.value_ended();
    }
}

/// A Python number as a JSON number; its digits are kept.
fn number(word: &[u8]) -> Option<Vec<u8>> {
    let text: String = String::from_utf8_lossy(word).chars().filter(|&c| c != '_').collect();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return u128::from_str_radix(digits, radix).ok().map(|n| format!("{sign}{n}").into_bytes());
        }
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], &digits[at..]),
        None => (digits, ""),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_digits = exponent.trim_start_matches(['e', 'E']).trim_start_matches(['+', '-']);
    let empty = whole.is_empty() && fraction.is_none_or(str::is_empty);
    if empty || !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }
    if !exponent.is_empty() && (exponent_digits.is_empty() || !all_digits(exponent_digits)) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = match fraction {
        None => String::new(),
        Some("") => ".0".into(),
        Some(digits) => format!(".{digits}"),
    };
    Some(format!("{sign}{whole}{fraction}{exponent}").into_bytes())
}

/// One Python literal as JSON text, if the text is one.
pub(super) fn literal(text: &str) -> Option<String> {
    let mut python = Python { single: true, at: At::Value, ..Python::default() };
    let mut rest = text.as_bytes();
    while !rest.is_empty() && python.valid && !python.ended() {
        let used = python.run(rest, &|_| false);
        rest = &rest[used..];
    }
    match python.at {
        At::Word => python.end_word(),
        At::Quotes { seen: 2, .. } => python.empty_text(2),
        _ => {}
    }
    let whole = python.valid && python.ended() && rest.is_empty();
    String::from_utf8(python.out).ok().filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_literals() {
        for (python, json) in [
            (r"'a\'b\n'", Some(r#""a'b\n""#)),
            ("\"it's\"", Some(r#""it's""#)),
            ("'''a'b'''", Some(r#""a'b""#)),
            ("''", Some(r#""""#)),
            ("[1, 2.50, -3, True, None, (1,), {}]", Some("[1, 2.50, -3, true, null, [1], {}]")),
            ("{'a': {'b': [\"x\"]}, 1: 'y',}", Some(r#"{"a": {"b": ["x"]}, "1": "y"}"#)),
            ("0x1F", Some("31")),
            (".5", Some("0.5")),
            ("1_000", Some("1000")),
            ("007", Some("7")),
            ("hello", None),
            ("[1", None),
            ("1 2", None),
            ("'a' b", None),
        ] {
            assert_eq!(literal(python).as_deref(), json, "{python}");
        }
    }

    #[test]
    fn converts_arguments_in_any_cut() {
        let text = "a='x\\u00e9\\ud83d\\ude00', b=[1, {'k': None}], c=''\n, d=True) rest";
        for chunk in 1..text.len() {
            let mut python = Python::default();
            let mut out = Vec::new();
            for piece in text.as_bytes().chunks(chunk) {
                python.run(piece, &|_| false);
                out.append(&mut python.out);
                if python.ended() {
                    break;
                }
            }
            python.finish();
            out.append(&mut python.out);
            let json = "{\"a\": \"xé😀\", \"b\": [1, {\"k\": null}], \"c\": \"\", \"d\": true}";
            assert_eq!(String::from_utf8(out).unwrap(), json, "{chunk}");
            assert!(python.valid);
        }
    }
}
