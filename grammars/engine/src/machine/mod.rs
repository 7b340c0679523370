//! The pushdown machine: what a grammar may do next, byte by byte.
//!
//! A configuration is a set of *heads*. A head is a leaf that waits for a byte (or for a special token) and a stack
//! of frames that says what follows the leaf. Stacks are linked cells in an append-only arena: going back is
//! truncating the arena, and stacks share their lower parts. Every head is alive: some text completes it.
//!
//! While it runs, the machine notes how deep it looked into the stacks it was given ([`Machine::low`]). What a token
//! mask depends on is exactly the leaf and the frames looked at; `mask` keys its memory with that.

mod leaf;
mod members;

use crate::GrammarError;
use crate::compiled::Context;
use crate::grammar::{Expr, Node};
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

pub(crate) use leaf::ByteSet;
pub(crate) use members::MemberState;

/// What waits for the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Leaf {
    /// The output may end here.
    End,
    /// A literal, from this byte on.
    Bytes { node: u32, at: u32 },
    /// Words `low..high` of a switch, which agree on `depth` bytes.
    Switch { id: u32, low: u32, high: u32, depth: u32 },
    /// Keys `low..high` of an object, which agree on `depth` bytes; `rest` and `seen` are the object's state.
    Keys { id: u32, low: u32, high: u32, depth: u32, rest: u32, seen: u64 },
    /// A terminal in this state, after this many characters.
    Terminal { id: u32, state: u32, count: u64 },
    /// A special token of the vocabulary.
    Special { token: u32 },
    /// Any token of a class.
    Token { node: u32 },
}

/// What follows when the leaf is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    /// The end of the output.
    Bottom,
    /// A sequence, from this part on.
    Seq { node: u32, next: u32 },
    /// One more part.
    Then { expr: Expr },
    /// A repetition after this many items.
    Repeat { node: u32, count: u32 },
    /// An object after a member (or before the first).
    Member { id: u32, rest: u32, seen: u64 },
    /// An object behind a comma.
    Keys { id: u32, rest: u32, seen: u64 },
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) frame: Frame,
    pub(crate) parent: u32,
    /// 0 for the bottom.
    pub(crate) depth: u32,
    hash: u64,
}

/// A leaf and the stack that follows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) leaf: Leaf,
    pub(crate) stack: u32,
    /// Differs where heads differ, nearly always.
    fingerprint: u32,
}

/// Finds equal heads where there are many.
#[derive(Default)]
struct HeadIndex {
    /// Open addressing by fingerprint: one more than the place in the list of heads, 0 for none.
    slots: Vec<u32>,
    /// The heads that are in it.
    from: usize,
    to: usize,
}

impl HeadIndex {
    /// Where a head is looked for first: the number of slots is a power of two.
    fn slot(&self, fingerprint: u32) -> usize {
        fingerprint as usize & (self.slots.len() - 1)
    }

    /// Makes the index of the heads from `from` on, with room for as many again.
    fn fill(&mut self, heads: &[Head], from: usize) {
        self.slots.clear();
        self.slots.resize((4 * heads.len()).next_power_of_two(), 0);
        self.from = from;
        for (head, place) in heads.iter().zip(from as u32..) {
            let mut slot = self.slot(head.fingerprint);
            while self.slots[slot] != 0 {
                slot = self.slot(slot as u32 + 1);
            }
            self.slots[slot] = place + 1;
        }
    }
}

impl Clone for HeadIndex {
    /// It is made again for every list of heads.
    fn clone(&self) -> Self {
        HeadIndex::default()
    }
}

/// So many heads are searched one by one.
const FEW_HEADS: usize = 32;

#[derive(Clone, Copy)]
enum Todo {
    Enter(Expr, u32),
    Resume(u32),
}

/// The empty stack.
pub(crate) const BOTTOM: u32 = 0;
/// Nothing was looked at.
pub(crate) const UNTOUCHED: u32 = u32::MAX;
const MAX_HEADS: usize = 2048;
const MAX_CELLS: usize = 1 << 26;
const MAX_EXPANSIONS: u32 = 1 << 17;

