//! Packs: what a terminal's state does with a whole vocabulary, whatever follows the terminal.
//!
//! A pack holds the tokens that stay inside the terminal, and the trie nodes where the terminal may end inside a
//! token. Behind those nodes the continuation decides; the subtrees behind them are merged into small tries of tails,
//! one per first byte, so that thousands of tokens that leave a string cost one short walk. Packs depend on the
//! terminal and the vocabulary only, so all grammars share them.

mod build;
mod plain;
mod twins;

use crate::GrammarError;
use crate::terminal::Terminal;
use crate::token_set::{TokenSet, Tokens, set};
use crate::trie::TokenTrie;
use crate::vocab::Vocabulary;
use build::Build;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use twins::Twins;

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
        Arc::clone(map.entry(terminal.pack).or_default())
    }
}

/// Packs kept per terminal: with dense sets of 128k tokens, 256 of them are 4 MiB.
const PACKS_PER_TERMINAL: usize = 256;

/// Stands for all states with the pack of any string.
const ANY_STRING: u32 = u32::MAX;

/// A state, and a count where lengths have to be settled with it.
type Key = (u32, Option<u64>);

/// The packs of one terminal, by state.
#[derive(Default)]
pub(crate) struct Packs {
    /// By state, and by count where that is needed; see [`Pack::exact`].
    states: RwLock<FxHashMap<Key, Found>>,
    twins: Mutex<Twins>,
}

/// A pack, and the state that it was made for: one that does the same to every token.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) pack: Arc<Pack>,
    pub(crate) state: u32,
}

impl Packs {
    /// The pack of a state after `count` characters, made if it is not there, and what of the length bounds matters
    /// there.
    pub(crate) fn get(
        &self,
        terminal: &Terminal,
        vocabulary: &Vocabulary,
        state: u32,
        count: u64,
    ) -> Result<(Found, Window), GrammarError> {
        let found = self.find(terminal, vocabulary, (state, None))?;
        let pack = &found.pack;
        let window = pack.window(terminal, count);
        let open = window.need == 0 && window.left >= pack.longest;
        if open || terminal.listed && (pack.closed || window.need == 0) {
            return Ok((found, window));
        }
        let found = self.find(terminal, vocabulary, (state, Some(count)))?;
        let window = Window { need: 0, left: found.pack.longest };
        Ok((found, window))
    }

    fn find(&self, terminal: &Terminal, vocabulary: &Vocabulary, key: Key) -> Result<Found, GrammarError> {
        if let Some(found) = self.states.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(found.clone());
        }
        let found = self.make(terminal, vocabulary, key)?;
        let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
        if states.len() >= PACKS_PER_TERMINAL {
            states.clear();
        }
        Ok(states.entry(key).or_insert(found).clone())
    }

    fn make(
        &self,
        terminal: &Terminal,
        vocabulary: &Vocabulary,
        (state, count): Key,
    ) -> Result<Found, GrammarError> {
        let walk = || Build::new(terminal, vocabulary);
        if let Some(count) = count {
            let mut build = walk();
            build.counted(0, state, count)?;
            return Ok(Found { pack: Arc::new(Pack::new(build, vocabulary, state, true)), state });
        }
        if let Some((plain, quote)) = &terminal.plain {
            let base = vocabulary.packs().of(plain).find(plain, vocabulary, (0, None))?.pack;
            if let Some(pack) = plain::without_words(&base, terminal, vocabulary.trie(), state, *quote)? {
                let state = if Arc::ptr_eq(&pack, &base) { ANY_STRING } else { state };
                return Ok(Found { pack, state });
            }
        }
        let twins = || self.twins.lock().unwrap_or_else(PoisonError::into_inner);
        let known = twins().find(terminal, state)?;
        if let Some(found) = known {
            return Ok(found);
        }
        let mut build = walk();
        build.state(state)?;
        let sights = twins::sights(&build);
        let pack = Arc::new(Pack::new(build, vocabulary, state, false));
        let found = Found { pack, state };
        twins().keep(&found, sights);
        Ok(found)
    }
}

/// The part of a length bound that can matter within one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    /// Characters that have to come before the terminal may end, at most one more than a token has.
    pub(crate) need: u32,
    /// Characters that may come, at most as many as a token and what it needs behind it have.
    pub(crate) left: u32,
}

/// See the module.
pub(crate) struct Pack {
    /// Tokens that stay inside, lengths aside.
    inside: Arc<TokenSet>,
    /// The most characters that any token takes: those that begin in it, and those that have to follow.
    longest: u32,
    /// For each number of such characters the tokens that stay inside and take that many; made when first needed.
    by_cost: OnceLock<Vec<Vec<u32>>>,
    state: u32,
    /// Made for one count: lengths are settled already.
    pub(crate) exact: bool,
    /// In no state that a token leads to is a length impossible between the least and the greatest one. If so, or
    /// once enough characters have come, what a token takes says all about lengths.
    closed: bool,
    /// Tokens that end with the terminal, where the exits are too many to be listed.
    over: Arc<[u32]>,
    /// Nodes where the terminal may end, each with the characters begun so far.
    exits: Exits,
    within: Mutex<FxHashMap<u32, Arc<TokenSet>>>,
    tails: Mutex<FxHashMap<(u8, Window), Arc<TokenTrie>>>,
    ended: Mutex<FxHashMap<Window, Arc<[u32]>>>,
}

