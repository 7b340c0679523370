//! Renders every template with every conversation, with jinja2 and with our engine.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::{Value as Json, json};
use toolglot::template::{
    ChatTemplate, Clock, Conversation, MessageShape, TemplateErrorKind, TemplateOptions,
};

use super::tally::{Key, Outcome};

/// 2024-07-27 00:00:05 UTC, what `strftime_now` tells on both sides.
const NOW: i64 = 1_722_038_405;

/// The renders of jinja2.
pub(super) fn with_python(
    python: &Path,
    sources: &BTreeMap<String, String>,
    conversations: &[Json],
    variables: &Json,
) -> anyhow::Result<HashMap<Key, Outcome>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/templates/reference.py");
    let templates: Vec<_> =
        sources.iter().map(|(name, source)| json!({"name": name, "source": source})).collect();
    let job =
        json!({"now": NOW, "variables": variables, "templates": templates, "conversations": conversations})
            .to_string();
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}; name a Python 3 with --python", python.display()))?;
    let mut stdin = child.stdin.take().context("the script has no input")?;
    let writer = std::thread::spawn(move || stdin.write_all(job.as_bytes()));
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("reference.py failed (its message is above); it needs jinja2: `pip install jinja2`");
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
            .context("reference.py gave a result without an outcome")?;
        let key = (
            text("template").unwrap_or_default(),
            text("conversation").unwrap_or_default(),
            entry["add_generation_prompt"] == json!(true),
        );
        results.insert(key, outcome);
    }
    Ok(results)
}

/// The renders of our engine.
pub(super) fn with_ours(
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
