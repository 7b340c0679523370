//! Toolglot makes any local language model a reliable tool caller.
//!
//! A [`Registry`] knows the model families. A [`Model`] is one checkpoint: its family, chat template and
//! vocabulary. For each request a [`Plan`] says which tools may be called; [`Model::prompt`] renders the
//! conversation and [`Model::session`] opens a [`Session`], which gives a token mask per step, takes the
//! sampled token and reports [`Event`]s. Nothing here runs a model: the logits are yours.
//!
//! ```no_run
//! use toolglot::{Model, Plan, Registry, SessionSettings, template::Conversation};
//! # fn logits() -> Vec<f32> { Vec::new() }
//! # fn sample(_: &mut [f32], _: &[u32]) -> u32 { 0 }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::from_dir("models/tiny-qwen3", &Registry::builtin()?, None)?;
//! let tools = serde_json::json!([{"type": "function", "function": {"name": "now", "parameters": {}}}]);
//! let plan = Plan::from_openai(&tools, &"required".into(), false)?;
//!
//! let messages = [serde_json::json!({"role": "user", "content": "What time is it?"})];
//! let tools = tools.as_array().map(Vec::as_slice).unwrap_or_default();
//! let prompt = model.prompt(&Conversation::new(&messages).with_tools(tools))?;
//!
//! let mut session = model.session(&plan, &prompt.tail, &SessionSettings::default())?;
//! let mut mask = vec![0; model.vocabulary().mask_words()];
//! let mut events = Vec::new();
//! loop {
//!     session.mask(&mut mask)?;
//!     let token = sample(&mut logits(), &mask);
//!     let finished = session.accept(token, &mut events)?;
//!     for event in events.drain(..) {
//!         println!("{event:?}");
//!     }
//!     if finished.is_some() {
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod folder;
pub mod live;
mod model;
pub mod openai;
mod session;
pub mod template;
mod vocabulary_cache;

pub use model::{Model, ModelError, Prompt, detect_dir};
pub use session::{Constraint, Reader, Session, SessionError, SessionSettings};
#[doc(no_inline)]
pub use toolglot_format as format;
#[doc(no_inline)]
pub use toolglot_format::{Channel, Event, Format, Manifest, Piece, Plan, PlanError, Tool, ToolChoice, Turn};
#[doc(no_inline)]
pub use toolglot_grammar as grammar;
#[doc(no_inline)]
pub use toolglot_parsers::{self as parsers, Family, Registry};
#[doc(no_inline)]
pub use toolglot_sampler as sampler;
#[doc(no_inline)]
pub use toolglot_schema as schema;
pub use vocabulary_cache::VocabularyCache;
