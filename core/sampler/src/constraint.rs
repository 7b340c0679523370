//! The seam between sampling and grammars: what decides which ids may come next.
//!
//! A grammar matcher implements [`TokenConstraint`]; sampling knows nothing else about grammars.

use std::error::Error;

/// A constraint could not go on. Carries its author's message and, where there is one, the cause.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConstraintError {
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ConstraintError {
    /// An error with a message of its own.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// An error that wraps another one and speaks with its message.
    pub fn from_error(error: impl Error + Send + Sync + 'static) -> Self {
        Self { message: error.to_string(), source: Some(Box::new(error)) }
    }
}

/// Decides, token by token, which ids may come next.
///
/// The contract:
/// - `mask` describes the next token; it may be called on another thread than `accept`, never at
///   the same time (hence `Send`, not `Sync`).
/// - Every sampled token is passed to `accept` in order, except an end token sampled while
///   [`is_accepting`](Self::is_accepting) held: that one ends the output.
/// - End tokens need not be in the mask: the generator adds its own end ids whenever
///   `is_accepting` holds. An end token that belongs to the format itself may be in the mask.
pub trait TokenConstraint: Send {
    /// Writes the set of ids that may come next: bit `id % 32` of word `id / 32`, least
    /// significant bit first. Every word of `out` must be written; ids beyond the vocabulary stay 0.
    fn mask(&mut self, out: &mut [u32]) -> Result<(), ConstraintError>;

    /// Takes the token that was sampled. Fails when the mask did not allow it.
    fn accept(&mut self, token: u32) -> Result<(), ConstraintError>;

    /// True where the output may end.
    fn is_accepting(&self) -> bool;

    /// True where nothing may follow: generation ends with
    /// [`FinishReason::Constraint`](crate::FinishReason::Constraint).
    fn is_finished(&self) -> bool;

    /// False inside regions whose shape the grammar dictates. Penalties rest there: else they punish
    /// the punctuation of JSON for being repeated.
    fn penalties_apply(&self) -> bool {
        true
    }
}

impl<T: TokenConstraint + ?Sized> TokenConstraint for Box<T> {
    fn mask(&mut self, out: &mut [u32]) -> Result<(), ConstraintError> {
        (**self).mask(out)
    }

    fn accept(&mut self, token: u32) -> Result<(), ConstraintError> {
        (**self).accept(token)
    }

    fn is_accepting(&self) -> bool {
        (**self).is_accepting()
    }

    fn is_finished(&self) -> bool {
        (**self).is_finished()
    }

    fn penalties_apply(&self) -> bool {
        (**self).penalties_apply()
    }
}

/// What each token stands for; read by stop strings. A vocabulary implements it.
pub trait TokenBytes: Send + Sync {
    /// The bytes of a token (not always valid UTF-8) and whether it is a special token. `None` for an
    /// id that the vocabulary does not know.
    fn token_bytes(&self, id: u32) -> Option<(&[u8], bool)>;
}

/// Bytes and special flag per id.
impl TokenBytes for Vec<(Vec<u8>, bool)> {
    fn token_bytes(&self, id: u32) -> Option<(&[u8], bool)> {
        self.get(id as usize).map(|(bytes, special)| (bytes.as_slice(), *special))
    }
}
