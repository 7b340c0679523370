//! `cargo dev mlx`: makes the MLX library usable from Rust on Linux.
//!
//! `mlx-sys` builds MLX from source with Apple's tools. On Linux its build script is replaced by a
//! few lines of cargo configuration instead, which point at what this chore prepares: the released
//! MLX library, mlx-c compiled against it, and Rust bindings. Neither crate is patched and
//! `Cargo.lock` stays as it is. macOS needs none of this.
//!
//! Everything lands in `.mlx/` at the root, or in the folder that `TOOLGLOT_MLX_DIR` names, which
//! several checkouts may share; later runs of a checkout stay with that folder. The library's path is baked into the binaries that use it (no
//! rpath, no `LD_LIBRARY_PATH`), so after moving the folder this must run again.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::shell::{output, root, run as run_command, step, works};

/// Raise this when the steps below change what they make.
const RECIPE: u32 = 1;

/// Options of `cargo dev mlx`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Which MLX library; cuda-12 pulls several GB, and what is linked to it needs the driver to start
    #[arg(long, value_enum, default_value = "cpu")]
    backend: Backend,
    /// Set everything up again, also when it is there and current
    #[arg(long)]
    force: bool,
}

/// Options of the hidden step that runs bindgen.
#[derive(clap::Args)]
pub(crate) struct BindingsArgs {
    #[arg(long)]
    mlx_c: PathBuf,
    #[arg(long)]
    compat: PathBuf,
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, Default, PartialEq, ValueEnum)]
enum Backend {
    #[default]
    Cpu,
    #[value(name = "cuda-12")]
    Cuda12,
}

impl Backend {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda12 => "cuda-12",
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("Nothing to set up: on this system cargo builds MLX itself.");
        return Ok(());
    }
    let root = root();
    let target = host()?;
    let mlx_c = mlx_sys_package(&root, &target)?.join("src/mlx-c");
    let version = mlx_version(&mlx_c)?;
    let backend = args.backend.name();
    let folder = match env::var_os("TOOLGLOT_MLX_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => std::path::absolute(dir)?,
        None => configured(&root).unwrap_or_else(|| root.join(".mlx")),
    };
    let setup = Setup {
        compat: root.join("core/dev/src/mlx-compat.h"),
        out: folder.join(format!("{version}-{backend}")),
        mlx_c,
        version,
        backend,
    };
    fs::create_dir_all(&setup.out).with_context(|| format!("cannot create {}", setup.out.display()))?;
    // Two checkouts that share the folder take turns.
    let lock = File::create(setup.out.join("lock"))?;
    lock.lock().context("cannot lock the MLX folder")?;

    let stamp = setup.stamp()?;
    let built = fs::read_to_string(setup.out.join("stamp")).is_ok_and(|old| old == stamp);
    if built && !args.force {
        println!("MLX {} ({backend}) is ready in {}", setup.version, setup.out.display());
    } else {
        check_tools()?;
        println!("Setting MLX {} ({backend}) up in {}", setup.version, setup.out.display());
        setup.build()?;
        fs::write(setup.out.join("stamp"), stamp)?;
        println!("MLX is ready.");
    }
    write_config(&root, &target, &setup.out)
}

