//! Laws 1, 2 and 3: grammar, printer and parser are readings of one format.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use toolglot::format::{Channel, ToolChoice, Turn};
use toolglot::grammar::{Matcher, TokenKind, Vocabulary};
use toolglot::parsers::{PrintError, Printed, print, to_text};
use toolglot::{Event, Family, Plan};

use super::{Trial, assert_same, fail, hold, holds_marker, parse_text, plan};
use crate::admit::matcher;
use crate::expect::show;
use crate::ids;
use crate::own::feed;
use crate::place::{Thing, has_place};
use crate::sample::{Sample, sample};
use crate::vocabulary::{self, tokenise};

/// Steps after which an output that has not come to an end is given up.
const STEPS: usize = 300;

/// A random output under the mask: any token for `wild` steps, then only what leads to the end. `None` when it does
/// not get there.
fn walk(matcher: &mut Matcher, wild: usize, seed: u64) -> Option<String> {
    let vocabulary = matcher.compiled().vocabulary().clone();
    let mut mask = vec![0; vocabulary.mask_words()];
    let mut text = Vec::new();
    for step in 0..STEPS {
        let choice = mix(seed.wrapping_add(step as u64));
        if matcher.is_complete() || matcher.is_accepting() && (step >= wild || choice.is_multiple_of(7)) {
            return String::from_utf8(text).ok();
        }
        matcher.mask(&mut mask).ok()?;
        let allowed =
            |id: &u32| mask[*id as usize / 32] >> (*id % 32) & 1 == 1 && !vocabulary.eos().contains(id);
        // What closes something first, then what is plain.
        let rank = |id: &u32| {
            let bytes = vocabulary.bytes(*id);
            let closes = vocabulary.kind(*id) == TokenKind::Special
                || bytes.starts_with(b"</")
                || bytes.first().is_some_and(|byte| b"\"}]\n0".contains(byte));
            match bytes {
                _ if closes => 0,
                [byte] if byte.is_ascii_alphabetic() => 1,
                [byte] if byte.is_ascii_graphic() => 2,
                [_] => 4,
                _ => 3,
            }
        };
        let mut all: Vec<u32> = (0..vocabulary.len() as u32).filter(allowed).collect();
        all.sort_by_key(rank);
        let closing = all.iter().take_while(|id| rank(id) == 0).count();
        let long: Vec<u32> = all.iter().copied().filter(|id| *id > 256).collect();
        let pool = match () {
            () if step >= wild && closing > 0 => &all[..closing],
            () if !choice.is_multiple_of(3) && !long.is_empty() => &long,
            () => &all,
        };
        let token = *pool.get((choice / 21) as usize % pool.len().max(1))?;
        matcher.accept(token).ok()?;
        text.extend_from_slice(vocabulary.bytes(token));
    }
    None
}

/// Spreads a number over all numbers.
fn mix(number: u64) -> u64 {
    let a = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 8
}

pub(super) fn accepted_is_read(family: &dyn Family, trial: &Trial) -> Result<(), String> {
    let has_calls = has_place(&family.manifest().format, &[Thing::Call]);
    let choices =
        if has_calls { vec![ToolChoice::Auto, ToolChoice::Required] } else { vec![ToolChoice::Auto] };
    let choice = prop::sample::select(choices);
    // A failure shrinks to the fewest wild steps, and keeps its seed.
    let seed = any::<u64>().no_shrink();
    let vocabulary = vocabulary::pieces(&family.manifest().format).map_err(|error| error.to_string())?;
    hold(
        trial,
        &(0..120usize, seed, sample(0..1), choice, any::<bool>()),
        |(wild, seed, sample, choice, parallel)| {
            let plan = Plan { tools: sample.tools, choice, parallel, reasoning: true };
            let mut matcher = matcher(family, &plan, &vocabulary).or_else(fail)?;
            let Some(text) = walk(&mut matcher, wild, seed) else {
                return Err(TestCaseError::reject("the walk did not come to an end"));
            };
            let events = parse_text(family, &plan, &text)?;
            let turn: Turn = events.iter().cloned().collect();
            let wrong = |what: String| {
                fail(format!("the grammar accepts {text:?}\n{what}; it reads as\n{}", show(&events)))
            };
            if !turn.malformed.is_empty() {
                return wrong("but a part of it is called malformed".into());
            }
            for call in &turn.calls {
                let value: Result<serde_json::Value, _> = serde_json::from_str(&call.arguments);
                if !call.complete || !value.is_ok_and(|value| value.is_object()) {
                    return wrong(format!("but the call of `{}` is not complete", call.name));
                }
            }
            if events.iter().any(|event| matches!(event, Event::CallStart { known: false, .. })) {
                return wrong("but it calls a tool that nobody offered".into());
            }
            if plan.requires_call() {
                if turn.calls.is_empty() || !(parallel || turn.calls.len() == 1) {
                    return wrong(format!("but the plan asks for a call, and {} came", turn.calls.len()));
                }
                if !turn.content.is_empty() {
                    return wrong("but there is content beside the required call".into());
                }
            }
            Ok(())
        },
    )
}

