//! One table per keyword: right and wrong instances, judged by our graph and by an independent validator.

mod judge;

use judge::{check, refused};
use serde_json::json;
use toolglot_schema::{Node, NoteKind, Options, Schema, SchemaError, TypeSet};

#[test]
fn types() {
    check(json!({"type": "string"}), &[json!("")], &[json!(1), json!(null)]);
    check(json!({"type": "integer"}), &[json!(1), json!(1.0), json!(-3)], &[json!(1.5), json!("1")]);
    check(json!({"type": "number"}), &[json!(1), json!(1.5)], &[json!("1")]);
    check(json!({"type": ["null", "boolean"]}), &[json!(null), json!(true)], &[json!(0)]);
    check(json!({"type": "array"}), &[json!([]), json!([1, "a"])], &[json!({})]);
    check(json!({"type": "object"}), &[json!({}), json!({"a": [1]})], &[json!([])]);
    check(json!({}), &[json!(null), json!({"a": 1})], &[]);
    check(json!(true), &[json!(1)], &[]);
    check(json!(false), &[], &[json!(1), json!(null)]);
}

#[test]
fn finite_sets() {
    check(
        json!({"enum": ["a", 1, null, true]}),
        &[json!("a"), json!(1.0), json!(null), json!(true)],
        &[json!(false)],
    );
    check(json!({"type": "string", "enum": ["a", 1]}), &[json!("a")], &[json!(1), json!("b")]);
    check(
        json!({"const": {"a": [1, {"b": null}]}}),
        &[json!({"a": [1, {"b": null}]}), json!({"a": [1.0, {"b": null}]})],
        &[json!({"a": [1]}), json!({"a": [1, {"b": null}], "c": 1}), json!({})],
    );
    check(
        json!({"enum": [[], [1], {}]}),
        &[json!([]), json!([1]), json!({})],
        &[json!([1, 1]), json!({"a": 1})],
    );
    check(json!({"enum": ["aa", "b"], "minLength": 2}), &[json!("aa")], &[json!("b")]);
    check(json!({"enum": [1, 2, 3, "x"], "maximum": 2}), &[json!(1), json!(2), json!("x")], &[json!(3)]);
}

#[test]
fn numbers() {
    check(json!({"minimum": 1.5}), &[json!(1.5), json!("x")], &[json!(1.4)]);
    check(json!({"exclusiveMinimum": 1, "type": "integer"}), &[json!(2)], &[json!(1)]);
    check(json!({"exclusiveMaximum": 3.5, "type": "integer"}), &[json!(3)], &[json!(4), json!(3.2)]);
    check(json!({"minimum": 2, "exclusiveMinimum": 2}), &[json!(3)], &[json!(2)]);
    check(json!({"multipleOf": 0.01}), &[json!(0.07), json!(4.35), json!("x")], &[json!(0.075)]);
    check(
        json!({"multipleOf": 3, "minimum": -3, "maximum": 3}),
        &[json!(-3), json!(0), json!(3)],
        &[json!(1), json!(6)],
    );
    check(json!({"allOf": [{"multipleOf": 4}, {"multipleOf": 6}]}), &[json!(12)], &[json!(4), json!(6)]);
    check(json!({"type": "integer", "minimum": 1.2, "maximum": 1.8}), &[], &[json!(1), json!(2), json!(1.5)]);
}

#[test]
fn strings() {
    check(
        json!({"minLength": 2, "maxLength": 3}),
        &[json!("ab"), json!("🐲🐲"), json!(1)],
        &[json!("a"), json!("abcd")],
    );
    check(json!({"pattern": "^a+$"}), &[json!("aa"), json!(1)], &[json!("ab"), json!("")]);
    check(json!({"pattern": "b"}), &[json!("abc")], &[json!("ac")]);
    check(
        json!({"allOf": [{"pattern": "^a"}, {"pattern": "z$"}], "maxLength": 3, "type": "string"}),
        &[json!("az"), json!("abz")],
        &[json!("abbz"), json!("a")],
    );
    check(
        json!({"pattern": "^(?=.*\\d)(?=.*[A-Z|(])(?!.*x).{2,3}$", "type": "string"}),
        &[json!("1A"), json!("(a2")],
        &[json!("1a"), json!("Ax1"), json!("12AB"), json!("A")],
    );
}

