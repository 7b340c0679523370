//! A plugin as a [`Family`]: the host's half of `describe`, `lower` and `session.open`.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use toolglot_format::{Format, FormatError, Manifest, Plan};
use toolglot_parsers::{DataFamily, Family, FamilyError, Parser, Program, Session, SessionOptions};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use crate::engine::Shared;
use crate::limits::State;
use crate::permits::Permit;
use crate::session::GuestSession;
use crate::v0_1::{self, exports::toolglot::family::plugin};
use crate::{Loaded, PluginError, SessionWhere};

/// A family that came from a component.
pub struct PluginFamily {
    shared: Arc<Shared>,
    guest: v0_1::FamilyPre<State>,
    /// Manifest, template, and sessions where the format is data.
    data: DataFamily,
    /// The format that the plugin's code computed last, compiled: requests of one kind come in a row.
    computed: Mutex<Option<(Format, Arc<Program>)>>,
    abilities: v0_1::Abilities,
    built_by: String,
    loaded: Loaded,
}

impl PluginFamily {
    /// Asks a component what it is.
    pub(crate) fn describe(
        shared: Arc<Shared>,
        guest: v0_1::FamilyPre<State>,
        name: &str,
        loaded: Loaded,
    ) -> Result<Self, PluginError> {
        let mut instance = Instance::new(&shared, &guest, name, "describe")?;
        let said = instance
            .call(&shared, "describe", |guest, store| guest.toolglot_family_plugin().call_describe(store))?;
        drop(instance);
        let nonsense = |what: String| nonsense(name, "describe", what);
        if !v0_1::speaks(&said.contract) {
            let (plugin, found) = (name.to_owned(), said.contract);
            return Err(PluginError::ContractVersion { plugin, found, supported: v0_1::SUPPORTED });
        }
        let manifest = match said.manifest {
            v0_1::Manifest::Toml(text) => Manifest::from_toml(&text, name).map_err(|e| e.to_string()),
            v0_1::Manifest::Json(text) => serde_json::from_str(&text)
                .map_err(|error| format!("the manifest: {error}"))
                .and_then(|it: Manifest| it.check(name).map(|()| it).map_err(|error| error.to_string())),
            v0_1::Manifest::Extension(_) => Err("a manifest of an unknown kind".into()),
        };
        let manifest = manifest.map_err(nonsense)?;
        if !matches!(serde_json::from_str(&said.params_json), Ok(Value::Object(_))) {
            return Err(nonsense("`params-json` is no JSON object".into()));
        }
        if manifest.format.has_extern() && !said.abilities.contains(v0_1::Abilities::SESSION) {
            return Err(nonsense("the format leaves text to a session, and the plugin has none".into()));
        }
        tracing::info!(
            family = manifest.id,
            plugin = name,
            built_by = said.built_by,
            ?loaded,
            "plugin loaded"
        );
        let data = DataFamily::new(manifest, said.template.map(Cow::Owned), None);
        let (abilities, built_by) = (said.abilities, said.built_by);
        Ok(PluginFamily { shared, guest, data, computed: Mutex::default(), abilities, built_by, loaded })
    }

    /// Whether the plugin's code computes the format from the plan.
    pub fn lowers(&self) -> bool {
        self.abilities.contains(v0_1::Abilities::LOWER)
    }

    /// Whether the plugin's code can read a turn.
    pub fn has_sessions(&self) -> bool {
        self.abilities.contains(v0_1::Abilities::SESSION)
    }

    /// What built it, for people.
    pub fn built_by(&self) -> &str {
        &self.built_by
    }

    /// Whether it was compiled or came from the cache.
    pub fn loaded(&self) -> Loaded {
        self.loaded
    }

    fn id(&self) -> &str {
        &self.data.manifest().id
    }

    fn lower(&self, plan: &Plan) -> Result<Format, PluginError> {
        let (shared, id) = (&self.shared, self.id());
        let plan = text(id, "lower", plan)?;
        let base = text(id, "lower", &self.data.manifest().format)?;
        let mut instance = Instance::new(shared, &self.guest, id, "lower")?;
        let lowered = instance.call(shared, "lower", |guest, store| {
            guest.toolglot_family_plugin().call_lower(store, &plan, &base)
        })?;
        let lowered = lowered.map_err(|error| refused(id, "lower", error))?;
        let format: Format = serde_json::from_str(&lowered)
            .map_err(|error| nonsense(id, "lower", format!("the format: {error}")))?;
        format.validate().map_err(|error| nonsense(id, "lower", error.to_string()))?;
        if format.has_extern() && !self.has_sessions() {
            let what = "the format leaves text to a session, and the plugin has none".into();
            return Err(nonsense(id, "lower", what));
        }
        Ok(format)
    }

    /// Compiles a computed format, which takes longer than asking the plugin for it.
    fn program(&self, format: &Format) -> Result<Arc<Program>, FormatError> {
        let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        match &*computed {
            Some((same, program)) if same == format => Ok(Arc::clone(program)),
            _ => {
                let program = Arc::new(Program::new(format)?);
                *computed = Some((format.clone(), Arc::clone(&program)));
                Ok(program)
            }
        }
    }

