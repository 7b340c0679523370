//! One generation: prefill, then a step per token, with grammar work beside the forward pass.
//!
//! The forward pass for the next token starts as soon as a token is known. While the device computes,
//! the host takes the token into the constraint, checks the stop rules, reports the token and computes
//! the next mask. Where the mask leaves a single id, that token is forced: it needs no logits, and a
//! run of forced tokens goes through the model in one pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use toolglot_sampler::{
    FinishReason, Pieces, Sampled, Sampler, SamplingParams, StopConfig, StopWatch, TokenBytes,
    TokenConstraint, mask,
};

use crate::model::Logits;
use crate::{GenerateError, KvCache, Model};

/// Called on the model thread after each token; an answer ends the generation there and then, for
/// instance with [`FinishReason::ToolCall`].
pub type Observer = Box<dyn FnMut(&Token) -> Option<FinishReason> + Send>;

/// What to generate.
pub struct Request {
    /// Token ids of the prompt.
    pub prompt: Vec<u32>,
    /// Sampling settings.
    pub sampling: SamplingParams,
    /// Stop rules. `eos` should be the model's end ids, see [`crate::end_ids`].
    pub stops: StopConfig,
    /// Decides which ids are allowed. `None` allows all below `vocabulary`.
    pub constraint: Option<Box<dyn TokenConstraint>>,
    /// Bytes of the tokens: needed for stop strings, and for text in the output.
    pub tokens: Option<Arc<dyn TokenBytes>>,
    /// Number of ids that the tokenizer knows; those above are never sampled.
    pub vocabulary: Option<usize>,
    /// Sees each token before the next one is sampled.
    pub observer: Option<Observer>,
    /// Prompt tokens per forward pass.
    pub prefill_chunk: usize,
    /// Whether runs of forced tokens go through the model in one pass. The result is the same up to
    /// rounding; without it each token has a pass of its own. Forced tokens are not sampled, so nothing
    /// is known of what the model would rather have said there.
    pub jump_forward: bool,
}

impl Request {
    /// A request with default settings and no limit but the model's context.
    pub fn new(prompt: Vec<u32>) -> Self {
        Self {
            prompt,
            sampling: SamplingParams::default(),
            stops: StopConfig::default(),
            constraint: None,
            tokens: None,
            vocabulary: None,
            observer: None,
            prefill_chunk: 512,
            jump_forward: true,
        }
    }
}

/// One token of the output.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// The token, and how it was chosen.
    pub sampled: Sampled,
    /// Text that is safe to pass on since the last token (empty without token bytes).
    pub pieces: Pieces,
}

/// Where the time went. Mask and commit time run beside the forward pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the start to the first pass that gives logits.
    pub prefill: Duration,
    /// From there to the end.
    pub decode: Duration,
    /// Computing masks.
    pub mask: Duration,
    /// Waiting for logits.
    pub wait: Duration,
    /// Sampling.
    pub sample: Duration,
}

/// How a generation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Why.
    pub reason: FinishReason,
    /// Text that was held back for a stop string that did not come.
    pub pieces: Pieces,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens generated, the ending one included.
    pub generated_tokens: usize,
    /// Of these, how many the constraint forced.
    pub forced_tokens: usize,
    /// Forward passes that gave logits for further tokens, after the one that ends the prefill.
    pub passes: usize,
    /// Where the time went.
    pub timings: Timings,
}

/// Progress of a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// So many tokens of the prompt are in the cache.
    Prefill {
        /// Tokens done.
        done: usize,
        /// Tokens of the prompt.
        total: usize,
    },
    /// A token.
    Token(Token),
    /// The end; nothing follows.
    Finished(Finish),
}

/// Runs a request on the current thread, with an empty cache. `emit` takes each event and answers
/// whether anybody still listens; if not, the generation ends as cancelled.
pub fn generate(
    model: &Model,
    mut request: Request,
    emit: &mut dyn FnMut(Event) -> bool,
) -> Result<(), GenerateError> {
    let context = model.config().context;
    let prompt = std::mem::take(&mut request.prompt);
    let Some((&last, head)) = prompt.split_last() else { return Err(GenerateError::EmptyPrompt) };
    if let Some(context) = context.filter(|&context| prompt.len() >= context) {
        return Err(GenerateError::PromptTooLong { prompt: prompt.len(), context });
    }
    if !request.stops.stop_strings.is_empty() && request.tokens.is_none() {
        return Err(GenerateError::NoTokenBytes);
    }
    let room = context.map(|context| context - prompt.len());
    let mut stops = request.stops;
    stops.max_tokens = stops.max_tokens.into_iter().chain(room).min();
    let vocabulary = request.vocabulary.unwrap_or(usize::MAX).min(model.config().vocab_size);
    let mut run = Run {
        sampler: Sampler::new(request.sampling, &prompt)?.with_vocabulary(vocabulary),
        stops: StopWatch::new(stops)?,
        constraint: request.constraint,
        tokens: request.tokens,
        observer: request.observer,
        mask: vec![0; mask::words(model.config().vocab_size)],
        row: Vec::with_capacity(model.config().vocab_size),
        timings: Timings::default(),
        forced: 0,
        passes: 0,
        emit,
    };

    let start = Instant::now();
    let mut cache = model.new_cache();
    let mut heard = true;
    let mut done = 0;
    for chunk in head.chunks(request.prefill_chunk.max(1)) {
        model.prefill(chunk, &mut cache)?;
        done += chunk.len();
        heard = (run.emit)(Event::Prefill { done, total: prompt.len() });
        if !heard {
            break;
        }
    }
    let reason = if heard {
        let logits = model.step(&[last], &mut cache)?;
        run.timings.prefill = start.elapsed();
        run.decode(model, &mut cache, logits, request.jump_forward)?
    } else {
        run.timings.prefill = start.elapsed();
        FinishReason::Cancelled
    };

    let mut pieces = Pieces::default();
    let reason = run.stops.finish(reason, &mut pieces);
    run.timings.decode = start.elapsed() - run.timings.prefill;
    (run.emit)(Event::Finished(Finish {
        reason,
        pieces,
        prompt_tokens: prompt.len(),
        generated_tokens: run.stops.tokens(),
        forced_tokens: run.forced,
        passes: run.passes,
        timings: run.timings,
    }));
    Ok(())
}

