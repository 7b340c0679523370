//! Why a chat template could not be read or rendered.
//!
//! The outside is one opaque struct that names the template and the line; [`TemplateErrorKind`] is the precise
//! reason, for callers that react to it.

use std::error::Error as StdError;
use std::fmt;

use minijinja::ErrorKind;

/// A chat template could not be compiled or rendered. Its text names the template, the line where that is known,
/// and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    template: String,
    line: Option<usize>,
    kind: TemplateErrorKind,
}

/// The reason of a [`TemplateError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateErrorKind {
    /// The source is not a Jinja template.
    Syntax {
        /// What the compiler says.
        detail: String,
    },
    /// The template itself refused the conversation with `raise_exception`.
    Refused {
        /// The template's own words.
        message: String,
    },
    /// The template uses a filter, test, function or method that there is not.
    Unsupported {
        /// Its name.
        detail: String,
    },
    /// An expression of the template failed: an undefined variable, a wrong type.
    Failed {
        /// What the engine says.
        detail: String,
    },
    /// The template exceeded a limit of [`TemplateLimits`](super::TemplateLimits).
    Limit {
        /// Which limit, and its value.
        detail: String,
    },
    /// The conversation has a shape that this template cannot take.
    Input {
        /// Where, and what is expected there.
        detail: String,
    },
    /// A model directory has no usable chat template.
    Model {
        /// The file and what is wrong with it.
        detail: String,
    },
    /// The text of the assistant turn cannot be told apart from the rest of the prompt.
    NotAppendOnly,
}

impl TemplateError {
    pub(super) fn new(template: &str, kind: TemplateErrorKind) -> Self {
        Self { template: template.to_owned(), line: None, kind }
    }

    /// Translates an engine error; `line` is kept, since the prepared source has the line breaks of the original.
    pub(super) fn from_engine(template: &str, error: &minijinja::Error) -> Self {
        let mut detail =
            error.detail().map_or_else(|| error.kind().to_string(), |d| format!("{}: {d}", error.kind()));
        let mut source = StdError::source(error);
        let mut refused = None;
        let mut line = error.line();
        while let Some(cause) = source {
            if let Some(raised) = cause.downcast_ref::<Raised>() {
                refused = Some(raised.0.clone());
            } else if let Some(inner) = cause.downcast_ref::<minijinja::Error>() {
                line = inner.line().or(line);
                detail = format!("{detail}: {inner}");
            }
            source = cause.source();
        }
        let kind = match (refused, error.kind()) {
            (Some(message), _) => TemplateErrorKind::Refused { message },
            (None, ErrorKind::SyntaxError | ErrorKind::BadEscape) => TemplateErrorKind::Syntax { detail },
            (
                None,
                ErrorKind::UnknownFilter
                | ErrorKind::UnknownTest
                | ErrorKind::UnknownFunction
                | ErrorKind::UnknownMethod,
            ) => TemplateErrorKind::Unsupported { detail },
            (None, ErrorKind::OutOfFuel) => {
                TemplateErrorKind::Limit { detail: "it did more work than its budget allows".to_owned() }
            }
            (None, _) => TemplateErrorKind::Failed { detail },
        };
        Self { template: template.to_owned(), line, kind }
    }

    /// The precise reason.
    pub fn kind(&self) -> &TemplateErrorKind {
        &self.kind
    }

    /// Name of the template, as given when it was compiled.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// Line of the template source, counted from 1, where it is known.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chat template `{}`", self.template)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        match &self.kind {
            TemplateErrorKind::Syntax { detail } => {
                write!(f, ": {detail}; the source is not valid Jinja, correct it there")
            }
            TemplateErrorKind::Refused { message } => {
                write!(f, ": it refuses this conversation: {message}")
            }
            TemplateErrorKind::Unsupported { detail } => {
                write!(f, ": {detail}; chat templates have no such thing here, correct the template or the value it is used on")
            }
            TemplateErrorKind::Failed { detail } => write!(
                f,
                ": {detail}; pass the variable it asks for, or change the conversation to the shape it expects"
            ),
            TemplateErrorKind::Limit { detail } => {
                write!(f, ": {detail}; raise the limit in TemplateLimits if you trust this template")
            }
            TemplateErrorKind::Input { detail } | TemplateErrorKind::Model { detail } => write!(f, ": {detail}"),
            TemplateErrorKind::NotAppendOnly => f.write_str(
                ": adding the assistant message changes the text before it, so the turn has no text of its own; \
                 render the whole conversation instead",
            ),
        }
    }
}

impl StdError for TemplateError {}

/// Carries the message of `raise_exception` through the engine.
#[derive(Debug)]
pub(super) struct Raised(pub(super) String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Raised {}
