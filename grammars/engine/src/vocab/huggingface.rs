//! Reads the token bytes out of a Hugging Face `tokenizer.json`.
//!
//! Byte-level BPE writes each byte as one printable character; the table is the one GPT-2 introduced: printable
//! Latin-1 bytes stand for themselves, the other 68 are numbered from U+0100 in byte order. SentencePiece models
//! write a space as U+2581 and raw bytes as `<0xNN>`. Which of the two is used is told by the decoder and
//! pre-tokenizer of the file. Does not read merges or scores: they say how text is split, not what tokens mean.

use super::tiktoken::put;
use super::{Token, TokenKind};
use crate::VocabularyError;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The parts of the file that say what tokens mean. Most of it is merges, which are skipped.
#[derive(serde::Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Option<Vec<Added>>,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    normalizer: Value,
}

#[derive(serde::Deserialize)]
struct Model {
    vocab: Pieces,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    byte_fallback: Option<bool>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
}

#[derive(serde::Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: Option<bool>,
}

/// Pieces with their ids: an object of ids by piece, or a list of `[piece, score]`.
struct Pieces(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Pieces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pieces, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Pieces;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of ids by piece, or a list of pieces with scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pieces, A::Error> {
                let mut pieces = Vec::new();
                while let Some(piece) = map.next_entry()? {
                    pieces.push(piece);
                }
                Ok(Pieces(pieces))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pieces, A::Error> {
                let mut pieces = Vec::new();
                while let Some(Scored(piece)) = seq.next_element()? {
                    pieces.push((piece, pieces.len() as u32));
                }
                Ok(Pieces(pieces))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// The piece of `[piece, score]`.
struct Scored(String);

impl<'de> Deserialize<'de> for Scored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scored, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Scored;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a piece with its score")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scored, A::Error> {
                let piece = seq.next_element()?.ok_or_else(|| Error::invalid_length(0, &self))?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scored(piece))
            }
        }
        deserializer.deserialize_seq(Read)
    }
}

pub(super) fn tokens(json: &str) -> Result<Vec<Token>, VocabularyError> {
    let file: File = serde_json::from_str(json)
        .map_err(|e| VocabularyError::Malformed { what: "tokenizer.json", reason: e.to_string() })?;
    let spelling = Spelling::of(&file);
    let added = file.added_tokens.unwrap_or_default();
    let mut out = Vec::with_capacity(file.model.vocab.0.len());
    for (piece, id) in file.model.vocab.0 {
        match spelling.bytes(&piece) {
            Some(bytes) => put(&mut out, id, Token::text(bytes))?,
            // Some files list their added tokens in `vocab` too, spelled as plain text.
            None if added.iter().any(|token| token.content == piece) => {}
            None => {
                let reason = "has a character outside the byte-level alphabet".to_string();
                return Err(VocabularyError::Token { id, text: piece, reason });
            }
        }
    }
    for Added { id, content, special } in added {
        let kind = if special == Some(true) { TokenKind::Special } else { TokenKind::Added };
        put(&mut out, id, Token { bytes: content.into_bytes(), kind })?;
    }
    Ok(out)
}

/// How pieces are written.
enum Spelling {
    ByteLevel,
    SentencePiece { byte_fallback: bool },
    WordPiece { prefix: String },
    Plain,
}

impl Spelling {
    fn of(file: &File) -> Spelling {
        let (parts, model) = ([&file.decoder, &file.pre_tokenizer, &file.normalizer], &file.model);
        let uses = |kind: &str| parts.iter().any(|part| mentions(part, kind));
        let fallback = model.byte_fallback.unwrap_or(false);
        if uses("ByteLevel") {
            Spelling::ByteLevel
        } else if model.kind.as_deref() == Some("WordPiece") {
            let prefix = model.continuing_subword_prefix.as_deref().unwrap_or("##");
            Spelling::WordPiece { prefix: prefix.to_string() }
        } else if fallback || uses("Metaspace") || uses("ByteFallback") || parts_replace_space(&parts) {
            Spelling::SentencePiece { byte_fallback: fallback || uses("ByteFallback") }
        } else {
            Spelling::Plain
        }
    }

