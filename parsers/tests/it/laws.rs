//! Laws 4 and 5 on hostile input: markers, JSON fragments and bytes in any order.

use std::sync::Arc;

use proptest::prelude::*;
use toolglot_format::{Event, FinishReason, Format};
use toolglot_parsers::{Program, Registry};

use crate::synthetic;
use crate::{run, show};

const FRAGMENTS: &[&str] = &[
    "word",
    "get_weather",
    "now",
    " ",
    "\n",
    "\n\n",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "\\",
    ":",
    ",",
    "\"name\": ",
    "\"arguments\": ",
    "\"parameters\": ",
    "{\"name\": \"now\", \"arguments\": {\"a\": 1}}",
    "\"now\"",
    "{\"city\": \"Oslo\"}",
    "{\"a\": [1, \"x\"]}",
    "null",
    "true",
    "12",
    "-1.5e3",
    "é",
    "😀",
    "<",
    "</",
    "<t",
    ">",
    "<think>",
    "</think>",
    "(",
    ")",
    "=",
    "city",
    "\"{\\\"a\\\": 1}\"",
    "\\u00e9",
    "string",
    "functions.",
    ":0",
    "call_1",
    "&quot;",
    "\"extra\": {\"a\": \"word\"}",
    ", \"name\": \"word\"",
];

struct Target {
    name: String,
    format: Format,
    literals: Vec<String>,
}

fn targets() -> Vec<Target> {
    let registry = Registry::builtin().unwrap();
    let mut out: Vec<Target> = synthetic::all()
        .into_iter()
        .map(|(name, _, literals)| Target {
            name: name.into(),
            format: synthetic::format(name),
            literals: literals.iter().map(|&text| text.to_owned()).collect(),
        })
        .collect();
    let families = registry.iter().map(|family| {
        let manifest = family.manifest();
        (manifest.id.clone(), manifest.format.clone())
    });
    let files = synthetic::files().into_iter().map(|(name, format)| (name.to_owned(), format));
    for (name, format) in families.chain(files) {
        let literals = format.framing().into_iter().flat_map(|lit| lit.spellings());
        let literals = literals.map(str::to_owned).collect();
        out.push(Target { name, literals, format });
    }
    out
}

/// Fragments of an output: the family's literals and everything else, equally likely.
fn output(literals: &[String]) -> impl Strategy<Value = Vec<Vec<u8>>> + use<> {
    let literals: Vec<Vec<u8>> = literals.iter().map(|text| text.clone().into_bytes()).collect();
    let halves: Vec<Vec<u8>> = literals.iter().map(|text| text[..text.len() / 2 + 1].to_vec()).collect();
    let fragments: Vec<Vec<u8>> = FRAGMENTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    let byte = proptest::collection::vec(any::<u8>(), 1..3);
    let item = prop_oneof![
        8 => proptest::sample::select(literals),
        1 => proptest::sample::select(halves),
        8 => proptest::sample::select(fragments),
        1 => byte,
    ];
    proptest::collection::vec(item, 0..24)
}

fn cuts(bytes: &[u8], seed: u64) -> Vec<(&[u8], Option<bool>)> {
    let mut pieces = Vec::new();
    let (mut rest, mut state) = (bytes, seed | 1);
    while !rest.is_empty() {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let take = ((state >> 33) as usize % 9 + 1).min(rest.len());
        let (piece, more) = rest.split_at(take);
        pieces.push((piece, None));
        rest = more;
    }
    pieces
}

