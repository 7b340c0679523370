//! The suite that every family passes, whoever implements it.
//!
//! Each family's folder holds `cases.toml`: model outputs and what they mean. [`check`] runs them over any
//! [`Family`](toolglot_parsers::Family), in every cut, against the stated intent and against the snapshots
//! beside the cases, so that a built-in family and the same family as a plugin are held to one record.
//! Property tests and the checks of the repository are in `tests/`.

mod case;
mod check;
pub mod folder;

pub use case::{Case, CaseFile, CaseFileError, Category, PieceOf, WantedCall, tool_set};
pub use check::{Failure, check};
