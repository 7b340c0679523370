//! How much white space a grammar leaves to the model.
//!
//! Parsers read any white space around markers and inside JSON. Models write what their template wrote, and what they
//! saw in front of it: JSON that a client had sent compact or indented, a tag with or without a line break. A mask that
//! insists on one spelling pushes a model off its habit, so the grammar is flexible unless it is told otherwise. All
//! white space is bounded: no run of it goes on for ever.

use toolglot_format::{Args, Format, Notation, Rep, TaggedArgs};

/// How much white space a grammar leaves to the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Spacing {
    /// What parsers read alike: around markers and inside values none, or a line break (around markers two) with
    /// indentation, or a few spaces, beside the family's own spelling. White space that belongs to text or to a raw
    /// value stays what it is. The words for true, false and null are JSON's or Python's where they stand alone.
    #[default]
    Flexible,
    /// The family's own, byte for byte. More of the text is forced.
    Family,
    /// The family's own around markers, and none inside values.
    Compact,
}

/// White space between the parts of a value, as a regular expression.
pub(super) const IN_VALUES: &str = r"[ \t]{0,4}(\r?\n[ \t]{0,40})?";
/// White space around markers.
pub(super) const AROUND_MARKERS: &str = r"[ \t]{0,4}(\r?\n){0,2}[ \t]{0,16}";

/// Whether [`AROUND_MARKERS`] holds this white space.
pub(super) fn is_usual(space: &str) -> bool {
    let blank = |text: &str, most: usize| text.len() <= most && text.chars().all(|c| matches!(c, ' ' | '\t'));
    let mut lines: Vec<&str> = space.split('\n').collect();
    let last = lines.pop().unwrap_or_default();
    let ends = |line: &&str, most: usize| blank(line.strip_suffix('\r').unwrap_or(line), most);
    let most = if lines.is_empty() { 20 } else { 16 };
    lines.len() <= 2 && lines.iter().zip([4, 0]).all(|(line, most)| ends(line, most)) && blank(last, most)
}

/// Whether a notation puts nothing but white space beside its commas and colons.
pub(super) fn is_plain(notation: &Notation) -> bool {
    notation.item.trim() == "," && notation.key.trim() == ":"
}

/// The format with white space wherever the parser would skip it: what is lenient for its white space only is no
/// longer lenient. All of it reads alike here, so a separator of no white space stands as one of some.
pub(super) fn loosened(format: &Format) -> Format {
    loosen(&format.with_loose_lists())
}

fn loosen(node: &Format) -> Format {
    let boxed = |node: &Format| Box::new(loosen(node));
    match node {
        Format::Seq(nodes) => {
            let skipped = |node: &Format| match node {
                Format::Lenient(inner) if is_only_ws(inner) => Format::Ws(String::new()),
                node => loosen(node),
            };
            Format::Seq(nodes.iter().map(skipped).collect())
        }
        Format::Alt(nodes) => Format::Alt(nodes.iter().map(loosen).collect()),
        Format::Opt(node) => Format::Opt(boxed(node)),
        Format::Call(node) => Format::Call(boxed(node)),
        Format::Rep(rep) => {
            let sep = rep.sep.as_deref().map(|sep| match sep {
                Format::Lenient(inner) if is_only_ws(inner) => Box::new(Format::Ws(" ".into())),
                Format::Ws(text) if text.is_empty() => Box::new(Format::Ws(" ".into())),
                sep => boxed(sep),
            });
            Format::Rep(Rep { of: boxed(&rep.of), sep, ..rep.clone() })
        }
        Format::Args(Args::Tagged(tagged)) => Format::Args(Args::Tagged(TaggedArgs {
            param: boxed(&tagged.param),
            sep: tagged.sep.as_deref().map(boxed),
            wrappers: tagged.wrappers.clone(),
        })),
        node => node.clone(),
    }
}

