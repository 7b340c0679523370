//! Values of a template: JSON in, and the lists and dicts that a template makes and changes itself.
//!
//! The engine's own containers are immutable. [`MutableList`] and [`MutableMap`] stand behind list and dict literals
//! of templates that call `append`, `update` and the like (see [`super::source`]); they never contain themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectExt, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use serde_json::Value as Json;

use super::number;

/// Nesting of JSON and of printed values that is followed; deeper is an error.
pub(super) const MAX_DEPTH: usize = 256;

/// Builds a template value, keeping key order, wide integers and floats. Fails on nesting beyond [`MAX_DEPTH`].
pub(super) fn from_json(json: &Json) -> Result<Value, Error> {
    build(json, 0)
}

fn build(json: &Json, depth: usize) -> Result<Value, Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    Ok(match json {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => number::from_json_text(n.as_str()),
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => {
            Value::from(items.iter().map(|i| build(i, depth + 1)).collect::<Result<Vec<_>, _>>()?)
        }
        Json::Object(map) => {
            let mut items = IndexMap::with_capacity(map.len());
            for (key, value) in map {
                items.insert(Value::from(key.as_str()), build(value, depth + 1)?);
            }
            Value::from_object(Dict(items))
        }
    })
}

/// A dict that was given to the template. As in Python, `d.items` is the method even where there is a key `items`, and
/// `d['items']` is the entry: schemas of arrays depend on it.
#[derive(Debug)]
struct Dict(IndexMap<Value, Value>);

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "clear" | "copy" | "fromkeys" | "get" | "items" | "keys" | "pop" | "popitem" | "setdefault"
            | "update" | "values" => Some(Value::from_object(Method)),
            _ => self.get_value(&Value::from(key)),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_rev_key_value_enumerator(|this| {
            Box::new(this.0.iter().map(|(k, v)| (k.clone(), v.clone())))
        })
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
    }
}

/// A dict's method that is not called: defined, true, and nothing else.
#[derive(Debug)]
struct Method;

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// The error for values nested beyond [`MAX_DEPTH`].
pub(super) fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("a value is nested deeper than {MAX_DEPTH} levels"))
}

/// A list that a template may change.
#[derive(Debug, Default)]
pub(super) struct MutableList(Mutex<Vec<Value>>);

impl MutableList {
    pub(super) fn new(items: Vec<Value>) -> Self {
        Self(Mutex::new(items))
    }

    /// The items, locked. Never hold it while calling into the engine.
    pub(super) fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Object for MutableList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items().get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items().clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items().len())
    }
}

/// A dict that a template may change.
#[derive(Debug, Default)]
pub(super) struct MutableMap(Mutex<IndexMap<Value, Value>>);

impl MutableMap {
    pub(super) fn new(items: IndexMap<Value, Value>) -> Self {
        Self(Mutex::new(items))
    }

    /// The entries, locked. Never hold it while calling into the engine.
    pub(super) fn items(&self) -> MutexGuard<'_, IndexMap<Value, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Object for MutableMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items().get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items().keys().cloned().collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items().len())
    }
}

/// The same changeable list or dict; contents do not matter.
fn is_same(a: &Value, b: &Value) -> bool {
    fn same<T: 'static>(a: &Value, b: &Value) -> bool {
        match (a.downcast_object_ref::<T>(), b.downcast_object_ref::<T>()) {
            (Some(a), Some(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
    same::<MutableList>(a, b) || same::<MutableMap>(a, b)
}

/// Fails when storing `value` in `container` would make a cycle, or nest too deep. Costs fuel for each value visited.
pub(super) fn check_storable(state: &State, container: &Value, value: &Value) -> Result<(), Error> {
    fn visit(state: &State, container: &Value, value: &Value, depth: usize) -> Result<(), Error> {
        let Some(object) = value.as_object() else { return Ok(()) };
        state.consume_fuel(1)?;
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if is_same(container, value) {
            return Err(Error::new(ErrorKind::InvalidOperation, "a list or dict cannot contain itself"));
        }
        match value.kind() {
            ValueKind::Map => {
                for (key, item) in object.try_iter_pairs().into_iter().flatten() {
                    visit(state, container, &key, depth + 1)?;
                    visit(state, container, &item, depth + 1)?;
                }
            }
            ValueKind::Seq | ValueKind::Iterable => {
                for item in object.try_iter().into_iter().flatten() {
                    visit(state, container, &item, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
    visit(state, container, value, 0)
}
