//! Arguments in each encoding.

use toolglot_format::{Call, Format, Notation, PythonicArgs, RawArgs, TaggedArgs};

use super::json::{elements, members, respace};
use super::{Page, PrintError, Printer, Stop};
use crate::parser::{quote, typed};

/// The members of a call's arguments.
fn arguments(call: &Call) -> Result<Vec<(String, &str)>, PrintError> {
    let text = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.as_str() };
    members(text).ok_or_else(|| PrintError::Arguments {
        call: call.name.clone(),
        why: "the arguments are not one JSON object".into(),
    })
}

pub(super) fn json(call: &Call, notation: &Notation) -> Result<String, PrintError> {
    arguments(call)?;
    Ok(if call.arguments.trim().is_empty() { "{}".into() } else { respace(&call.arguments, notation) })
}

pub(super) fn raw(call: &Call, raw: &RawArgs) -> Result<String, PrintError> {
    let members = arguments(call)?;
    let value = match members.as_slice() {
        [(key, value)] if *key == raw.key => serde_json::from_str(value).ok(),
        _ => None,
    };
    value.ok_or_else(|| PrintError::Arguments {
        call: call.name.clone(),
        why: format!("this format writes one string, `{}`, and nothing else", raw.key),
    })
}

pub(super) fn pythonic(call: &Call, style: &PythonicArgs) -> Result<String, PrintError> {
    let mut out = String::new();
    for (key, value) in arguments(call)? {
        if !out.is_empty() {
            out += ", ";
        }
        let identifier = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !identifier {
            return Err(PrintError::Arguments {
                call: call.name.clone(),
                why: format!("`{key}` cannot be a keyword argument"),
            });
        }
        out += &key;
        out += "=";
        python_value(value, style, &mut out);
    }
    Ok(out)
}

/// A JSON value as a Python literal. Strings stand in double quotes with JSON's escapes, which Python reads
/// alike.
fn python_value(value: &str, style: &PythonicArgs, out: &mut String) {
    if let Some(members) = members(value) {
        out.push('{');
        for (i, (key, value)) in members.into_iter().enumerate() {
            *out += if i > 0 { ", " } else { "" };
            *out += &quote(&key);
            *out += ": ";
            python_value(value, style, out);
        }
        out.push('}');
    } else if let Some(elements) = elements(value) {
        out.push('[');
        for (i, value) in elements.into_iter().enumerate() {
            *out += if i > 0 { ", " } else { "" };
            python_value(value, style, out);
        }
        out.push(']');
    } else {
        *out += match value {
            "true" if !style.json_words => "True",
            "false" if !style.json_words => "False",
            "null" if !style.json_words => "None",
            other => other,
        };
    }
}

impl Printer<'_> {
    pub(super) fn tagged(&self, tagged: &TaggedArgs, call: &Call, out: &mut Page) -> Result<(), Stop> {
        for (i, (key, value)) in arguments(call)?.into_iter().enumerate() {
            if let (Some(sep), 1..) = (&tagged.sep, i) {
                self.param(sep, call, (&key, value), &[], out)?;
            }
            self.param(&tagged.param, call, (&key, value), &[], out)?;
        }
        Ok(())
    }

    /// A part of one parameter. `after`: what follows the part within the parameter.
    fn param(
        &self,
        node: &Format,
        call: &Call,
        pair: (&str, &str),
        after: &[&Format],
        out: &mut Page,
    ) -> Result<(), Stop> {
        let (key, value) = pair;
        let text: Option<String> = serde_json::from_str(value).ok();
        match node {
            Format::Lit(lit) => out.lit(lit),
            Format::Ws(ws) => out.text(ws),
            Format::Key(_) => out.text(key),
            Format::TypeLit(word) => {
                out.text(if text.is_some() { &word.string } else { &word.other });
            }
            Format::Value(node) => match text {
                Some(text) if !node.quoted_strings => {
                    let mut ends = terminators(after).into_iter().chain(node.excluding.iter().cloned());
                    if let Some(marker) = ends.find(|end| text.contains(end.as_str())) {
                        let (call, key) = (call.name.clone(), key.to_owned());
                        return Err(PrintError::Terminator { call, key, marker }.into());
                    }
                    out.text(&text);
                }
                _ => out.text(&respace(value, &node.notation)),
            },
            Format::Seq(nodes) => {
                let raw = serde_json::from_str::<String>(value).is_ok();
                let marked = nodes.iter().any(|node| matches!(node, Format::TypeLit(_)));
                let quoted =
                    node.any(&mut |node| matches!(node, Format::Value(value) if value.quoted_strings));
                if raw && !marked && !quoted {
                    self.check_type(call, key, value)?;
                }
                for (i, child) in nodes.iter().enumerate() {
                    if matches!(child, Format::Lenient(_)) {
                        continue;
                    }
                    let after: Vec<&Format> = nodes[i + 1..].iter().chain(after.iter().copied()).collect();
                    self.param(child, call, pair, &after, out)?;
                }
            }
            Format::Alt(nodes) => {
                let strict = nodes.iter().find(|node| !matches!(node, Format::Lenient(_)));
                let Some(first) = strict else { return Err(Stop::Misfit) };
                self.param(first, call, pair, after, out)?;
            }
            Format::Opt(_) | Format::Lenient(_) => {}
            Format::Rep(rep) => {
                for _ in 0..rep.min {
                    self.param(&rep.of, call, pair, after, out)?;
                }
            }
            _ => return Err(Stop::Misfit),
        }
        Ok(())
    }

    /// A raw string must read back as a string.
    fn check_type(&self, call: &Call, key: &str, value: &str) -> Result<(), PrintError> {
        let Ok(text) = serde_json::from_str::<String>(value) else { return Ok(()) };
        let types = self.tools.types(&call.name, key);
        let string_only = types == toolglot_schema::TypeSet::STRING;
        if string_only || typed(&text, types, false) == quote(&text) {
            return Ok(());
        }
        Err(PrintError::Ambiguous { call: call.name.clone(), key: key.to_owned() })
    }
}

/// The literals that end a raw value: those that may follow it at once, in any spelling.
fn terminators(after: &[&Format]) -> Vec<String> {
    let mut out = Vec::new();
    for node in after {
        let passes = first_literals(node, &mut out);
        if !passes {
            break;
        }
    }
    out
}

/// Collects the literals that the node can begin with; whether it can be empty.
fn first_literals(node: &Format, out: &mut Vec<String>) -> bool {
    match node {
        Format::Lit(lit) => {
            out.extend(lit.spellings().map(str::to_owned));
            false
        }
        Format::Ws(_) => true,
        Format::Seq(nodes) => nodes.iter().all(|node| first_literals(node, out)),
        Format::Alt(nodes) => {
            let passes: Vec<bool> = nodes.iter().map(|node| first_literals(node, out)).collect();
            passes.contains(&true)
        }
        Format::Opt(node) => {
            first_literals(node, out);
            true
        }
        Format::Lenient(node) => {
            first_literals(node, out);
            true
        }
        Format::Rep(rep) => first_literals(&rep.of, out) || rep.min == 0,
        _ => false,
    }
}
