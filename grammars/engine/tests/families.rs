//! The built-in families as grammars: what each one's model should write is admitted, what it must not is not.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use toolglot_format::{Format, Manifest, Plan, ToolChoice};
use toolglot_grammar::{CompiledGrammar, Grammar, Matcher, Token, Vocabulary};

const SPECIALS: [&str; 13] = [
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "<|im_end|>",
    "<|channel|>",
    "<|message|>",
    "<|constrain|>",
    "<|call|>",
    "<|return|>",
    "<|end|>",
    "<|start|>",
    "<|python_tag|>",
];

fn family(id: &str) -> Format {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parsers/families").join(id);
    let text = std::fs::read_to_string(folder.join("family.toml")).unwrap();
    Manifest::from_toml_with(&text, id, &|of| Some(family(of))).unwrap().format
}

fn vocabulary() -> Arc<Vocabulary> {
    let mut tokens: Vec<Token> = (0..=255u8).map(|b| Token::text(vec![b])).collect();
    tokens.extend(SPECIALS.map(Token::special));
    tokens.push(Token::special("<eos>"));
    let eos = tokens.len() as u32 - 1;
    Arc::new(Vocabulary::new(tokens, &[eos], None).unwrap())
}

fn plan(choice: ToolChoice) -> Plan {
    let tools = json!([{"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"},
        "days": {"type": "integer"}}, "required": ["city"], "additionalProperties": false}}, {"name": "ping"}]);
    Plan { choice, ..Plan::from_openai(&tools, &Value::Null, true).unwrap() }
}

fn matcher(id: &str, choice: ToolChoice) -> Matcher {
    let grammar = Grammar::from_format(&family(id), &plan(choice)).unwrap();
    CompiledGrammar::new(Arc::new(grammar), vocabulary()).unwrap().matcher().unwrap()
}

/// How much of the text is taken, specials as tokens; with all of it, whether the turn may end there.
fn read(m: &mut Matcher, text: &str) -> (usize, bool) {
    m.reset();
    let vocabulary = m.compiled().vocabulary().clone();
    let mut mask = vec![0; vocabulary.mask_words()];
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        let special =
            SPECIALS.iter().find(|s| rest.starts_with(s.as_bytes())).and_then(|s| vocabulary.named(s));
        let token = special.unwrap_or(u32::from(rest[0]));
        m.mask(&mut mask).unwrap();
        let allowed = mask[token as usize / 32] >> (token % 32) & 1 == 1;
        assert_eq!(m.accept(token).is_ok(), allowed);
        if !allowed {
            return (at, false);
        }
        at += vocabulary.bytes(token).len();
    }
    (at, m.is_accepting())
}

#[track_caller]
fn takes(m: &mut Matcher, text: &str) {
    let (at, ends) = read(m, text);
    assert!(ends, "refused at {:?}", &text[at..]);
}

#[track_caller]
fn refuses(m: &mut Matcher, text: &str) {
    assert!(!read(m, text).1, "{text:?}");
}

#[test]
fn every_family_has_a_grammar_for_every_choice() {
    for id in ["hermes", "qwen3", "qwen3_coder", "llama3", "harmony"] {
        for choice in [
            ToolChoice::Auto,
            ToolChoice::Required,
            ToolChoice::None,
            ToolChoice::Named("ping".into()),
            ToolChoice::Allowed { names: vec!["ping".into()], required: false },
        ] {
            let m = matcher(id, choice.clone());
            assert!(m.shortest_completion() < 300, "{id} {choice:?}");
        }
    }
}

#[test]
fn hermes_and_qwen3() {
    let call = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 2}}\n</tool_call>";
    for id in ["hermes", "qwen3"] {
        let mut m = matcher(id, ToolChoice::Auto);
        takes(&mut m, "It rains.");
        takes(&mut m, call);
        takes(&mut m, &format!("<think>\nWell.\n</think>\n\nI ask.\n{call}\n{call}"));
        refuses(&mut m, &call.replace("2", "\"2\""));
        refuses(&mut m, &call.replace("get_weather", "get_whether"));
        let mut m = matcher(id, ToolChoice::Required);
        takes(&mut m, call);
        refuses(&mut m, "It rains.");
    }
}

#[test]
fn qwen3_coder() {
    let call = "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>";
    let mut m = matcher("qwen3_coder", ToolChoice::Auto);
    takes(&mut m, call);
    takes(&mut m, &format!("I ask.\n{call}"));
    takes(&mut m, "<tool_call>\n<function=ping>\n</function>\n</tool_call>");
    refuses(&mut m, &call.replace("\n2\n", "\ntwo\n"));
    refuses(&mut m, &call.replace("city", "town"));
}

#[test]
fn llama3() {
    let call = "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}";
    let mut m = matcher("llama3", ToolChoice::Auto);
    takes(&mut m, "Hello {there}");
    takes(&mut m, call);
    takes(&mut m, &format!("{call}; {call}"));
    refuses(&mut m, "{\"name\": \"nobody\"}");
    let mut m = matcher("llama3", ToolChoice::None);
    takes(&mut m, "Hello");
    refuses(&mut m, call);
}

#[test]
fn harmony() {
    let call = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Oslo\"}<|call|>";
    let mut m = matcher("harmony", ToolChoice::Auto);
    takes(&mut m, call);
    takes(&mut m, &format!("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{call}"));
    takes(&mut m, "<|channel|>final<|message|>It rains.<|return|>");
    refuses(&mut m, &call.replace("get_weather", "get_whether"));
    let mut m = matcher("harmony", ToolChoice::Named("get_weather".into()));
    takes(&mut m, call);
    refuses(&mut m, "<|channel|>final<|message|>It rains.<|return|>");
}
