//! The workbench: every family, and the checks that some of them are put to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use toolglot::{Family, Format, Registry, folder};

use crate::laws::{LAWS, Law, Samples};
use crate::template::Writer;
use crate::vocabulary::literals;
use crate::{
    CaseFile, Category, Check, Corpus, Finding, Outcome, Record, Snapshot, check_cases, check_detection,
    run_corpus,
};

/// The snapshots of a family, by name.
const SNAPSHOTS: [&str; 3] = ["cases", "corpus", "template"];

/// How the corpus says that a grammar cannot be built.
const NO_GRAMMAR: &str = "there is no grammar";

/// Every family, and where the folders of some are.
pub struct Bench {
    registry: Registry,
    homes: BTreeMap<String, PathBuf>,
    corpus: Corpus,
}

/// What to check.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    /// Cases, corpus and coverage.
    pub cases: bool,
    /// Snapshots of the cases, the corpus and the template.
    pub snapshots: bool,
    /// The six laws.
    pub laws: bool,
    /// Detection against all other families.
    pub detection: bool,
    /// The samples of the laws.
    pub samples: Samples,
}

/// Everything.
impl Default for Checks {
    fn default() -> Self {
        Checks { cases: true, snapshots: true, laws: true, detection: true, samples: Samples::default() }
    }
}

/// What the checks found of one family.
#[derive(Debug, Clone, Default)]
pub struct FamilyReport {
    /// The family's id.
    pub id: String,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What was recorded, and the file where it is kept.
    pub records: Vec<(Snapshot, Record)>,
    /// Files among the snapshots that belong to nothing.
    pub strays: Vec<PathBuf>,
    /// The family's own cases.
    pub own_cases: usize,
    /// Corpus cases that passed.
    pub corpus_passed: usize,
    /// Corpus cases that do not apply, with the reasons.
    pub not_applicable: Vec<(String, String)>,
    /// The laws that were checked.
    pub laws: Vec<u8>,
    /// The family that was held to the laws of the format in this one's place.
    pub laws_of_format_by: Option<String>,
}

impl FamilyReport {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

/// How much of a family is code: `L0` is data only, `L1` computes the format, `L2` owns the session.
pub fn level(family: &dyn Family) -> &'static str {
    if family.manifest().format.has_extern() {
        "L2"
    } else if family.computes() {
        "L1"
    } else {
        "L0"
    }
}

impl Bench {
    /// A workbench over these families. `homes`: the folders that are known, by family id.
    ///
    /// # Errors
    /// When the corpus cannot be read.
    pub fn new(registry: Registry, homes: BTreeMap<String, PathBuf>) -> Result<Bench, String> {
        Ok(Bench { registry, homes, corpus: Corpus::shared()? })
    }

    /// A workbench over `registry` and the families in `places`: family folders, or folders of them. Gives the
    /// ids of the families in the places, and what cannot be read there.
    ///
    /// # Errors
    /// When a place cannot be read, or the corpus cannot.
    pub fn of_places(
        mut registry: Registry,
        places: &[PathBuf],
    ) -> Result<(Bench, Vec<String>, Vec<Finding>), String> {
        let mut folders = Vec::new();
        for place in places {
            let fail = |why: String| format!("{}: {why}", place.display());
            if folder::is_family(place) {
                folders.push(place.clone());
                continue;
            }
            let inside = folder::families_in(place).map_err(|error| fail(error.to_string()))?;
            if inside.is_empty() {
                return Err(fail("there is no family.toml in it, nor in a folder in it".into()));
            }
            folders.extend(inside);
        }
        let mut ids = Vec::new();
        let mut findings = Vec::new();
        let mut homes = BTreeMap::new();
        for (home, added) in folders.iter().zip(folder::add(&mut registry, &folders)) {
            // A bare `.` has no name of its own.
            let whole = std::path::absolute(home).unwrap_or_else(|_| home.clone());
            let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match added {
                Ok(id) => {
                    if id != name {
                        let why = format!(
                            "`id` is `{id}`, the folder is `{name}`; a family is built in by its folder's name"
                        );
                        findings.push(Finding::new(&id, Check::Folder, "", why).look("`id` in family.toml"));
                    }
                    ids.push(id.clone());
                    homes.insert(id, home.clone());
                }
                Err(error) => findings.push(Finding::new(&name, Check::Folder, "", error.to_string())),
            }
            // The folders beside it, whose cases a family may take as its own.
            let beside = whole.parent().map(folder::families_in).and_then(Result::ok).unwrap_or_default();
            for other in beside {
                let name = other.file_name().unwrap_or_default().to_string_lossy().into_owned();
                homes.entry(name).or_insert(other);
            }
        }
        Ok((Bench::new(registry, homes)?, ids, findings))
    }

