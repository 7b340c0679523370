//! Loads components, and keeps what all of them share: the wasmtime engine, its clock, the cache of compiled
//! code and the ids that are taken.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::Thread;
use std::time::Duration;

use toolglot_parsers::Family;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::limits::State;
use crate::permits::Permits;
use crate::{HostConfig, PluginError, PluginFamily, v0_1};

/// How often the clock of running calls ticks.
const TICK: Duration = Duration::from_millis(10);

/// Loads family plugins and runs them.
///
/// One host serves a process; it is cheap to clone and its plugins stay usable when it is dropped.
#[derive(Clone)]
pub struct PluginHost {
    shared: Arc<Shared>,
}

/// How a plugin came to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loaded {
    /// It was compiled.
    Compiled,
    /// Its compiled code was in the cache.
    Cached,
}

/// What a host's plugins share.
pub(crate) struct Shared {
    pub(crate) config: HostConfig,
    pub(crate) engine: Engine,
    pub(crate) permits: Arc<Permits>,
    linker: Linker<State>,
    cache: Option<Cache>,
    clock: Clock,
    /// Ids and aliases, and the plugins that have them.
    taken: Mutex<Vec<(String, String, Weak<PluginFamily>)>>,
}

impl PluginHost {
    /// A host with these limits. It starts one thread, which sleeps while no plugin runs.
    ///
    /// # Errors
    /// [`PluginError::Engine`] when wasmtime does not work here or the cache folder cannot be used.
    pub fn new(config: HostConfig) -> Result<Self, PluginError> {
        let engine = engine(&config)?;
        let mut linker = Linker::new(&engine);
        v0_1::Family::add_to_linker::<_, wasmtime::component::HasSelf<State>>(&mut linker, |state| state)
            .map_err(|error| PluginError::Engine(format!("{error:#}")))?;
        let cache = config.cache.as_deref().map(Cache::open).transpose().map_err(PluginError::Engine)?;
        let clock = Clock::start(&engine).map_err(|error| PluginError::Engine(error.to_string()))?;
        let permits = Permits::new(config.instances);
        let taken = Mutex::default();
        Ok(PluginHost { shared: Arc::new(Shared { config, engine, permits, linker, cache, clock, taken }) })
    }

    /// Loads the component in a file.
    ///
    /// # Errors
    /// [`PluginError`], as [`PluginHost::load_bytes`], and [`PluginError::Read`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Arc<PluginFamily>, PluginError> {
        let path = path.as_ref();
        let read =
            |error: std::io::Error| PluginError::Read { path: path.to_owned(), error: Arc::new(error) };
        let size = std::fs::metadata(path).map_err(read)?.len();
        let name = path.display().to_string();
        self.check_size(&name, size)?;
        self.load_bytes(&name, &std::fs::read(path).map_err(read)?)
    }

    /// Loads a component. `name` names it in errors.
    ///
    /// # Errors
    /// [`PluginError`]: not a component, another contract or contract version, a forbidden import, an id
    /// that is taken, or a failure or nonsense when the plugin is asked to describe itself.
    pub fn load_bytes(&self, name: &str, bytes: &[u8]) -> Result<Arc<PluginFamily>, PluginError> {
        self.check_size(name, bytes.len() as u64)?;
        check_kind(name, bytes)?;
        let (component, loaded) = self.compile(name, bytes)?;
        check_contract(name, &self.shared.engine, &component)?;
        let contract = |error: wasmtime::Error| PluginError::Contract {
            plugin: name.to_owned(),
            why: format!("{error:#}"),
        };
        let instance = self.shared.linker.instantiate_pre(&component).map_err(contract)?;
        let guest = v0_1::FamilyPre::new(instance).map_err(contract)?;
        let family = Arc::new(PluginFamily::describe(Arc::clone(&self.shared), guest, name, loaded)?);
        self.take_ids(name, &family)?;
        Ok(family)
    }

    /// Loads a file, or every `*.wasm` of a folder in the order of their names.
    ///
    /// # Errors
    /// As [`PluginHost::load`], for the first that fails; [`PluginError::Read`] for a folder that cannot be
    /// read.
    pub fn load_all(&self, path: impl AsRef<Path>) -> Result<Vec<Arc<PluginFamily>>, PluginError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Ok(vec![self.load(path)?]);
        }
        let read =
            |error: std::io::Error| PluginError::Read { path: path.to_owned(), error: Arc::new(error) };
        let entries = std::fs::read_dir(path).map_err(read)?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
        let mut paths: Vec<PathBuf> = paths.map_err(read)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        paths.sort();
        paths.iter().map(|path| self.load(path)).collect()
    }

    /// The limits.
    pub fn config(&self) -> &HostConfig {
        &self.shared.config
    }

    fn check_size(&self, name: &str, size: u64) -> Result<(), PluginError> {
        let limit = self.shared.config.component as u64;
        if size <= limit {
            return Ok(());
        }
        let why = format!("it has {size} bytes, the limit is {limit}");
        Err(PluginError::NotAComponent { plugin: name.to_owned(), why })
    }

    fn compile(&self, name: &str, bytes: &[u8]) -> Result<(Component, Loaded), PluginError> {
        let Shared { engine, cache, .. } = &*self.shared;
        if let Some(component) = cache.as_ref().and_then(|cache| cache.get(engine, bytes)) {
            return Ok((component, Loaded::Cached));
        }
        let component = Component::new(engine, bytes).map_err(|error| PluginError::NotAComponent {
            plugin: name.to_owned(),
            why: format!("{error:#}"),
        })?;
        if let Some(cache) = cache {
            cache.put(engine, bytes, &component);
        }
        Ok((component, Loaded::Compiled))
    }

    fn take_ids(&self, name: &str, family: &Arc<PluginFamily>) -> Result<(), PluginError> {
        let manifest = family.manifest();
        let ids = || std::iter::once(&manifest.id).chain(&manifest.aliases);
        let mut taken = self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|(.., owner)| owner.strong_count() > 0);
        for id in ids() {
            if let Some((_, first, _)) = taken.iter().find(|(other, ..)| other == id) {
                let (first, second) = (first.clone(), name.to_owned());
                return Err(PluginError::DuplicateId { id: id.clone(), first, second });
            }
        }
        taken.extend(ids().map(|id| (id.clone(), name.to_owned(), Arc::downgrade(family))));
        Ok(())
    }
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginHost").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Shared {
    /// Keeps the clock running until the guard is dropped.
    pub(crate) fn running(&self) -> Running<'_> {
        self.clock.enter()
    }

    /// The ticks after which a call is stopped: the limit and the tick that has begun already.
    pub(crate) fn deadline(&self) -> u64 {
        let ticks = self.config.call_time.as_nanos().div_ceil(TICK.as_nanos());
        u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1).min(u64::MAX / 2)
    }
}

