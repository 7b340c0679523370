//! Where reading stops: at a special token, and at the end of the input.

use toolglot_format::{FinishReason, MalformedReason};

use super::{Machine, Mode, Steady};
use crate::program::{Program, RegionId, RegionKind, Scan, Search};

impl Machine {
    /// One special token: a marker that may come now, or a stray one.
    pub(super) fn take_special(&mut self, p: &Program, bytes: &[u8]) {
        self.steady = Steady::No;
        if self.plain {
            self.change_reading(p, false);
        }
        if self.call.is_some() || self.junk_from.is_some() {
            self.keep_raw(bytes);
        }
        if self.is_expected(p, bytes) {
            if let Mode::In(region) = self.mode {
                self.leave_region(p, region, bytes);
            }
            return self.advance(p, bytes);
        }
        self.settle_pending(p);
        if self.is_expected(p, bytes) {
            if let Mode::In(region) = self.mode {
                self.leave_region(p, region, bytes);
            }
            return self.advance(p, bytes);
        }
        let in_data = match self.mode {
            Mode::In(region) => {
                !matches!(p.regions[usize::from(region)].kind, RegionKind::Text(_) | RegionKind::Junk)
            }
            Mode::At(_) => false,
        };
        if in_data {
            return self.advance(p, bytes);
        }
        self.close_value();
        // Settling what waited may have begun a call.
        if self.call.is_some() || self.junk_from.is_some() {
            self.keep_raw(bytes);
        }
        let at = self.at;
        self.at += bytes.len() as u64;
        if self.junk_from.is_none() {
            self.out.malformed(at, self.at, MalformedReason::StrayMarker, bytes);
        }
    }

    /// Whether the token is a literal, or part of one, that may come now.
    pub(super) fn is_expected(&self, p: &Program, bytes: &[u8]) -> bool {
        let fits = |scan: &Scan, node: u16| {
            let end = scan.walk(node, bytes);
            scan.depth(end) >= bytes.len()
        };
        let region_fits = |region: RegionId| fits(p.regions[usize::from(region)].expected.scan(false), 0);
        match self.mode {
            Mode::In(region) => {
                let region = &p.regions[usize::from(region)];
                fits(region.expected.scan(false), self.search.node)
            }
            Mode::At(state) => {
                let state = &p.states[usize::from(state)];
                fits(state.expected.scan(false), self.search.node)
                    || state.fallback.is_some_and(|fallback| region_fits(fallback.region))
                    || region_fits(state.unfit)
                    || state.block.is_some_and(region_fits)
            }
        }
    }

    // ---- the end ----

    /// Decides about what waits as if nothing followed, without ending the region.
    pub(super) fn settle_pending(&mut self, p: &Program) {
        // Each round takes a literal or empties `pending`, so this ends.
        while !self.pending.is_empty() {
            if let Some(found) = self.search.found {
                let mut ws_from = if let Mode::At(_) = self.mode { 0 } else { found.start };
                if let Mode::In(region) = self.mode
                    && let RegionKind::Text(channel) = p.regions[usize::from(region)].kind
                {
                    let action = &p.actions[usize::from(found.action)];
                    let end = if action.ws { self.trim_end(&[], found.start) } else { found.start };
                    self.emit(channel, &[], end);
                    ws_from = end;
                }
                if let Mode::In(region) = self.mode
                    && matches!(
                        p.regions[usize::from(region)].kind,
                        RegionKind::Value { .. }
                            | RegionKind::Raw(_)
                            | RegionKind::Name(_)
                            | RegionKind::Id
                            | RegionKind::Key(_)
                            | RegionKind::Type(_)
                            | RegionKind::Elements(_)
                    )
                {
                    self.settle_region(p, region, Some(found));
                    continue;
                }
                self.reach(p, found, ws_from, &[]);
                continue;
            }
            match self.mode {
                Mode::At(state) => {
                    if self.pending_ws == self.pending.len() {
                        let state = &p.states[usize::from(state)];
                        let framing = state.ws || state.in_call || state.fallback.is_none();
                        if framing {
                            self.pending.clear();
                            self.pending_ws = 0;
                            self.search = Search::default();
                            return;
                        }
                    }
                    self.close_value();
                    self.misfit(p, state, &[], 0);
                }
                Mode::In(region) => {
                    match &p.regions[usize::from(region)].kind {
                        RegionKind::Text(channel) => {
                            let end = self.pending.len();
                            self.emit(*channel, &[], end);
                            self.pending.clear();
                        }
                        RegionKind::Junk => self.pending.clear(),
                        _ => self.settle_region(p, region, None),
                    }
                    self.search = Search::default();
                    self.pending_ws = 0;
                }
            }
        }
    }

    pub(super) fn end_of_input(&mut self, p: &Program, reason: FinishReason) {
        self.settle_pending(p);
        // A region can give way to another at its end; each turn leaves one.
        for _ in 0..4 {
            let Mode::In(region) = self.mode else { break };
            if !self.finish_region(p, region, reason) {
                break;
            }
            self.settle_pending(p);
        }
        let at = self.at;
        if self.call.is_some() {
            self.cut_call(p, reason, at);
        }
        self.end_junk(at);
        // Behind framing that may end the turn, nothing more had to come.
        match self.mode {
            Mode::At(state) if p.states[usize::from(state)].ends => self.weak.clear(),
            _ => self.give_back_weak(),
        }
    }
}
