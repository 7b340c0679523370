//! What a format must be before anything is derived from it.

use crate::{Args, ElementsArgs, Format, Keys, MemberValue, ObjectNode, ValueNode, ValueType};

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
        Format::Key(key) if key.header.is_some() => return fail("a parameter's name has no header"),
        Format::Key(key) if key.offered => {
            return fail("a parameter is not on offer; `offered` is for tools");
        }
        Format::Name(name) if name.doubled.as_deref() == Some("") => return fail("`doubled` is empty"),
        Format::Name(name) if !name.only.is_empty() && (name.header.is_some() || name.escape.is_some()) => {
            return fail("a name limited by `only` has neither `header` nor `escape`");
        }
        Format::TypeLit(word) => {
            if let Some(of) = ValueType::ALL.into_iter().find(|&of| word.word(of).is_none_or(str::is_empty)) {
                return fail(&format!("no word for type {of:?}; give it one or set `other`"));
            }
        }
        Format::Seq(nodes) if !words_stand_between_literals(nodes) => {
            return fail("a type word has to stand between two literals");
        }
        Format::Call(_) if place != Place::Turn => return fail("a call stands inside a call"),
        Format::Call(body) => {
            if !body.any(&mut |node| matches!(node, Format::Name(_)) || holds(node, &MemberValue::is_name)) {
                return fail("a call needs a `name`, or an `object` with a member that is one");
            }
            if !body.any(&mut |node| {
                matches!(node, Format::Args(_)) || holds(node, &|value| *value == MemberValue::Args)
            }) {
                return fail("a call needs `args`, or an `object` with a member that is them");
            }
        }
        Format::Args(Args::Tagged(tagged)) => {
            if let Err(why) = check_param(&tagged.param) {
                return fail(&why);
            }
        }
        Format::Args(Args::Json(notation))
            if notation.marker().is_some_and(|marker| marker.spellings().any(str::is_empty)) =>
        {
            return fail("the marker of strings is empty");
        }
        Format::Args(Args::Json(notation))
            if notation.marker().is_some() && notation.keys == Keys::Quoted =>
        {
            return fail("marked strings go with bare keys; write `keys = \"bare\"`");
        }
        Format::Object(ObjectNode { notation, .. }) | Format::Value(ValueNode { notation, .. })
            if notation.marker().is_some() || notation.keys == Keys::Bare =>
        {
            return fail("bare keys and marked strings stand in `args.json` only");
        }
        Format::Value(ValueNode { quoted_strings: true, escape: Some(_), .. }) => {
            return fail("strings in quotes need no `escape`");
        }
        Format::Value(ValueNode { notation, .. }) if !notation.is_json() => {
            return fail("values between markers are JSON; leave `strings` and `words` out");
        }
        Format::Args(Args::Elements(elements)) => {
            if elements.prefix.spellings().any(str::is_empty) {
                return fail("the prefix of the elements is empty");
            }
            if !ElementsArgs::is_name(&elements.item) {
                return fail("`item` is no name of an element");
            }
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

/// Each way through a parameter holds one key and, behind it, one value.
fn check_param(param: &Format) -> Result<(), String> {
    for (what, test) in [("key", is_key as fn(&Format) -> bool), ("value", is_value)] {
        let (least, most) = ways(param, &test);
        if (least, most) != (1, 1) {
            let count = if least == most { least.to_string() } else { format!("{least} to {most}") };
            return Err(format!("`param` needs one `{what}` on each way through it, it has {count}"));
        }
    }
    if bare_word(param) {
        return Err("a type word has to stand between two literals of a `seq`".into());
    }
    if let Some((first, second)) = wrong_order(param) {
        let lenient = if first == "type_lit" { ", unless it is `lenient`" } else { "" };
        return Err(format!("in `param` the `{second}` has to stand before the `{first}`{lenient}"));
    }
    Ok(())
}

fn is_key(node: &Format) -> bool {
    matches!(node, Format::Key(_))
}

fn is_word(node: &Format) -> bool {
    matches!(node, Format::TypeLit(_))
}

/// A type word that is no member of a sequence.
fn bare_word(node: &Format) -> bool {
    let within = |child: &Format| bare_word(child) || is_word(child) && !matches!(node, Format::Seq(_));
    node.children().into_iter().any(within)
}

fn is_value(node: &Format) -> bool {
    matches!(node, Format::Value(_))
}

/// A type word runs from one literal to the next, so that a word that nobody knows has an end, too.
fn words_stand_between_literals(nodes: &[Format]) -> bool {
    let literal = |at: Option<usize>| at.is_some_and(|at| matches!(nodes.get(at), Some(Format::Lit(_))));
    let words = (0..nodes.len()).filter(|&at| matches!(nodes[at], Format::TypeLit(_)));
    words.into_iter().all(|at| literal(at.checked_sub(1)) && literal(Some(at + 1)))
}

/// How many nodes of a kind the shortest and the longest way through hold.
fn ways(node: &Format, test: &dyn Fn(&Format) -> bool) -> (usize, usize) {
    let own = usize::from(test(node));
    let inner: Vec<(usize, usize)> = node.children().into_iter().map(|child| ways(child, test)).collect();
    let most = || inner.iter().map(|way| way.1).max().unwrap_or(0);
    let (least, most) = match node {
        // A lenient branch is a way of its own; a lenient member may be gone without.
        Format::Alt(_) => (inner.iter().map(|way| way.0).min().unwrap_or(0), most()),
        Format::Seq(nodes) => inner.iter().zip(nodes).fold((0, 0), |(least, most), (way, node)| {
            (least + if matches!(node, Format::Lenient(_)) { 0 } else { way.0 }, most + way.1)
        }),
        Format::Opt(_) => (0, most()),
        Format::Rep(rep) => {
            let times = if rep.max == Some(1) { 1 } else { 2 };
            (if rep.min == 0 { 0 } else { inner[0].0 }, most() * times)
        }
        _ => (inner.iter().map(|way| way.0).sum(), inner.iter().map(|way| way.1).sum()),
    };
    (least + own, most + own)
}

/// A part of a sequence that needs an earlier one: the part and what should stand before it.
fn wrong_order(node: &Format) -> Option<(&'static str, &'static str)> {
    if let Format::Seq(nodes) = node {
        let first = |test: fn(&Format) -> bool| nodes.iter().position(|node| node.any(&mut { test }));
        if let (Some(key), Some(value)) = (first(is_key), first(is_value))
            && value < key
        {
            return Some(("value", "key"));
        }
        if let (Some(word), Some(value)) = (first(is_word), first(is_value))
            && value < word
        {
            return Some(("value", "type_lit"));
        }
        // What is written before a key has to be the same for every value.
        let strict = |node: &Format| !matches!(node, Format::Lenient(_)) && node.any(&mut is_word);
        if let (Some(word), Some(key)) = (nodes.iter().position(strict), first(is_key))
            && word < key
        {
            return Some(("type_lit", "key"));
        }
    }
    node.children().into_iter().find_map(wrong_order)
}

fn holds(node: &Format, wanted: &dyn Fn(&MemberValue) -> bool) -> bool {
    fn member_holds(value: &MemberValue, wanted: &dyn Fn(&MemberValue) -> bool) -> bool {
        match value {
            MemberValue::Object(members) => members.iter().any(|member| member_holds(&member.is, wanted)),
            value => wanted(value),
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
        assert_eq!(
            error(param),
            "format.call.seq[1]: `param` needs one `value` on each way through it, it has 0"
        );
        let param = |param: serde_json::Value| json!({"call": {"seq": [{"name": {}}, {"args": {"tagged": {"param": param}}}]}});
        let cdata = json!({"alt": [{"value": {}}, {"seq": [{"lit": "["}, {"value": {}}, {"lit": "]"}]}]});
        let good = param(json!({"seq": [{"key": {}}, {"lit": "="}, cdata, {"lit": ";"}]}));
        assert_eq!(serde_json::from_value::<Format>(good).unwrap().validate(), Ok(()));
        let some = json!({"alt": [{"value": {}}, {"lit": "x"}]});
        assert!(error(param(json!({"seq": [{"key": {}}, {"lit": "="}, some]}))).ends_with("it has 0 to 1"));
        let word = |word: serde_json::Value| {
            param(
                json!({"seq": [{"key": {}}, {"lit": "="}, {"type_lit": word}, {"lit": ":"}, {"value": {}}]}),
            )
        };
        assert!(error(word(json!({"string": "s", "number": "n"}))).ends_with("or set `other`"));
        let bare = json!({"seq": [{"key": {}}, {"lit": "="}, {"opt": {"type_lit": {"string": "s", "other": "o"}}}, {"lit": ":"}, {"value": {}}]});
        assert!(error(param(bare)).contains("between two literals"));
        let early = |word: serde_json::Value| {
            param(json!({"seq": [{"lit": "<"}, word, {"key": {}}, {"lit": "="}, {"value": {}}]}))
        };
        let word = json!({"seq": [{"lit": "t="}, {"type_lit": {"string": "s", "other": "o"}}, {"lit": ":"}]});
        assert!(error(early(word.clone())).ends_with("unless it is `lenient`"));
        let lenient = early(json!({"lenient": word}));
        assert_eq!(serde_json::from_value::<Format>(lenient).unwrap().validate(), Ok(()));
        let late = json!({"seq": [{"value": {}}, {"lit": "="}, {"key": {}}]});
        assert!(error(param(late)).ends_with("the `key` has to stand before the `value`"));
        let call = json!({"call": {"object": {"members": [{"key": "n", "is": "name"}, {"key": "a", "is": "args"}]}}});
        let bounded = json!({"rep": {"of": {"alt": [call, {"lit": "x"}]}, "max": 3}});
        assert!(error(bounded).contains("no bounds"));
        let marked = json!({"strings": {"marked": "<escape>"}});
        let object = json!({"call": {"object": {"members": [{"key": "n", "is": "name"}, {"key": "a", "is": "args"}], "notation": marked}}});
        assert!(error(object).contains("`args.json` only"));
        let value = json!({"seq": [{"key": {}}, {"value": {"notation": {"words": "python"}}}]});
        let value = json!({"call": {"seq": [{"name": {}}, {"args": {"tagged": {"param": value}}}]}});
        assert!(error(value).contains("are JSON"));
        let empty = json!({"call": {"seq": [{"name": {}}, {"args": {"json": {"keys": "bare", "strings": {"marked": ""}}}}]}});
        assert_eq!(error(empty), "format.call.seq[1]: the marker of strings is empty");
    }
}
