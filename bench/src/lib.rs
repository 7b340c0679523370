//! Masks beside other engines: the same answers, and how long they take.
//!
//! Holds the pieces that the bench and the comparison test share: vocabularies (real ones, and one made up in code
//! that has the shape of a byte-level BPE vocabulary), tool schemas with instances, and the engines behind one trait.
//! Nothing of the project depends on this crate.

mod engines;
mod report;
mod schemas;
mod vocabulary;
mod words;
mod work;

pub use engines::{Compiled, ENGINES, Engine, Input, Running, Spelling, engine};
pub use report::{Row, report};
pub use schemas::{Case, Instance, read_folder, stress_cases, tool_cases};
pub use vocabulary::Tokens;
pub use words::{EOS_NAME, made_up_tokens};
pub use work::{Item, Job, Outcome, Trial, work};

/// A value as Python's `json.dumps(ensure_ascii=False)` writes it.
pub fn dumps(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(dumps).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(k, v)| format!("{}: {}", Value::from(k.as_str()), dumps(v)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
