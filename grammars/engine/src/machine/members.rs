//! The members of an object as they come: which have, which may, and which still have to.

use crate::GrammarError;
use crate::compiled::Context;
use crate::grammar::ObjectDef;
use std::sync::Arc;

/// An object's members so far.
pub(crate) struct MemberState {
    /// Declared members so far.
    declared: u64,
    /// Undeclared ones.
    rest: u64,
    /// Required properties that are still missing.
    required_left: u64,
    /// What is wanted and has come.
    met: u8,
    kind: Kind,
}

/// Above this many bits of a count of undeclared members stands what has been met.
const COUNT_BITS: u32 = 28;

/// A packed count of undeclared members: the count, and what is met.
fn unpack(packed: u64) -> (u64, u8) {
    (packed & ((1 << COUNT_BITS) - 1), (packed >> COUNT_BITS) as u8)
}

enum Kind {
    /// Next declared position.
    Ordered(u32),
    /// Which declared positions were used.
    Small(u64),
    /// The same, for more than 64 declared properties, and the id of the set.
    Large(Arc<[u64]>, u64),
}

impl Context<'_> {
    /// Unpacks the state of an object.
    pub(crate) fn member_state(self, object: &ObjectDef, rest: u32, seen: u64) -> MemberState {
        if !object.any_order {
            let (others, met) = unpack(seen >> 32);
            return MemberState {
                declared: seen & 0xffff_ffff,
                rest: others,
                met,
                required_left: u64::from(object.required_from[rest as usize]),
                kind: Kind::Ordered(rest),
            };
        }
        let (declared, kind) = if object.values.len() <= 64 {
            (u64::from(seen.count_ones()), Kind::Small(seen))
        } else {
            let set = self.seen.get(seen, object.values.len());
            (set.iter().map(|w| u64::from(w.count_ones())).sum(), Kind::Large(set, seen))
        };
        let (rest, met) = unpack(u64::from(rest));
        let mut state = MemberState { declared, rest, met, required_left: 0, kind };
        let missing = |p: &usize| object.required[*p] && !state.has(*p as u32);
        state.required_left = (0..object.values.len()).filter(missing).count() as u64;
        state
    }
}

impl MemberState {
    pub(crate) fn members(&self) -> u64 {
        self.declared + self.rest
    }

    /// Declared ones.
    pub(crate) fn declared(&self) -> u64 {
        self.declared
    }

    /// Undeclared ones; only whether there are any, where no more is asked for.
    pub(crate) fn rest(&self) -> u64 {
        self.rest
    }

    /// True if the declared property at this position was used or passed.
    pub(crate) fn has(&self, position: u32) -> bool {
        match &self.kind {
            Kind::Ordered(next) => position < *next,
            Kind::Small(seen) => seen >> position & 1 == 1,
            Kind::Large(set, _) => set[position as usize / 64] >> (position % 64) & 1 == 1,
        }
    }

    /// The same once the one at `taken` has come: where order counts, those before it are passed.
    pub(crate) fn has_after(&self, taken: u32, position: u32) -> bool {
        let passed = matches!(self.kind, Kind::Ordered(_)) && position < taken;
        position == taken || passed || self.has(position)
    }

    /// True if the object may end here.
    pub(crate) fn may_close(&self, object: &ObjectDef) -> bool {
        self.declared + self.rest.min(1) >= object.min && self.required_left == 0 && self.missing(object) == 0
    }

    /// What is wanted and has not come.
    pub(crate) fn missing(&self, object: &ObjectDef) -> u8 {
        object.wanted & !self.met
    }

    /// How many undeclared members have to come for what is missing.
    fn missing_members(object: &ObjectDef, missing: u8) -> u64 {
        object.cover.get(usize::from(missing)).copied().unwrap_or(0)
    }

