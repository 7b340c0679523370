//! Grammars, vocabularies, and the token masks they give.

#[cfg(feature = "tokenizers")]
mod tokenizer;

#[cfg(feature = "tokenizers")]
pub use tokenizer::{Tokenizer, TokenizerError};
