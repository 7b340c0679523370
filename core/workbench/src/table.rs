//! The families as a table in Markdown.

use toolglot::Registry;

use crate::{Check, FamilyReport, laws::LAWS, level};

/// A row for each family that was checked with everything.
pub fn table(registry: &Registry, reports: &[FamilyReport]) -> String {
    let mut out = String::from(
        "| family | models | level | own cases | corpus | laws | detection |\n\
         | --- | --- | --- | ---: | ---: | --- | --- |\n",
    );
    for report in reports {
        let Some(family) = registry.get(&report.id) else { continue };
        let good = |check: Check| !report.findings.iter().any(|finding| finding.check == check);
        // The laws of a shared format are checked once.
        let elsewhere = report.laws_of_format_by.as_ref();
        let stand_in = elsewhere.and_then(|id| reports.iter().find(|other| other.id == *id));
        let holds = |number: u8| match stand_in.filter(|_| !report.laws.contains(&number)) {
            Some(other) => !other.findings.iter().any(|finding| finding.check == Check::Law(number)),
            None => good(Check::Law(number)),
        };
        let broken: Vec<String> =
            LAWS.iter().map(|law| law.number).filter(|law| !holds(*law)).map(|law| law.to_string()).collect();
        let laws = if broken.is_empty() { "all".to_owned() } else { format!("not {}", broken.join(", ")) };
        let apart = report.not_applicable.len();
        let failed = report.findings.iter().filter(|finding| finding.check == Check::Corpus).count();
        let corpus = format!("{} of {}", report.corpus_passed, report.corpus_passed + failed);
        let corpus = if apart > 0 { format!("{corpus}, {apart} n/a") } else { corpus };
        let detection = if good(Check::Detection) { "yes" } else { "no" };
        out += &format!(
            "| `{}` | {} | {} | {} | {corpus} | {laws} | {detection} |\n",
            report.id,
            family.manifest().title.replace('|', "\\|").replace('<', "\\<"),
            level(family.as_ref()),
            report.own_cases,
        );
    }
    out
}
