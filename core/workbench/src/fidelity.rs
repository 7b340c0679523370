//! Fidelity: whether the masks let a model write what models have written.
//!
//! A conformance case that is well-formed and that this parser reads as the case says is an output that the family's
//! models may have been trained to write. Its grammar, under the case's own tools and with the choice left to the
//! model, should admit it byte for byte; where it does not, a mask would push the model off its habit. Not every such
//! output is one of the format: some were cut off, some break their own tools' schemas, and some are spellings that
//! the family states as read and never written. Each of these is told apart by a rule, not by a list.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use toolglot::format::{ToolKind, Turn};
use toolglot::grammar::{GrammarError, Matcher, Vocabulary};
use toolglot::parsers::conformance::{Agreement, Case, CaseResult, Report};
use toolglot::schema::{Options, Schema};
use toolglot::{Family, Plan, Registry, Tool};

use crate::admit::{Refusal, matcher, matcher_of};
use crate::drift::as_read;
use crate::vocabulary;

/// What the grammar says of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It admits the output.
    Admitted,
    /// It stops at a byte of the output.
    Refused {
        /// The offset of the first byte that may not stand there.
        at: usize,
        /// In words.
        why: String,
        /// What is missing or too much there is white space.
        white_space: bool,
        /// It stands in text, and is what calls begin with or hold.
        in_text: bool,
    },
    /// It stops there too, at a spelling that the family states as read and never written: a lenient node, an alias,
    /// another order of an object's members.
    Lenient(String),
    /// It admits every byte, and asks for more: the output was cut off.
    Unfinished(String),
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
    /// Of these, refused for text that looks like a call.
    pub in_text: usize,
    /// Refused as a spelling that is read only.
    pub lenient: usize,
    /// Cut off.
    pub unfinished: usize,
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
            let fitted = fitted(family, &case.text);
            let (family, known) = match &fitted {
                Some(fitted) => (fitted, None),
                None => (family, known),
            };
            let Some(vocabulary) = known.or_else(|| vocabulary::bytes(&family.manifest().format).ok()) else {
                continue;
            };
            if fitted.is_none() {
                vocabularies.insert(result.family.clone(), vocabulary.clone());
            }
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
                verdict: judge(
                    family.as_ref(),
                    &plan,
                    &vocabulary,
                    &result.prompt_tail,
                    &case.text,
                    &result.turn,
                ),
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
            row.in_text += usize::from(matches!(admission.verdict, Verdict::Refused { in_text: true, .. }));
            *match admission.verdict {
                Verdict::Admitted => &mut row.admitted,
                Verdict::Refused { .. } => &mut row.refused,
                Verdict::Lenient(_) => &mut row.lenient,
                Verdict::Unfinished(_) => &mut row.unfinished,
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
            let of = |all: usize| if all == 0 { 100.0 } else { 100.0 * row.admitted as f64 / all as f64 };
            let written = of(row.admitted + row.refused);
            let read = of(row.admitted + row.refused + row.lenient);
            let FidelityRow {
                outputs,
                admitted,
                refused,
                white_space,
                in_text,
                lenient,
                unfinished,
                invalid,
                no_grammar,
            } = row;
            writeln!(
                f,
                "{name:<18} {outputs:>7} {admitted:>8} {refused:>7} {white_space:>11} {in_text:>7} {lenient:>7} {unfinished:>7} \
                 {invalid:>7} {no_grammar:>10} {written:>9.1}% {read:>7.1}%"
            )
        };
        writeln!(
            f,
            "{:<18} {:>7} {:>8} {:>7} {:>11} {:>7} {:>7} {:>7} {:>7} {:>10} {:>10} {:>8}",
            "family",
            "outputs",
            "admitted",
            "refused",
            "white space",
            "in text",
            "lenient",
            "cut off",
            "invalid",
            "no grammar",
            "of written",
            "of read"
        )?;
        let mut all = FidelityRow::default();
        for (family, row) in self.rows() {
            line(f, family, row)?;
            all.outputs += row.outputs;
            all.admitted += row.admitted;
            all.refused += row.refused;
            all.white_space += row.white_space;
            all.in_text += row.in_text;
            all.lenient += row.lenient;
            all.unfinished += row.unfinished;
            all.invalid += row.invalid;
            all.no_grammar += row.no_grammar;
        }
        line(f, "all", all)?;
        for admission in &self.admissions {
            let (what, why) = match &admission.verdict {
                Verdict::Admitted => continue,
                Verdict::Refused { why, white_space: true, .. } => ("white space", why),
                Verdict::Refused { why, in_text: true, .. } => ("in text", why),
                Verdict::Refused { why, .. } => ("refused", why),
                Verdict::Lenient(why) => ("lenient", why),
                Verdict::Unfinished(why) => ("cut off", why),
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

/// What the grammar of `plan` says of an output that reads as `turn`, behind the prompt's `tail`.
pub(crate) fn judge(
    family: &dyn Family,
    plan: &Plan,
    vocabulary: &Arc<Vocabulary>,
    tail: &str,
    text: &str,
    turn: &Turn,
) -> Verdict {
    if let Some(why) = invalid(plan, turn) {
        return Verdict::Invalid(why);
    }
    let mut matcher = match matcher(family, plan, vocabulary) {
        Ok(matcher) => matcher,
        Err(error) => return Verdict::NoGrammar(error),
    };
    // Some outputs hold the frame of the turn, so that the prompt had no more than that.
    let manifest = family.manifest();
    let open = manifest.turn.open.as_str();
    let framed = text.strip_prefix(open).filter(|_| !open.is_empty());
    let (tail, text) = framed.map_or((tail, text), |text| ("", text));
    if matcher.accept_text(tail).is_err() {
        let why = format!("the prompt's {tail:?} cannot begin a turn");
        return Verdict::Refused { at: 0, why, white_space: false, in_text: false };
    }
    // What ends a turn is a part of some formats, and stands in some outputs.
    let stops = &manifest.stops.tokens;
    let text = stops.iter().fold(text, |text, stop| text.strip_suffix(stop.as_str()).unwrap_or(text));
    let admits = |matcher: &mut Matcher| {
        let ended = stops.iter().map(|stop| format!("{text}{stop}"));
        ended.chain([text.to_owned()]).any(|whole| fits(matcher, &whole))
    };
    if admits(&mut matcher) {
        return Verdict::Admitted;
    }
    let refusal = match matcher.accept_text(text) {
        Ok(()) => return Verdict::Unfinished(Refusal::Unfinished.explain(text)),
        Err(GrammarError::RejectedBytes { offset }) => {
            let rest = text.get(offset..).unwrap_or_default();
            let given = rest.starts_with(char::is_whitespace);
            let taken = text.get(..offset).is_some_and(|before| matcher.accept_text(before).is_ok());
            let next: String = rest.chars().take(10).collect();
            let in_text =
                next.len() > 3 && [&turn.content, &turn.reasoning].iter().any(|text| text.contains(&next));
            let white_space = !in_text && (given || taken && takes_space(&mut matcher, rest));
            Verdict::Refused { at: offset, why: Refusal::At(offset).explain(text), white_space, in_text }
        }
        Err(error) => return Verdict::NoGrammar(error.to_string()),
    };
    // What opens reasoning may itself be read only.
    let is_read = family
        .format(plan)
        .ok()
        .and_then(|format| matcher_of(&as_read(&format), plan, vocabulary).ok())
        .is_some_and(|mut read| read.accept_text(tail).is_ok() && admits(&mut read));
    match refusal {
        Verdict::Refused { why, .. } if is_read => Verdict::Lenient(why),
        refusal => refusal,
    }
}

/// The family with the suffix that the markers in the text have, where it has one.
fn fitted(family: &Arc<dyn Family>, text: &str) -> Option<Arc<dyn Family>> {
    let suffix = family.manifest().suffix.as_ref()?.learn([text])?;
    family.with_suffix(&suffix)
}

/// Whether the matcher admits the whole text; it stays where it is.
fn fits(matcher: &mut Matcher, text: &str) -> bool {
    let before = matcher.accepted();
    let fits = matcher.accept_text(text).is_ok() && matcher.is_accepting();
    matcher.rollback(matcher.accepted() - before).is_ok() && fits
}

/// Whether the rest may come behind white space.
fn takes_space(matcher: &mut Matcher, rest: &str) -> bool {
    let next: String = rest.chars().take(16).collect();
    [" ", "\n"].iter().any(|space| matcher.accept_text(&format!("{space}{next}")).is_ok())
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
            let kind = schema_of(&value);
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

/// A schema that takes the value.
fn schema_of(value: &Value) -> Value {
    match value {
        Value::String(_) => json!({"type": "string"}),
        Value::Number(_) => json!({"type": "number"}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Null => json!({}),
        Value::Array(items) => {
            let mut kinds: Vec<Value> = items.iter().map(schema_of).collect();
            kinds.dedup();
            match <[Value; 1]>::try_from(kinds) {
                Ok([items]) => json!({"type": "array", "items": items}),
                Err(_) => json!({"type": "array"}),
            }
        }
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().map(|(key, value)| (key.clone(), schema_of(value))).collect();
            json!({"type": "object", "properties": members})
        }
    }
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
        assert_eq!(verdict("hermes", &call(r#"{"name":"f","arguments": {}}"#), TOOLS), Verdict::Admitted);
        let wide = call(r#"{"name":       "f", "arguments": {}}"#);
        let Verdict::Refused { at, why, white_space, .. } = verdict("hermes", &wide, TOOLS) else {
            panic!("admitted");
        };
        assert_eq!((at, white_space), ("<tool_call>\n{\"name\":    ".len(), true), "{why}");
        for read in [
            r#"{"name": "f", "parameters": {}}"#,
            r#"{"arguments": {"n": 1}, "name": "f"}"#,
            r#"{"name": "f"}"#,
        ] {
            let read = verdict("hermes", &call(read), TOOLS);
            assert!(matches!(&read, Verdict::Lenient(why) if why.contains("stops at")), "{read:?}");
        }
        let list = r#"[TOOL_CALLS][{"arguments": {}, "name": "f"}]"#;
        assert!(matches!(verdict("mistral", list, TOOLS), Verdict::Lenient(_)));
        let cut = "<think>\nI was just";
        assert!(matches!(verdict("hermes", cut, TOOLS), Verdict::Unfinished(_)));
        let framed = "<|start|>assistant<|channel|>final<|message|>Yes.";
        assert_eq!(verdict("harmony", framed, "null"), Verdict::Admitted);
        let nested = "<tool_calls><tool_call>f<tool_sep></tool_call></tool_calls>";
        assert_eq!(verdict("hunyuan_v3", nested, TOOLS), Verdict::Admitted, "another suffix");
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
