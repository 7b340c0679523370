//! Standing in a state: the literal that comes, or the region for input that begins with none.

use toolglot_format::{Channel, MalformedReason};

use super::out::Target;
use super::{Machine, Mode, is_ws};
use crate::program::{Action, Fallback, Found, Program, RegionId, RegionKind, Search, State, StateId, To};

impl Machine {
    /// Expects one of the state's literals.
    pub(super) fn expect(&mut self, p: &Program, id: StateId, bytes: &[u8]) -> usize {
        let state = &p.states[usize::from(id)];
        let scan = state.expected.scan(self.plain);
        let from = self.pending.len();
        let waits_for_more = state.ws || state.fallback.is_none();
        let mut i = 0;
        while i < bytes.len() {
            if self.search == Search::default() && self.pending_ws == from + i && waits_for_more {
                // Until a literal begins, white space is no more than that.
                let space = bytes[i..].iter().take_while(|&&byte| is_ws(byte) && !scan.begins(byte)).count();
                i += space;
                self.pending_ws += space;
            }
            if self.search.found.is_none() && self.search.node != 0 && self.pending_ws < from + i {
                let (node, len) = scan.follow(self.search.node, &bytes[i..]);
                i += len;
                self.search.node = node;
            }
            let Some(&byte) = bytes.get(i) else { break };
            i += 1;
            let end = from + i;
            if self.pending_ws == end - 1 && is_ws(byte) {
                self.pending_ws = end;
            }
            self.search.node = scan.step(self.search.node, byte);
            let partial = end - scan.depth(self.search.node);
            if let Some(new) = scan.ends(self.search.node, end) {
                let anchored =
                    new.start == 0 || new.start <= self.pending_ws && p.actions[usize::from(new.action)].ws;
                if anchored && self.search.found.is_none_or(|old| new.start <= old.start) {
                    self.search.found = Some(new);
                }
            }
            let goes_on = if partial == end {
                self.pending_ws == end && waits_for_more
            } else {
                partial == 0 || partial <= self.pending_ws && state.ws
            };
            if let Some(found) = self.search.found {
                let may_grow =
                    partial < found.start || partial == found.start && scan.extends(self.search.node);
                if !may_grow {
                    return self.reach(p, found, 0, bytes);
                }
            } else if !goes_on {
                return self.misfit(p, id, bytes, i);
            }
        }
        self.pending.extend_from_slice(bytes);
        bytes.len()
    }

    /// Nothing that the state expects has come. `seen` bytes of `bytes` were looked at.
    pub(super) fn misfit(&mut self, p: &Program, id: StateId, bytes: &[u8], seen: usize) -> usize {
        let state = &p.states[usize::from(id)];
        // Markup that does not fit is not text.
        if state.fallback.is_some()
            || self.pending.iter().chain(bytes).find(|byte| !is_ws(**byte)) == Some(&b'<')
        {
            self.close_value();
        }
        let ws = self.pending_ws;
        self.search = Search::default();
        let mut held = std::mem::take(&mut self.pending);
        let drop_ws = match state.fallback {
            Some(fallback) => fallback.ws,
            None => state.ws || state.in_call,
        };
        let mut used = 0;
        self.pending_ws = 0;
        if drop_ws {
            let in_held = ws.min(held.len());
            used = (ws - in_held).min(seen);
            let space = held.drain(..in_held).chain(bytes[..used].iter().copied());
            if self.weak.is_empty() {
                if self.call.is_none() {
                    self.out.leave_gap(space);
                }
            } else {
                // Framing only if the weak framing in front of it is.
                self.weak.extend(space);
            }
        }
        let at = self.at + used as u64 - held.len() as u64;
        match state.fallback {
            Some(Fallback { region, ends, starts, .. }) => {
                let kind = &p.regions[usize::from(region)].kind;
                if ends {
                    self.end_call(true, at);
                }
                if starts {
                    let resume = self.resume_from(p, id);
                    self.start_call(at, &held, &bytes[used..], resume);
                }
                if matches!(kind, RegionKind::Text(_)) {
                    self.weak.clear();
                } else if self.is_plausible() {
                    self.confirm_name();
                }
                self.enter(p, region);
            }
            None => self.unfit(p, id, at),
        }
        self.at += used as u64;
        self.replay(p, &held);
        self.at -= used as u64;
        self.reuse(held);
        used
    }

