//! What a family author runs: the family's own cases, the corpus that all families share, the six laws and
//! detection, each told as a person would tell it.
//!
//! A [`Bench`] holds every family and checks some of them; what is wrong comes as a [`Finding`]. Nothing here
//! prints, and nothing here decides how a family is parsed, printed or constrained: everything goes through
//! [`Family`](toolglot::Family), so a built-in family, a folder and a component are held to the same.
//!
//! - [`CaseFile`]: `cases.toml`, outputs and what they mean, written by hand;
//! - [`Corpus`]: `tests/corpus.toml`, turns stated once and printed through each family's own printer;
//! - [`laws`]: properties over random tools, turns and outputs;
//! - [`Record`]: what was seen, in the family's `snapshots/`.

mod admit;
mod bench;
mod case;
mod corpus;
mod corpus_run;
mod detection;
mod doctor;
mod drift;
mod expect;
mod fidelity;
mod finding;
mod ids;
pub mod laws;
mod own;
mod place;
mod record;
mod sample;
mod scaffold;
mod table;
mod template;
mod vocabulary;

pub use bench::{Bench, Checks, FamilyReport, level};
pub use case::{Case, CaseFile, CaseFileError, Category, PieceOf, WantedCall, tool_set};
pub use corpus::{Corpus, CorpusCase, Kind, Part};
pub use corpus_run::{Outcome, run_corpus};
pub use detection::check_detection;
pub use doctor::{Diagnosis, Ruling, diagnose};
pub use fidelity::{Admission, Fidelity, FidelityRow, Verdict};
pub use finding::{Check, Finding};
pub use own::check_cases;
pub use record::{Record, Snapshot};
pub use scaffold::{Scaffold, ScaffoldError};
pub use table::table;
