//! What one instance may take of the host, and what the host remembers of it.

use wasmtime::ResourceLimiter;

/// The data of a store: memory accounting and the last error the guest logged.
pub(crate) struct State {
    pub(crate) family: String,
    limit: usize,
    used: usize,
    /// The total that was asked for when memory was refused. The guest's allocator then aborts, which looks
    /// like any other trap.
    pub(crate) refused: Option<usize>,
    /// The guest's last message at level error: a panic's message gets out this way only.
    pub(crate) last_error: Option<String>,
}

/// Elements of all tables of an instance. A table holds the functions that are called by address.
const TABLE_ELEMENTS: usize = 10_000;

impl State {
    pub(crate) fn new(family: &str, limit: usize) -> Self {
        State { family: family.to_owned(), limit, used: 0, refused: None, last_error: None }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.used - current.min(self.used) + desired;
        if wanted > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = Some(wanted);
            return Ok(false);
        }
        self.used = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum))
    }

    // A component with a resource is three core instances: the guest, a shim and a fix-up.
    fn instances(&self) -> usize {
        8
    }

    fn tables(&self) -> usize {
        8
    }

    fn memories(&self) -> usize {
        2
    }
}