    fn bytes(&self, piece: &str) -> Option<Vec<u8>> {
        match self {
            Spelling::ByteLevel => piece.chars().map(byte_of).collect(),
            Spelling::SentencePiece { byte_fallback } => {
                if *byte_fallback && let Some(byte) = fallback_byte(piece) {
                    return Some(vec![byte]);
                }
                Some(piece.replace('\u{2581}', " ").into_bytes())
            }
            // The decoder joins words with a space and drops the prefix of the pieces that continue a word.
            Spelling::WordPiece { prefix } => Some(match piece.strip_prefix(prefix.as_str()) {
                Some(rest) => rest.as_bytes().to_vec(),
                None => format!(" {piece}").into_bytes(),
            }),
            Spelling::Plain => Some(piece.as_bytes().to_vec()),
        }
    }
}

/// True if this step, or a step of this sequence, has the given type.
fn mentions(part: &Value, kind: &str) -> bool {
    match part {
        Value::Object(map) => {
            map.get("type").and_then(Value::as_str) == Some(kind)
                || ["decoders", "pretokenizers", "normalizers"]
                    .iter()
                    .filter_map(|key| map.get(*key))
                    .any(|list| mentions(list, kind))
        }
        Value::Array(list) => list.iter().any(|part| mentions(part, kind)),
        _ => false,
    }
}

/// True if a decoder or normalizer step replaces U+2581 by a space or the other way round.
fn parts_replace_space(parts: &[&Value]) -> bool {
    fn replaces(part: &Value) -> bool {
        match part {
            Value::Object(map) => {
                let pattern = map.get("pattern").and_then(|p| p.get("String")).and_then(Value::as_str);
                let content = map.get("content").and_then(Value::as_str);
                (map.get("type").and_then(Value::as_str) == Some("Replace")
                    && (pattern == Some("\u{2581}") || content == Some("\u{2581}")))
                    || map.values().any(replaces)
            }
            Value::Array(list) => list.iter().any(replaces),
            _ => false,
        }
    }
    parts.iter().any(|part| replaces(part))
}

fn fallback_byte(piece: &str) -> Option<u8> {
    let hex = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok()).flatten()
}

/// The byte that a character of the byte-level alphabet stands for.
fn byte_of(c: char) -> Option<u8> {
    let code = c as u32;
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => Some(code as u8),
        0x100..=0x120 => Some((code - 0x100) as u8),
        0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_alphabet_is_a_bijection() {
        let mut seen = [false; 256];
        for code in 0..0x200 {
            if let Some(byte) = char::from_u32(code).and_then(byte_of) {
                assert!(!seen[byte as usize], "byte {byte:#x} twice");
                seen[byte as usize] = true;
            }
        }
        assert!(seen.iter().all(|&s| s));
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
    }

    #[test]
    fn byte_level_with_added_tokens() {
        let json = r#"{"model":{"type":"BPE","vocab":{"Ġhi":0,"Ã©":1}},
            "decoder":{"type":"ByteLevel"},
            "added_tokens":[{"id":3,"content":"<|x|>","special":true},{"id":4,"content":"<tool_call>","special":false}]}"#;
        let tokens = tokens(json).expect("reads");
        assert_eq!(tokens[0], Token::text(*b" hi"));
        assert_eq!(tokens[1], Token::text("é".as_bytes()));
        assert_eq!(tokens[2], Token::hole());
        assert_eq!(tokens[3], Token::special("<|x|>"));
        assert_eq!(tokens[4], Token::added("<tool_call>"));
    }

    #[test]
    fn sentencepiece_with_byte_fallback() {
        let json = r#"{"model":{"type":"BPE","byte_fallback":true,"vocab":{"<unk>":0,"<0x0A>":1,"▁a":2}},
            "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"}]},
            "added_tokens":[{"id":0,"content":"<unk>","special":true}]}"#;
        let tokens = tokens(json).expect("reads");
        assert_eq!(tokens[0], Token::special("<unk>"));
        assert_eq!(tokens[1], Token::text(*b"\n"));
        assert_eq!(tokens[2], Token::text(*b" a"));
    }

    #[test]
    fn unigram_lists() {
        let json = r#"{"model":{"type":"Unigram","vocab":[["<pad>",0.0],["▁x",-1.5]]},"pre_tokenizer":{"type":"Metaspace"}}"#;
        assert_eq!(tokens(json).expect("reads")[1], Token::text(*b" x"));
    }

    #[test]
    fn broken_files_are_errors() {
        assert!(tokens("{").is_err());
        assert!(tokens("{}").is_err());
        assert!(
            tokens(r#"{"model":{"vocab":{"日":0}},"decoder":{"type":"ByteLevel"}}"#)
                .expect_err("refused")
                .to_string()
                .contains("byte-level alphabet")
        );
    }
}
