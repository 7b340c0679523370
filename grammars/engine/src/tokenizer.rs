//! Text to token ids and back, with the tokenizer that a checkpoint brings (`tokenizer.json`).
//!
//! Only prompts need this. What a sampled id stands for is a question to the
//! [`Vocabulary`](crate::Vocabulary), which answers in bytes and so never waits for the rest of a
//! character. Behind the feature `tokenizers`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Why a tokenizer cannot be loaded, or a text not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file is missing or unreadable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no tokenizer that can be used.
    #[error("{name}: {reason}")]
    Load {
        /// The file, or what stands for it.
        name: String,
        /// Why.
        reason: String,
    },
    /// Encoding failed.
    #[error("cannot encode the text: {0}")]
    Encode(String),
    /// Decoding failed, for instance for an id that the tokenizer does not know.
    #[error("cannot decode the tokens: {0}")]
    Decode(String),
}

/// The tokenizer of a checkpoint.
pub struct Tokenizer {
    tokenizer: tokenizers::Tokenizer,
    json: Vec<u8>,
    /// The same without added tokens; made when first asked for.
    plain: OnceLock<Result<tokenizers::Tokenizer, String>>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("size", &self.size()).finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Loads the `tokenizer.json` in a model's folder.
    pub fn from_model_dir(folder: &Path) -> Result<Self, TokenizerError> {
        Self::from_file(&folder.join("tokenizer.json"))
    }

    /// Loads a `tokenizer.json`.
    pub fn from_file(path: &Path) -> Result<Self, TokenizerError> {
        let json =
            std::fs::read(path).map_err(|source| TokenizerError::Read { path: path.into(), source })?;
        Self::from_json(json, &path.display().to_string())
    }

    /// Takes the contents of a `tokenizer.json`; `name` stands for it in errors.
    pub fn from_json(json: Vec<u8>, name: &str) -> Result<Self, TokenizerError> {
        let load =
            |error: tokenizers::Error| TokenizerError::Load { name: name.into(), reason: error.to_string() };
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(&json).map_err(load)?;
        prepare(&mut tokenizer).map_err(load)?;
        Ok(Self { tokenizer, json, plain: OnceLock::new() })
    }

    /// Token ids of a rendered prompt. Text that reads like an added token (`<|im_end|>`,
    /// `<tool_call>`) becomes that token. Nothing is put before the text or after it, since chat
    /// templates write their own beginning.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        ids(&self.tokenizer, text)
    }

    /// Token ids of text that must not pass for a marker: added tokens in it are encoded letter by
    /// letter, like any other text.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let plain = self.plain.get_or_init(|| without_added_tokens(&self.json));
        ids(plain.as_ref().map_err(|reason| TokenizerError::Encode(reason.clone()))?, text)
    }

    /// The text of tokens. Bytes that are not UTF-8 become replacement characters.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        if let Some(id) = ids.iter().find(|&&id| self.tokenizer.id_to_token(id).is_none()) {
            return Err(TokenizerError::Decode(format!("no token has the id {id}")));
        }
        self.tokenizer.decode(ids, skip_special).map_err(|error| TokenizerError::Decode(error.to_string()))
    }

    /// The id of a token by its name in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Number of ids, added tokens included.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The `tokenizer.json` it was made of, for [`Vocabulary`](crate::Vocabulary).
    pub fn json(&self) -> &[u8] {
        &self.json
    }
}

fn ids(tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>, TokenizerError> {
    let encoding = tokenizer.encode_fast(text, false);
    encoding.map(|it| it.get_ids().to_vec()).map_err(|error| TokenizerError::Encode(error.to_string()))
}

/// Prompts are neither cut nor padded, whatever the file says.
fn prepare(tokenizer: &mut tokenizers::Tokenizer) -> Result<(), tokenizers::Error> {
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None)?;
    Ok(())
}

fn without_added_tokens(json: &[u8]) -> Result<tokenizers::Tokenizer, String> {
    let mut value: serde_json::Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    value["added_tokens"] = serde_json::Value::Array(Vec::new());
    // It names added tokens, and only works when something is put around the text.
    value["post_processor"] = serde_json::Value::Null;
    let json = serde_json::to_vec(&value).map_err(|error| error.to_string())?;
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(json).map_err(|error| error.to_string())?;
    prepare(&mut tokenizer).map_err(|error| error.to_string())?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A byte-level BPE of ten letters, two merges and three added tokens, that also asks for a
    /// beginning, for padding and for truncation.
    fn tokenizer() -> Tokenizer {
        let letters = ["a", "b", "c", "<", ">", "|", "/", "e", "n", "d", "Ġ", "Ã", "¤"];
        let mut vocab: serde_json::Map<String, serde_json::Value> =
            letters.iter().enumerate().map(|(id, letter)| ((*letter).into(), id.into())).collect();
        vocab.insert("ab".into(), 13.into());
        vocab.insert("abc".into(), 14.into());
        let added = |id: u32, content: &str, special: bool| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": special})
        };
        let json = json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                        "pad_id": 0, "pad_type_id": 0, "pad_token": "a"},
            "added_tokens": [added(15, "<|end|>", true), added(16, "<a>", false), added(17, "<bos>", true)],
            "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                              "use_regex": true},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<bos>": {"id": "<bos>", "ids": [17], "tokens": ["<bos>"]}}},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                      "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                      "vocab": vocab, "merges": ["a b", "ab c"]}
        });
        Tokenizer::from_json(json.to_string().into_bytes(), "a test").unwrap()
    }

    #[test]
    fn text_is_encoded_as_written() {
        let tokenizer = tokenizer();
        assert_eq!(tokenizer.encode("abcab aba ccab").unwrap(), [14, 13, 10, 13, 0, 10, 2, 2, 13]);
        assert_eq!(tokenizer.encode_plain("").unwrap(), [0u32; 0]);
        assert_eq!(tokenizer.size(), 18);
        assert_eq!(tokenizer.token_id("<|end|>"), Some(15));
    }

    #[test]
    fn markers_are_tokens_or_plain_text() {
        let tokenizer = tokenizer();
        assert_eq!(tokenizer.encode("a<|end|><a>b").unwrap(), [0, 15, 16, 1]);
        let plain = tokenizer.encode_plain("a<|end|><a>b").unwrap();
        assert!(plain.iter().all(|&id| id < 15), "{plain:?}");
        assert_eq!(tokenizer.decode(&plain, false).unwrap(), "a<|end|><a>b");
    }

    #[test]
    fn tokens_are_decoded_to_text() {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode("abc \u{e4}<|end|>").unwrap();
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), "abc \u{e4}<|end|>");
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), "abc \u{e4}");
        assert!(
            matches!(tokenizer.decode(&[99], false), Err(TokenizerError::Decode(reason)) if reason.contains("99"))
        );
    }

    #[test]
    fn what_is_no_tokenizer_is_named() {
        let error = Tokenizer::from_json(b"{}".to_vec(), "over there").unwrap_err();
        assert!(error.to_string().starts_with("over there: "), "{error}");
        let error = Tokenizer::from_file(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(
            matches!(error, TokenizerError::Read { .. }) && error.to_string().contains("/nowhere/at/all")
        );
    }
}
