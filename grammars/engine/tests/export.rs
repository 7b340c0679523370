//! Grammars written down and read back: the same texts.

#![allow(clippy::unwrap_used)]

mod cfg;

use cfg::{GBNF, bytes, derived, language, rules};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use toolglot_format::{Format, Manifest, Plan, ToolChoice};
use toolglot_grammar::{
    CompiledGrammar, Grammar, GrammarBuilder, GrammarError, JsonStyle, Matcher, RegexSyntax, Vocabulary,
    structural_tag,
};
use toolglot_schema::{Options, Schema};

const ALPHABET: [char; 4] = ['a', 'b', 'é', 'x'];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_survive_both_notations(rules in rules()) {
        let Ok(grammar) = Grammar::from_gbnf(&GBNF.write(&rules)) else { return Ok(()) };
        let expected = derived(&rules, &ALPHABET, 4);
        let written = grammar.to_gbnf(None).unwrap();
        let read = Grammar::from_gbnf(&written).unwrap_or_else(|error| panic!("{written}\n{error}"));
        let found = language(read, &ALPHABET, 4);
        prop_assume!(found.is_some());
        prop_assert_eq!(found.as_ref(), Some(&expected), "{}\n{}", GBNF.write(&rules), written);
        let written = grammar.to_lark(None).unwrap();
        let read = Grammar::from_lark(&written).unwrap_or_else(|error| panic!("{written}\n{error}"));
        let found = language(read, &ALPHABET, 4);
        prop_assume!(found.is_some());
        prop_assert_eq!(found, Some(expected), "{}\n{}", GBNF.write(&rules), written);
    }
}

fn schema(document: &Value, style: &JsonStyle) -> Grammar {
    let schema = Schema::compile(document, &Options::default()).unwrap();
    let mut builder = GrammarBuilder::new();
    let root = builder.json_schema(&schema, style).unwrap();
    builder.build(root).unwrap()
}

fn matcher(grammar: Grammar) -> Matcher {
    CompiledGrammar::new(Arc::new(grammar), bytes()).unwrap().matcher().unwrap()
}

/// Follows a text in both grammars; what may come next is the same all the way, and a wrong byte is one for both.
fn follow(one: &mut Matcher, other: &mut Matcher, text: &str, written: &str) {
    one.reset();
    other.reset();
    let (mut a, mut b) = (vec![0; bytes().mask_words()], vec![0; bytes().mask_words()]);
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        one.mask(&mut a).unwrap();
        other.mask(&mut b).unwrap();
        assert_eq!(a, b, "{written}\nbehind {:?}", &text.as_bytes()[..at].escape_ascii().to_string());
        let taken = one.accept(u32::from(byte));
        assert_eq!(taken.is_ok(), other.accept(u32::from(byte)).is_ok());
        if taken.is_err() {
            return;
        }
    }
    one.mask(&mut a).unwrap();
    other.mask(&mut b).unwrap();
    assert_eq!(a, b, "{written}\nbehind {text:?}");
}

