//! OpenAI's Chat Completions API over a decode loop, streaming.
//!
//! `cargo run -p toolglot-server --example chat -- MODEL_DIR [PORT]`. The logits are noise in place of a
//! model's; put yours into `Logits`.

use std::error::Error;
use std::sync::Arc;

use tokio::sync::mpsc;
use toolglot::sampler::{FinishReason, Sampler, SamplingParams};
use toolglot::template::Conversation;
use toolglot::{Model, Registry};
use toolglot_server::{Engine, EngineError, TurnRequest, Update, Usage, router};

/// Events that may wait for a slow reader.
const QUEUE: usize = 16;

struct Local {
    model: Model,
}

/// Stands in for a model.
struct Logits {
    state: u64,
}

impl Logits {
    fn next(&mut self, row: &mut [f32]) {
        for logit in row {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *logit = (self.state >> 40) as f32 / (1 << 24) as f32;
        }
    }
}

impl Engine for Local {
    fn model(&self) -> &str {
        "local"
    }

    fn start(&self, request: TurnRequest) -> Result<mpsc::Receiver<Update>, EngineError> {
        let invalid = |error: &dyn Error| EngineError::Invalid(error.to_string());
        let mut conversation = Conversation::new(&request.messages).with_variables(&request.variables);
        if !request.tools.is_empty() {
            conversation = conversation.with_tools(&request.tools);
        }
        let prompt = self.model.prompt(&conversation).map_err(|error| invalid(&error))?;
        let session = self.model.session(&request.plan, &prompt.tail, &request.settings);
        let mut session = session.map_err(|error| invalid(&error))?;
        let params = SamplingParams {
            temperature: request.sampling.temperature.unwrap_or(1.0),
            seed: request.sampling.seed.unwrap_or(0),
            ..SamplingParams::default()
        };
        let mut sampler = Sampler::new(params, &[]).map_err(|error| invalid(&error))?;
        let vocabulary = self.model.vocabulary().clone();
        let (send, receive) = mpsc::channel(QUEUE);
        std::thread::spawn(move || {
            let mut source = Logits { state: 1 };
            let mut row = vec![0.0; vocabulary.len()];
            let mut mask = vec![0; vocabulary.mask_words()];
            let mut events = Vec::new();
            loop {
                source.next(&mut row);
                let step = session.mask(&mut mask).map_err(|error| error.to_string()).and_then(|()| {
                    let sampled = sampler.sample(&mut row, Some(&mask)).map_err(|error| error.to_string())?;
                    session.accept(sampled.id, &mut events).map_err(|error| error.to_string())
                });
                for event in events.drain(..) {
                    // Waits for a slow reader; a reader that is gone ends the turn.
                    if send.blocking_send(Update::Event(event)).is_err() {
                        return;
                    }
                }
                let last = match step {
                    Ok(None) => continue,
                    Ok(Some(reason)) => Update::Finished {
                        cut: reason == FinishReason::MaxTokens,
                        usage: Usage { prompt: 0, completion: sampler.step() as usize },
                    },
                    Err(why) => Update::Failed(why),
                };
                // Nobody needs the last word of a turn that nobody reads.
                let _ = send.blocking_send(last);
                return;
            }
        });
        Ok(receive)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("name a model folder in Hugging Face layout")?;
    let port = arguments.next().unwrap_or_else(|| "8080".into()).parse::<u16>()?;
    let model = Model::from_dir(dir, &Registry::builtin()?, None)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/v1/chat/completions", listener.local_addr()?);
    axum::serve(listener, router(Arc::new(Local { model }))).await?;
    Ok(())
}
