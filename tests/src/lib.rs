//! Where things are in this repository. The tests themselves are in `tests/`; what they run is
//! `toolglot-workbench`. `corpus.toml` and `tools.json` beside this crate are its data.

pub mod folder;
