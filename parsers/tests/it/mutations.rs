//! Laws 4 and 5 close to real outputs: what families print and their cases hold, changed in a few places.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use toolglot_format::{Event, FinishReason, Format, Plan};
use toolglot_parsers::{Family, Registry, SessionOptions, print_parts, to_text};

use crate::{run, show};

/// A family and outputs of its kind.
struct Target<'a> {
    family: &'a dyn Family,
    plan: Plan,
    seeds: Vec<String>,
    /// What is copied in: literals, and bytes that mean something in most formats.
    parts: Vec<Vec<u8>>,
}

/// A word that no output holds.
const WORD: &str = "zqwz";

/// The tools of every set, each name once.
fn tools(sets: &Value) -> Plan {
    let mut all: Vec<Value> = Vec::new();
    for tool in sets.as_object().unwrap().values().flat_map(|set| set.as_array().unwrap()) {
        if !all.iter().any(|known| known["name"] == tool["name"]) {
            all.push(tool.clone());
        }
    }
    Plan::from_openai(&all.into(), &Value::Null, true).unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The turns of the shared corpus, in parts.
fn turns() -> Vec<Vec<toolglot_format::Turn>> {
    let corpus: toml::Table = read("../tests/corpus.toml").parse().unwrap();
    let text = |part: &toml::Value, key: &str| {
        part.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let list = |part: &toml::Value, key: &str| {
        part.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default()
    };
    let turn = |part: &toml::Value| toolglot_format::Turn {
        reasoning: text(part, "reasoning"),
        content: text(part, "content"),
        calls: list(part, "calls")
            .iter()
            .map(|call| toolglot_format::Call {
                name: text(call, "name"),
                id: None,
                arguments: text(call, "args"),
                complete: true,
            })
            .collect(),
        malformed: Vec::new(),
    };
    let cases = corpus["case"].as_array().unwrap();
    cases.iter().map(|case| list(case, "turn").iter().map(turn).collect()).collect()
}

/// What the family prints of the corpus, and the outputs of its cases.
fn seeds(format: &Format, id: &str, plan: &Plan, turns: &[Vec<toolglot_format::Turn>]) -> Vec<String> {
    let printed = turns.iter().filter_map(|parts| print_parts(format, plan, parts).ok());
    let mut seeds: Vec<String> = printed.map(|parts| to_text(&parts)).collect();
    let cases = read(&format!("families/{id}/cases.toml"));
    let cases: toml::Table = cases.parse().unwrap();
    let cases = cases["case"].as_array().unwrap().iter();
    seeds.extend(cases.filter_map(|case| Some(case.get("output")?.as_str()?.to_owned())));
    seeds.retain(|seed| (1..2000).contains(&seed.len()));
    seeds
}

fn targets(registry: &Registry) -> Vec<Target<'_>> {
    let plan = tools(&serde_json::from_str(&read("../tests/tools.json")).unwrap());
    let turns = turns();
    let only = std::env::var("FAMILY").ok();
    let families = registry.iter().filter(|family| {
        !family.manifest().format.any(&mut |node| matches!(node, Format::Extern(_)))
            && only.as_ref().is_none_or(|only| *only == family.manifest().id)
    });
    families
        .map(|family| {
            let manifest = family.manifest();
            let literals = manifest.format.framing().into_iter().flat_map(|lit| lit.spellings());
            let mut parts: Vec<Vec<u8>> = literals.map(|text| text.as_bytes().to_vec()).collect();
            let bytes = [
                "\"", "\"", "{", "}", "[", "]", "'", "\\", "<", ">", ":", ",", " ", "\n", "n", "null",
                "\u{e9}", "1",
            ];
            parts.extend(bytes.map(|text| text.as_bytes().to_vec()));
            parts.push(vec![0xc3]);
            let seeds = seeds(&manifest.format, &manifest.id, &plan, &turns);
            Target { family: &**family, plan: plan.clone(), seeds, parts }
        })
        .collect()
}

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed >> 33) as usize % end.max(1)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// One of the seeds, changed in one to three places.
fn mutant(target: &Target<'_>, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.of(&target.seeds).clone().into_bytes();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(8) {
            0 if at < bytes.len() => {
                bytes.remove(at);
            }
            1 if at < bytes.len() => bytes.insert(at, bytes[at]),
            2 => {
                let to = (at + 1 + dice.below(24)).min(bytes.len());
                bytes.drain(at.min(to)..to);
            }
            3 => {
                let to = (at + 1 + dice.below(24)).min(bytes.len());
                let copy = bytes[at.min(to)..to].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => {
                let other = dice.of(&target.seeds).as_bytes();
                let from = dice.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            5 => bytes.truncate(at),
            _ => {
                let part = dice.of(&target.parts).clone();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

/// Where pieces end, and of which kind their tokens are.
fn cuts<'a>(
    bytes: &'a [u8],
    kind: Option<bool>,
    widest: usize,
    dice: &mut Dice,
) -> Vec<(&'a [u8], Option<bool>)> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at((1 + dice.below(widest)).min(rest.len()));
        pieces.push((piece, kind));
        rest = more;
    }
    pieces
}

/// How the readings of an output differ, if they do.
fn differs(target: &Target<'_>, bytes: &[u8], dice: &mut Dice) -> Option<String> {
    let reason = if dice.below(2) == 0 { FinishReason::Stop } else { FinishReason::Cut };
    let read = |pieces: &[(&[u8], Option<bool>)]| -> Vec<Event> {
        let mut session = target.family.session(&target.plan, SessionOptions::default()).unwrap();
        run(&mut *session, "", pieces, reason)
    };
    let kind = if dice.below(4) == 0 { Some(false) } else { None };
    let whole = read(&[(bytes, kind)]);
    for widest in [1, 4, 40] {
        let pieces = cuts(bytes, kind, widest, dice);
        let cut = read(&pieces);
        if cut != whole {
            return Some(format!("{kind:?} {reason:?}\nwhole\n{}in pieces\n{}", show(whole), show(cut)));
        }
    }
    None
}

/// `MUTANTS` outputs a family, `SEED` for others, `FAMILY` for one alone.
fn numbers() -> (usize, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    (number("MUTANTS").unwrap_or(20) as usize, number("SEED").unwrap_or(1))
}

#[test]
fn a_changed_output_reads_the_same_in_any_cut() {
    let registry = Registry::builtin().unwrap();
    let (count, seed) = numbers();
    let mut wrong = String::new();
    for target in targets(&registry) {
        let mut dice = Dice(seed);
        for _ in 0..count {
            let bytes = mutant(&target, &mut dice);
            if let Some(why) = differs(&target, &bytes, &mut dice) {
                let id = &target.family.manifest().id;
                writeln!(wrong, "{id}: {:?} {why}", String::from_utf8_lossy(&bytes)).unwrap();
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A word in the text of an event.
fn holds(events: &[Event], word: &str) -> bool {
    events.iter().any(|event| match event {
        Event::Text { text, .. } => text.contains(word),
        Event::CallStart { name, id, .. } => {
            name.contains(word) || id.as_ref().is_some_and(|id| id.contains(word))
        }
        Event::CallId { id, .. } => id.contains(word),
        Event::Arguments { json, .. } => json.contains(word),
        Event::Malformed { raw, .. } => raw.contains(word),
        Event::CallEnd { .. } => false,
    })
}

#[test]
fn a_word_in_a_changed_output_is_in_an_event() {
    let registry = Registry::builtin().unwrap();
    let (count, seed) = numbers();
    let mut wrong = String::new();
    // Objects that carry the call take further members, which are passed over.
    let objects = |target: &Target<'_>| {
        target.family.manifest().format.any(&mut |node| matches!(node, Format::Object(_)))
    };
    for target in targets(&registry).into_iter().filter(|target| !objects(target)) {
        let mut dice = Dice(seed ^ 0x5eed);
        for _ in 0..count {
            let mut bytes = mutant(&target, &mut dice);
            let at = dice.below(bytes.len() + 1);
            bytes.splice(at..at, WORD.bytes());
            let mut session = target.family.session(&target.plan, SessionOptions::default()).unwrap();
            let events = run(&mut *session, "", &[(&bytes, None)], FinishReason::Stop);
            if !holds(&events, WORD) {
                let id = &target.family.manifest().id;
                let text = String::from_utf8_lossy(&bytes);
                writeln!(wrong, "{id}: {text:?} reads as\n{}", show(events)).unwrap();
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
