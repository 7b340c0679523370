//! Where families come from: compiled in, plugins named on the command line, plugins of the configuration.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use toolglot::folder::{self, is_family};
use toolglot::parsers::conformance::Known;
use toolglot::{Registry, VocabularyCache};

/// Name of the configuration file that is looked for in the working directory.
const CONFIG: &str = "toolglot.toml";

/// Conformance cases that a family reads otherwise, with the reasons.
const KNOWN: &str = "known.toml";

/// Plugins and configuration.
#[derive(clap::Args)]
pub(crate) struct SourceArgs {
    /// A family plugin, a family's own folder (with family.toml), or a folder of either; wins over a
    /// built-in family of the same id
    #[arg(long = "plugin", value_name = "FILE|DIR", global = true)]
    plugins: Vec<PathBuf>,
    /// Configuration file; without it, toolglot.toml where there is one
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

/// `toolglot.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Plugin files and folders, relative to the configuration file.
    plugins: Vec<PathBuf>,
    /// The folder for token tables of tokenizers, relative to the configuration file, or `off`.
    vocabulary_cache: Option<String>,
}

impl SourceArgs {
    /// Settles where vocabularies are cached: as the environment says, or else the configuration, or else for the
    /// user.
    pub(crate) fn install_cache(&self) -> Result<()> {
        let Some((config, base)) = self.read_config()? else { return Ok(()) };
        if let (Some(setting), None) = (config.vocabulary_cache, VocabularyCache::environment()) {
            let cache = VocabularyCache::from_setting(&OsString::from(setting));
            let cache =
                cache.folder().map_or_else(VocabularyCache::off, |at| VocabularyCache::at(base.join(at)));
            cache.install();
        }
        Ok(())
    }

    /// Every family: built in, then those of the configuration, then those of the command line.
    pub(crate) fn registry(&self) -> Result<Registry> {
        let mut registry = Registry::builtin()?;
        let paths = self.plugin_paths()?;
        if !paths.is_empty() {
            add(&mut registry, &paths)?;
        }
        Ok(registry)
    }

    /// The known differences of the built-in families and of the family folders on the command line.
    pub(crate) fn known(&self) -> Result<Known> {
        let mut known = Known::builtin();
        for path in self.plugin_paths()?.iter().map(|path| path.join(KNOWN)).filter(|path| path.exists()) {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            known.add(&text).with_context(|| path.display().to_string())?;
        }
        Ok(known)
    }

    /// The configuration, and the folder that its paths are relative to.
    fn read_config(&self) -> Result<Option<(Config, PathBuf)>> {
        let path = match &self.config {
            Some(path) => path.clone(),
            None if Path::new(CONFIG).exists() => PathBuf::from(CONFIG),
            None => return Ok(None),
        };
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let config = toml::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Some((config, path.parent().unwrap_or(Path::new("")).to_owned())))
    }

    fn plugin_paths(&self) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        if let Some((config, base)) = self.read_config()? {
            paths.extend(config.plugins.iter().map(|plugin| base.join(plugin)));
        }
        paths.extend(self.plugins.iter().cloned());
        let mut files = Vec::new();
        for path in paths {
            if !path.is_dir() || is_family(&path) {
                files.push(path);
                continue;
            }
            let entries = fs::read_dir(&path).with_context(|| path.display().to_string())?;
            let mut found: Vec<PathBuf> = entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()
                .with_context(|| path.display().to_string())?;
            found.retain(|file| {
                file.extension().is_some_and(|extension| extension == "wasm") || is_family(file)
            });
            found.sort();
            files.extend(found);
        }
        Ok(files)
    }
}

/// Loads each file or folder into the registry.
fn add(registry: &mut Registry, paths: &[PathBuf]) -> Result<()> {
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().cloned().partition(|path| path.is_dir());
    folder::add(registry, &folders).into_iter().collect::<Result<Vec<_>, _>>()?;
    let files: Vec<&PathBuf> = files.iter().collect();
    if files.is_empty() { Ok(()) } else { add_plugins(registry, &files) }
}

#[cfg(feature = "wasm")]
fn add_plugins(registry: &mut Registry, files: &[&PathBuf]) -> Result<()> {
    let host = crate::commands::plugin::host()?;
    for file in files {
        let family = host.load(file)?;
        registry.replace(family).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

#[cfg(not(feature = "wasm"))]
fn add_plugins(_: &mut Registry, files: &[&PathBuf]) -> Result<()> {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    anyhow::bail!("this build has no plugin support (feature `wasm`), so it cannot load {}", names.join(", "))
}
