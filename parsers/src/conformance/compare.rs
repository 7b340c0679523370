//! Compares a parsed turn with a case's expectation.
//!
//! Events say more than an expectation can: a cut-off call stands in them beside its raw bytes, and text
//! after a call is kept. So some expectations are readings of the same events under another policy. Each
//! such policy is a rule here, never a list of cases, and a case that only a policy reconciles is counted
//! apart.

use serde::Serialize;
use serde_json::Value;
use toolglot_format::{Call, Channel, Event, MalformedReason, Turn};

use super::{Case, ExpectedCall};

/// How far a case's expectation is met. Later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// Equal in all that the case pins.
    Same,
    /// Equal but for outer white space of content or reasoning.
    OuterSpace,
    /// Equal once the events are read under the peer's policy.
    Policy(Policy),
    /// Not equal.
    Differs,
}

/// Where peers decide otherwise about the same events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// White space inside, such as a line break that a peer puts between two messages.
    InnerSpace,
    /// What the parser reports as malformed is content for the peer, or is gone.
    MalformedText,
    /// The peer drops text, such as prose after a call; here no byte is lost.
    DroppedText,
    /// The peer's test runs one stage: reasoning stays in content, or calls do.
    OneStage,
    /// The peer hides reasoning.
    HiddenReasoning,
    /// A call that was cut off: dropped by some, told of with what is known by others.
    CutOffCall,
    /// A call whose closing marker never came: none for the peer, whole here where its arguments are whole.
    UnclosedCall,
    /// A parameter without a schema: its text is a string for the peer, and the JSON that it spells here, or
    /// the other way round.
    UntypedValue,
    /// The request allows no call, so the peer drops the one in the output; here it is told of.
    CallUnderNone,
    /// A call of a tool that is not on offer, dropped by the peer; here it is told of, as unknown.
    UnknownTool,
    /// Several engines ran the same test and answer in different ways; another one of them answers as we do.
    EnginesDiffer,
}

/// The parts of an expectation, judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// Calls; `None` where the case pins none.
    pub calls: Option<Agreement>,
    /// Content.
    pub content: Option<Agreement>,
    /// Reasoning.
    pub reasoning: Option<Agreement>,
}

impl Parts {
    /// The worst part.
    pub fn overall(&self) -> Agreement {
        let parts = [self.calls, self.content, self.reasoning];
        parts.into_iter().flatten().max().unwrap_or(Agreement::Same)
    }
}

/// A family's markers.
pub(super) struct Marks<'a> {
    /// Its framing.
    pub(super) all: &'a [&'a str],
    /// Around reasoning.
    pub(super) reasoning: (&'a str, &'a str),
    /// Behind a call's arguments.
    pub(super) closers: &'a [&'a str],
}

/// Judges `events`, joined, against `case` alone.
fn judge(case: &Case, events: &[Event], marks: &Marks<'_>) -> Parts {
    let turn: Turn = events.iter().cloned().collect();
    let texts = Texts::new(case, events, &turn, marks.all, marks.reasoning);
    let content = case.expected_content.as_deref();
    let judge_calls = |expected: &[ExpectedCall]| match calls(case, expected, &turn, marks) {
        Agreement::Differs if expected.is_empty() && content.is_some_and(|want| texts.holds_calls(want)) => {
            Agreement::Policy(Policy::OneStage)
        }
        agreement => agreement,
    };
    let mut parts = Parts {
        calls: case.expected_calls.as_deref().map(judge_calls),
        content: content.map(|expected| texts.content(expected)),
        reasoning: case.expected_reasoning.as_deref().map(|expected| texts.reasoning(expected)),
    };
    // A peer that takes such a call for none gives the whole output as text.
    let no_call = [Policy::UnclosedCall, Policy::UnknownTool].map(|policy| Some(Agreement::Policy(policy)));
    if no_call.contains(&parts.calls)
        && parts.content == Some(Agreement::Differs)
        && content.is_some_and(|content| content.trim() == case.text.trim())
    {
        parts.content = parts.calls;
    }
    parts
}

