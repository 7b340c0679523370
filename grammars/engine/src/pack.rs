//! Packs: what a terminal's state does with a whole vocabulary, whatever follows the terminal.
//!
//! A pack holds the tokens that stay inside the terminal, and the trie nodes where the terminal may end inside a
//! token. Behind those nodes the continuation decides; the subtrees behind them are merged into small tries of tails,
//! one per first byte, so that thousands of tokens that leave a string cost one short walk. Packs depend on the
//! terminal and the vocabulary only, so all grammars share them.

use crate::GrammarError;
use crate::mask::{TokenSet, set};
use crate::terminal::Terminal;
use crate::trie::TokenTrie;
use crate::vocab::Vocabulary;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

const CACHE_LIMIT: usize = 4096;

/// The packs of a vocabulary, by terminal.
#[derive(Default)]
pub(crate) struct PackCache {
    terminals: Mutex<FxHashMap<u64, Arc<Packs>>>,
}

impl PackCache {
    /// The packs of one terminal.
    pub(crate) fn of(&self, terminal: &Terminal) -> Arc<Packs> {
        let mut map = self.terminals.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= CACHE_LIMIT {
            map.retain(|_, packs| Arc::strong_count(packs) > 1);
        }
        Arc::clone(map.entry(terminal.id).or_default())
    }
}

/// Packs kept per terminal: with dense sets of 128k tokens, 256 of them are 4 MiB.
const PACKS_PER_TERMINAL: usize = 256;

/// The packs of one terminal, by state.
#[derive(Default)]
pub(crate) struct Packs {
    states: RwLock<FxHashMap<u32, Arc<Pack>>>,
}

impl Packs {
    /// The pack of a state, made if it is not there.
    pub(crate) fn get(
        &self,
        terminal: &Terminal,
        vocabulary: &Vocabulary,
        state: u32,
    ) -> Result<Arc<Pack>, GrammarError> {
        if let Some(pack) = self.states.read().unwrap_or_else(PoisonError::into_inner).get(&state) {
            return Ok(Arc::clone(pack));
        }
        let pack = Arc::new(Pack::new(terminal, vocabulary, state)?);
        let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
        if states.len() >= PACKS_PER_TERMINAL {
            states.clear();
        }
        Ok(Arc::clone(states.entry(state).or_insert(pack)))
    }
}

/// The part of a length bound that can matter within one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    /// Characters that have to come before the terminal may end, at most one more than a token has.
    pub(crate) need: u32,
    /// Characters that may come, at most as many as a token has.
    pub(crate) left: u32,
}

/// See the module.
pub(crate) struct Pack {
    /// Tokens that stay inside, lengths aside; without counting also those that end with the terminal.
    inside: Arc<TokenSet>,
    /// The most characters that any token begins here.
    longest: u32,
    /// With counted terminals: for each number of characters the tokens that stay inside and begin that many.
    by_count: Vec<Vec<u32>>,
    /// Nodes where the terminal may end, each with the characters begun so far.
    exits: Exits,
    within: Mutex<FxHashMap<u32, Arc<TokenSet>>>,
    tails: Mutex<FxHashMap<(u8, Window), Arc<TokenTrie>>>,
    ended: Mutex<FxHashMap<Window, Arc<[u32]>>>,
}

struct Exits {
    nodes: Vec<u32>,
    counts: Vec<u32>,
    /// Membership, where there are many.
    set: Vec<u64>,
}

struct Build<'a> {
    terminal: &'a Terminal,
    trie: &'a TokenTrie,
    words: Vec<u32>,
    by_count: Vec<Vec<u32>>,
    longest: u32,
    exits: Exits,
}

impl Pack {
    fn new(terminal: &Terminal, vocabulary: &Vocabulary, state: u32) -> Result<Pack, GrammarError> {
        let mut build = Build {
            terminal,
            trie: vocabulary.trie(),
            words: vec![0; vocabulary.mask_words()],
            by_count: Vec::new(),
            longest: 0,
            exits: Exits { nodes: Vec::new(), counts: Vec::new(), set: Vec::new() },
        };
        build.children(0, state, 0)?;
        let Build { words, mut by_count, longest, mut exits, trie, .. } = build;
        if terminal.counted {
            by_count.resize_with(longest as usize + 1, Vec::new);
        }
        // Where the terminal may end nearly everywhere, a bit per node is smaller than a list.
        if exits.nodes.len() > 32 && exits.nodes.len() > trie.len() as usize / 16 && !terminal.counted {
            exits.set = vec![0; trie.len() as usize / 64 + 1];
            for &node in &exits.nodes {
                exits.set[node as usize / 64] |= 1 << (node % 64);
            }
            exits.nodes = Vec::new();
            exits.counts = Vec::new();
        }
        Ok(Pack {
            inside: Arc::new(TokenSet::from_words(&words)),
            longest,
            by_count,
            exits,
            within: Mutex::default(),
            tails: Mutex::default(),
            ended: Mutex::default(),
        })
    }

