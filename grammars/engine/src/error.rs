//! The errors of this crate. Does not decide anything; every variant names who failed, where, and what to do.

/// Why a grammar could not be built, bound to a vocabulary, or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// A schema keyword, or a combination of keywords, that cannot be enforced exactly.
    #[error("{}`{keyword}` cannot be enforced: {reason}", place(pointer))]
    Unsupported {
        /// Where in the schema (JSON pointer, empty for the root), or the rule's name.
        pointer: String,
        /// The keyword or construct.
        keyword: String,
        /// Why, and what would work instead.
        reason: String,
    },
    /// A schema that does not compile.
    #[error(transparent)]
    Schema(#[from] toolglot_schema::SchemaError),
    /// Something is wrong with one of the plan's tools.
    #[error("tool `{tool}`: {source}")]
    Tool {
        /// Its name.
        tool: String,
        /// What is wrong.
        source: Box<GrammarError>,
    },
    /// No text at all satisfies the grammar.
    #[error("the grammar accepts nothing: {0}")]
    Empty(String),
    /// A rule is referred to but was never defined.
    #[error("rule `{0}` is used but never defined")]
    UndefinedRule(String),
    /// A rule was defined twice.
    #[error("rule `{0}` is defined twice")]
    DuplicateRule(String),
    /// A rule calls itself before it consumes anything, so a matcher would never stop expanding it.
    #[error("rule `{0}` is left-recursive; write it as a repetition instead")]
    LeftRecursion(String),
    /// A regular expression that does not parse or uses something outside regular languages.
    #[error("regular expression `{pattern}`: {reason}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A fixed limit on work or memory was reached. Limits are deterministic: the same grammar and the same text
    /// end in the same error, and no mask is returned that misses tokens.
    #[error("{what}: more than {limit} needed; simplify the grammar")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A grammar text (a front end's input) that does not parse.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// What was expected.
        message: String,
    },
    /// A structural tag or another request form that is not what it should be.
    #[error("{}{reason}", place(pointer))]
    Request {
        /// Where (JSON pointer, empty for the whole).
        pointer: String,
        /// What is wrong.
        reason: String,
    },
    /// Something is wrong with a schema, a pattern or a grammar inside a request form.
    #[error("{pointer}: {source}")]
    Within {
        /// Where it stands (JSON pointer).
        pointer: String,
        /// What is wrong with it.
        source: Box<GrammarError>,
    },
    /// A format node without a strict reading.
    #[error("{place}: {reason}")]
    Format {
        /// The node.
        place: String,
        /// Why no grammar can be made of it.
        reason: String,
    },
    /// A token that a grammar asks for by id or name, and the vocabulary does not have.
    #[error("the vocabulary has no token {token}")]
    UnknownToken {
        /// The id, the range of ids, or the name.
        token: String,
    },
    /// A token that the grammar does not allow here.
    #[error("token {token} is not allowed here")]
    Rejected {
        /// The token id.
        token: u32,
    },
    /// Bytes that the grammar does not allow here.
    #[error("byte {offset} of the text is not allowed here")]
    RejectedBytes {
        /// Offset of the first refused byte.
        offset: usize,
    },
    /// More tokens to roll back than were accepted.
    #[error("cannot roll back {asked} tokens: only {accepted} were accepted")]
    Rollback {
        /// How many were asked for.
        asked: usize,
        /// How many are there.
        accepted: usize,
    },
    /// A mask buffer of the wrong length.
    #[error("the mask buffer has {got} words, this vocabulary needs {need}")]
    MaskLength {
        /// Words in the caller's buffer.
        got: usize,
        /// Words needed: `Vocabulary::mask_words`.
        need: usize,
    },
    /// The grammar needs at least this many tokens to complete, more than the budget has left.
    #[error("completing the output needs up to {need} tokens, the budget has {left}")]
    Budget {
        /// Proven upper bound on the tokens of the shortest completion.
        need: u64,
        /// What the caller has left.
        left: u64,
    },
}

/// A JSON pointer in front of a message.
fn place(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!("{pointer}: ") }
}

impl GrammarError {
    /// Says whose schema or format it was.
    pub(crate) fn in_tool(self, tool: &str) -> Self {
        match self {
            GrammarError::Tool { .. } => self,
            source => GrammarError::Tool { tool: tool.to_string(), source: Box::new(source) },
        }
    }

    pub(crate) fn unsupported(
        pointer: impl Into<String>,
        keyword: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        GrammarError::Unsupported { pointer: pointer.into(), keyword: keyword.into(), reason: reason.into() }
    }
}

/// Why a vocabulary could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// The text is not what it should be (JSON, a ranks file).
    #[error("{what}: {reason}")]
    Malformed {
        /// Which file or part.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A tokenizer model or piece whose bytes cannot be told.
    #[error("token {id} (`{text}`): {reason}")]
    Token {
        /// The token id.
        id: u32,
        /// Its text as written in the file.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// An end-of-sequence id outside the vocabulary.
    #[error("end-of-sequence id {id} lies outside the vocabulary of {width} ids")]
    Eos {
        /// The id.
        id: u32,
        /// Number of ids.
        width: usize,
    },
    /// A logits width smaller than the largest token id.
    #[error("the logits width {width} is smaller than the vocabulary, which goes up to id {largest}")]
    Width {
        /// The given width.
        width: usize,
        /// The largest id.
        largest: u32,
    },
    /// Vocabularies with this many ids or bytes are refused.
    #[error("the vocabulary has {got} {what}; the limit is {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How many.
        got: u64,
        /// The limit.
        limit: u64,
    },
}
