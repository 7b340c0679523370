//! Structural tags, `response_format` and `structured_outputs`.

#![allow(clippy::unwrap_used)]

mod cfg;

use cfg::{accepts, bytes, language, matcher, texts};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use toolglot_grammar::{CompiledGrammar, Grammar, GrammarError};

fn tag(format: Value) -> Result<Grammar, GrammarError> {
    Grammar::from_structural_tag(&json!({"type": "structural_tag", "format": format}))
}

fn check(grammar: Grammar, yes: &[&str], no: &[&str]) {
    let grammar = CompiledGrammar::new(Arc::new(grammar), bytes()).unwrap();
    yes.iter().for_each(|text| assert!(accepts(&grammar, text), "refuses {text:?}"));
    no.iter().for_each(|text| assert!(!accepts(&grammar, text), "accepts {text:?}"));
}

fn word(text: &str) -> Value {
    json!({"type": "const_string", "value": text})
}

#[test]
fn parts_and_their_combinations() {
    let inner = |kind: &str| json!({"type": kind, "content": word("ab")});
    check(tag(inner("optional")).unwrap(), &["", "ab"], &["abab"]);
    check(tag(inner("plus")).unwrap(), &["ab", "abab"], &[""]);
    check(tag(inner("star")).unwrap(), &["", "ab", "abab"], &["a"]);
    let repeat = json!({"type": "repeat", "min": 1, "max": 2, "content": word("x")});
    check(tag(repeat).unwrap(), &["x", "xx"], &["", "xxx"]);
    let open = json!({"type": "repeat", "min": 2, "max": -1, "content": word("x")});
    check(tag(open).unwrap(), &["xx", "xxxx"], &["x"]);
    let format = json!({"type": "sequence", "elements": [
        word("Answer: "),
        {"type": "or", "elements": [
            {"type": "regex", "pattern": "^[A-Z]{3}$"},
            {"type": "grammar", "grammar": "root ::= \"no\" \"pe\"?"},
            {"type": "json_schema", "json_schema": {"type": "integer", "minimum": 7}},
        ]},
    ]});
    check(tag(format).unwrap(), &["Answer: ABC", "Answer: nope", "Answer: 12"], &["Answer: 6", "ABC"]);
    let limited = json!({"type": "any_text", "max_chars": 3, "excludes": ["b"]});
    check(tag(limited).unwrap(), &["", "aéa"], &["ab", "aaaa"]);
}

#[test]
fn tags_end_where_their_end_first_occurs() {
    let think = json!({"type": "tag", "begin": "<t>", "content": {"type": "any_text"}, "end": "</t>"});
    check(tag(think).unwrap(), &["<t></t>", "<t>a < b</t>"], &["<t>", "<t></t></t>", "a<t></t>"]);
    let ends = json!({"type": "tag", "begin": "(", "content": {"type": "any_text"}, "end": ["aa", ")"]});
    check(tag(ends).unwrap(), &["(b)", "(baa", "(bab)"], &["(baaa", "(a)a)"]);
    let open = json!({"type": "tag", "begin": "(", "content": {"type": "any_text"}, "end": ""});
    check(tag(open).unwrap(), &["(", "(anything)"], &[""]);
    let list = json!({"type": "tags_with_separator", "separator": ", ", "tags": [
        {"type": "tag", "begin": "<a>", "content": word("1"), "end": ";"},
        {"begin": "<b>", "content": word("2"), "end": ";"},
    ]});
    check(tag(list.clone()).unwrap(), &["", "<a>1;", "<b>2;, <a>1;"], &["<a>2;", "<a>1;<b>2;"]);
    let mut one = list;
    one["at_least_one"] = json!(true);
    one["stop_after_first"] = json!(true);
    check(tag(one).unwrap(), &["<a>1;", "<b>2;"], &["", "<a>1;, <b>2;"]);
}

fn triggered(triggers: &[&str], begins: &[&str], one: bool, stop: bool) -> Value {
    let tags: Vec<Value> =
        begins.iter().map(|begin| json!({"begin": begin, "content": word("1"), "end": "."})).collect();
    json!({"type": "triggered_tags", "triggers": triggers, "tags": tags, "at_least_one": one, "stop_after_first": stop})
}

