//! A whole assistant turn: what events add up to and what a printer prints.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Channel, Event, MalformedReason};

/// An assistant turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// Thinking.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// The answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// Tool calls in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// What was wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub malformed: Vec<MalformedSpan>,
}

/// One tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The tool's name.
    pub name: String,
    /// The id, where the format carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The arguments as JSON text, byte for byte as they were emitted.
    pub arguments: String,
    /// Whether the call was closed and its arguments are one whole JSON object.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub complete: bool,
}

fn yes() -> bool {
    true
}

/// A part of the output that is not as the format says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalformedSpan {
    /// Byte offsets in the output.
    pub span: Range<u64>,
    /// What is wrong.
    pub reason: MalformedReason,
    /// The bytes, lossily decoded.
    pub raw: String,
}

impl Turn {
    /// Adds one event. Events must come in the order a parser gave them.
    pub fn push(&mut self, event: Event) {
        match event {
            Event::Text { channel: Channel::Content, text } => self.content += &text,
            Event::Text { channel: Channel::Reasoning, text } => self.reasoning += &text,
            Event::CallStart { name, id, .. } => {
                self.calls.push(Call { name, id, arguments: String::new(), complete: false });
            }
            Event::CallId { index, id } => {
                if let Some(call) = self.calls.get_mut(index as usize) {
                    call.id = Some(id);
                }
            }
            Event::Arguments { index, json } => {
                if let Some(call) = self.calls.get_mut(index as usize) {
                    call.arguments += &json;
                }
            }
            Event::CallEnd { index, complete } => {
                if let Some(call) = self.calls.get_mut(index as usize) {
                    call.complete = complete;
                }
            }
            Event::Malformed { span, reason, raw } => {
                self.malformed.push(MalformedSpan { span, reason, raw });
            }
        }
    }
}

impl FromIterator<Event> for Turn {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        let mut turn = Turn::default();
        events.into_iter().for_each(|event| turn.push(event));
        turn
    }
}
