//! The printer, and law 2: what is printed parses back.

use proptest::prelude::*;
use serde_json::{Value, json};
use toolglot_format::{Call, FinishReason, Format, Turn};
use toolglot_parsers::{PrintError, Registry, print, print_parts, to_text};

use crate::synthetic::{self, session};
use crate::{plan, run};

fn call(name: &str, arguments: Value) -> Call {
    Call { name: name.into(), id: Some("abc123def".into()), arguments: arguments.to_string(), complete: true }
}

fn turn(content: &str, calls: Vec<Call>) -> Turn {
    Turn { content: content.into(), calls, ..Turn::default() }
}

fn formats() -> Vec<(String, Format)> {
    let registry = Registry::builtin().unwrap();
    let families = registry.iter().map(|family| {
        let manifest = family.manifest();
        (manifest.id.clone(), manifest.format.clone())
    });
    families.chain(own_formats()).collect()
}

fn own_formats() -> Vec<(String, Format)> {
    let own = synthetic::all().into_iter().map(|(name, ..)| (name.to_owned(), synthetic::format(name)));
    let files = synthetic::files().into_iter().map(|(name, format)| (name.to_owned(), format));
    own.chain(files).collect()
}

fn printed(format: &str, turn: &Turn) -> Result<String, PrintError> {
    let (_, format) = formats().into_iter().find(|(name, _)| name == format).unwrap();
    print(&format, &plan(), turn).map(|parts| to_text(&parts))
}

#[test]
fn writes_the_first_spelling() {
    let one = turn("Hi", vec![call("get_weather", json!({"city": "Oslo", "days": 2}))]);
    assert_eq!(
        printed("hermes", &one).unwrap(),
        "Hi\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 2}}\n</tool_call>"
    );
    assert_eq!(
        printed("qwen3_coder", &one).unwrap(),
        "Hi\n<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>"
    );
    assert_eq!(
        printed("named", &one).unwrap(),
        "Hi[TOOL_CALLS]get_weather[CALL_ID]abc123def{\"city\": \"Oslo\", \"days\": 2}"
    );
    let two = turn("", vec![call("now", json!({})), call("get_weather", json!({"detail": true}))]);
    assert_eq!(printed("pythonic", &two).unwrap(), "[now(), get_weather(detail=True)]");
}

#[test]
fn parts_are_written_one_after_the_other() {
    let parts = [
        turn("One.", vec![call("now", json!({}))]),
        turn("", vec![]),
        turn("Two.", vec![call("now", json!({}))]),
        turn("Three.", vec![]),
    ];
    let (_, format) = formats().into_iter().find(|(name, _)| name == "hermes").unwrap();
    let now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
    let text = print_parts(&format, &plan(), &parts).map(|parts| to_text(&parts)).unwrap();
    assert_eq!(text, format!("One.\n{now}\nTwo.\n{now}\nThree."));
    let (_, format) = formats().into_iter().find(|(name, _)| name == "llama3").unwrap();
    let error = print_parts(&format, &plan(), &parts[2..]).unwrap_err();
    assert!(matches!(error, PrintError::NoPlace(_)), "{error}");
}

#[test]
fn refuses_what_would_not_read_back() {
    let end = turn("", vec![call("get_weather", json!({"city": "a</arg_value>b"}))]);
    assert!(matches!(printed("pairs", &end), Err(PrintError::Terminator { .. })));
    let number = turn("", vec![call("get_weather", json!({"size": "12"}))]);
    assert!(matches!(printed("pairs", &number), Err(PrintError::Ambiguous { .. })));
    assert!(printed("typed", &number).is_ok());
    let marker = turn("x[TOOL_CALLS]y", vec![]);
    assert!(matches!(printed("named", &marker), Err(PrintError::Marker { .. })));
    let mut nameless = turn("", vec![call("now", json!({}))]);
    nameless.calls[0].id = None;
    assert!(matches!(printed("array", &nameless), Err(PrintError::NoId { .. })));
    let both = turn("text", vec![call("now", json!({}))]);
    let error = printed("pythonic", &both).unwrap_err();
    assert_eq!(error, PrintError::NoPlace("call 0 (`now`)".into()));
}

fn value() -> impl Strategy<Value = Value> {
    let text = "[a-z <>/{}\\[\\]\"'\\\\é😀\n=:,]{0,12}";
    let leaf = prop_oneof![
        text.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        (-1000i32..1000).prop_map(|n| json!(f64::from(n) / 8.0)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,3}", inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn any_call() -> impl Strategy<Value = Call> {
    let weather = (
        proptest::option::of("[a-zA-Z0-9 <>\"'\\\\é\n{}.,]{0,16}"),
        proptest::option::of(any::<i32>()),
        proptest::option::of(any::<bool>()),
        proptest::option::of(value()),
    )
        .prop_map(|(city, days, detail, tag)| {
            let mut map = serde_json::Map::new();
            city.into_iter().for_each(|city| drop(map.insert("city".into(), city.into())));
            days.into_iter().for_each(|days| drop(map.insert("days".into(), days.into())));
            detail.into_iter().for_each(|detail| drop(map.insert("detail".into(), detail.into())));
            tag.into_iter().for_each(|tag| drop(map.insert("tags".into(), json!([tag]))));
            call("get_weather", map.into())
        });
    prop_oneof![4 => weather, 1 => Just(call("now", json!({})))]
}

#[test]
fn what_is_printed_parses_back() {
    // The families are held to the laws on the workbench.
    for (name, format) in own_formats() {
        let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let strategy = (proptest::collection::vec(any_call(), 1..4), "[a-z]{0,8}");
        let result = runner.run(&strategy, |(calls, content)| {
            let mut wanted = turn(&content, calls);
            // Raw formats write one string only; formats of calls alone take no content.
            if name == "raw" {
                wanted.calls = vec![call("python", json!({"code": content}))];
            }
            let mut printed = print(&format, &plan(), &wanted);
            // Formats of text or calls, and of one call.
            for narrow in [|turn: &mut Turn| turn.content.clear(), |turn: &mut Turn| turn.calls.truncate(1)] {
                if matches!(printed, Err(PrintError::NoPlace(_))) {
                    narrow(&mut wanted);
                    printed = print(&format, &plan(), &wanted);
                }
            }
            let parts = match printed {
                Ok(parts) => parts,
                Err(PrintError::Terminator { .. } | PrintError::Ambiguous { .. }) => return Ok(()),
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            let text = to_text(&parts);
            let events = run(&mut *session(&format), "", &[(text.as_bytes(), None)], FinishReason::Stop);
            let got: Turn = events.into_iter().collect();
            prop_assert_eq!(got.calls.len(), wanted.calls.len(), "{}", &text);
            for (got, wanted) in got.calls.iter().zip(&wanted.calls) {
                prop_assert_eq!(&got.name, &wanted.name);
                prop_assert!(got.complete, "{}", &text);
                let value = |text: &str| serde_json::from_str::<Value>(text).ok();
                prop_assert_eq!(value(&got.arguments), value(&wanted.arguments), "{}", &text);
            }
            prop_assert_eq!(&got.content, &wanted.content);
            prop_assert!(got.malformed.is_empty(), "{:?}", got.malformed);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{name}: {error}");
        }
    }
}
