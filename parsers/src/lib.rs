//! Streaming parser and printer for every [`Format`], and the built-in families.
//!
//! One engine interprets any Format leniently ([`Parser`]) and one prints it ([`print()`]): no family has a
//! parser of its own. Families are folders in `parsers/families`, found by the build script, and reach
//! callers through a [`Registry`]. This crate knows no tokens, no grammar and no chat template engine; the
//! library part uses no threads, clocks or files, so that it also runs inside a WASM guest.

mod builtin;
pub mod conformance;
mod detect;
mod family;
mod parser;
mod print;
mod program;
mod registry;
mod response_template;
mod session;

pub use builtin::BuiltinFamily;
pub use detect::{DetectError, Detection};
pub use family::{DataFamily, Family, FamilyError, Lower, Open};
pub use parser::Parser;
pub use print::{PrintError, Printed, print, print_parts, to_text};
pub use program::Program;
pub use registry::{Registry, RegistryError};
pub use response_template::{ResponseTemplateError, from_response_template};
pub use session::{Session, SessionOptions};
#[doc(no_inline)]
pub use toolglot_format::Format;

/// The built-in families' sources, one module each: the texts of the folder, and its code where it has any.
pub mod families {
    include!(concat!(env!("OUT_DIR"), "/families.rs"));
}
