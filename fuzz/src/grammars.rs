//! Targets over the notations that grammars are read from: whatever the text, an error or a grammar that can be
//! followed, both within the work limits.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use toolglot_grammar::{
    CompiledGrammar, Grammar, GrammarError, LarkOptions, Lexing, Matcher, RegexSyntax, Token, Vocabulary,
};

/// Tokens that a grammar may be followed with before the target has seen enough.
const STEPS: usize = 12;

fn vocabulary() -> Arc<Vocabulary> {
    static VOCABULARY: OnceLock<Arc<Vocabulary>> = OnceLock::new();
    let make = || {
        let mut tokens: Vec<Token> = (0..=255_u8).map(|byte| Token::text([byte])).collect();
        tokens.extend([b"ab".as_slice(), b"\"a", b"1,", b"</"].map(Token::text));
        tokens.extend([Token::special("<end>"), Token::special("<think>"), Token::added("<tool_call>")]);
        #[expect(clippy::expect_used, reason = "these tokens are a vocabulary")]
        Arc::new(Vocabulary::new(tokens, &[260], None).expect("a vocabulary"))
    };
    VOCABULARY.get_or_init(make).clone()
}

fn matcher(grammar: Grammar) -> Option<Matcher> {
    let compiled = CompiledGrammar::new(Arc::new(grammar), vocabulary()).ok()?;
    compiled.matcher().ok()
}

fn mask(matcher: &mut Matcher) -> Option<Vec<u32>> {
    let mut mask = vec![0_u32; matcher.compiled().vocabulary().mask_words()];
    match matcher.mask(&mut mask) {
        Ok(()) => Some(mask),
        Err(GrammarError::Limit { .. }) => None,
        Err(error) => panic!("a mask failed: {error}"),
    }
}

/// Follows a grammar where `choices` lead: some token is always allowed, and every allowed token is taken.
fn follow(grammar: Grammar, choices: &[u8]) {
    let Some(mut matcher) = matcher(grammar) else { return };
    for choice in choices.iter().rev().chain(&[0; STEPS]).take(STEPS) {
        let Some(mask) = mask(&mut matcher) else { return };
        let allowed: Vec<u32> =
            (0..mask.len() as u32 * 32).filter(|id| mask[*id as usize / 32] >> (id % 32) & 1 == 1).collect();
        assert!(!allowed.is_empty(), "no token is allowed, and the output is not at its end");
        match matcher.accept(allowed[usize::from(*choice) % allowed.len()]) {
            Ok(()) if matcher.is_terminated() => return,
            Ok(()) => {}
            Err(GrammarError::Limit { .. }) => return,
            Err(error) => panic!("an allowed token was refused: {error}"),
        }
    }
}

/// What is written down reads back, and begins in the same way.
fn export(grammar: &Grammar, again: impl Fn() -> Option<Grammar>) {
    let first = |grammar: Grammar| matcher(grammar).and_then(|mut matcher| mask(&mut matcher));
    type Read = fn(&str) -> Result<Grammar, GrammarError>;
    let written = [
        (grammar.to_gbnf(Some(&vocabulary())), Grammar::from_gbnf as Read),
        (grammar.to_lark(Some(&vocabulary())), Grammar::from_lark as Read),
    ];
    for (text, read) in written {
        let Ok(text) = text else { continue };
        match read(&text) {
            Ok(read) => {
                let both = (first(read), again().and_then(first));
                if let (Some(one), Some(other)) = both {
                    assert_eq!(one, other, "{text}");
                }
            }
            Err(GrammarError::Limit { .. }) => {}
            Err(error) => panic!("{text}\nwas written and does not read back: {error}"),
        }
    }
}

/// Any text as a regular expression, in both syntaxes.
pub fn regex(data: &[u8]) {
    let Ok(pattern) = std::str::from_utf8(data) else { return };
    for syntax in [RegexSyntax::Rust, RegexSyntax::Ecma] {
        if let Ok(grammar) = Grammar::from_regex_with(pattern, syntax) {
            follow(grammar, data);
        }
    }
}

/// Any text as GBNF, and what was read written down again.
pub fn gbnf(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let Ok(grammar) = Grammar::from_gbnf(source) else { return };
    export(&grammar, || Grammar::from_gbnf(source).ok());
    follow(grammar, data);
}

/// Any text as Lark, read exactly and in every way. What is read exactly is part of the other.
pub fn lark(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    for lexing in [Lexing::Exact, Lexing::Any] {
        let options = LarkOptions { lexing, ..LarkOptions::default() };
        if let Ok(grammar) = Grammar::from_lark_with(source, &options) {
            follow(grammar, data);
        }
    }
}

/// Any JSON as a structural tag.
pub fn structural_tag(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    let whole = serde_json::json!({"type": "structural_tag", "format": value});
    for tag in [value, whole] {
        if let Ok(grammar) = Grammar::from_structural_tag(&tag) {
            follow(grammar, data);
        }
    }
}

/// Any JSON as a `response_format` and as `structured_outputs`.
pub fn request(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    if let Ok(Some(grammar)) = Grammar::from_response_format(&value) {
        follow(grammar, data);
    }
    if let Ok(grammar) = Grammar::from_structured_outputs(&value) {
        follow(grammar, data);
    }
}
