//! A family's format as a structural tag of XGrammar.
//!
//! Three things that engine decides for itself, so they may differ from our own masks: white space inside JSON is free,
//! properties come in declared order, and a raw parameter value ends at its closing marker only. Everything else is
//! said exactly or refused, naming the node.

use crate::GrammarError;
use crate::format::first::call_starts;
use crate::format::{closed, texts_apart};
use serde_json::{Value, json};
use toolglot_format::{
    Args, Escape, Format, Keys, Member, MemberValue, NameNode, Notation, Plan, Strings, TaggedArgs, Tool,
    Words,
};

/// One assistant turn as a structural tag of XGrammar: `format` as a family states it (not yet specialised), under
/// `plan`.
///
/// # Errors
/// [`GrammarError::Format`] names the node that has no equivalent there.
///
/// ```
/// use toolglot_format::{Format, Plan};
/// # use serde_json::json;
/// let format: Format = serde_json::from_value(json!({"call": {"seq": [
///     {"lit": "<f="}, {"name": {}}, {"lit": ">"}, {"args": {"json": {}}}, {"lit": "</f>"},
/// ]}}))?;
/// let tools = json!([{"name": "now", "parameters": {"type": "object", "properties": {}}}]);
/// let plan = Plan::from_openai(&tools, &json!("required"), false)?;
/// let tag = toolglot_grammar::structural_tag(&format, &plan)?;
/// assert_eq!(tag["format"]["elements"][0], json!({"type": "const_string", "value": "<f=now>"}));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn structural_tag(format: &Format, plan: &Plan) -> Result<Value, GrammarError> {
    let strict = format
        .specialise(plan)
        .map_err(|error| GrammarError::Format { place: "plan".into(), reason: error.to_string() })?;
    let mut starts = Vec::new();
    call_starts(format, &mut starts);
    let writer = Writer { tools: plan.callable().collect(), starts };
    Ok(json!({"type": "structural_tag", "format": writer.node(&strict, None, &[])?}))
}

struct Writer<'a> {
    tools: Vec<&'a Tool>,
    /// Literals that start a call.
    starts: Vec<String>,
}

fn refuse(place: &str, reason: impl Into<String>) -> GrammarError {
    GrammarError::Format { place: place.into(), reason: reason.into() }
}

fn text(value: impl Into<String>) -> Value {
    json!({"type": "const_string", "value": value.into()})
}

fn is_text(value: &Value) -> bool {
    value["type"] == "const_string"
}

/// One after the other; neighbouring strings are one.
fn sequence(parts: Vec<Value>) -> Value {
    let mut out: Vec<Value> = Vec::with_capacity(parts.len());
    for part in parts {
        let inner = match part {
            Value::Object(mut map) if map.get("type").is_some_and(|kind| kind == "sequence") => {
                match map.remove("elements") {
                    Some(Value::Array(inner)) => inner,
                    _ => Vec::new(),
                }
            }
            other => vec![other],
        };
        for part in inner {
            match out.last_mut() {
                _ if is_text(&part) && part["value"] == "" => {}
                Some(last) if is_text(last) && is_text(&part) => {
                    let joined =
                        [last["value"].as_str(), part["value"].as_str()].map(Option::unwrap_or_default);
                    *last = text(joined.concat());
                }
                _ => out.push(part),
            }
        }
    }
    match out.len() {
        0 => text(""),
        1 => out.swap_remove(0),
        _ => json!({"type": "sequence", "elements": out}),
    }
}

fn choice(mut parts: Vec<Value>) -> Value {
    if parts.len() == 1 { parts.swap_remove(0) } else { json!({"type": "or", "elements": parts}) }
}

