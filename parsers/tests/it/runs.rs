//! Long runs of what formats give a meaning to: nothing is lost, and any cut reads the same.

use toolglot_format::{Event, FinishReason, Turn};
use toolglot_parsers::{Registry, SessionOptions};

use crate::{plan, run};

const UNITS: [&str; 15] = [
    "<", "</", "<t", "<tool_ca", "</tool_", "</para", "{", "[", "\\", "\\\"", "\n", "\r", "é<", "\u{1}<t",
    " <",
];

/// The text in all cuts, which must agree.
fn read(registry: &Registry, family: &str, text: &str) -> Vec<Event> {
    let (family, plan) = (registry.get(family).unwrap(), plan());
    let cut = |chunk: usize| {
        let pieces: Vec<_> = text.as_bytes().chunks(chunk).map(|piece| (piece, None)).collect();
        let mut session = family.session(&plan, SessionOptions::default()).unwrap();
        Event::join(run(&mut *session, "", &pieces, FinishReason::Stop))
    };
    let whole = cut(text.len());
    for chunk in [1, 4, 9, 63, 64, 200] {
        assert_eq!(cut(chunk), whole, "in chunks of {chunk}: {text:?}");
    }
    whole
}

/// Runs of every length around the sizes at which bytes are looked at together.
fn texts() -> impl Iterator<Item = String> {
    let lengths = [1, 7, 8, 9, 16, 17, 130, 700];
    UNITS.iter().flat_map(move |unit| lengths.map(|count| format!("a{}z", unit.repeat(count))))
}

#[test]
fn as_text() {
    let registry = Registry::builtin().unwrap();
    for text in texts() {
        for family in ["hermes", "qwen3_coder"] {
            let turn: Turn = read(&registry, family, &text).into_iter().collect();
            assert_eq!((turn.content, turn.malformed), (text.clone(), Vec::new()), "{family}");
        }
    }
}

#[test]
fn in_strings() {
    let registry = Registry::builtin().unwrap();
    for text in texts() {
        let arguments = serde_json::json!({"code": text}).to_string();
        for (family, output) in [
            (
                "hermes",
                format!("<tool_call>\n{{\"name\": \"python\", \"arguments\": {arguments}}}\n</tool_call>"),
            ),
            (
                "qwen3_coder",
                format!(
                    "<tool_call>\n<function=python>\n<parameter=code>\n{text}\n</parameter>\n</function>\n</tool_call>"
                ),
            ),
        ] {
            let turn: Turn = read(&registry, family, &output).into_iter().collect();
            let got: serde_json::Value = serde_json::from_str(&turn.calls[0].arguments).unwrap();
            assert_eq!(got["code"], text, "{family}");
            assert!(turn.calls[0].complete && turn.malformed.is_empty(), "{family}: {text:?}");
        }
    }
}

#[test]
fn in_broken_arguments() {
    let registry = Registry::builtin().unwrap();
    let start = "<tool_call>\n{\"name\": \"python\", \"arguments\": {\"code\": \"";
    for unit in ["\"", "\"\"", "\"a\"", "\"\\\"", "\"\n", "x\"<", "[", "\"["] {
        for count in [1, 2, 7, 64, 301] {
            let text = format!("{}\"word", unit.repeat(count));
            let events = read(&registry, "hermes", &format!("{start}{text}"));
            let json: String = events
                .iter()
                .filter_map(|event| match event {
                    Event::Arguments { json, .. } => Some(json.as_str()),
                    _ => None,
                })
                .collect();
            assert!(json.ends_with("word"), "{unit:?} {count}: {json}");
            let quotes = |text: &str| text.matches('"').count();
            assert_eq!(quotes(&json), quotes(&text) + 3, "{unit:?} {count}: {json}");
        }
    }
}

#[test]
fn open_arrays() {
    let registry = Registry::builtin().unwrap();
    for depth in [1, 63, 64, 65, 128, 400] {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let output = format!(
            "<tool_call>\n{{\"name\": \"python\", \"arguments\": {{\"a\": {value}, \"b\": {{}}, \"c\": [{value}, \
             {{\"d\": {value}}}]}}}}\n</tool_call>"
        );
        let turn: Turn = read(&registry, "hermes", &output).into_iter().collect();
        assert!(turn.calls[0].complete && turn.malformed.is_empty(), "{depth}");
    }
}
