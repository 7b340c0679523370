//! Chores behind cargo dev.

fn main() {}
