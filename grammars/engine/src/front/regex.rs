//! Regular expressions that the whole output matches.

use super::rules::{Part, RuleDef, Rules};
use super::text::{MAX_TEXT, Place};
use crate::GrammarError;
use crate::grammar::Expr;
use crate::{Grammar, GrammarBuilder};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// How a regular expression is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RegexSyntax {
    /// As the `regex` crate reads it, Unicode on.
    #[default]
    Rust,
    /// ECMA-262 in Unicode mode, as JSON Schema's `pattern` has it.
    Ecma,
}

impl Grammar {
    /// Texts that a regular expression matches as a whole, in the syntax of the `regex` crate. Anchors at its ends
    /// change nothing; look-around, back-references and word boundaries are refused.
    ///
    /// ```
    /// # use toolglot_grammar::Grammar;
    /// Grammar::from_regex(r"[A-Z]{3}-\d{4}")?;
    /// let error = Grammar::from_regex("a(b").unwrap_err();
    /// assert_eq!(error.to_string(), "line 1, column 2: unclosed group");
    /// # Ok::<(), toolglot_grammar::GrammarError>(())
    /// ```
    pub fn from_regex(pattern: &str) -> Result<Grammar, GrammarError> {
        Grammar::from_regex_with(pattern, RegexSyntax::Rust)
    }

    /// As [`Grammar::from_regex`], in another syntax.
    pub fn from_regex_with(pattern: &str, syntax: RegexSyntax) -> Result<Grammar, GrammarError> {
        let mut builder = GrammarBuilder::new();
        let root = expression(&mut builder, pattern, syntax)?;
        builder.build(root)
    }
}

/// The texts that a regular expression matches as a whole.
pub(super) fn expression(
    b: &mut GrammarBuilder,
    pattern: &str,
    syntax: RegexSyntax,
) -> Result<Expr, GrammarError> {
    let hir = parse(pattern, syntax)?;
    let body = part(&hir, 0).unwrap_or(Part::Pattern(hir));
    let place = Place { line: 1, column: 1 };
    let rule = RuleDef { name: "pattern".into(), place, body };
    super::lower::lower(b, Rules { rules: vec![rule], root: 0 })
}

/// Reads an expression for whole texts; anchors at its ends are gone.
pub(super) fn parse(pattern: &str, syntax: RegexSyntax) -> Result<Hir, GrammarError> {
    if pattern.len() > MAX_TEXT {
        return Err(GrammarError::Limit { what: "bytes of regular expression", limit: MAX_TEXT as u64 });
    }
    let hir = match syntax {
        RegexSyntax::Rust => regex_syntax::parse(pattern).map_err(|error| rust_error(pattern, &error))?,
        RegexSyntax::Ecma => {
            const OPEN: &str = "^(?:";
            let whole = format!("{OPEN}{pattern})$");
            let parsed = toolglot_schema::Pattern::parse(&whole).map_err(|error| {
                let place = Place::of(pattern, error.at.saturating_sub(OPEN.len()).min(pattern.len()));
                if error.unsupported {
                    place.refuse("regular expression", error.why)
                } else {
                    place.syntax(error.why)
                }
            })?;
            parsed.hir().clone()
        }
    };
    if !hir.properties().is_utf8() {
        let place = Place { line: 1, column: 1 };
        return Err(place.refuse("regular expression", "it matches bytes that are not UTF-8"));
    }
    Ok(without_anchors(hir))
}

fn rust_error(pattern: &str, error: &regex_syntax::Error) -> GrammarError {
    match error {
        regex_syntax::Error::Parse(error) => {
            Place::of(pattern, error.span().start.offset).syntax(error.kind().to_string())
        }
        regex_syntax::Error::Translate(error) => {
            Place::of(pattern, error.span().start.offset).syntax(error.kind().to_string())
        }
        other => Place { line: 1, column: 1 }.syntax(other.to_string()),
    }
}

/// `^` at the start and `$` at the end of what is matched as a whole say nothing.
fn without_anchors(hir: Hir) -> Hir {
    let HirKind::Concat(parts) = hir.kind() else { return hir };
    let is = |hir: &Hir, look: Look| matches!(hir.kind(), HirKind::Look(l) if *l == look);
    let from = parts.iter().take_while(|part| is(part, Look::Start)).count();
    let to = parts.len() - parts.iter().rev().take_while(|part| is(part, Look::End)).count();
    if from == 0 && to == parts.len() { hir } else { Hir::concat(parts[from..to.max(from)].to_vec()) }
}

/// An expression as a part of a rule, so that long ones are followed piece by piece. `None` where assertions make
/// its pieces depend on each other, or where it is nested too deeply to be worth it.
pub(crate) fn part(hir: &Hir, depth: usize) -> Option<Part> {
    const MAX_DEPTH: usize = 50;
    if depth > MAX_DEPTH || !hir.properties().look_set().is_empty() {
        return None;
    }
    Some(match hir.kind() {
        HirKind::Empty => Part::empty(),
        HirKind::Literal(literal) => Part::Text(std::str::from_utf8(&literal.0).ok()?.to_owned()),
        HirKind::Class(Class::Unicode(class)) => Part::Class(class.clone()),
        HirKind::Class(Class::Bytes(class)) => Part::Class(class.to_unicode_class()?),
        HirKind::Look(_) => return None,
        HirKind::Repetition(r) => part(&r.sub, depth + 1)?.repeat(r.min, r.max),
        HirKind::Capture(capture) => part(&capture.sub, depth + 1)?,
        HirKind::Concat(parts) => Part::seq(parts.iter().map(|p| part(p, depth + 1)).collect::<Option<_>>()?),
        HirKind::Alternation(parts) => {
            Part::alt(parts.iter().map(|p| part(p, depth + 1)).collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_their_place() {
        let error = |pattern, syntax| Grammar::from_regex_with(pattern, syntax).expect_err("refused");
        assert!(matches!(
            error("x\n[b-a]", RegexSyntax::Rust),
            GrammarError::Syntax { line: 2, column: 2, .. }
        ));
        assert!(matches!(
            error("a(?=b)", RegexSyntax::Rust),
            GrammarError::Syntax { line: 1, column: 2, .. }
        ));
        let looks = error("a(?=b)", RegexSyntax::Ecma);
        assert!(looks.to_string().starts_with("line 1, column 4"), "{looks}");
        assert!(matches!(error(r"a\bc", RegexSyntax::Rust), GrammarError::Unsupported { .. }));
        assert!(matches!(error("(?-u:\\xff)", RegexSyntax::Rust), GrammarError::Syntax { .. }));
        assert!(matches!(error("a[^\\s\\S]", RegexSyntax::Rust), GrammarError::Empty(_)));
    }
}
