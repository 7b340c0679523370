//! Regular expressions as automata: sets of states of a Thompson construction over UTF-8, made one step at a time.
//!
//! Looks other than the two text anchors are refused. States that cannot reach a match are left out of every set,
//! so a non-empty set is always alive.

use super::lengths::{LengthBounds, LengthTable, Lengths};
use super::{Automaton, Classes, Step, is_lead, utf8};
use crate::GrammarError;
use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::{Dot, Hir, Repetition};

/// Marks the state of a search that has already found its match: anything may follow.
const FOUND: u32 = u32::MAX;
const NFA_BYTES: usize = 16 << 20;

/// A regular expression over whole texts, or over texts that contain a match.
pub(crate) struct Regex {
    nfa: NFA,
    search: bool,
    /// Per NFA state: can a match be reached once the text has begun (`^` no longer holds)?
    alive: Vec<bool>,
    /// Per NFA state: remaining lengths, if the caller bounds lengths.
    lengths: Option<LengthTable>,
}

impl Regex {
    /// `search`: accept every text that contains a match, as JSON Schema's `pattern` does; else the whole text has
    /// to match. `bounds`: the lengths that `lengths` will be asked about.
    pub(crate) fn new(hir: &Hir, search: bool, bounds: Option<LengthBounds>) -> Result<Regex, GrammarError> {
        let refuse = |reason: String| GrammarError::Regex { pattern: hir.to_string(), reason };
        let looks = hir.properties().look_set();
        if let Some(look) =
            looks.iter().find(|l| !matches!(l, regex_syntax::hir::Look::Start | regex_syntax::hir::Look::End))
        {
            return Err(refuse(format!("the assertion {look:?} is not supported, only ^ and $ are")));
        }
        let whole = if search {
            let any = Hir::repetition(Repetition {
                min: 0,
                max: None,
                greedy: true,
                sub: Box::new(Hir::dot(Dot::AnyChar)),
            });
            Hir::concat(vec![any, hir.clone()])
        } else {
            hir.clone()
        };
        let config =
            thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(NFA_BYTES));
        let nfa = thompson::Compiler::new()
            .configure(config)
            .build_from_hir(&whole)
            .map_err(|e| refuse(e.to_string()))?;
        let alive = alive(&nfa);
        let lengths = bounds.map(|bounds| all_lengths(&nfa, bounds, search)).transpose()?;
        Ok(Regex { nfa, search, alive, lengths })
    }

    /// Adds `from` and what it reaches without a byte. `start`: does `^` hold; `end`: does `$`.
    fn close(&self, from: StateID, start: bool, end: bool, out: &mut Vec<u32>, stack: &mut Vec<StateID>) {
        stack.push(from);
        while let Some(id) = stack.pop() {
            let number = id.as_u32();
            if !(self.alive[id.as_usize()] || start) || out.contains(&number) {
                continue;
            }
            match self.nfa.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) | State::Match { .. } => {
                    out.push(number);
                }
                State::Look { look: Look::Start, next } => {
                    if start {
                        stack.push(*next);
                    }
                }
                State::Look { next, .. } => {
                    if end {
                        stack.push(*next);
                    }
                    out.push(number);
                }
                State::Union { alternates } => {
                    out.push(number);
                    stack.extend(alternates.iter().rev());
                }
                State::BinaryUnion { alt1, alt2 } => {
                    out.push(number);
                    stack.extend([*alt2, *alt1]);
                }
                State::Capture { next, .. } => stack.push(*next),
                State::Fail => {}
            }
        }
    }

    fn finish(&self, out: &mut Vec<u32>, at_boundary: u32) {
        let keep = |id: u32| {
            let state = self.nfa.state(StateID::new_unchecked(id as usize));
            !matches!(state, State::Union { .. } | State::BinaryUnion { .. })
        };
        out.retain(|&id| keep(id));
        if self.search && out.iter().any(|&id| self.is_match(id)) {
            out.clear();
            out.extend([FOUND, at_boundary]);
            return;
        }
        out.sort_unstable();
    }

    fn is_match(&self, id: u32) -> bool {
        matches!(self.nfa.state(StateID::new_unchecked(id as usize)), State::Match { .. })
    }
}

