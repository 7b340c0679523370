//! A checkpoint's own `response_template`, read as a family.
//!
//! Since transformers 5 a `tokenizer_config.json` may say how a reply is cut into fields: each field has a text or
//! a pattern that opens it, texts that close it, a decoder for what stands between, and a template for the value.
//! That is a [`Format`] in other words, so parser, grammar and printer come of it as of any family. What has no
//! reading here is refused with its place, never passed over: a pattern beyond literals and named groups, a decoder
//! of numbers, a field that no message has. The reference is `response_templates.py` of transformers 5.23.

mod pattern;

use serde::Deserialize;
use serde_json::{Map, Value};
use toolglot_format::{
    Args, Channel, Format, Keys, Lit, Manifest, ManifestError, Member, MemberValue, Notation, ObjectNode,
    Reasoning, Rep, Stops, Strings, TaggedArgs, Text, TurnFrame, ValueNode,
};

use pattern::Part;

/// A response template that cannot be read as a family.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResponseTemplateError {
    /// Not of a response template's shape, or with a part that has no reading here.
    #[error("response_template{pointer}: {why}")]
    Shape {
        /// JSON pointer into the template.
        pointer: String,
        /// What is wrong there.
        why: String,
    },
    /// The family that it makes is none.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

fn fail<T>(pointer: impl Into<String>, why: impl Into<String>) -> Result<T, ResponseTemplateError> {
    Err(ResponseTemplateError::Shape { pointer: pointer.into(), why: why.into() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    #[serde(default = "one")]
    version: u64,
    #[serde(default, rename = "defaults")]
    _defaults: Map<String, Value>,
    fields: Map<String, Value>,
    start_anchor: Option<Texts>,
    start_anchor_pattern: Option<String>,
}

fn one() -> u64 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    open: Option<Texts>,
    open_pattern: Option<String>,
    close: Option<Texts>,
    close_pattern: Option<String>,
    #[serde(default = "text")]
    content: String,
    #[serde(default)]
    content_args: Map<String, Value>,
    #[serde(default, rename = "repeats")]
    _repeats: bool,
    #[serde(rename = "join")]
    _join: Option<String>,
    #[serde(default, rename = "optional")]
    _optional: Option<bool>,
    transform: Option<Value>,
    #[serde(default)]
    transform_each: bool,
}

fn text() -> String {
    "text".into()
}

/// One text or several.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn all(self) -> Vec<String> {
        match self {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        }
    }
}

/// Reads a response template as a family with this id.
///
/// # Errors
/// [`ResponseTemplateError`], with the JSON pointer of what has no reading.
pub fn from_response_template(template: &Value, id: &str) -> Result<Manifest, ResponseTemplateError> {
    let template: Template =
        Deserialize::deserialize(template).or_else(|error: serde_json::Error| fail("", error.to_string()))?;
    if template.version != 1 {
        return fail("/version", format!("version {} is not known; known is 1", template.version));
    }
    let open = match (template.start_anchor, template.start_anchor_pattern) {
        (Some(texts), None) => texts.all().into_iter().next().unwrap_or_default(),
        (None, Some(_)) => {
            return fail(
                "/start_anchor_pattern",
                "a pattern for the start of a turn is not read; give a text",
            );
        }
        _ => return fail("/start_anchor", "a template names the text that begins a turn"),
    };
    let mut branches = Vec::new();
    let mut last = None;
    let mut stops = Stops::default();
    let mut reasoning = Reasoning::default();
    for (name, value) in &template.fields {
        let pointer = format!("/fields/{name}");
        let field: Field = Deserialize::deserialize(value)
            .or_else(|error: serde_json::Error| fail(&pointer, error.to_string()))?;
        match name.as_str() {
            "tool_calls" => branches.push(calls(field, &pointer)?),
            "content" | "thinking" | "reasoning" | "reasoning_content" => {
                let channel = if name == "content" { Channel::Content } else { Channel::Reasoning };
                let region = region(field, channel, &pointer)?;
                if let (Channel::Reasoning, Some(opener)) = (channel, &region.opener) {
                    reasoning.open.clone_from(opener);
                }
                match region.opener {
                    Some(_) => branches.push(region.format),
                    // Text that nothing opens is what stands between everything else.
                    None => {
                        stops.tokens.extend(region.closers);
                        last = Some(region.format);
                    }
                }
            }
            _ => {
                return fail(
                    pointer,
                    "no part of a message is named so; known are content, thinking, reasoning, reasoning_content and tool_calls",
                );
            }
        }
    }
    // Text that no field claims is still the user's to see.
    let plain = || Format::Text(Text { channel: Channel::Content, excluding: Vec::new() });
    branches.push(last.unwrap_or_else(|| Format::Lenient(Box::new(plain()))));
    let format = Format::Rep(Rep { of: Box::new(Format::Alt(branches)), min: 0, max: None, sep: None });
    let manifest = Manifest {
        id: id.to_owned(),
        title: "The response template of a checkpoint".into(),
        aliases: Vec::new(),
        detect: Default::default(),
        turn: TurnFrame { open, close: String::new() },
        stops,
        reasoning,
        suffix: None,
        format,
    };
    manifest.check("response_template")?;
    Ok(manifest)
}

