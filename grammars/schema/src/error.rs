//! What can go wrong with a schema, and what was given up in lenient mode.
//!
//! Every error names the place in the schema as a JSON pointer (`/properties/a/pattern`; the empty string is the
//! root) and the keyword, so that the author can find it.

use thiserror::Error;

/// Why a schema did not compile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A well-formed keyword whose meaning this crate cannot express exactly.
    #[error("schema keyword `{keyword}` at `{pointer}` is not supported: {why}")]
    Unsupported {
        /// JSON pointer of the schema object that holds the keyword.
        pointer: String,
        /// The keyword.
        keyword: String,
        /// What about it is out of reach, and where possible what to write instead.
        why: String,
    },
    /// The schema breaks the rules of JSON Schema itself.
    #[error("schema keyword `{keyword}` at `{pointer}` is invalid: {why}")]
    Invalid {
        /// JSON pointer of the schema object that holds the keyword.
        pointer: String,
        /// The keyword.
        keyword: String,
        /// What is wrong with it.
        why: String,
    },
    /// A `$ref` (or `$dynamicRef`, `$recursiveRef`) with no target in this document.
    #[error(
        "`{reference}` at `{pointer}` does not resolve inside this schema; inline the definition under $defs"
    )]
    UnresolvedRef {
        /// JSON pointer of the schema object that holds the reference.
        pointer: String,
        /// The reference as written.
        reference: String,
    },
    /// A schema that applies itself to the same value without end, such as `{"$ref": "#"}` at the root.
    #[error("the schema at `{pointer}` refers to itself without consuming anything: no value can be decided")]
    EndlessRecursion {
        /// JSON pointer of the schema that was met again.
        pointer: String,
    },
    /// A limit was reached: of [`Options`](crate::Options), or of alternatives that keywords multiply to.
    #[error("schema is too large to normalise at `{pointer}`: more than {limit} {what}")]
    TooLarge {
        /// JSON pointer of the schema that was being worked on.
        pointer: String,
        /// What was counted: `nodes`, `steps`, `nested schemas`, `alternatives of one object`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// A place where the compiled schema differs from the words of the source, on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// JSON pointer of the schema object concerned.
    pub pointer: String,
    /// The keyword concerned.
    pub keyword: String,
    /// What was done.
    pub kind: NoteKind,
    /// The same in words.
    pub text: String,
}

/// What a [`Note`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// The keyword is not enforced (lenient mode, or a format that says nothing about the text).
    Dropped,
    /// The keyword was read as something else, such as `"type": "dict"` as `"type": "object"`.
    Mapped,
}
