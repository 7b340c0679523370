//! Sets of tokens, each kept once: most masks of one grammar, and many of several, are the same sets.

use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// So many sets are kept before those that nobody holds any more are looked for.
const SETS: usize = 4096;

/// A set of tokens, stored by its size.
#[derive(PartialEq, Hash)]
pub(crate) enum Tokens {
    List(Box<[u32]>),
    Dense(Box<[u32]>),
    /// A shared set and some more tokens.
    Joined(Arc<TokenSet>, Box<[u32]>),
}

/// Tokens, and a number that no other set of the vocabulary has or had.
pub(crate) struct TokenSet {
    id: u64,
    tokens: Tokens,
}

impl PartialEq for TokenSet {
    fn eq(&self, other: &TokenSet) -> bool {
        self.id == other.id
    }
}

impl Hash for TokenSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Tokens {
    /// The tokens of a mask.
    pub(crate) fn from_words(words: &[u32]) -> Tokens {
        let count: usize = words.iter().map(|w| w.count_ones() as usize).sum();
        if count * 2 < words.len() { Tokens::List(list(words)) } else { Tokens::Dense(words.into()) }
    }

    /// The tokens of a set, if there is one, and of a list, for masks of this many words.
    pub(crate) fn joined(base: Option<Arc<TokenSet>>, list: &[u32], words: usize) -> Tokens {
        if list.len() * 2 < words {
            return match base {
                Some(base) => Tokens::Joined(base, list.into()),
                None => Tokens::List(list.into()),
            };
        }
        let mut mask = vec![0; words];
        let mut union = Union::new(&mut mask, Vec::new());
        base.iter().for_each(|base| union.add(base));
        list.iter().for_each(|&token| set(union.words(), token));
        union.finish();
        Tokens::Dense(mask.into())
    }

    fn bytes(&self) -> usize {
        match self {
            Tokens::List(tokens) | Tokens::Dense(tokens) | Tokens::Joined(_, tokens) => tokens.len() * 4,
        }
    }
}

/// The sets of a vocabulary.
#[derive(Default)]
pub(crate) struct TokenSets {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_hash: FxHashMap<u64, Vec<Arc<TokenSet>>>,
    count: usize,
    /// How many there may be before the next cleaning.
    limit: usize,
    made: u64,
}

impl TokenSets {
    /// The one set of these tokens, and how many bytes it added.
    pub(crate) fn keep(&self, tokens: Tokens) -> (Arc<TokenSet>, usize) {
        let mut hasher = FxHasher::default();
        tokens.hash(&mut hasher);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *kept;
        if kept.count >= kept.limit.max(SETS) {
            kept.clean();
        }
        let list = kept.by_hash.entry(hasher.finish()).or_default();
        if let Some(known) = list.iter().find(|set| set.tokens == tokens) {
            return (Arc::clone(known), 0);
        }
        kept.made += 1;
        kept.count += 1;
        let bytes = tokens.bytes();
        let fresh = Arc::new(TokenSet { id: kept.made, tokens });
        list.push(Arc::clone(&fresh));
        (fresh, bytes)
    }
}

impl Kept {
    /// Lets go of what nobody else holds. Twice what is left may come before the next time, so each set pays for a
    /// constant share of all cleanings.
    fn clean(&mut self) {
        self.by_hash.retain(|_, list| {
            list.retain(|set| Arc::strong_count(set) > 1);
            !list.is_empty()
        });
        self.count = self.by_hash.values().map(Vec::len).sum();
        self.limit = self.count * 2;
    }
}

/// A mask that grows set by set.
pub(crate) struct Union<'a> {
    mask: &'a mut [u32],
    /// The mask holds garbage.
    blank: bool,
    /// Ids of the sets that are in it.
    added: Vec<u64>,
    /// How many of them were made for it.
    pub(crate) fresh: u32,
}

impl<'a> Union<'a> {
    /// A union that overwrites `mask`; `added` is scratch space, given back by [`Union::finish`].
    pub(crate) fn new(mask: &'a mut [u32], mut added: Vec<u64>) -> Union<'a> {
        added.clear();
        Union { mask, blank: true, added, fresh: 0 }
    }

    /// Adds a set, if it is not in yet.
    pub(crate) fn add(&mut self, set: &TokenSet) {
        if !self.added.contains(&set.id) {
            self.added.push(set.id);
            self.add_tokens(&set.tokens);
        }
    }

    fn add_tokens(&mut self, tokens: &Tokens) {
        match tokens {
            Tokens::List(tokens) => self.add_list(tokens),
            Tokens::Dense(words) if self.blank => {
                self.mask.copy_from_slice(words);
                self.blank = false;
            }
            Tokens::Dense(words) => {
                for (to, from) in self.mask.iter_mut().zip(words) {
                    *to |= from;
                }
            }
            Tokens::Joined(base, more) => {
                self.add(base);
                self.add_list(more);
            }
        }
    }

    fn add_list(&mut self, tokens: &[u32]) {
        let mask = self.words();
        for &token in tokens {
            set(mask, token);
        }
    }

    /// The mask so far.
    pub(crate) fn words(&mut self) -> &mut [u32] {
        if std::mem::take(&mut self.blank) {
            self.mask.fill(0);
        }
        self.mask
    }

    /// The mask, and the scratch space.
    pub(crate) fn finish(mut self) -> (&'a mut [u32], Vec<u64>) {
        self.words();
        (self.mask, self.added)
    }
}

/// Adds one token to a mask.
#[inline]
pub(crate) fn set(mask: &mut [u32], token: u32) {
    mask[token as usize / 32] |= 1 << (token % 32);
}

#[inline]
pub(crate) fn has(mask: &[u32], token: u32) -> bool {
    mask[token as usize / 32] >> (token % 32) & 1 == 1
}

fn list(words: &[u32]) -> Box<[u32]> {
    let mut out = Vec::new();
    for (index, &word) in words.iter().enumerate() {
        let mut word = word;
        while word != 0 {
            out.push(index as u32 * 32 + word.trailing_zeros());
            word &= word - 1;
        }
    }
    out.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_kept_once_and_dropped_when_nobody_holds_them() {
        let sets = TokenSets::default();
        let list = |tokens: &[u32]| Tokens::List(tokens.into());
        let (a, bytes) = sets.keep(list(&[1, 2]));
        assert_eq!(bytes, 8);
        let (same, bytes) = sets.keep(list(&[1, 2]));
        assert!(Arc::ptr_eq(&a, &same) && bytes == 0);
        for token in 0..2 * SETS as u32 {
            sets.keep(list(&[token]));
        }
        assert!(sets.kept.lock().expect("not poisoned").count <= SETS + 1);
        assert!(Arc::ptr_eq(&a, &sets.keep(list(&[1, 2])).0), "what is held stays");
    }

    #[test]
    fn a_union_holds_what_was_added() {
        let sets = TokenSets::default();
        let dense = sets.keep(Tokens::from_words(&[1, u32::MAX])).0;
        let joined = sets.keep(Tokens::Joined(Arc::clone(&dense), Box::new([5]))).0;
        let mut mask = [0xdead, 0xbeef];
        let mut union = Union::new(&mut mask, Vec::new());
        union.add(&joined);
        union.add(&dense);
        union.add(&joined);
        assert_eq!(mask, [1 | 1 << 5, u32::MAX]);
        let mut union = Union::new(&mut mask, vec![1]);
        union.add(&sets.keep(Tokens::List(Box::new([3]))).0);
        assert_eq!(mask, [1 << 3, 0]);
        assert_eq!(Union::new(&mut mask, Vec::new()).finish().0, [0, 0]);
    }
}
