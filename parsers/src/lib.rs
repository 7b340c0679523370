//! Streaming parser and printer for every Format, and the built-in families.