/// Whether the node is white space and nothing else.
pub(super) fn is_only_ws(node: &Format) -> bool {
    fn nothing_else(node: &Format) -> bool {
        match node {
            Format::Ws(_) => true,
            Format::Seq(nodes) | Format::Alt(nodes) => nodes.iter().all(nothing_else),
            Format::Opt(node) => nothing_else(node),
            _ => false,
        }
    }
    nothing_else(node) && node.any(&mut |node| matches!(node, Format::Ws(_)))
}

/// White space of a node that [`AROUND_MARKERS`] does not hold.
pub(super) fn odd_spaces<'a>(ws: &'a Format, out: &mut Vec<&'a str>) {
    match ws {
        Format::Ws(text) if !is_usual(text) => out.push(text),
        _ => ws.children().into_iter().for_each(|node| odd_spaces(node, out)),
    }
}

/// Whether white space may be none at all.
pub(super) fn may_be_empty(ws: &Format) -> bool {
    match ws {
        Format::Ws(text) => text.is_empty(),
        Format::Seq(nodes) => nodes.iter().all(may_be_empty),
        Format::Alt(nodes) => nodes.iter().any(may_be_empty),
        _ => true,
    }
}

/// What stands on either side of a node: text takes white space as its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    /// Text may stand directly in front.
    pub(super) text_before: bool,
    /// Text may stand directly behind.
    pub(super) text_behind: bool,
    /// The special token that stands in front, white space apart.
    pub(super) opened: Option<String>,
}

impl Beside {
    /// For the node at a place of a sequence that stands beside `self`.
    pub(super) fn within(&self, nodes: &[Format], at: usize) -> Beside {
        Beside {
            text_before: meets_text(nodes[..at].iter().rev(), false).unwrap_or(self.text_before),
            text_behind: meets_text(nodes[at + 1..].iter(), true).unwrap_or(self.text_behind),
            opened: match nodes[..at].iter().rev().find(|node| !is_only_ws(node)) {
                Some(node) => opener(node),
                None => self.opened.clone(),
            },
        }
    }

    /// For an item of a repetition, or its separator.
    pub(super) fn repeated(&self, rep: &Rep) -> Beside {
        Beside {
            text_before: self.text_before || edge(&rep.of, false).0,
            text_behind: self.text_behind || edge(&rep.of, true).0,
            opened: None,
        }
    }
}

fn opener(node: &Format) -> Option<String> {
    match node {
        Format::Lit(lit) if lit.special => Some(lit.text.clone()),
        _ => None,
    }
}

/// For each special token that opens text somewhere in a format: every literal, read ones included, that may come
/// behind such a text.
pub(super) fn opened_texts(node: &Format, follow: &[String], out: &mut Vec<(String, Vec<String>)>) {
    match node {
        Format::Seq(nodes) => {
            for (at, node) in nodes.iter().enumerate() {
                let behind = Format::literals_behind(&nodes[at + 1..], follow);
                let stands = |node: &&Format| !is_only_ws(node) && !matches!(node, Format::Lenient(_));
                let opened = nodes[..at].iter().rev().find(stands).and_then(opener);
                match (node, opened) {
                    (Format::Text(_), Some(opened)) => out.push((opened, behind)),
                    (node, _) => opened_texts(node, &behind, out),
                }
            }
        }
        Format::Alt(nodes) => nodes.iter().for_each(|node| opened_texts(node, follow, out)),
        Format::Opt(node) | Format::Lenient(node) | Format::Call(node) => opened_texts(node, follow, out),
        Format::Rep(rep) => {
            let mut behind = Vec::new();
            if rep.sep.as_deref().is_none_or(|sep| sep.first_literals(&mut behind)) {
                rep.of.first_literals(&mut behind);
            }
            behind.extend_from_slice(follow);
            opened_texts(&rep.of, &behind, out);
        }
        _ => {}
    }
}

/// Whether text may be what the nodes begin with (with `front`), or end with; `None` if they may be nothing.
fn meets_text<'a>(nodes: impl IntoIterator<Item = &'a Format>, front: bool) -> Option<bool> {
    nodes.into_iter().find_map(|node| match node {
        // A text that the plan took out: the parser knows it still.
        Format::Seq(nodes) if nodes.is_empty() => Some(true),
        node => match edge(node, front) {
            (true, _) => Some(true),
            (false, empty) => (!empty).then_some(false),
        },
    })
}

