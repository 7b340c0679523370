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

/// Ordinary output is handed over in calls of at most so many bytes. No answer can then be too large for its
/// limit only because the caller had all of the output at once, and a guest uses the same little memory again
/// and again, where each new page would cost it more than a call does.
const CALL_BYTES: usize = 4 << 10;

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
    /// The last bytes of the output are kept back, so many of them, all with this `special`.
    kept: usize,
    special: Option<bool>,
    /// What the plugin waits for, and whether it has nothing to wait for or the kept bytes hold it.
    waits_for: Option<u8>,
    due: bool,
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
        let (kept, special, waits_for, due) = (0, None, None, false);
        GuestSession { shared, state, handle, checker, passthrough, kept, special, waits_for, due }
    }

    /// Hands over the output that was kept and takes the events, which are joined from `first` on.
    fn hand_over(&mut self, first: usize, events: &mut Vec<Event>) {
        if self.kept > 0 {
            self.call(first, events);
        }
    }

    /// As [`GuestSession::hand_over`], even if no bytes were kept: a special token may have none.
    fn call(&mut self, first: usize, events: &mut Vec<Event>) {
        let bytes = self.checker.last(self.kept);
        let before = self.checker.end() - bytes.len() as u64;
        (self.kept, self.due) = (0, false);
        match std::mem::replace(&mut self.state, State::Finished) {
            State::Live(mut instance) => {
                let (handle, special) = (self.handle, self.special);
                let said = instance.call(&self.shared, "session.feed", |guest, store| {
                    let piece = plugin::Piece { bytes, special };
                    guest.toolglot_family_plugin().session().call_feed(store, handle, piece)
                });
                let taken = said.and_then(|said| self.take(&instance, "session.feed", &said, first, events));
                match taken {
                    Ok(()) => self.state = State::Live(instance),
                    Err(error) => self.fail(error, before, events),
                }
            }
            State::Untold(error) => self.fail(error, before, events),
            state => {
                self.state = state;
                self.passthrough.feed(bytes, before, events);
            }
        }
    }

    /// Checks events and appends them, neighbouring deltas from `first` on joined.
    fn take(
        &mut self,
        instance: &Instance,
        call: &'static str,
        said: &plugin::Report,
        first: usize,
        events: &mut Vec<Event>,
    ) -> Result<(), PluginError> {
        let mut take = || {
            let mut text = said.text.as_str();
            for event in &said.events {
                let event = v0_1::event(*event, &mut text)?;
                self.checker.event(&event)?;
                let last = events.get_mut(first..).and_then(<[Event]>::last_mut);
                if !last.is_some_and(|last| last.absorb(&event)) {
                    events.push(event);
                }
            }
            match text.len() {
                0 => Ok(()),
                more => Err(format!("{more} bytes of text belong to no event")),
            }
        };
        self.waits_for = said.waits_for;
        take().map_err(|what| nonsense(instance.family(), call, what))
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
        self.waits_for = None;
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
        let first = events.len();
        for piece in pieces {
            let token = piece.special == Some(true);
            if token || piece.special != self.special {
                self.hand_over(first, events);
                self.special = piece.special;
            }
            if token {
                // It is never cut or kept.
                self.checker.fed(piece.bytes);
                self.kept = piece.bytes.len();
                self.call(first, events);
                continue;
            }
            for part in piece.bytes.chunks(CALL_BYTES) {
                if self.kept + part.len() > CALL_BYTES {
                    self.hand_over(first, events);
                }
                self.checker.fed(part);
                self.kept += part.len();
                self.due |= self.waits_for.is_none_or(|byte| part.contains(&byte));
            }
        }
        if self.due {
            self.hand_over(first, events);
        }
    }

    fn finish(&mut self, reason: FinishReason, events: &mut Vec<Event>) {
        let first = events.len();
        self.hand_over(first, events);
        let end = self.checker.end();
        match std::mem::replace(&mut self.state, State::Finished) {
            State::Live(mut instance) => {
                let handle = self.handle;
                let said = instance.call(&self.shared, "session.finish", |guest, store| {
                    let reason = v0_1::finish_reason(reason);
                    guest.toolglot_family_plugin().session().call_finish(store, handle, reason)
                });
                let taken = said
                    .and_then(|said| self.take(&instance, "session.finish", &said, first, events))
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