/// What triggered tags mean, said by a scan of the text.
fn expected(text: &str, triggers: &[&str], begins: &[&str], one: bool, stop: bool) -> bool {
    let (mut rest, mut count, mut free) = (text, 0, String::new());
    loop {
        if count > 0 && stop {
            return rest.is_empty();
        }
        // The earliest trigger that is complete starts a tag.
        let mut chars = rest.chars();
        free.clear();
        let found = loop {
            if let Some(trigger) = triggers.iter().find(|t| free.ends_with(*t)) {
                break Some(free.len() - trigger.len());
            }
            match chars.next() {
                Some(c) => free.push(c),
                None => break None,
            }
        };
        let Some(at) = found else { return count > 0 || !one };
        if one && count == 0 && at > 0 {
            return false;
        }
        let here = &rest[at..];
        let tag = begins.iter().map(|begin| format!("{begin}1.")).find(|tag| here.starts_with(tag.as_str()));
        let Some(tag) = tag else { return false };
        rest = &here[tag.len()..];
        count += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn triggered_tags_are_what_a_scan_finds(
        set in prop::sample::select(vec![
            (vec!["<"], vec!["<a", "<b"]),
            (vec!["<<"], vec!["<<a"]),
            (vec!["a<", "b"], vec!["a<a", "b"]),
            (vec!["ab", "ba"], vec!["ab", "ba<"]),
        ]),
        one: bool,
        stop: bool,
    ) {
        let (triggers, begins) = set;
        let grammar = tag(triggered(&triggers, &begins, one, stop)).unwrap();
        let alphabet = ['<', 'a', 'b', '1', '.'];
        let wanted: BTreeSet<String> = texts(&alphabet, 6)
            .into_iter()
            .filter(|text| expected(text, &triggers, &begins, one, stop))
            .collect();
        let got = language(grammar, &alphabet, 6).unwrap();
        let differ: Vec<&String> = got.symmetric_difference(&wanted).take(5).collect();
        prop_assert!(differ.is_empty(), "{:?}", differ);
    }
}

#[test]
fn tool_calls_in_free_text() {
    let weather = json!({"properties": {"city": {"type": "string"}}, "required": ["city"]});
    let format = json!({"type": "sequence", "elements": [
        {"type": "tag", "begin": "<think>", "content": {"type": "any_text"}, "end": "</think>"},
        {"type": "triggered_tags", "triggers": ["<function="], "excludes": ["<think>"], "tags": [
            {"begin": "<function=weather>", "content": {"type": "json_schema", "json_schema": weather}, "end": "</function>"},
            {"begin": "<function=now>", "content": {"type": "json_schema", "json_schema": {"properties": {}}}, "end": "</function>"},
        ]},
    ]});
    check(
        tag(format).unwrap(),
        &[
            "<think>x</think>",
            "<think></think>Let me see. <function=weather>{\"city\": \"Oslo\"}</function> and <function=now>{}</function>.",
            "<think></think><function=weather>{ \"city\":\"a\"\n}</function>",
        ],
        &[
            "<think></think><function=rain>{}</function>",
            "<think></think><function=weather>{}</function>",
            "<think></think><function=now>{\"a\": 1}</function>",
            "<think></think><function",
            "<think></think>a<think>",
        ]
        .map(|text| if text.ends_with("<function") { "<think></think><function=" } else { text }),
    );
    let legacy = json!({"triggers": ["<f="], "structures": [
        {"begin": "<f=a>", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}}, "end": "</f>"},
        {"begin": "<f=b>", "schema": "{\"type\": \"null\"}", "end": "</f>"},
    ]});
    check(
        Grammar::from_structural_tag(&legacy).unwrap(),
        &["", "text", "<f=a>{\"n\": 1}</f>x<f=b>null</f>"],
        &["<f=a>{\"m\": 1}</f>", "<f=c>"],
    );
    let dispatch = json!({"type": "tag", "begin": "[", "end": "]", "content": {
        "type": "dispatch", "excludes": ["!"], "rules": [["#", {"type": "regex", "pattern": "[0-9]+;"}], ["@", word("x")]],
    }});
    check(tag(dispatch).unwrap(), &["[]", "[a#12;b@x]"], &["[a#b]", "[!]", "[#12]"]);
}

