//! Random schemas and instances over a small world: whenever a schema compiles, our graph and an independent
//! validator agree on every instance.

mod judge;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use toolglot_schema::{Options, Schema};

/// Scalars and small structures that the schemas below talk about.
fn instance() -> BoxedStrategy<Value> {
    let scalar = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3i32..8).prop_map(Value::from),
        prop_oneof![Just(json!(1.0)), Just(json!(1.5)), Just(json!(-0.5)), Just(json!(2.25))],
        prop_oneof![Just(""), Just("a"), Just("ab"), Just("ba"), Just("b"), Just("aab"), Just("🐲")]
            .prop_map(Value::from),
    ];
    scalar
        .prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
        .boxed()
}

fn name() -> BoxedStrategy<String> {
    prop_oneof![Just("a"), Just("b"), Just("ab"), Just("c")].prop_map(String::from).boxed()
}

fn pattern() -> BoxedStrategy<Value> {
    prop_oneof![Just("^a"), Just("b$"), Just("a+b"), Just("^(a|b)*$"), Just("^[^a]?$"), Just("c|^$")]
        .prop_map(Value::from)
        .boxed()
}

fn type_name() -> BoxedStrategy<Value> {
    let one = || {
        prop_oneof![
            Just("null"),
            Just("boolean"),
            Just("integer"),
            Just("number"),
            Just("string"),
            Just("array"),
            Just("object")
        ]
    };
    prop_oneof![
        3 => one().prop_map(Value::from),
        1 => prop::sample::subsequence(vec!["null", "integer", "string", "array", "object"], 1..4).prop_map(Value::from),
    ]
    .boxed()
}

/// One keyword with a value; `inner` makes sub-schemas.
fn keyword(inner: Option<BoxedStrategy<Value>>) -> BoxedStrategy<(String, Value)> {
    let with = |name: &'static str, value: BoxedStrategy<Value>| {
        value.prop_map(move |v| (name.to_owned(), v)).boxed()
    };
    let small = || (0u8..4).prop_map(Value::from).boxed();
    let number = || prop_oneof![(-2i32..6).prop_map(Value::from), Just(json!(0.5)), Just(json!(1.5))].boxed();
    let names = || {
        prop::collection::vec(name(), 0..3)
            .prop_map(|mut n| {
                n.sort();
                n.dedup();
                Value::from(n)
            })
            .boxed()
    };
    let mut all = vec![
        with("type", type_name()),
        with("type", type_name()),
        with("enum", prop::collection::vec(instance(), 1..4).prop_map(Value::from).boxed()),
        with("const", instance()),
        with("minimum", number()),
        with("maximum", number()),
        with("exclusiveMinimum", number()),
        with("exclusiveMaximum", number()),
        with(
            "multipleOf",
            prop_oneof![Just(json!(2)), Just(json!(3)), Just(json!(0.5)), Just(json!(1))].boxed(),
        ),
        with("minLength", small()),
        with("maxLength", small()),
        with("pattern", pattern()),
        with("minItems", small()),
        with("maxItems", small()),
        with("uniqueItems", any::<bool>().prop_map(Value::from).boxed()),
        with("minProperties", small()),
        with("maxProperties", small()),
        with("required", names()),
        with("dependentRequired", prop::collection::vec((name(), names()), 0..3).prop_map(object).boxed()),
    ];
    if let Some(inner) = inner {
        let list = |inner: &BoxedStrategy<Value>| {
            prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from).boxed()
        };
        let members = |inner: &BoxedStrategy<Value>| {
            prop::collection::vec((name(), inner.clone()), 0..4).prop_map(object).boxed()
        };
        let by_pattern = prop::collection::vec((pattern(), inner.clone()), 1..3).prop_map(|m| {
            object(m.into_iter().map(|(p, v)| (p.as_str().unwrap_or("").to_owned(), v)).collect())
        });
        for name in [
            "items",
            "contains",
            "additionalProperties",
            "propertyNames",
            "not",
            "if",
            "then",
            "else",
            "unevaluatedProperties",
            "unevaluatedItems",
        ] {
            all.push(with(name, inner.clone()));
        }
        for name in ["prefixItems", "allOf", "anyOf", "oneOf", "anyOf", "oneOf", "allOf"] {
            all.push(with(name, list(&inner)));
        }
        for name in ["properties", "properties", "dependentSchemas"] {
            all.push(with(name, members(&inner)));
        }
        all.push(with("patternProperties", by_pattern.boxed()));
        all.push(with("minContains", small()));
        all.push(with("maxContains", small()));
        all.push(with(
            "$ref",
            prop_oneof![Just("#/$defs/x"), Just("#/$defs/y"), Just("#")].prop_map(Value::from).boxed(),
        ));
    }
    proptest::strategy::Union::new(all).boxed()
}

fn object(members: Vec<(String, Value)>) -> Value {
    Value::Object(members.into_iter().collect::<Map<_, _>>())
}

fn schema() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        1 => any::<bool>().prop_map(Value::Bool),
        6 => prop::collection::vec(keyword(None), 0..3).prop_map(object),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::vec(keyword(Some(inner.boxed())), 1..5).prop_map(object)
    })
    .boxed()
}

fn document() -> BoxedStrategy<Value> {
    (prop::collection::vec(keyword(Some(schema())), 1..6), schema(), schema())
        .prop_map(|(mut root, x, y)| {
            root.push(("$defs".into(), json!({"x": x, "y": y})));
            object(root)
        })
        .boxed()
}

#[test]
fn agrees_with_an_independent_validator() {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let options = Options { max_steps: 50_000, ..Options::default() };
    let (compiled, right, wrong) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let inputs = (document(), prop::collection::vec(instance(), 24));
    let result = TestRunner::new(config).run(&inputs, |(document, instances)| {
        let (Ok(ours), Some(judge)) = (Schema::compile(&document, &options), judge::independent(&document))
        else {
            return Ok(());
        };
        compiled.set(compiled.get() + 1);
        for instance in &instances {
            let allowed = judge.is_valid(instance);
            let count = if allowed { &right } else { &wrong };
            count.set(count.get() + 1);
            prop_assert_eq!(ours.accepts(instance), allowed, "{} and {}", document, instance);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    println!("{} of {} compiled; {} right, {} wrong", compiled.get(), cases(), right.get(), wrong.get());
    assert!(compiled.get() * 3 > cases(), "most schemas are refused: the test says little");
    assert!(right.get() * 10 > wrong.get() && wrong.get() * 10 > right.get(), "one-sided instances");
}

/// `TOOLGLOT_CASES` asks for a longer search.
fn cases() -> u32 {
    std::env::var("TOOLGLOT_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
}