fn without_ws(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Every letter of the output that is in no event must be framing; words never are.
fn words_survive(output: &[u8], events: &[Event]) -> Result<(), String> {
    let mut all = String::new();
    for event in events {
        match event {
            Event::Text { text, .. } => all += text,
            Event::CallStart { name, id, .. } => {
                all += name;
                all += id.as_deref().unwrap_or_default();
            }
            Event::CallId { id, .. } => all += id,
            Event::Arguments { json, .. } => all += json,
            Event::Malformed { raw, .. } => all += raw,
            Event::CallEnd { .. } => {}
        }
        all.push('\u{1}');
    }
    let lossy = String::from_utf8_lossy(output);
    let count = |text: &str| text.matches("word").count();
    if count(&all) < count(&lossy) {
        return Err(format!("{} of {} words are left", count(&all), count(&lossy)));
    }
    Ok(())
}

/// Whether JSON that is put together here, not passed through, holds a key twice in one object.
fn repeats_a_key(json: &str) -> bool {
    struct Once(bool);
    impl<'de> serde::Deserialize<'de> for Once {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Visitor)
        }
    }
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Once;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a value")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
            let (mut keys, mut twice) = (std::collections::HashSet::new(), false);
            while let Some((key, value)) = map.next_entry::<String, Once>()? {
                twice |= value.0 | !keys.insert(key);
            }
            Ok(Once(twice))
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Once, A::Error> {
            let mut twice = false;
            while let Some(item) = seq.next_element::<Once>()? {
                twice |= item.0;
            }
            Ok(Once(twice))
        }
        fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_str<E>(self, _: &str) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_unit<E>(self) -> Result<Once, E> {
            Ok(Once(false))
        }
    }
    serde_json::from_str::<Once>(json).is_ok_and(|once| once.0)
}

