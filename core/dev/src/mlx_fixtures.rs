//! `cargo dev mlx-fixtures`: rebuilds the reference data that `core/mlx` is tested against.
//!
//! Tiny random checkpoints are made with Python's mlx-lm, which also computes the logits and greedy
//! tokens that our runtime must reproduce. The tests read the files only; Python is needed here alone.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::mlx::required_version;
use crate::shell::{root, run as run_command, step, works};

/// Options of `cargo dev mlx-fixtures`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A Python that has mlx-lm; by default one is set up in .cache/mlx-lm
    #[arg(long, env = "TOOLGLOT_MLX_PYTHON")]
    python: Option<PathBuf>,
    /// Where to write
    #[arg(long)]
    out: Option<PathBuf>,
    /// Rebuild nothing; compare our outputs with mlx-lm's on this checkpoint
    #[arg(long, conflicts_with = "out")]
    compare: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = root();
    let python = match &args.python {
        Some(python) => python.clone(),
        None => environment(root.join(".cache/mlx-lm"))?,
    };
    if !works(Command::new(&python).args(["-c", "import mlx_lm"])) {
        bail!(
            "{} has no mlx-lm; install `mlx[cpu]=={}` and mlx-lm there",
            python.display(),
            required_version()?
        );
    }
    let script = root.join("core/mlx/tests/fixtures.py");
    if let Some(checkpoint) = &args.compare {
        let checkpoint = std::path::absolute(checkpoint)?;
        let out = root.join(".cache/mlx-reference");
        step("computing reference outputs", || {
            run_command(Command::new(&python).arg(&script).arg(&out).arg(&checkpoint))
        })?;
        return step("comparing", || {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut test = Command::new(cargo);
            test.current_dir(&root)
                .args(["test", "--quiet", "--package", "toolglot-mlx", "--", "--ignored", "--nocapture"])
                .arg("a_checkpoint_of_choice")
                .env("TOOLGLOT_MLX_CHECKPOINT", &checkpoint)
                .env("TOOLGLOT_MLX_REFERENCE", out.join("reference.json"));
            run_command(&mut test)
        });
    }
    let out = args.out.clone().unwrap_or_else(|| root.join("core/mlx/tests/fixtures"));
    step("building checkpoints and reference outputs", || {
        run_command(Command::new(&python).arg(&script).arg(&out))
    })?;
    println!("Wrote {}", out.display());
    Ok(())
}

/// A virtual environment with mlx-lm and the MLX release that the Rust side is built against.
fn environment(folder: PathBuf) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    if works(Command::new(&python).args(["-c", "import mlx_lm"])) {
        return Ok(python);
    }
    let version = required_version()?;
    let mlx =
        if cfg!(target_os = "linux") { format!("mlx[cpu]=={version}") } else { format!("mlx=={version}") };
    step("making a Python environment with mlx-lm (a few minutes)", || {
        run_command(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run_command(Command::new(&python).args(["-m", "pip", "install", "--quiet", &mlx, "mlx-lm"]))
    })?;
    Ok(python)
}
