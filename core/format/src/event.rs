//! What goes into a parser ([`Piece`]) and what comes out ([`Event`]).

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Where a piece of assistant text belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The answer that the user sees.
    Content,
    /// Thinking.
    Reasoning,
}

/// A piece of model output: the bytes of one or more tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The bytes. A code point may be split between two pieces.
    pub bytes: &'a [u8],
    /// `Some(true)`: one special token. `Some(false)`: ordinary tokens, whose text is never a special
    /// marker even when it is spelled like one. `None`: not known, spelling decides.
    pub special: Option<bool>,
}

impl<'a> Piece<'a> {
    /// Plain text of unknown tokens: spelling decides what is a marker.
    pub fn text(text: &'a str) -> Self {
        Piece { bytes: text.as_bytes(), special: None }
    }
}

/// What a parser reports, in the order of the output.
///
/// Concatenating the deltas of one kind gives the same result however the input was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// More text of a channel. Never empty.
    Text {
        /// Which channel.
        channel: Channel,
        /// The delta.
        text: String,
    },
    /// A call begins: its name is known.
    CallStart {
        /// Position among the turn's calls, from 0.
        index: u32,
        /// The name as written.
        name: String,
        /// The id, where the format writes one before the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Whether a planned tool has this name. Always true when no tools were planned.
        known: bool,
    },
    /// The id of a call that has begun already: the format writes it behind the name.
    CallId {
        /// The call.
        index: u32,
        /// The id.
        id: String,
    },
    /// More of a call's arguments, as JSON text. Never empty.
    Arguments {
        /// The call.
        index: u32,
        /// The delta.
        json: String,
    },
    /// A call ends.
    CallEnd {
        /// The call.
        index: u32,
        /// Whether it was closed and its arguments are one whole JSON object. When false, the arguments
        /// stand as far as they came.
        complete: bool,
    },
    /// Something in the output is not as the format says. The bytes of `span` are in no other event unless
    /// `reason` says otherwise.
    Malformed {
        /// Byte offsets in the output, from the first byte fed after priming.
        span: Range<u64>,
        /// What is wrong.
        reason: MalformedReason,
        /// The bytes of the span, lossily decoded.
        raw: String,
    },
}

impl Event {
    /// Joins neighbouring deltas of one kind: the form in which the events of one output are the same
    /// however it was cut.
    pub fn join(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
        let mut joined: Vec<Event> = Vec::new();
        for event in events {
            if !joined.last_mut().is_some_and(|last| last.absorb(&event)) {
                joined.push(event);
            }
        }
        joined
    }

    /// Takes over what the next event says if both are deltas of one kind; says whether it did.
    pub fn absorb(&mut self, next: &Event) -> bool {
        match (self, next) {
            (Event::Text { channel, text }, Event::Text { channel: same, text: more }) if channel == same => {
                text.push_str(more);
                true
            }
            (Event::Arguments { index, json }, Event::Arguments { index: same, json: more })
                if index == same =>
            {
                json.push_str(more);
                true
            }
            _ => false,
        }
    }
}

/// What can be wrong in a model's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MalformedReason {
    /// The output ended inside a call; what was known of it is in its events too.
    CutOff,
    /// A call's frame holds no name; the bytes are also given as content.
    NoName,
    /// The arguments are not as the format writes them; they are also given as the call's arguments, as far as
    /// they came or, where they could be mended in one way only, mended (then the call is complete). JSON in which an
    /// object has a key twice stands as it came.
    InvalidArguments,
    /// A closing marker without its opening one, or framing out of place.
    StrayMarker,
    /// Bytes that fit no part of the format, inside a frame.
    Unexpected,
    /// Not UTF-8; given as replacement characters.
    NotUtf8,
    /// A plugin failed; from here on the output passes as content.
    PluginFailed,
}

/// Why generation ended, as a parser needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its turn (EOS token or a stop of the family).
    Stop,
    /// Cut off: token limit, a user's stop string, cancellation.
    Cut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_neighbours_of_one_kind_only() {
        let text = |channel, text: &str| Event::Text { channel, text: text.into() };
        let json = |index, json: &str| Event::Arguments { index, json: json.into() };
        let events = [
            text(Channel::Reasoning, "a"),
            text(Channel::Content, "b"),
            text(Channel::Content, "c"),
            json(0, "{"),
            json(0, "}"),
            json(1, "{}"),
        ];
        let joined =
            [text(Channel::Reasoning, "a"), text(Channel::Content, "bc"), json(0, "{}"), json(1, "{}")];
        assert_eq!(Event::join(events), joined);
    }
}
