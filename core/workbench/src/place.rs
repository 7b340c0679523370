//! Which turns a format has a place for: the order of reasoning, text and calls, whatever is in them.
//!
//! An oracle beside the printer: where this says that a format has a place and the printer finds none, one of
//! them is wrong.

use std::collections::BTreeSet;

use toolglot::Format;
use toolglot::format::{Channel, Turn};

/// One thing in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    Text(Channel),
    Call,
}

/// The order of things in a turn's parts.
pub(crate) fn things(parts: &[Turn]) -> Vec<Thing> {
    let mut out = Vec::new();
    for part in parts {
        out.extend((!part.reasoning.is_empty()).then_some(Thing::Text(Channel::Reasoning)));
        out.extend((!part.content.is_empty()).then_some(Thing::Text(Channel::Content)));
        out.extend(part.calls.iter().map(|_| Thing::Call));
    }
    out
}

/// Whether the strict reading of the format can hold these things in this order.
pub(crate) fn has_place(format: &Format, things: &[Thing]) -> bool {
    ends(format, things, &BTreeSet::from([0])).contains(&things.len())
}

/// Why a format has no place for the things, in a few words.
pub(crate) fn missing(format: &Format, things: &[Thing]) -> &'static str {
    let count = |wanted: Thing| things.iter().filter(|thing| **thing == wanted).count();
    let can = |list: &[Thing]| has_place(format, list);
    let reasoning = Thing::Text(Channel::Reasoning);
    if count(reasoning) > 0 && !can(&[reasoning]) {
        "the format writes no reasoning"
    } else if count(Thing::Call) > 0 && !can(&[Thing::Call]) {
        "the format writes no calls"
    } else if count(Thing::Call) > 1 && !can(&[Thing::Call, Thing::Call]) {
        "the format writes one call a turn"
    } else {
        "the format has no place for text there"
    }
}

/// From which things on a turn may go on behind the node, when it starts at one of `from`.
fn ends(node: &Format, things: &[Thing], from: &BTreeSet<usize>) -> BTreeSet<usize> {
    let take = |wanted: Thing| {
        let next = |at: &usize| (things.get(*at) == Some(&wanted)).then_some(at + 1);
        from.iter().filter_map(next).collect::<BTreeSet<usize>>()
    };
    match node {
        Format::Text(text) => from.union(&take(Thing::Text(text.channel))).copied().collect(),
        Format::Call(_) => take(Thing::Call),
        Format::Lenient(_) => BTreeSet::new(),
        Format::Seq(nodes) => {
            let strict = nodes.iter().filter(|node| !matches!(node, Format::Lenient(_)));
            strict.fold(from.clone(), |from, node| ends(node, things, &from))
        }
        Format::Alt(nodes) => nodes.iter().flat_map(|node| ends(node, things, from)).collect(),
        Format::Opt(inner) => from.union(&ends(inner, things, from)).copied().collect(),
        Format::Rep(rep) => {
            let mut here = ends(&rep.of, things, from);
            let mut all = if rep.min == 0 { from.clone() } else { BTreeSet::new() };
            // Enough rounds for every thing; the bounds beyond that do not matter here.
            for round in 1..=rep.max.unwrap_or(u32::MAX).min(things.len() as u32 + 1) {
                if round >= rep.min || rep.min > things.len() as u32 {
                    all.extend(&here);
                }
                let between = rep.strict_sep().map_or(here.clone(), |sep| ends(sep, things, &here));
                here = ends(&rep.of, things, &between);
            }
            all
        }
        _ => from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_the_built_in_formats_hold() {
        let registry = toolglot::Registry::builtin().unwrap();
        let reasoning = Thing::Text(Channel::Reasoning);
        let content = Thing::Text(Channel::Content);
        let holds =
            |id: &str, things: &[Thing]| has_place(&registry.get(id).unwrap().manifest().format, things);
        for id in ["hermes", "qwen3_coder", "harmony"] {
            assert!(holds(id, &[reasoning, content, Thing::Call, content, Thing::Call, content]), "{id}");
        }
        assert!(!holds("hermes", &[content, reasoning]));
        assert!(holds("llama3", &[Thing::Call, Thing::Call]));
        assert!(holds("llama3", &[content]) && !holds("llama3", &[content, Thing::Call]));
        assert!(!holds("llama3", &[reasoning]));
    }
}
