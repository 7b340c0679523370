//! `toolglot conformance`: cases of other engines' tests, agreement per family.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;
use toolglot::Registry;
use toolglot::parsers::conformance::{Case, Known, run as run_cases};
use toolglot_workbench::{Fidelity, Verdict};

use crate::input;
use crate::output::Output;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Cases, one JSON object a line; see docs/src/conformance.md for the fields
    cases: PathBuf,
    /// Only the cases of this family
    #[arg(long, short, value_name = "ID")]
    family: Option<String>,
    /// Write every result here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the table only, not the cases that differ
    #[arg(long)]
    summary: bool,
    /// Say whether the families' grammars admit the outputs that are well-formed and agree
    #[arg(long)]
    fidelity: bool,
}

/// Fails when a case's events depend on how the output was cut, whatever was expected of it.
pub(crate) fn run(args: &Args, registry: &Registry, known: &Known, out: &mut Output) -> Result<ExitCode> {
    if let Some(id) = &args.family {
        input::family(registry, id)?;
    }
    let cases = Case::read(&input::read(&args.cases)?).with_context(|| args.cases.display().to_string())?;
    let report = run_cases(registry, &cases, args.family.as_deref());
    if let Some(path) = &args.out {
        std::fs::write(path, report.to_jsonl()).with_context(|| path.display().to_string())?;
    }
    if args.fidelity {
        tell_fidelity(&Fidelity::of(registry, &cases, &report), args.summary, out)?;
    } else if out.json() {
        for row in report.rows() {
            let value = json!({
                "family": row.family, "tier": row.tier, "cases": row.cases, "calls": row.calls,
                "same": row.same, "outer_space": row.outer_space, "policy": row.policy,
                "differs": row.differs, "unequal_cuts": row.unequal_cuts,
            });
            out.emit(|| value, String::new)?;
        }
    } else {
        out.raw(&format!("{report}\n{}", report.headline(known)))?;
        if !args.summary {
            out.raw(&format!("\n{}\n", report.differences(known)))?;
            for result in report.unexplained(known) {
                out.raw(&format!("not explained: {} {} {}\n", result.id, result.family, result.origin))?;
            }
        }
    }
    let uncut = report.unequal_cuts().next().is_none();
    Ok(if uncut { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell_fidelity(fidelity: &Fidelity, summary: bool, out: &mut Output) -> Result<()> {
    if !out.json() {
        let text = fidelity.to_string();
        let rows = text.lines().take(fidelity.rows().len() + 2);
        let table: String = rows.map(|row| format!("{row}\n")).collect();
        return Ok(out.raw(if summary { &table } else { &text })?);
    }
    for admission in &fidelity.admissions {
        let (verdict, at, why) = match &admission.verdict {
            Verdict::Admitted => ("admitted", None, None),
            Verdict::Refused { at, why, .. } => ("refused", Some(at), Some(why)),
            Verdict::Lenient(why) => ("lenient", None, Some(why)),
            Verdict::Unfinished(why) => ("cut_off", None, Some(why)),
            Verdict::Invalid(why) => ("invalid", None, Some(why)),
            Verdict::NoGrammar(why) => ("no_grammar", None, Some(why)),
        };
        let value = json!({
            "id": admission.id, "family": admission.family, "tier": admission.tier,
            "made_up_tools": admission.made_up_tools, "verdict": verdict, "at": at, "why": why,
        });
        out.emit(|| value, String::new)?;
    }
    Ok(())
}
