//! Finds the chat template and the special tokens of a model directory in Hugging Face layout.
//!
//! A template is looked for where `transformers` writes it, newest layout first: `chat_template.jinja` with
//! `additional_chat_templates/*.jinja`, `chat_template.json`, then `chat_template` in `tokenizer_config.json` (a string,
//! or a list of named ones).

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::error::{TemplateError, TemplateErrorKind};

/// Name of the template that is used when no other one fits.
pub(super) const DEFAULT: &str = "default";

/// Variables that hold one special token each, as `transformers` passes them.
const TOKEN_VARIABLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Named template sources and the special-token variables of a model.
pub(super) struct Found {
    pub(super) sources: Vec<(String, String)>,
    pub(super) tokens: Map<String, Json>,
}

/// Reads a model directory.
pub(super) fn read(dir: &Path, name: &str) -> Result<Found, TemplateError> {
    let config = read_json(dir, "tokenizer_config.json", name)?.unwrap_or_default();
    let mut tokens = special_tokens(&config);
    if let Some(map) = read_json(dir, "special_tokens_map.json", name)? {
        for (key, value) in special_tokens(&map) {
            tokens.entry(key).or_insert(value);
        }
    }
    let mut sources = Vec::new();
    if let Some(text) = read_text(dir, "chat_template.jinja", name)? {
        sources.push((DEFAULT.to_owned(), text));
    }
    if let Ok(entries) = fs::read_dir(dir.join("additional_chat_templates")) {
        let mut paths: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        paths.sort();
        for path in paths {
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
            if path.extension().is_some_and(|e| e == "jinja") && sources.iter().all(|(n, _)| *n != stem) {
                let text = fs::read_to_string(&path)
                    .map_err(|e| model_error(name, format!("{} cannot be read: {e}", path.display())))?;
                sources.push((stem, text));
            }
        }
    }
    if sources.is_empty()
        && let Some(file) = read_json(dir, "chat_template.json", name)?
    {
        sources = config_sources(&file, name)?;
    }
    if sources.is_empty() {
        sources = config_sources(&config, name)?;
    }
    if sources.is_empty() {
        return Err(model_error(
            name,
            format!(
                "{} holds no chat_template.jinja and no chat_template in tokenizer_config.json; use the template of \
                 the model's family instead",
                dir.display()
            ),
        ));
    }
    Ok(Found { sources, tokens })
}

/// The templates of a parsed `tokenizer_config.json`.
pub(super) fn config_sources(
    config: &Map<String, Json>,
    name: &str,
) -> Result<Vec<(String, String)>, TemplateError> {
    match config.get("chat_template") {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::String(text)) => Ok(vec![(DEFAULT.to_owned(), text.clone())]),
        Some(Json::Array(items)) => items
            .iter()
            .map(|item| {
                let field = |key: &str| item.get(key).and_then(Json::as_str).map(str::to_owned);
                field("name").zip(field("template")).ok_or_else(|| {
                    model_error(
                        name,
                        "each entry of the list `chat_template` needs the strings `name` and `template`"
                            .to_owned(),
                    )
                })
            })
            .collect(),
        Some(_) => {
            Err(model_error(name, "`chat_template` must be a string or a list of named templates".to_owned()))
        }
    }
}

/// The special tokens that a template sees: strings, or the `content` of added-token objects. Absent and null ones stay
/// undefined, as in `transformers`.
pub(super) fn special_tokens(config: &Map<String, Json>) -> Map<String, Json> {
    fn text(value: &Json) -> Option<Json> {
        match value {
            Json::String(_) => Some(value.clone()),
            Json::Object(token) => token.get("content").filter(|c| c.is_string()).cloned(),
            _ => None,
        }
    }
    let mut tokens = Map::new();
    for key in TOKEN_VARIABLES {
        if let Some(token) = config.get(key).and_then(text) {
            tokens.insert(key.to_owned(), token);
        }
    }
    if let Some(Json::Array(items)) = config.get("additional_special_tokens") {
        let items: Vec<_> = items.iter().filter_map(text).collect();
        tokens.insert("additional_special_tokens".to_owned(), Json::Array(items));
    }
    tokens
}

fn read_text(dir: &Path, file: &str, name: &str) -> Result<Option<String>, TemplateError> {
    let path = dir.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(model_error(name, format!("{} cannot be read: {e}", path.display()))),
    }
}

fn read_json(dir: &Path, file: &str, name: &str) -> Result<Option<Map<String, Json>>, TemplateError> {
    read_text(dir, file, name)?
        .map(|text| {
            serde_json::from_str(&text).map_err(|e| {
                model_error(name, format!("{} is not a JSON object: {e}", dir.join(file).display()))
            })
        })
        .transpose()
}

fn model_error(name: &str, detail: String) -> TemplateError {
    TemplateError::new(name, TemplateErrorKind::Model { detail })
}
