//! Tests of the public surface, in one binary.

#![allow(clippy::unwrap_used)]

mod chain;
mod stops;
