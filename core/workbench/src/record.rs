//! What was seen, kept beside a family: one file for its cases, one for the corpus, one for the template.
//!
//! The files have the form of insta's snapshots, so `cargo insta review` shows them too.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Named sections of text, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    sections: Vec<(String, String)>,
}

impl Record {
    /// Adds a section.
    pub fn push(&mut self, name: impl Into<String>, body: impl Into<String>) {
        self.sections.push((name.into(), body.into()));
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }
}

/// One section after the other, each under `## name`.
impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (name, body)) in self.sections.iter().enumerate() {
            let gap = if i > 0 { "\n" } else { "" };
            writeln!(f, "{gap}## {name}\n{}", body.trim_end_matches('\n'))?;
        }
        Ok(())
    }
}

/// A text as it stands, each line behind a bar; what the eye does not see at the end of a line is shown.
pub(crate) fn barred(text: &str) -> String {
    let mut out = String::new();
    for line in text.split('\n') {
        let (body, end) = match line.strip_suffix(' ') {
            Some(body) => (body, "␠"),
            None => (line, ""),
        };
        let body = body.replace('\r', "␍");
        let _ = writeln!(out, "|{body}{end}");
    }
    out
}

/// A record's file in a family's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    path: PathBuf,
}

impl Snapshot {
    /// `snapshots/<name>.snap` of a family's folder.
    pub fn of(folder: &Path, name: &str) -> Snapshot {
        Snapshot { path: folder.join("snapshots").join(format!("{name}.snap")) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was accepted; `None` where nothing was yet.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(body(&text).trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The difference between what was accepted and what was seen, as a person reads it; `None` where there
    /// is none.
    ///
    /// # Errors
    /// As [`Snapshot::read`].
    pub fn diff(&self, record: &Record) -> io::Result<Option<String>> {
        let seen = record.to_string();
        let seen = seen.trim_end();
        let Some(accepted) = self.read()? else {
            return Ok((!record.is_empty()).then(|| diff("", seen)));
        };
        Ok((accepted != seen).then(|| diff(&accepted, seen)))
    }

    /// Accepts what was seen. An empty record has no file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn accept(&self, record: &Record) -> io::Result<()> {
        if record.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = record.to_string();
        fs::write(&self.path, format!("---\nsource: {}\n---\n{}\n", file!(), text.trim_end()))
    }
}

/// The text behind the header of a snapshot file.
fn body(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("---\n") else { return text };
    rest.split_once("\n---\n").map_or(text, |(_, body)| body)
}

fn diff(old: &str, new: &str) -> String {
    let diff = similar::TextDiff::from_lines(old, new);
    let mut out = String::new();
    for (i, group) in diff.grouped_ops(2).iter().enumerate() {
        if i > 0 {
            out += "  …\n";
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            let _ = writeln!(out, "{} {line}", change.tag());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_is_the_same_and_what_changed_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = Snapshot::of(folder.path(), "corpus");
        let mut record = Record::default();
        assert_eq!(snapshot.diff(&record).unwrap(), None);
        record.push("one", barred("a \nb\n"));
        record.push("two", "x\n\n");
        assert_eq!(
            snapshot.diff(&record).unwrap().unwrap(),
            "+ ## one\n+ |a␠\n+ |b\n+ |\n+ \n+ ## two\n+ x\n"
        );
        snapshot.accept(&record).unwrap();
        assert_eq!(snapshot.diff(&record).unwrap(), None);
        let mut other = Record::default();
        other.push("one", barred("a \nc\n"));
        let shown = snapshot.diff(&other).unwrap().unwrap();
        assert!(shown.contains("- |b\n") && shown.contains("+ |c\n"), "{shown}");
        snapshot.accept(&Record::default()).unwrap();
        assert!(!snapshot.path().exists());
    }
}