#[test]
fn parameters_in_markers() {
    let schema = json!({
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"enum": ["C", "F"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["city"],
    });
    let styled = |style: &str| json!({"type": "json_schema", "json_schema": schema, "style": style});
    let old = json!({"type": "qwen_xml_parameter", "json_schema": schema});
    for format in [styled("qwen_xml"), old] {
        check(
            tag(format).unwrap(),
            &[
                "<parameter=city>Oslo</parameter>",
                "\n<parameter=city>\nNew \"York\"</parameter>\n<parameter=days> 3\n</parameter><parameter=unit>C</parameter>",
                "<parameter=city></parameter><parameter=tags>[\"a\"]</parameter>",
            ],
            &[
                "",
                "<parameter=days>3</parameter>",
                "<parameter=city>a</parameter><parameter=days>x</parameter>",
                "<parameter=city>a</parameter><parameter=other>x</parameter>",
                "<parameter=city>a</parameter><parameter=unit>\"C\"</parameter>",
            ],
        );
    }
    check(
        tag(styled("minimax_xml")).unwrap(),
        &["<parameter name=\"city\">a</parameter>"],
        &["<parameter=city>"],
    );
    check(
        tag(styled("glm_xml")).unwrap(),
        &["<arg_key>city</arg_key>\n<arg_value>a b</arg_value>"],
        &["<arg_key>city</arg_key>a"],
    );
    check(
        tag(styled("deepseek_xml")).unwrap(),
        &["<｜DSML｜parameter name=\"city\" string=\"true\">a</｜DSML｜parameter>"],
        &["<｜DSML｜parameter name=\"city\">a</｜DSML｜parameter>"],
    );
    let open = json!({"type": "json_schema", "style": "qwen_xml", "json_schema": {
        "properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "boolean"},
    }});
    check(
        tag(open).unwrap(),
        &["<parameter=a>null</parameter><parameter=b_2>true</parameter>", ""],
        &["<parameter=2>true</parameter>", "<parameter=a>true</parameter>"],
    );
}

#[test]
fn tokens_as_markers() {
    let format = json!({"type": "sequence", "elements": [
        {"type": "tag", "begin": {"type": "token", "token": "<think>"}, "content": {"type": "any_tokens"},
         "end": {"type": "token", "token": 258}},
        {"type": "token_triggered_tags", "trigger_tokens": ["<think>"], "exclude_tokens": [97], "tags": [
            {"begin": {"type": "token", "token": "<think>"}, "content": word("x"), "end": {"type": "token", "token": 258}},
        ]},
    ]});
    let mut m = matcher(tag(format).unwrap());
    for token in [257, 97, 257, 258, 98, 257, 120, 258] {
        m.accept(token).unwrap_or_else(|error| panic!("{token}: {error}"));
    }
    assert!(m.is_accepting());
    assert!(m.accept(97).is_err() && m.accept(258).is_ok());
    let some = json!({"type": "sequence", "elements": [
        {"type": "any_tokens", "exclude_tokens": ["</think>"], "max_tokens": 2},
        {"type": "exclude_token", "exclude_tokens": ["a"]},
    ]});
    let mut m = matcher(tag(some).unwrap());
    for token in [97, 257, 98] {
        m.accept(token).unwrap();
    }
    assert!(m.is_complete());
    let dispatch = json!({"type": "token_dispatch", "loop": false, "rules": [["<think>", word("y")]]});
    let mut m = matcher(tag(dispatch).unwrap());
    for token in [98, 257, 121] {
        m.accept(token).unwrap();
    }
    assert!(m.is_complete());
}

#[test]
fn what_cannot_be_had_names_its_place() {
    for (format, message) in [
        (
            json!({"type": "any_text", "max_tokens": 5}),
            "/format: `max_tokens` cannot be enforced: a grammar counts characters, not tokens; use max_chars",
        ),
        (
            json!({"type": "poem"}),
            "/format: `poem` cannot be enforced: no such format is known; see the list of formats in the documentation",
        ),
        (json!({"value": "x"}), "/format: `type` is missing"),
        (
            json!({"type": "const_string", "value": "x", "bold": true}),
            "/format: `bold` cannot be enforced: no such field is known here; take it out if it constrains nothing",
        ),
        (json!({"type": "const_string", "value": 3}), "/format/value: expected a string, found a number"),
        (
            json!({"type": "sequence", "elements": [{"type": "any_text"}, word("x")]}),
            "/format/elements/0: `any_text` cannot be enforced: free text has to stand last in its sequence, or exclude what follows",
        ),
        (json!({"type": "or", "elements": []}), "/format/elements: there is nothing to choose from"),
        (
            json!({"type": "star", "content": {"type": "any_text"}}),
            "/format/content: `any_text` cannot be enforced: free text that is repeated has no end between its repetitions",
        ),
        (
            json!({"type": "repeat", "min": 2, "max": 1, "content": word("x")}),
            "/format/max: the upper bound is below the lower one",
        ),
        (triggered(&["<"], &["x"], false, false), "/format/tags/0: no trigger begins the tag \"x\""),
        (
            triggered(&["<", "<a"], &["<ab"], false, false),
            "/format/tags/0: more than one trigger begins the tag \"<ab\"",
        ),
        (
            triggered(&["<", "#"], &["<ab"], false, false),
            "/format/triggers/1: no tag begins with the trigger \"#\"",
        ),
        (
            json!({"type": "json_schema", "json_schema": {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}}}),
            "/format/json_schema",
        ),
        (
            json!({"type": "json_schema", "json_schema": {}, "style": "kimi_k3_xml"}),
            "/format: `style kimi_k3_xml` cannot be enforced: known are json, qwen_xml, minimax_xml, deepseek_xml and glm_xml",
        ),
        (json!({"type": "regex", "pattern": "a("}), "/format/pattern: line 1"),
        (
            json!({"type": "grammar", "grammar": "root ::= x"}),
            "/format/grammar: line 1, column 10: rule `x` is used but never defined",
        ),
        (
            json!({"type": "tag", "begin": "<", "content": {"type": "any_tokens"}, "end": ">"}),
            "/format/content: `any token` cannot be enforced: a tag around tokens has to end with a token, not with a string",
        ),
    ] {
        let error = tag(format.clone()).expect_err(&format.to_string()).to_string();
        assert!(error.starts_with(message), "{format}\n{error}");
    }
    let mut deep = word("x");
    for _ in 0..200 {
        deep = json!({"type": "optional", "content": deep});
    }
    let error = tag(deep).unwrap_err().to_string();
    assert!(error.contains("nested more than"), "{error}");
    let error = Grammar::from_structural_tag(&json!({"type": "structural_tag"})).unwrap_err();
    assert_eq!(error.to_string(), "`format` is missing");
    let unknown = json!({"type": "token", "token": "<tool>"});
    let grammar = Arc::new(tag(unknown).unwrap());
    let error = CompiledGrammar::new(grammar, bytes()).unwrap_err();
    assert_eq!(error, GrammarError::UnknownToken { token: "<tool>".into() });
}

