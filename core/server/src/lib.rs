//! OpenAI's Chat Completions API over any engine.
//!
//! An [`Engine`] turns a [`TurnRequest`] into a bounded channel of [`Update`]s; [`router`] does the rest:
//! it reads requests, refuses what cannot be honoured with the field's name, and answers whole or as
//! server-sent events. A slow reader slows the engine down, a reader that goes away ends the turn. No model
//! is known here.

mod chat;
mod engine;
mod error;
mod request;

pub use chat::router;
pub use engine::{Engine, EngineError, Sampling, TurnRequest, Update, Usage};
