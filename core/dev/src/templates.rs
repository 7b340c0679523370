//! `cargo dev templates`: compares our rendering of chat templates with jinja2's, and our templates with the real ones.
//!
//! jinja2 is run through `templates.py`, which sets it up as transformers does. Nothing is downloaded: the folder of
//! templates is the caller's.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::{Map, Value as Json, json};
use toolglot::template::{
    ChatTemplate, Clock, Conversation, MessageShape, TemplateErrorKind, TemplateOptions,
};

/// 2024-07-27 00:00:05 UTC, what `strftime_now` tells on both sides.
const NOW: i64 = 1_722_038_405;
/// The data of the golden tests, from the repository's root.
const TESTS: &str = "core/engine/tests/templates";
/// Our templates and the published ones they must render like, by file name in the llama.cpp collection.
const OWN: [(&str, &str); 8] = [
    ("hermes", "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use.jinja"),
    ("hermes", "NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja"),
    ("qwen3", "Qwen-Qwen3-0.6B.jinja"),
    ("qwen3", "Qwen-Qwen2.5-7B-Instruct.jinja"),
    ("qwen3_coder", "Qwen3-Coder.jinja"),
    ("llama3", "meta-llama-Llama-3.1-8B-Instruct.jinja"),
    ("llama3", "meta-llama-Llama-3.3-70B-Instruct.jinja"),
    ("harmony", "openai-gpt-oss-120b.jinja"),
];

/// Compare the rendering of chat templates with jinja2
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with `*.jinja` files; without it only the golden files are looked at
    dir: Option<PathBuf>,
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

/// What a render gave.
#[derive(PartialEq, Eq, Clone)]
enum Outcome {
    Text(String),
    Refused(String),
    Error(String),
}

/// Key of a render: template, conversation, add_generation_prompt.
type Key = (String, String, bool);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tests = root.join(TESTS);
    let conversations: Vec<Json> = read_json(&tests.join("conversations.json"))?;
    if args.record {
        record(args, &root, &conversations)?;
    }
    let Some(dir) = &args.dir else { return Ok(()) };
    let mut sources = BTreeMap::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "jinja") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let source =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            sources.insert(name, source);
        }
    }
    if sources.is_empty() {
        bail!("{} holds no *.jinja files; give a folder of chat templates", dir.display());
    }
    let variables = json!({"bos_token": "<|bos|>", "eos_token": "<|eos|>"});
    let python = with_python(args, &sources, &conversations, &variables)?;
    let start = Instant::now();
    let ours = with_ours(&sources, &conversations, &variables, MessageShape::AsGiven);
    let time = start.elapsed();
    compare_engines(args, &sources, &python, &ours);
    println!(
        "{} renders in {time:.1?} ({:.1?} each, compiling included)",
        ours.len(),
        time / ours.len().max(1) as u32
    );
    compare_templates(args, &root, &sources, &conversations, &variables, &python)
}

fn compare_engines(
    args: &Args,
    sources: &BTreeMap<String, String>,
    python: &HashMap<Key, Outcome>,
    ours: &HashMap<Key, Outcome>,
) {
    let mut total = Tally::default();
    println!("{:<58}{}", "template (ours against jinja2)", Tally::HEAD);
    for name in sources.keys() {
        let mut tally = Tally::default();
        let mut shown = !args.diff;
        let mut keys: Vec<&Key> = python.keys().filter(|k| k.0 == *name).collect();
        keys.sort();
        for key in keys {
            let (theirs, our) = (&python[key], &ours[key]);
            let good = tally.add(theirs, our);
            if !good && !shown {
                shown = true;
                show_difference(key, theirs, our);
            }
        }
        println!("{name:<58}{tally}");
        total.merge(&tally);
    }
    println!("{:<58}{total}", "total");
    println!("equal: {:.2} % of the {} renders that jinja2 can do", total.percent(), total.possible());
}

