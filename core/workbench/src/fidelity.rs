//! Fidelity: whether the masks let a model write what models have written.
//!
//! A conformance case that is well-formed and that this parser reads as the case says is an output that the family's
//! models were trained to write. Its grammar, under the case's own tools and with the choice left to the model,
//! should admit it byte for byte; where it does not, a mask would push the model off its habit.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use toolglot::format::{ToolKind, Turn};
use toolglot::grammar::{GrammarError, Matcher, Vocabulary};
use toolglot::parsers::conformance::{Agreement, Case, CaseResult, Report};
use toolglot::schema::{Options, Schema};
use toolglot::{Family, Plan, Registry, Tool};

use crate::admit::{Refusal, matcher};
use crate::vocabulary;

/// What the grammar says of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It admits the output.
    Admitted,
    /// It stops at a byte of the output.
    Refused {
        /// The offset of the first byte that may not stand there; the length of the output where it may not end.
        at: usize,
        /// In words.
        why: String,
        /// What is missing or too much there is white space: a habit of whoever wrote the output by hand.
        white_space: bool,
    },
    /// It rightly refuses: a call is of no tool on offer, or its arguments do not fit the tool's schema.
    Invalid(String),
    /// There is no grammar for these tools.
    NoGrammar(String),
}

/// One output under its grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The case's id.
    pub id: String,
    /// The family.
    pub family: String,
    /// The case's tier.
    pub tier: String,
    /// The case offers no tools, so they were made up from the calls.
    pub made_up_tools: bool,
    /// What the grammar says.
    pub verdict: Verdict,
}

/// Every well-formed output that agrees, under its grammar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fidelity {
    /// In the order of the cases.
    pub admissions: Vec<Admission>,
}

/// A family's outputs, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FidelityRow {
    /// Outputs.
    pub outputs: usize,
    /// Admitted.
    pub admitted: usize,
    /// Refused, though nothing is wrong with them.
    pub refused: usize,
    /// Of these, refused for white space.
    pub white_space: usize,
    /// Refused for what the tools say.
    pub invalid: usize,
    /// Those for whose tools there is no grammar.
    pub no_grammar: usize,
}

impl Fidelity {
    /// Holds the outputs of a conformance run to their grammars. `cases` are those that were run.
    pub fn of(registry: &Registry, cases: &[Case], report: &Report) -> Fidelity {
        let by_id: BTreeMap<&str, &Case> = cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let mut vocabularies: BTreeMap<String, Arc<Vocabulary>> = BTreeMap::new();
        let mut admissions = Vec::new();
        for result in report.results().iter().filter(|result| is_well_formed(result)) {
            let (Some(case), Some(family)) = (by_id.get(result.id.as_str()), registry.get(&result.family))
            else {
                continue;
            };
            let known = vocabularies.get(&result.family).cloned();
            let Some(vocabulary) = known.or_else(|| vocabulary::bytes(&family.manifest().format).ok()) else {
                continue;
            };
            vocabularies.insert(result.family.clone(), vocabulary.clone());
            let Ok(mut plan) = case.plan() else { continue };
            let made_up_tools = plan.tools.is_empty() && !result.turn.calls.is_empty();
            if made_up_tools {
                plan.tools = tools_of(&result.turn);
            }
            admissions.push(Admission {
                id: result.id.clone(),
                family: result.family.clone(),
                tier: result.tier.clone(),
                made_up_tools,
                verdict: judge(family.as_ref(), &plan, &vocabulary, case, result),
            });
        }
        Fidelity { admissions }
    }

    /// A row for each family, by id.
    pub fn rows(&self) -> BTreeMap<&str, FidelityRow> {
        let mut rows: BTreeMap<&str, FidelityRow> = BTreeMap::new();
        for admission in &self.admissions {
            let row = rows.entry(&admission.family).or_default();
            row.outputs += 1;
            let for_space = matches!(admission.verdict, Verdict::Refused { white_space: true, .. });
            row.white_space += usize::from(for_space);
            *match admission.verdict {
                Verdict::Admitted => &mut row.admitted,
                Verdict::Refused { .. } => &mut row.refused,
                Verdict::Invalid(_) => &mut row.invalid,
                Verdict::NoGrammar(_) => &mut row.no_grammar,
            } += 1;
        }
        rows
    }
}