/// Judges `events`, joined, against `case`, and where they differ, against what the other engines of its test gave.
pub(super) fn compare(case: &Case, events: &[Event], marks: &Marks<'_>) -> Parts {
    let mut parts = judge(case, events, marks);
    let differs = |part: Option<Agreement>| part == Some(Agreement::Differs);
    if parts.overall() == Agreement::Differs {
        let agrees =
            case.other_engines().into_iter().map(|other| judge(&other, events, marks)).find(|other| {
                // Only what that engine's answer pins is answered by it.
                let answered = |part, other| !differs(part) || (Option::is_some(&other) && !differs(other));
                answered(parts.calls, other.calls)
                    && answered(parts.content, other.content)
                    && answered(parts.reasoning, other.reasoning)
            });
        if agrees.is_some() {
            for part in [&mut parts.calls, &mut parts.content, &mut parts.reasoning] {
                if differs(*part) {
                    *part = Some(Agreement::Policy(Policy::EnginesDiffer));
                }
            }
        }
    }
    parts
}

fn calls(case: &Case, expected: &[ExpectedCall], turn: &Turn, marks: &Marks<'_>) -> Agreement {
    let complete: Vec<&Call> = turn.calls.iter().filter(|call| call.complete).collect();
    let all: Vec<&Call> = turn.calls.iter().collect();
    let equal = |calls: &[&Call], test: &dyn Fn(&ExpectedCall, &Call) -> bool| {
        calls.len() == expected.len() && expected.iter().zip(calls).all(|(want, call)| test(want, call))
    };
    // An expectation in which arguments are no JSON is one about cut-off or broken calls.
    let of_broken = expected.iter().any(|call| call.arguments.is_string());
    if equal(&complete, &same_call) || (of_broken && equal(&all, &same_call)) {
        return Agreement::Same;
    }
    let known = |want: &ExpectedCall, call: &Call| {
        same_call(want, call) || (!call.complete && want.name.as_ref().is_none_or(|name| *name == call.name))
    };
    if complete.len() < all.len() && equal(&all, &known) {
        return Agreement::Policy(Policy::CutOffCall);
    }
    if equal(&complete, &|want, call| same_untyped(case, want, call)) {
        return Agreement::Policy(Policy::UntypedValue);
    }
    let fewer = expected.len() < complete.len();
    if fewer
        && equal(&complete[..expected.len()], &same_call)
        && is_unclosed(&case.text, complete.len(), marks)
    {
        return Agreement::Policy(Policy::UnclosedCall);
    }
    let offered: Vec<&Call> = complete.iter().copied().filter(|call| case.offers(&call.name)).collect();
    if offered.len() < complete.len() && equal(&offered, &same_call) {
        return Agreement::Policy(Policy::UnknownTool);
    }
    if expected.is_empty() && case.allows_no_call() {
        return Agreement::Policy(Policy::CallUnderNone);
    }
    Agreement::Differs
}

/// Whether a marker behind the arguments of one of `calls` calls never came.
fn is_unclosed(text: &str, calls: usize, marks: &Marks<'_>) -> bool {
    let missing = |closer: &&&str| closer.len() > 2 && text.matches(**closer).count() < calls;
    let ended = |last: &&str| text.trim_end().ends_with(*last) || *last == "]" && !text.contains('[');
    marks.closers.first().filter(missing).is_some() || !marks.closers.last().is_none_or(ended)
}

fn same_call(want: &ExpectedCall, call: &Call) -> bool {
    if want.name.as_ref().is_some_and(|name| *name != call.name) {
        return false;
    }
    let parsed: Option<Value> = serde_json::from_str(&call.arguments).ok();
    let pinned = match &want.arguments {
        Value::Null => true,
        Value::String(text) => {
            text.trim() == call.arguments.trim()
                || serde_json::from_str(text).is_ok_and(|value: Value| parsed.as_ref() == Some(&value))
        }
        value => parsed.as_ref().is_some_and(|parsed| same_value(parsed, value)),
    };
    let at = |pointer: &str| parsed.as_ref().and_then(|parsed| parsed.pointer(pointer));
    let mut partial = want.arguments_partial.iter();
    pinned && partial.all(|(pointer, value)| at(pointer).is_some_and(|found| same_value(found, value)))
}

