//! The vocabulary: which bytes each token id stands for, which ids are special, which end the output.
//!
//! Built once per tokenizer and shared by every grammar. Holds the token trie and the automata that grammars over
//! this vocabulary have in common. Does not tokenise text.

mod huggingface;
mod table;
mod tiktoken;

use crate::automaton::Escapes;
use crate::builder::TokenClass;
use crate::pack::PackCache;
use crate::terminal::{TerminalSpec, TextRules, terminal};
use crate::token_set::TokenSets;
use crate::token_set::{has, set};
use crate::{GrammarError, VocabularyError};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

use crate::trie::TokenTrie;

pub use table::{TableError, TokenTable};

const MAX_IDS: usize = 1 << 22;
const MAX_TOKEN_BYTES: usize = 1 << 27;

/// What a token id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Stands for its bytes.
    Text,
    /// An added token that is printed as its text (Qwen's `<tool_call>`): stands for its bytes, and can also be
    /// asked for by name.
    Added,
    /// A control token: never produced by text, only by name; its bytes are its name.
    Special,
    /// An unused id or a padding row of the logits: never allowed.
    Hole,
}

/// One entry of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The bytes it stands for (its name if it is special, nothing if it is a hole).
    pub bytes: Vec<u8>,
    /// What it is.
    pub kind: TokenKind,
}

impl Token {
    /// A text token.
    pub fn text(bytes: impl Into<Vec<u8>>) -> Token {
        Token { bytes: bytes.into(), kind: TokenKind::Text }
    }

    /// An added token that is printed as text.
    pub fn added(name: &str) -> Token {
        Token { bytes: name.into(), kind: TokenKind::Added }
    }

    /// A special token of this name.
    pub fn special(name: &str) -> Token {
        Token { bytes: name.into(), kind: TokenKind::Special }
    }

    /// The entries of a Hugging Face `tokenizer.json`, by id, for [`Vocabulary::new`].
    pub fn from_tokenizer_json(json: &str) -> Result<Vec<Token>, VocabularyError> {
        huggingface::tokens(json)
    }

    /// An unused id.
    pub fn hole() -> Token {
        Token { bytes: Vec::new(), kind: TokenKind::Hole }
    }
}

/// Token id → bytes and kind, the ids that end the output, and the token trie.
pub struct Vocabulary {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    kinds: Vec<TokenKind>,
    named: FxHashMap<Box<[u8]>, u32>,
    eos: Vec<u32>,
    trie: TokenTrie,
    fingerprint: u64,
    packs: PackCache,
    sets: TokenSets,
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary").field("ids", &self.kinds.len()).field("eos", &self.eos).finish()
    }
}

impl Vocabulary {
    /// From one entry per id. `eos` are the ids that end the output. `width` is the number of logits (at least the
    /// number of entries; the ids in between are holes), `None` if it equals the number of entries.
    pub fn new(tokens: Vec<Token>, eos: &[u32], width: Option<usize>) -> Result<Vocabulary, VocabularyError> {
        Vocabulary::from_table(TokenTable::new(&tokens)?, eos, width)
    }

    /// From a table of tokens; see [`Vocabulary::new`].
    pub fn from_table(
        table: TokenTable,
        eos: &[u32],
        width: Option<usize>,
    ) -> Result<Vocabulary, VocabularyError> {
        let width = width.unwrap_or(table.len());
        if width < table.len() {
            return Err(VocabularyError::Width { width, largest: table.len().saturating_sub(1) as u32 });
        }
        table::check_size("token ids", width, MAX_IDS)?;
        if let Some(&id) = eos.iter().find(|&&id| id as usize >= width) {
            return Err(VocabularyError::Eos { id, width });
        }
        let mut eos = eos.to_vec();
        eos.sort_unstable();
        eos.dedup();
        let TokenTable { bytes, mut ends, mut kinds, named, trie } = table;
        ends.resize(width, bytes.len() as u32);
        kinds.resize(width, TokenKind::Hole);
        let mut hasher = FxHasher::default();
        (&bytes, &ends, &kinds, &eos).hash(&mut hasher);
        let fingerprint = hasher.finish();
        let packs = PackCache::default();
        let sets = TokenSets::default();
        let vocabulary = Vocabulary { bytes, ends, kinds, named, eos, trie, fingerprint, packs, sets };
        vocabulary.prepare();
        Ok(vocabulary)
    }

