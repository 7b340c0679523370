//! The grammar: an immutable graph of hash-consed nodes, and what follows from it (which nodes accept anything,
//! which accept the empty text). Knows no vocabulary. Built by [`GrammarBuilder`](crate::GrammarBuilder).

use crate::GrammarError;
use crate::builder::TokenClass;
use crate::terminal::Terminal;
use std::sync::Arc;

/// A part of a grammar under construction: a handle into its [`GrammarBuilder`](crate::GrammarBuilder).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expr(pub(crate) u32);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Empty,
    Never,
    Bytes(Box<[u8]>),
    Special(Box<str>),
    Token(Box<TokenClass>),
    Terminal(u32),
    Seq(Box<[Expr]>),
    Alt(Box<[Expr]>),
    Switch(u32),
    Repeat {
        item: Expr,
        separator: Option<Expr>,
        min: u32,
        max: Option<u32>,
    },
    Rule(u32),
    Object(u32),
    /// An object in declared order behind its first members, all of which were required.
    Behind {
        object: u32,
        taken: u32,
    },
}

/// Non-empty literals, sorted and different, each with what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SwitchDef {
    pub(crate) words: Vec<Box<[u8]>>,
    pub(crate) then: Vec<Expr>,
}

/// An object: members in any or in declared order, none twice. `usable` and what follows it is filled in by
/// [`Grammar::new`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ObjectDef {
    pub(crate) open: Expr,
    pub(crate) close: Expr,
    pub(crate) comma: Expr,
    /// Before every key.
    pub(crate) lead: Expr,
    /// Between a key and its value.
    pub(crate) colon: Expr,
    /// The declared keys as they are written, sorted.
    pub(crate) keys: Vec<Box<[u8]>>,
    /// For each key its declared position: a member may have several spellings.
    pub(crate) position: Vec<u32>,
    /// By declared position.
    pub(crate) values: Vec<Expr>,
    pub(crate) required: Vec<bool>,
    /// Undeclared keys and their values.
    pub(crate) rest: Vec<(Expr, Expr)>,
    /// What each of them is good for: bits of `wanted`.
    pub(crate) rest_bits: Vec<u8>,
    /// Before the end, undeclared members with all of these bits must have come.
    pub(crate) wanted: u8,
    pub(crate) any_order: bool,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    pub(crate) usable: Vec<bool>,
    /// By declared position: the first required position from there on.
    pub(crate) next_required: Vec<u32>,
    /// By declared position: how many usable properties lie from there on.
    pub(crate) usable_from: Vec<u32>,
    /// By declared position: how many required ones.
    pub(crate) required_from: Vec<u32>,
    pub(crate) rest_usable: Vec<bool>,
    /// By bits that are missing: the fewest members that bring them. Empty where nothing is wanted.
    pub(crate) cover: Vec<u64>,
}

impl ObjectDef {
    /// For every set of bits the fewest undeclared members that bring them.
    fn covers(&self, usable: impl Fn(usize) -> bool) -> Vec<u64> {
        if self.wanted == 0 {
            return Vec::new();
        }
        let mut cover = vec![u64::MAX; usize::from(self.wanted) + 1];
        cover[0] = 0;
        for missing in 1..cover.len() {
            for (at, &bits) in self.rest_bits.iter().enumerate() {
                if usize::from(bits) & missing != 0 && usable(at) {
                    let others = cover[missing & !usize::from(bits)];
                    cover[missing] = cover[missing].min(others.saturating_add(1));
                }
            }
        }
        cover
    }

    pub(crate) fn rest_open(&self) -> bool {
        self.rest_usable.iter().any(|&u| u)
    }
}

/// A language over bytes and special tokens. Immutable; share it through `Arc`.
pub struct Grammar {
    pub(crate) nodes: Vec<Node>,
    pub(crate) switches: Vec<SwitchDef>,
    pub(crate) objects: Vec<ObjectDef>,
    pub(crate) terminals: Vec<Arc<Terminal>>,
    pub(crate) rules: Vec<(Box<str>, Expr)>,
    pub(crate) root: Expr,
    pub(crate) nullable: Vec<bool>,
    pub(crate) productive: Vec<bool>,
}

