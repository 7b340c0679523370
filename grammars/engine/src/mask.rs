//! Token masks: which tokens may come next.
//!
//! A mask is the union of its heads' masks. A head's mask depends on its leaf and on those frames below it that a
//! token can reach; it is remembered under exactly these, so it is found again at any depth and in any output.

use crate::GrammarError;
use crate::automaton::is_lead;
use crate::budget::{Costs, shortest, shortest_stack};
use crate::compiled::{CompiledGrammar, Context};
use crate::machine::{ByteSet, Frame, Head, Leaf, Machine, UNTOUCHED};
use crate::pack::{Found, Pack, Packs, Window};
use crate::terminal::Terminal;
use crate::token_set::{TokenSet, Tokens, Union, has, set};
use crate::trie::TokenTrie;
use crate::vocab::Vocabulary;
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

const MEMORY_LIMIT: usize = 64 << 20;
/// So many heads of one mask are looked at for their own sake and remembered. Where a text can be read in more ways,
/// most of them allow the same tokens, and of the others only what is missing is looked for.
const FRESH_MASKS: u32 = 96;

/// The masks of heads seen so far, and the packs of the grammar's terminals.
pub(crate) struct MaskMemory {
    inner: RwLock<Memory>,
    packs: Vec<OnceLock<Arc<Packs>>>,
}

#[derive(Default)]
struct Memory {
    leaves: FxHashMap<Leaf, u32>,
    edges: FxHashMap<(u32, Frame), u32>,
    entries: Vec<Option<Arc<TokenSet>>>,
    bytes: usize,
}

impl MaskMemory {
    pub(crate) fn new(terminals: usize) -> MaskMemory {
        MaskMemory { inner: RwLock::default(), packs: (0..terminals).map(|_| OnceLock::new()).collect() }
    }

