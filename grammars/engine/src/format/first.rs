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
