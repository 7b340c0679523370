//! When generation ends, and what of the text is safe to pass on until then.
//!
//! Stop strings are matched on bytes, across token borders: whatever the tokens, the same bytes give
//! the same output. Bytes that may still become a stop string are held back. Feed committed tokens
//! only; there is no rollback here.

use std::collections::VecDeque;
use std::ops::Range;

use crate::repetition::RepetitionWatch;
use crate::stop_strings::StopStrings;
use crate::{Repetition, RepetitionDetection};

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// An end-of-sequence token was sampled.
    Eos {
        /// The token id.
        id: u32,
    },
    /// One of the caller's stop ids was sampled.
    StopId {
        /// The token id.
        id: u32,
    },
    /// One of the caller's stop strings was completed.
    StopString {
        /// Its index in [`StopConfig::stop_strings`].
        index: usize,
    },
    /// The caller saw the end of a tool call and asked to stop there.
    ToolCall,
    /// The constraint is complete and allows nothing more.
    Constraint,
    /// The token limit was reached.
    MaxTokens,
    /// The output ran into a loop.
    Repetition(Repetition),
    /// The caller gave up.
    Cancelled,
}

/// Stop rules of one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StopConfig {
    /// End-of-sequence ids: the union of what config, generation config and tokenizer name.
    pub eos: Vec<u32>,
    /// Further ids that end generation.
    pub stop_ids: Vec<u32>,
    /// Byte strings that end generation. None may be empty.
    pub stop_strings: Vec<Vec<u8>>,
    /// Whether the stop string, or the text of the ending token, is part of the output.
    pub include_stop: bool,
    /// Most tokens to generate; the ending token counts. `None` is no limit, 0 is refused.
    pub max_tokens: Option<usize>,
    /// Ends loops.
    pub repetition: Option<RepetitionDetection>,
}

/// Most bytes of all stop strings together: each costs a kilobyte of automaton.
const MAX_STOP_BYTES: usize = 4096;

/// Longest pattern that repetition detection may look for, in tokens: each size is looked at per token.
const MAX_PATTERN: usize = 1024;

/// Stop rules that make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StopConfigError {
    /// An empty stop string would end every output at once.
    #[error("stop string {index} is empty")]
    EmptyStopString {
        /// Its index.
        index: usize,
    },
    /// More stop strings than the automaton should grow to.
    #[error("the stop strings have {bytes} bytes in all, the limit is {MAX_STOP_BYTES}")]
    StopStringsTooLong {
        /// Their length together.
        bytes: usize,
    },
    /// A limit of no tokens.
    #[error("max_tokens is 0; ask for at least one token")]
    NoTokens,
    /// See the fields of [`RepetitionDetection`].
    #[error(
        "repetition detection needs 1 <= min_pattern_size <= max_pattern_size and min_count >= 2, not {0:?}"
    )]
    Repetition(RepetitionDetection),
}

/// Output that is safe to pass on: bytes, and which token each stretch of them came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// The bytes. A token's bytes may be split over two pushes, and need not be valid UTF-8.
    pub bytes: Vec<u8>,
    /// Stretches of `bytes`, in order and without gaps. Tokens without bytes have none.
    pub spans: Vec<Span>,
}

/// One stretch of [`Pieces::bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The token it came from.
    pub id: u32,
    /// True for the whole text of a special token.
    pub special: bool,
    /// Where in the bytes.
    pub range: Range<usize>,
}

impl Pieces {
    /// Empties both lists and keeps their memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// The stretches with their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&Span, &[u8])> {
        self.spans.iter().map(|span| (span, &self.bytes[span.range.clone()]))
    }
}

/// A token that is not passed on in full.
#[derive(Debug, Clone, Copy)]
struct Held {
    id: u32,
    special: bool,
    /// Bytes still held back.
    len: usize,
}

/// Watches one output.
#[derive(Debug, Clone)]
pub struct StopWatch {
    config: StopConfig,
    strings: Option<StopStrings>,
    state: u32,
    repetition: Option<RepetitionWatch>,
    tokens: usize,
    held: VecDeque<Held>,
    held_bytes: VecDeque<u8>,
    finished: Option<FinishReason>,
}

