//! Sums up results per family and tier.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde_json::json;

use super::{Agreement, Case, CaseResult, Known};

/// The results of a run.
#[derive(Debug, Default)]
pub struct Report {
    results: Vec<CaseResult>,
    cases: Vec<Case>,
    skipped: BTreeMap<String, usize>,
}

/// A family's cases of one tier, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The family.
    pub family: String,
    /// The tier.
    pub tier: String,
    /// Cases.
    pub cases: usize,
    /// Those whose calls agree.
    pub calls: usize,
    /// Those that agree in full.
    pub same: usize,
    /// Those that agree but for outer white space.
    pub outer_space: usize,
    /// Those that agree under the peer's policy.
    pub policy: usize,
    /// Those that differ.
    pub differs: usize,
    /// Those that differ, where another case of the same output expects otherwise and agrees. Counted under
    /// `differs` too.
    pub contradicted: usize,
    /// Those whose events depend on the cut. Counted under `differs` too.
    pub unequal_cuts: usize,
}

impl Row {
    fn count(&mut self, result: &CaseResult) {
        self.cases += 1;
        let calls_agree = !matches!(result.parts.calls, Some(Agreement::Differs));
        self.calls += usize::from(calls_agree && result.error.is_none());
        self.unequal_cuts += usize::from(result.unequal_cut.is_some());
        self.contradicted += usize::from(result.contradicts.is_some());
        let count = match result.agreement {
            Agreement::Same => &mut self.same,
            Agreement::OuterSpace => &mut self.outer_space,
            Agreement::Policy(_) => &mut self.policy,
            Agreement::Differs => &mut self.differs,
        };
        *count += 1;
    }

    /// The share of cases that agree, outer white space and policy included, in per cent.
    pub fn agreement(&self) -> f64 {
        percent(self.cases - self.differs, self.cases)
    }
}

impl Report {
    pub(super) fn push(&mut self, case: &Case, result: CaseResult) {
        self.cases.push(case.clone());
        self.results.push(result);
    }

    pub(super) fn skip(&mut self, family: &str) {
        *self.skipped.entry(family.to_owned()).or_default() += 1;
    }

    /// Cases that differ and whose output another case reads as we do: no parser can agree with both.
    pub(super) fn find_contradictions(&mut self) {
        for at in 0..self.results.len() {
            if self.results[at].agreement != Agreement::Differs {
                continue;
            }
            let agrees = |other: &usize| {
                self.results[*other].agreement != Agreement::Differs
                    && self.results[*other].family == self.results[at].family
                    && self.results[*other].prompt_tail == self.results[at].prompt_tail
                    && self.cases[*other].text == self.cases[at].text
                    && pins_as_much(&self.cases[*other], &self.cases[at])
            };
            let other = (0..self.results.len()).find(agrees);
            self.results[at].contradicts = other.map(|other| self.results[other].id.clone());
        }
    }

    /// Every result, in the order of the cases.
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// The families of cases that no family here reads, with the number of their cases.
    pub fn skipped(&self) -> &BTreeMap<String, usize> {
        &self.skipped
    }

