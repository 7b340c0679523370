//! `toolglot parse`: model output in, events out, as they come.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;
use toolglot::format::FinishReason;
use toolglot::parsers::SessionOptions;
use toolglot::{Event, Piece, Registry, Turn};

use crate::input::{self, ToolArgs};
use crate::output::Output;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// File with the output; without it, standard input
    #[arg(value_name = "FILE")]
    input: Option<PathBuf>,
    /// Id or alias of the family
    #[arg(long, short)]
    family: String,
    #[command(flatten)]
    tools: ToolArgs,
    /// What the prompt already holds of the assistant's turn, such as "<think>\n"
    #[arg(long, value_name = "TEXT", default_value = "")]
    tail: String,
    /// Feed pieces of this many bytes
    #[arg(long, value_name = "N")]
    chunk: Option<std::num::NonZeroUsize>,
    /// The output was cut off, by a token limit for instance
    #[arg(long)]
    cut: bool,
    /// Print the whole turn at the end instead of events
    #[arg(long)]
    turn: bool,
}

pub(crate) fn run(args: &Args, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let family = input::family(registry, &args.family)?;
    let plan = args.tools.plan()?;
    let mut session = family.session(&plan, SessionOptions::default())?;
    session.prime(args.tail.as_bytes());
    let mut events = Vec::new();
    let mut turn = Turn::default();
    let mut buffer = vec![0; args.chunk.map_or(1 << 16, std::num::NonZeroUsize::get)];
    let (mut input, name): (Box<dyn Read>, String) = match &args.input {
        Some(path) => {
            let name = path.display().to_string();
            (Box::new(std::fs::File::open(path).with_context(|| name.clone())?), name)
        }
        None => (Box::new(std::io::stdin().lock()), "standard input".into()),
    };
    loop {
        let read = input.read(&mut buffer).with_context(|| name.clone())?;
        if read == 0 {
            break;
        }
        session.feed(&[Piece { bytes: &buffer[..read], special: None }], &mut events);
        report(&mut events, &mut turn, args.turn, out)?;
    }
    let reason = if args.cut { FinishReason::Cut } else { FinishReason::Stop };
    session.finish(reason, &mut events);
    report(&mut events, &mut turn, args.turn, out)?;
    if args.turn {
        out.emit(|| json!(turn), || toolglot::openai::message(&turn, &ids()).to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ids() -> toolglot::openai::CallIds {
    toolglot::openai::CallIds::new("call")
}

fn report(events: &mut Vec<Event>, turn: &mut Turn, quiet: bool, out: &mut Output) -> Result<()> {
    for event in events.drain(..) {
        if !quiet {
            out.emit(|| json!(event), || describe(&event))?;
        }
        turn.push(event);
    }
    Ok(())
}

/// One event as a line of text.
pub(crate) fn describe(event: &Event) -> String {
    match event {
        Event::Text { channel, text } => format!("{:<10} {text:?}", format!("{channel:?}").to_lowercase()),
        Event::CallStart { index, name, id, known } => {
            let id = id.as_ref().map(|id| format!(" id {id}")).unwrap_or_default();
            let unknown = if *known { "" } else { " (not on offer)" };
            format!("call {index}     {name}{id}{unknown}")
        }
        Event::CallId { index, id } => format!("id {index}       {id}"),
        Event::Arguments { index, json } => format!("args {index}     {json:?}"),
        Event::CallEnd { index, complete } => {
            format!("end {index}      {}", if *complete { "complete" } else { "incomplete" })
        }
        Event::Malformed { span, reason, raw } => {
            format!("malformed  {reason:?} at {}..{}: {raw:?}", span.start, span.end)
        }
    }
}
