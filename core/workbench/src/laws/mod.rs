//! The six laws, each over one family. A law that is broken comes back with the smallest example that was
//! found.
//!
//! 1. What the strict reading accepts, the lenient one parses (strict is part of lenient).
//! 2. `parse(print(turn)) == turn`.
//! 3. The mask admits what is printed, under any tokenisation.
//! 4. Any cut of an output gives the same events.
//! 5. No byte is lost.
//! 6. The chat template's own rendering of a turn parses back to that turn.
//!
//! The first five are about the format alone, so families that share a format share them.

mod parsing;
mod strict;
mod template;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use serde_json::Value;
use toolglot::format::{FinishReason, Turn};
use toolglot::{Event, Family, Piece, Plan, Tool};

use crate::expect::{parse, show};
use crate::vocabulary::literals;

/// A law.
#[derive(Clone, Copy)]
pub struct Law {
    /// Its number.
    pub number: u8,
    /// What it says.
    pub title: &'static str,
    /// Whether it is about the format alone.
    pub of_format: bool,
    /// How many random samples are taken.
    pub samples: u32,
    /// How many steps are taken from a failure to a smaller one.
    shrinks: u32,
    run: fn(&dyn Family, &Trial) -> Result<(), String>,
}

/// Every law.
pub const LAWS: [Law; 6] = [
    Law {
        number: 1,
        title: "what the grammar accepts, the parser reads",
        of_format: true,
        samples: 24,
        shrinks: 400,
        run: strict::accepted_is_read,
    },
    Law {
        number: 2,
        title: "what is printed reads back",
        of_format: true,
        samples: 192,
        shrinks: 2000,
        run: strict::printed_reads_back,
    },
    Law {
        number: 3,
        title: "the mask admits what is printed",
        of_format: true,
        samples: 48,
        shrinks: 400,
        run: strict::printed_is_admitted,
    },
    Law {
        number: 4,
        title: "any cut gives the same events",
        of_format: true,
        samples: 256,
        shrinks: 2000,
        run: parsing::any_cut,
    },
    Law {
        number: 5,
        title: "no byte is lost",
        of_format: true,
        samples: 256,
        shrinks: 2000,
        run: parsing::no_byte_lost,
    },
    Law {
        number: 6,
        title: "what the template writes reads back",
        of_format: false,
        samples: 96,
        shrinks: 1000,
        run: template::template_reads_back,
    },
];

/// How many samples are taken, and which.
#[derive(Debug, Clone, Copy)]
pub struct Samples {
    /// In place of each law's own number.
    pub count: Option<u32>,
    /// The same seed gives the same samples.
    pub seed: u64,
}

/// `PROPTEST_CASES` and `PROPTEST_RNG_SEED`, or else each law's own number of always the same samples.
impl Default for Samples {
    fn default() -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
        let count = number("PROPTEST_CASES").and_then(|count| u32::try_from(count).ok());
        Samples { count, seed: number("PROPTEST_RNG_SEED").unwrap_or(1) }
    }
}

impl Law {
    /// Holds the family to the law.
    ///
    /// # Errors
    /// The smallest example that was found, and what is wrong with it.
    pub fn check(&self, family: &dyn Family, samples: &Samples) -> Result<(), String> {
        let count = samples.count.unwrap_or(self.samples);
        (self.run)(family, &Trial { count, shrinks: self.shrinks, seed: samples.seed })
    }
}

/// One law over one family.
struct Trial {
    count: u32,
    shrinks: u32,
    seed: u64,
}

