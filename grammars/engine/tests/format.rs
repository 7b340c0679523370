//! Formats under plans: what a turn may be, and that every tokenisation of it is admitted.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_format::{Format, Plan, ToolChoice};
use toolglot_grammar::{CompiledGrammar, Grammar, GrammarError, Matcher, Token, Vocabulary};

const MARKERS: [&str; 4] = ["<tool_call>", "</tool_call>", "<think>", "</think>"];

fn vocabulary(markers_are_tokens: bool) -> Arc<Vocabulary> {
    let mut tokens: Vec<Token> = (0..=255u8).map(|b| Token::text(vec![b])).collect();
    tokens.push(Token::special("<eos>"));
    for text in [
        "<tool",
        "_call>",
        "\n{\"",
        "\", \"",
        "name\":",
        " \"a",
        "city",
        ">\n",
        "\n</",
        "{\"name\": \"",
        "}}\n",
    ] {
        tokens.push(Token::text(text));
    }
    if markers_are_tokens {
        tokens.extend(MARKERS.map(Token::special));
    }
    Arc::new(Vocabulary::new(tokens, &[256], None).unwrap())
}

fn format(value: Value) -> Format {
    serde_json::from_value(value).unwrap()
}

fn special(text: &str) -> Value {
    json!({"lit": {"text": text, "special": true}})
}

fn hermes() -> Format {
    let call = json!({"call": {"seq": [special("<tool_call>"), {"ws": "\n"}, {"object": {"members": [
        {"key": "name", "is": "name"}, {"key": "arguments", "is": "args"}]}}, {"ws": "\n"}, special("</tool_call>")]}});
    format(json!({"seq": [
        {"opt": {"seq": [special("<think>"), {"ws": "\n"}, {"text": {"channel": "reasoning"}}, {"ws": "\n"},
            special("</think>"), {"ws": "\n\n"}]}},
        {"rep": {"of": {"alt": [call, {"text": {"channel": "content", "excluding": ["</tool_call>"]}}]}, "sep": {"ws": "\n"}}},
    ]}))
}

fn coder() -> Format {
    format(json!({"rep": {"of": {"alt": [
        {"call": {"seq": [special("<tool_call>"), {"ws": "\n"}, {"lit": "<function="}, {"name": {}}, {"lit": ">"}, {"ws": "\n"},
            {"args": {"tagged": {"param": {"seq": [{"lit": "<parameter="}, {"key": {}}, {"lit": ">"}, {"ws": "\n"},
                {"value": {"excluding": ["<parameter=", "</function>"]}}, {"ws": "\n"}, {"lit": "</parameter>"}, {"ws": "\n"}]}}}},
            {"lit": "</function>"}, {"ws": "\n"}, special("</tool_call>")]}},
        {"text": {"channel": "content"}}]}}}))
}

