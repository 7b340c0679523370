//! `masks [IDS]`: time to compile, to make masks and to accept tokens, beside llguidance, over one made-up
//! vocabulary (128 000 ids unless told), in one run on one core. `masks IDS DIR` takes the schemas of a folder
//! instead: files of `{"schema": …, "tests": [{"valid": true, "data": …}, …]}`.

use anyhow::{Context, Result};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use toolglot_bench::{Case, Rival, made_up_tokens, stress_cases, tool_cases};
use toolglot_grammar::{CompiledGrammar, GrammarBuilder, JsonStyle, Vocabulary};
use toolglot_schema::{Options, Schema};

#[derive(Default)]
struct Times {
    compile: Vec<Duration>,
    again: Vec<Duration>,
    first: Vec<Duration>,
    masks: Vec<Duration>,
    accepts: Vec<Duration>,
    matcher: Vec<Duration>,
    refused: Vec<String>,
    wrong: Vec<String>,
}

/// The lesser of wall and processor time: what the work takes, not what else the machine does.
struct Clock(std::time::Instant, cpu_time::ThreadTime);

impl Clock {
    fn now() -> Clock {
        Clock(std::time::Instant::now(), cpu_time::ThreadTime::now())
    }

    fn elapsed(&self) -> Duration {
        let processor = self.1.elapsed();
        self.0.elapsed().min(processor)
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let ids: usize = arguments.next().map_or(Ok(128_000), |a| a.parse()).context("IDS is a number")?;
    let cases = match arguments.next() {
        Some(folder) => read_folder(&folder)?,
        None => tool_cases().into_iter().chain(stress_cases()).collect(),
    };
    let tokens = made_up_tokens(ids);
    let start = Clock::now();
    let vocabulary = Arc::new(Vocabulary::new(tokens.clone(), &[tokens.len() as u32 - 1], None)?);
    let ours_setup = start.elapsed();
    let start = Clock::now();
    let rival = Rival::new(&tokens)?;
    println!("{} ids; set-up: toolglot {:?}, llguidance {:?}", tokens.len(), ours_setup, start.elapsed());
    println!(
        "{:28} {:>10} {:>29} | {:>10} {:>29}",
        "", "toolglot", "mask p50/p99/max us", "llguidance", "mask p50/p99/max us"
    );
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for case in &cases {
        let mut mine = Times::default();
        run_ours(case, &vocabulary, &mut mine)?;
        let mut other = Times::default();
        run_rival(case, &rival, &vocabulary, &mut other)?;
        let cell = |t: &Times| match (t.compile.first(), t.refused.first().or(t.wrong.first())) {
            (_, Some(reason)) => format!("{:>40}", reason.chars().take(40).collect::<String>()),
            (Some(compile), None) => format!(
                "{:>8.3}ms {:>9.2}/{:>8.1}/{:>9.1}",
                compile.as_secs_f64() * 1e3,
                percentile(&t.masks, 0.5),
                percentile(&t.masks, 0.99),
                percentile(&t.masks, 1.0)
            ),
            _ => String::new(),
        };
        println!("{:28} {} | {}", case.name.chars().take(28).collect::<String>(), cell(&mine), cell(&other));
        add(&mut ours, mine);
        add(&mut theirs, other);
    }
    println!("\n{:44} {:>12} {:>12}", "all schemas, microseconds", "toolglot", "llguidance");
    type Row = (&'static str, fn(&Times) -> &Vec<Duration>);
    let rows: [Row; 6] = [
        ("compile", |t| &t.compile),
        ("first mask after compile began", |t| &t.first),
        ("compile again", |t| &t.again),
        ("new matcher", |t| &t.matcher),
        ("mask", |t| &t.masks),
        ("accept", |t| &t.accepts),
    ];
    for (name, of) in rows {
        for (label, at) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
            println!(
                "{name:32} {label:11} {:>12.2} {:>12.2}",
                percentile(of(&ours), at),
                percentile(of(&theirs), at)
            );
        }
    }
    for (name, times) in [("toolglot", &ours), ("llguidance", &theirs)] {
        let total: Duration = times.masks.iter().sum();
        let mean = total.as_secs_f64() * 1e6 / times.masks.len().max(1) as f64;
        println!(
            "{name}: {} masks, mean {mean:.2} us; refused {}: {:?}; valid refused: {:?}",
            times.masks.len(),
            times.refused.len(),
            times.refused,
            times.wrong
        );
    }
    Ok(())
}

fn percentile(times: &[Duration], at: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let index = ((sorted.len() as f64 * at).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).map_or(f64::NAN, |d| d.as_secs_f64() * 1e6)
}

fn add(to: &mut Times, from: Times) {
    to.compile.extend(from.compile);
    to.again.extend(from.again);
    to.first.extend(from.first);
    to.masks.extend(from.masks);
    to.accepts.extend(from.accepts);
    to.matcher.extend(from.matcher);
    to.refused.extend(from.refused);
    to.wrong.extend(from.wrong);
}

fn compile(case: &Case, vocabulary: &Arc<Vocabulary>) -> Result<Arc<CompiledGrammar>> {
    let schema = Schema::compile(&case.schema, &Options::default())?;
    let mut builder = GrammarBuilder::new();
    let root = builder.json_schema(&schema, &JsonStyle::default())?;
    Ok(CompiledGrammar::new(Arc::new(builder.build(root)?), vocabulary.clone())?)
}

/// The value as `json.dumps` writes it.
fn dumps(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(dumps).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(k, v)| format!("{}: {}", Value::from(k.as_str()), dumps(v)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn run_ours(case: &Case, vocabulary: &Arc<Vocabulary>, times: &mut Times) -> Result<()> {
    let start = Clock::now();
    let compiled = match compile(case, vocabulary) {
        Ok(compiled) => compiled,
        Err(error) => {
            times.refused.push(format!("{}: {error}", case.name));
            return Ok(());
        }
    };
    times.compile.push(start.elapsed());
    let mut mask = vec![0; vocabulary.mask_words()];
    compiled.matcher()?.mask(&mut mask)?;
    times.first.push(start.elapsed());
    for instance in &case.instances {
        let begin = Clock::now();
        let mut matcher = compiled.matcher()?;
        times.matcher.push(begin.elapsed());
        for token in vocabulary.greedy_tokens(dumps(instance).as_bytes()).context("every byte has a token")? {
            let begin = Clock::now();
            matcher.mask(&mut mask)?;
            times.masks.push(begin.elapsed());
            let begin = Clock::now();
            let taken = matcher.accept(token);
            times.accepts.push(begin.elapsed());
            if taken.is_err() || mask[token as usize / 32] >> (token % 32) & 1 == 0 {
                times.wrong.push(format!("{}: refuses {instance}", case.name));
                return Ok(());
            }
        }
        if !matcher.is_accepting() {
            times.wrong.push(format!("{}: does not end {instance}", case.name));
        }
    }
    let start = Clock::now();
    compile(case, vocabulary)?;
    times.again.push(start.elapsed());
    Ok(())
}

fn run_rival(case: &Case, rival: &Rival, vocabulary: &Vocabulary, times: &mut Times) -> Result<()> {
    let mut mask = vec![0; vocabulary.mask_words()];
    for (index, instance) in case.instances.iter().enumerate() {
        let start = Clock::now();
        let mut matcher = match rival.compile(&case.schema) {
            Ok(matcher) => matcher,
            Err(error) => {
                times.refused.push(format!("{}: {error}", case.name));
                return Ok(());
            }
        };
        if index == 0 {
            times.compile.push(start.elapsed());
            matcher.mask(&mut mask)?;
            times.first.push(start.elapsed());
        } else {
            times.again.push(start.elapsed());
        }
        for token in vocabulary.greedy_tokens(dumps(instance).as_bytes()).context("every byte has a token")? {
            let begin = Clock::now();
            let made = matcher.mask(&mut mask);
            times.masks.push(begin.elapsed());
            let begin = Clock::now();
            let taken = made.and_then(|()| matcher.accept(token));
            times.accepts.push(begin.elapsed());
            if taken.is_err() || mask[token as usize / 32] >> (token % 32) & 1 == 0 {
                times.wrong.push(format!("{}: refuses {instance}", case.name));
                return Ok(());
            }
        }
        if !matcher.is_accepting() {
            times.wrong.push(format!("{}: does not end {instance}", case.name));
        }
    }
    Ok(())
}

fn read_folder(folder: &str) -> Result<Vec<Case>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    paths.sort_by_key(|entry| entry.path());
    let mut out = Vec::new();
    for entry in paths {
        let document: Value = serde_json::from_str(&std::fs::read_to_string(entry.path())?)?;
        let tests = document.get("tests").and_then(Value::as_array);
        let valid = tests.into_iter().flatten().filter(|t| t.get("valid") == Some(&Value::Bool(true)));
        out.push(Case {
            name: entry.file_name().to_string_lossy().into_owned(),
            schema: document.get("schema").cloned().unwrap_or_default(),
            instances: valid.filter_map(|t| t.get("data").cloned()).collect(),
        });
    }
    Ok(out)
}
