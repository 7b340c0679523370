//! Grammars, vocabularies, and the token masks they give.
//!
//! A [`Grammar`] is a language over bytes and special tokens, put together with a [`GrammarBuilder`] or by a front
//! end. A [`Vocabulary`] says what the token ids of a model stand for. Bound together they are a
//! [`CompiledGrammar`], shared by all outputs; a [`Matcher`] follows one output and says before each token which ids
//! may come next. Masks are exact: a token is allowed if and only if some continuation completes the output.
//!
//! ```
//! use std::sync::Arc;
//! use toolglot_grammar::{CompiledGrammar, GrammarBuilder, Token, Vocabulary};
//!
//! let mut b = GrammarBuilder::new();
//! let yes = b.bytes("yes");
//! let no = b.bytes("no");
//! let answer = b.alt(&[yes, no]);
//! let grammar = Arc::new(b.build(answer)?);
//! let tokens = ["y", "n", "yes", "es", "o", "x"].map(|t| Token::text(t)).to_vec();
//! let vocabulary = Arc::new(Vocabulary::new([tokens, vec![Token::special("<eos>")]].concat(), &[6], None)?);
//!
//! let mut matcher = CompiledGrammar::new(grammar, vocabulary)?.matcher()?;
//! let mut mask = vec![0u32; 1];
//! matcher.mask(&mut mask)?;
//! assert_eq!(mask[0], 0b0000111, "y, n, yes");
//! matcher.accept(0)?;
//! assert_eq!(matcher.forced_bytes()?, b"es");
//! matcher.accept(3)?;
//! matcher.mask(&mut mask)?;
//! assert_eq!(mask[0], 1 << 6, "the end");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod automaton;
mod budget;
mod builder;
mod cache;
mod compiled;
mod error;
mod escaped;
mod export;
mod format;
mod front;
mod grammar;
mod json;
mod machine;
mod mask;
mod matcher;
mod pack;
mod prompt;
mod terminal;
mod token_set;
#[cfg(feature = "tokenizers")]
mod tokenizer;
mod trie;
mod vocab;

pub use automaton::Escapes;
pub use builder::{GrammarBuilder, Members, RawText, Rule, TokenClass};
pub use cache::{GrammarCache, GrammarKey};
pub use compiled::CompiledGrammar;
pub use error::{GrammarError, VocabularyError};
pub use export::structural_tag;
pub use format::{FormatOptions, Spacing};
pub use front::{LarkOptions, Lexing, RegexSyntax};
pub use grammar::{Expr, Grammar};
pub use json::{JsonStyle, Whitespace};
pub use matcher::Matcher;
#[cfg(feature = "tokenizers")]
pub use tokenizer::{Tokenizer, TokenizerError};
pub use vocab::{TableError, Token, TokenKind, TokenTable, Vocabulary};
