//! Arguments in each encoding.

use std::cell::Cell;

use toolglot_format::{
    Call, Escape, Format, Notation, PythonicArgs, RawArgs, TaggedArgs, ValueNode, ValueType,
};

use super::json::{Unwritable, members, write};
use super::{Page, PrintError, Printer, Stop};
use crate::parser::{quote, typed};
use toolglot_schema::TypeSet;

/// The members of a call's arguments.
pub(super) fn arguments(call: &Call) -> Result<Vec<(String, &str)>, PrintError> {
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

/// One parameter being printed.
struct Param<'a> {
    call: &'a Call,
    key: &'a str,
    /// Its value as JSON text, and the text of a string.
    value: &'a str,
    text: Option<String>,
    /// Type words that may be left out are written.
    with_types: bool,
    /// A type word was written.
    typed: Cell<bool>,
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
            let text = serde_json::from_str(value).ok();
            let mut param =
                Param { call, key: &key, value, text, with_types: false, typed: Cell::new(false) };
            if let (Some(sep), 1..) = (&tagged.sep, i) {
                self.param(sep, &param, Around::default(), out)?;
            }
            let mut page = Page::default();
            let mut printed = self.param(&tagged.param, &param, Around::default(), &mut page);
            if matches!(printed, Err(Stop::Error(PrintError::Ambiguous { .. }))) {
                page = Page::default();
                param.with_types = true;
                printed = self.param(&tagged.param, &param, Around::default(), &mut page);
            }
            printed?;
            out.extend(page);
        }
        Ok(())
    }

    /// A part of one parameter.
    fn param(&self, node: &Format, of: &Param<'_>, around: Around<'_>, out: &mut Page) -> Result<(), Stop> {
        match node {
            Format::Lit(lit) => out.lit(lit),
            Format::Ws(ws) => out.text(ws),
            Format::Key(node) => out.text(&Escape::written(node.escape, of.key)),
            Format::TypeLit(words) => {
                of.typed.set(true);
                out.text(words.word(ValueType::of_json(of.value)).ok_or(Stop::Misfit)?);
            }
            Format::Value(node) => self.value(node, of, around, out)?,
            Format::Seq(nodes) => {
                let mut before = around.before.to_vec();
                for (i, child) in nodes.iter().enumerate() {
                    if !matches!(child, Format::Lenient(_)) {
                        let after: Vec<&Format> =
                            nodes[i + 1..].iter().chain(around.after.iter().copied()).collect();
                        self.param(child, of, Around { before: &before, after: &after }, out)?;
                    }
                    if !child.first_literals(&mut before) {
                        before.clear();
                    }
                }
            }
            Format::Alt(nodes) => return self.param_choice(nodes, of, around, out),
            Format::Opt(inner) if of.with_types && inner.any(&mut |n| matches!(n, Format::TypeLit(_))) => {
                self.param(inner, of, around, out)?;
            }
            Format::Opt(_) | Format::Lenient(_) => {}
            Format::Rep(rep) => {
                for _ in 0..rep.min {
                    self.param(&rep.of, of, around, out)?;
                }
            }
            _ => return Err(Stop::Misfit),
        }
        Ok(())
    }

    /// The first branch that can hold the value.
    fn param_choice(
        &self,
        nodes: &[Format],
        of: &Param<'_>,
        around: Around<'_>,
        out: &mut Page,
    ) -> Result<(), Stop> {
        let mut why = Stop::Misfit;
        for (i, node) in nodes.iter().enumerate().filter(|(_, node)| !matches!(node, Format::Lenient(_))) {
            let mut before = around.before.to_vec();
            nodes.iter().enumerate().filter(|(other, _)| *other != i).for_each(|(_, other)| {
                other.first_literals(&mut before);
            });
            let mut page = Page::default();
            let typed = of.typed.get();
            match self.param(node, of, Around { before: &before, ..around }, &mut page) {
                Ok(()) => {
                    out.extend(page);
                    return Ok(());
                }
                Err(stop) => {
                    of.typed.set(typed);
                    // The last branch that could not is the one that was to hold what the others cannot.
                    if let Stop::Error(_) = stop {
                        why = stop;
                    }
                }
            }
        }
        Err(why)
    }

    fn value(
        &self,
        node: &ValueNode,
        of: &Param<'_>,
        around: Around<'_>,
        out: &mut Page,
    ) -> Result<(), PrintError> {
        let (call, key) = (|| of.call.name.clone(), || of.key.to_owned());
        let Some(text) = of.text.as_ref().filter(|_| !node.quoted_strings) else {
            let types = self.tools.types(&of.call.name, of.key);
            if !of.typed.get() && !node.quoted_strings && typed(of.value, types, false) != of.value {
                return Err(PrintError::Ambiguous { call: call(), key: key() });
            }
            let mut page = Page::default();
            self.write(of.call, of.value, &node.notation, &mut page)?;
            for part in page.parts {
                out.text(&Escape::written(node.escape, &part.text));
            }
            return Ok(());
        };
        let ends = terminators(around.after).into_iter().chain(node.excluding.iter().cloned());
        let mut ends = ends.chain(around.before.iter().cloned());
        let written = Escape::written(node.escape, text);
        if let Some(marker) = ends.find(|end| written.contains(end.as_str())) {
            return Err(PrintError::Terminator { call: call(), key: key(), marker });
        }
        if !of.typed.get() {
            let types = self.tools.types(&of.call.name, of.key);
            let string_only = types == TypeSet::STRING;
            // A raw string must read back as a string.
            if !string_only && typed(text, types, false) != quote(text) {
                return Err(PrintError::Ambiguous { call: call(), key: key() });
            }
        }
        out.text(&written);
        Ok(())
    }
}

/// What stands around a part of a parameter.
#[derive(Clone, Copy, Default)]
struct Around<'a> {
    /// Literals that could stand in the place of what comes next: a raw value must not begin with one.
    before: &'a [String],
    /// The nodes behind it within the parameter.
    after: &'a [&'a Format],
}

/// The literals that end a raw value: those that may follow it at once, in any spelling.
fn terminators(after: &[&Format]) -> Vec<String> {
    let mut out = Vec::new();
    let _ = after.iter().all(|node| node.first_literals(&mut out));
    out
}
