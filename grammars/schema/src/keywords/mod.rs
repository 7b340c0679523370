//! Reading the keywords of one schema object into a [`Form`].
//!
//! Keywords that speak about one type restrict only that type; a schema without `type` leaves the others open.
//! The ones that apply other schemas to the same value come last, in the order in which they can help each other:
//! references and `allOf` narrow the form first, so that `not`, `oneOf` and `if` are computed on a small one.

mod in_place;
mod members;
mod scalars;

use serde_json::{Map, Value};

use crate::Draft;
use crate::build::{Builder, Fault, Outcome, Segment};
use crate::form::{Form, Place};
use crate::source::Base;

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
}