/// Stacks and scratch space.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) cells: Vec<Cell>,
    /// Depth of the lowest stack cell that was read since this was last reset.
    pub(crate) low: u32,
    todo: Vec<Todo>,
    /// Repetitions of empty items met during one expansion.
    loops: Vec<(Frame, u32)>,
    index: HeadIndex,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let bottom = Cell { frame: Frame::Bottom, parent: BOTTOM, depth: 0, hash: 0 };
        Machine {
            cells: vec![bottom],
            low: UNTOUCHED,
            todo: Vec::new(),
            loops: Vec::new(),
            index: HeadIndex::default(),
        }
    }

    #[inline]
    pub(crate) fn cell(&self, stack: u32) -> &Cell {
        &self.cells[stack as usize]
    }

    fn push(&mut self, frame: Frame, parent: u32) -> u32 {
        let below = &self.cells[parent as usize];
        let mut hasher = FxHasher::default();
        below.hash.hash(&mut hasher);
        frame.hash(&mut hasher);
        let cell = Cell { frame, parent, depth: below.depth + 1, hash: hasher.finish() };
        self.cells.push(cell);
        self.cells.len() as u32 - 1
    }

    fn same(&self, mut a: u32, mut b: u32) -> bool {
        while a != b {
            let (x, y) = (&self.cells[a as usize], &self.cells[b as usize]);
            if x.hash != y.hash || x.depth != y.depth || x.frame != y.frame {
                return false;
            }
            (a, b) = (x.parent, y.parent);
        }
        true
    }

    /// Adds a head to `out[from..]` if it is not there yet.
    #[inline]
    fn add(&mut self, leaf: Leaf, stack: u32, from: usize, out: &mut Vec<Head>) -> Result<(), GrammarError> {
        let mut hasher = FxHasher::default();
        (leaf, self.cells[stack as usize].hash).hash(&mut hasher);
        let head = Head { leaf, stack, fingerprint: (hasher.finish() >> 32) as u32 };
        if out.len() - from <= FEW_HEADS {
            self.index.to = 0;
            if !out[from..].iter().any(|other| self.equal(other, &head)) {
                out.push(head);
            }
            return Ok(());
        }
        self.add_to_many(head, from, out)
    }

    fn add_to_many(&mut self, head: Head, from: usize, out: &mut Vec<Head>) -> Result<(), GrammarError> {
        let mut index = std::mem::take(&mut self.index);
        let count = out.len() - from;
        if (index.from, index.to) != (from, out.len()) || 2 * count >= index.slots.len() {
            index.fill(&out[from..], from);
        }
        let mut slot = index.slot(head.fingerprint);
        let mut known = false;
        while !known && index.slots[slot] != 0 {
            known = self.equal(&out[index.slots[slot] as usize - 1], &head);
            slot = index.slot(slot as u32 + 1);
        }
        let full = !known && count >= MAX_HEADS;
        if !known && !full {
            out.push(head);
            index.slots[slot] = out.len() as u32;
        }
        index.to = out.len();
        self.index = index;
        match full {
            true => Err(GrammarError::Limit {
                what: "simultaneous readings of the text",
                limit: MAX_HEADS as u64,
            }),
            false => Ok(()),
        }
    }

    #[inline]
    fn equal(&self, a: &Head, b: &Head) -> bool {
        a.fingerprint == b.fingerprint && a.leaf == b.leaf && self.same(a.stack, b.stack)
    }

    /// The heads of a grammar's start, added to `out`.
    pub(crate) fn start(&mut self, ctx: Context<'_>, out: &mut Vec<Head>) -> Result<(), GrammarError> {
        let from = out.len();
        self.expand(ctx, Todo::Enter(ctx.grammar.root, BOTTOM), from, out)
    }

    /// The heads of what follows a finished leaf, added to `out`.
    pub(crate) fn resume(
        &mut self,
        ctx: Context<'_>,
        stack: u32,
        from: usize,
        out: &mut Vec<Head>,
    ) -> Result<(), GrammarError> {
        self.expand(ctx, Todo::Resume(stack), from, out)
    }

    fn expand(
        &mut self,
        ctx: Context<'_>,
        first: Todo,
        from: usize,
        out: &mut Vec<Head>,
    ) -> Result<(), GrammarError> {
        self.todo.clear();
        self.loops.clear();
        self.todo.push(first);
        let mut expansions = 0;
        while let Some(todo) = self.todo.pop() {
            expansions += 1;
            if expansions > MAX_EXPANSIONS {
                return Err(GrammarError::Limit {
                    what: "expansions at one position",
                    limit: u64::from(MAX_EXPANSIONS),
                });
            }
            match todo {
                Todo::Enter(expr, stack) => self.enter(ctx, expr, stack, from, out)?,
                Todo::Resume(stack) => self.pop(ctx, stack, from, out)?,
            }
        }
        if self.cells.len() > MAX_CELLS {
            return Err(GrammarError::Limit { what: "stack cells", limit: MAX_CELLS as u64 });
        }
        Ok(())
    }

    fn enter(
        &mut self,
        ctx: Context<'_>,
        expr: Expr,
        stack: u32,
        from: usize,
        out: &mut Vec<Head>,
    ) -> Result<(), GrammarError> {
        let grammar = ctx.grammar;
        if !grammar.productive[expr.0 as usize] {
            return Ok(());
        }
        match grammar.node(expr) {
            Node::Never => {}
            Node::Empty => self.todo.push(Todo::Resume(stack)),
            Node::Bytes(_) => self.add(Leaf::Bytes { node: expr.0, at: 0 }, stack, from, out)?,
            Node::Special(_) => {
                let leaf = match ctx.specials.get(&expr.0) {
                    Some(&token) => Leaf::Special { token },
                    None => Leaf::Bytes { node: expr.0, at: 0 },
                };
                self.add(leaf, stack, from, out)?;
            }
            Node::Token(_) => self.add(Leaf::Token { node: expr.0 }, stack, from, out)?,
            Node::Terminal(id) => {
                let terminal = &grammar.terminals[*id as usize];
                if terminal.nullable() {
                    self.todo.push(Todo::Resume(stack));
                }
                self.add(Leaf::Terminal { id: *id, state: 0, count: 0 }, stack, from, out)?;
            }
            Node::Seq(parts) => {
                let rest = self.push(Frame::Seq { node: expr.0, next: 1 }, stack);
                self.todo.push(Todo::Enter(parts[0], rest));
            }
            Node::Alt(parts) => self.todo.extend(parts.iter().rev().map(|&part| Todo::Enter(part, stack))),
            Node::Switch(id) => {
                let high = grammar.switches[*id as usize].words.len() as u32;
                self.add(Leaf::Switch { id: *id, low: 0, high, depth: 0 }, stack, from, out)?;
            }
            Node::Repeat { item, min, .. } => {
                if *min == 0 {
                    self.todo.push(Todo::Resume(stack));
                }
                if grammar.productive[item.0 as usize] {
                    let after = self.push(Frame::Repeat { node: expr.0, count: 1 }, stack);
                    self.todo.push(Todo::Enter(*item, after));
                }
            }
            Node::Rule(rule) => self.todo.push(Todo::Enter(grammar.rules[*rule as usize].1, stack)),
            Node::Behind { object, taken } => {
                let seen = MemberState::cap(&grammar.objects[*object as usize], u64::from(*taken));
                let frame = Frame::Member { id: *object, rest: *taken, seen };
                let after = self.push(frame, stack);
                self.todo.push(Todo::Resume(after));
            }
            Node::Object(id) => {
                let open = grammar.objects[*id as usize].open;
                let after = self.push(Frame::Member { id: *id, rest: 0, seen: 0 }, stack);
                self.todo.push(Todo::Enter(open, after));
            }
        }
        Ok(())
    }

    fn pop(
        &mut self,
        ctx: Context<'_>,
        stack: u32,
        from: usize,
        out: &mut Vec<Head>,
    ) -> Result<(), GrammarError> {
        let Cell { frame, parent, depth, .. } = self.cells[stack as usize];
        self.low = self.low.min(depth);
        let grammar = ctx.grammar;
        match frame {
            Frame::Bottom => self.add(Leaf::End, BOTTOM, from, out)?,
            Frame::Then { expr } => self.todo.push(Todo::Enter(expr, parent)),
            Frame::Seq { node, next } => {
                let Node::Seq(parts) = &grammar.nodes[node as usize] else { return Ok(()) };
                let below = if next as usize + 1 < parts.len() {
                    self.push(Frame::Seq { node, next: next + 1 }, parent)
                } else {
                    // The last part needs no frame: tail calls keep stacks short.
                    parent
                };
                self.todo.push(Todo::Enter(parts[next as usize], below));
            }
            Frame::Repeat { node, count } => {
                let Node::Repeat { item, separator, min, max } = &grammar.nodes[node as usize] else {
                    return Ok(());
                };
                if grammar.nullable[item.0 as usize] {
                    if self.loops.contains(&(frame, parent)) {
                        return Ok(());
                    }
                    self.loops.push((frame, parent));
                }
                if count >= *min {
                    self.todo.push(Todo::Resume(parent));
                }
                if max.is_none_or(|max| count < max)
                    && separator.is_none_or(|s| grammar.productive[s.0 as usize])
                {
                    // Without an upper bound, counting beyond the lower one says nothing.
                    let count = if max.is_none() { (count + 1).min((*min).max(1)) } else { count + 1 };
                    let after = self.push(Frame::Repeat { node, count }, parent);
                    match separator {
                        Some(separator) => {
                            let then = self.push(Frame::Then { expr: *item }, after);
                            self.todo.push(Todo::Enter(*separator, then));
                        }
                        None => self.todo.push(Todo::Enter(*item, after)),
                    }
                }
            }
            Frame::Member { id, rest, seen } => {
                let object = &grammar.objects[id as usize];
                let state = ctx.member_state(object, rest, seen);
                if state.may_close(object) {
                    self.todo.push(Todo::Enter(object.close, parent));
                }
                let productive = |e: Expr| grammar.productive[e.0 as usize];
                if state.may_go_on(object) && productive(object.lead) && productive(object.colon) {
                    let keys = self.push(Frame::Keys { id, rest, seen }, parent);
                    if state.members() == 0 {
                        self.todo.push(Todo::Enter(object.lead, keys));
                    } else if productive(object.comma) {
                        let lead = self.push(Frame::Then { expr: object.lead }, keys);
                        self.todo.push(Todo::Enter(object.comma, lead));
                    }
                }
            }
            Frame::Keys { id, rest, seen } => self.keys(ctx, id, rest, seen, parent, from, out)?,
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn keys(
        &mut self,
        ctx: Context<'_>,
        id: u32,
        rest: u32,
        seen: u64,
        parent: u32,
        from: usize,
        out: &mut Vec<Head>,
    ) -> Result<(), GrammarError> {
        let object = &ctx.grammar.objects[id as usize];
        let state = ctx.member_state(object, rest, seen);
        let high = object.keys.len() as u32;
        if object.position.iter().any(|&p| state.may_take(object, p)) {
            let leaf = Leaf::Keys { id, low: 0, high, depth: 0, rest, seen };
            self.add(leaf, parent, from, out)?;
        }
        let mut last = None;
        for (at, &(key, value)) in object.rest.iter().enumerate() {
            if !state.may_take_other(object, at) {
                continue;
            }
            let (rest, seen) = state.with_other(object, at);
            let after = match last {
                Some((bits, after)) if bits == object.rest_bits[at] => after,
                _ => self.push(Frame::Member { id, rest, seen }, parent),
            };
            last = Some((object.rest_bits[at], after));
            let value = self.push(Frame::Then { expr: value }, after);
            let colon = self.push(Frame::Then { expr: object.colon }, value);
            self.todo.push(Todo::Enter(key, colon));
        }
        Ok(())
    }

    /// The heads after `byte`, added to `out`, which already holds other sets up to its current length.
    pub(crate) fn step(
        &mut self,
        ctx: Context<'_>,
        head: Head,
        byte: u8,
        from: usize,
        out: &mut Vec<Head>,
    ) -> Result<(), GrammarError> {
        let grammar = ctx.grammar;
        let stack = head.stack;
        match head.leaf {
            Leaf::End | Leaf::Special { .. } | Leaf::Token { .. } => Ok(()),
            Leaf::Bytes { node, at } => {
                let bytes: &[u8] = match &grammar.nodes[node as usize] {
                    Node::Bytes(bytes) => bytes,
                    Node::Special(name) => name.as_bytes(),
                    _ => &[],
                };
                if bytes.get(at as usize) != Some(&byte) {
                    return Ok(());
                }
                if at as usize + 1 < bytes.len() {
                    self.add(Leaf::Bytes { node, at: at + 1 }, stack, from, out)
                } else {
                    self.resume(ctx, stack, from, out)
                }
            }
            Leaf::Switch { id, low, high, depth } => {
                let switch = &grammar.switches[id as usize];
                let (mut low, high) = crate::automaton::narrow(&switch.words, low, high, depth, byte);
                let depth = depth + 1;
                if low < high && switch.words[low as usize].len() == depth as usize {
                    self.expand(ctx, Todo::Enter(switch.then[low as usize], stack), from, out)?;
                    low += 1;
                }
                if low < high {
                    self.add(Leaf::Switch { id, low, high, depth }, stack, from, out)?;
                }
                Ok(())
            }
            Leaf::Keys { id, low, high, depth, rest, seen } => {
                let object = &grammar.objects[id as usize];
                let (mut low, high) = crate::automaton::narrow(&object.keys, low, high, depth, byte);
                let depth = depth + 1;
                if low >= high {
                    return Ok(());
                }
                let state = ctx.member_state(object, rest, seen);
                if object.keys[low as usize].len() == depth as usize {
                    let position = object.position[low as usize];
                    if state.may_take(object, position) {
                        let (rest, seen) = state.with(ctx, object, position)?;
                        let after = self.push(Frame::Member { id, rest, seen }, stack);
                        let value = self.push(Frame::Then { expr: object.values[position as usize] }, after);
                        self.expand(ctx, Todo::Enter(object.colon, value), from, out)?;
                    }
                    low += 1;
                }
                let open = object.position[low as usize..high as usize].iter();
                if open.into_iter().any(|&p| state.may_take(object, p)) {
                    let leaf = Leaf::Keys { id, low, high, depth, rest, seen };
                    self.add(leaf, stack, from, out)?;
                }
                Ok(())
            }
            Leaf::Terminal { id, state, count } => {
                let terminal = &grammar.terminals[id as usize];
                let Some(to) = terminal.step(state, count, byte)? else { return Ok(()) };
                if to.goes_on {
                    let leaf = Leaf::Terminal { id, state: to.state, count: to.count };
                    self.add(leaf, stack, from, out)?;
                }
                if to.ends {
                    self.resume(ctx, stack, from, out)?;
                }
                Ok(())
            }
        }
    }
}
