//! The tokens of a tokenizer with the trie over them: all of a vocabulary that its end tokens and the width of the
//! logits leave open, and the part that takes long to make. Can be stored and read back.

use rustc_hash::FxHashMap;

use super::{MAX_IDS, MAX_TOKEN_BYTES, Token, TokenKind, huggingface, named_of};
use crate::VocabularyError;
use crate::trie::TokenTrie;

/// Changes whenever the same `tokenizer.json` may give other tokens, or the layout below changes.
const VERSION: u32 = 1;

/// Token id → bytes and kind, and the token trie: what [`Vocabulary::from_table`](super::Vocabulary::from_table) takes.
pub struct TokenTable {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<u32>,
    pub(super) kinds: Vec<TokenKind>,
    pub(super) named: FxHashMap<Box<[u8]>, u32>,
    pub(super) trie: TokenTrie,
}

impl std::fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenTable").field("ids", &self.kinds.len()).finish_non_exhaustive()
    }
}

/// What was stored is no table of this version: it has to be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no stored table of tokens, or one of another version: {0}")]
pub struct TableError(&'static str);

impl TokenTable {
    /// From one entry per id.
    ///
    /// # Errors
    /// [`VocabularyError::TooLarge`].
    pub fn new(tokens: &[Token]) -> Result<TokenTable, VocabularyError> {
        check_size("token ids", tokens.len(), MAX_IDS)?;
        let total: usize = tokens.iter().map(|t| t.bytes.len()).sum();
        check_size("bytes of tokens", total, MAX_TOKEN_BYTES)?;
        let mut bytes = Vec::with_capacity(total);
        let mut ends = Vec::with_capacity(tokens.len());
        let mut kinds = Vec::with_capacity(tokens.len());
        for token in tokens {
            let kind = if token.bytes.is_empty() { TokenKind::Hole } else { token.kind };
            if kind != TokenKind::Hole {
                bytes.extend_from_slice(&token.bytes);
            }
            ends.push(bytes.len() as u32);
            kinds.push(kind);
        }
        let pairs = textual(&kinds).map(|id| (slice(&bytes, &ends, id), id)).collect();
        let trie = TokenTrie::build(pairs);
        let named = named_of(&bytes, &ends, &kinds);
        Ok(TokenTable { bytes, ends, kinds, named, trie })
    }

    /// From the text of a Hugging Face `tokenizer.json`; see
    /// [`Vocabulary::from_tokenizer_json`](super::Vocabulary::from_tokenizer_json).
    ///
    /// # Errors
    /// [`VocabularyError`] when the file is not of a known kind.
    pub fn from_tokenizer_json(json: &str) -> Result<TokenTable, VocabularyError> {
        TokenTable::new(&huggingface::tokens(json)?)
    }

    /// Number of token ids, holes included.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// True when there are no ids.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The added and special tokens: spelling and id, in no order.
    pub fn names(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.named.iter().map(|(name, &id)| (&**name, id))
    }

    /// What [`TokenTable::from_stored`] reads. Holds no checksum: whoever keeps it has to tell damage.
    pub fn to_stored(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + self.ends.len() * 9 + 64);
        let mut numbers = |numbers: &mut dyn Iterator<Item = u32>| {
            numbers.for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        };
        let order = self.trie.all_tokens();
        let head = [VERSION, self.kinds.len() as u32, self.bytes.len() as u32, order.len() as u32];
        numbers(&mut head.into_iter());
        numbers(&mut self.ends.iter().copied());
        numbers(&mut order.iter().copied());
        out.extend(self.kinds.iter().map(|&kind| kind as u8));
        out.extend_from_slice(&self.bytes);
        out
    }

    /// Reads what [`TokenTable::to_stored`] gave. Anything else is an error or a table that holds together: the trie
    /// is always that of the tokens.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn from_stored(stored: &[u8]) -> Result<TokenTable, TableError> {
        let mut rest = stored;
        let head = numbers(&mut rest, 4)?;
        let [version, ids, size, order] = head[..] else { return Err(TableError("no head")) };
        if version != VERSION {
            return Err(TableError("its number differs"));
        }
        if ids as usize > MAX_IDS || size as usize > MAX_TOKEN_BYTES {
            return Err(TableError("too large"));
        }
        let ends = numbers(&mut rest, ids as usize)?;
        let order = numbers(&mut rest, order as usize)?;
        let kinds = take(&mut rest, ids as usize)?.iter().map(|&kind| kind_of(kind));
        let kinds = kinds.collect::<Option<Vec<_>>>().ok_or(TableError("an unknown kind of token"))?;
        let bytes = take(&mut rest, size as usize)?.to_vec();
        if !rest.is_empty() {
            return Err(TableError("too long"));
        }
        if !ends.is_sorted() || ends.last().is_some_and(|&end| end != size) || ends.is_empty() && size > 0 {
            return Err(TableError("the tokens do not cover their bytes"));
        }
        let is_hole = |id: usize| ends[id] == if id == 0 { 0 } else { ends[id - 1] };
        if (0..kinds.len()).any(|id| is_hole(id) != (kinds[id] == TokenKind::Hole)) {
            return Err(TableError("a hole with bytes, or a token without"));
        }
        // In order without repeats and as many as there are: all of them.
        if order.len() != textual(&kinds).count() {
            return Err(TableError("tokens are missing in the order"));
        }
        let mut pairs: Vec<(&[u8], u32)> = Vec::with_capacity(order.len());
        for id in order {
            let textual = matches!(kinds.get(id as usize), Some(TokenKind::Text | TokenKind::Added));
            if !textual {
                return Err(TableError("the order names a token without text"));
            }
            pairs.push((slice(&bytes, &ends, id), id));
        }
        let trie = TokenTrie::from_sorted(&pairs).ok_or(TableError("the tokens are not in order"))?;
        let named = named_of(&bytes, &ends, &kinds);
        Ok(TokenTable { bytes, ends, kinds, named, trie })
    }
}