impl Writer<'_> {
    fn node(&self, node: &Format, tool: Option<&Tool>, follow: &[String]) -> Result<Value, GrammarError> {
        Ok(match node {
            Format::Lit(lit) => text(&lit.text),
            Format::Ws(space) => text(space),
            Format::Text(free) => {
                let mut excludes: Vec<&String> = Vec::new();
                for literal in follow.iter().chain(&free.excluding).chain(&self.starts) {
                    if !literal.is_empty() && !excludes.contains(&literal) {
                        excludes.push(literal);
                    }
                }
                json!({"type": "any_text", "excludes": excludes})
            }
            Format::Name(name) => text(self.name(name, tool)?),
            Format::Id(id) => json!({"type": "regex", "pattern": id.pattern}),
            Format::Args(Args::Json(notation)) => {
                json_notation("args.json", notation)?;
                self.arguments(tool, "json")?
            }
            Format::Args(Args::Tagged(tagged)) => self.arguments(tool, style(tagged)?)?,
            Format::Args(Args::Raw(_)) => {
                let excludes: Vec<&String> = follow.iter().filter(|literal| !literal.is_empty()).collect();
                json!({"type": "any_text", "excludes": excludes})
            }
            Format::Args(Args::Pythonic(_)) => {
                return Err(refuse(
                    "args.pythonic",
                    "that engine has no schema of Python's keyword arguments",
                ));
            }
            Format::Args(Args::Elements(_)) => {
                return Err(refuse("args.elements", "that engine has no schema of such elements"));
            }
            Format::Key(_) | Format::Value(_) | Format::TypeLit(_) => {
                return Err(refuse("key", "keys, values and type words stand inside `args.tagged` only"));
            }
            Format::Seq(nodes) => {
                let mut parts = Vec::with_capacity(nodes.len());
                for (index, node) in nodes.iter().enumerate() {
                    let behind = Format::literals_behind(&nodes[index + 1..], follow);
                    parts.push(self.node(node, tool, &behind)?);
                }
                sequence(parts)
            }
            Format::Alt(nodes) => {
                choice(nodes.iter().map(|node| self.node(node, tool, follow)).collect::<Result<_, _>>()?)
            }
            Format::Opt(inner) => json!({"type": "optional", "content": self.node(inner, tool, follow)?}),
            Format::Rep(rep) => {
                if let Some(apart) = texts_apart(rep, false) {
                    return self.node(&apart, tool, follow);
                }
                let mut behind = Vec::new();
                if rep.sep.as_deref().is_none_or(|sep| sep.first_literals(&mut behind)) {
                    rep.of.first_literals(&mut behind);
                }
                behind.extend_from_slice(follow);
                let item = self.node(&rep.of, tool, &behind)?;
                let Some(sep) = &rep.sep else { return Ok(repeat(item, rep.min, rep.max)) };
                let mut between = Vec::new();
                if rep.of.first_literals(&mut between) {
                    between.extend_from_slice(follow);
                }
                let sep = self.node(sep, tool, &between)?;
                let more = sequence(vec![sep, item.clone()]);
                let more = repeat(more, rep.min.saturating_sub(1), rep.max.map(|max| max.saturating_sub(1)));
                let some = sequence(vec![item, more]);
                if rep.min == 0 { json!({"type": "optional", "content": some}) } else { some }
            }
            Format::Call(inner) => {
                let mut calls = Vec::with_capacity(self.tools.len());
                for tool in &self.tools {
                    let call = self.node(inner, Some(tool), follow);
                    calls.push(call.map_err(|error| error.in_tool(&tool.name))?);
                }
                if calls.is_empty() {
                    return Err(refuse("call", "the plan has no tool to call"));
                }
                choice(calls)
            }
            Format::Object(object) => {
                json_notation("object", &object.notation)?;
                self.envelope(&object.members, &object.notation, tool)?
            }
            // `specialise` has removed these.
            Format::Lenient(_) => text(""),
            Format::Extern(_) => {
                return Err(refuse("extern", "plugin code owns this part; it has no grammar"));
            }
        })
    }

    fn tool<'t>(&self, tool: Option<&'t Tool>, place: &str) -> Result<&'t Tool, GrammarError> {
        tool.ok_or_else(|| refuse(place, "stands outside every call"))
    }

    fn name(&self, name: &NameNode, tool: Option<&Tool>) -> Result<String, GrammarError> {
        let tool = self.tool(tool, "name")?;
        if name.header.is_some() {
            return Err(refuse("name.header", "that engine cannot count calls"));
        }
        if !name.only.is_empty() && !name.only.contains(&tool.name) {
            return Err(refuse("name.only", format!("`{}` cannot stand here", tool.name)));
        }
        Ok(Escape::written(name.escape, &tool.name).into_owned())
    }

    fn arguments(&self, tool: Option<&Tool>, style: &str) -> Result<Value, GrammarError> {
        let tool = self.tool(tool, "args")?;
        let mut schema = closed(&tool.parameters).into_owned();
        if let Value::Object(map) = &mut schema {
            map.entry("type").or_insert_with(|| "object".into());
        }
        let mut out = json!({"type": "json_schema", "json_schema": schema});
        if style != "json" {
            out["style"] = style.into();
        }
        Ok(out)
    }

    fn envelope(
        &self,
        members: &[Member],
        notation: &Notation,
        tool: Option<&Tool>,
    ) -> Result<Value, GrammarError> {
        let quoted = |text: &str| Value::from(text).to_string();
        let mut parts = vec![text("{")];
        for (index, member) in members.iter().filter(|member| !member.optional).enumerate() {
            let comma = if index > 0 { notation.item.as_str() } else { "" };
            parts.push(text(format!("{comma}{}{}", quoted(&member.key), notation.key)));
            parts.push(match &member.is {
                MemberValue::Name | MemberValue::OfferedName => text(quoted(&self.tool(tool, "name")?.name)),
                MemberValue::Args => self.arguments(tool, "json")?,
                // Ids hold nothing that a string would escape.
                MemberValue::Id(id) => json!({"type": "regex", "pattern": format!("\"(?:{})\"", id.pattern)}),
                MemberValue::Word(word) => text(quoted(word)),
                MemberValue::Object(inner) => self.envelope(inner, notation, tool)?,
            });
        }
        parts.push(text("}"));
        Ok(sequence(parts))
    }
}

