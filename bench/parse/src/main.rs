//! How fast the streaming parser is beside those of other engines, in one run: nanoseconds of CPU time per byte of
//! output, session set-up included. `cargo dev bench parse`.
//!
//! Each parser reads one call that writes a file, whole and in pieces, and must give that very call: a parser that gives
//! another is named, not timed. Then ours alone reads a mebibyte of text that parsers trip over, beside plain text.

mod inputs;
mod parsers;

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Result, bail};
use cpu_time::ThreadTime;

use inputs::{MEBI, Wire};
use parsers::{Parser, TooSlow, Toolglot};

/// Sizes of the string argument.
const SIZES: [usize; 3] = [4 << 10, 64 << 10, 256 << 10];

/// Sizes over which time must grow with the size alone.
const GROWTH: [usize; 3] = [64 << 10, 256 << 10, MEBI];

/// Bytes a piece; 0 stands for the whole.
const CHUNKS: [usize; 4] = [0, 64, 4, 1];

/// A parser that needs longer for one reading is not asked for larger inputs.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    // `json`, `xml` and `ours` ask for a part; without any, all are run.
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|asked| asked == part);
    for (part, wire) in
        [("json", Wire::Json), ("xml", Wire::Xml)].into_iter().filter(|(part, _)| wanted(part))
    {
        println!("\n{} calls, ns a byte; ratio to the first row\n", part.to_uppercase());
        print!("| parser |");
        for size in SIZES {
            CHUNKS.iter().for_each(|&chunk| print!(" {} KiB, {} |", size >> 10, chunk_name(chunk)));
        }
        println!("\n|---|{}", "---:|".repeat(SIZES.len() * CHUNKS.len()));
        table(wire)?;
    }
    if !wanted("ours") {
        return Ok(());
    }
    let ours = Toolglot::new()?;
    println!(
        "\nGrowth and pushes, toolglot: ns a byte of one call; ns a push of 4 bytes, about a token, and of 1\n"
    );
    println!(
        "| call | {} | a push of 4 B | of 1 B |",
        GROWTH.map(|size| format!("{} KiB", size >> 10)).join(" | ")
    );
    println!("|---|{}", "---:|".repeat(GROWTH.len() + 2));
    for wire in [Wire::Json, Wire::Xml] {
        growth(&ours, wire)?;
    }
    println!("\nSet-up, toolglot, µs: a family's program, once; a session, once a turn\n");
    println!("| family | program | session |\n|---|---:|---:|");
    for (family, [program, session]) in ours.set_up()? {
        println!("| {family} | {program:.1} | {session:.2} |");
    }
    println!("\nWorst cases of 1 MiB, toolglot, ns a byte; ratio to plain text\n");
    println!("| text | {} |", CHUNKS.map(chunk_name).join(" | "));
    println!("|---|{}", "---:|".repeat(CHUNKS.len()));
    worst_cases(&ours)
}

fn chunk_name(chunk: usize) -> String {
    if chunk == 0 { "whole".into() } else { format!("{chunk} B") }
}

fn table(wire: Wire) -> Result<()> {
    let mut ours: Vec<Option<f64>> = Vec::new();
    for parser in parsers::all(wire)? {
        let mut row = Vec::new();
        let mut too_slow = [false; CHUNKS.len()];
        for size in SIZES {
            let text = wire.call(size);
            for (at, chunk) in CHUNKS.into_iter().enumerate() {
                let time =
                    if too_slow[at] { Cell::Slow } else { measure(&*parser, wire, &text, chunk, size) };
                too_slow[at] |= matches!(time, Cell::Slow);
                row.push(time);
            }
        }
        print!("| {} |", parser.name());
        for (at, cell) in row.iter().enumerate() {
            match (cell, ours.get(at).copied().flatten()) {
                (Cell::Time(time), Some(ours)) => print!(" {time:.1} ({:.0}×) |", time / ours),
                (Cell::Time(time), None) => print!(" {time:.2} |"),
                (Cell::Slow, _) => print!(" > {} s |", PATIENCE.as_secs()),
                (Cell::Wrong, _) => print!(" other call |"),
                (Cell::Unfit, _) => print!(" – |"),
            }
        }
        println!();
        if ours.is_empty() {
            ours =
                row.iter().map(|cell| if let Cell::Time(time) = cell { Some(*time) } else { None }).collect();
        }
    }
    Ok(())
}

