//! `POST /v1/chat/completions` and `GET /v1/models`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;
use toolglot::Turn;
use toolglot::openai::{CallIds, ChunkEncoder, message};

use crate::error::ApiError;
use crate::request::{Parsed, parse};
use crate::{Engine, Update, Usage};

/// A comment is sent when nothing else was for this long, so that no proxy gives up.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The routes of the API.
pub fn router(engine: Arc<dyn Engine>) -> Router {
    let served = Arc::new(Served { engine, started: now(), counter: AtomicU64::new(0) });
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .with_state(served)
}

struct Served {
    engine: Arc<dyn Engine>,
    started: u64,
    counter: AtomicU64,
}

impl Served {
    /// Unique in this process and, by its start, between runs.
    fn next_id(&self) -> String {
        format!("{:x}-{:x}", self.started, self.counter.fetch_add(1, Ordering::Relaxed))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

async fn models(State(served): State<Arc<Served>>) -> Json<Value> {
    Json(json!({"object": "list", "data": [{
        "id": served.engine.model(), "object": "model", "created": served.started, "owned_by": "local",
    }]}))
}

async fn chat(State(served): State<Arc<Served>>, body: Bytes) -> Result<Response, ApiError> {
    let Parsed { turn, stream, include_usage } = parse(&body, served.engine.model())?;
    let updates = served.engine.start(turn)?;
    let id = served.next_id();
    let model = served.engine.model();
    if stream {
        let encoder = ChunkEncoder::new(format!("chatcmpl-{id}"), model, now());
        let events = sse(updates, encoder, include_usage);
        Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
    } else {
        whole(updates, &id, model).await.map(|value| Json(value).into_response())
    }
}

async fn whole(mut updates: Receiver<Update>, id: &str, model: &str) -> Result<Value, ApiError> {
    let mut turn = Turn::default();
    while let Some(update) = updates.recv().await {
        match update {
            Update::Event(event) => turn.push(event),
            Update::Failed(why) => return Err(ApiError::server(why)),
            Update::Finished { cut, usage } => {
                let reason = finish_reason(cut, !turn.calls.is_empty());
                let message = message(&turn, &CallIds::new(format!("call_{id}")));
                return Ok(json!({
                    "id": format!("chatcmpl-{id}"),
                    "object": "chat.completion",
                    "created": now(),
                    "model": model,
                    "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                    "usage": usage_value(usage),
                }));
            }
        }
    }
    Err(ApiError::server("the engine stopped without an answer"))
}

fn finish_reason(cut: bool, calls: bool) -> &'static str {
    match (cut, calls) {
        (true, _) => "length",
        (false, true) => "tool_calls",
        (false, false) => "stop",
    }
}

fn usage_value(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    })
}

