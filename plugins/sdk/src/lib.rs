//! What a family plugin is written with.
//!
//! A family crate is a plain library. It depends on this crate, states a [`BuiltinFamily`] (the texts of its
//! folder and, at L1 and L2, its functions) and ends with [`register_family!`]. The same source then has
//! two linkages: linked into a program it is a compiled-in family like any other, and compiled for
//! `wasm32-unknown-unknown` as a `cdylib` and packed it is a component that any host loads.
//!
//! ```
//! use toolglot_plugin::{BuiltinFamily, register_family};
//!
//! const MANIFEST: &str = r#"
//!     id = "parens"
//!     title = "Calls in round brackets"
//!     turn.open = "Assistant: "
//!
//!     [[format.seq]]
//!     text = { channel = "content" }
//!     [[format.seq]]
//!     opt.call.seq = [{ lit = "((" }, { name = {} }, { lit = " " }, { args.json = {} }, { lit = "))" }]
//! "#;
//!
//! register_family!(BuiltinFamily::new("parens", MANIFEST, None, None));
//! # fn main() {
//! let families = toolglot_parsers::Registry::builtin().unwrap();
//! assert!(families.get("parens").is_some());
//! # }
//! ```
//!
//! A guest has no clock, no randomness, no files and no threads, and `usize` has 32 bits. What it
//! computes must depend on its arguments only, or native and component would differ.

#[cfg(any(target_family = "wasm", test))]
mod alloc;
mod log;

#[cfg(target_family = "wasm")]
mod guest;

pub use log::{Level, log};
#[doc(inline)]
pub use toolglot_format as format;
pub use toolglot_parsers::{
    BuiltinFamily, FamilyError, Lower, Open, Parser, Program, Session, SessionOptions,
};

/// Makes a [`BuiltinFamily`] known: to the registry of the program that it is linked into, or as what this
/// component is. Once in a crate.
///
/// A program must name the crate (`use my_family as _;`), or the linker leaves it out.
#[macro_export]
macro_rules! register_family {
    ($family:expr) => {
        #[cfg(not(target_family = "wasm"))]
        $crate::__private::inventory::submit! { $family }

        #[cfg(target_family = "wasm")]
        const _: () = {
            static FAMILY: $crate::BuiltinFamily = $family;
            // The guest's half of the contract is in the SDK and finds the family by this name.
            #[allow(unsafe_code)]
            #[unsafe(no_mangle)]
            extern "Rust" fn __toolglot_family_v0_1() -> &'static $crate::BuiltinFamily {
                &FAMILY
            }
        };
    };
}

#[doc(hidden)]
pub mod __private {
    #[cfg(not(target_family = "wasm"))]
    pub use inventory;
}
