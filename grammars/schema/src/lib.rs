//! JSON Schema, normalised: what a value may be, or which keyword cannot be expressed.
