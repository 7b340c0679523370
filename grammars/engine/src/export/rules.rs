//! A grammar as rules: every node in a form that rule notations have.

use super::Exporter;
use super::automaton::beyond;
use crate::GrammarError;
use crate::compiled::{Context, SeenSets};
use crate::front::rules::{Part, RuleDef};
use crate::front::text::Place;
use crate::grammar::{Expr, Node, ObjectDef};
use crate::machine::MemberState;
use rustc_hash::FxHashMap;

/// Parts nested deeper than this become rules.
const MAX_DEPTH: usize = 24;
/// Most states of an object that are written down.
const MAX_MEMBERS: usize = 1 << 11;

impl Exporter<'_> {
    /// The rules of the whole grammar; the first one is the root.
    pub(super) fn grammar(&mut self) -> Result<(), GrammarError> {
        self.rules.push(RuleDef { name: "root".into(), place: Place::default(), body: Part::empty() });
        let root = self.node(self.grammar.root, 0)?;
        self.rules[0].body = root;
        while let Some((node, rule)) = self.open.pop() {
            let body = self.body(node, 0)?;
            self.rules[rule].body = body;
        }
        Ok(())
    }

    fn rule_of(&mut self, node: Expr, name: &str) -> Result<Part, GrammarError> {
        if let Some(&rule) = self.named.get(&node) {
            return Ok(Part::Rule(rule));
        }
        self.count(1)?;
        let rule = self.rules.len();
        self.rules.push(RuleDef { name: name.into(), place: Place::default(), body: Part::empty() });
        self.named.insert(node, rule);
        self.open.push((node, rule));
        Ok(Part::Rule(rule))
    }

    /// A node where it stands: written out, or by the name of its rule.
    fn node(&mut self, node: Expr, depth: usize) -> Result<Part, GrammarError> {
        if !self.grammar.productive[node.0 as usize] {
            return Ok(Part::Alt(Vec::new()));
        }
        if let Some(&rule) = self.named.get(&node) {
            return Ok(Part::Rule(rule));
        }
        let shared = self.uses[node.0 as usize] > 1;
        match self.grammar.node(node) {
            Node::Rule(rule) => {
                let (name, body) = &self.grammar.rules[*rule as usize];
                let (name, body) = (name.clone(), *body);
                self.rule_of(body, &name)
            }
            Node::Object(_) | Node::Behind { .. } => self.rule_of(node, "object"),
            Node::Terminal(_) if shared => self.rule_of(node, "terminal"),
            Node::Seq(_) | Node::Alt(_) | Node::Switch(_) | Node::Repeat { .. }
                if shared || depth >= MAX_DEPTH =>
            {
                self.rule_of(node, "part")
            }
            _ => self.body(node, depth),
        }
    }

    fn nodes(&mut self, nodes: &[Expr], depth: usize) -> Result<Vec<Part>, GrammarError> {
        nodes.iter().map(|&node| self.node(node, depth + 1)).collect()
    }

    /// A node written out.
    fn body(&mut self, node: Expr, depth: usize) -> Result<Part, GrammarError> {
        self.spend(1)?;
        let grammar = self.grammar;
        Ok(match grammar.node(node) {
            Node::Empty => Part::empty(),
            Node::Never => Part::Alt(Vec::new()),
            Node::Bytes(bytes) => text(bytes)?,
            Node::Special(name) => Part::Special(name.to_string()),
            Node::Token(class) => Part::Token(class.as_ref().clone()),
            Node::Terminal(id) => {
                let terminal = grammar.terminals[*id as usize].clone();
                self.terminal(&terminal)?
            }
            Node::Seq(parts) => Part::seq(self.nodes(parts, depth)?),
            Node::Alt(parts) => {
                let parts: Vec<Expr> =
                    parts.iter().copied().filter(|part| grammar.productive[part.0 as usize]).collect();
                alternatives(self.nodes(&parts, depth)?)
            }
            Node::Switch(id) => {
                let switch = &grammar.switches[*id as usize];
                let mut ways = Vec::with_capacity(switch.words.len());
                for (word, &then) in switch.words.iter().zip(&switch.then) {
                    ways.push(Part::seq(vec![text(word)?, self.node(then, depth + 1)?]));
                }
                alternatives(ways)
            }
            Node::Repeat { item, separator, min, max } => {
                let one = self.node(*item, depth + 1)?;
                let Some(separator) = separator else { return Ok(one.repeat(*min, *max)) };
                let separator = self.node(*separator, depth + 1)?;
                let more = Part::seq(vec![separator, one.clone()]);
                let more = more.repeat(min.saturating_sub(1), max.map(|max| max.saturating_sub(1)));
                let some = Part::seq(vec![one, more]);
                if *min == 0 { some.optional() } else { some }
            }
            Node::Rule(rule) => {
                let body = grammar.rules[*rule as usize].1;
                self.node(body, depth + 1)?
            }
            Node::Object(id) => {
                let object = &grammar.objects[*id as usize];
                let open = self.node(object.open, 1)?;
                Part::seq(vec![open, self.members(object, (0, 0))?])
            }
            Node::Behind { object, taken } => {
                let object = &grammar.objects[*object as usize];
                let seen = MemberState::cap(object, u64::from(*taken));
                self.members(object, (*taken, seen))?
            }
        })
    }

    /// What follows some members of an object: a rule for every set of members that may have been written.
    fn members(&mut self, object: &ObjectDef, start: (u32, u64)) -> Result<Part, GrammarError> {
        let (specials, seen) = (FxHashMap::default(), SeenSets::default());
        let ctx = Context { grammar: self.grammar, specials: &specials, seen: &seen };
        let mut members: Vec<Part> = Vec::with_capacity(object.values.len());
        let mut keys: Vec<Vec<Part>> = vec![Vec::new(); object.values.len()];
        for (key, &position) in object.keys.iter().zip(&object.position) {
            keys[position as usize].push(text(key)?);
        }
        let colon = self.node(object.colon, 1)?;
        for (key, &value) in keys.into_iter().zip(&object.values) {
            let member = if self.grammar.productive[value.0 as usize] {
                Part::seq(vec![Part::alt(key), colon.clone(), self.node(value, 1)?])
            } else {
                Part::Alt(Vec::new())
            };
            members.push(self.shared(member, "member")?);
        }
        // Those that are good for the same are one.
        let mut others: Vec<(usize, Vec<Part>)> = Vec::new();
        for (at, &(key, value)) in object.rest.iter().enumerate().filter(|&(at, _)| object.rest_usable[at]) {
            let part = Part::seq(vec![self.node(key, 1)?, colon.clone(), self.node(value, 1)?]);
            match others.iter_mut().find(|(of, _)| object.rest_bits[*of] == object.rest_bits[at]) {
                Some((_, parts)) => parts.push(part),
                None => others.push((at, vec![part])),
            }
        }
        let shared = |(at, parts)| Ok((at, self.shared(Part::alt(parts), "member")?));
        let others: Vec<(usize, Part)> =
            others.into_iter().map(shared).collect::<Result<_, GrammarError>>()?;
        let (lead, comma) = (self.node(object.lead, 1)?, self.node(object.comma, 1)?);
        let close = self.node(object.close, 1)?;
        let mut known: FxHashMap<(u32, u64), usize> = FxHashMap::default();
        let mut states = vec![start];
        let first = self.rules.len();
        let mut bodies: Vec<Part> = Vec::new();
        known.insert(start, 0);
        while bodies.len() < states.len() {
            let (rest, set) = states[bodies.len()];
            let state = ctx.member_state(object, rest, set);
            let mut number = |next: (u32, u64)| {
                *known.entry(next).or_insert_with(|| {
                    states.push(next);
                    states.len() - 1
                })
            };
            let mut next: Vec<Part> = Vec::new();
            for position in 0..object.values.len() as u32 {
                if state.may_take(object, position) {
                    let to = number(state.with(ctx, object, position)?);
                    next.push(Part::Seq(vec![members[position as usize].clone(), Part::Rule(first + to)]));
                }
            }
            for (at, other) in others.iter().filter(|&&(at, _)| state.may_take_other(object, at)) {
                let to = number(state.with_other(object, *at));
                next.push(Part::Seq(vec![other.clone(), Part::Rule(first + to)]));
            }
            let mut ways = Vec::new();
            if state.may_close(object) {
                ways.push(close.clone());
            }
            if !next.is_empty() {
                let before = if state.members() == 0 {
                    lead.clone()
                } else {
                    Part::seq(vec![comma.clone(), lead.clone()])
                };
                ways.push(Part::seq(vec![before, Part::alt(next)]));
            }
            let body = Part::alt(ways);
            self.spend(body.size())?;
            bodies.push(body);
            if states.len() > MAX_MEMBERS {
                return Err(beyond(&format!("an object of {} members in any order", object.values.len())));
            }
        }
        self.count(bodies.len())?;
        for body in bodies {
            self.rules.push(RuleDef { name: "members".into(), place: Place::default(), body });
        }
        Ok(Part::Rule(first))
    }

    /// A rule of its own for a part that is used more than once.
    pub(super) fn shared(&mut self, part: Part, name: &str) -> Result<Part, GrammarError> {
        if part.size() <= 2 {
            return Ok(part);
        }
        self.count(1)?;
        self.rules.push(RuleDef { name: name.into(), place: Place::default(), body: part });
        Ok(Part::Rule(self.rules.len() - 1))
    }
}

/// Alternatives; an empty one makes the others optional.
fn alternatives(mut parts: Vec<Part>) -> Part {
    let before = parts.len();
    parts.retain(|part| !part.is_empty());
    let may_be_empty = parts.len() < before;
    match parts.len() {
        0 if may_be_empty => Part::empty(),
        _ if may_be_empty => Part::alt(parts).optional(),
        _ => Part::alt(parts),
    }
}

fn text(bytes: &[u8]) -> Result<Part, GrammarError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Part::Text(text.to_owned())),
        Err(_) => Err(GrammarError::unsupported("", "a literal", "its bytes are no text")),
    }
}
