//! One turn of a model on MLX: prompt, tokens under a mask, events. Shared by `generate`, `demo` and
//! `evaluate`.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use toolglot::grammar::Tokenizer;
use toolglot::sampler::{FinishReason, SamplingParams, TokenConstraint};
use toolglot::template::Conversation;
use toolglot::{Event, Model, Plan, Prompt, Reader, Registry, SessionSettings};
use toolglot_mlx::{Event as Step, Finish, Request, Runtime, Token};

/// A model that runs.
pub(crate) struct Engine {
    pub(crate) model: Model,
    tokenizer: Tokenizer,
    pub(crate) runtime: Runtime,
}

/// What is asked of the model.
pub(crate) struct Question<'a> {
    pub(crate) messages: &'a [Value],
    pub(crate) tools: Option<&'a [Value]>,
    pub(crate) variables: &'a Map<String, Value>,
    pub(crate) plan: &'a Plan,
    pub(crate) settings: &'a SessionSettings,
    pub(crate) sampling: SamplingParams,
}

/// Progress of a turn.
pub(crate) enum Progress<'a> {
    /// The prompt is rendered.
    Prompt(&'a Prompt),
    /// A token was sampled.
    Token(&'a Token),
    /// The output holds this.
    Event(&'a Event),
}

/// Parser and its events, shared with the model's thread, where the end of a call must be seen in time.
struct Reading {
    reader: Reader,
    events: Vec<Event>,
}

fn lock(reading: &Mutex<Reading>) -> MutexGuard<'_, Reading> {
    reading.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Loads family, template, vocabulary and weights.
    pub(crate) fn load(dir: &Path, registry: &Registry, family: Option<&str>) -> Result<Self> {
        let model = Model::from_dir(dir, registry, family)?;
        let tokenizer = Tokenizer::from_model_dir(dir)?;
        let runtime = Runtime::load(dir)?;
        Ok(Engine { model, tokenizer, runtime })
    }

    /// The text of a token, for people.
    pub(crate) fn token_text(&self, id: u32) -> String {
        String::from_utf8_lossy(self.model.vocabulary().bytes(id)).into_owned()
    }

    /// Runs one turn to its end.
    pub(crate) fn run(
        &self,
        question: &Question<'_>,
        mut progress: impl FnMut(Progress<'_>) -> Result<()>,
    ) -> Result<Finish> {
        let mut conversation = Conversation::new(question.messages).with_variables(question.variables);
        if let Some(tools) = question.tools {
            conversation = conversation.with_tools(tools);
        }
        let prompt = self.model.prompt(&conversation)?;
        let ids = self.tokenizer.encode(&prompt.text)?;
        progress(Progress::Prompt(&prompt))?;
        // What is promised within the limit must also fit into the context.
        let room = self.runtime.info().config.context.map(|context| context.saturating_sub(ids.len()));
        let limit = question.settings.max_tokens.into_iter().chain(room).min();
        let settings = SessionSettings { max_tokens: limit, ..question.settings.clone() };

        let reader = self.model.reader(question.plan, &prompt.tail)?;
        let reading = Arc::new(Mutex::new(Reading { reader, events: Vec::new() }));
        let mut request = Request::new(ids);
        request.sampling = question.sampling.clone();
        request.stops = self.model.stops(&settings);
        request.tokens = Some(self.model.token_bytes());
        request.vocabulary = Some(self.model.vocabulary().len());
        if settings.constrain {
            let constraint = self.model.constraint(question.plan, &prompt.tail, &settings)?;
            request.constraint = Some(Box::new(constraint) as Box<dyn TokenConstraint>);
        }
        let seen = reading.clone();
        let stop_after_call = settings.stop_after_call;
        request.observer = Some(Box::new(move |token: &Token| {
            let Reading { reader, events } = &mut *lock(&seen);
            reader.pieces(&token.pieces, events);
            (stop_after_call && reader.complete_calls() > 0).then_some(FinishReason::ToolCall)
        }));

        for step in self.runtime.generate(request) {
            match step? {
                Step::Prefill { done, total } => show_prefill(done, total),
                Step::Token(token) => {
                    progress(Progress::Token(&token))?;
                    let events = std::mem::take(&mut lock(&reading).events);
                    events.iter().try_for_each(|event| progress(Progress::Event(event)))?;
                }
                Step::Finished(finish) => {
                    let events = {
                        let Reading { reader, events } = &mut *lock(&reading);
                        reader.pieces(&finish.pieces, events);
                        reader.finish(finish.reason, events);
                        std::mem::take(events)
                    };
                    events.iter().try_for_each(|event| progress(Progress::Event(event)))?;
                    return Ok(finish);
                }
            }
        }
        None.context("the model's thread ended without an answer")
    }
}

/// Progress of a long prompt, on standard error where a person looks at it.
fn show_prefill(done: usize, total: usize) {
    const LONG: usize = 2048;
    if total >= LONG && std::io::stderr().is_terminal() {
        let end = if done == total { "\n" } else { "" };
        eprint!("\rprompt: {done} of {total} tokens{end}");
    }
}

/// A finish reason in the field's words.
pub(crate) fn reason_text(reason: &FinishReason) -> String {
    match reason {
        FinishReason::Eos { id } => format!("end of turn (EOS token {id})"),
        FinishReason::StopId { id } => format!("stop id {id}"),
        FinishReason::StopString { index } => format!("stop string {index}"),
        FinishReason::ToolCall => "end of the tool call".into(),
        FinishReason::Constraint => "the grammar is complete".into(),
        FinishReason::MaxTokens => "token limit".into(),
        FinishReason::Repetition(_) => "repetition".into(),
        FinishReason::Cancelled => "cancelled".into(),
    }
}
