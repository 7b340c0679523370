//! Masks beside another engine: the same answers, and how long they take.
//!
//! Holds the pieces that the bench and the comparison test share: a vocabulary made up in code that has the shape of
//! a byte-level BPE vocabulary, a set of tool schemas with instances, and an adapter for llguidance. Nothing of the
//! project depends on this crate.

mod rival;
mod schemas;
mod words;

pub use rival::{Rival, RivalMatcher};
pub use schemas::{Case, stress_cases, tool_cases};
pub use words::{EOS_NAME, made_up_tokens};
