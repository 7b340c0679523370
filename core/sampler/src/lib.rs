//! Logits processors, sampling, stop rules and loop detection.
