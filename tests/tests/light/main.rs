//! The suite without MLX and without plugins.

mod cases;
mod detection;
mod generate;
mod laws;
mod masks;
mod printing;
mod tidy;
