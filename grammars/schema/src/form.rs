//! The working form of a schema while it is normalised: per type, a union of rules.
//!
//! In-place keywords (`allOf`, `anyOf`, `$ref`, `not` ...) are computed on [`Form`]s; the schemas of members and items
//! stay lazy as [`Id`]s, so that recursion through them costs nothing and work is only done for what is reachable.
//! The set operations are in `algebra`, the readers of keywords in `keywords`.

use indexmap::IndexMap;
use serde_json::Number;

use crate::hash::FastBuild;
use crate::{Decimal, NumberRules, Pattern, StringRules};

/// A lazily computed set of values (an entry of the builder's table).
pub(crate) type Id = u32;
/// Every value.
pub(crate) const ANY: Id = 0;
/// No value.
pub(crate) const NEVER: Id = 1;
/// Where in the document something was said (an entry of the builder's table of places).
pub(crate) type Place = u32;

/// A set of values: the union of what each field allows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Form {
    pub(crate) null: bool,
    /// Bit 0: `false` is allowed, bit 1: `true` is.
    pub(crate) bools: u8,
    pub(crate) numbers: Vec<NumberAtom>,
    pub(crate) strings: Vec<StringAtom>,
    pub(crate) arrays: Vec<ArrayAtom>,
    pub(crate) objects: Vec<ObjectAtom>,
}

/// A number as written, and its value.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    pub(crate) text: Number,
    pub(crate) value: Decimal,
}

impl PartialEq for Constant {
    fn eq(&self, other: &Constant) -> bool {
        self.value == other.value
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NumberAtom {
    Values(Vec<Constant>),
    Rules(NumberRules),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StringAtom {
    Values(Vec<String>),
    Rules(StringRules),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArrayAtom {
    pub(crate) prefix: Vec<Id>,
    pub(crate) items: Id,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    pub(crate) contains: Vec<Counted>,
    /// Where `uniqueItems` was asked for.
    pub(crate) unique: Option<Place>,
    pub(crate) seen: SeenItems,
}

#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub(crate) id: Id,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    pub(crate) place: Place,
}

impl PartialEq for Counted {
    fn eq(&self, other: &Counted) -> bool {
        (self.id, self.min, self.max) == (other.id, other.min, other.max)
    }
}

/// Which items keywords have looked at, for `unevaluatedItems`. Kept only where that is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SeenItems {
    pub(crate) all: bool,
    pub(crate) prefix: usize,
    pub(crate) contains: Vec<Id>,
}

pub(crate) type Properties = IndexMap<String, Member, FastBuild>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Member {
    pub(crate) id: Id,
    pub(crate) required: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectAtom {
    /// What is known by name. Complete: patterns and `other`s that apply to these names are merged in.
    pub(crate) properties: Properties,
    /// What holds for every other name; all layers together.
    pub(crate) layers: Vec<Layer>,
    /// Every name, as a string, is in each of these.
    pub(crate) names: Vec<Id>,
    /// For each of these some member must be found.
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    pub(crate) seen: SeenNames,
}

/// Members whose name is in `key` but not in `except`, and whose value is in `id`.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) key: StringRules,
    pub(crate) except: Vec<String>,
    pub(crate) id: Id,
    pub(crate) place: Place,
    pub(crate) keyword: &'static str,
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Wanted) -> bool {
        self.id == other.id && self.key == other.key && self.except == other.except
    }
}

impl Wanted {
    /// Whether a member of this name can be one.
    pub(crate) fn is_about(&self, name: &str) -> bool {
        !self.except.iter().any(|other| other == name) && self.key.accepts(name)
    }
}

impl PartialEq for ObjectAtom {
    fn eq(&self, other: &ObjectAtom) -> bool {
        // Sums tell nearly all different maps apart without a single name being looked up.
        let sum = |atom: &ObjectAtom| -> u64 {
            atom.properties
                .values()
                .map(|member| u64::from(member.id) << 1 | u64::from(member.required))
                .sum()
        };
        self.properties.len() == other.properties.len()
            && sum(self) == sum(other)
            && (self.min, self.max, &self.names, &self.seen)
                == (other.min, other.max, &other.names, &other.seen)
            && self.layers == other.layers
            && self.wanted == other.wanted
            && self.properties == other.properties
    }
}

/// The value of a name is in the schema of each pattern that matches it, or in `other` if none does.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) patterns: Vec<(Pattern, Id)>,
    pub(crate) other: Id,
    pub(crate) place: Place,
}

