//! Automata written out in full: needed where products and complements have to know which states are alive.

use super::lengths::{LengthBounds, LengthTable, Lengths};
use super::{Automaton, Classes, Step, is_lead, utf8};
use crate::GrammarError;
use rustc_hash::FxHashMap;

/// Most states of a written-out automaton.
const MAX_STATES: usize = 1 << 13;
const NONE: u32 = u32::MAX;

/// A deterministic automaton as a table, without dead states.
pub(crate) struct Explicit {
    /// For each state one entry per class of bytes.
    table: Vec<u32>,
    accepts: Vec<bool>,
    lengths: Option<LengthTable>,
    classes: Classes,
    class_of: Box<[u8; 256]>,
    count: usize,
}

impl Explicit {
    /// Writes `automaton` out and removes dead states. Its `step` may be optimistic about being alive.
    pub(crate) fn new(
        automaton: &dyn Automaton,
        bounds: Option<LengthBounds>,
    ) -> Result<Explicit, GrammarError> {
        let ranges = automaton.classes().ranges();
        let mut start = Vec::new();
        automaton.start(&mut start);
        let mut ids: FxHashMap<Box<[u32]>, u32> = FxHashMap::default();
        let mut keys: Vec<Box<[u32]>> = vec![start.clone().into_boxed_slice()];
        ids.insert(start.into_boxed_slice(), 0);
        let mut table = Vec::new();
        let mut accepts = Vec::new();
        let mut next = Vec::new();
        while table.len() < keys.len() {
            let key = keys[table.len()].clone();
            accepts.push(automaton.accepts(&key));
            let mut row = [NONE; 256];
            for byte in (0..=255u8).filter(|&byte| ranges[byte as usize].0 == byte) {
                if automaton.step(&key, byte, &mut next) == Step::Dead {
                    continue;
                }
                let id = match ids.get(next.as_slice()) {
                    Some(&id) => id,
                    None => {
                        let id = keys.len() as u32;
                        if keys.len() >= MAX_STATES {
                            return Err(GrammarError::Limit {
                                what: "states of combined patterns",
                                limit: MAX_STATES as u64,
                            });
                        }
                        keys.push(next.as_slice().into());
                        ids.insert(next.as_slice().into(), id);
                        id
                    }
                };
                row[byte as usize..=ranges[byte as usize].1 as usize].fill(id);
            }
            table.push(row);
        }
        Explicit::from_table(table, accepts, bounds)
    }

    /// From a full table (state 0 starts, `u32::MAX` is no transition).
    pub(crate) fn from_table(
        mut table: Vec<[u32; 256]>,
        accepts: Vec<bool>,
        bounds: Option<LengthBounds>,
    ) -> Result<Explicit, GrammarError> {
        let mut back: Vec<Vec<(u32, u32)>> = vec![Vec::new(); table.len()];
        for (id, row) in table.iter().enumerate() {
            for (byte, &to) in row.iter().enumerate() {
                let edge = (id as u32, u32::from(is_lead(byte as u8)));
                if to != NONE && back[to as usize].last() != Some(&edge) && !back[to as usize].contains(&edge)
                {
                    back[to as usize].push(edge);
                }
            }
        }
        let mut alive = vec![false; table.len()];
        let mut stack: Vec<usize> = (0..table.len()).filter(|&id| accepts[id]).collect();
        while let Some(id) = stack.pop() {
            if !std::mem::replace(&mut alive[id], true) {
                stack.extend(back[id].iter().map(|&(from, _)| from as usize));
            }
        }
        for row in &mut table {
            for to in row.iter_mut() {
                if *to != NONE && !alive[*to as usize] {
                    *to = NONE;
                }
            }
        }
        let ends: Vec<(u32, bool)> =
            (0..table.len()).filter(|&id| accepts[id]).map(|id| (id as u32, false)).collect();
        let lengths = bounds.map(|bounds| LengthTable::new(&back, &ends, bounds)).transpose()?;
        let mut classes = Classes::utf8();
        for byte in 1..=255u8 {
            if table.iter().any(|row| row[byte as usize] != row[byte as usize - 1]) {
                classes.cut(byte, 255);
            }
        }
        let ranges = classes.ranges();
        let mut class_of = Box::new([0u8; 256]);
        let mut firsts = Vec::new();
        for byte in 0..=255u8 {
            if ranges[byte as usize].0 == byte {
                firsts.push(byte);
            }
            class_of[byte as usize] = (firsts.len() - 1) as u8;
        }
        let rows = table.iter().flat_map(|row| firsts.iter().map(|&byte| row[byte as usize]));
        Ok(Explicit { table: rows.collect(), accepts, lengths, classes, class_of, count: firsts.len() })
    }
}

impl Explicit {
    /// The bytes that may come next in a state, and where they lead.
    pub(crate) fn next(&self, state: u32) -> impl Iterator<Item = (u8, u32)> + '_ {
        (0..=255u8).filter_map(move |byte| Some((byte, self.step_to(state, byte)?)))
    }

    /// Where a byte leads.
    pub(crate) fn step_to(&self, state: u32, byte: u8) -> Option<u32> {
        let at = state as usize * self.count + self.class_of[byte as usize] as usize;
        Some(self.table[at]).filter(|&to| to != NONE)
    }

    /// True if the text may end in a state.
    pub(crate) fn is_end(&self, state: u32) -> bool {
        self.accepts[state as usize]
    }
}

