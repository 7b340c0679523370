//! What several commands read: tools, tool choice, messages, from files or the command line.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use toolglot::{Family, Plan, Registry};

/// The tools of a request and how they may be used.
#[derive(clap::Args, Clone)]
pub(crate) struct ToolArgs {
    /// JSON file with the tools, in OpenAI's form ("-" is standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) tools: Option<PathBuf>,
    /// auto, none, required, or the name of a tool
    #[arg(long, value_name = "CHOICE", default_value = "auto")]
    pub(crate) tool_choice: String,
    /// At most one call in the turn
    #[arg(long)]
    pub(crate) no_parallel: bool,
}

impl ToolArgs {
    /// The tools as given, or null.
    pub(crate) fn tools(&self) -> Result<Value> {
        let Some(path) = &self.tools else { return Ok(Value::Null) };
        let text = read(path)?;
        let value: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        // A whole request is as good as its tools.
        Ok(value.get("tools").cloned().unwrap_or(value))
    }

    /// The plan of the request.
    pub(crate) fn plan(&self) -> Result<Plan> {
        Ok(Plan::from_openai(&self.tools()?, &choice(&self.tool_choice), !self.no_parallel)?)
    }
}

/// The messages of a request.
#[derive(clap::Args, Clone)]
pub(crate) struct MessageArgs {
    /// A user message
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// A system message, before everything else
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// JSON file with the messages, in OpenAI's form ("-" is standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    pub(crate) messages: Option<PathBuf>,
    /// A variable for the template, such as enable_thinking=false; the value is JSON, or else text
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,
}

impl MessageArgs {
    /// The messages in order.
    pub(crate) fn messages(&self) -> Result<Vec<Value>> {
        let mut messages = Vec::new();
        if let Some(system) = &self.system {
            messages.push(json!({"role": "system", "content": system}));
        }
        match (&self.messages, &self.message) {
            (Some(path), _) => {
                let text = read(path)?;
                let value: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
                match value.get("messages").cloned().unwrap_or(value) {
                    Value::Array(list) => messages.extend(list),
                    _ => bail!("{}: expected an array of messages", path.display()),
                }
            }
            (None, Some(text)) => messages.push(json!({"role": "user", "content": text})),
            (None, None) => bail!("nothing to say: give --message TEXT or --messages FILE"),
        }
        Ok(messages)
    }

    /// The template variables.
    pub(crate) fn variables(&self) -> Result<serde_json::Map<String, Value>> {
        let pair = |text: &String| {
            let (name, value) =
                text.split_once('=').with_context(|| format!("--set {text}: expected NAME=VALUE"))?;
            Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value))))
        };
        self.variables.iter().map(pair).collect()
    }
}

/// A tool choice as the command line takes it, in OpenAI's form.
pub(crate) fn choice(word: &str) -> Value {
    match word {
        "auto" | "none" | "required" | "any" => json!(word),
        name => json!({"type": "function", "function": {"name": name}}),
    }
}

/// A file's text; "-" is standard input.
pub(crate) fn read(path: &PathBuf) -> Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// A family by id or alias.
pub(crate) fn family<'a>(registry: &'a Registry, id: &str) -> Result<&'a std::sync::Arc<dyn Family>> {
    registry.get(id).with_context(|| {
        let ids: Vec<&str> = registry.iter().map(|family| family.manifest().id.as_str()).collect();
        format!("no family `{id}`; known are: {}", ids.join(", "))
    })
}
