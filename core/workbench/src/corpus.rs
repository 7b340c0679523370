//! `tests/corpus.toml`: turns that every family is held to, stated once.

use serde::Deserialize;
use toolglot::Plan;
use toolglot::format::{Call, ToolChoice, Turn};

use crate::Category;
use crate::case::{no_tools, tool_set, yes};

const SOURCE: &str = include_str!("../../../tests/corpus.toml");

/// The turns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// In the order of the file.
    #[serde(rename = "case")]
    pub cases: Vec<CorpusCase>,
}

/// What is done with a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Printed, parsed in every cut, held to the grammar.
    #[default]
    Turn,
    /// Cut off at every byte: nothing is invented and nothing is lost.
    CutOff,
    /// Behind the prompt that opens reasoning.
    PromptTail,
    /// In pieces that say which tokens are special.
    SpecialPieces,
    /// With halves of the family's markers in its content.
    LookAlikes,
    /// With the family's markers in the string argument named `marker`.
    Markers,
    /// With a string that some formats cannot tell from another type.
    Ambiguous,
}

/// A turn under a plan.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusCase {
    /// Unique in the corpus.
    pub name: String,
    /// What it is about.
    pub category: Category,
    /// What is done with it.
    #[serde(default)]
    pub kind: Kind,
    /// A set of `tests/tools.json`.
    #[serde(default = "no_tools")]
    pub tools: String,
    /// The tool choice.
    #[serde(default)]
    pub choice: ToolChoice,
    /// Whether several calls are allowed.
    #[serde(default = "yes")]
    pub parallel: bool,
    /// The turn, part after part: within a part reasoning, content, calls.
    pub turn: Vec<Part>,
    /// Whether a grammar under the plan admits the turn.
    #[serde(default = "yes")]
    pub admitted: bool,
    /// Further turns that a grammar under the plan must refuse.
    #[serde(default)]
    pub refuses: Vec<Vec<Part>>,
}

/// A part of a turn.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Part {
    /// Reasoning.
    pub reasoning: String,
    /// Content.
    pub content: String,
    /// Calls.
    pub calls: Vec<PartCall>,
}

/// A call in a part.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartCall {
    /// The tool.
    pub name: String,
    /// The arguments as JSON text.
    pub args: String,
}

impl Corpus {
    /// The corpus that this crate was built with.
    ///
    /// # Errors
    /// With the place in `tests/corpus.toml`.
    pub fn shared() -> Result<Corpus, String> {
        Corpus::read(SOURCE)
    }

    fn read(source: &str) -> Result<Corpus, String> {
        let corpus: Corpus = toml::from_str(source).map_err(|error| format!("tests/corpus.toml: {error}"))?;
        for (at, case) in corpus.cases.iter().enumerate() {
            if corpus.cases[..at].iter().any(|other| other.name == case.name) {
                return Err(format!("tests/corpus.toml: two cases are named `{}`", case.name));
            }
            case.plan().map_err(|error| format!("tests/corpus.toml: `{}`: {error}", case.name))?;
        }
        Ok(corpus)
    }
}

impl CorpusCase {
    /// The request.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        let tools = tool_set(&self.tools)?;
        let plan = Plan { tools, choice: self.choice.clone(), parallel: self.parallel, reasoning: true };
        plan.check().map_err(|error| error.to_string())?;
        Ok(plan)
    }
}

/// The parts as a printer takes them.
pub(crate) fn turns(parts: &[Part]) -> Vec<Turn> {
    let call = |call: &PartCall| Call {
        name: call.name.clone(),
        id: None,
        arguments: call.args.clone(),
        complete: true,
    };
    let turn = |part: &Part| Turn {
        reasoning: part.reasoning.clone(),
        content: part.content.clone(),
        calls: part.calls.iter().map(call).collect(),
        malformed: Vec::new(),
    };
    parts.iter().map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_can_be_read() {
        let corpus = Corpus::shared().unwrap();
        assert!(corpus.cases.len() > 30, "{}", corpus.cases.len());
    }

    #[test]
    fn names_what_is_wrong() {
        let case = "[[case]]\nname = \"a\"\ncategory = \"single\"\nturn = []\n";
        assert!(Corpus::read(&format!("{case}{case}")).unwrap_err().contains("two cases are named `a`"));
        let error = Corpus::read(&case.replace("single", "singel")).unwrap_err();
        assert!(error.contains("line 3") && error.contains("singel"), "{error}");
        let error = Corpus::read(&format!("{case}tools = \"nothing\"\n")).unwrap_err();
        assert!(error.contains("`a`") && error.contains("no set `nothing`"), "{error}");
    }
}