/// In ascending order.
#[derive(Default)]
struct Exits {
    nodes: Vec<u32>,
    counts: Vec<u32>,
    /// Membership, where there are many.
    set: Vec<u64>,
    /// The exits are those of another pack, but for some.
    base: Option<Arc<Pack>>,
    without: Box<[u32]>,
}

impl Exits {
    fn of(mut exits: Vec<(u32, u32)>) -> Exits {
        exits.sort_unstable();
        let (nodes, counts) = exits.into_iter().unzip();
        Exits { nodes, counts, ..Exits::default() }
    }

    fn many(exits: &[(u32, u32)], trie: &TokenTrie) -> Exits {
        let mut set = vec![0; trie.len() as usize / 64 + 1];
        for &(node, _) in exits {
            set[node as usize / 64] |= 1 << (node % 64);
        }
        Exits { set, ..Exits::default() }
    }

    /// The nodes that are listed within a range.
    fn within(&self, from: u32, to: u32) -> &[u32] {
        let [from, to] = [from, to].map(|node| self.nodes.partition_point(|&other| other < node));
        &self.nodes[from..to]
    }

    /// The listed exits that the length bounds leave.
    fn listed(&self, window: Window) -> impl Iterator<Item = u32> {
        let all = self.base.as_ref().map_or(self, |base| &base.exits);
        let open = move |count: &u32| (window.need..=window.left).contains(count);
        let exits = all.nodes.iter().zip(&all.counts).filter(move |(_, count)| open(count));
        exits.map(|(&node, _)| node).filter(|node| self.without.binary_search(node).is_err())
    }
}

impl Pack {
    fn new(build: Build<'_>, vocabulary: &Vocabulary, state: u32, exact: bool) -> Pack {
        let Build { words, longest, closed, exits, trie, over, terminal, .. } = build;
        // Where the terminal may end nearly everywhere, a bit per node is smaller than a list.
        let many = exits.len() > 32 && exits.len() > trie.len() as usize / 16;
        let exits = if many && !terminal.listed { Exits::many(&exits, trie) } else { Exits::of(exits) };
        let inside = vocabulary.sets().keep(Tokens::from_words(&words)).0;
        Pack { longest, over: over.into(), exits, exact, closed, ..Pack::bare(inside, state) }
    }

    fn bare(inside: Arc<TokenSet>, state: u32) -> Pack {
        Pack {
            inside,
            longest: 0,
            by_cost: OnceLock::new(),
            state,
            exact: false,
            closed: true,
            over: Arc::default(),
            exits: Exits::default(),
            within: Mutex::default(),
            tails: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// What of the bounds can matter after `count` characters.
    fn window(&self, terminal: &Terminal, count: u64) -> Window {
        if !terminal.counted {
            return Window { need: 0, left: self.longest };
        }
        let need = terminal.min.saturating_sub(count).min(u64::from(self.longest) + 1);
        let left = terminal.max.map_or(u64::MAX, |max| max.saturating_sub(count));
        Window { need: need as u32, left: left.min(u64::from(self.longest)) as u32 }
    }

    /// The tokens that stay inside.
    pub(crate) fn inside(
        &self,
        terminal: &Terminal,
        vocabulary: &Vocabulary,
        window: Window,
    ) -> Result<Arc<TokenSet>, GrammarError> {
        if window.left >= self.longest {
            return Ok(Arc::clone(&self.inside));
        }
        let by_cost = match self.by_cost.get() {
            Some(known) => known,
            None => {
                let mut build = Build::new(terminal, vocabulary);
                build.by_cost = Some(Vec::new());
                build.state(self.state)?;
                self.by_cost.get_or_init(|| build.by_cost.unwrap_or_default())
            }
        };
        let mut within = self.within.lock().unwrap_or_else(PoisonError::into_inner);
        let set = within.entry(window.left).or_insert_with(|| {
            let mut words = vec![0; vocabulary.mask_words()];
            for tokens in by_cost.iter().take(window.left as usize + 1) {
                tokens.iter().for_each(|&token| set(&mut words, token));
            }
            vocabulary.sets().keep(Tokens::from_words(&words)).0
        });
        Ok(Arc::clone(set))
    }

    /// True if the terminal can end inside a token at all.
    pub(crate) fn may_end(&self) -> bool {
        let exits = self.exits.base.as_ref().map_or(&self.exits, |base| &base.exits);
        !exits.nodes.is_empty() || !exits.set.is_empty()
    }

    /// True if so many nodes are ends that a walk from the root is as good.
    pub(crate) fn ends_everywhere(&self) -> bool {
        !self.exits.set.is_empty()
    }

    /// The tokens that end exactly where the terminal does, beyond those that stay inside.
    pub(crate) fn ended(&self, trie: &TokenTrie, window: Window) -> Arc<[u32]> {
        if self.ends_everywhere() {
            return Arc::clone(&self.over);
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let list = ended.entry(window).or_insert_with(|| {
            self.exits.listed(window).flat_map(|node| trie.tokens(node)).copied().collect()
        });
        Arc::clone(list)
    }

    /// What tokens hold behind the terminal's end, as far as it begins with `byte`.
    pub(crate) fn tails(&self, trie: &TokenTrie, window: Window, byte: u8) -> Arc<TokenTrie> {
        if let Some(base) = &self.exits.base
            && self.exits.without.iter().all(|&node| trie.child(node, byte).is_none())
        {
            return base.tails(trie, window, byte);
        }
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        let tails = tails.entry((byte, window)).or_insert_with(|| {
            let nodes: Vec<u32> = if self.exits.set.is_empty() {
                self.exits.listed(window).filter_map(|node| trie.child(node, byte)).collect()
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