enum Cell {
    Time(f64),
    /// Out of patience, here or with less.
    Slow,
    /// It reads another call than was written.
    Wrong,
    /// It does not read input in pieces.
    Unfit,
}

fn pieces(text: &str, chunk: usize) -> Vec<&str> {
    if chunk == 0 {
        return vec![text];
    }
    // The inputs are ASCII, so every cut is between characters.
    (0..text.len()).step_by(chunk).map(|at| &text[at..(at + chunk).min(text.len())]).collect()
}

fn measure(parser: &dyn Parser, wire: Wire, text: &str, chunk: usize, size: usize) -> Cell {
    let chunks = pieces(text, chunk);
    let start = ThreadTime::now();
    let calls = match parser.parse(wire, &chunks) {
        Ok(calls) => calls,
        Err(error) if error.is::<TooSlow>() => return Cell::Slow,
        Err(_) => return Cell::Unfit,
    };
    let first = start.elapsed();
    let whole: Vec<_> = calls
        .iter()
        .filter_map(|(name, arguments)| Some((name.as_str(), serde_json::from_str(arguments).ok()?)))
        .collect();
    if whole != [("write_file", inputs::arguments(size))] {
        return Cell::Wrong;
    }
    if first > PATIENCE {
        return Cell::Slow;
    }
    Cell::Time(per_byte(parser, wire, &chunks, text.len(), first))
}

/// The best of several rounds; `first` tells how long one takes.
fn per_byte(parser: &dyn Parser, wire: Wire, chunks: &[&str], bytes: usize, first: Duration) -> f64 {
    let rounds = (Duration::from_millis(100).as_nanos() / first.as_nanos().max(1)).clamp(1, 2000);
    let times = (0..rounds).map(|_| {
        let start = ThreadTime::now();
        let _ = black_box(parser.parse(wire, black_box(chunks)));
        start.elapsed()
    });
    times.min().unwrap_or(first).as_nanos() as f64 / bytes as f64
}

/// In pieces of 4 bytes.
fn growth(parser: &Toolglot, wire: Wire) -> Result<()> {
    print!("| {} |", wire.name());
    let time = |size: usize, chunk: usize| match measure(parser, wire, &wire.call(size), chunk, size) {
        Cell::Time(time) => Ok(time),
        _ => {
            bail!("a {} call of {size} bytes in pieces of {chunk} is not read as it was written", wire.name())
        }
    };
    let (mut first, mut largest) = (None, 0.0);
    for size in GROWTH {
        largest = time(size, 4)?;
        print!(" {largest:.2} ({:.2}×) |", largest / *first.get_or_insert(largest));
    }
    println!(" {:.0} | {:.0} |", largest * 4.0, time(MEBI, 1)?);
    Ok(())
}

fn worst_cases(parser: &Toolglot) -> Result<()> {
    let row = |name: &str, wire: Wire, text: &str, plain: Option<&[f64]>| {
        let times: Vec<f64> = CHUNKS
            .iter()
            .map(|&chunk| {
                let chunks = pieces(text, chunk);
                let start = ThreadTime::now();
                let _ = black_box(parser.parse(wire, &chunks));
                per_byte(parser, wire, &chunks, text.len(), start.elapsed())
            })
            .collect();
        print!("| {name} |");
        for (at, time) in times.iter().enumerate() {
            match plain {
                Some(plain) => print!(" {time:.2} ({:.1}×) |", time / plain[at]),
                None => print!(" {time:.2} |"),
            }
        }
        println!();
        times
    };
    let plain = row("plain text", Wire::Json, &inputs::prose(), None);
    for (name, text) in inputs::hostile() {
        row(&format!("{name}, as text"), Wire::Json, &text, Some(&plain));
        for wire in [Wire::Json, Wire::Xml] {
            let inside = format!("{}{text}", wire.inside());
            row(&format!("{name}, in a {} string", wire.name()), wire, &inside, Some(&plain));
        }
    }
    let arrays =
        format!("<tool_call>\n{{\"name\": \"write_file\", \"arguments\": {{\"a\": {}", "[".repeat(MEBI));
    row("open arrays, as arguments", Wire::Json, &arrays, Some(&plain));
    let calls = "<tool_call>{\"name\": \"f\"}</tool_call>".repeat(MEBI / 37);
    row("calls without arguments", Wire::Json, &calls, Some(&plain));
    row("frames without a call", Wire::Json, &"<tool_call></tool_call>".repeat(MEBI / 23), Some(&plain));
    Ok(())
}
