//! The parser and the printer over the built-in families and over formats of the tests' own.

#![allow(clippy::unwrap_used)]

mod elements;
mod families;
mod formats;
mod laws;
mod members;
mod mutations;
mod nodes;
mod print;
mod registry;
mod runs;
mod synthetic;
mod unmarked;
mod values;

use serde_json::json;
use toolglot_format::{Event, FinishReason, Piece, Plan, Turn};
use toolglot_parsers::Session;

/// Three tools with parameters of every type.
pub(crate) fn plan() -> Plan {
    let tools = json!([
        {"name": "get_weather", "parameters": {"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}, "detail": {"type": "boolean"},
            "opts": {"type": "object"}, "tags": {"type": "array"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "size": {"anyOf": [{"type": "string"}, {"type": "number"}]},
        }}},
        {"name": "now", "parameters": {"type": "object", "properties": {}}},
        {"name": "python", "parameters": {"type": "object", "properties": {"code": {"type": "string"}}}},
    ]);
    Plan::from_openai(&tools, &json!(null), true).unwrap()
}

/// Feeds the pieces one by one.
pub(crate) fn run(
    session: &mut dyn Session,
    prime: &str,
    pieces: &[(&[u8], Option<bool>)],
    reason: FinishReason,
) -> Vec<Event> {
    session.prime(prime.as_bytes());
    let mut events = Vec::new();
    for &(bytes, special) in pieces {
        session.feed(&[Piece { bytes, special }], &mut events);
    }
    session.finish(reason, &mut events);
    Event::join(events)
}

/// A turn as a few lines of text.
pub(crate) fn show(events: Vec<Event>) -> String {
    let turn: Turn = events.into_iter().collect();
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

/// Parses in many cuts, asserts that they agree, and shows the turn.
pub(crate) fn parse(
    session: &dyn Fn() -> Box<dyn Session>,
    prime: &str,
    output: &str,
    reason: FinishReason,
) -> String {
    let cut = |chunk: usize| {
        let pieces: Vec<_> = output.as_bytes().chunks(chunk).map(|piece| (piece, None)).collect();
        run(&mut *session(), prime, &pieces, reason)
    };
    let whole = cut(output.len().max(1));
    for chunk in [1, 2, 3, 5, 7, 16] {
        assert_eq!(cut(chunk), whole, "in chunks of {chunk}: {output:?}");
    }
    show(whole)
}
