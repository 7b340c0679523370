//! `masks`: time to compile, to make masks and to accept tokens, engine beside engine, as a Markdown table.
//!
//! Each engine runs in a process of its own, on one thread, several times; each time is the least of all passes. A
//! schema that takes too long is skipped, and the engine's process begun anew behind it.

use anyhow::{Context, Result, bail};
use cap::Cap;
use clap::{Parser, ValueEnum};
use std::alloc::System;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use toolglot_bench::{
    Case, ENGINES, Item, Job, Outcome, Row, Spelling, Tokens, Trial, dumps, read_folder, report,
    stress_cases, tool_cases, work,
};
use toolglot_grammar::Vocabulary;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Masks of our own schemas, and of a folder's, engine beside engine.
#[derive(Parser)]
struct Cli {
    /// A folder of `{"schema": …, "tests": [{"valid": …, "data": …}, …]}` files, as MaskBench has them
    #[arg(long)]
    schemas: Option<PathBuf>,
    /// How many of the folder's schemas to take, evenly over their sorted names; 0 for all
    #[arg(long, default_value_t = 210)]
    sample: usize,
    /// A tokenizer.json; may be given several times. Without it a vocabulary is made up
    #[arg(long)]
    vocabulary: Vec<PathBuf>,
    /// Size of the made-up vocabulary
    #[arg(long, default_value_t = 128_000)]
    made_up: usize,
    /// White space in the outputs' grammar: `exact` as json.dumps writes it, `flexible` as JSON allows it, and then
    /// members in any order where an engine has that. Without it our own schemas are run exact and the folder's flexible
    #[arg(long, value_enum)]
    spelling: Option<SpellingArg>,
    /// Engines to run
    #[arg(long, value_delimiter = ',')]
    engines: Vec<String>,
    /// Passes; the least time of all counts. An engine whose pass takes longer than two minutes gets one
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Seconds on the processor after which an engine gives a schema up
    #[arg(long, default_value_t = 10)]
    timeout: u64,
    /// Leave our own schemas out
    #[arg(long)]
    no_own: bool,
    /// Say what each engine refused
    #[arg(long)]
    verbose: bool,
    #[arg(long, hide = true)]
    worker: Option<String>,
    #[arg(long, hide = true)]
    job: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 0)]
    from: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum SpellingArg {
    Exact,
    Flexible,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let (Some(engine), Some(job)) = (&cli.worker, &cli.job) {
        let job: Job = serde_json::from_slice(&std::fs::read(job)?)?;
        let mut out = std::io::stdout().lock();
        return work(
            engine,
            job,
            cli.from,
            || HEAP.allocated(),
            |outcome: Outcome| {
                serde_json::to_writer(&mut out, &outcome)?;
                out.write_all(b"\n")?;
                Ok(out.flush()?)
            },
        );
    }
    let engines: Vec<String> = match &*cli.engines {
        [] => ENGINES.iter().map(|e| e.to_string()).collect(),
        named => named.to_vec(),
    };
    let vocabularies: Vec<Option<&Path>> = match &*cli.vocabulary {
        [] => vec![None],
        files => files.iter().map(|file| Some(file.as_path())).collect(),
    };
    for vocabulary in vocabularies {
        let tokens = match vocabulary {
            Some(path) => Tokens::read(path, true)?,
            None => Tokens::made_up(cli.made_up),
        };
        println!("\n# {} ({} ids)", tokens.name, tokens.list.len());
        let names = Vocabulary::new(tokens.list.clone(), &tokens.eos, None)?;
        let mut jobs = Vec::new();
        let spelled = |or: Spelling| match cli.spelling {
            Some(SpellingArg::Exact) => Spelling::Exact,
            Some(SpellingArg::Flexible) => Spelling::Flexible,
            None => or,
        };
        if !cli.no_own {
            let mut items = items("everyday tools", tool_cases(), &tokens, &names)?;
            items.extend(self::items("stress", stress_cases(), &tokens, &names)?);
            jobs.push((spelled(Spelling::Exact), items));
        }
        if let Some(folder) = &cli.schemas {
            let cases = read_folder(folder, cli.sample)?;
            jobs.push((spelled(Spelling::Flexible), items("folder", cases, &tokens, &names)?));
        }
        for (spelling, items) in jobs {
            let job =
                Job { vocabulary: vocabulary.map(Path::to_path_buf), made_up: cli.made_up, spelling, items };
            println!(
                "\nSpelling: {spelling:?}; a schema is given up after {} s of processor time",
                cli.timeout
            );
            let mut file = tempfile::NamedTempFile::new()?;
            serde_json::to_writer(&mut file, &job)?;
            file.flush()?;
            let mut rows = Vec::new();
            for engine in &engines {
                match passes(&cli, engine, file.path(), job.items.len()) {
                    Ok(row) => rows.push(row),
                    Err(error) => println!("\n{engine} is left out: {error:#}"),
                }
            }
            if cli.verbose {
                complain(&job, &rows);
            }
            println!("{}", report(&job.items, &rows));
        }
    }
    Ok(())
}

