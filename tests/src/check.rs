//! Runs a family's cases over anything that implements the family.

use std::path::Path;

use toolglot_format::{Event, FinishReason, Piece, Plan, Turn};
use toolglot_parsers::{Family, SessionOptions};

use crate::{Case, CaseFile, PieceOf, WantedCall};

/// A case that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// What is wrong, for people.
    pub why: String,
}

/// Runs every case of `file` over `family`: in each cut, against the intent, and against the snapshots in
/// `folder`, which `INSTA_UPDATE=always` writes anew.
pub fn check(family: &dyn Family, file: &CaseFile, folder: &Path) -> Vec<Failure> {
    let mut failures = Vec::new();
    for case in &file.cases {
        let broken = file.known_broken.contains_key(case.category.word());
        match check_case(family, case, folder) {
            Err(why) if !broken => failures.push(Failure { case: case.name.clone(), why }),
            Ok(())
                if broken
                    && file.cases.iter().filter(|other| other.category == case.category).count() == 1 =>
            {
                let why = format!("passes, so `{}` is no longer known to be broken", case.category.word());
                failures.push(Failure { case: case.name.clone(), why });
            }
            _ => {}
        }
    }
    failures
}

fn check_case(family: &dyn Family, case: &Case, folder: &Path) -> Result<(), String> {
    let plan = case.plan()?;
    let format = family.format(&plan).map_err(|error| error.to_string())?;
    format.specialise(&plan).map_err(|error| format!("no strict reading under this plan: {error}"))?;
    let events = run(family, case, &plan, usize::MAX)?;
    for size in [1, 2, 3, 7] {
        let cut = run(family, case, &plan, size)?;
        if cut != events {
            return Err(format!("in pieces of {size} bytes:\n{}\nbut whole:\n{}", show(&cut), show(&events)));
        }
    }
    let turn: Turn = events.iter().cloned().collect();
    intent(case, &turn).map_err(|why| format!("{why}\nevents:\n{}", show(&events)))?;
    snapshot(case, &show(&events), folder)
}

/// The events of a case whose pieces are cut to at most `size` bytes, joined.
fn run(family: &dyn Family, case: &Case, plan: &Plan, size: usize) -> Result<Vec<Event>, String> {
    let mut session = family.session(plan, SessionOptions::default()).map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    session.prime(case.tail.as_bytes());
    let whole = case.output.iter().map(|text| PieceOf { text: text.clone(), special: None });
    for piece in whole.chain(case.pieces.iter().cloned()) {
        // A special token is one token: it is never cut.
        let size = if piece.special == Some(true) { usize::MAX } else { size };
        for bytes in piece.text.as_bytes().chunks(size.min(piece.text.len().max(1))) {
            session.feed(&[Piece { bytes, special: piece.special }], &mut events);
        }
    }
    session.finish(if case.cut { FinishReason::Cut } else { FinishReason::Stop }, &mut events);
    Ok(Event::join(events))
}

fn intent(case: &Case, turn: &Turn) -> Result<(), String> {
    let text = |what: &str, got: &str, want: &str| {
        if got == want { Ok(()) } else { Err(format!("{what} is {got:?}, meant was {want:?}")) }
    };
    text("content", &turn.content, &case.content)?;
    text("reasoning", &turn.reasoning, &case.reasoning)?;
    if turn.calls.len() != case.calls.len() {
        return Err(format!("{} calls, meant were {}", turn.calls.len(), case.calls.len()));
    }
    for (i, (got, want)) in turn.calls.iter().zip(&case.calls).enumerate() {
        text(&format!("name of call {i}"), &got.name, &want.name)?;
        if got.complete != want.complete {
            return Err(format!("call {i} has complete = {}", got.complete));
        }
        if !same_arguments(&got.arguments, want)? {
            return Err(format!("call {i} has arguments {}, meant were {}", got.arguments, want.args));
        }
    }
    let reasons: Vec<_> = turn.malformed.iter().map(|span| span.reason).collect();
    if reasons != case.malformed {
        return Err(format!("malformed is {reasons:?}, meant was {:?}", case.malformed));
    }
    Ok(())
}

fn same_arguments(got: &str, want: &WantedCall) -> Result<bool, String> {
    if !want.complete {
        return Ok(got == want.args);
    }
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text);
    let wanted = value(&want.args).map_err(|error| format!("`args` in the case is no JSON: {error}"))?;
    let got = value(got).map_err(|error| format!("the arguments {got:?} are no JSON: {error}"))?;
    Ok(got == wanted)
}

/// One event a line.
fn show(events: &[Event]) -> String {
    let lines = events.iter().map(|event| serde_json::to_string(event).unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn snapshot(case: &Case, events: &str, folder: &Path) -> Result<(), String> {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder.join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(case.output.as_deref().map(|text| format!("{text:?}")).unwrap_or_default());
    let name = case.name.clone();
    // insta panics on a difference; a suite wants to see them all.
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(name, events));
    }));
    checked.map_err(|_| "differs from its snapshot (see above)".to_owned())
}
