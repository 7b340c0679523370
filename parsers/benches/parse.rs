//! Parser speed. Plain timing, no harness.
fn main() {}
