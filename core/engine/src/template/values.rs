//! Values of a template: JSON in, and the lists and dicts that a template makes and changes itself.
//!
//! The engine's own containers are immutable, and walked without bounds. [`MutableList`] and [`MutableMap`] stand behind
//! every list and dict literal of a template (see [`super::source`]): it can change them, they never contain themselves,
//! and walking them, like walking what was given, is budgeted (see [`super::budget`]).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectExt, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use serde_json::Value as Json;

use super::{budget, number};

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
            Value::from_object(List(items.iter().map(|i| build(i, depth + 1)).collect::<Result<_, _>>()?))
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

/// Prints a container of ours within the budget. The engine's own printing is used for `~` and for containers of its own.
fn render_list(items: &[Value], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    budget::take(items.len());
    budget::nested(|| f.debug_list().entries(items).finish())
}

fn render_map<'v>(
    items: impl ExactSizeIterator<Item = (&'v Value, &'v Value)>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    budget::take(items.len());
    budget::nested(|| f.debug_map().entries(items).finish())
}

/// The engine debug-prints what `pprint` shows, so that has to be within the budget as well.
macro_rules! debug_as {
    ($type:ty, $items:ident, $print:expr) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $items = self;
                $print(f)
            }
        }
    };
}
debug_as!(List, it, |f| render_list(&it.0, f));
debug_as!(Dict, it, |f| render_map(it.0.iter(), f));
debug_as!(MutableList, it, |f| render_list(&it.items().clone(), f));
debug_as!(MutableMap, it, |f| render_map(it.items().clone().iter(), f));

/// A list that was given to the template.
struct List(Vec<Value>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        budget::take(self.0.len());
        Enumerator::Seq(self.0.len())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render_list(&self.0, f)
    }
}

/// A dict that was given to the template. As in Python, `d.items` is the method even where there is a key `items`, and
/// `d['items']` is the entry: schemas of arrays depend on it.
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
        budget::take(self.0.len());
        self.mapped_rev_key_value_enumerator(|this| {
            Box::new(this.0.iter().map(|(k, v)| (k.clone(), v.clone())))
        })
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render_map(self.0.iter(), f)
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
#[derive(Default)]
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
        let items = self.items().clone();
        budget::take(items.len());
        Enumerator::Values(items)
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items().len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = self.items().clone();
        render_list(&items, f)
    }
}

/// A dict that a template may change.
#[derive(Default)]
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
        let keys: Vec<_> = self.items().keys().cloned().collect();
        budget::take(keys.len());
        Enumerator::Values(keys)
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items().len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = self.items().clone();
        render_map(items.iter(), f)
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

/// Fails where a tuple nests tuples too deep. They are the engine's, so walking them is not budgeted; what lies in lists
/// and dicts of ours is.
pub(super) fn check_tuple(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    const MOST: usize = 16;
    let Some(object) = value.as_object() else { return Ok(()) };
    let own = [
        object.downcast_ref::<List>().is_some(),
        object.downcast_ref::<Dict>().is_some(),
        object.downcast_ref::<MutableList>().is_some(),
        object.downcast_ref::<MutableMap>().is_some(),
    ];
    if own.contains(&true) {
        return Ok(());
    }
    if depth > MOST {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("tuples are nested deeper than {MOST} levels"),
        ));
    }
    state.consume_fuel(1)?;
    if matches!(object.repr(), ObjectRepr::Seq | ObjectRepr::Iterable) {
        for item in object.try_iter().into_iter().flatten() {
            check_tuple(state, &item, depth + 1)?;
        }
    }
    Ok(())
}

/// Fails for a namespace: one inside another would be walked without a budget, or without an end.
pub(super) fn check_not_namespace(value: &Value) -> Result<(), Error> {
    match value.as_object() {
        Some(object) if object.type_name().ends_with("::Namespace") => {
            Err(Error::new(ErrorKind::InvalidOperation, "a namespace cannot be kept inside a namespace"))
        }
        _ => Ok(()),
    }
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
