//! Toolglot: makes any local language model a reliable tool caller.

pub mod openai;
pub mod template;
