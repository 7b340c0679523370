//! Vocabularies that a format is held to without a model: every byte is a token, and so is each marker that the
//! format calls special.

use std::sync::Arc;

use toolglot::Format;
use toolglot::format::{Args, Lit, Text};
use toolglot::grammar::{Token, TokenKind, Vocabulary, VocabularyError};

/// The id of the end of a sequence.
const END: u32 = 256;

/// The markers that the format writes as special tokens.
pub(crate) fn specials(format: &Format) -> Vec<String> {
    fn add(lit: &Lit, out: &mut Vec<String>) {
        if lit.special && !out.contains(&lit.text) {
            out.push(lit.text.clone());
        }
    }
    fn walk(node: &Format, out: &mut Vec<String>) {
        match node {
            Format::Lit(lit) => add(lit, out),
            Format::Args(Args::Json(notation)) => notation.marker().into_iter().for_each(|lit| add(lit, out)),
            _ => node.children().into_iter().for_each(|child| walk(child, out)),
        }
    }
    let mut out = Vec::new();
    walk(format, &mut out);
    out
}

/// Every literal of a format, aliases and lenient ones included.
pub(crate) fn literals(format: &Format) -> Vec<String> {
    fn walk(node: &Format, out: &mut Vec<String>) {
        match node {
            Format::Lit(Lit { text, aliases, .. }) => {
                out.extend(std::iter::once(text).chain(aliases).cloned());
            }
            Format::Args(Args::Json(notation)) => {
                out.extend(notation.marker().into_iter().flat_map(Lit::spellings).map(str::to_owned));
            }
            Format::Text(Text { excluding, .. }) => out.extend(excluding.iter().cloned()),
            Format::Value(value) => out.extend(value.excluding.iter().cloned()),
            _ => node.children().into_iter().for_each(|child| walk(child, out)),
        }
    }
    let mut out = Vec::new();
    walk(format, &mut out);
    out.sort();
    out.dedup();
    out
}

fn bytes_and_specials(format: &Format) -> (Vec<Token>, Vec<String>) {
    let mut tokens: Vec<Token> = (0..=255u8).map(|byte| Token::text(vec![byte])).collect();
    tokens.push(Token::special("<end of sequence>"));
    let names = specials(format);
    tokens.extend(names.iter().map(|name| Token::special(name)));
    (tokens, names)
}

/// Every byte, and the format's special tokens.
pub(crate) fn bytes(format: &Format) -> Result<Arc<Vocabulary>, VocabularyError> {
    let (tokens, _) = bytes_and_specials(format);
    Vocabulary::new(tokens, &[END], None).map(Arc::new)
}

/// As [`bytes`], with tokens that cross borders: pieces of markers and of JSON.
pub(crate) fn pieces(format: &Format) -> Result<Arc<Vocabulary>, VocabularyError> {
    let (mut tokens, names) = bytes_and_specials(format);
    let mut texts: Vec<String> =
        ["{\"", "\": ", "\", \"", "\"}", "}}", "}}\n", "\n{\"name\": \"", "true", " \"", "é", "東京"]
            .map(String::from)
            .to_vec();
    // A special token is no part of a text token.
    let is_plain = |literal: &&String| !names.iter().any(|name| literal.contains(name.as_str()));
    for literal in literals(format).iter().filter(is_plain).filter(|literal| literal.len() > 2) {
        let middle = (literal.len() / 2..literal.len()).find(|at| literal.is_char_boundary(*at)).unwrap_or(0);
        texts.extend([literal.clone(), literal[..middle].to_owned(), literal[middle..].to_owned()]);
        texts.push(format!("{}\n", &literal[middle..]));
    }
    texts.sort();
    texts.dedup();
    tokens.extend(texts.into_iter().filter(|text| text.len() > 1).map(Token::text));
    Vocabulary::new(tokens, &[END], None).map(Arc::new)
}

/// One way to tokenise text without special tokens: `pick` chooses among the tokens that fit.
pub(crate) fn tokenise(
    vocabulary: &Vocabulary,
    text: &str,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Vec<u32> {
    let mut rest = text.as_bytes();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let fits = |token: &u32| {
            let bytes = vocabulary.bytes(*token);
            let special = vocabulary.kind(*token) == TokenKind::Special;
            !bytes.is_empty() && rest.starts_with(bytes) && !special
        };
        let all: Vec<u32> = (0..vocabulary.len() as u32).filter(fits).collect();
        // Every byte is a token, so there is one that fits.
        let token = all[pick(all.len())];
        rest = &rest[vocabulary.bytes(token).len()..];
        out.push(token);
    }
    out
}
