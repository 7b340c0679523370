//! Runs a render where a hostile template cannot exhaust the caller's stack.
//!
//! Printing, comparing and dropping a value recurses once per level. The levels are bounded (see [`super::values`]), as
//! are those of calls and of syntax, so a stack of fixed size holds them, whatever stack the caller has. Only what is used
//! of it costs memory.

use std::thread;

use super::budget::{self, Exceeded};
use super::error::{TemplateError, TemplateErrorKind};
use super::values::MAX_DEPTH;

/// Several times what the deepest render was seen to use in an unoptimised build.
const STACK: usize = 64 << 20;

/// Calls `run` on a thread of its own, with a budget of `items` for walking values.
pub(super) fn on_own_stack<T: Send>(
    template: &str,
    items: u64,
    run: impl FnOnce() -> Result<T, TemplateError> + Send,
) -> Result<T, TemplateError> {
    let limit = |detail: String| TemplateError::new(template, TemplateErrorKind::Limit { detail });
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("chat-template".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || {
                budget::start(items);
                run()
            })
            .map_err(|e| limit(format!("no thread with a stack of {STACK} bytes could be started ({e})")))?;
        worker.join().unwrap_or_else(|payload| {
            Err(match payload.downcast_ref::<Exceeded>() {
                Some(Exceeded::Items) => limit(format!("it walked more than {items} items of its values")),
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