/// Fits the turn to what the format has a place for, and prints it.
fn printed(family: &dyn Family, plan: &Plan, turn: &mut Turn) -> Result<Vec<Printed>, TestCaseError> {
    let format = family.format(plan).or_else(|error| fail(error.to_string()))?;
    if !has_place(&format, &[Thing::Text(Channel::Reasoning)]) {
        turn.reasoning.clear();
    }
    if !has_place(&format, &[Thing::Call]) {
        turn.calls.clear();
    } else if !has_place(&format, &[Thing::Call, Thing::Call]) {
        turn.calls.truncate(1);
    }
    if holds_marker(family, &turn.content) || holds_marker(family, &turn.reasoning) {
        return Err(TestCaseError::reject("text holds a marker"));
    }
    ids::fill(&format, std::slice::from_mut(turn));
    let mut parts = print(&format, plan, turn);
    // Some formats write text or calls, never both.
    if matches!(parts, Err(PrintError::NoPlace(_))) && !turn.calls.is_empty() {
        turn.content.clear();
        parts = print(&format, plan, turn);
    }
    if matches!(parts, Err(PrintError::NoPlace(_))) && !turn.calls.is_empty() {
        turn.reasoning.clear();
        parts = print(&format, plan, turn);
    }
    parts.map_err(|error| match error {
        PrintError::NoPlace(_) | PrintError::NoId { .. } => TestCaseError::fail(error.to_string()),
        error => TestCaseError::reject(error.to_string()),
    })
}

pub(super) fn printed_reads_back(family: &dyn Family, trial: &Trial) -> Result<(), String> {
    hold(trial, &sample(0..4), |Sample { tools, mut turn }| {
        let plan = plan(tools);
        let text = to_text(&printed(family, &plan, &mut turn)?);
        assert_same(&parse_text(family, &plan, &text)?, &turn, &text)
    })
}

/// Special tokens as such, the text between them in tokens that `choices` pick.
fn tokens(vocabulary: &Vocabulary, parts: &[Printed], choices: &[u16]) -> Vec<u32> {
    let mut next = choices.iter().cycle();
    let mut pick = |count: usize| usize::from(*next.next().unwrap_or(&0)) % count;
    let mut out = Vec::new();
    for part in parts {
        match vocabulary.named(&part.text).filter(|_| part.special) {
            Some(token) => out.push(token),
            None => out.extend(tokenise(vocabulary, &part.text, &mut pick)),
        }
    }
    out
}

pub(super) fn printed_is_admitted(family: &dyn Family, trial: &Trial) -> Result<(), String> {
    let vocabulary = vocabulary::pieces(&family.manifest().format).map_err(|error| error.to_string())?;
    let strategy = (sample(0..4), prop::collection::vec(any::<u16>(), 1..64));
    hold(trial, &strategy, |(Sample { tools, mut turn }, choices)| {
        let plan = plan(tools);
        let parts = printed(family, &plan, &mut turn)?;
        let mut matcher = matcher(family, &plan, &vocabulary).or_else(fail)?;
        let tokens = tokens(&vocabulary, &parts, &choices);
        feed(&mut matcher, &vocabulary, &tokens).or_else(|refusal| {
            let text = to_text(&parts);
            fail(format!("printed was {text:?}\n{}", refusal.explain(&text)))
        })
    })
}
