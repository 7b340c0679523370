//! A vocabulary as the engines are given it.

use crate::words::made_up_tokens;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::Arc;
use toolglot_grammar::{Token, TokenKind, Tokenizer, Vocabulary};

/// Tokens by id, and the tokenizer they come from, if any.
pub struct Tokens {
    /// What it is, for headings.
    pub name: String,
    /// By id.
    pub list: Vec<Token>,
    /// The ids that end an output.
    pub eos: Vec<u32>,
    /// The `tokenizer.json`.
    pub json: Option<String>,
    /// What splits texts.
    pub tokenizer: Option<Arc<Tokenizer>>,
}

/// Names of tokens that end a turn, the first that a vocabulary has counts.
const ENDS: [&str; 7] =
    ["<|eot_id|>", "<|im_end|>", "<|return|>", "<|end_of_text|>", "<|endoftext|>", "</s>", "<eos>"];

impl Tokens {
    /// Reads a `tokenizer.json`. `split`: also make what splits texts, which takes seconds.
    pub fn read(path: &Path, split: bool) -> Result<Tokens> {
        let json =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let list = Token::from_tokenizer_json(&json).with_context(|| path.display().to_string())?;
        let named = |name: &&str| {
            list.iter().position(|t| t.kind == TokenKind::Special && t.bytes == name.as_bytes())
        };
        let Some(end) = ENDS.iter().find_map(named) else {
            bail!("{}: none of {} is a special token there", path.display(), ENDS.join(", "))
        };
        let tokenizer = split.then(|| Tokenizer::from_json(json.clone().into_bytes(), "tokenizer.json"));
        let tokenizer = tokenizer.transpose()?.map(Arc::new);
        let parts: Vec<_> =
            path.components().rev().take(2).map(|c| c.as_os_str().to_string_lossy()).collect();
        let name = parts.into_iter().rev().collect::<Vec<_>>().join("/");
        Ok(Tokens { name, list, eos: vec![end as u32], json: Some(json), tokenizer })
    }

    /// Made up in code.
    pub fn made_up(ids: usize) -> Tokens {
        let list = made_up_tokens(ids);
        let eos = vec![list.len() as u32 - 1];
        Tokens { name: format!("{} made-up tokens", list.len()), list, eos, json: None, tokenizer: None }
    }

    /// A text's tokens: the tokenizer's own, or else the longest that fit.
    pub fn split(&self, vocabulary: &Vocabulary, text: &str) -> Result<Vec<u32>> {
        match &self.tokenizer {
            Some(tokenizer) => Ok(tokenizer.encode_plain(text)?),
            None => vocabulary.greedy_tokens(text.as_bytes()).context("some byte has no token"),
        }
    }
}
