//! Contract 0.1: the bindings of `plugins/wit/v0.1`, and what converts between them and native types.
//!
//! A later version of the contract gets a module of its own beside this one, with the same conversions.

#![allow(unreachable_pub, missing_docs, reason = "generated from the contract, and private to this crate")]

use toolglot_format::{Channel, Event, FinishReason, MalformedReason};

use self::exports::toolglot::family::plugin;
use self::toolglot::family::{logging, types};
use crate::limits::State;

wasmtime::component::bindgen!({
    path: "../wit/v0.1",
    world: "family",
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(crate) use self::types::{Abilities, Manifest};

/// The versions that this module speaks.
pub(crate) const SUPPORTED: &str = "0.1";

/// The name of the exported interface, without its version.
pub(crate) const INTERFACE: &str = "toolglot:family/plugin";

/// The only interfaces that a plugin may import, without their version. The first is types only.
pub(crate) const IMPORTS: [&str; 2] = ["toolglot:family/types", "toolglot:family/logging"];

/// Whether a plugin of this version, such as `0.1.3`, can be loaded by this module.
pub(crate) fn speaks(version: &str) -> bool {
    version == SUPPORTED || version.strip_prefix(SUPPORTED).is_some_and(|rest| rest.starts_with('.'))
}

impl types::Host for State {}

impl logging::Host for State {
    fn log(&mut self, level: logging::Level, message: String) {
        let family = self.family.as_str();
        match level {
            logging::Level::Error => {
                tracing::error!(target: "toolglot_plugin", family, "{message}");
                self.last_error = Some(message);
            }
            logging::Level::Warn => tracing::warn!(target: "toolglot_plugin", family, "{message}"),
            logging::Level::Info => tracing::info!(target: "toolglot_plugin", family, "{message}"),
            logging::Level::Debug => tracing::debug!(target: "toolglot_plugin", family, "{message}"),
            logging::Level::Trace => tracing::trace!(target: "toolglot_plugin", family, "{message}"),
        }
    }
}

pub(crate) fn finish_reason(reason: FinishReason) -> plugin::FinishReason<'static> {
    match reason {
        FinishReason::Stop => plugin::FinishReason::Stop,
        FinishReason::Cut => plugin::FinishReason::Cut,
    }
}

/// The native event, which takes its texts from the front of `text`, or what this host does not know in it.
pub(crate) fn event(event: types::Event, text: &mut &str) -> Result<Event, String> {
    let mut take = |length| take(text, length);
    Ok(match event {
        types::Event::Text(types::Text { channel, text }) => Event::Text {
            channel: match channel {
                types::Channel::Content => Channel::Content,
                types::Channel::Reasoning => Channel::Reasoning,
                types::Channel::Extension(word) => return Err(format!("unknown channel `{}`", take(word)?)),
            },
            text: take(text)?.to_owned(),
        },
        types::Event::CallStart(types::CallStart { index, name, id, known }) => Event::CallStart {
            index,
            name: take(name)?.to_owned(),
            id: id.map(|id| take(id).map(str::to_owned)).transpose()?,
            known,
        },
        types::Event::CallId(types::CallId { index, id }) => {
            Event::CallId { index, id: take(id)?.to_owned() }
        }
        types::Event::Arguments(types::Arguments { index, json }) => {
            Event::Arguments { index, json: take(json)?.to_owned() }
        }
        types::Event::CallEnd(types::CallEnd { index, complete }) => Event::CallEnd { index, complete },
        types::Event::Malformed(types::Malformed { start, end, reason, raw }) => Event::Malformed {
            span: start..end,
            reason: match reason {
                types::MalformedReason::CutOff => MalformedReason::CutOff,
                types::MalformedReason::NoName => MalformedReason::NoName,
                types::MalformedReason::InvalidArguments => MalformedReason::InvalidArguments,
                types::MalformedReason::StrayMarker => MalformedReason::StrayMarker,
                types::MalformedReason::Unexpected => MalformedReason::Unexpected,
                types::MalformedReason::NotUtf8 => MalformedReason::NotUtf8,
                types::MalformedReason::Extension(word) => {
                    return Err(format!("unknown reason `{}`", take(word)?));
                }
            },
            raw: take(raw)?.to_owned(),
        },
        types::Event::Extension(said) => return Err(format!("unknown kind of event: {}", take(said)?)),
    })
}

/// The next bytes of a report's text.
fn take<'a>(text: &mut &'a str, length: u32) -> Result<&'a str, String> {
    match text.split_at_checked(length as usize) {
        Some((taken, rest)) => {
            *text = rest;
            Ok(taken)
        }
        None if length as usize <= text.len() => Err("a text of an event ends inside a code point".into()),
        None => {
            Err(format!("an event takes {length} bytes of a text that has {left} left", left = text.len()))
        }
    }
}

/// Why the plugin said no.
pub(crate) fn refusal(error: plugin::Error) -> String {
    match error {
        types::Error::Plan(why) | types::Error::Unsupported(why) | types::Error::Other(why) => why,
        types::Error::Extension(text) => text,
    }
}
