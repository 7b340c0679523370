//! String languages: `pattern` and `format` as finite-state-ready expressions over Unicode scalar values.
//!
//! A [`Pattern`] is the language of *whole* strings: search semantics and anchors are already resolved, so its
//! [`Hir`] holds no look-around and no captures, and can be fed to any automaton builder. This module does not build
//! the reader's automata; the small one in [`nfa`] serves [`Pattern::is_match`] only and is built on first use.

mod ecma;
mod nfa;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use regex_syntax::hir::Hir;

use nfa::Nfa;

/// Where a [`Pattern`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PatternSource {
    /// A regular expression in ECMA-262 syntax (`pattern`, `patternProperties`).
    Regex,
    /// The name of a `format`.
    Format,
}

/// A regular language of whole strings. Cheap to clone; equal if source and text are.
#[derive(Clone)]
pub struct Pattern(Arc<Inner>);

struct Inner {
    kind: PatternSource,
    source: String,
    hir: Hir,
    nfa: OnceLock<Nfa>,
}

/// Why a regular expression could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why} (at offset {at})")]
pub struct PatternError {
    /// Byte offset in the expression.
    pub at: usize,
    /// What is the matter.
    pub why: String,
    /// Whether the expression is well-formed and only beyond a finite automaton (look-around, back-references).
    pub unsupported: bool,
}

impl Pattern {
    /// Reads an ECMA-262 regular expression (Unicode mode) that is searched for anywhere in the string unless it has
    /// anchors, as JSON Schema's `pattern` asks.
    pub fn parse(source: &str) -> Result<Pattern, PatternError> {
        let hir = ecma::parse(source)?;
        Pattern::new(PatternSource::Regex, source, hir)
    }

    /// A format by name, from an anchored expression in the same syntax.
    pub(crate) fn format(name: &str, expression: &str) -> Result<Pattern, PatternError> {
        let hir = ecma::parse(expression)?;
        Pattern::new(PatternSource::Format, name, hir)
    }

    fn new(kind: PatternSource, source: &str, hir: Hir) -> Result<Pattern, PatternError> {
        if nfa::size(&hir) > nfa::MAX_STATES {
            let why = format!("needs more than {} automaton states", nfa::MAX_STATES);
            return Err(PatternError { at: 0, why, unsupported: true });
        }
        Ok(Pattern(Arc::new(Inner { kind, source: source.to_owned(), hir, nfa: OnceLock::new() })))
    }

    /// What [`Pattern::source`] is written in.
    pub fn kind(&self) -> PatternSource {
        self.0.kind
    }

    /// The regular expression as written, or the format's name.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The language of whole strings, over Unicode scalar values: no look-around, no captures, no laziness.
    pub fn hir(&self) -> &Hir {
        &self.0.hir
    }

    /// Whether the whole of `text` is in the language.
    pub fn is_match(&self, text: &str) -> bool {
        self.nfa().is_match(text)
    }

    /// Whether no string is in both languages. `None` if that is too much work to find out.
    pub(crate) fn is_disjoint(&self, other: &Pattern) -> Option<bool> {
        self.nfa().is_disjoint(other.nfa())
    }

    fn nfa(&self) -> &Nfa {
        self.0.nfa.get_or_init(|| Nfa::new(&self.0.hir))
    }
}

/// A regular expression with look-aheads at its start, taken apart: all of `required` match and none of `excluded`.
pub(crate) struct Leading {
    pub(crate) required: Vec<String>,
    pub(crate) excluded: Vec<String>,
}

/// Takes `^(?=A)(?!B)C` apart into `^(?:A)` and `^C`, less `^(?:B)`: at the very start of the string a look-ahead is
/// just another condition. `None` if the expression does not begin like that; look-aheads elsewhere stay refused.
pub(crate) fn leading_looks(source: &str) -> Option<Leading> {
    let mut rest = source.strip_prefix('^')?;
    let mut out = Leading { required: Vec::new(), excluded: Vec::new() };
    while rest.starts_with("(?=") || rest.starts_with("(?!") {
        let end = group_end(rest)?;
        let inner = format!("^(?:{})", &rest[3..end]);
        match rest.as_bytes()[2] {
            b'=' => out.required.push(inner),
            _ => out.excluded.push(inner),
        }
        rest = &rest[end + 1..];
        if rest.starts_with(['*', '+', '?', '{']) {
            return None;
        }
    }
    if (out.required.is_empty() && out.excluded.is_empty()) || has_outer_alternative(rest) {
        return None;
    }
    out.required.push(format!("^{rest}"));
    Some(out)
}

/// Where the group that opens at offset 0 closes.
fn group_end(source: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in outside_classes(source) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn has_outer_alternative(source: &str) -> bool {
    let mut depth = 0i32;
    outside_classes(source).any(|(_, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth <= 0 && c == '|'
    })
}

/// The characters that are neither escaped nor in a character class.
fn outside_classes(source: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut escaped, mut in_class) = (false, false);
    source.char_indices().filter(move |(_, c)| {
        if escaped {
            escaped = false;
            return false;
        }
        match c {
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' if in_class => {
                in_class = false;
                return false;
            }
            _ => {}
        }
        !escaped && !in_class
    })
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.kind == other.0.kind && self.0.source == other.0.source)
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.kind, &self.0.source).hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind {
            PatternSource::Regex => write!(f, "/{}/", self.0.source),
            PatternSource::Format => write!(f, "format {}", self.0.source),
        }
    }
}
