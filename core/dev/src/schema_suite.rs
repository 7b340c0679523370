//! `cargo dev schema-suite DIR`: the official JSON-Schema-Test-Suite against our schema compiler.
//!
//! A test group is one schema with instances. It is *exact* if every instance is judged as the suite says, *refused*
//! if the schema does not compile, *narrow* if only strings of a [`NARROW`] format are refused, and *wrong* otherwise. Nothing is downloaded: DIR is a checkout of the suite.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use toolglot_schema::{Draft, Formats, Options, Schema};

/// The command line of `cargo dev schema-suite`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkout of the JSON-Schema-Test-Suite (the folder that holds `tests/`)
    dir: PathBuf,
    /// Drafts to run
    #[arg(long, value_delimiter = ',', default_values = ["draft4", "draft6", "draft7", "draft2019-09", "draft2020-12"])]
    drafts: Vec<String>,
    /// Show why each refused group was refused
    #[arg(long)]
    refused: bool,
}

/// Optional files that ask for what we do not claim: integers told apart by spelling (draft 4; every later draft goes
/// by value), and assertions on `contentEncoding` and `contentMediaType` (annotations in every later draft).
const NOT_CLAIMED: [&str; 2] = ["optional/zeroTerminatedFloats", "optional/content"];

/// Formats of which we hold a documented part, because the whole is not a regular language: host names without
/// punycode, addresses at hosts of plain letters, leap seconds in UTC. A group in which only such valid strings are
/// refused is counted as *narrow*.
const NARROW: [&str; 4] = [
    "optional/format/hostname",
    "optional/format/idn-email",
    "optional/format/time",
    "optional/format/date-time",
];

#[derive(Default)]
struct Tally {
    exact: usize,
    narrow: usize,
    refused: usize,
    wrong: usize,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut wrong = 0;
    for name in &args.drafts {
        let draft = match name.as_str() {
            "draft4" => Draft::Draft4,
            "draft6" => Draft::Draft6,
            "draft7" => Draft::Draft7,
            "draft2019-09" => Draft::Draft2019,
            "draft2020-12" => Draft::Draft2020,
            other => bail!("unknown draft {other}: use draft4, draft6, draft7, draft2019-09 or draft2020-12"),
        };
        let folder = args.dir.join("tests").join(name);
        let mut files = Vec::new();
        collect(&folder, &mut files)
            .with_context(|| format!("{} is not a folder of the test suite", folder.display()))?;
        files.sort();
        let mut table: BTreeMap<String, Tally> = BTreeMap::new();
        for file in &files {
            let keyword = file.strip_prefix(&folder).unwrap_or(file).with_extension("").display().to_string();
            if NOT_CLAIMED.contains(&keyword.as_str()) {
                continue;
            }
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let groups: Vec<Value> = serde_json::from_str(&text)
                .with_context(|| format!("{} is not a test file", file.display()))?;
            let tally = table.entry(keyword.clone()).or_default();
            for group in &groups {
                run_group(group, draft, &keyword, args.refused, tally)?;
            }
        }
        println!("\n{name:<44} exact narrow refused wrong");
        let mut total = Tally::default();
        for (keyword, tally) in &table {
            println!(
                "  {keyword:<42} {:>5} {:>6} {:>7} {:>5}",
                tally.exact, tally.narrow, tally.refused, tally.wrong
            );
            total.exact += tally.exact;
            total.narrow += tally.narrow;
            total.refused += tally.refused;
            total.wrong += tally.wrong;
        }
        println!(
            "  {:<42} {:>5} {:>6} {:>7} {:>5}",
            "total", total.exact, total.narrow, total.refused, total.wrong
        );
        wrong += total.wrong;
    }
    if wrong > 0 {
        bail!("{wrong} groups are judged wrongly");
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
    Ok(())
}

fn run_group(group: &Value, draft: Draft, keyword: &str, show: bool, tally: &mut Tally) -> Result<()> {
    let name = group["description"].as_str().unwrap_or("?");
    // `format` is an annotation in the suite, except where it is what is tested.
    let enforced = keyword.starts_with("optional/format") || keyword.starts_with("optional/ecmascript");
    let formats = if enforced { Formats::EnforceKnown } else { Formats::Annotate };
    let options = Options { draft: Some(draft), formats, ..Options::default() };
    let schema = match Schema::compile(&group["schema"], &options) {
        Ok(schema) => schema,
        Err(error) => {
            tally.refused += 1;
            if show {
                println!("  refused {keyword}: {name}: {error}");
            }
            return Ok(());
        }
    };
    let tests = group["tests"].as_array().context("a group without tests")?;
    let wrong: Vec<&Value> =
        tests.iter().filter(|test| Some(schema.accepts(&test["data"])) != test["valid"].as_bool()).collect();
    let only_refused = wrong.iter().all(|test| test["valid"] == Value::Bool(true));
    match () {
        () if wrong.is_empty() => tally.exact += 1,
        () if only_refused && NARROW.contains(&keyword) => {
            tally.narrow += 1;
            return Ok(());
        }
        () => tally.wrong += 1,
    }
    for test in wrong {
        let expected =
            if test["valid"] == Value::Bool(true) { "valid, refused" } else { "invalid, accepted" };
        println!("  WRONG {keyword}: {name}: {} ({expected})", test["description"].as_str().unwrap_or("?"));
    }
    Ok(())
}