#[test]
fn arguments_that_are_put_together_hold_no_key_twice() {
    assert!(repeats_a_key(r#"[{"a": {"b": 1, "b": 2}}]"#) && !repeats_a_key(r#"{"a": {"a": [1.5, null]}}"#));
    let parts: [(&str, &[&str]); 4] = [
        (
            "pairs",
            &[
                "<arg_key>city</arg_key>\n<arg_value>",
                "</arg_value>\n",
                "<arg_key>days</arg_key>",
                "x",
                "{'a': 1, 'a': 2}",
            ],
        ),
        ("pythonic", &["city=", "'x'", ", ", "{'city': ", "'city': 1", "}", "[", "]", "1"]),
        ("marked", &["{", "city:", "<|\"|>", ",", "}", "[", "]", "days:1,", "x"]),
        ("elements", &["]<]ns[>[<city>", "]<]ns[>[</city>", "]<]ns[>[<to>", "]<]ns[>[</to>", "x", "1"]),
    ];
    for (name, fragments) in parts {
        let program = Arc::new(Program::new(&synthetic::format(name)).unwrap());
        let start = match name {
            "pairs" => "<tool_call>get_weather\n",
            "pythonic" => "[get_weather(",
            "marked" => "<|tool_call>call:get_weather{",
            _ => "]<]ns[>[<tool_call>\n]<]ns[>[<invoke name=\"get_weather\">",
        };
        let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let strategy = (proptest::collection::vec(proptest::sample::select(fragments), 0..16), any::<u64>());
        let result = runner.run(&strategy, |(fragments, seed)| {
            let output = format!("{start}{}", fragments.concat());
            let whole =
                run(&mut *synthetic::open(&program), "", &[(output.as_bytes(), None)], FinishReason::Stop);
            let cut =
                run(&mut *synthetic::open(&program), "", &cuts(output.as_bytes(), seed), FinishReason::Stop);
            prop_assert_eq!(&cut, &whole, "{}: {}", name, output);
            let turn: toolglot_format::Turn = whole.into_iter().collect();
            let twice = turn.calls.iter().find(|call| repeats_a_key(&call.arguments));
            prop_assert!(twice.is_none(), "{}: {}\n{:?}", name, output, twice);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn any_cut_gives_the_same_events_and_nothing_is_lost() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    for target in targets() {
        let program = Arc::new(Program::new(&target.format).unwrap());
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let strategy = (output(&target.literals), any::<u64>(), any::<bool>());
        let result = runner.run(&strategy, |(fragments, seed, stop)| {
            let bytes = fragments.concat();
            let reason = if stop { FinishReason::Stop } else { FinishReason::Cut };
            let session = || synthetic::open(&program);
            let whole = run(&mut *session(), "", &[(&bytes, None)], reason);
            let single: Vec<_> = bytes.chunks(1).map(|byte| (byte, None)).collect();
            for pieces in [single, cuts(&bytes, seed)] {
                let cut = run(&mut *session(), "", &pieces, reason);
                prop_assert_eq!(&cut, &whole, "{}: {:?}", target.name, String::from_utf8_lossy(&bytes));
            }
            words_survive(&bytes, &whole).map_err(|why| {
                TestCaseError::fail(format!(
                    "{why}: {:?}\n{}",
                    String::from_utf8_lossy(&bytes),
                    show(whole.clone())
                ))
            })?;
            Ok(())
        });
        if let Err(error) = result {
            panic!("{}: {error}", target.name);
        }
    }
}

#[test]
fn special_tokens_in_any_cut() {
    for target in targets() {
        let program = Arc::new(Program::new(&target.format).unwrap());
        let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let special = |bytes: &[u8]| {
            target.format.framing().iter().any(|lit| lit.special && lit.text.as_bytes() == bytes)
        };
        let strategy = (output(&target.literals), any::<u64>(), 0..4usize);
        let result = runner.run(&strategy, |(fragments, seed, primed)| {
            let prime =
                String::from_utf8_lossy(&fragments.iter().take(primed).cloned().collect::<Vec<_>>().concat())
                    .into_owned();
            let tokens = || fragments.iter().skip(primed).filter(|bytes| !bytes.is_empty());
            let whole: Vec<(&[u8], Option<bool>)> =
                tokens().map(|bytes| (bytes.as_slice(), Some(special(bytes)))).collect();
            let cut: Vec<(&[u8], Option<bool>)> = tokens()
                .flat_map(|bytes| match special(bytes) {
                    true => vec![(bytes.as_slice(), Some(true))],
                    false => cuts(bytes, seed).into_iter().map(|(piece, _)| (piece, Some(false))).collect(),
                })
                .collect();
            let one = run(&mut *synthetic::open(&program), &prime, &whole, FinishReason::Stop);
            let other = run(&mut *synthetic::open(&program), &prime, &cut, FinishReason::Stop);
            prop_assert_eq!(&other, &one, "{} behind {:?}", target.name, prime);
            let bytes: Vec<u8> = tokens().flatten().copied().collect();
            words_survive(&bytes, &one).map_err(|why| {
                TestCaseError::fail(format!(
                    "{why}: {:?}\n{}",
                    String::from_utf8_lossy(&bytes),
                    show(one.clone())
                ))
            })?;
            Ok(())
        });
        if let Err(error) = result {
            panic!("{}: {error}", target.name);
        }
    }
}

#[test]
fn long_input_in_any_cut() {
    let registry = Registry::builtin().unwrap();
    let family = registry.get("hermes").unwrap();
    let program = Arc::new(Program::new(&family.manifest().format).unwrap());
    for pad in 4060..4100 {
        let text = format!(
            "{} \n<tool_call>\n{{\"name\": \"now\", \"arguments\": {{\"a\": \"é\\n\"}}}}\n</tool_call>",
            "x".repeat(pad)
        );
        let whole = run(&mut *synthetic::open(&program), "", &[(text.as_bytes(), None)], FinishReason::Stop);
        let cut = cuts(text.as_bytes(), pad as u64);
        let cut = run(&mut *synthetic::open(&program), "", &cut, FinishReason::Stop);
        assert_eq!(cut, whole);
        assert!(show(whole).ends_with("call now {\"a\": \"é\\n\"}\n"));
    }
}

#[test]
fn text_without_markers_is_content() {
    for target in targets() {
        let session = || synthetic::session(&target.format);
        let text = "Once there was 1 < 2, and (it) was \"good\"; naïve? \\ {x: 1} end.";
        let events = run(&mut *session(), "", &[(text.as_bytes(), None)], FinishReason::Stop);
        let got: String = events
            .iter()
            .map(|event| match event {
                Event::Text { text, .. } => text.clone(),
                other => panic!("{}: {other:?}", target.name),
            })
            .collect();
        assert_eq!(without_ws(&got), without_ws(text), "{}", target.name);
    }
}
