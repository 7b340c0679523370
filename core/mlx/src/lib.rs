//! Models that run on MLX, sampled under token masks.
//!
//! Loads Llama, Qwen2 and Qwen3 checkpoints in Hugging Face layout (f32, f16, bf16, MLX affine
//! quantization) and generates from them with the chain and the stop rules of `toolglot-sampler`.
//! [`Runtime`] is the way in: a model on its own thread. [`Model`] and [`generate`] are the same without
//! the thread, for tests and for callers that own their thread.
//!
//! Not here: tokenizers, chat templates, grammars. Token ids come in, token ids go out, and what
//! may be sampled is decided by a [`toolglot_sampler::TokenConstraint`].
//!
//! On Linux, run `cargo dev mlx` once before building this crate.
//!
//! ```
//! use std::path::Path;
//! use toolglot_mlx::{Event, Request, Runtime};
//! use toolglot_sampler::{SamplingParams, StopConfig};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/qwen3-4bit");
//! let runtime = Runtime::load(Path::new(folder))?;
//! let mut request = Request::new(vec![1, 2, 3]);
//! request.sampling = SamplingParams { temperature: 0.7, seed: 1, ..SamplingParams::default() };
//! request.stops = StopConfig { eos: runtime.info().end_ids.clone(), max_tokens: Some(8), ..StopConfig::default() };
//! let mut tokens = 0;
//! for event in runtime.generate(request) {
//!     match event? {
//!         Event::Prefill { .. } => {}
//!         Event::Token(token) => {
//!             assert_eq!(token.sampled.allowed, 131, "no constraint, so the whole vocabulary");
//!             tokens += 1;
//!         }
//!         Event::Finished(finish) => assert_eq!(finish.generated_tokens, tokens),
//!     }
//! }
//! assert!(tokens <= 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod checkpoint;
mod config;
mod end_ids;
mod error;
mod generate;
mod layers;
mod masks;
mod model;
mod runtime;
mod weights;

pub use cache::KvCache;
pub use config::{Architecture, ModelConfig, Quantization, RopeScaling};
pub use end_ids::end_ids;
pub use error::{GenerateError, LoadError, ModelError};
pub use generate::{Event, Finish, Observer, Request, Timings, Token, generate};
pub use model::{Logits, Model};
pub use runtime::{Generation, ModelInfo, Runtime};
pub use toolglot_sampler as sampler;
