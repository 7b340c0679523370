//! One engine's pass over a job: what a worker process does.

use crate::engines::{Engine, Spelling, engine};
use crate::vocabulary::Tokens;
use anyhow::Result;
use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Instant;

/// What all engines are to do.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// A `tokenizer.json`; without it a vocabulary is made up.
    pub vocabulary: Option<PathBuf>,
    /// How many tokens are made up.
    pub made_up: usize,
    /// How JSON is spelled.
    pub spelling: Spelling,
    /// The schemas.
    pub items: Vec<Item>,
}

/// A schema with what is run on it.
#[derive(Serialize, Deserialize)]
pub struct Item {
    /// The part of the report it belongs to.
    pub section: String,
    /// Its name.
    pub name: String,
    /// The schema.
    pub schema: Value,
    /// The outputs.
    pub trials: Vec<Trial>,
}

/// One output.
#[derive(Serialize, Deserialize)]
pub struct Trial {
    /// Whether the schema accepts it.
    pub valid: bool,
    /// Its tokens.
    pub tokens: Vec<u32>,
}

/// What came of one schema. Times are nanoseconds.
#[derive(Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Why the engine refused the schema.
    pub refused: Option<String>,
    /// From the schema to something that makes matchers.
    pub compile: u64,
    /// From the schema to the first mask.
    pub first: u64,
    /// Compiling the same schema once more.
    pub again: u64,
    /// Each new matcher.
    pub matchers: Vec<u64>,
    /// Each mask.
    pub masks: Vec<u64>,
    /// Each accepted token.
    pub accepts: Vec<u64>,
    /// Heap bytes that stayed after all outputs.
    pub heap: usize,
    /// Valid outputs that were refused: where.
    pub refuses: Vec<String>,
    /// How many invalid outputs were let through.
    pub lets_through: usize,
    /// How many outputs of either kind were run.
    pub valid: usize,
    /// See `valid`.
    pub invalid: usize,
}

/// The lesser of the time on the clock and the time on the processor: where others run on the machine, a pause is no
/// work. The processor's time is asked for outside the clock's, as asking takes about as long as a small mask.
struct Watch {
    cpu: ProcessTime,
    clock: Instant,
}

impl Watch {
    fn start() -> Watch {
        let cpu = ProcessTime::now();
        Watch { cpu, clock: Instant::now() }
    }

    fn nanoseconds(&self) -> u64 {
        let clock = self.clock.elapsed();
        clock.min(self.cpu.elapsed()).as_nanos() as u64
    }
}

/// Runs an engine over the items of a job from number `from` on, and hands each outcome out as it comes. `heap` says
/// how many bytes are allocated.
pub fn work(
    name: &str,
    job: Job,
    from: usize,
    heap: impl Fn() -> usize,
    mut out: impl FnMut(Outcome) -> Result<()>,
) -> Result<()> {
    let tokens = match &job.vocabulary {
        Some(path) => Tokens::read(path, name == "llguidance")?,
        None => Tokens::made_up(job.made_up),
    };
    let engine = engine(name, &tokens, job.spelling)?;
    let mut mask = vec![0u32; tokens.list.len().div_ceil(32)];
    drop(tokens);
    for item in job.items.iter().skip(from) {
        out(run(&*engine, item, &mut mask, &heap))?;
    }
    Ok(())
}

fn run(engine: &dyn Engine, item: &Item, mask: &mut [u32], heap: &dyn Fn() -> usize) -> Outcome {
    let mut outcome = Outcome::default();
    let count = |valid: bool| item.trials.iter().filter(|t| t.valid == valid).count();
    (outcome.valid, outcome.invalid) = (count(true), count(false));
    for trial in &item.trials {
        outcome.masks.reserve(trial.tokens.len());
        outcome.accepts.reserve(trial.tokens.len());
    }
    outcome.matchers.reserve(item.trials.len());
    let before = heap();
    let (input, copy) = (engine.input(&item.schema), engine.input(&item.schema));
    let watch = Watch::start();
    let compiled = match engine.compile(input) {
        Ok(compiled) => compiled,
        Err(error) => {
            outcome.refused = Some(format!("{error:#}").chars().take(300).collect());
            return outcome;
        }
    };
    outcome.compile = watch.nanoseconds();
    match compiled.matcher().and_then(|mut matcher| matcher.mask(mask)) {
        Ok(()) => outcome.first = watch.nanoseconds(),
        Err(error) => {
            outcome.refused = Some(format!("{error:#}").chars().take(300).collect());
            return outcome;
        }
    }
    for (index, trial) in item.trials.iter().enumerate() {
        let watch = Watch::start();
        let matcher = compiled.matcher();
        outcome.matchers.push(watch.nanoseconds());
        let Ok(mut matcher) = matcher else {
            outcome.refuses.push(format!("output {index}: no matcher"));
            continue;
        };
        let mut stopped = None;
        for (at, &token) in trial.tokens.iter().enumerate() {
            let watch = Watch::start();
            let made = matcher.mask(mask);
            outcome.masks.push(watch.nanoseconds());
            let allowed = made.is_ok() && mask[token as usize / 32] >> (token % 32) & 1 == 1;
            if !allowed {
                let why = made.err().map_or(String::new(), |error| format!(" ({error:#})"));
                stopped = Some(format!("output {index}, token {at}{why}"));
                break;
            }
            let watch = Watch::start();
            let taken = matcher.accept(token);
            outcome.accepts.push(watch.nanoseconds());
            if let Err(error) = taken {
                stopped = Some(format!("output {index}, token {at}, which its mask allows: {error:#}"));
                break;
            }
        }
        if stopped.is_none() && !matcher.is_accepting() {
            stopped = Some(format!("output {index} at its end"));
        }
        match (trial.valid, stopped) {
            (true, Some(place)) => outcome.refuses.push(place),
            (false, None) => outcome.lets_through += 1,
            _ => {}
        }
    }
    outcome.heap = compiled.heap().unwrap_or_else(|| heap().saturating_sub(before));
    let watch = Watch::start();
    let again = engine.compile(copy);
    outcome.again = watch.nanoseconds();
    drop(again);
    outcome
}
