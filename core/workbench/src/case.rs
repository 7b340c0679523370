//! `cases.toml`: a family's model outputs and what they mean.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toolglot::format::MalformedReason;
use toolglot::{Plan, Tool, ToolChoice};

macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a case is about. The list is closed: the corpus or a family's own cases cover each category, or the
        /// family says why not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        pub enum Category { $($(#[$doc])* #[serde(rename = $word)] $name,)* }

        impl Category {
            /// Every category.
            pub const ALL: &[Category] = &[$(Category::$name,)*];

            /// The word in `cases.toml`.
            pub fn word(self) -> &'static str {
                match self { $(Category::$name => $word,)* }
            }
        }
    };
}

categories! {
    /// One call and nothing else.
    Single = "single",
    /// Several calls in a row.
    Several = "several",
    /// Text only.
    None = "none",
    /// A frame whose body is no call.
    Malformed = "malformed",
    /// Output that ends inside a call.
    CutOff = "cut_off",
    /// A closing marker that the model forgot.
    MissingCloser = "missing_closer",
    /// A call without arguments.
    EmptyArguments = "empty_arguments",
    /// Objects and arrays inside arguments.
    NestedArguments = "nested_arguments",
    /// Text beyond ASCII in names, arguments and content.
    Unicode = "unicode",
    /// Quotes, backslashes and line breaks in a string.
    Escapes = "escapes",
    /// Reasoning and an answer.
    Reasoning = "reasoning",
    /// Reasoning and a call.
    ReasoningAndCall = "reasoning_and_call",
    /// Reasoning that nothing closes.
    UnclosedReasoning = "unclosed_reasoning",
    /// Text before a call.
    TextBefore = "text_before",
    /// Text between two calls.
    TextBetween = "text_between",
    /// Text after a call.
    TextAfter = "text_after",
    /// Tool choice `auto`.
    ChoiceAuto = "choice_auto",
    /// Tool choice `none`.
    ChoiceNone = "choice_none",
    /// Tool choice `required`.
    ChoiceRequired = "choice_required",
    /// Tool choice of one tool.
    ChoiceNamed = "choice_named",
    /// Tool choice of some tools.
    ChoiceAllowed = "choice_allowed",
    /// One call at most.
    NoParallel = "no_parallel",
    /// Text that begins like a marker and is none.
    LookAlikeMarker = "look_alike_marker",
    /// A marker inside a string argument.
    MarkerInArgument = "marker_in_argument",
    /// A closing marker without its opening one.
    StrayMarker = "stray_marker",
    /// Numbers that floats cannot hold.
    BigNumbers = "big_numbers",
    /// Every JSON type.
    TypedValues = "typed_values",
    /// A tool that nobody offered.
    UnknownTool = "unknown_tool",
    /// A tool that the family itself defines.
    BuiltinTool = "builtin_tool",
    /// Markers as special tokens, and the same spelling as ordinary text.
    SpecialPieces = "special_pieces",
    /// A prompt that ends inside the assistant's turn.
    PromptTail = "prompt_tail",
    /// A spelling that the template does not write and models do.
    Drift = "drift",
    /// White space where the template has none, or less.
    WhiteSpace = "white_space",
}

/// A family's cases.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseFile {
    /// The family whose cases, corpus and snapshots these are too, for families that share a format.
    pub same_as: Option<String>,
    /// Categories that mean nothing for the family, each with the reason.
    pub not_applicable: BTreeMap<String, String>,
    /// Categories in which the family fails, each with the reason.
    pub known_broken: BTreeMap<String, String>,
    /// The cases.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// One output and what it means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique within the family.
    pub name: String,
    /// What it is about.
    pub category: Category,
    /// A set of `tests/tools.json`.
    #[serde(default = "no_tools")]
    pub tools: String,
    /// The tool choice.
    #[serde(default)]
    pub choice: ToolChoice,
    /// Whether several calls are allowed.
    #[serde(default = "yes")]
    pub parallel: bool,
    /// The prompt behind the frame of the turn.
    #[serde(default)]
    pub tail: String,
    /// The output as text of unknown tokens.
    #[serde(default)]
    pub output: Option<String>,
    /// The output as pieces, where their kind matters.
    #[serde(default)]
    pub pieces: Vec<PieceOf>,
    /// The output was cut off, not ended by the model.
    #[serde(default)]
    pub cut: bool,
    /// The calls.
    #[serde(default)]
    pub calls: Vec<WantedCall>,
    /// The content, byte for byte.
    #[serde(default)]
    pub content: String,
    /// The reasoning, byte for byte.
    #[serde(default)]
    pub reasoning: String,
    /// What must be reported as malformed, in order. Left out: nothing.
    #[serde(default)]
    pub malformed: Vec<MalformedReason>,
    /// Whether a grammar under the plan admits the output. Left out: not asked.
    #[serde(default)]
    pub admitted: Option<bool>,
}