/// As `same_call`, but where no schema types a parameter, its text may be taken for a string or for the JSON
/// that it spells.
fn same_untyped(case: &Case, want: &ExpectedCall, call: &Call) -> bool {
    let tool = case.tool(&call.name);
    let typed = |key: &str| {
        let schema = tool.and_then(|tool| {
            tool.pointer("/function/parameters")
                .or_else(|| tool.get("parameters"))?
                .get("properties")?
                .get(key)
        });
        schema.is_some_and(|schema| schema.as_object().is_some_and(|schema| !schema.is_empty()))
    };
    let spells = |text: &Value, value: &Value| {
        let parsed = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        parsed.is_some_and(|parsed| same_value(&parsed, value))
    };
    let Ok(Value::Object(got)) = serde_json::from_str(&call.arguments) else { return false };
    let pinned = &want.arguments_partial;
    if want.arguments.is_null() && !pinned.is_empty() {
        let same = |(pointer, want): (&String, &Value)| {
            let key = pointer.trim_start_matches('/');
            got.get(key).is_some_and(|got| {
                same_value(got, want) || !typed(key) && (spells(want, got) || spells(got, want))
            })
        };
        return want.name.as_ref().is_none_or(|name| *name == call.name) && pinned.iter().all(same);
    }
    let Some(wanted) = want.arguments.as_object() else { return false };
    want.name.as_ref().is_none_or(|name| *name == call.name)
        && got.len() == wanted.len()
        && wanted.iter().all(|(key, want)| {
            got.get(key).is_some_and(|got| {
                same_value(got, want) || !typed(key) && (spells(want, got) || spells(got, want))
            })
        })
}

/// Equal as JSON values: members in any order, numbers by their value.
pub fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.to_string() == b.to_string()
                || match (a.as_i128(), b.as_i128()) {
                    (Some(a), Some(b)) => a == b,
                    _ => a.as_f64() == b.as_f64(),
                }
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_value(a, b)))
        }
        _ => a == b,
    }
}

/// The readings of a turn's text.
struct Texts<'a> {
    case: &'a Case,
    turn: &'a Turn,
    /// Content with the raw bytes of everything malformed, in place.
    with_malformed: String,
    /// Content without the bytes of frames that hold no call.
    without_frames: String,
    /// Content with stray markers in place and without frames that hold no call.
    with_strays: String,
    markers: &'a [&'a str],
    marks: (&'a str, &'a str),
}

