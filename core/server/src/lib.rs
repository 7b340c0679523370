//! OpenAI and Anthropic APIs over a Toolglot engine.
