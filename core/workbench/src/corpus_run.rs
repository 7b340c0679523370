//! The corpus over one family: printed, read back, admitted or refused, recorded.

use std::fmt::Write as _;
use std::sync::Arc;

use toolglot::format::{FinishReason, Turn};
use toolglot::grammar::Vocabulary;
use toolglot::parsers::{PrintError, Printed, print_parts, to_text};
use toolglot::{Event, Family, Format, Piece, Plan};

use crate::admit::{Refusal, admits};
use crate::corpus::{self, Corpus, CorpusCase, Kind};
use crate::expect::{parse, parse_cut, same, same_json, show};
use crate::place::{has_place, missing, things};
use crate::record::{Record, barred};
use crate::vocabulary::{self, literals};
use crate::{Category, ids};

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be.
    Passed,
    /// The format has no place for the turn; the reason.
    NotApplicable(String),
    /// What was expected and what came.
    Failed(String),
}

/// Runs the corpus over a family. Gives each case's outcome, and the record of what was written and read.
pub fn run_corpus(family: &dyn Family, corpus: &Corpus) -> (Vec<(String, Category, Outcome)>, Record) {
    let mut outcomes = Vec::new();
    let mut record = Record::default();
    for case in &corpus.cases {
        let mut run = Run { family, case, seen: String::new() };
        let outcome = match run.run() {
            Ok(()) => Outcome::Passed,
            Err(End::NotApplicable(why)) => {
                run.seen = format!("does not apply: {why}\n");
                Outcome::NotApplicable(why)
            }
            Err(End::Failed(why)) => {
                let _ = writeln!(run.seen, "fails");
                Outcome::Failed(why)
            }
        };
        record.push(&case.name, &run.seen);
        outcomes.push((case.name.clone(), case.category, outcome));
    }
    (outcomes, record)
}

enum End {
    NotApplicable(String),
    Failed(String),
}

impl From<String> for End {
    fn from(why: String) -> Self {
        End::Failed(why)
    }
}

struct Run<'a> {
    family: &'a dyn Family,
    case: &'a CorpusCase,
    /// What is recorded.
    seen: String,
}

/// A turn printed.
struct Wire {
    parts: Vec<Turn>,
    printed: Vec<Printed>,
    text: String,
}

