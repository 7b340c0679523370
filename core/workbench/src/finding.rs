//! What is wrong with a family, as a person would say it.

use std::fmt;

/// Which check found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// `family.toml` or the template cannot be read.
    Folder,
    /// The family's own cases.
    Case,
    /// The corpus that all families share.
    Corpus,
    /// A category that nothing covers, or a waiver that is not true.
    Coverage,
    /// A law, by its number.
    Law(u8),
    /// Finding the family from its chat template.
    Detection,
    /// A snapshot that is not what was seen.
    Snapshot,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Check::Folder => f.write_str("folder"),
            Check::Case => f.write_str("case"),
            Check::Corpus => f.write_str("corpus"),
            Check::Coverage => f.write_str("coverage"),
            Check::Law(number) => write!(f, "law {number}"),
            Check::Detection => f.write_str("detection"),
            Check::Snapshot => f.write_str("snapshot"),
        }
    }
}

/// Something wrong with a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The family's id.
    pub family: String,
    /// Who found it.
    pub check: Check,
    /// The case, or what else was looked at. May be empty.
    pub name: String,
    /// What was expected and what came.
    pub why: String,
    /// Where to look. May be empty.
    pub look: String,
}

impl Finding {
    pub(crate) fn new(family: &str, check: Check, name: impl Into<String>, why: impl Into<String>) -> Self {
        Finding { family: family.to_owned(), check, name: name.into(), why: why.into(), look: String::new() }
    }

    #[must_use]
    pub(crate) fn look(self, look: impl Into<String>) -> Self {
        Finding { look: look.into(), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.family, self.check)?;
        if !self.name.is_empty() {
            write!(f, " `{}`", self.name)?;
        }
        f.write_str("\n")?;
        for line in self.why.lines() {
            writeln!(f, "  {line}")?;
        }
        if !self.look.is_empty() {
            writeln!(f, "  look at: {}", self.look)?;
        }
        Ok(())
    }
}
