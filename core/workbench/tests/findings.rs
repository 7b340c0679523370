//! What is wrong with a family is found and told: one broken family for each check.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use toolglot::Registry;
use toolglot_workbench::laws::Samples;
use toolglot_workbench::{Bench, Check, Checks, FamilyReport, Finding};

const CASES: &str = include_str!("broken/cases.toml");
const FAMILY: &str = include_str!("broken/family.toml");
const TEMPLATE: &str = include_str!("broken/template.jinja");

/// The family of `tests/broken`, which is good as it stands, with replacements in its files.
struct Family {
    folder: TempDir,
    texts: [(&'static str, String); 3],
}

impl Family {
    fn new() -> Family {
        let texts = [("family.toml", FAMILY), ("template.jinja", TEMPLATE), ("cases.toml", CASES)];
        Family { folder: tempfile::tempdir().unwrap(), texts: texts.map(|(name, text)| (name, text.into())) }
    }

    fn with(mut self, name: &str, from: &str, to: &str) -> Family {
        let (_, text) = self.texts.iter_mut().find(|(own, _)| *own == name).unwrap();
        assert!(text.contains(from), "{name} does not hold {from:?}");
        *text = text.replace(from, to);
        self
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("bracket")
    }

    fn write(&self) -> PathBuf {
        fs::create_dir_all(self.home()).unwrap();
        for (name, text) in &self.texts {
            fs::write(self.home().join(name), text).unwrap();
        }
        self.home()
    }

    /// Everything but snapshots, which no case here has accepted.
    fn check(&self) -> (Vec<Finding>, Vec<FamilyReport>) {
        let samples = Samples { count: Some(64), ..Samples::default() };
        check(&self.write(), Checks { snapshots: false, samples, ..Checks::default() })
    }

    /// The one finding of a check; the family has no other.
    fn finding(&self, check: Check) -> Finding {
        let (mut findings, reports) = self.check();
        findings.extend(reports.into_iter().flat_map(|report| report.findings));
        let all: String = findings.iter().map(ToString::to_string).collect();
        assert!(findings.iter().all(|finding| finding.check == check), "{all}");
        findings.into_iter().next().unwrap_or_else(|| panic!("nothing is wrong"))
    }
}

fn check(place: &Path, checks: Checks) -> (Vec<Finding>, Vec<FamilyReport>) {
    let registry = Registry::builtin().unwrap();
    let (bench, ids, findings) = Bench::of_places(registry, &[place.to_owned()]).unwrap();
    (findings, bench.check(&ids, &checks))
}

#[test]
fn a_good_family_has_no_findings() {
    let (findings, reports) = Family::new().check();
    let all: String = findings.iter().chain(&reports[0].findings).map(ToString::to_string).collect();
    assert!(all.is_empty(), "{all}");
    assert_eq!((reports[0].id.as_str(), reports[0].own_cases), ("bracket", 8));
    assert!(reports[0].corpus_passed > 25, "{:?}", reports[0].not_applicable);
    assert_eq!(reports[0].laws, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_broken_file_is_told_with_line_and_column() {
    let finding = Family::new().with("family.toml", "[turn]", "[turns]").finding(Check::Folder);
    assert!(finding.why.contains("TOML parse error at line"), "{finding}");
    let finding = Family::new().with("family.toml", "id = \"bracket\"", "id = \"other\"");
    let (findings, _) = finding.check();
    assert!(findings[0].why.contains("`id` is `other`, the folder is `bracket`"), "{}", findings[0]);
    let finding = Family::new().with("cases.toml", "category = \"drift\"", "category = \"drifft\"");
    let finding = finding.finding(Check::Folder);
    assert!(finding.why.contains("cases.toml") && finding.why.contains("drifft"), "{finding}");
}

#[test]
fn a_case_that_means_otherwise_is_told() {
    let family = Family::new().with("cases.toml", "content = \"Later.\"", "content = \"Sooner.\"");
    let finding = family.finding(Check::Case);
    assert!(finding.why.contains("meant was \"Sooner.\"\ncontent: read was  \"Later.\""), "{finding}");
    let family = Family::new().with("cases.toml", "admitted = true", "admitted = false");
    let finding = family.finding(Check::Case);
    assert!(finding.why.contains("the grammar admits the output"), "{finding}");
}

#[test]
fn a_category_without_a_case_is_told() {
    let finding = Family::new().with("cases.toml", "\"drift\"", "\"white_space\"").finding(Check::Coverage);
    assert!(finding.why.starts_with("no case for drift;"), "{finding}");
    let waiver = "[not_applicable]\ntext_before = \"the model never says a word\"\n";
    let family = Family::new().with("cases.toml", "# The cases", waiver);
    let finding = family.finding(Check::Coverage);
    assert!(finding.why.contains("`text_before` is waived, but its corpus cases pass"), "{finding}");
}

#[test]
fn a_format_that_contradicts_itself_breaks_the_corpus_and_the_laws() {
    // Text may hold the closing marker, and the parser reads it as one.
    let family = Family::new().with("family.toml", ", \"[/CALL]\"]", "]");
    let (_, reports) = family.check();
    let laws: Vec<Check> = reports[0].findings.iter().map(|finding| finding.check).collect();
    assert!(laws.contains(&Check::Law(1)), "{laws:?}");
    let law = reports[0].findings.iter().find(|finding| finding.check == Check::Law(1)).unwrap();
    assert!(law.why.contains("the grammar accepts") && law.why.contains("[/CALL]"), "{law}");
    assert!(law.why.len() < 400, "the example is small: {law}");
    assert!(law.look.contains("family.toml:"), "{law}");
}

#[test]
fn reasoning_that_no_prompt_opens_so_is_told() {
    let family = Family::new().with("family.toml", "open = \"<think>\"", "open = \"<thinking>\"");
    let (_, reports) = family.check();
    let corpus = reports[0].findings.iter().find(|finding| finding.name == "prompt_tail").unwrap();
    assert!(
        corpus.why.contains("[reasoning] open is \"<thinking>\", but reasoning is written as"),
        "{corpus}"
    );
}

#[test]
fn a_template_that_is_not_the_format_breaks_law_6() {
    let family = Family::new().with("template.jinja", "[/CALL]", "[DONE]");
    let finding = family.finding(Check::Law(6));
    assert!(finding.look.starts_with("template.jinja"), "{finding}");
    let family = Family::new().with("family.toml", "open = \"<bot>\"", "open = \"<assistant>\"");
    let finding = family.finding(Check::Law(6));
    assert!(finding.why.contains("[turn] open is \"<assistant>\", but the template writes"), "{finding}");
}

#[test]
fn a_template_that_two_families_claim_is_told() {
    let family = Family::new().with("family.toml", "template = [\"[CALL]\"]", "template = [\"[NOTHING]\"]");
    let finding = family.finding(Check::Detection);
    assert!(finding.why.contains("names no family"), "{finding}");
    assert!(finding.why.contains("does not hold \"[NOTHING]\", which `template` asks for"), "{finding}");
    let everyone =
        "template = [\"messages\", \"role\", \"content\", \"tools\", \"tool_calls\", \"function\", \"name\"]";
    let family = Family::new().with("family.toml", "template = [\"[CALL]\"]", everyone);
    let finding = family.finding(Check::Detection);
    assert!(finding.to_string().contains("the template of"), "{finding}");
}

#[test]
fn snapshots_are_told_until_they_are_accepted() {
    let family = Family::new();
    let home = family.write();
    let only = Checks { laws: false, detection: false, ..Checks::default() };
    let (_, reports) = check(&home, only);
    let found: Vec<&str> = reports[0].findings.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(found, ["cases", "corpus", "template"]);
    for (snapshot, record) in &reports[0].records {
        snapshot.accept(record).unwrap();
    }
    assert!(check(&home, only).1[0].is_good());
    let family = family.with("family.toml", "\"[/CALL]\"", "\"[END]\"");
    let family = family.with("cases.toml", "[/CALL]", "[END]").with("template.jinja", "[/CALL]", "[END]");
    let (_, reports) = check(&family.write(), only);
    let corpus = reports[0].findings.iter().find(|finding| finding.name == "corpus").unwrap();
    assert!(corpus.why.contains("[/CALL]") && corpus.why.contains("[END]"), "{corpus}");
    fs::write(home.join("snapshots/old.snap"), "").unwrap();
    let (_, reports) = check(&home, only);
    assert_eq!(reports[0].strays.len(), 1);
}
