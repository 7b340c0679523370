//! JSON text, taken apart and spaced anew without touching numbers, strings or the order of keys.

use toolglot_format::Notation;

use crate::parser::{Json, Met};

/// Whether the text is one JSON value.
pub(super) fn is_json(text: &str) -> bool {
    let mut json = Json::new();
    let (used, met) = json.run(text.as_bytes());
    json.valid
        && match met {
            Met::End | Met::EndBefore => text[used..].trim().is_empty(),
            Met::More => json.complete(),
            _ => false,
        }
}

/// The text with other white space between its tokens. It must be JSON.
pub(super) fn respace(text: &str, notation: &Notation) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    for c in text.chars() {
        if in_text {
            out.push(c);
            (in_text, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            ' ' | '\n' | '\r' | '\t' => {}
            ',' => out += &notation.item,
            ':' => out += &notation.key,
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// The members of an object: decoded keys and the text of their values. `None` when the text is no object.
pub(super) fn members(text: &str) -> Option<Vec<(String, &str)>> {
    let parts = parts(text, b'{')?;
    let split = |part| {
        let colon = end_of_value(part)?;
        let key = serde_json::from_str(part[..colon].trim()).ok()?;
        Some((key, part[colon..].trim_start().strip_prefix(':')?.trim()))
    };
    parts.into_iter().map(split).collect()
}

/// The elements of an array.
pub(super) fn elements(text: &str) -> Option<Vec<&str>> {
    Some(parts(text, b'[')?.into_iter().map(str::trim).collect())
}

/// What stands between the commas of an object or array.
fn parts(text: &str, open: u8) -> Option<Vec<&str>> {
    let text = text.trim();
    if !is_json(text) || text.as_bytes().first() != Some(&open) {
        return None;
    }
    let inner = &text[1..text.len() - 1];
    let (mut out, mut from, mut depth) = (Vec::new(), 0, 0u32);
    let (mut in_text, mut escaped) = (false, false);
    for (at, c) in inner.char_indices() {
        if in_text {
            (in_text, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            '"' => in_text = true,
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                out.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if !inner[from..].trim().is_empty() {
        out.push(&inner[from..]);
    }
    Some(out)
}

/// Where the string at the front ends.
fn end_of_value(text: &str) -> Option<usize> {
    let mut json = Json::new();
    match json.run(text.as_bytes()) {
        (used, Met::End) => Some(used),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_anew_and_keeps_the_rest() {
        let text = r#"{"a" :1e3,"b":[1.10 , "x, y: \"z\\"], "a":{}}"#;
        assert_eq!(respace(text, &Notation::default()), r#"{"a": 1e3, "b": [1.10, "x, y: \"z\\"], "a": {}}"#);
        assert_eq!(respace(text, &Notation::compact()), r#"{"a":1e3,"b":[1.10,"x, y: \"z\\"],"a":{}}"#);
        let members = members(text).unwrap();
        assert_eq!(members[1], ("b".to_owned(), r#"[1.10 , "x, y: \"z\\"]"#));
        assert_eq!(elements("[1, [2, 3] ]").unwrap(), ["1", "[2, 3]"]);
        assert_eq!(elements("{}"), None);
    }
}
