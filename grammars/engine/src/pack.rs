//! Packs: what a terminal's state does with a whole vocabulary, whatever follows the terminal.
//!
//! A pack holds the tokens that stay inside the terminal, and the trie nodes where the terminal may end inside a
//! token. Behind those nodes the continuation decides; the subtrees behind them are merged into small tries of tails,
//! one per first byte, so that thousands of tokens that leave a string cost one short walk. Packs depend on the
//! terminal and the vocabulary only, so all grammars share them.

use crate::GrammarError;
use crate::automaton::utf8;
use crate::mask::{TokenSet, set};
use crate::terminal::Terminal;
use crate::trie::{ASCII_GROUPS, OTHER, TokenTrie, group};
use crate::vocab::Vocabulary;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

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

/// The packs of one terminal, by state.
#[derive(Default)]
pub(crate) struct Packs {
    states: RwLock<FxHashMap<(u32, u64), Arc<Pack>>>,
}

impl Packs {
    /// The pack of a state after `count` characters, made if it is not there. The count matters only where lengths
    /// and shape are entangled.
    pub(crate) fn get(
        &self,
        terminal: &Terminal,
        vocabulary: &Vocabulary,
        state: u32,
        count: u64,
    ) -> Result<Arc<Pack>, GrammarError> {
        let state = (state, if terminal.shaped { count } else { 0 });
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
    /// Tokens that stay inside, lengths aside.
    inside: Arc<TokenSet>,
    /// The most characters that any token begins here.
    longest: u32,
    /// For each number of characters the tokens that stay inside and begin that many; made when first needed.
    by_count: OnceLock<Vec<Vec<u32>>>,
    state: u32,
    /// Tokens that end with the terminal, where the exits are too many to be listed.
    over: Arc<[u32]>,
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
    by_count: Option<Vec<Vec<u32>>>,
    over: Vec<u32>,
    longest: u32,
    exits: Exits,
    /// Transitions met so far, by state.
    rows: Vec<Option<Box<[u32; 256]>>>,
    /// What is known of the states met so far, and of which.
    infos: Vec<Info>,
    known: Vec<bool>,
}

/// What a walk needs to know of a state.
#[derive(Debug, Clone, Copy, Default)]
struct Info {
    live: bool,
    accepts: bool,
    /// The groups of characters that lead back to the state.
    loops: u64,
}

const UNKNOWN: u32 = u32::MAX;
const DEAD: u32 = u32::MAX - 1;

impl Pack {
    fn new(terminal: &Terminal, vocabulary: &Vocabulary, state: (u32, u64)) -> Result<Pack, GrammarError> {
        let mut build = Build::new(terminal, vocabulary);
        let (state, count) = state;
        if terminal.shaped {
            build.shaped(0, state, count)?;
        } else {
            build.children(0, state, 0)?;
        }
        let Build { words, longest, mut exits, trie, over, .. } = build;
        // Where the terminal may end nearly everywhere, a bit per node is smaller than a list.
        let many = exits.nodes.len() > 32 && exits.nodes.len() > trie.len() as usize / 16;
        if many && !terminal.listed {
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
            by_count: OnceLock::new(),
            state,
            over: over.into(),
            exits,
            within: Mutex::default(),
            tails: Mutex::default(),
            ended: Mutex::default(),
        })
    }

