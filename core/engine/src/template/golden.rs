//! Every render that jinja2 has recorded must come out byte for byte: the families' templates over all conversations, and
//! one small template for each feature. `cargo dev templates --record` writes the files anew.

use serde_json::{Map, Value as Json, json};

use super::{ChatTemplate, Clock, Conversation, MessageShape, TemplateErrorKind, TemplateOptions};

/// What `strftime_now` told when the files were recorded.
const NOW: i64 = 1_722_038_405;

macro_rules! data {
    ($file:literal) => {
        serde_json::from_str(include_str!(concat!("../../tests/templates/", $file))).expect($file)
    };
}

fn options(name: &str) -> TemplateOptions {
    TemplateOptions {
        name: name.to_owned(),
        clock: Clock::Fixed(NOW),
        messages: MessageShape::AsGiven,
        ..TemplateOptions::default()
    }
}

/// Compares one render with its record: `(what differs)`, or None.
fn difference(template: &ChatTemplate, conversation: &Conversation<'_>, entry: &Json) -> Option<String> {
    let prompt = entry["add_generation_prompt"] == json!(true);
    let rendered = template.render(conversation, prompt);
    let title = format!("{} / {} / {prompt}", entry["template"], entry["conversation"]);
    match rendered {
        Ok(rendered) => match entry.get("text").and_then(Json::as_str) {
            Some(text) if text == rendered.text => None,
            Some(text) => Some(format!("{title}\n  expected {text:?}\n  rendered {:?}", rendered.text)),
            // Where Python fails on a type, rendering is allowed; a refusal is the template's word.
            None if entry.get("error").is_some() => None,
            None => Some(format!("{title}\n  should be refused, rendered {:?}", rendered.text)),
        },
        Err(error) => match (error.kind(), entry.get("refused").and_then(Json::as_str)) {
            (TemplateErrorKind::Refused { message }, Some(expected)) if message == expected => None,
            _ if entry.get("error").is_some() => None,
            _ => Some(format!("{title}\n  failed: {error}")),
        },
    }
}

fn assert_none(differences: Vec<String>) {
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn family_templates_render_as_recorded() {
    let conversations: Vec<Json> = data!("conversations.json");
    let golden: Vec<Json> = data!("families.golden.json");
    let registry = toolglot_parsers::Registry::builtin().expect("built-in families");
    let mut seen = 0;
    let mut differences = Vec::new();
    for entry in &golden {
        let id = entry["template"].as_str().expect("family id");
        let source =
            registry.get(id).and_then(|f| f.template().map(str::to_owned)).expect("the family's template");
        let template = ChatTemplate::compile(source, &options(id))
            .expect("compiles")
            .with_variable("bos_token", "<|bos|>")
            .with_variable("eos_token", "<|eos|>");
        let conversation =
            conversations.iter().find(|c| c["name"] == entry["conversation"]).expect("conversation");
        let list = |key: &str| conversation.get(key).and_then(Json::as_array).map(Vec::as_slice);
        let input = Conversation {
            messages: list("messages").unwrap_or_default(),
            tools: list("tools"),
            documents: None,
            variables: conversation.get("variables").and_then(Json::as_object),
        };
        differences.extend(difference(&template, &input, entry));
        seen += usize::from(entry.get("text").is_some());
    }
    assert!(seen > 300, "only {seen} recorded texts");
    assert_none(differences);
}

#[test]
fn every_feature_renders_as_recorded() {
    let sources: Map<String, Json> = data!("micro.json");
    let variables: Map<String, Json> = data!("micro-data.json");
    let golden: Vec<Json> = data!("micro.golden.json");
    assert_eq!(sources.len(), golden.len(), "record the golden files anew");
    // What renders here though Python refuses it, by intent.
    let kinder = ["list_is_immutable"];
    let mut differences = Vec::new();
    for entry in &golden {
        let name = entry["template"].as_str().expect("name");
        let source = sources[name].as_str().expect("source");
        let template = match ChatTemplate::compile(source, &options(name)) {
            Ok(template) => template,
            Err(error) => {
                differences.push(error.to_string());
                continue;
            }
        };
        let conversation = Conversation::new(&[]).with_variables(&variables);
        differences.extend(difference(&template, &conversation, entry));
        let fails = template.render(&conversation, false).is_err();
        if entry.get("error").is_some() && !fails && !kinder.contains(&name) {
            differences.push(format!("{name}: Python fails ({}), this does not", entry["error"]));
        }
    }
    assert_none(differences);
}
