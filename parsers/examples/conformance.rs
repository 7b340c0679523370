//! Runs conformance cases over the compiled-in families:
//! `cargo run -p toolglot-parsers --example conformance -- CASES.jsonl [FAMILY] [RESULTS.jsonl]`.

use std::process::ExitCode;

use toolglot_parsers::Registry;
use toolglot_parsers::conformance::{Case, Known, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match conformance(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn conformance(arguments: &[String]) -> Result<bool, Box<dyn std::error::Error>> {
    let Some(path) = arguments.first() else { return Err("name the file of cases".into()) };
    let cases = Case::read(&std::fs::read_to_string(path)?)?;
    let family = arguments.get(1).map(String::as_str).filter(|id| *id != "all");
    let report = run(&Registry::builtin()?, &cases, family);
    print!("{report}");
    let known = Known::builtin();
    println!("\n{}", report.differences(&known));
    for result in report.unexplained(&known) {
        println!("not explained: {} {}", result.id, result.origin);
    }
    for id in report.outdated(&known) {
        println!("agrees by now: {id}");
    }
    if let Some(out) = arguments.get(2) {
        std::fs::write(out, report.to_jsonl())?;
    }
    Ok(report.unequal_cuts().next().is_none() && report.unexplained(&known).next().is_none())
}
