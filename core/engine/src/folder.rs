//! Family folders on disk, as they stand: no build is needed for a family of data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use toolglot_format::{Format, Manifest, ManifestError};
use toolglot_parsers::{DataFamily, Family, Registry, RegistryError};

/// The file that makes a folder a family.
const MANIFEST: &str = "family.toml";

/// The chat template beside it.
const TEMPLATE: &str = "template.jinja";

/// The code of a family that is not data alone.
const CODE: &str = "family.rs";

/// A folder that is no family.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest is wrong; line and column where its text is.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The folder holds code, and no such family is compiled in.
    #[error("{}: {CODE} is code, so the family has to be built in, or packed as a component", .path.display())]
    Code {
        /// The folder.
        path: PathBuf,
    },
    /// Another family has its id or an alias.
    #[error("{}: {source}", .path.display())]
    Registry {
        /// The folder.
        path: PathBuf,
        /// Which.
        source: RegistryError,
    },
}

/// Whether the folder is a family's.
pub fn is_family(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

/// The family folders in a folder, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn families_in(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let fail = |source| FolderError::Read { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if is_family(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a family of data (L0); `format_of` gives the formats that `same_as` names.
///
/// # Errors
/// [`FolderError`], with line and column where the manifest's text is wrong.
pub fn load(folder: &Path, format_of: &dyn Fn(&str) -> Option<Format>) -> Result<DataFamily, FolderError> {
    let text = |path: &Path| {
        fs::read_to_string(path).map_err(|source| FolderError::Read { path: path.to_owned(), source })
    };
    let path = folder.join(MANIFEST);
    let manifest = Manifest::from_toml_with(&text(&path)?, &path.display().to_string(), format_of)?;
    let path = folder.join(TEMPLATE);
    let template = if path.exists() { Some(text(&path)?) } else { None };
    Ok(DataFamily::new(manifest, template.map(Into::into), None))
}

/// Adds the families of these folders to a registry, each in the place of one with the same id. Gives for each
/// folder the family's id or why it cannot be added. A family whose format is another's may come before that one.
///
/// A folder with code stands for the family that was built from it, since code is not read from a folder.
pub fn add(registry: &mut Registry, folders: &[PathBuf]) -> Vec<Result<String, FolderError>> {
    let mut results: Vec<Option<Result<String, FolderError>>> = folders.iter().map(|_| None).collect();
    loop {
        let mut progress = false;
        for (folder, result) in folders.iter().zip(&mut results) {
            if !matches!(result, Some(Ok(_))) {
                let added = add_one(registry, folder);
                progress |= added.is_ok();
                *result = Some(added);
            }
        }
        if !progress {
            return results.into_iter().flatten().collect();
        }
    }
}

fn add_one(registry: &mut Registry, folder: &Path) -> Result<String, FolderError> {
    let format_of = |id: &str| registry.get(id).map(|family| family.manifest().format.clone());
    let family = load(folder, &format_of)?;
    let id = family.manifest().id.clone();
    if folder.join(CODE).exists() {
        let is_built_in = registry.iter().any(|built| built.manifest().id == id);
        return if is_built_in { Ok(id) } else { Err(FolderError::Code { path: folder.to_owned() }) };
    }
    let added = registry.replace(Arc::new(family));
    added.map_err(|source| FolderError::Registry { path: folder.to_owned(), source })?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str =
        "id = \"a\"\ntitle = \"A\"\nturn.open = \"<a>\"\nformat.text = { channel = \"content\" }\n";
    const SHARED: &str = "id = \"b\"\ntitle = \"B\"\nturn.open = \"<b>\"\nformat.same_as = \"z\"\n";

    #[test]
    fn folders_come_in_whatever_order_they_need() {
        let root = tempfile::tempdir().unwrap();
        for (id, text) in [("b", SHARED.to_owned()), ("z", OWN.replace("\"a\"", "\"z\"")), ("c", "id".into())]
        {
            fs::create_dir(root.path().join(id)).unwrap();
            fs::write(root.path().join(id).join("family.toml"), text).unwrap();
        }
        let folders = families_in(root.path()).unwrap();
        assert_eq!(folders.len(), 3);
        let mut registry = Registry::empty();
        let added = add(&mut registry, &folders);
        assert_eq!((added[0].as_deref().unwrap(), added[2].as_deref().unwrap()), ("b", "z"));
        let error = added[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("c/family.toml: TOML parse error at line 1, column 3"), "{error}");
        assert_eq!(
            registry.get("b").unwrap().manifest().format,
            registry.get("z").unwrap().manifest().format
        );
    }

    #[test]
    fn code_is_not_read_from_a_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("family.toml"), OWN).unwrap();
        fs::write(root.path().join("family.rs"), "").unwrap();
        let folders = [root.path().to_owned()];
        let added = add(&mut Registry::empty(), &folders);
        assert!(matches!(added[0], Err(FolderError::Code { .. })), "{added:?}");
    }
}
