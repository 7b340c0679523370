//! The streaming parser: one engine that follows any [`Program`].
//!
//! The parser stands in a state (it expects one of a few literals) or in a region (data runs until a
//! literal). Bytes that may belong to a literal are held back in `pending`; everything else is given out at
//! once. A byte is looked at once, twice where a literal did not come true.
//!
//! Nothing here knows a family. What a call is made of is in [`call`], the regions of arguments in
//! [`args`], [`object`] and [`value`].

mod args;
mod call;
mod escape;
mod json;
mod object;
mod out;
mod python;
mod value;

use std::sync::Arc;

use toolglot_format::{Channel, Event, FinishReason, MalformedReason, Piece, Plan};

use crate::program::{
    Action, Fallback, Found, Program, RegionId, RegionKind, Scan, Search, StateId, Step, To,
};
use crate::{Session, SessionOptions};
use args::ArgsState;
use call::CallState;
pub(crate) use call::Tools;
pub(crate) use escape::quote;
pub(crate) use json::{Json, Met};
use object::ObjectState;
use out::{Out, Target};
use python::Python;
use value::ValueState;
pub(crate) use value::typed;

/// The engine's [`Session`]: parses one assistant turn.
#[derive(Debug)]
pub struct Parser {
    program: Arc<Program>,
    machine: Machine,
    finished: bool,
}

/// Everything that moves.
#[derive(Debug)]
struct Machine {
    tools: Tools,
    out: Out,
    mode: Mode,
    /// Bytes of the input that wait for more: they may belong to a literal.
    pending: Vec<u8>,
    /// How many white space bytes `pending` begins with.
    pending_ws: usize,
    search: Search,
    /// The bytes in hand come from ordinary tokens, which spell no special marker.
    plain: bool,
    /// Offset of the next byte behind `pending`, counted from the first byte ever fed.
    at: u64,
    /// The input since `raw_from`, kept while a call is open.
    raw: Vec<u8>,
    raw_from: u64,
    call: Option<CallState>,
    calls: u32,
    /// Framing outside calls that also occurs in ordinary text: given back when nothing comes of it.
    weak: Vec<u8>,
    weak_at: u64,
    /// Where text that looked like a call goes on.
    resume: RegionId,
    /// A name, id or key in the making.
    word: Vec<u8>,
    /// Input that fits nothing: from where.
    junk_from: Option<u64>,
    json: Json,
    inner: Json,
    args: ArgsState,
    object: ObjectState,
    python: Python,
    value: ValueState,
    /// The call that the prompt left open, told of by the first events.
    preface: Vec<Event>,
}

/// How many bytes are followed at a time.
const SLICE: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    At(StateId),
    In(RegionId),
}

impl Parser {
    /// A parser for one turn. It reads the plan's tool names and, for formats that write values without
    /// types, their schemas.
    pub fn new(program: Arc<Program>, plan: &Plan, _options: SessionOptions) -> Self {
        let machine = Machine {
            tools: Tools::new(plan, program.is_typed()),
            out: Out::new(),
            mode: Mode::At(0),
            pending: Vec::new(),
            pending_ws: 0,
            search: Search::default(),
            plain: false,
            at: 0,
            raw: Vec::new(),
            raw_from: 0,
            call: None,
            calls: 0,
            weak: Vec::new(),
            weak_at: 0,
            resume: 0,
            word: Vec::new(),
            junk_from: None,
            json: Json::new(),
            inner: Json::new(),
            args: ArgsState::Start,
            object: ObjectState::default(),
            python: Python::default(),
            value: ValueState::default(),
            preface: Vec::new(),
        };
        Parser { program, machine, finished: false }
    }
}

impl Session for Parser {
    fn prime(&mut self, prompt_tail: &[u8]) {
        self.machine.prime(&self.program, prompt_tail);
    }

    fn feed(&mut self, pieces: &[Piece<'_>], events: &mut Vec<Event>) {
        let machine = &mut self.machine;
        std::mem::swap(&mut machine.out.events, events);
        machine.begin();
        for piece in pieces {
            machine.take(&self.program, piece.bytes, piece.special);
        }
        machine.out.flush_delta();
        std::mem::swap(&mut machine.out.events, events);
    }

    fn finish(&mut self, reason: FinishReason, events: &mut Vec<Event>) {
        let machine = &mut self.machine;
        std::mem::swap(&mut machine.out.events, events);
        machine.begin();
        if !std::mem::replace(&mut self.finished, true) {
            machine.end_of_input(&self.program, reason);
            machine.out.flush();
        }
        std::mem::swap(&mut machine.out.events, events);
    }
}

pub(crate) fn is_ws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

impl Machine {
    fn prime(&mut self, p: &Program, prompt_tail: &[u8]) {
        self.take(p, prompt_tail, None);
        self.out.flush_delta();
        self.out.mute_until = self.at;
        let open = self.call.as_ref().filter(|call| call.started).map(|call| call.index);
        // The turn's calls count from 0, whatever the prompt held.
        self.calls = u32::from(open.is_some());
        if let Some(call) = &mut self.call {
            call.index = 0;
        }
        for mut event in self.out.restart(open) {
            if let Event::CallStart { index, .. }
            | Event::CallId { index, .. }
            | Event::Arguments { index, .. } = &mut event
            {
                *index = 0;
                self.preface.push(event);
            }
        }
    }

