//! llguidance, with its slices for JSON and, where the vocabulary has one, the real tokenizer.

use super::{Compiled, Engine, Input, Running, Spelling};
use crate::vocabulary::Tokens;
use anyhow::{Result, anyhow};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_grammar::{TokenKind, Tokenizer};

pub(super) struct LlGuidance {
    factory: ParserFactory,
    spelling: Spelling,
}

/// The vocabulary as that engine wants it.
struct Env {
    trie: TokTrie,
    tokenizer: Option<Arc<Tokenizer>>,
}

impl TokenizerEnv for Env {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        let text = std::str::from_utf8(bytes).ok();
        let ids = self.tokenizer.as_ref().zip(text).and_then(|(t, text)| t.encode_plain(text).ok());
        ids.unwrap_or_else(|| self.trie.greedy_tokenize(bytes))
    }
}

impl LlGuidance {
    pub(super) fn new(tokens: &Tokens, spelling: Spelling) -> Result<LlGuidance> {
        let words: Vec<Vec<u8>> = tokens
            .list
            .iter()
            .map(|t| match t.kind {
                // A first byte of 0xff marks special tokens in that engine.
                TokenKind::Special => [b"\xff".as_slice(), &t.bytes].concat(),
                _ if t.bytes.first() == Some(&0xff) => Vec::new(),
                _ => t.bytes.clone(),
            })
            .collect();
        let eos = *tokens.eos.first().ok_or_else(|| anyhow!("the vocabulary has no end token"))?;
        let info = TokRxInfo::new(words.len() as u32, eos);
        let env: TokEnv =
            Arc::new(Env { trie: TokTrie::from(&info, &words), tokenizer: tokens.tokenizer.clone() });
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)?;
        factory.quiet();
        Ok(LlGuidance { factory, spelling })
    }
}

impl Engine for LlGuidance {
    fn input(&self, schema: &Value) -> Input {
        let mut schema = schema.clone();
        if let (Spelling::Exact, Some(map)) = (self.spelling, schema.as_object_mut()) {
            let options =
                json!({"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": false});
            map.insert("x-guidance".into(), options);
        }
        Input::Value(schema)
    }

    fn compile(&self, input: Input) -> Result<Box<dyn Compiled>> {
        let Input::Value(schema) = input else { return Err(anyhow!("takes parsed schemas")) };
        let parser = self.factory.create_parser(TopLevelGrammar::from_json_schema(schema))?;
        Ok(Box::new(Grammar(Matcher::new(Ok(parser)))))
    }
}

struct Grammar(Matcher);

impl Compiled for Grammar {
    fn matcher(&self) -> Result<Box<dyn Running>> {
        Ok(Box::new(Run(self.0.deep_clone())))
    }
}

struct Run(Matcher);

impl Running for Run {
    fn mask(&mut self, out: &mut [u32]) -> Result<()> {
        let mask = self.0.compute_mask_or_eos()?;
        let words = mask.as_slice();
        let n = out.len().min(words.len());
        out[..n].copy_from_slice(&words[..n]);
        out[n..].fill(0);
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<()> {
        self.0.consume_token(token)?;
        match self.0.get_error() {
            Some(error) => Err(anyhow!(error)),
            None => Ok(()),
        }
    }

    fn is_accepting(&mut self) -> bool {
        self.0.is_accepting().unwrap_or(false)
    }
}
