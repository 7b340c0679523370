//! Compiled grammars kept for the next request that asks for the same one.
//!
//! Most requests of an application bring the same tools. A grammar is found by everything it was made of, byte for
//! byte, so a hit is never a different grammar; what a matcher learned about masks comes with it.

use crate::compiled::CompiledGrammar;
use crate::{Grammar, GrammarError, Vocabulary};
use rustc_hash::{FxHashMap, FxHasher};
use serde_json::Value;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// Everything that a grammar is made of, written down so that different things never look the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrammarKey {
    bytes: Vec<u8>,
}

impl GrammarKey {
    /// Nothing yet.
    pub fn new() -> GrammarKey {
        GrammarKey { bytes: Vec::with_capacity(1024) }
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        match u8::try_from(number) {
            Ok(small) if small < u8::MAX => self.bytes.push(small),
            _ => {
                self.bytes.push(u8::MAX);
                self.bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        self
    }

    /// Adds a JSON value, such as a schema. The order of members is part of it.
    pub fn json(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Null => self.number(0),
            Value::Bool(false) => self.number(1),
            Value::Bool(true) => self.number(2),
            Value::Number(number) => self.number(3).text(number.as_str()),
            Value::String(text) => self.number(4).text(text),
            Value::Array(items) => {
                self.number(5).number(items.len() as u64);
                items.iter().for_each(|item| {
                    self.json(item);
                });
                self
            }
            Value::Object(members) => {
                self.number(6).number(members.len() as u64);
                for (key, value) in members {
                    self.text(key).json(value);
                }
                self
            }
        }
    }
}

/// A bounded store of compiled grammars, to be shared by all threads. What was not used longest goes first.
pub struct GrammarCache {
    entries: usize,
    bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_hash: FxHashMap<u64, Vec<Entry>>,
    count: usize,
    clock: u64,
}

struct Entry {
    key: Box<[u8]>,
    compiled: Arc<CompiledGrammar>,
    used: u64,
}

impl std::fmt::Debug for GrammarCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrammarCache").field("entries", &self.len()).finish_non_exhaustive()
    }
}

impl Default for GrammarCache {
    /// 256 grammars that take 256 MiB at most.
    fn default() -> Self {
        GrammarCache::new(256, 256 << 20)
    }
}

impl GrammarCache {
    /// A store for this many grammars, which together keep about this many bytes.
    pub fn new(entries: usize, bytes: usize) -> GrammarCache {
        GrammarCache { entries, bytes, inner: Mutex::default() }
    }

    /// Number of grammars kept.
    pub fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// True if none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The grammar of this key over this vocabulary: the one that is kept, or else what `make` makes. Errors are not
    /// kept.
    pub fn get<E: From<GrammarError>>(
        &self,
        key: &GrammarKey,
        vocabulary: &Arc<Vocabulary>,
        make: impl FnOnce() -> Result<Grammar, E>,
    ) -> Result<Arc<CompiledGrammar>, E> {
        let mut hasher = FxHasher::default();
        (Arc::as_ptr(vocabulary) as usize).hash(&mut hasher);
        key.bytes.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(known) = self.find(hash, key, vocabulary) {
            return Ok(known);
        }
        // Made without the lock: others need not wait, and two may make the same.
        let compiled = CompiledGrammar::new(Arc::new(make()?), Arc::clone(vocabulary))?;
        if let Some(known) = self.find(hash, key, vocabulary) {
            return Ok(known);
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let entry =
            Entry { key: key.bytes.as_slice().into(), compiled: Arc::clone(&compiled), used: inner.clock };
        inner.by_hash.entry(hash).or_default().push(entry);
        inner.count += 1;
        inner.shrink(self.entries, self.bytes);
        Ok(compiled)
    }

    fn find(
        &self,
        hash: u64,
        key: &GrammarKey,
        vocabulary: &Arc<Vocabulary>,
    ) -> Option<Arc<CompiledGrammar>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        // The address is enough: an entry keeps its vocabulary alive.
        let entry =
            inner.by_hash.get_mut(&hash)?.iter_mut().find(|entry| {
                *entry.key == *key.bytes && Arc::ptr_eq(entry.compiled.vocabulary(), vocabulary)
            })?;
        entry.used = now;
        Some(Arc::clone(&entry.compiled))
    }
}