/// Programs that a fresh machine may lack, with what to do about it.
fn check_tools() -> Result<()> {
    let mut missing = Vec::new();
    if !works(Command::new(cxx()).arg("--version")) {
        missing.push(format!("a C++20 compiler (`{}` does not run): apt install g++, or set CXX", cxx()));
    }
    if !works(Command::new("python3").arg("--version")) {
        missing.push("python3: apt install python3 python3-pip".into());
    } else if !works(Command::new("python3").args(["-m", "pip", "--version"])) {
        missing.push("pip for python3: apt install python3-pip".into());
    }
    if !missing.is_empty() {
        bail!("setting MLX up needs:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

fn cxx() -> String {
    env::var("CXX").ok().filter(|cxx| !cxx.is_empty()).unwrap_or_else(|| "c++".into())
}

struct Setup {
    mlx_c: PathBuf,
    compat: PathBuf,
    out: PathBuf,
    version: String,
    backend: &'static str,
}

impl Setup {
    /// Changes whenever what is built would.
    fn stamp(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        RECIPE.hash(&mut hasher);
        let compat = fs::read(&self.compat);
        compat.with_context(|| format!("cannot read {}", self.compat.display()))?.hash(&mut hasher);
        for extension in ["h", "cpp"] {
            for file in files(&self.mlx_c.join("mlx/c"), extension)? {
                fs::read(&file)?.hash(&mut hasher);
            }
        }
        // The library knows its own absolute path.
        self.out.hash(&mut hasher);
        Ok(format!("{:016x}\n", hasher.finish()))
    }

    fn python_packages(&self) -> PathBuf {
        self.out.join("py")
    }

    fn build(&self) -> Result<()> {
        let stamp = self.out.join("stamp");
        if stamp.exists() {
            fs::remove_file(&stamp)?;
        }
        step("fetching the MLX library and libclang (about 60 MB)", || self.install())?;
        step("compiling mlx-c (one to two minutes)", || self.compile())?;
        step("writing the Rust bindings", || self.bind())
    }

    /// `--target` keeps this out of every Python environment, so distributions that guard theirs
    /// (PEP 668) do not object.
    fn install(&self) -> Result<()> {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--only-binary=:all:", "--target"])
            .arg(self.python_packages())
            .arg(format!("mlx-{}=={}", self.backend, self.version))
            .arg("libclang")
            // A user-wide setting would contradict --target; the others only add noise.
            .env("PIP_USER", "0")
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        run_command(&mut pip).context(
            "pip could not install MLX; its Linux builds need x86-64 or ARM64 and glibc 2.35 (Debian 12, Ubuntu 22.04)",
        )
    }

    /// All of mlx-c as one translation unit, next to the library it wraps.
    fn compile(&self) -> Result<()> {
        let unit: String = files(&self.mlx_c.join("mlx/c"), "cpp")?
            .iter()
            .map(|source| format!("#include \"{}\"\n", source.display()))
            .collect();
        let unit_path = self.out.join("mlxc.cpp");
        fs::write(&unit_path, unit)?;
        let library = self.out.join("libmlxc.so");
        let mlx = self.python_packages().join("mlx");
        // An absolute soname is copied into whatever links to it: tests and binaries then find the
        // library from anywhere. Error texts quote source paths, so these are made relative.
        run_command(
            Command::new(cxx())
                .args(["-std=c++20", "-O2", "-fPIC", "-shared", "-w", "-include"])
                .arg(&self.compat)
                .arg(format!("-ffile-prefix-map={}=mlx-c", self.mlx_c.display()))
                .arg(format!("-ffile-prefix-map={}=mlx", mlx.display()))
                .arg("-I")
                .arg(&self.mlx_c)
                .arg("-isystem")
                .arg(mlx.join("include"))
                .arg(&unit_path)
                .arg("-o")
                .arg(&library)
                .arg(format!("-Wl,-soname,{}", library.display()))
                .arg(format!("-Wl,-rpath,{}", mlx.join("lib").display()))
                .arg("-L")
                .arg(mlx.join("lib"))
                .arg("-lmlx"),
        )
    }

    /// In a process of its own, because libclang is found through an environment variable.
    fn bind(&self) -> Result<()> {
        run_command(
            Command::new(env::current_exe()?)
                .arg("mlx-bindings")
                .arg("--mlx-c")
                .arg(&self.mlx_c)
                .arg("--compat")
                .arg(&self.compat)
                .arg("--out")
                .arg(self.out.join("bindings.rs"))
                .env("LIBCLANG_PATH", self.python_packages().join("clang/native")),
        )
    }
}

/// The bindings as mlx-sys makes them, except for the half-precision types of the compat header.
#[cfg(target_os = "linux")]
pub(crate) fn bindings(args: &BindingsArgs) -> Result<()> {
    // The libclang from pip comes without the compiler's own headers (stddef.h and such).
    let builtin = output(Command::new(cxx()).arg("-print-file-name=include"))?;
    let headers = files(&args.mlx_c.join("mlx/c"), "h")?;
    headers
        .iter()
        .fold(bindgen::builder(), |builder, header| builder.header(header.to_string_lossy()))
        .rust_target("1.73.0".parse().map_err(|_| anyhow::anyhow!("bindgen does not know Rust 1.73"))?)
        .clang_arg(format!("-I{}", args.mlx_c.display()))
        .clang_args(["-include".into(), args.compat.display().to_string()])
        .clang_args(["-isystem", builtin.trim()])
        .blocklist_function("malloc|realloc")
        .blocklist_type("float16_t")
        .raw_line(
            "#[repr(transparent)]\n#[derive(Debug, Default, Clone, Copy)]\npub struct float16_t(pub u16);",
        )
        .generate()
        .context("bindgen failed")?
        .write_to_file(&args.out)
        .with_context(|| format!("cannot write {}", args.out.display()))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn bindings(_: &BindingsArgs) -> Result<()> {
    bail!("cargo builds the bindings itself on this system")
}

/// Tells cargo to use what was built in place of mlx-sys's build script. Written only when it
/// changes, since a new file makes cargo rebuild.
fn write_config(root: &Path, target: &str, out: &Path) -> Result<()> {
    let quoted = |path: &Path| -> Result<String> {
        let text = path.to_str().context("the path of the MLX folder must be UTF-8")?;
        Ok(text.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let out = quoted(out)?;
    let config = format!(
        "# Written by `cargo dev mlx`.\n\
         [target.{target}.mlx]\n\
         rustc-link-search = [\"native={out}\"]\n\
         rustc-link-lib = [\"dylib=mlxc\"]\n\
         rustc-env = {{ OUT_DIR = \"{out}\" }}\n"
    );
    let path = root.join(".cargo/mlx-linux.toml");
    if fs::read_to_string(&path).is_ok_and(|old| old == config) {
        return Ok(());
    }
    fs::write(&path, config).with_context(|| format!("cannot write {}", path.display()))
}

/// The folder that an earlier run was told to use: its choice stays until another is made.
fn configured(root: &Path) -> Option<PathBuf> {
    let config = fs::read_to_string(root.join(".cargo/mlx-linux.toml")).ok()?;
    let (_, rest) = config.split_once("OUT_DIR = \"")?;
    let out = Path::new(rest.split_once('"')?.0);
    out.join("stamp").exists().then(|| out.parent().map(Path::to_path_buf))?
}

/// Where cargo unpacked the mlx-sys that Cargo.lock names.
fn mlx_sys_package(root: &Path, target: &str) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args([
        "metadata",
        "--quiet",
        "--format-version=1",
        "--filter-platform",
        target,
    ]);
    let metadata: serde_json::Value = serde_json::from_str(&output(&mut command)?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package = packages.iter().find(|package| package["name"] == "mlx-sys");
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = manifest.context("mlx-sys is not among the dependencies of this workspace")?;
    Ok(Path::new(manifest).parent().context("mlx-sys has no folder")?.to_path_buf())
}

/// The MLX release that mlx-c is written for. Others lack functions that it calls.
pub(crate) fn mlx_version(mlx_c: &Path) -> Result<String> {
    let path = mlx_c.join("CMakeLists.txt");
    let cmake = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let tag = cmake.split_once("GIT_TAG v").map(|(_, rest)| rest).unwrap_or_default();
    let version = tag.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    if version.is_empty() {
        bail!("{} names no MLX release", path.display());
    }
    Ok(version.into())
}

/// The release that this checkout builds against.
pub(crate) fn required_version() -> Result<String> {
    mlx_version(&mlx_sys_package(&root(), &host()?)?.join("src/mlx-c"))
}

/// The target that rustc builds for by default.
fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(rustc).arg("-vV"))?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not tell its host")?.into())
}

/// The files of a folder with an extension, in order of name.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>().context("cannot list files")?;
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    Ok(files)
}