    /// Bytes of the masks.
    pub(crate) fn size(&self) -> usize {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).bytes
    }

    fn packs(&self, vocabulary: &Vocabulary, id: u32, terminal: &Terminal) -> &Packs {
        self.packs[id as usize].get_or_init(|| vocabulary.packs().of(terminal))
    }

    /// Adds a head's mask to `mask` if it is remembered.
    fn recall(&self, machine: &Machine, leaf: Leaf, mut stack: u32, mask: &mut Union<'_>) -> bool {
        let memory = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let Some(&(mut entry)) = memory.leaves.get(&leaf) else { return false };
        loop {
            if let Some(set) = &memory.entries[entry as usize] {
                mask.add(set);
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
    fn store(
        &self,
        machine: &Machine,
        leaf: Leaf,
        mut stack: u32,
        frames: u32,
        (set, bytes): (Arc<TokenSet>, usize),
    ) {
        let mut memory = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let memory = &mut *memory;
        if memory.bytes > MEMORY_LIMIT {
            *memory = Memory::default();
        }
        memory.bytes += bytes + 64 * (frames as usize + 1);
        let entries = &mut memory.entries;
        let mut fresh = || {
            entries.push(None);
            entries.len() as u32 - 1
        };
        let mut entry = *memory.leaves.entry(leaf).or_insert_with(&mut fresh);
        for _ in 0..frames {
            let cell = machine.cell(stack);
            entry = *memory.edges.entry((entry, cell.frame)).or_insert_with(&mut fresh);
            stack = cell.parent;
        }
        memory.entries[entry as usize] = Some(set);
    }
}

/// Scratch space for masks.
#[derive(Default)]
pub(crate) struct MaskScratch {
    heads: Vec<Head>,
    list: Vec<u32>,
    /// For the mask itself; see [`Union`].
    pub(crate) added: Vec<u64>,
    /// The last terminal that was asked for: most heads of a mask, and most masks of a string, ask for one.
    terminal: Option<TerminalMask>,
}

/// What a terminal's state allows, and under which leaf the masks that come of it are remembered.
struct TerminalMask {
    /// The terminal, its state and the count.
    of: (u32, u32, u64),
    key: Leaf,
    pack: Arc<Pack>,
    window: Window,
}

impl MaskScratch {
    fn terminal(
        &mut self,
        compiled: &CompiledGrammar,
        of: (u32, u32, u64),
    ) -> Result<&TerminalMask, GrammarError> {
        let known = self.terminal.take().filter(|known| known.of == of);
        Ok(self.terminal.insert(match known {
            Some(known) => known,
            None => TerminalMask::new(compiled, of)?,
        }))
    }
}

impl TerminalMask {
    fn new(compiled: &CompiledGrammar, of: (u32, u32, u64)) -> Result<TerminalMask, GrammarError> {
        let (id, state, count) = of;
        let terminal = &compiled.grammar.terminals[id as usize];
        let packs = compiled.memory.packs(&compiled.vocabulary, id, terminal);
        let (found, window) = packs.get(terminal, &compiled.vocabulary, state, count)?;
        // Counts that make no difference within one token share their mask.
        let made = u64::from(window.need) << 32 | u64::from(window.left);
        let count = if found.pack.exact { 1 << 63 | count } else { made };
        let key = Leaf::Terminal { id, state: found.state, count };
        Ok(TerminalMask { of, key, pack: found.pack, window })
    }
}

impl Clone for MaskScratch {
    /// Scratch space is worth nothing to a copy.
    fn clone(&self) -> Self {
        MaskScratch::default()
    }
}

/// Adds the tokens that a head allows to `mask`. Not for `End` and `Special`.
pub(crate) fn add_head(
    compiled: &CompiledGrammar,
    machine: &mut Machine,
    scratch: &mut MaskScratch,
    head: Head,
    mask: &mut Union<'_>,
) -> Result<(), GrammarError> {
    let (vocabulary, memory) = (&*compiled.vocabulary, &compiled.memory);
    let (key, terminal) = match head.leaf {
        Leaf::Terminal { id, state, count } => {
            let terminal = scratch.terminal(compiled, (id, state, count))?;
            (terminal.key, Some(terminal))
        }
        leaf => (leaf, None),
    };
    if memory.recall(machine, key, head.stack, mask) {
        return Ok(());
    }
    let pack = terminal.map(|terminal| (Arc::clone(&terminal.pack), terminal.window));
    let cells = machine.cells.len();
    machine.low = UNTOUCHED;
    let keep = mask.fresh < FRESH_MASKS;
    let known = if keep { None } else { Some(&*mask.words()) };
    let done = match &pack {
        Some((pack, window)) => with_pack(compiled, machine, scratch, head, pack, *window, known),
        None => Ok(None),
    };
    let done = match done {
        Ok(None) => from_root(compiled, machine, scratch, head, None, known).map(|()| None),
        other => other,
    };
    machine.cells.truncate(cells);
    let inside = done?;
    if !keep {
        inside.iter().for_each(|inside| mask.add(inside));
        scratch.list.iter().for_each(|&token| set(mask.words(), token));
        return Ok(());
    }
    let kept = vocabulary.sets().keep(Tokens::joined(inside, &scratch.list, vocabulary.mask_words()));
    let depth = machine.cell(head.stack).depth;
    let frames = if machine.low > depth { 0 } else { depth - machine.low + 1 };
    mask.fresh += 1;
    mask.add(&kept.0);
    memory.store(machine, key, head.stack, frames, kept);
    Ok(())
}

/// Lists a head's tokens by walking the whole vocabulary; see [`Walk`] for the rest.
fn from_root(
    compiled: &CompiledGrammar,
    machine: &mut Machine,
    scratch: &mut MaskScratch,
    head: Head,
    within: Option<u64>,
    known: Option<&[u32]>,
) -> Result<(), GrammarError> {
    scratch.heads.clear();
    scratch.heads.push(head);
    scratch.list.clear();
    let ctx = compiled.context();
    let within = within.map(|within| (within, compiled.costs()));
    let mut walk = Walk { ctx, machine, heads: &mut scratch.heads, out: &mut scratch.list, within, known };
    walk.root_children(compiled.vocabulary.trie(), 0, 1)
}

/// A terminal's tokens: gives those that stay inside, and lists those whose tails the continuation takes. `None` if
/// the whole vocabulary had better be walked.
fn with_pack(
    compiled: &CompiledGrammar,
    machine: &mut Machine,
    scratch: &mut MaskScratch,
    head: Head,
    pack: &Pack,
    window: Window,
    known: Option<&[u32]>,
) -> Result<Option<Arc<TokenSet>>, GrammarError> {
    let (ctx, trie) = (compiled.context(), compiled.vocabulary.trie());
    let Leaf::Terminal { id, .. } = head.leaf else { return Ok(None) };
    let terminal = &compiled.grammar.terminals[id as usize];
    let inside = pack.inside(terminal, &compiled.vocabulary, window)?;
    scratch.heads.clear();
    scratch.list.clear();
    if !pack.may_end() {
        return Ok(Some(inside));
    }
    machine.resume(ctx, head.stack, 0, &mut scratch.heads)?;
    let mut first = ByteSet::default();
    for head in &scratch.heads {
        head.leaf.first_bytes(ctx, &mut first)?;
    }
    // Tails are cut between characters, so a continuation in the middle of one is not found among them.
    if pack.ends_everywhere() && first.len() > 24 || first.iter().any(|byte| !is_lead(byte)) {
        return Ok(None);
    }
    scratch.list.extend_from_slice(&pack.ended(trie, window));
    let to = scratch.heads.len();
    let (heads, out) = (&mut scratch.heads, &mut scratch.list);
    let mut walk = Walk { ctx, machine, heads, out, within: None, known };
    for byte in first.iter() {
        let tails = pack.tails(trie, window, byte);
        walk.children(&tails, 0, 0, to)?;
    }
    Ok(Some(inside))
}

/// Adds the tokens of a head after which `within` tokens complete the output. Near the end of a long text that may
/// leave out tokens that would still fit, but never all of them.
pub(crate) fn add_head_within(
    compiled: &CompiledGrammar,
    machine: &mut Machine,
    scratch: &mut MaskScratch,
    head: Head,
    mask: &mut Union<'_>,
    within: u64,
) -> Result<(), GrammarError> {
    let (ctx, costs, vocabulary) = (compiled.context(), compiled.costs(), &*compiled.vocabulary);
    let cells = machine.cells.len();
    if let Leaf::Terminal { id, state, count } = head.leaf {
        let terminal = &compiled.grammar.terminals[id as usize];
        let packs = compiled.memory.packs(vocabulary, id, terminal);
        let (Found { pack, .. }, window) = packs.get(terminal, vocabulary, state, count)?;
        let settles = terminal.settles_within().map(|bytes| {
            let missing = terminal.min.saturating_sub(count);
            bytes.saturating_add(missing).saturating_add(shortest_stack(ctx, costs, machine, head.stack))
        });
        if settles.is_some_and(|bytes| bytes <= within)
            || settles.is_some() && pack.may_end() && window.need == 0
        {
            if settles.is_some_and(|bytes| bytes <= within) {
                mask.add(&*pack.inside(terminal, vocabulary, window)?);
            }
            scratch.heads.clear();
            machine.resume(ctx, head.stack, 0, &mut scratch.heads)?;
            let to = scratch.heads.len();
            let rest = shortest(ctx, costs, machine, &scratch.heads);
            let mut list =
                if rest <= within { pack.ended(vocabulary.trie(), window).to_vec() } else { Vec::new() };
            let mut first = ByteSet::default();
            for head in &scratch.heads {
                head.leaf.first_bytes(ctx, &mut first)?;
            }
            let fits = Some((within, costs));
            let (heads, out) = (&mut scratch.heads, &mut list);
            let mut walk = Walk { ctx, machine, heads, out, within: fits, known: None };
            let mut done = Ok(());
            for byte in first.iter() {
                let tails = pack.tails(vocabulary.trie(), window, byte);
                done = done.and_then(|()| walk.children(&tails, 0, 0, to));
            }
            machine.cells.truncate(cells);
            done?;
            list.iter().for_each(|&token| set(mask.words(), token));
            if !list.is_empty() || settles.is_some_and(|bytes| bytes <= within) {
                return Ok(());
            }
        }
    }
    let made = from_root(compiled, machine, scratch, head, Some(within), None);
    machine.cells.truncate(cells);
    made?;
    scratch.list.iter().for_each(|&token| set(mask.words(), token));
    Ok(())
}

/// A walk down a token trie, heads in hand.
struct Walk<'a> {
    ctx: Context<'a>,
    machine: &'a mut Machine,
    heads: &'a mut Vec<Head>,
    /// Where the tokens go, each once.
    out: &'a mut Vec<u32>,
    /// Take only tokens after which this many more complete the output.
    within: Option<(u64, &'a Costs)>,
    /// Tokens that need not be listed.
    known: Option<&'a [u32]>,
}

impl Walk<'_> {
    /// Visits the children of the root that the heads `from..to` can begin with.
    fn root_children(&mut self, trie: &TokenTrie, from: usize, to: usize) -> Result<(), GrammarError> {
        let mut first = ByteSet::default();
        for head in &self.heads[from..to] {
            head.leaf.first_bytes(self.ctx, &mut first)?;
        }
        for byte in first.iter() {
            if let Some(child) = trie.child(0, byte) {
                self.child(trie, child, from, to)?;
            }
        }
        Ok(())
    }

    /// Visits the children of `parent` with the heads `from..to`.
    fn children(
        &mut self,
        trie: &TokenTrie,
        parent: u32,
        from: usize,
        to: usize,
    ) -> Result<(), GrammarError> {
        if to - from == 1
            && let Some(byte) = self.heads[from].leaf.literal(self.ctx)
        {
            return match trie.child(parent, byte) {
                Some(child) => self.child(trie, child, from, to),
                None => Ok(()),
            };
        }
        let end = trie.node(parent).end;
        let mut child = parent + 1;
        while child < end {
            self.child(trie, child, from, to)?;
            child = trie.node(child).end;
        }
        Ok(())
    }

    fn child(&mut self, trie: &TokenTrie, child: u32, from: usize, to: usize) -> Result<(), GrammarError> {
        let node = trie.node(child);
        if self.known.is_some_and(|known| trie.tokens_below(child).iter().all(|&token| has(known, token))) {
            return Ok(());
        }
        let cells = self.machine.cells.len();
        for index in from..to {
            let head = self.heads[index];
            self.machine.step(self.ctx, head, node.byte, to, self.heads)?;
        }
        let reached = self.heads.len();
        if reached > to {
            let tokens = trie.tokens(child);
            let kept = match self.within {
                Some((within, costs)) if !tokens.is_empty() => {
                    shortest(self.ctx, costs, self.machine, &self.heads[to..reached]) <= within
                }
                _ => true,
            };
            if kept {
                self.out.extend_from_slice(tokens);
            }
            if node.end > child + 1 {
                self.children(trie, child, to, reached)?;
            }
            self.heads.truncate(to);
        }
        self.machine.cells.truncate(cells);
        Ok(())
    }
}
