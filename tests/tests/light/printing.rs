//! Laws 2 and 3: what is printed parses back, and the mask admits it.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use toolglot_format::{Channel, Format, Plan, Text, Turn};
use toolglot_grammar::Vocabulary;
use toolglot_parsers::{Family, PrintError, Printed, print, to_text};

use crate::generate::{Sample, sample};
use crate::laws::{assert_same, every_family, holds_marker, parse_text, plan};
use crate::masks::{feed, matcher, tokenise};

/// Fits the turn to what the format has a place for, and prints it.
fn printed(family: &dyn Family, plan: &Plan, turn: &mut Turn) -> Result<Vec<Printed>, TestCaseError> {
    let format = family.format(plan).unwrap();
    let reasons = |node: &Format| matches!(node, Format::Text(Text { channel: Channel::Reasoning, .. }));
    if !format.any(&mut |node| reasons(node)) {
        turn.reasoning.clear();
    }
    if holds_marker(family, &turn.content) || holds_marker(family, &turn.reasoning) {
        return Err(TestCaseError::reject("text holds a marker"));
    }
    let mut parts = print(&format, plan, turn);
    // Some formats write text or calls, never both.
    if matches!(parts, Err(PrintError::NoPlace(_))) && !turn.calls.is_empty() {
        turn.content.clear();
        parts = print(&format, plan, turn);
    }
    parts.map_err(|error| TestCaseError::reject(format!("{error}")))
}

#[test]
fn law_2_what_is_printed_parses_back() {
    every_family(
        192,
        |_| sample(0..4),
        |family, Sample { tools, mut turn }| {
            let plan = plan(tools);
            let text = to_text(&printed(family, &plan, &mut turn)?);
            let got: Turn = parse_text(family, &plan, &text).into_iter().collect();
            assert_same(&got, &turn, &text)
        },
    );
}

/// Special tokens as such, the text between them in tokens that `choices` pick.
fn tokens(vocabulary: &Vocabulary, parts: &[Printed], choices: &[u16]) -> Vec<u32> {
    let mut next = choices.iter().cycle();
    let mut pick = |count: usize| usize::from(*next.next().unwrap_or(&0)) % count;
    let mut out = Vec::new();
    for part in parts {
        match vocabulary.named(&part.text).filter(|_| part.special) {
            Some(token) => out.push(token),
            None => out.extend(tokenise(vocabulary, &part.text, true, &mut pick)),
        }
    }
    out
}

#[test]
fn law_3_the_mask_admits_what_is_printed() {
    every_family(
        48,
        |_| (sample(0..4), prop::collection::vec(any::<u16>(), 1..64)),
        |family, (Sample { tools, mut turn }, choices)| {
            let plan = plan(tools);
            let parts = printed(family, &plan, &mut turn)?;
            let mut matcher = matcher(family, &plan);
            let vocabulary = matcher.compiled().vocabulary().clone();
            let tokens = tokens(&vocabulary, &parts, &choices);
            match feed(&mut matcher, &tokens) {
                Ok(true) => Ok(()),
                Ok(false) => Err(TestCaseError::fail(format!("{:?} may not end", to_text(&parts)))),
                Err(at) => {
                    let text = |tokens: &[u32]| {
                        let bytes = tokens.iter().flat_map(|token| vocabulary.bytes(*token).to_vec());
                        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
                    };
                    let (seen, next) = (text(&tokens[..at]), text(&tokens[at..=at]));
                    Err(TestCaseError::fail(format!("behind {seen:?} there may be no {next:?}")))
                }
            }
        },
    );
}
