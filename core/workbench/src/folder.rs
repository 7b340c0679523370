//! Family folders on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use toolglot::parsers::DataFamily;
use toolglot::{Format, Manifest, Registry};

/// The file that makes a folder a family.
const MANIFEST: &str = "family.toml";

/// The code of a family that is not data alone.
const CODE: &str = "family.rs";

/// A folder that is no family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderError(String);

impl std::fmt::Display for FolderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FolderError {}

/// Whether the folder is a family's.
pub fn is_family(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

/// The family folders in a folder, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn subfolders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_family(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a family of data (L0) as its folder stands; `format_of` gives the formats that `same_as` names.
///
/// # Errors
/// [`FolderError`], with line and column where a file's text is wrong.
pub fn load(folder: &Path, format_of: &dyn Fn(&str) -> Option<Format>) -> Result<DataFamily, FolderError> {
    let text = |path: &Path| {
        fs::read_to_string(path).map_err(|error| FolderError(format!("{}: {error}", path.display())))
    };
    let path = folder.join(MANIFEST);
    let manifest = Manifest::from_toml_with(&text(&path)?, &path.display().to_string(), format_of)
        .map_err(|error| FolderError(error.to_string()))?;
    let path = folder.join("template.jinja");
    let template = if path.exists() { Some(text(&path)?) } else { None };
    Ok(DataFamily::new(manifest, template.map(Into::into), None))
}

/// Adds the families of these folders to a registry, each in the place of one with the same id. Gives the ids,
/// and what cannot be added. A family whose format is another's may come before that one.
///
/// A folder with code stands for the family that was built from it, since code is not read from a folder.
pub fn add(registry: &mut Registry, folders: &[PathBuf]) -> Vec<Result<String, FolderError>> {
    let mut results: Vec<Option<Result<String, FolderError>>> = vec![None; folders.len()];
    loop {
        let mut progress = false;
        for (folder, result) in folders.iter().zip(&mut results) {
            if matches!(result, Some(Ok(_))) {
                continue;
            }
            let added = add_one(registry, folder);
            progress |= added.is_ok();
            *result = Some(added);
        }
        if !progress {
            return results.into_iter().flatten().collect();
        }
    }
}

fn add_one(registry: &mut Registry, folder: &Path) -> Result<String, FolderError> {
    let format_of = |id: &str| registry.get(id).map(|family| family.manifest().format.clone());
    let family = load(folder, &format_of)?;
    let id = toolglot::Family::manifest(&family).id.clone();
    let fail = |why: String| FolderError(format!("{}: {why}", folder.display()));
    if folder.join(CODE).exists() {
        return match registry.iter().any(|built| built.manifest().id == id) {
            true => Ok(id),
            false => Err(fail(format!("{CODE} is code, so the family has to be built in, or packed"))),
        };
    }
    registry.replace(Arc::new(family)).map_err(|error| fail(error.to_string()))?;
    Ok(id)
}