impl Automaton for Regex {
    fn start(&self, out: &mut Vec<u32>) {
        self.close(self.nfa.start_anchored(), true, false, out, &mut Vec::new());
        self.finish(out, utf8::BOUNDARY);
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        out.clear();
        let kind = if is_lead(byte) { Step::Starts } else { Step::Within };
        if let [FOUND, at] = state {
            return match utf8::step(*at, byte) {
                Some(next) => {
                    out.extend([FOUND, next]);
                    kind
                }
                None => Step::Dead,
            };
        }
        let mut stack = Vec::new();
        for &id in state {
            let next = match self.nfa.state(StateID::new_unchecked(id as usize)) {
                State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
                State::Sparse(sparse) => sparse.matches_byte(byte),
                State::Dense(dense) => dense.matches_byte(byte),
                _ => None,
            };
            if let Some(next) = next {
                self.close(next, false, false, out, &mut stack);
            }
        }
        self.finish(out, utf8::BOUNDARY);
        if out.is_empty() { Step::Dead } else { kind }
    }

    fn accepts(&self, state: &[u32]) -> bool {
        if let [FOUND, at] = state {
            return *at == utf8::BOUNDARY;
        }
        let mut out = Vec::new();
        let mut stack = Vec::new();
        for &id in state {
            self.close(StateID::new_unchecked(id as usize), false, true, &mut out, &mut stack);
        }
        out.iter().any(|&id| self.is_match(id))
    }

    fn classes(&self) -> Classes {
        let mut classes = Classes::utf8();
        let of = self.nfa.byte_classes();
        for byte in 1..=255u8 {
            if of.get(byte) != of.get(byte - 1) {
                classes.cut(byte, 255);
            }
        }
        classes
    }

    fn lengths(&self, state: &[u32]) -> Lengths {
        match (&self.lengths, state) {
            (None, _) | (_, [FOUND, _]) => Lengths::AtLeast(0),
            (Some(table), ids) => table.of(ids.iter().copied()),
        }
    }
}

/// The states an NFA state goes to, each with the number of characters that begin on the way (0 or 1).
fn successors(nfa: &NFA, id: usize, mut visit: impl FnMut(usize, u32)) {
    // A range belongs to first bytes or to continuation bytes, never to both, in a UTF-8 automaton.
    let weight = |byte: u8| u32::from(is_lead(byte));
    match nfa.state(StateID::new_unchecked(id)) {
        State::ByteRange { trans } => visit(trans.next.as_usize(), weight(trans.start)),
        State::Sparse(sparse) => {
            sparse.transitions.iter().for_each(|t| visit(t.next.as_usize(), weight(t.start)));
        }
        State::Dense(dense) => {
            for byte in 0..=255u8 {
                if let Some(next) = dense.matches_byte(byte) {
                    visit(next.as_usize(), weight(byte));
                }
            }
        }
        State::Look { look: Look::Start, .. } | State::Fail | State::Match { .. } => {}
        State::Look { next, .. } | State::Capture { next, .. } => visit(next.as_usize(), 0),
        State::Union { alternates } => alternates.iter().for_each(|a| visit(a.as_usize(), 0)),
        State::BinaryUnion { alt1, alt2 } => {
            visit(alt1.as_usize(), 0);
            visit(alt2.as_usize(), 0);
        }
    }
}

/// `$` must be the last thing: behind it only states that need no byte lead to a match. A `Look::End` followed by a
/// byte can never match, so those states must count as dead.
fn after_end(nfa: &NFA) -> Vec<bool> {
    let count = nfa.states().len();
    let mut reaches: Vec<bool> =
        (0..count).map(|id| matches!(nfa.state(StateID::new_unchecked(id)), State::Match { .. })).collect();
    loop {
        let mut changed = false;
        for id in 0..count {
            let consuming = matches!(
                nfa.state(StateID::new_unchecked(id)),
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_)
            );
            if !reaches[id] && !consuming {
                let mut any = false;
                successors(nfa, id, |to, _| any |= reaches[to]);
                reaches[id] = any;
                changed |= any;
            }
        }
        if !changed {
            return reaches;
        }
    }
}

fn reverse(nfa: &NFA) -> Vec<Vec<(u32, u32)>> {
    let count = nfa.states().len();
    let silent = after_end(nfa);
    let mut back = vec![Vec::new(); count];
    for id in 0..count {
        let is_end = matches!(nfa.state(StateID::new_unchecked(id)), State::Look { look: Look::End, .. });
        successors(nfa, id, |to, weight| {
            if !is_end || silent[to] {
                let edge = (id as u32, weight);
                if !back[to].contains(&edge) {
                    back[to].push(edge);
                }
            }
        });
    }
    back
}

