//! Front ends: notations that grammars are written in, each read into a [`Grammar`](crate::Grammar).
//!
//! | notation | reader |
//! |---|---|
//! | regular expressions | [`Grammar::from_regex`](crate::Grammar::from_regex) |
//! | GBNF, as llama.cpp has it | [`Grammar::from_gbnf`](crate::Grammar::from_gbnf) |
//! | Lark, as llguidance has it | [`Grammar::from_lark`](crate::Grammar::from_lark) |
//! | structural tags, as XGrammar has them | [`Grammar::from_structural_tag`](crate::Grammar::from_structural_tag) |
//! | OpenAI's `response_format` | [`Grammar::from_response_format`](crate::Grammar::from_response_format) |
//! | vLLM's `structured_outputs` | [`Grammar::from_structured_outputs`](crate::Grammar::from_structured_outputs) |
//!
//! A notation is read exactly or refused: [`GrammarError::Syntax`](crate::GrammarError::Syntax) says where a text does
//! not parse, [`GrammarError::Unsupported`](crate::GrammarError::Unsupported) names what is understood and cannot be
//! enforced. Work is bounded; a grammar that would take too much of it ends in
//! [`GrammarError::Limit`](crate::GrammarError::Limit).

mod gbnf;
mod json;
pub(crate) mod lark;
mod lower;
mod recursion;
pub(crate) mod regex;
mod request;
pub(crate) mod rules;
mod tag;
pub(crate) mod text;

pub use lark::{LarkOptions, Lexing};
pub use regex::RegexSyntax;

use crate::grammar::Expr;
use crate::{Grammar, GrammarBuilder, GrammarError};

impl Grammar {
    /// Reads GBNF, the notation of llama.cpp, from the rule `root`.
    ///
    /// ```
    /// # use toolglot_grammar::Grammar;
    /// Grammar::from_gbnf(r#"
    /// root   ::= "[" number ("," ws number)* "]"
    /// number ::= "-"? ("0" | [1-9] [0-9]{0,5})
    /// ws     ::= " "?
    /// "#)?;
    /// let error = Grammar::from_gbnf("root ::= numbr").unwrap_err();
    /// assert_eq!(error.to_string(), "line 1, column 10: rule `numbr` is used but never defined");
    /// # Ok::<(), toolglot_grammar::GrammarError>(())
    /// ```
    pub fn from_gbnf(source: &str) -> Result<Grammar, GrammarError> {
        let mut builder = GrammarBuilder::new();
        let root = builder.gbnf(source, "root")?;
        builder.build(root)
    }
}

impl GrammarBuilder {
    /// The texts of one rule of a grammar in GBNF.
    pub fn gbnf(&mut self, source: &str, rule: &str) -> Result<Expr, GrammarError> {
        lower::lower(self, gbnf::parse(source, rule)?)
    }
}
