//! What lists of calls take beyond what they say: any white space around brackets and commas, a comma behind the
//! last call, and none between two objects.

use crate::{Args, Format, Lit, Rep, TaggedArgs};

impl Format {
    /// The format with white space where lists of calls may have it, and a comma that is read behind the last call.
    pub fn with_loose_lists(&self) -> Format {
        relax(self)
    }
}

fn relax(node: &Format) -> Format {
    match node {
        Format::Seq(nodes) => {
            let mut out: Vec<Format> = Vec::with_capacity(nodes.len());
            for (at, node) in nodes.iter().enumerate() {
                if at > 0 && is_loose(nodes, at) {
                    out.push(Format::Ws(String::new()));
                }
                out.push(relax(node));
            }
            Format::Seq(out)
        }
        Format::Alt(nodes) => Format::Alt(nodes.iter().map(relax).collect()),
        Format::Opt(node) => Format::Opt(Box::new(relax(node))),
        Format::Call(node) => Format::Call(Box::new(relax(node))),
        Format::Lenient(node) => Format::Lenient(Box::new(relax(node))),
        Format::Rep(rep) => {
            let of = Box::new(relax(&rep.of));
            let Some(sep) = &rep.sep else { return Format::Rep(Rep { of, ..rep.clone() }) };
            let listed = is_call(&rep.of, true) && is_call(&rep.of, false);
            match comma(sep).filter(|_| listed) {
                Some(comma) => {
                    let last = Format::Lenient(Box::new(comma.clone()));
                    // Where one object follows on another, a comma was forgotten.
                    let sep = if is_object(&rep.of) {
                        let none = Format::Lenient(Box::new(Format::Ws(String::new())));
                        Format::Alt(vec![comma, none])
                    } else {
                        comma
                    };
                    Format::Seq(vec![Format::Rep(Rep { of, sep: Some(Box::new(sep)), ..rep.clone() }), last])
                }
                None => Format::Rep(Rep { of, sep: Some(Box::new(relax(sep))), ..rep.clone() }),
            }
        }
        Format::Args(Args::Tagged(tagged)) => Format::Args(Args::Tagged(TaggedArgs {
            param: Box::new(relax(&tagged.param)),
            sep: tagged.sep.as_deref().map(|sep| Box::new(relax(sep))),
            wrappers: tagged.wrappers.clone(),
        })),
        _ => node.clone(),
    }
}

/// Whether white space may stand in front of the node at this place: around the brackets of a list, also on the
/// side of a special token.
fn is_loose(nodes: &[Format], at: usize) -> bool {
    let opens = |at: usize| {
        is_punctuation(&nodes[at], "[") && nodes.get(at + 1).is_some_and(|node| is_call(node, true))
    };
    let closes = |at: usize| at > 0 && is_punctuation(&nodes[at], "]") && is_call(&nodes[at - 1], false);
    let special = |at: usize| matches!(&nodes[at], Format::Lit(lit) if lit.special);
    opens(at - 1) || closes(at) || special(at - 1) && opens(at) || closes(at - 1) && special(at)
}

fn is_punctuation(node: &Format, mark: &str) -> bool {
    matches!(node, Format::Lit(lit) if !lit.special && lit.text.trim() == mark)
}

/// A comma with white space around it, if the separator is one.
fn comma(sep: &Format) -> Option<Format> {
    let parts = match sep {
        Format::Seq(nodes) => nodes.as_slice(),
        node => std::slice::from_ref(node),
    };
    let mut lits = parts.iter().filter(|node| !is_ws(node));
    let one = lits.next().is_some_and(|node| is_punctuation(node, ",")) && lits.next().is_none();
    let ws = || Format::Ws(String::new());
    one.then(|| Format::Seq(vec![ws(), Format::Lit(Lit::text(",")), ws()]))
}

fn is_ws(node: &Format) -> bool {
    match node {
        Format::Ws(_) => true,
        Format::Lenient(node) => is_ws(node),
        _ => false,
    }
}

/// Whether the node is calls at its front, or at its back.
fn is_call(node: &Format, front: bool) -> bool {
    match node {
        Format::Call(_) | Format::Object(_) => true,
        Format::Opt(node) => is_call(node, front),
        Format::Rep(rep) => is_call(&rep.of, front),
        Format::Alt(nodes) => nodes.iter().any(|node| is_call(node, front)),
        Format::Seq(nodes) if front => nodes.first().is_some_and(|node| is_call(node, front)),
        Format::Seq(nodes) => nodes.last().is_some_and(|node| is_call(node, front)),
        _ => false,
    }
}

/// Whether the node is a call that is an object, but for white space in front of it.
fn is_object(node: &Format) -> bool {
    match node {
        Format::Object(_) => true,
        Format::Call(node) => is_object(node),
        Format::Seq(nodes) => nodes.iter().find(|node| !is_ws(node)).is_some_and(is_object),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Format {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn lists_of_calls_and_nothing_else() {
        let call = json!({"call": {"object": {"members": [{"key": "n", "is": "name"}, {"key": "a", "is": "args"}]}}});
        let list = json!({"seq": [{"lit": "["}, {"rep": {"of": call, "sep": {"lit": ", "}}}, {"lit": "]"}]});
        let comma = json!({"seq": [{"ws": ""}, {"lit": ","}, {"ws": ""}]});
        let relaxed = json!({"seq": [
            {"lit": "["}, {"ws": ""},
            {"seq": [{"rep": {"of": call, "sep": {"alt": [comma, {"lenient": {"ws": ""}}]}}}, {"lenient": comma}]},
            {"ws": ""}, {"lit": "]"},
        ]});
        assert_eq!(relax(&read(list)), read(relaxed));
        let marked = json!({"seq": [
            {"lit": {"text": "<a>", "special": true}}, {"lit": "["}, call, {"lit": "]"},
            {"lit": {"text": "</a>", "special": true}},
        ]});
        let Format::Seq(nodes) = relax(&read(marked)) else { panic!("a sequence") };
        assert_eq!(nodes.iter().filter(|node| matches!(node, Format::Ws(_))).count(), 4, "{nodes:?}");
        for same in [
            json!({"seq": [{"lit": "<"}, {"rep": {"of": call, "sep": {"lit": "; "}}}, {"lit": ">"}]}),
            json!({"seq": [{"lit": "["}, {"text": {"channel": "content"}}, {"lit": "]"}]}),
        ] {
            assert_eq!(relax(&read(same.clone())), read(same));
        }
    }
}
