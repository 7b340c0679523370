//! Free text, and input inside a call that fits nothing.

use toolglot_format::{Channel, MalformedReason};

use super::out::Target;
use super::{Machine, Steady, is_ws};
use crate::program::{Program, RegionId, Step};

impl Machine {
    /// Where the white space begins that ends at `end` of `pending` and `bytes` together.
    pub(super) fn trim_end(&self, bytes: &[u8], end: usize) -> usize {
        let from = self.pending.len();
        let mut end = end;
        while end > from && is_ws(bytes[end - from - 1]) {
            end -= 1;
        }
        if end > from {
            return end;
        }
        while end > self.pending_ws && is_ws(self.pending[end - 1]) {
            end -= 1;
        }
        if end <= self.pending_ws { 0 } else { end }
    }

    #[inline]
    pub(super) fn text(&mut self, p: &Program, id: RegionId, channel: Channel, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        let scan = region.expected.scan(self.plain);
        let from = self.pending.len();
        let ends_in_ws = region.ws && bytes.last().copied().is_some_and(is_ws);
        let first = self.first_place(scan, bytes);
        if first == Some(bytes.len()) && !ends_in_ws && !self.may_name(region, bytes) {
            // Most chunks of plain text.
            self.out.bytes(Target::Text(channel), bytes, self.at);
            self.steady = Steady::Text(id, channel);
            return bytes.len();
        }
        match self.search.run_from(scan, bytes, from, first) {
            Step::Found(found) => {
                if let Some(rules) = &region.unmarked
                    && let Some(begin) = self.unmarked_call(rules, bytes, found)
                {
                    self.emit(channel, bytes, begin);
                    return self.start_unmarked(p, rules, begin, bytes);
                }
                let action = &p.actions[usize::from(found.action)];
                let end = if action.ws { self.trim_end(bytes, found.start) } else { found.start };
                self.emit(channel, bytes, end);
                self.reach(p, found, end, bytes)
            }
            Step::More(hold) => {
                let name = region.unmarked.as_ref().and_then(|_| self.unmarked_tail(bytes, hold));
                if let Some(begin) = name {
                    self.emit(channel, bytes, begin);
                    self.hold(bytes, begin, begin);
                    return bytes.len();
                }
                let end = if region.ws { self.trim_end(bytes, hold) } else { hold };
                self.emit(channel, bytes, end);
                self.hold(bytes, end, hold);
                bytes.len()
            }
        }
    }

    /// Gives out the first `end` bytes of `pending` and `bytes` together.
    #[inline]
    pub(super) fn emit(&mut self, channel: Channel, bytes: &[u8], end: usize) {
        self.joined(bytes, end, |machine, bytes, at| machine.out.bytes(Target::Text(channel), bytes, at));
    }

    /// Hands over the first `end` bytes of `pending` and `bytes` as one, with their offset.
    #[inline]
    pub(super) fn joined(&mut self, bytes: &[u8], end: usize, take: impl FnOnce(&mut Self, &[u8], u64)) {
        let from = self.pending.len();
        if end == 0 {
            return;
        }
        if from == 0 {
            let at = self.at;
            return take(self, &bytes[..end], at);
        }
        let at = self.pending_at();
        let mut held = std::mem::take(&mut self.pending);
        held.extend_from_slice(&bytes[..end.saturating_sub(from)]);
        take(self, &held[..end], at);
        held.truncate(from);
        self.pending = held;
    }

    /// Keeps what follows `end` of `pending` and `bytes` together; the white space ends at `ws_end`.
    pub(super) fn hold(&mut self, bytes: &[u8], end: usize, ws_end: usize) {
        let from = self.pending.len();
        if end == 0 && from > 0 {
            if self.pending_ws == from {
                self.pending_ws = ws_end;
            }
            self.pending.extend_from_slice(bytes);
        } else if end >= from {
            self.pending.clear();
            self.pending.extend_from_slice(&bytes[end - from..]);
            self.pending_ws = ws_end - end;
        } else {
            self.pending.drain(..end);
            self.pending.extend_from_slice(bytes);
            self.pending_ws = ws_end - end;
        }
        if let Some(found) = &mut self.search.found {
            found.start -= end;
            found.end -= end;
        }
    }

    /// Input inside a call that fits nothing, up to a marker.
    pub(super) fn junk(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
        let scan = p.regions[usize::from(id)].expected.scan(self.plain);
        let from = self.pending.len();
        match self.search.run(scan, bytes, from) {
            Step::Found(found) => self.reach(p, found, found.start, bytes),
            Step::More(hold) => {
                self.hold(bytes, hold, hold);
                bytes.len()
            }
        }
    }

    /// Reports the junk in front of `at`, if there is any.
    #[inline]
    pub(super) fn end_junk(&mut self, at: u64) {
        if let Some(from) = self.junk_from.take() {
            self.report_unexpected(from, at);
        }
    }

    fn report_unexpected(&mut self, from: u64, at: u64) {
        let raw = self.raw_of(from, at);
        if raw.iter().all(|&byte| is_ws(byte)) {
            return;
        }
        self.report(from, at, MalformedReason::Unexpected);
    }
}
