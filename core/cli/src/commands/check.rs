//! `toolglot check`: family folders against everything that a family is held to.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use toolglot::Registry;
use toolglot::live::{Change, LiveRegistry, Watcher};
use toolglot_workbench::laws::Samples;
use toolglot_workbench::{Bench, Checks, FamilyReport, Finding};

use crate::output::{Output, table};

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Family folders, or folders of them
    #[arg(required = true, value_name = "DIR")]
    places: Vec<PathBuf>,
    /// Samples for each law, in place of its own number
    #[arg(long, value_name = "COUNT")]
    samples: Option<u32>,
    /// Which samples the laws take
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Check again whenever a file changes, until interrupted; a broken file leaves the family as it was
    #[arg(long)]
    watch: bool,
}

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_millis(300);

pub(crate) fn run(args: &Args, registry: Registry, out: &mut Output) -> Result<ExitCode> {
    // From before the folders are read, so that no change falls between.
    let live = Arc::new(LiveRegistry::new(registry.clone()));
    let watcher = args.watch.then(|| Watcher::of_folders(live.clone(), args.places.clone()));
    let (bench, ids, findings) = Bench::of_places(registry, &args.places).map_err(|why| anyhow!(why))?;
    let mut samples = Samples::default();
    samples.count = args.samples.or(samples.count);
    samples.seed = args.seed.unwrap_or(samples.seed);
    let checks = Checks { samples, ..Checks::default() };
    live.set(bench.registry().clone());
    let reports = bench.check(&ids, &checks);
    let code = tell(&findings, &reports, out)?;
    watcher.map_or(Ok(code), |watcher| watch(watcher, &live, bench, &checks, out))
}

/// Checks what changes.
fn watch(
    mut watcher: Watcher,
    live: &LiveRegistry,
    mut bench: Bench,
    checks: &Checks,
    out: &mut Output,
) -> Result<ExitCode> {
    loop {
        std::thread::sleep(INTERVAL);
        for change in watcher.poll() {
            match change {
                Change::Loaded { id, path } => {
                    bench = bench.with(Registry::clone(&live.get()), &id, &path);
                    tell(&[], &bench.check(&[id], checks), out)?;
                }
                Change::Kept { path, error } => out.emit(
                    || json!({"folder": path, "kept": true, "error": error.to_string()}),
                    || format!("{error}\n{}: kept as it was\n", path.display()),
                )?,
            }
        }
    }
}

/// Prints what was found, and a line for each family.
pub(crate) fn tell(findings: &[Finding], reports: &[FamilyReport], out: &mut Output) -> Result<ExitCode> {
    let all = || findings.iter().chain(reports.iter().flat_map(|report| &report.findings));
    if out.json() {
        for finding in findings {
            out.emit(|| as_json(finding), String::new)?;
        }
        for report in reports {
            let value = json!({
                "family": report.id,
                "ok": report.is_good(),
                "cases": report.own_cases,
                "corpus": report.corpus_passed,
                "not_applicable": report.not_applicable,
                "laws": report.laws,
                "laws_of_format_by": report.laws_of_format_by,
                "findings": report.findings.iter().map(as_json).collect::<Vec<_>>(),
            });
            out.emit(|| value, String::new)?;
        }
    } else {
        for finding in all() {
            out.raw(&format!("{finding}\n"))?;
        }
        let rows: Vec<Vec<String>> = reports.iter().map(row).collect();
        out.raw(&table(&rows))?;
    }
    Ok(if all().next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "family": finding.family,
        "check": finding.check.to_string(),
        "name": finding.name,
        "why": finding.why,
        "look": finding.look,
    })
}

fn row(report: &FamilyReport) -> Vec<String> {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let state = match report.findings.len() {
        0 => "ok".to_owned(),
        found => count(found, "finding"),
    };
    let apart = match report.not_applicable.len() {
        0 => String::new(),
        count => format!(" ({count} do not apply)"),
    };
    let mut laws = String::new();
    if !report.laws.is_empty() {
        let numbers: Vec<String> = report.laws.iter().map(u8::to_string).collect();
        laws = format!("laws {}", numbers.join(" "));
        if let Some(other) = &report.laws_of_format_by {
            laws += &format!(", the others with `{other}`");
        }
    }
    vec![
        report.id.clone(),
        state,
        count(report.own_cases, "case"),
        format!("{} of the corpus{apart}", report.corpus_passed),
        laws,
    ]
}
