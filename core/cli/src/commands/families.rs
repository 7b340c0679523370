//! `toolglot families`

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use serde_json::json;
use toolglot::{Registry, folder};
use toolglot_workbench::{Bench, Checks};

use crate::output::{Output, table};

/// Where the built-in families' folders are in a checkout.
const FOLDERS: &str = "parsers/families";

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Check every family and print a table in Markdown; own cases are counted in a checkout of Toolglot
    #[arg(long)]
    table: bool,
}

pub(crate) fn run(args: &Args, registry: Registry, out: &mut Output) -> Result<ExitCode> {
    if args.table {
        return checked(registry, out);
    }
    if out.json() {
        for family in registry.iter() {
            let manifest = family.manifest();
            out.emit(
                || json!({"id": manifest.id, "title": manifest.title, "aliases": manifest.aliases}),
                String::new,
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = registry
        .iter()
        .map(|family| vec![family.manifest().id.clone(), family.manifest().title.clone()])
        .collect();
    out.raw(&table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

fn checked(registry: Registry, out: &mut Output) -> Result<ExitCode> {
    let ids: Vec<String> = registry.iter().map(|family| family.manifest().id.clone()).collect();
    let home = |id: &String| (id.clone(), Path::new(FOLDERS).join(id));
    let homes: BTreeMap<_, _> = ids.iter().map(home).filter(|(_, home)| folder::is_family(home)).collect();
    let bench = Bench::new(registry, homes).map_err(|why| anyhow!(why))?;
    let reports = bench.check(&ids, &Checks { snapshots: false, ..Checks::default() });
    out.raw(&toolglot_workbench::table(bench.registry(), &reports))?;
    Ok(ExitCode::SUCCESS)
}