    /// Makes the packs of JSON strings, which nearly every grammar needs, ahead of the first mask.
    fn prepare(&self) {
        let spec =
            TerminalSpec::JsonString { escapes: Escapes::Any, quote: b'"', rules: TextRules::default() };
        if let Ok(terminal) = terminal(&spec) {
            // A pack that cannot be made now is made, or refused, when a mask needs it.
            let _ = self.packs.of(&terminal).get(&terminal, self, 0, 0);
        }
    }

    /// From the text of a Hugging Face `tokenizer.json`: byte-level BPE, byte-fallback SentencePiece (BPE or
    /// Unigram), added tokens, holes. `width`: number of logits, `None` for the largest id plus one.
    pub fn from_tokenizer_json(
        json: &str,
        eos: &[u32],
        width: Option<usize>,
    ) -> Result<Vocabulary, VocabularyError> {
        Vocabulary::new(huggingface::tokens(json)?, eos, width)
    }

    /// From the text of a tiktoken ranks file (`base64 rank` per line) and the special tokens kept beside it.
    pub fn from_tiktoken(
        ranks: &str,
        specials: &[(&str, u32)],
        eos: &[u32],
        width: Option<usize>,
    ) -> Result<Vocabulary, VocabularyError> {
        Vocabulary::new(tiktoken::tokens(ranks, specials)?, eos, width)
    }

    /// Number of token ids, holes and padding rows included: the width of the logits.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// True when there are no ids.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Number of `u32` words in a token mask; id `i` is bit `i % 32` of word `i / 32`.
    pub fn mask_words(&self) -> usize {
        self.kinds.len().div_ceil(32)
    }

    /// The bytes of a token: its text, or its name if it is special; empty for holes and unknown ids.
    pub fn bytes(&self, token: u32) -> &[u8] {
        let at = token as usize;
        match self.ends.get(at) {
            Some(&end) => {
                let start = if at == 0 { 0 } else { self.ends[at - 1] };
                &self.bytes[start as usize..end as usize]
            }
            None => &[],
        }
    }

    /// What a token id is; ids beyond the vocabulary are holes.
    pub fn kind(&self, token: u32) -> TokenKind {
        self.kinds.get(token as usize).copied().unwrap_or(TokenKind::Hole)
    }

    /// The added or special token of this name.
    pub fn named(&self, name: &str) -> Option<u32> {
        self.named.get(name.as_bytes()).copied()
    }

    /// The added or special token of this name, or the one token of exactly this text.
    pub fn token(&self, text: &str) -> Option<u32> {
        let mut node = 0;
        self.named(text).or_else(|| {
            for &byte in text.as_bytes() {
                node = self.trie.child(node, byte)?;
            }
            self.trie.tokens(node).first().copied()
        })
    }

    /// The ids of a class, as a mask.
    pub(crate) fn class(&self, class: &TokenClass) -> Result<Box<[u32]>, GrammarError> {
        let mut mask = vec![0; self.mask_words()];
        let unknown = |token: String| GrammarError::UnknownToken { token };
        for range in &class.ids {
            let last = (*range.end()).min(self.len().saturating_sub(1) as u32);
            let used = (*range.start()..=last).filter(|&id| self.kind(id) != TokenKind::Hole);
            let mut none = true;
            for id in used {
                set(&mut mask, id);
                none = false;
            }
            if none {
                return Err(unknown(match (range.start(), range.end()) {
                    (start, end) if start == end => start.to_string(),
                    (start, end) => format!("{start} to {end}"),
                }));
            }
        }
        for name in &class.names {
            set(&mut mask, self.token(name).ok_or_else(|| unknown(name.clone()))?);
        }
        if class.negated {
            let usable = |id: u32| self.kind(id) != TokenKind::Hole && self.eos.binary_search(&id).is_err();
            let mut others = vec![0; self.mask_words()];
            let free = |id: &u32| usable(*id) && !has(&mask, *id);
            (0..self.len() as u32).filter(free).for_each(|id| set(&mut others, id));
            mask = others;
        }
        if mask.iter().all(|&word| word == 0) {
            return Err(unknown(format!("out of {class:?}")));
        }
        Ok(mask.into())
    }