#[test]
fn schemas_survive_both_notations() {
    let cases = [
        (json!({"type": "string"}), vec!["\"a\\n\\u00e9\\ud83d\\ude00é😀\"", "\"\\ud83d\"", "\"\u{1}\""]),
        (
            json!({"type": "string", "minLength": 2, "maxLength": 300}),
            vec!["\"ab\"", "\"\\ud83d\\ude00\"", "\"a\""],
        ),
        (
            json!({"type": "string", "pattern": "^[a-z]{2,5}(-[0-9]+)?$"}),
            vec!["\"ab-12\"", "\"a\"", "\"\\u0061b\""],
        ),
        (
            json!({"type": "string", "pattern": "^a+$", "minLength": 3, "maxLength": 6}),
            vec!["\"aaaa\"", "\"aa\""],
        ),
        (
            json!({"type": "number", "minimum": -3, "exclusiveMaximum": 17.5}),
            vec!["17.49", "-3", "1e1", "-3.1"],
        ),
        (json!({"type": "integer", "multipleOf": 7}), vec!["14", "15", "-7"]),
        (json!({"enum": ["a", 1, null, {"b": [true]}]}), vec!["\"a\"", "{\"b\": [true]}", "1"]),
        (
            json!({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}),
            vec!["[true, false]", "[]", "[true, true, true, true]"],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}, "c": {}},
                   "required": ["b"], "additionalProperties": false}),
            vec!["{\"a\": 1, \"b\": null}", "{\"b\": null, \"c\": {\"x\": [1, {}]}}", "{\"a\": 1}"],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "null"}}, "minProperties": 1,
                   "additionalProperties": {"type": "integer"}}),
            vec!["{\"a\": null, \"z\": 3}", "{\"y\": 2}", "{}"],
        ),
        (
            json!({"$defs": {"t": {"type": "object", "properties": {"l": {"$ref": "#/$defs/t"}, "v": {"type": "integer"}},
                   "additionalProperties": false}}, "$ref": "#/$defs/t"}),
            vec!["{\"l\": {\"l\": {}, \"v\": 1}}", "{\"v\": 1, \"l\": {}}"],
        ),
        (
            json!({"anyOf": [
                {"type": "object", "properties": {"k": {"const": "a"}, "n": {"type": "integer"}}, "required": ["k", "n"],
                 "additionalProperties": false},
                {"type": "object", "properties": {"k": {"const": "b"}, "s": {"type": "null"}}, "required": ["k"],
                 "additionalProperties": false},
            ]}),
            vec![
                "{\"k\": \"a\", \"n\": 1}",
                "{\"k\": \"b\"}",
                "{\"k\": \"b\", \"s\": null}",
                "{\"k\": \"b\", \"n\": 1}",
            ],
        ),
        (json!({}), vec!["{\"a\": [1, \"b\", null]}", "12.5e3", "true"]),
        (
            json!({"type": "string", "format": "date-time"}),
            vec!["\"2026-02-28T23:59:60Z\"", "\"2026-02-30T\""],
        ),
    ];
    for (document, texts) in cases {
        for style in [JsonStyle::default(), JsonStyle { any_order: true, ..JsonStyle::flexible(2) }] {
            let mut one = matcher(schema(&document, &style));
            let grammar = schema(&document, &style);
            let written = grammar.to_gbnf(None).unwrap_or_else(|error| panic!("{document}: {error}"));
            let read = Grammar::from_gbnf(&written).unwrap_or_else(|error| panic!("{written}\n{error}"));
            let mut other = matcher(read);
            texts.iter().for_each(|text| follow(&mut one, &mut other, text, &written));
            let written = grammar.to_lark(None).unwrap_or_else(|error| panic!("{document}: {error}"));
            let read = Grammar::from_lark(&written).unwrap_or_else(|error| panic!("{written}\n{error}"));
            let mut other = matcher(read);
            texts.iter().for_each(|text| follow(&mut one, &mut other, text, &written));
        }
    }
}

#[test]
fn what_comes_out() {
    let grammar = |source: &str| Grammar::from_gbnf(source).unwrap();
    let list = grammar(
        "root ::= \"[\" item (\", \" item)* \"]\"\nitem ::= [\\-\\\\\\x5Ea-z]{3,} | \"x\\\"\\n\" | root\n",
    );
    let lark = list.to_lark(None).unwrap();
    assert!(
        lark.starts_with("start: \"[\" item (\", \" item)* \"]\"\nitem: T1 | \"x\\\"\\n\" | start\n"),
        "{lark}"
    );
    // Where a lexer would read long terminals otherwise, each character is one.
    let greedy = Grammar::from_regex("[a-z]+xy").unwrap();
    let two = grammar("root ::= a \"xy\" b\na ::= [a-z]+\nb ::= a | \"(\" b \")\"");
    let lark = two.to_lark(None).unwrap();
    assert!(lark.contains("\"x\" \"y\""), "{lark}");
    assert!(greedy.to_lark(None).is_ok());

    // Special tokens, by name, by id, as text.
    let tokens = grammar("root ::= <think> !</think>* </think> <[97]>");
    assert_eq!(tokens.to_gbnf(None).unwrap(), "root ::= <think> !</think>* </think> <[97]>\n");
    let vocabulary = bytes();
    assert_eq!(tokens.to_gbnf(Some(&vocabulary)).unwrap(), "root ::= <[257]> !<[258]>* <[258]> <[97]>\n");
    assert_eq!(tokens.to_lark(Some(&vocabulary)).unwrap(), "start: <[257]> <[^258,256]>* <[258]> <[97]>\n");
    let refused = tokens.to_lark(None).unwrap_err().to_string();
    assert_eq!(
        refused,
        "`any token but </think>` cannot be enforced: Lark leaves tokens out by id; give a vocabulary"
    );
    let mut b = GrammarBuilder::new();
    let call = b.special("[CALL]");
    let special = b.build(call).unwrap();
    assert!(matches!(special.to_gbnf(None), Err(GrammarError::Unsupported { .. })));
    assert_eq!(special.to_gbnf(Some(&vocabulary)).unwrap(), "root ::= \"[CALL]\"\n");

    // Too much to write down.
    let many: serde_json::Map<String, Value> =
        (0..30).map(|i| (format!("p{i}"), json!({"type": "null"}))).collect();
    let wide = schema(
        &json!({"type": "object", "properties": many}),
        &JsonStyle { any_order: true, ..JsonStyle::default() },
    );
    let error = wide.to_gbnf(None).unwrap_err().to_string();
    assert!(error.starts_with("`an object of 30 members in any order` cannot be enforced"), "{error}");
    let long = Grammar::from_regex_with("a{5000}", RegexSyntax::Rust).unwrap();
    let written = long.to_gbnf(None).unwrap();
    assert_eq!(written, format!("root ::= {}\n", ["\"a\"{1000}"; 5].join(" ")));
}

