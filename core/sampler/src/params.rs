//! Sampling settings of one request. Names and meanings follow vLLM's `SamplingParams`.

use crate::ParamsError;

/// Which probability a step reports for the token it chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Logprobs {
    /// None; saves one pass over the row.
    Off,
    /// Among the allowed ids, after mask, bias and penalties, before temperature and filters.
    /// A forced token has 0.
    #[default]
    Allowed,
    /// Of the model itself: the whole row, before anything was applied.
    Raw,
}

/// Settings of the chain; see the crate documentation for its order.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits. `0` is greedy: the most likely allowed id, the lowest one on a tie.
    pub temperature: f32,
    /// Keeps the `k` most likely ids (of equal ones the lowest); `0` keeps all.
    pub top_k: u32,
    /// Keeps the smallest set of most likely ids whose probabilities sum to `top_p`; `1` keeps all.
    pub top_p: f32,
    /// Keeps ids at least `min_p` times as likely as the most likely one; `0` keeps all.
    pub min_p: f32,
    /// Seed of the draws. The same seed, logits and masks give the same tokens.
    pub seed: u64,
    /// Added to single logits: id and bias. An id given twice gets the sum, an id beyond the row is
    /// ignored. `-inf` forbids an id.
    pub logit_bias: Vec<(u32, f32)>,
    /// Ids that occurred in the prompt or in the output: a positive logit is divided by this, a
    /// negative one multiplied. `1` is off.
    pub repetition_penalty: f32,
    /// Subtracted once for ids that occurred in the output. `0` is off.
    pub presence_penalty: f32,
    /// Subtracted per occurrence in the output. `0` is off.
    pub frequency_penalty: f32,
    /// Penalties see only this many of the last tokens (prompt, then output): mlx-lm's context size
    /// is 20, llama.cpp's `penalty_last_n` 64. `None` is all of them, as in vLLM.
    pub penalty_window: Option<usize>,
    /// What [`crate::Sampled::logprob`] reports.
    pub logprobs: Logprobs,
    /// Whether [`crate::Sampled::overruled`] is reported; costs one pass over the row.
    pub report_overruled: bool,
}

impl Default for SamplingParams {
    /// Temperature 1, nothing else: samples from the model's own distribution.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: 0,
            logit_bias: Vec::new(),
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_window: None,
            logprobs: Logprobs::Allowed,
            report_overruled: false,
        }
    }
}

impl SamplingParams {
    /// Temperature 0, nothing else.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// True when any penalty changes any logit.
    pub fn has_penalties(&self) -> bool {
        self.repetition_penalty != 1.0 || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0
    }

    /// Checks every range.
    pub fn validate(&self) -> Result<(), ParamsError> {
        let check = |name, value: f32, ok: bool, expected| {
            if ok { Ok(()) } else { Err(ParamsError::OutOfRange { name, value, expected }) }
        };
        let finite = "a finite number";
        let t = self.temperature;
        check("temperature", t, t.is_finite() && t >= 0.0, "finite and at least 0")?;
        check("top_p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0 and at most 1")?;
        check("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "between 0 and 1")?;
        let r = self.repetition_penalty;
        check("repetition_penalty", r, r.is_finite() && r > 0.0, "finite and above 0")?;
        check("presence_penalty", self.presence_penalty, self.presence_penalty.is_finite(), finite)?;
        check("frequency_penalty", self.frequency_penalty, self.frequency_penalty.is_finite(), finite)?;
        match self.logit_bias.iter().find(|(_, bias)| bias.is_nan() || *bias == f32::INFINITY) {
            Some(&(id, value)) => Err(ParamsError::Bias { id, value }),
            None => Ok(()),
        }
    }
}
