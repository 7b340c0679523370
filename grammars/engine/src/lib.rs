//! Grammars, vocabularies, and the token masks they give.
