//! Sets of lengths: how many more characters a text may have. Exact, so that a length bound combined with a pattern
//! never leads into a dead end.

use crate::GrammarError;
use rustc_hash::FxHashMap;

/// How many more characters an accepted text may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lengths {
    /// Any number from this one on.
    AtLeast(u32),
    /// The numbers whose bit is set.
    Set(LengthSet),
}

impl Lengths {
    /// True if some length lies in `low ..= high`.
    pub(crate) fn meets(&self, low: u64, high: u64) -> bool {
        match self {
            Lengths::AtLeast(n) => high >= u64::from(*n) && low <= high,
            Lengths::Set(set) => set.meets(low, high),
        }
    }

    /// A set, or that it has every length from the least on.
    pub(crate) fn from_set(set: LengthSet) -> Lengths {
        match set.first_from(0) {
            Some(least) if set.is_full_from(least as u32) => Lengths::AtLeast(least as u32),
            _ => Lengths::Set(set),
        }
    }

    /// True if every length from the least on is there.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Lengths::AtLeast(_))
    }

    /// The smallest length from `low` on.
    pub(crate) fn first_from(&self, low: u64) -> Option<u64> {
        match self {
            Lengths::AtLeast(n) => Some(low.max(u64::from(*n))),
            Lengths::Set(set) => set.first_from(low),
        }
    }
}

/// A bit per length up to a cap. If `open`, the last bit stands for every length from the cap on *that matters to
/// the caller*: callers with no upper bound choose the cap as their lower bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LengthSet {
    bits: Vec<u64>,
    cap: u32,
    open: bool,
}

impl LengthSet {
    pub(crate) fn empty(bounds: LengthBounds) -> LengthSet {
        LengthSet { bits: vec![0; bounds.cap as usize / 64 + 1], cap: bounds.cap, open: bounds.open }
    }

    pub(crate) fn insert(&mut self, length: u32) {
        let length = if length > self.cap && self.open { self.cap } else { length };
        if length <= self.cap {
            self.bits[length as usize / 64] |= 1 << (length % 64);
        }
    }

    /// Adds every length from this one on.
    fn insert_from(&mut self, least: u32) {
        if least > self.cap {
            if self.open && least != FAR {
                self.insert(self.cap);
            }
            return;
        }
        let first = least as usize / 64;
        self.bits[first] |= u64::MAX << (least % 64);
        self.bits[first + 1..].fill(u64::MAX);
        let last = self.bits.len() - 1;
        self.bits[last] &= self.last_valid();
    }

    fn is_full_from(&self, least: u32) -> bool {
        let mut full = LengthSet { bits: vec![0; self.bits.len()], ..*self };
        full.insert_from(least);
        full.bits == self.bits
    }

    /// The bits of the last word that stand for lengths.
    fn last_valid(&self) -> u64 {
        let used = self.cap % 64;
        if used == 63 { u64::MAX } else { (1u64 << (used + 1)) - 1 }
    }

    fn contains(&self, length: u32) -> bool {
        length <= self.cap && self.bits[length as usize / 64] >> (length % 64) & 1 == 1
    }

    /// Adds every length of `other`, plus `by` (0 or 1). True if something was new.
    pub(crate) fn merge(&mut self, other: &LengthSet, by: u32) -> bool {
        let mut changed = false;
        let mut carry = 0u64;
        let last_valid = self.last_valid();
        let words = self.bits.len();
        for (index, (mine, &theirs)) in self.bits.iter_mut().zip(&other.bits).enumerate() {
            let mut value = if by == 0 { theirs } else { theirs << 1 | carry };
            carry = theirs >> 63;
            if index + 1 == words {
                value &= last_valid;
            }
            changed |= value & !*mine != 0;
            *mine |= value;
        }
        if by == 1 && self.open && other.contains(self.cap) && !self.contains(self.cap) {
            self.insert(self.cap);
            changed = true;
        }
        changed
    }

