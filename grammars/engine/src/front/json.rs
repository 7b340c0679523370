//! What the JSON notations share: objects read field by field, with the place of what is wrong, and schemas read as
//! their notation means them.

use crate::GrammarError;
use crate::builder::GrammarBuilder;
use crate::grammar::Expr;
use crate::json::{JsonStyle, Whitespace};
use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Value};
use std::cell::RefCell;
use toolglot_schema::{Options, Schema};

/// A JSON pointer, one step further.
pub(super) fn step(pointer: &str, key: impl std::fmt::Display) -> String {
    format!("{pointer}/{}", key.to_string().replace('~', "~0").replace('/', "~1"))
}

/// What stands at `pointer` is not what it should be.
pub(super) fn wrong(pointer: &str, reason: impl Into<String>) -> GrammarError {
    GrammarError::Request { pointer: pointer.to_owned(), reason: reason.into() }
}

/// A JSON object whose fields are read one by one; what is not read is refused.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    pub(super) pointer: String,
    read: RefCell<Vec<&'a str>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, pointer: &str) -> Result<Fields<'a>, GrammarError> {
        match value {
            Value::Object(map) => Ok(Fields { map, pointer: pointer.to_owned(), read: RefCell::default() }),
            other => Err(wrong(pointer, format!("expected an object, found {}", kind(other)))),
        }
    }

    /// A field; `null` counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        let (name, value) = self.map.get_key_value(name)?;
        self.read.borrow_mut().push(name);
        (!value.is_null()).then_some(value)
    }

    pub(super) fn need(&self, name: &str) -> Result<&'a Value, GrammarError> {
        self.get(name).ok_or_else(|| wrong(&self.pointer, format!("`{name}` is missing")))
    }

    pub(super) fn at(&self, name: &str) -> String {
        step(&self.pointer, name)
    }

    fn text_of(&self, name: &str, value: &'a Value) -> Result<&'a str, GrammarError> {
        value
            .as_str()
            .ok_or_else(|| wrong(&self.at(name), format!("expected a string, found {}", kind(value))))
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, GrammarError> {
        self.text_of(name, self.need(name)?)
    }

    pub(super) fn text_or_none(&self, name: &str) -> Result<Option<&'a str>, GrammarError> {
        self.get(name).map(|value| self.text_of(name, value)).transpose()
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, GrammarError> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => {
                Err(wrong(&self.at(name), format!("expected true or false, found {}", kind(other))))
            }
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, GrammarError> {
        self.get(name)
            .map(|value| {
                value.as_i64().ok_or_else(|| {
                    wrong(&self.at(name), format!("expected a whole number, found {}", kind(value)))
                })
            })
            .transpose()
    }

    /// A number that is not negative.
    pub(super) fn count(&self, name: &str) -> Result<Option<u32>, GrammarError> {
        self.number(name)?
            .map(|n| u32::try_from(n).map_err(|_| wrong(&self.at(name), format!("{n} is no count"))))
            .transpose()
    }

    pub(super) fn list(&self, name: &str) -> Result<&'a [Value], GrammarError> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(wrong(&self.at(name), format!("expected a list, found {}", kind(other)))),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, GrammarError> {
        let at = |index: usize| step(&self.at(name), index);
        let text = |(index, value): (usize, &Value)| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(wrong(&at(index), format!("expected a string, found {}", kind(other)))),
        };
        self.list(name)?.iter().enumerate().map(text).collect()
    }

    /// Refuses what was not read.
    pub(super) fn finish(self) -> Result<(), GrammarError> {
        let read = self.read.borrow();
        match self.map.iter().find(|(name, value)| !read.contains(&name.as_str()) && !value.is_null()) {
            Some((name, _)) => Err(GrammarError::unsupported(
                self.pointer.clone(),
                name.clone(),
                "no such field is known here; take it out if it constrains nothing",
            )),
            None => Ok(()),
        }
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The JSON texts of a schema's values. Errors of the schema name their place below `pointer`.
pub(super) fn schema(
    b: &mut GrammarBuilder,
    document: &Value,
    style: &JsonStyle,
    pointer: &str,
) -> Result<Expr, GrammarError> {
    let compiled = compile(document, pointer)?;
    b.json_schema(&compiled, style).map_err(|error| below(error, pointer))
}

pub(super) fn compile(document: &Value, pointer: &str) -> Result<Schema, GrammarError> {
    Schema::compile(document, &Options::default()).map_err(|error| below(error.into(), pointer))
}

/// Says that the place in an error is one below `pointer`.
pub(super) fn below(error: GrammarError, pointer: &str) -> GrammarError {
    match error {
        error if pointer.is_empty() => error,
        GrammarError::Unsupported { pointer: inner, keyword, reason } => {
            GrammarError::Unsupported { pointer: format!("{pointer}{inner}"), keyword, reason }
        }
        error => GrammarError::Within { pointer: pointer.to_owned(), source: Box::new(error) },
    }
}

/// White space between the parts of a JSON text, from a regular expression. It may allow nothing but JSON's.
pub(super) fn whitespace(pattern: &str, pointer: &str) -> Result<Whitespace, GrammarError> {
    fn is_space(hir: &Hir) -> bool {
        let space = |c: u32| matches!(c, 0x20 | 0x0a | 0x0d | 0x09);
        match hir.kind() {
            HirKind::Empty => true,
            HirKind::Literal(literal) => literal.0.iter().all(|&b| space(u32::from(b))),
            HirKind::Class(Class::Unicode(class)) => {
                class.iter().all(|r| (u32::from(r.start())..=u32::from(r.end())).take(5).all(space))
            }
            HirKind::Class(Class::Bytes(class)) => {
                class.iter().all(|r| (r.start()..=r.end()).all(|b| space(u32::from(b))))
            }
            HirKind::Look(_) => false,
            HirKind::Repetition(r) => is_space(&r.sub),
            HirKind::Capture(c) => is_space(&c.sub),
            HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(is_space),
        }
    }
    let hir =
        super::regex::parse(pattern, super::RegexSyntax::Rust).map_err(|error| below(error, pointer))?;
    if !is_space(&hir) {
        return Err(wrong(pointer, "JSON takes spaces, tabs and line ends between its parts, nothing else"));
    }
    Ok(Whitespace::Pattern(pattern.into()))
}

/// A schema whose objects take the properties that they list and no others, where they say nothing of it: how
/// XGrammar reads schemas, and what vLLM's `disable_additional_properties` asks for. Schemas that are combined in
/// place (`allOf` and the like) stay as they are: closing a part of one would refuse what the other parts list.
pub(super) fn closed(document: &Value) -> Value {
    let mut document = document.clone();
    let definitions = !combines(&document);
    close(&mut document, definitions);
    document
}

const COMBINING: [&str; 9] = [
    "allOf",
    "if",
    "not",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "$dynamicRef",
];

fn combines(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            map.keys().any(|key| COMBINING.contains(&key.as_str())) || map.values().any(combines)
        }
        Value::Array(items) => items.iter().any(combines),
        _ => false,
    }
}

