//! What rule grammars have in common, whatever they are written in: named rules over characters, patterns, tokens and
//! each other. The readers make them, [`super::recursion`] takes left recursion out of them, and [`super::lower`]
//! makes grammars of them; the exporters make them of grammars and write them down.

use super::text::Place;
use crate::GrammarError;
use crate::builder::TokenClass;
use crate::terminal::TerminalSpec;
use regex_syntax::hir::{ClassUnicode, Hir};
use rustc_hash::FxHashMap;

/// Most rules and most parts of one grammar text.
pub(super) const MAX_RULES: usize = 1 << 16;
pub(crate) const MAX_PARTS: usize = 1 << 19;
/// Deepest nesting of groups.
pub(super) const MAX_NESTING: usize = 100;

/// A part of a rule.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// This text; the empty text if it is empty.
    Text(String),
    /// One character out of these.
    Class(ClassUnicode),
    /// Text that matches as a whole.
    Pattern(Hir),
    /// Text of another kind of terminal, and whether the empty text is among it.
    Terminal(Box<TerminalSpec>, bool),
    /// One token.
    Token(TokenClass),
    /// A special token, or its name as text where the vocabulary has none.
    Special(String),
    /// A part of the grammar that has been built already, and accepts something, but never the empty text.
    Built(crate::Expr),
    /// What a rule stands for.
    Rule(usize),
    /// One after the other.
    Seq(Vec<Part>),
    /// Any of these; nothing at all if there are none.
    Alt(Vec<Part>),
    /// So many times.
    Repeat { item: Box<Part>, min: u32, max: Option<u32> },
}

impl Part {
    pub(crate) fn empty() -> Part {
        Part::Text(String::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Part::Text(text) if text.is_empty())
    }

    /// These parts, one after the other.
    pub(crate) fn seq(parts: Vec<Part>) -> Part {
        let mut flat: Vec<Part> = Vec::with_capacity(parts.len());
        for part in parts {
            match (flat.last_mut(), part) {
                (_, part) if part.is_empty() => {}
                (_, Part::Seq(inner)) => flat.extend(inner),
                (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
                (_, part) => flat.push(part),
            }
        }
        match flat.len() {
            0 => Part::empty(),
            1 => flat.swap_remove(0),
            _ => Part::Seq(flat),
        }
    }

    /// Any of these parts.
    pub(crate) fn alt(parts: Vec<Part>) -> Part {
        let mut flat: Vec<Part> = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::Alt(inner) => flat.extend(inner),
                part => flat.push(part),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Part::Alt(flat) }
    }

    /// This part, so many times.
    pub(crate) fn repeat(self, min: u32, max: Option<u32>) -> Part {
        match (min, max) {
            (1, Some(1)) => self,
            (_, Some(0)) => Part::empty(),
            _ if self.is_empty() => self,
            _ => Part::Repeat { item: Box::new(self), min, max },
        }
    }

    /// This part or nothing.
    pub(crate) fn optional(self) -> Part {
        self.repeat(0, Some(1))
    }

    /// The parts inside this one.
    pub(crate) fn inner(&self) -> &[Part] {
        match self {
            Part::Seq(parts) | Part::Alt(parts) => parts,
            Part::Repeat { item, .. } => std::slice::from_ref(item),
            _ => &[],
        }
    }

    /// Number of parts, this one included.
    pub(crate) fn size(&self) -> usize {
        1 + self.inner().iter().map(Part::size).sum::<usize>()
    }
}

/// A rule.
#[derive(Debug, Clone)]
pub(crate) struct RuleDef {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) body: Part,
}

/// A grammar as rules.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<RuleDef>,
    pub(crate) root: usize,
}

impl Rules {
    /// Which rules accept the empty text.
    pub(crate) fn nullable(&self) -> Vec<bool> {
        let mut known = vec![false; self.rules.len()];
        loop {
            let mut changed = false;
            for (index, rule) in self.rules.iter().enumerate() {
                if !known[index] && nullable(&rule.body, &known) {
                    known[index] = true;
                    changed = true;
                }
            }
            if !changed {
                return known;
            }
        }
    }
}

/// Whether a part accepts the empty text, given which rules do.
pub(crate) fn nullable(part: &Part, rules: &[bool]) -> bool {
    match part {
        Part::Text(text) => text.is_empty(),
        Part::Class(_) | Part::Token(_) | Part::Special(_) | Part::Built(_) => false,
        Part::Pattern(hir) => hir.properties().minimum_len() == Some(0),
        Part::Terminal(_, nullable) => *nullable,
        Part::Rule(rule) => rules[*rule],
        Part::Seq(parts) => parts.iter().all(|p| nullable(p, rules)),
        Part::Alt(parts) => parts.iter().any(|p| nullable(p, rules)),
        Part::Repeat { item, min, .. } => *min == 0 || nullable(item, rules),
    }
}

/// A rule's name, where it was first met, and its definition.
type Named = (String, Place, Option<(Place, Part)>);

/// Rules by name, while their text is read: a rule may be used before it is defined.
#[derive(Default)]
pub(super) struct Names {
    ids: FxHashMap<String, usize>,
    rules: Vec<Named>,
    parts: usize,
}

impl Names {
    /// The rule of this name, used at `place`.
    pub(super) fn refer(&mut self, name: &str, place: Place) -> Result<usize, GrammarError> {
        if let Some(&id) = self.ids.get(name) {
            return Ok(id);
        }
        if self.rules.len() >= MAX_RULES {
            return Err(GrammarError::Limit { what: "rules", limit: MAX_RULES as u64 });
        }
        self.rules.push((name.to_owned(), place, None));
        self.ids.insert(name.to_owned(), self.rules.len() - 1);
        Ok(self.rules.len() - 1)
    }

    /// Counts parts, so that a text cannot grow a grammar without end.
    pub(super) fn count(&mut self, parts: usize) -> Result<(), GrammarError> {
        self.parts += parts;
        if self.parts > MAX_PARTS {
            return Err(GrammarError::Limit { what: "parts of rules", limit: MAX_PARTS as u64 });
        }
        Ok(())
    }

    pub(super) fn define(&mut self, name: &str, place: Place, body: Part) -> Result<(), GrammarError> {
        let id = self.refer(name, place)?;
        self.count(body.size())?;
        if self.rules[id].2.replace((place, body)).is_some() {
            return Err(place.syntax(format!("rule `{name}` is defined twice")));
        }
        Ok(())
    }

    /// The rules, all of which must be defined.
    pub(super) fn finish(self, root: &str) -> Result<Rules, GrammarError> {
        let Some(&root) = self.ids.get(root).filter(|&&id| self.rules[id].2.is_some()) else {
            return Err(GrammarError::UndefinedRule(root.to_owned()));
        };
        let mut rules = Vec::with_capacity(self.rules.len());
        for (name, used, defined) in self.rules {
            let Some((place, body)) = defined else {
                return Err(used.syntax(format!("rule `{name}` is used but never defined")));
            };
            rules.push(RuleDef { name, place, body });
        }
        Ok(Rules { rules, root })
    }
}
