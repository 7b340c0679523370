//! The families that a process knows.

use std::sync::Arc;

use toolglot_format::{Format, ManifestError};

use crate::builtin::{self, BuiltinFamily};
use crate::detect::{self, DetectError, Detection};
use crate::{DataFamily, Family};

/// The families that a process knows, found by id, alias or model.
#[derive(Clone, Default)]
pub struct Registry {
    families: Vec<Arc<dyn Family>>,
}

/// A family that cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The id or an alias is taken.
    #[error("family `{added}`: `{id}` already names family `{owner}`; rename one or leave one out")]
    Taken {
        /// The family that was to be added.
        added: String,
        /// The id or alias that both claim.
        id: String,
        /// The family that has it.
        owner: String,
    },
    /// A built-in manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Registry {
    /// A registry without families.
    pub fn empty() -> Self {
        Registry::default()
    }

    /// The compiled-in families.
    ///
    /// # Errors
    /// [`RegistryError`] when two of them claim one id. A test rules this out for the families of this
    /// crate; a crate that submits its own [`BuiltinFamily`] can bring it about.
    pub fn builtin() -> Result<Self, RegistryError> {
        let mut registry = Registry::empty();
        for family in builtin::all() {
            registry.add(Arc::new(load(family, 0)?))?;
        }
        Ok(registry)
    }

    /// Adds a family.
    ///
    /// # Errors
    /// [`RegistryError::Taken`] when its id or an alias is taken.
    pub fn add(&mut self, family: Arc<dyn Family>) -> Result<(), RegistryError> {
        let manifest = family.manifest();
        for id in std::iter::once(&manifest.id).chain(&manifest.aliases) {
            if let Some(owner) = self.get_exact(id) {
                return Err(RegistryError::Taken {
                    added: manifest.id.clone(),
                    id: id.clone(),
                    owner: owner.manifest().id.clone(),
                });
            }
        }
        self.families.push(family);
        Ok(())
    }

    /// Adds a family in the place of the one that has its id; gives that one back. Without one it is added.
    ///
    /// # Errors
    /// [`RegistryError::Taken`] when an alias belongs to a third family; the registry is then as before.
    pub fn replace(&mut self, family: Arc<dyn Family>) -> Result<Option<Arc<dyn Family>>, RegistryError> {
        let Some(at) = self.families.iter().position(|old| old.manifest().id == family.manifest().id) else {
            return self.add(family).map(|()| None);
        };
        let old = self.families.remove(at);
        let added = self.add(family);
        match added {
            Ok(()) => {
                if let Some(new) = self.families.pop() {
                    self.families.insert(at, new);
                }
                Ok(Some(old))
            }
            Err(error) => {
                self.families.insert(at, old);
                Err(error)
            }
        }
    }

    /// The family with this id or alias. Where there is none, the only one whose id or alias has the same letters and
    /// digits: `DeepSeek-V3.2` is `deepseek_v32`.
    pub fn get(&self, id: &str) -> Option<&Arc<dyn Family>> {
        let plain = |id: &str| -> String {
            id.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        };
        self.get_exact(id).or_else(|| {
            let wanted = plain(id);
            let mut alike = self.families.iter().filter(|family| {
                let manifest = family.manifest();
                std::iter::once(&manifest.id).chain(&manifest.aliases).any(|name| plain(name) == wanted)
            });
            alike.next().filter(|_| !wanted.is_empty() && alike.next().is_none())
        })
    }

    fn get_exact(&self, id: &str) -> Option<&Arc<dyn Family>> {
        let exact = self.families.iter().find(|family| family.manifest().id == id);
        exact.or_else(|| {
            self.families.iter().find(|family| family.manifest().aliases.iter().any(|alias| alias == id))
        })
    }

    /// Every family, in the order in which they were added; the compiled-in ones by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Family>> {
        self.families.iter()
    }

    /// Which family a model belongs to, by its chat template and its special tokens. `tokens` says whether
    /// the vocabulary has a special token of a spelling. `None`: no family fits, which is a proper answer
    /// for a model without tool calls.
    ///
    /// # Errors
    /// [`DetectError`] when two families fit equally well.
    pub fn detect(
        &self,
        template: Option<&str>,
        tokens: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Detection>, DetectError> {
        detect::detect(&self.families, template, tokens)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.families.iter().map(|family| &family.manifest().id)).finish()
    }
}

fn load(family: &BuiltinFamily, depth: usize) -> Result<DataFamily, ManifestError> {
    // The depth stops families that name each other in a ring.
    let format_of = |id: &str| -> Option<Format> {
        let other = builtin::all().into_iter().find(|other| other.id() == id).filter(|_| depth < 8)?;
        load(other, depth + 1).ok().map(|other| other.manifest().format.clone())
    };
    family.load(&format_of)
}
