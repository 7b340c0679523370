//! Reads a Chat Completions request. A field that cannot be honoured is refused by name, never ignored.

use serde::Deserialize;
use serde_json::{Map, Value};
use toolglot::grammar::Spacing;
use toolglot::{Plan, SessionSettings};

use crate::error::ApiError;
use crate::{Sampling, TurnRequest};

/// The fields that are honoured.
#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    messages: Vec<Value>,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    tool_choice: Value,
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    seed: Option<u64>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    stop: Stop,
    #[serde(default)]
    stop_token_ids: Vec<u32>,
    #[serde(default)]
    include_stop_str_in_output: bool,
    chat_template_kwargs: Option<Map<String, Value>>,
    reasoning_effort: Option<String>,
    spacing: Option<String>,
    n: Option<u32>,
}

/// The names of [`Body`]'s fields.
const HONOURED: [&str; 23] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "stop_token_ids",
    "include_stop_str_in_output",
    "chat_template_kwargs",
    "reasoning_effort",
    "spacing",
    "n",
];

/// Fields about the caller, not about the turn: nothing is lost without them.
const ABOUT_THE_CALLER: [&str; 4] = ["user", "metadata", "store", "safety_identifier"];

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Stop {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

/// A request that was understood.
pub(crate) struct Parsed {
    pub(crate) turn: TurnRequest,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

pub(crate) fn parse(body: &[u8], served: &str) -> Result<Parsed, ApiError> {
    let mut fields: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid(None, error.to_string()))?;
    // Null stands for "not given" in every client.
    fields.retain(|name, value| !value.is_null() && !ABOUT_THE_CALLER.contains(&name.as_str()));
    if let Some(name) = fields.keys().find(|name| !HONOURED.contains(&name.as_str())) {
        return Err(ApiError::invalid(Some(name), format!("`{name}` is not supported, so it is refused")));
    }
    let body: Body = serde_json::from_value(Value::Object(fields))
        .map_err(|error| ApiError::invalid(None, error.to_string()))?;
    if let Some(model) = body.model.as_deref().filter(|model| *model != served) {
        return Err(ApiError::invalid(
            Some("model"),
            format!("no model `{model}` here; this server runs `{served}`"),
        ));
    }
    if body.n.is_some_and(|n| n != 1) {
        return Err(ApiError::invalid(Some("n"), "only n = 1 is supported"));
    }
    if body.messages.is_empty() {
        return Err(ApiError::invalid(Some("messages"), "there are no messages"));
    }
    let plan = Plan::from_openai(&body.tools, &body.tool_choice, body.parallel_tool_calls.unwrap_or(true))
        .map_err(|error| ApiError::invalid(Some("tools"), error.to_string()))?;
    let mut variables = body.chat_template_kwargs.unwrap_or_default();
    if let Some(effort) = body.reasoning_effort {
        variables.entry("reasoning_effort").or_insert(effort.into());
    }
    let settings = SessionSettings {
        spacing: body.spacing.as_deref().map_or(Ok(Spacing::default()), spacing)?,
        stop: match body.stop {
            Stop::None => Vec::new(),
            Stop::One(stop) => vec![stop],
            Stop::Many(stops) => stops,
        },
        stop_ids: body.stop_token_ids,
        include_stop: body.include_stop_str_in_output,
        max_tokens: body.max_completion_tokens.or(body.max_tokens),
        ..SessionSettings::default()
    };
    Ok(Parsed {
        turn: TurnRequest {
            messages: body.messages,
            tools: match body.tools {
                Value::Array(tools) => tools,
                _ => Vec::new(),
            },
            plan,
            variables,
            settings,
            sampling: Sampling {
                temperature: body.temperature,
                top_p: body.top_p,
                top_k: body.top_k,
                min_p: body.min_p,
                seed: body.seed,
                presence_penalty: body.presence_penalty,
                frequency_penalty: body.frequency_penalty,
            },
        },
        stream: body.stream,
        include_usage: body.stream_options.is_some_and(|options| options.include_usage),
    })
}

/// How much white space the masks leave to the model.
fn spacing(name: &str) -> Result<Spacing, ApiError> {
    match name {
        "flexible" => Ok(Spacing::Flexible),
        "family" => Ok(Spacing::Family),
        "compact" => Ok(Spacing::Compact),
        _ => {
            let why = format!("`{name}` is none of `flexible`, `family` and `compact`");
            Err(ApiError::invalid(Some("spacing"), why))
        }
    }
}
