//! Conformance: runs cases that other engines' tests pin, and says where this parser agrees.
//!
//! A case is evidence, not law. [`run`] parses each case's output whole, character by character and in the
//! case's own chunks, compares calls by name and arguments as JSON values and text after trimming, and
//! reports agreement per family and tier with every case that differs. That the cuts give the same events
//! is not a matter of policy: where they do not, the case has failed. It reads no files and prints nothing;
//! `docs/conformance.md` states the policies.

mod case;
mod compare;
mod known;
mod report;
mod run;

pub use case::{Case, CaseError, ExpectedCall};
pub use compare::{Agreement, Parts, Policy, same_value};
pub use known::{Known, KnownError, Reason};
pub use report::{Report, Row};

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use toolglot_format::{Event, Format, Turn};

use crate::{DataFamily, Family, Registry, from_response_template};

/// A way to cut an output into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// In one piece.
    Whole,
    /// One character at a time.
    Characters,
    /// As the case's chunks, where it has any.
    Chunks,
}

/// One case's outcome.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// The case's id.
    pub id: String,
    /// The family that parsed it.
    pub family: String,
    /// The case's tier.
    pub tier: String,
    /// Where it is from: project, parser and test.
    pub origin: String,
    /// The worst part's agreement.
    pub agreement: Agreement,
    /// The parts' agreement.
    pub parts: Parts,
    /// The turn that was parsed.
    pub turn: Turn,
    /// What stood in the prompt behind the turn's frame.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prompt_tail: String,
    /// The first cut whose events are not those of the whole output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unequal_cut: Option<Cut>,
    /// Another case of the same output expects otherwise, and that one agrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contradicts: Option<String>,
    /// Why the case could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Runs every case whose family `registry` knows; `only` names one family, by id or alias.
pub fn run(registry: &Registry, cases: &[Case], only: Option<&str>) -> Report {
    let only = only.map(|id| registry.get(id).map_or(id, |family| family.manifest().id.as_str()));
    let mut report = Report::default();
    let mut stops = BTreeSet::new();
    // A case that brings a response template is read with that.
    let family_of = |case: &Case| -> Option<Arc<dyn Family>> {
        match case.response_template() {
            Some(template) => {
                let manifest = from_response_template(template, "response_template").ok()?;
                Some(Arc::new(DataFamily::new(manifest, None, None)))
            }
            None => registry.get(case.family_name()).cloned(),
        }
    };
    for case in cases {
        if family_of(case).is_some_and(|family| run::holds_stop(case, family.manifest())) {
            stops.insert((case.project(), case.family.as_str()));
        }
    }
    for case in cases {
        let Some(family) = family_of(case) else {
            report.skip(&case.family);
            continue;
        };
        if only.is_some_and(|id| id != family.manifest().id) {
            continue;
        }
        let keeps_stops = stops.contains(&(case.project(), case.family.as_str()));
        report.push(case, run_case(case, family.as_ref(), keeps_stops));
    }
    report.find_contradictions();
    report
}