    /// What of the bounds can matter after `count` characters.
    pub(crate) fn window(&self, terminal: &Terminal, count: u64) -> Window {
        if !terminal.counted || terminal.shaped {
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
        let by_count = match self.by_count.get() {
            Some(known) => known,
            None => {
                let mut build = Build::new(terminal, vocabulary);
                build.by_count = Some(Vec::new());
                build.children(0, self.state, 0)?;
                self.by_count.get_or_init(|| build.by_count.unwrap_or_default())
            }
        };
        let mut within = self.within.lock().unwrap_or_else(PoisonError::into_inner);
        let set = within.entry(window.left).or_insert_with(|| {
            let mut words = vec![0; vocabulary.mask_words()];
            for tokens in by_count.iter().take(window.left as usize + 1) {
                tokens.iter().for_each(|&token| set(&mut words, token));
            }
            Arc::new(TokenSet::from_words(&words))
        });
        Ok(Arc::clone(set))
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
        if self.ends_everywhere() {
            return Arc::clone(&self.over);
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

/// Subtrees smaller than this are not worth a look at what they hold.
const WORTHWHILE: u32 = 2;

/// The tokens with this number of characters.
fn at_count(by_count: &mut Vec<Vec<u32>>, count: u32) -> &mut Vec<u32> {
    if by_count.len() <= count as usize {
        by_count.resize_with(count as usize + 1, Vec::new);
    }
    &mut by_count[count as usize]
}

impl<'a> Build<'a> {
    fn new(terminal: &'a Terminal, vocabulary: &'a Vocabulary) -> Build<'a> {
        Build {
            terminal,
            trie: vocabulary.trie(),
            words: vec![0; vocabulary.mask_words()],
            by_count: None,
            over: Vec::new(),
            longest: 0,
            exits: Exits { nodes: Vec::new(), counts: Vec::new(), set: Vec::new() },
            rows: Vec::new(),
            infos: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Visits the children of `parent` for a terminal whose lengths, if counted, do not depend on its state.
    fn children(&mut self, parent: u32, state: u32, count: u32) -> Result<(), GrammarError> {
        let trie = self.trie;
        let end = trie.node(parent).end;
        let mut child = parent + 1;
        while child < end {
            let node = trie.node(child);
            let step = match self.rows.get(state as usize) {
                Some(Some(row)) if row[node.byte as usize] != UNKNOWN => row[node.byte as usize],
                _ => self.resolve(state, node.byte)?,
            };
            if step != DEAD {
                let (target, count) = (step >> 1, count + (step & 1));
                let Info { live, accepts, loops } = self.infos[target as usize];
                self.longest = self.longest.max(count);
                if live && node.end - child > WORTHWHILE && trie.below(child) & !loops == 0 {
                    self.whole(child, count, accepts);
                } else {
                    self.here(child, count, live, accepts);
                    if live && node.end > child + 1 {
                        self.children(child, target, count)?;
                    }
                }
            }
            child = node.end;
        }
        Ok(())
    }

    /// Looks a transition up and keeps it at hand: target and character bit, or `DEAD`.
    #[cold]
    fn resolve(&mut self, state: u32, byte: u8) -> Result<u32, GrammarError> {
        let dfa = &self.terminal.dfa;
        let value = match dfa.step(state, byte)? {
            None => DEAD,
            Some(target) => {
                let at = target.state as usize;
                if self.infos.len() <= at {
                    self.infos.resize(at + 1, Info::default());
                    self.known.resize(at + 1, false);
                }
                if !std::mem::replace(&mut self.known[at], true) {
                    let loops = self.loops(target.state)?;
                    let dfa = &self.terminal.dfa;
                    let (live, accepts) = (dfa.live(target.state), dfa.accepts(target.state));
                    self.infos[at] = Info { live, accepts, loops };
                }
                target.state << 1 | u32::from(target.starts)
            }
        };
        if self.rows.len() <= state as usize {
            self.rows.resize(state as usize + 1, None);
        }
        self.rows[state as usize].get_or_insert_with(|| Box::new([UNKNOWN; 256]))[byte as usize] = value;
        Ok(value)
    }

    /// Takes the tokens of one node.
    fn here(&mut self, node: u32, count: u32, live: bool, accepts: bool) {
        let tokens = self.trie.tokens(node);
        if live {
            tokens.iter().for_each(|&token| set(&mut self.words, token));
            if let (Some(by_count), false) = (&mut self.by_count, tokens.is_empty()) {
                at_count(by_count, count).extend_from_slice(tokens);
            }
        } else {
            self.over.extend_from_slice(tokens);
        }
        if accepts {
            self.exits.nodes.push(node);
            self.exits.counts.push(count);
        }
    }

    /// Takes a whole subtree, all of whose characters lead back to the state it hangs on.
    fn whole(&mut self, node: u32, count: u32, accepts: bool) {
        let trie = self.trie;
        // Characters before the subtree are those of the path, whatever the terminal made of them.
        let before = trie.begun(node);
        for (token, characters) in trie.subtree(node) {
            set(&mut self.words, token);
            let count = count + u32::from(characters - before);
            self.longest = self.longest.max(count);
            if let Some(by_count) = &mut self.by_count {
                at_count(by_count, count).push(token);
            }
        }
        if accepts {
            for at in node..trie.node(node).end {
                self.exits.nodes.push(at);
                self.exits.counts.push(count + u32::from(trie.begun(at) - before));
            }
        }
    }

    /// The groups of characters that lead from a state back to it.
    fn loops(&self, state: u32) -> Result<u64, GrammarError> {
        let dfa = &self.terminal.dfa;
        let mut groups = (1u64 << ASCII_GROUPS) - 1;
        for byte in 0..0x80u8 {
            if dfa.step(state, byte)?.map(|t| t.state) != Some(state) {
                groups &= !(1 << group(byte));
            }
        }
        if self.loops_over_others(state)? {
            groups |= OTHER;
        }
        Ok(groups)
    }

    /// True if every character beyond ASCII leads back to the state.
    fn loops_over_others(&self, state: u32) -> Result<bool, GrammarError> {
        let mut places = vec![(state, utf8::BOUNDARY)];
        let mut next = 0;
        while next < places.len() {
            let (at, place) = places[next];
            next += 1;
            for byte in 0x80..=0xffu8 {
                let Some(place) = utf8::step(place, byte) else { continue };
                match self.terminal.dfa.step(at, byte)? {
                    Some(to) if place == utf8::BOUNDARY && to.state == state => {}
                    Some(to) if place != utf8::BOUNDARY && !self.terminal.dfa.accepts(to.state) => {
                        if !places.contains(&(to.state, place)) {
                            places.push((to.state, place));
                        }
                    }
                    _ => return Ok(false),
                }
            }
            if places.len() > 24 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Visits the children of `parent` for a terminal whose possible lengths depend on its state.
    fn shaped(&mut self, parent: u32, state: u32, count: u64) -> Result<(), GrammarError> {
        let (trie, terminal) = (self.trie, self.terminal);
        let end = trie.node(parent).end;
        let mut child = parent + 1;
        while child < end {
            let node = trie.node(child);
            if let Some(to) = terminal.step(state, count, node.byte)? {
                if to.goes_on {
                    trie.tokens(child).iter().for_each(|&token| set(&mut self.words, token));
                } else {
                    self.over.extend_from_slice(trie.tokens(child));
                }
                if to.ends {
                    self.exits.nodes.push(child);
                    self.exits.counts.push(0);
                }
                if to.goes_on && node.end > child + 1 {
                    self.shaped(child, to.state, to.count)?;
                }
            }
            child = node.end;
        }
        Ok(())
    }
}
