//! Every family's cases, over the compiled-in families.

use std::fmt::Write as _;

use toolglot_parsers::Registry;
use toolglot_tests::{CaseFile, Category, check, folder};

#[test]
fn every_case_of_every_family() {
    let registry = Registry::builtin().unwrap();
    let mut report = String::new();
    for id in folder::ids().unwrap() {
        let family = registry.get(&id).unwrap_or_else(|| panic!("folder `{id}` is no family"));
        let own = folder::families().join(&id);
        let file = CaseFile::read(&own).unwrap();
        let mut runs = vec![(file.clone(), own)];
        if let Some(other) = &file.same_as {
            let other = folder::families().join(other);
            runs.push((CaseFile::read(&other).unwrap(), other));
        }
        for (file, folder) in runs {
            for failure in check(family.as_ref(), &file, &folder) {
                let _ = writeln!(report, "== {id} {}\n{}", failure.case, failure.why);
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn every_family_has_many_cases_in_every_category() {
    for id in folder::ids().unwrap() {
        let file = CaseFile::read(&folder::families().join(&id)).unwrap();
        let enough = if file.same_as.is_some() { 1 } else { 25 };
        assert!(file.cases.len() >= enough, "{id}: {} cases", file.cases.len());
        let waived = file.not_applicable.len() + file.known_broken.len();
        assert!(waived * 5 <= Category::ALL.len(), "{id} waives {waived} categories");
    }
}

#[test]
fn snapshots_belong_to_cases() {
    for id in folder::ids().unwrap() {
        let own = folder::families().join(&id);
        let file = CaseFile::read(&own).unwrap();
        for entry in std::fs::read_dir(own.join("snapshots")).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            let name = name.strip_suffix(".snap").unwrap_or_else(|| panic!("{id}: {name} is no snapshot"));
            assert!(
                file.cases.iter().any(|case| case.name == name),
                "{id}: no case `{name}`; remove the snapshot"
            );
        }
    }
}