/// A field of text.
struct Region {
    format: Format,
    opener: Option<String>,
    closers: Vec<String>,
}

/// Literals with their spellings, the first of them the printed one. Those written like tokens are special.
fn literal(mut texts: Vec<String>) -> Lit {
    let special = texts.iter().all(|text| text.starts_with('<') && text.ends_with('>'));
    let first = if texts.is_empty() { String::new() } else { texts.remove(0) };
    Lit { text: first, aliases: texts, special }
}

/// A marker as literals and white space.
fn marker(text: &str) -> Vec<Format> {
    let solid = text.trim_matches([' ', '\n', '\t', '\r']);
    let (before, rest) = text.split_at(text.find(solid).unwrap_or_default());
    let behind = &rest[solid.len()..];
    let ws = |text: &str| (!text.is_empty()).then(|| Format::Ws(text.to_owned()));
    let solid = (!solid.is_empty()).then(|| Format::Lit(literal(vec![solid.to_owned()])));
    [ws(before), solid, ws(behind)].into_iter().flatten().collect()
}

fn region(field: Field, channel: Channel, pointer: &str) -> Result<Region, ResponseTemplateError> {
    if field.content != "text" {
        return fail(
            format!("{pointer}/content"),
            format!("a message's text is decoded as `text`, not as `{}`", field.content),
        );
    }
    if field.transform.is_some() || field.transform_each {
        return fail(
            format!("{pointer}/transform"),
            "text is given as it stands; a transform of it is not read",
        );
    }
    let mut nodes = Vec::new();
    let mut opener = None;
    match (field.open, field.open_pattern) {
        (Some(texts), None) => {
            let texts = texts.all();
            opener = texts.first().cloned();
            match texts.as_slice() {
                [one] => nodes.extend(marker(one)),
                _ => nodes.push(Format::Lit(literal(texts))),
            }
        }
        (None, Some(source)) => {
            let parts = pattern::read(&source).or_else(|why| fail(format!("{pointer}/open_pattern"), why))?;
            for part in parts {
                match part {
                    Part::Texts(texts) => {
                        opener.get_or_insert_with(String::new).push_str(&texts[0]);
                        nodes.push(Format::Lit(literal(texts)));
                    }
                    Part::Ws => nodes.push(Format::Ws(String::new())),
                    Part::Group(name) => {
                        return fail(
                            format!("{pointer}/open_pattern"),
                            format!("text has no place for a group `{name}`"),
                        );
                    }
                }
            }
        }
        (None, None) => {}
        (Some(_), Some(_)) => return fail(pointer, "`open` and `open_pattern` exclude each other"),
    }
    if field.close_pattern.is_some() {
        return fail(format!("{pointer}/close_pattern"), "text is closed by texts; a pattern is not read");
    }
    let closers = field.close.map(Texts::all).unwrap_or_default();
    nodes.push(Format::Text(Text { channel, excluding: Vec::new() }));
    if opener.is_some() && !closers.is_empty() {
        let solid: Vec<String> = closers.iter().map(|text| text.trim().to_owned()).collect();
        // A region that nothing closes goes to the end.
        nodes.push(Format::Alt(vec![
            Format::Lit(literal(solid)),
            Format::Lenient(Box::new(Format::Seq(Vec::new()))),
        ]));
        nodes.push(Format::Lenient(Box::new(Format::Ws(String::new()))));
    }
    Ok(Region { format: Format::Seq(nodes), opener, closers })
}