#[test]
fn arrays() {
    check(json!({"items": {"type": "string"}}), &[json!([]), json!(["a"]), json!(1)], &[json!(["a", 1])]);
    check(
        json!({"minItems": 1, "maxItems": 2}),
        &[json!([1]), json!([1, 2])],
        &[json!([]), json!([1, 2, 3])],
    );
    check(
        json!({"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}),
        &[json!([]), json!(["a"]), json!(["a", 1])],
        &[json!([1]), json!(["a", 1, 2])],
    );
    check(json!({"contains": {"type": "string"}}), &[json!([1, "a"])], &[json!([]), json!([1])]);
    check(
        json!({"contains": {"const": 1}, "minContains": 2, "maxContains": 3}),
        &[json!([1, 1]), json!([1, 0, 1, 1])],
        &[json!([1]), json!([1, 1, 1, 1])],
    );
    check(json!({"contains": false}), &[json!(1)], &[json!([]), json!([1])]);
    check(
        json!({"items": {"enum": [1, 2, "a"]}, "uniqueItems": true}),
        &[json!([]), json!([1, "a", 2])],
        &[json!([1, 1]), json!([1, 1.0]), json!([3])],
    );
    check(json!({"uniqueItems": true, "maxItems": 1}), &[json!([{}])], &[json!([1, 2])]);
    check(
        json!({"prefixItems": [{"type": "integer"}], "unevaluatedItems": {"type": "string"}}),
        &[json!([1, "a"])],
        &[json!([1, 2])],
    );
}

#[test]
fn objects() {
    check(
        json!({"properties": {"a": {"type": "integer"}}, "required": ["a", "b"]}),
        &[json!({"a": 1, "b": null}), json!(1)],
        &[json!({"a": 1}), json!({"a": "x", "b": 1})],
    );
    check(
        json!({"properties": {"a": {}}, "additionalProperties": false}),
        &[json!({}), json!({"a": 1})],
        &[json!({"b": 1})],
    );
    check(
        json!({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}),
        &[json!({"a": 1, "b": "x"})],
        &[json!({"b": 1})],
    );
    check(
        json!({"patternProperties": {"^x": {"type": "integer"}, "y$": {"minimum": 5}}, "additionalProperties": false}),
        &[json!({"x": 1}), json!({"xy": 5}), json!({"y": 6, "ay": "s"})],
        &[json!({"xy": 4}), json!({"xy": 5.5}), json!({"z": 1}), json!({"x": "s"})],
    );
    check(json!({"propertyNames": {"maxLength": 2}}), &[json!({"ab": 1})], &[json!({"abc": 1})]);
    check(
        json!({"propertyNames": {"enum": ["a", "b"]}, "required": ["a"]}),
        &[json!({"a": 1}), json!({"a": 1, "b": 2})],
        &[json!({"b": 1}), json!({"a": 1, "c": 1})],
    );
    check(
        json!({"minProperties": 1, "maxProperties": 2}),
        &[json!({"a": 1})],
        &[json!({}), json!({"a": 1, "b": 1, "c": 1})],
    );
    check(
        json!({"dependentRequired": {"a": ["b"], "c": []}}),
        &[json!({}), json!({"b": 1}), json!({"a": 1, "b": 1}), json!({"c": 1})],
        &[json!({"a": 1})],
    );
    check(
        json!({"dependentSchemas": {"a": {"properties": {"b": {"type": "integer"}}}}}),
        &[json!({"b": "x"}), json!({"a": 1, "b": 1})],
        &[json!({"a": 1, "b": "x"})],
    );
    check(
        json!({"dependencies": {"a": ["b"], "b": {"minProperties": 3}}}),
        &[json!({"a": 1, "b": 1, "c": 1}), json!({})],
        &[json!({"a": 1}), json!({"a": 1, "b": 1})],
    );
    check(
        json!({"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": false}),
        &[json!({"a": 1, "b": 1})],
        &[json!({"c": 1})],
    );
    check(
        json!({
            "anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 2}}, "required": ["b"]}],
            "unevaluatedProperties": false
        }),
        &[json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})],
        &[json!({"a": 1, "b": 3}), json!({"a": 1, "c": 1}), json!({})],
    );
}

