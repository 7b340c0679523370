//! Every compiled-in family on the workbench.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use toolglot_format::Manifest;
use toolglot_parsers::{DataFamily, Registry};
use toolglot_tests::folder;
use toolglot_workbench::laws::{LAWS, Samples};
use toolglot_workbench::{Bench, Check, Checks, FamilyReport};

const NOTHING: fn() -> Checks =
    || Checks { cases: false, snapshots: false, laws: false, detection: false, ..Checks::default() };

/// Cases, corpus and snapshots, which two tests look at.
static CASES: LazyLock<Vec<FamilyReport>> =
    LazyLock::new(|| check(Checks { cases: true, snapshots: true, ..NOTHING() }));

/// Checks every family that has a folder.
fn check(checks: Checks) -> Vec<FamilyReport> {
    let ids = folder::ids().unwrap();
    let homes: BTreeMap<_, _> = ids.iter().map(|id| (id.clone(), folder::families().join(id))).collect();
    let bench = Bench::new(Registry::builtin().unwrap(), homes).unwrap();
    let reports = bench.check(&ids, &checks);
    let checked: Vec<&str> = reports.iter().map(|report| report.id.as_str()).collect();
    assert_eq!(checked, ids, "each folder is a compiled-in family");
    reports
}

/// Fails with all that is wrong but for `besides`.
fn assert_good(reports: &[FamilyReport], besides: &[Check]) {
    let mut wrong = String::new();
    let findings = reports.iter().flat_map(|report| &report.findings);
    for finding in findings.filter(|finding| !besides.contains(&finding.check)) {
        let _ = writeln!(wrong, "{finding}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn cases_and_corpus_mean_what_they_say() {
    assert_good(&CASES, &[Check::Snapshot]);
    for report in CASES.iter() {
        println!("{}: {} corpus cases, not {:?}", report.id, report.corpus_passed, report.not_applicable);
        assert!(report.corpus_passed > 15, "{}: only {} corpus cases", report.id, report.corpus_passed);
    }
}

/// `INSTA_UPDATE=always cargo test -p toolglot-tests` and `cargo insta review` accept what has changed, as
/// `toolglot test DIR --accept` does.
#[test]
fn snapshots_are_what_was_accepted() {
    let mut wrong = Vec::new();
    for report in CASES.iter() {
        wrong.extend(report.strays.iter().map(|stray| format!("{} belongs to nothing", stray.display())));
        let (kept, needless): (Vec<_>, Vec<_>) =
            report.records.iter().partition(|(_, record)| !record.is_empty());
        let left_over = needless.into_iter().map(|(snapshot, _)| snapshot.path());
        let left_over = left_over.filter(|path| path.exists());
        wrong.extend(left_over.map(|path| format!("{} is not needed", path.display())));
        for (snapshot, record) in kept {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(snapshot.path().parent().unwrap());
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            let name = snapshot.path().file_stem().unwrap().to_string_lossy().into_owned();
            // insta panics on a difference; this wants to see them all.
            let same = catch_unwind(AssertUnwindSafe(|| {
                settings.bind(|| insta::assert_snapshot!(name, record.to_string()));
            }));
            wrong.extend(same.is_err().then(|| snapshot.path().display().to_string()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn laws_hold() {
    assert_good(&check(Checks { laws: true, ..NOTHING() }), &[]);
}

/// The formats of the parsers' tests, each of which shows a node that few families have.
#[test]
fn laws_hold_for_every_node() {
    let folder = folder::root().join("parsers/tests/formats");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = String::new();
    for path in files {
        let source = std::fs::read_to_string(&path).unwrap();
        let manifest = Manifest::from_toml(&source, &path.display().to_string()).unwrap();
        let family = DataFamily::new(manifest, None, None);
        for law in LAWS.iter().filter(|law| law.of_format) {
            if let Err(why) = law.check(&family, &Samples::default()) {
                let _ = writeln!(wrong, "{}: law {}: {why}", path.display(), law.number);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn templates_name_their_families() {
    assert_good(&check(Checks { detection: true, ..NOTHING() }), &[]);
}
