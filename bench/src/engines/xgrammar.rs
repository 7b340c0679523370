//! XGrammar, through its Rust bindings: one thread, cache on, `strict_mode` off so that schemas are open as JSON
//! Schema has them.

use super::{Compiled, Engine, Input, Running, Spelling};
use crate::vocabulary::Tokens;
use anyhow::{Result, anyhow, bail};
use dlpark::prelude::*;
use dlpark::versioned::SafeManagedTensorVersioned;
use serde_json::Value;
use xgrammar::{CompiledGrammar, GrammarCompiler, GrammarMatcher, TokenizerInfo};

pub(super) struct XGrammar {
    compiler: GrammarCompiler,
    spelling: Spelling,
    words: usize,
}

impl XGrammar {
    pub(super) fn new(tokens: &Tokens, spelling: Spelling) -> Result<XGrammar> {
        let Some(json) = &tokens.json else {
            bail!("takes a tokenizer.json, not a vocabulary made up in code")
        };
        let stops = tokens.eos.iter().map(|&id| id as i32).collect();
        let info = TokenizerInfo::from_backend_str(json, Some(tokens.list.len()), stops)
            .map_err(|error| anyhow!("{error}"))?;
        let compiler = GrammarCompiler::with(&info, Some(1), Some(true), None);
        Ok(XGrammar { compiler, spelling, words: tokens.list.len().div_ceil(32) })
    }
}

impl Engine for XGrammar {
    fn input(&self, schema: &Value) -> Input {
        Input::Text(schema.to_string())
    }

    fn compile(&self, input: Input) -> Result<Box<dyn Compiled>> {
        let Input::Text(schema) = input else { bail!("takes schemas as text") };
        let flexible = self.spelling == Spelling::Flexible;
        let separators = (!flexible).then(|| (", ".to_string(), ": ".to_string()));
        let compiled = self
            .compiler
            .compile_json_schema(&schema, Some(flexible), None, separators, Some(false), None, None)
            .map_err(|error| anyhow!("{error}"))?;
        Ok(Box::new(Grammar { compiled, words: self.words }))
    }
}

struct Grammar {
    compiled: CompiledGrammar,
    words: usize,
}

impl Compiled for Grammar {
    fn matcher(&self) -> Result<Box<dyn Running>> {
        let matcher = GrammarMatcher::with(&self.compiled, None, Some(false), None);
        let mask =
            SafeManagedTensorVersioned::new(vec![0i32; self.words]).map_err(|error| anyhow!("{error}"))?;
        Ok(Box::new(Run { matcher, mask }))
    }

    fn heap(&self) -> Option<usize> {
        Some(self.compiled.memory_size_bytes())
    }
}

struct Run {
    matcher: GrammarMatcher,
    mask: SafeManagedTensorVersioned,
}

impl Running for Run {
    fn mask(&mut self, out: &mut [u32]) -> Result<()> {
        let needed = self.matcher.fill_next_token_bitmask(&mut self.mask, None, None);
        if !needed.map_err(|error| anyhow!("{error}"))? {
            out.fill(u32::MAX);
            return Ok(());
        }
        let words: &[i32] = self.mask.as_slice_contiguous().map_err(|error| anyhow!("{error}"))?;
        for (to, &from) in out.iter_mut().zip(words) {
            *to = from as u32;
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<()> {
        if self.matcher.accept_token(token as i32, None) { Ok(()) } else { bail!("token {token} is refused") }
    }

    fn is_accepting(&mut self) -> bool {
        self.matcher.is_completed()
    }
}