impl StopWatch {
    /// Checks and compiles the rules.
    pub fn new(config: StopConfig) -> Result<Self, StopConfigError> {
        if let Some(index) = config.stop_strings.iter().position(Vec::is_empty) {
            return Err(StopConfigError::EmptyStopString { index });
        }
        let bytes = config.stop_strings.iter().map(Vec::len).sum();
        if bytes > MAX_STOP_BYTES {
            return Err(StopConfigError::StopStringsTooLong { bytes });
        }
        if config.max_tokens == Some(0) {
            return Err(StopConfigError::NoTokens);
        }
        let rule_ok = |r: &RepetitionDetection| {
            (1..=r.max_pattern_size).contains(&r.min_pattern_size)
                && r.max_pattern_size <= MAX_PATTERN
                && r.min_count >= 2
        };
        if let Some(rule) = config.repetition.filter(|rule| !rule_ok(rule)) {
            return Err(StopConfigError::Repetition(rule));
        }
        Ok(Self {
            strings: (!config.stop_strings.is_empty()).then(|| StopStrings::new(&config.stop_strings)),
            state: 0,
            repetition: config.repetition.map(RepetitionWatch::new),
            tokens: 0,
            held: VecDeque::new(),
            held_bytes: VecDeque::new(),
            finished: None,
            config,
        })
    }

    /// The rules.
    pub fn config(&self) -> &StopConfig {
        &self.config
    }

    /// Number of tokens taken.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Why it ended, once it has.
    pub fn finished(&self) -> Option<FinishReason> {
        self.finished
    }

    /// Takes one token with its bytes and appends what is safe to pass on to `out`.
    ///
    /// Where several rules end generation at once, the first of these is reported: stop string, EOS,
    /// stop id, repetition, limit. Nothing is taken after the end.
    pub fn push(&mut self, id: u32, bytes: &[u8], special: bool, out: &mut Pieces) -> Option<FinishReason> {
        if self.finished.is_some() {
            return self.finished;
        }
        self.tokens += 1;
        let ending = if self.config.eos.contains(&id) {
            Some(FinishReason::Eos { id })
        } else if self.config.stop_ids.contains(&id) {
            Some(FinishReason::StopId { id })
        } else {
            None
        };
        // The text of an ending token is output only where it is asked for.
        if (ending.is_none() || self.config.include_stop)
            && let Some(index) = self.take(id, bytes, special, out)
        {
            self.finished = Some(FinishReason::StopString { index });
            return self.finished;
        }
        let looped = self.repetition.as_mut().and_then(|watch| watch.push(id));
        let reason = ending.or(looped.map(FinishReason::Repetition)).or_else(|| {
            let limit = self.config.max_tokens.is_some_and(|max| self.tokens >= max);
            limit.then_some(FinishReason::MaxTokens)
        });
        reason.map(|reason| self.finish(reason, out))
    }

    /// Ends the output for a reason that only the caller knows, and passes on what was held back.
    /// Returns the reason that stands: the first one given.
    pub fn finish(&mut self, reason: FinishReason, out: &mut Pieces) -> FinishReason {
        if let Some(reason) = self.finished {
            return reason;
        }
        self.release(self.held_bytes.len(), out);
        self.finished = Some(reason);
        reason
    }

    /// Runs bytes through the automaton; the index of a stop string that they complete.
    fn take(&mut self, id: u32, bytes: &[u8], special: bool, out: &mut Pieces) -> Option<usize> {
        if bytes.is_empty() {
            return None;
        }
        self.held.push_back(Held { id, special, len: bytes.len() });
        self.held_bytes.extend(bytes);
        let Some(strings) = &self.strings else {
            self.release(bytes.len(), out);
            return None;
        };
        for (at, &byte) in bytes.iter().enumerate() {
            self.state = strings.step(self.state, byte);
            if let Some((index, len)) = strings.found(self.state) {
                let end = self.held_bytes.len() - (bytes.len() - at - 1);
                let keep = if self.config.include_stop { end } else { end - len };
                self.cut(keep, out);
                return Some(index);
            }
        }
        let mut free = self.held_bytes.len() - strings.held(self.state);
        // A special token is passed on whole or not yet.
        let mut start = 0;
        for held in &self.held {
            if held.special && start < free && free < start + held.len {
                free = start;
            }
            start += held.len;
        }
        self.release(free, out);
        None
    }

    /// Passes on `keep` bytes and drops the rest for good.
    fn cut(&mut self, keep: usize, out: &mut Pieces) {
        self.release(keep, out);
        self.held.clear();
        self.held_bytes.clear();
    }

    /// Passes on the first `n` held bytes. Part of a special token is no special token.
    fn release(&mut self, mut n: usize, out: &mut Pieces) {
        while n > 0 {
            let Some(first) = self.held.front_mut() else { return };
            let take = first.len.min(n);
            let start = out.bytes.len();
            out.bytes.extend(self.held_bytes.drain(..take));
            out.spans.push(Span {
                id: first.id,
                special: first.special && take == first.len,
                range: start..out.bytes.len(),
            });
            first.len -= take;
            n -= take;
            if first.len == 0 {
                self.held.pop_front();
            }
        }
    }
}
