//! What can go wrong with a plugin.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A plugin that cannot be used, or that failed while it was.
///
/// `plugin` is the file or the name given by the caller; `family` is the id, known once the plugin has
/// described itself; `call` is the function of the contract.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The file cannot be read.
    #[error("cannot read plugin {path}: {error}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: Arc<std::io::Error>,
    },
    /// The bytes are no WASM component.
    #[error("plugin {plugin} is not a WASM component: {why}")]
    NotAComponent {
        /// The plugin.
        plugin: String,
        /// What it is instead, or where it is broken.
        why: String,
    },
    /// A component of another version of the contract.
    #[error(
        "plugin {plugin} speaks version {found} of the plugin contract, this host speaks {supported}: build it again with a fitting SDK"
    )]
    ContractVersion {
        /// The plugin.
        plugin: String,
        /// The version it speaks.
        found: String,
        /// The versions that this host speaks.
        supported: &'static str,
    },
    /// A component that is no family plugin, or whose functions are not as its version of the contract says.
    #[error("plugin {plugin} does not keep the plugin contract: {why}")]
    Contract {
        /// The plugin.
        plugin: String,
        /// What is missing or different.
        why: String,
    },
    /// The plugin wants something from its host that no plugin gets.
    #[error(
        "plugin {plugin} imports `{name}`: a family plugin may import only the log; build it for wasm32-unknown-unknown, without WASI"
    )]
    ForbiddenImport {
        /// The plugin.
        plugin: String,
        /// The first import that is refused.
        name: String,
    },
    /// The plugin stopped itself: a panic, or an illegal operation.
    #[error("plugin family `{family}` trapped in `{call}`: {why}")]
    Trapped {
        /// The family.
        family: String,
        /// The function.
        call: &'static str,
        /// The last error it logged, such as a panic's message, or the kind of trap.
        why: String,
    },
    /// A call took too long.
    #[error("plugin family `{family}` took longer than {limit:?} in `{call}` and was stopped")]
    TimedOut {
        /// The family.
        family: String,
        /// The function.
        call: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The plugin wanted more memory than it may have.
    #[error("plugin family `{family}` wanted {wanted} bytes of memory in `{call}`; the limit is {limit}")]
    OutOfMemory {
        /// The family.
        family: String,
        /// The function.
        call: &'static str,
        /// The total it asked for.
        wanted: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The plugin answered, but the answer makes no sense.
    #[error("plugin family `{family}` answered nonsense in `{call}`: {what}")]
    Nonsense {
        /// The family.
        family: String,
        /// The function.
        call: &'static str,
        /// What is wrong with the answer.
        what: String,
    },
    /// The plugin said no.
    #[error("plugin family `{family}` refused `{call}`: {why}")]
    Refused {
        /// The family.
        family: String,
        /// The function.
        call: &'static str,
        /// The reason it gave.
        why: String,
    },
    /// Two plugins with one id or alias.
    #[error("plugin {second} is a family `{id}`, but {first} has that id already: leave one of them out")]
    DuplicateId {
        /// The id.
        id: String,
        /// Where the id was taken first.
        first: String,
        /// The plugin that was refused.
        second: String,
    },
    /// All instances are in use.
    #[error("all {limit} plugin instances are in use: end a session first, or raise `instances`")]
    Busy {
        /// How many there may be.
        limit: u32,
    },
    /// wasmtime cannot work on this machine or with this configuration.
    #[error("the plugin engine failed: {0}")]
    Engine(String),
}
