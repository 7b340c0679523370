//! The `toolglot` command. This file holds the command line; each command is a module of its own.

mod commands;
mod input;
mod output;
mod sources;
#[cfg(feature = "mlx")]
mod turn;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{
    check, conformance, detect, doctor, explain, families, grammar, new, pack, parse, plugin, render, test,
};
#[cfg(feature = "mlx")]
use commands::{demo, evaluate, generate};
use output::Output;
use sources::SourceArgs;

/// Tool calls of local language models: templates, parsers, grammars, masks.
#[derive(Parser)]
#[command(name = "toolglot", version, max_term_width = 100)]
struct Cli {
    /// Print JSON instead of text (one object a line where there are several)
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    sources: SourceArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the model families
    Families(families::Args),
    /// Make the folder of a new family, from one that is like it
    New(new::Args),
    /// Show how a family writes tool calls, what stops it, and an example
    Explain(explain::Args),
    /// Tell which family a model belongs to, and why
    Detect(detect::Args),
    /// Look a model folder over: its family, its template, and what will be enforced, advised or refused
    Doctor(doctor::Args),
    /// Render a conversation to the prompt
    Render(render::Args),
    /// Parse model output from standard input into events
    Parse(parse::Args),
    /// Show the grammar of a request
    Grammar(grammar::GrammarArgs),
    /// Show which tokens are allowed after a prefix
    Mask(grammar::MaskArgs),
    /// Let a model answer, under a token mask, on MLX
    #[cfg(feature = "mlx")]
    Generate(generate::Args),
    /// Show the main job on the bundled model: prompt, tokens, events, call
    #[cfg(feature = "mlx")]
    Demo(demo::Args),
    /// Count how often a model makes the right call
    #[cfg(feature = "mlx")]
    Evaluate(evaluate::Args),
    /// Check family folders: their files, the laws, detection, cases and the corpus
    Check(check::Args),
    /// Run the cases of family folders, and show or accept what has changed in their snapshots
    Test(test::Args),
    /// Make a WASM component of a family folder; needs no WASM compiler
    Pack(pack::Args),
    /// Check plugins
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Run parsing cases and report the agreement per family
    Conformance(conformance::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Output::stdout(cli.json);
    match run(&cli, &mut out) {
        Ok(code) => code,
        // A reader that went away, such as `head`, is no failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("toolglot: {}", output::causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, out: &mut Output) -> anyhow::Result<ExitCode> {
    // These look at files before they are families.
    match &cli.command {
        Command::Pack(args) => return pack::run(args, out),
        Command::Plugin(command) => return plugin::run(command, &cli.sources, out),
        Command::New(args) => return new::run(args, out),
        _ => {}
    }
    cli.sources.install_cache()?;
    let registry = cli.sources.registry()?;
    match &cli.command {
        Command::Families(args) => families::run(args, registry, out),
        Command::Explain(args) => explain::run(args, &registry, out),
        Command::Detect(args) => detect::run(args, &registry, out),
        Command::Doctor(args) => doctor::run(args, &registry, out),
        Command::Render(args) => render::run(args, &registry, out),
        Command::Parse(args) => parse::run(args, &registry, out),
        Command::Grammar(args) => grammar::show(args, &registry, out),
        Command::Mask(args) => grammar::mask(args, &registry, out),
        #[cfg(feature = "mlx")]
        Command::Generate(args) => generate::run(args, &registry, out),
        #[cfg(feature = "mlx")]
        Command::Demo(args) => demo::run(args, &registry, out),
        #[cfg(feature = "mlx")]
        Command::Evaluate(args) => evaluate::run(args, &registry, out),
        Command::Check(args) => check::run(args, registry, out),
        Command::Test(args) => test::run(args, registry, out),
        Command::Conformance(args) => conformance::run(args, &registry, &cli.sources.known()?, out),
        Command::New(_) | Command::Pack(_) | Command::Plugin(_) => Ok(ExitCode::SUCCESS),
    }
}
