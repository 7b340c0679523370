//! The end-of-sequence ids of a checkpoint.
//!
//! Checkpoints name them in up to three files, and the files often disagree: a chat model's turn ends
//! with a token that only one of them lists. So the union counts.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::Deserialize;

use crate::LoadError;
use crate::config::read_json;

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Many(Vec<u32>),
}

#[derive(Deserialize, Default)]
struct Config {
    eos_token_id: Option<Ids>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Object { content: String },
}

#[derive(Deserialize, Default)]
struct TokenizerConfig {
    eos_token: Option<Text>,
    #[serde(default)]
    added_tokens_decoder: HashMap<String, Added>,
}

#[derive(Deserialize)]
struct Added {
    content: String,
}

#[derive(Deserialize, Default)]
struct Tokenizer {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

/// The union of what `config.json`, `generation_config.json` and `tokenizer_config.json` name,
/// ascending. Files that are not there name nothing.
pub fn end_ids(folder: &Path) -> Result<Vec<u32>, LoadError> {
    let mut ids = BTreeSet::new();
    for file in ["config.json", "generation_config.json"] {
        let config: Config = read_if_there(&folder.join(file))?;
        match config.eos_token_id {
            Some(Ids::One(id)) => drop(ids.insert(id)),
            Some(Ids::Many(many)) => ids.extend(many),
            None => {}
        }
    }
    let path = folder.join("tokenizer_config.json");
    let config: TokenizerConfig = read_if_there(&path)?;
    if let Some(Text::Plain(text) | Text::Object { content: text }) = config.eos_token {
        let listed = config.added_tokens_decoder.iter().find(|(_, added)| added.content == text);
        let id = match listed.and_then(|(id, _)| id.parse().ok()) {
            Some(id) => Some(id),
            None => {
                let tokenizer: Tokenizer = read_if_there(&folder.join("tokenizer.json"))?;
                tokenizer.added_tokens.iter().find(|added| added.content == text).map(|added| added.id)
            }
        };
        let unknown = || LoadError::Setting {
            path: path.clone(),
            key: "eos_token".into(),
            problem: format!("is `{text}`, which is no added token of this tokenizer"),
        };
        ids.insert(id.ok_or_else(unknown)?);
    }
    Ok(ids.into_iter().collect())
}

fn read_if_there<T: serde::de::DeserializeOwned + Default>(path: &Path) -> Result<T, LoadError> {
    if path.exists() { read_json(path) } else { Ok(T::default()) }
}