impl Run<'_> {
    fn run(&mut self) -> Result<(), End> {
        let plan = self.case.plan()?;
        let format = self.family.format(&plan).map_err(|error| error.to_string())?.into_owned();
        if format.has_extern() {
            return Err(End::NotApplicable("plugin code owns the format".into()));
        }
        let mut parts = corpus::turns(&self.case.turn);
        let prose = matches!(self.case.kind, Kind::CutOff | Kind::SpecialPieces);
        if prose && !has_place(&format, &things(&parts)) {
            drop_text(&format, &mut parts);
        }
        match self.case.kind {
            Kind::LookAlikes => add_look_alikes(&format, &mut parts)?,
            Kind::Markers => add_markers(&format, &plan, &mut parts)?,
            _ => {}
        }
        let wire = self.print(&format, &plan, parts)?;
        let vocabulary = vocabulary::bytes(&format).map_err(|error| error.to_string())?;
        match self.case.kind {
            Kind::CutOff => self.cut_off(&format, &plan, &wire),
            Kind::PromptTail => self.prompt_tail(&plan, &wire, &vocabulary),
            Kind::SpecialPieces => self.special_pieces(&plan, &wire),
            _ => self.turn(&format, &plan, &wire, &vocabulary),
        }
    }

    fn print(&self, format: &Format, plan: &Plan, mut parts: Vec<Turn>) -> Result<Wire, End> {
        let order = things(&parts);
        if !has_place(format, &order) {
            return Err(End::NotApplicable(missing(format, &order).into()));
        }
        ids::fill(format, &mut parts);
        let printed = print_parts(format, plan, &parts).map_err(|error| match error {
            PrintError::Ambiguous { .. } if self.case.kind == Kind::Ambiguous => {
                End::NotApplicable("a raw string that looks like another type cannot be written".into())
            }
            error => End::Failed(format!("the format has a place for this turn, but: {error}")),
        })?;
        let text = to_text(&printed);
        Ok(Wire { parts, printed, text })
    }

    fn turn(
        &mut self,
        format: &Format,
        plan: &Plan,
        wire: &Wire,
        vocabulary: &Arc<Vocabulary>,
    ) -> Result<(), End> {
        self.seen += &barred(&wire.text);
        let events = parse_cut(self.family, plan, "", &[Piece::text(&wire.text)], FinishReason::Stop)
            .map_err(|why| format!("printed as\n{}{why}", barred(&wire.text)))?;
        self.seen += &show(&events);
        same(plan, &events, &wire.parts).map_err(|why| format!("printed as\n{}{why}", barred(&wire.text)))?;
        let admitted = admits(self.family, plan, vocabulary, "", &wire.printed);
        match (&admitted, self.case.admitted) {
            (Err(refusal), true) => {
                return Err(End::Failed(format!(
                    "printed as\n{}{}",
                    barred(&wire.text),
                    refusal.explain(&wire.text)
                )));
            }
            (Ok(()), false) => return Err(End::Failed(must_refuse(&wire.text))),
            (Err(Refusal::NoGrammar(error)), false) => {
                return Err(End::Failed(format!("there is no grammar: {error}")));
            }
            _ => {}
        }
        for refused in &self.case.refuses {
            let mut parts = corpus::turns(refused);
            ids::fill(format, &mut parts);
            // A turn that the format has no place for cannot come.
            let Ok(printed) = print_parts(format, plan, &parts) else { continue };
            if admits(self.family, plan, vocabulary, "", &printed).is_ok() {
                return Err(End::Failed(must_refuse(&to_text(&printed))));
            }
        }
        Ok(())
    }

    fn prompt_tail(&mut self, plan: &Plan, wire: &Wire, vocabulary: &Arc<Vocabulary>) -> Result<(), End> {
        let open = &self.family.manifest().reasoning.open;
        if open.is_empty() {
            return Err(End::NotApplicable("no prompt opens reasoning".into()));
        }
        let rest = wire.text.strip_prefix(open.as_str()).ok_or_else(|| {
            format!("[reasoning] open is {open:?}, but reasoning is written as\n{}", barred(&wire.text))
        })?;
        self.seen += &format!("behind {open:?}\n{}", barred(rest));
        let events = parse_cut(self.family, plan, open, &[Piece::text(rest)], FinishReason::Stop)?;
        self.seen += &show(&events);
        let told = |why: String| format!("behind the prompt's {open:?}\n{}{why}", barred(rest));
        same(plan, &events, &wire.parts).map_err(told)?;
        // What the prompt holds is gone from the printed parts.
        let mut skip = open.len();
        let mut printed = Vec::new();
        for part in &wire.printed {
            let taken = skip.min(part.text.len());
            skip -= taken;
            if taken < part.text.len() {
                let text = part.text[taken..].to_owned();
                printed.push(Printed { text, special: part.special && taken == 0 });
            }
        }
        admits(self.family, plan, vocabulary, open, &printed)
            .map_err(|refusal| told(refusal.explain(rest)).into())
    }

    fn special_pieces(&mut self, plan: &Plan, wire: &Wire) -> Result<(), End> {
        if !wire.printed.iter().any(|part| part.special) {
            return Err(End::NotApplicable("no marker of the format is a special token".into()));
        }
        let known: Vec<Piece<'_>> = wire.printed.iter().map(|part| as_piece(part, part.special)).collect();
        let events = parse_cut(self.family, plan, "", &known, FinishReason::Stop)?;
        same(plan, &events, &wire.parts)
            .map_err(|why| format!("with its markers as special tokens\n{}{why}", barred(&wire.text)))?;
        let plain: Vec<Piece<'_>> = wire.printed.iter().map(|part| as_piece(part, false)).collect();
        let events = parse_cut(self.family, plan, "", &plain, FinishReason::Stop)?;
        self.seen += &format!("spelled in ordinary tokens\n{}{}", barred(&wire.text), show(&events));
        let all = told(&events);
        let lost = words(&wire.parts).into_iter().find(|word| !all.contains(word));
        match lost {
            Some(word) => Err(End::Failed(format!(
                "with its markers as ordinary tokens, {word:?} is in no event:\n{}",
                show(&events)
            ))),
            None => Ok(()),
        }
    }

    fn cut_off(&mut self, format: &Format, plan: &Plan, wire: &Wire) -> Result<(), End> {
        let marks = Marks { beginnings: beginnings(format), specials: vocabulary::specials(format) };
        let text = wire.text.as_str();
        let whole = parse(self.family, plan, "", &[Piece::text(text)], FinishReason::Stop)?;
        let whole: Turn = whole.into_iter().collect();
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let part = &text[..end];
            let pieces = [Piece::text(part)];
            let events = parse(self.family, plan, "", &pieces, FinishReason::Cut)?;
            check_cut(part, text, &whole, &wire.parts, &marks, &events).map_err(|why| {
                format!("cut off behind\n{}{why}; read was\n{}", barred(part), show(&events))
            })?;
        }
        // Three of them are worth a look.
        let name = wire.parts.iter().flat_map(|part| &part.calls).map(|call| call.name.as_str()).next();
        let inside = |word: &str| text.find(word).map(|at| at + word.len() / 2);
        let marker = wire.printed.first().map_or(0, |part| part.text.trim_end().len().min(6) / 2);
        for end in [Some(marker).filter(|end| *end > 0), name.and_then(inside), inside("Paris")] {
            let Some(part) = end.and_then(|end| text.get(..end)) else { continue };
            let events = parse_cut(self.family, plan, "", &[Piece::text(part)], FinishReason::Cut)?;
            self.seen += &format!("{}{}", barred(part), show(&events));
        }
        Ok(())
    }
}

