//! A session that runs in a guest, and what becomes of the output when the guest fails.

use std::sync::Arc;

use toolglot_format::{Event, FinishReason, MalformedReason, Piece, Plan};
use toolglot_parsers::Session;
use wasmtime::component::ResourceAny;

use crate::PluginError;
use crate::check::Checker;
use crate::engine::Shared;
use crate::family::{Instance, nonsense};
use crate::passthrough::Passthrough;
use crate::v0_1::{self, exports::toolglot::family::plugin};

/// Output is handed over in calls of at most so many bytes, so that no answer can be too large for its limit
/// only because the caller had all of the output at once.
const CALL_BYTES: usize = 64 << 10;

/// One turn, read by plugin code.
///
/// When the plugin fails, open calls end as incomplete, one [`MalformedReason::PluginFailed`] gives the
/// bytes that the plugin took and may not have reported, and the bytes of the failed call and all that
/// follow are content.
pub(crate) struct GuestSession {
    shared: Arc<Shared>,
    state: State,
    handle: ResourceAny,
    checker: Checker,
    passthrough: Passthrough,
}

enum State {
    Live(Box<Instance>),
    /// It failed while it was primed, which no event has told yet.
    Untold(PluginError),
    Failed(PluginError),
    Finished,
}

impl GuestSession {
    pub(crate) fn new(shared: Arc<Shared>, instance: Instance, handle: ResourceAny, plan: &Plan) -> Self {
        let state = State::Live(Box::new(instance));
        let (checker, passthrough) = (Checker::new(plan), Passthrough::default());
        GuestSession { shared, state, handle, checker, passthrough }
    }

    /// Hands over some output and takes the events.
    fn feed_some(&mut self, pieces: &[plugin::Piece<'_>], events: &mut Vec<Event>) {
        let before = self.checker.end();
        pieces.iter().for_each(|piece| self.checker.fed(piece.bytes));
        match std::mem::replace(&mut self.state, State::Finished) {
            State::Live(mut instance) => {
                let handle = self.handle;
                let said = instance.call(&self.shared, "session.feed", |guest, store| {
                    guest.toolglot_family_plugin().session().call_feed(store, handle, pieces)
                });
                let taken = said.and_then(|said| self.take(&instance, "session.feed", said, events));
                match taken {
                    Ok(()) => self.state = State::Live(instance),
                    Err(error) => self.fail(error, before, events),
                }
            }
            State::Untold(error) => self.fail(error, before, events),
            state => {
                self.state = state;
                let mut at = before;
                for piece in pieces {
                    self.passthrough.feed(piece.bytes, at, events);
                    at += piece.bytes.len() as u64;
                }
            }
        }
    }

    /// Checks events and appends them, neighbouring deltas joined.
    fn take(
        &mut self,
        instance: &Instance,
        call: &'static str,
        said: Vec<plugin::Event>,
        events: &mut Vec<Event>,
    ) -> Result<(), PluginError> {
        let first = events.len();
        for event in said {
            let event = v0_1::event(event)
                .and_then(|event| self.checker.event(&event).map(|()| event))
                .map_err(|what| nonsense(instance.family(), call, what))?;
            let last = events.get_mut(first..).and_then(<[Event]>::last_mut);
            if !last.is_some_and(|last| last.absorb(&event)) {
                events.push(event);
            }
        }
        Ok(())
    }

    /// Tells that the plugin failed in the call that took the output from `before` on.
    fn fail(&mut self, error: PluginError, before: u64, events: &mut Vec<Event>) {
        tracing::error!(%error, "a plugin failed; its output passes as content from here on");
        events.extend(self.checker.open_calls().map(|index| Event::CallEnd { index, complete: false }));
        let (start, end) = (self.checker.reported(), self.checker.end());
        let unreported = self.checker.unreported();
        let mut taken = usize::try_from(before.saturating_sub(start)).unwrap_or(unreported.len());
        // A code point that is cut here is whole in what follows.
        taken -= partial(&unreported[..taken]);
        let (taken, rest) = unreported.split_at(taken);
        let split = start + taken.len() as u64;
        let raw = String::from_utf8_lossy(taken).into_owned();
        events.push(Event::Malformed { span: start..split, reason: MalformedReason::PluginFailed, raw });
        self.passthrough.feed(rest, split, events);
        debug_assert_eq!(split + rest.len() as u64, end);
        self.state = State::Failed(error);
    }
}

impl Session for GuestSession {
    fn prime(&mut self, prompt_tail: &[u8]) {
        if let State::Live(instance) = &mut self.state {
            let handle = self.handle;
            let primed = instance.call(&self.shared, "session.prime", |guest, store| {
                guest.toolglot_family_plugin().session().call_prime(store, handle, prompt_tail)
            });
            if let Err(error) = primed {
                self.state = State::Untold(error);
            }
        }
    }

    fn feed(&mut self, pieces: &[Piece<'_>], events: &mut Vec<Event>) {
        if let [piece] = pieces
            && piece.bytes.len() <= CALL_BYTES
        {
            return self.feed_some(&[v0_1::piece(piece)], events);
        }
        let mut batch = Vec::with_capacity(pieces.len().min(1024));
        let mut bytes = 0;
        for piece in pieces {
            // A special token is never cut; an empty piece is still a piece.
            let size = if piece.special == Some(true) { piece.bytes.len().max(1) } else { CALL_BYTES };
            let mut parts = piece.bytes.chunks(size);
            let mut part = parts.next().or(Some(&[]));
            while let Some(some) = part {
                if bytes + some.len() > CALL_BYTES && !batch.is_empty() {
                    self.feed_some(&batch, events);
                    batch.clear();
                    bytes = 0;
                }
                bytes += some.len();
                batch.push(plugin::Piece { bytes: some, special: piece.special });
                part = parts.next();
            }
        }
        if !batch.is_empty() {
            self.feed_some(&batch, events);
        }
    }

    fn finish(&mut self, reason: FinishReason, events: &mut Vec<Event>) {
        let end = self.checker.end();
        match std::mem::replace(&mut self.state, State::Finished) {
            State::Live(mut instance) => {
                let handle = self.handle;
                let said = instance.call(&self.shared, "session.finish", |guest, store| {
                    let reason = v0_1::finish_reason(reason);
                    guest.toolglot_family_plugin().session().call_finish(store, handle, reason)
                });
                let taken = said
                    .and_then(|said| self.take(&instance, "session.finish", said, events))
                    .and_then(|()| {
                        let done = self.checker.finish();
                        done.map_err(|what| nonsense(instance.family(), "session.finish", what))
                    });
                if let Err(error) = taken {
                    self.fail(error, end, events);
                }
            }
            State::Untold(error) => self.fail(error, end, events),
            state => self.state = state,
        }
        self.passthrough.finish(end, events);
    }

    fn failure(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        match &self.state {
            State::Untold(error) | State::Failed(error) => Some(error),
            State::Live(_) | State::Finished => None,
        }
    }
}

/// The length of a code point that begins at the end of `bytes` and does not end there.
fn partial(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    (1..=tail.len())
        .find(|length| {
            let start = &tail[tail.len() - length..];
            start[0] >= 0xc0 && std::str::from_utf8(start).is_err_and(|error| error.error_len().is_none())
        })
        .unwrap_or(0)
}