fn alive(nfa: &NFA) -> Vec<bool> {
    let back = reverse(nfa);
    let mut alive = vec![false; back.len()];
    let mut stack: Vec<usize> = (0..back.len())
        .filter(|&id| matches!(nfa.state(StateID::new_unchecked(id)), State::Match { .. }))
        .collect();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut alive[id], true) {
            stack.extend(back[id].iter().map(|&(from, _)| from as usize));
        }
    }
    alive
}

/// Behind the match of a search anything may follow, but nothing behind `$`.
fn all_lengths(nfa: &NFA, bounds: LengthBounds, search: bool) -> Result<LengthTable, GrammarError> {
    let mut back = reverse(nfa);
    let mut ends = Vec::new();
    let silent = search.then(|| after_end(nfa));
    for id in 0..back.len() {
        match (nfa.state(StateID::new_unchecked(id)), &silent) {
            (State::Match { .. }, _) => ends.push((id as u32, search)),
            (State::Look { look: Look::End, next }, Some(silent)) if silent[next.as_usize()] => {
                ends.push((id as u32, false));
            }
            _ => {}
        }
    }
    if search {
        let is_end = |&(id, _): &(u32, u32)| {
            matches!(nfa.state(StateID::new_unchecked(id as usize)), State::Look { look: Look::End, .. })
        };
        back.iter_mut().for_each(|edges| edges.retain(|edge| !is_end(edge)));
    }
    LengthTable::new(&back, &ends, bounds)
}

#[cfg(test)]
mod tests {
    use super::super::LazyDfa;
    use super::*;

    fn dfa(pattern: &str, search: bool) -> LazyDfa {
        let hir = regex_syntax::parse(pattern).expect("parses");
        LazyDfa::new(Box::new(Regex::new(&hir, search, None).expect("builds")))
    }

    fn run(dfa: &LazyDfa, text: &str) -> Option<bool> {
        let mut at = 0;
        for &b in text.as_bytes() {
            at = dfa.step(at, b).expect("within limits")?.state;
        }
        Some(dfa.accepts(at))
    }

    #[test]
    fn whole_texts() {
        let d = dfa("a(b|é)*c?", false);
        assert_eq!(run(&d, "a"), Some(true));
        assert_eq!(run(&d, "aéb"), Some(true));
        assert_eq!(run(&d, "abcc"), None);
        assert_eq!(run(&d, ""), Some(false));
    }

    #[test]
    fn searches_and_anchors() {
        assert_eq!(run(&dfa("b+", true), "aab!é"), Some(true));
        assert_eq!(run(&dfa("b+", true), "aa"), Some(false));
        assert_eq!(run(&dfa("^b", true), "ab"), None);
        assert_eq!(run(&dfa("^b", true), "bzz"), Some(true));
        assert_eq!(run(&dfa("b$", true), "abz"), Some(false));
        assert_eq!(run(&dfa("b$", true), "abzb"), Some(true));
        assert_eq!(run(&dfa("^ab$", true), "ab"), Some(true));
        assert_eq!(run(&dfa("^ab$", true), "abc"), None);
        assert_eq!(run(&dfa("^$", true), ""), Some(true));
        assert_eq!(run(&dfa("^$", true), "a"), None);
        assert_eq!(run(&dfa("^(a|b$)", true), "b"), Some(true));
        assert_eq!(run(&dfa("^(a|b$)", true), "bb"), None);
        assert_eq!(run(&dfa("a$b|c", true), "xa"), Some(false));
    }

    #[test]
    fn lengths_are_exact() {
        let bounds = LengthBounds::new(0, Some(9)).expect("small");
        let lengths = |pattern: &str, search| {
            let hir = regex_syntax::parse(pattern).expect("parses");
            let regex = Regex::new(&hir, search, Some(bounds)).expect("builds");
            let mut start = Vec::new();
            regex.start(&mut start);
            let lengths = regex.lengths(&start);
            (0..=9).filter(|&n| lengths.meets(n, n)).collect::<Vec<_>>()
        };
        assert_eq!(lengths("(ab)*", false), [0, 2, 4, 6, 8]);
        assert_eq!(lengths("^é{2,3}$", true), [2, 3]);
        assert_eq!(lengths("^ab", true), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(lengths("ab$", true), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(lengths("^(a|bbb)$|^c{5}", true), [1, 3, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn other_assertions_are_refused() {
        let hir = regex_syntax::parse(r"\bx").expect("parses");
        assert!(matches!(Regex::new(&hir, true, None), Err(GrammarError::Regex { .. })));
    }
}
