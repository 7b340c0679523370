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
mod elements;
mod ends;
mod escape;
mod json;
mod keys;
mod literal;
mod number;
mod object;
mod out;
mod states;
mod text;
mod unmarked;
mod value;

use std::sync::Arc;

use toolglot_format::{Channel, Event, FinishReason, Piece, Plan};

use crate::program::{Program, Region, RegionId, RegionKind, Scan, Search, StateId};
use crate::{Session, SessionOptions};
use args::ArgsState;
use call::CallState;
pub(crate) use call::{Place, Tools};
use elements::ElementsState;
pub(crate) use escape::{escape, quote};
use json::plain_run;
pub(crate) use json::{Json, Met};
use literal::Literal;
use object::ObjectState;
use out::{Out, Target};
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
    /// What the last bytes were part of, where the next ones are most often, too.
    steady: Steady,
    /// Where in the bytes in hand the first literal may stand, where it was looked for already.
    looked: Option<usize>,
    /// Offset of the next byte behind `pending`, counted from the first byte ever fed.
    at: u64,
    /// The input since `raw_from`, kept while a call is open or input fits nothing.
    raw: Vec<u8>,
    raw_from: u64,
    call: Option<CallState>,
    calls: u32,
    /// Framing outside calls that also occurs in ordinary text: given back when nothing comes of it.
    weak: Vec<u8>,
    weak_at: u64,
    /// Where text goes on when it was text, and of which channel that is.
    weak_resume: RegionId,
    weak_channel: Channel,
    /// Behind the last literal.
    behind: u64,
    /// A marker was read since the last text.
    in_block: bool,
    /// A call was told of since the last text.
    behind_call: bool,
    /// The last text, where text that looked like a call goes on.
    resume: RegionId,
    /// A name, id or key in the making.
    word: Vec<u8>,
    /// Input that fits nothing: from where.
    junk_from: Option<u64>,
    json: Json,
    inner: Json,
    /// A comma of the arguments, and white space behind it, that wait for what the comma separates.
    comma: Vec<u8>,
    comma_at: u64,
    /// A comment in the arguments that has not ended.
    comment: Vec<u8>,
    comment_at: u64,
    /// Where the search for markers stands in it, and in which reading.
    comment_node: u16,
    comment_plain: bool,
    args: ArgsState,
    object: ObjectState,
    literal: Literal,
    value: ValueState,
    elements: ElementsState,
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

/// A long stretch of data that is given out as it comes, in whose middle the input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steady {
    No,
    Text(RegionId, Channel),
    /// A string in JSON arguments.
    Args,
    /// A parameter's value that is a string.
    Value(RegionId),
}

