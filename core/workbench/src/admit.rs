//! Whether the grammar of a plan admits an output, and where it stops if not.

use std::sync::Arc;

use toolglot::grammar::{CompiledGrammar, Grammar, GrammarError, Matcher, Vocabulary};
use toolglot::parsers::Printed;
use toolglot::{Family, Format, Plan};

/// A grammar that does not admit an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no grammar under this plan.
    NoGrammar(String),
    /// The byte at this offset may not stand there.
    At(usize),
    /// The output may not end there.
    Unfinished,
}

impl Refusal {
    /// In words, with the text around the place.
    pub(crate) fn explain(&self, text: &str) -> String {
        match self {
            Refusal::NoGrammar(error) => format!("there is no grammar: {error}"),
            Refusal::Unfinished => format!("the grammar asks for more behind {:?}", tail(text, text.len())),
            Refusal::At(at) => {
                // A character may be refused in its middle.
                let start = (0..=*at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                let next: String = text[start..].chars().take(24).collect();
                format!(
                    "the grammar stops at byte {at}: behind {:?} there may be no {next:?}",
                    tail(text, start)
                )
            }
        }
    }
}

/// The last characters in front of an offset.
fn tail(text: &str, end: usize) -> String {
    let before = text.get(..end).unwrap_or(text);
    let start = before.char_indices().rev().nth(39).map_or(0, |(at, _)| at);
    before[start..].to_owned()
}

/// A matcher at the start of the turn.
pub(crate) fn matcher(
    family: &dyn Family,
    plan: &Plan,
    vocabulary: &Arc<Vocabulary>,
) -> Result<Matcher, String> {
    let format = family.format(plan).map_err(|error| error.to_string())?;
    matcher_of(&format, plan, vocabulary)
}

/// The same for a format.
pub(crate) fn matcher_of(
    format: &Format,
    plan: &Plan,
    vocabulary: &Arc<Vocabulary>,
) -> Result<Matcher, String> {
    let grammar = Grammar::from_format(format, plan).map_err(|error| error.to_string())?;
    let compiled = CompiledGrammar::new(Arc::new(grammar), vocabulary.clone());
    compiled.and_then(|compiled| compiled.matcher()).map_err(|error| error.to_string())
}

/// Whether the grammar admits printed parts, byte by byte, special markers as their tokens, behind what the
/// prompt holds of the turn.
pub(crate) fn admits(
    family: &dyn Family,
    plan: &Plan,
    vocabulary: &Arc<Vocabulary>,
    tail: &str,
    parts: &[Printed],
) -> Result<(), Refusal> {
    let mut matcher = matcher(family, plan, vocabulary).map_err(Refusal::NoGrammar)?;
    matcher.accept_text(tail).map_err(|error| match error {
        GrammarError::RejectedBytes { .. } => {
            Refusal::NoGrammar(format!("it refuses the prompt's tail {tail:?}"))
        }
        error => Refusal::NoGrammar(error.to_string()),
    })?;
    let mut at = 0;
    for part in parts {
        let token = vocabulary.named(&part.text).filter(|_| part.special);
        let taken = match token {
            Some(token) => matcher.accept(token),
            None => matcher.accept_bytes(part.text.as_bytes()),
        };
        match taken {
            Ok(()) => at += part.text.len(),
            Err(GrammarError::RejectedBytes { offset }) => return Err(Refusal::At(at + offset)),
            Err(_) => return Err(Refusal::At(at)),
        }
    }
    if matcher.is_accepting() { Ok(()) } else { Err(Refusal::Unfinished) }
}