/// Makes the engine: with a pool of instances where the address space allows it, otherwise without.
fn engine(config: &HostConfig) -> Result<Engine, PluginError> {
    let mut wasmtime = Config::new();
    wasmtime.epoch_interruption(true).generate_address_map(false).wasm_component_model(true);
    wasmtime.wasm_backtrace_max_frames(None);
    // The reservation of 4 GiB for each memory stays: with less, every access is checked and code is half as
    // fast. The limiter caps what is really used.
    let instances = config.instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(4))
        .max_memories_per_component(1)
        .max_tables_per_component(4)
        .max_core_instances_per_component(8)
        .max_memory_size(config.memory);
    wasmtime.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&wasmtime)
        .or_else(|error| {
            tracing::info!(%error, "no pool of plugin instances; each one is allocated when it is needed");
            wasmtime.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Engine::new(&wasmtime)
        })
        .map_err(|error| PluginError::Engine(format!("{error:#}")))
}

fn check_kind(name: &str, bytes: &[u8]) -> Result<(), PluginError> {
    let why = match bytes.first_chunk::<8>() {
        Some(b"\0asm\x0d\0\x01\0") => return Ok(()),
        Some(b"\0asm\x01\0\0\0") => {
            "it is a core module; `cargo dev plugins` and `toolglot pack` make components"
        }
        Some([b'\0', b'a', b's', b'm', ..]) => "it is WebAssembly of another version",
        _ => "it does not begin as WebAssembly does",
    };
    Err(PluginError::NotAComponent { plugin: name.to_owned(), why: why.to_owned() })
}

/// Checks the names of what the component exports and imports. Types are checked when it is linked.
fn check_contract(name: &str, engine: &Engine, component: &Component) -> Result<(), PluginError> {
    let component = component.component_type();
    let version_of = |item: &str, interface: &str| -> Option<String> {
        let rest = item.strip_prefix(interface)?;
        if rest.is_empty() { Some("none".to_owned()) } else { rest.strip_prefix('@').map(str::to_owned) }
    };
    let mut versions = component.exports(engine).filter_map(|(item, _)| version_of(item, v0_1::INTERFACE));
    let plugin = name.to_owned();
    match versions.next() {
        None => {
            let why = format!("it exports no `{}`", v0_1::INTERFACE);
            return Err(PluginError::Contract { plugin, why });
        }
        Some(found) if !v0_1::speaks(&found) => {
            return Err(PluginError::ContractVersion { plugin, found, supported: v0_1::SUPPORTED });
        }
        Some(_) => {}
    }
    for (item, _) in component.imports(engine) {
        let version = v0_1::IMPORTS.iter().find_map(|interface| version_of(item, interface));
        if !version.is_some_and(|version| v0_1::speaks(&version)) {
            return Err(PluginError::ForbiddenImport { plugin, name: item.to_owned() });
        }
    }
    Ok(())
}

/// Advances the engine's epoch while calls run.
struct Clock {
    running: Arc<AtomicU64>,
    thread: Thread,
}

/// A call in progress.
pub(crate) struct Running<'a>(&'a AtomicU64);

impl Clock {
    fn start(engine: &Engine) -> std::io::Result<Self> {
        let running = Arc::new(AtomicU64::new(0));
        let (engine, counter) = (engine.weak(), Arc::clone(&running));
        let ticking = std::thread::Builder::new().name("toolglot-plugins".into()).spawn(move || {
            loop {
                while counter.load(Ordering::SeqCst) == 0 {
                    std::thread::park();
                    if Arc::strong_count(&counter) == 1 {
                        return;
                    }
                }
                std::thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        })?;
        Ok(Clock { running, thread: ticking.thread().clone() })
    }

    fn enter(&self) -> Running<'_> {
        if self.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.unpark();
        }
        Running(&self.running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // The thread sees that it is alone once this counter is gone, too.
        self.running = Arc::new(AtomicU64::new(0));
        self.thread.unpark();
    }
}
