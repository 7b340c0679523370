//! Builds grammars. Equal parts are stored once; what can be seen to be impossible or redundant is dropped, and
//! alternatives that begin with literals are merged into one look-up, so that hundreds of them cost one.

use crate::GrammarError;
use crate::automaton::Number;
use crate::grammar::{Expr, Grammar, Node, ObjectDef, SwitchDef};
use crate::terminal::{Pattern, Terminal, TerminalSpec, TextRules, terminal};
use regex_syntax::hir::Hir;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::{BuildHasher, Hash};
use std::ops::RangeInclusive;
use std::sync::Arc;

const MAX_NODES: usize = 1 << 20;

/// A rule of a grammar under construction, to be defined once and referred to anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule(u32);

/// Free bytes up to a terminator: valid UTF-8.
#[derive(Debug, Clone, Default)]
pub struct RawText {
    /// The text contains none of these, and followed by one of them has no earlier end.
    pub terminators: Vec<Vec<u8>>,
    /// Least number of characters.
    pub min_chars: u64,
    /// Greatest number of characters.
    pub max_chars: Option<u64>,
    /// The whole text matches each of these.
    pub patterns: Vec<Hir>,
}

/// One token out of a set, whatever it stands for. Ids and names that the vocabulary lacks are refused when the
/// grammar is bound to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TokenClass {
    /// Ranges of ids. Unused ids in a range are left out.
    pub ids: Vec<RangeInclusive<u32>>,
    /// Names of special or added tokens, or texts of single tokens.
    pub names: Vec<String>,
    /// Any token but these, and but the end of the output.
    pub negated: bool,
}

/// The members of an object-like list: keys with values, none twice.
#[derive(Debug, Clone)]
pub struct Members {
    /// Before the first member.
    pub open: Expr,
    /// After the last one.
    pub close: Expr,
    /// Between two members.
    pub comma: Expr,
    /// Before every key.
    pub lead: Expr,
    /// Between key and value.
    pub colon: Expr,
    /// The declared members: the spellings of the key, the value, whether it must be present.
    pub declared: Vec<(Vec<Vec<u8>>, Expr, bool)>,
    /// Other members: key and value. Keys must not be able to spell a declared one.
    pub rest: Vec<(Expr, Expr)>,
    /// Members may come in any order. Otherwise in declared order, and the others after them.
    pub any_order: bool,
    /// Least number of members.
    pub min: u64,
    /// Greatest number of members.
    pub max: Option<u64>,
}

/// Builds a [`Grammar`] out of parts. Parts of one builder must not be used in another.
pub struct GrammarBuilder {
    nodes: Vec<Node>,
    ids: FxHashMap<Node, Expr>,
    switches: Interner<SwitchDef>,
    objects: Interner<ObjectDef>,
    terminals: Vec<Arc<Terminal>>,
    terminal_ids: FxHashMap<u64, u32>,
    rules: Vec<(Box<str>, Option<Expr>)>,
}

struct Interner<T> {
    list: Vec<T>,
    /// By hash.
    ids: FxHashMap<u64, Vec<u32>>,
}

impl<T: Eq + Hash> Interner<T> {
    fn new() -> Self {
        Interner { list: Vec::new(), ids: FxHashMap::default() }
    }

    fn intern(&mut self, value: T) -> u32 {
        let same = self.ids.entry(FxBuildHasher.hash_one(&value)).or_default();
        if let Some(&id) = same.iter().find(|&&id| self.list[id as usize] == value) {
            return id;
        }
        let id = self.list.len() as u32;
        same.push(id);
        self.list.push(value);
        id
    }
}

impl Default for GrammarBuilder {
    fn default() -> Self {
        GrammarBuilder::new()
    }
}

impl GrammarBuilder {
    /// An empty builder.
    pub fn new() -> GrammarBuilder {
        GrammarBuilder {
            nodes: Vec::new(),
            ids: FxHashMap::default(),
            switches: Interner::new(),
            objects: Interner::new(),
            terminals: Vec::new(),
            terminal_ids: FxHashMap::default(),
            rules: Vec::new(),
        }
    }

    fn add(&mut self, node: Node) -> Expr {
        if let Some(&expr) = self.ids.get(&node) {
            return expr;
        }
        let expr = Expr(self.nodes.len() as u32);
        self.nodes.push(node.clone());
        self.ids.insert(node, expr);
        expr
    }

