//! Parameters in all their spellings: what their grammars admit, and what they do not.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_format::{Format, Manifest, Plan};
use toolglot_grammar::{CompiledGrammar, Grammar, Matcher, Token, Vocabulary};

fn format(toml: &str) -> Format {
    Manifest::from_toml(toml, "test").unwrap().format
}

fn cdata() -> Format {
    format(include_str!("../../../parsers/tests/formats/cdata.toml"))
}

fn words() -> Format {
    format(include_str!("../../../parsers/tests/formats/words.toml"))
}

fn plan() -> Plan {
    let tools = json!([{"name": "f", "parameters": {"type": "object", "properties": {
        "text": {"type": "string"}, "count": {"type": "integer"}, "size": {"type": "number"},
        "either": {"type": ["string", "integer"]}, "a&\"b": {"enum": ["x", 1, null]}, "any": {},
        "list": {"type": "array", "items": {"type": "integer"}},
    }}}]);
    Plan::from_openai(&tools, &Value::Null, true).unwrap()
}

fn matcher(format: &Format) -> Matcher {
    let mut tokens: Vec<Token> = (0..=255u8).map(|byte| Token::text(vec![byte])).collect();
    tokens.push(Token::special("<eos>"));
    let vocabulary = Arc::new(Vocabulary::new(tokens, &[256], None).unwrap());
    let grammar = Grammar::from_format(format, &plan()).unwrap();
    CompiledGrammar::new(Arc::new(grammar), vocabulary).unwrap().matcher().unwrap()
}

fn admits(format: &Format, text: &str) -> bool {
    let mut matcher = matcher(format);
    text.bytes().all(|byte| matcher.accept(u32::from(byte)).is_ok()) && matcher.is_accepting()
}

#[track_caller]
fn check(format: &Format, frame: [&str; 2], good: &[&str], bad: &[&str]) {
    let [open, close] = frame;
    for text in good {
        assert!(admits(format, &format!("{open}{text}{close}")), "{text} is refused");
    }
    for text in bad {
        assert!(!admits(format, &format!("{open}{text}{close}")), "{text} is admitted");
    }
}

#[test]
fn a_value_plain_or_in_cdata() {
    let good = [
        "<param name=\"text\">a < b</param>",
        "<param name=\"text\"><![CDATA[</param>]]></param>",
        "<param final name=\"count\">7</param>",
        "<param name=\"count\"><![CDATA[7]]></param><param name=\"text\"></param>",
        "<param name=\"a&amp;&quot;b\">x</param>",
    ];
    let bad = [
        // The parser would read the rest as the other branch.
        "<param name=\"text\"><![CDATA[x</param>",
        "<param name=\"count\">x</param>",
        // Read, but never written.
        "<param type=\"text\" name=\"text\">x</param>",
        "<param name=\"a&\"b\">x</param>",
    ];
    check(&cdata(), ["<function name=\"f\">", "</function>"], &good, &bad);
}