/// Runs one case. `keeps_stops`: the case's project leaves stop tokens in its outputs, so that an output
/// without one was cut off.
pub fn run_case(case: &Case, family: &dyn Family, keeps_stops: bool) -> CaseResult {
    let manifest = family.manifest();
    let tail = run::prompt_tail(case, manifest);
    let finish = run::finish_reason(case, manifest, keeps_stops);
    let events_of = |cut| run::events(case, family, cut, tail, finish);
    let (events, error): (Vec<Event>, _) = match events_of(Cut::Whole) {
        Ok(events) => (events, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let cuts = [Cut::Characters, Cut::Chunks];
    let unequal = cuts.into_iter().find(|cut| events_of(*cut).is_ok_and(|other| other != events));
    let framing = framing(&manifest.format);
    let markers: Vec<&str> = framing.iter().map(String::as_str).collect();
    let close = run::closing(&manifest.format).unwrap_or_default();
    let marks = compare::Marks {
        all: &markers,
        reasoning: (manifest.reasoning.open.trim(), &close),
        closers: &run::closers(&manifest.format),
    };
    let parts = compare::compare(case, &events, &marks);
    let agreement = if error.is_some() || unequal.is_some() { Agreement::Differs } else { parts.overall() };
    CaseResult {
        id: case.id.clone(),
        family: manifest.id.clone(),
        tier: case.tier.clone(),
        origin: format!("{} {} {}", case.project(), case.peer_parser, case.test),
        agreement,
        parts,
        turn: events.into_iter().collect(),
        prompt_tail: tail.to_owned(),
        unequal_cut: unequal,
        contradicts: None,
        error,
    }
}

/// The markers of a format that look like nothing else: four bytes or more, with more than letters.
fn framing(format: &Format) -> Vec<String> {
    let telling = |text: &str| text.len() >= 4 && text.bytes().any(|b| b"<>|[".contains(&b));
    let texts = format.framing().into_iter().map(|lit| lit.text.trim().to_owned());
    texts.filter(|text| telling(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_one(case: &str) -> CaseResult {
        let cases = Case::read(case).unwrap();
        run(&Registry::builtin().unwrap(), &cases, None).results()[0].clone()
    }

    #[test]
    fn compares_calls_as_values_and_text_trimmed() {
        let result = run_one(
            r#"{"id": "a", "family": "hermes", "tier": "agreed",
            "text": "Look.\n<tool_call>{\"name\": \"f\", \"arguments\": {\"b\": 1.0, \"a\": [1]}}</tool_call>",
            "expected_calls": [{"name": "f", "arguments": {"a": [1], "b": 1}}], "expected_content": "Look. "}"#
                .replace('\n', " ")
                .as_str(),
        );
        assert_eq!(result.parts.calls, Some(Agreement::Same));
        assert_eq!(result.parts.content, Some(Agreement::OuterSpace));
        assert_eq!(result.parts.reasoning, None);
        assert_eq!(result.agreement, Agreement::OuterSpace);
    }

    #[test]
    fn tells_a_policy_from_a_difference() {
        let case = |content: &str| {
            format!(
                r#"{{"id": "a", "family": "hermes", "text": "<tool_call>{{\"name\": \"f\", \"arguments\": {{}}}}</tool_call> Done.", "expected_content": "{content}"}}"#
            )
        };
        assert_eq!(run_one(&case("")).agreement, Agreement::Policy(Policy::DroppedText));
        let call_of = |tool: &str, calls: &str| {
            let tools =
                format!(r#"[{{"type": "function", "function": {{"name": "{tool}", "parameters": {{}}}}}}]"#);
            let case = case("").replace(" Done.", "").replacen('{', &format!("{{\"tools\": {tools},"), 1);
            run_one(&case.replace(
                r#""expected_content""#,
                &format!(r#""expected_calls": {calls}, "expected_content""#),
            ))
        };
        assert_eq!(call_of("g", "[]").agreement, Agreement::Policy(Policy::UnknownTool));
        assert_eq!(call_of("f", "[]").agreement, Agreement::Differs);
        assert_eq!(run_one(&case("Gone.")).agreement, Agreement::Differs);
    }

    #[test]
    fn an_answer_of_another_engine_is_a_policy() {
        let case = |other: &str| {
            format!(
                r#"{{"id": "a", "family": "phi4_mini", "tier": "agreed", "text": "functools[{{\"x\": 1}}]",
                "expected_calls": [], "expected_content": "Gone.", "note": {{"others": {{"one": {other}}}}}}}"#
            )
            .replace('\n', " ")
        };
        let as_we = r#"{"calls": [], "content": "functools[{\"x\": 1}]"}"#;
        assert_eq!(run_one(&case(as_we)).agreement, Agreement::Policy(Policy::EnginesDiffer));
        // An engine that pins less, or something else, settles nothing.
        assert_eq!(run_one(&case(r#"{"calls": []}"#)).agreement, Agreement::Differs);
        assert_eq!(run_one(&case(r#"{"content": "Else."}"#)).agreement, Agreement::Differs);
    }

    #[test]
    fn mispaired_cases_are_told_apart() {
        let cases = "{\"id\": \"a\", \"family\": \"hermes\", \"tier\": \"asserted\", \"text\": \"x\", \"expected_content\": \"x\"}\n\
                     {\"id\": \"b\", \"family\": \"hermes\", \"tier\": \"asserted\", \"text\": \"x\", \"expected_content\": \"y\"}";
        let report = run(&Registry::builtin().unwrap(), &Case::read(cases).unwrap(), None);
        let mut known = Known::default();
        assert!(report.headline(&known).contains("50.0 % of 2 cases agree, 1 differ"));
        known.add("[mispaired]\nb = \"expects another output\"\n").unwrap();
        assert!(
            report
                .headline(&known)
                .contains("without the 1 whose expectation belongs to another output 100.0 %")
        );
    }

    #[test]
    fn infers_how_the_prompt_ended() {
        let tail = |text: &str, more: &str| {
            run_one(&format!(r#"{{"id": "a", "family": "qwen3", "text": "{text}"{more}}}"#)).prompt_tail
        };
        assert_eq!(tail("Hm.</think>Yes.", ""), "<think>\n");
        assert_eq!(tail("<think>Hm.</think>Yes.", ""), "");
        assert_eq!(tail("Hm.", r#", "expected_reasoning": "Hm.""#), "<think>\n");
        assert_eq!(tail("Hm.", r#", "expected_reasoning": """#), "");
        assert_eq!(tail("Hm.</think>", r#", "note": {"starts_in_reasoning": false}"#), "");
    }

    #[test]
    fn finds_contradictions() {
        let text = r#""text": "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>""#;
        let cases = format!(
            "{{\"id\": \"a\", \"family\": \"hermes\", {text}, \"expected_calls\": []}}\n\
             {{\"id\": \"b\", \"family\": \"hermes\", {text}, \"expected_calls\": [{{\"name\": \"f\"}}]}}"
        );
        let report = run(&Registry::builtin().unwrap(), &Case::read(&cases).unwrap(), None);
        assert_eq!(report.results()[0].contradicts.as_deref(), Some("b"));
        assert_eq!(report.results()[1].agreement, Agreement::Same);
    }

    #[test]
    fn says_which_line_is_no_case() {
        let error = Case::read("\n{\"id\": \"a\"}").unwrap_err();
        assert!(error.to_string().starts_with("line 2: missing field"), "{error}");
    }
}
