//! A plain Thompson automaton over characters, for deciding single strings and for proving two languages disjoint.
//!
//! Counted repetitions are unrolled, which [`size`] foresees, so that a pattern that is too large is refused before.

use std::collections::HashSet;

use regex_syntax::hir::{Class, Hir, HirKind};

/// Largest automaton a pattern may need.
pub(super) const MAX_STATES: usize = 200_000;
/// Pairs of states looked at before a question of disjointness is left open.
const MAX_PAIRS: usize = 20_000;

/// Number of states [`Nfa::new`] would make, saturating.
pub(super) fn size(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Repetition(r) => {
            let copies = match r.max {
                Some(max) => max as usize,
                None => r.min as usize + 1,
            };
            size(&r.sub).saturating_add(1).saturating_mul(copies.max(1))
        }
        HirKind::Capture(c) => size(&c.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(1, |sum: usize, p| sum.saturating_add(size(p)).saturating_add(1))
        }
    }
}

/// Sorted, non-overlapping inclusive ranges.
type Ranges = Box<[(char, char)]>;

enum State {
    Split(Vec<u32>),
    Read(Ranges, u32),
    Accept,
}

pub(super) struct Nfa {
    states: Vec<State>,
    start: u32,
}

impl Nfa {
    pub(super) fn new(hir: &Hir) -> Nfa {
        let mut nfa = Nfa { states: vec![State::Accept], start: 0 };
        nfa.start = nfa.add(hir, 0);
        nfa
    }

    fn push(&mut self, state: State) -> u32 {
        self.states.push(state);
        (self.states.len() - 1) as u32
    }

    /// Adds `hir` so that it continues at `next`; returns where it begins.
    fn add(&mut self, hir: &Hir, next: u32) -> u32 {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => next,
            HirKind::Literal(literal) => {
                let text = String::from_utf8_lossy(&literal.0).into_owned();
                text.chars().rev().fold(next, |next, c| self.push(State::Read(Box::new([(c, c)]), next)))
            }
            HirKind::Class(class) => {
                let ranges: Ranges = match class {
                    Class::Unicode(class) => class.iter().map(|r| (r.start(), r.end())).collect(),
                    Class::Bytes(class) => {
                        class.iter().map(|r| (char::from(r.start()), char::from(r.end()))).collect()
                    }
                };
                self.push(State::Read(ranges, next))
            }
            HirKind::Capture(capture) => self.add(&capture.sub, next),
            HirKind::Concat(parts) => parts.iter().rev().fold(next, |next, part| self.add(part, next)),
            HirKind::Alternation(parts) => {
                let starts = parts.iter().map(|part| self.add(part, next)).collect();
                self.push(State::Split(starts))
            }
            HirKind::Repetition(r) => {
                let mut at = next;
                match r.max {
                    None => {
                        let split = self.push(State::Split(Vec::new()));
                        let body = self.add(&r.sub, split);
                        self.states[split as usize] = State::Split(vec![body, next]);
                        at = split;
                    }
                    Some(max) => {
                        for _ in r.min..max {
                            let body = self.add(&r.sub, at);
                            at = self.push(State::Split(vec![body, next]));
                        }
                    }
                }
                (0..r.min).fold(at, |at, _| self.add(&r.sub, at))
            }
        }
    }

    /// Adds the states reachable from `from` without reading. Returns whether the end is among them.
    fn close(&self, from: u32, seen: &mut [bool], reading: &mut Vec<u32>) -> bool {
        let mut stack = vec![from];
        let mut accept = false;
        while let Some(at) = stack.pop() {
            if std::mem::replace(&mut seen[at as usize], true) {
                continue;
            }
            match &self.states[at as usize] {
                State::Accept => accept = true,
                State::Read(..) => reading.push(at),
                State::Split(to) => stack.extend(to.iter().copied()),
            }
        }
        accept
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        let mut seen = vec![false; self.states.len()];
        let mut now = Vec::new();
        let mut accept = self.close(self.start, &mut seen, &mut now);
        let mut next = Vec::new();
        for c in text.chars() {
            seen.fill(false);
            accept = false;
            for &at in &now {
                if let State::Read(ranges, to) = &self.states[at as usize]
                    && ranges.iter().any(|(lo, hi)| (*lo..=*hi).contains(&c))
                {
                    accept |= self.close(*to, &mut seen, &mut next);
                }
            }
            now.clear();
            std::mem::swap(&mut now, &mut next);
            if now.is_empty() && !accept {
                return false;
            }
        }
        accept
    }

    /// Whether the two automata have no string in common, by walking pairs of states.
    pub(super) fn is_disjoint(&self, other: &Nfa) -> Option<bool> {
        let mut seen = HashSet::new();
        let mut stack = vec![(self.start, other.start)];
        while let Some(pair) = stack.pop() {
            if !seen.insert(pair) {
                continue;
            }
            if seen.len() > MAX_PAIRS {
                return None;
            }
            let (a, b) = pair;
            match (&self.states[a as usize], &other.states[b as usize]) {
                (State::Split(to), _) => stack.extend(to.iter().map(|a| (*a, b))),
                (_, State::Split(to)) => stack.extend(to.iter().map(|b| (a, *b))),
                (State::Accept, State::Accept) => return Some(false),
                (State::Accept, _) | (_, State::Accept) => {}
                (State::Read(x, a), State::Read(y, b)) => {
                    if x.iter().any(|(lo, hi)| y.iter().any(|(l, h)| l <= hi && lo <= h)) {
                        stack.push((*a, *b));
                    }
                }
            }
        }
        Some(true)
    }
}
