//! Strings that only may not be one of some words: the names of undeclared members.
//!
//! They are any string but for the places where a token completes such a word, so their packs are that of any string
//! without those few exits.

use super::{Exits, Pack};
use crate::GrammarError;
use crate::automaton::Unwanted;
use crate::terminal::Terminal;
use crate::trie::TokenTrie;
use std::sync::Arc;

/// The pack of such a string's state, from that of any string; `None` inside a character.
pub(super) fn without_words(
    base: &Arc<Pack>,
    terminal: &Terminal,
    trie: &TokenTrie,
    state: u32,
    quote: u8,
) -> Result<Option<Arc<Pack>>, GrammarError> {
    let mut found = Completions { trie, quote, exits: Vec::new(), escapes: Vec::new() };
    let looked = terminal.dfa.unwanted(state, |unwanted| {
        if !unwanted.words.is_empty() {
            found.look(0, unwanted);
        }
    });
    if looked.is_none() {
        return Ok(None);
    }
    let Completions { mut exits, escapes, .. } = found;
    // A word may be spelled with escapes.
    for node in escapes {
        for &exit in base.exits.within(node, trie.node(node).end) {
            if !ends(terminal, trie, state, exit)? {
                exits.push(exit);
            }
        }
    }
    if exits.is_empty() {
        return Ok(Some(Arc::clone(base)));
    }
    exits.sort_unstable();
    let closed = Exits { base: Some(Arc::clone(base)), without: exits.into(), ..Exits::default() };
    let inside = Arc::clone(&base.inside);
    let longest = base.longest;
    Ok(Some(Arc::new(Pack { longest, exits: closed, ..Pack::bare(inside, state) })))
}

/// Whether the text of a node ends the terminal.
fn ends(terminal: &Terminal, trie: &TokenTrie, state: u32, node: u32) -> Result<bool, GrammarError> {
    let mut path = Vec::new();
    let mut at = node;
    while at != 0 {
        path.push(trie.node(at).byte);
        at = trie.parent(at);
    }
    let mut now = state;
    for &byte in path.iter().rev() {
        match terminal.dfa.step(now, byte)? {
            Some(target) => now = target.state,
            None => return Ok(false),
        }
    }
    Ok(terminal.dfa.accepts(now))
}

/// Where tokens complete a word, or begin an escape that may belong to one.
struct Completions<'a> {
    trie: &'a TokenTrie,
    quote: u8,
    exits: Vec<u32>,
    escapes: Vec<u32>,
}

impl Completions<'_> {
    /// Looks at what is below a node to which the words have been read.
    fn look(&mut self, node: u32, Unwanted { words, read }: Unwanted<'_>) {
        self.escapes.extend(self.trie.child(node, b'\\'));
        if words[0].len() == read {
            self.exits.extend(self.trie.child(node, self.quote));
        }
        let longer = words.partition_point(|word| word.len() <= read);
        for words in words[longer..].chunk_by(|a, b| a[read] == b[read]) {
            let byte = words[0][read];
            // Quotes and backslashes cannot stand for themselves.
            if byte != self.quote
                && byte != b'\\'
                && let Some(child) = self.trie.child(node, byte)
            {
                self.look(child, Unwanted { words, read: read + 1 });
            }
        }
    }
}