impl Automaton for Explicit {
    fn start(&self, out: &mut Vec<u32>) {
        out.push(0);
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        out.clear();
        match self.step_to(state[0], byte) {
            None => Step::Dead,
            Some(to) => {
                out.push(to);
                if is_lead(byte) { Step::Starts } else { Step::Within }
            }
        }
    }

    fn accepts(&self, state: &[u32]) -> bool {
        self.accepts[state[0] as usize]
    }

    fn lengths(&self, state: &[u32]) -> Lengths {
        match &self.lengths {
            Some(table) => table.of(state.iter().copied()),
            None => Lengths::AtLeast(0),
        }
    }

    fn classes(&self) -> Classes {
        self.classes.clone()
    }
}

/// Texts that the automaton accepts, but none of whose beginnings it does.
pub(crate) struct Shortest(pub(crate) Box<dyn Automaton>);

impl Automaton for Shortest {
    fn start(&self, out: &mut Vec<u32>) {
        self.0.start(out);
    }

    // A state that is alive leads to a first end, and nothing is passed over on the way.
    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        if self.0.accepts(state) { Step::Dead } else { self.0.step(state, byte, out) }
    }

    fn accepts(&self, state: &[u32]) -> bool {
        self.0.accepts(state)
    }

    fn lengths(&self, state: &[u32]) -> Lengths {
        self.0.lengths(state)
    }

    fn classes(&self) -> super::Classes {
        self.0.classes()
    }
}

/// Texts that both automata accept. Optimistic about being alive: write it out before use.
pub(crate) struct Both(pub(crate) Box<dyn Automaton>, pub(crate) Box<dyn Automaton>);

impl Automaton for Both {
    fn start(&self, out: &mut Vec<u32>) {
        out.push(0);
        self.0.start(out);
        out[0] = out.len() as u32;
        let mut second = Vec::new();
        self.1.start(&mut second);
        out.extend(second);
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        let (first, second) = state.split_at(state[0] as usize);
        let mut a = Vec::new();
        let mut b = Vec::new();
        out.clear();
        let step = self.0.step(&first[1..], byte, &mut a);
        if step == Step::Dead || self.1.step(second, byte, &mut b) == Step::Dead {
            return Step::Dead;
        }
        out.push(a.len() as u32 + 1);
        out.extend(a);
        out.extend(b);
        step
    }

    fn accepts(&self, state: &[u32]) -> bool {
        let (first, second) = state.split_at(state[0] as usize);
        self.0.accepts(&first[1..]) && self.1.accepts(second)
    }

    fn classes(&self) -> Classes {
        let mut classes = self.0.classes();
        classes.refine(&self.1.classes());
        classes
    }

    fn lengths(&self, _: &[u32]) -> Lengths {
        Lengths::AtLeast(0)
    }
}

/// UTF-8 texts that the automaton does not accept. Optimistic about being alive: write it out before use.
pub(crate) struct Not(pub(crate) Box<dyn Automaton>);

impl Automaton for Not {
    fn start(&self, out: &mut Vec<u32>) {
        let mut inner = Vec::new();
        self.0.start(&mut inner);
        out.push(utf8::BOUNDARY);
        out.push(0);
        out.extend(inner);
    }

    fn step(&self, state: &[u32], byte: u8, out: &mut Vec<u32>) -> Step {
        out.clear();
        let Some(at) = utf8::step(state[0], byte) else { return Step::Dead };
        let mut inner = Vec::new();
        let gone = state[1] == 1 || self.0.step(&state[2..], byte, &mut inner) == Step::Dead;
        out.push(at);
        out.push(u32::from(gone));
        if !gone {
            out.extend(inner);
        }
        if is_lead(byte) { Step::Starts } else { Step::Within }
    }

    fn accepts(&self, state: &[u32]) -> bool {
        state[0] == utf8::BOUNDARY && (state[1] == 1 || !self.0.accepts(&state[2..]))
    }

    fn classes(&self) -> Classes {
        let mut classes = Classes::utf8();
        classes.refine(&self.0.classes());
        classes
    }

    fn lengths(&self, _: &[u32]) -> Lengths {
        Lengths::AtLeast(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LazyDfa, Regex};
    use super::*;

    fn regex(pattern: &str) -> Box<dyn Automaton> {
        let hir = regex_syntax::parse(pattern).expect("parses");
        Box::new(Regex::new(&hir, true, None).expect("builds"))
    }

    #[test]
    fn products_and_complements_know_what_is_alive() {
        let both = Both(regex("^a[bc]*$"), Box::new(Not(regex("c"))));
        let explicit = Explicit::new(&both, LengthBounds::new(0, Some(3)).ok()).expect("small");
        let d = LazyDfa::new(Box::new(explicit));
        let a = d.step(0, b'a').expect("ok").expect("alive").state;
        assert!(d.accepts(a));
        assert!(d.step(a, b'c').expect("ok").is_none(), "a text with c in it is not accepted");
        assert!(d.step(a, b'b').expect("ok").is_some());
        assert!(d.lengths(0).meets(1, 1) && !d.lengths(0).meets(0, 0));

        let nothing = Both(regex("^a"), regex("^b"));
        let d = LazyDfa::new(Box::new(Explicit::new(&nothing, None).expect("small")));
        assert!(!d.accepts(0) && !d.live(0));
    }
}
