//! Reading the keywords of one schema object into a [`Form`].
//!
//! Keywords that speak about one type restrict only that type; a schema without `type` leaves the others open.
//! The ones that apply other schemas to the same value come last, in the order in which they can help each other:
//! references and `allOf` narrow the form first, so that `not`, `oneOf` and `if` are computed on a small one.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::algebra::{normal_array, normal_number, normal_string};
use crate::build::{Builder, Fault, Outcome, Segment};
use crate::form::{
    ANY, ArrayAtom, Constant, Counted, Form, Id, Layer, Member, NEVER, NumberAtom, ObjectAtom, Place,
    StringAtom,
};
use crate::pattern::leading_looks;
use crate::source::Base;
use crate::{
    Bound, Decimal, Draft, Formats, NoteKind, NumberRules, Pattern, SchemaError, StringRules, format,
};

/// The keywords of one schema object, found in one pass over its members.
#[derive(Default)]
struct Keywords<'a> {
    reference: Option<&'a Value>,
    dynamic_ref: Option<&'a Value>,
    recursive_ref: Option<&'a Value>,
    types: Option<&'a Value>,
    nullable: bool,
    enumeration: Option<&'a Value>,
    constant: Option<&'a Value>,
    minimum: Option<&'a Value>,
    maximum: Option<&'a Value>,
    exclusive_minimum: Option<&'a Value>,
    exclusive_maximum: Option<&'a Value>,
    multiple_of: Option<&'a Value>,
    min_length: Option<&'a Value>,
    max_length: Option<&'a Value>,
    pattern: Option<&'a Value>,
    format: Option<&'a Value>,
    items: Option<&'a Value>,
    prefix_items: Option<&'a Value>,
    additional_items: Option<&'a Value>,
    unevaluated_items: Option<&'a Value>,
    contains: Option<&'a Value>,
    min_contains: Option<&'a Value>,
    max_contains: Option<&'a Value>,
    min_items: Option<&'a Value>,
    max_items: Option<&'a Value>,
    unique_items: Option<&'a Value>,
    properties: Option<&'a Value>,
    pattern_properties: Option<&'a Value>,
    additional_properties: Option<&'a Value>,
    unevaluated_properties: Option<&'a Value>,
    property_names: Option<&'a Value>,
    required: Option<&'a Value>,
    min_properties: Option<&'a Value>,
    max_properties: Option<&'a Value>,
    dependencies: Option<&'a Value>,
    dependent_required: Option<&'a Value>,
    dependent_schemas: Option<&'a Value>,
    all_of: Option<&'a Value>,
    any_of: Option<&'a Value>,
    one_of: Option<&'a Value>,
    not: Option<&'a Value>,
    condition: Option<&'a Value>,
    then: Option<&'a Value>,
    otherwise: Option<&'a Value>,
}

