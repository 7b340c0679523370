//! The rules of arrays and objects.

use serde_json::{Map, Value};

use super::{Keywords, Scope};
use crate::Draft;
use crate::algebra::normal_array;
use crate::build::{Builder, Outcome, Segment};
use crate::form::{ANY, ArrayAtom, Counted, Id, Layer, Member, NEVER, ObjectAtom};

impl<'a> Builder<'a> {
    // Arrays.

    /// The set of a schema under a keyword that looks at members or items.
    pub(super) fn child(
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

    pub(super) fn array(&mut self, k: &Keywords<'a>, scope: Scope) -> Outcome<Option<ArrayAtom>> {
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

    pub(super) fn object(&mut self, k: &Keywords<'a>, scope: Scope) -> Outcome<Option<ObjectAtom>> {
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

    pub(super) fn names(&self, value: &'a Value, scope: Scope, keyword: &str) -> Outcome<Vec<&'a str>> {
        let names = match value {
            Value::Array(names) => names.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        names.ok_or_else(|| self.bad(scope, keyword, "must be a list of property names"))
    }

    pub(super) fn require(&mut self, atom: &mut ObjectAtom, names: Vec<&str>) -> Outcome<()> {
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
}
