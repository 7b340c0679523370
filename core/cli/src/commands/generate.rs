//! `toolglot generate`: a model answers, under a token mask, on MLX.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};
use toolglot::openai::{CallIds, ChunkEncoder, message};
use toolglot::sampler::{RepetitionDetection, SamplingParams};
use toolglot::{Channel, Event, Registry, SessionSettings, Turn};
use toolglot_mlx::Finish;

use super::grammar::Spacing;
use crate::input::{MessageArgs, ToolArgs};
use crate::output::Output;
use crate::turn::{Engine, Progress, Question, reason_text};

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model folder in Hugging Face layout
    pub(crate) model: PathBuf,
    /// Family; without it, it is detected
    #[arg(long, short, value_name = "ID")]
    pub(crate) family: Option<String>,
    #[command(flatten)]
    pub(crate) messages: MessageArgs,
    #[command(flatten)]
    pub(crate) tools: ToolArgs,
    #[command(flatten)]
    pub(crate) turn: TurnArgs,
    /// Print OpenAI's streaming chunks, one JSON object a line
    #[arg(long)]
    openai: bool,
}

/// Sampling and stops.
#[derive(clap::Args, Clone)]
pub(crate) struct TurnArgs {
    /// Most tokens to generate
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: usize,
    /// 0 is greedy
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f32,
    /// Keep the N most likely tokens; 0 keeps all
    #[arg(long, value_name = "N", default_value_t = 0)]
    top_k: u32,
    /// Keep the most likely tokens up to this sum
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f32,
    /// Keep tokens at least this likely, relative to the likeliest
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_p: f32,
    /// 1 is off
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    repetition_penalty: f32,
    /// 0 is off
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    presence_penalty: f32,
    /// 0 is off
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    frequency_penalty: f32,
    /// Added to a token's logit
    #[arg(long, value_name = "ID=BIAS", value_parser = bias)]
    logit_bias: Vec<(u32, f32)>,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Stop at this text
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Stop at this token
    #[arg(long, value_name = "ID")]
    stop_id: Vec<u32>,
    /// Keep the text that stopped the turn
    #[arg(long)]
    include_stop: bool,
    /// Stop at the end of the first call
    #[arg(long)]
    stop_after_call: bool,
    /// Stop when a pattern of up to N tokens comes three times in a row
    #[arg(long, value_name = "N")]
    stop_repetition: Option<usize>,
    /// How much white space the masks leave to the model
    #[arg(long, value_enum, default_value_t)]
    spacing: Spacing,
    /// Do not constrain the output, to see what the model does by itself
    #[arg(long)]
    pub(crate) no_constrain: bool,
}

fn bias(text: &str) -> Result<(u32, f32), String> {
    let (id, bias) = text.split_once('=').ok_or("expected ID=BIAS")?;
    let id = id.parse().map_err(|error| format!("{id}: {error}"))?;
    Ok((id, bias.parse().map_err(|error| format!("{bias}: {error}"))?))
}

impl TurnArgs {
    pub(crate) fn settings(&self) -> SessionSettings {
        SessionSettings {
            constrain: !self.no_constrain,
            spacing: self.spacing.into(),
            stop: self.stop.clone(),
            stop_ids: self.stop_id.clone(),
            include_stop: self.include_stop,
            stop_after_call: self.stop_after_call,
            max_tokens: Some(self.max_tokens),
            repetition: self.stop_repetition.map(|size| RepetitionDetection {
                min_pattern_size: 1,
                max_pattern_size: size,
                min_count: 3,
            }),
        }
    }

    pub(crate) fn sampling(&self) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            logit_bias: self.logit_bias.clone(),
            seed: self.seed,
            ..SamplingParams::default()
        }
    }
}

