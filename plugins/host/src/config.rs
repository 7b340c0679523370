//! What a host grants its plugins.

use std::path::PathBuf;
use std::time::Duration;

/// Limits and places. The default suits a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostConfig {
    /// Bytes of linear memory that one instance may have. Default 16 MiB.
    pub memory: usize,
    /// How long one call into a plugin may take, by the clock. Default 500 ms: a call takes microseconds, and
    /// a machine under load must not be mistaken for a plugin that hangs.
    pub call_time: Duration,
    /// Bytes that one call may hand to the host. Default 4 MiB.
    pub answer: usize,
    /// Instances that may live at once: one for each session that runs in a guest. Default 64.
    pub instances: u32,
    /// How long to wait for a free instance before [`PluginError::Busy`](crate::PluginError::Busy). Default 0.
    pub wait: Duration,
    /// Bytes that a component file may have. Default 64 MiB.
    pub component: usize,
    /// The folder for compiled components; without it each load compiles again. It is made with mode 0700
    /// and must belong to this user alone: what lies in it is run as machine code. Default none.
    pub cache: Option<PathBuf>,
    /// Where sessions of families run whose format is data. Default [`SessionWhere::Native`].
    pub sessions: SessionWhere,
}

impl Default for HostConfig {
    fn default() -> Self {
        HostConfig {
            memory: 16 << 20,
            call_time: Duration::from_millis(500),
            answer: 4 << 20,
            instances: 64,
            wait: Duration::ZERO,
            component: 64 << 20,
            cache: None,
            sessions: SessionWhere::Native,
        }
    }
}

impl HostConfig {
    /// The folder in which programs of this user keep compiled components: `toolglot/plugins` under
    /// `$XDG_CACHE_HOME`, or under `~/.cache` or `~/Library/Caches`. None where the home folder is unknown.
    pub fn user_cache() -> Option<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = set("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| {
            let home = set("HOME")?;
            Some(home.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }))
        })?;
        Some(base.join("toolglot").join("plugins"))
    }
}

/// Where a session runs when host and plugin could both run it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SessionWhere {
    /// In the host, from the plugin's format. Formats with `extern` run in the plugin all the same.
    #[default]
    Native,
    /// In the plugin wherever it has code for it. For comparing the two.
    Guest,
}
