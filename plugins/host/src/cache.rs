//! Compiled components on disk.
//!
//! A file's name is the SHA-256 of the component and the hash of everything in the engine that shapes the
//! code, so a file is never stale, only unused. Its content is the SHA-256 of the code and then the code.
//! The folder is private: whoever can write to it can run code in this process.

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made or is not this user's alone.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let fail = |what: &str, error: &dyn std::fmt::Display| {
            format!("cannot use the plugin cache {}: {what}: {error}", folder.display())
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|error| fail("cannot make it", &error))?;
        private(folder).map_err(|error| fail("it must be this user's alone (mode 0700)", &error))?;
        Ok(Cache { folder: folder.to_owned() })
    }

    /// The compiled component, if it is here and whole.
    pub(crate) fn get(&self, engine: &Engine, component: &[u8]) -> Option<Component> {
        let file = std::fs::read(self.path(engine, component)).ok()?;
        let (sum, code) = file.split_at_checked(32)?;
        if Sha256::digest(code).as_slice() != sum {
            return None;
        }
        // SAFETY: the code was written by `put` of this crate from `Component::serialize`: only this user can
        // write to the folder (checked in `open`), the file's name binds it to the component and the engine's
        // compatibility hash, and its checksum says that it is whole. wasmtime checks the engine once more.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, code) };
        component.ok()
    }

    /// Keeps a compiled component. A failure costs only time at the next load, so it is logged.
    pub(crate) fn put(&self, engine: &Engine, component: &[u8], compiled: &Component) {
        let path = self.path(engine, component);
        if let Err(error) = self.write(&path, compiled) {
            tracing::warn!(path = %path.display(), error, "cannot keep a compiled plugin");
        }
    }

    fn write(&self, path: &Path, compiled: &Component) -> Result<(), String> {
        let code = compiled.serialize().map_err(|error| format!("{error:#}"))?;
        let io = |error: std::io::Error| error.to_string();
        let (mut file, temporary) = create_new(&self.folder).map_err(io)?;
        let written = file
            .write_all(&Sha256::digest(&code))
            .and_then(|()| file.write_all(&code))
            .and_then(|()| std::fs::rename(&temporary, path));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            error.to_string()
        })
    }

    fn path(&self, engine: &Engine, component: &[u8]) -> PathBuf {
        let mut compatibility = StableHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut compatibility);
        let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let engine = compatibility.0.finalize();
        self.folder.join(format!("{}-{}.cwasm", hex(&Sha256::digest(component)), hex(&engine[..8])))
    }
}

/// A new file of this process in `folder`.
fn create_new(folder: &Path) -> std::io::Result<(std::fs::File, PathBuf)> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".{}-{number}.tmp", std::process::id()));
    // What an earlier process of this id left behind is nobody's.
    let _ = std::fs::remove_file(&path);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok((options.open(&path)?, path))
}

/// Checks that nobody else can write to the folder.
#[cfg(unix)]
fn private(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let io = |error: std::io::Error| error.to_string();
    let meta = std::fs::symlink_metadata(folder).map_err(io)?;
    if !meta.is_dir() {
        return Err("it is not a folder".into());
    }
    // The owner of a new file is the user of this process.
    let (file, path) = create_new(folder).map_err(io)?;
    let user = file.metadata().map(|meta| meta.uid());
    let _ = std::fs::remove_file(path);
    if meta.uid() != user.map_err(io)? {
        return Err("it belongs to another user".into());
    }
    match meta.mode() & 0o777 {
        0o700 => Ok(()),
        mode => Err(format!("its mode is {mode:04o}")),
    }
}

#[cfg(not(unix))]
fn private(_folder: &Path) -> Result<(), String> {
    Ok(())
}

/// SHA-256 as a `Hasher`, since the standard one may change between compilers.
struct StableHasher(Sha256);

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}
