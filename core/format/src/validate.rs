//! What a format must be before anything is derived from it.

use crate::{Args, Format, Keys, MemberValue, ObjectNode, ValueNode};

/// A format that cannot work, with the path of the node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct FormatError {
    /// The node, such as `format.seq[1].rep.of`.
    pub path: String,
    /// What is wrong with it and what to write instead.
    pub why: String,
}

impl Format {
    /// Checks the rules that the types do not: markers are not empty, calls hold a name and arguments, and
    /// nodes of calls and parameters stand where they belong.
    ///
    /// # Errors
    /// The first [`FormatError`] in reading order.
    pub fn validate(&self) -> Result<(), FormatError> {
        check(self, "format", Place::Turn)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Turn,
    Call,
    Param,
}

fn check(node: &Format, path: &str, place: Place) -> Result<(), FormatError> {
    let fail = |why: &str| Err(FormatError { path: path.to_owned(), why: why.to_owned() });
    match node {
        Format::Lit(lit) if lit.spellings().any(str::is_empty) => return fail("a literal is empty"),
        Format::Ws(text) if !text.chars().all(char::is_whitespace) => {
            return fail("`ws` takes white space only; use `lit` for other text");
        }
        Format::Text(_) if place != Place::Turn => {
            return fail("free text cannot stand inside a call");
        }
        Format::Extern(_) if place != Place::Turn => {
            return fail("`extern` takes the rest of a turn and cannot stand inside a call");
        }
        Format::Name(_) | Format::Args(_) | Format::Object(_) | Format::Id(_) if place != Place::Call => {
            return fail("this node belongs inside a `call`");
        }
        Format::Key(_) | Format::Value(_) | Format::TypeLit(_) if place != Place::Param => {
            return fail("this node belongs inside the `param` of tagged arguments");
        }
        Format::Call(_) if place != Place::Turn => return fail("a call stands inside a call"),
        Format::Call(body) => {
            if !body.any(&mut |node| matches!(node, Format::Name(_)) || holds(node, &MemberValue::Name)) {
                return fail("a call needs a `name`, or an `object` with a member that is one");
            }
            if !body.any(&mut |node| matches!(node, Format::Args(_)) || holds(node, &MemberValue::Args)) {
                return fail("a call needs `args`, or an `object` with a member that is them");
            }
        }
        Format::Args(Args::Tagged(tagged)) => {
            for (what, count) in [
                ("key", count(&tagged.param, &|node| matches!(node, Format::Key(_)))),
                ("value", count(&tagged.param, &|node| matches!(node, Format::Value(_)))),
            ] {
                if count != 1 {
                    return fail(&format!("`param` needs one `{what}`, it has {count}"));
                }
            }
        }
        Format::Args(Args::Json(notation))
            if notation.marker().is_some_and(|marker| marker.spellings().any(str::is_empty)) =>
        {
            return fail("the marker of strings is empty");
        }
        Format::Object(ObjectNode { notation, .. }) | Format::Value(ValueNode { notation, .. })
            if notation.marker().is_some() || notation.keys == Keys::Bare =>
        {
            return fail("bare keys and marked strings stand in `args.json` only");
        }
        Format::Alt(branches) if branches.is_empty() => return fail("a choice of nothing"),
        Format::Rep(rep) => {
            if rep.max.is_some_and(|max| max < rep.min || max == 0) {
                return fail("`max` is 0 or below `min`");
            }
            let mixed = rep.of.has_call() && matches!(&*rep.of, Format::Alt(_));
            if mixed && (rep.min > 1 || rep.max.is_some()) {
                return fail("a repeated choice that holds calls must have no bounds");
            }
        }
        _ => {}
    }
    let inner = match node {
        Format::Call(_) => Place::Call,
        Format::Args(_) => Place::Param,
        _ => place,
    };
    for (child, step) in node.children().into_iter().zip(steps(node)) {
        check(child, &format!("{path}.{step}"), inner)?;
    }
    Ok(())
}

/// The last path element of each child, in the order of [`Format::children`].
fn steps(node: &Format) -> Vec<String> {
    match node {
        Format::Seq(nodes) => (0..nodes.len()).map(|i| format!("seq[{i}]")).collect(),
        Format::Alt(nodes) => (0..nodes.len()).map(|i| format!("alt[{i}]")).collect(),
        Format::Opt(_) => vec!["opt".into()],
        Format::Call(_) => vec!["call".into()],
        Format::Lenient(_) => vec!["lenient".into()],
        Format::Rep(_) => vec!["rep.of".into(), "rep.sep".into()],
        Format::Args(_) => vec!["args.tagged.param".into(), "args.tagged.sep".into()],
        _ => Vec::new(),
    }
}

fn count(node: &Format, test: &dyn Fn(&Format) -> bool) -> usize {
    usize::from(test(node)) + node.children().into_iter().map(|child| count(child, test)).sum::<usize>()
}

fn holds(node: &Format, wanted: &MemberValue) -> bool {
    fn member_holds(value: &MemberValue, wanted: &MemberValue) -> bool {
        match value {
            MemberValue::Object(members) => members.iter().any(|member| member_holds(&member.is, wanted)),
            value => value == wanted,
        }
    }
    match node {
        Format::Object(object) => object.members.iter().any(|member| member_holds(&member.is, wanted)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(value: serde_json::Value) -> String {
        serde_json::from_value::<Format>(value).unwrap().validate().unwrap_err().to_string()
    }

    #[test]
    fn names_the_node_and_the_remedy() {
        assert_eq!(error(json!({"seq": [{"ws": " "}, {"lit": ""}]})), "format.seq[1]: a literal is empty");
        assert!(error(json!({"ws": "x"})).contains("use `lit`"));
        assert!(error(json!({"opt": {"name": {}}})).starts_with("format.opt: this node belongs"));
        assert!(error(json!({"call": {"name": {}}})).contains("needs `args`"));
        let param = json!({"call": {"seq": [{"name": {}}, {"args": {"tagged": {"param": {"key": {}}}}}]}});
        assert_eq!(error(param), "format.call.seq[1]: `param` needs one `value`, it has 0");
        let call = json!({"call": {"object": {"members": [{"key": "n", "is": "name"}, {"key": "a", "is": "args"}]}}});
        let bounded = json!({"rep": {"of": {"alt": [call, {"lit": "x"}]}, "max": 3}});
        assert!(error(bounded).contains("no bounds"));
        let marked = json!({"strings": {"marked": "<escape>"}});
        let object = json!({"call": {"object": {"members": [{"key": "n", "is": "name"}, {"key": "a", "is": "args"}], "notation": marked}}});
        assert!(error(object).contains("`args.json` only"));
        let empty = json!({"call": {"seq": [{"name": {}}, {"args": {"json": {"strings": {"marked": ""}}}}]}});
        assert_eq!(error(empty), "format.call.seq[1]: the marker of strings is empty");
    }
}
