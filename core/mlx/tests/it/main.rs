//! Tests against reference outputs of Python's mlx-lm, and of the generation loop. One binary.

#![allow(clippy::unwrap_used)]

mod damaged;
mod generation;
mod reference;

use std::path::{Path, PathBuf};

/// The folder of a fixture.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}
