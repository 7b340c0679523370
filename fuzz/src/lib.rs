//! Fuzz targets as plain functions: each takes bytes and panics when a promise is broken.
//!
//! `fuzz/libfuzzer` runs them under libFuzzer; `tests/replay.rs` runs them over the findings and over
//! generated inputs in every test run. [`TARGETS`] is the list.

mod grammars;

pub use grammars::{gbnf, lark, regex, request, structural_tag};

use std::sync::OnceLock;

use toolglot_format::{Event, FinishReason, Manifest, Piece, Plan, Turn};
use toolglot_parsers::{Registry, SessionOptions};
use toolglot_plugin_host::{HostConfig, PluginHost};
use toolglot_schema::{Options, Schema};

/// A target's name and function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("parser", parser),
    ("manifest", manifest),
    ("schema", schema),
    ("component", component),
    ("regex", regex),
    ("gbnf", gbnf),
    ("lark", lark),
    ("structural_tag", structural_tag),
    ("request", request),
];

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    #[expect(clippy::expect_used, reason = "a built-in family that cannot be read is a finding")]
    REGISTRY.get_or_init(|| Registry::builtin().expect("the built-in families"))
}

/// Any output in any cut, through every family: no panic, and the cut does not change the turn.
///
/// The first byte picks the family, the second the width of the pieces, the rest is the output.
pub fn parser(data: &[u8]) {
    let [pick, width, output @ ..] = data else { return };
    let families: Vec<_> = registry().iter().collect();
    let family = families[usize::from(*pick) % families.len()];
    let tools = serde_json::json!([{"name": "f", "parameters": {
        "properties": {"s": {"type": "string"}, "n": {"type": "integer"}, "o": {"type": "object"}},
    }}]);
    let Ok(plan) = Plan::from_openai(&tools, &serde_json::Value::Null, true) else { return };
    let turn = |width: usize| -> Turn {
        #[expect(clippy::expect_used, reason = "a family that refuses this plan is a finding")]
        let mut session = family.session(&plan, SessionOptions::default()).expect("a session");
        let mut events: Vec<Event> = Vec::new();
        for bytes in output.chunks(width.max(1)) {
            session.feed(&[Piece { bytes, special: None }], &mut events);
        }
        session.finish(FinishReason::Cut, &mut events);
        events.into_iter().collect()
    };
    assert_eq!(turn(usize::from(*width)), turn(output.len()), "the cut changed the turn");
}

/// Any text as `family.toml`: an error or a manifest, and a manifest survives JSON.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(manifest) = Manifest::from_toml(text, "fuzz") else { return };
    #[expect(clippy::expect_used, reason = "a manifest that cannot be written is a finding")]
    let json = serde_json::to_string(&manifest).expect("a manifest is JSON");
    assert_eq!(serde_json::from_str::<Manifest>(&json).ok(), Some(manifest));
}

/// Any JSON as a schema: an error or a graph that can judge values, both within the work limits.
///
/// Two documents, split by a zero byte: the schema and a value.
pub fn schema(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let mut next = || serde_json::from_slice(parts.next().unwrap_or_default());
    let Ok(document) = next() else { return };
    let value = next().unwrap_or(serde_json::Value::Null);
    for lenient in [false, true] {
        let options = Options { lenient, ..Options::default() };
        if let Ok(schema) = Schema::compile(&document, &options) {
            schema.accepts(&value);
        }
    }
}

/// Any bytes as a component, and a real component with a byte changed: an error or a family, never a crash.
///
/// The first three bytes say where the packed component is damaged and how; the rest is loaded as it is.
pub fn component(data: &[u8]) {
    static STATE: OnceLock<(PluginHost, Vec<u8>)> = OnceLock::new();
    let (host, packed) = STATE.get_or_init(|| {
        #[expect(clippy::expect_used, reason = "a host that cannot start is a finding")]
        let host = PluginHost::new(HostConfig::default()).expect("a plugin host");
        let family = registry().get("hermes").map(|family| family.manifest().clone());
        let packed = family.and_then(|manifest| toolglot_plugin_pack::pack_manifest(&manifest, None).ok());
        (host, packed.unwrap_or_default())
    });
    let [high, low, value, rest @ ..] = data else { return };
    let mut damaged = packed.clone();
    if !damaged.is_empty() {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % damaged.len();
        damaged[at] = *value;
    }
    for bytes in [damaged.as_slice(), rest] {
        if let Ok(family) = host.load_bytes("fuzz", bytes) {
            use toolglot_parsers::Family;
            // Whatever it says of itself, it must be usable or refuse.
            let _ = family.session(&Plan::default(), SessionOptions::default());
        }
    }
}