/// A table, and a line for each output that is not admitted.
impl Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, row: FidelityRow| {
            let valid = row.outputs - row.invalid - row.no_grammar;
            let share = if valid == 0 { 100.0 } else { 100.0 * row.admitted as f64 / valid as f64 };
            let FidelityRow { outputs, admitted, refused, white_space, invalid, no_grammar } = row;
            writeln!(
                f,
                "{name:<18} {outputs:>7} {admitted:>8} {refused:>7} {white_space:>11} {invalid:>7} \
                 {no_grammar:>10} {share:>7.1}%"
            )
        };
        writeln!(
            f,
            "{:<18} {:>7} {:>8} {:>7} {:>11} {:>7} {:>10} {:>8}",
            "family", "outputs", "admitted", "refused", "white space", "invalid", "no grammar", "admitted"
        )?;
        let mut all = FidelityRow::default();
        for (family, row) in self.rows() {
            line(f, family, row)?;
            all.outputs += row.outputs;
            all.admitted += row.admitted;
            all.refused += row.refused;
            all.white_space += row.white_space;
            all.invalid += row.invalid;
            all.no_grammar += row.no_grammar;
        }
        line(f, "all", all)?;
        for admission in &self.admissions {
            let (what, why) = match &admission.verdict {
                Verdict::Admitted => continue,
                Verdict::Refused { why, white_space: true, .. } => ("white space", why),
                Verdict::Refused { why, .. } => ("refused", why),
                Verdict::Invalid(why) => ("invalid", why),
                Verdict::NoGrammar(why) => ("no grammar", why),
            };
            let tools = if admission.made_up_tools { " (made-up tools)" } else { "" };
            writeln!(f, "{what}: {} {} {}{tools}: {why}", admission.id, admission.family, admission.tier)?;
        }
        Ok(())
    }
}

/// Whether the case agrees, and its output is nothing but whole calls and text.
fn is_well_formed(result: &CaseResult) -> bool {
    result.agreement != Agreement::Differs
        && result.error.is_none()
        && result.turn.malformed.is_empty()
        && result.turn.calls.iter().all(|call| call.complete)
}

fn judge(
    family: &dyn Family,
    plan: &Plan,
    vocabulary: &Arc<Vocabulary>,
    case: &Case,
    result: &CaseResult,
) -> Verdict {
    if let Some(why) = invalid(plan, &result.turn) {
        return Verdict::Invalid(why);
    }
    let mut matcher = match matcher(family, plan, vocabulary) {
        Ok(matcher) => matcher,
        Err(error) => return Verdict::NoGrammar(error),
    };
    let tail = &result.prompt_tail;
    if matcher.accept_text(tail).is_err() {
        let why = format!("the prompt's {tail:?} cannot begin a turn");
        return Verdict::Refused { at: 0, why, white_space: false };
    }
    // What ends a turn is a part of some formats, and stands in some outputs.
    let stops = &family.manifest().stops.tokens;
    let text =
        stops.iter().fold(case.text.as_str(), |text, stop| text.strip_suffix(stop.as_str()).unwrap_or(text));
    let ended = stops.iter().map(|stop| format!("{text}{stop}"));
    if ended.chain([text.to_owned()]).any(|whole| fits(&mut matcher, &whole)) {
        return Verdict::Admitted;
    }
    match matcher.accept_text(text) {
        Ok(()) => {
            let white_space = takes_space(&mut matcher);
            Verdict::Refused { at: text.len(), why: Refusal::Unfinished.explain(text), white_space }
        }
        Err(GrammarError::RejectedBytes { offset }) => {
            let given = text.get(offset..).is_some_and(|rest| rest.starts_with(char::is_whitespace));
            let taken = text.get(..offset).is_some_and(|before| matcher.accept_text(before).is_ok());
            let white_space = given || taken && takes_space(&mut matcher);
            Verdict::Refused { at: offset, why: Refusal::At(offset).explain(text), white_space }
        }
        Err(error) => Verdict::NoGrammar(error.to_string()),
    }
}

/// Whether the matcher admits the whole text; it stays where it is.
fn fits(matcher: &mut Matcher, text: &str) -> bool {
    let before = matcher.accepted();
    let fits = matcher.accept_text(text).is_ok() && matcher.is_accepting();
    matcher.rollback(matcher.accepted() - before).is_ok() && fits
}

/// Whether white space may come next.
fn takes_space(matcher: &mut Matcher) -> bool {
    [" ", "\n"].iter().any(|space| matcher.accept_bytes(space.as_bytes()).is_ok())
}

