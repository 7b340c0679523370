//! Where the logits live. One call per token carries everything the chain needs, so that a device
//! backend can run it as one fused step and copy back one id.
//!
//! Not here: histories, seeds and settings; [`crate::Sampler`] turns them into a [`Pick`].

use crate::{Logprobs, SampleError};

/// One row of logits, on any device.
pub trait Backend {
    /// Number of logits in the row.
    fn width(&self) -> usize;

    /// Runs the chain and picks a token. The row may be changed on the way.
    ///
    /// Must never return an id that the mask forbids, and must fail with
    /// [`SampleError::EmptyMask`] when it allows none.
    fn pick(&mut self, pick: &Pick<'_>) -> Result<Picked, SampleError>;
}

/// What to do with one row, in the order of the fields.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// Packed set of allowed ids. Ids it does not reach are forbidden. `None` allows all below `limit`.
    pub mask: Option<&'a [u32]>,
    /// Ids at or above this are forbidden whatever the mask says (padding rows).
    pub limit: usize,
    /// Added to single logits.
    pub bias: &'a [(u32, f32)],
    /// Penalties, each id at most once.
    pub penalties: &'a [Penalty],
    /// Divides the logits; `0` is greedy.
    pub temperature: f32,
    /// `0` is off.
    pub top_k: u32,
    /// `1` is off.
    pub top_p: f32,
    /// `0` is off.
    pub min_p: f32,
    /// The random number, in `[0, 1)`.
    pub draw: f64,
    /// What to report.
    pub logprobs: Logprobs,
    /// Whether to report the model's own first choice where the mask forbids it.
    pub report_overruled: bool,
}

/// What the penalties do to one id: `divide` first, then `subtract`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalty {
    /// The token id.
    pub id: u32,
    /// Divides a positive logit, multiplies a negative one.
    pub divide: f32,
    /// Subtracted afterwards.
    pub subtract: f32,
}

impl Penalty {
    /// The logit after this penalty.
    #[inline]
    pub fn apply(&self, logit: f32) -> f32 {
        let scaled = if logit > 0.0 { logit / self.divide } else { logit * self.divide };
        scaled - self.subtract
    }
}

/// What a backend picked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Picked {
    /// The token id.
    pub id: u32,
    /// Natural logarithm of its probability, as [`Logprobs`] asked.
    pub logprob: Option<f32>,
    /// Number of ids the mask allowed.
    pub allowed: u32,
    /// The most likely id below the limit before bias and penalties, if the mask forbids it and it was
    /// asked for.
    pub overruled: Option<u32>,
}
