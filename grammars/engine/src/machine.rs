//! The pushdown machine: what a grammar may do next, byte by byte.
//!
//! A configuration is a set of *heads*. A head is a leaf that waits for a byte (or for a special token) and a stack
//! of frames that says what follows the leaf. Stacks are linked cells in an append-only arena: going back is
//! truncating the arena, and stacks share their lower parts. Every head is alive: some text completes it.
//!
//! While it runs, the machine notes how deep it looked into the stacks it was given ([`Machine::low`]). What a token
//! mask depends on is exactly the leaf and the frames looked at; `mask` keys its memory with that.

use crate::GrammarError;
use crate::compiled::Context;
use crate::grammar::{Expr, Node, ObjectDef};
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

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

/// An object's members so far.
pub(crate) struct MemberState {
    /// Declared members so far.
    declared: u64,
    /// Undeclared ones.
    rest: u64,
    /// Required properties that are still missing.
    required_left: u64,
    /// What is wanted and has come.
    met: u8,
    kind: Kind,
}

/// Above this many bits of a count of undeclared members stands what has been met.
const COUNT_BITS: u32 = 28;

/// A packed count of undeclared members: the count, and what is met.
fn unpack(packed: u64) -> (u64, u8) {
    (packed & ((1 << COUNT_BITS) - 1), (packed >> COUNT_BITS) as u8)
}

enum Kind {
    /// Next declared position.
    Ordered(u32),
    /// Which declared positions were used.
    Small(u64),
    /// The same, for more than 64 declared properties, and the id of the set.
    Large(Arc<[u64]>, u64),
}

impl Context<'_> {
    /// Unpacks the state of an object.
    pub(crate) fn member_state(self, object: &ObjectDef, rest: u32, seen: u64) -> MemberState {
        if !object.any_order {
            let (others, met) = unpack(seen >> 32);
            return MemberState {
                declared: seen & 0xffff_ffff,
                rest: others,
                met,
                required_left: u64::from(object.required_from[rest as usize]),
                kind: Kind::Ordered(rest),
            };
        }
        let (declared, kind) = if object.values.len() <= 64 {
            (u64::from(seen.count_ones()), Kind::Small(seen))
        } else {
            let set = self.seen.get(seen, object.values.len());
            (set.iter().map(|w| u64::from(w.count_ones())).sum(), Kind::Large(set, seen))
        };
        let (rest, met) = unpack(u64::from(rest));
        let mut state = MemberState { declared, rest, met, required_left: 0, kind };
        let missing = |p: &usize| object.required[*p] && !state.has(*p as u32);
        state.required_left = (0..object.values.len()).filter(missing).count() as u64;
        state
    }
}

impl MemberState {
    pub(crate) fn members(&self) -> u64 {
        self.declared + self.rest
    }

    /// Declared ones.
    pub(crate) fn declared(&self) -> u64 {
        self.declared
    }

    /// Undeclared ones; only whether there are any, where no more is asked for.
    pub(crate) fn rest(&self) -> u64 {
        self.rest
    }

    /// True if the declared property at this position was used or passed.
    pub(crate) fn has(&self, position: u32) -> bool {
        match &self.kind {
            Kind::Ordered(next) => position < *next,
            Kind::Small(seen) => seen >> position & 1 == 1,
            Kind::Large(set, _) => set[position as usize / 64] >> (position % 64) & 1 == 1,
        }
    }

    /// The same once the one at `taken` has come: where order counts, those before it are passed.
    pub(crate) fn has_after(&self, taken: u32, position: u32) -> bool {
        let passed = matches!(self.kind, Kind::Ordered(_)) && position < taken;
        position == taken || passed || self.has(position)
    }

    /// True if the object may end here.
    pub(crate) fn may_close(&self, object: &ObjectDef) -> bool {
        self.declared + self.rest.min(1) >= object.min && self.required_left == 0 && self.missing(object) == 0
    }

    /// What is wanted and has not come.
    pub(crate) fn missing(&self, object: &ObjectDef) -> u8 {
        object.wanted & !self.met
    }

    /// How many undeclared members have to come for what is missing.
    fn missing_members(object: &ObjectDef, missing: u8) -> u64 {
        object.cover.get(usize::from(missing)).copied().unwrap_or(0)
    }

    /// True if the declared property at this position may come next.
    pub(crate) fn may_take(&self, object: &ObjectDef, position: u32) -> bool {
        let at = position as usize;
        if !object.usable[at] || self.has(position) {
            return false;
        }
        if let Kind::Ordered(next) = self.kind {
            if position > object.next_required[next as usize] {
                return false;
            }
            let to_come = u64::from(object.usable_from[at + 1]);
            let others = u64::from(self.rest > 0 || object.rest_open());
            if self.declared + 1 + to_come + others < object.min {
                return false;
            }
        }
        let required = self.required_left - u64::from(object.required[at]);
        MemberState::fits(object, (self.declared + 1, self.rest), required, self.missing(object))
    }

    /// Whether what has to come behind so many declared and undeclared members stays within the maximum.
    fn fits(object: &ObjectDef, (declared, rest): (u64, u64), required: u64, missing: u8) -> bool {
        object.max.is_none_or(|max| {
            let wanted = MemberState::missing_members(object, missing);
            // Undeclared members may repeat a name, so only one of them counts.
            let counted = declared + u64::from(rest + wanted > 0);
            let declared_left = required.max(object.min.saturating_sub(counted));
            declared + rest + declared_left + wanted <= max
        })
    }

    /// True if an undeclared property may come next.
    pub(crate) fn may_take_rest(&self, object: &ObjectDef) -> bool {
        (0..object.rest.len()).any(|at| self.may_take_other(object, at))
    }

