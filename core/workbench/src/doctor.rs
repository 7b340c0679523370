//! A checkpoint looked over: which family it is, whether its own template and that family agree, and what a
//! request can count on.
//!
//! Only files are read; no weight is loaded. What a mask enforces is found by building the mask over the
//! checkpoint's own vocabulary, so that a promise made here is one that a session keeps.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};
use toolglot::template::Conversation;
use toolglot::{Model, ModelError, Plan, Registry, SessionSettings, ToolChoice, detect_dir};

use crate::template::{Writer, offered};
use crate::tool_set;

/// What was found out about a checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// The family's id.
    pub family: String,
    /// The family's title.
    pub title: String,
    /// The template texts and tokens that speak for it; empty where the family was named.
    pub evidence: Vec<String>,
    /// What ends a turn: each stop token of the family and of the checkpoint with its id, if it has one.
    pub stops: Vec<(String, Option<u32>)>,
    /// The family's special markers, and whether each is one token here.
    pub markers: Vec<(String, bool)>,
    /// How the prompt begins the turn, by what was asked of the template: the text that primes the parser.
    pub prompts: Vec<(String, String)>,
    /// What of an assistant's turn the template writes into the history, a line each.
    pub history: Vec<String>,
    /// What a request can count on.
    pub rulings: Vec<(String, Ruling)>,
    /// What does not fit together, a sentence each.
    pub problems: Vec<String>,
}

/// How far a wish of a request is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "ruling", content = "why")]
pub enum Ruling {
    /// A mask sees to it.
    Enforced,
    /// The prompt asks for it; nothing holds the model to it.
    Advised,
    /// Refused with this error, before anything is sampled.
    Refused(String),
}

/// Looks a folder in Hugging Face layout over. `family` names the family in place of detecting it.
///
/// # Errors
/// [`ModelError`] when the folder cannot be used, no family fits, or several do.
pub fn diagnose(dir: &Path, registry: &Registry, family: Option<&str>) -> Result<Diagnosis, ModelError> {
    let model = Model::from_dir(dir, registry, family)?;
    let evidence = match family {
        Some(_) => Vec::new(),
        None => detect_dir(dir, registry)?.evidence,
    };
    let manifest = model.family().manifest();
    let vocabulary = model.vocabulary();
    let mut problems = Vec::new();

    let named = manifest.stops.tokens.iter().map(|stop| (stop.clone(), vocabulary.named(stop)));
    let mut stops: Vec<(String, Option<u32>)> = named.collect();
    for &id in vocabulary.eos() {
        if !stops.iter().any(|(_, known)| *known == Some(id)) {
            stops.push((String::from_utf8_lossy(vocabulary.bytes(id)).into_owned(), Some(id)));
        }
    }
    if stops.iter().all(|(_, id)| id.is_none()) {
        problems.push(
            "no stop token of the family and no EOS token is in the vocabulary: turns would not end".into(),
        );
    }
    let special = manifest.format.framing().into_iter().filter(|lit| lit.special);
    let markers = special.map(|lit| (lit.text.clone(), vocabulary.named(&lit.text).is_some())).collect();

    let (history, prompts) = template(&model, &mut problems);
    let rulings = rulings(&model);
    Ok(Diagnosis {
        family: manifest.id.clone(),
        title: manifest.title.clone(),
        evidence,
        stops,
        markers,
        prompts,
        history,
        rulings,
        problems,
    })
}

/// The probe conversation: what the template writes of it, and how it opens the turn.
fn template(model: &Model, problems: &mut Vec<String>) -> (Vec<String>, Vec<(String, String)>) {
    let history = match Writer::of(model.family().as_ref(), model.template().clone()) {
        Ok(writer) => {
            if let Err(why) = writer.check_prompt() {
                problems.push(why);
            }
            writer.told().lines().map(str::to_owned).collect()
        }
        Err(why) => {
            problems.push(why);
            Vec::new()
        }
    };
    let messages = [json!({"role": "user", "content": "How is Oslo?"})];
    let tools = offered(&tool_set("weather").unwrap_or_default());
    let mut prompts: Vec<(String, String)> = Vec::new();
    for (wish, variables) in [
        ("as it stands", json!({})),
        ("thinking on", json!({"enable_thinking": true, "thinking": true})),
        ("thinking off", json!({"enable_thinking": false, "thinking": false})),
    ] {
        let variables: Map<String, Value> = variables.as_object().cloned().unwrap_or_default();
        let conversation = Conversation::new(&messages).with_tools(&tools).with_variables(&variables);
        match model.prompt(&conversation) {
            Ok(prompt) => prompts.push((wish.into(), prompt.tail)),
            Err(error) => problems.push(format!("the template does not render with {wish}: {error}")),
        }
    }
    (history, prompts)
}

fn rulings(model: &Model) -> Vec<(String, Ruling)> {
    let tools = tool_set("weather").unwrap_or_default();
    let first = tools.first().map(|tool| tool.name.clone()).unwrap_or_default();
    let plan = |choice: ToolChoice| Plan { tools: tools.clone(), choice, ..Plan::default() };
    let allowed = ToolChoice::Allowed { names: vec![first.clone()], required: true };
    let wishes = [
        ("arguments by the tool's schema", plan(ToolChoice::Auto)),
        ("tool choice none", plan(ToolChoice::None)),
        ("tool choice required", plan(ToolChoice::Required)),
        ("tool choice of one tool", plan(ToolChoice::Named(first))),
        ("allowed tools", plan(allowed)),
        ("one call at most", Plan { parallel: false, ..plan(ToolChoice::Auto) }),
        ("no reasoning", Plan { reasoning: false, ..plan(ToolChoice::Auto) }),
    ];
    let rule = |plan: &Plan| match model.constraint(plan, "", &SessionSettings::default()) {
        Ok(_) => Ruling::Enforced,
        Err(error) => Ruling::Refused(error.to_string()),
    };
    let mut rulings: Vec<(String, Ruling)> =
        wishes.iter().map(|(wish, plan)| ((*wish).to_owned(), rule(plan))).collect();
    if !model.family().manifest().reasoning.open.is_empty() {
        rulings.push(("reasoning before the answer".into(), Ruling::Advised));
    }
    rulings
}
