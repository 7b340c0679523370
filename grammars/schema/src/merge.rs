//! Merging nodes of equal structure, and the structural hash.
//!
//! Strongly connected parts are handled from the leaves up. A node outside any cycle is known by its rules and its
//! children's hashes. In a cycle, hashes are refined in rounds until they tell apart all that can be told apart; the
//! final hash is that of round n, where n is the number of different nodes in the cycle, so it does not depend on how
//! often the source wrote the same thing. (A cycle and an unrolled copy of it with other neighbours may stay apart.)

use std::collections::HashMap;

use serde_json::Value;

use crate::hash::Stable;
use crate::{Bound, Decimal, Node, NodeId, NumberRules, Pattern, PatternSource, StringRules};

/// The merged graph; the root is node 0.
pub(crate) struct Merged {
    pub(crate) nodes: Vec<Node>,
    pub(crate) hashes: Vec<u128>,
    /// For each node, the position of a raw node it was made from.
    pub(crate) sources: Vec<usize>,
}

impl Merged {
    pub(crate) fn new(raw: &[Node], root: NodeId) -> Merged {
        let raw = flatten(raw);
        let mut work = Work { raw: &raw, hash: vec![0; raw.len()], known: HashMap::new() };
        for part in components(&raw, root) {
            work.part(&part);
        }
        // Number from the root, breadth first, one node per hash.
        let mut out = Merged { nodes: Vec::new(), hashes: Vec::new(), sources: Vec::new() };
        let mut ids: HashMap<u128, NodeId> = HashMap::new();
        let mut add = |out: &mut Merged, mut at: usize| {
            let hash = work.hash[at];
            // A union of equal nodes is that node.
            while let Node::AnyOf(variants) = &raw[at]
                && variants.iter().all(|id| work.hash[id.index()] == hash)
                && let Some(first) = variants.first()
            {
                at = first.index();
            }
            *ids.entry(hash).or_insert_with(|| {
                out.hashes.push(hash);
                out.sources.push(at);
                NodeId((out.sources.len() - 1) as u32)
            })
        };
        add(&mut out, root.index());
        let mut at = 0;
        while at < out.sources.len() {
            let mut node = raw[out.sources[at]].clone();
            children_mut(&mut node, &mut |id| *id = add(&mut out, id.index()));
            if let Node::AnyOf(variants) = &mut node {
                let mut kept = Vec::with_capacity(variants.len());
                variants.iter().for_each(|id| {
                    if !kept.contains(id) {
                        kept.push(*id);
                    }
                });
                *variants = kept;
            }
            out.nodes.push(node);
            at += 1;
        }
        out
    }
}

/// Unions with one variant become that variant, unions in unions are opened, and nodes that stand for another node
/// are replaced by it in their parents.
fn flatten(raw: &[Node]) -> Vec<Node> {
    let resolve = |mut id: NodeId| {
        // A chain of single unions ends: unions are made of parts, never of themselves.
        while let Node::AnyOf(variants) = &raw[id.index()]
            && let [only] = variants[..]
        {
            id = only;
        }
        id
    };
    let mut out: Vec<Node> = Vec::with_capacity(raw.len());
    for at in 0..raw.len() {
        let mut node = raw[resolve(NodeId(at as u32)).index()].clone();
        children_mut(&mut node, &mut |id| *id = resolve(*id));
        out.push(node);
    }
    out
}

fn children(node: &Node, visit: &mut dyn FnMut(NodeId)) {
    match node {
        Node::Array(rules) => {
            rules.prefix.iter().for_each(|id| visit(*id));
            visit(rules.items);
            for counted in &rules.contains {
                visit(counted.node);
                counted.others.iter().for_each(|id| visit(*id));
            }
            rules.kinds.iter().flatten().for_each(|kind| visit(kind.node));
        }
        Node::Object(rules) => {
            rules.properties.values().for_each(|p| visit(p.schema));
            rules.rest.iter().for_each(|rest| visit(rest.value));
            rules.wanted.iter().for_each(|wanted| visit(wanted.value));
        }
        Node::AnyOf(variants) => variants.iter().for_each(|id| visit(*id)),
        _ => {}
    }
}