/// Runs a property over samples; the message of the smallest failure.
fn hold<S: Strategy>(
    trial: &Trial,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Result<(), String> {
    let config =
        Config { failure_persistence: None, rng_seed: RngSeed::Fixed(trial.seed), ..Config::default() };
    let mut runner = TestRunner::new(config);
    let held = |value| {
        catch_unwind(AssertUnwindSafe(|| property(value)))
            .unwrap_or_else(|panic| fail(format!("it panics: {}", message(&panic))))
    };
    let (mut taken, mut rejected) = (0, 0);
    while taken < trial.count {
        let mut tree = strategy.new_tree(&mut runner).map_err(|why| why.to_string())?;
        match held(tree.current()) {
            Ok(()) => taken += 1,
            Err(TestCaseError::Reject(why)) => {
                rejected += 1;
                if rejected > 1000 + 20 * trial.count {
                    return Err(format!("too few samples suit this family: {why}"));
                }
            }
            Err(TestCaseError::Fail(why)) => {
                return Err(smallest(&mut tree, &held, trial.shrinks, why.to_string()));
            }
        }
    }
    Ok(())
}

/// What is wrong with the smallest sample that still fails.
fn smallest<T: ValueTree>(
    tree: &mut T,
    held: &impl Fn(T::Value) -> Result<(), TestCaseError>,
    shrinks: u32,
    mut why: String,
) -> String {
    let mut failed = true;
    for _ in 0..shrinks {
        if !(if failed { tree.simplify() } else { tree.complicate() }) {
            break;
        }
        failed = match held(tree.current()) {
            Err(TestCaseError::Fail(smaller)) => {
                why = smaller.to_string();
                true
            }
            _ => false,
        };
    }
    why
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}

fn plan(tools: Vec<Tool>) -> Plan {
    Plan { tools, ..Plan::default() }
}

fn fail<T>(why: impl Into<String>) -> Result<T, TestCaseError> {
    Err(TestCaseError::fail(why.into()))
}

/// The events of a finished output in one piece.
fn parse_text(family: &dyn Family, plan: &Plan, text: &str) -> Result<Vec<Event>, TestCaseError> {
    parse(family, plan, "", &[Piece::text(text)], FinishReason::Stop).or_else(fail)
}

/// Equal turns: calls by name and JSON value, text byte for byte.
fn assert_same(events: &[Event], want: &Turn, text: &str) -> Result<(), TestCaseError> {
    let got: Turn = events.iter().cloned().collect();
    let differs = |what: &str, want: String, got: String| {
        fail(format!(
            "the output {text:?}\n{what}: meant was {want}\n{what}: read was  {got}\nevents\n{}",
            show(events)
        ))
    };
    if got.content != want.content {
        return differs("content", format!("{:?}", want.content), format!("{:?}", got.content));
    }
    if got.reasoning != want.reasoning {
        return differs("reasoning", format!("{:?}", want.reasoning), format!("{:?}", got.reasoning));
    }
    if !got.malformed.is_empty() {
        return differs("malformed", "nothing".into(), format!("{:?}", got.malformed));
    }
    let calls = |turn: &Turn| {
        let calls = turn.calls.iter().map(|call| {
            let value: Result<Value, _> = serde_json::from_str(&call.arguments);
            let value = value.unwrap_or_else(|_| Value::from(call.arguments.clone()));
            format!("{}{} {value}", call.name, if call.complete { "" } else { " (not complete)" })
        });
        calls.collect::<Vec<_>>()
    };
    if got.calls.len() != want.calls.len() || !same_calls(&got, want) {
        return differs("calls", format!("{:?}", calls(want)), format!("{:?}", calls(&got)));
    }
    Ok(())
}

fn same_calls(got: &Turn, want: &Turn) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    got.calls.iter().zip(&want.calls).all(|(got, want)| {
        got.name == want.name
            && got.complete == want.complete
            && value(&got.arguments).is_some_and(|got| value(&want.arguments) == Some(got))
            && (want.id.is_none() || got.id.is_none() || got.id == want.id)
    })
}

/// Whether the text holds a marker of the family, and so could be read as one.
fn holds_marker(family: &dyn Family, text: &str) -> bool {
    literals(&family.manifest().format)
        .iter()
        .any(|literal| literal.trim().len() > 2 && text.contains(literal.trim()))
}
