//! A format with everything that the parser reads as if models wrote it: to tell an output that is spelled in a way
//! the family knows of from one that it says nothing about.

use toolglot::Format;
use toolglot::format::{Args, Lit, Member, ObjectNode, Rep, TaggedArgs};

/// More orders and spellings of one object than are worth a try.
const MOST_OBJECTS: usize = 64;

/// The format with its lenient nodes as options, its aliases as spellings, and its objects in any order. Repetitions
/// may be empty.
pub(crate) fn as_read(node: &Format) -> Format {
    let boxed = |node: &Format| Box::new(as_read(node));
    let option = |node: &Format| match node {
        Format::Lenient(inner) => Format::Opt(boxed(inner)),
        node => as_read(node),
    };
    match node {
        Format::Seq(nodes) => Format::Seq(nodes.iter().map(option).collect()),
        Format::Alt(nodes) => Format::Alt(nodes.iter().map(|node| as_read(node.bare())).collect()),
        Format::Opt(inner) | Format::Lenient(inner) => Format::Opt(boxed(inner)),
        Format::Call(inner) => Format::Call(boxed(inner)),
        Format::Rep(rep) => Format::Rep(Rep {
            of: boxed(&rep.of),
            min: 0,
            max: None,
            sep: rep.sep.as_deref().map(|sep| Box::new(option(sep))),
        }),
        Format::Lit(lit) => spellings(lit),
        Format::Object(object) => Format::Alt(orders(object)),
        Format::Args(Args::Tagged(tagged)) => Format::Args(Args::Tagged(TaggedArgs {
            param: Box::new(parameter(&tagged.param)),
            sep: tagged.sep.as_deref().map(|sep| Box::new(option(sep))),
            wrappers: tagged.wrappers.clone(),
        })),
        node => node.clone(),
    }
}

/// One parameter: what stands in front of its key has to stay the same.
fn parameter(node: &Format) -> Format {
    match node {
        Format::Seq(nodes) => {
            let key = nodes.iter().position(|node| matches!(node, Format::Key(_))).map_or(0, |at| at + 1);
            let behind = nodes[key..].iter().map(|node| match node {
                Format::Lenient(inner) => Format::Opt(Box::new(parameter(inner))),
                node => parameter(node),
            });
            Format::Seq(nodes[..key].iter().cloned().chain(behind).collect())
        }
        Format::Alt(nodes) => Format::Alt(nodes.iter().map(|node| parameter(node.bare())).collect()),
        node => node.clone(),
    }
}

fn spellings(lit: &Lit) -> Format {
    let one =
        |text: &str| Format::Lit(Lit { text: text.to_owned(), aliases: Vec::new(), special: lit.special });
    if lit.aliases.is_empty() {
        return Format::Lit(lit.clone());
    }
    Format::Alt(lit.spellings().map(one).collect())
}

/// The object with its members in every order, each under every key, optional ones and arguments also left out.
fn orders(object: &ObjectNode) -> Vec<Format> {
    let mut out: Vec<Vec<Member>> = vec![Vec::new()];
    let mut from = 0;
    while from < out.len() && out.len() < MOST_OBJECTS {
        let members = out[from].clone();
        for member in object.members.iter().filter(|member| !members.iter().any(|has| has.is == member.is)) {
            for key in std::iter::once(&member.key).chain(&member.aliases) {
                let one = Member { key: key.clone(), aliases: Vec::new(), optional: false, ..member.clone() };
                out.push(members.iter().cloned().chain([one]).collect());
            }
        }
        from += 1;
    }
    let needed = |members: &Vec<Member>| {
        let named = |member: &Member| member.is.is_name();
        !object.members.iter().any(named) || members.iter().any(named)
    };
    let all = out.into_iter().filter(needed);
    all.map(|members| Format::Object(ObjectNode { members, notation: object.notation.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Format {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_read_stands_as_if_it_were_written() {
        let format = json!({"seq": [
            {"lenient": {"lit": "<b>"}},
            {"lit": {"text": "<a>", "aliases": ["[a]"]}},
            {"alt": [{"lit": "</a>"}, {"lenient": {"seq": []}}]},
        ]});
        let want = json!({"seq": [
            {"opt": {"lit": "<b>"}},
            {"alt": [{"lit": "<a>"}, {"lit": "[a]"}]},
            {"alt": [{"lit": "</a>"}, {"seq": []}]},
        ]});
        assert_eq!(as_read(&read(format)), read(want));
    }

    #[test]
    fn objects_come_in_every_order() {
        let object = json!({"object": {"members": [
            {"key": "name", "is": "name"}, {"key": "arguments", "aliases": ["parameters"], "is": "args"}]}});
        let Format::Alt(all) = as_read(&read(object)) else { panic!("one of several") };
        let keys = |format: &Format| match format {
            Format::Object(object) => {
                object.members.iter().map(|member| member.key.as_str()).collect::<Vec<_>>().join(" ")
            }
            other => panic!("{other:?}"),
        };
        let mut all: Vec<String> = all.iter().map(keys).collect();
        all.sort();
        assert_eq!(all, ["arguments name", "name", "name arguments", "name parameters", "parameters name"]);
    }
}