/// Whether text may be what a node begins, or ends, with, and whether the node may be nothing.
fn edge(node: &Format, front: bool) -> (bool, bool) {
    match node {
        Format::Text(_) | Format::Args(Args::Raw(_)) => (true, true),
        Format::Ws(_) => (false, true),
        Format::Lit(lit) => (false, lit.text.is_empty()),
        Format::Seq(nodes) => {
            let met = if front { meets_text(nodes, front) } else { meets_text(nodes.iter().rev(), front) };
            (met == Some(true), met.is_none() || nodes.iter().all(|node| edge(node, front).1))
        }
        Format::Alt(nodes) => nodes
            .iter()
            .map(|node| edge(node, front))
            .fold((false, false), |(text, empty), (more_text, more_empty)| {
                (text || more_text, empty || more_empty)
            }),
        Format::Opt(node) | Format::Lenient(node) => (edge(node, front).0, true),
        Format::Call(node) => edge(node, front),
        Format::Rep(rep) => {
            let (text, empty) = edge(&rep.of, front);
            let sep = rep.sep.as_deref().filter(|_| empty).is_some_and(|sep| edge(sep, front).0);
            (text || sep, empty || rep.min == 0)
        }
        Format::Args(Args::Tagged(_) | Args::Pythonic(_) | Args::Elements(_)) => (false, true),
        _ => (false, false),
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
    fn usual_white_space() {
        for usual in ["", " ", "\n", " \n\n ", "\r\n", "\n    ", "\t", "        "] {
            assert!(is_usual(usual), "{usual:?}");
        }
        for odd in ["\n\n\n", "     \n", "\n \n", "                     ", "\u{a0}", "a", "\r"] {
            assert!(!is_usual(odd), "{odd:?}");
        }
    }

    #[test]
    fn white_space_that_is_only_read_is_written_too() {
        let format = json!({"seq": [
            {"lit": "<a>"}, {"lenient": {"ws": "\n"}},
            {"rep": {"of": {"name": {}}, "sep": {"lenient": {"ws": ""}}}},
            {"alt": [{"lit": "</a>"}, {"lenient": {"ws": "\n"}}]},
        ]});
        let loose = json!({"seq": [
            {"lit": "<a>"}, {"ws": ""},
            {"rep": {"of": {"name": {}}, "sep": {"ws": " "}}},
            {"alt": [{"lit": "</a>"}, {"lenient": {"ws": "\n"}}]},
        ]});
        assert_eq!(loosened(&read(format)), read(loose), "a branch that stands for nothing stays");
    }

    #[test]
    fn nothing_is_no_white_space() {
        for (node, is_ws) in [
            (json!({"ws": ""}), true),
            (json!({"alt": [{"ws": "\n"}, {"seq": []}]}), true),
            (json!({"seq": []}), false),
            (json!({"seq": [{"ws": "\n"}, {"lit": "a"}]}), false),
        ] {
            assert_eq!(is_only_ws(&read(node.clone())), is_ws, "{node}");
        }
    }

    #[test]
    fn text_is_met_through_what_may_be_nothing() {
        let nodes = [
            read(json!({"text": {"channel": "content"}})),
            read(json!({"opt": {"lit": "a"}})),
            read(json!({"ws": "\n"})),
            read(json!({"lit": "b"})),
        ];
        let beside = Beside::default().within(&nodes, 2);
        assert!(beside.text_before && !beside.text_behind);
        let outer = Beside { text_before: true, text_behind: true, opened: None };
        let beside = outer.within(&nodes[1..], 1);
        assert!(beside.text_before && !beside.text_behind, "what is outside counts through the option");
        let beside = outer.within(&nodes[2..], 0);
        assert!(beside.text_before && !beside.text_behind);
    }
}
