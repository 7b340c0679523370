//! Token masks: which tokens may come next.
//!
//! A mask is the union of its heads' masks. A head's mask depends on its leaf and on those frames below it that a
//! token can reach; it is remembered under exactly these, so it is found again at any depth and in any output.

use crate::GrammarError;
use crate::compiled::Context;
use crate::machine::{Frame, Head, Leaf, Machine, UNTOUCHED};
use crate::trie::TokenTrie;
use crate::vocab::Vocabulary;
use rustc_hash::FxHashMap;
use std::sync::{PoisonError, RwLock};

/// A set of tokens, stored by its size.
pub(crate) enum TokenSet {
    List(Box<[u32]>),
    Dense(Box<[u32]>),
}

impl TokenSet {
    /// Adds this set to `mask`.
    pub(crate) fn add_to(&self, mask: &mut [u32]) {
        match self {
            TokenSet::List(list) => {
                for &token in list {
                    set(mask, token);
                }
            }
            TokenSet::Dense(words) => {
                for (to, from) in mask.iter_mut().zip(words) {
                    *to |= from;
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            TokenSet::List(list) => list.len() * 4,
            TokenSet::Dense(words) => words.len() * 4,
        }
    }
}

#[inline]
pub(crate) fn set(mask: &mut [u32], token: u32) {
    mask[token as usize / 32] |= 1 << (token % 32);
}

const MEMORY_LIMIT: usize = 64 << 20;

/// The masks of heads seen so far.
pub(crate) struct MaskMemory {
    inner: RwLock<Memory>,
}

#[derive(Default)]
struct Memory {
    leaves: FxHashMap<Leaf, u32>,
    edges: FxHashMap<(u32, Frame), u32>,
    entries: Vec<Option<TokenSet>>,
    bytes: usize,
}

impl MaskMemory {
    pub(crate) fn new(_terminals: usize) -> MaskMemory {
        MaskMemory { inner: RwLock::default() }
    }

    /// Adds a head's mask to `mask` if it is remembered.
    fn recall(&self, machine: &Machine, head: Head, mask: &mut [u32]) -> bool {
        let memory = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let Some(&(mut entry)) = memory.leaves.get(&head.leaf) else { return false };
        let mut stack = head.stack;
        loop {
            if let Some(set) = &memory.entries[entry as usize] {
                set.add_to(mask);
                return true;
            }
            let cell = machine.cell(stack);
            match memory.edges.get(&(entry, cell.frame)) {
                Some(&next) => entry = next,
                None => return false,
            }
            stack = cell.parent;
        }
    }

    /// Remembers a mask that depends on the leaf and the topmost `frames` frames.
    fn store(&self, machine: &Machine, head: Head, frames: u32, set: TokenSet) {
        let mut memory = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let memory = &mut *memory;
        if memory.bytes > MEMORY_LIMIT {
            *memory = Memory::default();
        }
        memory.bytes += set.bytes() + 64 * (frames as usize + 1);
        let entries = &mut memory.entries;
        let mut fresh = || {
            entries.push(None);
            entries.len() as u32 - 1
        };
        let mut entry = *memory.leaves.entry(head.leaf).or_insert_with(&mut fresh);
        let mut stack = head.stack;
        for _ in 0..frames {
            let cell = machine.cell(stack);
            entry = *memory.edges.entry((entry, cell.frame)).or_insert_with(&mut fresh);
            stack = cell.parent;
        }
        memory.entries[entry as usize] = Some(set);
    }
}

/// Scratch space for masks.
#[derive(Clone, Default)]
pub(crate) struct MaskScratch {
    heads: Vec<Head>,
    words: Vec<u32>,
}

/// Adds the tokens that a head allows to `mask`. Not for `End` and `Special`.
pub(crate) fn add_head(
    ctx: Context<'_>,
    vocabulary: &Vocabulary,
    memory: &MaskMemory,
    machine: &mut Machine,
    scratch: &mut MaskScratch,
    head: Head,
    mask: &mut [u32],
) -> Result<(), GrammarError> {
    if memory.recall(machine, head, mask) {
        return Ok(());
    }
    scratch.words.clear();
    scratch.words.resize(vocabulary.mask_words(), 0);
    scratch.heads.clear();
    scratch.heads.push(head);
    let cells = machine.cells.len();
    machine.low = UNTOUCHED;
    let mut walk = Walk { ctx, machine, heads: &mut scratch.heads, words: &mut scratch.words };
    let done = walk.children(vocabulary.trie(), 0, 0, 1);
    machine.cells.truncate(cells);
    done?;
    let depth = machine.cell(head.stack).depth;
    let frames = if machine.low > depth { 0 } else { depth - machine.low + 1 };
    let count: usize = scratch.words.iter().map(|w| w.count_ones() as usize).sum();
    let set = if count * 2 < scratch.words.len() {
        TokenSet::List(list(&scratch.words))
    } else {
        TokenSet::Dense(scratch.words.as_slice().into())
    };
    set.add_to(mask);
    memory.store(machine, head, frames, set);
    Ok(())
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

/// A walk down a token trie, heads in hand.
struct Walk<'a> {
    ctx: Context<'a>,
    machine: &'a mut Machine,
    heads: &'a mut Vec<Head>,
    words: &'a mut [u32],
}

impl Walk<'_> {
    /// Visits the children of `parent` with the heads `from..to`.
    fn children(
        &mut self,
        trie: &TokenTrie,
        parent: u32,
        from: usize,
        to: usize,
    ) -> Result<(), GrammarError> {
        let end = trie.node(parent).end;
        let mut child = parent + 1;
        let cells = self.machine.cells.len();
        while child < end {
            let node = trie.node(child);
            for index in from..to {
                let head = self.heads[index];
                self.machine.step(self.ctx, head, node.byte, to, self.heads)?;
            }
            let reached = self.heads.len();
            if reached > to {
                for &token in trie.tokens(child) {
                    set(self.words, token);
                }
                if node.end > child + 1 {
                    self.children(trie, child, to, reached)?;
                }
                self.heads.truncate(to);
            }
            self.machine.cells.truncate(cells);
            child = node.end;
        }
        Ok(())
    }
}