#[test]
fn combinations() {
    check(
        json!({"anyOf": [{"type": "string"}, {"minimum": 3}], "maxLength": 2}),
        &[json!("ab"), json!(3), json!(null)],
        &[json!("abc"), json!(2)],
    );
    check(
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        &[json!("a"), json!(1)],
        &[json!(1.5)],
    );
    check(json!({"oneOf": [{"minimum": 2}, {"maximum": 5}]}), &[json!(1), json!(6)], &[json!(3), json!("a")]);
    check(
        json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"}),
        &[json!({"a": 1}), json!({"b": 1})],
        &[json!({}), json!({"a": 1, "b": 1})],
    );
    check(
        json!({"oneOf": [
            {"properties": {"kind": {"const": "x"}, "v": {"type": "integer"}}, "required": ["kind"]},
            {"properties": {"kind": {"const": "y"}, "v": {"type": "string"}}, "required": ["kind"]}
        ], "type": "object"}),
        &[json!({"kind": "x", "v": 1}), json!({"kind": "y", "v": "s"})],
        &[json!({"kind": "x", "v": "s"}), json!({"kind": "z"}), json!({})],
    );
    check(
        json!({"oneOf": [
            {"properties": {"a": {}, "b": {}}, "additionalProperties": false, "type": "object"},
            {"properties": {"a": {}, "c": {}}, "additionalProperties": false, "type": "object"}
        ]}),
        &[json!({"b": 1}), json!({"a": 1, "c": 1})],
        &[json!({}), json!({"a": 1}), json!({"b": 1, "c": 1})],
    );
    check(json!({"not": {"type": ["string", "null"]}}), &[json!(1)], &[json!("a"), json!(null)]);
    check(json!({"not": {"enum": ["a", 2]}}), &[json!("b"), json!(3), json!([])], &[json!("a"), json!(2)]);
    check(json!({"not": {"required": ["a"]}}), &[json!({})], &[json!({"a": 1}), json!(1)]);
    check(json!({"not": {"pattern": "^a"}, "type": "string"}), &[json!("b")], &[json!("ab")]);
    check(json!({"not": {"type": "integer"}, "type": "number"}), &[json!(1.5)], &[json!(1), json!("a")]);
    check(json!({"not": {"multipleOf": 2}, "type": "integer"}), &[json!(1)], &[json!(2)]);
    check(
        json!({"not": {"items": {"type": "string"}}}),
        &[json!([1]), json!(["a", 1])],
        &[json!([]), json!(["a"])],
    );
    check(
        json!({"not": {"const": [1, 2]}, "type": "array"}),
        &[json!([1]), json!([1, 3]), json!([1, 2, 3])],
        &[json!([1, 2])],
    );
    check(
        json!({"if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["a"]}, "else": {"required": ["b"]}, "type": "object"}),
        &[json!({"k": 1, "a": 1}), json!({"b": 1}), json!({"k": 2, "b": 1})],
        &[json!({"k": 1}), json!({"k": 2, "a": 1}), json!({})],
    );
    check(
        json!({"allOf": [
            {"properties": {"a": {"minimum": 1}}, "additionalProperties": {"type": "string"}},
            {"properties": {"b": {"maxLength": 1}}, "required": ["a"]}
        ]}),
        &[json!({"a": 1, "b": "x", "c": "yy"}), json!(5)],
        &[json!({"a": 0}), json!({"a": 1, "b": 1}), json!({"a": 1, "c": 1}), json!({})],
    );
}

#[test]
fn references() {
    let tree = json!({
        "$defs": {"node": {"type": "object", "properties": {"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}}, "required": ["v"], "additionalProperties": false}},
        "$ref": "#/$defs/node"
    });
    check(
        tree,
        &[json!({"v": 1, "kids": [{"v": 2, "kids": []}]})],
        &[json!({"v": 1, "kids": [{"kids": []}]}), json!({"v": 1, "kids": [1]})],
    );
    check(
        json!({"$ref": "#/$defs/a%25b~1c", "maximum": 5, "$defs": {"a%b/c": {"minimum": 1}}}),
        &[json!(3)],
        &[json!(0), json!(6)],
    );
    check(
        json!({"$ref": "#here", "$defs": {"x": {"$anchor": "here", "type": "null"}}}),
        &[json!(null)],
        &[json!(1)],
    );
    check(
        json!({"$id": "http://x.test/a", "$ref": "b", "$defs": {"x": {"$id": "http://x.test/b", "$ref": "#/$defs/y", "$defs": {"y": {"type": "null"}}}}}),
        &[json!(null)],
        &[json!(1)],
    );
    check(
        json!({"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"], "type": "object"}),
        &[json!({"next": null}), json!({"next": {"next": null}})],
        &[json!({"next": {}}), json!({"next": 1})],
    );
}

#[test]
fn refusals_name_pointer_and_keyword() {
    refused(json!({"properties": {"a/b": {"pattern": "b(?=a)"}}}), "/properties/a~1b", "pattern");
    refused(json!({"items": {"uniqueItems": true}}), "/items", "uniqueItems");
    refused(json!({"anyOf": [{"format": "regex"}]}), "/anyOf/0", "format");
    let exact = Options { formats: toolglot_schema::Formats::Enforce, ..Options::default() };
    assert!(matches!(
        Schema::compile(&json!({"format": "nope"}), &exact),
        Err(SchemaError::Unsupported { keyword, .. }) if keyword == "format"
    ));
    refused(json!({"properties": {"a": {"minimum": "5"}}}), "/properties/a", "minimum");
    refused(json!({"type": "objekt"}), "", "type");
    refused(json!({"$schema": "http://example.com/mine"}), "", "$schema");
    let endless = |schema| Schema::compile(&schema, &Options::default()).unwrap_err();
    assert!(matches!(endless(json!({"$ref": "#"})), SchemaError::EndlessRecursion { .. }));
    assert!(matches!(
        endless(json!({"anyOf": [{"type": "null"}, {"$ref": "#"}]})),
        SchemaError::EndlessRecursion { .. }
    ));
    assert!(matches!(endless(json!({"$ref": "http://x.test/y"})), SchemaError::UnresolvedRef { .. }));
}

#[test]
fn some_undeclared_property_is_wrong() {
    check(
        json!({"not": {"additionalProperties": {"type": "string"}}}),
        &[json!({"a": 1}), json!({"a": "", "b": null, "c": ""})],
        &[json!({}), json!({"a": ""}), json!({"b": "x", "c": ""})],
    );
    check(
        json!({"not": {"properties": {"a": {"type": "null"}}, "patternProperties": {"^x": {"type": "integer"}},
            "additionalProperties": false}}),
        &[json!({"a": 1}), json!({"x": "1"}), json!({"b": 1})],
        &[json!({"a": null, "x": 1}), json!({}), json!(3)],
    );
    // Both must be found; one member may be both.
    check(
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "maxProperties": 1, "allOf": [
            {"not": {"additionalProperties": {"type": "string"}}}, {"not": {"additionalProperties": {"minimum": 3}}}]}),
        &[json!({"a": 1}), json!({"n": 2})],
        &[json!({"a": "x"}), json!({"a": 5}), json!({"n": 3}), json!({"a": 1, "b": 1})],
    );
    check(
        json!({"type": "object", "not": {"propertyNames": {"pattern": "^a"}}}),
        &[json!({"b": 1}), json!({"a": 1, "": 2})],
        &[json!({}), json!({"a": 1, "ab": 2})],
    );
    check(
        json!({"type": "object", "propertyNames": {"enum": ["a", "b"]}, "not": {"additionalProperties": {"type": "string"}}}),
        &[json!({"b": 1}), json!({"a": "", "b": null})],
        &[json!({}), json!({"a": "", "b": ""}), json!({"c": 1})],
    );
    check(
        json!({"oneOf": [{"patternProperties": {"^x": {"type": "string"}}}, {"patternProperties": {"y$": {"type": "string"}}}]}),
        &[json!({"x": 1}), json!({"y": 1}), json!({"x": "", "yy": 1})],
        &[json!({}), json!({"xy": 1}), json!({"x": 1, "y": 1}), json!({"xy": ""})],
    );
    // Refused by name where there are too many.
    let not = |n: u32| json!({"not": {"additionalProperties": {"multipleOf": n}}});
    let five = [2, 3, 5, 7, 11].map(not);
    refused(json!({"type": "object", "allOf": five}), "/allOf/0", "not");
}

#[test]
fn exactly_one_of_many_open_objects() {
    let branch = |n: usize| {
        let key = format!("k{n}");
        json!({"type": "object", "properties": {&key: {"type": "string", "minLength": n}}, "required": [key]})
    };
    let branches: Vec<_> = (1..15).map(branch).collect();
    check(
        json!({"oneOf": branches}),
        &[json!({"k1": "a"}), json!({"k14": "0123456789abcd", "k3": "ab"}), json!({"k2": "ab", "k3": 1})],
        &[json!({}), json!({"k1": "a", "k2": "ab"}), json!({"k14": ""}), json!({"k1": "a", "k3": "abc"})],
    );
}

#[test]
fn limits_end_in_errors() {
    let options = Options { max_steps: 2_000, ..Options::default() };
    let pairs: Vec<_> = (0..16)
        .map(|n| json!({"anyOf": [{"required": [format!("a{n}")]}, {"required": [format!("b{n}")]}]}))
        .collect();
    let error = Schema::compile(&json!({"allOf": pairs, "type": "object"}), &options).unwrap_err();
    assert!(matches!(error, SchemaError::TooLarge { .. }), "{error}");
    let mut deep = json!({"type": "null"});
    for _ in 0..1000 {
        deep = json!({"allOf": [deep]});
    }
    assert!(matches!(Schema::compile(&deep, &Options::default()), Err(SchemaError::TooLarge { .. })));
    let mut wide = json!({"type": "null"});
    for _ in 0..1000 {
        wide = json!({"items": wide});
    }
    assert!(Schema::compile(&wide, &Options::default()).is_ok(), "nesting through items costs no depth");
}

#[test]
fn loose_dialects_are_mapped_with_a_note() {
    let schema = json!({"type": "dict", "properties": {
        "n": {"type": "float"}, "t": {"type": "tuple", "items": {"type": "long"}}, "s": {"type": "String"},
        "x": {"type": "any"}, "m": {"type": "HashMap<String, Integer>"}, "o": {"type": "string", "nullable": true}
    }, "required": ["n"]});
    let schema = Schema::compile(&schema, &Options::default()).unwrap();
    assert!(schema.accepts(&json!({"n": 1.5, "t": [1], "s": "", "x": {}, "m": {}, "o": null})));
    assert!(!schema.accepts(&json!({"n": "1"})));
    assert_eq!(schema.notes().len(), 7);
    assert!(schema.notes().iter().all(|note| note.kind == NoteKind::Mapped));
    assert_eq!(schema.notes()[0].text, "`dict` is read as object");
}

#[test]
fn lenient_mode_lists_what_it_drops() {
    let options = Options { lenient: true, formats: toolglot_schema::Formats::Enforce, ..Options::default() };
    let document = json!({
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "(?=x)", "maxLength": 2}, "b": {"format": "nope"}, "c": {"uniqueItems": true}, "d": {"$ref": "http://x.test/"}},
        "required": true
    });
    let schema = Schema::compile(&document, &options).unwrap();
    assert!(schema.accepts(&json!({"a": "yy", "b": "z", "c": [1, 1], "d": 7})));
    assert!(!schema.accepts(&json!({"a": "yyy"})));
    let mut dropped: Vec<_> =
        schema.notes().iter().map(|n| (n.pointer.as_str(), n.keyword.as_str())).collect();
    dropped.sort_unstable();
    let expected = [
        ("", "required"),
        ("/properties/a", "pattern"),
        ("/properties/b", "format"),
        ("/properties/c", "uniqueItems"),
        ("/properties/d", "$ref"),
    ];
    assert_eq!(dropped, expected);
}

