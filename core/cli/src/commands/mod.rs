//! One module per command.

pub(crate) mod check;
pub(crate) mod conformance;
#[cfg(feature = "mlx")]
pub(crate) mod demo;
pub(crate) mod detect;
pub(crate) mod doctor;
#[cfg(feature = "mlx")]
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod families;
#[cfg(feature = "mlx")]
pub(crate) mod generate;
pub(crate) mod grammar;
pub(crate) mod new;
pub(crate) mod pack;
pub(crate) mod parse;
pub(crate) mod plugin;
pub(crate) mod render;
pub(crate) mod test;
