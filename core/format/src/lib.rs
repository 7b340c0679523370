//! The data that every other crate reads: what a family's tool-call format is ([`Format`]), what one
//! request wants ([`Plan`]), what a parser reports ([`Event`], summed up in a [`Turn`]) and what a family
//! says of itself ([`Manifest`]).
//!
//! This crate holds no parser, no grammar and no I/O. Its algorithms are what grammar and printer must agree on:
//! [`Format::specialise`], which narrows a format to a request's tool choice, the literals that a part of a
//! format begins with, and the white space of lists.

mod event;
mod first;
mod format;
mod manifest;
mod notation;
mod plan;
mod relax;
mod specialise;
mod suffix;
mod turn;
mod validate;
mod words;

pub use event::{Channel, Event, FinishReason, MalformedReason, Piece};
pub use format::{
    Args, ElementsArgs, ExternNode, Format, IdNode, Lit, Member, MemberValue, ObjectNode, PythonicArgs,
    RawArgs, Rep, TaggedArgs, Text, ValueNode,
};
pub use manifest::{Detect, Manifest, ManifestError, Reasoning, Stops, TurnFrame};
pub use notation::{Keys, Notation, Strings, Words};
pub use plan::{Plan, PlanError, Tool, ToolChoice, ToolKind};
pub use suffix::Suffix;
pub use turn::{Call, MalformedSpan, Turn};
pub use validate::FormatError;
pub use words::{Escape, Header, HeaderWord, NameNode, TypeLit, ValueType};
