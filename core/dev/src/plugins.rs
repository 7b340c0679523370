//! `cargo dev plugins`: builds the guest crates of `plugins/fixtures` into components, and records with which
//! compiler. A build gives the same bytes on every machine that has the same compiler; `--check` says whether
//! the committed files are what the sources give.
//!
//! It never changes the installed toolchain. Where that has no std for WebAssembly, a script unpacks
//! another compiler beside it; see `plugins/wasm-toolchain.sh`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::shell::{output, root, run, step, works};

const TARGET: &str = "wasm32-unknown-unknown";
const SCRIPT: &str = include_str!("plugins/wasm-toolchain.sh");

/// Flags of `cargo dev plugins`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing: fail when a committed file is not what its sources give
    #[arg(long)]
    check: bool,
    /// Build only these guests
    guests: Vec<String>,
}

/// What the committed files were built with.
#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    /// The first line of `rustc --version`.
    rustc: String,
    files: BTreeMap<String, LockedFile>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LockedFile {
    bytes: u64,
    sha256: String,
}

/// Builds the guests and writes or compares them.
pub(crate) fn plugins(args: &Args) -> Result<()> {
    let fixtures = root().join("plugins/fixtures");
    let prebuilt = fixtures.join("prebuilt");
    let lock_path = prebuilt.join("lock.toml");
    let mut lock: Lock = match fs::read_to_string(&lock_path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("{} is damaged", lock_path.display()))?,
        Err(_) => Lock::default(),
    };
    let compiler = Compiler::find()?;
    let version = compiler.version()?;
    if args.check && version != lock.rustc {
        eprintln!("  the committed plugins were built with `{}`", lock.rustc);
        eprintln!("  this is `{version}`, which gives other bytes: nothing to compare");
        return Ok(());
    }
    if !args.guests.is_empty() && version != lock.rustc {
        bail!("{} names `{}`, this is `{version}`: build all guests", lock_path.display(), lock.rustc);
    }
    let names = guests(&fixtures)?;
    if let Some(unknown) = args.guests.iter().find(|guest| !names.contains(guest)) {
        bail!("there is no guest `{unknown}`; there are: {}", names.join(", "));
    }
    let wanted: Vec<&String> =
        names.iter().filter(|name| args.guests.is_empty() || args.guests.contains(name)).collect();

    // Paths inside the registry are remapped by listing its folders, so they must be there.
    // A check must not move the lock file; a build follows the crates of this repository.
    run(compiler.cargo(&fixtures, "fetch").args(args.check.then_some("--locked")))?;
    let flags = compiler.flags()?;
    let mut different = Vec::new();
    if args.guests.is_empty() {
        lock.files.clear();
    }
    lock.rustc = version;
    for name in wanted {
        let component =
            step(&format!("build the plugin {name}"), || build(&compiler, &fixtures, name, &flags))?;
        let file = format!("{name}.wasm");
        let path = prebuilt.join(&file);
        if args.check {
            if fs::read(&path).unwrap_or_default() != component {
                different.push(file);
            }
            continue;
        }
        let sha256 = Sha256::digest(&component).iter().map(|byte| format!("{byte:02x}")).collect();
        lock.files.insert(file, LockedFile { bytes: component.len() as u64, sha256 });
        fs::create_dir_all(&prebuilt)?;
        fs::write(&path, &component).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !different.is_empty() {
        bail!("not what their sources give: {}; run `cargo dev plugins` and commit", different.join(", "));
    }
    if !args.check {
        let text = format!("# Written by `cargo dev plugins`.\n{}", toml::to_string(&lock)?);
        fs::write(&lock_path, text).with_context(|| format!("cannot write {}", lock_path.display()))?;
    }
    Ok(())
}

/// The guest crates: every folder with a manifest.
fn guests(fixtures: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(fixtures).with_context(|| format!("cannot read {}", fixtures.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let crates = paths.iter().filter(|path| path.join("Cargo.toml").is_file());
    let mut names: Vec<String> =
        crates.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Compiles a guest and makes a component of it.
fn build(compiler: &Compiler, fixtures: &Path, name: &str, flags: &str) -> Result<Vec<u8>> {
    let target = root().join("target/guests");
    let package = format!("fixture-{name}");
    // `cdylib` is named here only: in the manifest it would be linked in every native build too.
    let mut cargo = compiler.cargo(fixtures, "rustc");
    cargo
        .args(["--quiet", "--locked", "--release", "--lib", "--crate-type", "cdylib"])
        .args(["--target", TARGET, "--package", &package, "--target-dir"])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    run(&mut cargo)?;
    let module = target.join(TARGET).join("release").join(format!("fixture_{name}.wasm"));
    let component = target.join(format!("{name}.wasm"));
    // The encoder is a program of its own, so that chores which need no plugins are built without it.
    let mut encoder = Command::new(env!("CARGO"));
    encoder.current_dir(root()).args(["run", "--quiet", "--package", "toolglot-plugin-pack", "--"]);
    run(encoder.arg(&module).arg(&component))?;
    fs::read(&component).with_context(|| format!("cannot read {}", component.display()))
}

/// A compiler that has a std for WebAssembly.
enum Compiler {
    /// The installed one.
    Installed,
    /// An unpacked one, in this folder.
    Unpacked(PathBuf),
}

impl Compiler {
    fn find() -> Result<Self> {
        let library = output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
        if Path::new(library.trim()).is_dir() {
            return Ok(Compiler::Installed);
        }
        let folder = root().join(".cache/wasm-toolchain");
        if folder.join("ready").is_file() {
            return Ok(Compiler::Unpacked(folder));
        }
        let debian = cfg!(all(target_os = "linux", target_arch = "x86_64"))
            && works(Command::new("apt-get").arg("--version"));
        if !debian {
            bail!("this toolchain has no std for WebAssembly; run: rustup target add {TARGET}");
        }
        step("unpack a compiler for WebAssembly (once; or run `rustup target add` for it yourself)", || {
            run(Command::new("bash").args(["-c", SCRIPT, "wasm-toolchain.sh"]).arg(&folder))
        })?;
        Ok(Compiler::Unpacked(folder))
    }

    fn version(&self) -> Result<String> {
        let program = match self {
            Compiler::Installed => PathBuf::from("rustc"),
            Compiler::Unpacked(folder) => folder.join("bin/rustc"),
        };
        Ok(output(Command::new(program).arg("--version"))?.trim().to_owned())
    }

    fn cargo(&self, fixtures: &Path, command: &str) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(fixtures).arg(command).env_remove("RUSTFLAGS");
        if let Compiler::Unpacked(folder) = self {
            let file = fs::read_to_string(folder.join("env")).unwrap_or_default();
            cargo.envs(file.lines().filter_map(|line| line.split_once('=')));
        }
        cargo
    }

    /// Flags that keep this machine's paths out of a guest, in cargo's encoding.
    fn flags(&self) -> Result<String> {
        let mut remap = vec![(root(), "/toolglot")];
        if let Compiler::Unpacked(folder) = self {
            remap.push((folder.clone(), "/toolchain"));
        }
        let home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
        let sources = home.context("there is no home folder")?.join("registry/src");
        for entry in fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))? {
            remap.push((entry?.path(), "/deps"));
        }
        let flags = remap.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
        Ok(flags.collect::<Vec<_>>().join("\x1f"))
    }
}