/// The updates as server-sent events, `[DONE]` last.
fn sse(
    updates: Receiver<Update>,
    encoder: ChunkEncoder,
    include_usage: bool,
) -> impl Stream<Item = Result<SseEvent, std::convert::Infallible>> {
    struct Streaming {
        updates: Receiver<Update>,
        encoder: ChunkEncoder,
        include_usage: bool,
        ready: std::collections::VecDeque<String>,
        done: bool,
    }
    let state = Streaming { updates, encoder, include_usage, ready: Default::default(), done: false };
    stream::unfold(state, |mut state| async move {
        while state.ready.is_empty() {
            if state.done {
                return None;
            }
            match state.updates.recv().await {
                Some(Update::Event(event)) => {
                    state.ready.extend(state.encoder.event(&event).map(|chunk| chunk.to_string()));
                }
                Some(Update::Finished { cut, usage }) => {
                    let mut last = state.encoder.finish(if cut { "length" } else { "stop" });
                    state.ready.push_back(last.to_string());
                    if state.include_usage {
                        last["choices"] = json!([]);
                        last["usage"] = usage_value(usage);
                        state.ready.push_back(last.to_string());
                    }
                    state.ready.push_back("[DONE]".into());
                    state.done = true;
                }
                failed => {
                    let why = match failed {
                        Some(Update::Failed(why)) => why,
                        _ => "the engine stopped without an answer".to_owned(),
                    };
                    let error = json!({"error": {"message": why, "type": "server_error"}});
                    state.ready.push_back(error.to_string());
                    state.done = true;
                }
            }
        }
        state.ready.pop_front().map(|data| (Ok(SseEvent::default().data(data)), state))
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;
    use toolglot::grammar::Spacing;
    use toolglot::{Channel, Event, SessionSettings};
    use tower::ServiceExt;

    use super::*;
    use crate::{EngineError, TurnRequest};

    /// Says what it was asked for, then calls the first tool.
    struct Echo;

    impl Engine for Echo {
        fn model(&self) -> &str {
            "echo"
        }

        fn start(&self, request: TurnRequest) -> Result<mpsc::Receiver<Update>, EngineError> {
            if request.sampling.temperature == Some(9.0) {
                return Err(EngineError::Invalid("temperature 9 is too hot".into()));
            }
            let (send, receive) = mpsc::channel(1);
            let SessionSettings { stop, spacing, .. } = request.settings;
            let text = match spacing {
                Spacing::Flexible => format!("{stop:?}"),
                other => format!("{stop:?} {other:?}"),
            };
            tokio::spawn(async move {
                let mut updates = vec![Update::Event(Event::Text { channel: Channel::Content, text })];
                if let Some(tool) = request.plan.tools.first() {
                    let name = tool.name.clone();
                    updates.push(Update::Event(Event::CallStart { index: 0, name, id: None, known: true }));
                    updates.push(Update::Event(Event::Arguments { index: 0, json: "{}".into() }));
                    updates.push(Update::Event(Event::CallEnd { index: 0, complete: true }));
                }
                let usage = Usage { prompt: 3, completion: 4 };
                updates.push(Update::Finished { cut: false, usage });
                for update in updates {
                    if send.send(update).await.is_err() {
                        return;
                    }
                }
            });
            Ok(receive)
        }
    }

    async fn post(body: Value) -> (StatusCode, String) {
        let request = Request::post("/v1/chat/completions").body(Body::from(body.to_string())).unwrap();
        let response = router(Arc::new(Echo)).oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn request() -> Value {
        json!({
            "model": "echo",
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "temperature": 0.5,
            "stop": ["a", "b"],
            "user": "me",
            "logprobs": null,
        })
    }

    #[tokio::test]
    async fn answers_whole() {
        let (status, body) = post(request()).await;
        assert_eq!(status, StatusCode::OK);
        let body: Value = serde_json::from_str(&body).unwrap();
        let choice = &body["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"]["content"], "[\"a\", \"b\"]");
        assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "f");
        assert_eq!(body["usage"]["total_tokens"], 7);
    }

    #[tokio::test]
    async fn hands_on_how_much_white_space_is_left_to_the_model() {
        for (name, known) in [("family", "Family"), ("compact", "Compact")] {
            let mut body = request();
            body["spacing"] = json!(name);
            let (status, body) = post(body).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            let body: Value = serde_json::from_str(&body).unwrap();
            let content = body["choices"][0]["message"]["content"].as_str().unwrap();
            assert!(content.ends_with(known), "{content}");
        }
    }

    #[tokio::test]
    async fn streams_the_same_turn() {
        let mut body = request();
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let (status, body) = post(body).await;
        assert_eq!(status, StatusCode::OK);
        let data: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.last(), Some(&"[DONE]"));
        let chunks: Vec<Value> =
            data[..data.len() - 1].iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
        assert_eq!(chunks[0]["choices"][0]["delta"]["content"], "[\"a\", \"b\"]");
        assert_eq!(chunks[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"], "f");
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(chunks[4]["usage"]["completion_tokens"], 4);
    }

    #[tokio::test]
    async fn refuses_by_name_what_it_cannot_honour() {
        let refusals = [
            ("logit_processors", json!([1]), "logit_processors"),
            ("n", json!(2), "n"),
            ("model", json!("gpt"), "model"),
            ("tool_choice", json!("always"), "tools"),
            ("messages", json!([]), "messages"),
            ("spacing", json!("wide"), "spacing"),
        ];
        for (field, value, param) in refusals {
            let mut body = request();
            body[field] = value;
            let (status, body) = post(body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{field}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["error"]["param"], param, "{body}");
        }
        let mut body = request();
        body["temperature"] = json!(9);
        let (status, body) = post(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.contains("too hot"));
    }
}