/// What the tools on offer do not allow in the turn.
fn invalid(plan: &Plan, turn: &Turn) -> Option<String> {
    for call in &turn.calls {
        let Some(tool) = plan.tools.iter().find(|tool| tool.name == call.name) else {
            return Some(format!("`{}` is not on offer", call.name));
        };
        let Ok(arguments) = serde_json::from_str::<Value>(&call.arguments) else { continue };
        let properties = tool.parameters.get("properties").and_then(Value::as_object);
        let open = tool.parameters.get("additionalProperties").is_some_and(|more| *more != false);
        if let (Some(known), Some(given), false) = (properties, arguments.as_object(), open)
            && let Some(key) = given.keys().find(|key| !known.contains_key(*key))
        {
            return Some(format!("`{}` takes no `{key}`", tool.name));
        }
        let schema = Schema::compile(&tool.parameters, &Options::default());
        if schema.is_ok_and(|schema| !schema.accepts(&arguments)) {
            return Some(format!("the arguments {arguments} do not fit the schema of `{}`", tool.name));
        }
    }
    None
}

/// Tools that take what the calls hold.
fn tools_of(turn: &Turn) -> Vec<Tool> {
    let mut properties: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for call in &turn.calls {
        let own = properties.entry(&call.name).or_default();
        let arguments: Map<String, Value> = serde_json::from_str(&call.arguments).unwrap_or_default();
        for (key, value) in arguments {
            let kind = match value {
                Value::String(_) => json!({"type": "string"}),
                Value::Number(_) => json!({"type": "number"}),
                Value::Bool(_) => json!({"type": "boolean"}),
                _ => json!({}),
            };
            let known = own.get(&key).is_some_and(|known| *known != kind);
            own.insert(key, if known { json!({}) } else { kind });
        }
    }
    let tool = |(name, properties): (&str, Map<String, Value>)| Tool {
        name: name.to_owned(),
        description: String::new(),
        parameters: json!({"type": "object", "properties": properties}),
        kind: ToolKind::Function,
    };
    properties.into_iter().map(tool).collect()
}

#[cfg(test)]
mod tests {
    use toolglot::Registry;
    use toolglot::parsers::conformance::{Case, run};

    use super::{Fidelity, Verdict};

    fn verdict(family: &str, text: &str, tools: &str) -> Verdict {
        let text = serde_json::Value::from(text);
        let line = format!(r#"{{"id": "a", "family": "{family}", "text": {text}, "tools": {tools}}}"#);
        let cases = Case::read(&line).unwrap();
        let registry = Registry::builtin().unwrap();
        let report = run(&registry, &cases, None);
        Fidelity::of(&registry, &cases, &report).admissions.remove(0).verdict
    }

    #[test]
    fn says_where_an_output_leaves_the_grammar() {
        const TOOLS: &str =
            r#"[{"name": "f", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}]"#;
        let call = |body: &str| format!("<tool_call>\n{body}\n</tool_call>");
        let good = call(r#"{"name": "f", "arguments": {"n": 1}}"#);
        assert_eq!(verdict("hermes", &good, TOOLS), Verdict::Admitted);
        assert_eq!(verdict("hermes", &format!("Well.\n{good}<|im_end|>"), TOOLS), Verdict::Admitted);
        assert_eq!(verdict("qwen3", &format!("Hm.\n</think>\n\n{good}"), TOOLS), Verdict::Admitted);
        assert_eq!(verdict("hermes", &good, "null"), Verdict::Admitted, "tools are made up");
        let Verdict::Refused { at, why, white_space } =
            verdict("hermes", &call(r#"{"name": "f","arguments": {}}"#), TOOLS)
        else {
            panic!("admitted");
        };
        assert_eq!((at, white_space), ("<tool_call>\n{\"name\": \"f\",".len(), true), "{why}");
        let args = call(r#"{"name": "f", "parameters": {}}"#);
        assert!(matches!(verdict("hermes", &args, TOOLS), Verdict::Refused { white_space: false, .. }));
        assert_eq!(verdict("harmony", "<|channel|>final<|message|>Yes.", "null"), Verdict::Admitted);
        let misfit = verdict("hermes", &call(r#"{"name": "f", "arguments": {"n": "x"}}"#), TOOLS);
        assert!(matches!(&misfit, Verdict::Invalid(why) if why.contains("do not fit")), "{misfit:?}");
        let stranger = verdict("hermes", &call(r#"{"name": "g", "arguments": {}}"#), TOOLS);
        assert_eq!(stranger, Verdict::Invalid("`g` is not on offer".into()));
        let odd = r#"[{"name": "f", "parameters": {"type": "object", "properties": {"n": {"pattern": "(a)\\1"}}}}]"#;
        let odd = verdict("hermes", &call(r#"{"name": "f", "arguments": {}}"#), odd);
        assert!(matches!(&odd, Verdict::NoGrammar(why) if why.contains("pattern")), "{odd:?}");
    }
}