impl Inner {
    fn shrink(&mut self, entries: usize, bytes: usize) {
        let size = |entry: &Entry| entry.key.len() + entry.compiled.size();
        let mut total: usize = self.by_hash.values().flatten().map(size).sum();
        while self.count > 1 && (self.count > entries || total > bytes) {
            let oldest =
                self.by_hash.iter().flat_map(|(&hash, list)| list.iter().map(move |e| (e.used, hash)));
            let Some((used, hash)) = oldest.min() else { return };
            let Some(list) = self.by_hash.get_mut(&hash) else { return };
            let Some(at) = list.iter().position(|entry| entry.used == used) else { return };
            let gone = list.swap_remove(at);
            if list.is_empty() {
                self.by_hash.remove(&hash);
            }
            total -= size(&gone).min(total);
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GrammarBuilder, Token};
    use serde_json::json;

    fn vocabulary() -> Arc<Vocabulary> {
        let tokens = vec![Token::text("a"), Token::text("b"), Token::special("<eos>")];
        Arc::new(Vocabulary::new(tokens, &[2], None).expect("small"))
    }

    fn grammar(text: &str) -> Result<Grammar, GrammarError> {
        let mut b = GrammarBuilder::new();
        let root = b.bytes(text);
        b.build(root)
    }

    fn key(text: &str) -> GrammarKey {
        let mut key = GrammarKey::new();
        key.text(text);
        key
    }

    #[test]
    fn the_same_key_over_the_same_vocabulary_is_the_same_grammar() {
        let (cache, one, other) = (GrammarCache::default(), vocabulary(), vocabulary());
        let first = cache.get(&key("a"), &one, || grammar("a")).expect("builds");
        let again = cache.get::<GrammarError>(&key("a"), &one, || panic!("it is kept")).expect("kept");
        assert!(Arc::ptr_eq(&first, &again));
        let elsewhere = cache.get(&key("a"), &other, || grammar("a")).expect("builds");
        assert!(!Arc::ptr_eq(&first, &elsewhere));
        assert!(cache.get(&key("never"), &one, || Err(GrammarError::Empty("no".into()))).is_err());
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let (cache, v) = (GrammarCache::new(2, usize::MAX), vocabulary());
        for text in ["a", "b"] {
            cache.get(&key(text), &v, || grammar(text)).expect("builds");
        }
        cache.get::<GrammarError>(&key("a"), &v, || panic!("it is kept")).expect("kept");
        cache.get(&key("ab"), &v, || grammar("ab")).expect("builds");
        assert_eq!(cache.len(), 2);
        cache.get::<GrammarError>(&key("a"), &v, || panic!("it is kept")).expect("kept");
        let mut made = false;
        let make = || {
            made = true;
            grammar("b")
        };
        cache.get(&key("b"), &v, make).expect("builds");
        assert!(made, "b was dropped");
        let small = GrammarCache::new(9, 1);
        for text in ["a", "b"] {
            small.get(&key(text), &v, || grammar(text)).expect("builds");
        }
        assert_eq!(small.len(), 1, "only the newest fits");
    }

    #[test]
    fn keys_tell_values_apart() {
        let values = [
            json!(null),
            json!(""),
            json!("a"),
            json!(1),
            json!("1"),
            json!([]),
            json!({}),
            json!(["a", "b"]),
            json!(["ab"]),
            json!([["a"], "b"]),
            json!({"a": "b"}),
            json!({"a": 1, "b": 2}),
            json!({"b": 2, "a": 1}),
            json!(true),
            json!(false),
            json!(1.0),
            json!("x".repeat(300)),
        ];
        let keys: Vec<GrammarKey> = values
            .iter()
            .map(|value| {
                let mut key = GrammarKey::new();
                key.json(value);
                key
            })
            .collect();
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                assert_eq!(a == b, i == j, "{} {}", values[i], values[j]);
            }
        }
    }
}