/// So many times.
fn repeat(content: Value, min: u32, max: Option<u32>) -> Value {
    match (min, max) {
        (0, None) => json!({"type": "star", "content": content}),
        (1, None) => json!({"type": "plus", "content": content}),
        (0, Some(1)) => json!({"type": "optional", "content": content}),
        (1, Some(1)) => content,
        (min, max) => {
            let max = max.map_or(-1, i64::from);
            json!({"type": "repeat", "min": min, "max": max, "content": content})
        }
    }
}

/// Refuses values that are written in another way than JSON.
fn json_notation(place: &str, notation: &Notation) -> Result<(), GrammarError> {
    let json =
        notation.keys == Keys::Quoted && notation.strings == Strings::Json && notation.words == Words::Json;
    if json { Ok(()) } else { Err(refuse(place, "that engine writes values as JSON only")) }
}

/// The style of that engine in which parameters are written like this. White space between the markers is free there.
fn style(tagged: &TaggedArgs) -> Result<&'static str, GrammarError> {
    fn words(node: &Format, out: &mut Vec<String>) -> bool {
        let mut add = |word: &str| match out.last_mut() {
            Some(last) if !last.starts_with('\0') && !word.starts_with('\0') => last.push_str(word),
            _ => out.push(word.to_owned()),
        };
        match node {
            Format::Lit(lit) => add(&lit.text),
            Format::Key(name) if name.escape.is_none() && name.header.is_none() => add("\0key"),
            Format::Value(value) if !value.quoted_strings && value.escape.is_none() => add("\0value"),
            Format::TypeLit(word) => {
                let both = [Some(word.string.as_str()), word.other.as_deref()];
                add(if both == [Some("true"), Some("false")] { "\0truth" } else { "\0type" });
            }
            Format::Ws(_) | Format::Lenient(_) => {}
            Format::Seq(nodes) => return nodes.iter().all(|node| words(node, out)),
            Format::Alt(nodes) => match &**nodes {
                [one] => return words(one, out),
                _ => return false,
            },
            _ => return false,
        }
        true
    }
    const STYLES: [(&str, &[&str]); 4] = [
        ("qwen_xml", &["<parameter=", "\0key", ">", "\0value", "</parameter>"]),
        ("minimax_xml", &["<parameter name=\"", "\0key", "\">", "\0value", "</parameter>"]),
        ("glm_xml", &["<arg_key>", "\0key", "</arg_key><arg_value>", "\0value", "</arg_value>"]),
        (
            "deepseek_xml",
            &[
                "<｜DSML｜parameter name=\"",
                "\0key",
                "\" string=\"",
                "\0truth",
                "\">",
                "\0value",
                "</｜DSML｜parameter>",
            ],
        ),
    ];
    let mut found = Vec::new();
    let plain = words(&tagged.param, &mut found);
    let spaced = tagged.sep.as_deref().is_none_or(|sep| matches!(sep, Format::Ws(_)));
    let style = STYLES.iter().find(|(_, words)| plain && spaced && found == *words);
    style.map(|(name, _)| *name).ok_or_else(|| {
        refuse("args.tagged", "that engine has no style in which parameters are written like this")
    })
}