fn family(id: &str) -> Format {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parsers/families").join(id);
    let text = std::fs::read_to_string(folder.join("family.toml")).unwrap();
    Manifest::from_toml_with(&text, id, &|of| Some(family(of))).unwrap().format
}

/// A family's calls as a structural tag: what our own grammar of the family takes, the tag takes.
#[test]
fn families_as_structural_tags() {
    let tools = json!([
        {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"},
         "days": {"type": "integer"}}, "required": ["city"]}},
        {"name": "ping"},
    ]);
    let plan = |choice: ToolChoice| Plan { choice, ..Plan::from_openai(&tools, &Value::Null, true).unwrap() };
    let json_call = "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 3}}";
    for (id, calls) in [
        ("hermes", vec![format!("<tool_call>\n{json_call}\n</tool_call>")]),
        ("qwen3_coder", vec![
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"
                .to_owned(),
        ]),
    ] {
        for (choice, yes, no) in [
            (ToolChoice::Required, calls.clone(), vec!["Hello".to_owned()]),
            (ToolChoice::Auto, vec!["Hello.".to_owned()], vec![calls[0].replace("Oslo", "a").replace("get_weather", "rain")]),
        ] {
            let tag = structural_tag(&family(id), &plan(choice)).unwrap_or_else(|error| panic!("{id}: {error}"));
            let read = Grammar::from_structural_tag(&tag).unwrap_or_else(|error| panic!("{tag:#}\n{error}"));
            let words = Vocabulary::new(
                (0..=255u8).map(|b| toolglot_grammar::Token::text([b])).collect(), &[], None,
            );
            let compiled = CompiledGrammar::new(Arc::new(read), Arc::new(words.unwrap())).unwrap();
            yes.iter().for_each(|text| assert!(cfg::accepts(&compiled, text), "{id} refuses {text:?}\n{tag:#}"));
            no.iter().for_each(|text| assert!(!cfg::accepts(&compiled, text), "{id} accepts {text:?}\n{tag:#}"));
        }
    }
    let python = structural_tag(&family("llama4_pythonic"), &plan(ToolChoice::Required)).unwrap_err();
    assert!(python.to_string().contains("args.pythonic"), "{python}");
}

/// Every family is written down or refused by the name of a node, and what is written reads back.
#[test]
fn every_family_is_a_tag_or_says_why_not() {
    let tools =
        json!([{"name": "f", "parameters": {"type": "object", "properties": {"s": {"type": "string"}}}}]);
    let plan = Plan::from_openai(&tools, &json!("required"), true).unwrap();
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parsers/families");
    let (mut written, mut refused) = (0, 0);
    for entry in std::fs::read_dir(families).unwrap() {
        let path = entry.unwrap().path();
        if !path.join("family.toml").exists() {
            continue;
        }
        let id = path.file_name().unwrap().to_string_lossy().into_owned();
        match structural_tag(&family(&id), &plan) {
            Ok(tag) => {
                Grammar::from_structural_tag(&tag).unwrap_or_else(|error| panic!("{id}: {tag:#}\n{error}"));
                written += 1;
            }
            Err(error) => {
                let named = matches!(&error, GrammarError::Format { place, .. } if !place.is_empty());
                let in_tool = matches!(&error, GrammarError::Tool { .. });
                assert!(named || in_tool, "{id}: {error:?}");
                refused += 1;
            }
        }
    }
    println!("{written} families written, {refused} refused");
    assert!(written > 5);
}
