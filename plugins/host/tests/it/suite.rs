//! The suite of every family over its component: the same cases, the same corpus, the same snapshots, the same
//! laws.

use std::collections::BTreeMap;
use std::sync::Arc;

use toolglot_parsers::{Family, Registry};
use toolglot_plugin_host::{PluginFamily, PluginHost, SessionWhere};
use toolglot_workbench::laws::Samples;
use toolglot_workbench::{Bench, Checks};

use crate::{components, config, prebuilt, root};

/// What is wrong with the components, held to what the built-in families are held to. Sessions in a guest are
/// slow, so the laws take few samples.
fn findings(components: Vec<Arc<PluginFamily>>) -> String {
    let mut registry = Registry::builtin().unwrap();
    let mut ids = Vec::new();
    for family in components {
        ids.push(family.manifest().id.clone());
        registry.replace(family).unwrap();
    }
    let home = |id: &String| (id.clone(), root().join("parsers/families").join(id));
    let homes: BTreeMap<_, _> = registry.iter().map(|family| home(&family.manifest().id)).collect();
    let samples = Samples { count: Some(12), ..Samples::default() };
    let reports = Bench::new(registry, homes).unwrap().check(&ids, &Checks { samples, ..Checks::default() });
    assert_eq!(reports.len(), ids.len());
    reports.iter().flat_map(|report| &report.findings).map(ToString::to_string).collect()
}

#[test]
fn every_component_is_as_its_family() {
    let host = PluginHost::new(config()).unwrap();
    let components = components(&host);
    assert!(components.len() >= 5, "{components:?}");
    let found = findings(components);
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_component_that_parses_in_the_guest_is_as_its_family() {
    let mut guest = config();
    guest.sessions = SessionWhere::Guest;
    let host = PluginHost::new(guest).unwrap();
    let found = findings(vec![host.load_bytes("harmony.wasm", &prebuilt("harmony")).unwrap()]);
    assert!(found.is_empty(), "{found}");
}
