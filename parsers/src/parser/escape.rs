//! JSON string escapes, both ways, in pieces.

use super::json::plain_run;

/// The escape of a byte that cannot stand in a JSON string as it is.
pub(crate) fn escape(byte: u8) -> &'static str {
    const CONTROL: [&str; 32] = [
        "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007", "\\b", "\\t",
        "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f", "\\u0010", "\\u0011", "\\u0012", "\\u0013",
        "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c",
        "\\u001d", "\\u001e", "\\u001f",
    ];
    match byte {
        b'"' => "\\\"",
        b'\\' => "\\\\",
        _ => CONTROL.get(usize::from(byte)).copied().unwrap_or_default(),
    }
}

/// How many bytes make a [`row`].
pub(crate) const ROW: usize = 8;

/// The escapes of the bytes at the front where they are all the same and of a kind that comes in rows.
#[inline(always)]
pub(crate) fn row(bytes: &[u8]) -> Option<&'static str> {
    let row: &[u8; ROW] = bytes.first_chunk()?;
    if *row != [row[0]; ROW] {
        return None;
    }
    match row[0] {
        b'"' => Some(r#"\"\"\"\"\"\"\"\""#),
        b'\\' => Some(r"\\\\\\\\\\\\\\\\"),
        b'\n' => Some(r"\n\n\n\n\n\n\n\n"),
        _ => None,
    }
}

/// Appends bytes as they stand inside a JSON string.
pub(crate) fn escape_into(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = plain_run(rest);
        out.extend_from_slice(&rest[..plain]);
        match rest.get(plain) {
            Some(&byte) => {
                out.extend_from_slice(escape(byte).as_bytes());
                rest = &rest[plain + 1..];
            }
            None => break,
        }
    }
}

/// A JSON string with its quotes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = vec![b'"'];
    escape_into(text.as_bytes(), &mut out);
    out.push(b'"');
    String::from_utf8(out).unwrap_or_default()
}

/// Decodes the inside of a JSON string that comes in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unescape {
    #[default]
    Plain,
    Escape,
    /// Hex digits seen and their value so far; a high surrogate before it.
    Hex {
        seen: u8,
        value: u32,
        high: u32,
    },
    /// A high surrogate, whose other half must follow.
    High(u32),
    HighEscape(u32),
}

impl Unescape {
    /// Decodes up to the quote that ends the string. Gives back how many bytes were taken (the quote
    /// included) and whether it came.
    pub(crate) fn run(&mut self, bytes: &[u8], quote: u8, out: &mut Vec<u8>) -> (usize, bool) {
        let mut i = 0;
        while let Some(&byte) = bytes.get(i) {
            match *self {
                Unescape::Plain => {
                    if byte == quote {
                        return (i + 1, true);
                    }
                    if byte == b'\\' {
                        *self = Unescape::Escape;
                    } else {
                        let rest = &bytes[i..];
                        let plain = rest.iter().position(|&byte| byte == quote || byte == b'\\');
                        let plain = plain.unwrap_or(rest.len());
                        out.extend_from_slice(&rest[..plain]);
                        i += plain;
                        continue;
                    }
                }
                Unescape::Escape => self.escaped(byte, 0, out),
                Unescape::Hex { seen, value, high } => match char::from(byte).to_digit(16) {
                    Some(digit) => {
                        let value = value * 16 + digit;
                        *self = Unescape::Hex { seen: seen + 1, value, high };
                        if seen == 3 {
                            self.unit(value, high, out);
                        }
                    }
                    None => {
                        push_char(char::REPLACEMENT_CHARACTER, out);
                        *self = Unescape::Plain;
                        continue;
                    }
                },
                Unescape::High(high) => {
                    if byte == b'\\' {
                        *self = Unescape::HighEscape(high);
                    } else {
                        push_char(char::REPLACEMENT_CHARACTER, out);
                        *self = Unescape::Plain;
                        continue;
                    }
                }
                Unescape::HighEscape(high) => {
                    if byte == b'u' {
                        *self = Unescape::Hex { seen: 0, value: 0, high };
                    } else {
                        push_char(char::REPLACEMENT_CHARACTER, out);
                        self.escaped(byte, 0, out);
                    }
                }
            }
            i += 1;
        }
        (i, false)
    }

    fn escaped(&mut self, byte: u8, high: u32, out: &mut Vec<u8>) {
        *self = Unescape::Plain;
        match byte {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => *self = Unescape::Hex { seen: 0, value: 0, high },
            b'"' | b'\\' | b'/' | b'\'' => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', byte]),
        }
    }

    /// A whole `\uXXXX`.
    fn unit(&mut self, value: u32, high: u32, out: &mut Vec<u8>) {
        *self = Unescape::Plain;
        match (high, value) {
            (0, 0xD800..=0xDBFF) => *self = Unescape::High(value),
            (0, _) => push_char(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER), out),
            (_, 0xDC00..=0xDFFF) => {
                let code = 0x10000 + ((high - 0xD800) << 10) + (value - 0xDC00);
                push_char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), out);
            }
            _ => {
                push_char(char::REPLACEMENT_CHARACTER, out);
                self.unit(value, 0, out);
            }
        }
    }
}

fn push_char(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_in_any_cut() {
        let text = r#"a\n\"\\\u00e9\ud83d\ude00\ud83dx\/""#;
        for chunk in 1..text.len() {
            let (mut state, mut out) = (Unescape::default(), Vec::new());
            let mut ended = false;
            for piece in text.as_bytes().chunks(chunk) {
                ended |= state.run(piece, b'"', &mut out).1;
            }
            assert!(ended);
            assert_eq!(String::from_utf8(out).unwrap(), "a\n\"\\é😀\u{fffd}x/");
        }
    }

    #[test]
    fn escapes_what_serde_json_escapes() {
        let text: String = (0u8..128).map(char::from).chain("é😀".chars()).collect();
        let quoted = quote(&text);
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        assert_eq!(quoted, serde_json::to_string(&text).unwrap());
    }
}
