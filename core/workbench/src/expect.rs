//! Parses outputs in many cuts and compares what came with what was meant.

use toolglot::format::{Channel, FinishReason, Turn};
use toolglot::parsers::SessionOptions;
use toolglot::{Event, Family, Piece, Plan};

/// The events of an output in these pieces, behind what the prompt holds of the turn; neighbours joined.
pub(crate) fn parse(
    family: &dyn Family,
    plan: &Plan,
    tail: &str,
    pieces: &[Piece<'_>],
    finish: FinishReason,
) -> Result<Vec<Event>, String> {
    let mut session = family.session(plan, SessionOptions::default()).map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    session.prime(tail.as_bytes());
    pieces.iter().for_each(|piece| session.feed(&[*piece], &mut events));
    session.finish(finish, &mut events);
    Ok(Event::join(events))
}

/// Pieces of at most `size` bytes. A special token is one token: it is never cut.
pub(crate) fn cut<'a>(pieces: &[Piece<'a>], size: usize) -> Vec<Piece<'a>> {
    let parts = pieces.iter().flat_map(|piece| {
        let size = if piece.special == Some(true) { usize::MAX } else { size };
        let chunks = piece.bytes.chunks(size.min(piece.bytes.len().max(1)));
        chunks.map(|bytes| Piece { bytes, special: piece.special })
    });
    parts.collect()
}

/// As [`parse`], in pieces of several sizes, and with the first piece cut in two at every byte.
pub(crate) fn parse_cut(
    family: &dyn Family,
    plan: &Plan,
    tail: &str,
    pieces: &[Piece<'_>],
    finish: FinishReason,
) -> Result<Vec<Event>, String> {
    let whole = parse(family, plan, tail, pieces, finish)?;
    let check = |what: String, pieces: &[Piece<'_>]| {
        let events = parse(family, plan, tail, pieces, finish)?;
        if events == whole {
            return Ok(());
        }
        Err(format!("{what} it reads as\n{}but whole as\n{}", show(&events), show(&whole)))
    };
    for size in [1, 2, 3, 7] {
        check(format!("in pieces of {size} bytes"), &cut(pieces, size))?;
    }
    if let [only] = pieces
        && only.special != Some(true)
    {
        for at in 1..only.bytes.len() {
            let halves = [&only.bytes[..at], &only.bytes[at..]];
            let halves = halves.map(|bytes| Piece { bytes, special: only.special });
            check(format!("cut at byte {at}"), &halves)?;
        }
    }
    Ok(whole)
}

/// One thing that an output holds, whole.
#[derive(Debug, Clone, PartialEq)]
enum Item {
    Text(Channel, String),
    Call { name: String, arguments: String, known: bool, complete: bool },
}

fn items(events: &[Event]) -> Vec<Item> {
    let mut out = Vec::new();
    // Where in `out` each call stands.
    let mut places = Vec::new();
    for event in events {
        match event {
            Event::Text { channel, text } => match out.last_mut() {
                Some(Item::Text(last, whole)) if last == channel => whole.push_str(text),
                _ => out.push(Item::Text(*channel, text.clone())),
            },
            Event::CallStart { name, known, .. } => {
                places.push(out.len());
                let (name, arguments) = (name.clone(), String::new());
                out.push(Item::Call { name, arguments, known: *known, complete: false });
            }
            Event::Arguments { index, json } => {
                if let Some(Item::Call { arguments, .. }) = at(&mut out, &places, *index) {
                    arguments.push_str(json);
                }
            }
            Event::CallEnd { index, complete: whole } => {
                if let Some(Item::Call { complete, .. }) = at(&mut out, &places, *index) {
                    *complete = *whole;
                }
            }
            Event::CallId { .. } | Event::Malformed { .. } => {}
        }
    }
    out
}

fn at<'a>(items: &'a mut [Item], places: &[usize], index: u32) -> Option<&'a mut Item> {
    places.get(index as usize).and_then(|place| items.get_mut(*place))
}