fn calls(field: Field, pointer: &str) -> Result<Format, ResponseTemplateError> {
    let mut nodes = vec![Format::Lenient(Box::new(Format::Ws(String::new())))];
    let mut named = false;
    let open = match (field.open.clone(), &field.open_pattern) {
        (Some(texts), None) => vec![Part::Texts(texts.all())],
        (None, Some(source)) => {
            pattern::read(source).or_else(|why| fail(format!("{pointer}/open_pattern"), why))?
        }
        _ => return fail(pointer, "a call is opened by `open` or by `open_pattern`"),
    };
    for part in open {
        match part {
            Part::Texts(texts) => nodes.push(Format::Lit(literal(texts))),
            Part::Ws => nodes.push(Format::Ws(String::new())),
            Part::Group(name) if name == "name" => {
                named = true;
                nodes.push(Format::Name(Default::default()));
            }
            Part::Group(name) => {
                return fail(
                    format!("{pointer}/open_pattern"),
                    format!("a call's head has a group `name`, not `{name}`"),
                );
            }
        }
    }
    let (name_at, arguments_at) = transform(field.transform.as_ref(), pointer)?;
    match (named, name_at.as_str(), arguments_at.as_str()) {
        (true, "{name}", "{content}") => nodes.push(arguments(&field, pointer)?),
        (false, name, arguments) if field.content == "json" => {
            let member = |path: &str| {
                path.strip_prefix("{content.").and_then(|path| path.strip_suffix('}')).map(str::to_owned)
            };
            let (Some(name), Some(arguments)) = (member(name), member(arguments)) else {
                return fail(
                    format!("{pointer}/transform"),
                    "name and arguments are `{content.KEY}` where the head has no name",
                );
            };
            let members = [(name, MemberValue::Name), (arguments, MemberValue::Args)];
            let members = members.map(|(key, is)| Member { key, aliases: Vec::new(), is, optional: false });
            nodes.push(Format::Object(ObjectNode {
                members: members.into(),
                notation: notation(&field, pointer)?,
            }));
        }
        _ => {
            return fail(
                format!("{pointer}/transform"),
                "the name comes from a group of `open_pattern` and the arguments from `{content}`, or both from `{content.KEY}`",
            );
        }
    }
    let closers = match (field.close, field.close_pattern) {
        (Some(texts), None) => texts.all(),
        (None, Some(_)) => {
            return fail(
                format!("{pointer}/close_pattern"),
                "a call is closed by texts; a pattern is not read",
            );
        }
        _ => return fail(pointer, "a call has a text that closes it"),
    };
    nodes.push(Format::Lenient(Box::new(Format::Ws(String::new()))));
    nodes.push(Format::Alt(vec![
        Format::Lit(literal(closers)),
        Format::Lenient(Box::new(Format::Seq(Vec::new()))),
    ]));
    Ok(Format::Call(Box::new(Format::Seq(nodes))))
}

/// Where name and arguments come from.
fn transform(transform: Option<&Value>, pointer: &str) -> Result<(String, String), ResponseTemplateError> {
    let function = transform.and_then(|value| value.get("function").or(Some(value)));
    let at = |key: &str| function.and_then(|value| value.get(key)).and_then(Value::as_str);
    match (at("name"), at("arguments")) {
        (Some(name), Some(arguments)) => Ok((name.to_owned(), arguments.to_owned())),
        _ => fail(format!("{pointer}/transform"), "a call's transform states `name` and `arguments`"),
    }
}

