//! The two commands of the README: the demonstration and the whole test suite.
//!
//! Each sets MLX up first where that is needed. What they show is printed by the programs they start.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::shell::{root, run, step};

/// Flags of `cargo dev demo`.
#[derive(clap::Args)]
pub(crate) struct DemoArgs {
    /// Handed on to `toolglot demo`, such as `--message "…"`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Flags of `cargo dev test`.
#[derive(clap::Args)]
pub(crate) struct TestArgs {
    /// Handed on to `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Builds the command line tool and lets the bundled model make a tool call.
pub(crate) fn demo(args: &DemoArgs) -> Result<()> {
    crate::mlx::run(&crate::mlx::Args::default())?;
    step("build the toolglot command (minutes the first time)", || {
        run(cargo().args(["build", "--package", "toolglot-cli"]))
    })?;
    run(cargo().args(["run", "--quiet", "--package", "toolglot-cli", "--", "demo"]).args(&args.rest))
}

/// Runs every test of the workspace, those of MLX, WASM and the documentation included.
pub(crate) fn test(args: &TestArgs) -> Result<()> {
    crate::mlx::run(&crate::mlx::Args::default())?;
    step("build the tests (minutes the first time)", || {
        run(cargo().args(["test", "--workspace", "--no-run"]).args(&args.rest))
    })?;
    step("run the tests", || run(cargo().args(["test", "--workspace"]).args(&args.rest)))
}

/// Cargo, at the root of the checkout, reading the configuration that the set-up has just written.
fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root());
    command
}
