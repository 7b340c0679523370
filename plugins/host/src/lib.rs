//! Loads family plugins: WASM components that speak the contract in `plugins/wit`.
//!
//! A [`PluginHost`] turns a component into a [`Family`](toolglot_parsers::Family) like any native one. Where
//! the plugin's format is data, it never runs again: the host parses, prints and constrains natively. Where
//! plugin code computes the format or reads the output, it runs under limits of memory and time, each
//! session in a store of its own, and with no import but a log. Whatever a plugin does, its failure is a
//! [`PluginError`] that says which, and no byte of the model's output is lost.
//!
//! This is the only crate that names wasmtime, and nothing of wasmtime shows in its interface. It makes no
//! components; `toolglot-plugin-pack` does.

mod cache;
mod check;
mod config;
mod engine;
mod error;
mod family;
mod limits;
mod passthrough;
mod permits;
mod session;
mod v0_1;

pub use config::{HostConfig, SessionWhere};
pub use engine::{Loaded, PluginHost};
pub use error::PluginError;
pub use family::PluginFamily;
