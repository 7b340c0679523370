//! Ending in time: how much a state needs to be complete, and masks that keep it within a budget.
//!
//! The measure is tokens, as far as they are certain: literals cost the fewest tokens of the vocabulary that spell
//! them, what automata still need costs a token per byte. A vocabulary with a token for every byte can therefore
//! always write so many tokens and be complete, so the measure is a proven upper bound. From every state some token
//! makes it smaller by one; a budget that suffices once therefore suffices at every later step.

use crate::compiled::Context;
use crate::grammar::{Expr, Grammar, Node, ObjectDef};
use crate::machine::{Cell, Frame, Head, Leaf, Machine, MemberState};
use crate::trie::TokenTrie;
use rustc_hash::FxHashMap;

/// What nothing can complete costs.
const NEVER: u64 = u64::MAX;

/// For each offset of a literal the fewest tokens that spell it from there on.
type Suffixes = Box<[u32]>;

/// The members of an object that have been written.
#[derive(Clone, Copy)]
struct SoFar {
    declared: u64,
    /// Undeclared ones.
    rest: u64,
    /// Bits of what is wanted and has not come.
    missing: u8,
}

impl SoFar {
    fn of(object: &ObjectDef, state: &MemberState) -> SoFar {
        SoFar { declared: state.declared(), rest: state.rest(), missing: state.missing(object) }
    }
}

/// What the parts of a grammar cost at least over one vocabulary.
pub(crate) struct Costs {
    nodes: Vec<u64>,
    /// By node.
    literals: FxHashMap<u32, Suffixes>,
    /// By switch and word.
    words: Vec<Vec<Suffixes>>,
    /// By object and key: the key, and what stands behind it if that is a literal.
    keys: Vec<Vec<Suffixes>>,
    /// By object: what stands behind a key is counted with the key.
    with_colon: Vec<bool>,
    growth: u64,
    within_terminals: u64,
}

/// The fewest tokens from each offset on. Where a byte has no token, it counts as one.
fn suffixes(trie: &TokenTrie, text: &[u8]) -> Suffixes {
    let mut best = vec![0u32; text.len() + 1];
    for from in (0..text.len()).rev() {
        let mut least = best[from + 1] + 1;
        let mut node = 0;
        for (offset, &byte) in text[from..].iter().enumerate() {
            let Some(child) = trie.child(node, byte) else { break };
            node = child;
            if !trie.tokens(node).is_empty() {
                least = least.min(best[from + offset + 1] + 1);
            }
        }
        best[from] = least;
    }
    best.into()
}

