//! One request's sampler: settings, history and step counter over any backend.
//!
//! Not here: stop rules ([`crate::StopWatch`]), grammars ([`crate::TokenConstraint`]), the
//! arithmetic on the row ([`crate::Backend`]).

use crate::history::History;
use crate::{
    Backend, ParamsError, Penalty, Pick, SampleError, SamplingParams, Scratch, SliceBackend, uniform,
};

/// The token of one step, and how it came about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// The token id.
    pub id: u32,
    /// Natural logarithm of its probability, as [`crate::Logprobs`] asks.
    pub logprob: Option<f32>,
    /// Number of ids the mask allowed (of all ids, when there was no mask).
    pub allowed: u32,
    /// True when the mask allowed this id only.
    pub forced: bool,
    /// What the model would rather have said: its most likely id, where the mask forbids that. Only
    /// with [`SamplingParams::report_overruled`].
    pub overruled: Option<u32>,
}

/// Samples one sequence.
#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplingParams,
    limit: usize,
    step: u64,
    history: Option<History>,
    penalties: Vec<Penalty>,
    penalties_rest: bool,
    scratch: Scratch,
}

impl Sampler {
    /// A sampler for a sequence that starts with `prompt` (read by the repetition penalty only).
    pub fn new(params: SamplingParams, prompt: &[u32]) -> Result<Self, ParamsError> {
        params.validate()?;
        let history = params.has_penalties().then(|| History::new(prompt, params.penalty_window));
        Ok(Self {
            params,
            limit: usize::MAX,
            step: 0,
            history,
            penalties: Vec::new(),
            penalties_rest: false,
            scratch: Scratch::default(),
        })
    }

    /// Forbids ids at or above `size` also where no mask is given: a model's output is often wider
    /// than its tokenizer's vocabulary, and the rest are padding rows.
    pub fn with_vocabulary(mut self, size: usize) -> Self {
        self.limit = size;
        self
    }

    /// The settings.
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// Number of tokens taken so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Lets the penalties rest or work, from the next step on (see
    /// [`crate::TokenConstraint::penalties_apply`]). Tokens are counted either way.
    pub fn set_penalties_rest(&mut self, rest: bool) {
        self.penalties_rest = rest;
    }

    /// Samples the next token from a row of logits in memory and takes it. The row is changed.
    ///
    /// `mask`: packed `u32` words, least significant bit first; ids beyond it are forbidden.
    pub fn sample(&mut self, logits: &mut [f32], mask: Option<&[u32]>) -> Result<Sampled, SampleError> {
        // The scratch moves out for the call, so that it can be lent beside `self`.
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = self.sample_on(&mut SliceBackend::new(logits, &mut scratch), mask);
        self.scratch = scratch;
        result
    }

    /// As [`sample`](Self::sample), on any backend.
    pub fn sample_on(
        &mut self,
        backend: &mut impl Backend,
        mask: Option<&[u32]>,
    ) -> Result<Sampled, SampleError> {
        match &self.history {
            Some(history) if !self.penalties_rest => history.penalties(&self.params, &mut self.penalties),
            _ => self.penalties.clear(),
        }
        let picked = backend.pick(&Pick {
            mask,
            limit: self.limit,
            bias: &self.params.logit_bias,
            penalties: &self.penalties,
            temperature: self.params.temperature,
            top_k: self.params.top_k,
            top_p: self.params.top_p,
            min_p: self.params.min_p,
            draw: uniform(self.params.seed, self.step),
            logprobs: self.params.logprobs,
            report_overruled: self.params.report_overruled,
        })?;
        self.push(picked.id);
        Ok(Sampled {
            id: picked.id,
            logprob: picked.logprob,
            allowed: picked.allowed,
            forced: picked.allowed == 1,
            overruled: picked.overruled,
        })
    }

    /// Takes a token that was chosen elsewhere (forced by a grammar, or a verified draft).
    pub fn push(&mut self, id: u32) {
        self.step += 1;
        if let Some(history) = &mut self.history {
            history.push(id);
        }
    }

    /// Forgets the last `n` tokens. The next draws are those that these steps had before.
    pub fn rollback(&mut self, n: usize) {
        self.step = self.step.saturating_sub(n as u64);
        if let Some(history) = &mut self.history {
            history.rollback(n);
        }
    }
}