    /// The ids that end the output, sorted.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// A hash of the whole content: equal for equal vocabularies.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// True if every byte that UTF-8 uses is a token of its own, so that any text can be written.
    pub fn writes_every_byte(&self) -> bool {
        let used = (0..=0xbfu8).chain(0xc2..=0xf4);
        used.into_iter().all(|b| self.trie.child(0, b).is_some_and(|node| !self.trie.tokens(node).is_empty()))
    }

    /// Splits text into tokens greedily, longest match first. Not canonical for any tokenizer; useful as a bound
    /// and in tests. `None` if some byte has no token.
    pub fn greedy_tokens(&self, mut text: &[u8]) -> Option<Vec<u32>> {
        let mut out = Vec::new();
        while !text.is_empty() {
            let mut node = 0;
            let mut best = None;
            for (depth, &byte) in text.iter().enumerate() {
                match self.trie.child(node, byte) {
                    Some(child) => node = child,
                    None => break,
                }
                if let Some(&token) = self.trie.tokens(node).first() {
                    best = Some((depth + 1, token));
                }
            }
            let (taken, token) = best?;
            out.push(token);
            text = &text[taken..];
        }
        Some(out)
    }

    pub(crate) fn trie(&self) -> &TokenTrie {
        &self.trie
    }

    pub(crate) fn packs(&self) -> &PackCache {
        &self.packs
    }

    pub(crate) fn sets(&self) -> &TokenSets {
        &self.sets
    }
}

/// The added and special tokens by name; of several with one name the first.
fn named_of(bytes: &[u8], ends: &[u32], kinds: &[TokenKind]) -> FxHashMap<Box<[u8]>, u32> {
    let mut named = FxHashMap::default();
    let mut start = 0;
    for ((&end, kind), id) in ends.iter().zip(kinds).zip(0..) {
        if matches!(kind, TokenKind::Added | TokenKind::Special) {
            named.entry(bytes[start as usize..end as usize].into()).or_insert(id);
        }
        start = end;
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_padding_and_names() {
        let tokens = vec![
            Token::text(*b"a"),
            Token::special("<eos>"),
            Token::hole(),
            Token::added("<tool_call>"),
            Token::text(*b"ab"),
        ];
        let v = Vocabulary::new(tokens, &[1], Some(40)).expect("builds");
        assert_eq!(v.len(), 40);
        assert_eq!(v.mask_words(), 2);
        assert_eq!(v.bytes(4), b"ab");
        assert_eq!(v.bytes(2), b"");
        assert_eq!(v.bytes(39), b"");
        assert_eq!(v.bytes(400), b"");
        assert_eq!(v.kind(39), TokenKind::Hole);
        assert_eq!(v.named("<eos>"), Some(1));
        assert_eq!(v.named("<tool_call>"), Some(3));
        assert_eq!(v.named("ab"), None);
        assert_eq!(v.greedy_tokens(b"aba"), Some(vec![4, 0]));
        assert_eq!(v.greedy_tokens(b"b"), None);
    }

    #[test]
    fn wrong_sizes_are_typed_errors() {
        assert!(matches!(
            Vocabulary::new(vec![Token::text(*b"a")], &[7], None),
            Err(VocabularyError::Eos { id: 7, width: 1 })
        ));
        assert!(matches!(
            Vocabulary::new(vec![Token::text(*b"a"), Token::text(*b"b")], &[], Some(1)),
            Err(VocabularyError::Width { width: 1, .. })
        ));
    }
}
