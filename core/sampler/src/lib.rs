//! Logits processors, sampling, stop rules and loop detection.
//!
//! Everything here is plain data: a row of `f32` logits and a packed token mask go in, a token id
//! and a report come out. No model, no grammar and no device is known to this crate; a device
//! plugs in as a [`Backend`], a grammar as a [`TokenConstraint`].
//!
//! # Order of the chain
//!
//! 1. **token mask**: ids whose bit is clear are forbidden, and so is every id the mask does not
//!    reach (the padding rows of a model that is wider than its vocabulary);
//! 2. **logit bias**: added per id; a bias can forbid an id (`-inf`) but never allow a masked one;
//! 3. **penalties**: repetition (over prompt and generated tokens), then presence and frequency
//!    (over generated tokens only); the same split as vLLM's. A window can be set, see
//!    [`SamplingParams::penalty_window`];
//! 4. **temperature**: `0` means greedy, the steps below are then skipped;
//! 5. **top-k**, 6. **top-p** (of what top-k left, renormalised), 7. **min-p** (relative to the
//!    most likely id), all on probabilities after temperature;
//! 8. **draw**: one uniform number that depends on the seed and the step only.
//!
//! [`Sampler`] owns one request's settings and history, [`StopWatch`] its stop rules.
//!
//! ```
//! use toolglot_sampler::{FinishReason, Pieces, Sampler, SamplingParams, StopConfig, StopWatch, mask};
//!
//! let words = ["yes", "no", "sir", "<end>"];
//! let mut sampler = Sampler::new(SamplingParams::greedy(), &[])?;
//! let mut stops = StopWatch::new(StopConfig { eos: vec![3], ..StopConfig::default() })?;
//! let mut allowed = vec![0; mask::words(words.len())];
//! let mut text = Pieces::default();
//! let reason = loop {
//!     // What a model would say, and what a grammar would allow.
//!     let mut logits = [1.0, 2.0, 0.5, 0.0];
//!     allowed[0] = [0b0001, 0b0100, 0b1000][sampler.step() as usize];
//!     let sampled = sampler.sample(&mut logits, Some(&allowed))?;
//!     let word = words[sampled.id as usize];
//!     if let Some(reason) = stops.push(sampled.id, word.as_bytes(), sampled.id == 3, &mut text) {
//!         break reason;
//!     }
//! };
//! assert_eq!(text.bytes, b"yessir");
//! assert_eq!(reason, FinishReason::Eos { id: 3 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod constraint;
mod error;
mod exp;
mod history;
pub mod mask;
mod params;
mod repetition;
mod rng;
mod sampler;
mod slice;
mod stop;
mod stop_strings;

pub use backend::{Backend, Penalty, Pick, Picked};
pub use constraint::{ConstraintError, TokenBytes, TokenConstraint};
pub use error::{ParamsError, SampleError};
pub use params::{Logprobs, SamplingParams};
pub use repetition::{Repetition, RepetitionDetection};
pub use rng::uniform;
pub use sampler::{Sampled, Sampler};
pub use slice::{Scratch, SliceBackend};
pub use stop::{FinishReason, Pieces, Span, StopConfig, StopConfigError, StopWatch};
