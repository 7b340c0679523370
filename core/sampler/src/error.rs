//! What can be wrong with sampling settings and with one sampling step.

/// A setting outside its range. Settings are checked once, when a sampler is made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParamsError {
    /// A number is outside the range that its meaning allows, or not a number.
    #[error("{name} is {value}, it must be {expected}")]
    OutOfRange {
        /// Name of the setting, as in [`crate::SamplingParams`].
        name: &'static str,
        /// What was given.
        value: f32,
        /// What is allowed, in words.
        expected: &'static str,
    },
    /// A logit bias that is NaN or `+inf`.
    #[error("logit_bias of token {id} is {value}, it must be a finite number or -inf")]
    Bias {
        /// The token id.
        id: u32,
        /// What was given.
        value: f32,
    },
}

/// Why no token could be sampled. The logits or the mask are at fault, never the draw.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// The mask allows no id of the logits row.
    #[error("the token mask allows none of the {width} ids; the constraint has no way to go on")]
    EmptyMask {
        /// Width of the logits row.
        width: usize,
    },
    /// Every allowed id has a logit of `-inf`, from the model or from a bias.
    #[error("all {allowed} allowed ids have a logit of -inf; check logit_bias against the constraint")]
    NothingPossible {
        /// Number of ids the mask allows.
        allowed: u32,
    },
    /// A logit is NaN or `+inf`: the model's output is broken.
    #[error("the logit of token {id} is {value}; the model's output is not usable")]
    NotFinite {
        /// The first such allowed id.
        id: u32,
        /// Its logit.
        value: f32,
    },
    /// A device backend failed.
    #[error("the sampling backend failed: {0}")]
    Backend(String),
}