impl<'a> Texts<'a> {
    fn new(
        case: &'a Case,
        events: &[Event],
        turn: &'a Turn,
        markers: &'a [&'a str],
        marks: (&'a str, &'a str),
    ) -> Self {
        let mut texts = [const { String::new() }; 3];
        for event in events {
            let [with_malformed, without_frames, with_strays] = &mut texts;
            match event {
                Event::Text { channel: Channel::Content, text } => {
                    texts.iter_mut().for_each(|all| all.push_str(text));
                }
                // Given as content too, in front of the report or behind it.
                Event::Malformed { reason: MalformedReason::NoName, raw, .. } => {
                    for all in [without_frames, with_strays] {
                        *all = all.replacen(raw.as_str(), "", 1);
                    }
                }
                Event::Malformed { reason: MalformedReason::StrayMarker, raw, .. } => {
                    *with_malformed += raw;
                    *with_strays += raw;
                }
                Event::Malformed { raw, .. } => *with_malformed += raw,
                _ => {}
            }
        }
        let [with_malformed, without_frames, with_strays] = texts;
        Texts { case, turn, with_malformed, without_frames, with_strays, markers, marks }
    }

    fn content(&self, expected: &str) -> Agreement {
        let ours = self.turn.content.as_str();
        let want = expected.trim();
        if ours == expected {
            return Agreement::Same;
        }
        if ours.trim() == want {
            return Agreement::OuterSpace;
        }
        let readings = [ours, &self.with_malformed, &self.without_frames, &self.with_strays];
        let spaceless = |text: &str| text.split_whitespace().collect::<String>();
        if spaceless(ours) == spaceless(want) {
            return Agreement::Policy(Policy::InnerSpace);
        }
        if readings[1..].iter().any(|text| spaceless(text) == spaceless(want)) {
            return Agreement::Policy(Policy::MalformedText);
        }
        if self.is_one_stage(want) {
            return Agreement::Policy(Policy::OneStage);
        }
        if readings.iter().any(|text| self.is_with_a_piece_dropped(text.trim(), want)) {
            return Agreement::Policy(Policy::DroppedText);
        }
        Agreement::Differs
    }

    /// Whether `want` is what a test of one stage alone expects: the other stage's markers stand in it.
    fn is_one_stage(&self, want: &str) -> bool {
        let (open, close) = self.marks;
        let calls_pinned = self.case.expected_calls.as_ref().is_some_and(|calls| !calls.is_empty());
        if !calls_pinned && self.holds_calls(want) {
            return true;
        }
        // The call stage alone: reasoning stays where it was, with its markers, or without where the peer
        // reads them as framing.
        let spaceless = |text: &str| text.split_whitespace().collect::<String>();
        let (content, reasoning) = (&self.turn.content, &self.turn.reasoning);
        if self.case.expected_reasoning.is_none()
            && !reasoning.is_empty()
            && spaceless(want) == spaceless(&format!("{reasoning}{content}"))
        {
            return true;
        }
        let marked = [open, close].iter().any(|mark| !mark.is_empty() && want.contains(mark));
        marked && self.strip(want) == self.strip(&format!("{}{}", self.turn.reasoning, self.with_malformed))
    }

    /// Whether `want` is what the reasoning stage alone expects as content: calls stay as they were written.
    /// Some write the marker that the prompt has opened before the output.
    fn holds_calls(&self, want: &str) -> bool {
        let want = want.trim();
        let tail = want.strip_prefix(self.marks.0).unwrap_or(want);
        !want.is_empty()
            && self.case.text.trim().ends_with(tail)
            && self.markers.iter().any(|mark| tail.contains(mark))
    }

    /// Without the markers of reasoning and without white space.
    fn strip(&self, text: &str) -> String {
        let (open, close) = self.marks;
        let text = if open.is_empty() { text.to_owned() } else { text.replace(open, "") };
        let text = if close.is_empty() { text } else { text.replace(close, "") };
        text.split_whitespace().collect()
    }

    /// Whether the peer's content is ours without one piece, and no marker is in that piece.
    fn is_with_a_piece_dropped(&self, ours: &str, want: &str) -> bool {
        if want.len() >= ours.len() {
            return false;
        }
        let prefix = ours.bytes().zip(want.bytes()).take_while(|(a, b)| a == b).count();
        let suffix = ours.bytes().rev().zip(want.bytes().rev()).take_while(|(a, b)| a == b).count();
        let (prefix, suffix) = (prefix, suffix.min(want.len() - prefix.min(want.len())));
        if prefix + suffix < want.trim_end().len() {
            return false;
        }
        let dropped = ours.get(prefix..ours.len() - suffix).unwrap_or_default();
        !self.markers.iter().any(|mark| dropped.contains(mark))
    }

    fn reasoning(&self, expected: &str) -> Agreement {
        let ours = self.turn.reasoning.as_str();
        if ours == expected {
            return Agreement::Same;
        }
        if ours.trim() == expected.trim() {
            return Agreement::OuterSpace;
        }
        if expected.is_empty() {
            let in_content =
                self.case.expected_content.as_deref().is_some_and(|content| content.contains(ours.trim()));
            let policy = if in_content { Policy::OneStage } else { Policy::HiddenReasoning };
            return Agreement::Policy(policy);
        }
        let spaceless = |text: &str| text.split_whitespace().collect::<String>();
        if spaceless(ours) == spaceless(expected) {
            return Agreement::Policy(Policy::InnerSpace);
        }
        if self.strip(ours) == self.strip(expected) {
            return Agreement::Policy(Policy::OneStage);
        }
        Agreement::Differs
    }
}