impl std::fmt::Debug for Grammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammar").field("nodes", &self.nodes.len()).field("root", &self.root).finish()
    }
}

impl Grammar {
    pub(crate) fn new(
        nodes: Vec<Node>,
        switches: Vec<SwitchDef>,
        objects: Vec<ObjectDef>,
        terminals: Vec<Arc<Terminal>>,
        rules: Vec<(Box<str>, Expr)>,
        root: Expr,
    ) -> Result<Grammar, GrammarError> {
        let mut grammar = Grammar {
            nullable: vec![false; nodes.len()],
            productive: vec![false; nodes.len()],
            nodes,
            switches,
            objects,
            terminals,
            rules,
            root,
        };
        grammar.settle();
        grammar.refuse_left_recursion()?;
        if !grammar.productive[root.0 as usize] {
            return Err(GrammarError::Empty("no text can complete it".into()));
        }
        Ok(grammar)
    }

    /// Number of nodes: a measure of the grammar's size.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never true: a grammar has at least its root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    #[inline]
    pub(crate) fn node(&self, expr: Expr) -> &Node {
        &self.nodes[expr.0 as usize]
    }

    fn yes(&self, table: &[bool], expr: Expr) -> bool {
        table[expr.0 as usize]
    }

    /// Computes `nullable` and `productive` as least fixed points, then removes what is not productive.
    fn settle(&mut self) {
        loop {
            let mut changed = false;
            for id in 0..self.nodes.len() {
                if !self.productive[id] && self.is_productive(id) {
                    self.productive[id] = true;
                    changed = true;
                }
                if !self.nullable[id] && self.is_nullable(id) {
                    self.nullable[id] = true;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        for switch in &mut self.switches {
            let keep: Vec<bool> = switch.then.iter().map(|e| self.productive[e.0 as usize]).collect();
            let mut kept = keep.iter();
            switch.words.retain(|_| *kept.next().unwrap_or(&false));
            let mut kept = keep.iter();
            switch.then.retain(|_| *kept.next().unwrap_or(&false));
        }
        for object in &mut self.objects {
            let n = object.values.len();
            object.usable = object.values.iter().map(|v| self.productive[v.0 as usize]).collect();
            object.rest_usable = object
                .rest
                .iter()
                .map(|(k, v)| self.productive[k.0 as usize] && self.productive[v.0 as usize])
                .collect();
            object.cover = object.covers(|at| object.rest_usable[at]);
            object.next_required = vec![n as u32; n + 1];
            object.usable_from = vec![0; n + 1];
            object.required_from = vec![0; n + 1];
            for i in (0..n).rev() {
                object.next_required[i] =
                    if object.required[i] { i as u32 } else { object.next_required[i + 1] };
                object.usable_from[i] = object.usable_from[i + 1] + u32::from(object.usable[i]);
                object.required_from[i] = object.required_from[i + 1] + u32::from(object.required[i]);
            }
        }
    }

    fn is_productive(&self, id: usize) -> bool {
        let yes = |e: &Expr| self.yes(&self.productive, *e);
        match &self.nodes[id] {
            Node::Empty | Node::Bytes(_) | Node::Special(_) | Node::Token(_) | Node::Terminal(_) => true,
            Node::Never => false,
            Node::Seq(parts) => parts.iter().all(yes),
            Node::Alt(parts) => parts.iter().any(yes),
            Node::Switch(s) => self.switches[*s as usize].then.iter().any(yes),
            Node::Repeat { item, separator, min, .. } => {
                *min == 0 || yes(item) && (*min == 1 || separator.as_ref().is_none_or(yes))
            }
            Node::Rule(r) => yes(&self.rules[*r as usize].1),
            Node::Object(o) | Node::Behind { object: o, .. } => {
                let o = &self.objects[*o as usize];
                let usable = o.values.iter().filter(|v| yes(v)).count() as u64;
                let required = o.required.iter().filter(|&&r| r).count() as u64;
                let rest = o.rest.iter().any(|(k, v)| yes(k) && yes(v));
                let cover = o.covers(|at| yes(&o.rest[at].0) && yes(&o.rest[at].1));
                let required = required.saturating_add(cover.last().copied().unwrap_or(0));
                [o.open, o.close].iter().all(yes)
                    && o.values.iter().zip(&o.required).all(|(v, &required)| !required || yes(v))
                    && usable + u64::from(rest) >= o.min
                    && required < u64::MAX
                    && o.max.is_none_or(|max| required <= max)
                    && (o.min.max(required) < 1 || yes(&o.colon) && yes(&o.lead))
                    && o.max.is_none_or(|max| max >= o.min)
                    && (o.min.max(required) < 2 || yes(&o.comma))
            }
        }
    }

    fn is_nullable(&self, id: usize) -> bool {
        let yes = |e: &Expr| self.yes(&self.nullable, *e);
        match &self.nodes[id] {
            Node::Empty => true,
            Node::Never | Node::Bytes(_) | Node::Special(_) | Node::Token(_) | Node::Switch(_) => false,
            Node::Terminal(t) => self.terminals[*t as usize].nullable(),
            Node::Seq(parts) => parts.iter().all(yes),
            Node::Alt(parts) => parts.iter().any(yes),
            Node::Repeat { item, separator, min, .. } => {
                *min == 0 || yes(item) && (*min == 1 || separator.as_ref().is_none_or(yes))
            }
            Node::Rule(r) => yes(&self.rules[*r as usize].1),
            Node::Object(o) => {
                let o = &self.objects[*o as usize];
                yes(&o.open) && yes(&o.close) && o.min == 0 && o.wanted == 0 && !o.required.contains(&true)
            }
            Node::Behind { object, taken } => {
                let o = &self.objects[*object as usize];
                yes(&o.close)
                    && o.min <= u64::from(*taken)
                    && o.wanted == 0
                    && !o.required[*taken as usize..].contains(&true)
            }
        }
    }

    /// What a node may begin with without a byte being consumed first.
    fn left_edges(&self, id: u32, out: &mut Vec<u32>) {
        let yes = |e: &Expr| self.yes(&self.nullable, *e);
        match &self.nodes[id as usize] {
            Node::Seq(parts) => {
                for part in parts.iter() {
                    out.push(part.0);
                    if !yes(part) {
                        break;
                    }
                }
            }
            Node::Alt(parts) => out.extend(parts.iter().map(|p| p.0)),
            Node::Repeat { item, separator, .. } => {
                out.push(item.0);
                if let (true, Some(separator)) = (yes(item), separator) {
                    out.push(separator.0);
                }
            }
            Node::Rule(r) => out.push(self.rules[*r as usize].1.0),
            Node::Behind { object, .. } => {
                let o = &self.objects[*object as usize];
                out.extend([o.close.0, o.comma.0]);
                if yes(&o.comma) {
                    out.push(o.lead.0);
                    out.extend(o.rest.iter().map(|(key, _)| key.0));
                }
            }
            Node::Object(o) => {
                let o = &self.objects[*o as usize];
                out.push(o.open.0);
                if yes(&o.open) {
                    out.extend([o.close.0, o.lead.0]);
                    for (key, value) in &o.rest {
                        out.push(key.0);
                        if yes(key) {
                            out.extend([o.colon.0, value.0]);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn refuse_left_recursion(&self) -> Result<(), GrammarError> {
        // Depth-first with colours: 1 on the path, 2 done.
        let mut colour = vec![0u8; self.nodes.len()];
        let mut edges = Vec::new();
        for root in 0..self.nodes.len() as u32 {
            let mut stack = vec![(root, false)];
            while let Some((id, leaving)) = stack.pop() {
                if leaving {
                    colour[id as usize] = 2;
                    continue;
                }
                if colour[id as usize] != 0 {
                    continue;
                }
                colour[id as usize] = 1;
                stack.push((id, true));
                edges.clear();
                self.left_edges(id, &mut edges);
                for &to in &edges {
                    match colour[to as usize] {
                        1 => {
                            let on_path = stack.iter().filter(|(_, leaving)| *leaving).map(|(id, _)| *id);
                            let mut name =
                                on_path.chain([to]).filter_map(|id| match &self.nodes[id as usize] {
                                    Node::Rule(r) => Some(self.rules[*r as usize].0.to_string()),
                                    _ => None,
                                });
                            return Err(GrammarError::LeftRecursion(name.next_back().unwrap_or_default()));
                        }
                        0 => stack.push((to, false)),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}
