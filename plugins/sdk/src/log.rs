//! A plugin's only way to say something: the host's log.

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The plugin cannot do its work.
    Error,
    /// Something is not as it should be.
    Warn,
    /// Worth knowing.
    Info,
    /// For the plugin's author.
    Debug,
    /// For the plugin's author, in every detail.
    Trace,
}

/// Writes to the host's log.
#[cfg(target_family = "wasm")]
pub fn log(level: Level, message: &str) {
    crate::guest::log(level, message);
}

/// Writes to the log.
#[cfg(not(target_family = "wasm"))]
pub fn log(level: Level, message: &str) {
    match level {
        Level::Error => tracing::error!(target: "toolglot_plugin", "{message}"),
        Level::Warn => tracing::warn!(target: "toolglot_plugin", "{message}"),
        Level::Info => tracing::info!(target: "toolglot_plugin", "{message}"),
        Level::Debug => tracing::debug!(target: "toolglot_plugin", "{message}"),
        Level::Trace => tracing::trace!(target: "toolglot_plugin", "{message}"),
    }
}
