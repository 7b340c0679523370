//! Schemas and formats as grammars: which texts are accepted, byte by byte and token by token.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_grammar::{
    CompiledGrammar, Escapes, Grammar, GrammarBuilder, GrammarError, JsonStyle, Matcher, Token, Vocabulary,
    Whitespace,
};
use toolglot_schema::{Options, Schema};

fn bytes_vocabulary() -> Arc<Vocabulary> {
    let mut tokens: Vec<Token> = (0..=255u8).map(|b| Token::text(vec![b])).collect();
    tokens.extend(["<eos>", "<s>"].map(Token::special));
    tokens.extend(["<tool_call>", "</tool_call>", "<think>", "</think>"].map(Token::added));
    Arc::new(Vocabulary::new(tokens, &[256], None).unwrap())
}

fn grammar(schema: Value, style: &JsonStyle) -> Result<Arc<Grammar>, GrammarError> {
    let schema = Schema::compile(&schema, &Options::default())?;
    let mut b = GrammarBuilder::new();
    let root = b.json_schema(&schema, style)?;
    Ok(Arc::new(b.build(root)?))
}

fn matcher(schema: Value, style: &JsonStyle) -> Matcher {
    CompiledGrammar::new(grammar(schema, style).unwrap(), bytes_vocabulary()).unwrap().matcher().unwrap()
}

/// True if the whole text is accepted; on the way every byte must be in the mask.
fn accepts(matcher: &mut Matcher, text: &str) -> bool {
    matcher.reset();
    let mut mask = vec![0; matcher.compiled().vocabulary().mask_words()];
    for &byte in text.as_bytes() {
        matcher.mask(&mut mask).unwrap();
        let allowed = mask[byte as usize / 32] >> (byte % 32) & 1 == 1;
        assert_eq!(matcher.accept(u32::from(byte)).is_ok(), allowed, "{text}");
        if !allowed {
            return false;
        }
    }
    matcher.is_accepting()
}

#[track_caller]
fn check(schema: Value, style: &JsonStyle, yes: &[&str], no: &[&str]) {
    let mut m = matcher(schema.clone(), style);
    for text in yes {
        assert!(accepts(&mut m, text), "{schema} should accept {text}");
    }
    for text in no {
        assert!(!accepts(&mut m, text), "{schema} should refuse {text}");
    }
}

