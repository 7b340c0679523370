//! The contract of a parsing session.

use toolglot_format::{Event, FinishReason, Piece};

/// One assistant turn being parsed. Parsing cannot fail: what is wrong becomes an event.
///
/// The events do not depend on how the output was cut into pieces, once neighbouring deltas of one kind are
/// joined.
pub trait Session: Send {
    /// Takes the part of the prompt behind the family's [`TurnFrame::open`], such as `<think>\n` or a
    /// prefilled call. The state moves as if the model had written it; no event comes of it and spans do not
    /// count it. Only a call that it leaves open is told of, by the first events that follow.
    ///
    /// Call it before the first [`Session::feed`].
    ///
    /// [`TurnFrame::open`]: toolglot_format::TurnFrame::open
    fn prime(&mut self, prompt_tail: &[u8]);

    /// Takes output and appends events. Neighbouring deltas of one kind come joined.
    fn feed(&mut self, pieces: &[Piece<'_>], events: &mut Vec<Event>);

    /// Ends the turn: what was held back is given out, and an open call is closed. Nothing may be fed after.
    fn finish(&mut self, reason: FinishReason, events: &mut Vec<Event>);

    /// A byte that the session waits for: it gives no event before this byte, a special token or the end
    /// comes. A host may keep output from a plugin's session until then, which spares it most calls; where
    /// sessions are native, nobody asks.
    fn waits_for(&self) -> Option<u8> {
        None
    }

    /// Why a plugin's session fails to parse, once it has told so with
    /// [`MalformedReason::PluginFailed`](toolglot_format::MalformedReason::PluginFailed). Native sessions
    /// never do.
    fn failure(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        None
    }
}

/// What a session may be told beside the plan. Nothing so far; fields may come, so build it with
/// [`SessionOptions::default`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionOptions {}