    /// The same workbench over other families, one of which is at `home`.
    #[must_use]
    pub fn with(mut self, registry: Registry, id: &str, home: &Path) -> Bench {
        self.registry = registry;
        self.homes.insert(id.to_owned(), home.to_owned());
        self
    }

    /// The families.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Checks these families, on all processors; the reports come in the order of the ids.
    pub fn check(&self, ids: &[String], checks: &Checks) -> Vec<FamilyReport> {
        let families: Vec<&Arc<dyn Family>> = ids.iter().filter_map(|id| self.registry.get(id)).collect();
        let reports: Mutex<Vec<Option<FamilyReport>>> = Mutex::new(vec![None; families.len()]);
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(family) = families.get(at) else { break };
                let stands_for = families[..at].iter().find(|other| same_format(other, family));
                let report = self.check_one(family, stands_for.copied(), checks);
                reports.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(report);
            }
        };
        let threads = thread::available_parallelism().map_or(1, |count| count.get()).min(families.len());
        thread::scope(|scope| {
            (1..threads).for_each(|_| {
                scope.spawn(work);
            });
            work();
        });
        reports.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
    }

    /// Checks one family. `stands_for`: a family of the same format that is held to the laws of the format.
    fn check_one(
        &self,
        family: &Arc<dyn Family>,
        stands_for: Option<&Arc<dyn Family>>,
        checks: &Checks,
    ) -> FamilyReport {
        let id = family.manifest().id.clone();
        let mut report = FamilyReport {
            id,
            laws_of_format_by: stands_for.map(|other| other.manifest().id.clone()),
            ..FamilyReport::default()
        };
        if checks.detection {
            report.findings.extend(check_detection(&self.registry, family));
        }
        if checks.cases {
            self.check_cases(family, checks, &mut report);
        }
        if checks.laws {
            for law in &LAWS {
                if law.of_format && stands_for.is_some() {
                    continue;
                }
                self.check_law(family, law, &checks.samples, &mut report);
            }
        }
        report
    }

    fn check_law(&self, family: &Arc<dyn Family>, law: &Law, samples: &Samples, report: &mut FamilyReport) {
        report.laws.push(law.number);
        if let Err(why) = law.check(family.as_ref(), samples) {
            let look = match law.of_format {
                true => self.look(family, &why),
                false => "template.jinja, [turn] and [stops] in family.toml".into(),
            };
            let finding = Finding::new(&report.id, Check::Law(law.number), law.title, why);
            report.findings.push(finding.look(look));
        }
    }

    fn check_cases(&self, family: &Arc<dyn Family>, checks: &Checks, report: &mut FamilyReport) {
        let home = self.homes.get(&report.id).map(PathBuf::as_path);
        let file = match home.map(CaseFile::read) {
            Some(Ok(file)) => file,
            Some(Err(error)) => {
                report.findings.push(Finding::new(&report.id, Check::Folder, "", error.to_string()));
                return;
            }
            None => CaseFile::default(),
        };
        report.own_cases = file.cases.len();
        let (findings, cases) = check_cases(family.as_ref(), &file);
        report.findings.extend(findings);

        let (outcomes, mut corpus) = run_corpus(family.as_ref(), &self.corpus);
        self.judge_corpus(family, &file, &outcomes, report);

        let mut template = Record::default();
        if let Ok(writer) = Writer::new(family.as_ref()) {
            match writer.record() {
                Ok(record) => template = record,
                Err(why) => {
                    let finding = Finding::new(&report.id, Check::Law(6), "the conversation", why);
                    report.findings.push(finding.look("template.jinja"));
                }
            }
        }
        let Some(home) = home else { return };
        if home.join("cases.toml").exists() {
            self.check_coverage(&file, &outcomes, report);
        }
        if let Some(other) = &file.same_as {
            self.check_as(family, other, &mut corpus, report);
        }
        if !checks.snapshots {
            return;
        }
        for (name, record) in SNAPSHOTS.into_iter().zip([cases, corpus, template]) {
            let snapshot = Snapshot::of(home, name);
            let finding = |why: String| Finding::new(&report.id, Check::Snapshot, name, why);
            match snapshot.diff(&record) {
                Ok(None) => {}
                Ok(Some(diff)) => {
                    let (why, look) = match snapshot.path().exists() {
                        true => (format!("what was seen is not what was accepted\n{diff}"), "--accept"),
                        false => ("nothing is accepted yet".to_owned(), "--review"),
                    };
                    report.findings.push(finding(why).look(format!("toolglot test DIR {look}")));
                }
                Err(error) => report.findings.push(finding(error.to_string())),
            }
            report.records.push((snapshot, record));
        }
        report.strays = strays(home).unwrap_or_default();
        for stray in &report.strays {
            let why = format!("{} belongs to nothing; remove it", stray.display());
            report.findings.push(Finding::new(&report.id, Check::Snapshot, "", why));
        }
    }

    fn judge_corpus(
        &self,
        family: &Arc<dyn Family>,
        file: &CaseFile,
        outcomes: &[(String, Category, Outcome)],
        report: &mut FamilyReport,
    ) {
        // What keeps every grammar from being built is told once.
        let mut without_grammar: Vec<(&str, &str)> = Vec::new();
        for (name, category, outcome) in outcomes {
            let word = category.word();
            let waived = file.waives(*category);
            match outcome {
                Outcome::Passed => report.corpus_passed += 1,
                Outcome::NotApplicable(why) => report.not_applicable.push((name.clone(), why.clone())),
                Outcome::Failed(_) if waived => {}
                Outcome::Failed(why) if why.contains(NO_GRAMMAR) => without_grammar.push((name, why)),
                Outcome::Failed(why) => {
                    let look = self.look(family, why);
                    report.findings.push(Finding::new(&report.id, Check::Corpus, name, why).look(look));
                }
            }
            let alike = outcomes.iter().filter(|(_, other, _)| other == category);
            let all_pass = alike.clone().all(|(.., outcome)| *outcome == Outcome::Passed);
            let first = alike.clone().next().is_some_and(|(first, ..)| first == name);
            let own = file.cases.iter().any(|case| case.category == *category);
            if waived && all_pass && first && !own {
                let why = format!("`{word}` is waived, but its corpus cases pass; remove the waiver");
                report.findings.push(Finding::new(&report.id, Check::Coverage, name, why).look("cases.toml"));
            }
        }
        if let Some((name, why)) = without_grammar.first() {
            let also: Vec<&str> = without_grammar[1..].iter().map(|(name, _)| *name).collect();
            let also =
                if also.is_empty() { String::new() } else { format!("\nlikewise: {}", also.join(", ")) };
            let finding = Finding::new(&report.id, Check::Corpus, *name, format!("{}{also}", why.trim_end()));
            report.findings.push(finding.look("[format] in family.toml"));
        }
    }

    fn check_coverage(
        &self,
        file: &CaseFile,
        outcomes: &[(String, Category, Outcome)],
        report: &mut FamilyReport,
    ) {
        let of = |category: Category| outcomes.iter().filter(move |(_, other, _)| *other == category);
        let does_not_apply = |category: Category| {
            of(category).next().is_some()
                && of(category).all(|(.., outcome)| matches!(outcome, Outcome::NotApplicable(_)))
        };
        let covered = |category: Category| match category {
            Category::UnclosedReasoning => does_not_apply(Category::Reasoning),
            category if category.by_hand() => does_not_apply(category),
            category => of(category).next().is_some(),
        };
        let missing: Vec<&str> = file.lacks(&covered).into_iter().map(Category::word).collect();
        if !missing.is_empty() {
            let why = format!(
                "no case for {}; add one, or say why not under [not_applicable] or [known_broken]",
                missing.join(", ")
            );
            report.findings.push(Finding::new(&report.id, Check::Coverage, "", why).look("cases.toml"));
        }
    }

    /// Holds the family to the cases and the corpus of another whose format it shares.
    fn check_as(
        &self,
        family: &Arc<dyn Family>,
        other: &str,
        corpus: &mut Record,
        report: &mut FamilyReport,
    ) {
        let mut wrong = |check, name: &str, why: String| {
            report.findings.push(Finding::new(&report.id, check, name, why).look("`same_as` in cases.toml"));
        };
        let Some(home) = self.homes.get(other) else {
            return wrong(Check::Folder, other, format!("no folder of a family `{other}` is known here"));
        };
        let file = match CaseFile::read(home) {
            Ok(file) => file,
            Err(error) => return wrong(Check::Folder, other, error.to_string()),
        };
        let (findings, record) = check_cases(family.as_ref(), &file);
        findings.into_iter().for_each(|finding| wrong(Check::Case, &finding.name, finding.why));
        let snapshot = Snapshot::of(home, "cases");
        if let (Ok(Some(_)), Ok(Some(diff))) = (snapshot.read(), snapshot.diff(&record)) {
            wrong(Check::Case, other, format!("it reads the cases of `{other}` otherwise\n{diff}"));
        }
        // What is the same there is not kept twice.
        if matches!(Snapshot::of(home, "corpus").diff(corpus), Ok(None)) {
            *corpus = Record::default();
        }
    }

    /// Where in `family.toml` to look: the line of the marker that `why` names last.
    fn look(&self, family: &Arc<dyn Family>, why: &str) -> String {
        let id = &family.manifest().id;
        let mut places: Vec<(usize, String)> = Vec::new();
        for literal in literals(&family.manifest().format) {
            let marker = literal.trim();
            if let Some(at) = why.rfind(marker).filter(|_| marker.len() > 2) {
                places.push((at + marker.len(), literal));
            }
        }
        let Some((_, literal)) = places.into_iter().max() else {
            return format!("[format] in family.toml; `toolglot explain {id}` shows it");
        };
        let line = |home: &PathBuf| {
            let text = std::fs::read_to_string(home.join("family.toml")).ok()?;
            let line = text.lines().position(|line| line.contains(literal.trim()) && line.contains("lit"))?;
            Some(format!("{}:{}", home.join("family.toml").display(), line + 1))
        };
        match self.homes.get(id).and_then(line) {
            Some(line) => format!("{line}, the marker {literal:?}"),
            None => format!("the marker {literal:?} in the format of `{id}`"),
        }
    }
}

/// Whether two families share one format of data.
fn same_format(a: &Arc<dyn Family>, b: &Arc<dyn Family>) -> bool {
    let format = |family: &Arc<dyn Family>| -> Option<Format> {
        (!family.computes()).then(|| family.manifest().format.clone())
    };
    format(a).is_some_and(|first| format(b) == Some(first))
}

/// Snapshots in a family's folder that are none of its own.
fn strays(home: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(home.join("snapshots"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".snap") && !SNAPSHOTS.iter().any(|own| name == format!("{own}.snap")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
