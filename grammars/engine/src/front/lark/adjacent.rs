//! Terminals that must not stand side by side, said by rules.
//!
//! A lexer that has read `abc` as a name never goes on with a keyword in the very next byte: the name would have gone
//! on. So behind a terminal that could have gone on, what follows must begin with another byte, or stand behind
//! something ignored. Every rule is written once for each set of bytes that may be barred where it begins, and for each
//! that may be where it ends: the product of a grammar with a finite automaton (Bar-Hillel, Perles and Shamir, 1961).

use super::lexing::{Node, Reading};
use crate::GrammarError;
use rustc_hash::FxHashMap;

/// Most rules that come out.
const MAX_RULES: usize = 1 << 14;
/// Longest repetition that is written out.
const MAX_TIMES: u32 = 64;

/// What a symbol is where some bytes are barred.
pub(super) enum Barred {
    /// Itself.
    Same,
    /// Nothing is left of it.
    Never,
    /// Another symbol.
    Other(usize),
}

/// Looks up what a symbol is behind a barrier (counted from 1), with or without the empty text.
pub(super) type Variants<'a> = dyn FnMut(usize, usize, bool) -> Result<Barred, GrammarError> + 'a;

/// Writes rules out; gives back the rules and the root.
pub(super) fn apart(
    rules: &[Node],
    root: usize,
    reading: &Reading,
    nullable: &dyn Fn(usize) -> bool,
    variants: &mut Variants<'_>,
) -> Result<(Vec<Node>, usize), GrammarError> {
    let mut guarded = vec![false; rules.len()];
    loop {
        let mut changed = false;
        for (index, rule) in rules.iter().enumerate() {
            if !guarded[index] && holds(rule, &guarded, reading) {
                guarded[index] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut writer = Writer {
        reading,
        guarded,
        nullable,
        variants,
        out: rules.to_vec(),
        known: FxHashMap::default(),
        open: Vec::new(),
    };
    let mut ways = Vec::new();
    for end in 0..=reading.sets.len() {
        ways.push(writer.rule(root, 0, end)?);
    }
    let root = writer.out.len();
    writer.out.push(alt(ways));
    while let Some((part, from, to, rule)) = writer.open.pop() {
        let body = match part {
            Part::Rule(rule) => writer.node(&rules[rule], from, to)?,
            Part::Rest(nodes, at) => writer.rest(nodes, at, from, to)?,
            Part::Times(item, done, min, max) => writer.times(item, (done, min, max), from, to)?,
        };
        writer.out[rule] = body;
    }
    Ok((writer.out, root))
}

/// Whether something behind which bytes are barred is in a node.
fn holds(node: &Node, rules: &[bool], reading: &Reading) -> bool {
    match node {
        Node::Empty => false,
        Node::Symbol(symbol) => reading.guards.contains_key(symbol),
        Node::Rule(rule) => rules[*rule],
        Node::Seq(nodes) | Node::Alt(nodes) => nodes.iter().any(|node| holds(node, rules, reading)),
        Node::Repeat(item, ..) => holds(item, rules, reading),
    }
}

fn never() -> Node {
    Node::Alt(Vec::new())
}

fn is_never(node: &Node) -> bool {
    matches!(node, Node::Alt(ways) if ways.is_empty())
}

fn alt(ways: Vec<Node>) -> Node {
    let mut ways: Vec<Node> = ways.into_iter().filter(|way| !is_never(way)).collect();
    if ways.len() == 1 { ways.swap_remove(0) } else { Node::Alt(ways) }
}

fn seq(first: Node, rest: Node) -> Node {
    match (first, rest) {
        (first, rest) if is_never(&first) || is_never(&rest) => never(),
        (Node::Empty, node) | (node, Node::Empty) => node,
        (first, rest) => Node::Seq(vec![first, rest]),
    }
}

/// A part with a rule of its own.
#[derive(Clone, Copy)]
enum Part<'a> {
    Rule(usize),
    /// A sequence from this part on.
    Rest(&'a [Node], usize),
    /// A repetition after so many rounds: rounds, least, most.
    Times(&'a Node, u32, u32, Option<u32>),
}

/// Tells parts apart: the nodes that they stand for stay where they are while rules are written.
type Key = (u8, usize, usize);

impl Part<'_> {
    fn key(&self) -> Key {
        match self {
            Part::Rule(rule) => (0, *rule, 0),
            Part::Rest(nodes, at) => (1, nodes.as_ptr() as usize, *at),
            Part::Times(item, done, ..) => (2, std::ptr::from_ref::<Node>(item) as usize, *done as usize),
        }
    }
}

struct Writer<'a, 'v> {
    reading: &'a Reading,
    /// Rules in which bytes are barred behind something.
    guarded: Vec<bool>,
    nullable: &'a dyn Fn(usize) -> bool,
    variants: &'a mut Variants<'v>,
    out: Vec<Node>,
    known: FxHashMap<(Key, usize, usize), usize>,
    open: Vec<(Part<'a>, usize, usize, usize)>,
}

impl<'a> Writer<'a, '_> {
    fn named(&mut self, part: Part<'a>, from: usize, to: usize) -> Result<Node, GrammarError> {
        let key = (part.key(), from, to);
        if let Some(&rule) = self.known.get(&key) {
            return Ok(Node::Rule(rule));
        }
        if self.out.len() >= MAX_RULES {
            return Err(GrammarError::Limit {
                what: "rules that keep terminals apart",
                limit: MAX_RULES as u64,
            });
        }
        let rule = self.out.len();
        self.out.push(never());
        self.known.insert(key, rule);
        self.open.push((part, from, to, rule));
        Ok(Node::Rule(rule))
    }

    fn rule(&mut self, rule: usize, from: usize, to: usize) -> Result<Node, GrammarError> {
        // Where nothing is barred before, within or behind it, a rule is itself.
        if from == 0 && !self.guarded[rule] {
            return Ok(if to == 0 { Node::Rule(rule) } else { never() });
        }
        self.named(Part::Rule(rule), from, to)
    }

    /// The texts of a node, if the bytes of set `from` are barred where it begins and those of `to` behind it.
    fn node(&mut self, node: &'a Node, from: usize, to: usize) -> Result<Node, GrammarError> {
        if from == 0 && !holds(node, &self.guarded, self.reading) {
            return Ok(if to == 0 { node.clone() } else { never() });
        }
        match node {
            Node::Empty => Ok(if from == to { Node::Empty } else { never() }),
            Node::Symbol(symbol) => self.symbol(*symbol, from, to),
            Node::Rule(rule) => self.rule(*rule, from, to),
            Node::Alt(nodes) => {
                let ways = nodes.iter().map(|node| self.node(node, from, to)).collect::<Result<_, _>>()?;
                Ok(alt(ways))
            }
            Node::Seq(nodes) => self.rest(nodes, 0, from, to),
            Node::Repeat(item, 0, Some(1)) => {
                let some = self.node(item, from, to)?;
                Ok(if from == to { alt(vec![Node::Empty, some]) } else { some })
            }
            Node::Repeat(item, min, max) => {
                if max.unwrap_or(*min) > MAX_TIMES {
                    return Err(GrammarError::Limit {
                        what: "rounds of a repetition in which the longest match matters",
                        limit: u64::from(MAX_TIMES),
                    });
                }
                self.times(item, (0, *min, *max), from, to)
            }
        }
    }

    fn symbol(&mut self, symbol: usize, from: usize, to: usize) -> Result<Node, GrammarError> {
        let behind = self.reading.guards.get(&symbol).copied().unwrap_or_default();
        let nullable = (self.nullable)(symbol);
        // The empty text leaves everything as it is; what is written bars what it bars.
        let empty = nullable && from == to;
        if behind != to {
            return Ok(if empty { Node::Empty } else { never() });
        }
        Ok(match (self.variants)(symbol, from, nullable && !empty)? {
            Barred::Same => Node::Symbol(symbol),
            Barred::Never if empty => Node::Empty,
            Barred::Never => never(),
            Barred::Other(other) => Node::Symbol(other),
        })
    }

    fn rest(&mut self, nodes: &'a [Node], at: usize, from: usize, to: usize) -> Result<Node, GrammarError> {
        let Some(first) = nodes.get(at) else {
            return Ok(if from == to { Node::Empty } else { never() });
        };
        if at + 1 == nodes.len() {
            return self.node(first, from, to);
        }
        let mut ways = Vec::new();
        for between in 0..=self.reading.sets.len() {
            let first = self.node(first, from, between)?;
            if !is_never(&first) {
                let rest = self.named(Part::Rest(nodes, at + 1), between, to)?;
                ways.push(seq(first, rest));
            }
        }
        Ok(alt(ways))
    }

    fn times(
        &mut self,
        item: &'a Node,
        (done, min, max): (u32, u32, Option<u32>),
        from: usize,
        to: usize,
    ) -> Result<Node, GrammarError> {
        let mut ways = Vec::new();
        if done >= min && from == to {
            ways.push(Node::Empty);
        }
        if max.is_none_or(|max| done < max) {
            let next = if max.is_none() && done >= min { done } else { done + 1 };
            for between in 0..=self.reading.sets.len() {
                let one = self.node(item, from, between)?;
                if !is_never(&one) {
                    let rest = self.named(Part::Times(item, next, min, max), between, to)?;
                    ways.push(seq(one, rest));
                }
            }
        }
        Ok(alt(ways))
    }
}
