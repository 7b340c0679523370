//! A budget for walking values, beside the engine's fuel.
//!
//! The engine charges fuel for what an operation returns, after it has returned. Printing or comparing a value that holds
//! another one many times over can take forever before that. So every container that a template can nest (see
//! [`super::values`]) asks here before it is walked, and a walk beyond the budget unwinds the render's own thread, quietly;
//! [`super::guard`] turns that into an error.

use std::cell::Cell;
use std::panic::resume_unwind;

use super::values::MAX_DEPTH;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Payload of the unwinding: what was exceeded.
pub(super) enum Exceeded {
    /// The number of items walked.
    Items,
    /// The nesting of a printed value.
    Depth,
}

/// Sets this thread's budget, in items. Only threads of [`super::guard`] may walk values of a template.
pub(super) fn start(items: u64) {
    LEFT.set(items);
    DEPTH.set(0);
}

/// Takes `items` from the budget.
pub(super) fn take(items: usize) {
    match LEFT.get().checked_sub(items as u64 + 1) {
        Some(left) => LEFT.set(left),
        None => resume_unwind(Box::new(Exceeded::Items)),
    }
}

/// Runs `print` one level deeper.
pub(super) fn nested<T>(print: impl FnOnce() -> T) -> T {
    if DEPTH.get() >= MAX_DEPTH {
        resume_unwind(Box::new(Exceeded::Depth));
    }
    DEPTH.set(DEPTH.get() + 1);
    let result = print();
    DEPTH.set(DEPTH.get() - 1);
    result
}