fn close(schema: &mut Value, definitions: bool) {
    let Value::Object(map) = schema else { return };
    let lists = map.contains_key("properties");
    let opens = ["additionalProperties", "patternProperties", "propertyNames", "$ref", "anyOf", "oneOf"];
    let combined = opens.iter().chain(&COMBINING).any(|&keyword| map.contains_key(keyword));
    if lists && !combined {
        map.insert("additionalProperties".into(), Value::Bool(false));
    }
    for keyword in ["items", "additionalProperties", "contains", "additionalItems"] {
        map.get_mut(keyword).into_iter().for_each(|inner| close(inner, definitions));
    }
    for keyword in ["prefixItems", "anyOf", "oneOf", "items"] {
        if let Some(Value::Array(list)) = map.get_mut(keyword) {
            // Beside properties of its own, the alternatives describe the same object.
            if !(lists && keyword.ends_with("Of")) {
                list.iter_mut().for_each(|inner| close(inner, definitions));
            }
        }
    }
    for keyword in ["properties", "patternProperties", "$defs", "definitions"] {
        if let Some(Value::Object(inner)) = map.get_mut(keyword)
            && (definitions || keyword.ends_with("roperties"))
        {
            inner.values_mut().for_each(|inner| close(inner, definitions));
        }
    }
}