impl Costs {
    pub(crate) fn new(grammar: &Grammar, specials: &FxHashMap<u32, u32>, trie: &TokenTrie) -> Costs {
        let literals = grammar.nodes.iter().enumerate().filter_map(|(id, node)| match node {
            Node::Bytes(bytes) => Some((id as u32, suffixes(trie, bytes))),
            Node::Special(name) if !specials.contains_key(&(id as u32)) => {
                Some((id as u32, suffixes(trie, name.as_bytes())))
            }
            _ => None,
        });
        let all = |words: &[Box<[u8]>]| words.iter().map(|word| suffixes(trie, word)).collect();
        let text = |expr: Expr| match grammar.node(expr) {
            Node::Empty => Some(&[][..]),
            Node::Bytes(bytes) => Some(&**bytes),
            _ => None,
        };
        let with_colon: Vec<bool> = grammar.objects.iter().map(|o| text(o.colon).is_some()).collect();
        let keys = grammar.objects.iter().map(|o| {
            let colon = text(o.colon).unwrap_or_default();
            o.keys.iter().map(|key| suffixes(trie, &[&**key, colon].concat())).collect()
        });
        let mut costs = Costs {
            nodes: vec![NEVER; grammar.nodes.len()],
            literals: literals.collect(),
            words: grammar.switches.iter().map(|switch| all(&switch.words)).collect(),
            keys: keys.collect(),
            with_colon,
            growth: 0,
            within_terminals: grammar.terminals.iter().map(|terminal| terminal.worst()).max().unwrap_or(0),
        };
        loop {
            let mut changed = false;
            for (id, node) in grammar.nodes.iter().enumerate() {
                let cost = costs.of_node(grammar, id as u32, node);
                if cost < costs.nodes[id] {
                    costs.nodes[id] = cost;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let literal = |suffixes: &Suffixes| u64::from(suffixes.first().copied().unwrap_or(0));
        let longest = costs.words.iter().chain(&costs.keys).flatten().map(literal).max().unwrap_or(0);
        let nodes = costs.nodes.iter().copied().filter(|&cost| cost < NEVER / 4).max().unwrap_or(0);
        costs.growth = nodes + longest;
        costs
    }

    fn of_node(&self, grammar: &Grammar, id: u32, node: &Node) -> u64 {
        match node {
            Node::Empty => 0,
            Node::Never => NEVER,
            Node::Token(_) => 1,
            Node::Bytes(_) | Node::Special(_) => self.literal(id, 0),
            Node::Terminal(t) => grammar.terminals[*t as usize].shortest(0, 0),
            Node::Seq(parts) => self.sum(parts),
            Node::Alt(parts) => parts.iter().map(|&part| self.of(part)).min().unwrap_or(NEVER),
            Node::Switch(s) => {
                let then = grammar.switches[*s as usize].then.iter();
                let each = self.words[*s as usize].iter().zip(then);
                each.map(|(word, &then)| u64::from(word[0]).saturating_add(self.of(then)))
                    .min()
                    .unwrap_or(NEVER)
            }
            Node::Repeat { min: 0, .. } => 0,
            Node::Repeat { item, separator, min, .. } => {
                let min = u64::from(*min);
                let separators = separator.map_or(0, |s| self.of(s)).saturating_mul(min - 1);
                self.of(*item).saturating_mul(min).saturating_add(separators)
            }
            Node::Rule(r) => self.of(grammar.rules[*r as usize].1),
            Node::Object(id) => {
                let object = &grammar.objects[*id as usize];
                let so_far = SoFar { declared: 0, rest: 0, missing: object.wanted };
                let members = self.members(*id, object, so_far, |i| Some(object.required[i]));
                self.sum(&[object.open, object.close]).saturating_add(members)
            }
            Node::Behind { object: id, taken } => {
                let object = &grammar.objects[*id as usize];
                let owed = |i: usize| (i >= *taken as usize).then(|| object.required[i]);
                let so_far = SoFar { declared: u64::from(*taken), rest: 0, missing: object.wanted };
                let members = self.members(*id, object, so_far, owed);
                self.of(object.close).saturating_add(members)
            }
        }
    }

    #[inline]
    fn of(&self, expr: Expr) -> u64 {
        self.nodes[expr.0 as usize]
    }

    fn sum(&self, parts: &[Expr]) -> u64 {
        parts.iter().map(|&part| self.of(part)).fold(0, u64::saturating_add)
    }

    /// A literal from an offset on; a special token of the vocabulary is one.
    fn literal(&self, node: u32, at: u32) -> u64 {
        self.literals.get(&node).map_or(1, |suffixes| u64::from(suffixes[at as usize]))
    }

    /// The most that a token of so many bytes can add to what is owed: every byte may enter a node, and the terminal
    /// that it ends in may be as far from its end as can be.
    pub(crate) fn growth(&self, bytes: u64) -> u64 {
        let entered = self.growth.saturating_add(1).saturating_mul(bytes + 1);
        entered.saturating_add(self.within_terminals)
    }

    /// What every property costs that `owed` says must come, and enough of those that may come to reach the minimum,
    /// behind the members so far; commas included.
    fn members(
        &self,
        id: u32,
        object: &ObjectDef,
        so_far: SoFar,
        owed: impl Fn(usize) -> Option<bool>,
    ) -> u64 {
        let mut written = vec![u64::MAX; object.values.len()];
        for (key, &position) in self.keys[id as usize].iter().zip(&object.position) {
            let least = &mut written[position as usize];
            *least = u64::from(key[0]).min(*least);
        }
        let lead = self.of(object.lead);
        let around = lead.saturating_add(self.of(object.colon));
        let member =
            |i: usize| written[i].saturating_add(lead).saturating_add(self.behind_key(id, object, i));
        let mut total = 0u64;
        let mut fresh = 0;
        let mut declared = so_far.declared;
        let mut others = Vec::new();
        for i in 0..object.values.len() {
            match owed(i) {
                Some(true) => {
                    total = total.saturating_add(member(i));
                    fresh += 1;
                    declared += 1;
                }
                Some(false) => others.push(member(i)),
                None => {}
            }
        }
        let rest = || {
            let each = object.rest.iter().zip(&object.rest_bits).zip(&object.rest_usable);
            let each = each.filter(|&(_, &usable)| usable).map(|(rest, _)| rest);
            each.map(|(&(key, value), &bits)| (around.saturating_add(self.sum(&[key, value])), bits))
        };
        // One for each bit: no more than it takes, and less with every one that comes. Where there may be too few
        // members for that, those that bring several bits may be all that is left.
        for bit in (0..u8::BITS).map(|bit| 1 << bit).filter(|bit| so_far.missing & bit != 0) {
            let bring = rest().filter(|(_, bits)| bits & bit != 0).map(|(cost, _)| cost);
            let cost = if object.max.is_some() { bring.max() } else { bring.min() };
            total = total.saturating_add(cost.unwrap_or(NEVER));
            fresh += 1;
        }
        // Undeclared members may repeat a name, so only one of them counts.
        let has_rest = so_far.rest > 0 || so_far.missing > 0;
        let counted = declared + u64::from(has_rest);
        if counted < object.min {
            if !has_rest {
                others.extend(rest().map(|(cost, _)| cost).min());
            }
            others.sort_unstable();
            for cost in others.into_iter().take((object.min - counted) as usize) {
                total = total.saturating_add(cost);
                fresh += 1;
            }
        }
        let first = u64::from(so_far.declared + so_far.rest == 0 && fresh > 0);
        total.saturating_add(self.of(object.comma).saturating_mul(fresh - first))
    }

    /// What follows a key and is not counted with it.
    fn behind_key(&self, id: u32, object: &ObjectDef, position: usize) -> u64 {
        let colon = if self.with_colon[id as usize] { 0 } else { self.of(object.colon) };
        colon.saturating_add(self.of(object.values[position]))
    }

    /// What the members still owed cost, commas included.
    fn owed(&self, id: u32, object: &ObjectDef, state: &MemberState) -> u64 {
        self.members(id, object, SoFar::of(object, state), |i| {
            let open = !state.has(i as u32) && object.usable[i];
            open.then_some(object.required[i])
        })
    }

    /// The same behind a comma and what leads a key: one member has to come.
    fn owed_behind_comma(&self, id: u32, object: &ObjectDef, state: &MemberState) -> u64 {
        let owed = self.owed(id, object, state);
        if owed > 0 {
            // The first comma, if there is one, and what leads the first key have been written already.
            let comma = if state.members() > 0 { self.of(object.comma) } else { 0 };
            return owed.saturating_sub(comma).saturating_sub(self.of(object.lead));
        }
        let around = self.of(object.colon);
        let written = self.keys[id as usize].iter().zip(&object.position);
        let declared =
            written.filter(|&(_, &position)| state.may_take(object, position)).map(|(key, &position)| {
                u64::from(key[0]).saturating_add(self.behind_key(id, object, position as usize))
            });
        let others = object.rest.iter().enumerate().filter(|&(at, _)| state.may_take_other(object, at));
        let others = others.map(|(_, &(key, value))| around.saturating_add(self.sum(&[key, value])));
        declared.chain(others).min().unwrap_or(NEVER)
    }
}

/// Tokens that are sure to complete a head.
pub(crate) fn shortest_head(ctx: Context<'_>, costs: &Costs, machine: &Machine, head: Head) -> u64 {
    shortest_leaf(ctx, costs, head.leaf).saturating_add(shortest_stack(ctx, costs, machine, head.stack))
}

/// Tokens that are sure to complete the best of some heads.
pub(crate) fn shortest(ctx: Context<'_>, costs: &Costs, machine: &Machine, heads: &[Head]) -> u64 {
    heads.iter().map(|&head| shortest_head(ctx, costs, machine, head)).min().unwrap_or(NEVER)
}

/// Tokens that are sure to suffice for everything below a leaf.
pub(crate) fn shortest_stack(ctx: Context<'_>, costs: &Costs, machine: &Machine, mut stack: u32) -> u64 {
    let grammar = ctx.grammar;
    let mut total = 0u64;
    loop {
        let &Cell { frame, parent, .. } = machine.cell(stack);
        total = total.saturating_add(match frame {
            Frame::Bottom => return total,
            Frame::Then { expr } => costs.of(expr),
            Frame::Seq { node, next } => match &grammar.nodes[node as usize] {
                Node::Seq(parts) => costs.sum(&parts[next as usize..]),
                _ => 0,
            },
            Frame::Repeat { node, count } => match &grammar.nodes[node as usize] {
                Node::Repeat { item, separator, min, .. } => {
                    let each = separator.map_or(0, |s| costs.of(s)).saturating_add(costs.of(*item));
                    each.saturating_mul(u64::from(min.saturating_sub(count)))
                }
                _ => 0,
            },
            Frame::Member { id, rest, seen } => {
                let object = &grammar.objects[id as usize];
                let state = ctx.member_state(object, rest, seen);
                costs.owed(id, object, &state).saturating_add(costs.of(object.close))
            }
            Frame::Keys { id, rest, seen } => {
                let object = &grammar.objects[id as usize];
                let state = ctx.member_state(object, rest, seen);
                costs.owed_behind_comma(id, object, &state).saturating_add(costs.of(object.close))
            }
        });
        stack = parent;
    }
}

fn shortest_leaf(ctx: Context<'_>, costs: &Costs, leaf: Leaf) -> u64 {
    let grammar = ctx.grammar;
    match leaf {
        Leaf::End => 0,
        Leaf::Special { .. } | Leaf::Token { .. } => 1,
        Leaf::Bytes { node, at } => costs.literal(node, at),
        Leaf::Switch { id, low, high, depth } => {
            let then = &grammar.switches[id as usize].then;
            let words = &costs.words[id as usize];
            (low as usize..high as usize)
                .map(|i| u64::from(words[i][depth as usize]).saturating_add(costs.of(then[i])))
                .min()
                .unwrap_or(NEVER)
        }
        Leaf::Keys { id, low, high, depth, rest, seen } => {
            let object = &grammar.objects[id as usize];
            let state = ctx.member_state(object, rest, seen);
            let best = (low as usize..high as usize)
                .filter(|&i| state.may_take(object, object.position[i]))
                .map(|i| {
                    let position = object.position[i] as usize;
                    let own = u64::from(costs.keys[id as usize][i][depth as usize])
                        .saturating_add(costs.behind_key(id, object, position));
                    // What is owed besides this one.
                    let mut so_far = SoFar::of(object, &state);
                    so_far.declared += 1;
                    let owed = costs.members(id, object, so_far, |i| {
                        let open = !state.has_after(position as u32, i as u32) && object.usable[i];
                        open.then_some(object.required[i])
                    });
                    own.saturating_add(owed)
                })
                .min();
            best.unwrap_or(NEVER).saturating_add(costs.of(object.close))
        }
        Leaf::Terminal { id, state, count } => grammar.terminals[id as usize].shortest(state, count),
    }
}