#[test]
fn objects_in_declared_order() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "boolean"}},
        "required": ["b"], "additionalProperties": false});
    check(
        schema.clone(),
        &JsonStyle::default(),
        &[
            r#"{"b": ""}"#,
            r#"{"a": 1, "b": "x"}"#,
            r#"{"a": 1, "b": "x", "c": true}"#,
            r#"{"b": "x", "c": false}"#,
        ],
        &[
            "{}",
            r#"{"a": 1}"#,
            r#"{"b":""}"#,
            r#"{"c": true, "b": ""}"#,
            r#"{"b": "", "b": ""}"#,
            r#"{"d": 1}"#,
        ],
    );
    let any = JsonStyle { any_order: true, ..JsonStyle::compact() };
    check(
        schema,
        &any,
        &[r#"{"b":""}"#, r#"{"c":true,"b":"","a":-3}"#, r#"{"b":"","a":0}"#],
        &["{}", r#"{"c":true}"#, r#"{"b":"","b":""}"#, r#"{"a":1,"b":"",}"#],
    );
}

#[test]
fn open_objects_and_counts() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "null"}},
        "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2});
    for any_order in [false, true] {
        check(
            schema.clone(),
            &JsonStyle { any_order, ..JsonStyle::compact() },
            &[r#"{"a":null}"#, r#"{"x":1}"#, r#"{"a":null,"aa":1}"#, r#"{"x":1,"y":2}"#, r#"{"":1}"#],
            &["{}", r#"{"a":1}"#, r#"{"\u0061":1}"#, r#"{"a":null,"b":1,"c":2}"#, r#"{"x":"y"}"#],
        );
    }
    let patterns = json!({"type": "object", "patternProperties": {"^x-": {"type": "string"}},
        "additionalProperties": false});
    check(patterns, &JsonStyle::compact(), &["{}", r#"{"x-a":"b"}"#], &[r#"{"y":"b"}"#, r#"{"x-a":1}"#]);
}

#[test]
fn items_are_counted_by_kind() {
    let d = JsonStyle::compact();
    check(
        json!({"type": "array", "contains": {"const": 5}}),
        &d,
        &["[5]", "[1,5]", "[5,5,\"x\"]", "[{},[],5,5]"],
        &["[]", "[1]", "[15,51]", "[5,]", "[,5]"],
    );
    check(
        json!({"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 10}, "minContains": 2, "maxContains": 3,
            "maxItems": 4}),
        &d,
        &["[10,11]", "[1,10,2,12]", "[10,10,10,1]"],
        &["[]", "[10]", "[10,1,1,1]", "[10,10,10,10]", "[1,1,1,10,10]", "[\"x\",10,10]"],
    );
    check(
        json!({"type": "array", "prefixItems": [{"type": "string"}, {}], "items": {"type": "null"}, "contains": {"type": "string"},
            "maxContains": 1, "minContains": 0}),
        &d,
        &["[]", "[\"a\"]", "[\"a\",1]", "[\"a\",{},null,null]"],
        &["[1]", "[\"a\",\"b\"]", "[\"a\",1,2]"],
    );
    check(
        json!({"type": "array", "minItems": 3, "allOf": [{"contains": {"type": "string"}}, {"contains": {"minLength": 2, "type": "string"}}]}),
        &d,
        &["[1,2,\"ab\"]", "[\"a\",\"ab\",null]"],
        &["[\"ab\"]", "[\"a\",\"b\",\"c\"]", "[1,\"ab\"]"],
    );
    let many = json!({"type": "array", "contains": {"const": 5}, "minContains": 9000, "maxContains": 9001});
    assert!(
        matches!(grammar(many, &d), Err(GrammarError::Unsupported { keyword, .. }) if keyword == "contains")
    );
}

#[test]
fn some_undeclared_member_differs() {
    let d = JsonStyle::compact();
    for style in [d.clone(), JsonStyle { any_order: true, ..d }] {
        check(
            json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
                "not": {"properties": {"a": {}}, "additionalProperties": {"type": "string"}}}),
            &style,
            &[r#"{"a":1,"b":1}"#, r#"{"a":1,"b":"x","c":null}"#, r#"{"a":1,"c":null,"b":"x"}"#],
            &["{}", r#"{"a":1}"#, r#"{"a":1,"b":"x"}"#, r#"{"b":1}"#],
        );
        // Two are wanted, and there is room for one that is both.
        check(
            json!({"type": "object", "maxProperties": 2, "properties": {"a": {"type": "integer"}}, "allOf": [
                {"not": {"additionalProperties": {"type": "string"}, "properties": {"a": {}}}},
                {"not": {"additionalProperties": {"minimum": 3}, "properties": {"a": {}}}}]}),
            &style,
            &[r#"{"b":1}"#, r#"{"b":4,"c":1}"#, r#"{"b":null,"c":2}"#, r#"{"a":7,"x":2}"#],
            &["{}", r#"{"b":7}"#, r#"{"b":"x"}"#, r#"{"a":7,"x":4}"#, r#"{"b":1,"c":1,"d":1}"#],
        );
        check(
            json!({"type": "object", "not": {"propertyNames": {"pattern": "^a"}}}),
            &style,
            &[r#"{"b":1}"#, r#"{"a":1,"":2}"#],
            &["{}", r#"{"a":1,"ab":2}"#],
        );
    }
}

#[test]
fn constant_numbers_are_values() {
    let d = JsonStyle::default();
    check(json!({"enum": [2.0, 1.5, "2"]}), &d, &["2", "2.0", "1.5", "\"2\""], &["1", "2.00", "15"]);
    check(json!({"const": [1e2, -3.0]}), &d, &["[100, -3]", "[100.0, -3.0]"], &["[10, -3]"]);
}

#[test]
fn strings_numbers_arrays() {
    let d = JsonStyle::default();
    check(
        json!({"type": "string", "minLength": 2, "maxLength": 3}),
        &d,
        &[r#""ab""#, r#""éé😀""#, r#""\n\u00e9""#, r#""\ud83d\ude00x""#],
        &[r#""a""#, r#""abcd""#, r#""😀""#, "\"\n\""],
    );
    check(
        json!({"type": "string", "pattern": "^[a-f]+$", "maxLength": 3}),
        &d,
        &[r#""a""#, r#""fab""#, r#""\u0061""#],
        &[r#""""#, r#""g""#, r#""abca""#],
    );
    check(json!({"type": "string", "pattern": "b"}), &d, &[r#""b""#, r#""éb\"""#], &[r#""a""#]);
    check(
        json!({"type": "integer", "minimum": -2, "exclusiveMaximum": 12}),
        &d,
        &["-2", "0", "11", "9"],
        &["-3", "12", "1.0", "01", "-0.5"],
    );
    check(json!({"type": "number", "multipleOf": 0.5}), &d, &["1", "1.5", "-2.0"], &["0.3", "1e2"]);
    check(
        json!({"type": "array", "items": {"enum": [1, "a", null]}, "minItems": 1, "maxItems": 2}),
        &d,
        &["[1]", r#"["a", null]"#],
        &["[]", "[1, 1, 1]", "[2]"],
    );
    check(
        json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": {"type": "null"},
        "minItems": 1, "maxItems": 4}),
        &d,
        &["[1]", "[1, true]", "[1, true, null, null]"],
        &["[]", "[true]", "[1, null]", "[1, true, null, null, null]"],
    );
    check(
        json!({"type": "array", "items": {"enum": [1, 12, "a"]}, "uniqueItems": true, "minItems": 2}),
        &d,
        &["[1, 12]", r#"[12, "a", 1]"#],
        &["[1]", "[1, 1]", "[12, 12]"],
    );
    check(json!({"const": {"a": ["é\"", 1.5]}}), &d, &[r#"{"a": ["é\"", 1.5]}"#], &[r#"{"a": []}"#, "{}"]);
}

#[test]
fn recursion_and_unions() {
    let d = JsonStyle::compact();
    let tree = json!({"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties": {
        "v": {"type": "integer"}, "c": {"type": "array", "items": {"$ref": "#/$defs/t"}}},
        "required": ["v"], "additionalProperties": false}}});
    check(tree, &d, &[r#"{"v":1}"#, r#"{"v":1,"c":[{"v":2,"c":[]},{"v":3}]}"#], &[r#"{"v":1,"c":[{}]}"#]);
    check(
        json!({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}, {"type": "string", "pattern": "^z"}]}),
        &d,
        &["null", r#""ab""#, r#""zabc""#],
        &[r#""abc""#, "1"],
    );
    check(
        json!({}),
        &d,
        &["[]", r#"{"a":[1,{"b":null}],"c":"d"}"#, "-1.5e3", "true"],
        &["[1,]", "{1:2}", "nul"],
    );
}

#[test]
fn whitespace_and_escapes() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}},
        "required": ["a"], "additionalProperties": false});
    check(
        schema,
        &JsonStyle::flexible(2),
        &["{\"a\":[1,2]}", "{ \"a\" :  [ 1 ,\n2 ] }", "{\n \"a\": []}"],
        &["{   \"a\":[]}", "{\"a\":[1   ]}"],
    );
    let minimal =
        JsonStyle { escapes: Escapes::Minimal, whitespace: Whitespace::Exact, ..JsonStyle::default() };
    check(json!({"type": "string"}), &minimal, &[r#""\n\"é\u0001""#], &[r#""\/""#, r#""\u0061""#]);
    let ascii = JsonStyle { escapes: Escapes::Ascii, ..JsonStyle::default() };
    check(json!({"enum": ["é😀"]}), &ascii, &[r#""\u00e9\ud83d\ude00""#], &["\"é😀\""]);
}

#[test]
fn what_cannot_be_enforced_is_refused() {
    let refused = |schema: Value| grammar(schema, &JsonStyle::default()).unwrap_err();
    assert!(matches!(
        refused(json!({"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 3})),
        GrammarError::Unsupported { keyword, .. } if keyword == "minProperties"
    ));
    assert!(matches!(refused(json!({"type": "string", "pattern": "(?=a)"})), GrammarError::Schema(_)));
    assert!(matches!(
        refused(json!({"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "^b"}]})),
        GrammarError::Empty(_)
    ));
}

#[test]
fn large_objects_are_state_not_expansion() {
    let properties: serde_json::Map<String, Value> =
        (0..1000).map(|i| (format!("property_{i}"), json!({"type": "integer"}))).collect();
    let schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    for any_order in [false, true] {
        let style = JsonStyle { any_order, ..JsonStyle::compact() };
        let mut m = matcher(schema.clone(), &style);
        assert!(accepts(&mut m, r#"{"property_3":1,"property_77":2,"property_999":3}"#));
        assert!(!accepts(&mut m, r#"{"property_3":1,"property_3":2}"#));
        assert_eq!(accepts(&mut m, r#"{"property_9":1,"property_3":2}"#), any_order);
    }
}

#[test]
fn alternatives_told_apart_by_their_first_members() {
    let named = |name: &str, more: Value, required: &[&str]| {
        let mut properties = json!({"type": {"const": "call"}, "name": {"const": name}});
        properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let required: Vec<&str> = ["type", "name"].into_iter().chain(required.iter().copied()).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    let mut short = named("ab", json!({}), &[]);
    short["maxProperties"] = json!(2);
    let mut long = named("abc", json!({"x": {"type": "null"}, "y": {"type": "null"}}), &[]);
    long["minProperties"] = json!(3);
    let mut open = named("open", json!({}), &[]);
    open["additionalProperties"] = json!({"type": "null"});
    let schema = json!({"anyOf": [short, long, open, named("b", json!({"x": {"type": "null"}}), &["x"]),
        {"type": "object", "properties": {"z": {"type": "null"}}, "required": ["z"], "additionalProperties": false}]});
    let yes = [
        r#"{"type": "call", "name": "ab"}"#,
        r#"{"type": "call", "name": "abc", "x": null}"#,
        r#"{"type": "call", "name": "abc", "x": null, "y": null}"#,
        r#"{"type": "call", "name": "abc", "y": null}"#,
        r#"{"type": "call", "name": "open"}"#,
        r#"{"type": "call", "name": "open", "q": null, "r": null}"#,
        r#"{"type": "call", "name": "b", "x": null}"#,
        r#"{"z": null}"#,
    ];
    let no = [
        r#"{"type": "call"}"#,
        r#"{"type": "call", "name": "ab", "x": null}"#,
        r#"{"type": "call", "name": "abc"}"#,
        r#"{"type": "call", "name": "abc", "y": null, "x": null}"#,
        r#"{"type": "call", "name": "open", "name": null}"#,
        r#"{"type": "call", "name": "b"}"#,
        r#"{"name": "b", "type": "call", "x": null}"#,
        r#"{"z": null, "type": "call"}"#,
        "{}",
    ];
    check(schema.clone(), &JsonStyle::default(), &yes, &no);
    let compact = |texts: &[&str]| texts.iter().map(|t| t.replace(' ', "")).collect::<Vec<_>>();
    let (all, none) = (compact(&yes), compact(&no));
    let list = |texts: &[String]| texts.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let (all, none) = (list(&all), list(&none));
    let (all, none): (Vec<&str>, Vec<&str>) = (all.lines().collect(), none.lines().collect());
    check(schema.clone(), &JsonStyle::compact(), &all, &none);
    for texts in [(&yes[..], &no[..]), (&all, &none)] {
        check(schema.clone(), &JsonStyle::flexible(2), texts.0, texts.1);
    }
    // One look-up, not one object after the other.
    let many: Vec<Value> = (0..200).map(|i| named(&format!("tool_{i}"), json!({}), &[])).collect();
    let mut m = matcher(json!({"anyOf": many}), &JsonStyle::default());
    m.accept_bytes(br#"{"type": "call", "name": "tool_17"#).unwrap();
    assert_eq!(m.forced_bytes().unwrap(), b"", "17 and 170 to 179");
    assert!(m.accept_bytes(br#"9"}"#).is_ok());
}
