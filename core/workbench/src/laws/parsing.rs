//! Laws 4 and 5: whatever a model writes, the events do not depend on the cut, and no byte is lost.

use proptest::prelude::*;
use toolglot::format::{FinishReason, MalformedReason};
use toolglot::{Event, Family, Piece, Plan};

use super::{Trial, fail, hold, plan};
use crate::expect::{cut, parse, show};
use crate::sample::mash;
use crate::tool_set;
use crate::vocabulary::literals;

fn weather() -> Result<Plan, String> {
    Ok(plan(tool_set("weather")?))
}

fn finish(stop: bool) -> FinishReason {
    if stop { FinishReason::Stop } else { FinishReason::Cut }
}

/// What the mash is made of; a format without literals still has prose.
fn parts(family: &dyn Family) -> Vec<String> {
    let mut parts = literals(&family.manifest().format);
    if parts.is_empty() {
        parts.push(" ".into());
    }
    parts
}

pub(super) fn any_cut(family: &dyn Family, trial: &Trial) -> Result<(), String> {
    let plan = weather()?;
    let cuts = prop::collection::vec(
        (any::<prop::sample::Index>(), prop::option::weighted(0.1, any::<bool>())),
        0..6,
    );
    hold(trial, &(mash(parts(family)), cuts, any::<bool>()), |(text, cuts, stop)| {
        let events = |pieces: &[Piece<'_>]| parse(family, &plan, "", pieces, finish(stop)).or_else(fail);
        let same = |what: &str, pieces: &[Piece<'_>]| {
            let (whole, each) = (events(pieces)?, events(&cut(pieces, 1))?);
            if whole == each {
                return Ok(());
            }
            fail(format!(
                "{what} {text:?}\nbyte by byte it reads as\n{}but in larger pieces as\n{}",
                show(&each),
                show(&whole)
            ))
        };
        let bytes = text.as_bytes();
        same("the output", &[Piece { bytes, special: None }])?;
        // A cut leaves the kinds of pieces as they are: first pieces of several kinds, then the same cut up.
        let mut at: Vec<(usize, Option<bool>)> =
            cuts.iter().map(|(at, kind)| (at.index(bytes.len() + 1), *kind)).collect();
        at.sort_by_key(|(at, _)| *at);
        let mut from = 0;
        let mut pieces = Vec::new();
        for (to, kind) in at.into_iter().chain([(bytes.len(), None)]) {
            pieces.push(Piece { bytes: &bytes[from..to], special: kind });
            from = to;
        }
        same(&format!("the pieces {}of", tell(&pieces)), &pieces)
    })
}

fn tell(pieces: &[Piece<'_>]) -> String {
    let tell = |piece: &Piece<'_>| {
        let kind = match piece.special {
            Some(true) => " (special)",
            Some(false) => " (ordinary)",
            None => "",
        };
        format!("{:?}{kind}, ", String::from_utf8_lossy(piece.bytes))
    };
    pieces.iter().map(tell).collect()
}

/// Every word of the output is in exactly one event. Bytes that the reason says are given twice count once.
pub(super) fn no_byte_lost(family: &dyn Family, trial: &Trial) -> Result<(), String> {
    let plan = weather()?;
    hold(trial, &(mash(parts(family)), any::<bool>()), |(text, stop)| {
        let events = parse(family, &plan, "", &[Piece::text(&text)], finish(stop)).or_else(fail)?;
        let mut given = String::new();
        let mut malformed = String::new();
        for event in &events {
            match event {
                Event::Text { text, .. } => given += text,
                Event::CallStart { name, id, .. } => {
                    given += name;
                    // An id may hold the name.
                    given += &id.as_deref().unwrap_or_default().replace(name.as_str(), "");
                }
                Event::Arguments { json, .. } => given += json,
                Event::CallId { id, .. } => given += id,
                Event::CallEnd { .. } => {}
                Event::Malformed { raw, reason, .. } => {
                    malformed += raw;
                    let told = matches!(
                        reason,
                        MalformedReason::NoName | MalformedReason::InvalidArguments | MalformedReason::CutOff
                    );
                    if !told {
                        given += raw;
                    }
                }
            }
            given.push(' ');
            malformed.push(' ');
        }
        for number in 1.. {
            let word = format!("w{number}z");
            if !text.contains(&word) {
                break;
            }
            let times = given.matches(&word).count();
            if times != 1 && !(times == 0 && malformed.contains(&word)) {
                return fail(format!(
                    "the output {text:?}\nthe word {word} was meant once, and is {times} times in\n{}",
                    show(&events)
                ));
            }
        }
        Ok(())
    })
}
