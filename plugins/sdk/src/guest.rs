//! The guest's half of the contract: every exported function, in terms of the family that
//! `register_family!` named. Types of the contract stay inside this module.

#![allow(unsafe_code, unreachable_pub, missing_docs, reason = "the bindings that a macro generates")]

use std::alloc::System;
use std::cell::RefCell;
use std::sync::Once;

use toolglot_format::{Channel, Event, FinishReason, Format, MalformedReason, Piece, Plan};
use toolglot_parsers::{BuiltinFamily, FamilyError, Session, SessionOptions};

use self::exports::toolglot::family::plugin;
use self::toolglot::family::{logging, types};
use crate::Level;
use crate::alloc::Pools;

wit_bindgen::generate!({ path: "../wit/v0.1", world: "family" });

#[global_allocator]
static MEMORY: Pools<System> = Pools::new(System);

struct Plugin;
export!(Plugin);

unsafe extern "Rust" {
    safe fn __toolglot_family_v0_1() -> &'static BuiltinFamily;
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Error => logging::Level::Error,
        Level::Warn => logging::Level::Warn,
        Level::Info => logging::Level::Info,
        Level::Debug => logging::Level::Debug,
        Level::Trace => logging::Level::Trace,
    };
    logging::log(level, message);
}

/// The family. Before its code runs, panics are sent to the log: a trap carries no message.
fn family() -> &'static BuiltinFamily {
    static PANICS: Once = Once::new();
    PANICS.call_once(|| std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string()))));
    __toolglot_family_v0_1()
}

impl plugin::Guest for Plugin {
    type Session = Turn;

    fn describe() -> types::Description {
        let family = family();
        let mut abilities = types::Abilities::empty();
        if family.lower().is_some() {
            abilities |= types::Abilities::LOWER;
        }
        if family.sessions().is_some() || cfg!(feature = "interpreter") {
            abilities |= types::Abilities::SESSION;
        }
        types::Description {
            contract: "0.1".into(),
            built_by: concat!("toolglot-plugin ", env!("CARGO_PKG_VERSION")).into(),
            manifest: types::Manifest::Toml(family.manifest().into()),
            template: family.template().map(str::to_owned),
            abilities,
            params_json: "{}".into(),
        }
    }

    fn lower(plan_json: String, format_json: String) -> Result<String, types::Error> {
        let family = family();
        let Some(lower) = family.lower() else {
            return Err(types::Error::Unsupported("the format does not depend on the plan".into()));
        };
        let (plan, format) = (plan(&plan_json)?, format(&format_json)?);
        let lowered = lower(&plan, &format).map_err(refusal)?;
        serde_json::to_string(&lowered).map_err(|error| types::Error::Other(error.to_string()))
    }
}

/// One turn. The contract's calls are not re-entrant, so the cell is never borrowed twice.
struct Turn(RefCell<State>);

struct State {
    session: Box<dyn Session>,
    /// Kept from call to call for its memory.
    events: Vec<Event>,
}

impl plugin::GuestSession for Turn {
    fn open(
        plan_json: String,
        format_json: String,
        _options: types::Options,
    ) -> Result<plugin::Session, types::Error> {
        let family = family();
        let (plan, format) = (plan(&plan_json)?, format(&format_json)?);
        let options = SessionOptions::default();
        let session = match family.sessions() {
            Some(open) if format.has_extern() => open(&plan, &format, options).map_err(refusal)?,
            _ => interpreter(&format, &plan, options)?,
        };
        Ok(plugin::Session::new(Turn(RefCell::new(State { session, events: Vec::new() }))))
    }

    fn prime(&self, prompt_tail: Vec<u8>) {
        self.0.borrow_mut().session.prime(&prompt_tail);
    }

    fn feed(&self, piece: types::Piece) -> types::Report {
        let State { session, events } = &mut *self.0.borrow_mut();
        session.feed(&[Piece { bytes: &piece.bytes, special: piece.special }], events);
        report(events, session.waits_for())
    }

    fn finish(&self, reason: types::FinishReason) -> types::Report {
        let State { session, events } = &mut *self.0.borrow_mut();
        let reason = match reason {
            types::FinishReason::Stop => FinishReason::Stop,
            types::FinishReason::Cut | types::FinishReason::Extension(_) => FinishReason::Cut,
        };
        session.finish(reason, events);
        report(events, None)
    }
}

