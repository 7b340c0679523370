//! `toolglot pack`: a family folder as one component.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;

use crate::output::Output;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with family.toml and, where the family has one, template.jinja
    family: PathBuf,
    /// The component to write
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode> {
    let component = toolglot_plugin_pack::pack(&args.family)?;
    std::fs::write(&args.out, &component).with_context(|| args.out.display().to_string())?;
    let path = args.out.display().to_string();
    out.emit(
        || json!({"file": path, "bytes": component.len()}),
        || format!("{path}: {} bytes", component.len()),
    )?;
    Ok(ExitCode::SUCCESS)
}