    /// Input fits nothing in state `id`: junk inside a call or a block of calls, content elsewhere.
    pub(super) fn unfit(&mut self, p: &Program, id: StateId, at: u64) {
        let State { unfit: region, block, .. } = p.states[usize::from(id)];
        if let Some(call) = &self.call
            && !call.started
        {
            // Models speak of their markers while they think: there, a marker without a name is none.
            let resume = &p.regions[usize::from(call.resume)].kind;
            let in_thought = call.name.is_none() && matches!(resume, RegionKind::Text(Channel::Reasoning));
            if !call.framed || in_thought {
                return self.give_back(p, at);
            }
        }
        if matches!(p.regions[usize::from(region)].kind, RegionKind::Junk) {
            if self.reopen_value(p, at) {
                return;
            }
            self.junk_from.get_or_insert(at);
        } else {
            self.end_call(true, at);
            if let Some(block) = block
                && self.in_block
            {
                return self.junk_in_block(p, block, region, at);
            }
            if !self.weak.is_empty() {
                self.give_back_weak();
                return self.enter(p, self.weak_resume);
            }
        }
        self.enter(p, region);
    }

    /// Input between a marker and the calls that it announces fits nothing. What then looks like a call and
    /// is none goes on as text, in `text`.
    fn junk_in_block(&mut self, p: &Program, region: RegionId, text: RegionId, at: u64) {
        self.resume = text;
        if !self.weak.is_empty() {
            let weak = std::mem::take(&mut self.weak);
            self.out.malformed(self.weak_at, at, MalformedReason::Unexpected, weak);
        }
        self.junk_from = Some(at);
        self.raw.clear();
        self.raw_from = at;
        self.enter(p, region);
    }

    /// Where text goes on when what begins here turns out to be text.
    fn resume_here(&self, p: &Program) -> RegionId {
        match self.mode {
            Mode::At(id) => self.resume_from(p, id),
            Mode::In(region) if matches!(p.regions[usize::from(region)].kind, RegionKind::Text(_)) => region,
            Mode::In(_) => self.resume,
        }
    }

    /// Where text goes on when a call that begins in state `id` turns out to be none.
    pub(super) fn resume_from(&self, p: &Program, id: StateId) -> RegionId {
        if !self.weak.is_empty() {
            return self.weak_resume;
        }
        let state = &p.states[usize::from(id)];
        match state.fallback {
            Some(fallback) if matches!(p.regions[usize::from(fallback.region)].kind, RegionKind::Text(_)) => {
                fallback.region
            }
            _ if matches!(p.regions[usize::from(state.unfit)].kind, RegionKind::Junk) => self.resume,
            _ => state.unfit,
        }
    }

    pub(super) fn enter(&mut self, p: &Program, region: RegionId) {
        self.mode = Mode::In(region);
        self.search = Search::default();
        self.pending_ws = 0;
        match &p.regions[usize::from(region)].kind {
            RegionKind::Text(_) => {
                self.resume = region;
                self.in_block = false;
                self.behind_call = false;
                self.no_call(self.pending_at());
            }
            RegionKind::Junk => {}
            RegionKind::Name(_) | RegionKind::Id | RegionKind::Key(_) | RegionKind::Type(_) => {
                self.word.clear()
            }
            RegionKind::Value { escape, .. } => self.start_value(p, *escape),
            RegionKind::Json => self.start_json(p),
            RegionKind::Python => self.start_python(p),
            RegionKind::Raw(key) => self.start_raw(p, key),
            RegionKind::Object(_) => self.object.restart(),
            RegionKind::Elements(_) => self.start_elements(),
        }
    }

    pub(super) fn go(&mut self, p: &Program, id: StateId, at: u64) {
        self.mode = Mode::At(id);
        self.search = Search::default();
        self.pending_ws = 0;
        let state = &p.states[usize::from(id)];
        if !state.in_call {
            self.no_call(at);
        } else if state.call_over {
            if self.is_plausible() {
                self.end_call(true, at);
            } else {
                self.give_back(p, at);
            }
        }
    }