fn as_piece(part: &Printed, special: bool) -> Piece<'_> {
    Piece { bytes: part.text.as_bytes(), special: Some(special) }
}

fn must_refuse(text: &str) -> String {
    format!("the grammar must refuse under this plan, and admits\n{}", barred(text))
}

/// Leaves out the text that the format has no place for beside a call.
fn drop_text(format: &Format, parts: &mut [Turn]) {
    let fits = |parts: &[Turn]| has_place(format, &things(parts));
    let drops: [fn(&mut Turn); 3] = [
        |turn| turn.reasoning.clear(),
        |turn| turn.content.clear(),
        |turn| {
            turn.reasoning.clear();
            turn.content.clear();
        },
    ];
    for drop in drops {
        let mut fewer = parts.to_vec();
        fewer.iter_mut().for_each(drop);
        if fits(&fewer) {
            parts.clone_from_slice(&fewer);
            return;
        }
    }
}

/// The markers of a format, without the white space around them, that look like nothing else.
fn markers(format: &Format) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for literal in literals(format) {
        let marker = literal.trim();
        let telling = marker.chars().count() > 2 && marker.contains(|c: char| !c.is_alphanumeric());
        if telling && !out.iter().any(|other| other == marker) {
            out.push(marker.to_owned());
        }
    }
    out
}

/// Puts the halves of the format's markers into the content: all of a marker but its last character, or all
/// but its first.
fn add_look_alikes(format: &Format, parts: &mut [Turn]) -> Result<(), End> {
    let markers = markers(format);
    let mut halves: Vec<String> = Vec::new();
    for marker in &markers {
        let mut front = marker.chars();
        front.next_back();
        let mut back = marker.chars();
        back.next();
        for half in [front.as_str(), back.as_str()] {
            let half = half.trim();
            let whole =
                literals(format).iter().any(|other| other.trim().len() > 1 && half.contains(other.trim()));
            if !whole && half.len() > 1 && !halves.iter().any(|other| other == half) {
                halves.push(half.to_owned());
            }
        }
    }
    if halves.is_empty() {
        return Err(End::NotApplicable("the format has no marker that could be half there".into()));
    }
    if let Some(part) = parts.first_mut() {
        part.content = format!("{} {} and no more.", part.content, halves.join(" , "));
    }
    Ok(())
}

/// Puts the format's markers into the string argument of the call, as far as the strict reading can write
/// them there.
fn add_markers(format: &Format, plan: &Plan, parts: &mut [Turn]) -> Result<(), End> {
    let all = markers(format);
    let argument = |text: &str| serde_json::json!({"command": text}).to_string();
    let set = |parts: &mut [Turn], text: &str| {
        parts
            .iter_mut()
            .flat_map(|part| &mut part.calls)
            .for_each(|call| call.arguments = argument(text).replace("\":\"", "\": \""));
    };
    let mut kept: Vec<&str> = Vec::new();
    for marker in &all {
        // Together with the others: a format may have a place for each alone, and none for both.
        set(parts, &format!("a {} {marker} b", kept.join(" ")));
        let mut one = parts.to_vec();
        ids::fill(format, &mut one);
        if !matches!(
            print_parts(format, plan, &one),
            Err(PrintError::Terminator { .. } | PrintError::Marker { .. })
        ) {
            kept.push(marker.as_str());
        }
    }
    if kept.is_empty() {
        let why = if all.is_empty() {
            "the format has no markers"
        } else {
            "a raw value cannot hold the markers that end it"
        };
        return Err(End::NotApplicable(why.into()));
    }
    set(parts, &format!("echo {} done", kept.join(" ")));
    Ok(())
}

