//! Calls whose marker got lost: a list at the start of an answer, an object on a line of its own, a name in front of
//! a special token. What names no tool on offer is text.

use std::sync::Arc;

use toolglot_format::{Event, FinishReason, Piece, Plan};
use toolglot_parsers::{Parser, Program, Session, SessionOptions};

use crate::synthetic::{format, session};
use crate::{parse, run, show};

#[track_caller]
fn check(output: &str, expected: &[&str]) {
    let format = format("unmarked");
    let got = parse(&|| session(&format), "", output, FinishReason::Stop);
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{output}");
}

#[track_caller]
fn is_text(output: &str) {
    check(output, &[&format!("text {output:?}")]);
}

#[test]
fn a_list_at_the_start_of_an_answer() {
    check(
        r#" [ {"name": "now", "arguments": {}}, {"name": "other", "arguments": {"a": 1}} ] Done."#,
        &[r#"text " Done.""#, "call now {}", r#"call other {"a": 1}"#],
    );
    for text in [
        r#"[{"name": "other", "arguments": {}}]"#,
        r#"See [{"name": "now", "arguments": {}}]"#,
        r#"[{"name": "now"}]"#,
        r#"[{"name": "now", "#,
        r#"[{"id": 1, "name": "now", "arguments": {}}]"#,
        "[1] and [2]",
        "[",
    ] {
        is_text(text);
    }
}

#[test]
fn an_object_on_a_line_of_its_own() {
    let now = r#"{"name": "now", "arguments": {"a": {"b": "}"}}}"#;
    let call = r#"call now {"a": {"b": "}"}}"#;
    check(now, &[call]);
    check(&format!("I look.\n{now}\nDone."), &[r#"text "I look.\n\nDone.""#, call]);
    check(r#"{"arguments": {"a": 1}, "name": "now"}"#, &[r#"call now {"a": 1}"#]);
    // Behind a call, any name will do.
    check(
        &format!("{now}\n<call>now<args>{{}}</call>{}", r#"{"name": "x", "arguments": {}}"#),
        &[call, "call now {}", "call x {}"],
    );
    for text in [
        r#"I say {"name": "now", "arguments": {}}."#,
        r#"  {"name": "now", "arguments": {}}"#,
        "{\n  \"calls\": [\n    {\"name\": \"now\", \"arguments\": {}}\n  ]\n}",
        r#"{"name": "Bob", "arguments": {}}"#,
        r#"{"name": "now", "age": 8}"#,
        r#"{"name": {"first": "now"}, "arguments": {}}"#,
        r#"{"arguments": {"a": 1}, "name": "Bob"}"#,
        r#"{"arguments": {"a": 1}}"#,
        "{",
        "{}",
    ] {
        is_text(text);
        is_text(&format!("Look:\n{text}"));
    }
}

#[test]
fn a_name_in_front_of_a_token() {
    check(
        "I look. now<args>{}</call>get_weather \n<args>{\"city\": \"Oslo\"}</call> Done.",
        &[r#"text "I look.  Done.""#, "call now {}", r#"call get_weather {"city": "Oslo"}"#],
    );
    // No tool, no name at all, a part of a word, and too far away.
    for word in ["then", "", "snow", "é now", "now é", "get_weather_", &format!("now{}", " ".repeat(20))] {
        let word = word.replace("é now", "énow").replace("now é", "nowé");
        check(
            &format!("So {word}<args>{{}}"),
            &[&format!("text {:?}", format!("So {word}{{}}")), r#"bad StrayMarker "<args>""#],
        );
    }
    is_text("Ask now, or get_weather, or get_wea");
}

/// The text that has been given out after each word.
fn streamed(plan: &Plan, words: &[&str]) -> Vec<String> {
    let program = Arc::new(Program::new(&format("unmarked")).unwrap());
    let mut session = Parser::new(program, plan, SessionOptions::default());
    let mut events = Vec::new();
    let given = words.iter().map(|word| {
        session.feed(&[Piece { bytes: word.as_bytes(), special: Some(false) }], &mut events);
        let text = |event: &Event| match event {
            Event::Text { text, .. } => Some(text.clone()),
            _ => None,
        };
        Event::join(events.clone()).iter().filter_map(text).collect()
    });
    given.collect()
}

#[test]
fn text_waits_for_nothing_but_the_beginning_of_a_name() {
    let got = streamed(&crate::plan(), &["The", " get", "ter", " get_weather", " is", " {", "\"a\"", "}"]);
    let expected = [
        "The",
        "The ",
        "The getter",
        "The getter ",
        "The getter get_weather is",
        "The getter get_weather is ",
        "The getter get_weather is {\"a\"",
        "The getter get_weather is {\"a\"}",
    ];
    assert_eq!(got, expected);
}

#[test]
fn any_name_will_do_where_no_tools_are_known() {
    let program = Arc::new(Program::new(&format("unmarked")).unwrap());
    for (output, expected) in [
        (r#"[{"name": "f", "arguments": {}}]"#, "call f {}\n"),
        ("Look:\n{\"name\": \"f\", \"arguments\": {}}", "text \"Look:\\n\"\ncall f {}\n"),
        ("Look: f<args>{}</call>", "text \"Look: \"\ncall f {}\n"),
    ] {
        let mut session = Parser::new(program.clone(), &Plan::default(), SessionOptions::default());
        let pieces: Vec<_> = output.as_bytes().chunks(1).map(|piece| (piece, None)).collect();
        assert_eq!(show(run(&mut session, "", &pieces, FinishReason::Stop)), expected, "{output}");
    }
}
