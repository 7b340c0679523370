//! Rules to grammar.
//!
//! A rule grammar spells out characters; the machine is quickest with automata. So what is regular and small (a class
//! repeated, a number, the inside of a string) becomes one terminal, whichever rules it is spread over. That changes
//! no language: a part and its automaton accept the same texts.

use super::recursion;
use super::rules::{Part, Rules, nullable};
use crate::GrammarError;
use crate::automaton::{Automaton, Regex, Step};
use crate::builder::{GrammarBuilder, RawText};
use crate::grammar::Expr;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};
use rustc_hash::FxHashSet;

/// A regular part of up to so many characters and classes may become a terminal,
const MAX_LENGTH: usize = 200;
/// if its automaton has no more states than this. Beyond that, following the parts one by one is cheaper.
const MAX_STATES: usize = 48;
/// Transitions that may be tried for one grammar; after that, parts stay as they are written.
const MAX_TRIALS: usize = 1 << 18;
/// Repetitions of one class beyond this are counted, not copied.
const COUNTED_FROM: u32 = 8;

/// The grammar of some rules, without left recursion.
pub(crate) fn lower(b: &mut GrammarBuilder, mut rules: Rules) -> Result<Expr, GrammarError> {
    recursion::remove(&mut rules)?;
    let mut lowering = Lowering { b, regular: regular_rules(&rules), exprs: Vec::new(), trials: 0 };
    let nullables = rules.nullable();
    let used = used(&rules);
    for (index, rule) in rules.rules.iter().enumerate() {
        // Rules that nothing uses cost nothing.
        lowering.exprs.push(used[index].then(|| {
            let rule = lowering.b.rule(&rule.name);
            (rule, lowering.b.call(rule))
        }));
    }
    for (index, rule) in rules.rules.iter().enumerate() {
        let Some((name, _)) = lowering.exprs[index] else { continue };
        let body = lowering.part(&rule.body, &nullables).map_err(|error| located(error, rule))?;
        lowering.b.define(name, body)?;
    }
    Ok(lowering.exprs[rules.root].map_or_else(|| lowering.b.never(), |(_, expr)| expr))
}

fn located(error: GrammarError, rule: &super::rules::RuleDef) -> GrammarError {
    match error {
        GrammarError::Regex { reason, .. } => rule.place.refuse(format!("rule {}", rule.name), reason),
        GrammarError::Limit { .. } => rule.place.refuse(format!("rule {}", rule.name), error.to_string()),
        other => other,
    }
}

/// The rules that the root needs.
fn used(rules: &Rules) -> Vec<bool> {
    fn visit(part: &Part, out: &mut Vec<usize>) {
        if let Part::Rule(rule) = part {
            out.push(*rule);
        }
        part.inner().iter().for_each(|p| visit(p, out));
    }
    let mut used = vec![false; rules.rules.len()];
    let mut stack = vec![rules.root];
    while let Some(rule) = stack.pop() {
        if !std::mem::replace(&mut used[rule], true) {
            visit(&rules.rules[rule].body, &mut stack);
        }
    }
    used
}

/// A regular expression, and how long it is when written out.
#[derive(Clone)]
struct Written {
    hir: Hir,
    length: usize,
    depth: usize,
    /// Holds a class or a pattern: plain words are better kept as words.
    classy: bool,
}

/// The short regular expressions of the rules that have one.
fn regular_rules(rules: &Rules) -> Vec<Option<Written>> {
    fn calls(part: &Part, out: &mut Vec<usize>) {
        if let Part::Rule(rule) = part {
            out.push(*rule);
        }
        part.inner().iter().for_each(|p| calls(p, out));
    }
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(rules.rules.len());
    for rule in &rules.rules {
        let mut out = Vec::new();
        calls(&rule.body, &mut out);
        edges.push(out);
    }
    let mut known = vec![None; rules.rules.len()];
    for group in recursion::components(&edges) {
        if let [rule] = *group
            && !edges[rule].contains(&rule)
        {
            known[rule] = written(&rules.rules[rule].body, &known);
        }
    }
    known
}

fn written(part: &Part, rules: &[Option<Written>]) -> Option<Written> {
    const MAX_DEPTH: usize = 50;
    let out = match part {
        Part::Text(text) => {
            Written { hir: Hir::literal(text.as_bytes()), length: text.len(), depth: 1, classy: false }
        }
        Part::Class(class) => Written {
            hir: Hir::class(Class::Unicode(class.clone())),
            length: 1 + class.ranges().len() / 8,
            depth: 1,
            classy: true,
        },
        Part::Pattern(_) | Part::Terminal(..) | Part::Token(_) | Part::Special(_) | Part::Built(_) => {
            return None;
        }
        Part::Rule(rule) => rules[*rule].clone()?,
        Part::Seq(parts) => joined(parts, rules, Hir::concat)?,
        Part::Alt(parts) => joined(parts, rules, Hir::alternation)?,
        Part::Repeat { item, min, max } => {
            let item = written(item, rules)?;
            let times = max.unwrap_or(*min).max(1) as usize;
            Written {
                hir: Hir::repetition(Repetition {
                    min: *min,
                    max: *max,
                    greedy: true,
                    sub: Box::new(item.hir),
                }),
                length: item.length.saturating_mul(times),
                depth: item.depth + 1,
                classy: item.classy,
            }
        }
    };
    (out.length <= MAX_LENGTH && out.depth <= MAX_DEPTH).then_some(out)
}

