//! `type`, constants, and the rules of numbers and strings.

use std::collections::HashSet;

use serde_json::Value;

use super::{Keywords, Scope};
use crate::algebra::{normal_array, normal_number, normal_string};
use crate::build::{Builder, Fault, Outcome};
use crate::form::{ArrayAtom, Constant, Form, Id, Layer, Member, NEVER, NumberAtom, ObjectAtom, StringAtom};
use crate::pattern::leading_looks;
use crate::{Bound, Decimal, Draft, Formats, NoteKind, NumberRules, Pattern, StringRules, format};

/// Bits of the seven kinds of values a `type` can allow.
mod kind {
    pub(super) const NULL: u8 = 1;
    pub(super) const BOOL: u8 = 2;
    pub(super) const INTEGER: u8 = 4;
    pub(super) const NUMBER: u8 = 8;
    pub(super) const STRING: u8 = 16;
    pub(super) const ARRAY: u8 = 32;
    pub(super) const OBJECT: u8 = 64;
    pub(super) const ALL: u8 = 127;
}

/// Type names outside the standard that occur in tool definitions (Python, Java, JavaScript and C names, as in the
/// Berkeley function-calling data), and what they mean.
fn loose_type(name: &str) -> Option<u8> {
    let name = name.trim();
    let lower = name.to_ascii_lowercase();
    let generic = lower.split(['<', '[', '(']).next().unwrap_or("");
    if generic != lower && (lower.ends_with("[]") || lower.ends_with("array")) {
        return Some(kind::ARRAY);
    }
    Some(match generic.trim() {
        "string" | "str" | "char" | "character" | "text" | "date" | "datetime" | "uuid" | "bytes" => {
            kind::STRING
        }
        "integer" | "int" | "long" | "short" | "byte" | "bigint" | "biginteger" | "int32" | "int64"
        | "uint" => kind::INTEGER,
        "number" | "float" | "double" | "decimal" | "bigdecimal" | "numeric" | "float32" | "float64" => {
            kind::NUMBER
        }
        "boolean" | "bool" => kind::BOOL,
        "array" | "list" | "arraylist" | "linkedlist" | "tuple" | "set" | "hashset" | "queue" | "stack"
        | "vector" | "sequence" | "collection" => kind::ARRAY,
        "object" | "dict" | "dictionary" | "map" | "hashmap" | "hashtable" | "treemap" | "record"
        | "mapping" | "json" | "struct" => kind::OBJECT,
        "null" | "none" | "nonetype" | "nil" | "void" => kind::NULL,
        "any" | "unknown" | "mixed" => kind::ALL,
        _ => return None,
    })
}

impl<'a> Builder<'a> {
    // Types and their own rules.

    pub(super) fn typed(&mut self, k: &Keywords<'a>, scope: Scope) -> Outcome<Form> {
        let mut kinds = kind::ALL;
        if let Some(value) = k.types {
            kinds = self.keyword(scope, "type", |b| b.kinds(value, scope))?.unwrap_or(kind::ALL);
        }
        if k.nullable {
            kinds |= kind::NULL;
        }
        let has = |bit: u8| kinds & bit != 0;
        let mut form =
            Form { null: has(kind::NULL), bools: if has(kind::BOOL) { 3 } else { 0 }, ..Form::default() };
        if has(kind::NUMBER) || has(kind::INTEGER) {
            let integer = !has(kind::NUMBER);
            let rules = NumberRules { integer, ..NumberRules::default() };
            form.numbers = match k.any_number() {
                true => self.number(k, scope, rules)?.into_iter().collect(),
                false => vec![NumberAtom::Rules(rules)],
            };
        }
        if has(kind::STRING) {
            form.strings = match k.any_string() {
                true => self.string(k, scope)?.into_iter().collect(),
                false => vec![StringAtom::any()],
            };
        }
        if has(kind::ARRAY) {
            form.arrays = match k.any_array() {
                true => self.array(k, scope)?.into_iter().collect(),
                false => vec![ArrayAtom::any()],
            };
        }
        if has(kind::OBJECT) {
            form.objects = match k.any_object() {
                true => self.object(k, scope)?.into_iter().collect(),
                false => vec![ObjectAtom::default()],
            };
        }
        Ok(form)
    }

    pub(super) fn kinds(&mut self, value: &Value, scope: Scope) -> Outcome<u8> {
        match value {
            Value::String(name) => self.kind(name, scope),
            Value::Array(names) if !names.is_empty() => names.iter().try_fold(0, |kinds, name| match name {
                Value::String(name) => Ok(kinds | self.kind(name, scope)?),
                _ => Err(self.bad(scope, "type", "must name types")),
            }),
            _ => Err(self.bad(scope, "type", "must be a type name or a non-empty list of them")),
        }
    }

