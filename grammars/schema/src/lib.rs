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
    ArrayRules, Bound, Contains, Node, NodeId, NumberRules, ObjectRules, Property, Rest, StringRules, TypeSet,
};
pub use pattern::{Pattern, PatternError, PatternSource};
/// The expression tree of a [`Pattern`], for readers that build automata from it.
pub use regex_syntax::hir;
pub use schema::{Draft, Formats, Options, Schema};
