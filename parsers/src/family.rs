//! What a family is to its callers, whoever implements it: built-in data, a folder, or a plugin.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use toolglot_format::{Format, FormatError, Manifest, Plan, PlanError};

use crate::{Parser, Program, Session, SessionOptions};

/// A model family.
pub trait Family: Send + Sync {
    /// What the family says of itself.
    fn manifest(&self) -> &Manifest;

    /// The family's chat template, where it brings one.
    fn template(&self) -> Option<&str>;

    /// How an assistant turn is written under `plan`: at L0 the manifest's format, at L1 computed. It is
    /// not yet narrowed to the tool choice; see [`Format::specialise`].
    ///
    /// # Errors
    /// [`FamilyError`] when the family's code refuses the plan or fails.
    fn format(&self, plan: &Plan) -> Result<Cow<'_, Format>, FamilyError>;

    /// Whether code computes the format from the plan (L1). Without it [`Family::format`] is the manifest's.
    fn computes(&self) -> bool {
        false
    }

    /// The family for a checkpoint whose markers have this suffix; see [`Manifest::suffix`]. `None` where the family has no
    /// suffix, or none that can be changed.
    fn with_suffix(&self, suffix: &str) -> Option<Arc<dyn Family>> {
        let _ = suffix;
        None
    }

    /// A parser for one turn under `plan`.
    ///
    /// # Errors
    /// As [`Family::format`], and [`FamilyError::Extern`] when the format needs plugin code that this
    /// family has not.
    fn session(&self, plan: &Plan, options: SessionOptions) -> Result<Box<dyn Session>, FamilyError> {
        let format = self.format(plan)?;
        let program = Program::new(&format)
            .map_err(|error| FamilyError::Format { family: self.manifest().id.clone(), error })?;
        open(&self.manifest().id, Arc::new(program), plan, options)
    }
}

pub(crate) fn open(
    family: &str,
    program: Arc<Program>,
    plan: &Plan,
    options: SessionOptions,
) -> Result<Box<dyn Session>, FamilyError> {
    if program.has_extern() {
        return Err(FamilyError::Extern { family: family.to_owned() });
    }
    Ok(Box::new(Parser::new(program, plan, options)))
}

/// A family that cannot serve a plan.
#[derive(Debug, thiserror::Error)]
pub enum FamilyError {
    /// The plan cannot be met.
    #[error("family `{family}`: {error}")]
    Plan {
        /// The family's id.
        family: String,
        /// Why.
        error: PlanError,
    },
    /// The family's code computed a format that cannot work.
    #[error("family `{family}`: {error}")]
    Format {
        /// The family's id.
        family: String,
        /// The node and what is wrong with it.
        error: FormatError,
    },
    /// The format hands text to plugin code, and there is none.
    #[error("family `{family}`: its format has an `extern` node, which only a plugin's own session can read")]
    Extern {
        /// The family's id.
        family: String,
    },
    /// The family's code failed.
    #[error("family `{family}`: {source}")]
    Code {
        /// The family's id.
        family: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Code of an L1 family: the format under a plan, from the manifest's format.
pub type Lower = fn(&Plan, &Format) -> Result<Format, FamilyError>;

/// Code of an L2 family: a session of its own under a plan, for a format with an `extern` node.
pub type Open = fn(&Plan, &Format, SessionOptions) -> Result<Box<dyn Session>, FamilyError>;

/// A family made of a manifest, a template and, at L1 and L2, a function.
pub struct DataFamily {
    manifest: Manifest,
    template: Option<Cow<'static, str>>,
    lower: Option<Lower>,
    open: Option<Open>,
    /// The manifest's format, compiled.
    program: OnceLock<Arc<Program>>,
    /// The last computed format, compiled: plans of one server rarely differ in what a format depends on.
    computed: Mutex<Option<(Format, Arc<Program>)>>,
}

impl DataFamily {
    /// A family of a checked manifest; see [`Manifest::from_toml`].
    pub fn new(manifest: Manifest, template: Option<Cow<'static, str>>, lower: Option<Lower>) -> Self {
        DataFamily {
            manifest,
            template,
            lower,
            open: None,
            program: OnceLock::new(),
            computed: Mutex::new(None),
        }
    }

    /// The family with a session of its own, for formats with an `extern` node (L2).
    #[must_use]
    pub fn with_sessions(self, open: Open) -> Self {
        DataFamily { open: Some(open), ..self }
    }
}

impl Family for DataFamily {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn template(&self) -> Option<&str> {
        self.template.as_deref()
    }

    fn format(&self, plan: &Plan) -> Result<Cow<'_, Format>, FamilyError> {
        match self.lower {
            None => Ok(Cow::Borrowed(&self.manifest.format)),
            Some(lower) => lower(plan, &self.manifest.format).map(Cow::Owned),
        }
    }

    fn computes(&self) -> bool {
        self.lower.is_some()
    }

    fn with_suffix(&self, suffix: &str) -> Option<Arc<dyn Family>> {
        self.manifest.suffix.as_ref()?;
        let (manifest, template) = (self.manifest.with_suffix(suffix), self.template.clone());
        Some(Arc::new(DataFamily { open: self.open, ..DataFamily::new(manifest, template, self.lower) }))
    }

    fn session(&self, plan: &Plan, options: SessionOptions) -> Result<Box<dyn Session>, FamilyError> {
        let format = self.format(plan)?;
        if let Some(open) = self.open
            && format.has_extern()
        {
            return open(plan, &format, options);
        }
        open(&self.manifest.id, self.compiled(&format)?, plan, options)
    }
}

impl DataFamily {
    fn compiled(&self, format: &Format) -> Result<Arc<Program>, FamilyError> {
        let own = *format == self.manifest.format;
        let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &*computed {
            _ if own => self.program.get(),
            Some((known, program)) if known == format => Some(program),
            _ => None,
        };
        if let Some(program) = known {
            return Ok(program.clone());
        }
        let program = Program::new(format)
            .map_err(|error| FamilyError::Format { family: self.manifest.id.clone(), error })?;
        let program = Arc::new(program);
        if own {
            return Ok(self.program.get_or_init(|| program).clone());
        }
        *computed = Some((format.clone(), program.clone()));
        Ok(program)
    }
}