pub(crate) fn no_tools() -> String {
    "none".into()
}

pub(crate) fn yes() -> bool {
    true
}

/// A piece of output and the kind of its token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceOf {
    /// Its text.
    pub text: String,
    /// A special token, ordinary tokens, or (left out) not known.
    #[serde(default)]
    pub special: Option<bool>,
}

/// A call that a case means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedCall {
    /// The tool.
    pub name: String,
    /// The arguments as JSON text: compared as values when the call is complete, else byte for byte.
    pub args: String,
    /// Whether it was closed.
    #[serde(default = "yes")]
    pub complete: bool,
}

/// A file of cases that cannot be used.
#[derive(Debug)]
pub struct CaseFileError(String);

impl std::fmt::Display for CaseFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CaseFileError {}

impl CaseFile {
    /// Reads `cases.toml` of a family folder; no name may come twice, and waivers need reasons.
    ///
    /// # Errors
    /// [`CaseFileError`] with the file and what is wrong.
    pub fn read(folder: &Path) -> Result<CaseFile, CaseFileError> {
        let path = folder.join("cases.toml");
        let fail = |why: String| CaseFileError(format!("{}: {why}", path.display()));
        let source = std::fs::read_to_string(&path).map_err(|error| fail(error.to_string()))?;
        let file: CaseFile = toml::from_str(&source).map_err(|error| fail(error.to_string()))?;
        file.check().map_err(fail)?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        for (i, case) in self.cases.iter().enumerate() {
            if self.cases[..i].iter().any(|other| other.name == case.name) {
                return Err(format!("two cases are named `{}`", case.name));
            }
            if case.output.is_some() != case.pieces.is_empty() {
                return Err(format!("case `{}` needs `output` or `pieces`, one of them", case.name));
            }
        }
        let waived = || self.not_applicable.iter().chain(&self.known_broken);
        for (word, reason) in waived() {
            let Some(category) = Category::ALL.iter().find(|category| category.word() == word) else {
                return Err(format!("`{word}` is no category"));
            };
            if reason.trim().len() < 10 {
                return Err(format!("category `{word}` is waived without a reason"));
            }
            let not_applicable = self.not_applicable.contains_key(word);
            if not_applicable && self.cases.iter().any(|case| case.category == *category) {
                return Err(format!("category `{word}` has cases, so it applies"));
            }
        }
        Ok(())
    }

    /// The categories that neither the family's cases, nor the corpus (`covered`), nor a waiver speaks for. A
    /// family that takes another's cases lacks none.
    pub(crate) fn lacks(&self, covered: &dyn Fn(Category) -> bool) -> Vec<Category> {
        if self.same_as.is_some() {
            return Vec::new();
        }
        let own = |category: Category| self.cases.iter().any(|case| case.category == category);
        let lacks = |category: &&Category| {
            !(own(**category) || covered(**category) || self.waives(**category) || category.optional())
        };
        Category::ALL.iter().filter(lacks).copied().collect()
    }

    /// Whether a waiver speaks for the category.
    pub(crate) fn waives(&self, category: Category) -> bool {
        let word = category.word();
        self.not_applicable.contains_key(word) || self.known_broken.contains_key(word)
    }
}

impl Category {
    /// Whether each family writes cases of its own: exact wire text, or what no printer writes.
    pub(crate) fn by_hand(self) -> bool {
        use Category::{Drift, Malformed, MissingCloser, Several, Single, StrayMarker, WhiteSpace};
        matches!(self, Single | Several | Malformed | MissingCloser | StrayMarker | Drift | WhiteSpace)
    }

    /// Whether a family may go without.
    fn optional(self) -> bool {
        self == Category::BuiltinTool
    }
}

impl Case {
    /// The request.
    ///
    /// # Errors
    /// A message when the tool set does not exist or does not suit the choice.
    pub fn plan(&self) -> Result<Plan, String> {
        let tools = tool_set(&self.tools)?;
        let plan = Plan { tools, choice: self.choice.clone(), parallel: self.parallel, reasoning: true };
        plan.check().map_err(|error| error.to_string())?;
        Ok(plan)
    }
}

/// A named set of tools that cases share, from `tests/tools.json`.
///
/// # Errors
/// A message when there is none of this name.
pub fn tool_set(name: &str) -> Result<Vec<Tool>, String> {
    let mut sets: BTreeMap<String, Vec<Tool>> =
        serde_json::from_str(include_str!("../../../tests/tools.json"))
            .map_err(|error| format!("tests/tools.json: {error}"))?;
    sets.remove(name).ok_or_else(|| format!("tests/tools.json has no set `{name}`"))
}
