//! The host against packed families, the prebuilt fixtures, and everything a plugin can do wrong.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod describe;
mod families;
mod hostile;
mod shared;
mod suite;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use toolglot_format::{Event, FinishReason, MalformedReason, Piece, Plan};
use toolglot_parsers::{Family, FamilyError, Session, SessionOptions};
use toolglot_plugin_host::{HostConfig, PluginError, PluginFamily, PluginHost};

/// One host for all tests that need no limits of their own.
static HOST: LazyLock<PluginHost> = LazyLock::new(|| PluginHost::new(config()).unwrap());

/// Patient, since tests run beside each other, and with compiled code kept between runs.
fn config() -> HostConfig {
    let mut config = HostConfig::default();
    config.cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache"));
    config.wait = std::time::Duration::from_secs(60);
    config
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A component of `plugins/fixtures/prebuilt`.
fn prebuilt(name: &str) -> Vec<u8> {
    let path = root().join("plugins/fixtures/prebuilt").join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The component with every `from` replaced by a `to` of the same length.
fn patched(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "the component does not hold {from:?}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

/// A plan with tools of these names.
fn plan(names: &[&str]) -> Plan {
    let tools: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    Plan::from_openai(&Value::Array(tools), &Value::Null, true).unwrap()
}

fn open(family: &dyn Family, plan: &Plan) -> Box<dyn Session> {
    family.session(plan, SessionOptions::default()).unwrap()
}

/// The events of an output that comes in these pieces, and the failure.
fn run(session: &mut dyn Session, pieces: &[&[u8]]) -> (Vec<Event>, Option<PluginError>) {
    let mut events = Vec::new();
    for bytes in pieces {
        session.feed(&[Piece { bytes, special: None }], &mut events);
    }
    session.finish(FinishReason::Stop, &mut events);
    let failure = session.failure().map(|error| error.to_string());
    assert_eq!(
        failure.is_some(),
        events
            .iter()
            .any(|event| matches!(event, Event::Malformed { reason: MalformedReason::PluginFailed, .. })),
        "a failure is told once in the events and can be asked for"
    );
    let error = session.failure().and_then(|error| {
        let error: &(dyn std::error::Error + 'static) = error;
        error.downcast_ref::<PluginError>().cloned()
    });
    (events, error)
}

/// A component of every built-in family: packed, or prebuilt where the family has code.
fn components(host: &PluginHost) -> Vec<Arc<PluginFamily>> {
    let fixtures = root().join("plugins/fixtures/prebuilt");
    let all = toolglot_plugin_pack::components(&root().join("parsers/families"), &fixtures).unwrap();
    all.iter().map(|(id, bytes)| host.load_bytes(&format!("{id}.wasm"), bytes).unwrap()).collect()
}

/// The plugin's error behind a family's.
fn plugin_error<T>(result: Result<T, FamilyError>) -> PluginError {
    match result.err().expect("the plugin was not refused") {
        FamilyError::Code { source, .. } => *source.downcast::<PluginError>().unwrap(),
        error => panic!("not a plugin's error: {error}"),
    }
}