    /// True if the declared property at this position may come next.
    pub(crate) fn may_take(&self, object: &ObjectDef, position: u32) -> bool {
        let at = position as usize;
        if !object.usable[at] || self.has(position) {
            return false;
        }
        if let Kind::Ordered(next) = self.kind {
            if position > object.next_required[next as usize] {
                return false;
            }
            let to_come = u64::from(object.usable_from[at + 1]);
            let others = u64::from(self.rest > 0 || object.rest_open());
            if self.declared + 1 + to_come + others < object.min {
                return false;
            }
        }
        let required = self.required_left - u64::from(object.required[at]);
        MemberState::fits(object, (self.declared + 1, self.rest), required, self.missing(object))
    }

    /// Whether what has to come behind so many declared and undeclared members stays within the maximum.
    fn fits(object: &ObjectDef, (declared, rest): (u64, u64), required: u64, missing: u8) -> bool {
        object.max.is_none_or(|max| {
            let wanted = MemberState::missing_members(object, missing);
            // Undeclared members may repeat a name, so only one of them counts.
            let counted = declared + u64::from(rest + wanted > 0);
            let declared_left = required.max(object.min.saturating_sub(counted));
            declared + rest + declared_left + wanted <= max
        })
    }

    /// True if an undeclared property may come next.
    pub(crate) fn may_take_rest(&self, object: &ObjectDef) -> bool {
        (0..object.rest.len()).any(|at| self.may_take_other(object, at))
    }

    /// True if an undeclared property of this kind may come next.
    pub(crate) fn may_take_other(&self, object: &ObjectDef, at: usize) -> bool {
        let (bits, missing) = (object.rest_bits[at], self.missing(object));
        // What is wanted no more is one of the others.
        if !object.rest_usable[at] || (bits != 0 && bits & missing == 0) {
            return false;
        }
        let required = self.required_left;
        if matches!(self.kind, Kind::Ordered(_)) && (required > 0 || self.declared + 1 < object.min) {
            return false;
        }
        MemberState::fits(object, (self.declared, self.rest + 1), required, missing & !bits)
    }

    /// True if any property may come next.
    pub(crate) fn may_go_on(&self, object: &ObjectDef) -> bool {
        self.may_take_rest(object) || (0..object.values.len() as u32).any(|p| self.may_take(object, p))
    }

    pub(crate) fn cap(object: &ObjectDef, count: u64) -> u64 {
        if object.max.is_some() { count } else { count.min(object.min.max(1)) }
    }

    /// The undeclared members as they are packed.
    fn packed(&self) -> u64 {
        self.rest | u64::from(self.met) << COUNT_BITS
    }

    /// The packed state after one more undeclared property of this kind.
    pub(crate) fn with_other(&self, object: &ObjectDef, at: usize) -> (u32, u64) {
        let rest = if object.max.is_some() { self.rest + 1 } else { 1 };
        let met = self.met | object.rest_bits[at];
        let rest = rest | u64::from(met) << COUNT_BITS;
        match &self.kind {
            Kind::Ordered(_) => {
                (object.values.len() as u32, MemberState::cap(object, self.declared) | rest << 32)
            }
            Kind::Small(seen) => (rest as u32, *seen),
            Kind::Large(_, id) => (rest as u32, *id),
        }
    }

    /// The packed state after the declared property at this position.
    pub(crate) fn with(
        &self,
        ctx: Context<'_>,
        object: &ObjectDef,
        position: u32,
    ) -> Result<(u32, u64), GrammarError> {
        let rest = self.packed() as u32;
        match &self.kind {
            Kind::Ordered(_) => {
                Ok((position + 1, MemberState::cap(object, self.declared + 1) | self.packed() << 32))
            }
            Kind::Small(seen) => Ok((rest, seen | 1 << position)),
            Kind::Large(set, _) => {
                let mut set = set.to_vec();
                set[position as usize / 64] |= 1 << (position % 64);
                Ok((rest, ctx.seen.intern(set)?))
            }
        }
    }
}
