//! Values between markers, which say nothing of their type: the tool's schema does.

use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_format::{Event, FinishReason, Piece, Plan};
use toolglot_parsers::{Parser, Program, Session, SessionOptions};

use crate::synthetic::{format, session};
use crate::{parse, show};

fn plan(parameters: Value) -> Plan {
    let tools = json!([{"name": "f", "parameters": parameters}]);
    Plan::from_openai(&tools, &Value::Null, true).unwrap()
}

fn open(plan: &Plan) -> Box<dyn Session> {
    let program = Arc::new(Program::new(&format("pairs")).unwrap());
    Box::new(Parser::new(program, plan, SessionOptions::default()))
}

fn output(value: &str) -> String {
    format!("<tool_call>f\n<arg_key>v</arg_key>\n<arg_value>{value}</arg_value>\n</tool_call>")
}

/// Each pair: a value as it is written, and the JSON that it becomes.
#[track_caller]
fn check(schema: Value, pairs: &[(&str, &str)]) {
    let plan = plan(json!({"type": "object", "properties": {"v": schema}}));
    for (written, json) in pairs {
        let got = parse(&|| open(&plan), "", &output(written), FinishReason::Stop);
        assert_eq!(got, format!("call f {{\"v\": {json}}}\n"), "{schema}: {written}");
    }
}

