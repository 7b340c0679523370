//! How fast the parser is: ns per byte for calls of several sizes in several cuts, and for hostile input.
//!
//! Time on the CPU, session set-up included, mean of several runs. `cargo bench -p toolglot-parsers`.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::json;
use toolglot_format::{Event, FinishReason, Format, Piece, Plan};
use toolglot_parsers::{Family, Parser, Program, Registry, Session, SessionOptions};

fn main() {
    // `cargo test --benches` builds this and runs it with a flag.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let registry = match Registry::builtin() {
        Ok(registry) => registry,
        Err(error) => return eprintln!("{error}"),
    };
    let (Some(hermes), Some(xml)) = (registry.get("hermes"), registry.get("qwen3_coder")) else {
        return eprintln!("the families `hermes` and `qwen3_coder` are needed");
    };
    println!("{:<22}{:>10}{:>10}{:>10}{:>10}   ns/byte", "", "whole", "64", "4", "1");
    for size in [4, 64, 256] {
        row(&format!("JSON call {size} KiB"), &**hermes, &json_call(size << 10));
        row(&format!("XML call {size} KiB"), &**xml, &xml_call(size << 10));
    }
    let plain = "The quick brown fox jumps over the lazy dog, again and again. ".repeat((1 << 20) / 62);
    row("plain text 1 MiB", &**hermes, &plain);
    let mebi = |unit: &str| unit.repeat((1 << 20) / unit.len());
    for (name, unit) in [
        ("{", "{"),
        ("<", "<"),
        ("half marker", "<tool_ca"),
        ("half closer", "</think"),
        ("backslash", "\\"),
        ("spaces", " "),
        ("quotes", "\""),
    ] {
        row(&format!("text, {name}"), &**hermes, &mebi(unit));
        let call = format!("<tool_call>\n{{\"name\": \"write_file\", \"arguments\": {}", mebi(unit));
        row(&format!("arguments, {name}"), &**hermes, &call);
        let call = format!("<tool_call>\n<function=write_file>\n<parameter=content>\n{}", mebi(unit));
        row(&format!("value, {name}"), &**xml, &call);
    }
    row("empty calls", &**hermes, &mebi("<tool_call>{\"name\": \"f\"}</tool_call>"));
    row("nameless calls", &**hermes, &mebi("<tool_call></tool_call>"));
    let open = format!("<tool_call>\n{{\"name\": \"write_file\", \"arguments\": {{\"a\": {}", mebi("["));
    row("arguments, open [", &**hermes, &open);
    compile(&**hermes);
    compile(&**xml);
    if let Some(harmony) = registry.get("harmony") {
        compile(&**harmony);
    }
}

fn code(size: usize) -> String {
    let line = "fn main() { let x = vec![1, 2, 3]; println!(\"{}\", x.len() < 4 && x[0] > 0); }\n";
    line.repeat(size / line.len() + 1)[..size].to_owned()
}

fn json_call(size: usize) -> String {
    let arguments = json!({"path": "src/main.rs", "content": code(size)});
    format!("<tool_call>\n{{\"name\": \"write_file\", \"arguments\": {arguments}}}\n</tool_call>")
}

fn xml_call(size: usize) -> String {
    format!(
        "<tool_call>\n<function=write_file>\n<parameter=path>\nsrc/main.rs\n</parameter>\n<parameter=content>\n{}\n</parameter>\n</function>\n</tool_call>",
        code(size)
    )
}

fn plan() -> Plan {
    let tools = json!([{"name": "write_file", "parameters": {"type": "object", "properties": {
        "path": {"type": "string"}, "content": {"type": "string"},
    }}}]);
    Plan::from_openai(&tools, &json!(null), true).unwrap_or_default()
}

fn row(name: &str, family: &dyn Family, text: &str) {
    print!("{name:<22}");
    let plan = plan();
    for chunk in [text.len(), 64, 4, 1] {
        // The clock ticks in milliseconds.
        let total = if chunk >= 64 { 32 << 20 } else { (2 << 20) * chunk };
        let rounds = (total / text.len()).max(2);
        let start = cpu_time();
        for _ in 0..rounds {
            let Ok(mut session) = family.session(&plan, SessionOptions::default()) else { return };
            time(&mut *session, text, chunk);
        }
        let spent = (cpu_time() - start) as f64;
        print!("{:>10.2}", spent / (rounds * text.len()) as f64);
    }
    println!();
}

/// Nanoseconds that this thread has run; wall time where the system does not tell. The machine may be busy.
fn cpu_time() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ran = stat.and_then(|stat| stat.split(' ').next()?.parse().ok());
    ran.unwrap_or_else(|| START.get_or_init(Instant::now).elapsed().as_nanos() as u64)
}

fn time(session: &mut dyn Session, text: &str, chunk: usize) {
    let mut events: Vec<Event> = Vec::new();
    for piece in text.as_bytes().chunks(chunk) {
        session.feed(&[Piece { bytes: piece, special: None }], &mut events);
        std::hint::black_box(&events);
        events.clear();
    }
    session.finish(FinishReason::Stop, &mut events);
    std::hint::black_box(&events);
}

fn compile(family: &dyn Family) {
    let format: &Format = &family.manifest().format;
    let start = cpu_time();
    let rounds = 100;
    for _ in 0..rounds {
        if let Ok(program) = Program::new(format) {
            let mut session = Parser::new(Arc::new(program), &plan(), SessionOptions::default());
            let mut events = Vec::new();
            session.feed(&[Piece::text("x")], &mut events);
        }
    }
    let each = (cpu_time() - start) / 1000 / rounds;
    println!("compile {}: {each} µs", family.manifest().id);
}
