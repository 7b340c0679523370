//! The toolglot command.

fn main() {}
