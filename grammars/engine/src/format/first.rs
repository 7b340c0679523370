//! The literals that start a call.

use toolglot_format::Format;

/// Adds the literals that start a call anywhere in the format.
pub(super) fn call_starts(node: &Format, out: &mut Vec<String>) {
    match node {
        Format::Lenient(_) => {}
        Format::Call(inner) => {
            let mut starts = Vec::new();
            inner.first_literals(&mut starts);
            // A single character is no marker, and no text could do without it.
            out.extend(starts.into_iter().filter(|s| s.len() > 1 && !out.contains(s)).collect::<Vec<_>>());
        }
        _ => node.children().into_iter().for_each(|child| call_starts(child, out)),
    }
}
