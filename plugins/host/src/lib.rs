//! Loads family plugins: WASM components, with limits.
