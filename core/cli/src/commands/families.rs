//! `toolglot families`

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use toolglot::Registry;

use crate::output::{Output, table};

pub(crate) fn run(registry: &Registry, out: &mut Output) -> Result<ExitCode> {
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
