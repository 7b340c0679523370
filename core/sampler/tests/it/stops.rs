//! Stop rules, against a reference that sees the whole output at once.

use proptest::prelude::*;
use toolglot_sampler::{
    FinishReason, Pieces, Repetition, RepetitionDetection, StopConfig, StopConfigError, StopWatch,
};

fn config(strings: &[&str]) -> StopConfig {
    StopConfig {
        stop_strings: strings.iter().map(|s| s.as_bytes().to_vec()).collect(),
        ..StopConfig::default()
    }
}

/// Feeds tokens (id = index) and returns the output, the reason and what stayed held back.
fn run(config: StopConfig, tokens: &[&[u8]]) -> (Vec<u8>, Option<FinishReason>) {
    let mut watch = StopWatch::new(config).unwrap();
    let mut out = Pieces::default();
    for (id, bytes) in tokens.iter().enumerate() {
        if watch.push(id as u32, bytes, false, &mut out).is_some() {
            break;
        }
    }
    (out.bytes, watch.finished())
}

/// The first stop string to be completed, the longest of those that end there: index, start, end.
fn reference(text: &[u8], strings: &[Vec<u8>]) -> Option<(usize, usize, usize)> {
    (1..=text.len()).find_map(|end| {
        let ending = strings.iter().enumerate().filter(|(_, s)| text[..end].ends_with(s));
        ending.max_by_key(|(index, s)| (s.len(), usize::MAX - index)).map(|(i, s)| (i, end - s.len(), end))
    })
}

fn held(text: &[u8], strings: &[Vec<u8>]) -> usize {
    let prefixes = strings.iter().flat_map(|s| (1..s.len()).map(move |n| &s[..n]));
    prefixes.filter(|p| text.ends_with(p)).map(<[u8]>::len).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same_output(
        text in "[ab]{0,40}",
        strings in prop::collection::vec("[ab]{1,6}", 1..5),
        cuts in prop::collection::vec(0usize..6, 1..50),
        include in any::<bool>(),
    ) {
        let strings: Vec<Vec<u8>> = strings.into_iter().map(String::into_bytes).collect();
        let config = StopConfig { stop_strings: strings.clone(), include_stop: include, ..StopConfig::default() };
        let mut watch = StopWatch::new(config).unwrap();
        let mut out = Pieces::default();
        let text = text.as_bytes();
        let mut at = 0;
        let mut lengths = cuts.iter().cycle().enumerate();
        while at < text.len() {
            let (id, &len) = lengths.next().unwrap();
            // A round of empty tokens would never end.
            let len = if id > 200 { 1 } else { len }.min(text.len() - at);
            let reason = watch.push(id as u32, &text[at..at + len], false, &mut out);
            at += len;
            if reason.is_some() {
                break;
            }
            prop_assert_eq!(&out.bytes[..], &text[..at - held(&text[..at], &strings)]);
        }
        match reference(text, &strings) {
            Some((index, start, end)) => {
                prop_assert_eq!(watch.finished(), Some(FinishReason::StopString { index }));
                prop_assert_eq!(&out.bytes[..], &text[..if include { end } else { start }]);
            }
            None => {
                prop_assert_eq!(watch.finish(FinishReason::Cancelled, &mut out), FinishReason::Cancelled);
                prop_assert_eq!(&out.bytes[..], text);
            }
        }
        let mut end = 0;
        for (span, _) in out.iter() {
            prop_assert_eq!(span.range.start, end);
            end = span.range.end;
        }
        prop_assert_eq!(end, out.bytes.len());
    }

    #[test]
    fn repetition_matches_the_definition(
        tokens in prop::collection::vec(0u32..3, 0..60),
        min in 1usize..4, more in 0usize..5, min_count in 2usize..5,
    ) {
        let rule = RepetitionDetection { min_pattern_size: min, max_pattern_size: min + more, min_count };
        let mut watch =
            StopWatch::new(StopConfig { repetition: Some(rule), ..StopConfig::default() }).unwrap();
        for end in 1..=tokens.len() {
            let seen = &tokens[..end];
            let reason = watch.push(seen[end - 1], b"", false, &mut Pieces::default());
            let expected = (min..=min + more).find(|&p| {
                let len = p * min_count;
                end >= len && seen[end - len..].iter().zip(&seen[end - len + p..]).all(|(a, b)| a == b)
            });
            match (reason, expected) {
                (None, None) => {}
                (Some(FinishReason::Repetition(found)), Some(p)) => {
                    prop_assert_eq!(found, Repetition { pattern_size: p, count: min_count });
                    return Ok(());
                }
                other => prop_assert!(false, "{:?} after {:?}", other, seen),
            }
        }
    }
}

#[test]
fn a_stop_string_across_tokens_is_cut_or_kept() {
    let tokens: [&[u8]; 4] = [b"one <", b"/to", b"ol> two", b"three"];
    let found = Some(FinishReason::StopString { index: 1 });
    assert_eq!(run(config(&["zzz", "</tool>"]), &tokens), (b"one ".to_vec(), found));
    let with = StopConfig { include_stop: true, ..config(&["zzz", "</tool>"]) };
    assert_eq!(run(with, &tokens), (b"one </tool>".to_vec(), found));
}

