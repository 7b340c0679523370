//! Runs a render where a hostile template cannot exhaust the caller's stack.
//!
//! A template can nest values as deep as its fuel allows, and dropping or comparing such a value recurses once per
//! level. Fuel therefore bounds the depth, and the render gets a stack that holds that depth. Stack memory is only
//! reserved: the system commits what is used.

use std::thread;

use super::budget::{self, Exceeded};
use super::error::{TemplateError, TemplateErrorKind};
use super::values::MAX_DEPTH;

/// Stack for one level of a nested value, rounded up from what an unoptimised build was seen to use.
const BYTES_PER_LEVEL: u64 = 1_024;
/// Least fuel that one more level of nesting costs.
const FUEL_PER_LEVEL: u64 = 3;
/// What the engine's own recursion (macros, parser) needs.
const BASE_STACK: u64 = 8 << 20;

/// Calls `run` on a thread whose stack fits `fuel`.
pub(super) fn on_own_stack<T: Send>(
    template: &str,
    fuel: u64,
    run: impl FnOnce() -> Result<T, TemplateError> + Send,
) -> Result<T, TemplateError> {
    let limit = |detail: String| TemplateError::new(template, TemplateErrorKind::Limit { detail });
    let stack = BASE_STACK.saturating_add(fuel / FUEL_PER_LEVEL * BYTES_PER_LEVEL);
    let stack =
        usize::try_from(stack).map_err(|_| limit("its fuel needs more stack than there is".to_owned()))?;
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("chat-template".to_owned())
            .stack_size(stack)
            .spawn_scoped(scope, || {
                budget::start(fuel);
                run()
            })
            .map_err(|e| limit(format!("no thread with a stack of {stack} bytes could be started ({e})")))?;
        worker.join().unwrap_or_else(|payload| {
            Err(match payload.downcast_ref::<Exceeded>() {
                Some(Exceeded::Items) => limit(format!("it walked more than {fuel} items of its values")),
                Some(Exceeded::Depth) => {
                    limit(format!("it printed a value nested deeper than {MAX_DEPTH} levels"))
                }
                None => TemplateError::new(
                    template,
                    TemplateErrorKind::Failed { detail: "the template engine panicked".to_owned() },
                ),
            })
        })
    })
}
