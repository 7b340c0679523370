//! Fits a conversation to what a template can take.
//!
//! Clients send the same conversation in several shapes: call arguments as a JSON string or as an object, content as a
//! string, as parts, or null. Templates take some of them. What a given template takes is found by rendering small probe
//! conversations once; no template source is inspected.

use serde_json::{Map, Value as Json, json};

/// What a template takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    arguments: Arguments,
    content: Content,
    /// Null content renders, and not as the word `None`; otherwise it becomes `""`.
    null_content: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arguments {
    /// Only objects: strings are parsed.
    Object,
    /// Only JSON text: objects are written as text.
    Text,
    /// Both, with equal results: they are left as given.
    Either,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Only strings: text parts are joined.
    Text,
    /// Only parts: strings are wrapped.
    Parts,
    /// Both.
    Either,
}

const WORD: &str = "probeword";
const ARGUMENTS: &str = r#"{"probekey": "probeword"}"#;

impl Shape {
    /// Finds the shape by rendering probes; `render` gives the text of a conversation, or None where it fails.
    pub(super) fn probe(render: impl Fn(&[Json]) -> Option<String>) -> Self {
        let content = probe_content(&render);
        let opening = match content {
            Content::Parts => json!([{"type": "text", "text": "u"}]),
            _ => json!("u"),
        };
        let call = |arguments: Json, content: Json| {
            render(&[
                json!({"role": "user", "content": opening}),
                json!({"role": "assistant", "content": content, "tool_calls": [{
                    "id": "probe0000", "type": "function",
                    "function": {"name": "probe_tool", "arguments": arguments},
                }]}),
            ])
        };
        let object = json!({"probekey": WORD});
        // The first content that renders with a call serves for the other probes.
        let empty = [json!(""), Json::Null].into_iter().find(|c| call(object.clone(), c.clone()).is_some());
        let empty = empty.unwrap_or_else(|| json!(""));
        let as_object = call(object.clone(), empty.clone())
            .filter(|t| t.contains("probekey") && t.contains(WORD) && !t.contains("{'probekey'"));
        let as_text = call(json!(ARGUMENTS), empty)
            .filter(|t| t.contains("probekey") && t.contains(WORD) && !t.contains("\\\"probekey"));
        let arguments = match (as_object, as_text) {
            (Some(object), Some(text)) if object == text => Arguments::Either,
            (None, Some(text)) if text.contains(ARGUMENTS) => Arguments::Text,
            _ => Arguments::Object,
        };
        let arguments_probe = if arguments == Arguments::Text { json!(ARGUMENTS) } else { object };
        let null_content = call(arguments_probe, Json::Null).is_some_and(|t| !t.contains("None"));
        Self { arguments, content, null_content }
    }

    /// The messages as the template takes them; `Err` says which message cannot be fitted, and why.
    pub(super) fn fit(&self, messages: &[Json]) -> Result<Vec<Json>, String> {
        messages
            .iter()
            .enumerate()
            .map(|(i, m)| self.fit_message(m).map_err(|e| format!("message {i}: {e}")))
            .collect()
    }

    fn fit_message(&self, message: &Json) -> Result<Json, String> {
        let Json::Object(message) = message else {
            return Err("it must be a JSON object with a role".to_owned());
        };
        let mut message = message.clone();
        match message.get("content") {
            None | Some(Json::Null) => {
                let content = if self.null_content { Json::Null } else { json!("") };
                // A template that asks for parts also gets the empty content as parts.
                let content = match self.content {
                    Content::Parts if !self.null_content => json!([]),
                    _ => content,
                };
                message.insert("content".to_owned(), content);
            }
            Some(Json::Array(parts)) if self.content == Content::Text => {
                let text = join_parts(parts)?;
                message.insert("content".to_owned(), Json::String(text));
            }
            Some(Json::String(text)) if self.content == Content::Parts => {
                let parts = json!([{"type": "text", "text": text}]);
                message.insert("content".to_owned(), parts);
            }
            Some(_) => {}
        }
        if let Some(Json::Array(calls)) = message.get_mut("tool_calls") {
            for (i, call) in calls.iter_mut().enumerate() {
                self.fit_call(call).map_err(|e| format!("tool call {i}: {e}"))?;
            }
        }
        Ok(Json::Object(message))
    }

    fn fit_call(&self, call: &mut Json) -> Result<(), String> {
        let holder =
            if call.get("function").is_some_and(Json::is_object) { &mut call["function"] } else { call };
        let Some(arguments) = holder.get_mut("arguments") else { return Ok(()) };
        match (self.arguments, &*arguments) {
            (Arguments::Object, Json::String(text)) => {
                *arguments = Json::Object(if text.trim().is_empty() {
                    Map::new()
                } else {
                    serde_json::from_str(text).map_err(|e| {
                        format!(
                            "this template needs arguments as a JSON object, and the text given is none: {e}"
                        )
                    })?
                });
            }
            (Arguments::Text, Json::Object(_)) => *arguments = Json::String(dumps(arguments)),
            _ => {}
        }
        Ok(())
    }
}

fn probe_content(render: &impl Fn(&[Json]) -> Option<String>) -> Content {
    let user = |content: Json| render(&[json!({"role": "user", "content": content})]);
    let text = user(json!(WORD)).is_some_and(|t| t.contains(WORD));
    let parts = user(json!([{"type": "text", "text": WORD}]))
        .is_some_and(|t| t.contains(WORD) && !t.contains("'type'") && !t.contains("\"type\""));
    match (text, parts) {
        (true, true) => Content::Either,
        (false, true) => Content::Parts,
        _ => Content::Text,
    }
}

/// Text parts joined by a line break; parts that are no text cannot be written into a string.
fn join_parts(parts: &[Json]) -> Result<String, String> {
    let texts: Result<Vec<&str>, String> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| {
            part.as_str().or_else(|| part.get("text").and_then(Json::as_str)).ok_or_else(|| {
                let kind = part.get("type").and_then(Json::as_str).unwrap_or("unknown");
                format!("content part {i} is of type `{kind}`, and this template takes text only")
            })
        })
        .collect();
    Ok(texts?.join("\n"))
}

/// JSON text in the spacing of Python's `json.dumps(ensure_ascii=False)`.
fn dumps(json: &Json) -> String {
    fn push(out: &mut String, json: &Json) {
        match json {
            Json::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    push(out, item);
                }
                out.push(']');
            }
            Json::Object(map) => {
                out.push('{');
                for (i, (key, item)) in map.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    super::print::push_json_string(out, key, false);
                    out.push_str(": ");
                    push(out, item);
                }
                out.push('}');
            }
            Json::String(text) => super::print::push_json_string(out, text, false),
            scalar => out.push_str(&scalar.to_string()),
        }
    }
    let mut out = String::new();
    push(&mut out, json);
    out
}
