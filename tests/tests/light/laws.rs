//! The six laws, each on every family.
//!
//! 1. What the strict reading accepts, the lenient one parses (strict is part of lenient).
//! 2. `parse(print(turn)) == turn`.
//! 3. The mask admits what is printed, under any tokenisation.
//! 4. Any cut of an output gives the same events.
//! 5. No byte is lost.
//! 6. The chat template's own rendering of a turn parses back to that turn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use toolglot::template::{ChatTemplate, Conversation, TemplateOptions};
use toolglot_format::{Event, FinishReason, MalformedReason, Piece, Plan, Tool, Turn};
use toolglot_parsers::{Family, Registry, SessionOptions};

use crate::generate::{Sample, literals, mash, sample};

/// Runs a law on every family, `cases` times each, or as often as `PROPTEST_CASES` says.
pub(crate) fn every_family<S: Strategy>(
    cases: u32,
    strategy: impl Fn(&dyn Family) -> S,
    law: impl Fn(&dyn Family, S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: std::fmt::Debug,
{
    let registry = Registry::builtin().unwrap();
    let families: Vec<Arc<dyn Family>> = registry.iter().cloned().collect();
    assert!(families.len() >= 4, "{families:?}", families = families.len());
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    let cases = wanted.unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let mut failures = String::new();
    for family in families {
        let mut runner = TestRunner::new(config.clone());
        if let Err(error) = runner.run(&strategy(family.as_ref()), |value| law(family.as_ref(), value)) {
            failures += &format!("== {}: {error}\n", family.manifest().id);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

pub(crate) fn plan(tools: Vec<Tool>) -> Plan {
    Plan { tools, ..Plan::default() }
}

fn parse(family: &dyn Family, plan: &Plan, pieces: &[Piece<'_>], finish: FinishReason) -> Vec<Event> {
    let mut session = family.session(plan, SessionOptions::default()).unwrap();
    let mut events = Vec::new();
    pieces.iter().for_each(|piece| session.feed(&[*piece], &mut events));
    session.finish(finish, &mut events);
    Event::join(events)
}

pub(crate) fn parse_text(family: &dyn Family, plan: &Plan, text: &str) -> Vec<Event> {
    parse(family, plan, &[Piece::text(text)], FinishReason::Stop)
}

/// Equal turns: calls by name and JSON value, text byte for byte.
pub(crate) fn assert_same(got: &Turn, want: &Turn, text: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(&got.content, &want.content, "content of {:?}", text);
    prop_assert_eq!(&got.reasoning, &want.reasoning, "reasoning of {:?}", text);
    prop_assert!(got.malformed.is_empty(), "{:?} is malformed: {:?}", text, got.malformed);
    let calls = |turn: &Turn| {
        let calls = turn.calls.iter().map(|call| {
            let value: Result<Value, _> = serde_json::from_str(&call.arguments);
            (call.name.clone(), value.unwrap_or_else(|_| Value::from(call.arguments.clone())), call.complete)
        });
        calls.collect::<Vec<_>>()
    };
    prop_assert_eq!(calls(got), calls(want), "calls of {:?}", text);
    Ok(())
}

#[test]
fn law_4_any_cut_gives_the_same_events() {
    let cuts = prop::collection::vec(
        (any::<prop::sample::Index>(), prop::option::weighted(0.1, any::<bool>())),
        0..6,
    );
    every_family(
        256,
        |family| (mash(literals(&family.manifest().format)), cuts.clone(), any::<bool>()),
        |family, (text, cuts, stop)| {
            let plan = plan(toolglot_tests::tool_set("weather").unwrap());
            let finish = if stop { FinishReason::Stop } else { FinishReason::Cut };
            let bytes = text.as_bytes();
            let whole = parse(family, &plan, &[Piece { bytes, special: None }], finish);
            let each: Vec<Piece<'_>> = bytes.chunks(1).map(|bytes| Piece { bytes, special: None }).collect();
            prop_assert_eq!(&parse(family, &plan, &each, finish), &whole, "byte by byte: {:?}", text);
            // A cut leaves the kinds of pieces as they are: first pieces of several kinds, then the same cut up.
            let mut at: Vec<(usize, Option<bool>)> =
                cuts.iter().map(|(at, kind)| (at.index(bytes.len() + 1), *kind)).collect();
            at.sort_by_key(|(at, _)| *at);
            let mut from = 0;
            let mut pieces = Vec::new();
            for (to, kind) in at.into_iter().chain([(bytes.len(), None)]) {
                pieces.push(Piece { bytes: &bytes[from..to], special: kind });
                from = to;
            }
            let whole = parse(family, &plan, &pieces, finish);
            let each: Vec<Piece<'_>> = pieces
                .iter()
                .flat_map(|piece| {
                    let size = if piece.special == Some(true) { usize::MAX } else { 1 };
                    piece.bytes.chunks(size).map(|bytes| Piece { bytes, special: piece.special })
                })
                .collect();
            prop_assert_eq!(parse(family, &plan, &each, finish), whole, "in pieces: {:?}", pieces);
            Ok(())
        },
    );
}

/// Every word of the output is in exactly one event. Bytes that the reason says are given twice count once.
#[test]
fn law_5_no_byte_is_lost() {
    every_family(
        256,
        |family| (mash(literals(&family.manifest().format)), any::<bool>()),
        |family, (text, stop)| {
            let plan = plan(toolglot_tests::tool_set("weather").unwrap());
            let finish = if stop { FinishReason::Stop } else { FinishReason::Cut };
            let events = parse(family, &plan, &[Piece::text(&text)], finish);
            let mut given = String::new();
            let mut malformed = String::new();
            for event in &events {
                match event {
                    Event::Text { text, .. } => given += text,
                    Event::CallStart { name, .. } => given += name,
                    Event::Arguments { json, .. } => given += json,
                    Event::CallId { id, .. } => given += id,
                    Event::CallEnd { .. } => {}
                    Event::Malformed { raw, reason, .. } => {
                        malformed += raw;
                        if !matches!(
                            reason,
                            MalformedReason::NoName
                                | MalformedReason::InvalidArguments
                                | MalformedReason::CutOff
                        ) {
                            given += raw;
                        }
                    }
                }
                given.push(' ');
                malformed.push(' ');
            }
            for number in 1.. {
                let word = format!("w{number}z");
                if !text.contains(&word) {
                    break;
                }
                let times = given.matches(&word).count();
                prop_assert!(
                    times == 1 || (times == 0 && malformed.contains(&word)),
                    "{} is {} times in the events of {:?}: {:#?}",
                    word,
                    times,
                    text,
                    events
                );
            }
            Ok(())
        },
    );
}

/// What a family's published template refuses to render.
fn renderable(family: &dyn Family, turn: &mut Turn) {
    match family.manifest().id.as_str() {
        // One call, and no text beside it.
        "llama3" => {
            turn.reasoning.clear();
            turn.calls.truncate(1);
            if !turn.calls.is_empty() {
                turn.content.clear();
            }
        }
        // One call a message, and the text beside it is reasoning.
        "harmony" => {
            turn.calls.truncate(1);
            if !turn.calls.is_empty() {
                turn.content.clear();
            }
        }
        // No reasoning, and no text beside calls.
        "hermes" => {
            turn.reasoning.clear();
            if !turn.calls.is_empty() {
                turn.content.clear();
            }
        }
        // No reasoning.
        "qwen3_coder" => turn.reasoning.clear(),
        _ => {}
    }
}

fn message(turn: &Turn) -> Value {
    let calls: Vec<Value> = turn
        .calls
        .iter()
        .map(|call| {
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
            json!({"type": "function", "function": {"name": call.name, "arguments": arguments}})
        })
        .collect();
    let mut message = json!({"role": "assistant", "content": turn.content});
    if !turn.reasoning.is_empty() {
        message["reasoning_content"] = turn.reasoning.clone().into();
        message["thinking"] = turn.reasoning.clone().into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

pub(crate) fn holds_marker(family: &dyn Family, text: &str) -> bool {
    literals(&family.manifest().format)
        .iter()
        .any(|literal| literal.trim().len() > 2 && text.contains(literal.trim()))
}

#[test]
fn law_6_the_template_parses_back() {
    let templates = RefCell::new(BTreeMap::new());
    every_family(
        96,
        |_| sample(0..3),
        |family, Sample { tools, mut turn }| {
            renderable(family, &mut turn);
            prop_assume!(!holds_marker(family, &turn.content) && !holds_marker(family, &turn.reasoning));
            let manifest = family.manifest();
            let mut templates = templates.borrow_mut();
            let template = templates.entry(manifest.id.clone()).or_insert_with(|| {
                ChatTemplate::compile(family.template().unwrap(), &TemplateOptions::default()).unwrap()
            });
            let offered: Vec<Value> = tools
                .iter()
                .map(|tool| json!({"type": "function", "function": {"name": tool.name, "description": "Does it.", "parameters": tool.parameters}}))
                .collect();
            let history = [json!({"role": "user", "content": "Go on."})];
            let rendered = template
                .assistant_turn(&Conversation::new(&history).with_tools(&offered), &message(&turn))
                .map_err(|error| TestCaseError::fail(format!("{error}")))?;
            let text = rendered.text.as_str();
            let body = text.strip_prefix(&manifest.turn.open).unwrap_or_else(|| {
                panic!("{}: the turn {text:?} does not open with {:?}", manifest.id, manifest.turn.open)
            });
            let body = [manifest.turn.close.as_str(), manifest.turn.close.trim_end()]
                .iter()
                .find_map(|close| body.strip_suffix(close))
                .unwrap_or(body);
            let stops = manifest.stops.tokens.iter();
            let body = stops.fold(body, |body, stop| body.strip_suffix(stop.as_str()).unwrap_or(body));
            let got: Turn = parse_text(family, &plan(tools), body).into_iter().collect();
            assert_same(&got, &turn, text)
        },
    );
}