fn plan(choice: ToolChoice, parallel: bool) -> Plan {
    let tools = json!([
        {"name": "get_weather", "parameters": {"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "unit": {"enum": ["C", "F"]}}, "required": ["city"]}},
        {"name": "get_time", "parameters": {"type": "object", "additionalProperties": true,
            "properties": {"zone": {"type": ["string", "null"]}}}},
    ]);
    Plan { choice, ..Plan::from_openai(&tools, &json!(null), parallel).unwrap() }
}

fn matcher(format: &Format, plan: &Plan, markers: bool) -> Matcher {
    let grammar = Grammar::from_format(format, plan).unwrap();
    CompiledGrammar::new(Arc::new(grammar), vocabulary(markers)).unwrap().matcher().unwrap()
}

/// Feeds the text token by token, markers as their tokens where there are such; every token must be in the mask.
fn accepts(m: &mut Matcher, text: &str) -> bool {
    m.reset();
    let vocabulary = m.compiled().vocabulary().clone();
    let mut mask = vec![0; vocabulary.mask_words()];
    let mut rest = text.as_bytes();
    let mut turn = 0usize;
    while !rest.is_empty() {
        let marker = MARKERS
            .into_iter()
            .find_map(|name| vocabulary.named(name).filter(|_| rest.starts_with(name.as_bytes())));
        // Alternate between long and short tokens.
        turn += 1;
        // A tokenizer cuts the text at its markers first.
        let end = MARKERS
            .iter()
            .filter(|name| vocabulary.named(name).is_some())
            .filter_map(|name| rest.windows(name.len()).position(|w| w == name.as_bytes()))
            .min();
        let token =
            marker.unwrap_or_else(|| match vocabulary.greedy_tokens(&rest[..end.unwrap_or(rest.len())]) {
                Some(tokens) if !turn.is_multiple_of(3) => tokens[0],
                _ => u32::from(rest[0]),
            });
        m.mask(&mut mask).unwrap();
        let allowed = mask[token as usize / 32] >> (token % 32) & 1 == 1;
        assert_eq!(m.accept(token).is_ok(), allowed);
        if !allowed {
            return false;
        }
        rest = &rest[vocabulary.bytes(token).len()..];
    }
    m.is_accepting()
}

#[test]
fn hermes_turns() {
    let weather =
        "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
    let time =
        "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"zone\": null, \"x\": [1]}}\n</tool_call>";
    for markers in [false, true] {
        let mut m = matcher(&hermes(), &plan(ToolChoice::Auto, true), markers);
        assert!(accepts(&mut m, "Hello <tool, {\"name\"}"));
        assert!(accepts(&mut m, weather));
        assert!(accepts(&mut m, &format!("<think>\nhm\n</think>\n\nLet me see.\n{weather}\n{time}")));
        assert!(!accepts(&mut m, "<tool_call>\n{\"name\": \"other\""));
        assert!(!accepts(&mut m, &weather.replace("Oslo\"", "Oslo\", \"days\": 15")));
        assert!(
            !accepts(&mut m, &weather.replace("Oslo\"", "Oslo\", \"x\": 1")),
            "closed unless it says otherwise"
        );
        assert!(accepts(&mut m, &weather.replace("\"city\"", "\"days\": 14, \"city\"")), "any order");
        assert!(!accepts(&mut m, "text </tool_call>"));

        let mut m = matcher(&hermes(), &plan(ToolChoice::Required, false), markers);
        assert!(accepts(&mut m, weather) && accepts(&mut m, time));
        assert!(
            !accepts(&mut m, "Hello")
                && !accepts(&mut m, "")
                && !accepts(&mut m, &format!("{weather}\n{time}"))
        );

        let mut m = matcher(&hermes(), &plan(ToolChoice::Named("get_time".into()), true), markers);
        assert!(accepts(&mut m, time) && !accepts(&mut m, weather));

        let mut m = matcher(&hermes(), &plan(ToolChoice::None, true), markers);
        assert!(accepts(&mut m, "No calls <tool_cal") && !accepts(&mut m, "<tool_call>"));
    }
}

#[test]
fn coder_turns() {
    let call = |body: &str| format!("<tool_call>\n<function=get_weather>\n{body}</function>\n</tool_call>");
    let param = |key: &str, value: &str| format!("<parameter={key}>\n{value}\n</parameter>\n");
    for markers in [false, true] {
        let mut m = matcher(&coder(), &plan(ToolChoice::Auto, true), markers);
        assert!(accepts(&mut m, &call(&param("city", "São\n<Paulo>"))));
        assert!(accepts(&mut m, &call(&(param("days", "3") + &param("city", "") + &param("unit", "F")))));
        assert!(!accepts(&mut m, &call("")), "city is required");
        assert!(!accepts(&mut m, &call(&(param("city", "a") + &param("city", "b")))));
        assert!(!accepts(&mut m, &call(&param("city", "a</parameter>"))));
        assert!(!accepts(&mut m, &call(&(param("city", "a") + &param("days", "0")))));
        assert!(!accepts(&mut m, &call(&(param("city", "a") + &param("other", "0")))));
        let time = |body: &str| call(body).replace("get_weather", "get_time");
        assert!(accepts(&mut m, &time("")) && accepts(&mut m, &time(&param("zone", "null"))));
        assert!(accepts(&mut m, &time(&(param("zone", "CET") + &param("extra", "{\"a\": 1}")))));
    }
}

/// Two neighbouring texts must not spell a marker together, whatever little may stand between them.
#[test]
fn no_marker_is_spelled_by_neighbouring_texts() {
    let call = json!({"call": {"seq": [special("<tool_call>"), {"name": {}}, {"args": {"json": {}}}, special("</tool_call>")]}});
    for sep in [
        json!(null),
        json!({"ws": ""}),
        json!({"alt": [{"ws": "\n"}, {"seq": []}]}),
        json!({"opt": {"ws": "\n"}}),
    ] {
        let mut rep = json!({"of": {"alt": [call, {"text": {"channel": "content"}}]}});
        if !sep.is_null() {
            rep["sep"] = sep;
        }
        let format = format(json!({"rep": rep}));
        let mut m = matcher(&format, &plan(ToolChoice::None, true), false);
        assert!(accepts(&mut m, "a\nb") && !accepts(&mut m, "<tool_call>"));
        let mut m = matcher(&format, &plan(ToolChoice::Auto, true), false);
        let call = "<tool_call>get_weather{\"city\": \"Oslo\"}</tool_call>";
        assert!(accepts(&mut m, &format!("a{call}{call}\nb\n{call}")));
        assert!(accepts(&mut m, "<tool"));
        assert!(!accepts(&mut m, "<tool_call>x"));
        assert!(!accepts(&mut m, "a\n<tool_call>\n"));
    }
}

/// A marker that another marker begins with does not hide the ends of values.
#[test]
fn terminators_that_begin_alike() {
    let format = format(json!({"call": {"seq": [{"lit": "<invoke "}, {"name": {}}, {"lit": ">"},
        {"args": {"tagged": {"param": {"seq": [{"lit": "<p name=\""}, {"key": {}}, {"lit": "\">"},
            {"value": {"excluding": ["<p name=", "</invoke>"]}}, {"lit": "</p>"}]}}}}, {"lit": "</invoke>"}]}}));
    let mut m = matcher(&format, &plan(ToolChoice::Auto, true), false);
    assert!(accepts(&mut m, "<invoke get_weather><p name=\"city\">a < b</p></invoke>"));
    assert!(accepts(&mut m, "<invoke get_weather><p name=\"city\"></p></invoke>"));
    assert!(!accepts(&mut m, "<invoke get_weather><p name=\"city\">a <p name=x</p></invoke>"));
}

#[test]
fn forced_text_runs_to_the_first_choice() {
    let mut m = matcher(&hermes(), &plan(ToolChoice::Named("get_weather".into()), false), true);
    m.accept(m.compiled().vocabulary().named("<tool_call>").unwrap()).unwrap();
    assert_eq!(m.forced_bytes().unwrap(), b"\n{\"name\": \"get_weather\", \"arguments\": {\"");
}

#[test]
fn what_has_no_strict_reading_is_refused() {
    let refused =
        |value: Value| Grammar::from_format(&format(value), &plan(ToolChoice::Auto, true)).unwrap_err();
    assert!(matches!(refused(json!({"extern": {}})), GrammarError::Format { .. }));
    let mut bad = plan(ToolChoice::Auto, true);
    bad.tools[0].parameters = json!({"type": "string"});
    let error = Grammar::from_format(&hermes(), &bad).unwrap_err().to_string();
    assert!(error.contains("get_weather"), "{error}");
}
