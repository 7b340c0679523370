//! A plugin that fails while it works: each failure is told as what it is, and no output is lost.

use toolglot_format::{Event, FinishReason, MalformedReason, Piece};
use toolglot_parsers::{Family, SessionOptions};
use toolglot_plugin_host::{PluginError, PluginHost};

use crate::{HOST, config, open, plan, plugin_error, prebuilt, run};

fn hostile() -> std::sync::Arc<toolglot_plugin_host::PluginFamily> {
    use std::sync::{Arc, OnceLock};
    static FAMILY: OnceLock<Arc<toolglot_plugin_host::PluginFamily>> = OnceLock::new();
    FAMILY.get_or_init(|| HOST.load_bytes("hostile.wasm", &prebuilt("hostile")).unwrap()).clone()
}

/// What the events hold of the output, in order. The guest repeats all output as content.
fn told(events: &[Event]) -> String {
    let parts = events.iter().map(|event| match event {
        Event::Text { text, .. } => text.as_str(),
        Event::Malformed { reason: MalformedReason::PluginFailed, raw, .. } => raw,
        _ => "",
    });
    parts.collect()
}

/// Spans and bytes of what is malformed.
fn malformed(events: &[Event]) -> Vec<(std::ops::Range<u64>, &str)> {
    let spans = events.iter().filter_map(|event| match event {
        Event::Malformed { span, raw, .. } => Some((span.clone(), raw.as_str())),
        _ => None,
    });
    spans.collect()
}

fn check(error: &PluginError, kind: &str, call: &str) {
    let got = match error {
        PluginError::Trapped { call, .. } => ("trapped", *call),
        PluginError::TimedOut { call, .. } => ("timed out", *call),
        PluginError::OutOfMemory { call, .. } => ("out of memory", *call),
        PluginError::Nonsense { call, .. } => ("nonsense", *call),
        PluginError::Refused { call, .. } => ("refused", *call),
        other => panic!("{other}"),
    };
    assert_eq!(got, (kind, call), "{error}");
}

const FAILURES: [(&str, &str); 5] = [
    ("trap", "trapped"),
    ("silent-trap", "trapped"),
    ("overflow", "trapped"),
    ("loop", "timed out"),
    ("eat", "out of memory"),
];

#[test]
fn a_plugin_that_behaves_loses_nothing() {
    let family = hostile();
    let mut session = open(&*family, &plan(&[]));
    let (events, failure) = run(&mut *session, &["Smørre".as_bytes(), b"br", "ød".as_bytes()]);
    assert!(failure.is_none());
    assert_eq!(told(&events), "Smørrebrød");
}

#[test]
fn failures_before_the_session_are_errors_of_the_call() {
    let family = hostile();
    for (word, kind) in FAILURES {
        let error = plugin_error(family.format(&plan(&[&format!("lower:{word}")])));
        check(&error, kind, "lower");
        let error =
            plugin_error(family.session(&plan(&[&format!("open:{word}")]), SessionOptions::default()));
        check(&error, kind, "session.open");
    }
    for (word, what) in [("nonsense", "EOF"), ("unknown", "frob"), ("invalid", "a literal is empty")] {
        let error = plugin_error(family.format(&plan(&[&format!("lower:{word}")])));
        check(&error, "nonsense", "lower");
        assert!(error.to_string().contains(what), "{error}");
    }
    for tool in ["lower:refuse", "open:refuse"] {
        let error = plugin_error(family.session(&plan(&[tool]), SessionOptions::default()));
        assert!(matches!(error, PluginError::Refused { .. }), "{error}");
    }
    // None of it reaches the next session.
    let mut session = open(&*family, &plan(&[]));
    assert_eq!(told(&run(&mut *session, &[b"fine"]).0), "fine");
}

