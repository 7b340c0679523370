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
            if let Node::Token(class) = node
                && !class.negated
            {
                let named = class.names.iter().map(String::as_str);
                names.extend(named.filter_map(|name| Some((name, compiled.vocabulary().named(name)?))));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{CompiledGrammar, GrammarBuilder, GrammarError, Matcher, Token, Vocabulary};

    /// `<t>` as a special token, any letters, `</t>` spelled out.
    fn matcher() -> Matcher {
        let mut b = GrammarBuilder::new();
        let open = b.special("<t>");
        let body = b.regex("[a-z<>]*").unwrap();
        let close = b.special("</t>");
        let root = b.seq(&[open, body, close]);
        let grammar = Arc::new(b.build(root).unwrap());
        let mut tokens: Vec<Token> = (b'a'..=b'z').map(|byte| Token::text([byte])).collect();
        tokens.extend([Token::text("<"), Token::text(">"), Token::text("/"), Token::special("<t>")]);
        let vocabulary = Arc::new(Vocabulary::new(tokens, &[], None).unwrap());
        CompiledGrammar::new(grammar, vocabulary).unwrap().matcher().unwrap()
    }

    #[test]
    fn special_tokens_count_as_such_and_the_rest_as_bytes() {
        let mut matcher = matcher();
        matcher.accept_text("<t>a<t>").unwrap();
        assert!(!matcher.is_accepting(), "the second <t> is text, since no token is asked for there");
        matcher.accept_text("</t>").unwrap();
        assert!(matcher.is_accepting());
    }

    #[test]
    fn a_refused_text_moves_nothing_and_names_the_byte() {
        let mut matcher = matcher();
        let error = matcher.accept_text("<t>abCd").unwrap_err();
        assert!(matches!(error, GrammarError::RejectedBytes { offset: 5 }), "{error}");
        assert_eq!(matcher.accepted(), 0);
        matcher.accept_text("<t>ab").unwrap();
    }
}