#[cfg(feature = "interpreter")]
fn interpreter(
    format: &Format,
    plan: &Plan,
    options: SessionOptions,
) -> Result<Box<dyn Session>, types::Error> {
    use toolglot_parsers::{Parser, Program};

    let program = Program::new(format).map_err(|error| types::Error::Other(error.to_string()))?;
    if program.has_extern() {
        let why = "the format leaves text to plugin code, and this plugin has none for it";
        return Err(types::Error::Other(why.into()));
    }
    Ok(Box::new(Parser::new(std::sync::Arc::new(program), plan, options)))
}

#[cfg(not(feature = "interpreter"))]
fn interpreter(_: &Format, _: &Plan, _: SessionOptions) -> Result<Box<dyn Session>, types::Error> {
    Err(types::Error::Unsupported("this plugin leaves formats to the host".into()))
}

fn plan(json: &str) -> Result<Plan, types::Error> {
    serde_json::from_str(json).map_err(|error| types::Error::Other(format!("the plan: {error}")))
}

fn format(json: &str) -> Result<Format, types::Error> {
    serde_json::from_str(json).map_err(|error| types::Error::Other(format!("the format: {error}")))
}

fn refusal(error: FamilyError) -> types::Error {
    match error {
        FamilyError::Plan { error, .. } => types::Error::Plan(error.to_string()),
        error => types::Error::Other(error.to_string()),
    }
}

/// Empties `events` into a report. Each event that crosses the border costs, so neighbouring deltas cross as
/// one.
fn report(events: &mut Vec<Event>, waits_for: Option<u8>) -> types::Report {
    if events.is_empty() {
        return types::Report { text: String::new(), events: Vec::new(), waits_for };
    }
    // Of just this size, so that it can be handed over without another copy.
    let mut text = String::with_capacity(events.iter().map(size).sum());
    let mut told: Vec<types::Event> = Vec::with_capacity(events.len());
    for event in events.drain(..) {
        tell(event, &mut text, &mut told);
    }
    types::Report { text, events: told, waits_for }
}

/// The bytes of an event's texts.
fn size(event: &Event) -> usize {
    match event {
        Event::Text { text: it, .. } | Event::Arguments { json: it, .. } => it.len(),
        Event::Malformed { raw: it, .. } | Event::CallId { id: it, .. } => it.len(),
        Event::CallStart { name, id, .. } => name.len() + id.as_ref().map_or(0, String::len),
        Event::CallEnd { .. } => 0,
    }
}

fn tell(event: Event, text: &mut String, told: &mut Vec<types::Event>) {
    let mut take = |more: &str| {
        text.push_str(more);
        // A guest's memory has 32 bits.
        more.len() as u32
    };
    let event = match event {
        Event::Text { channel, text } => {
            let length = take(&text);
            let channel = match channel {
                Channel::Content => types::Channel::Content,
                Channel::Reasoning => types::Channel::Reasoning,
            };
            if let Some(types::Event::Text(last)) = told.last_mut()
                && std::mem::discriminant(&last.channel) == std::mem::discriminant(&channel)
            {
                last.text += length;
                return;
            }
            types::Event::Text(types::Text { channel, text: length })
        }
        Event::CallStart { index, name, id, known } => {
            let (name, id) = (take(&name), id.as_deref().map(&mut take));
            types::Event::CallStart(types::CallStart { index, name, id, known })
        }
        Event::CallId { index, id } => types::Event::CallId(types::CallId { index, id: take(&id) }),
        Event::Arguments { index, json } => {
            let length = take(&json);
            if let Some(types::Event::Arguments(last)) = told.last_mut()
                && last.index == index
            {
                last.json += length;
                return;
            }
            types::Event::Arguments(types::Arguments { index, json: length })
        }
        Event::CallEnd { index, complete } => types::Event::CallEnd(types::CallEnd { index, complete }),
        Event::Malformed { span, reason, raw } => {
            let reason = match reason {
                MalformedReason::CutOff => types::MalformedReason::CutOff,
                MalformedReason::NoName => types::MalformedReason::NoName,
                MalformedReason::InvalidArguments => types::MalformedReason::InvalidArguments,
                MalformedReason::StrayMarker => types::MalformedReason::StrayMarker,
                MalformedReason::Unexpected => types::MalformedReason::Unexpected,
                MalformedReason::NotUtf8 => types::MalformedReason::NotUtf8,
                MalformedReason::PluginFailed => types::MalformedReason::Extension(take("plugin-failed")),
            };
            let raw = take(&raw);
            types::Event::Malformed(types::Malformed { start: span.start, end: span.end, reason, raw })
        }
    };
    told.push(event);
}
