//! Masks and parser under one roof: what cases say of admission, and law 1 by walking masks at random.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use toolglot_format::{Event, Format, Plan, ToolChoice, Turn};
use toolglot_grammar::{CompiledGrammar, Grammar, Matcher, Token, TokenKind, Vocabulary};
use toolglot_parsers::{Family, Registry};
use toolglot_tests::{Case, CaseFile, folder};

use crate::generate::{literals, sample};
use crate::laws::{every_family, parse_text};

/// Every byte, pieces of markers and JSON that cross borders, and the family's special tokens.
pub(crate) fn vocabulary(format: &Format) -> Arc<Vocabulary> {
    fn specials(node: &Format, out: &mut Vec<String>) {
        match node {
            Format::Lit(lit) if lit.special && !out.contains(&lit.text) => out.push(lit.text.clone()),
            _ => node.children().into_iter().for_each(|child| specials(child, out)),
        }
    }
    let mut tokens: Vec<Token> = (0..=255u8).map(|byte| Token::text(vec![byte])).collect();
    tokens.push(Token::special("<end of sequence>"));
    let mut names = Vec::new();
    specials(format, &mut names);
    tokens.extend(names.iter().map(|name| Token::special(name)));
    let mut texts: Vec<String> =
        ["{\"", "\": ", "\", \"", "\"}", "}}", "}}\n", "\n{\"name\": \"", "true", " \"", "é", "東京"]
            .map(String::from)
            .to_vec();
    // A special token is no part of a text token.
    let is_plain = |literal: &&String| !names.iter().any(|name| literal.contains(name.as_str()));
    for literal in literals(format).iter().filter(is_plain).filter(|literal| literal.len() > 2) {
        let middle = (literal.len() / 2..literal.len()).find(|at| literal.is_char_boundary(*at)).unwrap_or(0);
        texts.extend([literal.clone(), literal[..middle].to_owned(), literal[middle..].to_owned()]);
        texts.push(format!("{}\n", &literal[middle..]));
    }
    texts.sort();
    texts.dedup();
    tokens.extend(texts.into_iter().filter(|text| text.len() > 1).map(Token::text));
    Arc::new(Vocabulary::new(tokens, &[256], None).unwrap())
}

pub(crate) fn matcher(family: &dyn Family, plan: &Plan) -> Matcher {
    let format = family.format(plan).unwrap();
    let grammar = Grammar::from_format(&format, plan)
        .unwrap_or_else(|error| panic!("{}: no grammar: {error}", family.manifest().id));
    CompiledGrammar::new(Arc::new(grammar), vocabulary(&format)).unwrap().matcher().unwrap()
}

/// One way to tokenise: special tokens as such unless the text is known to be `plain`, the rest in tokens
/// that `pick` chooses among those that fit.
pub(crate) fn tokenise(
    vocabulary: &Vocabulary,
    text: &str,
    plain: bool,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Vec<u32> {
    let mut rest = text.as_bytes();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let fits = |token: &u32| {
            let bytes = vocabulary.bytes(*token);
            let special = vocabulary.kind(*token) == TokenKind::Special;
            !bytes.is_empty() && rest.starts_with(bytes) && !(plain && special)
        };
        let ids = 0..vocabulary.len() as u32;
        let all: Vec<u32> = ids.filter(fits).collect();
        let marker = all.iter().find(|token| vocabulary.kind(**token) == TokenKind::Special);
        let token = marker.copied().unwrap_or_else(|| all[pick(all.len())]);
        rest = &rest[vocabulary.bytes(token).len()..];
        out.push(token);
    }
    out
}

/// Feeds the tokens; the index of the first that the mask forbids, or whether the output may end after all.
pub(crate) fn feed(matcher: &mut Matcher, tokens: &[u32]) -> Result<bool, usize> {
    let mut mask = vec![0; matcher.compiled().vocabulary().mask_words()];
    for (i, &token) in tokens.iter().enumerate() {
        matcher.mask(&mut mask).unwrap();
        let allowed = mask[token as usize / 32] >> (token % 32) & 1 == 1;
        assert_eq!(matcher.accept(token).is_ok(), allowed, "mask and accept disagree on token {token}");
        if !allowed {
            return Err(i);
        }
    }
    Ok(matcher.is_accepting())
}

