//! Families that are compiled in. The build script submits one [`BuiltinFamily`] per folder.

use std::borrow::Cow;

use toolglot_format::{Format, Manifest, ManifestError};

use crate::{DataFamily, Lower, Open};

/// The sources of a compiled-in family.
pub struct BuiltinFamily {
    id: &'static str,
    manifest: &'static str,
    template: Option<&'static str>,
    lower: Option<Lower>,
    open: Option<Open>,
    known: Option<&'static str>,
}

impl BuiltinFamily {
    /// The texts of a family folder and, at L1, its function.
    pub const fn new(
        id: &'static str,
        manifest: &'static str,
        template: Option<&'static str>,
        lower: Option<Lower>,
    ) -> Self {
        BuiltinFamily { id, manifest, template, lower, open: None, known: None }
    }

    /// The family with a session of its own, for formats with an `extern` node (L2).
    #[must_use]
    pub const fn with_sessions(self, open: Open) -> Self {
        BuiltinFamily { open: Some(open), ..self }
    }

    /// The family with the list of conformance cases that it reads otherwise (`known.toml`).
    #[must_use]
    pub const fn with_known(self, known: Option<&'static str>) -> Self {
        BuiltinFamily { known, ..self }
    }

    /// The text of `known.toml`, where the folder has one.
    pub fn known(&self) -> Option<&'static str> {
        self.known
    }

    /// The compiled-in family of this id.
    pub fn find(id: &str) -> Option<&'static BuiltinFamily> {
        all().into_iter().find(|family| family.id == id)
    }

    /// The folder's name, which is the family's id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The text of `family.toml`.
    pub fn manifest(&self) -> &'static str {
        self.manifest
    }

    /// The chat template, where the family brings one.
    pub fn template(&self) -> Option<&'static str> {
        self.template
    }

    /// The function of an L1 family.
    pub fn lower(&self) -> Option<Lower> {
        self.lower
    }

    /// The session of an L2 family.
    pub fn sessions(&self) -> Option<Open> {
        self.open
    }

    /// Reads the manifest. The build script has checked it, so an error here means that `format_of` does not
    /// know a family whose format this one shares.
    ///
    /// # Errors
    /// As [`Manifest::from_toml_with`].
    pub fn load(&self, format_of: &dyn Fn(&str) -> Option<Format>) -> Result<DataFamily, ManifestError> {
        let origin = format!("families/{}/family.toml", self.id);
        let manifest = Manifest::from_toml_with(self.manifest, &origin, format_of)?;
        let family = DataFamily::new(manifest, self.template.map(Cow::Borrowed), self.lower);
        Ok(match self.open {
            Some(open) => family.with_sessions(open),
            None => family,
        })
    }
}

#[cfg(not(target_family = "wasm"))]
inventory::collect!(BuiltinFamily);

/// Every compiled-in family, by id.
pub(crate) fn all() -> Vec<&'static BuiltinFamily> {
    #[cfg(not(target_family = "wasm"))]
    let mut found: Vec<&'static BuiltinFamily> = inventory::iter::<BuiltinFamily>().collect();
    #[cfg(target_family = "wasm")]
    let mut found: Vec<&'static BuiltinFamily> = Vec::new();
    found.sort_by_key(|family| family.id);
    found
}