fn arguments(field: &Field, pointer: &str) -> Result<Format, ResponseTemplateError> {
    match field.content.as_str() {
        "json" => Ok(Format::Args(Args::Json(notation(field, pointer)?))),
        "xml-inline" => {
            let at = format!("{pointer}/content_args/tag_pattern");
            let Some(source) = field.content_args.get("tag_pattern").and_then(Value::as_str) else {
                return fail(at, "`xml-inline` has a pattern for a parameter");
            };
            let parts = pattern::read(source).or_else(|why| fail(&at, why))?;
            let nodes = parts.into_iter().map(|part| match part {
                Part::Texts(texts) => Ok(Format::Lit(Lit { special: false, ..literal(texts) })),
                Part::Ws => Ok(Format::Ws(String::new())),
                Part::Group(name) if name == "key" => Ok(Format::Key(Default::default())),
                Part::Group(name) if name == "value" => Ok(Format::Value(ValueNode::default())),
                Part::Group(name) => {
                    fail(&at, format!("a parameter has groups `key` and `value`, not `{name}`"))
                }
            });
            let mut nodes = nodes.collect::<Result<Vec<_>, _>>()?;
            nodes.push(Format::Lenient(Box::new(Format::Ws(String::new()))));
            Ok(tagged(nodes))
        }
        "kv-lines" => {
            let nodes = vec![
                Format::Key(Default::default()),
                Format::Lit(Lit { aliases: vec![":".into()], ..Lit::text(": ") }),
                Format::Value(ValueNode::default()),
                Format::Lit(Lit::text("\n")),
            ];
            Ok(tagged(nodes))
        }
        other => fail(
            format!("{pointer}/content"),
            format!("arguments are `json`, `xml-inline` or `kv-lines`, not `{other}`"),
        ),
    }
}

/// Parameters, each written as the nodes say.
fn tagged(param: Vec<Format>) -> Format {
    Format::Args(Args::Tagged(TaggedArgs {
        param: Box::new(Format::Seq(param)),
        sep: None,
        wrappers: Vec::new(),
    }))
}

