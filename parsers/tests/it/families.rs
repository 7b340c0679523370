//! The built-in families.

use serde_json::json;
use toolglot_format::{FinishReason, Plan};
use toolglot_parsers::{Registry, Session, SessionOptions};

use crate::{parse, plan, run, show};

fn session(family: &str) -> Box<dyn Session> {
    let registry = Registry::builtin().unwrap();
    registry.get(family).unwrap().session(&plan(), SessionOptions::default()).unwrap()
}

#[track_caller]
fn check(family: &str, output: &str, expected: &[&str]) {
    let got = parse(&|| session(family), "", output, FinishReason::Stop);
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{family}: {output}");
}

#[test]
fn hermes() {
    check("hermes", "Hello", &[r#"text "Hello""#]);
    check(
        "hermes",
        "Sure.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>",
        &[r#"text "Sure.""#, r#"call get_weather {"city": "Oslo"}"#],
    );
    check(
        "hermes",
        "<think>\nhm\n</think>\n\n<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"now\"}</tool_call>\n<tool_call>\n{\"name\": \"now\"}\n</tool_call>",
        &[r#"think "hm""#, r#"call now {"a": 1}"#, "call now {}"],
    );
    check(
        "hermes",
        "<think>hm<tool_call>\n{\"name\": \"now\", \"arguments\": \"{\\\"x\\\": \\\"</tool_call>\\\"}\"}\n</tool_call> done",
        &[r#"think "hm""#, r#"text "done""#, r#"call now {"x": "</tool_call>"}"#],
    );
}

#[test]
fn hermes_malformed() {
    check(
        "hermes",
        "<tool_call>\nnothing here\n</tool_call> ok",
        &[
            r#"text "<tool_call>\nnothing here\n</tool_call> ok""#,
            r#"bad NoName "<tool_call>\nnothing here\n</tool_call>""#,
        ],
    );
    // A string that holds no JSON, given out as it stands.
    check(
        "hermes",
        "<tool_call>{\"name\": \"now\", \"arguments\": \" : x  y \"}</tool_call>",
        &["call now : x  y  …", "bad InvalidArguments \"\\\" : x  y \\\"\""],
    );
}

#[test]
fn white_space_of_the_frame_is_none_of_the_text_behind_it() {
    check("generic_json", "<think>\nhm\n</think>\n\n[", &[r#"think "hm""#, r#"text "[""#]);
    check("generic_json", "<think>\nhm\n</think>\n\n[ 1 ]", &[r#"think "hm""#, r#"text "[ 1 ]""#]);
    check("generic_json", "See [ 1 ] and\n[2]", &[r#"text "See [ 1 ] and\n[2]""#]);
}

#[test]
fn gpt_oss_markers_in_ordinary_tokens_are_text() {
    let text = "a to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Paris\"}<|call|> b";
    for chunk in [1, 7, text.len()] {
        let pieces: Vec<_> = text.as_bytes().chunks(chunk).map(|piece| (piece, Some(false))).collect();
        let events = run(&mut *session("harmony"), "", &pieces, FinishReason::Stop);
        assert_eq!(show(events), format!("text {text:?}\n"), "{chunk}");
    }
    // As text of unknown tokens they are markers.
    check(
        "harmony",
        " to=functions.get_weather<|constrain|>json<|message|>{\"city\": \"Paris\"}<|call|>",
        &[r#"call get_weather {"city": "Paris"}"#],
    );
    check(
        "harmony",
        "I use to=functions.get_weather json here",
        &[r#"text "I use to=functions.get_weather json here""#],
    );
}

#[test]
fn what_is_no_call_is_not_reported_as_a_broken_one() {
    check("pythonic", "a[f(x)] = b[i](y)", &[r#"text "a[f(x)] = b[i](y)""#]);
    check(
        "pythonic",
        "[get_weather(\"Oslo\")]",
        &["call get_weather \"Oslo\" …", r#"bad InvalidArguments "\"Oslo\"""#],
    );
}

#[test]
fn arguments_in_place_of_a_header_are_no_name() {
    let output = "<|tool_calls_section_begin|><|tool_call_begin|>{\"city\": \"Paris\"}<|tool_call_end|><|tool_calls_section_end|>";
    let got = parse(&|| session("kimi_k2"), "", output, FinishReason::Stop);
    assert!(!got.contains("call ") && got.contains("bad NoName"), "{got}");
    assert!(got.contains(r#"{\"city\": \"Paris\"}"#), "{got}");
}

#[test]
fn a_name_on_offer_may_hold_what_ends_others() {
    let tools = ["get weather", "now"].map(|name| json!({"name": name, "parameters": {}}));
    let plan = Plan::from_openai(&json!(tools), &json!(null), true).unwrap();
    let registry = Registry::builtin().unwrap();
    let session = || registry.get("glm47").unwrap().session(&plan, SessionOptions::default()).unwrap();
    for name in ["get weather", "now"] {
        let output = format!("<tool_call>{name} city=Oslo</tool_call>");
        let got = parse(&session, "", &output, FinishReason::Stop);
        assert_eq!(got.trim_end(), format!(r#"call {name} {{"city": "Oslo"}}"#));
    }
}

#[test]
fn llama3() {
    check("llama3", "Hello {you}", &[r#"text "Hello {you}""#]);
    check(
        "llama3",
        r#"{"name": "get_weather", "parameters": {"city": "Oslo"}}"#,
        &[r#"call get_weather {"city": "Oslo"}"#],
    );
    check(
        "llama3",
        r#"<|python_tag|>{"name": "now", "parameters": {}}; {"name": "now", "parameters": {"a": 1}}"#,
        &["call now {}", r#"call now {"a": 1}"#],
    );
    check("llama3", r#"{"answer": 42}"#, &[r#"text "{\"answer\": 42}""#]);
}

#[test]
fn qwen3_coder() {
    check(
        "qwen3_coder",
        "Ok\n<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=detail>\nTrue\n</parameter>\n<parameter=opts>\n{\"a\": \"</parameter>\"}\n</parameter>\n</function>\n</tool_call>",
        &[
            r#"text "Ok""#,
            r#"call get_weather {"city": "Oslo", "days": 3, "detail": true, "opts": {"a": "</parameter>"}}"#,
        ],
    );
    check("qwen3_coder", "<function=now>\n</function>", &["call now {}"]);
}

#[test]
fn harmony() {
    check(
        "harmony",
        "<|channel|>analysis<|message|>think<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Oslo\"}<|call|>",
        &[r#"think "think""#, r#"call get_weather {"city": "Oslo"}"#],
    );
    check("harmony", "<|channel|>final<|message|>Hi there<|return|>", &[r#"text "Hi there""#]);
    check(
        "harmony",
        "<|channel|>commentary<|message|>pre<|end|><|start|>assistant<|channel|>commentary to=functions.now<|message|>{}",
        &[r#"text "pre""#, "call now {}"],
    );
}

#[test]
fn what_stands_in_front_of_a_key_is_no_object() {
    check(
        "deepseek_v4",
        "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n\"<｜DSML｜parameter name=\"city\" string=\"true\">x</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        &[r#"call get_weather {"city": "x"}"#, r#"bad Unexpected "\"""#],
    );
    check(
        "hermes",
        "<tool_call>\n{\"name\": \"now\", \"arguments\": \", x\"}\n</tool_call>",
        &["call now , x …", r#"bad InvalidArguments "\", x\"""#],
    );
}

#[test]
fn a_closing_marker_opens_no_block_of_calls() {
    check(
        "kimi_k3",
        "<|open|>response<|sep|>abc <|close|>call<|sep|> def<|close|>response<|sep|>",
        &[r#"text "abc call defresponse""#],
    );
}

#[test]
fn reasoning_is_about_calls_and_makes_none_without_a_marker() {
    let call = r#"{"name": "now", "arguments": {}}"#;
    for (family, open, close, thought) in [
        ("nemotron_deci", "<think>\n", "\n</think>\n\n", format!("I write\n[{call}]\n")),
        ("mistral", "[THINK]", "[/THINK]", format!("[{call}]")),
        ("granite3", "<think>", "</think>", format!("[{call}]")),
        ("laguna", "<think>", "</think>", format!("I write\n{call}")),
        ("glm47", "<think>", "</think>", "I call now and say so".to_owned()),
    ] {
        let thought = thought.trim_end();
        let thinks = format!("think {thought:?}");
        check(family, &format!("{open}{thought}{close}Yes."), &[&thinks, r#"text "Yes.""#]);
    }
    check("nemotron_deci", &format!("<think>\nhm\n</think>\n\n[{call}]"), &[r#"think "hm""#, "call now {}"]);
    check("mistral", &format!("[THINK]hm[/THINK][{call}]"), &[r#"think "hm""#, "call now {}"]);
    check("mistral", "[THINK]hm[/THINK][1] is [2]", &[r#"think "hm""#, r#"text "[1] is [2]""#]);
    check("granite3", "<think>hm</think>[1] is [2]", &[r#"think "hm""#, r#"text "[1] is [2]""#]);
}