    fn open(&self, plan: &Plan, format: &Format) -> Result<GuestSession, PluginError> {
        const CALL: &str = "session.open";
        let (shared, id) = (&self.shared, self.id());
        let (plan_json, format) = (text(id, CALL, plan)?, text(id, CALL, format)?);
        let mut instance = Instance::new(shared, &self.guest, id, CALL)?;
        let opened = instance.call(shared, CALL, |guest, store| {
            let options = plugin::Options { params_json: "{}" };
            guest.toolglot_family_plugin().session().call_open(store, &plan_json, &format, options)
        })?;
        let handle = opened.map_err(|error| refused(id, CALL, error))?;
        Ok(GuestSession::new(Arc::clone(shared), instance, handle, plan))
    }

    fn failed(&self, error: PluginError) -> FamilyError {
        FamilyError::Code { family: self.id().to_owned(), source: Box::new(error) }
    }
}

impl Family for PluginFamily {
    fn manifest(&self) -> &Manifest {
        self.data.manifest()
    }

    fn template(&self) -> Option<&str> {
        self.data.template()
    }

    fn format(&self, plan: &Plan) -> Result<Cow<'_, Format>, FamilyError> {
        if self.lowers() {
            self.lower(plan).map(Cow::Owned).map_err(|error| self.failed(error))
        } else {
            self.data.format(plan)
        }
    }

    fn computes(&self) -> bool {
        self.lowers()
    }

    /// Code of the guest knows the family's own spelling only.
    fn with_suffix(&self, suffix: &str) -> Option<Arc<dyn Family>> {
        if self.lowers() || self.has_sessions() { None } else { self.data.with_suffix(suffix) }
    }

    /// A session in the host where the format is data, and otherwise in an instance of its own.
    fn session(&self, plan: &Plan, options: SessionOptions) -> Result<Box<dyn Session>, FamilyError> {
        let everywhere = self.shared.config.sessions == SessionWhere::Guest && self.has_sessions();
        if !self.lowers() && !everywhere && !self.manifest().format.has_extern() {
            return self.data.session(plan, options);
        }
        let format = self.format(plan)?;
        if everywhere || format.has_extern() {
            let session = self.open(plan, &format).map_err(|error| self.failed(error))?;
            return Ok(Box::new(session));
        }
        let program = self
            .program(&format)
            .map_err(|error| FamilyError::Format { family: self.id().to_owned(), error })?;
        Ok(Box::new(Parser::new(program, plan, options)))
    }
}

impl std::fmt::Debug for PluginFamily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginFamily")
            .field("id", &self.id())
            .field("lowers", &self.lowers())
            .field("has_sessions", &self.has_sessions())
            .field("built_by", &self.built_by)
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}

/// An instance with its store and its limits. After a failed call it must not be called again.
pub(crate) struct Instance {
    store: Store<State>,
    guest: v0_1::Family,
    /// Given back after the store is gone: fields drop in this order.
    _permit: Permit,
}

impl Instance {
    fn new(
        shared: &Shared,
        guest: &v0_1::FamilyPre<State>,
        family: &str,
        call: &'static str,
    ) -> Result<Self, PluginError> {
        let busy = PluginError::Busy { limit: shared.permits.limit() };
        let permit = shared.permits.take(shared.config.wait).ok_or(busy)?;
        let mut store = Store::new(&shared.engine, State::new(family, shared.config.memory));
        store.limiter(|state| state);
        store.set_hostcall_fuel(shared.config.answer);
        let _running = shared.running();
        store.set_epoch_deadline(shared.deadline());
        let guest =
            guest.instantiate(&mut store).map_err(|error| classify(&error, store.data(), shared, call))?;
        Ok(Instance { store, guest, _permit: permit })
    }

    /// Calls into the guest, with the clock running.
    pub(crate) fn call<R>(
        &mut self,
        shared: &Shared,
        call: &'static str,
        run: impl FnOnce(&v0_1::Family, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, PluginError> {
        let _running = shared.running();
        self.store.set_epoch_deadline(shared.deadline());
        run(&self.guest, &mut self.store).map_err(|error| classify(&error, self.store.data(), shared, call))
    }

    pub(crate) fn family(&self) -> &str {
        &self.store.data().family
    }
}

fn classify(error: &wasmtime::Error, state: &State, shared: &Shared, call: &'static str) -> PluginError {
    let family = state.family.clone();
    if let Some(wanted) = state.refused {
        return PluginError::OutOfMemory { family, call, wanted, limit: shared.config.memory };
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return PluginError::Busy { limit: shared.permits.limit() };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => PluginError::TimedOut { family, call, limit: shared.config.call_time },
        Some(trap) => {
            let why = state.last_error.clone().unwrap_or_else(|| trap.to_string());
            PluginError::Trapped { family, call, why }
        }
        // What is no trap went wrong on the way out of the guest: text that is not UTF-8, an address outside
        // of its memory, an answer over the limit.
        None => PluginError::Nonsense { family, call, what: format!("{error:#}") },
    }
}

pub(crate) fn nonsense(family: &str, call: &'static str, what: String) -> PluginError {
    PluginError::Nonsense { family: family.to_owned(), call, what }
}

fn refused(family: &str, call: &'static str, error: plugin::Error) -> PluginError {
    PluginError::Refused { family: family.to_owned(), call, why: v0_1::refusal(error) }
}

/// JSON text for the guest.
fn text(family: &str, call: &'static str, value: &impl serde::Serialize) -> Result<String, PluginError> {
    serde_json::to_string(value).map_err(|error| PluginError::Refused {
        family: family.to_owned(),
        call,
        why: format!("the plan cannot be written as JSON: {error}"),
    })
}