fn joined(parts: &[Part], rules: &[Option<Written>], join: fn(Vec<Hir>) -> Hir) -> Option<Written> {
    let (mut hirs, mut length, mut depth, mut classy) = (Vec::with_capacity(parts.len()), 0, 0, false);
    for part in parts {
        let part = written(part, rules)?;
        length += part.length;
        if length > MAX_LENGTH {
            return None;
        }
        depth = depth.max(part.depth);
        classy |= part.classy;
        hirs.push(part.hir);
    }
    Some(Written { hir: join(hirs), length, depth: depth + 1, classy })
}

struct Lowering<'a> {
    b: &'a mut GrammarBuilder,
    regular: Vec<Option<Written>>,
    exprs: Vec<Option<(crate::builder::Rule, Expr)>>,
    trials: usize,
}

impl Lowering<'_> {
    fn part(&mut self, part: &Part, nullables: &[bool]) -> Result<Expr, GrammarError> {
        if !matches!(part, Part::Text(_) | Part::Rule(_))
            && let Some(written) = written(part, &self.regular)
            && written.classy
            && self.is_small(&written.hir)?
        {
            return self.b.hir(&written.hir);
        }
        Ok(match part {
            Part::Text(text) => self.b.bytes(text),
            Part::Class(class) => {
                let hir = Hir::class(Class::Unicode(class.clone()));
                self.b.hir(&hir)?
            }
            Part::Pattern(hir) => self.b.hir(hir)?,
            Part::Terminal(spec, _) => self.b.terminal(spec)?,
            Part::Token(class) => self.b.token(class.clone()),
            Part::Special(name) => self.b.special(name),
            Part::Built(expr) => *expr,
            Part::Rule(rule) => self.exprs[*rule].map_or_else(|| self.b.never(), |(_, expr)| expr),
            Part::Seq(parts) => {
                let parts = self.parts(parts, nullables)?;
                self.b.seq(&parts)
            }
            Part::Alt(parts) => {
                let parts = self.parts(parts, nullables)?;
                self.b.alt(&parts)
            }
            Part::Repeat { item, min, max } => self.repeat(item, *min, *max, nullables)?,
        })
    }

    fn parts(&mut self, parts: &[Part], nullables: &[bool]) -> Result<Vec<Expr>, GrammarError> {
        parts.iter().map(|part| self.part(part, nullables)).collect()
    }

    fn repeat(
        &mut self,
        item: &Part,
        min: u32,
        max: Option<u32>,
        nullables: &[bool],
    ) -> Result<Expr, GrammarError> {
        // `[a-z]{1,500}` is a text with a length, not 500 texts.
        if max.unwrap_or(min) >= COUNTED_FROM
            && let Some(one) = written(item, &self.regular)
            && let HirKind::Class(_) = one.hir.kind()
        {
            let any = Repetition { min: 0, max: None, greedy: true, sub: Box::new(one.hir) };
            let raw = RawText {
                terminators: Vec::new(),
                min_chars: u64::from(min),
                max_chars: max.map(u64::from),
                patterns: vec![Hir::repetition(any)],
            };
            match self.b.raw(&raw) {
                Ok(expr) => return Ok(expr),
                // Too long for a counter over patterns: the repetition counts for itself.
                Err(GrammarError::Limit { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // An item that may be empty may be so as often as it takes.
        let min = if nullable(item, nullables) { 0 } else { min };
        let item = self.part(item, nullables)?;
        Ok(self.b.repeat(item, min, max, None))
    }

    /// Whether the automaton of an expression is small.
    fn is_small(&mut self, hir: &Hir) -> Result<bool, GrammarError> {
        let Ok(regex) = Regex::new(hir, false, None) else { return Ok(false) };
        let mut start = Vec::new();
        regex.start(&mut start);
        let mut seen: FxHashSet<Vec<u32>> = FxHashSet::default();
        let mut queue = vec![start.clone()];
        seen.insert(start);
        let mut next = Vec::new();
        let firsts = regex.classes().firsts();
        while let Some(state) = queue.pop() {
            for &byte in &firsts {
                self.trials += 1;
                if self.trials > MAX_TRIALS {
                    return Ok(false);
                }
                if regex.step(&state, byte, &mut next) != Step::Dead && !seen.contains(&next) {
                    if seen.len() >= MAX_STATES {
                        return Ok(false);
                    }
                    seen.insert(next.clone());
                    queue.push(next.clone());
                }
            }
        }
        Ok(true)
    }
}