fn items(section: &str, cases: Vec<Case>, tokens: &Tokens, vocabulary: &Vocabulary) -> Result<Vec<Item>> {
    let trial = |instance: &toolglot_bench::Instance| {
        let tokens = tokens.split(vocabulary, &dumps(&instance.data))?;
        Ok(Trial { valid: instance.valid, tokens })
    };
    let item = |case: Case| {
        let trials = case.instances.iter().map(trial).collect::<Result<_>>()?;
        Ok(Item { section: section.into(), name: case.name, schema: case.schema, trials })
    };
    cases.into_iter().map(item).collect()
}

fn complain(job: &Job, rows: &[Row]) {
    for row in rows {
        for (item, outcome) in job.items.iter().zip(&row.outcomes) {
            let Some(outcome) = outcome else {
                println!("- {}: {}: too slow", row.engine, item.name);
                continue;
            };
            for reason in outcome.refused.iter().chain(&outcome.refuses) {
                println!("- {}: {}: {reason}", row.engine, item.name);
            }
            if outcome.lets_through > 0 {
                println!("- {}: {}: lets {} through", row.engine, item.name, outcome.lets_through);
            }
            let slowest = outcome.masks.iter().enumerate().max_by_key(|(_, time)| **time);
            if let Some((at, &time)) = slowest.filter(|(_, time)| **time > 1_000_000) {
                println!("- {}: {}: mask {at} takes {} us", row.engine, item.name, time / 1000);
            }
        }
    }
}

/// All passes of one engine.
fn passes(cli: &Cli, engine: &str, job: &Path, count: usize) -> Result<Row> {
    let mut row: Option<Row> = None;
    for pass in 0..cli.repeat.max(1) {
        eprintln!("  {engine}, pass {}", pass + 1);
        let start = Instant::now();
        let next = one_pass(cli, engine, job, count)?;
        match &mut row {
            Some(row) => row.least(next),
            None => row = Some(next),
        }
        if start.elapsed() > Duration::from_secs(120) {
            break;
        }
    }
    row.context("at least one pass")
}

fn one_pass(cli: &Cli, engine: &str, job: &Path, count: usize) -> Result<Row> {
    let mut row = Row { engine: engine.to_string(), outcomes: Vec::new() };
    while row.outcomes.len() < count {
        let from = row.outcomes.len();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--worker", engine, "--from", &from.to_string(), "--job"])
            .arg(job)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let (send, lines_in) = channel();
        let reader = std::thread::spawn(move || lines.map_while(|line| send.send(line.ok()?).ok()).count());
        // Setting the engine up takes seconds, once.
        let mut patience = Patience::new(child.id(), cli.timeout + 60);
        let slow = loop {
            match lines_in.recv_timeout(Duration::from_secs(1)) {
                Ok(line) => {
                    row.outcomes.push(Some(serde_json::from_str(&line)?));
                    patience = Patience::new(child.id(), cli.timeout);
                }
                Err(RecvTimeoutError::Timeout) if patience.is_over() => break true,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break false,
            }
        };
        if slow {
            child.kill()?;
            row.outcomes.push(None);
        }
        let status = child.wait()?;
        // The reader ends with the pipe.
        let _ = reader.join();
        if !slow && row.outcomes.len() < count {
            if row.outcomes.len() == from && from == 0 {
                bail!("its process ended with {status}");
            }
            // It crashed on this schema.
            row.outcomes.push(None);
        }
    }
    Ok(row)
}

/// Seconds of processor time that a worker has for the next schema.
struct Patience {
    worker: u32,
    until: f64,
}

impl Patience {
    fn new(worker: u32, seconds: u64) -> Patience {
        Patience { worker, until: processor_time(worker) + seconds as f64 }
    }

    fn is_over(&self) -> bool {
        processor_time(self.worker) > self.until
    }
}

/// Seconds that a process has run; seconds by the clock where the system does not tell.
fn processor_time(process: u32) -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program may hold spaces; 11 fields behind it come ticks of 10 ms in user and kernel mode.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, kernel] => (user + kernel) / 100.0,
        _ => START.get_or_init(Instant::now).elapsed().as_secs_f64(),
    }
}
