//! The normalised schema: what its readers see.
//!
//! A [`Node`] is a set of JSON values. Nodes refer to each other by [`NodeId`] and may be recursive. References,
//! `allOf`, `not`, `if` and the like are gone: what is left are types with rules, finite sets, and unions.
//! Numbers are compared by value (`1` equals `1.0`), strings by Unicode scalar values, objects without regard to order.

use std::ops::{BitOr, BitOrAssign};

use indexmap::IndexMap;
use serde_json::Value;

use crate::{Decimal, Pattern};

/// A node of one [`Schema`](crate::Schema). Nodes of equal structure share their id (but for copies of a recursion
/// that is written out in several ways).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Position in the schema's arena: dense, from 0, for side tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of JSON values.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Every JSON value.
    Any,
    /// No value at all.
    Never,
    /// `null`.
    Null,
    /// `true` and `false`.
    Bool,
    /// Numbers.
    Number(NumberRules),
    /// Strings.
    String(StringRules),
    /// Arrays.
    Array(ArrayRules),
    /// Objects.
    Object(ObjectRules),
    /// A finite, non-empty set of different scalars: booleans, strings, numbers, null, each in the order of the schema.
    /// Constant arrays and objects become [`Node::Array`] and [`Node::Object`] with constant members.
    Enum(Vec<Value>),
    /// The union of at least two nodes, none of them [`Node::AnyOf`], [`Node::Any`] or [`Node::Never`].
    /// They may overlap.
    AnyOf(Vec<NodeId>),
}

/// Which numbers. The default is every number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NumberRules {
    /// Only numbers without fractional part (`1.0` and `1e2` have none). Bounds are then inclusive integers.
    pub integer: bool,
    /// Lower bound.
    pub min: Option<Bound>,
    /// Upper bound.
    pub max: Option<Bound>,
    /// The number is a whole multiple of this positive value. With `integer`, this is itself an integer above 1.
    pub multiple_of: Option<Decimal>,
    /// The number is a whole multiple of none of these (from `not`); `[1]` means "has a fractional part".
    pub not_multiple_of: Vec<Decimal>,
}

/// One end of a range of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bound {
    /// The exact limit.
    pub value: Decimal,
    /// Whether the limit itself is left out.
    pub exclusive: bool,
}

/// Which strings. The default is every string. All rules hold together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct StringRules {
    /// Least length in Unicode scalar values.
    pub min_chars: u64,
    /// Greatest length in Unicode scalar values.
    pub max_chars: Option<u64>,
    /// The whole string is in the language of each of these (from `pattern` and `format`).
    pub patterns: Vec<Pattern>,
    /// The whole string is in the language of none of these (from `not` and from keys that match no pattern).
    pub excluded: Vec<Pattern>,
    /// The string is none of these (from `not` over `enum` or `const`).
    pub excluded_values: Vec<String>,
}

/// Which arrays. The default is every array once `items` is [`Node::Any`]. All rules hold together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArrayRules {
    /// Schemas of the first items, by position. An array may be shorter than this unless `min` says otherwise.
    pub prefix: Vec<NodeId>,
    /// Schema of every later item.
    pub items: NodeId,
    /// Least number of items.
    pub min: u64,
    /// Greatest number of items (never above `prefix.len()` where `items` is [`Node::Never`]).
    pub max: Option<u64>,
    /// Items of certain kinds are counted, over the whole array.
    pub contains: Vec<Contains>,
    /// For every position of `prefix`, and then for all later ones: which items may stand there and what they count
    /// towards. An array keeps the rules if and only if its items can be taken as one of these each so that all counts
    /// of `contains` come out. Empty without `contains`.
    pub kinds: Vec<Vec<Kind>>,
    /// No two items are equal. Set only where every item has a finite set of scalars to choose from
    /// ([`Node::Enum`], [`Node::Bool`], [`Node::Null`]); anything else is refused.
    pub unique: bool,
}

