//! `toolglot detect`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;
use toolglot::{Registry, detect_dir};

use crate::input;
use crate::output::Output;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model folder in Hugging Face layout
    #[arg(required_unless_present = "template")]
    model: Option<PathBuf>,
    /// A chat template alone ("-" is standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    template: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let found = match (&args.model, &args.template) {
        (Some(dir), _) => Some(detect_dir(dir, registry)?),
        (None, Some(path)) => {
            let source = input::read(path)?;
            let found = registry.detect(Some(&source), &|_| false);
            found.with_context(|| path.display().to_string())?
        }
        (None, None) => bail!("name a model folder or a template"),
    };
    out.emit(
        || match &found {
            Some(found) => json!({
                "family": found.family.manifest().id,
                "score": found.score,
                "evidence": found.evidence,
            }),
            None => json!({"family": null}),
        },
        || match &found {
            Some(found) => {
                let evidence: Vec<String> =
                    found.evidence.iter().map(|text| format!("  {text:?}\n")).collect();
                let manifest = found.family.manifest();
                format!("{}: {}\nbecause of\n{}", manifest.id, manifest.title, evidence.concat())
            }
            None => "no family fits: no tool format is known for this template".into(),
        },
    )?;
    Ok(if found.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
