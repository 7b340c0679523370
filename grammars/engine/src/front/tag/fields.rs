//! What the fields of structural tags hold: markers, tokens, triggers, and whether free text comes to an end.

use crate::GrammarError;
use crate::builder::TokenClass;
use crate::front::json::{Fields, kind, wrong};
use serde_json::Value;

/// What a tag begins with.
pub(super) enum Begin {
    Text(String),
    Token(TokenClass),
}

/// What closes a tag, or opens it.
pub(super) enum Marker {
    Texts(Vec<String>),
    Token(TokenClass),
}

/// The begin or the end of a tag: a string, several, or a token.
pub(super) fn marker(value: &Value, pointer: &str) -> Result<Marker, GrammarError> {
    match value {
        Value::String(text) => Ok(Marker::Texts(vec![text.clone()])),
        Value::Array(list) if !list.is_empty() => {
            let text = |item: &Value| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong(pointer, "expected strings in this list"))
            };
            Ok(Marker::Texts(list.iter().map(text).collect::<Result<_, _>>()?))
        }
        Value::Object(_) => {
            let fields = Fields::new(value, pointer)?;
            if fields.text("type")? != "token" {
                return Err(wrong(&fields.at("type"), "expected `token`"));
            }
            let class = token_class(&[fields.need("token")?], &fields.at("token"), false)?;
            fields.finish()?;
            Ok(Marker::Token(class))
        }
        other => Err(wrong(pointer, format!("expected a string, strings or a token, found {}", kind(other)))),
    }
}

pub(super) fn token_class(
    values: &[&Value],
    pointer: &str,
    negated: bool,
) -> Result<TokenClass, GrammarError> {
    let mut class = TokenClass { negated, ..TokenClass::default() };
    for value in values {
        match value {
            Value::String(name) if !name.is_empty() => class.names.push(name.clone()),
            Value::Number(number) => {
                let id = number.as_u64().and_then(|id| u32::try_from(id).ok());
                let id = id.ok_or_else(|| wrong(pointer, format!("{number} is no token id")))?;
                class.ids.push(id..=id);
            }
            other => {
                return Err(wrong(pointer, format!("expected a token's id or name, found {}", kind(other))));
            }
        }
    }
    Ok(class)
}

pub(super) fn triggers(fields: &Fields<'_>) -> Result<Vec<String>, GrammarError> {
    let triggers = fields.texts("triggers")?;
    if triggers.is_empty() || triggers.iter().any(String::is_empty) {
        return Err(wrong(&fields.at("triggers"), "expected strings that are not empty"));
    }
    Ok(triggers)
}

pub(super) fn pair<'v>(value: &'v Value, pointer: &str) -> Result<[&'v Value; 2], GrammarError> {
    match value.as_array().map(Vec::as_slice) {
        Some([first, second]) => Ok([first, second]),
        _ => Err(wrong(pointer, "expected a list of two: what starts it and a format")),
    }
}

/// Whether a format may go on without end and does not say where it stops.
pub(super) fn endless(format: &Value) -> bool {
    let bare = |key: &str| format.get(key).and_then(Value::as_array).is_none_or(Vec::is_empty);
    match format["type"].as_str() {
        Some("any_text") => bare("excludes") && format.get("max_chars").is_none_or(Value::is_null),
        Some("triggered_tags") => bare("excludes") && format["stop_after_first"] != true,
        Some("dispatch") => bare("excludes") && format["loop"] != false,
        Some("any_tokens") => bare("exclude_tokens") && format.get("max_tokens").is_none_or(Value::is_null),
        Some("token_triggered_tags") => bare("exclude_tokens") && format["stop_after_first"] != true,
        Some("token_dispatch") => bare("exclude_tokens") && format["loop"] != false,
        Some("sequence") => format["elements"].as_array().and_then(|list| list.last()).is_some_and(endless),
        Some("or") => format["elements"].as_array().is_some_and(|list| list.iter().any(endless)),
        Some("optional" | "plus" | "star" | "repeat") => endless(&format["content"]),
        Some("tag") => {
            let open = |end: &Value| end.as_str() == Some("");
            let end = &format["end"];
            (open(end) || end.as_array().is_some_and(|ends| ends.iter().any(open)))
                && endless(&format["content"])
        }
        _ => false,
    }
}

/// Whether one of the strings can be complete inside another, or inside itself further on: then a text followed by
/// one of them can be seen to end in two places.
pub(super) fn overlap(strings: &[Vec<u8>]) -> bool {
    strings.iter().any(|a| strings.iter().any(|b| ends_inside(a, b)))
}

/// Whether a proper ending of `a` begins `b`.
pub(super) fn ends_inside(a: &[u8], b: &[u8]) -> bool {
    (1..a.len().min(b.len() + 1)).any(|n| a.ends_with(&b[..n]))
}