/// What the mask leaves to choose from.
enum Choice {
    /// Exactly this id.
    Forced(u32),
    /// More than one id, or none: sampling tells.
    Open,
}

struct Run<'a> {
    sampler: Sampler,
    stops: StopWatch,
    constraint: Option<Box<dyn TokenConstraint>>,
    tokens: Option<Arc<dyn TokenBytes>>,
    observer: Option<Observer>,
    mask: Vec<u32>,
    row: Vec<f32>,
    timings: Timings,
    forced: usize,
    passes: usize,
    emit: &'a mut dyn FnMut(Event) -> bool,
}

impl Run<'_> {
    fn decode(
        &mut self,
        model: &Model,
        cache: &mut KvCache,
        mut logits: Logits,
        jump: bool,
    ) -> Result<FinishReason, GenerateError> {
        let mut forced = Vec::new();
        loop {
            // The device computes `logits` from here to `read`.
            while let Choice::Forced(id) = self.next_mask()? {
                self.sampler.push(id);
                self.forced += 1;
                let sampled = Sampled { id, logprob: Some(0.0), allowed: 1, forced: true, overruled: None };
                if let Some(reason) = self.commit(sampled)? {
                    return Ok(reason);
                }
                forced.push(id);
                if !jump {
                    logits = model.step(&forced, cache)?;
                    self.passes += 1;
                    forced.clear();
                }
            }
            if !forced.is_empty() {
                logits = model.step(&forced, cache)?;
                self.passes += 1;
                forced.clear();
            }
            let wait = Instant::now();
            logits.read(&mut self.row)?;
            self.timings.wait += wait.elapsed();

            let sample = Instant::now();
            let allowed = self.constraint.is_some().then_some(self.mask.as_slice());
            let rest = self.constraint.as_ref().is_some_and(|constraint| !constraint.penalties_apply());
            self.sampler.set_penalties_rest(rest);
            let sampled = self.sampler.sample(&mut self.row, allowed)?;
            self.timings.sample += sample.elapsed();

            if !self.surely_ends(sampled.id) {
                logits = model.step(&[sampled.id], cache)?;
                self.passes += 1;
            }
            if let Some(reason) = self.commit(sampled)? {
                return Ok(reason);
            }
        }
    }

    /// Computes the mask of the next token. End ids are allowed wherever the output may end.
    fn next_mask(&mut self) -> Result<Choice, GenerateError> {
        let Some(constraint) = &mut self.constraint else { return Ok(Choice::Open) };
        let start = Instant::now();
        self.mask.fill(0);
        constraint.mask(&mut self.mask)?;
        if constraint.is_accepting() {
            for &id in &self.stops.config().eos {
                mask::insert(&mut self.mask, id);
            }
        }
        let mut ids = mask::ids(&self.mask);
        let choice = match (ids.next(), ids.next()) {
            (Some(id), None) => Choice::Forced(id),
            _ => Choice::Open,
        };
        self.timings.mask += start.elapsed();
        Ok(choice)
    }

    /// True when no pass after this token will be needed. (Stop strings and the observer may end it too,
    /// and then one pass was for nothing.)
    fn surely_ends(&self, id: u32) -> bool {
        let config = self.stops.config();
        config.eos.contains(&id)
            || config.stop_ids.contains(&id)
            || config.max_tokens.is_some_and(|max| self.stops.tokens() + 1 >= max)
    }

    /// Takes a token into the constraint and the stop rules, and reports it.
    fn commit(&mut self, sampled: Sampled) -> Result<Option<FinishReason>, GenerateError> {
        let id = sampled.id;
        if let Some(constraint) = &mut self.constraint
            && !(constraint.is_accepting() && self.stops.config().eos.contains(&id))
        {
            constraint.accept(id)?;
        }
        let mut token = Token { sampled, pieces: Pieces::default() };
        let (bytes, special) = match &self.tokens {
            Some(tokens) => tokens.token_bytes(id).ok_or(GenerateError::UnknownToken(id))?,
            None => (&[][..], false),
        };
        let mut reason = self.stops.push(id, bytes, special, &mut token.pieces);
        if let Some(observer) = &mut self.observer
            && let Some(wanted) = observer(&token)
        {
            reason = reason.or(Some(wanted));
        }
        if !(self.emit)(Event::Token(token)) {
            reason = reason.or(Some(FinishReason::Cancelled));
        }
        let complete = self.constraint.as_ref().is_some_and(|constraint| constraint.is_finished());
        Ok(reason.or(complete.then_some(FinishReason::Constraint)))
    }
}
