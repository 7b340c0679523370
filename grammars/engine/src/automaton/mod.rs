//! Byte automata: what a run of bytes may look like, without nesting.
//!
//! An [`Automaton`] describes its states as short lists of numbers and computes one transition at a time;
//! [`LazyDfa`] numbers the states it meets and keeps the transitions in a table that any thread may read without a
//! lock. Invariant that makes masks exact: `step` reports `Dead` unless the reached state can still accept.

mod explicit;
mod json_string;
mod lengths;
mod number;
mod regex;
mod text;
pub(crate) mod utf8;

use crate::GrammarError;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

pub(crate) use explicit::{Both, Explicit, Not, Shortest};
pub use json_string::Escapes;
pub(crate) use json_string::JsonString;
pub(crate) use lengths::{LengthBounds, Lengths};
pub(crate) use number::{Bound, Decimal, Number, number_dfa};
pub(crate) use regex::Regex;
pub(crate) use text::{FreeText, NotWords, RawText, Without, narrow};

/// What a byte does to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing that begins like this is in the language.
    Dead,
    /// The byte continues a character.
    Within,
    /// The byte is the first of a character (an escape counts as one character).
    Starts,
}

/// A deterministic automaton with structured states.
pub(crate) trait Automaton: Send + Sync {
    /// The start state; `out` is empty.
    fn start(&self, out: &mut Vec<u32>);
    /// The state after `byte`, written to `out` (which is cleared first).
    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step;
    /// True if the text may end here.
    fn accepts(&self, state: &[u32]) -> bool;
    /// How many more characters (first bytes yet to come) an accepted text may have from here.
    fn lengths(&self, state: &[u32]) -> Lengths;
    /// The most bytes that may be left of the character that the state is in, where the state itself says so.
    fn rest_of_character(&self, _state: &[u32]) -> Option<u32> {
        None
    }
    /// Between characters of a text that only may not be one of some words: those that can still come of it.
    fn unwanted(&self, _state: &[u32]) -> Option<Unwanted<'_>> {
        None
    }
    /// Bytes that no state tells apart may share a class.
    fn classes(&self) -> Classes {
        Classes::single_bytes()
    }
}

/// Words, in order, that a text must not be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unwanted<'a> {
    pub(crate) words: &'a [Box<[u8]>],
    /// Bytes of each that have been read.
    pub(crate) read: usize,
}

/// A partition of the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    /// True where a byte begins a new class.
    starts: [bool; 256],
}

impl Classes {
    /// Every byte on its own.
    pub(crate) fn single_bytes() -> Classes {
        Classes { starts: [true; 256] }
    }

    /// The coarsest partition that UTF-8 allows.
    pub(crate) fn utf8() -> Classes {
        let mut classes = Classes { starts: [false; 256] };
        for start in [0, 0x80, 0x90, 0xa0, 0xc0, 0xc2, 0xe0, 0xe1, 0xed, 0xee, 0xf0, 0xf1, 0xf4, 0xf5] {
            classes.starts[start] = true;
        }
        classes
    }

    /// Tells a range of bytes from the others.
    pub(crate) fn cut(&mut self, from: u8, to: u8) {
        self.starts[from as usize] = true;
        if to < 255 {
            self.starts[to as usize + 1] = true;
        }
    }

    /// The first byte of each class.
    pub(crate) fn firsts(&self) -> Vec<u8> {
        (0..=255).filter(|&byte| byte == 0 || self.starts[byte as usize]).collect()
    }

    /// Tells apart what `other` does.
    pub(crate) fn refine(&mut self, other: &Classes) {
        for (mine, theirs) in self.starts.iter_mut().zip(&other.starts) {
            *mine |= theirs;
        }
    }

    /// For each byte the first and last byte of its class.
    pub(crate) fn ranges(&self) -> [(u8, u8); 256] {
        let mut out = [(0, 255); 256];
        let mut start = 0;
        for byte in 1..=256usize {
            if byte == 256 || self.starts[byte] {
                for slot in &mut out[start..byte] {
                    *slot = (start as u8, (byte - 1) as u8);
                }
                start = byte;
            }
        }
        out
    }
}

/// Most states that one lazy automaton may have before it refuses to go on.
const MAX_STATES: u32 = 1 << 15;
const UNKNOWN: u32 = u32::MAX;
const DEAD: u32 = u32::MAX - 1;
const FULL: u32 = u32::MAX - 2;

/// Some states, side by side.
struct Chunk {
    /// For each state one cell per class of bytes.
    next: Box<[AtomicU32]>,
    rows: Box<[Row]>,
}

#[derive(Default)]
struct Row {
    info: OnceLock<RowInfo>,
    lengths: OnceLock<Box<Lengths>>,
}

#[derive(Clone, Copy)]
struct RowInfo {
    accepts: bool,
    live: bool,
}

/// A transition's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The state reached.
    pub(crate) state: u32,
    /// True if the byte was the first of a character.
    pub(crate) starts: bool,
}

/// Numbered states of an automaton, filled in as they are met.
pub(crate) struct LazyDfa {
    automaton: Box<dyn Automaton>,
    chunks: [OnceLock<Chunk>; 16],
    build: Mutex<Build>,
    /// For each byte the first and last byte of its class.
    ranges: Box<[(u8, u8); 256]>,
    /// For each byte the number of its class.
    class_of: Box<[u8; 256]>,
    classes: usize,
}

#[derive(Default)]
struct Build {
    ids: FxHashMap<Box<[u32]>, u32>,
    keys: Vec<Box<[u32]>>,
}

