//! Events as OpenAI Chat Completions: streaming chunks and the whole message.
//!
//! Shapes follow the API reference for `chat.completion.chunk`: the role first, then content,
//! `reasoning_content` (as DeepSeek and vLLM name it) and `tool_calls` deltas, the finish reason last.
//! Nothing is sent over a wire here; see the server for that.

use serde_json::{Value, json};
use toolglot_format::{Channel, Event, Turn};

/// Turns a stream of events into `chat.completion.chunk` objects.
#[derive(Debug, Clone)]
pub struct ChunkEncoder {
    id: String,
    model: String,
    created: u64,
    ids: CallIds,
    started: bool,
    calls: u32,
}

/// Gives each call an id: the format's own where it carries one, else a prefix and the call's index.
#[derive(Debug, Clone)]
pub struct CallIds {
    prefix: String,
}

impl CallIds {
    /// Ids are `{prefix}_{index}`. Use a prefix that is unique per response.
    pub fn new(prefix: impl Into<String>) -> Self {
        CallIds { prefix: prefix.into() }
    }

    /// The id of the call at `index`.
    pub fn of(&self, index: u32, own: Option<&str>) -> String {
        own.map_or_else(|| format!("{}_{index}", self.prefix), str::to_owned)
    }
}

impl ChunkEncoder {
    /// An encoder for one response. `created` is a Unix time in seconds.
    pub fn new(id: impl Into<String>, model: impl Into<String>, created: u64) -> Self {
        let id = id.into();
        let ids = CallIds::new(format!("call_{id}"));
        ChunkEncoder { id, model: model.into(), created, ids, started: false, calls: 0 }
    }

    /// The chunk for one event, or none where the API has no place for it (the end of a call, a report of
    /// malformed output).
    pub fn event(&mut self, event: &Event) -> Option<Value> {
        let mut delta = match event {
            Event::Text { channel: Channel::Content, text } => json!({"content": text}),
            Event::Text { channel: Channel::Reasoning, text } => json!({"reasoning_content": text}),
            Event::CallStart { index, name, id, .. } => {
                self.calls += 1;
                json!({"tool_calls": [{
                    "index": index,
                    "id": self.ids.of(*index, id.as_deref()),
                    "type": "function",
                    "function": {"name": name, "arguments": ""},
                }]})
            }
            Event::Arguments { index, json } => {
                json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]})
            }
            // Clients take a call's id from its first delta only, so a late one cannot be sent.
            Event::CallId { .. } | Event::CallEnd { .. } | Event::Malformed { .. } => return None,
        };
        if !self.started {
            self.started = true;
            delta["role"] = json!("assistant");
        }
        Some(self.chunk(delta, Value::Null))
    }

    /// The last chunk. `reason` is the API's word for a turn without calls: `stop` or `length`; a turn that
    /// stopped with calls is reported as `tool_calls`.
    pub fn finish(&mut self, reason: &str) -> Value {
        let reason = if reason == "stop" && self.calls > 0 { "tool_calls" } else { reason };
        let delta = if self.started { json!({}) } else { json!({"role": "assistant", "content": ""}) };
        self.started = true;
        self.chunk(delta, json!(reason))
    }

    fn chunk(&self, delta: Value, finish_reason: Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        })
    }
}

/// A whole turn as an assistant message. `content` is null when there are calls and no text.
pub fn message(turn: &Turn, ids: &CallIds) -> Value {
    let content =
        if turn.content.is_empty() && !turn.calls.is_empty() { Value::Null } else { json!(turn.content) };
    let mut message = json!({"role": "assistant", "content": content});
    if !turn.reasoning.is_empty() {
        message["reasoning_content"] = json!(turn.reasoning);
    }
    if !turn.calls.is_empty() {
        let calls = turn.calls.iter().zip(0..).map(|(call, index)| {
            json!({
                "id": ids.of(index, call.id.as_deref()),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })
        });
        message["tool_calls"] = calls.collect();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call_events() -> Vec<Event> {
        vec![
            Event::Text { channel: Channel::Reasoning, text: "hm".into() },
            Event::CallStart { index: 0, name: "f".into(), id: None, known: true },
            Event::Arguments { index: 0, json: "{\"a\":".into() },
            Event::Arguments { index: 0, json: " 1}".into() },
            Event::CallEnd { index: 0, complete: true },
        ]
    }

    #[test]
    fn streams_a_call_as_deltas() {
        let mut encoder = ChunkEncoder::new("r1", "tiny", 7);
        let chunks: Vec<Value> = call_events().iter().filter_map(|event| encoder.event(event)).collect();
        let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
        assert_eq!(*deltas[0], json!({"reasoning_content": "hm", "role": "assistant"}));
        assert_eq!(deltas[1]["tool_calls"][0]["id"], "call_r1_0");
        assert_eq!(*deltas[3], json!({"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]}));
        assert_eq!(deltas.len(), 4);
        let last = encoder.finish("stop");
        assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(last["choices"][0]["delta"], json!({}));
    }

    #[test]
    fn an_empty_turn_still_has_a_role() {
        let last = ChunkEncoder::new("r", "m", 0).finish("stop");
        assert_eq!(last["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
    }

    #[test]
    fn the_message_holds_what_the_stream_held() {
        let turn: Turn = call_events().into_iter().collect();
        let message = message(&turn, &CallIds::new("call_r1"));
        assert_eq!(message["content"], Value::Null);
        assert_eq!(message["reasoning_content"], "hm");
        assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\": 1}");
    }
}
