//! Standard output, as text or as JSON.

use std::io::{self, Write};

use serde_json::Value;

/// Where a command's result goes.
pub(crate) struct Output {
    stream: Box<dyn Write>,
    json: bool,
}

impl Output {
    /// Standard output, buffered by line where the caller flushes.
    pub(crate) fn stdout(json: bool) -> Self {
        Output { stream: Box::new(io::BufWriter::new(io::stdout())), json }
    }

    /// Whether JSON is asked for.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// One result: a JSON line, or what `text` writes.
    pub(crate) fn emit(
        &mut self,
        value: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.stream, &value())?;
            self.stream.write_all(b"\n")?;
        } else {
            let text = text();
            self.stream.write_all(text.as_bytes())?;
            if !text.is_empty() && !text.ends_with('\n') {
                self.stream.write_all(b"\n")?;
            }
        }
        self.stream.flush()
    }

    /// Bytes as they are, for both kinds of output.
    pub(crate) fn raw(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())?;
        self.stream.flush()
    }
}

/// Whether an error is only a reader that went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// An error and its causes in a line; a cause that the error has told already is left out.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text += if text.is_empty() { "" } else { ": " };
            text += &cause;
        }
    }
    text
}

/// Lays rows out in columns, two spaces apart.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
