//! The literals that a part of a format begins with.

use crate::{Args, Format, ObjectNode, ValueType};

impl Format {
    /// Adds the literals, in every spelling, that this node may begin with. White space is looked through, as
    /// the parser does. Gives back whether what follows the node may come at once as well.
    pub fn first_literals(&self, out: &mut Vec<String>) -> bool {
        match self {
            Format::Lit(lit) => {
                out.extend(lit.spellings().map(str::to_string));
                lit.text.is_empty()
            }
            Format::Ws(_) | Format::Text(_) => true,
            Format::Name(_) | Format::Id(_) | Format::Key(_) | Format::Value(_) => false,
            Format::TypeLit(word) => {
                out.extend(ValueType::ALL.iter().filter_map(|&of| word.word(of)).map(str::to_owned));
                false
            }
            Format::Args(Args::Json(_)) => {
                out.push("{".into());
                false
            }
            Format::Args(Args::Tagged(tagged)) => {
                tagged.param.first_literals(out);
                true
            }
            Format::Args(Args::Pythonic(_) | Args::Raw(_)) => true,
            Format::Args(Args::Elements(elements)) => {
                out.extend(elements.prefix.spellings().map(str::to_string));
                true
            }
            Format::Seq(nodes) => nodes.iter().all(|node| node.first_literals(out)),
            Format::Alt(nodes) => {
                // A lenient branch is a branch like any other; only a sequence may go without it.
                // Every branch counts, so this must not stop at the first that lets through.
                let through: Vec<bool> = nodes.iter().map(|node| node.bare().first_literals(out)).collect();
                through.contains(&true)
            }
            Format::Opt(node) | Format::Lenient(node) => {
                node.first_literals(out);
                true
            }
            Format::Call(node) => node.first_literals(out),
            Format::Rep(rep) => {
                let through = rep.of.first_literals(out);
                if let (true, Some(sep)) = (through, &rep.sep) {
                    sep.first_literals(out);
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

    /// The literals that may come behind a node: those of the nodes after it, and of what follows all of them.
    pub fn literals_behind(after: &[Format], follow: &[String]) -> Vec<String> {
        let mut out = Vec::new();
        if after.iter().all(|node| node.first_literals(&mut out)) {
            out.extend_from_slice(follow);
        }
        out
    }
}

/// An object of a call is told by its first key, whichever it is, in either kind of quotes, with or without a
/// space before it.
fn object_starts(object: &ObjectNode, out: &mut Vec<String>) {
    for member in &object.members {
        for key in std::iter::once(&member.key).chain(&member.aliases) {
            let double = serde_json::Value::from(key.as_str()).to_string();
            for key in [double, format!("'{key}'")] {
                out.extend([format!("{{{key}"), format!("{{ {key}")]);
            }
        }
    }
}