impl Parser {
    /// A parser for one turn. It reads the plan's tool names and, for formats that write values without
    /// types, their schemas.
    pub fn new(program: Arc<Program>, plan: &Plan, _options: SessionOptions) -> Self {
        let machine = Machine {
            tools: Tools::new(plan, program.is_typed() || program.infers_names()),
            out: Out::new(),
            mode: Mode::At(0),
            pending: Vec::new(),
            pending_ws: 0,
            search: Search::default(),
            plain: false,
            steady: Steady::No,
            looked: None,
            at: 0,
            raw: Vec::new(),
            raw_from: 0,
            call: None,
            calls: 0,
            weak: Vec::new(),
            weak_at: 0,
            weak_resume: 0,
            weak_channel: Channel::Content,
            behind: 0,
            in_block: false,
            behind_call: false,
            resume: program.states[0].unfit,
            word: Vec::new(),
            junk_from: None,
            json: Json::new(),
            inner: Json::new(),
            comma: Vec::new(),
            comma_at: 0,
            comment: Vec::new(),
            comment_at: 0,
            comment_node: 0,
            comment_plain: false,
            args: ArgsState::Start,
            object: ObjectState::default(),
            literal: Literal::default(),
            value: ValueState::default(),
            elements: ElementsState::default(),
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
        if bytes.is_empty() {
            return;
        }
        match special {
            Some(true) => self.take_special(p, bytes),
            _ => {
                let plain = special.is_some();
                if plain != self.plain {
                    self.change_reading(p, plain);
                }
                if self.goes_on(p, bytes) {
                    return;
                }
                if bytes.len() <= SLICE {
                    self.advance_slice(p, bytes);
                } else {
                    self.advance(p, bytes);
                }
            }
        }
    }

    /// Whether the bytes are no more than the next of the stretch in hand; then they have been taken.
    #[inline]
    fn goes_on(&mut self, p: &Program, bytes: &[u8]) -> bool {
        let target = match self.steady {
            Steady::No => return false,
            Steady::Text(region, channel) => {
                let region = &p.regions[usize::from(region)];
                let ends_in_ws = bytes.last().copied().is_some_and(is_ws);
                if ends_in_ws && region.ws || self.look(region, bytes) || self.may_name(region, bytes) {
                    return false;
                }
                Target::Text(channel)
            }
            Steady::Args => {
                if plain_run(bytes) < bytes.len() {
                    return false;
                }
                self.args_target()
            }
            Steady::Value(region) => {
                if self.look(&p.regions[usize::from(region)], bytes) {
                    return false;
                }
                self.args_target()
            }
        };
        if self.call.is_some() || self.junk_from.is_some() {
            self.keep_raw(bytes);
        }
        match self.steady {
            Steady::Value(_) => self.out.escaped(target, bytes, self.at),
            _ => self.out.bytes(target, bytes, self.at),
        }
        self.at += bytes.len() as u64;
        true
    }

    /// Whether a literal may stand in the bytes of a region that come next. Where is kept for the region itself.
    #[inline]
    fn look(&mut self, region: &Region, bytes: &[u8]) -> bool {
        let first = region.expected.scan(self.plain).skip(bytes);
        let stands = first < bytes.len();
        // More bytes are not handed over as one.
        self.looked = (stands && bytes.len() <= SLICE).then_some(first);
        stands
    }

    /// The byte at an offset of `pending` and `bytes` together.
    #[inline(always)]
    fn byte(&self, bytes: &[u8], at: usize) -> u8 {
        match at.checked_sub(self.pending.len()) {
            Some(behind) => bytes[behind],
            None => self.pending[at],
        }
    }

    /// Where in the bytes that come next the first literal may stand, unless bytes that wait go on in them.
    #[inline]
    fn first_place(&mut self, scan: &Scan, bytes: &[u8]) -> Option<usize> {
        let looked = self.looked.take();
        self.pending.is_empty().then(|| looked.unwrap_or_else(|| scan.skip(bytes)))
    }

    /// The bytes to come are read differently from those that wait.
    #[cold]
    fn change_reading(&mut self, p: &Program, plain: bool) {
        self.steady = Steady::No;
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

    #[inline]
    fn advance_slice(&mut self, p: &Program, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.steady = Steady::No;
            if self.call.is_some() || self.junk_from.is_some() {
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
            RegionKind::Name(_) | RegionKind::Id | RegionKind::Key(_) | RegionKind::Type(_) => {
                self.in_word(p, region, bytes)
            }
            RegionKind::Raw(_) => self.in_raw(p, region, bytes),
            RegionKind::Value { .. } => self.in_value(p, region, bytes),
            RegionKind::Json | RegionKind::Python => self.in_json(p, region, bytes),
            RegionKind::Object(_) => self.in_object(p, region, bytes),
            RegionKind::Elements(_) => self.in_elements(p, region, bytes),
        }
    }

    /// Runs bytes again that waited in vain, or that stand behind a literal.
    fn replay(&mut self, p: &Program, held: &[u8]) {
        self.at -= held.len() as u64;
        self.advance(p, held);
    }

    /// Keeps the room of bytes that waited.
    fn reuse(&mut self, mut held: Vec<u8>) {
        if self.pending.capacity() == 0 {
            held.clear();
            self.pending = held;
        }
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

    /// The same, of a call that is over: where they are all that is kept, they are not copied.
    fn take_raw(&mut self, from: u64, to: u64) -> Vec<u8> {
        if (from, to) != (self.raw_from, self.raw_from + self.raw.len() as u64) {
            return self.raw_of(from, to);
        }
        self.raw_from = to;
        std::mem::take(&mut self.raw)
    }

    /// The offset of the first byte that waits.
    fn pending_at(&self) -> u64 {
        self.at - self.pending.len() as u64
    }
}
