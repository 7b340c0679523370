//! Sets of lengths: how many more characters a text may have. Exact, so that a length bound combined with a pattern
//! never leads into a dead end.

use crate::GrammarError;

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

    fn contains(&self, length: u32) -> bool {
        length <= self.cap && self.bits[length as usize / 64] >> (length % 64) & 1 == 1
    }

    /// Adds every length of `other`, plus `by` (0 or 1). True if something was new.
    pub(crate) fn merge(&mut self, other: &LengthSet, by: u32) -> bool {
        let mut changed = false;
        let mut carry = 0u64;
        let last_valid = {
            let used = self.cap % 64;
            if used == 63 { u64::MAX } else { (1u64 << (used + 1)) - 1 }
        };
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
