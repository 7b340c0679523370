//! This project's engine.

use super::{Compiled, Engine, Input, Running, Spelling};
use crate::vocabulary::Tokens;
use anyhow::{Result, anyhow};
use serde_json::Value;
use std::sync::Arc;
use toolglot_grammar::{
    CompiledGrammar, GrammarBuilder, GrammarCache, GrammarKey, JsonStyle, Matcher, Vocabulary,
};
use toolglot_schema::{Options, Schema};

pub(super) struct Ours {
    vocabulary: Arc<Vocabulary>,
    style: JsonStyle,
    cache: GrammarCache,
}

impl Ours {
    pub(super) fn new(tokens: &Tokens, spelling: Spelling) -> Result<Ours> {
        let vocabulary = Arc::new(Vocabulary::new(tokens.list.clone(), &tokens.eos, None)?);
        let style = match spelling {
            Spelling::Exact => JsonStyle::default(),
            Spelling::Flexible => JsonStyle { any_order: true, ..JsonStyle::flexible(32) },
        };
        Ok(Ours { vocabulary, style, cache: GrammarCache::default() })
    }
}

impl Engine for Ours {
    fn input(&self, schema: &Value) -> Input {
        Input::Value(schema.clone())
    }

    fn compile(&self, input: Input) -> Result<Box<dyn Compiled>> {
        let Input::Value(schema) = input else { return Err(anyhow!("takes parsed schemas")) };
        let mut key = GrammarKey::new();
        key.json(&schema);
        let compiled = self.cache.get(&key, &self.vocabulary, || {
            let schema = Schema::compile(&schema, &Options::default())?;
            let mut builder = GrammarBuilder::new();
            let root = builder.json_schema(&schema, &self.style)?;
            builder.build(root)
        });
        Ok(Box::new(Grammar(compiled?)))
    }
}

struct Grammar(Arc<CompiledGrammar>);

impl Compiled for Grammar {
    fn matcher(&self) -> Result<Box<dyn Running>> {
        Ok(Box::new(Run(self.0.matcher()?)))
    }
}

struct Run(Matcher);

impl Running for Run {
    fn mask(&mut self, out: &mut [u32]) -> Result<()> {
        Ok(self.0.mask(out)?)
    }

    fn accept(&mut self, token: u32) -> Result<()> {
        Ok(self.0.accept(token)?)
    }

    fn is_accepting(&mut self) -> bool {
        self.0.is_accepting()
    }
}