#[test]
fn the_word_agrees_with_the_value() {
    let argument = |key: &str, of: &str, value: &str| {
        format!("<|open|>argument key=\"{key}\" type=\"{of}\"<|sep|>{value}<|close|>argument<|sep|>")
    };
    let good = [
        ("text", "string", "12"),
        ("count", "integer", "12"),
        ("count", "number", "12"),
        ("size", "integer", "12"),
        ("size", "number", "1.5"),
        ("either", "string", "12"),
        ("either", "integer", "12"),
        ("a&amp;&quot;b", "string", "x"),
        ("a&amp;&quot;b", "number", "1"),
        ("a&amp;&quot;b", "null", "null"),
        ("any", "string", "{"),
        ("any", "object", "{\"a\": [1]}"),
        ("any", "array", "[{}]"),
        ("any", "boolean", "true"),
        ("list", "array", "[1, 2]"),
    ];
    let bad = [
        ("text", "number", "12"),
        ("text", "str", "12"),
        ("text", "string", "a<|close|>"),
        ("count", "string", "12"),
        ("size", "integer", "1.5"),
        ("a&amp;&quot;b", "string", "1"),
        ("a&amp;&quot;b", "boolean", "x"),
        ("any", "boolean", "null"),
        ("any", "integer", "1.5"),
        ("any", "number", "\"1\""),
        ("list", "object", "[1]"),
        ("list", "array", "[\"x\"]"),
    ];
    let text = |cases: &[(&str, &str, &str)]| -> Vec<String> {
        cases.iter().map(|(key, of, value)| argument(key, of, value)).collect()
    };
    let (good, bad) = (text(&good), text(&bad));
    check(
        &words(),
        ["<|tools|><|open|>call tool=\"f\" index=\"1\"<|sep|>", "<|close|>call<|sep|><|end|>"],
        &good.iter().map(String::as_str).collect::<Vec<_>>(),
        &bad.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn what_is_read_but_never_written_is_not_admitted() {
    let param = json!({"seq": [
        {"lit": "<p="}, {"key": {}}, {"lit": ">"}, {"value": {"excluding": ["<p=", "</f>"]}},
        {"alt": [{"lit": "</p>"}, {"lenient": {"seq": []}}]},
    ]});
    let call = json!({"call": {"seq": [{"lit": "<f="}, {"name": {}}, {"lit": ">"}, {"args": {"tagged": {"param": param}}}, {"lit": "</f>"}]}});
    let format: Format = serde_json::from_value(call).unwrap();
    check(&format, ["<f=f>", "</f>"], &["<p=text>x</p>"], &["<p=text>x", "<p=text>x<p=count>1</p>"]);
}

#[test]
fn headers_are_admitted_as_they_are_written() {
    let format = format(include_str!("../../../parsers/tests/formats/header.toml"));
    let close = "<|tool_call_argument_begin|>{}<|tool_call_end|>";
    let good = ["functions.f:0", "functions.f:12"];
    check(
        &format,
        ["<|tool_call_begin|>", close],
        &good,
        &["f:0", "functions.f", "functions.f:01", "functions.g:0"],
    );
}

#[test]
fn elements_follow_the_schema() {
    let format = format(include_str!("../../../parsers/tests/formats/elements.toml"));
    let tools = json!([{"name": "f", "parameters": {"type": "object", "required": ["note"], "properties": {
        "note": {"type": "string"}, "n": {"type": "integer"}, "any": {},
        "to": {"type": "object", "additionalProperties": false, "required": ["zip"], "properties": {"zip": {"type": "integer"}}},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"enum": ["a", "b"]}},
        "tree": {"$ref": "#/$defs/tree"},
    }, "$defs": {"tree": {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}}}]);
    let plan = Plan::from_openai(&tools, &Value::Null, true).unwrap();
    let write = |arguments: &str| {
        format!("[<tool_call>\n[<invoke name=\"f\">{arguments}[</invoke>\n[</tool_call>")
            .replace('[', "]<]ns[>[")
    };
    let good = [
        "[<note>[</note>",
        "[<n>7[</n>[<note>a < b </n>[</note>",
        "[<note>x[</note>[<to>[<zip>1[</zip>[</to>",
        "[<note>x[</note>[<list>[<item>a[</item>[<item>b[</item>[</list>",
        "[<note>x[</note>[<tree>[<kids>[<item>[<kids>[</kids>[</item>[<item>[</item>[</kids>[</tree>",
        "[<note>x[</note>[<any>true[</any>",
        "[<note>x[</note>[<any>some text[</any>",
    ];
    let bad = [
        "",
        "[<n>7[</n>",
        "[<note>x[</n>",
        "[<note>x[</note>[<note>x[</note>",
        "[<note>x[</note>[<n>seven[</n>",
        "[<note>x[</note>[<to>[</to>",
        "[<note>x[</note>[<to>1[</to>",
        "[<note>x[</note>[<list>[</list>",
        "[<note>x[</note>[<list>[<item>c[</item>[</list>",
        "[<note>x[</note>[<list>[<item>a[</item>[<item>a[</item>[<item>a[</item>[</list>",
        "[<note>x[</note>[<other>x[</other>",
        "[<note>a[<b>[</b>[</note>",
    ];
    let admits = |text: &str| {
        let mut tokens: Vec<Token> = (0..=255u8).map(|byte| Token::text(vec![byte])).collect();
        tokens.push(Token::special("<eos>"));
        let vocabulary = Arc::new(Vocabulary::new(tokens, &[256], None).unwrap());
        let grammar = Grammar::from_format(&format, &plan).unwrap();
        let mut matcher = CompiledGrammar::new(Arc::new(grammar), vocabulary).unwrap().matcher().unwrap();
        text.bytes().all(|byte| matcher.accept(u32::from(byte)).is_ok()) && matcher.is_accepting()
    };
    for text in good {
        assert!(admits(&write(text)), "{text} is refused");
    }
    for text in bad {
        assert!(!admits(&write(text)), "{text} is admitted");
    }
}
