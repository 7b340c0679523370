//! What starts a call: literals, or a name between marks that text has, too.

use toolglot_format::{Format, Lit, Plan};

/// Adds the literals that start a call anywhere in the format.
pub(crate) fn call_starts(node: &Format, out: &mut Vec<String>) {
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

/// Adds the markers that open a block of calls: the framing in front of calls, also where the plan has none. What
/// text holds by chance is read as text where no call follows.
pub(super) fn block_starts(node: &Format, out: &mut Vec<String>) {
    match node {
        Format::Lenient(_) | Format::Call(_) => {}
        Format::Seq(nodes) => {
            for (at, node) in nodes.iter().enumerate() {
                block_starts(node, out);
                if begins_with_call(node) {
                    let from =
                        nodes[..at].iter().rposition(|node| !is_framing(node)).map_or(0, |last| last + 1);
                    let starts = Format::literals_behind(&nodes[from..at], &[]).into_iter();
                    let starts = starts.filter(|start| Lit::is_distinctive(start));
                    out.extend(starts.filter(|start| !out.contains(start)).collect::<Vec<_>>());
                }
            }
        }
        _ => node.children().into_iter().for_each(|child| block_starts(child, out)),
    }
}

/// Whether the node is calls, one at least.
fn begins_with_call(node: &Format) -> bool {
    match node {
        Format::Call(_) => true,
        Format::Rep(rep) => rep.min > 0 && begins_with_call(&rep.of),
        Format::Alt(nodes) => {
            let mut strict = nodes.iter().filter(|node| !matches!(node, Format::Lenient(_))).peekable();
            strict.peek().is_some() && strict.all(begins_with_call)
        }
        Format::Seq(nodes) => nodes.iter().find(|node| !is_framing(node)).is_some_and(begins_with_call),
        _ => false,
    }
}

/// Whether the node is literals and white space only.
fn is_framing(node: &Format) -> bool {
    match node {
        Format::Lit(_) | Format::Ws(_) => true,
        Format::Seq(nodes) | Format::Alt(nodes) => nodes.iter().all(is_framing),
        Format::Opt(node) | Format::Lenient(node) => is_framing(node),
        _ => false,
    }
}

/// A regular expression for what starts a call that nothing frames but marks of ordinary text, such as the
/// `[get_weather(` of a list of Python calls. As parsers take them: a planned tool's name anywhere, another at the
/// start of a line, with any white space around it.
pub(super) fn bare_starts(format: &Format, plan: &Plan) -> Option<String> {
    let mut marks = Vec::new();
    walk(format, None, &mut marks);
    let names: Vec<String> = plan.tools.iter().map(|tool| regex_syntax::escape(&tool.name)).collect();
    let names = names.join("|");
    let mut ways = Vec::new();
    for (before, behind) in marks {
        let (before, behind) = (regex_syntax::escape(before), regex_syntax::escape(behind));
        ways.push(format!(r"(?:\A|\n){before}{WS}[A-Za-z0-9_\-.:/]+{WS}{behind}"));
        if !names.is_empty() {
            ways.push(format!("{before}{WS}(?:{names}){WS}{behind}"));
        }
    }
    (!ways.is_empty()).then(|| ways.join("|"))
}

const WS: &str = r"[ \t\r\n]*";

/// Adds the marks around names. `before`: the short literal in front of the node, where no marker stands before that.
fn walk<'a>(node: &'a Format, before: Option<&'a Lit>, out: &mut Vec<(&'a str, &'a str)>) {
    match node {
        Format::Lenient(_) => {}
        Format::Call(inner) => {
            let (Some(before), Some(behind)) = (before, behind_name(inner)) else { return };
            let marks = (before.text.trim(), behind);
            if !out.contains(&marks) {
                out.push(marks);
            }
        }
        Format::Seq(nodes) => {
            let mut before = before;
            for node in nodes {
                match node {
                    Format::Lit(lit) if lit.special || lit.text.trim().len() != 1 => return,
                    Format::Lit(lit) => before = Some(lit),
                    Format::Ws(_) | Format::Lenient(_) | Format::Text(_) => {}
                    _ => {
                        walk(node, before, out);
                        before = None;
                    }
                }
            }
        }
        Format::Rep(rep) => walk(&rep.of, before, out),
        _ => node.children().into_iter().for_each(|child| walk(child, before, out)),
    }
}

/// The literal behind the name that a call begins with.
fn behind_name(call: &Format) -> Option<&str> {
    let Format::Seq(nodes) = call else { return None };
    let mut nodes = nodes.iter().filter(|node| !matches!(node, Format::Ws(_) | Format::Lenient(_)));
    match (nodes.next(), nodes.next()) {
        (Some(Format::Name(_)), Some(Format::Lit(lit))) => Some(lit.text.trim()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blocks(format: serde_json::Value) -> Vec<String> {
        let format: Format = serde_json::from_value(format).unwrap();
        let mut out = Vec::new();
        block_starts(&format, &mut out);
        out
    }

    #[test]
    fn framing_in_front_of_calls_opens_a_block() {
        let call = json!({"call": {"seq": [{"lit": "<call>"}, {"name": {}}, {"lit": "</call>"}]}});
        let calls = json!({"rep": {"min": 1, "of": call}});
        let text = json!({"text": {"channel": "content"}});
        let open =
            json!({"alt": [{"lit": {"text": "<calls>", "aliases": ["<c>"]}}, {"lenient": {"seq": []}}]});
        let block = json!({"rep": {"of": {"alt": [{"seq": [open, {"ws": "\n"}, calls, {"lit": "</calls>"}]}, text]}}});
        assert_eq!(blocks(block), ["<calls>", "<c>"]);
        let behind_text = json!({"seq": [text, {"lit": "["}, {"lit": "<end>"}, text, {"lit": "<ab>"}, {"seq": [{"ws": " "}, calls]}]});
        assert_eq!(blocks(behind_text), ["<ab>"]);
        // Not markers, and one behind which no call need come.
        let weak = json!({"seq": [text, {"lit": {"text": "[", "aliases": ["```json\n["]}}, calls, {"lit": "<more>"}, {"opt": calls}]});
        assert_eq!(blocks(weak), Vec::<String>::new());
    }
}