impl LazyDfa {
    /// State 0 is the start.
    pub(crate) fn new(automaton: Box<dyn Automaton>) -> LazyDfa {
        let ranges = Box::new(automaton.classes().ranges());
        let mut class_of = Box::new([0u8; 256]);
        let mut classes = 0;
        for byte in 0..=255u8 {
            classes += usize::from(ranges[byte as usize].0 == byte);
            class_of[byte as usize] = (classes - 1) as u8;
        }
        let chunks = std::array::from_fn(|_| OnceLock::new());
        let dfa = LazyDfa { automaton, chunks, build: Mutex::default(), ranges, class_of, classes };
        let mut key = Vec::new();
        dfa.automaton.start(&mut key);
        let mut build = dfa.build.lock().unwrap_or_else(PoisonError::into_inner);
        dfa.intern(&mut build, &key);
        drop(build);
        dfa
    }

    /// The chunk of a state, and its place there.
    #[inline]
    fn place(&self, state: u32) -> (&Chunk, usize) {
        // Chunk c holds 8 << c states, so chunks start at 8 * (2^c - 1).
        let at = state + 8;
        let number = 28 - at.leading_zeros();
        let chunk = self.chunks[number as usize].get_or_init(|| {
            let count = 8usize << number;
            Chunk {
                next: (0..count * self.classes).map(|_| AtomicU32::new(UNKNOWN)).collect(),
                rows: (0..count).map(|_| Row::default()).collect(),
            }
        });
        (chunk, (at - (8 << number)) as usize)
    }

    #[inline]
    fn row(&self, state: u32) -> &Row {
        let (chunk, place) = self.place(state);
        &chunk.rows[place]
    }

    #[inline]
    fn cell(&self, state: u32, byte: u8) -> &AtomicU32 {
        let (chunk, place) = self.place(state);
        &chunk.next[place * self.classes + self.class_of[byte as usize] as usize]
    }

    /// The transition under `byte`: `Ok(None)` if dead, an error if the automaton grew beyond its limit.
    #[inline]
    pub(crate) fn step(&self, state: u32, byte: u8) -> Result<Option<Target>, GrammarError> {
        let mut value = self.cell(state, byte).load(Ordering::Acquire);
        if value == UNKNOWN {
            value = self.fill(state, byte);
        }
        match value {
            DEAD => Ok(None),
            FULL => {
                Err(GrammarError::Limit { what: "states of one automaton", limit: u64::from(MAX_STATES) })
            }
            _ => Ok(Some(Target { state: value >> 1, starts: value & 1 == 1 })),
        }
    }

    /// The first and the last byte of a byte's class: no state tells them apart.
    #[inline]
    pub(crate) fn class(&self, byte: u8) -> (u8, u8) {
        self.ranges[byte as usize]
    }

    /// See [`Automaton::unwanted`].
    pub(crate) fn unwanted<T>(&self, state: u32, then: impl FnOnce(Unwanted<'_>) -> T) -> Option<T> {
        let build = self.build.lock().unwrap_or_else(PoisonError::into_inner);
        self.automaton.unwanted(&build.keys[state as usize]).map(then)
    }

    /// See [`Automaton::rest_of_character`].
    pub(crate) fn rest_of_character(&self, state: u32) -> Option<u32> {
        let build = self.build.lock().unwrap_or_else(PoisonError::into_inner);
        self.automaton.rest_of_character(&build.keys[state as usize])
    }

    /// True if the text may end in `state`.
    #[inline]
    pub(crate) fn accepts(&self, state: u32) -> bool {
        self.row(state).info.get().is_some_and(|info| info.accepts)
    }

    /// True if some byte may follow in `state`.
    #[inline]
    pub(crate) fn live(&self, state: u32) -> bool {
        self.row(state).info.get().is_some_and(|info| info.live)
    }

    /// See [`Automaton::lengths`].
    pub(crate) fn lengths(&self, state: u32) -> &Lengths {
        self.row(state).lengths.get_or_init(|| {
            let build = self.build.lock().unwrap_or_else(PoisonError::into_inner);
            let key = build.keys[state as usize].clone();
            drop(build);
            Box::new(self.automaton.lengths(&key))
        })
    }

    #[cold]
    fn fill(&self, state: u32, byte: u8) -> u32 {
        let mut build = self.build.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Vec::new();
        let step = self.automaton.step(&build.keys[state as usize], byte, &mut key);
        let value = match step {
            Step::Dead => DEAD,
            Step::Within | Step::Starts => match self.intern(&mut build, &key) {
                Some(id) => id << 1 | u32::from(step == Step::Starts),
                None => FULL,
            },
        };
        self.cell(state, byte).store(value, Ordering::Release);
        value
    }

    fn intern(&self, build: &mut Build, key: &[u32]) -> Option<u32> {
        if let Some(&id) = build.ids.get(key) {
            return Some(id);
        }
        let id = build.keys.len() as u32;
        if id >= MAX_STATES {
            return None;
        }
        let mut scratch = Vec::new();
        // Printable bytes first: they settle the question for nearly every state.
        let mut bytes = (0x20..=0xffu8).chain(0..0x20).filter(|&b| self.ranges[b as usize].0 == b);
        let info = RowInfo {
            accepts: self.automaton.accepts(key),
            live: bytes.any(|b| self.automaton.step(key, b, &mut scratch) != Step::Dead),
        };
        let _ = self.row(id).info.set(info);
        build.ids.insert(key.into(), id);
        build.keys.push(key.into());
        Some(id)
    }
}

/// True if the byte is the first of a character in UTF-8.
#[inline]
pub(crate) fn is_lead(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}