/// JSON, or what `content_args` make of it.
fn notation(field: &Field, pointer: &str) -> Result<Notation, ResponseTemplateError> {
    let mut notation = Notation::default();
    for (key, value) in &field.content_args {
        let at = format!("{pointer}/content_args/{key}");
        match key.as_str() {
            "unquoted_keys" => {
                if value.as_bool() == Some(true) {
                    notation = Notation { keys: Keys::Bare, ..Notation::compact() };
                }
            }
            "string_delims" => {
                let pair = value.as_array().and_then(|list| match list.as_slice() {
                    [one] => one.as_array(),
                    _ => None,
                });
                let texts: Vec<&str> = pair.into_iter().flatten().filter_map(Value::as_str).collect();
                match texts.as_slice() {
                    [open, close] if open == close => {
                        notation.strings = Strings::Marked(literal(vec![(*open).to_owned()]));
                    }
                    _ => return fail(at, "strings stand between two equal markers"),
                }
            }
            _ => return fail(at, "this argument of `json` has no reading here"),
        }
    }
    Ok(notation)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use toolglot_format::{Event, FinishReason, Piece, Plan, Turn};

    use super::*;
    use crate::{DataFamily, Family, SessionOptions};

    fn turn(template: &Value, text: &str) -> Turn {
        let family = DataFamily::new(from_response_template(template, "own").unwrap(), None, None);
        let run = |size: usize| {
            let mut session = family.session(&Plan::default(), SessionOptions::default()).unwrap();
            let mut events = Vec::new();
            for bytes in text.as_bytes().chunks(size) {
                session.feed(&[Piece { bytes, special: None }], &mut events);
            }
            session.finish(FinishReason::Stop, &mut events);
            Event::join(events)
        };
        assert_eq!(run(1), run(text.len()));
        run(3).into_iter().collect()
    }

    fn invoke() -> Value {
        json!({"start_anchor": "<|begin|>assistant", "fields": {
            "thinking": {"open_pattern": "to=self<\\|msg\\|>", "close": "<|pause|>"},
            "tool_calls": {"open_pattern": "<invoke\\b[^>]*?\\bname=\"(?P<name>[^\"]+)\">", "close": "</invoke>", "repeats": true,
                "content": "xml-inline",
                "content_args": {"tag_pattern": "<param\\b[^>]*?\\bname=\"(?P<key>[^\"]+)\"[^>]*?>(?P<value>.*?)</param>"},
                "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}}},
            "content": {"open_pattern": "to=(?:user|note)<\\|msg\\|>", "close": ["<|end|>", "<|pause|>"], "repeats": true}}})
    }

    #[test]
    fn regions_and_tagged_parameters() {
        let got = turn(&invoke(), "to=self<|msg|>hm<|pause|>to=user<|msg|>A<|pause|>to=note<|msg|>B<|end|>");
        assert_eq!((got.reasoning.as_str(), got.content.as_str()), ("hm", "AB"));
        let got = turn(
            &invoke(),
            "<invoke name=\"f\"><param name=\"a\">x < y</param><param name=\"n\">3</param></invoke>",
        );
        assert_eq!(got.calls[0].name, "f");
        assert_eq!(got.calls[0].arguments, "{\"a\": \"x < y\", \"n\": 3}");
        assert!(got.calls[0].complete && got.malformed.is_empty());
    }

    #[test]
    fn json_with_marked_strings_and_lines_of_keys() {
        let call = |content: &str, args: Value, open: &str| {
            json!({"start_anchor": "<s>", "fields": {
                "tool_calls": {"open_pattern": open, "close": "</c>", "content": content, "content_args": args,
                    "transform": {"function": {"name": "{name}", "arguments": "{content}"}}},
                "content": {"close": "</s>"}}})
        };
        let marked = call(
            "json",
            json!({"unquoted_keys": true, "string_delims": [["|", "|"]]}),
            "<c>call:(?P<name>\\w+)",
        );
        let got = turn(&marked, "Well.<c>call:f{a:|x|,n:1}</c>");
        assert_eq!(
            (got.content.as_str(), got.calls[0].arguments.as_str()),
            ("Well.", "{\"a\": \"x\", \"n\": 1}")
        );
        let lines = call("kv-lines", json!({}), "<c>\\s*(?P<name>\\w+)\\n");
        let got = turn(&lines, "<c>f\nhour: seven\nratio: 1e3\n</c>");
        assert_eq!(got.calls[0].arguments, "{\"hour\": \"seven\", \"ratio\": 1e3}");
    }

    #[test]
    fn the_name_may_stand_in_the_content() {
        let template = json!({"start_anchor": "<s>", "fields": {"tool_calls": {"open": "<tool>", "close": "</tool>", "content": "json",
            "transform": {"function": {"name": "{content.name}", "arguments": "{content.arguments}"}}}}});
        let got = turn(&template, "<tool>{\"name\": \"f\", \"arguments\": {\"n\": 1}}</tool>");
        assert_eq!((got.calls[0].name.as_str(), got.calls[0].arguments.as_str()), ("f", "{\"n\": 1}"));
    }

    #[test]
    fn what_has_no_reading_is_refused_with_its_place() {
        let error = |change: &dyn Fn(&mut Value)| {
            let mut template = invoke();
            change(&mut template);
            from_response_template(&template, "own").unwrap_err().to_string()
        };
        let at = error(&|t| t["fields"]["score"] = json!({"content": "float"}));
        assert!(at.starts_with("response_template/fields/score: no part of a message"), "{at}");
        let at = error(&|t| t["fields"]["tool_calls"]["open_pattern"] = json!("<a(?P<name>x)|b>"));
        assert!(at.starts_with("response_template/fields/tool_calls/open_pattern: "), "{at}");
        let at = error(&|t| t["version"] = json!(2));
        assert!(at.starts_with("response_template/version"), "{at}");
        let at = error(&|t| t["fields"]["content"]["content"] = json!("int"));
        assert!(at.starts_with("response_template/fields/content/content"), "{at}");
    }
}
