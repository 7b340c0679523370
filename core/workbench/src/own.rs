//! A family's own cases: what was meant, in every cut, and what the grammar says of the output.

use toolglot::format::{FinishReason, Turn};
use toolglot::grammar::{Matcher, TokenKind, Vocabulary};
use toolglot::{Family, Format, Piece, ToolChoice};

use crate::admit::{self, Refusal};
use crate::expect::{cut, parse, same_json, show, word};
use crate::fidelity::{Verdict, judge};
use crate::record::Record;
use crate::vocabulary;
use crate::{Case, CaseFile, Check, Finding, WantedCall};

/// Runs every case of `file` over `family`. Gives what is wrong, and the record of all events.
pub fn check_cases(family: &dyn Family, file: &CaseFile) -> (Vec<Finding>, Record) {
    let id = &family.manifest().id;
    let mut findings = Vec::new();
    let mut record = Record::default();
    for case in &file.cases {
        let broken = file.known_broken.contains_key(case.category.word());
        let (events, outcome) = run(family, case);
        record.push(&case.name, events);
        let alone = || file.cases.iter().filter(|other| other.category == case.category).count() == 1;
        let why = match outcome {
            Err(why) if !broken => why,
            Ok(()) if broken && alone() => {
                format!("passes, so `{}` is no longer known to be broken", case.category.word())
            }
            _ => continue,
        };
        findings.push(Finding::new(id, Check::Case, &case.name, why));
    }
    (findings, record)
}

fn run(family: &dyn Family, case: &Case) -> (String, Result<(), String>) {
    let mut events = "cannot be run\n".to_owned();
    let outcome = check(family, case, &mut events);
    (events, outcome)
}

fn check(family: &dyn Family, case: &Case, shown: &mut String) -> Result<(), String> {
    let plan = case.plan()?;
    let format = family.format(&plan).map_err(|error| error.to_string())?;
    format.specialise(&plan).map_err(|error| format!("no strict reading under this plan: {error}"))?;
    let whole = case.output.iter().map(|text| Piece::text(text));
    let pieces =
        case.pieces.iter().map(|piece| Piece { bytes: piece.text.as_bytes(), special: piece.special });
    let pieces: Vec<Piece<'_>> = whole.chain(pieces).filter(|piece| !piece.bytes.is_empty()).collect();
    let finish = if case.cut { FinishReason::Cut } else { FinishReason::Stop };
    let events = parse(family, &plan, &case.tail, &pieces, finish)?;
    *shown = show(&events);
    for size in [1, 2, 3, 7] {
        let other = parse(family, &plan, &case.tail, &cut(&pieces, size), finish)?;
        if other != events {
            return Err(format!(
                "in pieces of {size} bytes it reads as\n{}but whole as\n{shown}",
                show(&other)
            ));
        }
    }
    let turn: Turn = events.iter().cloned().collect();
    intent(case, &turn).map_err(|why| format!("{why}\nread was\n{shown}"))?;
    match (case.admitted, &case.output) {
        (Some(wanted), _) => check_admission(family, case, wanted),
        (None, Some(output)) if is_ordinary(case) => check_fidelity(family, case, output, &turn),
        _ => Ok(()),
    }
}

/// Whether the output is whole calls and text, which nothing but the tools narrows.
fn is_ordinary(case: &Case) -> bool {
    let whole = !case.cut && case.malformed.is_empty() && case.calls.iter().all(|call| call.complete);
    whole && case.choice == ToolChoice::Auto && case.parallel
}

/// What models write must be admitted, or be refused for a reason that the family or the tools state.
fn check_fidelity(family: &dyn Family, case: &Case, output: &str, turn: &Turn) -> Result<(), String> {
    let plan = case.plan()?;
    let format = family.format(&plan).map_err(|error| error.to_string())?;
    let vocabulary = vocabulary::bytes(&format).map_err(|error| error.to_string())?;
    match judge(family, &plan, &vocabulary, &case.tail, output, turn) {
        Verdict::Refused { why, .. } => Err(format!(
            "{why}: the mask would keep a model from writing this, though nothing in the family says that it is only \
             read; admit it, or say `admitted = false`"
        )),
        Verdict::NoGrammar(why) if !format.any(&mut |node| matches!(node, Format::Extern(_))) => {
            Err(format!("there is no grammar for the tools of this case: {why}"))
        }
        _ => Ok(()),
    }
}

fn intent(case: &Case, turn: &Turn) -> Result<(), String> {
    let text = |what: &str, got: &str, want: &str| {
        if got == want {
            Ok(())
        } else {
            Err(format!("{what}: meant was {want:?}\n{what}: read was  {got:?}"))
        }
    };
    text("content", &turn.content, &case.content)?;
    text("reasoning", &turn.reasoning, &case.reasoning)?;
    if turn.calls.len() != case.calls.len() {
        return Err(format!("{} calls were meant, {} were read", case.calls.len(), turn.calls.len()));
    }
    for (i, (got, want)) in turn.calls.iter().zip(&case.calls).enumerate() {
        text(&format!("name of call {i}"), &got.name, &want.name)?;
        if got.complete != want.complete {
            return Err(format!("call {i} was meant to have complete = {}", want.complete));
        }
        if !same_arguments(&got.arguments, want)? {
            return text(&format!("arguments of call {i}"), &got.arguments, &want.args);
        }
    }
    let reasons: Vec<_> = turn.malformed.iter().map(|span| span.reason).collect();
    if reasons != case.malformed {
        let words = |reasons: &[_]| format!("[{}]", reasons.iter().map(word).collect::<Vec<_>>().join(", "));
        return text("malformed", &words(&reasons), &words(&case.malformed));
    }
    Ok(())
}