    fn begin(&mut self) {
        if !self.preface.is_empty() {
            let preface = std::mem::take(&mut self.preface);
            self.out.events.extend(preface);
        }
    }

    #[inline]
    fn take(&mut self, p: &Program, bytes: &[u8], special: Option<bool>) {
        match special {
            Some(true) => self.take_special(p, bytes),
            _ => {
                let plain = special.is_some();
                if plain != self.plain {
                    self.change_reading(p, plain);
                }
                self.advance(p, bytes);
            }
        }
    }

    /// The bytes to come are read differently from those that wait.
    #[cold]
    fn change_reading(&mut self, p: &Program, plain: bool) {
        if self.search.found.is_some() {
            self.settle_pending(p);
        }
        self.plain = plain;
        if !self.pending.is_empty() && self.search.node != 0 {
            let tail = &self.pending[self.pending_ws.min(self.pending.len())..];
            self.search.node = self.scan(p).walk(0, tail);
        }
    }

    fn scan<'p>(&self, p: &'p Program) -> &'p Scan {
        match self.mode {
            Mode::At(state) => p.states[usize::from(state)].expected.scan(self.plain),
            Mode::In(region) => p.regions[usize::from(region)].expected.scan(self.plain),
        }
    }

    /// Follows bytes of one reading.
    fn advance(&mut self, p: &Program, bytes: &[u8]) {
        // A call that begins keeps what is in hand, so that must stay small.
        for slice in bytes.chunks(SLICE) {
            self.advance_slice(p, slice);
        }
    }

    fn advance_slice(&mut self, p: &Program, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.call.is_some() {
                self.keep_raw(bytes);
            }
            let used = match self.mode {
                Mode::At(state) => self.expect(p, state, bytes),
                Mode::In(region) => self.inside(p, region, bytes),
            };
            self.at += used as u64;
            bytes = &bytes[used..];
        }
    }

    fn inside(&mut self, p: &Program, region: RegionId, bytes: &[u8]) -> usize {
        match &p.regions[usize::from(region)].kind {
            RegionKind::Text(channel) => self.text(p, region, *channel, bytes),
            RegionKind::Junk => self.junk(p, region, bytes),
            RegionKind::Name | RegionKind::Id | RegionKind::Key => self.in_word(p, region, bytes),
            RegionKind::Raw(_) => self.in_raw(p, region, bytes),
            RegionKind::Value { .. } => self.in_value(p, region, bytes),
            RegionKind::Json => self.in_json(p, region, bytes),
            RegionKind::Python => self.in_python(p, region, bytes),
            RegionKind::Object(_) => self.in_object(p, region, bytes),
        }
    }

    /// Runs bytes again that waited in vain, or that stand behind a literal.
    fn replay(&mut self, p: &Program, held: Vec<u8>) {
        self.at -= held.len() as u64;
        self.advance(p, &held);
    }

    /// Keeps input of the open call: it may have to be given back.
    #[inline]
    fn keep_raw(&mut self, bytes: &[u8]) {
        let known = self.raw_from + self.raw.len() as u64;
        let end = self.at + bytes.len() as u64;
        if known < end {
            let skip = bytes.len() - (end - known).min(bytes.len() as u64) as usize;
            self.raw.extend_from_slice(&bytes[skip..]);
        }
    }

    /// The bytes of the open call in a span.
    fn raw_of(&self, from: u64, to: u64) -> Vec<u8> {
        let index = |at: u64| (at.saturating_sub(self.raw_from) as usize).min(self.raw.len());
        // What the prompt holds is cut off at the front, so a span can be empty.
        self.raw[index(from)..index(to).max(index(from))].to_vec()
    }

    /// The offset of the first byte that waits.
    fn pending_at(&self) -> u64 {
        self.at - self.pending.len() as u64
    }

    // ---- states ----

    /// Expects one of the state's literals.
    fn expect(&mut self, p: &Program, id: StateId, bytes: &[u8]) -> usize {
        let state = &p.states[usize::from(id)];
        let scan = state.expected.scan(self.plain);
        let from = self.pending.len();
        for (i, &byte) in bytes.iter().enumerate() {
            let end = from + i + 1;
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
                self.pending_ws == end && (state.ws || state.fallback.is_none())
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
                return self.misfit(p, id, bytes, i + 1);
            }
        }
        self.pending.extend_from_slice(bytes);
        bytes.len()
    }

    /// Nothing that the state expects has come. `seen` bytes of `bytes` were looked at.
    fn misfit(&mut self, p: &Program, id: StateId, bytes: &[u8], seen: usize) -> usize {
        let state = &p.states[usize::from(id)];
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
            held.drain(..in_held);
            used = (ws - in_held).min(seen);
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
                if !matches!(kind, RegionKind::Text(_)) {
                    self.confirm_name();
                } else {
                    self.weak.clear();
                }
                self.enter(p, region);
            }
            None => self.unfit(p, state.unfit, at),
        }
        self.at += used as u64;
        self.replay(p, held);
        self.at -= used as u64;
        used
    }

    /// Input fits nothing here: content outside calls, junk inside.
    fn unfit(&mut self, p: &Program, region: RegionId, at: u64) {
        if let Some(call) = &self.call
            && !call.framed
            && !call.started
        {
            self.give_back(p, at);
            return;
        }
        if p.regions[usize::from(region)].kind == RegionKind::Junk {
            self.junk_from.get_or_insert(at);
        } else {
            self.end_call(true, at);
            self.give_back_weak();
        }
        self.enter(p, region);
    }

    /// Where text goes on when a call that begins in state `id` turns out to be none.
    fn resume_from(&self, p: &Program, id: StateId) -> RegionId {
        let state = &p.states[usize::from(id)];
        match state.fallback {
            Some(fallback) if matches!(p.regions[usize::from(fallback.region)].kind, RegionKind::Text(_)) => {
                fallback.region
            }
            _ if p.regions[usize::from(state.unfit)].kind == RegionKind::Junk => self.resume,
            _ => state.unfit,
        }
    }

    fn enter(&mut self, p: &Program, region: RegionId) {
        self.mode = Mode::In(region);
        self.search = Search::default();
        self.pending_ws = 0;
        match &p.regions[usize::from(region)].kind {
            RegionKind::Text(_) => self.no_call(self.pending_at()),
            RegionKind::Junk => {}
            RegionKind::Name | RegionKind::Id | RegionKind::Key => self.word.clear(),
            RegionKind::Value { .. } => self.start_value(p),
            RegionKind::Json => self.start_json(p),
            RegionKind::Python => self.start_python(p),
            RegionKind::Raw(key) => self.start_raw(p, key),
            RegionKind::Object(_) => self.object = ObjectState::default(),
        }
    }

    fn go(&mut self, p: &Program, id: StateId, at: u64) {
        self.mode = Mode::At(id);
        self.search = Search::default();
        self.pending_ws = 0;
        let state = &p.states[usize::from(id)];
        if !state.in_call {
            self.no_call(at);
        } else if state.call_over {
            self.end_call(true, at);
        }
    }

    /// A literal was found. Takes it, and runs again what stands behind it and was looked at already. White
    /// space from `ws_from` on belongs to it.
    fn reach(&mut self, p: &Program, found: Found, ws_from: usize, bytes: &[u8]) -> usize {
        let held = std::mem::take(&mut self.pending);
        let from = held.len();
        let action = p.actions[usize::from(found.action)].clone();
        let start_at = self.at - from as u64 + found.start as u64;
        self.search = Search::default();
        self.pending_ws = 0;
        let literal: Vec<u8> =
            held.iter().chain(bytes).copied().skip(found.start).take(found.end - found.start).collect();
        let behind = found.end;
        let keeps_literal = matches!(action.to, To::Region(_) | To::Done);
        let resume_at = if keeps_literal { found.start } else { behind };
        if action.ends {
            self.end_call(true, start_at);
        }
        if action.starts {
            let resume = match self.mode {
                Mode::At(id) => self.resume_from(p, id),
                Mode::In(region) if matches!(p.regions[usize::from(region)].kind, RegionKind::Text(_)) => {
                    region
                }
                Mode::In(_) => self.resume,
            };
            let in_held = &held[ws_from.min(from)..];
            let behind = &bytes[ws_from.saturating_sub(from)..];
            self.start_call(start_at - (found.start - ws_from) as u64, in_held, behind, resume);
        }
        self.arrive(p, &action, &literal, start_at);
        // What was looked at behind the literal.
        if resume_at < from {
            self.replay(p, held[resume_at..].to_vec());
            0
        } else {
            resume_at - from
        }
    }

    /// Moves on over a literal.
    fn arrive(&mut self, p: &Program, action: &Action, literal: &[u8], at: u64) {
        self.end_junk(at);
        let end = at + literal.len() as u64;
        match action.to {
            To::Stray => {
                let raw = literal.to_vec();
                self.out.malformed(at, end, MalformedReason::StrayMarker, &raw);
            }
            To::Region(region) => {
                if self.call.is_some() {
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
                if self.call.is_some() {
                    if action.name {
                        self.name(literal.to_vec(), at);
                    } else {
                        if let Some(call) = &mut self.call {
                            call.framed |= !action.weak || call.name.is_some();
                            if let Some(raw) = action.raw {
                                call.value_raw = Some(raw);
                            }
                        }
                        self.confirm_name();
                    }
                    self.weak.clear();
                } else if action.weak {
                    if self.weak.is_empty() {
                        self.weak_at = at;
                    }
                    self.weak.extend_from_slice(literal);
                } else {
                    self.weak.clear();
                }
                self.go(p, state, end);
            }
        }
    }

    /// Weak framing came to nothing: it was content.
    fn give_back_weak(&mut self) {
        if !self.weak.is_empty() {
            let weak = std::mem::take(&mut self.weak);
            self.out.bytes(Target::Text(Channel::Content), &weak, self.weak_at);
        }
    }

    // ---- text ----

    /// Where the white space begins that ends at `end` of `pending` and `bytes` together.
    fn trim_end(&self, bytes: &[u8], end: usize) -> usize {
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
    fn text(&mut self, p: &Program, id: RegionId, channel: Channel, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        let scan = region.expected.scan(self.plain);
        let from = self.pending.len();
        let ends_in_ws = region.ws && bytes.last().copied().is_some_and(is_ws);
        let first = if from == 0 { scan.skip(bytes) } else { 0 };
        if first == bytes.len() && !ends_in_ws {
            // Most chunks of plain text.
            self.out.bytes(Target::Text(channel), bytes, self.at);
            return bytes.len();
        }
        match self.search.run_from(scan, bytes, from, first) {
            Step::Found(found) => {
                let action = &p.actions[usize::from(found.action)];
                let end = if action.ws { self.trim_end(bytes, found.start) } else { found.start };
                self.emit(channel, bytes, end);
                self.reach(p, found, end, bytes)
            }
            Step::More(hold) => {
                let end = if region.ws { self.trim_end(bytes, hold) } else { hold };
                self.emit(channel, bytes, end);
                self.hold(bytes, end, hold);
                bytes.len()
            }
        }
    }

    /// Gives out the first `end` bytes of `pending` and `bytes` together.
    #[inline]
    fn emit(&mut self, channel: Channel, bytes: &[u8], end: usize) {
        if end == 0 {
            return;
        }
        let from = self.pending.len();
        let target = Target::Text(channel);
        if from > 0 {
            let at = self.pending_at();
            self.out.bytes(target, &self.pending[..end.min(from)], at);
        }
        if end > from {
            self.out.bytes(target, &bytes[..end - from], self.at);
        }
    }

    /// Keeps what follows `end` of `pending` and `bytes` together; the white space ends at `ws_end`.
    fn hold(&mut self, bytes: &[u8], end: usize, ws_end: usize) {
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
    fn junk(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
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

    /// Reports the junk in front of `at`.
    fn end_junk(&mut self, at: u64) {
        let Some(from) = self.junk_from.take() else { return };
        let raw = self.raw_of(from, at);
        if raw.iter().all(|&byte| is_ws(byte)) {
            return;
        }
        match &mut self.call {
            // Without a name the whole frame may have to be given back.
            Some(call) if !call.started => call.junk.push((from, at)),
            _ => self.out.malformed(from, at, MalformedReason::Unexpected, &raw),
        }
    }

    // ---- special tokens ----

    /// One special token: a marker that may come now, or a stray one.
    fn take_special(&mut self, p: &Program, bytes: &[u8]) {
        if self.plain {
            self.change_reading(p, false);
        }
        if self.call.is_some() {
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
        let at = self.at;
        self.at += bytes.len() as u64;
        if self.junk_from.is_none() {
            self.out.malformed(at, self.at, MalformedReason::StrayMarker, bytes);
        }
    }

    /// Whether the token is a literal, or part of one, that may come now.
    fn is_expected(&self, p: &Program, bytes: &[u8]) -> bool {
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
            }
        }
    }

    // ---- the end ----

    /// Decides about what waits as if nothing followed, without ending the region.
    fn settle_pending(&mut self, p: &Program) {
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
                            | RegionKind::Name
                            | RegionKind::Id
                            | RegionKind::Key
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
                    self.misfit(p, state, &[], 0);
                }
                Mode::In(region) => {
                    let kind = p.regions[usize::from(region)].kind.clone();
                    match kind {
                        RegionKind::Text(channel) => {
                            let end = self.pending.len();
                            self.emit(channel, &[], end);
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

    fn end_of_input(&mut self, p: &Program, reason: FinishReason) {
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
        self.give_back_weak();
    }
}
