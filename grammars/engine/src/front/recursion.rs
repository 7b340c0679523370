//! Left recursion, written as repetition.
//!
//! A rule that calls itself before anything else (`sum ::= sum "+" term | term`) would never stop being expanded by a
//! machine that reads from the left. Rules that do so together form a system of equations that is linear on the left,
//! `A = A a | B b | c`; it is solved as such systems are (Arden, 1961): `A = (B b | c) a*`, one rule after the other.
//! The language stays the same. What hides behind a part that may be empty (`a ::= b? a "x"`) is refused.

use super::rules::{MAX_PARTS, Part, RuleDef, Rules, nullable};
use super::text::Place;
use crate::GrammarError;

/// Rewrites rules until none begins with itself.
pub(crate) fn remove(rules: &mut Rules) -> Result<(), GrammarError> {
    let nullables = rules.nullable();
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(rules.rules.len());
    for rule in &rules.rules {
        let mut out = Vec::new();
        left_calls(&rule.body, &nullables, &mut out);
        out.sort_unstable();
        out.dedup();
        edges.push(out);
    }
    let mut solved = false;
    for group in components(&edges) {
        if group.len() > 1 || edges[group[0]].contains(&group[0]) {
            System::new(rules, &nullables, &group)?.solve()?;
            solved = true;
        }
    }
    if solved { refuse_rest(rules) } else { Ok(()) }
}

/// What is still left-recursive is so through parts that may be empty.
fn refuse_rest(rules: &Rules) -> Result<(), GrammarError> {
    let nullables = rules.nullable();
    let edges: Vec<Vec<usize>> = rules
        .rules
        .iter()
        .map(|rule| {
            let mut out = Vec::new();
            left_calls(&rule.body, &nullables, &mut out);
            out
        })
        .collect();
    for group in components(&edges) {
        if group.len() > 1 || edges[group[0]].contains(&group[0]) {
            let rule = &rules.rules[group[0]];
            return Err(hidden(rule.place, &rule.name));
        }
    }
    Ok(())
}

fn hidden(place: Place, name: &str) -> GrammarError {
    place.refuse(
        format!("rule {name}"),
        "it calls itself behind something that may be empty; make that part non-empty, or write a repetition",
    )
}

/// The rules that a part may begin with.
fn left_calls(part: &Part, nullables: &[bool], out: &mut Vec<usize>) {
    match part {
        Part::Rule(rule) => out.push(*rule),
        Part::Seq(parts) => {
            for part in parts {
                left_calls(part, nullables, out);
                if !nullable(part, nullables) {
                    break;
                }
            }
        }
        _ => part.inner().iter().for_each(|p| left_calls(p, nullables, out)),
    }
}

/// Strongly connected components (Tarjan, 1972), without recursion; callees come before callers.
pub(crate) fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let n = edges.len();
    let (mut order, mut low, mut on_stack) = (vec![NEW; n], vec![0; n], vec![false; n]);
    let (mut stack, mut path, mut out, mut next) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for root in 0..n {
        if order[root] != NEW {
            continue;
        }
        path.push((root, 0));
        while let Some(&mut (node, ref mut edge)) = path.last_mut() {
            if *edge == 0 && order[node] == NEW {
                (order[node], low[node]) = (next, next);
                next += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(&to) = edges[node].get(*edge) {
                *edge += 1;
                if order[to] == NEW {
                    path.push((to, 0));
                } else if on_stack[to] {
                    low[node] = low[node].min(order[to]);
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == order[node] {
                let mut group = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member] = false;
                    group.push(member);
                    if member == node {
                        break;
                    }
                }
                out.push(group);
            }
        }
    }
    out
}

/// One rule as an equation: what follows each member that it begins with, and its other beginnings.
#[derive(Default, Clone)]
struct Equation {
    terms: Vec<(usize, Vec<Part>)>,
    rest: Vec<Part>,
}

struct System<'a> {
    rules: &'a mut Rules,
    nullables: &'a [bool],
    group: &'a [usize],
    equations: Vec<Equation>,
    work: usize,
}

