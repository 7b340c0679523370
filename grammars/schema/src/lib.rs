//! JSON Schema, normalised: what a value may be, or which keyword cannot be expressed.
//!
//! [`Schema::compile`] turns a schema document (drafts 4 to 2020-12, and the loose dialects found in tool
//! definitions) into a small graph of [`Node`]s that says *exactly* which values are allowed. References, `allOf`,
//! `oneOf`, `not`, `if`, `dependent*` and `unevaluated*` are computed away; what cannot be expressed is a
//! [`SchemaError`] that names the pointer and the keyword, never a looser graph. With [`Options::lenient`] it is
//! dropped instead and listed in [`Schema::notes`].
//!
//! Three readers use the graph: the grammar engine (nodes to token masks), the streaming parser (what type a raw
//! parameter value has) and the printers. This crate knows nothing of grammars, text spelling or white space.
//!
//! # What is exact, and what is refused
//!
//! All assertions of drafts 4 to 2020-12 are exact but for these, which are refused by name:
//! - references to other documents, and `$dynamicRef` whose target depends on who refers;
//! - `uniqueItems` over items that are not a finite set of scalars;
//! - patterns with look-behind, back-references, word boundaries, or look-ahead anywhere but at the start;
//! - `not`, `if` and overlapping `oneOf` where the difference has no finite form: more than four ways in which some
//!   undeclared property has to be wrong, the opposite of `uniqueItems`, some wrong item behind a prefix;
//! - the formats `regex` and `idn-hostname`. Others are enforced; host names leave out punycode (`xn--`), those in
//!   `idn-email` hold letters that need no rules of their own, and `time` allows leap seconds in UTC only, because the
//!   rest is not a regular language. A name that nobody defined says nothing, and is noted.
//!
//! Annotations and unknown keywords say nothing, as the specification has it. Types from other languages (`dict`,
//! `float`, `ArrayList`) are read as what they mean, with a [`Note`]. Work is bounded by [`Options`]: members and
//! items are lazy, so only schemas that apply to the same value can multiply, and those end in
//! [`SchemaError::TooLarge`].
//!
//! ```
//! use serde_json::json;
//! use toolglot_schema::{Options, Schema, TypeSet};
//!
//! let schema = Schema::compile(
//!     &json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
//!     &Options::default(),
//! )?;
//! assert!(schema.accepts(&json!({"city": "Oslo"})));
//! assert!(!schema.accepts(&json!({})));
//! let city = schema.property(schema.root(), "city").expect("declared");
//! assert_eq!(schema.types(city), TypeSet::STRING);
//! # Ok::<(), toolglot_schema::SchemaError>(())
//! ```

mod accept;
mod algebra;
mod build;
mod decimal;
mod error;
mod finish;
mod form;
mod format;
mod hash;
mod keywords;
mod merge;
mod node;
mod pattern;
mod schema;
mod source;

pub use decimal::Decimal;
pub use error::{Note, NoteKind, SchemaError};
pub use node::{
    ArrayRules, Bound, Contains, Kind, Node, NodeId, NumberRules, ObjectRules, Property, Rest, StringRules,
    TypeSet, Wanted,
};
pub use pattern::{Pattern, PatternError, PatternSource};
/// The expression tree of a [`Pattern`], for readers that build automata from it.
pub use regex_syntax::hir;
pub use schema::{Draft, Formats, Options, Schema};