#[test]
fn masks_admit_what_cases_say() {
    let registry = Registry::builtin().unwrap();
    let mut report = String::new();
    let mut asked = 0;
    for id in folder::ids().unwrap() {
        let family = registry.get(&id).unwrap();
        let file = CaseFile::read(&folder::families().join(&id)).unwrap();
        for case in &file.cases {
            let Some(wanted) = case.admitted else { continue };
            asked += 1;
            if let Err(why) = check_admission(family.as_ref(), case, wanted) {
                report += &format!("== {id} {}: {why}\n", case.name);
            }
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(asked > 80, "{asked} cases ask for admission");
}

fn check_admission(family: &dyn Family, case: &Case, wanted: bool) -> Result<(), String> {
    let plan = case.plan()?;
    let mut matcher = matcher(family, &plan);
    let vocabulary = matcher.compiled().vocabulary().clone();
    let text = format!("{}{}", case.tail, case.output.as_deref().unwrap_or_default());
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
        let tokens = tokenise(&vocabulary, &text, false, &mut pick);
        matcher.reset();
        let admitted = feed(&mut matcher, &tokens);
        if (admitted == Ok(true)) != wanted {
            let stop = match admitted {
                Ok(_) => "the output may not end there".to_owned(),
                Err(at) => {
                    let bytes = |token: &u32| String::from_utf8_lossy(vocabulary.bytes(*token)).into_owned();
                    let seen: String = tokens[..at].iter().map(bytes).collect();
                    format!("behind {seen:?} there may be no {:?}", bytes(&tokens[at]))
                }
            };
            let what = if wanted { stop } else { "admitted, and must not be".to_owned() };
            return Err(format!("tokenisation {way}: {what}"));
        }
    }
    Ok(())
}

/// A random output under the mask: `choices` decide. `None` when it does not come to an end.
fn walk(matcher: &mut Matcher, choices: &[u32]) -> Option<String> {
    let vocabulary = matcher.compiled().vocabulary().clone();
    let mut mask = vec![0; vocabulary.mask_words()];
    let mut text = Vec::new();
    for (step, &choice) in choices.iter().enumerate() {
        if matcher.is_complete() || matcher.is_accepting() && choice % 7 == 0 {
            return String::from_utf8(text).ok();
        }
        matcher.mask(&mut mask).ok()?;
        let allowed =
            |id: &u32| mask[*id as usize / 32] >> (*id % 32) & 1 == 1 && !vocabulary.eos().contains(id);
        let all: Vec<u32> = (0..vocabulary.len() as u32).filter(allowed).collect();
        // Late in the output only what closes something.
        let closing: Vec<u32> = all
            .iter()
            .copied()
            .filter(|id| {
                let bytes = vocabulary.bytes(*id);
                vocabulary.kind(*id) == TokenKind::Special
                    || bytes.starts_with(b"</")
                    || b"\"}]\n0".contains(&bytes[0])
            })
            .collect();
        let long: Vec<u32> = all.iter().copied().filter(|id| *id > 256).collect();
        let pool = match () {
            () if step > choices.len() / 3 && !closing.is_empty() => closing,
            () if choice % 3 > 0 && !long.is_empty() => long,
            () => all,
        };
        let token = *pool.get((choice / 21) as usize % pool.len().max(1))?;
        matcher.accept(token).ok()?;
        text.extend_from_slice(vocabulary.bytes(token));
    }
    None
}

#[test]
fn law_1_strict_is_part_of_lenient() {
    let choice = prop::sample::select(vec![ToolChoice::Auto, ToolChoice::Required]);
    every_family(
        24,
        |_| (sample(0..1), choice.clone(), any::<bool>(), prop::collection::vec(any::<u32>(), 240..320)),
        |family, (sample, choice, parallel, choices)| {
            let plan = Plan { tools: sample.tools, choice, parallel, reasoning: true };
            let mut matcher = matcher(family, &plan);
            let Some(text) = walk(&mut matcher, &choices) else {
                return Err(TestCaseError::reject("the walk did not come to an end"));
            };
            let events = parse_text(family, &plan, &text);
            let turn: Turn = events.iter().cloned().collect();
            prop_assert!(turn.malformed.is_empty(), "{:?} is malformed: {:?}", text, turn.malformed);
            for call in &turn.calls {
                prop_assert!(call.complete, "{:?} has an incomplete call: {:?}", text, turn);
                let value: Result<serde_json::Value, _> = serde_json::from_str(&call.arguments);
                prop_assert!(value.is_ok_and(|value| value.is_object()), "{:?}: {:?}", text, call);
            }
            let known = events.iter().all(|event| !matches!(event, Event::CallStart { known: false, .. }));
            prop_assert!(known, "{:?} calls a tool that nobody offered", text);
            if plan.requires_call() {
                prop_assert!(!turn.calls.is_empty(), "{:?} has no call", text);
                prop_assert!(parallel || turn.calls.len() == 1, "{:?} has several calls", text);
                prop_assert_eq!(&turn.content, "", "{:?} has content beside the required call", text);
            }
            Ok(())
        },
    );
}