    fn first_from(&self, low: u64) -> Option<u64> {
        if self.open && low > u64::from(self.cap) {
            return self.contains(self.cap).then_some(low);
        }
        let mut at = low;
        while at <= u64::from(self.cap) {
            let word = self.bits[at as usize / 64] >> (at % 64);
            if word != 0 {
                return Some(at + u64::from(word.trailing_zeros()));
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    fn meets(&self, low: u64, high: u64) -> bool {
        self.first_from(low).is_some_and(|n| n <= high)
    }
}

/// Which lengths each state of an automaton has ahead of it.
///
/// Most states have every length from some least one on, because somewhere ahead a single character can be repeated.
/// That is found by two searches backwards from the ends; only for automata with other states are whole sets kept.
pub(crate) struct LengthTable {
    short: Vec<u32>,
    /// The least length by way of a character that can be repeated.
    looped: Vec<u32>,
    /// For the states whose lengths are not all from the least one on.
    sets: FxHashMap<u32, LengthSet>,
    bounds: LengthBounds,
}

const FAR: u32 = u32::MAX;

impl LengthTable {
    /// `back`: for each state those before it, each with the characters that begin on the way (0 or 1). `ends`: the
    /// states in which the text may end, and whether anything may follow there.
    pub(crate) fn new(
        back: &[Vec<(u32, u32)>],
        ends: &[(u32, bool)],
        bounds: LengthBounds,
    ) -> Result<LengthTable, GrammarError> {
        let short = nearest(back, ends.iter().map(|&(state, _)| (state, 0)));
        let repeated = repeatable(back);
        let seeds = (0..back.len() as u32).filter(|&state| repeated[state as usize]);
        let seeds = seeds.map(|state| (state, short[state as usize]));
        let open = ends.iter().filter(|end| end.1).map(|&(state, _)| (state, 0));
        let looped = nearest(back, seeds.chain(open));
        let table = LengthTable { short, looped, sets: FxHashMap::default(), bounds };
        table.with_sets(back, ends)
    }

    fn is_closed(&self, state: u32) -> bool {
        self.short[state as usize] == self.looped[state as usize]
    }

    /// The set of a state that has every length from the least one on.
    fn closed_set(&self, state: u32) -> LengthSet {
        let mut set = LengthSet::empty(self.bounds);
        set.insert_from(self.short[state as usize]);
        set
    }

    fn with_sets(
        mut self,
        back: &[Vec<(u32, u32)>],
        ends: &[(u32, bool)],
    ) -> Result<LengthTable, GrammarError> {
        let open: Vec<u32> = (0..back.len() as u32).filter(|&state| !self.is_closed(state)).collect();
        if open.is_empty() {
            return Ok(self);
        }
        self.bounds.check(open.len())?;
        for &state in &open {
            self.sets.insert(state, LengthSet::empty(self.bounds));
        }
        let mut queue = std::collections::VecDeque::new();
        let mut queued = vec![false; back.len()];
        for &(state, _) in ends {
            if let Some(set) = self.sets.get_mut(&state) {
                set.insert(0);
                if !std::mem::replace(&mut queued[state as usize], true) {
                    queue.push_back(state);
                }
            }
        }
        let before_open = |state: u32| back[state as usize].iter().any(|&(from, _)| !self.is_closed(from));
        let closed = (0..back.len() as u32).filter(|&state| self.is_closed(state) && before_open(state));
        let closed: Vec<u32> = closed.filter(|&state| self.short[state as usize] != FAR).collect();
        queue.extend(closed);
        let mut work = 0;
        while let Some(state) = queue.pop_front() {
            queued[state as usize] = false;
            let set = match self.sets.get(&state) {
                Some(set) => set.clone(),
                None => self.closed_set(state),
            };
            work += (back[state as usize].len() + 1) * set.bits.len();
            if work > MAX_WORK {
                let what = "steps to find the possible lengths of a pattern";
                return Err(GrammarError::Limit { what, limit: MAX_WORK as u64 });
            }
            for &(from, weight) in &back[state as usize] {
                let Some(to) = self.sets.get_mut(&from) else { continue };
                if to.merge(&set, weight) && !std::mem::replace(&mut queued[from as usize], true) {
                    queue.push_back(from);
                }
            }
        }
        Ok(self)
    }

    /// The lengths ahead of a set of states.
    pub(crate) fn of(&self, states: impl Iterator<Item = u32> + Clone) -> Lengths {
        let least = |table: &[u32]| states.clone().map(|state| table[state as usize]).min().unwrap_or(FAR);
        let (short, looped) = (least(&self.short), least(&self.looped));
        if short == looped {
            return Lengths::AtLeast(short);
        }
        let mut all = LengthSet::empty(self.bounds);
        for state in states {
            match self.sets.get(&state) {
                Some(set) => all.merge(set, 0),
                None => all.merge(&self.closed_set(state), 0),
            };
        }
        Lengths::from_set(all)
    }
}

/// The number of characters to the nearest seed, each of which has a number of its own.
fn nearest(back: &[Vec<(u32, u32)>], seeds: impl Iterator<Item = (u32, u32)>) -> Vec<u32> {
    let mut distance = vec![FAR; back.len()];
    let mut levels: Vec<Vec<u32>> = Vec::new();
    let reach = |state: u32, at: u32, distance: &mut Vec<u32>, levels: &mut Vec<Vec<u32>>| {
        if at < distance[state as usize] {
            distance[state as usize] = at;
            if levels.len() <= at as usize {
                levels.resize_with(at as usize + 1, Vec::new);
            }
            levels[at as usize].push(state);
        }
    };
    for (state, at) in seeds.filter(|&(_, at)| at != FAR) {
        reach(state, at, &mut distance, &mut levels);
    }
    let mut at = 0;
    while at < levels.len() {
        while let Some(state) = levels[at].pop() {
            if distance[state as usize] == at as u32 {
                for &(from, weight) in &back[state as usize] {
                    reach(from, at as u32 + weight, &mut distance, &mut levels);
                }
            }
        }
        at += 1;
    }
    distance
}

/// The states that one character leads from and back to, as far as a short search finds them.
fn repeatable(back: &[Vec<(u32, u32)>]) -> Vec<bool> {
    const FUEL: usize = 256;
    let mut forward: Vec<Vec<(u32, u32)>> = vec![Vec::new(); back.len()];
    for (to, edges) in back.iter().enumerate() {
        edges.iter().for_each(|&(from, weight)| forward[from as usize].push((to as u32, weight)));
    }
    let mut found = vec![false; back.len()];
    // For each state and 0 or 1 characters begun: the search that saw it last.
    let mut seen = vec![[FAR; 2]; back.len()];
    // States in the order they are seen, each with what it was seen from.
    let mut queue: Vec<(u32, u32, usize)> = Vec::new();
    for state in 0..back.len() as u32 {
        if found[state as usize] || forward[state as usize].len() < 2 {
            continue;
        }
        queue.clear();
        queue.push((state, 0, 0));
        let mut next = 0;
        'search: while next < queue.len() && queue.len() < FUEL {
            let (at, begun, _) = queue[next];
            for &(to, weight) in &forward[at as usize] {
                let begun = begun + weight;
                if begun == 1 && to == state {
                    // Every state on the way round is on such a way itself.
                    let mut on_way = next;
                    while on_way != 0 {
                        found[queue[on_way].0 as usize] = true;
                        on_way = queue[on_way].2;
                    }
                    found[state as usize] = true;
                    break 'search;
                }
                if begun <= 1 && std::mem::replace(&mut seen[to as usize][begun as usize], state) != state {
                    queue.push((to, begun, next));
                }
            }
            next += 1;
        }
    }
    found
}

/// Most words of sets that are put together.
const MAX_WORK: usize = 1 << 26;

/// Which lengths a caller will ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LengthBounds {
    cap: u32,
    open: bool,
}

impl LengthBounds {
    /// For texts of `min ..= max` characters.
    pub(crate) fn new(min: u64, max: Option<u64>) -> Result<LengthBounds, GrammarError> {
        let cap = max.unwrap_or(min);
        if cap > 1 << 20 {
            return Err(GrammarError::Limit {
                what: "characters bounded together with a pattern",
                limit: 1 << 20,
            });
        }
        Ok(LengthBounds { cap: cap as u32, open: max.is_none() })
    }

    /// Refuses tables that would take too much memory.
    pub(crate) fn check(self, states: usize) -> Result<(), GrammarError> {
        if (u64::from(self.cap) + 64) * states as u64 > 1 << 27 {
            return Err(GrammarError::Limit { what: "pattern states times length bound", limit: 1 << 27 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_shift_and_saturate() {
        let bounds = LengthBounds::new(3, None).expect("small");
        let mut a = LengthSet::empty(bounds);
        a.insert(2);
        let mut b = LengthSet::empty(bounds);
        assert!(b.merge(&a, 1));
        assert!(b.meets(3, 3) && !b.meets(0, 2));
        assert!(b.meets(50, u64::MAX), "the last bit is open");
        let mut c = b.clone();
        assert!(!c.merge(&b, 1));

        let bounds = LengthBounds::new(0, Some(64)).expect("small");
        let mut a = LengthSet::empty(bounds);
        a.insert(63);
        a.insert(64);
        let mut b = LengthSet::empty(bounds);
        b.merge(&a, 1);
        assert!(b.meets(64, 64) && !b.meets(0, 63) && !b.meets(65, 70));
        assert_eq!(b.first_from(1), Some(64));
    }
}