#[test]
fn failures_in_the_session_lose_no_output() {
    let family = hostile();
    for (word, kind) in FAILURES {
        // While it reads: the last byte before the failure was held back by the guest.
        let bang = format!("!{word}");
        let mut session = open(&*family, &plan(&[]));
        let pieces: [&[u8]; 5] =
            [b"Hello ", "wörld".as_bytes(), bang.as_bytes(), b" and\xe2\x82", b"\xac on"];
        let (events, failure) = run(&mut *session, &pieces);
        check(&failure.unwrap(), kind, "session.feed");
        assert_eq!(told(&events), format!("Hello wörld!{word} and€ on"));
        assert_eq!(malformed(&events), [(11..12, "d")], "what the guest held back is in the malformed event");

        // While it is primed: all output is content.
        let mut session = open(&*family, &plan(&[&format!("prime:{word}")]));
        session.prime(b"<think>");
        let (events, failure) = run(&mut *session, &[b"a", b"b"]);
        check(&failure.unwrap(), kind, "session.prime");
        assert_eq!(told(&events), "ab");

        // At the end: what it held back is in the malformed event.
        let mut session = open(&*family, &plan(&[&format!("finish:{word}")]));
        let (events, failure) = run(&mut *session, &[b"abc"]);
        check(&failure.unwrap(), kind, "session.finish");
        assert_eq!(told(&events), "abc");
    }
}

#[test]
fn output_is_kept_for_a_plugin_that_waits() {
    let family = hostile();
    let mut session = open(&*family, &plan(&["feed:wait"]));
    let mut events = Vec::new();
    let mut feed = |bytes: &[u8], special| {
        session.feed(&[Piece { bytes, special }], &mut events);
        told(&events)
    };
    assert_eq!(feed(b"ab", None), "a", "until it has said that it waits, it gets all output at once");
    assert_eq!(feed(b"c", None), "a");
    assert_eq!(feed(b"de", None), "a");
    assert_eq!(feed(b"f!g", None), "abcdef!", "what it waits for comes with all that was kept");
    assert_eq!(feed(b"hi", None), "abcdef!");
    assert_eq!(feed(b"jk", Some(false)), "abcdef!gh", "tokens of another kind are another piece");
    assert_eq!(feed(b"<x>", Some(true)), "abcdef!ghijk<x", "special tokens are handed over at once");
    assert_eq!(feed(b"l", None), "abcdef!ghijk<x");
    session.finish(FinishReason::Stop, &mut events);
    assert!(session.failure().is_none(), "{:?}", session.failure());
    assert_eq!(told(&events), "abcdef!ghijk<x>l");

    // What was kept when the plugin fails was in the call that failed.
    let mut session = open(&*family, &plan(&["feed:wait"]));
    let (events, failure) = run(&mut *session, &[b"ab", b"c", b"d", b"e!trap", b"f"]);
    check(&failure.unwrap(), "trapped", "session.feed");
    assert_eq!(told(&events), "abcde!trapf");
    assert_eq!(malformed(&events), [(1..2, "b")]);
}

#[test]
fn events_that_make_no_sense_are_refused() {
    let family = hostile();
    for (word, what) in [
        ("index", "starts with index 3, expected 0"),
        ("known", "known = true of tool `nobody`"),
        ("invented", "not in the output"),
        ("empty", "is empty"),
        ("orphan", "call 0, which is not open"),
        ("span", "the span 5..1099511627776"),
        ("channel", "unknown channel `aside`"),
        ("extension", "unknown kind of event"),
        ("many", "fuel"),
        ("more", "takes 4294967295 bytes of a text that has 1 left"),
        ("less", "4 bytes of text belong to no event"),
        ("middle", "inside a code point"),
        ("utf8", "utf-8"),
    ] {
        let bang = format!("!{word}");
        let mut session = open(&*family, &plan(&["f"]));
        let (events, failure) = run(&mut *session, &[b"Hello", bang.as_bytes(), b" more"]);
        let error = failure.unwrap();
        check(&error, "nonsense", "session.feed");
        assert!(error.to_string().to_lowercase().contains(what), "{word}: {error}");
        assert_eq!(told(&events), format!("Hello!{word} more"));
    }
}

#[test]
fn memory_is_capped_where_the_host_says() {
    let mut small = config();
    small.memory = 2 << 20;
    let host = PluginHost::new(small).unwrap();
    let family = host.load_bytes("hostile.wasm", &prebuilt("hostile")).unwrap();
    let error = plugin_error(family.format(&plan(&["lower:eat"])));
    let PluginError::OutOfMemory { wanted, limit, .. } = error else { panic!("{error}") };
    assert!(limit == 2 << 20 && wanted > limit && wanted < 8 << 20, "{wanted}");
}
