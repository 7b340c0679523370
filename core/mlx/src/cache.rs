//! Keys and values of the tokens seen so far.

use mlx_rs::Array;
use mlx_rs::error::Exception;
use mlx_rs::ops::indexing::{TryIndexMutOp, TryIndexOp};
use mlx_rs::ops::{concatenate, zeros_dtype};

/// Room is made for this many tokens at a time.
const STEP: i32 = 256;

/// The cache of one sequence. Stays on the thread of its model.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<Option<Entry>>,
    len: i32,
}

/// `[1, kv_heads, capacity, head_dim]` each; rows at `len` and above hold nothing of use.
#[derive(Debug)]
struct Entry {
    keys: Array,
    values: Array,
}

impl KvCache {
    /// An empty cache for a model with so many layers.
    pub(crate) fn new(layers: usize) -> Self {
        Self { layers: (0..layers).map(|_| None).collect(), len: 0 }
    }

    /// Number of tokens in the cache.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// True when it holds no token.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all tokens after the first `len`. Costs nothing; the room stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(i32::try_from(len).unwrap_or(i32::MAX));
    }

    /// Forgets the last `n` tokens.
    pub fn trim(&mut self, n: usize) {
        self.truncate(self.len().saturating_sub(n));
    }

    /// The arrays behind it, to be evaluated.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.layers.iter().flatten().flat_map(|entry| [&entry.keys, &entry.values])
    }

    /// Position of the next token.
    pub(crate) fn offset(&self) -> i32 {
        self.len
    }

    /// Counts the tokens that every layer has stored.
    pub(crate) fn advance(&mut self, tokens: i32) {
        self.len += tokens;
    }

    /// Stores the keys and values of the next tokens (`[1, kv_heads, L, head_dim]`) for a layer,
    /// and returns those of all tokens up to them.
    pub(crate) fn store(
        &mut self,
        layer: usize,
        keys: Array,
        values: Array,
    ) -> Result<(Array, Array), Exception> {
        let (start, end) = (self.len, self.len + keys.dim(2));
        let entry = match self.layers[layer].take() {
            Some(entry) if entry.keys.dim(2) >= end => entry,
            old => grow(old, start, &keys, &values)?,
        };
        let Entry { keys: mut all_keys, values: mut all_values } = entry;
        all_keys.try_index_mut((.., .., start..end, ..), &keys)?;
        all_values.try_index_mut((.., .., start..end, ..), &values)?;
        let seen = (all_keys.try_index((.., .., ..end, ..))?, all_values.try_index((.., .., ..end, ..))?);
        self.layers[layer] = Some(Entry { keys: all_keys, values: all_values });
        Ok(seen)
    }
}

/// Room for what is there (`start` tokens) and the new tokens, rounded up.
fn grow(old: Option<Entry>, start: i32, keys: &Array, values: &Array) -> Result<Entry, Exception> {
    let more = (keys.dim(2) + STEP - 1) / STEP * STEP;
    let widen = |old: Option<Array>, like: &Array| {
        let room = zeros_dtype(&[1, like.dim(1), more, like.dim(3)], like.dtype())?;
        match old {
            Some(old) => concatenate(&[old.try_index((.., .., ..start, ..))?, room], 2),
            None => Ok(room),
        }
    };
    let (old_keys, old_values) = old.map(|entry| (entry.keys, entry.values)).unzip();
    Ok(Entry { keys: widen(old_keys, keys)?, values: widen(old_values, values)? })
}
