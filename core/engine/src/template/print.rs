//! Printing of values: Python's `str()` and `repr()`, and `json.dumps` with the arguments that Hugging Face's `tojson`
//! passes on. Every node costs fuel, so a small value that prints long cannot run away.

use std::fmt::Write;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::number::{self, BigInt};
use super::values::{MAX_DEPTH, too_deep};

/// Bytes written for one unit of fuel, as the engine itself charges.
const BYTES_PER_FUEL: usize = 64;

/// `str(value)`: strings as they are, everything else as [`push_repr`]; undefined prints nothing.
pub(super) fn push_str(state: &State, out: &mut String, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String => {
            out.push_str(value.as_str().unwrap_or_default());
            Ok(())
        }
        ValueKind::Undefined => Ok(()),
        _ => push_repr(state, out, value, 0),
    }
}

/// `str(value)` as a new string.
pub(super) fn to_str(state: &State, value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    push_str(state, &mut out, value)?;
    Ok(out)
}

fn push_repr(state: &State, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    state.consume_fuel(1)?;
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            state.consume_fuel((text.len() / BYTES_PER_FUEL) as u64)?;
            push_string_repr(out, text);
        }
        ValueKind::Number if !value.is_integer() => {
            number::push_float(out, f64::try_from(value.clone())?, number::PYTHON);
        }
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
            out.push(open);
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                if count > 0 {
                    out.push_str(", ");
                }
                push_repr(state, out, &item?, depth + 1)?;
                count += 1;
            }
            if value.is_tuple() && count == 1 {
                out.push(',');
            }
            out.push(close);
        }
        ValueKind::Map => {
            out.push('{');
            for (i, (key, item)) in pairs(value).enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                push_repr(state, out, &key, depth + 1)?;
                out.push_str(": ");
                push_repr(state, out, &item, depth + 1)?;
            }
            out.push('}');
        }
        // Booleans, None and integers print alike in both; what is left (functions, loops) has no meaning in a prompt.
        _ => write!(out, "{value}")?,
    }
    Ok(())
}

fn pairs(value: &Value) -> impl Iterator<Item = (Value, Value)> {
    value.as_object().and_then(|o| o.try_iter_pairs()).into_iter().flatten()
}