#[test]
fn response_formats() {
    let format = |value: Value| Grammar::from_response_format(&value);
    assert!(format(Value::Null).unwrap().is_none() && format(json!({"type": "text"})).unwrap().is_none());
    check(format(json!({"type": "json_object"})).unwrap().unwrap(), &["{}", "{\"a\": [1]}"], &["[]", "1"]);
    let schema = json!({"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": false});
    let chat = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}});
    let responses = json!({"type": "json_schema", "name": "n", "description": null, "schema": schema});
    for value in [chat, responses] {
        check(format(value).unwrap().unwrap(), &["{}", "{\"a\":1}"], &["{\"b\": 1}", "{\"a\": 2}"]);
    }
    check(format(json!({"type": "structural_tag", "format": word("x")})).unwrap().unwrap(), &["x"], &["y"]);
    for (value, message) in [
        (
            json!({"type": "xml"}),
            "/type: `xml` cannot be enforced: known are text, json_object, json_schema and structural_tag",
        ),
        (json!({"type": "json_schema", "json_schema": {"name": "n"}}), "/json_schema: `schema` is missing"),
        (
            json!({"type": "json_object", "strict": true}),
            "`strict` cannot be enforced: no such field is known here; take it out if it constrains nothing",
        ),
        (json!("json"), "expected an object, found a string"),
        (
            json!({"type": "json_schema", "json_schema": {"schema": {"type": "array", "contains": {"type": "null"},
                "minContains": 5000}}}),
            "/json_schema/schema: `contains` cannot be enforced",
        ),
    ] {
        let error = format(value.clone()).expect_err(&value.to_string()).to_string();
        assert!(error.starts_with(message), "{value}\n{error}");
    }
}