    /// Results whose events depend on the cut: always failures.
    pub fn unequal_cuts(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|result| result.unequal_cut.is_some())
    }

    /// Results that differ, each with its case.
    pub fn differing(&self) -> impl Iterator<Item = (&Case, &CaseResult)> {
        self.cases.iter().zip(&self.results).filter(|(_, result)| result.agreement == Agreement::Differs)
    }

    /// Results that differ and that `known` does not explain.
    pub fn unexplained<'a>(&'a self, known: &'a Known) -> impl Iterator<Item = &'a CaseResult> {
        self.differing().map(|(_, result)| result).filter(|result| known.reason(&result.id).is_none())
    }

    /// Ids that `known` explains and that agree in this run.
    pub fn outdated<'a>(&'a self, known: &'a Known) -> impl Iterator<Item = &'a str> {
        let agrees = |id: &str| {
            self.results.iter().any(|result| result.id == id && result.agreement != Agreement::Differs)
        };
        known.iter().map(|(id, _)| id).filter(move |id| agrees(id))
    }

    /// A Markdown table of the results that differ, with the reasons that `known` gives.
    pub fn differences(&self, known: &Known) -> String {
        let mut table = String::from(
            "| case | family | tier | from | kind | why |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        for (_, result) in self.differing() {
            let (kind, why) = match known.reason(&result.id) {
                Some(reason) => (reason.kind.replace('_', " "), reason.why.as_str()),
                None => ("not explained".to_owned(), ""),
            };
            let cells = [&result.id, &result.family, &result.tier, &result.origin, &kind, why];
            table += &format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
        table
    }

    /// One row per family and tier, then one per tier over all families.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows: BTreeMap<(&str, &str), Row> = BTreeMap::new();
        for result in &self.results {
            for family in [result.family.as_str(), ALL] {
                rows.entry((family, result.tier.as_str())).or_default().count(result);
            }
        }
        let named = rows.into_iter().map(|((family, tier), row)| Row {
            family: family.to_owned(),
            tier: tier.to_owned(),
            ..row
        });
        named.collect()
    }

    /// The agreement of the tiers that weigh most, and the same without the cases that `known` calls mispaired, which
    /// no parser can agree with.
    pub fn headline(&self, known: &Known) -> String {
        let mut out = String::new();
        for tiers in [&["agreed", "asserted"][..], &["recorded"]] {
            let of_tiers = |result: &&CaseResult| tiers.contains(&result.tier.as_str());
            let count = |test: &dyn Fn(&CaseResult) -> bool| {
                self.results.iter().filter(of_tiers).filter(|result| test(result)).count()
            };
            let all = count(&|_| true);
            if all == 0 {
                continue;
            }
            let differing = |result: &CaseResult| result.agreement == Agreement::Differs;
            let differ = count(&differing);
            let mispaired = count(&|result| differing(result) && known.is_mispaired(&result.id));
            out += &format!(
                "{}: {:.1} % of {all} cases agree, {differ} differ; without the {mispaired} whose expectation belongs to \
                 another output {:.1} %\n",
                tiers.join(" and "),
                percent(all - differ, all),
                percent(all - differ, all - mispaired),
            );
        }
        out
    }

    /// One JSON object per case.
    pub fn to_jsonl(&self) -> String {
        let lines = self.cases.iter().zip(&self.results).map(|(case, result)| {
            let expected = json!({
                "calls": case.expected_calls.as_ref().map(|calls| calls.iter().map(|call| {
                    json!({"name": call.name, "arguments": call.arguments, "arguments_partial": call.arguments_partial})
                }).collect::<Vec<_>>()),
                "content": case.expected_content,
                "reasoning": case.expected_reasoning,
            });
            let mut line = serde_json::to_value(result).unwrap_or_default();
            if let Some(line) = line.as_object_mut() {
                line.insert("text".into(), case.text.clone().into());
                line.insert("expected".into(), expected);
            }
            line.to_string() + "\n"
        });
        lines.collect()
    }
}

/// Whether `case` pins each part that `other` pins.
fn pins_as_much(case: &Case, other: &Case) -> bool {
    (case.expected_calls.is_some() || other.expected_calls.is_none())
        && (case.expected_content.is_some() || other.expected_content.is_none())
        && (case.expected_reasoning.is_some() || other.expected_reasoning.is_none())
}

/// Sorts behind every id.
const ALL: &str = "~ all";

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// A table.
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:<10} {:>6} {:>8} {:>6} {:>6} {:>7} {:>8} {:>13} {:>8}",
            "family",
            "tier",
            "cases",
            "calls",
            "same",
            "space",
            "policy",
            "differs",
            "contradicted",
            "agrees"
        )?;
        for row in self.rows() {
            writeln!(
                f,
                "{:<14} {:<10} {:>6} {:>7.1}% {:>6} {:>6} {:>7} {:>8} {:>13} {:>7.1}%",
                row.family,
                row.tier,
                row.cases,
                percent(row.calls, row.cases),
                row.same,
                row.outer_space,
                row.policy,
                row.differs,
                row.contradicted,
                row.agreement()
            )?;
        }
        let unequal = self.unequal_cuts().count();
        if unequal > 0 {
            writeln!(f, "{unequal} cases give other events when cut")?;
        }
        let skipped: usize = self.skipped.values().sum();
        if skipped > 0 {
            writeln!(f, "{skipped} cases of {} other families were left out", self.skipped.len())?;
        }
        Ok(())
    }
}