pub(super) fn check_size(what: &'static str, got: usize, limit: usize) -> Result<(), VocabularyError> {
    if got > limit {
        return Err(VocabularyError::TooLarge { what, got: got as u64, limit: limit as u64 });
    }
    Ok(())
}

/// The tokens that stand for text.
fn textual(kinds: &[TokenKind]) -> impl Iterator<Item = u32> {
    let textual = |kind: &TokenKind| matches!(kind, TokenKind::Text | TokenKind::Added);
    kinds.iter().zip(0..).filter(move |(kind, _)| textual(kind)).map(|(_, id)| id)
}

fn slice<'a>(bytes: &'a [u8], ends: &[u32], id: u32) -> &'a [u8] {
    let start = if id == 0 { 0 } else { ends[id as usize - 1] };
    &bytes[start as usize..ends[id as usize] as usize]
}

fn kind_of(byte: u8) -> Option<TokenKind> {
    [TokenKind::Text, TokenKind::Added, TokenKind::Special, TokenKind::Hole].get(usize::from(byte)).copied()
}

fn take<'a>(rest: &mut &'a [u8], size: usize) -> Result<&'a [u8], TableError> {
    let (head, tail) = rest.split_at_checked(size).ok_or(TableError("too short"))?;
    *rest = tail;
    Ok(head)
}

