//! Names, keys and values in all their spellings: alternatives, type words, escapes, headers.

use serde_json::{Value, json};
use toolglot_format::{Call, FinishReason, Manifest, Plan, Turn};
use toolglot_parsers::{
    DataFamily, Family, Parser, PrintError, Program, Session, SessionOptions, print, to_text,
};

use crate::synthetic::{format, session};
use crate::{parse, plan};

#[track_caller]
fn check(name: &str, output: &str, expected: &[&str]) {
    let format = format(name);
    let got = parse(&|| session(&format), "", output, FinishReason::Stop);
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{name}: {output}");
}

fn call(id: Option<&str>, name: &str, arguments: Value) -> Call {
    Call { name: name.into(), id: id.map(str::to_owned), arguments: arguments.to_string(), complete: true }
}

fn printed(name: &str, calls: Vec<Call>) -> Result<String, PrintError> {
    let turn = Turn { calls, ..Turn::default() };
    print(&format(name), &plan(), &turn).map(|parts| to_text(&parts))
}

fn weather(arguments: Value) -> Vec<Call> {
    vec![call(None, "get_weather", arguments)]
}

#[test]
fn a_value_plain_or_in_cdata() {
    check(
        "cdata",
        "Hi<function name=\"get_weather\"><param name=\"city\">a < b</param><param name=\"tags\">[1]</param></function>",
        &[r#"text "Hi""#, r#"call get_weather {"city": "a < b", "tags": [1]}"#],
    );
    check(
        "cdata",
        "<function name=\"get_weather\"><param name=\"city\"><![CDATA[<b>x</param>]]]></b>]]></param><param name=\"days\"><![CDATA[3]]></param></function>",
        &[r#"call get_weather {"city": "<b>x</param>]]]></b>", "days": 3}"#],
    );
    // The beginning of the other branch alone is part of the value.
    check(
        "cdata",
        "<function name=\"get_weather\"><param name=\"city\"><![CDAT</param></function>",
        &[r#"call get_weather {"city": "<![CDAT"}"#],
    );
}

#[test]
fn what_ends_a_plain_value_is_printed_in_cdata() {
    let text = |value: &str| printed("cdata", weather(json!({ "city": value })));
    let plain = "<function name=\"get_weather\"><param name=\"city\">a & b</param></function>";
    assert_eq!(text("a & b").unwrap(), plain);
    let cdata = "<function name=\"get_weather\"><param name=\"city\"><![CDATA[</param>]]></param></function>";
    assert_eq!(text("</param>").unwrap(), cdata);
    let cdata =
        "<function name=\"get_weather\"><param name=\"city\"><![CDATA[<![CDATA[x]]></param></function>";
    assert_eq!(text("<![CDATA[x").unwrap(), cdata);
    assert!(matches!(text("</param>]]></param>"), Err(PrintError::Terminator { .. })));
}

#[test]
fn an_attribute_in_front_of_the_key() {
    check(
        "cdata",
        "<function name=\"get_weather\"><param type=\"text\" name=\"size\">12</param><param type=\"json\" name=\"note\">null</param><param type=\"what\" name=\"days\">12</param></function>",
        &[r#"call get_weather {"size": "12", "note": null, "days": 12}"#, r#"bad Unexpected "what""#],
    );
    check(
        "cdata",
        "<function name=\"get_weather\"><param final name=\"size\">12</param><param final type=\"text\" name=\"note\">12</param></function>",
        &[r#"call get_weather {"size": 12, "note": "12"}"#],
    );
    let number = printed("cdata", weather(json!({"size": 12}))).unwrap();
    assert_eq!(number, "<function name=\"get_weather\"><param name=\"size\">12</param></function>");
    let contrary = printed("cdata", weather(json!({"city": 12})));
    assert!(matches!(contrary, Err(PrintError::Ambiguous { .. })));
}

const ARGUMENT: &str = "<|open|>argument key=\"K\" type=\"T\"<|sep|>V<|close|>argument<|sep|>";

fn words(parts: &[[&str; 3]]) -> String {
    let arguments: String = parts
        .iter()
        .map(|[key, of, value]| {
            ARGUMENT.replace('K', key).replace("=\"T\"", &format!("=\"{of}\"")).replace('V', value)
        })
        .collect();
    format!(
        "<|tools|><|open|>call tool=\"get_weather\" index=\"1\"<|sep|>{arguments}<|close|>call<|sep|><|end|>"
    )
}

#[test]
fn a_word_states_the_type() {
    let cases = [
        (["city", "string", "Oslo"], r#""Oslo""#),
        // Raw whatever it looks like, and whatever the schema says.
        (["city", "string", "12"], r#""12""#),
        (["days", "string", " 7 "], r#"" 7 ""#),
        (["days", "number", "7"], "7"),
        (["days", "integer", "-7"], "-7"),
        (["city", "number", "1e3"], "1e3"),
        (["city", "null", "null"], "null"),
        (["city", "object", "{\"a\": \"<|close|>\"}"], r#"{"a": "<|close|>"}"#),
        (["city", "array", "[1, \"x\"]"], r#"[1, "x"]"#),
        (["x", "boolean", "True"], "true"),
        // No JSON after all.
        (["x", "object", "{not json"], r#""{not json""#),
        (["x", "number", "many"], r#""many""#),
        // A word that nobody knows leaves it to the schema.
        (["city", "text", "12"], r#""12""#),
        (["days", "text", "12"], "12"),
        (["x", "", "12"], "12"),
    ];
    for (part, value) in cases {
        let mut expected = vec![format!("call get_weather #1 {{\"{}\": {value}}}", part[0])];
        if part[1] == "text" {
            expected.push("bad Unexpected \"text\"".into());
        }
        check("words", &words(&[part]), &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn the_word_that_fits_the_value_is_printed() {
    let arguments = json!({
        "city": "12", "days": 3, "size": 0.5, "detail": true, "opts": {"a": 1}, "tags": [], "note": null,
    });
    let text = printed("words", weather(arguments)).unwrap();
    let of = |key: &str| {
        let (_, rest) = text.split_once(&format!("key=\"{key}\" type=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let keys = ["city", "days", "size", "detail", "opts", "tags", "note"];
    let words = ["string", "integer", "number", "boolean", "object", "array", "null"];
    assert_eq!(keys.map(of), words);
}

#[test]
fn a_type_that_may_be_missing() {
    let one = |of: &str, value: &str| {
        format!(
            "<ifm|tool_call>get_weather<ifm|arg_key>size</ifm|arg_key>{of}<ifm|arg_value>{value}</ifm|arg_value></ifm|tool_call>"
        )
    };
    let stated = "<ifm|arg_type>string</ifm|arg_type>";
    check("maybe_words", &one("", "12"), &[r#"call get_weather {"size": 12}"#]);
    check("maybe_words", &one(stated, "12"), &[r#"call get_weather {"size": "12"}"#]);
    assert_eq!(printed("maybe_words", weather(json!({"size": 12}))).unwrap(), one("", "12"));
    assert_eq!(printed("maybe_words", weather(json!({"size": "12"}))).unwrap(), one(stated, "12"));
}

#[test]
fn names_in_attributes() {
    let text = "<|tools|><|open|>call tool=\"a&amp;b&quot;\" index=\"1\"<|sep|><|open|>argument key=\"x&lt;y\" type=\"string\"<|sep|>v&amp;<|close|>argument<|sep|><|close|>call<|sep|><|end|>";
    check("words", text, &[r#"call a&b" #1 {"x<y": "v&amp;"}"#]);
    let calls = vec![call(None, "a&b\"", json!({"k\"&": "v"}))];
    let got = printed("words", calls).unwrap();
    assert!(got.contains("tool=\"a&amp;b&quot;\"") && got.contains("key=\"k&quot;&amp;\""), "{got}");
}

#[test]
fn markers_with_a_suffix() {
    let call = |suffix: &str| {
        "<think@>so</think@>Hi<tool_call@>get_weather<arg_key@>city</arg_key@><arg_value@>a</arg_value:x>b</arg_value@></tool_call@>"
            .replace('@', suffix)
    };
    let expected = [r#"think "so""#, r#"text "Hi""#, r#"call get_weather {"city": "a</arg_value:x>b"}"#];
    for suffix in [":opensource", "", ":6124c78e"] {
        check("suffixed", &call(suffix), &expected);
    }
    // Another one is learned from the checkpoint.
    let manifest = Manifest::from_toml(include_str!("../formats/suffixed.toml"), "suffixed").unwrap();
    let family = DataFamily::new(manifest, None, None).with_suffix(":7f").unwrap();
    let open = || family.session(&plan(), SessionOptions::default()).unwrap();
    for suffix in [":7f", ":opensource"] {
        let got = parse(&open, "", &call(suffix), FinishReason::Stop);
        assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{suffix}");
    }
    let turn = Turn { calls: weather(json!({"city": "Oslo"})), ..Turn::default() };
    let text = to_text(&print(&family.manifest().format, &plan(), &turn).unwrap());
    assert!(text.starts_with("<tool_call:7f>get_weather<arg_key:7f>"), "{text}");
}

fn header(word: &str) -> String {
    format!("<|tool_call_begin|>{word}<|tool_call_argument_begin|>{{\"city\": \"Oslo\"}}<|tool_call_end|>")
}

#[test]
fn the_header_is_the_id() {
    let cases = [
        ("functions.get_weather:0", "get_weather"),
        (" functions.get_weather:12\n", "get_weather"),
        ("get_weather:3", "get_weather"),
        ("functions.get_weather", "get_weather"),
        ("get_weather", "get_weather"),
        ("functions.ns:a.b:1", "ns:a.b"),
        ("api.tools.search:0", "api.tools.search"),
        ("functions.invalid.0", "invalid.0"),
        ("unknown", "unknown"),
    ];
    for (word, name) in cases {
        let expected = format!("call {name} #{} {{\"city\": \"Oslo\"}}", word.trim());
        check("header", &header(word), &[&expected]);
    }
}

#[test]
fn a_header_without_a_name() {
    for word in ["7", "functions.:7", "call_abc123", "chatcmpl-tool-9f"] {
        let expected = format!("call get_weather #{word} {{\"city\": \"Oslo\"}}");
        check("header", &header(word), &[&expected]);
    }
    // Two tools that both take the arguments: nobody can tell.
    let two = json!([
        {"name": "a", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
        {"name": "b", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "n": {}}}},
    ]);
    let plan = Plan::from_openai(&two, &Value::Null, true).unwrap();
    let program = std::sync::Arc::new(Program::new(&format("header")).unwrap());
    let open =
        || -> Box<dyn Session> { Box::new(Parser::new(program.clone(), &plan, SessionOptions::default())) };
    let got = parse(&open, "", &header("7"), FinishReason::Stop);
    assert!(got.contains("bad NoName") && !got.contains("call "), "{got}");
    let got = parse(&open, "", &header("b"), FinishReason::Stop);
    assert_eq!(got, "call b #b {\"city\": \"Oslo\"}\n");
}

#[test]
fn numbers_are_counted_or_kept() {
    let calls = vec![
        call(None, "now", json!({})),
        call(Some("functions.now:7"), "now", json!({})),
        call(Some("call_1"), "now", json!({})),
        call(Some("functions.other:3"), "now", json!({})),
    ];
    let text = printed("header", calls).unwrap();
    let words: Vec<&str> = text
        .split("<|tool_call_begin|>")
        .filter_map(|part| Some(part.split_once("<|tool_call_argument_begin|>")?.0))
        .collect();
    assert_eq!(words, ["functions.now:0", "functions.now:7", "functions.now:8", "functions.now:9"]);
    let ids = [None, Some("7"), None, Some("07"), Some("call_1")];
    let text = printed("words", ids.map(|id| call(id, "now", json!({}))).to_vec()).unwrap();
    let numbers: Vec<&str> =
        text.split(" index=\"").skip(1).filter_map(|part| Some(part.split_once('"')?.0)).collect();
    assert_eq!(numbers, ["1", "7", "8", "9", "10"]);
}

/// A message to one recipient.
fn to(recipient: &str, body: &str) -> String {
    format!(" to={recipient}<|message|>{body}")
}

#[test]
fn recipients_that_are_no_tools() {
    let text = [to("self", "hm"), to("human", "Hi."), to("now", "{}"), to("user", "Bye.")].join("<|end|>");
    let expected = [r#"think "hm""#, r#"text "Hi.Bye.""#, "call now {}"];
    check("recipients", &text, &expected);
    // Names that begin like one of them.
    check("recipients", &to("selfie", "{}"), &["call selfie {}"]);
    check("recipients", &to("user_lookup", "{}"), &["call user_lookup {}"]);
    assert_eq!(printed("recipients", vec![call(None, "users", json!({}))]).unwrap(), to("users", "{}"));
}

#[test]
fn a_name_that_stands_twice() {
    for (word, name) in [
        ("now.now", "now"),
        ("now", "now"),
        ("now.python", "now.python"),
        ("other.other", "other.other"),
        ("now.now.now", "now.now.now"),
        ("nownow", "nownow"),
    ] {
        check("recipients", &to(word, "{}"), &[&format!("call {name} {{}}")]);
    }
    assert_eq!(printed("recipients", vec![call(None, "now", json!({}))]).unwrap(), to("now", "{}"));
}