#[test]
fn a_string_stays_a_string() {
    let pairs = [
        ("Oslo", r#""Oslo""#),
        ("", r#""""#),
        ("12", r#""12""#),
        ("-1.5e3", r#""-1.5e3""#),
        ("true", r#""true""#),
        ("None", r#""None""#),
        ("null", r#""null""#),
        ("{\"a\": 1}", r#""{\"a\": 1}""#),
        ("[1, 2]", r#""[1, 2]""#),
        ("\"quoted\"", r#""\"quoted\"""#),
        ("  padded  ", r#""  padded  ""#),
        ("\n\nlines\n", r#""\n\nlines\n""#),
        ("C:\\dir\\n", r#""C:\\dir\\n""#),
        ("tab\tbell\u{7}", r#""tab\tbell\u0007""#),
    ];
    check(json!({"type": "string"}), &pairs);
    check(json!({"enum": ["1", "2"]}), &pairs[..6]);
    check(json!({"const": "1"}), &[("1", r#""1""#)]);
    check(json!({"anyOf": [{"type": "string", "minLength": 2}, {"type": "string", "maxLength": 9}]}), &pairs);
}

#[test]
fn other_types_are_json() {
    check(
        json!({"type": "integer"}),
        &[
            ("12", "12"),
            (" 12\n", "12"),
            ("9007199254740993", "9007199254740993"),
            ("1.0", "1.0"),
            // Of another type after all: nothing is lost.
            ("many", r#""many""#),
            ("true", "true"),
            ("[1]", "[1]"),
        ],
    );
    check(
        json!({"type": "number"}),
        &[("1e3", "1e3"), ("-0.50", "-0.50"), ("0x1f", "31"), ("1,5", r#""1,5""#)],
    );
    let words = [("true", "true"), ("False", "false"), ("TRUE", "true"), ("yes", r#""yes""#), ("1", "1")];
    check(json!({"type": "boolean"}), &words);
    check(json!({"type": "null"}), &[("null", "null"), ("None", "null"), ("nil", r#""nil""#)]);
    check(
        json!({"type": "object"}),
        &[
            ("{\"a\": [1, \"</arg_value>\"]}", "{\"a\": [1, \"</arg_value>\"]}"),
            ("{'a': True, 'b': None}", r#"{"a": true, "b": null}"#),
            ("{not json", r#""{not json""#),
            // Escaped as if it stood in a string.
            (r#"{\"a\": \"b\\n\"}"#, r#"{"a": "b\n"}"#),
            (r#"{\"a\": x}"#, r#""{\\\"a\\\": x}""#),
        ],
    );
    check(
        json!({"type": "array", "items": {"type": "string"}}),
        &[("[\"a\", \"b\"]", "[\"a\", \"b\"]"), ("['a']", r#"["a"]"#), ("a, b", r#""a, b""#), ("[]", "[]")],
    );
}

#[test]
fn several_types() {
    let nullable = [
        json!({"type": ["string", "null"]}),
        json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        json!({"oneOf": [{"type": "null"}, {"type": "string"}]}),
    ];
    for schema in nullable {
        check(schema, &[("null", "null"), ("nullable", r#""nullable""#), ("12", r#""12""#), ("", r#""""#)]);
    }
    check(
        json!({"type": ["string", "integer"]}),
        &[("12", "12"), ("12 apples", r#""12 apples""#), ("true", r#""true""#), ("-", r#""-""#)],
    );
    check(
        json!({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}),
        &[("3", "3"), ("[3]", "[3]"), ("three", r#""three""#)],
    );
    check(
        json!({"type": ["object", "string"]}),
        &[("{\"a\": 1}", "{\"a\": 1}"), ("{a}", r#""{a}""#), ("[1]", r#""[1]""#), ("text {", r#""text {""#)],
    );
    check(json!({"enum": ["auto", 1, null]}), &[("auto", r#""auto""#), ("1", "1"), ("null", "null")]);
}

#[test]
fn references_are_followed() {
    let of = |definition: Value| {
        plan(
            json!({"type": "object", "properties": {"v": {"$ref": "#/$defs/d"}}, "$defs": {"d": definition}}),
        )
    };
    let got = |plan: &Plan, written: &str| parse(&|| open(plan), "", &output(written), FinishReason::Stop);
    assert_eq!(got(&of(json!({"type": "string"})), "12"), "call f {\"v\": \"12\"}\n");
    assert_eq!(got(&of(json!({"type": "integer"})), "12"), "call f {\"v\": 12}\n");
    let tree = json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/d"}}]});
    assert_eq!(got(&of(tree.clone()), "[[\"a\"]]"), "call f {\"v\": [[\"a\"]]}\n");
    assert_eq!(got(&of(tree), "a"), "call f {\"v\": \"a\"}\n");
    let composed = json!({"allOf": [{"type": ["string", "integer"]}, {"type": "string"}]});
    assert_eq!(got(&of(composed), "12"), "call f {\"v\": \"12\"}\n");
    // A schema that says what cannot be read any more leaves everything open.
    assert_eq!(got(&of(json!({"$ref": "https://example.org/x"})), "12"), "call f {\"v\": 12}\n");
}

#[test]
fn without_a_schema_json_is_what_parses_as_json() {
    let pairs = [
        ("12", "12"),
        ("true", "true"),
        ("None", "null"),
        ("\"text\"", "\"text\""),
        ("{\"a\": 1}", "{\"a\": 1}"),
        ("plain text", r#""plain text""#),
        ("12 monkeys", r#""12 monkeys""#),
        ("{a}", r#""{a}""#),
        ("nothing", r#""nothing""#),
    ];
    check(json!({}), &pairs);
    check(json!(true), &pairs);
    // An undeclared parameter, and an unknown tool.
    let plan = plan(json!({"type": "object", "properties": {"w": {"type": "string"}}}));
    for (written, json) in pairs {
        for name in ["f", "g"] {
            let text = output(written).replacen('f', name, 1);
            let got = parse(&|| open(&plan), "", &text, FinishReason::Stop);
            assert_eq!(got, format!("call {name} {{\"v\": {json}}}\n"), "{written}");
        }
    }
}

#[test]
fn every_byte_of_a_string_is_kept() {
    let plan = plan(json!({"type": "object", "properties": {"v": {"type": "string"}}}));
    let code = [
        "if a < b && c > d: print(\"x\\n\")\n",
        "</arg_val>",
        "</arg_value",
        "</arg_value</arg_key>",
        "<arg_value>",
        "<arg_key>k</arg_key>",
        "</ arg_value>",
        "<tool_call>",
        "</tool_call",
        "\u{0}\u{1f}\u{7f}",
        "é😀\u{2028}",
        "\r\n\t ",
        "}}}\"'`",
        "&lt;&amp;",
    ];
    for (i, one) in code.iter().enumerate() {
        for other in &code[i..] {
            let value = format!("{one}{other}");
            let text = output(&value);
            let got = parse(&|| open(&plan), "", &text, FinishReason::Stop);
            assert_eq!(got, format!("call f {{\"v\": {}}}\n", json!(value)), "{value:?}");
        }
    }
}

/// Feeds the output in pieces of `size` bytes; after each the arguments given out so far.
fn arguments(plan: &Plan, text: &str, size: usize) -> Vec<String> {
    let mut session = open(plan);
    let mut seen = Vec::new();
    let mut all = String::new();
    for piece in text.as_bytes().chunks(size) {
        let mut events = Vec::new();
        session.feed(&[Piece { bytes: piece, special: None }], &mut events);
        for event in events {
            if let Event::Arguments { json, .. } = event {
                all += &json;
            }
        }
        seen.push(all.clone());
    }
    seen
}

#[test]
fn a_string_is_given_out_as_it_comes() {
    let string = json!({"type": "string"});
    // Where text may be of another type, that is settled by its first letter.
    let open_to_all = json!({});
    for schema in [string, json!({"type": ["string", "null"]}), open_to_all] {
        let plan = plan(json!({"type": "object", "properties": {"v": schema}}));
        let value = "Line one\nline two <b>and</b> more";
        let text = output(value);
        let from = text.find(value).unwrap();
        let seen = arguments(&plan, &text, 1);
        for (at, c) in value.char_indices() {
            let shown = &seen[from + at];
            let whole = json!({ "v": &value[..=at] }).to_string().replace(":\"", ": \"");
            let whole = whole.trim_end_matches("\"}");
            // What may begin a closing marker waits for the byte that decides.
            if c != '<' && !value[..at].ends_with('<') {
                assert_eq!(shown, whole, "{at}");
            }
        }
        assert!(seen.last().unwrap().ends_with("more\"}"));
    }
}

#[test]
fn a_look_alike_that_is_cut_off_is_data() {
    let plan = plan(json!({"type": "object", "properties": {"v": {"type": "string"}}}));
    let text = "<tool_call>f<arg_key>v</arg_key><arg_value>abc</arg_val";
    let mut session = open(&plan);
    let mut events = Vec::new();
    session.feed(&[Piece::text(text)], &mut events);
    session.finish(FinishReason::Cut, &mut events);
    let got = show(events);
    assert!(got.starts_with("call f {\"v\": \"abc</arg_val …\n"), "{got}");
}

#[test]
fn entities_stand_for_characters() {
    let read = |params: &str, expected: &str| {
        let format = format("escaped");
        let output = ["<call>get_weather", params, "</call>"].concat();
        let got = parse(&|| session(&format), "", &output, FinishReason::Stop);
        assert_eq!(got, format!("call get_weather {expected}\n"), "{params}");
    };
    read("<p:city>a &lt; b &amp;&amp; &quot;c&quot;</p>", r#"{"city": "a < b && \"c\""}"#);
    // Once only, and what is none stays.
    read("<p:city>&amp;lt; &nbsp; &am R&D &</p>", r#"{"city": "&lt; &nbsp; &am R&D &"}"#);
    // A string or a number, and anything at all.
    read("<p:size>&lt;</p><p:other>&gt;1</p>", r#"{"size": "<", "other": ">1"}"#);
    read("<p:size> &amp;</p>", r#"{"size": " &"}"#);
    read("<p:size>1&amp;</p>", r#"{"size": "1&"}"#);
    let long = "1".repeat(70);
    read(&format!("<p:size>{long}&lt;</p>"), &format!(r#"{{"size": "{long}<"}}"#));
    read("<p:tags>[\"&lt;\", \"&quot;\", \"</p>\"]</p>", r#"{"tags": ["<", "\"", "</p>"]}"#);
    read("<p:tags>[\"&lt;\", &amp;]</p>", r#"{"tags": "[\"<\", &]"}"#);
    read("<p:days>&lt;1</p>", r#"{"days": "<1"}"#);
}
