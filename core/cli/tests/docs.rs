//! Runs every `console` block of the book and the README, from the root of the checkout, and compares what
//! it prints. `TOOLGLOT_DOCS=write cargo test -p toolglot-cli --test docs` writes what was printed instead.
//!
//! A block whose fence says `console ignore` is not run: it needs what a test machine has not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Runs a shell line with the built command in front of the path; standard output and error together.
fn run(line: &str, scratch: &Path) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_toolglot")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {line}\n}} 2>&1")])
        .current_dir(root())
        .env("PATH", path)
        .env("SCRATCH", scratch)
        .env("XDG_CACHE_HOME", scratch)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().replace(&scratch.display().to_string(), "$SCRATCH")
}

/// The page with every block's output as it is now.
fn rerun(page: &str, scratch: &Path) -> String {
    let mut fresh = String::new();
    let mut in_block = false;
    for line in page.split_inclusive('\n') {
        let text = line.trim_end();
        if in_block {
            if text == "```" {
                in_block = false;
                fresh += line;
            } else if let Some(command) = text.strip_prefix("$ ") {
                fresh += line;
                let printed = run(command, scratch);
                fresh += &printed;
                if !printed.is_empty() && !printed.ends_with('\n') {
                    fresh.push('\n');
                }
            }
        } else {
            in_block = text == "```console";
            fresh += line;
        }
    }
    fresh
}

#[test]
fn examples_print_what_the_pages_say() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pages = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs/src")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    let write = std::env::var_os("TOOLGLOT_DOCS").is_some_and(|mode| mode == "write");
    let mut commands = 0;
    for path in pages {
        let page = fs::read_to_string(&path).unwrap();
        let fresh = rerun(&page, scratch.path());
        commands += page.matches("\n$ ").count();
        if write {
            fs::write(&path, &fresh).unwrap();
        } else {
            assert!(page == fresh, "{} is out of date; it should read:\n{fresh}", path.display());
        }
    }
    assert!(commands > 10, "only {commands} commands found: are the blocks still marked `console`?");
}