fn numbers(rest: &mut &[u8], count: usize) -> Result<Vec<u32>, TableError> {
    let size = count.checked_mul(4).ok_or(TableError("too short"))?;
    let (words, _) = take(rest, size)?.as_chunks::<4>();
    Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompiledGrammar, GrammarBuilder, JsonStyle, Vocabulary};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn tokens() -> Vec<Token> {
        let mut tokens: Vec<Token> = (0..=255u8).map(|byte| Token::text([byte])).collect();
        let words = ["\"a\"", "{\"", "\": ", "ab", "abc", "é", "\\u00", "12", "\"}", "true", "ab"];
        tokens.extend(words.map(Token::text));
        tokens.extend([
            Token::special("<eos>"),
            Token::hole(),
            Token::added("<tool_call>"),
            Token::text("b"),
        ]);
        tokens
    }

    fn eos() -> u32 {
        tokens().iter().position(|token| token.kind == TokenKind::Special).unwrap() as u32
    }

    /// The masks along a JSON text: what a wrong trie would change.
    fn masks(table: TokenTable) -> Vec<Vec<u32>> {
        let vocabulary = Arc::new(Vocabulary::from_table(table, &[eos()], None).unwrap());
        let schema = serde_json::json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let schema = toolglot_schema::Schema::compile(&schema, &Default::default()).unwrap();
        let mut builder = GrammarBuilder::new();
        let root = builder.json_schema(&schema, &JsonStyle::default()).unwrap();
        let grammar = builder.build(root).unwrap();
        let mut matcher =
            CompiledGrammar::new(Arc::new(grammar), vocabulary.clone()).unwrap().matcher().unwrap();
        let mut masks = Vec::new();
        for byte in *b"{\"a\": \"ab\xc3\xa9\"}" {
            let mut mask = vec![0; vocabulary.mask_words()];
            matcher.mask(&mut mask).unwrap();
            masks.push(mask);
            matcher.accept(u32::from(byte)).unwrap();
        }
        masks
    }

    #[test]
    fn what_was_stored_is_the_same_vocabulary() {
        let made = TokenTable::new(&tokens()).unwrap();
        let stored = made.to_stored();
        let read = TokenTable::from_stored(&stored).unwrap();
        assert_eq!(read.to_stored(), stored);
        let names = |table: &TokenTable| {
            let mut names: Vec<_> = table.names().map(|(name, id)| (name.to_vec(), id)).collect();
            names.sort();
            names
        };
        assert_eq!(names(&read), names(&made));
        assert_eq!(names(&read).len(), 2);
        let fingerprint = |table| Vocabulary::from_table(table, &[eos()], Some(300)).unwrap().fingerprint();
        let again = TokenTable::from_stored(&stored).unwrap();
        assert_eq!(fingerprint(again), Vocabulary::new(tokens(), &[eos()], Some(300)).unwrap().fingerprint());
        assert_eq!(masks(read), masks(made));
        assert!(TokenTable::from_stored(&TokenTable::new(&[]).unwrap().to_stored()).unwrap().is_empty());
    }

    proptest! {
        /// Without a checksum, damage is refused, or is a table of other tokens that holds together.
        #[test]
        fn damage_never_makes_a_trie_of_other_tokens(
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut stored = TokenTable::new(&tokens()).unwrap().to_stored();
            let at = at.index(stored.len());
            stored[at] = value;
            if let Some(cut) = cut {
                stored.truncate(cut.index(stored.len()));
            }
            if let Ok(read) = TokenTable::from_stored(&stored) {
                let tokens: Vec<Token> = (0..read.len())
                    .map(|id| Token {
                        bytes: slice(&read.bytes, &read.ends, id as u32).to_vec(),
                        kind: read.kinds[id],
                    })
                    .collect();
                prop_assert_eq!(TokenTable::new(&tokens).unwrap().to_stored(), stored);
            }
        }
    }

    /// When this fails, what a `tokenizer.json` is read as has changed: raise `VERSION`, then the number here.
    #[test]
    fn the_version_follows_the_reading() {
        let files = [
            r###"{"model":{"type":"BPE","vocab":{"Ġhi":0,"Ã©":1,"<a>":2},"merges":["a b"]},"decoder":{"type":"ByteLevel"},
                "added_tokens":[{"id":3,"content":"<|x|>","special":true},{"id":5,"content":"<a>"}]}"###,
            r###"{"model":{"type":"BPE","byte_fallback":true,"vocab":{"<unk>":0,"<0x0A>":1,"▁a":2}},
                "added_tokens":[{"id":0,"content":"<unk>","special":true}]}"###,
            r###"{"model":{"type":"WordPiece","vocab":{"[UNK]":0,"##s":1,"a":3}}}"###,
            r###"{"model":{"type":"Unigram","vocab":[["<pad>",0.0],["▁x",-1.5]]},"pre_tokenizer":{"type":"Metaspace"}}"###,
        ];
        let mut all = 0u64;
        for file in files {
            for byte in TokenTable::from_tokenizer_json(file).unwrap().to_stored() {
                all = (all ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!((VERSION, all), (1, 10007451946638062212));
    }
}
