//! What a family plugin is written with.
