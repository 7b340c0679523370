//! How long tokenizers take to be set up, without the cache and with it, as Markdown: milliseconds of CPU time, the
//! least of several. `cargo run --release -p toolglot --example set_up -- tokenizer.json…`

use std::error::Error;
use std::{fs, iter};

use cpu_time::ThreadTime;
use toolglot::VocabularyCache;
use toolglot::grammar::{TokenTable, Vocabulary};

const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let cache = VocabularyCache::at(folder.path().join("cache"));
    println!(
        "| tokenizer | ids | file | table made | table from the cache | vocabulary of the table | cached |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for path in std::env::args().skip(1) {
        let (size, first) = (fs::metadata(&path)?.len(), timed(&path, &cache)?);
        let made = least(|| Ok(timed(&path, &VocabularyCache::off())?.0))?;
        let read = least(|| Ok(timed(&path, &cache)?.0))?;
        let vocabulary = least(|| {
            let (_, table) = timed(&path, &cache)?;
            let start = ThreadTime::now();
            Vocabulary::from_table(table, &[], None)?;
            Ok(start.elapsed().as_secs_f64())
        })?;
        let mega = |bytes: f64| format!("{:.1} MB", bytes / 1e6);
        let times = [made, read, vocabulary].map(|time| format!("{:.1} ms", time * 1e3)).join(" | ");
        let kept = mega(first.1.to_stored().len() as f64);
        println!("| {path} | {} | {} | {times} | {kept} |", first.1.len(), mega(size as f64));
    }
    Ok(())
}

/// Reads the file and gives its table: what a model's folder costs before anything else.
fn timed(path: &str, cache: &VocabularyCache) -> Result<(f64, TokenTable), Box<dyn Error>> {
    let start = ThreadTime::now();
    let table = cache.table(&fs::read(path)?)?;
    Ok((start.elapsed().as_secs_f64(), table))
}

fn least(mut time: impl FnMut() -> Result<f64, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    iter::repeat_with(&mut time).take(ROUNDS).try_fold(f64::INFINITY, |least, time| Ok(least.min(time?)))
}