#[test]
fn unknown_formats_can_be_annotations() {
    let options = Options::default();
    let document = json!({"properties": {"a": {"format": "shoe-size"}, "b": {"format": "ipv4"}}});
    let schema = Schema::compile(&document, &options).unwrap();
    assert!(schema.accepts(&json!({"a": "42", "b": "1.2.3.4"})));
    assert!(!schema.accepts(&json!({"b": "1.2.3"})));
    assert_eq!(schema.notes()[0].pointer, "/properties/a");
}

#[test]
fn draft_4_has_its_own_words() {
    let document = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "minimum": 1, "exclusiveMinimum": true, "const": 7,
        "properties": {"a": {"$ref": "#/definitions/x", "maximum": 0}}, "definitions": {"x": {"type": "integer"}}
    });
    check(document, &[json!(2), json!({"a": 5})], &[json!(1), json!({"a": "x"})]);
}

#[test]
fn equal_structure_is_one_node() {
    let schema = |document| Schema::compile(&document, &Options::default()).unwrap();
    let s = schema(
        json!({"properties": {"a": {"type": "string", "title": "A"}, "b": {"description": "b", "type": ["string"]}}}),
    );
    assert_eq!(s.property(s.root(), "a"), s.property(s.root(), "b"));
    // The same language said twice, and a cycle unrolled once, are the same structure.
    let once = schema(
        json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}),
    );
    let unrolled = schema(
        json!({"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "array", "items": {"allOf": [{"$ref": "#/$defs/m"}]}}, "m": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}),
    );
    assert_eq!(once.structural_hash(once.root()), unrolled.structural_hash(unrolled.root()));
    assert_eq!((once.len(), unrolled.len()), (1, 1));
    let other = schema(json!({"type": "array"}));
    assert_ne!(once.structural_hash(once.root()), other.structural_hash(other.root()));
    let typed = schema(json!({"type": ["array"], "minItems": 0, "title": "any list"}));
    assert_eq!(other.structural_hash(other.root()), typed.structural_hash(typed.root()));
    // Caches outlive the process: a change here makes all of them stale.
    assert_eq!(other.structural_hash(other.root()), ARRAY_HASH);
}

const ARRAY_HASH: u128 = 185_303_615_243_342_997_251_839_159_533_531_249_782;

#[test]
fn properties_are_found_through_unions() {
    let document = json!({"anyOf": [
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}},
        {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "integer"}}, "additionalProperties": false}
    ]});
    let schema = Schema::compile(&document, &Options::default()).unwrap();
    let a = schema.property(schema.root(), "a").unwrap();
    assert_eq!(schema.types(a), TypeSet::STRING | TypeSet::NULL);
    let b = schema.property(schema.root(), "b").unwrap();
    assert!(matches!(schema.node(b), Node::Number(rules) if rules.integer));
    assert_eq!(schema.property_types(schema.root(), "other"), TypeSet::ALL);
    let closed = Schema::compile(
        &json!({"properties": {}, "additionalProperties": false, "type": "object"}),
        &Options::default(),
    )
    .unwrap();
    assert_eq!(closed.property(closed.root(), "x"), None);
}

#[test]
fn impossible_parts_disappear() {
    let schema = |document| Schema::compile(&document, &Options::default()).unwrap();
    // A required property that needs itself forever can never be written.
    let s = schema(
        json!({"anyOf": [{"$ref": "#/$defs/loop"}, {"type": "null"}], "$defs": {"loop": {"type": "object", "properties": {"x": {"$ref": "#/$defs/loop"}}, "required": ["x"]}}}),
    );
    assert_eq!(s.node(s.root()), &Node::Null);
    let s = schema(json!({"type": "object", "properties": {"a": false}, "required": ["a"]}));
    assert_eq!(s.node(s.root()), &Node::Never);
    let s = schema(json!({"allOf": [{"enum": [1, 2]}, {"enum": ["a"]}]}));
    assert_eq!(s.node(s.root()), &Node::Never);
}
