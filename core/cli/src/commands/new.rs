//! `toolglot new`: the folder of a new family.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use toolglot_workbench::Scaffold;

use crate::output::Output;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of the new family; names its folder
    id: String,
    /// The family that it is like: a built-in one, or a family's folder
    #[arg(long, value_name = "FAMILY")]
    like: String,
    /// Where to put the folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Write the format out, to edit it, in place of sharing the other family's
    #[arg(long)]
    copy_format: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode> {
    let home = Scaffold::like(&args.id, &args.like)?.write(&args.dir, args.copy_format)?;
    let home = home.display().to_string();
    out.emit(
        || json!({"family": args.id, "folder": home}),
        || {
            format!(
                "{home}\n  family.toml     how it is detected, framed and written\n  template.jinja  \
                 its chat template\n  cases.toml      outputs and what they mean\nnext: edit them, then \
                 toolglot check {home}"
            )
        },
    )?;
    Ok(ExitCode::SUCCESS)
}
