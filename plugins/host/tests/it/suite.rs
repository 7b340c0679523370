//! The suite of every family over its component: the same cases, the same snapshots.

use std::fmt::Write as _;

use toolglot_parsers::Family;
use toolglot_plugin_host::{PluginFamily, PluginHost, SessionWhere};
use toolglot_tests::{CaseFile, check, folder};

use crate::{components, config, prebuilt};

/// The failures of a family's own cases and of those whose format it shares.
fn failures(family: &PluginFamily) -> String {
    let id = &family.manifest().id;
    let own = folder::families().join(id);
    let file = CaseFile::read(&own).unwrap();
    let mut runs = vec![(file.clone(), own)];
    if let Some(other) = &file.same_as {
        let other = folder::families().join(other);
        runs.push((CaseFile::read(&other).unwrap(), other));
    }
    let mut report = String::new();
    for (file, folder) in runs {
        for failure in check(family, &file, &folder) {
            let _ = writeln!(report, "== {id} {}\n{}", failure.case, failure.why);
        }
    }
    report
}

#[test]
fn every_case_of_every_component() {
    let host = PluginHost::new(config()).unwrap();
    let components = components(&host);
    assert!(components.len() >= 5, "{components:?}");
    let report: String = components.iter().map(|family| failures(family)).collect();
    assert!(report.is_empty(), "{report}");
}

#[test]
fn every_case_of_a_component_that_parses_in_the_guest() {
    let mut guest = config();
    guest.sessions = SessionWhere::Guest;
    let host = PluginHost::new(guest).unwrap();
    let report = failures(&host.load_bytes("harmony.wasm", &prebuilt("harmony")).unwrap());
    assert!(report.is_empty(), "{report}");
}
