//! The seam to whatever computes the tokens.

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use toolglot::{Event, Plan, SessionSettings};

/// What computes an assistant turn.
pub trait Engine: Send + Sync + 'static {
    /// The model's name, as requests and answers carry it.
    fn model(&self) -> &str;

    /// Starts a turn. Updates come in order, [`Update::Finished`] or [`Update::Failed`] last. The channel is
    /// bounded: where the reader is slow, sending waits. When the receiver is gone the turn must end.
    ///
    /// # Errors
    /// [`EngineError`] when the request cannot be served; nothing has been generated then.
    fn start(&self, request: TurnRequest) -> Result<mpsc::Receiver<Update>, EngineError>;
}

/// One assistant turn to be generated.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The conversation, in OpenAI's form.
    pub messages: Vec<Value>,
    /// The tools as they were given, for the chat template; empty without tools.
    pub tools: Vec<Value>,
    /// The tools and how they may be used.
    pub plan: Plan,
    /// Variables for the chat template.
    pub variables: Map<String, Value>,
    /// Stops and limits.
    pub settings: SessionSettings,
    /// How tokens are drawn.
    pub sampling: Sampling,
}

/// The sampling fields of a request; `None` leaves the choice to the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: Option<f32>,
    /// Nucleus.
    pub top_p: Option<f32>,
    /// Most likely ids.
    pub top_k: Option<u32>,
    /// Least relative probability.
    pub min_p: Option<f32>,
    /// Seed of the draws.
    pub seed: Option<u64>,
    /// Subtracted once from ids that occurred.
    pub presence_penalty: Option<f32>,
    /// Subtracted per occurrence.
    pub frequency_penalty: Option<f32>,
}

/// Progress of a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Something was read in the output.
    Event(Event),
    /// The turn is over.
    Finished {
        /// Whether a limit cut it off (`length`), else it stopped by itself (`stop`).
        cut: bool,
        /// Tokens used.
        usage: Usage,
    },
    /// The engine failed. What was sent before stands.
    Failed(String),
}

/// Tokens used by a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens generated.
    pub completion: usize,
}

/// A turn that cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The request asks for something this engine or model cannot do.
    #[error("{0}")]
    Invalid(String),
    /// The engine has no room; try again later.
    #[error("{0}")]
    Busy(String),
}
