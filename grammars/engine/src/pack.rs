//! What is known of a terminal's states for one vocabulary, made once and shared by every grammar.

/// Placeholder store, filled by the vocabulary.
#[derive(Default)]
pub(crate) struct PackCache;