    pub(super) fn kind(&mut self, name: &str, scope: Scope) -> Outcome<u8> {
        Ok(match name {
            "null" => kind::NULL,
            "boolean" => kind::BOOL,
            "integer" => kind::INTEGER,
            "number" => kind::NUMBER,
            "string" => kind::STRING,
            "array" => kind::ARRAY,
            "object" => kind::OBJECT,
            _ => {
                let Some(kind) = loose_type(name) else {
                    let why = format!(
                        "`{name}` is not a type; use null, boolean, integer, number, string, array, object"
                    );
                    return Err(self.invalid(scope.place, "type", why).into());
                };
                let standard = match kind {
                    kind::NULL => "null",
                    kind::BOOL => "boolean",
                    kind::INTEGER => "integer",
                    kind::NUMBER => "number",
                    kind::STRING => "string",
                    kind::ARRAY => "array",
                    kind::OBJECT => "object",
                    _ => "any value",
                };
                self.note(scope.place, "type", NoteKind::Mapped, format!("`{name}` is read as {standard}"));
                kind
            }
        })
    }

    pub(super) fn decimal(&self, value: &Value, scope: Scope, keyword: &str) -> Outcome<Decimal> {
        let number = match value {
            Value::Number(number) => Decimal::from_number(number),
            _ => None,
        };
        number.ok_or_else(|| self.bad(scope, keyword, "must be a number"))
    }

    /// A count: a number without fraction and not below zero; huge ones saturate.
    pub(super) fn count(&self, value: &Value, scope: Scope, keyword: &str) -> Outcome<u64> {
        let number = self.decimal(value, scope, keyword)?;
        if number.is_negative() || !number.is_integer() {
            return Err(self.bad(scope, keyword, "must be a whole number, not below zero"));
        }
        Ok(number.to_plain(24).and_then(|text| text.parse().ok()).unwrap_or(u64::MAX))
    }

