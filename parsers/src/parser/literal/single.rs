//! A whole Python literal in one piece.

use toolglot_schema::TypeSet;

use super::{Around, At, Form, Literal, Met, Sink};
use crate::parser::escape::escape;

/// One Python literal as JSON text, if the text is one.
pub(in crate::parser) fn literal(text: &str) -> Option<String> {
    let mut reader = Literal { form: Form::Single, at: At::Value, ..Literal::default() };
    let around = Around { ends: &|_| false, markers: None, plain: false, types: &|_| TypeSet::ALL };
    let mut out = Whole::default();
    let (used, met) = reader.run(text.as_bytes(), 0, &around, &mut out);
    if met == Met::More {
        match reader.at {
            At::Word => {
                let _ = reader.end_word(&mut out);
            }
            At::Quotes { seen: 2, .. } => reader.empty_text(&mut out),
            At::Ended { .. } => reader.close_text(&mut out),
            _ => {}
        }
    }
    let whole = reader.valid && !reader.mended && reader.at == At::Done && used == text.len();
    whole.then_some(out.text)
}

/// JSON text in one piece.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) text: String,
    passing: bool,
}

impl Whole {
    fn push(&mut self, text: &str) {
        if !self.passing {
            self.text.push_str(text);
        }
    }
}

impl Sink for Whole {
    fn json(&mut self, text: &str) {
        self.push(text);
    }

    fn escaped(&mut self, bytes: &[u8], _at: u64) {
        for c in String::from_utf8_lossy(bytes).chars() {
            match c {
                '"' | '\\' | '\0'..' ' => self.push(escape(c as u8)),
                _ => self.push(c.encode_utf8(&mut [0; 4])),
            }
        }
    }

    fn raw(&mut self, bytes: &[u8], _at: u64) {
        self.push(&String::from_utf8_lossy(bytes));
    }

    fn pass_over(&mut self, on: bool) {
        self.passing = on;
    }
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
            (
                "{'a': 1, 'b': {'a': 2}, 'a': [3, {'a': 4}], 'c': 5, 'c': 6}",
                Some(r#"{"a": 1, "b": {"a": 2}, "c": 5}"#),
            ),
            ("{'a': {'b': [\"x\"]}, 1: 'y',}", Some(r#"{"a": {"b": ["x"]}, "1": "y"}"#)),
            ("0x1F", Some("31")),
            (".5", Some("0.5")),
            ("1_000", Some("1000")),
            ("007", Some("7")),
            ("hello", None),
            ("[1", None),
            ("[1}]", None),
            ("1 2", None),
            ("'a' b", None),
            ("'it's'", None),
        ] {
            assert_eq!(literal(python).as_deref(), json, "{python}");
        }
    }
}
