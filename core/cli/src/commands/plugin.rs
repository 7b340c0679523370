//! `toolglot plugin check`: loads components and says what they are.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::output::Output;
use crate::sources::SourceArgs;

/// Commands about plugins.
#[derive(clap::Subcommand)]
pub(crate) enum PluginCommand {
    /// Load plugins, run each once, and report what they are
    Check {
        /// Component files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[cfg(feature = "wasm")]
pub(crate) fn run(command: &PluginCommand, _: &SourceArgs, out: &mut Output) -> Result<ExitCode> {
    use serde_json::json;

    use crate::output::causes;

    let PluginCommand::Check { files } = command;
    let host = host()?;
    let mut failed = false;
    for file in files {
        let path = file.display().to_string();
        match check(&host, file) {
            Ok((id, title)) => out.emit(
                || json!({"file": path, "ok": true, "id": id, "title": title}),
                || format!("{path}: ok, family `{id}`: {title}"),
            )?,
            Err(error) => {
                failed = true;
                out.emit(
                    || json!({"file": path, "ok": false, "error": causes(&error)}),
                    || format!("{path}: {}", causes(&error)),
                )?;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Loads a plugin and parses a line with it.
#[cfg(feature = "wasm")]
fn check(host: &toolglot_plugin_host::PluginHost, file: &PathBuf) -> Result<(String, String)> {
    use toolglot::format::FinishReason;
    use toolglot::{Family, Piece, Plan};

    let family = host.load(file)?;
    let plan = Plan::default();
    family.format(&plan)?.validate()?;
    let mut session = family.session(&plan, toolglot::parsers::SessionOptions::default())?;
    let mut events = Vec::new();
    session.feed(&[Piece::text("A line of text.")], &mut events);
    session.finish(FinishReason::Stop, &mut events);
    let manifest = family.manifest();
    Ok((manifest.id.clone(), manifest.title.clone()))
}

#[cfg(not(feature = "wasm"))]
pub(crate) fn run(_: &PluginCommand, _: &SourceArgs, _: &mut Output) -> Result<ExitCode> {
    anyhow::bail!("this build has no plugin support (feature `wasm`)")
}

/// The host for plugins named by the user, with the user's cache.
#[cfg(feature = "wasm")]
pub(crate) fn host() -> Result<toolglot_plugin_host::PluginHost> {
    use toolglot_plugin_host::{HostConfig, PluginHost};

    let mut config = HostConfig::default();
    config.cache = HostConfig::user_cache();
    Ok(PluginHost::new(config)?)
}
