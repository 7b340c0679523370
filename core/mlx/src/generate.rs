//! One generation: prefill, then a step per token, with grammar work beside the forward pass.
//!
//! The forward pass for the next token starts as soon as a token is known. Meanwhile another thread takes
//! the token into the constraint and computes the next mask (see `masks.rs`), and the stop rules and
//! the listener see the token. Where the mask leaves a single id, that token is forced: it needs no
//! logits, and a run of forced tokens goes through the model in one pass.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use toolglot_sampler::{
    FinishReason, Pieces, Sampled, Sampler, SamplingParams, StopConfig, StopWatch, TokenBytes,
    TokenConstraint, mask,
};

use crate::masks::{Answer, Masks, Next};
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

/// Where the time went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the start to the first pass that gives logits.
    pub prefill: Duration,
    /// From there to the end.
    pub decode: Duration,
    /// Work of the constraint, on its own thread.
    pub mask: Duration,
    /// Waiting for the constraint when the model had nothing else to do: its true cost.
    pub mask_wait: Duration,
    /// Waiting for logits once a forward pass was set up. On a CPU, MLX does most of a pass during set-up.
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
        model,
        cache: model.new_cache(),
        sampler: Sampler::new(request.sampling, &prompt)?.with_vocabulary(vocabulary),
        stops: StopWatch::new(stops)?,
        tokens: request.tokens,
        observer: request.observer,
        row: Vec::with_capacity(model.config().vocab_size),
        jump_forward: request.jump_forward,
        timings: Timings::default(),
        forced: 0,
        passes: 0,
        emit,
    };
    let words = mask::words(model.config().vocab_size);
    thread::scope(|scope| {
        let ends = run.stops.config().eos.clone();
        let mut masks = request.constraint.map(|constraint| Masks::start(scope, constraint, ends, words));
        // The first mask is computed beside the prefill.
        run.ask(&mut masks, None);
        run.all(head, last, request.prefill_chunk.max(1), masks)
    })
}

struct Run<'a> {
    model: &'a Model,
    cache: KvCache,
    sampler: Sampler,
    stops: StopWatch,
    tokens: Option<Arc<dyn TokenBytes>>,
    observer: Option<Observer>,
    row: Vec<f32>,
    jump_forward: bool,
    timings: Timings,
    forced: usize,
    passes: usize,
    emit: &'a mut dyn FnMut(Event) -> bool,
}

impl Run<'_> {
    /// Prefill, decoding, and the report of the end.
    fn all(
        &mut self,
        head: &[u32],
        last: u32,
        chunk: usize,
        mut masks: Option<Masks>,
    ) -> Result<(), GenerateError> {
        let start = Instant::now();
        let total = head.len() + 1;
        let mut heard = true;
        let mut done = 0;
        for chunk in head.chunks(chunk) {
            self.model.prefill(chunk, &mut self.cache)?;
            done += chunk.len();
            heard = (self.emit)(Event::Prefill { done, total });
            if !heard {
                break;
            }
        }
        let reason = if heard {
            let logits = self.model.step(&[last], &mut self.cache)?;
            self.timings.prefill = start.elapsed();
            self.decode(logits, &mut masks)?
        } else {
            self.timings.prefill = start.elapsed();
            FinishReason::Cancelled
        };
        let mut pieces = Pieces::default();
        let reason = self.stops.finish(reason, &mut pieces);
        self.timings.decode = start.elapsed() - self.timings.prefill;
        (self.emit)(Event::Finished(Finish {
            reason,
            pieces,
            prompt_tokens: total,
            generated_tokens: self.stops.tokens(),
            forced_tokens: self.forced,
            passes: self.passes,
            timings: self.timings,
        }));
        Ok(())
    }

    /// Generates until something ends it. `logits` are those that follow the prompt.
    fn decode(
        &mut self,
        mut logits: Logits,
        masks: &mut Option<Masks>,
    ) -> Result<FinishReason, GenerateError> {
        let mut answer = self.wait(masks, None)?;
        loop {
            if let Some(now) = &mut answer {
                let forced = std::mem::take(&mut now.forced);
                for &id in &forced {
                    self.sampler.push(id);
                    self.forced += 1;
                    let sampled =
                        Sampled { id, logprob: Some(0.0), allowed: 1, forced: true, overruled: None };
                    if let Some(reason) = self.commit(sampled)? {
                        return Ok(reason);
                    }
                }
                if now.next == Next::Nothing {
                    return Ok(FinishReason::Constraint);
                }
                for pass in forced.chunks(if self.jump_forward { forced.len().max(1) } else { 1 }) {
                    logits = self.step(pass)?;
                }
                if now.next == Next::More {
                    self.ask(masks, None);
                    answer = self.wait(masks, answer)?;
                    continue;
                }
            }
            let wait = Instant::now();
            logits.read(&mut self.row)?;
            self.timings.wait += wait.elapsed();

            let sample = Instant::now();
            let rest = answer.as_ref().is_some_and(|answer| !answer.penalties_apply);
            self.sampler.set_penalties_rest(rest);
            let mask = answer.as_ref().map(|answer| answer.mask.as_slice());
            let sampled = self.sampler.sample(&mut self.row, mask)?;
            self.timings.sample += sample.elapsed();

            let ends = self.surely_ends(sampled.id);
            if !ends {
                self.ask(masks, Some(sampled.id));
                logits = self.step(&[sampled.id])?;
            }
            if let Some(reason) = self.commit(sampled)? {
                return Ok(reason);
            }
            answer = self.wait(masks, answer)?;
        }
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Logits, GenerateError> {
        self.passes += 1;
        Ok(self.model.step(tokens, &mut self.cache)?)
    }

    /// Lets the constraint work on what follows the given token.
    fn ask(&self, masks: &mut Option<Masks>, accept: Option<u32>) {
        if let Some(masks) = masks {
            // Called before the token is counted, and a forced run need not go beyond the limit.
            let taken = self.stops.tokens() + usize::from(accept.is_some());
            let room = self.stops.config().max_tokens.map_or(usize::MAX, |max| max.saturating_sub(taken));
            masks.ask(accept, room.max(1));
        }
    }

    /// Waits for the constraint. `None` when there is none.
    fn wait(
        &mut self,
        masks: &mut Option<Masks>,
        old: Option<Answer>,
    ) -> Result<Option<Answer>, GenerateError> {
        let Some(masks) = masks else { return Ok(None) };
        let start = Instant::now();
        let answer = masks.wait(old)?;
        self.timings.mask_wait += start.elapsed();
        self.timings.mask += answer.time;
        Ok(Some(answer))
    }

    /// True when no pass after this token will be needed, because the stop rules end there. (Stop strings
    /// and the observer may end it too, and then one pass was for nothing.)
    fn surely_ends(&self, id: u32) -> bool {
        let config = self.stops.config();
        config.eos.contains(&id)
            || config.stop_ids.contains(&id)
            || config.max_tokens.is_some_and(|max| self.stops.tokens() + 1 >= max)
    }

    /// Counts a token, runs the stop rules and reports it.
    fn commit(&mut self, sampled: Sampled) -> Result<Option<FinishReason>, GenerateError> {
        let id = sampled.id;
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
        Ok(reason)
    }
}