impl PartialEq for Layer {
    fn eq(&self, other: &Layer) -> bool {
        self.other == other.other && self.patterns == other.patterns
    }
}

/// Which names keywords have looked at, for `unevaluatedProperties`. Kept only where that is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SeenNames {
    pub(crate) all: bool,
    pub(crate) names: Vec<String>,
    pub(crate) patterns: Vec<Pattern>,
}

impl Form {
    pub(crate) fn any() -> Form {
        Form {
            null: true,
            bools: 3,
            numbers: vec![NumberAtom::any()],
            strings: vec![StringAtom::any()],
            arrays: vec![ArrayAtom::any()],
            objects: vec![ObjectAtom::default()],
        }
    }

    pub(crate) fn is_never(&self) -> bool {
        !self.null
            && self.bools == 0
            && self.numbers.is_empty()
            && self.strings.is_empty()
            && self.arrays.is_empty()
            && self.objects.is_empty()
    }

    pub(crate) fn is_any(&self) -> bool {
        self.null
            && self.bools == 3
            && matches!(&self.numbers[..], [NumberAtom::Rules(r)] if r.is_any())
            && matches!(&self.strings[..], [StringAtom::Rules(r)] if r.is_any())
            && matches!(&self.arrays[..], [a] if a.is_any())
            && matches!(&self.objects[..], [o] if o.is_any())
    }
}

impl NumberAtom {
    pub(crate) fn any() -> NumberAtom {
        NumberAtom::Rules(NumberRules::default())
    }
}

impl StringAtom {
    pub(crate) fn any() -> StringAtom {
        StringAtom::Rules(StringRules::default())
    }

    pub(crate) fn accepts(&self, text: &str) -> bool {
        match self {
            StringAtom::Values(values) => values.iter().any(|v| v == text),
            StringAtom::Rules(rules) => rules.accepts(text),
        }
    }
}

impl ArrayAtom {
    pub(crate) fn any() -> ArrayAtom {
        ArrayAtom {
            prefix: Vec::new(),
            items: ANY,
            min: 0,
            max: None,
            contains: Vec::new(),
            unique: None,
            seen: SeenItems::default(),
        }
    }

    pub(crate) fn is_any(&self) -> bool {
        self.prefix.is_empty()
            && self.items == ANY
            && self.min == 0
            && self.max.is_none()
            && self.contains.is_empty()
            && self.unique.is_none()
    }

    pub(crate) fn item(&self, at: usize) -> Id {
        self.prefix.get(at).copied().unwrap_or(self.items)
    }
}

impl ObjectAtom {
    pub(crate) fn is_any(&self) -> bool {
        self.properties.is_empty()
            && self.layers.is_empty()
            && self.names.is_empty()
            && self.wanted.is_empty()
            && self.min == 0
            && self.max.is_none()
    }

    /// Whether every object of this atom is in another, as far as that shows without looking into any set.
    pub(crate) fn is_plainly_in(&self, other: &ObjectAtom) -> bool {
        let fits = |mine: &Member, theirs: &Member| {
            (mine.id == theirs.id || mine.id == NEVER || theirs.id == ANY)
                && (mine.required || !theirs.required)
        };
        let open = self.layers.is_empty();
        // What only one of them declares is any value in the other, where there are no layers.
        other.min <= self.min
            && other.max.is_none_or(|max| self.max.is_some_and(|mine| mine <= max))
            && self.layers == other.layers
            && self.names == other.names
            && self.seen == other.seen
            && other.wanted.iter().all(|wanted| self.wanted.contains(wanted))
            && other.properties.iter().all(|(name, theirs)| match self.properties.get(name) {
                Some(mine) => fits(mine, theirs),
                None => open && theirs.id == ANY && !theirs.required,
            })
            && (open || self.properties.len() == other.properties.len())
    }

    /// Whether no name but the declared ones is allowed.
    pub(crate) fn is_closed(&self) -> bool {
        self.layers.iter().any(|l| l.patterns.is_empty() && l.other == NEVER)
    }
}
