//! Arguments in each encoding.

use toolglot_format::{Call, Format, Notation, PythonicArgs, RawArgs, TaggedArgs};

use super::json::{Unwritable, members, write};
use super::{Page, PrintError, Printer, Stop};
use crate::parser::{quote, typed};
use toolglot_schema::TypeSet;

/// The members of a call's arguments.
fn arguments(call: &Call) -> Result<Vec<(String, &str)>, PrintError> {
    let text = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.as_str() };
    members(text).ok_or_else(|| PrintError::Arguments {
        call: call.name.clone(),
        why: "the arguments are not one JSON object".into(),
    })
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

impl Printer<'_> {
    /// The arguments as one object.
    pub(super) fn json(&self, call: &Call, notation: &Notation, out: &mut Page) -> Result<(), PrintError> {
        let members = arguments(call)?;
        if notation.marker().is_some() {
            members.iter().try_for_each(|(key, value)| self.check_literal(call, key, value))?;
        }
        let text = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.as_str() };
        self.write(call, text, notation, out)
    }

    fn write(&self, call: &Call, text: &str, notation: &Notation, out: &mut Page) -> Result<(), PrintError> {
        write(text, notation, &self.specials, out).map_err(|error| match error {
            Unwritable::Key(key) => PrintError::Arguments {
                call: call.name.clone(),
                why: format!("`{key}` cannot stand as a key without quotes"),
            },
            Unwritable::Marker(key, marker) => {
                PrintError::Terminator { call: call.name.clone(), key, marker }
            }
        })
    }

    pub(super) fn pythonic(
        &self,
        call: &Call,
        style: &PythonicArgs,
        out: &mut Page,
    ) -> Result<(), PrintError> {
        let notation = style.notation();
        for (i, (key, value)) in arguments(call)?.into_iter().enumerate() {
            if !Notation::is_keyword(&key) {
                return Err(PrintError::Arguments {
                    call: call.name.clone(),
                    why: format!("`{key}` cannot be a keyword argument"),
                });
            }
            self.check_literal(call, &key, value)?;
            out.text(if i > 0 { &notation.item } else { "" });
            out.text(&key);
            out.text("=");
            self.write(call, value, &notation, out)?;
        }
        Ok(())
    }

    /// A literal must read back as what it is: the reader goes by the parameter's type where it has no strings,
    /// or nothing but strings.
    fn check_literal(&self, call: &Call, key: &str, value: &str) -> Result<(), PrintError> {
        let types = self.tools.types(&call.name, key);
        let reads_back = match serde_json::from_str::<String>(value) {
            Ok(text) => types.contains(TypeSet::STRING) || typed(&text, types, false) == quote(&text),
            Err(_) => {
                types != TypeSet::STRING || !value.starts_with(|c: char| c == '-' || c.is_ascii_digit())
            }
        };
        if reads_back {
            return Ok(());
        }
        Err(PrintError::Ambiguous { call: call.name.clone(), key: key.to_owned() })
    }

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
                _ => self.write(call, value, &node.notation, out)?,
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
        let string_only = types == TypeSet::STRING;
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