/// `contains` with `minContains` and `maxContains`: between `min` and `max` items are in `node`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contains {
    /// The items that count.
    pub node: NodeId,
    /// Exactly the values that are not in `node`; present whenever `max` is.
    pub others: Option<NodeId>,
    /// Least number of items that count.
    pub min: u64,
    /// Greatest number of items that count.
    pub max: Option<u64>,
}

/// Items that count alike. See [`ArrayRules::kinds`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Their schema; never [`Node::Never`].
    pub node: NodeId,
    /// Bit `i`: one more for `contains[i]`.
    pub counts: u32,
}

/// Which objects. All rules hold together. Keys are never repeated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObjectRules {
    /// Declared properties in declared order. One whose schema is [`Node::Never`] must not be present.
    pub properties: IndexMap<String, Property>,
    /// What properties with other names may be. A name that is not in `properties` must be in the `key` of one of
    /// these and its value in that one's `value`. No other name is allowed, so an empty list is a closed object.
    /// No name is in two entries with different values.
    pub rest: Vec<Rest>,
    /// Undeclared properties of which some must be present (from `not`): for every bit below `wanted_bits`, a property
    /// that is in the `key` and in the `value` of an entry with that bit. Each entry lies within `rest`.
    pub wanted: Vec<Wanted>,
    /// How many bits there are; 0 where nothing is wanted.
    pub wanted_bits: u32,
    /// Least number of properties.
    pub min: u64,
    /// Greatest number of properties.
    pub max: Option<u64>,
}

/// Undeclared properties that must not all be missing. See [`ObjectRules::wanted`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The names, less the declared ones.
    pub key: StringRules,
    /// Their values; never [`Node::Never`].
    pub value: NodeId,
    /// What it is good for.
    pub bits: u32,
}

/// A declared property.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Property {
    /// What its value may be.
    pub schema: NodeId,
    /// Whether it must be present.
    pub required: bool,
}

/// A class of undeclared property names and what their values may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rest {
    /// The names, less the declared ones.
    pub key: StringRules,
    /// Their values; never [`Node::Never`].
    pub value: NodeId,
}

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TypeSet(u8);

impl TypeSet {
    /// No type.
    pub const NONE: TypeSet = TypeSet(0);
    /// `null`.
    pub const NULL: TypeSet = TypeSet(1);
    /// `true`, `false`.
    pub const BOOLEAN: TypeSet = TypeSet(2);
    /// Numbers without fractional part.
    pub const INTEGER: TypeSet = TypeSet(4);
    /// Numbers with fractional part. A schema of `"type": "number"` has both this and [`TypeSet::INTEGER`].
    pub const FRACTION: TypeSet = TypeSet(8);
    /// Strings.
    pub const STRING: TypeSet = TypeSet(16);
    /// Arrays.
    pub const ARRAY: TypeSet = TypeSet(32);
    /// Objects.
    pub const OBJECT: TypeSet = TypeSet(64);
    /// All numbers.
    pub const NUMBER: TypeSet = TypeSet(4 | 8);
    /// All types.
    pub const ALL: TypeSet = TypeSet(127);

    /// Whether all of `other` is in `self`.
    pub const fn contains(self, other: TypeSet) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in `self`.
    pub const fn intersects(self, other: TypeSet) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is no type.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for TypeSet {
    type Output = TypeSet;
    fn bitor(self, rhs: TypeSet) -> TypeSet {
        TypeSet(self.0 | rhs.0)
    }
}

impl BitOrAssign for TypeSet {
    fn bitor_assign(&mut self, rhs: TypeSet) {
        self.0 |= rhs.0;
    }
}

impl StringRules {
    /// Whether every string is allowed.
    pub fn is_any(&self) -> bool {
        self.min_chars == 0
            && self.max_chars.is_none()
            && self.patterns.is_empty()
            && self.excluded.is_empty()
            && self.excluded_values.is_empty()
    }
}

impl NumberRules {
    /// Whether every number is allowed.
    pub fn is_any(&self) -> bool {
        *self == NumberRules::default()
    }
}