fn children_mut(node: &mut Node, visit: &mut dyn FnMut(&mut NodeId)) {
    match node {
        Node::Array(rules) => {
            rules.prefix.iter_mut().for_each(&mut *visit);
            visit(&mut rules.items);
            for counted in &mut rules.contains {
                visit(&mut counted.node);
                counted.others.iter_mut().for_each(&mut *visit);
            }
            rules.kinds.iter_mut().flatten().for_each(|kind| visit(&mut kind.node));
        }
        Node::Object(rules) => {
            rules.properties.values_mut().for_each(|p| visit(&mut p.schema));
            rules.rest.iter_mut().for_each(|rest| visit(&mut rest.value));
            rules.wanted.iter_mut().for_each(|wanted| visit(&mut wanted.value));
        }
        Node::AnyOf(variants) => variants.iter_mut().for_each(visit),
        _ => {}
    }
}

/// Strongly connected components reachable from the root, each after the ones it points to (Tarjan, without
/// recursion).
fn components(nodes: &[Node], root: NodeId) -> Vec<Vec<usize>> {
    const NEW: u32 = u32::MAX;
    let mut order = vec![NEW; nodes.len()];
    let mut low = vec![0u32; nodes.len()];
    let mut on_stack = vec![false; nodes.len()];
    let (mut stack, mut out, mut next) = (Vec::new(), Vec::new(), 0u32);
    let list = |at: usize| {
        let mut list = Vec::new();
        children(&nodes[at], &mut |id| list.push(id.index()));
        list
    };
    let mut calls: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut enter = |at: usize,
                     calls: &mut Vec<(usize, Vec<usize>)>,
                     order: &mut Vec<u32>,
                     low: &mut Vec<u32>,
                     stack: &mut Vec<usize>,
                     on_stack: &mut Vec<bool>| {
        order[at] = next;
        low[at] = next;
        next += 1;
        stack.push(at);
        on_stack[at] = true;
        calls.push((at, list(at)));
    };
    enter(root.index(), &mut calls, &mut order, &mut low, &mut stack, &mut on_stack);
    while let Some((at, pending)) = calls.last_mut() {
        let at = *at;
        if let Some(child) = pending.pop() {
            if order[child] == NEW {
                enter(child, &mut calls, &mut order, &mut low, &mut stack, &mut on_stack);
            } else if on_stack[child] {
                low[at] = low[at].min(order[child]);
            }
            continue;
        }
        calls.pop();
        if let Some((parent, _)) = calls.last() {
            low[*parent] = low[*parent].min(low[at]);
        }
        if low[at] == order[at] {
            let mut part = Vec::new();
            while let Some(member) = stack.pop() {
                on_stack[member] = false;
                part.push(member);
                if member == at {
                    break;
                }
            }
            out.push(part);
        }
    }
    out
}

struct Work<'a> {
    raw: &'a [Node],
    hash: Vec<u128>,
    /// From rules and children's hashes to the node's hash, so that an unrolled copy of a cycle finds the cycle.
    known: HashMap<u128, u128>,
}

impl Work<'_> {
    fn part(&mut self, part: &[usize]) {
        let raw = self.raw;
        let mut cyclic = part.len() > 1;
        if let [only] = part {
            children(&raw[*only], &mut |id| cyclic |= id.index() == *only);
        }
        if !cyclic {
            let at = part[0];
            let hash = node_hash(&raw[at], |id| self.hash[id.index()]);
            self.hash[at] = *self.known.entry(hash).or_insert(hash);
            return;
        }
        // Every member starts equal; each round looks one step further.
        part.iter().for_each(|at| self.hash[*at] = 1);
        let (mut classes, mut round) = (1, 0);
        loop {
            let next: Vec<u128> =
                part.iter().map(|at| node_hash(&raw[*at], |id| self.hash[id.index()])).collect();
            part.iter().zip(&next).for_each(|(at, hash)| self.hash[*at] = *hash);
            let mut distinct = next;
            distinct.sort_unstable();
            distinct.dedup();
            round += 1;
            let stable = distinct.len() == classes;
            classes = distinct.len();
            if stable && round >= classes {
                break;
            }
        }
        for at in part {
            let key = node_hash(&raw[*at], |id| self.hash[id.index()]);
            self.known.insert(key, self.hash[*at]);
        }
    }
}

fn hash_decimal(hash: &mut Stable, value: &Decimal) {
    hash.word(u64::from(value.is_negative()));
    hash.text(value.digits());
    hash.word(value.exponent() as u64);
}

