//! `toolglot demo`: the main job on the bundled model, with everything shown.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use toolglot::openai::{CallIds, message};
use toolglot::{Plan, Registry, Turn};

use crate::commands::generate::{TurnArgs, speed};
use crate::commands::parse::describe;
use crate::output::{Output, table};
use crate::turn::{Engine, Progress, Question, reason_text};

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the user says
    #[arg(long, short, default_value = MESSAGE)]
    message: String,
    /// auto, none, required, or the name of a tool
    #[arg(long, value_name = "CHOICE", default_value = "auto")]
    tool_choice: String,
    /// JSON file with tools, in place of the demonstration's own
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// Let the model think first
    #[arg(long)]
    think: bool,
    /// Model folder, in place of the bundled one
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    turn: TurnArgs,
}

const MESSAGE: &str = "Please dim the light with room kitchen and level 30";

/// The model has seen neither the name nor the verb of the last one in training.
fn tools() -> Value {
    let tool = |name: &str, description: &str, properties: Value, required: Value| {
        json!({"type": "function", "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": properties, "required": required},
        }})
    };
    json!([
        tool("get_weather", "Get the weather.", json!({"city": {"type": "string"}}), json!(["city"])),
        tool(
            "search_web",
            "Search the web.",
            json!({"query": {"type": "string"}, "limit": {"type": "integer"}}),
            json!(["query"]),
        ),
        tool(
            "dim_light",
            "Dim the light.",
            json!({"room": {"type": "string"}, "level": {"type": "integer", "minimum": 0, "maximum": 100}}),
            json!(["room", "level"]),
        ),
    ])
}

/// The model that comes with the repository.
pub(crate) fn bundled() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).join("models/tiny-qwen3")
}

/// One sampled token, as a row of the table.
struct Row {
    text: String,
    how: &'static str,
    allowed: u32,
    probability: String,
}

pub(crate) fn run(args: &Args, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let tools = match &args.tools {
        Some(path) => serde_json::from_str(&crate::input::read(path)?).context(path.display().to_string())?,
        None => tools(),
    };
    let plan = Plan::from_openai(&tools, &crate::input::choice(&args.tool_choice), true)?;
    let dir = args.model.clone().unwrap_or_else(bundled);
    let start = Instant::now();
    let engine = Engine::load(&dir, registry, None).with_context(|| dir.display().to_string())?;
    let loaded = start.elapsed();

    let messages = [json!({"role": "user", "content": args.message})];
    let variables: Map<String, Value> =
        [("enable_thinking".to_owned(), json!(args.think))].into_iter().collect();
    let settings = args.turn.settings();
    let question = Question {
        messages: &messages,
        tools: tools.as_array().map(Vec::as_slice),
        variables: &variables,
        plan: &plan,
        settings: &settings,
        sampling: args.turn.sampling(),
    };

    let ids = engine.model.vocabulary().len() as u32;
    let mut prompt_text = String::new();
    let mut rows = Vec::new();
    let mut events = Vec::new();
    let finish = engine.run(&question, |progress| {
        match progress {
            Progress::Prompt(prompt) => prompt_text = prompt.text.clone(),
            Progress::Token(token) => rows.push(Row {
                text: engine.token_text(token.sampled.id),
                how: match token.sampled.allowed {
                    1 => "forced",
                    allowed if allowed < ids => "masked",
                    _ => "free",
                },
                allowed: token.sampled.allowed,
                probability: token.sampled.logprob.map_or(String::new(), |log| format!("{:.3}", log.exp())),
            }),
            Progress::Event(event) => events.push(event.clone()),
        }
        Ok(())
    })?;
    let turn: Turn = events.iter().cloned().collect();
    let answer = message(&turn, &CallIds::new("call"));

    if out.json() {
        let tokens: Vec<Value> = rows
            .iter()
            .map(|row| json!({"text": row.text, "how": row.how, "allowed": row.allowed}))
            .collect();
        let value = json!({
            "family": engine.model.family().manifest().id, "prompt": prompt_text, "tokens": tokens,
            "events": events, "message": answer, "finish_reason": reason_text(&finish.reason),
        });
        out.emit(|| value, String::new)?;
        return Ok(ExitCode::SUCCESS);
    }
    let info = engine.runtime.info();
    out.raw(&format!(
        "model     {} ({:.2} M parameters, family {}), loaded in {:.2} s\n\nprompt\n\n{}\n",
        dir.display(),
        info.parameters as f64 / 1e6,
        engine.model.family().manifest().id,
        loaded.as_secs_f64(),
        indent(&prompt_text),
    ))?;
    let mut cells = vec![["token", "chosen", "allowed", "p"].map(String::from).to_vec()];
    for row in &rows {
        let allowed = format!("{} of {ids}", row.allowed);
        cells.push(vec![format!("{:?}", row.text), row.how.into(), allowed, row.probability.clone()]);
    }
    out.raw(&format!("tokens, as they were sampled\n\n{}\n", indent(&table(&cells))))?;
    let lines: Vec<String> = events.iter().map(describe).collect();
    out.raw(&format!("events\n\n{}\n", indent(&lines.join("\n"))))?;
    let pretty = serde_json::to_string_pretty(&answer)?;
    out.raw(&format!("message, as OpenAI's API has it\n\n{}\n", indent(&pretty)))?;
    out.raw(&format!(
        "ended by  {}\nspeed     {}\ntime      masks {:.2} ms, sampling {:.2} ms, waiting for logits {:.2} ms\n",
        reason_text(&finish.reason),
        speed(&finish),
        finish.timings.mask.as_secs_f64() * 1e3,
        finish.timings.sample.as_secs_f64() * 1e3,
        finish.timings.wait.as_secs_f64() * 1e3,
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
