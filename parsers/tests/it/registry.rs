//! The registry: ids, aliases, detection.

use std::sync::Arc;

use toolglot_format::{Manifest, Plan};
use toolglot_parsers::{DataFamily, Family, FamilyError, Registry, RegistryError, SessionOptions};

fn family(id: &str, more: &str) -> Arc<dyn Family> {
    let source = format!(
        "id = {id:?}\ntitle = \"A test family\"\n{more}\n[turn]\nopen = \"<a>\"\n[format.text]\nchannel = \"content\"\n"
    );
    Arc::new(DataFamily::new(Manifest::from_toml(&source, id).unwrap(), None, None))
}

#[test]
fn every_built_in_family_opens_a_session() {
    let registry = Registry::builtin().unwrap();
    assert!(registry.iter().count() >= 5);
    for family in registry.iter() {
        let session = family.session(&Plan::default(), SessionOptions::default());
        assert!(session.is_ok(), "{}", family.manifest().id);
    }
    let qwen = registry.get("qwen3").unwrap();
    assert_eq!(qwen.manifest().format, registry.get("hermes").unwrap().manifest().format);
}

#[test]
fn an_id_has_one_owner() {
    let mut registry = Registry::empty();
    registry.add(family("a", "")).unwrap();
    registry.add(family("b", "aliases = [\"bee\"]")).unwrap();
    let error = registry.add(family("bee", "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "family `bee`: `bee` already names family `b`; rename one or leave one out"
    );
    assert_eq!(registry.get("bee").unwrap().manifest().id, "b");
    let old = registry.replace(family("a", "[stops]\nstrings = [\"x\"]")).unwrap();
    assert!(old.unwrap().manifest().stops.strings.is_empty());
    assert_eq!(registry.get("a").unwrap().manifest().stops.strings, ["x"]);
    let refused = registry.replace(family("a", "aliases = [\"bee\"]"));
    assert!(matches!(refused, Err(RegistryError::Taken { .. })));
    assert_eq!(registry.iter().map(|family| family.manifest().id.clone()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn names_are_found_however_they_are_spelled() {
    let mut registry = Registry::empty();
    registry.add(family("deep_v3", "aliases = [\"deep-v3.1\"]")).unwrap();
    registry.add(family("deepv31", "")).unwrap();
    registry.add(family("other2", "")).unwrap();
    let id = |name: &str| registry.get(name).map(|family| family.manifest().id.clone());
    assert_eq!(id("Deep-V3").as_deref(), Some("deep_v3"));
    assert_eq!(id("OTHER 2").as_deref(), Some("other2"));
    assert_eq!(id("deep-v3.1").as_deref(), Some("deep_v3"), "an alias comes first");
    assert_eq!(id("deep_v3_1"), None, "two are alike");
    assert_eq!(id("--"), None);
}

#[test]
fn detection_scores_and_refuses_to_guess() {
    let mut registry = Registry::empty();
    registry.add(family("a", "[detect]\ntemplate = [\"<x>\"]\ntokens = [\"<t>\"]")).unwrap();
    registry
        .add(family("b", "[detect]\ntemplate = [\"<x>\"]\nwithout = [\"<y>\"]\nhints = [\"h\"]"))
        .unwrap();
    registry.add(family("c", "[detect]\ntemplate = [\"<x>\"]\nany = [\"<v>\", \"<w>\"]")).unwrap();
    let none = |_: &str| false;
    let error = registry.detect(Some("<x>"), &none).unwrap_err();
    assert_eq!(error.to_string(), "families `a` and `b` fit this model equally well; name one");
    let id = |template: &str, tokens: &dyn Fn(&str) -> bool| {
        registry.detect(Some(template), tokens).unwrap().map(|found| found.family.manifest().id.clone())
    };
    assert_eq!(id("<x> h", &none).as_deref(), Some("b"));
    assert_eq!(id("<x> <y> h", &none).as_deref(), Some("a"));
    assert_eq!(id("<x> h", &|token| token == "<t>").as_deref(), Some("a"));
    assert_eq!(id("<x> <w>", &none).as_deref(), Some("c"));
    assert_eq!(id("<x> <v> <w> h", &none).as_deref(), Some("c"));
    assert_eq!(id("no tools here", &|_| true), None);
}

#[test]
fn plugin_code_is_asked_for_where_the_format_needs_it() {
    let source = "id = \"e\"\ntitle = \"E\"\nturn.open = \"<a>\"\nformat.extern = {}\n";
    let family = DataFamily::new(Manifest::from_toml(source, "e").unwrap(), None, None);
    let session = family.session(&Plan::default(), SessionOptions::default());
    assert!(matches!(session.err(), Some(FamilyError::Extern { .. })));
}