/// The words of a turn that a reader would miss: of text, names, keys and strings.
fn words(parts: &[Turn]) -> Vec<String> {
    let mut text = String::new();
    for part in parts {
        let _ = write!(text, "{} {} ", part.reasoning, part.content);
        part.calls.iter().for_each(|call| {
            let _ = write!(text, "{} {} ", call.name, call.arguments);
        });
    }
    let letters = |c: char| !(c.is_alphanumeric() || c == '_');
    text.split(letters).filter(|word| word.len() > 2).map(str::to_owned).collect()
}

/// What tells a format's framing from text.
struct Marks {
    beginnings: Vec<String>,
    specials: Vec<String>,
}

/// What a call, or what else is no text, may begin with: the literals, and the keys of call objects.
fn beginnings(format: &Format) -> Vec<String> {
    fn keys(node: &Format, out: &mut Vec<String>) {
        if let Format::Object(object) = node {
            for member in &object.members {
                for key in std::iter::once(&member.key).chain(&member.aliases) {
                    out.extend([format!("{{\"{key}\""), format!("{{ \"{key}\"")]);
                }
            }
        }
        node.children().into_iter().for_each(|child| keys(child, out));
    }
    let mut out = literals(format);
    keys(format, &mut out);
    out
}

/// The longest end of an output that a marker may begin with.
fn half_marker<'a>(part: &'a str, literals: &[String]) -> &'a str {
    let part = part.trim_end();
    let begins = |end: &str| literals.iter().any(|literal| literal.trim_start().starts_with(end));
    let ends = part.char_indices().map(|(at, _)| &part[at..]);
    ends.into_iter().find(|end| begins(end)).unwrap_or_default()
}

/// JSON text without the white space at the end of the string that it breaks off in.
fn trim_json(mut json: &str) -> &str {
    while let Some(rest) = json.strip_suffix(' ').or_else(|| json.strip_suffix("\\n")) {
        json = rest;
    }
    json
}

/// Text as it stands inside a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// All that events tell.
fn told(events: &[Event]) -> String {
    let mut out = String::new();
    for event in events {
        match event {
            Event::Text { text, .. } => out += text,
            Event::CallStart { name, .. } => out += name,
            Event::Arguments { json, .. } => out += json,
            Event::Malformed { raw, .. } => out += raw,
            Event::CallId { .. } | Event::CallEnd { .. } => {}
        }
        // Arguments of one call may stand in several events, and a word may not hang together by accident.
        if !matches!(event, Event::Arguments { .. }) {
            out.push('\n');
        }
    }
    out
}

/// A cut-off output invents nothing and loses nothing. `part` of `text` was read; `whole` is what all of it
/// means.
fn check_cut(
    part: &str,
    text: &str,
    whole: &Turn,
    parts: &[Turn],
    marks: &Marks,
    events: &[Event],
) -> Result<(), String> {
    let turn: Turn = events.iter().cloned().collect();
    let half = half_marker(part, &marks.beginnings);
    if turn.calls.len() > whole.calls.len() {
        return Err("there are more calls than in the end".into());
    }
    for (got, want) in turn.calls.iter().zip(&whole.calls) {
        if got.name != want.name {
            return Err(format!("a call of `{}` is told of, which is `{}` in the end", got.name, want.name));
        }
        // Whether the half of a marker belongs to a raw value is not known yet.
        let sure = trim_json(&got.arguments);
        let sure = trim_json(sure.strip_suffix(&in_json(half)).unwrap_or(sure));
        if !want.arguments.starts_with(sure) {
            return Err(format!("its arguments are no beginning of {}", want.arguments));
        }
        if got.complete && !same_json(&got.arguments, &want.arguments) {
            return Err("a call whose arguments are not whole is called complete".into());
        }
    }
    for (what, got, want) in
        [("reasoning", &turn.reasoning, &whole.reasoning), ("content", &turn.content, &whole.content)]
    {
        let sure = got.trim_end().strip_suffix(half).unwrap_or(got);
        // A call without a special marker of its own is text until its name is known.
        let more = got.strip_prefix(want.as_str()).unwrap_or(got);
        let unnamed = part.ends_with(more.trim_start())
            && !marks.specials.iter().any(|marker| more.contains(marker.as_str()));
        if !(want.starts_with(sure.trim_end()) || unnamed && turn.calls.is_empty()) {
            return Err(format!("the {what} {got:?} is no beginning of {want:?}"));
        }
    }
    let all = told(events);
    let mut from = 0;
    for word in words(parts) {
        let Some(at) = text[from..].find(&word).map(|at| from + at) else { continue };
        from = at + word.len();
        let seen = &text[at.min(part.len())..from.min(part.len())];
        if !all.contains(seen) {
            return Err(format!("{seen:?} is in no event"));
        }
    }
    Ok(())
}