fn hash_bound(hash: &mut Stable, bound: Option<&Bound>) {
    match bound {
        None => hash.word(0),
        Some(bound) => {
            hash.word(1 + u64::from(bound.exclusive));
            hash_decimal(hash, &bound.value);
        }
    }
}

fn hash_number(hash: &mut Stable, rules: &NumberRules) {
    hash.word(u64::from(rules.integer));
    hash_bound(hash, rules.min.as_ref());
    hash_bound(hash, rules.max.as_ref());
    hash.word(rules.not_multiple_of.len() as u64);
    rules.multiple_of.iter().chain(&rules.not_multiple_of).for_each(|d| hash_decimal(hash, d));
}

fn hash_string(hash: &mut Stable, rules: &StringRules) {
    let pattern = |hash: &mut Stable, pattern: &Pattern| {
        hash.word(u64::from(pattern.kind() == PatternSource::Format));
        hash.text(pattern.source());
    };
    hash.word(rules.min_chars);
    hash.option(rules.max_chars);
    hash.word(rules.patterns.len() as u64);
    rules.patterns.iter().for_each(|p| pattern(hash, p));
    hash.word(rules.excluded.len() as u64);
    rules.excluded.iter().for_each(|p| pattern(hash, p));
    hash.word(rules.excluded_values.len() as u64);
    rules.excluded_values.iter().for_each(|v| hash.text(v));
}

/// The structural hash of a node, given those of its children.
pub(crate) fn node_hash(node: &Node, child: impl Fn(NodeId) -> u128) -> u128 {
    match node {
        Node::Any => Stable::new(1).finish(),
        Node::Never => Stable::new(2).finish(),
        Node::Null => Stable::new(3).finish(),
        Node::Bool => Stable::new(4).finish(),
        Node::Number(rules) => {
            let mut hash = Stable::new(5);
            hash_number(&mut hash, rules);
            hash.finish()
        }
        Node::String(rules) => {
            let mut hash = Stable::new(6);
            hash_string(&mut hash, rules);
            hash.finish()
        }
        Node::Array(rules) => {
            let mut hash = Stable::new(7);
            hash.word(rules.prefix.len() as u64);
            rules.prefix.iter().for_each(|id| hash.wide(child(*id)));
            hash.wide(child(rules.items));
            hash.word(rules.min);
            hash.option(rules.max);
            hash.word(u64::from(rules.unique));
            hash.word(rules.contains.len() as u64);
            for counted in &rules.contains {
                hash.wide(child(counted.node));
                hash.word(u64::from(counted.others.is_some()));
                counted.others.iter().for_each(|id| hash.wide(child(*id)));
                hash.word(counted.min);
                hash.option(counted.max);
            }
            for kind in rules.kinds.iter().flatten() {
                hash.wide(child(kind.node));
                hash.word(u64::from(kind.counts));
            }
            hash.finish()
        }
        Node::Object(rules) => {
            let mut hash = Stable::new(8);
            hash.word(rules.properties.len() as u64);
            for (name, property) in &rules.properties {
                hash.text(name);
                hash.wide(child(property.schema));
                hash.word(u64::from(property.required));
            }
            hash.word(rules.rest.len() as u64);
            for rest in &rules.rest {
                hash_string(&mut hash, &rest.key);
                hash.wide(child(rest.value));
            }
            for wanted in &rules.wanted {
                hash_string(&mut hash, &wanted.key);
                hash.wide(child(wanted.value));
                hash.word(u64::from(wanted.bits));
            }
            hash.word(rules.min);
            hash.option(rules.max);
            hash.finish()
        }
        Node::Enum(values) => {
            let mut hash = Stable::new(9);
            for value in values {
                match value {
                    Value::Number(number) => {
                        hash.word(1);
                        // By value and by spelling: a reader may care about either.
                        hash.text(number.as_str());
                    }
                    Value::String(text) => {
                        hash.word(2);
                        hash.text(text);
                    }
                    Value::Bool(flag) => hash.word(3 + u64::from(*flag)),
                    _ => hash.word(5),
                }
            }
            hash.finish()
        }
        Node::AnyOf(variants) => {
            let mut seen: Vec<u128> = Vec::with_capacity(variants.len());
            for id in variants {
                let hash = child(*id);
                if !seen.contains(&hash) {
                    seen.push(hash);
                }
            }
            if let [only] = seen[..] {
                return only;
            }
            let mut hash = Stable::new(10);
            seen.iter().for_each(|h| hash.wide(*h));
            hash.finish()
        }
    }
}
