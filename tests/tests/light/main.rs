//! The suite without MLX and without plugins.

mod cases;
mod detection;
mod laws;
mod tidy;
