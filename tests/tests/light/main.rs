//! The suite without MLX and without plugins.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod detection;
mod families;
mod notations;
mod tidy;