#[test]
fn structured_outputs() {
    let read = |value: Value| Grammar::from_structured_outputs(&value);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    check(read(json!({"json": schema})).unwrap(), &["{}", "{ \"a\": 1, \"b\": 2}"], &["1"]);
    check(
        read(json!({"json": schema.to_string(), "disable_additional_properties": true})).unwrap(),
        &["{\"a\": 1}"],
        &["{\"b\": 2}"],
    );
    check(
        read(json!({"json": schema, "disable_any_whitespace": true})).unwrap(),
        &["{\"a\":1,\"b\":2}"],
        &["{\"a\": 1}"],
    );
    check(
        read(json!({"json": schema, "whitespace_pattern": "[ ]?"})).unwrap(),
        &["{ \"a\":1 }"],
        &["{  \"a\":1}", "{\n}"],
    );
    check(read(json!({"json_object": true, "regex": null})).unwrap(), &["{}"], &["[]"]);
    check(read(json!({"regex": "\\w+@\\w+\\.com\n"})).unwrap(), &["a@b.com\n"], &["a@b.com"]);
    check(
        read(json!({"choice": ["yes", "no", "yes, please"]})).unwrap(),
        &["yes", "no", "yes, please"],
        &["", "y"],
    );
    check(read(json!({"grammar": "root ::= \"SELECT \" [a-z]+"})).unwrap(), &["SELECT a"], &["SELECT "]);
    check(read(json!({"grammar": "start: \"SELECT \" NAME\nNAME: /[a-z]+/ // :: and ::= are not for rules here"})).unwrap(), &["SELECT a"], &["SELECT "]);
    let tag = json!({"type": "structural_tag", "format": word("x")});
    check(read(json!({"structural_tag": tag})).unwrap(), &["x"], &["y"]);
    check(read(json!({"structural_tag": tag.to_string()})).unwrap(), &["x"], &["y"]);
    for (value, message) in [
        (
            json!({}),
            "one of json, json_object, regex, choice, grammar, structural_tag has to be given; none is",
        ),
        (
            json!({"json": {}, "regex": "a"}),
            "one of json, json_object, regex, choice, grammar, structural_tag has to be given; json, regex are",
        ),
        (json!({"choice": []}), "/choice: there is nothing to choose from"),
        (json!({"choice": ["a", 1]}), "/choice/1: expected a string, found a number"),
        (json!({"json": "{"}), "/json: this is no JSON"),
        (json!({"json_object": false}), "/json_object: expected true"),
        (json!({"regex": "a", "backend": "outlines"}), "`backend` cannot be enforced"),
        (
            json!({"json": {}, "whitespace_pattern": "[a-z]*"}),
            "/whitespace_pattern: JSON takes spaces, tabs and line ends between its parts, nothing else",
        ),
        (
            json!({"json": {}, "whitespace_pattern": " ", "disable_any_whitespace": true}),
            "whitespace_pattern and disable_any_whitespace contradict each other",
        ),
        (json!({"json": {"type": "array", "uniqueItems": true}}), "/json"),
        (
            json!({"grammar": "start: A"}),
            "/grammar: line 1, column 8: terminal `A` is used but never defined",
        ),
        (
            json!({"structural_tag": {"format": {"type": "tag"}}}),
            "/structural_tag/format: `begin` is missing",
        ),
    ] {
        let error = read(value.clone()).expect_err(&value.to_string()).to_string();
        assert!(error.starts_with(message), "{value}\n{error}");
    }
    // Schemas that are combined in place stay open.
    let combined =
        json!({"allOf": [{"properties": {"a": {"type": "null"}}}, {"properties": {"b": {"type": "null"}}}]});
    check(
        read(json!({"json": combined, "disable_additional_properties": true})).unwrap(),
        &["{\"a\": null, \"b\": null}"],
        &["{\"a\": 1}"],
    );
}