    /// True if an undeclared property of this kind may come next.
    pub(crate) fn may_take_other(&self, object: &ObjectDef, at: usize) -> bool {
        let (bits, missing) = (object.rest_bits[at], self.missing(object));
        // What is wanted no more is one of the others.
        if !object.rest_usable[at] || (bits != 0 && bits & missing == 0) {
            return false;
        }
        let required = self.required_left;
        if matches!(self.kind, Kind::Ordered(_)) && (required > 0 || self.declared + 1 < object.min) {
            return false;
        }
        MemberState::fits(object, (self.declared, self.rest + 1), required, missing & !bits)
    }

    /// True if any property may come next.
    pub(crate) fn may_go_on(&self, object: &ObjectDef) -> bool {
        self.may_take_rest(object) || (0..object.values.len() as u32).any(|p| self.may_take(object, p))
    }

    pub(crate) fn cap(object: &ObjectDef, count: u64) -> u64 {
        if object.max.is_some() { count } else { count.min(object.min.max(1)) }
    }

    /// The undeclared members as they are packed.
    fn packed(&self) -> u64 {
        self.rest | u64::from(self.met) << COUNT_BITS
    }

    /// The packed state after one more undeclared property of this kind.
    pub(crate) fn with_other(&self, object: &ObjectDef, at: usize) -> (u32, u64) {
        let rest = if object.max.is_some() { self.rest + 1 } else { 1 };
        let met = self.met | object.rest_bits[at];
        let rest = rest | u64::from(met) << COUNT_BITS;
        match &self.kind {
            Kind::Ordered(_) => {
                (object.values.len() as u32, MemberState::cap(object, self.declared) | rest << 32)
            }
            Kind::Small(seen) => (rest as u32, *seen),
            Kind::Large(_, id) => (rest as u32, *id),
        }
    }

    /// The packed state after the declared property at this position.
    pub(crate) fn with(
        &self,
        ctx: Context<'_>,
        object: &ObjectDef,
        position: u32,
    ) -> Result<(u32, u64), GrammarError> {
        let rest = self.packed() as u32;
        match &self.kind {
            Kind::Ordered(_) => {
                Ok((position + 1, MemberState::cap(object, self.declared + 1) | self.packed() << 32))
            }
            Kind::Small(seen) => Ok((rest, seen | 1 << position)),
            Kind::Large(set, _) => {
                let mut set = set.to_vec();
                set[position as usize / 64] |= 1 << (position % 64);
                Ok((rest, ctx.seen.intern(set)?))
            }
        }
    }
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) fn insert(&mut self, byte: u8) {
        self.0[byte as usize / 64] |= 1 << (byte % 64);
    }

    pub(crate) fn remove(&mut self, byte: u8) {
        self.0[byte as usize / 64] &= !(1 << (byte % 64));
    }

    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[byte as usize / 64] >> (byte % 64) & 1 == 1
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..4usize).flat_map(move |word| {
            let mut bits = self.0[word];
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros())?;
                bits &= bits - 1;
                Some((word as u32 * 64 + bit) as u8)
            })
        })
    }
}

impl Leaf {
    /// True for what waits for a whole token, or for the end, rather than for a byte.
    #[inline]
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Leaf::End | Leaf::Special { .. } | Leaf::Token { .. })
    }

    /// The next byte of a literal.
    #[inline]
    pub(crate) fn literal(self, ctx: Context<'_>) -> Option<u8> {
        let Leaf::Bytes { node, at } = self else { return None };
        match &ctx.grammar.nodes[node as usize] {
            Node::Bytes(bytes) => bytes.get(at as usize).copied(),
            Node::Special(name) => name.as_bytes().get(at as usize).copied(),
            _ => None,
        }
    }

    /// Adds the bytes that may come next.
    pub(crate) fn first_bytes(self, ctx: Context<'_>, out: &mut ByteSet) -> Result<(), GrammarError> {
        let grammar = ctx.grammar;
        match self {
            Leaf::End | Leaf::Special { .. } | Leaf::Token { .. } => {}
            Leaf::Bytes { .. } => self.literal(ctx).into_iter().for_each(|b| out.insert(b)),
            Leaf::Switch { id, low, high, depth } => {
                each_byte(&grammar.switches[id as usize].words, low, high, depth, |byte, _, _| {
                    out.insert(byte)
                });
            }
            Leaf::Keys { id, low, high, depth, rest, seen } => {
                let object = &grammar.objects[id as usize];
                let state = ctx.member_state(object, rest, seen);
                each_byte(&object.keys, low, high, depth, |byte, from, to| {
                    if object.position[from as usize..to as usize].iter().any(|&p| state.may_take(object, p))
                    {
                        out.insert(byte);
                    }
                });
            }
            Leaf::Terminal { id, state, count } => {
                let terminal = &grammar.terminals[id as usize];
                let mut next = Some(0);
                while let Some(byte) = next {
                    let (_, last) = terminal.dfa.class(byte);
                    if terminal.step(state, count, byte)?.is_some() {
                        (byte..=last).for_each(|byte| out.insert(byte));
                    }
                    next = last.checked_add(1);
                }
            }
        }
        Ok(())
    }
}

/// Visits the different next bytes of sorted words, each with its range of words.
fn each_byte(words: &[Box<[u8]>], low: u32, high: u32, depth: u32, mut visit: impl FnMut(u8, u32, u32)) {
    let mut at = low;
    while at < high {
        match words[at as usize].get(depth as usize) {
            Some(&byte) => {
                let (_, end) = crate::automaton::narrow(words, at, high, depth, byte);
                visit(byte, at, end);
                at = end;
            }
            None => at += 1,
        }
    }
}