/// `repr(str)`: single quotes unless only those occur inside, and escapes for what Python calls unprintable.
fn push_string_repr(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => {
                let _ = match c as u32 {
                    n @ 0..=0xff => write!(out, "\\x{n:02x}"),
                    n @ 0x100..=0xffff => write!(out, "\\u{n:04x}"),
                    n => write!(out, "\\U{n:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// `str.isprintable` of one character, without the unassigned code points, which differ between Python versions:
/// not control (Cc), format (Cf), private use (Co), nor a separator (Zs, Zl, Zp) other than the space.
fn is_printable(c: char) -> bool {
    if c == ' ' {
        return true;
    }
    !(c.is_control()
        || c.is_whitespace()
        || matches!(c as u32,
            0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x180e
            | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb
            | 0x110bd | 0x110cd | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
            | 0xe0001 | 0xe0020..=0xe007f | 0xe000..=0xf8ff | 0xf0000..=0x10ffff))
}

/// The arguments of `json.dumps` that Hugging Face's `tojson` takes, in its order.
pub(super) struct Dumps {
    ensure_ascii: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

impl Dumps {
    /// Reads positional and keyword arguments.
    pub(super) fn from_args(args: &[Value], kwargs: &Kwargs) -> Result<Self, Error> {
        const NAMES: [&str; 4] = ["ensure_ascii", "indent", "separators", "sort_keys"];
        if args.len() > NAMES.len() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        let argument = |i: usize| -> Result<Option<Value>, Error> {
            let given = match args.get(i) {
                Some(value) => Some(value.clone()),
                None => kwargs.get::<Option<Value>>(NAMES[i])?,
            };
            Ok(given.filter(|v| !v.is_none() && !v.is_undefined()))
        };
        let indent = match argument(1)? {
            None => None,
            Some(v) if v.as_str().is_some() => v.as_str().map(str::to_owned),
            Some(v) => {
                let width = usize::try_from(v.as_i64().unwrap_or(0).max(0)).unwrap_or(0);
                if width > MAX_DEPTH {
                    return Err(Error::new(ErrorKind::InvalidOperation, "tojson: indent is too wide"));
                }
                Some(" ".repeat(width))
            }
        };
        let (item_separator, key_separator) = match argument(2)? {
            None => ((if indent.is_some() { "," } else { ", " }).to_owned(), ": ".to_owned()),
            Some(v) => {
                let text = |i: usize| {
                    v.get_item_by_index(i).ok().and_then(|s| s.as_str().map(str::to_owned)).ok_or_else(|| {
                        Error::new(
                            ErrorKind::InvalidOperation,
                            "tojson: separators must be a pair of strings",
                        )
                    })
                };
                (text(0)?, text(1)?)
            }
        };
        Ok(Self {
            ensure_ascii: argument(0)?.is_some_and(|v| v.is_true()),
            indent,
            item_separator,
            key_separator,
            sort_keys: argument(3)?.is_some_and(|v| v.is_true()),
        })
    }

    /// `json.dumps(value, …)`. Values outside JSON (undefined, functions) are an error, as in Python.
    pub(super) fn dump(&self, state: &State, value: &Value) -> Result<String, Error> {
        let mut out = String::new();
        self.push(state, &mut out, value, 0)?;
        Ok(out)
    }

    fn push(&self, state: &State, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => write!(out, "{value}")?,
            ValueKind::Number => number::push_float(out, f64::try_from(value.clone())?, number::JSON),
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                state.consume_fuel((text.len() / BYTES_PER_FUEL) as u64)?;
                push_json_string(out, text, self.ensure_ascii);
            }
            ValueKind::Seq | ValueKind::Iterable => {
                out.push('[');
                let mut empty = true;
                for item in value.try_iter()?.checked() {
                    if !empty {
                        out.push_str(&self.item_separator);
                    }
                    empty = false;
                    self.new_line(out, depth + 1);
                    self.push(state, out, &item?, depth + 1)?;
                }
                if !empty {
                    self.new_line(out, depth);
                }
                out.push(']');
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for (key, item) in pairs(value) {
                    entries.push((key_text(&key)?, item));
                }
                if self.sort_keys {
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                }
                out.push('{');
                for (i, (key, item)) in entries.iter().enumerate() {
                    if i > 0 {
                        out.push_str(&self.item_separator);
                    }
                    self.new_line(out, depth + 1);
                    push_json_string(out, key, self.ensure_ascii);
                    out.push_str(&self.key_separator);
                    self.push(state, out, item, depth + 1)?;
                }
                if !entries.is_empty() {
                    self.new_line(out, depth);
                }
                out.push('}');
            }
            _ => match value.downcast_object_ref::<BigInt>() {
                Some(big) => out.push_str(&big.0),
                None => {
                    return Err(Error::new(
                        ErrorKind::BadSerialization,
                        format!("tojson: {} is not JSON", value.kind()),
                    ));
                }
            },
        }
        Ok(())
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            for _ in 0..depth {
                out.push_str(indent);
            }
        }
    }
}

/// A dict key as `json.dumps` turns it into text.
fn key_text(key: &Value) -> Result<String, Error> {
    Ok(match key.kind() {
        ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => (if key.is_true() { "true" } else { "false" }).to_owned(),
        ValueKind::Number if key.is_integer() => key.to_string(),
        ValueKind::Number => {
            let mut out = String::new();
            number::push_float(&mut out, f64::try_from(key.clone())?, number::JSON);
            out
        }
        kind => {
            return Err(Error::new(
                ErrorKind::BadSerialization,
                format!("tojson: a dict key cannot be a {kind}"),
            ));
        }
    })
}

/// A JSON string as Python's `json` writes it.
pub(super) fn push_json_string(out: &mut String, text: &str, ensure_ascii: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || (ensure_ascii && !(' '..='~').contains(&c)) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// True for values that hold a number, the wide integers of [`BigInt`] included.
pub(super) fn is_big_integer(value: &Value) -> bool {
    value.downcast_object_ref::<BigInt>().is_some()
}