impl<'a> Keywords<'a> {
    /// Keywords that the draft does not have are unknown and say nothing.
    fn read(map: &'a Map<String, Value>, draft: Draft, loose: bool) -> Keywords<'a> {
        let mut k = Keywords::default();
        let from = |since: Draft| draft >= since;
        for (key, value) in map {
            let slot = match key.as_str() {
                "$ref" => &mut k.reference,
                "$dynamicRef" if from(Draft::Draft2020) => &mut k.dynamic_ref,
                "$recursiveRef" if loose || draft == Draft::Draft2019 => &mut k.recursive_ref,
                "type" => &mut k.types,
                "nullable" if loose => {
                    k.nullable = value == &Value::Bool(true);
                    continue;
                }
                "enum" => &mut k.enumeration,
                "const" if from(Draft::Draft6) => &mut k.constant,
                "minimum" => &mut k.minimum,
                "maximum" => &mut k.maximum,
                "exclusiveMinimum" => &mut k.exclusive_minimum,
                "exclusiveMaximum" => &mut k.exclusive_maximum,
                "multipleOf" => &mut k.multiple_of,
                "minLength" => &mut k.min_length,
                "maxLength" => &mut k.max_length,
                "pattern" => &mut k.pattern,
                "format" => &mut k.format,
                "items" => &mut k.items,
                "prefixItems" if from(Draft::Draft2020) => &mut k.prefix_items,
                "additionalItems" if loose || draft <= Draft::Draft2019 => &mut k.additional_items,
                "unevaluatedItems" if from(Draft::Draft2019) => &mut k.unevaluated_items,
                "contains" if from(Draft::Draft6) => &mut k.contains,
                "minContains" if from(Draft::Draft2019) => &mut k.min_contains,
                "maxContains" if from(Draft::Draft2019) => &mut k.max_contains,
                "minItems" => &mut k.min_items,
                "maxItems" => &mut k.max_items,
                "uniqueItems" => &mut k.unique_items,
                "properties" => &mut k.properties,
                "patternProperties" => &mut k.pattern_properties,
                "additionalProperties" => &mut k.additional_properties,
                "unevaluatedProperties" if from(Draft::Draft2019) => &mut k.unevaluated_properties,
                "propertyNames" if from(Draft::Draft6) => &mut k.property_names,
                "required" => &mut k.required,
                "minProperties" => &mut k.min_properties,
                "maxProperties" => &mut k.max_properties,
                // Kept for compatibility by the later drafts' own test suite.
                "dependencies" => &mut k.dependencies,
                "dependentRequired" if from(Draft::Draft2019) => &mut k.dependent_required,
                "dependentSchemas" if from(Draft::Draft2019) => &mut k.dependent_schemas,
                "allOf" => &mut k.all_of,
                "anyOf" => &mut k.any_of,
                "oneOf" => &mut k.one_of,
                "not" => &mut k.not,
                "if" if from(Draft::Draft7) => &mut k.condition,
                "then" if from(Draft::Draft7) => &mut k.then,
                "else" if from(Draft::Draft7) => &mut k.otherwise,
                _ => continue,
            };
            *slot = Some(value);
        }
        k
    }

    fn any_number(&self) -> bool {
        [self.minimum, self.maximum, self.exclusive_minimum, self.exclusive_maximum, self.multiple_of]
            .iter()
            .any(Option::is_some)
    }

    fn any_string(&self) -> bool {
        [self.min_length, self.max_length, self.pattern, self.format].iter().any(Option::is_some)
    }

    fn any_array(&self) -> bool {
        [
            self.items,
            self.prefix_items,
            self.additional_items,
            self.contains,
            self.min_items,
            self.max_items,
            self.unique_items,
        ]
        .iter()
        .any(Option::is_some)
    }

    fn any_object(&self) -> bool {
        [
            self.properties,
            self.pattern_properties,
            self.additional_properties,
            self.property_names,
            self.required,
            self.min_properties,
            self.max_properties,
        ]
        .iter()
        .any(Option::is_some)
    }
}

/// What is being read: the schema's draft and resource, where it stands, and whether looked-at members are tracked.
#[derive(Clone, Copy)]
struct Scope {
    base: Base,
    draft: Draft,
    place: Place,
    tracked: bool,
}

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
    /// The form of a schema.
    pub(crate) fn schema(
        &mut self,
        value: &'a Value,
        base: Base,
        tracked: bool,
        place: Place,
    ) -> Outcome<Form> {
        let map = match value {
            Value::Bool(true) => return Ok(Form::any()),
            Value::Bool(false) => return Ok(Form::default()),
            Value::Object(map) => map,
            _ => {
                let error = self.invalid(place, "", "a schema is an object or a boolean");
                self.drop_or_fail(error)?;
                return Ok(Form::any());
            }
        };
        let base = if map.contains_key("$id") || map.contains_key("id") {
            let path = self.path(place);
            self.source.enter(value, base, || path)
        } else {
            base
        };
        let draft = self.source.draft(base);
        let mut scope = Scope { base, draft, place, tracked };
        let loose = self.source.loose;
        let k = if draft <= Draft::Draft7 && map.contains_key("$ref") {
            Keywords { reference: map.get("$ref"), ..Keywords::default() }
        } else {
            Keywords::read(map, draft, loose)
        };
        scope.tracked |= k.unevaluated_items.is_some() || k.unevaluated_properties.is_some();

        let mut form = self.typed(&k, scope)?;
        for (keyword, slot) in [("enum", k.enumeration), ("const", k.constant)] {
            let Some(value) = slot else { continue };
            let values = match (keyword, value) {
                ("const", value) => std::slice::from_ref(value),
                (_, Value::Array(values)) => values,
                _ => {
                    let error = self.invalid(place, keyword, "must be a list of values");
                    self.drop_or_fail(error)?;
                    continue;
                }
            };
            let literal = self.literals(values, keyword, scope)?;
            form = if form.is_any() { literal } else { self.and(&form, &literal)? };
        }
        self.references(&k, scope, &mut form)?;
        self.applicators(&k, scope, &mut form)?;
        self.unevaluated(&k, scope, &mut form)?;
        Ok(form)
    }