    fn node(&self, expr: Expr) -> &Node {
        &self.nodes[expr.0 as usize]
    }

    /// The empty text.
    pub fn empty(&mut self) -> Expr {
        self.add(Node::Empty)
    }

    /// No text at all.
    pub fn never(&mut self) -> Expr {
        self.add(Node::Never)
    }

    /// These bytes.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> Expr {
        let bytes = bytes.as_ref();
        if bytes.is_empty() { self.empty() } else { self.add(Node::Bytes(bytes.into())) }
    }

    /// The special or added token of this name where the vocabulary has one, else its name as text.
    pub fn special(&mut self, name: &str) -> Expr {
        if name.is_empty() { self.empty() } else { self.add(Node::Special(name.into())) }
    }

    /// One token of this class.
    pub fn token(&mut self, class: TokenClass) -> Expr {
        self.add(Node::Token(Box::new(class)))
    }

    /// A regular expression (syntax of the `regex` crate, Unicode on) that the whole text matches.
    pub fn regex(&mut self, pattern: &str) -> Result<Expr, GrammarError> {
        let hir = regex_syntax::parse(pattern)
            .map_err(|e| GrammarError::Regex { pattern: pattern.into(), reason: e.to_string() })?;
        self.hir(&hir)
    }

    /// A parsed regular expression that the whole text matches.
    pub fn hir(&mut self, hir: &Hir) -> Result<Expr, GrammarError> {
        if !hir.properties().is_utf8() {
            return Err(GrammarError::Regex {
                pattern: hir.to_string(),
                reason: "it matches bytes that are not UTF-8".into(),
            });
        }
        self.terminal(&TerminalSpec::Regex(Pattern { hir: hir.clone(), search: false }))
    }

    /// Text that contains none of these byte strings. Special tokens are not text.
    pub fn text(&mut self, excluded: Vec<Vec<u8>>) -> Result<Expr, GrammarError> {
        self.text_without(excluded, None)
    }

    /// The same without a match of this pattern, all of whose matches end in ASCII.
    pub(crate) fn text_without(
        &mut self,
        excluded: Vec<Vec<u8>>,
        without: Option<Hir>,
    ) -> Result<Expr, GrammarError> {
        let mut excluded: Vec<Vec<u8>> = excluded.into_iter().filter(|e| !e.is_empty()).collect();
        excluded.sort_unstable();
        excluded.dedup();
        self.terminal(&TerminalSpec::FreeText { excluded, without })
    }

    /// Raw text up to, but without, the first of its terminators.
    pub fn raw(&mut self, raw: &RawText) -> Result<Expr, GrammarError> {
        let rules = TextRules {
            min: raw.min_chars,
            max: raw.max_chars,
            include: raw.patterns.iter().map(|hir| Pattern { hir: hir.clone(), search: false }).collect(),
            ..TextRules::default()
        };
        self.raw_with(raw.terminators.clone(), rules)
    }

    pub(crate) fn raw_with(
        &mut self,
        mut terminators: Vec<Vec<u8>>,
        rules: TextRules,
    ) -> Result<Expr, GrammarError> {
        terminators.retain(|t| !t.is_empty());
        terminators.sort_unstable();
        terminators.dedup();
        // One that holds another never comes first.
        let all = terminators.clone();
        terminators.retain(|t| {
            !all.iter().any(|other| other.len() < t.len() && t.windows(other.len()).any(|part| part == other))
        });
        self.terminal(&TerminalSpec::RawText { terminators, rules })
    }

    pub(crate) fn number(&mut self, number: Number) -> Result<Expr, GrammarError> {
        self.terminal(&TerminalSpec::Number(number))
    }

    pub(crate) fn terminal(&mut self, spec: &TerminalSpec) -> Result<Expr, GrammarError> {
        match terminal(spec) {
            Ok(terminal) => {
                if !terminal.live() {
                    return Ok(self.empty());
                }
                let id = *self.terminal_ids.entry(terminal.id).or_insert_with(|| {
                    self.terminals.push(terminal);
                    self.terminals.len() as u32 - 1
                });
                Ok(self.add(Node::Terminal(id)))
            }
            Err(GrammarError::Empty(_)) => Ok(self.never()),
            Err(error) => Err(error),
        }
    }

    /// All of these, one after the other.
    pub fn seq(&mut self, parts: &[Expr]) -> Expr {
        let mut flat: Vec<Expr> = Vec::with_capacity(parts.len());
        for &part in parts {
            match self.node(part) {
                Node::Never => return self.never(),
                Node::Empty => {}
                Node::Seq(inner) => flat.extend(inner.iter().copied()),
                _ => flat.push(part),
            }
        }
        // Neighbouring literals become one.
        let mut merged: Vec<Expr> = Vec::with_capacity(flat.len());
        for part in flat {
            let joined = match (merged.last().map(|&l| self.node(l)), self.node(part)) {
                (Some(Node::Bytes(a)), Node::Bytes(b)) => Some([&**a, &**b].concat()),
                _ => None,
            };
            match joined {
                Some(bytes) => {
                    merged.pop();
                    let bytes = self.bytes(bytes);
                    merged.push(bytes);
                }
                None => merged.push(part),
            }
        }
        match *merged {
            [] => self.empty(),
            [one] => one,
            _ => self.add(Node::Seq(merged.into())),
        }
    }

    /// Any one of these.
    pub fn alt(&mut self, parts: &[Expr]) -> Expr {
        let mut flat: Vec<Expr> = Vec::with_capacity(parts.len());
        let mut seen = rustc_hash::FxHashSet::default();
        for &part in parts {
            let inner = match self.node(part) {
                Node::Never => continue,
                Node::Alt(inner) => inner.to_vec(),
                _ => vec![part],
            };
            flat.extend(inner.into_iter().filter(|&e| seen.insert(e)));
        }
        // Alternatives that begin with a literal become one look-up, and so do several look-ups.
        let flat = self.opened(flat);
        let flat = self.factored(flat);
        let mut words: Vec<(Vec<u8>, Expr)> = Vec::new();
        let mut others = Vec::new();
        for &part in &flat {
            match self.node(part).clone() {
                Node::Bytes(b) => words.push((b.to_vec(), self.empty())),
                Node::Switch(s) => {
                    let s = self.switches.list[s as usize].clone();
                    words.extend(s.words.iter().map(|w| w.to_vec()).zip(s.then));
                }
                Node::Seq(parts) => match self.node(parts[0]).clone() {
                    Node::Bytes(b) => {
                        let rest = self.seq(&parts[1..]);
                        words.push((b.to_vec(), rest));
                    }
                    _ => others.push(part),
                },
                _ => others.push(part),
            }
        }
        let flat = if words.len() > 1 {
            let switch = self.switch(words);
            others.insert(0, switch);
            others
        } else {
            flat
        };
        match *flat {
            [] => self.never(),
            [one] => one,
            _ => self.add(Node::Alt(flat.into())),
        }
    }

    /// Several objects are told apart by the members that each begins with, such as a name or a kind: the first
    /// required ones with a constant value are written out in front.
    fn opened(&mut self, mut parts: Vec<Expr>) -> Vec<Expr> {
        let object = |b: &Self, part: Expr| match b.node(part) {
            Node::Object(id) => Some(*id),
            _ => None,
        };
        if parts.iter().filter(|&&part| object(self, part).is_some()).count() < 2 {
            return parts;
        }
        for part in &mut parts {
            let Some(id) = object(self, *part) else { continue };
            let def = &self.objects.list[id as usize];
            let constant = |&i: &usize| def.required[i] && matches!(self.node(def.values[i]), Node::Bytes(_));
            let taken = if def.any_order { 0 } else { (0..def.values.len()).take_while(constant).count() };
            if taken == 0 || def.max.is_some_and(|max| max < taken as u64) {
                continue;
            }
            let (open, comma, lead, colon) = (def.open, def.comma, def.lead, def.colon);
            let mut members: Vec<(Box<[u8]>, Expr)> = vec![(Box::default(), open); taken];
            for (key, &position) in def.keys.iter().zip(&def.position) {
                if (position as usize) < taken {
                    members[position as usize] = (key.clone(), def.values[position as usize]);
                }
            }
            let mut written = vec![open];
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    written.push(comma);
                }
                let key = self.bytes(key);
                written.extend([lead, key, colon, value]);
            }
            written.push(self.add(Node::Behind { object: id, taken: taken as u32 }));
            *part = self.seq(&written);
        }
        parts
    }

    /// Sequences that begin with the same part share it, however many there are.
    fn factored(&mut self, parts: Vec<Expr>) -> Vec<Expr> {
        let first = |b: &Self, part: Expr| match b.node(part) {
            Node::Seq(parts) if !matches!(b.node(parts[0]), Node::Bytes(_)) => Some(parts[0]),
            _ => None,
        };
        let mut count: FxHashMap<Expr, usize> = FxHashMap::default();
        for &part in &parts {
            *count.entry(first(self, part).unwrap_or(part)).or_default() += 1;
        }
        if count.values().all(|&n| n == 1) {
            return parts;
        }
        let mut out = Vec::with_capacity(parts.len());
        let mut groups: FxHashMap<Expr, (usize, Vec<Expr>)> = FxHashMap::default();
        for &part in &parts {
            let head = first(self, part).unwrap_or(part);
            if count[&head] == 1 {
                out.push(part);
                continue;
            }
            let tail = match self.node(part).clone() {
                Node::Seq(parts) if parts[0] == head => self.seq(&parts[1..]),
                _ => self.empty(),
            };
            let at = out.len();
            let group = groups.entry(head).or_insert_with(|| {
                out.push(head);
                (at, Vec::new())
            });
            group.1.push(tail);
        }
        for (head, (at, tails)) in groups {
            let tail = self.alt(&tails);
            out[at] = self.seq(&[head, tail]);
        }
        out
    }

    /// One of these literals, followed by what belongs to it. Equal literals have their followers joined.
    pub fn switch(&mut self, cases: Vec<(Vec<u8>, Expr)>) -> Expr {
        let mut sorted: std::collections::BTreeMap<Vec<u8>, Vec<Expr>> = Default::default();
        for (word, then) in cases {
            if !matches!(self.node(then), Node::Never) {
                let list = sorted.entry(word).or_default();
                if !list.contains(&then) {
                    list.push(then);
                }
            }
        }
        let mut alternatives: Vec<Expr> = sorted.remove(&Vec::new()).unwrap_or_default();
        let mut words = Vec::with_capacity(sorted.len());
        let mut then = Vec::with_capacity(sorted.len());
        for (word, list) in sorted {
            words.push(word.into_boxed_slice());
            then.push(if let [one] = *list { one } else { self.alt(&list) });
        }
        if words.len() == 1 {
            let word = self.bytes(&words[0]);
            let only = self.seq(&[word, then[0]]);
            alternatives.push(only);
        } else if !words.is_empty() {
            let id = self.switches.intern(SwitchDef { words, then });
            let switch = self.add(Node::Switch(id));
            alternatives.push(switch);
        }
        match *alternatives {
            [] => self.never(),
            [one] => one,
            _ => self.add(Node::Alt(alternatives.into())),
        }
    }

    /// One of some words, none of them empty.
    pub(crate) fn words(&mut self, words: impl IntoIterator<Item = String>) -> Expr {
        let words = words.into_iter().map(|word| word.into_bytes().into_boxed_slice());
        let mut words: Vec<Box<[u8]>> = words.collect();
        words.sort_unstable();
        words.dedup();
        match &*words {
            [] => self.never(),
            [only] => self.bytes(only),
            _ => {
                let then = vec![self.empty(); words.len()];
                let id = self.switches.intern(SwitchDef { words, then });
                self.add(Node::Switch(id))
            }
        }
    }

    /// The parts of a sequence, or the one part itself.
    pub(crate) fn parts(&self, expr: Expr) -> Vec<Expr> {
        match self.node(expr) {
            Node::Empty => Vec::new(),
            Node::Seq(parts) => parts.to_vec(),
            _ => vec![expr],
        }
    }

    /// The bytes of a literal.
    pub(crate) fn literal(&self, expr: Expr) -> Option<&[u8]> {
        match self.node(expr) {
            Node::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// True for a special token.
    pub(crate) fn is_special(&self, expr: Expr) -> bool {
        matches!(self.node(expr), Node::Special(_))
    }

    /// This or nothing.
    pub fn opt(&mut self, part: Expr) -> Expr {
        let empty = self.empty();
        if part == empty {
            return empty;
        }
        self.alt(&[part, empty])
    }

    /// Between `min` and `max` times, with a separator in between. Counted, not copied.
    pub fn repeat(&mut self, item: Expr, min: u32, max: Option<u32>, separator: Option<Expr>) -> Expr {
        let separator = separator.filter(|&s| !matches!(self.node(s), Node::Empty));
        if max.is_some_and(|max| max < min) {
            return self.never();
        }
        match (self.node(item), max) {
            (_, Some(0)) => return self.empty(),
            (Node::Never, _) => return if min == 0 { self.empty() } else { self.never() },
            (Node::Empty, _) if separator.is_none() => return self.empty(),
            (_, Some(1)) => return if min == 1 { item } else { self.opt(item) },
            _ => {}
        }
        self.add(Node::Repeat { item, separator, min, max })
    }

    /// A new rule. The name appears in errors only.
    pub fn rule(&mut self, name: &str) -> Rule {
        self.rules.push((name.into(), None));
        Rule(self.rules.len() as u32 - 1)
    }

    /// Says what a rule stands for.
    pub fn define(&mut self, rule: Rule, body: Expr) -> Result<(), GrammarError> {
        let (name, slot) = &mut self.rules[rule.0 as usize];
        if slot.replace(body).is_some() {
            return Err(GrammarError::DuplicateRule(name.to_string()));
        }
        Ok(())
    }

    /// What the rule stands for, wherever and whenever it is defined.
    pub fn call(&mut self, rule: Rule) -> Expr {
        self.add(Node::Rule(rule.0))
    }

    /// Keys with values, none twice: state, not expansion, however many keys there are.
    pub fn members(&mut self, members: Members) -> Result<Expr, GrammarError> {
        self.members_with(members, Vec::new())
    }

    /// The same, where further members are wanted that lie within the others: of every bit that occurs, one has to
    /// come.
    pub(crate) fn members_with(
        &mut self,
        mut members: Members,
        wanted: Vec<(Expr, Expr, u8)>,
    ) -> Result<Expr, GrammarError> {
        let mut rest_bits = vec![0; members.rest.len()];
        rest_bits.extend(wanted.iter().map(|&(.., bits)| bits));
        members.rest.extend(wanted.iter().map(|&(key, value, _)| (key, value)));
        let wanted = rest_bits.iter().fold(0, |all, bits| all | bits);
        let n = members.declared.len();
        let each = members.declared.iter().zip(0u32..);
        let mut spellings: Vec<(Box<[u8]>, u32)> = each
            .flat_map(|((keys, ..), at)| keys.iter().map(move |key| (key.clone().into_boxed_slice(), at)))
            .collect();
        spellings.sort_unstable();
        let (keys, position): (Vec<_>, Vec<_>) = spellings.into_iter().unzip();
        if keys.first().is_some_and(|k| k.is_empty()) || keys.windows(2).any(|w| w[0] == w[1]) {
            return Err(GrammarError::Format {
                place: "members".into(),
                reason: "a key is empty or declared twice".into(),
            });
        }
        // Undeclared members may repeat a key, so only the first of them is sure to count.
        let reachable = n as u64 + u64::from(!members.rest.is_empty());
        if members.min > reachable && !members.rest.is_empty() {
            return Err(GrammarError::unsupported(
                "",
                "minProperties",
                "it needs several undeclared properties, whose names would have to differ",
            ));
        }
        let id = self.objects.intern(ObjectDef {
            open: members.open,
            close: members.close,
            comma: members.comma,
            lead: members.lead,
            colon: members.colon,
            keys,
            position,
            values: members.declared.iter().map(|d| d.1).collect(),
            required: members.declared.iter().map(|d| d.2).collect(),
            rest: members.rest,
            rest_bits,
            wanted,
            any_order: members.any_order,
            min: members.min,
            max: members.max,
            usable: Vec::new(),
            next_required: Vec::new(),
            usable_from: Vec::new(),
            required_from: Vec::new(),
            rest_usable: Vec::new(),
            cover: Vec::new(),
        });
        Ok(self.add(Node::Object(id)))
    }

    /// The finished grammar. Refuses rules without definition, left recursion, and grammars that accept nothing.
    pub fn build(self, root: Expr) -> Result<Grammar, GrammarError> {
        if self.nodes.len() > MAX_NODES {
            return Err(GrammarError::Limit { what: "grammar nodes", limit: MAX_NODES as u64 });
        }
        let mut rules = Vec::with_capacity(self.rules.len());
        for (name, body) in self.rules {
            match body {
                Some(body) => rules.push((name, body)),
                None => return Err(GrammarError::UndefinedRule(name.into())),
            }
        }
        Grammar::new(self.nodes, self.switches.list, self.objects.list, self.terminals, rules, root)
    }
}
