//! Counts live instances, so that the limit is the same with and without a pool.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

pub(crate) struct Permits {
    limit: u32,
    free: Mutex<u32>,
    freed: Condvar,
}

/// The right to one instance, given back on drop.
pub(crate) struct Permit(Arc<Permits>);

impl Permits {
    pub(crate) fn new(limit: u32) -> Arc<Self> {
        Arc::new(Permits { limit, free: Mutex::new(limit), freed: Condvar::new() })
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// A permit, or nothing when none came free within `wait`.
    pub(crate) fn take(self: &Arc<Self>, wait: Duration) -> Option<Permit> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, _) = self
            .freed
            .wait_timeout_while(free, wait, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_comes_back_and_wakes_a_waiter() {
        let permits = Permits::new(1);
        let first = permits.take(Duration::ZERO).unwrap();
        assert!(permits.take(Duration::ZERO).is_none());
        let waiter = {
            let permits = Arc::clone(&permits);
            std::thread::spawn(move || permits.take(Duration::from_secs(60)).is_some())
        };
        drop(first);
        assert!(waiter.join().unwrap());
        assert!(permits.take(Duration::ZERO).is_some());
    }
}
