//! Text that a prompt already holds: it comes without tokens, and still spells special ones.

use crate::grammar::Node;
use crate::{GrammarError, Matcher};

impl Matcher {
    /// Takes the text behind the opening of a turn, such as `<think>\n` or a prefilled call. Where it spells a
    /// special token that the grammar asks for, it stands for that token, as it does in a tokenised prompt;
    /// else for its bytes.
    ///
    /// # Errors
    /// [`GrammarError::RejectedBytes`] with the offset of the first byte that fits neither way; nothing has moved
    /// then.
    pub fn accept_text(&mut self, text: &str) -> Result<(), GrammarError> {
        let compiled = self.compiled().clone();
        let mut names: Vec<(&str, u32)> = Vec::new();
        for node in &compiled.grammar().nodes {
            if let Node::Special(name) = node
                && let Some(token) = compiled.vocabulary().named(name)
            {
                names.push((name, token));
            }
        }
        let mut steps = 0;
        let mut at = 0;
        let result = loop {
            let rest = &text[at..];
            if rest.is_empty() {
                return Ok(());
            }
            let here = names.iter().find(|(name, _)| rest.starts_with(name));
            if let Some(&(name, token)) = here
                && self.accept(token).is_ok()
            {
                at += name.len();
                steps += 1;
                continue;
            }
            // As bytes up to where the next name begins.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let next = names.iter().filter_map(|(name, _)| rest[first..].find(name)).min();
            let end = next.map_or(rest.len(), |next| first + next);
            match self.accept_bytes(&rest.as_bytes()[..end]) {
                Ok(()) => steps += 1,
                Err(GrammarError::RejectedBytes { offset }) => {
                    break GrammarError::RejectedBytes { offset: at + offset };
                }
                Err(other) => break other,
            }
            at += end;
        };
        self.rollback(steps)?;
        Err(result)
    }
}