pub(crate) fn run(args: &Args, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let tools = args.tools.tools()?;
    let plan = args.tools.plan()?;
    let messages = args.messages.messages()?;
    let variables = args.messages.variables()?;
    let settings = args.turn.settings();
    let engine = Engine::load(&args.model, registry, args.family.as_deref())?;
    let question = Question {
        messages: &messages,
        tools: tools.as_array().map(Vec::as_slice),
        variables: &variables,
        plan: &plan,
        settings: &settings,
        sampling: args.turn.sampling(),
    };
    let mut turn = Turn::default();
    let mut encoder = ChunkEncoder::new("1", args.model.display().to_string(), 0);
    let mut last = None;
    let finish = engine.run(&question, |progress| {
        let Progress::Event(event) = progress else { return Ok(()) };
        if args.openai {
            if let Some(chunk) = encoder.event(event) {
                out.raw(&format!("{chunk}\n"))?;
            }
        } else if out.json() {
            out.emit(|| json!(event), String::new)?;
        } else {
            print(event, &mut last, out)?;
        }
        turn.push(event.clone());
        Ok(())
    })?;
    let cut = matches!(finish.reason, toolglot::sampler::FinishReason::MaxTokens);
    if args.openai {
        let chunk = encoder.finish(if cut { "length" } else { "stop" });
        out.raw(&format!("{chunk}\n"))?;
    } else if out.json() {
        out.emit(|| summary(&turn, &finish), String::new)?;
    } else {
        out.raw("\n")?;
        eprintln!("[{}; {}]", reason_text(&finish.reason), speed(&finish));
    }
    Ok(ExitCode::SUCCESS)
}

/// The whole turn and its costs.
fn summary(turn: &Turn, finish: &Finish) -> Value {
    json!({
        "message": message(turn, &CallIds::new("call")),
        "malformed": turn.malformed,
        "finish_reason": reason_text(&finish.reason),
        "prompt_tokens": finish.prompt_tokens,
        "generated_tokens": finish.generated_tokens,
        "forced_tokens": finish.forced_tokens,
        "forward_passes": finish.passes,
        "prefill_ms": finish.timings.prefill.as_secs_f64() * 1e3,
        "decode_ms": finish.timings.decode.as_secs_f64() * 1e3,
        "mask_ms": finish.timings.mask.as_secs_f64() * 1e3,
        "sample_ms": finish.timings.sample.as_secs_f64() * 1e3,
    })
}

/// Tokens and rates in a line.
pub(crate) fn speed(finish: &Finish) -> String {
    let rate = |tokens: usize, time: std::time::Duration| tokens as f64 / time.as_secs_f64().max(1e-9);
    format!(
        "prompt {} tokens at {:.0}/s, output {} tokens at {:.0}/s, {} of them forced, {} forward passes",
        finish.prompt_tokens,
        rate(finish.prompt_tokens, finish.timings.prefill),
        finish.generated_tokens,
        rate(finish.generated_tokens, finish.timings.decode),
        finish.forced_tokens,
        finish.passes,
    )
}

/// Text as it comes, a heading where the kind changes.
fn print(event: &Event, last: &mut Option<&'static str>, out: &mut Output) -> Result<()> {
    let mut heading = |kind: &'static str, title: String, out: &mut Output| -> Result<()> {
        match last.replace(kind) {
            Some(last) if last == kind => return Ok(()),
            Some(_) => out.raw("\n")?,
            None => {}
        }
        Ok(out.raw(&title)?)
    };
    match event {
        Event::Text { channel: Channel::Content, text } => {
            heading("content", String::new(), out)?;
            out.raw(text)?;
        }
        Event::Text { channel: Channel::Reasoning, text } => {
            heading("reasoning", "(thinking) ".into(), out)?;
            out.raw(text)?;
        }
        Event::CallStart { name, .. } => {
            heading("call", format!("call {name} "), out)?;
        }
        Event::Arguments { json, .. } => out.raw(json)?,
        Event::CallId { .. } => {}
        // The next call begins a line of its own.
        Event::CallEnd { .. } => *last = Some("end of a call"),
        Event::Malformed { .. } => {
            heading("malformed", crate::commands::parse::describe(event), out)?;
        }
    }
    Ok(())
}
