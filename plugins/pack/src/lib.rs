//! Makes WASM components of families.
//!
//! [`pack`] turns a family folder that is data only (`family.toml`, `template.jinja`) into a component, on
//! any machine: the few functions that such a plugin needs are written as WebAssembly by the private module `module`.
//! [`encode`] wraps a core module that a compiler made of a guest crate. Both give the same bytes for the
//! same input. This crate runs nothing; that is the host's job.

mod module;

use std::path::{Path, PathBuf};

use toolglot_format::{Manifest, ManifestError};
use wit_component::{ComponentEncoder, StringEncoding};

/// The contract that packed plugins speak, as in their `describe`.
pub const CONTRACT: &str = "0.1";

/// The contract's text.
pub const WIT: &str = include_str!("../../wit/v0.1/family.wit");

/// A family that could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file of the folder could not be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// `family.toml` is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The folder holds code, which only a compiler can turn into WebAssembly.
    #[error(
        "{path} is code, and packing takes data only: compile the family for wasm32-unknown-unknown with \
         the toolglot-plugin SDK instead (docs/src/write-a-plugin.md)",
        path = path.display()
    )]
    HasCode {
        /// The code.
        path: PathBuf,
    },
    /// The format leaves a part to plugin code, and there is none.
    #[error("family `{family}`: its format holds `extern`, but a data-only plugin has no code to read it")]
    NeedsCode {
        /// The family.
        family: String,
    },
    /// The module does not fit the contract. For [`pack`] this is a bug; for [`encode`] the module was not
    /// built with the SDK.
    #[error("not a module of the contract toolglot:family@0.1: {0}")]
    Encode(String),
}

/// Makes a component of a data-only family folder.
///
/// The folder must hold `family.toml` and may hold `template.jinja`; other files are left out. A family that
/// shares the format of another (`same_as`) needs that one's folder beside its own.
///
/// # Errors
/// [`PackError`]: an unreadable file, a wrong manifest, or a family that has code.
pub fn pack(folder: &Path) -> Result<Vec<u8>, PackError> {
    let code = folder.join("family.rs");
    if code.exists() {
        return Err(PackError::HasCode { path: code });
    }
    let manifest = manifest(folder, 0)?;
    let template = folder.join("template.jinja");
    let template = if template.exists() { Some(read(&template)?) } else { None };
    pack_manifest(&manifest, template.as_deref())
}

/// Makes a component of a manifest and its chat template.
///
/// # Errors
/// [`PackError::Manifest`] or [`PackError::NeedsCode`].
pub fn pack_manifest(manifest: &Manifest, template: Option<&str>) -> Result<Vec<u8>, PackError> {
    manifest.check(&manifest.id)?;
    if manifest.format.has_extern() {
        return Err(PackError::NeedsCode { family: manifest.id.clone() });
    }
    let json = serde_json::to_string(manifest).map_err(|error| PackError::Encode(error.to_string()))?;
    let description = module::Description {
        contract: CONTRACT,
        built_by: concat!("toolglot pack ", env!("CARGO_PKG_VERSION")),
        manifest: &json,
        template,
    };
    let mut core = module::data_only(&description);
    let (resolve, world) = contract()?;
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| PackError::Encode(format!("{error:#}")))?;
    encode(&core)
}

/// A component for every family folder in `families`: data is packed, and what has code comes compiled, as
/// `<id>.wasm` from the folder `compiled`. Sorted by id.
///
/// # Errors
/// As [`pack`]; [`PackError::HasCode`] for a family that `compiled` lacks.
pub fn components(families: &Path, compiled: &Path) -> Result<Vec<(String, Vec<u8>)>, PackError> {
    let fail = |error| PackError::Read { path: families.to_owned(), error };
    let mut components = Vec::new();
    for entry in std::fs::read_dir(families).map_err(fail)? {
        let folder = entry.map_err(fail)?.path();
        if !folder.join("family.toml").is_file() {
            continue;
        }
        let id = manifest(&folder, 0)?.id;
        let path = compiled.join(format!("{id}.wasm"));
        let bytes = if folder.join("family.rs").exists() && path.exists() {
            std::fs::read(&path).map_err(|error| PackError::Read { path, error })?
        } else {
            pack(&folder)?
        };
        components.push((id, bytes));
    }
    components.sort();
    Ok(components)
}

/// Makes a component of a core module that a compiler built with the SDK. The module carries the contract's
/// types in a custom section.
///
/// # Errors
/// [`PackError::Encode`] where the module lacks that section or its functions do not fit.
pub fn encode(core_module: &[u8]) -> Result<Vec<u8>, PackError> {
    const NAME: &[u8] = b"toolglot:family/plugin@";
    if !core_module.windows(NAME.len()).any(|window| window == NAME) {
        return Err(PackError::Encode("it has no `toolglot:family/plugin`".into()));
    }
    ComponentEncoder::default()
        .validate(true)
        .module(core_module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| PackError::Encode(format!("{error:#}")))
}

/// Reads a folder's manifest; a format that it shares is that of the folder beside it.
fn manifest(folder: &Path, depth: usize) -> Result<Manifest, PackError> {
    let path = folder.join("family.toml");
    let source = read(&path)?;
    let shared = |id: &str| {
        // The depth stops families that name each other in a ring; an id is a plain folder name.
        let plain = depth < 8 && !id.contains(['/', '\\']) && id != "..";
        plain.then(|| manifest(&folder.join("..").join(id), depth + 1).ok()).flatten().map(|it| it.format)
    };
    Ok(Manifest::from_toml_with(&source, &path.display().to_string(), &shared)?)
}

fn contract() -> Result<(wit_parser::Resolve, wit_parser::WorldId), PackError> {
    let mut resolve = wit_parser::Resolve::default();
    let package =
        resolve.push_source("family.wit", WIT).map_err(|error| PackError::Encode(format!("{error:#}")))?;
    let world = resolve
        .select_world(&[package], Some("family"))
        .map_err(|error| PackError::Encode(format!("{error:#}")))?;
    Ok((resolve, world))
}

fn read(path: &Path) -> Result<String, PackError> {
    std::fs::read_to_string(path).map_err(|error| PackError::Read { path: path.to_owned(), error })
}