    fn path(&self, place: Place) -> Vec<Segment<'a>> {
        self.segments(place)
    }

    /// Runs the reader of one keyword; what it refuses is an error, or in lenient mode a note and `None`.
    fn keyword<T>(
        &mut self,
        scope: Scope,
        keyword: &'static str,
        read: impl FnOnce(&mut Builder<'a>) -> Outcome<T>,
    ) -> Outcome<Option<T>> {
        let before = self.at(scope.place, keyword);
        let result = read(self);
        self.at(before.0, before.1);
        match result {
            Ok(value) => Ok(Some(value)),
            Err(fault) => {
                let error = self.blame(fault, scope.place, keyword);
                self.drop_or_fail(error)?;
                Ok(None)
            }
        }
    }

    fn bad(&self, scope: Scope, keyword: &str, why: &str) -> Fault {
        self.invalid(scope.place, keyword, why).into()
    }

    // Types and their own rules.

    fn typed(&mut self, k: &Keywords<'a>, scope: Scope) -> Outcome<Form> {
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

    fn kinds(&mut self, value: &Value, scope: Scope) -> Outcome<u8> {
        match value {
            Value::String(name) => self.kind(name, scope),
            Value::Array(names) if !names.is_empty() => names.iter().try_fold(0, |kinds, name| match name {
                Value::String(name) => Ok(kinds | self.kind(name, scope)?),
                _ => Err(self.bad(scope, "type", "must name types")),
            }),
            _ => Err(self.bad(scope, "type", "must be a type name or a non-empty list of them")),
        }
    }

    fn kind(&mut self, name: &str, scope: Scope) -> Outcome<u8> {
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

    fn decimal(&self, value: &Value, scope: Scope, keyword: &str) -> Outcome<Decimal> {
        let number = match value {
            Value::Number(number) => Decimal::from_number(number),
            _ => None,
        };
        number.ok_or_else(|| self.bad(scope, keyword, "must be a number"))
    }

    /// A count: a number without fraction and not below zero; huge ones saturate.
    fn count(&self, value: &Value, scope: Scope, keyword: &str) -> Outcome<u64> {
        let number = self.decimal(value, scope, keyword)?;
        if number.is_negative() || !number.is_integer() {
            return Err(self.bad(scope, keyword, "must be a whole number, not below zero"));
        }
        Ok(number.to_plain(24).and_then(|text| text.parse().ok()).unwrap_or(u64::MAX))
    }

    fn counts<const N: usize>(
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

    fn number(
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

    fn string(&mut self, k: &Keywords<'a>, scope: Scope) -> Outcome<Option<StringAtom>> {
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
            && self.options.formats == Formats::Enforce
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
                })?;
            if let Some((pattern, max)) = found.flatten() {
                rules.patterns.push(pattern);
                rules.max_chars = [rules.max_chars, max].into_iter().flatten().min();
            }
        }
        Ok(normal_string(rules))
    }

    fn pattern(&mut self, source: &str, scope: Scope, keyword: &'static str) -> Outcome<Pattern> {
        Pattern::parse(source).map_err(|error| {
            let why = format!("in `{source}`: {error}");
            match error.unsupported {
                true => self.unsupported(scope.place, keyword, why).into(),
                false => self.invalid(scope.place, keyword, why).into(),
            }
        })
    }

    // Arrays.

    /// The set of a schema under a keyword that looks at members or items.
    fn child(
        &mut self,
        value: &'a Value,
        scope: Scope,
        keyword: &'a str,
        more: Option<Segment<'a>>,
    ) -> Outcome<Id> {
        match value {
            Value::Bool(true) => return Ok(ANY),
            Value::Bool(false) => return Ok(NEVER),
            Value::Object(map) if map.is_empty() => return Ok(ANY),
            _ => {}
        }
        let mut place = self.below(scope.place, Segment::Key(keyword));
        if let Some(segment) = more {
            place = self.below(place, segment);
        }
        self.schema_id(value, scope.base, false, place)
    }

    fn array(&mut self, k: &Keywords<'a>, scope: Scope) -> Outcome<Option<ArrayAtom>> {
        let [min, max] = self.counts(scope, [("minItems", k.min_items), ("maxItems", k.max_items)])?;
        let mut atom = ArrayAtom { min: min.unwrap_or(0), max, ..ArrayAtom::any() };
        let mut list = |b: &mut Self, keyword: &'static str, values: &'a [Value]| -> Outcome<()> {
            for (at, value) in values.iter().enumerate() {
                atom.prefix.push(b.child(value, scope, keyword, Some(Segment::Index(at)))?);
            }
            Ok(())
        };
        match (k.prefix_items, k.items) {
            (prefix, Some(Value::Array(items))) if prefix.is_none() => {
                list(self, "items", items)?;
                if let Some(value) = k.additional_items {
                    atom.items = self.child(value, scope, "additionalItems", None)?;
                    atom.seen.all = scope.tracked;
                }
            }
            (prefix, items) => {
                match prefix {
                    Some(Value::Array(values)) => list(self, "prefixItems", values)?,
                    Some(_) => {
                        let fault = self.invalid(scope.place, "prefixItems", "must be a list of schemas");
                        self.drop_or_fail(fault)?;
                    }
                    None => {}
                }
                if let Some(value) = items {
                    atom.items = self.child(value, scope, "items", None)?;
                    atom.seen.all = scope.tracked;
                }
            }
        }
        if scope.tracked {
            atom.seen.prefix = atom.prefix.len();
        }
        if let Some(value) = k.contains {
            let id = self.child(value, scope, "contains", None)?;
            let [min, max] =
                self.counts(scope, [("minContains", k.min_contains), ("maxContains", k.max_contains)])?;
            let counted = Counted { id, min: min.unwrap_or(1), max, place: scope.place };
            if counted.min > 0 || counted.max.is_some() {
                atom.contains.push(counted);
            }
            if scope.tracked && scope.draft >= Draft::Draft2020 {
                atom.seen.contains.push(id);
            }
        }
        match k.unique_items {
            Some(Value::Bool(true)) => atom.unique = Some(scope.place),
            None | Some(Value::Bool(false)) => {}
            Some(_) => {
                let error = self.invalid(scope.place, "uniqueItems", "must be true or false");
                self.drop_or_fail(error)?;
            }
        }
        Ok(normal_array(atom))
    }

    // Objects.

    fn object(&mut self, k: &Keywords<'a>, scope: Scope) -> Outcome<Option<ObjectAtom>> {
        let [min, max] =
            self.counts(scope, [("minProperties", k.min_properties), ("maxProperties", k.max_properties)])?;
        let mut atom = ObjectAtom { min: min.unwrap_or(0), max, ..ObjectAtom::default() };
        let mut layer = Layer { patterns: Vec::new(), other: ANY, place: scope.place };
        if let Some(value) = k.pattern_properties {
            self.keyword(scope, "patternProperties", |b| {
                let Value::Object(map) = value else {
                    return Err(b.bad(scope, "patternProperties", "must be an object"));
                };
                for (source, value) in map {
                    let pattern = b.pattern(source, scope, "patternProperties")?;
                    let id = b.child(value, scope, "patternProperties", Some(Segment::Key(source)))?;
                    layer.patterns.push((pattern, id));
                }
                Ok(())
            })?;
        }
        if let Some(value) = k.additional_properties {
            layer.other = self.child(value, scope, "additionalProperties", None)?;
        }
        let mut declared: Option<&'a Map<String, Value>> = None;
        match k.properties {
            Some(Value::Object(map)) => declared = Some(map).filter(|map| !map.is_empty()),
            Some(_) => {
                let error = self.invalid(scope.place, "properties", "must be an object");
                self.drop_or_fail(error)?;
            }
            None => {}
        }
        atom.properties.reserve(declared.map_or(0, Map::len));
        let place = match declared.is_none() {
            true => scope.place,
            false => self.below(scope.place, Segment::Key("properties")),
        };
        for (name, value) in declared.into_iter().flatten() {
            let place = self.below(place, Segment::Key(name));
            let mut id = self.schema_id(value, scope.base, false, place)?;
            for at in 0..layer.patterns.len() {
                if layer.patterns[at].0.is_match(name) {
                    id = self.and_id(id, layer.patterns[at].1)?;
                }
            }
            atom.properties.insert(name.clone(), Member { id, required: false });
        }
        if scope.tracked {
            atom.seen.all = k.additional_properties.is_some();
            atom.seen.names = declared.into_iter().flat_map(Map::keys).cloned().collect();
            atom.seen.patterns = layer.patterns.iter().map(|(pattern, _)| pattern.clone()).collect();
        }
        if !layer.patterns.is_empty() || layer.other != ANY {
            atom.layers.push(layer);
        }
        if let Some(value) = k.required {
            let names = self.keyword(scope, "required", |b| b.names(value, scope, "required"))?;
            self.require(&mut atom, names.unwrap_or_default())?;
        }
        if let Some(value) = k.property_names {
            let id = self.child(value, scope, "propertyNames", None)?;
            if id == NEVER {
                atom.max = Some(0);
            } else if id != ANY {
                atom.names.push(id);
            }
        }
        let impossible = atom.max.is_some_and(|max| max < atom.min)
            || atom.properties.values().any(|m| m.required && m.id == NEVER);
        Ok((!impossible).then_some(atom))
    }

    fn names(&self, value: &'a Value, scope: Scope, keyword: &str) -> Outcome<Vec<&'a str>> {
        let names = match value {
            Value::Array(names) => names.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        names.ok_or_else(|| self.bad(scope, keyword, "must be a list of property names"))
    }

    fn require(&mut self, atom: &mut ObjectAtom, names: Vec<&str>) -> Outcome<()> {
        for name in names {
            match atom.properties.get_mut(name) {
                Some(member) => member.required = true,
                None => {
                    let id = self.rest_id(atom, name)?;
                    atom.properties.insert(name.to_owned(), Member { id, required: true });
                }
            }
        }
        Ok(())
    }

    // Constants.

    fn literals(&mut self, values: &'a [Value], keyword: &'a str, scope: Scope) -> Outcome<Form> {
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

    fn literal_id(&mut self, value: &'a Value, keyword: &'a str, scope: Scope) -> Outcome<Id> {
        let form = self.literals(std::slice::from_ref(value), keyword, scope)?;
        self.given_id(form)
    }

    // References.

    fn references(&mut self, k: &Keywords<'a>, scope: Scope, form: &mut Form) -> Outcome<()> {
        let slots =
            [("$ref", k.reference), ("$dynamicRef", k.dynamic_ref), ("$recursiveRef", k.recursive_ref)];
        for (keyword, slot) in slots {
            let Some(value) = slot else { continue };
            let target = self.keyword(scope, keyword, |b| {
                let Value::String(reference) = value else {
                    return Err(b.bad(scope, keyword, "must be a string"));
                };
                let target = match keyword {
                    "$ref" => Ok(b.source.resolve(reference, scope.base)),
                    "$dynamicRef" => b.source.resolve_dynamic(reference, scope.base),
                    _ => b.source.resolve_recursive(scope.base),
                };
                match target {
                    Ok(Some(target)) => Ok(target),
                    Ok(None) => {
                        let (pointer, reference) = (b.pointer(scope.place), reference.clone());
                        Err(SchemaError::UnresolvedRef { pointer, reference }.into())
                    }
                    Err(()) => Err(Fault::inexpressible(
                        "its target depends on which schema refers to this one; use $ref",
                    )),
                }
            })?;
            let Some(target) = target else { continue };
            let place = target.path.iter().fold(0, |place, segment| self.below(place, *segment));
            let other = self.inline(target.value, target.base, scope.tracked, place)?;
            *form = if form.is_any() { (*other).clone() } else { self.and(form, &other)? };
        }
        Ok(())
    }

    // Schemas that apply to the same value.

    fn branches(&mut self, value: &'a Value, scope: Scope, keyword: &'static str) -> Outcome<Vec<Rc<Form>>> {
        let Value::Array(values) = value else {
            return Err(self.bad(scope, keyword, "must be a list of schemas"));
        };
        let place = self.below(scope.place, Segment::Key(keyword));
        let mut forms = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let place = self.below(place, Segment::Index(at));
            forms.push(self.inline(value, scope.base, scope.tracked, place)?);
        }
        Ok(forms)
    }

    fn branch(&mut self, value: &'a Value, scope: Scope, keyword: &'static str) -> Outcome<Rc<Form>> {
        let place = self.below(scope.place, Segment::Key(keyword));
        self.inline(value, scope.base, scope.tracked, place)
    }

    fn applicators(&mut self, k: &Keywords<'a>, scope: Scope, form: &mut Form) -> Outcome<()> {
        if let Some(value) = k.all_of {
            self.keyword(scope, "allOf", |b| {
                for other in b.branches(value, scope, "allOf")? {
                    *form =
                        if form.is_any() && !scope.tracked { (*other).clone() } else { b.and(form, &other)? };
                }
                Ok(())
            })?;
        }
        if let Some(value) = k.any_of {
            self.keyword(scope, "anyOf", |b| {
                let branches = b.branches(value, scope, "anyOf")?;
                let either = b.any_of(branches, scope)?;
                *form = if form.is_any() && !scope.tracked { either } else { b.and(form, &either)? };
                Ok(())
            })?;
        }
        for (keyword, slot) in [("dependentRequired", k.dependent_required), ("dependencies", k.dependencies)]
        {
            let Some(value) = slot else { continue };
            self.keyword(scope, keyword, |b| b.dependencies(value, scope, keyword, form))?;
        }
        if let Some(value) = k.dependent_schemas {
            let keyword = "dependentSchemas";
            self.keyword(scope, keyword, |b| b.dependencies(value, scope, keyword, form))?;
        }
        if let Some(value) = k.condition
            && (k.then.is_some() || k.otherwise.is_some() || scope.tracked)
        {
            self.keyword(scope, "if", |b| {
                let condition = b.branch(value, scope, "if")?;
                let mut yes = b.and(form, &condition)?;
                if let Some(then) = k.then {
                    let then = b.branch(then, scope, "then")?;
                    yes = b.and(&yes, &then)?;
                }
                let mut no = form.clone();
                if let Some(otherwise) = k.otherwise {
                    let otherwise = b.branch(otherwise, scope, "else")?;
                    no = b.and(&no, &otherwise)?;
                }
                let no = b.minus(&no, &condition)?;
                b.union(&mut yes, no, scope.tracked)?;
                *form = yes;
                Ok(())
            })?;
        }
        if let Some(value) = k.one_of {
            self.keyword(scope, "oneOf", |b| {
                let branches = b.branches(value, scope, "oneOf")?;
                *form = b.one_of(form, &branches, scope)?;
                Ok(())
            })?;
        }
        if let Some(value) = k.not {
            self.keyword(scope, "not", |b| {
                let dropped = b.notes.len();
                let scope = Scope { tracked: false, ..scope };
                let not = b.branch(value, scope, "not")?;
                if b.notes[dropped..].iter().any(|note| note.kind == NoteKind::Dropped) {
                    return Err(Fault::inexpressible("a part of it was dropped"));
                }
                *form = b.minus(form, &not)?;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn any_of(&mut self, branches: Vec<Rc<Form>>, scope: Scope) -> Outcome<Form> {
        let mut out = Form::default();
        if !scope.tracked {
            for branch in branches {
                if !out.is_any() {
                    self.union(&mut out, (*branch).clone(), false)?;
                }
            }
            return Ok(out);
        }
        // A value in several branches has been looked at by all of them, so those are branches of their own.
        let mut combined: Vec<Form> = Vec::new();
        for branch in &branches {
            let mut more = vec![(**branch).clone()];
            for other in &combined {
                let both = self.and(other, branch)?;
                if !both.objects.is_empty() || !both.arrays.is_empty() {
                    more.push(both);
                }
            }
            combined.extend(more);
        }
        for form in combined {
            self.union(&mut out, form, true)?;
        }
        Ok(out)
    }

    fn one_of(&mut self, form: &Form, branches: &[Rc<Form>], scope: Scope) -> Outcome<Form> {
        let mut out = Form::default();
        let apart = self.have_discriminator(branches)?;
        for (at, branch) in branches.iter().enumerate() {
            let mut mine = if form.is_any() { (**branch).clone() } else { self.and(form, branch)? };
            for (other_at, other) in branches.iter().enumerate() {
                if !apart && at != other_at && !self.disjoint_by_default(&mine, other)? {
                    mine = self.minus(&mine, other).map_err(|fault| match fault {
                        Fault::Inexpressible(why) => Fault::Inexpressible(format!(
                            "branches {} and {} may both match a value, and telling them apart is not expressible: {why}",
                            at.min(other_at),
                            at.max(other_at)
                        )),
                        fault => fault,
                    })?;
                }
            }
            self.union(&mut out, mine, scope.tracked)?;
        }
        Ok(out)
    }

    /// Whether all branches are objects with a required property whose string tells them apart. The usual shape of
    /// long unions; it spares them the comparison of every pair.
    fn have_discriminator(&mut self, branches: &[Rc<Form>]) -> Outcome<bool> {
        fn object(form: &Form) -> Option<&ObjectAtom> {
            let only_objects = !form.null
                && form.bools == 0
                && form.numbers.is_empty()
                && form.strings.is_empty()
                && form.arrays.is_empty();
            match &form.objects[..] {
                [atom] if only_objects => Some(atom),
                _ => None,
            }
        }
        let Some(first) = branches.first().and_then(|b| object(b)) else { return Ok(false) };
        for (name, _) in first.properties.iter().filter(|(_, member)| member.required) {
            let mut known = HashSet::new();
            let mut apart = true;
            for branch in branches {
                let member = object(branch).and_then(|atom| atom.properties.get(name)).filter(|m| m.required);
                let Some(values) = member.and_then(|m| self.string_values(m.id)) else {
                    apart = false;
                    break;
                };
                apart &= values.into_iter().all(|value| known.insert(value));
                self.step()?;
            }
            if apart {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The strings of a set that holds nothing else, if that is cheap to know.
    fn string_values(&mut self, id: Id) -> Option<Vec<String>> {
        if !self.is_shallow(id) {
            return None;
        }
        let form = self.force(id).ok()?;
        let only_strings = !form.null && form.bools == 0 && form.numbers.is_empty();
        match &form.strings[..] {
            [StringAtom::Values(values)] if only_strings => Some(values.clone()),
            _ => None,
        }
    }

    fn dependencies(
        &mut self,
        value: &'a Value,
        scope: Scope,
        keyword: &'static str,
        form: &mut Form,
    ) -> Outcome<()> {
        let Value::Object(map) = value else { return Err(self.bad(scope, keyword, "must be an object")) };
        let place = self.below(scope.place, Segment::Key(keyword));
        for (name, value) in map {
            let then = match value {
                Value::Array(_) if keyword != "dependentSchemas" => {
                    let names = self.names(value, scope, keyword)?;
                    let mut atom = ObjectAtom::default();
                    self.require(&mut atom, names)?;
                    Rc::new(Form { objects: vec![atom], ..Form::any() })
                }
                value if keyword != "dependentRequired" => {
                    let place = self.below(place, Segment::Key(name));
                    self.inline(value, scope.base, scope.tracked, place)?
                }
                _ => return Err(self.bad(scope, keyword, "must hold lists of property names")),
            };
            let with = |id: Id, required: bool| {
                let mut atom = ObjectAtom::default();
                atom.properties.insert(name.clone(), Member { id, required });
                atom
            };
            let present = Form { objects: vec![with(ANY, true)], ..Form::default() };
            let absent = Form { objects: vec![with(NEVER, false)], ..Form::any() };
            let present = self.and(form, &present)?;
            let mut next = self.and(form, &absent)?;
            let present = self.and(&present, &then)?;
            self.union(&mut next, present, scope.tracked)?;
            *form = next;
        }
        Ok(())
    }

    // What no other keyword has looked at.

    fn unevaluated(&mut self, k: &Keywords<'a>, scope: Scope, form: &mut Form) -> Outcome<()> {
        if let Some(value) = k.unevaluated_items {
            let id = self.child(value, scope, "unevaluatedItems", None)?;
            let mut next = Vec::with_capacity(form.arrays.len());
            for mut atom in std::mem::take(&mut form.arrays) {
                if !atom.seen.all {
                    let mut items = id;
                    for seen in atom.seen.contains.clone() {
                        items = self.or_id(items, seen)?;
                    }
                    // Items that a longer prefix of another branch fixed are looked at too.
                    let rest = ArrayAtom { prefix: vec![ANY; atom.seen.prefix], items, ..ArrayAtom::any() };
                    match self.and_array(&atom, &rest)? {
                        Some(both) => atom = both,
                        None => continue,
                    }
                    atom.seen.all = true;
                }
                next.push(atom);
            }
            form.arrays = next;
        }
        if let Some(value) = k.unevaluated_properties {
            let id = self.child(value, scope, "unevaluatedProperties", None)?;
            let mut next = Vec::with_capacity(form.objects.len());
            for mut atom in std::mem::take(&mut form.objects) {
                if !atom.seen.all {
                    let patterns = atom.seen.patterns.iter().map(|p| (p.clone(), ANY)).collect();
                    let layer = Layer { patterns, other: id, place: scope.place };
                    let mut rest = ObjectAtom { layers: vec![layer], ..ObjectAtom::default() };
                    for name in &atom.seen.names {
                        rest.properties.insert(name.clone(), Member { id: ANY, required: false });
                    }
                    match self.and_object(&atom, &rest)? {
                        Some(both) => atom = both,
                        None => continue,
                    }
                    atom.seen.all = true;
                }
                next.push(atom);
            }
            form.objects = next;
        }
        Ok(())
    }
}
