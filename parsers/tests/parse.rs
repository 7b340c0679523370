//! The parser over the built-in families and over formats of its own.

use serde_json::json;
use toolglot_format::{Event, FinishReason, Piece, Plan, Turn};
use toolglot_parsers::{Registry, SessionOptions};

fn plan() -> Plan {
    let tools = json!([
        {"name": "get_weather", "parameters": {"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}, "detail": {"type": "boolean"},
            "opts": {"type": "object"}, "tags": {"type": "array"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        }}},
        {"name": "now", "parameters": {"type": "object", "properties": {}}},
        {"name": "python", "parameters": {"type": "object", "properties": {"code": {"type": "string"}}}},
    ]);
    Plan::from_openai(&tools, &json!(null), true).unwrap()
}

/// Joins neighbouring deltas of one kind.
fn merged(events: Vec<Event>) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    for event in events {
        match (out.last_mut(), &event) {
            (Some(Event::Text { channel: a, text }), Event::Text { channel: b, text: more }) if a == b => {
                text.push_str(more);
            }
            (Some(Event::Arguments { index: a, json }), Event::Arguments { index: b, json: more })
                if a == b =>
            {
                json.push_str(more);
            }
            _ => out.push(event),
        }
    }
    out
}

fn parse(family: &str, prime: &str, output: &str, chunk: usize, reason: FinishReason) -> Vec<Event> {
    let registry = Registry::builtin().unwrap();
    let family = registry.get(family).unwrap();
    let mut session = family.session(&plan(), SessionOptions::default()).unwrap();
    session.prime(prime.as_bytes());
    let mut events = Vec::new();
    for piece in output.as_bytes().chunks(chunk) {
        session.feed(&[Piece { bytes: piece, special: None }], &mut events);
    }
    session.finish(reason, &mut events);
    merged(events)
}

fn show(family: &str, prime: &str, output: &str, reason: FinishReason) -> String {
    let whole = parse(family, prime, output, usize::MAX, reason);
    for chunk in [1, 2, 3, 5, 7, 16] {
        let cut = parse(family, prime, output, chunk, reason);
        assert_eq!(cut, whole, "{family} in chunks of {chunk}: {output:?}");
    }
    let turn: Turn = whole.into_iter().collect();
    let mut text = String::new();
    for (label, value) in [("think", &turn.reasoning), ("text", &turn.content)] {
        if !value.is_empty() {
            text += &format!("{label} {value:?}\n");
        }
    }
    for call in &turn.calls {
        let id = call.id.as_ref().map(|id| format!(" #{id}")).unwrap_or_default();
        let open = if call.complete { "" } else { " …" };
        text += &format!("call {}{id} {}{open}\n", call.name, call.arguments);
    }
    for bad in &turn.malformed {
        text += &format!("bad {:?} {:?}\n", bad.reason, bad.raw);
    }
    text
}

#[track_caller]
fn check(family: &str, output: &str, expected: &[&str]) {
    let got = show(family, "", output, FinishReason::Stop);
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{family}: {output}");
}

#[test]
fn hermes() {
    check("hermes", "Hello", &[r#"text "Hello""#]);
    check(
        "hermes",
        "Sure.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>",
        &[r#"text "Sure.""#, r#"call get_weather {"city": "Oslo"}"#],
    );
    check(
        "hermes",
        "<think>\nhm\n</think>\n\n<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"now\"}</tool_call>\n<tool_call>\n{\"name\": \"now\"}\n</tool_call>",
        &[r#"think "hm""#, r#"call now {"a": 1}"#, "call now {}"],
    );
    check(
        "hermes",
        "<think>hm<tool_call>\n{\"name\": \"now\", \"arguments\": \"{\\\"x\\\": \\\"</tool_call>\\\"}\"}\n</tool_call> done",
        &[r#"think "hm""#, r#"text "done""#, r#"call now {"x": "</tool_call>"}"#],
    );
}

#[test]
fn hermes_malformed() {
    check(
        "hermes",
        "<tool_call>\nnothing here\n</tool_call> ok",
        &[
            r#"text "<tool_call>\nnothing here\n</tool_call>ok""#,
            r#"bad NoName "<tool_call>\nnothing here\n</tool_call>""#,
        ],
    );
}

#[test]
fn llama3() {
    check("llama3", "Hello {you}", &[r#"text "Hello {you}""#]);
    check(
        "llama3",
        r#"{"name": "get_weather", "parameters": {"city": "Oslo"}}"#,
        &[r#"call get_weather {"city": "Oslo"}"#],
    );
    check(
        "llama3",
        r#"<|python_tag|>{"name": "now", "parameters": {}}; {"name": "now", "parameters": {"a": 1}}"#,
        &["call now {}", r#"call now {"a": 1}"#],
    );
    check("llama3", r#"{"answer": 42}"#, &[r#"text "{\"answer\": 42}""#]);
}

#[test]
fn qwen3_coder() {
    check(
        "qwen3_coder",
        "Ok\n<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=detail>\nTrue\n</parameter>\n<parameter=opts>\n{\"a\": \"</parameter>\"}\n</parameter>\n</function>\n</tool_call>",
        &[
            r#"text "Ok""#,
            r#"call get_weather {"city": "Oslo", "days": 3, "detail": true, "opts": {"a": "</parameter>"}}"#,
        ],
    );
    check("qwen3_coder", "<function=now>\n</function>", &["call now {}"]);
}

#[test]
fn harmony() {
    check(
        "harmony",
        "<|channel|>analysis<|message|>think<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Oslo\"}<|call|>",
        &[r#"think "think""#, r#"call get_weather {"city": "Oslo"}"#],
    );
    check("harmony", "<|channel|>final<|message|>Hi there<|return|>", &[r#"text "Hi there""#]);
    check(
        "harmony",
        "<|channel|>commentary<|message|>pre<|end|><|start|>assistant<|channel|>commentary to=functions.now<|message|>{}",
        &[r#"text "pre""#, "call now {}"],
    );
}
