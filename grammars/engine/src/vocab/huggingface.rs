//! Reads the token bytes out of a Hugging Face `tokenizer.json`.
//!
//! Byte-level BPE writes each byte as one printable character; the table is the one GPT-2 introduced: printable
//! Latin-1 bytes stand for themselves, the other 68 are numbered from U+0100 in byte order. SentencePiece models
//! write a space as U+2581 and raw bytes as `<0xNN>`. Which of the two is used is told by the decoder and
//! pre-tokenizer of the file. Does not read merges or scores: they say how text is split, not what tokens mean.

use super::tiktoken::put;
use super::{Token, TokenKind};
use crate::VocabularyError;
use serde_json::Value;

pub(super) fn tokens(json: &str) -> Result<Vec<Token>, VocabularyError> {
    let malformed =
        |reason: &str| VocabularyError::Malformed { what: "tokenizer.json", reason: reason.to_string() };
    let root: Value = serde_json::from_str(json).map_err(|e| malformed(&e.to_string()))?;
    let model = root.get("model").ok_or_else(|| malformed("no `model`"))?;
    let spelling = Spelling::of(&root, model);
    let mut out = Vec::new();
    let mut piece = |id: u32, text: &str| -> Result<(), VocabularyError> {
        let bytes = spelling.bytes(text).ok_or_else(|| VocabularyError::Token {
            id,
            text: text.to_string(),
            reason: "has a character outside the byte-level alphabet".to_string(),
        })?;
        put(&mut out, id, Token::text(bytes))
    };
    match model.get("vocab") {
        Some(Value::Object(vocab)) => {
            for (text, id) in vocab {
                let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
                let id = id.ok_or_else(|| malformed("a `vocab` id is not a number"))?;
                match piece(id, text) {
                    // Some files list their added tokens in `vocab` too, spelled as plain text.
                    Err(VocabularyError::Token { .. }) if is_added(&root, text) => {}
                    other => other?,
                }
            }
        }
        Some(Value::Array(vocab)) => {
            for (id, entry) in vocab.iter().enumerate() {
                let text = entry.get(0).and_then(Value::as_str);
                piece(id as u32, text.ok_or_else(|| malformed("a `vocab` piece is not a string"))?)?;
            }
        }
        _ => return Err(malformed("`model.vocab` is neither an object nor a list")),
    }
    for added in root.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
        let id = added.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or_else(|| malformed("an added token has no id"))?;
        let content = added.get("content").and_then(Value::as_str);
        let content = content.ok_or_else(|| malformed("an added token has no content"))?;
        let special = added.get("special").and_then(Value::as_bool).unwrap_or(false);
        let kind = if special { TokenKind::Special } else { TokenKind::Added };
        put(&mut out, id, Token { bytes: content.as_bytes().to_vec(), kind })?;
    }
    Ok(out)
}

fn is_added(root: &Value, text: &str) -> bool {
    let added = root.get("added_tokens").and_then(Value::as_array);
    added.is_some_and(|list| list.iter().any(|t| t.get("content").and_then(Value::as_str) == Some(text)))
}

/// How pieces are written.
enum Spelling {
    ByteLevel,
    SentencePiece { byte_fallback: bool },
    WordPiece { prefix: String },
    Plain,
}

impl Spelling {
    fn of(root: &Value, model: &Value) -> Spelling {
        let parts = [root.get("decoder"), root.get("pre_tokenizer"), root.get("normalizer")];
        let uses = |kind: &str| parts.iter().flatten().any(|part| mentions(part, kind));
        let fallback = model.get("byte_fallback").and_then(Value::as_bool).unwrap_or(false);
        if uses("ByteLevel") {
            Spelling::ByteLevel
        } else if model.get("type").and_then(Value::as_str) == Some("WordPiece") {
            let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or("##");
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
fn parts_replace_space(parts: &[Option<&Value>]) -> bool {
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
    parts.iter().flatten().any(|part| replaces(part))
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