fn wanted(plan: &Plan, parts: &[Turn]) -> Vec<Item> {
    let mut out: Vec<Item> = Vec::new();
    let text = |out: &mut Vec<Item>, channel: Channel, text: &str| match out.last_mut() {
        _ if text.is_empty() => {}
        Some(Item::Text(last, whole)) if *last == channel => whole.push_str(text),
        _ => out.push(Item::Text(channel, text.to_owned())),
    };
    for part in parts {
        text(&mut out, Channel::Reasoning, &part.reasoning);
        text(&mut out, Channel::Content, &part.content);
        out.extend(part.calls.iter().map(|call| Item::Call {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            known: plan.tools.is_empty() || plan.tools.iter().any(|tool| tool.name == call.name),
            complete: call.complete,
        }));
    }
    out
}

/// Whether the events are these parts in this order, and nothing was malformed.
pub(crate) fn same(plan: &Plan, events: &[Event], parts: &[Turn]) -> Result<(), String> {
    if let Some(Event::Malformed { reason, raw, .. }) =
        events.iter().find(|event| matches!(event, Event::Malformed { .. }))
    {
        return Err(format!("{raw:?} is called malformed ({})", word(reason)));
    }
    let (got, want) = (items(events), wanted(plan, parts));
    for (at, want) in want.iter().enumerate() {
        match got.get(at) {
            Some(got) if same_item(got, want) => {}
            Some(got) => return Err(format!("meant was {}\nread was  {}", tell(want), tell(got))),
            None => return Err(format!("meant was {}, and the output had ended", tell(want))),
        }
    }
    match got.get(want.len()) {
        None => Ok(()),
        Some(more) => Err(format!("nothing more was meant, read was {}", tell(more))),
    }
}

fn same_item(got: &Item, want: &Item) -> bool {
    match (got, want) {
        (
            Item::Call { name, arguments, known, complete: true },
            Item::Call { name: wanted, arguments: given, known: planned, complete: true },
        ) => name == wanted && known == planned && same_json(arguments, given),
        (got, want) => got == want,
    }
}

/// Equal as JSON values; numbers digit for digit.
pub(crate) fn same_json(a: &str, b: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    value(a).is_some_and(|a| value(b) == Some(a))
}

fn tell(item: &Item) -> String {
    match item {
        Item::Text(Channel::Content, text) => format!("content {text:?}"),
        Item::Text(Channel::Reasoning, text) => format!("reasoning {text:?}"),
        Item::Call { name, arguments, known, complete } => {
            let known = if *known { "" } else { ", a tool that nobody offered" };
            let complete = if *complete { "" } else { ", not complete" };
            format!("a call of `{name}` with {arguments}{known}{complete}")
        }
    }
}

/// A reason in the word that `cases.toml` has for it.
pub(crate) fn word(reason: &toolglot::format::MalformedReason) -> String {
    serde_json::to_value(reason).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Events for people, one a line.
pub(crate) fn show(events: &[Event]) -> String {
    let mut out = String::new();
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    for event in events {
        out += &match event {
            Event::Text { channel: Channel::Content, text } => format!("content {}", quote(text)),
            Event::Text { channel: Channel::Reasoning, text } => format!("reasoning {}", quote(text)),
            Event::CallStart { index, name, id, known } => {
                let id = id.as_ref().map(|id| format!(" id {}", quote(id))).unwrap_or_default();
                let known = if *known { "" } else { " unknown" };
                format!("call {index} {name}{id}{known}")
            }
            Event::CallId { index, id } => format!("id {index} {}", quote(id)),
            Event::Arguments { index, json } => {
                // JSON text may hold line breaks between its tokens.
                let text = if json.contains(['\n', '\r']) { quote(json) } else { json.clone() };
                format!("args {index} {text}")
            }
            Event::CallEnd { index, complete } => {
                format!("end {index}{}", if *complete { "" } else { " incomplete" })
            }
            Event::Malformed { span, reason, raw } => {
                format!("malformed {} {}..{} {}", word(reason), span.start, span.end, quote(raw))
            }
        };
        out.push('\n');
    }
    out
}