fn same_arguments(got: &str, want: &WantedCall) -> Result<bool, String> {
    if !want.complete {
        return Ok(got == want.args);
    }
    if !same_json(&want.args, &want.args) {
        return Err(format!("`args` in the case is no JSON: {:?}", want.args));
    }
    Ok(same_json(got, &want.args))
}

/// Whether the grammar admits the output just if the case says so, in three tokenisations.
fn check_admission(family: &dyn Family, case: &Case, wanted: bool) -> Result<(), String> {
    let plan = case.plan()?;
    let format = family.format(&plan).map_err(|error| error.to_string())?;
    let vocabulary = vocabulary::pieces(&format).map_err(|error| error.to_string())?;
    let mut matcher = admit::matcher(family, &plan, &vocabulary)
        .map_err(|error| format!("there is no grammar: {error}"))?;
    let output = case.output.as_deref().unwrap_or_default();
    let text = format!("{}{output}", case.tail);
    for way in 0..3usize {
        let mut turn = 0usize;
        let mut pick = |count: usize| {
            turn += 1;
            match way {
                0 => 0,
                1 => count - 1,
                _ => turn % count,
            }
        };
        matcher.reset();
        match (feed_text(&mut matcher, &vocabulary, &text, &mut pick), wanted) {
            (Ok(()), false) => {
                return Err("`admitted = false`, but the grammar admits the output".into());
            }
            (Err(refusal), true) => {
                return Err(format!("`admitted = true`, but {}", refusal.explain(&text)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Feeds text in tokens that `pick` chooses. Where it spells a special token that the grammar asks for, it stands
/// for that token, else for ordinary ones.
fn feed_text(
    matcher: &mut Matcher,
    vocabulary: &Vocabulary,
    text: &str,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Result<(), Refusal> {
    let mut mask = vec![0; vocabulary.mask_words()];
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        matcher.mask(&mut mask).map_err(|error| Refusal::NoGrammar(error.to_string()))?;
        let allowed = |token: &u32| mask[*token as usize / 32] >> (*token % 32) & 1 == 1;
        let fits = |token: &u32| {
            let bytes = vocabulary.bytes(*token);
            !bytes.is_empty() && rest.starts_with(bytes)
        };
        let special = |token: &u32| vocabulary.kind(*token) == TokenKind::Special;
        let (marks, plain): (Vec<u32>, Vec<u32>) =
            (0..vocabulary.len() as u32).filter(fits).partition(special);
        let token = match marks.into_iter().find(allowed) {
            Some(mark) => mark,
            None => plain[pick(plain.len())],
        };
        if matcher.accept(token).is_ok() != allowed(&token) {
            return Err(Refusal::NoGrammar(format!("mask and matcher disagree on token {token}")));
        }
        if !allowed(&token) {
            return Err(Refusal::At(at));
        }
        at += vocabulary.bytes(token).len();
    }
    if matcher.is_accepting() { Ok(()) } else { Err(Refusal::Unfinished) }
}

/// Feeds tokens under their masks; a mask that disagrees with the matcher is a refusal too.
pub(crate) fn feed(matcher: &mut Matcher, vocabulary: &Vocabulary, tokens: &[u32]) -> Result<(), Refusal> {
    let mut mask = vec![0; vocabulary.mask_words()];
    let mut at = 0;
    for &token in tokens {
        matcher.mask(&mut mask).map_err(|error| Refusal::NoGrammar(error.to_string()))?;
        let allowed = mask[token as usize / 32] >> (token % 32) & 1 == 1;
        if matcher.accept(token).is_ok() != allowed {
            return Err(Refusal::NoGrammar(format!("mask and matcher disagree on token {token}")));
        }
        if !allowed {
            return Err(Refusal::At(at));
        }
        at += vocabulary.bytes(token).len();
    }
    if matcher.is_accepting() { Ok(()) } else { Err(Refusal::Unfinished) }
}

#[cfg(test)]
mod tests {
    use toolglot::Registry;

    use crate::{CaseFile, check_cases};

    /// What is found in one case of hermes.
    fn found(case: &str) -> Vec<String> {
        let file: CaseFile = toml::from_str(&format!("[[case]]\nname = \"a\"\n{case}")).unwrap();
        let registry = Registry::builtin().unwrap();
        let (findings, _) = check_cases(registry.get("hermes").unwrap().as_ref(), &file);
        findings.into_iter().map(|finding| finding.why).collect()
    }

    #[test]
    fn an_ordinary_output_is_admitted_or_says_why_not() {
        let call = |space: &str, rest: &str| {
            format!(
                "category = \"single\"\ntools = \"weather\"\noutput = '''<tool_call>{space}{{\"name\": \"get_time\", \
                 \"arguments\": {{\"timezone\": \"CET\"}}}}</tool_call>'''\n\
                 calls = [{{ name = \"get_time\", args = '{{\"timezone\": \"CET\"}}' }}]\n{rest}"
            )
        };
        assert_eq!(found(&call("\n", "")), Vec::<String>::new());
        assert_eq!(found(&call("\n\n\n\n", "admitted = false")), Vec::<String>::new());
        let what = found(&call("\n\n\n\n", "")).concat();
        assert!(what.contains("the mask would keep a model from writing this"), "{what}");
        // What the family states as read only needs no word.
        let alias = call("\n", "").replace("\"arguments\": ", "\"parameters\": ");
        assert_eq!(found(&alias), Vec::<String>::new());
    }
}
