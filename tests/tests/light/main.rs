//! The suite without MLX and without plugins.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod detection;
mod generate;
mod laws;
mod masks;
mod printing;
mod tidy;