    /// What of the bounds can matter after `count` characters.
    pub(crate) fn window(&self, terminal: &Terminal, count: u64) -> Window {
        if !terminal.counted {
            return Window { need: 0, left: self.longest };
        }
        let need = terminal.min.saturating_sub(count).min(u64::from(self.longest) + 1);
        let left = terminal.max.map_or(u64::MAX, |max| max.saturating_sub(count));
        Window { need: need as u32, left: left.min(u64::from(self.longest)) as u32 }
    }

    /// The tokens that stay inside.
    pub(crate) fn inside(&self, vocabulary: &Vocabulary, window: Window) -> Arc<TokenSet> {
        if window.left >= self.longest {
            return Arc::clone(&self.inside);
        }
        let mut within = self.within.lock().unwrap_or_else(PoisonError::into_inner);
        let set = within.entry(window.left).or_insert_with(|| {
            let mut words = vec![0; vocabulary.mask_words()];
            for tokens in &self.by_count[..=window.left as usize] {
                tokens.iter().for_each(|&token| set(&mut words, token));
            }
            Arc::new(TokenSet::from_words(&words))
        });
        Arc::clone(set)
    }

    /// True if the terminal can end inside a token at all.
    pub(crate) fn may_end(&self) -> bool {
        !self.exits.nodes.is_empty() || !self.exits.set.is_empty()
    }

    /// True if so many nodes are ends that a walk from the root is as good.
    pub(crate) fn ends_everywhere(&self) -> bool {
        !self.exits.set.is_empty()
    }

    /// The tokens that end exactly where the terminal does, beyond those that stay inside.
    pub(crate) fn ended(&self, trie: &TokenTrie, window: Window) -> Arc<[u32]> {
        if self.by_count.is_empty() {
            return Arc::new([]);
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let list = ended.entry(window).or_insert_with(|| {
            let mut list = Vec::new();
            for (&node, &count) in self.exits.nodes.iter().zip(&self.exits.counts) {
                if (window.need..=window.left).contains(&count) {
                    list.extend_from_slice(trie.tokens(node));
                }
            }
            list.into()
        });
        Arc::clone(list)
    }

    /// What tokens hold behind the terminal's end, as far as it begins with `byte`.
    pub(crate) fn tails(&self, trie: &TokenTrie, window: Window, byte: u8) -> Arc<TokenTrie> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        let tails = tails.entry((byte, window)).or_insert_with(|| {
            let nodes: Vec<u32> = if self.exits.set.is_empty() {
                let exits = self.exits.nodes.iter().zip(&self.exits.counts);
                exits
                    .filter(|&(_, count)| (window.need..=window.left).contains(count))
                    .filter_map(|(&node, _)| trie.child(node, byte))
                    .collect()
            } else {
                trie.nodes_by_byte(byte)
                    .filter(|&(_, parent)| {
                        parent != 0 && self.exits.set[parent as usize / 64] >> (parent % 64) & 1 == 1
                    })
                    .map(|(node, _)| node)
                    .collect()
            };
            Arc::new(trie.merge(&nodes))
        });
        Arc::clone(tails)
    }
}

impl Build<'_> {
    fn children(&mut self, parent: u32, state: u32, count: u32) -> Result<(), GrammarError> {
        let end = self.trie.node(parent).end;
        let dfa = &self.terminal.dfa;
        let mut child = parent + 1;
        while child < end {
            let node = self.trie.node(child);
            if let Some(target) = dfa.step(state, node.byte)? {
                let count = count + u32::from(target.starts);
                self.longest = self.longest.max(count);
                let live = dfa.live(target.state);
                if live {
                    let tokens = self.trie.tokens(child);
                    for &token in tokens {
                        set(&mut self.words, token);
                    }
                    if self.terminal.counted && !tokens.is_empty() {
                        if self.by_count.len() <= count as usize {
                            self.by_count.resize_with(count as usize + 1, Vec::new);
                        }
                        self.by_count[count as usize].extend_from_slice(tokens);
                    }
                }
                if dfa.accepts(target.state) {
                    if !self.terminal.counted {
                        self.trie.tokens(child).iter().for_each(|&token| set(&mut self.words, token));
                    }
                    self.exits.nodes.push(child);
                    self.exits.counts.push(count);
                }
                if live && node.end > child + 1 {
                    self.children(child, target.state, count)?;
                }
            }
            child = node.end;
        }
        Ok(())
    }
}
