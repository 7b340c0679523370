//! `toolglot doctor`: a checkpoint looked over.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use toolglot::Registry;
use toolglot_workbench::{Diagnosis, Ruling, diagnose};

use crate::output::{Output, table};

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model folder in Hugging Face layout; no weights are read
    model: PathBuf,
    /// The family, in place of detecting it
    #[arg(long, short, value_name = "ID")]
    family: Option<String>,
}

/// Fails when something does not fit together.
pub(crate) fn run(args: &Args, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let found = diagnose(&args.model, registry, args.family.as_deref())?;
    if out.json() {
        let value = serde_json::to_value(&found)?;
        out.emit(|| value, String::new)?;
    } else {
        out.raw(&tell(&found))?;
    }
    Ok(if found.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(found: &Diagnosis) -> String {
    let mut text = format!("{}: {}\n", found.family, found.title);
    let mut section = |title: &str, rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            text += &format!("\n{title}\n\n{}", table(&rows));
        }
    };
    section("told by", found.evidence.iter().map(|text| vec![format!("{text:?}")]).collect());
    let tokens = found.markers.iter().map(|(marker, one)| {
        vec![marker.clone(), if *one { "one token" } else { "spelled in ordinary tokens" }.to_owned()]
    });
    section("markers", tokens.collect());
    let stops = found.stops.iter().map(|(stop, id)| {
        vec![stop.clone(), id.map_or("not in the vocabulary".into(), |id| format!("token {id}"))]
    });
    section("stops", stops.collect());
    let prompts = found.prompts.iter().map(|(wish, tail)| vec![wish.clone(), format!("{tail:?}")]);
    section("the prompt opens the turn with", prompts.collect());
    let history = found.history.iter().map(|line| {
        let (what, how) = line.split_once(": ").unwrap_or((line, ""));
        vec![what.to_owned(), how.to_owned()]
    });
    section("the template writes of a turn in the history", history.collect());
    let rulings = found.rulings.iter().map(|(wish, ruling)| {
        let how = match ruling {
            Ruling::Enforced => "enforced".to_owned(),
            Ruling::Advised => "advised: the prompt asks for it, no mask holds to it".to_owned(),
            Ruling::Refused(why) => format!("refused: {why}"),
        };
        vec![wish.clone(), how]
    });
    section("a request can count on", rulings.collect());
    for problem in &found.problems {
        text += &format!("\nproblem: {problem}\n");
    }
    text
}
