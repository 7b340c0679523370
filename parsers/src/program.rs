//! A Format, compiled for the parser.

use toolglot_format::{Format, FormatError};

/// A compiled format. Cheap to share between sessions.
#[derive(Debug)]
pub struct Program {
    has_extern: bool,
}

impl Program {
    /// Compiles a format.
    ///
    /// # Errors
    /// As [`Format::validate`].
    pub fn new(format: &Format) -> Result<Program, FormatError> {
        format.validate()?;
        Ok(Program { has_extern: format.has_extern() })
    }

    /// Whether plugin code owns a part of the format.
    pub fn has_extern(&self) -> bool {
        self.has_extern
    }
}