impl<'a> System<'a> {
    fn new(
        rules: &'a mut Rules,
        nullables: &'a [bool],
        group: &'a [usize],
    ) -> Result<System<'a>, GrammarError> {
        let mut system =
            System { rules, nullables, group, equations: Vec::with_capacity(group.len()), work: 0 };
        for &member in group {
            let mut equation = Equation::default();
            let body = system.rules.rules[member].body.clone();
            system.split(member, &body, Vec::new(), &mut equation)?;
            system.equations.push(equation);
        }
        Ok(system)
    }

    fn spend(&mut self, parts: usize) -> Result<(), GrammarError> {
        self.work += parts;
        if self.work > MAX_PARTS {
            return Err(GrammarError::Limit {
                what: "parts of left-recursive rules",
                limit: MAX_PARTS as u64,
            });
        }
        Ok(())
    }

    fn begins(&self, part: &Part) -> bool {
        let mut calls = Vec::new();
        left_calls(part, self.nullables, &mut calls);
        calls.iter().any(|call| self.group.contains(call))
    }

    /// Adds `part` followed by `after` to an equation of `rule`.
    fn split(
        &mut self,
        rule: usize,
        part: &Part,
        after: Vec<Part>,
        out: &mut Equation,
    ) -> Result<(), GrammarError> {
        self.spend(1 + after.iter().map(Part::size).sum::<usize>())?;
        if !self.begins(part) {
            let hides = nullable(part, self.nullables) && after.first().is_some_and(|a| self.begins(a));
            if hides {
                let rule = &self.rules.rules[rule];
                return Err(hidden(rule.place, &rule.name));
            }
            let mut parts = vec![part.clone()];
            parts.extend(after);
            out.rest.push(Part::seq(parts));
            return Ok(());
        }
        match part {
            Part::Rule(called) => match self.group.iter().position(|member| member == called) {
                Some(index) => {
                    let after = Part::seq(after);
                    match out.terms.iter_mut().find(|(to, _)| *to == index) {
                        Some((_, afters)) => afters.push(after),
                        None => out.terms.push((index, vec![after])),
                    }
                    Ok(())
                }
                // `begins` looks no further than the call itself.
                None => {
                    let mut parts = vec![part.clone()];
                    parts.extend(after);
                    out.rest.push(Part::seq(parts));
                    Ok(())
                }
            },
            Part::Alt(parts) => parts.iter().try_for_each(|part| self.split(rule, part, after.clone(), out)),
            Part::Seq(parts) => {
                let Some((first, rest)) = parts.split_first() else { return Ok(()) };
                let mut rest = rest.to_vec();
                // A member later in the sequence, behind a part that may be empty.
                if !self.begins(first) && nullable(first, self.nullables) {
                    let rule = &self.rules.rules[rule];
                    return Err(hidden(rule.place, &rule.name));
                }
                rest.extend(after);
                self.split(rule, first, rest, out)
            }
            Part::Repeat { item, min, max } => {
                if nullable(item, self.nullables) {
                    let rule = &self.rules.rules[rule];
                    return Err(hidden(rule.place, &rule.name));
                }
                if *min == 0 {
                    let rest = Part::seq(after.clone());
                    self.split(rule, &rest, Vec::new(), out)?;
                }
                let more = item.as_ref().clone().repeat(min.saturating_sub(1), max.map(|m| m - 1));
                let mut rest = vec![more];
                rest.extend(after);
                self.split(rule, item, rest, out)
            }
            _ => Ok(()),
        }
    }

    /// A name for a part that is used more than once.
    fn shared(&mut self, of: usize, part: Part) -> Part {
        if part.size() <= 2 {
            return part;
        }
        let RuleDef { name, place, .. } = &self.rules.rules[of];
        let (name, place) = (format!("{name}~{}", self.rules.rules.len()), *place);
        self.rules.rules.push(RuleDef { name, place, body: part });
        Part::Rule(self.rules.rules.len() - 1)
    }

    fn solve(mut self) -> Result<(), GrammarError> {
        for index in 0..self.group.len() {
            let rule = self.group[index];
            // Members that are solved begin with later members only.
            for earlier in 0..index {
                let Some(at) = self.equations[index].terms.iter().position(|(to, _)| *to == earlier) else {
                    continue;
                };
                let (_, afters) = self.equations[index].terms.swap_remove(at);
                let after = self.shared(rule, Part::alt(afters));
                let solved = self.equations[earlier].clone();
                for (to, before) in solved.terms {
                    let part = Part::seq(vec![Part::alt(before), after.clone()]);
                    self.spend(part.size())?;
                    let terms = &mut self.equations[index].terms;
                    match terms.iter_mut().find(|(known, _)| *known == to) {
                        Some((_, afters)) => afters.push(part),
                        None => terms.push((to, vec![part])),
                    }
                }
                let rest = Part::seq(vec![Part::alt(solved.rest), after]);
                self.spend(rest.size())?;
                self.equations[index].rest.push(rest);
            }
            let own = self.equations[index].terms.iter().position(|(to, _)| *to == index);
            let mut equation = std::mem::take(&mut self.equations[index]);
            if let Some(at) = own {
                let (_, afters) = equation.terms.swap_remove(at);
                // Once more through an empty text adds nothing.
                let afters = afters.into_iter().filter(|part| !part.is_empty()).collect();
                let more = self.shared(rule, Part::alt(afters)).repeat(0, None);
                let looped = |part: Part| Part::seq(vec![part, more.clone()]);
                for (_, afters) in &mut equation.terms {
                    *afters = vec![looped(Part::alt(std::mem::take(afters)))];
                }
                equation.rest = vec![looped(Part::alt(std::mem::take(&mut equation.rest)))];
            }
            for (_, afters) in &mut equation.terms {
                let part = self.shared(rule, Part::alt(std::mem::take(afters)));
                *afters = vec![part];
            }
            let rest = self.shared(rule, Part::alt(std::mem::take(&mut equation.rest)));
            equation.rest = vec![rest];
            self.equations[index] = equation;
        }
        for (index, equation) in std::mem::take(&mut self.equations).into_iter().enumerate() {
            let mut parts = equation.rest;
            for (to, afters) in equation.terms {
                parts.push(Part::seq(vec![Part::Rule(self.group[to]), Part::alt(afters)]));
            }
            self.rules.rules[self.group[index]].body = Part::alt(parts);
        }
        Ok(())
    }
}
