//! `toolglot check --watch`: a change is checked, and a broken file is told and changes nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Ends the command with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_changed_file_is_checked_again() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/acme");
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().join("acme");
    fs::create_dir(&home).unwrap();
    for name in ["family.toml", "template.jinja", "cases.toml"] {
        fs::copy(example.join(name), home.join(name)).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_toolglot"))
        .args(["check", "--watch", "--samples", "4"])
        .arg(&home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let _running = Running(child);
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    // Everything up to the line that holds the words.
    let until = |words: &str| {
        let mut text = String::new();
        while !text.contains(words) {
            match lines.recv_timeout(Duration::from_secs(120)) {
                Ok(line) => text += &(line + "\n"),
                Err(error) => panic!("{error} behind\n{text}"),
            }
        }
        text
    };
    // In one step, so that no half-written file is seen.
    let save = |text: String| {
        let new = scratch.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, home.join("family.toml")).unwrap();
    };
    let first = until("6 cases");
    assert!(first.contains("acme: snapshot `cases`\n  nothing is accepted yet"), "{first}");
    let family = fs::read_to_string(home.join("family.toml")).unwrap();
    save(family.replace("[turn]", "[turns]"));
    let broken = until("kept as it was");
    assert!(broken.contains("family.toml: TOML parse error at line"), "{broken}");
    save(family.replace("@end", "@done"));
    let changed = until("6 cases");
    assert!(changed.contains("acme: case `single`"), "{changed}");
    save(family);
    let mended = until("6 cases");
    assert!(!mended.contains("acme: case"), "{mended}");
}