#[test]
fn a_stop_string_may_cut_a_character() {
    // The three bytes of one character, a token each.
    let tokens: [&[u8]; 3] = [b"\xe2", b"\x82", b"\xac!"];
    assert_eq!(run(config(&["\u{20ac}"]), &tokens).0, b"");
    let (out, reason) = run(config(&["\u{20ad}"]), &tokens);
    assert_eq!((out, reason), ("\u{20ac}!".as_bytes().to_vec(), None));
}

#[test]
fn each_rule_has_its_own_reason() {
    let base = StopConfig { eos: vec![7], stop_ids: vec![8], max_tokens: Some(3), ..config(&["stop"]) };
    let first = |tokens: &[(u32, &str)], include_stop| {
        let mut watch = StopWatch::new(StopConfig { include_stop, ..base.clone() }).unwrap();
        let mut out = Pieces::default();
        let reason =
            tokens.iter().find_map(|(id, text)| watch.push(*id, text.as_bytes(), *id == 7, &mut out));
        (reason, String::from_utf8(out.bytes).unwrap(), watch.tokens())
    };
    assert_eq!(first(&[(1, "a"), (7, "<end>")], false), (Some(FinishReason::Eos { id: 7 }), "a".into(), 2));
    assert_eq!(
        first(&[(1, "a"), (7, "<end>")], true),
        (Some(FinishReason::Eos { id: 7 }), "a<end>".into(), 2)
    );
    assert_eq!(first(&[(8, "b")], false), (Some(FinishReason::StopId { id: 8 }), String::new(), 1));
    let limit = (Some(FinishReason::MaxTokens), "aas".into(), 3);
    assert_eq!(
        first(&[(1, "a"), (1, "a"), (1, "s"), (1, "top")], false),
        limit,
        "held text comes out at the end"
    );
    assert_eq!(
        first(&[(1, "a"), (1, "a"), (7, "x")], false).0,
        Some(FinishReason::Eos { id: 7 }),
        "before the limit"
    );
    assert_eq!(first(&[(1, "a")], false), (None, "a".into(), 1));
}

#[test]
fn the_first_reason_stands() {
    let mut watch = StopWatch::new(config(&["ab"])).unwrap();
    let mut out = Pieces::default();
    assert_eq!(watch.push(1, b"xa", false, &mut out), None);
    assert_eq!(out.bytes, b"x");
    assert_eq!(watch.finish(FinishReason::ToolCall, &mut out), FinishReason::ToolCall);
    assert_eq!(out.bytes, b"xa");
    assert_eq!(watch.finish(FinishReason::Cancelled, &mut out), FinishReason::ToolCall);
    assert_eq!(watch.push(2, b"b", false, &mut out), Some(FinishReason::ToolCall));
    assert_eq!(out.bytes, b"xa");
}

#[test]
fn special_tokens_come_whole() {
    let mut watch = StopWatch::new(config(&[">>stop"])).unwrap();
    let mut out = Pieces::default();
    watch.push(1, b"hi", false, &mut out);
    watch.push(9, b"<|end|>", true, &mut out);
    assert_eq!(out.bytes, b"hi", "its last byte may begin a stop string, so all of it waits");
    watch.push(2, b" and", false, &mut out);
    let spans: Vec<_> = out.iter().map(|(s, bytes)| (s.id, s.special, bytes.to_vec())).collect();
    assert_eq!(
        spans,
        [(1, false, b"hi".to_vec()), (9, true, b"<|end|>".to_vec()), (2, false, b" and".to_vec())]
    );
}

#[test]
fn senseless_rules_are_refused() {
    let repetition = |min, max, count| {
        let rule = RepetitionDetection { min_pattern_size: min, max_pattern_size: max, min_count: count };
        StopWatch::new(StopConfig { repetition: Some(rule), ..StopConfig::default() }).err()
    };
    assert!(repetition(0, 4, 2).is_some() && repetition(5, 4, 2).is_some() && repetition(1, 4, 1).is_some());
    assert!(repetition(1, usize::MAX, 2).is_some());
    assert_eq!(repetition(1, 1024, usize::MAX), None);
    assert_eq!(repetition(1, 4, 2), None);
    let long = "x".repeat(5000);
    assert_eq!(
        StopWatch::new(config(&[&long])).err(),
        Some(StopConfigError::StopStringsTooLong { bytes: 5000 })
    );
    assert_eq!(StopWatch::new(config(&["a", ""])).err(), Some(StopConfigError::EmptyStopString { index: 1 }));
    let none = StopConfig { max_tokens: Some(0), ..StopConfig::default() };
    assert_eq!(StopWatch::new(none).err(), Some(StopConfigError::NoTokens));
}