    /// A literal was found. Takes it, and runs again what stands behind it and was looked at already. White
    /// space from `ws_from` on belongs to it.
    pub(super) fn reach(&mut self, p: &Program, found: Found, ws_from: usize, bytes: &[u8]) -> usize {
        let mut held = std::mem::take(&mut self.pending);
        let from = held.len();
        held.extend_from_slice(&bytes[..found.end.saturating_sub(from)]);
        let action = &p.actions[usize::from(found.action)];
        let start_at = self.at - from as u64 + found.start as u64;
        self.search = Search::default();
        self.pending_ws = 0;
        let behind = found.end;
        let keeps_literal = matches!(action.to, To::Region(_) | To::Done);
        let resume_at = if keeps_literal { found.start } else { behind };
        if ws_from < found.start && self.call.is_none() {
            self.out.leave_gap(held[ws_from..found.start].iter().copied());
        }
        if action.ends {
            self.end_call(true, start_at);
        }
        if action.starts {
            let resume = self.resume_here(p);
            // White space in front is framing for the text that the call may turn out to be, too.
            let ws_from = match self.mode {
                Mode::At(id) if self.takes_ws(p, id) => found.start,
                _ => ws_from,
            };
            let in_held = &held[ws_from.min(from)..from];
            let behind = &bytes[ws_from.saturating_sub(from)..];
            self.start_call(start_at - (found.start - ws_from) as u64, in_held, behind, resume);
        }
        if action.weak && self.call.is_none() {
            // In front of the first, white space may be framing for text, too.
            let ws_from = match self.mode {
                Mode::At(id) if self.weak.is_empty() && self.takes_ws(p, id) => found.start,
                _ => ws_from,
            };
            if self.weak.is_empty() {
                self.weak_at = start_at - (found.start - ws_from) as u64;
                self.weak_resume = self.resume_here(p);
                self.weak_channel = match p.regions[usize::from(self.weak_resume)].kind {
                    RegionKind::Text(channel) => channel,
                    _ => Channel::Content,
                };
            }
            self.weak.extend_from_slice(&held[ws_from.min(found.start)..found.start]);
        }
        self.arrive(p, action, &held[found.start..found.end], start_at);
        // What was looked at behind the literal.
        held.truncate(from);
        self.again(p, held, resume_at)
    }

    /// Whether white space is framing in front of what begins with no literal.
    fn takes_ws(&self, p: &Program, id: StateId) -> bool {
        p.states[usize::from(id)].fallback.is_some_and(|fallback| fallback.ws)
    }

    /// Moves on over a literal.
    pub(super) fn arrive(&mut self, p: &Program, action: &Action, literal: &[u8], at: u64) {
        self.end_junk(at);
        self.pass_marker();
        let end = at + literal.len() as u64;
        self.behind = end;
        match action.to {
            To::Stray => {
                self.out.malformed(at, end, MalformedReason::StrayMarker, literal);
            }
            // Taken where the value is read.
            To::Entity => {}
            To::Region(region) => {
                if self.call.is_some() && self.is_plausible() {
                    self.confirm_name();
                }
                self.enter(p, region);
            }
            To::Done => {
                if let Mode::In(region) = self.mode {
                    let done = p.regions[usize::from(region)].done;
                    self.go(p, done, at);
                }
            }
            To::State(state) => {
                // A closing marker that stands in text closes nothing that was open.
                let in_text = matches!(self.mode, Mode::In(region)
                    if matches!(p.regions[usize::from(region)].kind, RegionKind::Text(_)));
                let announces = action.marker && !(action.closes && in_text);
                // Its marker may turn out to be a block's that begins alike.
                let vague = self
                    .call
                    .as_ref()
                    .is_some_and(|call| !call.started && !call.nameless && call.name.is_none());
                if self.call.is_some() {
                    if action.name {
                        self.name(literal.to_vec(), at);
                        self.listed_name();
                    } else {
                        let plausible = self.is_plausible();
                        if let Some(call) = &mut self.call {
                            call.framed |= match call.name {
                                Some(_) => {
                                    action.marker || plausible && !p.states[usize::from(state)].needs_marker
                                }
                                None => !action.weak,
                            };
                        }
                        if self.call.as_ref().is_some_and(|call| call.framed) {
                            self.confirm_name();
                        }
                    }
                } else if action.weak {
                    if self.weak.is_empty() {
                        self.weak_at = at;
                    }
                    self.weak.extend_from_slice(literal);
                } else {
                    self.in_block |= announces;
                    self.weak.clear();
                }
                self.go(p, state, end);
                self.in_block |= vague && announces && self.call.is_none();
            }
        }
    }

    /// Weak framing came to nothing: it was text.
    pub(super) fn give_back_weak(&mut self) {
        if !self.weak.is_empty() {
            let weak = std::mem::take(&mut self.weak);
            self.out.bytes(Target::Text(self.weak_channel), &weak, self.weak_at);
        }
    }
}
