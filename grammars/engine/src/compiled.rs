//! A grammar bound to a vocabulary: what all matchers over it share. Safe to use from any number of threads.

use crate::GrammarError;
use crate::budget::Costs;
use crate::grammar::{Grammar, Node};
use crate::mask::MaskMemory;
use crate::matcher::Matcher;
use crate::vocab::Vocabulary;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A [`Grammar`] and a [`Vocabulary`], ready to give masks. Share it through `Arc`; make one
/// [`Matcher`] per output.
pub struct CompiledGrammar {
    pub(crate) grammar: Arc<Grammar>,
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// Special nodes that the vocabulary has a token for.
    specials: FxHashMap<u32, u32>,
    /// The ids of each token node, as a mask.
    pub(crate) classes: FxHashMap<u32, Box<[u32]>>,
    seen: SeenSets,
    /// Made when a budget first asks for them.
    costs: OnceLock<Costs>,
    pub(crate) memory: MaskMemory,
}

impl std::fmt::Debug for CompiledGrammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledGrammar")
            .field("grammar", &self.grammar)
            .field("vocabulary", &self.vocabulary)
            .finish()
    }
}

impl CompiledGrammar {
    /// Binds a grammar to a vocabulary. Cheap: automata and masks are made when they are first needed.
    pub fn new(
        grammar: Arc<Grammar>,
        vocabulary: Arc<Vocabulary>,
    ) -> Result<Arc<CompiledGrammar>, GrammarError> {
        let mut specials = FxHashMap::default();
        let mut classes = FxHashMap::default();
        for (id, node) in grammar.nodes.iter().enumerate() {
            if let Node::Special(name) = node
                && let Some(token) = vocabulary.named(name)
            {
                specials.insert(id as u32, token);
            }
            if let Node::Token(class) = node {
                classes.insert(id as u32, vocabulary.class(class)?);
            }
        }
        let memory = MaskMemory::new(grammar.terminals.len());
        let seen = SeenSets::default();
        Ok(Arc::new(CompiledGrammar {
            grammar,
            vocabulary,
            specials,
            classes,
            seen,
            costs: OnceLock::new(),
            memory,
        }))
    }

    /// A matcher at the start of the grammar.
    pub fn matcher(self: &Arc<Self>) -> Result<Matcher, GrammarError> {
        Matcher::new(Arc::clone(self))
    }

    /// The grammar.
    pub fn grammar(&self) -> &Arc<Grammar> {
        &self.grammar
    }

    /// About how many bytes it keeps, masks included; what grammars share is not counted.
    pub(crate) fn size(&self) -> usize {
        self.grammar.len() * 128 + self.memory.size()
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// What the parts of the grammar cost.
    #[inline]
    pub(crate) fn costs(&self) -> &Costs {
        self.costs.get_or_init(|| Costs::new(&self.grammar, &self.specials, self.vocabulary.trie()))
    }

    #[inline]
    pub(crate) fn context(&self) -> Context<'_> {
        Context { grammar: &self.grammar, specials: &self.specials, seen: &self.seen }
    }
}

/// What the machine needs to know.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) grammar: &'a Grammar,
    pub(crate) specials: &'a FxHashMap<u32, u32>,
    pub(crate) seen: &'a SeenSets,
}

const MAX_SETS: usize = 1 << 18;

/// Sets of used properties of large objects, numbered from 1; 0 is the empty set.
#[derive(Default)]
pub(crate) struct SeenSets {
    inner: Mutex<Sets>,
}

#[derive(Default)]
struct Sets {
    ids: FxHashMap<Arc<[u64]>, u64>,
    list: Vec<Arc<[u64]>>,
}

impl SeenSets {
    pub(crate) fn get(&self, id: u64, properties: usize) -> Arc<[u64]> {
        if id > 0 {
            let sets = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(set) = sets.list.get(id as usize - 1) {
                return Arc::clone(set);
            }
        }
        vec![0; properties.div_ceil(64)].into()
    }

    pub(crate) fn intern(&self, set: Vec<u64>) -> Result<u64, GrammarError> {
        let set: Arc<[u64]> = set.into();
        let mut sets = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = sets.ids.get(&set) {
            return Ok(id);
        }
        if sets.list.len() >= MAX_SETS {
            return Err(GrammarError::Limit {
                what: "different sets of used properties in one grammar",
                limit: MAX_SETS as u64,
            });
        }
        sets.list.push(Arc::clone(&set));
        let id = sets.list.len() as u64;
        sets.ids.insert(set, id);
        Ok(id)
    }
}
