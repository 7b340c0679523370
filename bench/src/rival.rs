//! llguidance under the same vocabulary and spelling.

use anyhow::{Result, anyhow};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_grammar::{Token, TokenKind};

/// A compiler of schemas over one vocabulary.
pub struct Rival {
    factory: ParserFactory,
}

/// A running matcher.
pub struct RivalMatcher {
    matcher: Matcher,
}

impl Rival {
    /// Sets the engine up; the last token ends the output.
    pub fn new(tokens: &[Token]) -> Result<Rival> {
        let words: Vec<Vec<u8>> = tokens
            .iter()
            .map(|t| match t.kind {
                // A first byte of 0xff marks special tokens in that engine.
                TokenKind::Special => [b"\xff".as_slice(), &t.bytes].concat(),
                _ if t.bytes.first() == Some(&0xff) => Vec::new(),
                _ => t.bytes.clone(),
            })
            .collect();
        let info = TokRxInfo::new(words.len() as u32, words.len() as u32 - 1);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)?;
        factory.quiet();
        Ok(Rival { factory })
    }

    /// Compiles a schema, in the spelling of `json.dumps`.
    pub fn compile(&self, schema: &Value) -> Result<RivalMatcher> {
        let mut schema = schema.clone();
        if let Some(map) = schema.as_object_mut() {
            let options =
                json!({"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": false});
            map.insert("x-guidance".into(), options);
        }
        let parser = self.factory.create_parser(TopLevelGrammar::from_json_schema(schema))?;
        Ok(RivalMatcher { matcher: Matcher::new(Ok(parser)) })
    }
}

impl RivalMatcher {
    /// The allowed tokens, 32 to a word.
    pub fn mask(&mut self, out: &mut [u32]) -> Result<()> {
        let mask = self.matcher.compute_mask_or_eos()?;
        out.fill(0);
        let words = mask.as_slice();
        let n = out.len().min(words.len());
        out[..n].copy_from_slice(&words[..n]);
        Ok(())
    }

    /// Takes a token.
    pub fn accept(&mut self, token: u32) -> Result<()> {
        self.matcher.consume_token(token)?;
        match self.matcher.get_error() {
            Some(error) => Err(anyhow!(error)),
            None => Ok(()),
        }
    }

    /// True if the text may end.
    pub fn is_accepting(&mut self) -> bool {
        self.matcher.is_accepting().unwrap_or(false)
    }
}