/// Our own templates against the published ones, each in its own engine.
fn compare_templates(
    args: &Args,
    root: &Path,
    sources: &BTreeMap<String, String>,
    conversations: &[Json],
    variables: &Json,
    python: &HashMap<Key, Outcome>,
) -> anyhow::Result<()> {
    println!("\n{:<58}{}", "our template against the published one", Tally::HEAD);
    let mut total = Tally::default();
    for (family, published) in OWN.iter().filter(|(_, p)| sources.contains_key(*p)) {
        let source = family_template(root, family)?;
        let own = BTreeMap::from([((*family).to_owned(), source)]);
        let mut variables = variables.clone();
        if published.contains("Qwen2.5") {
            variables["qwen2_5"] = json!(true);
        }
        let ours = with_ours(&own, conversations, &variables, MessageShape::AsGiven);
        let mut tally = Tally::default();
        let mut keys: Vec<&Key> = ours.keys().collect();
        keys.sort();
        for key in keys {
            let theirs = &python[&((*published).to_owned(), key.1.clone(), key.2)];
            if !tally.add(theirs, &ours[key]) && args.diff {
                show_difference(key, theirs, &ours[key]);
            }
        }
        println!("{:<58}{tally}", format!("{family} / {published}"));
        total.merge(&tally);
    }
    println!("{:<58}{total}", "total");
    Ok(())
}

/// Renders our templates and the micro templates with jinja2 and writes what the tests expect.
fn record(args: &Args, root: &Path, conversations: &[Json]) -> anyhow::Result<()> {
    let tests = root.join(TESTS);
    let variables = json!({"bos_token": "<|bos|>", "eos_token": "<|eos|>"});
    let mut families = BTreeMap::new();
    for (family, _) in OWN {
        families.insert(family.to_owned(), family_template(root, family)?);
    }
    let rendered = with_python(args, &families, conversations, &variables)?;
    write_golden(&tests.join("families.golden.json"), &rendered)?;

    let micro: Map<String, Json> = read_json(&tests.join("micro.json"))?;
    let sources: BTreeMap<_, _> =
        micro.iter().map(|(n, s)| (n.clone(), s.as_str().unwrap_or_default().to_owned())).collect();
    let data: Json = read_json(&tests.join("micro-data.json"))?;
    let empty = [json!({"name": "data", "messages": []})];
    let mut rendered = with_python(args, &sources, &empty, &data)?;
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

fn with_python(
    args: &Args,
    sources: &BTreeMap<String, String>,
    conversations: &[Json],
    variables: &Json,
) -> anyhow::Result<HashMap<Key, Outcome>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/templates.py");
    let templates: Vec<_> =
        sources.iter().map(|(name, source)| json!({"name": name, "source": source})).collect();
    let job =
        json!({"now": NOW, "variables": variables, "templates": templates, "conversations": conversations})
            .to_string();
    let mut child = Command::new(&args.python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}; name a Python 3 with --python", args.python.display()))?;
    let mut stdin = child.stdin.take().context("the script has no input")?;
    let writer = std::thread::spawn(move || stdin.write_all(job.as_bytes()));
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("templates.py failed (its message is above); it needs jinja2: `pip install jinja2`");
    }
    writer.join().map_err(|_| anyhow::anyhow!("writing the job failed"))??;
    let entries: Vec<Json> = serde_json::from_slice(&output.stdout)?;
    let mut results = HashMap::new();
    for entry in entries {
        let text = |field: &str| entry.get(field).and_then(Json::as_str).map(str::to_owned);
        let outcome = text("text")
            .map(Outcome::Text)
            .or_else(|| text("refused").map(Outcome::Refused))
            .or_else(|| text("error").map(Outcome::Error))
            .context("templates.py gave a result without an outcome")?;
        let key = (
            text("template").unwrap_or_default(),
            text("conversation").unwrap_or_default(),
            entry["add_generation_prompt"] == json!(true),
        );
        results.insert(key, outcome);
    }
    Ok(results)
}

