//! `toolglot evaluate`: how often a model makes the right call, by itself and under masks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use toolglot::parsers::conformance::same_value;
use toolglot::schema::{Options, Schema};
use toolglot::{Plan, Registry, Turn};

use crate::commands::generate::TurnArgs;
use crate::input;
use crate::output::{Output, table};
use crate::turn::{Engine, Progress, Question};

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model folder in Hugging Face layout
    model: PathBuf,
    /// Questions with the calls they ask for, one JSON object a line: shift, thinking, messages, tools, calls
    cases: PathBuf,
    /// At most this many questions of each shift
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    turn: TurnArgs,
}

#[derive(Deserialize)]
struct Case {
    shift: String,
    #[serde(default)]
    thinking: bool,
    messages: Vec<Value>,
    tools: Vec<Value>,
    calls: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    arguments: Value,
}

/// Answers of one shift, counted.
#[derive(Default, Clone)]
struct Score {
    cases: usize,
    exact: usize,
    names: usize,
    json: usize,
    schema: usize,
}

pub(crate) fn run(args: &Args, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let text = input::read(&args.cases)?;
    let mut cases = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let case: Case =
            serde_json::from_str(line).with_context(|| format!("{}:{}", args.cases.display(), number + 1))?;
        cases.push(case);
    }
    let engine = Engine::load(&args.model, registry, None)?;
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        let count = done.entry(&case.shift).or_default();
        *count += 1;
        if args.limit.is_some_and(|limit| *count > limit) {
            continue;
        }
        let turn = answer(&engine, case, &args.turn)?;
        for shift in [case.shift.as_str(), "~ all"] {
            scores.entry(shift).or_default().add(case, &turn)?;
        }
    }
    if out.json() {
        for (shift, score) in &scores {
            out.emit(
                || {
                    json!({"shift": shift, "cases": score.cases, "exact": score.exact, "names": score.names,
                        "json": score.json, "schema": score.schema})
                },
                String::new,
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["shift", "cases", "exact", "names", "JSON", "schema"].map(String::from).to_vec()];
    for (shift, score) in &scores {
        let percent = |n: usize| format!("{:.0} %", 100.0 * n as f64 / score.cases.max(1) as f64);
        rows.push(vec![
            (*shift).to_owned(),
            score.cases.to_string(),
            percent(score.exact),
            percent(score.names),
            percent(score.json),
            percent(score.schema),
        ]);
    }
    out.raw(&table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

fn answer(engine: &Engine, case: &Case, turn_args: &TurnArgs) -> Result<Turn> {
    let plan = Plan::from_openai(&json!(case.tools), &Value::Null, true)?;
    let variables: Map<String, Value> =
        [("enable_thinking".to_owned(), json!(case.thinking))].into_iter().collect();
    let question = Question {
        messages: &case.messages,
        tools: Some(&case.tools).filter(|tools| !tools.is_empty()).map(Vec::as_slice),
        variables: &variables,
        plan: &plan,
        settings: &turn_args.settings(),
        sampling: turn_args.sampling(),
    };
    let mut turn = Turn::default();
    engine.run(&question, |progress| {
        if let Progress::Event(event) = progress {
            turn.push(event.clone());
        }
        Ok(())
    })?;
    Ok(turn)
}

impl Score {
    /// Counts one answer. `names`: the same calls in the same order. `JSON`: every call that was made has
    /// whole JSON arguments. `schema`: they also fit the schema of a tool that was offered.
    fn add(&mut self, case: &Case, turn: &Turn) -> Result<()> {
        self.cases += 1;
        let arguments: Vec<Option<Value>> =
            turn.calls.iter().map(|call| serde_json::from_str(&call.arguments).ok()).collect();
        let names = turn.calls.iter().map(|call| &call.name).eq(case.calls.iter().map(|call| &call.name));
        let values = || {
            let expected = case.calls.iter().map(|call| &call.arguments);
            arguments
                .iter()
                .zip(expected)
                .all(|(got, want)| got.as_ref().is_some_and(|got| same_value(got, want)))
        };
        let json = arguments.iter().all(Option::is_some) && turn.calls.iter().all(|call| call.complete);
        let mut schema = json;
        for (call, arguments) in turn.calls.iter().zip(&arguments) {
            let tool = case.tools.iter().find(|tool| tool["function"]["name"] == call.name.as_str());
            schema &= match (tool, arguments) {
                (Some(tool), Some(arguments)) => {
                    Schema::compile(&tool["function"]["parameters"], &Options::default())?.accepts(arguments)
                }
                _ => false,
            };
        }
        self.exact += usize::from(names && values());
        self.names += usize::from(names);
        self.json += usize::from(json);
        self.schema += usize::from(schema);
        Ok(())
    }
}
