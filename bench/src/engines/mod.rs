//! The engines behind one trait, each under the same vocabulary and spelling.

mod llguidance;
mod ours;
#[cfg(feature = "xgrammar")]
mod xgrammar;

use crate::vocabulary::Tokens;
use anyhow::{Result, bail};
use serde_json::Value;

/// How JSON is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Spelling {
    /// As `json.dumps` writes it: `", "` and `": "`, no other white space.
    Exact,
    /// With white space wherever JSON allows it.
    Flexible,
}

/// A schema in the form that an engine takes.
pub enum Input {
    /// Parsed.
    Value(Value),
    /// As text.
    Text(String),
}

/// A compiler of schemas over one vocabulary.
pub trait Engine {
    /// The schema as this engine wants it. Not timed.
    fn input(&self, schema: &Value) -> Input;
    /// Compiles a schema. A second call with the same input may be answered from whatever the engine keeps.
    fn compile(&self, input: Input) -> Result<Box<dyn Compiled>>;
}

/// A compiled schema.
pub trait Compiled {
    /// A matcher at the start of an output.
    fn matcher(&self) -> Result<Box<dyn Running>>;
    /// Heap bytes, where the engine itself must be asked because it does not allocate through Rust.
    fn heap(&self) -> Option<usize> {
        None
    }
}

/// A running matcher.
pub trait Running {
    /// Writes the allowed tokens, 32 to a word.
    fn mask(&mut self, out: &mut [u32]) -> Result<()>;
    /// Takes a token.
    fn accept(&mut self, token: u32) -> Result<()>;
    /// True if the output may end.
    fn is_accepting(&mut self) -> bool;
}

/// The names of the engines in this build, ours first.
pub const ENGINES: &[&str] = if cfg!(feature = "xgrammar") {
    &["toolglot", "llguidance", "xgrammar"]
} else {
    &["toolglot", "llguidance"]
};

/// Sets an engine up.
pub fn engine(name: &str, tokens: &Tokens, spelling: Spelling) -> Result<Box<dyn Engine>> {
    match name {
        "toolglot" => Ok(Box::new(ours::Ours::new(tokens, spelling)?)),
        "llguidance" => Ok(Box::new(llguidance::LlGuidance::new(tokens, spelling)?)),
        #[cfg(feature = "xgrammar")]
        "xgrammar" => Ok(Box::new(xgrammar::XGrammar::new(tokens, spelling)?)),
        other => bail!("no engine `{other}` in this build; there are {}", ENGINES.join(", ")),
    }
}