    pub(super) fn counts<const N: usize>(
        &mut self,
        scope: Scope,
        slots: [(&'static str, Option<&Value>); N],
    ) -> Outcome<[Option<u64>; N]> {
        let mut out = [None; N];
        for (at, (keyword, slot)) in slots.into_iter().enumerate() {
            if let Some(value) = slot {
                out[at] = self.keyword(scope, keyword, |b| b.count(value, scope, keyword))?;
            }
        }
        Ok(out)
    }

    pub(super) fn number(
        &mut self,
        k: &Keywords<'a>,
        scope: Scope,
        mut rules: NumberRules,
    ) -> Outcome<Option<NumberAtom>> {
        let sides = [
            ("minimum", k.minimum, "exclusiveMinimum", k.exclusive_minimum),
            ("maximum", k.maximum, "exclusiveMaximum", k.exclusive_maximum),
        ];
        for (at, (inclusive, slot, exclusive, exclusive_slot)) in sides.into_iter().enumerate() {
            let flag = exclusive_slot.and_then(Value::as_bool);
            let mut bound = None;
            if let Some(value) = slot {
                let value = self.keyword(scope, inclusive, |b| b.decimal(value, scope, inclusive))?;
                bound = value.map(|value| Bound { value, exclusive: flag == Some(true) });
            }
            if let (Some(value), None) = (exclusive_slot, flag) {
                let value = self.keyword(scope, exclusive, |b| b.decimal(value, scope, exclusive))?;
                if let Some(value) = value {
                    let inside = bound.as_ref().is_none_or(|old: &Bound| {
                        if at == 0 { value >= old.value } else { value <= old.value }
                    });
                    if inside {
                        bound = Some(Bound { value, exclusive: true });
                    }
                }
            }
            if at == 0 {
                rules.min = bound;
            } else {
                rules.max = bound;
            }
        }
        if let Some(value) = k.multiple_of {
            rules.multiple_of = self.keyword(scope, "multipleOf", |b| {
                let step = b.decimal(value, scope, "multipleOf")?;
                if step.is_negative() || step.is_zero() {
                    return Err(b.bad(scope, "multipleOf", "must be above zero"));
                }
                match step.small_digits() {
                    Some(_) => Ok(step),
                    None => Err(Fault::inexpressible("the number has too many digits")),
                }
            })?;
        }
        normal_number(rules).map_err(|fault| self.blame(fault, scope.place, "multipleOf").into())
    }

    pub(super) fn string(&mut self, k: &Keywords<'a>, scope: Scope) -> Outcome<Option<StringAtom>> {
        let [min, max] = self.counts(scope, [("minLength", k.min_length), ("maxLength", k.max_length)])?;
        let mut rules = StringRules { min_chars: min.unwrap_or(0), max_chars: max, ..StringRules::default() };
        if let Some(value) = k.pattern {
            let read = self.keyword(scope, "pattern", |b| {
                let Value::String(source) = value else {
                    return Err(b.bad(scope, "pattern", "must be a string"));
                };
                let Some(looks) = leading_looks(source) else {
                    return Ok((vec![b.pattern(source, scope, "pattern")?], Vec::new()));
                };
                let mut read = |list: Vec<String>| -> Outcome<Vec<Pattern>> {
                    list.iter().map(|source| b.pattern(source, scope, "pattern")).collect()
                };
                Ok((read(looks.required)?, read(looks.excluded)?))
            })?;
            (rules.patterns, rules.excluded) = read.unwrap_or_default();
        }
        if let Some(Value::String(name)) = k.format
            && self.options.formats != Formats::Annotate
        {
            let found =
                self.keyword(scope, "format", |b| match format::find(name, scope.draft < Draft::Draft7) {
                    format::Found::Pattern(pattern, max) => Ok(Some((pattern, max))),
                    format::Found::Empty => Ok(None),
                    format::Found::Annotation => {
                        let text = format!("`{name}` says nothing about the text that a grammar could hold");
                        b.note(scope.place, "format", NoteKind::Dropped, text);
                        Ok(None)
                    }
                    format::Found::Refused(why) => Err(b.unsupported(scope.place, "format", why).into()),
                    format::Found::Unknown => {
                        let why = format!(
                            "`{name}` is not a known format; use a pattern, or another `formats` option"
                        );
                        if b.options.formats == Formats::Enforce {
                            return Err(b.unsupported(scope.place, "format", why).into());
                        }
                        b.note(scope.place, "format", NoteKind::Dropped, why);
                        Ok(None)
                    }
                })?;
            if let Some((pattern, max)) = found.flatten() {
                rules.patterns.push(pattern);
                rules.max_chars = [rules.max_chars, max].into_iter().flatten().min();
            }
        }
        Ok(normal_string(rules))
    }

    pub(super) fn pattern(&mut self, source: &str, scope: Scope, keyword: &'static str) -> Outcome<Pattern> {
        Pattern::parse(source).map_err(|error| {
            let why = format!("in `{source}`: {error}");
            match error.unsupported {
                true => self.unsupported(scope.place, keyword, why).into(),
                false => self.invalid(scope.place, keyword, why).into(),
            }
        })
    }

    // Constants.

    pub(super) fn literals(&mut self, values: &'a [Value], keyword: &'a str, scope: Scope) -> Outcome<Form> {
        let mut form = Form::default();
        let mut numbers: Vec<Constant> = Vec::new();
        let mut strings = Vec::new();
        let mut known = HashSet::with_capacity(values.len());
        self.steps_for(values.len() / 8)?;
        for value in values {
            match value {
                Value::Null => form.null = true,
                Value::Bool(flag) => form.bools |= 1 << u8::from(*flag),
                Value::Number(text) => {
                    let value = self.decimal(value, scope, keyword)?;
                    if !numbers.iter().any(|n| n.value == value) {
                        numbers.push(Constant { text: text.clone(), value });
                    }
                }
                Value::String(text) => {
                    if known.insert(text.as_str()) {
                        strings.push(text.clone());
                    }
                }
                Value::Array(items) => {
                    let mut prefix = Vec::with_capacity(items.len());
                    for item in items {
                        prefix.push(self.literal_id(item, keyword, scope)?);
                    }
                    let len = items.len() as u64;
                    let atom =
                        ArrayAtom { prefix, items: NEVER, min: len, max: Some(len), ..ArrayAtom::any() };
                    form.arrays.extend(normal_array(atom));
                }
                Value::Object(members) => {
                    let mut atom = ObjectAtom::default();
                    for (name, value) in members {
                        let id = self.literal_id(value, keyword, scope)?;
                        atom.properties.insert(name.clone(), Member { id, required: true });
                    }
                    atom.layers.push(Layer { patterns: Vec::new(), other: NEVER, place: scope.place });
                    form.objects.push(atom);
                }
            }
        }
        if !numbers.is_empty() {
            form.numbers.push(NumberAtom::Values(numbers));
        }
        if !strings.is_empty() {
            form.strings.push(StringAtom::Values(strings));
        }
        Ok(form)
    }

    pub(super) fn literal_id(&mut self, value: &'a Value, keyword: &'a str, scope: Scope) -> Outcome<Id> {
        let form = self.literals(std::slice::from_ref(value), keyword, scope)?;
        self.given_id(form)
    }
}
