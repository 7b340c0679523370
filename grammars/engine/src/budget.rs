//! Ending in time: how much a state needs to be complete, and masks that keep it within a budget.
//!
//! The measure is bytes (one for a special token). A vocabulary with a token for every byte can write any text of
//! that many bytes in as many tokens, so the measure is a proven upper bound on tokens. From every state some byte
//! makes it smaller; a budget that suffices once therefore suffices at every later step.

use crate::compiled::Context;
use crate::grammar::{Grammar, Node, ObjectDef};
use crate::machine::{Cell, Frame, Head, Leaf, Machine, MemberState};

/// Bytes that complete a head at least, or at most where a pattern is combined with a length.
pub(crate) fn shortest_head(ctx: Context<'_>, machine: &Machine, head: Head) -> u64 {
    shortest_leaf(ctx, head.leaf).saturating_add(shortest_stack(ctx, machine, head.stack))
}

/// Bytes that complete the best of some heads.
pub(crate) fn shortest(ctx: Context<'_>, machine: &Machine, heads: &[Head]) -> u64 {
    heads.iter().map(|&head| shortest_head(ctx, machine, head)).min().unwrap_or(u64::MAX)
}

/// Bytes that everything below a leaf needs.
pub(crate) fn shortest_stack(ctx: Context<'_>, machine: &Machine, mut stack: u32) -> u64 {
    let grammar = ctx.grammar;
    let mut total = 0u64;
    loop {
        let &Cell { frame, parent, .. } = machine.cell(stack);
        total = total.saturating_add(match frame {
            Frame::Bottom => return total,
            Frame::Then { expr } => grammar.shortest(expr),
            Frame::Seq { node, next } => match &grammar.nodes[node as usize] {
                Node::Seq(parts) => parts[next as usize..]
                    .iter()
                    .map(|&part| grammar.shortest(part))
                    .fold(0, u64::saturating_add),
                _ => 0,
            },
            Frame::Repeat { node, count } => match &grammar.nodes[node as usize] {
                Node::Repeat { item, separator, min, .. } => {
                    let each = separator.map_or(0, |s| grammar.shortest(s));
                    let each = each.saturating_add(grammar.shortest(*item));
                    each.saturating_mul(u64::from(min.saturating_sub(count)))
                }
                _ => 0,
            },
            Frame::Member { id, rest, seen } => {
                let object = &grammar.objects[id as usize];
                let state = ctx.member_state(object, rest, seen);
                members(grammar, object, &state, state.members())
                    .saturating_add(grammar.shortest(object.close))
            }
            Frame::Keys { id, rest, seen } => {
                let object = &grammar.objects[id as usize];
                keys(grammar, object, &ctx.member_state(object, rest, seen))
                    .saturating_add(grammar.shortest(object.close))
            }
        });
        stack = parent;
    }
}

/// What the members still owed cost, commas included, after `count` members.
fn members(grammar: &Grammar, object: &ObjectDef, state: &MemberState, count: u64) -> u64 {
    grammar.shortest_members(object, &|e| grammar.shortest(*e), count, |i| {
        let open = !state.has(i as u32) && object.usable[i];
        open.then_some(object.required[i])
    })
}

/// The same behind a comma and what leads a key: one member has to come.
fn keys(grammar: &Grammar, object: &ObjectDef, state: &MemberState) -> u64 {
    let owed = members(grammar, object, state, state.members());
    if owed > 0 {
        // The first comma, if there is one, and what leads the first key have been written already.
        let comma = if state.members() > 0 { grammar.shortest(object.comma) } else { 0 };
        return owed.saturating_sub(comma).saturating_sub(grammar.shortest(object.lead));
    }
    let mut written = object.keys.iter().zip(&object.position);
    let around = grammar.shortest(object.colon);
    let declared = written
        .by_ref()
        .filter(|&(_, &p)| state.may_take(object, p))
        .map(|(key, &p)| {
            (key.len() as u64)
                .saturating_add(around)
                .saturating_add(grammar.shortest(object.values[p as usize]))
        })
        .min();
    let others = object.rest.iter().zip(&object.rest_usable).filter(|(_, usable)| **usable);
    let others = others
        .map(|((key, value), _)| {
            grammar.shortest(*key).saturating_add(around).saturating_add(grammar.shortest(*value))
        })
        .min();
    declared.into_iter().chain(others).min().unwrap_or(u64::MAX)
}

fn shortest_leaf(ctx: Context<'_>, leaf: Leaf) -> u64 {
    let grammar = ctx.grammar;
    match leaf {
        Leaf::End => 0,
        Leaf::Special { .. } | Leaf::Token { .. } => 1,
        Leaf::Bytes { node, at } => {
            let length = match &grammar.nodes[node as usize] {
                Node::Bytes(bytes) => bytes.len(),
                Node::Special(name) => name.len(),
                _ => 0,
            };
            length as u64 - u64::from(at)
        }
        Leaf::Switch { id, low, high, depth } => {
            let switch = &grammar.switches[id as usize];
            (low as usize..high as usize)
                .map(|i| {
                    let rest = switch.words[i].len() as u64 - u64::from(depth);
                    rest.saturating_add(grammar.shortest(switch.then[i]))
                })
                .min()
                .unwrap_or(u64::MAX)
        }
        Leaf::Keys { id, low, high, depth, rest, seen } => {
            let object = &grammar.objects[id as usize];
            let state = ctx.member_state(object, rest, seen);
            let around = grammar.shortest(object.colon);
            let best = (low as usize..high as usize)
                .filter(|&i| state.may_take(object, object.position[i]))
                .map(|i| {
                    let position = object.position[i] as usize;
                    let own = (object.keys[i].len() as u64 - u64::from(depth)).saturating_add(around);
                    let own = own.saturating_add(grammar.shortest(object.values[position]));
                    // What is owed besides this one.
                    let owed = grammar.shortest_members(
                        object,
                        &|e| grammar.shortest(*e),
                        state.members() + 1,
                        |i| {
                            let open = i != position && !state.has(i as u32) && object.usable[i];
                            open.then_some(object.required[i])
                        },
                    );
                    own.saturating_add(owed)
                })
                .min();
            best.unwrap_or(u64::MAX).saturating_add(grammar.shortest(object.close))
        }
        Leaf::Terminal { id, state, count } => grammar.terminals[id as usize].shortest(state, count),
    }
}
