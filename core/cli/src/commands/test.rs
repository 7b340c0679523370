//! `toolglot test`: the cases of family folders, and what has changed in their snapshots.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use toolglot::Registry;
use toolglot_workbench::{Bench, Checks, FamilyReport};

use super::check::tell;
use crate::output::Output;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Family folders, or folders of them
    #[arg(required = true, value_name = "DIR")]
    places: Vec<PathBuf>,
    /// Show each change and ask whether to accept it
    #[arg(long)]
    review: bool,
    /// Accept every change
    #[arg(long, conflicts_with = "review")]
    accept: bool,
}

pub(crate) fn run(args: &Args, registry: Registry, out: &mut Output) -> Result<ExitCode> {
    let (bench, ids, findings) = Bench::of_places(registry, &args.places).map_err(|why| anyhow!(why))?;
    let checks = Checks { laws: false, detection: false, ..Checks::default() };
    let mut reports = bench.check(&ids, &checks);
    if args.accept || args.review {
        for report in &mut reports {
            settle(report, args.review, out)?;
        }
        // What is held to another family's snapshots is judged by those that were just accepted.
        reports = bench.check(&ids, &checks);
    }
    tell(&findings, &reports, out)
}

/// Accepts the changes of a family, all of them or those that the user agrees to.
fn settle(report: &mut FamilyReport, ask: bool, out: &mut Output) -> Result<()> {
    for (snapshot, record) in &report.records {
        let Some(diff) = snapshot.diff(record)? else { continue };
        let path = snapshot.path().display().to_string();
        if ask && !agrees(&format!("{}: {path}\n{diff}", report.id), out)? {
            continue;
        }
        snapshot.accept(record).with_context(|| path.clone())?;
        if !out.json() {
            out.raw(&format!("accepted {path}\n"))?;
        }
    }
    for stray in &report.strays {
        if !ask || agrees(&format!("{} belongs to nothing: remove it\n", stray.display()), out)? {
            std::fs::remove_file(stray).with_context(|| stray.display().to_string())?;
        }
    }
    Ok(())
}

fn agrees(what: &str, out: &mut Output) -> Result<bool> {
    out.raw(what)?;
    eprint!("accept? [y/N] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("standard input")?;
    Ok(matches!(line.trim(), "y" | "yes"))
}
