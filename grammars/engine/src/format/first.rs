//! The literals that a part of a format may start with. White space is looked through, as the parser does.

use crate::automaton::Escapes;
use crate::json::quoted;
use toolglot_format::{Args, Format, ObjectNode};

/// Adds the literals that `node` may start with; true if what follows the node may come at once as well.
pub(super) fn add_first(node: &Format, out: &mut Vec<String>) -> bool {
    match node {
        Format::Lit(lit) => {
            out.extend(lit.spellings().map(str::to_string));
            lit.text.is_empty()
        }
        Format::Ws(_) | Format::Text(_) => true,
        Format::Name(_) | Format::Id(_) | Format::Key(_) | Format::Value(_) => false,
        Format::TypeLit(word) => {
            out.extend([word.string.clone(), word.other.clone()]);
            false
        }
        Format::Args(Args::Json(_)) => {
            out.push("{".into());
            false
        }
        Format::Args(Args::Tagged(tagged)) => {
            add_first(&tagged.param, out);
            true
        }
        Format::Args(Args::Pythonic(_) | Args::Raw(_)) => true,
        Format::Seq(nodes) => nodes.iter().all(|node| add_first(node, out)),
        Format::Alt(nodes) => {
            // Every branch counts, so this must not stop at the first that lets through.
            let through: Vec<bool> = nodes.iter().map(|node| add_first(node, out)).collect();
            through.contains(&true)
        }
        Format::Opt(node) | Format::Lenient(node) => {
            add_first(node, out);
            true
        }
        Format::Call(node) => add_first(node, out),
        Format::Rep(rep) => {
            let through = add_first(&rep.of, out);
            if let (true, Some(sep)) = (through, &rep.sep) {
                add_first(sep, out);
            }
            through || rep.min == 0
        }
        Format::Object(object) => {
            object_starts(object, out);
            false
        }
        Format::Extern(_) => true,
    }
}

/// An object of a call is told by its first key, whichever it is, with or without a space before it.
fn object_starts(object: &ObjectNode, out: &mut Vec<String>) {
    for member in &object.members {
        for key in std::iter::once(&member.key).chain(&member.aliases) {
            let key = quoted(key, Escapes::Any);
            out.extend([format!("{{{key}"), format!("{{ {key}")]);
        }
    }
}

/// Adds the literals that start a call anywhere in the format.
pub(super) fn call_starts(node: &Format, out: &mut Vec<String>) {
    match node {
        Format::Lenient(_) => {}
        Format::Call(inner) => {
            let mut starts = Vec::new();
            add_first(inner, &mut starts);
            // A single character is no marker, and no text could do without it.
            out.extend(starts.into_iter().filter(|s| s.len() > 1 && !out.contains(s)).collect::<Vec<_>>());
        }
        _ => node.children().into_iter().for_each(|child| call_starts(child, out)),
    }
}
