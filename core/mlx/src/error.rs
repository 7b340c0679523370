//! What can go wrong when a model is loaded and when it runs.

use std::path::PathBuf;

use toolglot_sampler::{ConstraintError, ParamsError, SampleError, StopConfigError};

/// A checkpoint that cannot be loaded: which file, which key or tensor, what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{} is not valid: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The model is of a kind that this runtime does not know.
    #[error("{}: the architecture `{found}` is not supported; known are llama, qwen2 and qwen3", path.display())]
    Architecture {
        /// The config file.
        path: PathBuf,
        /// `model_type` as found.
        found: String,
    },
    /// A setting is missing, contradictory or not supported.
    #[error("{}: `{key}` {problem}", path.display())]
    Setting {
        /// The config file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A weights file is damaged.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The weights file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// The checkpoint lacks a tensor.
    #[error("{}: the tensor `{tensor}` is missing", folder.display())]
    MissingTensor {
        /// Folder of the checkpoint.
        folder: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// The checkpoint has a tensor that the model has no use for; it is not the model that its config says.
    #[error("{}: nothing in this model uses the tensor `{tensor}`", path.display())]
    UnexpectedTensor {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has another shape than the config implies.
    #[error("{}: the tensor `{tensor}` has the shape {found:?}, its config implies {expected:?}", path.display())]
    Shape {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Shape by config, outermost axis first.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor has an element type that does not fit its role.
    #[error("{}: the tensor `{tensor}` holds {found}, it must hold {expected}", path.display())]
    Type {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Names of the types that fit.
        expected: &'static str,
        /// Type in the file.
        found: String,
    },
    /// MLX failed.
    #[error("MLX failed while loading {}: {message}", path.display())]
    Mlx {
        /// The folder or file.
        path: PathBuf,
        /// What MLX says.
        message: String,
    },
    /// The thread of the model could not be started, or died.
    #[error("the model thread is gone: {0}")]
    Thread(String),
}

/// A forward pass that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A token id that the embedding has no row for.
    #[error("token {id} is not in the model's vocabulary of {vocabulary} ids")]
    Token {
        /// The token id.
        id: u32,
        /// Number of rows of the embedding.
        vocabulary: usize,
    },
    /// A pass over no tokens.
    #[error("a forward pass needs at least one token")]
    Empty,
    /// MLX failed.
    #[error("MLX failed: {0}")]
    Mlx(String),
}

impl From<mlx_rs::error::Exception> for ModelError {
    fn from(error: mlx_rs::error::Exception) -> Self {
        Self::Mlx(error.what().to_owned())
    }
}

/// A generation that could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The prompt has no tokens.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {prompt} tokens, the model's context holds {context}")]
    PromptTooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens that the model's context holds.
        context: usize,
    },
    /// Stop strings need the bytes of each token.
    #[error("stop strings are set, but the request brings no token bytes to match them on")]
    NoTokenBytes,
    /// A token whose bytes are not known was sampled.
    #[error("the model produced token {0}, which the vocabulary does not know")]
    UnknownToken(u32),
    /// Bad sampling settings.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// Bad stop rules.
    #[error(transparent)]
    Stops(#[from] StopConfigError),
    /// No token could be sampled.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The constraint failed.
    #[error("the constraint failed: {0}")]
    Constraint(#[from] ConstraintError),
    /// The forward pass failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model thread ended before the generation did.
    #[error("the model thread is gone; load the model again")]
    ThreadGone,
}