fn with_ours(
    sources: &BTreeMap<String, String>,
    conversations: &[Json],
    variables: &Json,
    messages: MessageShape,
) -> HashMap<Key, Outcome> {
    let options = TemplateOptions { clock: Clock::Fixed(NOW), messages, ..TemplateOptions::default() };
    let mut results = HashMap::new();
    for (name, source) in sources {
        let mut compiled =
            ChatTemplate::compile(source, &TemplateOptions { name: name.clone(), ..options.clone() });
        for (key, value) in variables.as_object().into_iter().flatten() {
            compiled = compiled.map(|t| t.with_variable(key.clone(), value.clone()));
        }
        for conversation in conversations {
            let list = |key: &str| conversation.get(key).and_then(Json::as_array).map(Vec::as_slice);
            let input = Conversation {
                messages: list("messages").unwrap_or_default(),
                tools: list("tools"),
                documents: None,
                variables: conversation.get("variables").and_then(Json::as_object),
            };
            for prompt in [false, true] {
                let outcome = match compiled.as_ref().map(|t| t.render(&input, prompt)) {
                    Ok(Ok(rendered)) => Outcome::Text(rendered.text),
                    Ok(Err(e)) => match e.kind() {
                        TemplateErrorKind::Refused { message } => Outcome::Refused(message.clone()),
                        _ => Outcome::Error(e.to_string()),
                    },
                    Err(e) => Outcome::Error(e.to_string()),
                };
                let conversation = conversation["name"].as_str().unwrap_or_default().to_owned();
                results.insert((name.clone(), conversation, prompt), outcome);
            }
        }
    }
    results
}

fn show_difference(key: &Key, theirs: &Outcome, ours: &Outcome) {
    let describe = |outcome: &Outcome| match outcome {
        Outcome::Text(text) => ("text", text.clone()),
        Outcome::Refused(message) => ("refused", message.clone()),
        Outcome::Error(message) => ("error", message.clone()),
    };
    let (a, b) = (describe(theirs), describe(ours));
    let same = a.1.chars().zip(b.1.chars()).take_while(|(x, y)| x == y).count();
    let window = |text: &str| text.chars().skip(same.saturating_sub(40)).take(160).collect::<String>();
    println!("  {} / {} / add_generation_prompt={}", key.0, key.1, key.2);
    println!("    theirs {:<8}{:?}", a.0, window(&a.1));
    println!("    ours   {:<8}{:?}", b.0, window(&b.1));
}

/// Counts of outcomes, jinja2's against ours.
#[derive(Default)]
struct Tally {
    equal: usize,
    different: usize,
    our_error: usize,
    both_refuse: usize,
    only_ours: usize,
    both_fail: usize,
}

impl Tally {
    const HEAD: &str = " equal  differ  we fail  both refuse  both fail  only we can";

    /// Counts one render; true when it is as it should be.
    fn add(&mut self, theirs: &Outcome, ours: &Outcome) -> bool {
        let counter = match (theirs, ours) {
            (Outcome::Text(a), Outcome::Text(b)) if a == b => &mut self.equal,
            (Outcome::Text(_), Outcome::Text(_)) => &mut self.different,
            (Outcome::Text(_), _) => &mut self.our_error,
            (Outcome::Refused(_), Outcome::Refused(_)) => &mut self.both_refuse,
            (_, Outcome::Text(_)) => &mut self.only_ours,
            _ => &mut self.both_fail,
        };
        *counter += 1;
        !matches!((theirs, ours), (Outcome::Text(_), b) if b != theirs)
    }

    fn merge(&mut self, other: &Self) {
        self.equal += other.equal;
        self.different += other.different;
        self.our_error += other.our_error;
        self.both_refuse += other.both_refuse;
        self.only_ours += other.only_ours;
        self.both_fail += other.both_fail;
    }

    fn possible(&self) -> usize {
        self.equal + self.different + self.our_error
    }

    fn percent(&self) -> f64 {
        100.0 * self.equal as f64 / self.possible().max(1) as f64
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>6}{:>8}{:>9}{:>13}{:>11}{:>13}",
            self.equal, self.different, self.our_error, self.both_refuse, self.both_fail, self.only_ours
        )
    }
}
