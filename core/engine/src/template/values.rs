//! Values of a template: JSON in, and the lists and dicts that a template makes and changes itself.
//!
//! The engine's own containers are immutable, and walked without bounds. [`MutableList`] and [`MutableMap`] stand behind
//! every list and dict literal of a template (see [`super::source`]): it can change them, they never contain themselves,
//! and walking them, like walking what was given, is budgeted (see [`super::budget`]).

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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
            let items: Vec<_> = items.iter().map(|i| build(i, depth + 1)).collect::<Result<_, _>>()?;
            let height = height_over(&items)?;
            Value::from_object(List { items, height })
        }
        Json::Object(map) => {
            let mut items = IndexMap::with_capacity(map.len());
            for (key, value) in map {
                items.insert(Value::from(key.as_str()), build(value, depth + 1)?);
            }
            let height = height_over(items.values())?;
            Value::from_object(Dict { items, height })
        }
    })
}

/// A value inside a container as Python writes it there; the engine does so for all but floats.
struct Printed<'v>(&'v Value);

impl fmt::Debug for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let float = (self.0.kind() == ValueKind::Number && !self.0.is_integer())
            .then(|| f64::try_from(self.0.clone()));
        let Some(Ok(float)) = float else { return self.0.fmt(f) };
        let mut text = String::new();
        number::push_float(&mut text, float, number::PYTHON);
        f.write_str(&text)
    }
}

/// Prints a container of ours within the budget. The engine's own printing is used for `~` and for containers of its own.
fn render_list(items: &[Value], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    budget::take(items.len());
    budget::nested(|| f.debug_list().entries(items.iter().map(Printed)).finish())
}

fn render_map<'v>(
    items: impl ExactSizeIterator<Item = (&'v Value, &'v Value)>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    budget::take(items.len());
    budget::nested(|| f.debug_map().entries(items.map(|(k, v)| (Printed(k), Printed(v)))).finish())
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
debug_as!(List, it, |f| render_list(&it.items, f));
debug_as!(Dict, it, |f| render_map(it.items.iter(), f));
debug_as!(MutableList, it, |f| render_list(&it.items().clone(), f));
debug_as!(MutableMap, it, |f| render_map(it.items().clone().iter(), f));

/// A list that was given to the template.
struct List {
    items: Vec<Value>,
    height: usize,
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        budget::take(self.items.len());
        Enumerator::Seq(self.items.len())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render_list(&self.items, f)
    }
}

/// A dict that was given to the template. As in Python, `d.items` is the method even where there is a key `items`, and
/// `d['items']` is the entry: schemas of arrays depend on it.
struct Dict {
    items: IndexMap<Value, Value>,
    height: usize,
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "clear" | "copy" | "fromkeys" | "get" | "items" | "keys" | "pop" | "popitem" | "setdefault"
            | "update" | "values" => Some(Value::from_object(Method)),
            _ => self.get_value(&Value::from(key)),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        budget::take(self.items.len());
        self.mapped_rev_key_value_enumerator(|this| {
            Box::new(this.items.iter().map(|(k, v)| (k.clone(), v.clone())))
        })
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render_map(self.items.iter(), f)
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
pub(super) struct MutableList {
    items: Mutex<Vec<Value>>,
    height: AtomicUsize,
}

impl MutableList {
    /// A list of these items; fails where they nest too deep.
    pub(super) fn value(items: Vec<Value>) -> Result<Value, Error> {
        let height = AtomicUsize::new(height_over(&items)?);
        Ok(Value::from_object(Self { items: Mutex::new(items), height }))
    }

    /// The items, locked. Never hold it while calling into the engine.
    pub(super) fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
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
pub(super) struct MutableMap {
    items: Mutex<IndexMap<Value, Value>>,
    height: AtomicUsize,
}

impl MutableMap {
    /// A dict of these entries; fails where they nest too deep.
    pub(super) fn value(items: impl IntoIterator<Item = (Value, Value)>) -> Result<Value, Error> {
        let items: IndexMap<_, _> = items.into_iter().collect();
        let height = AtomicUsize::new(height_over(items.iter().flat_map(|(k, v)| [k, v]))?);
        Ok(Value::from_object(Self { items: Mutex::new(items), height }))
    }

    /// The entries, locked. Never hold it while calling into the engine.
    pub(super) fn items(&self) -> MutexGuard<'_, IndexMap<Value, Value>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Nesting of the engine's own containers (tuples, slices, sums) that is followed; ours know their height.
const MAX_ENGINE_DEPTH: usize = 16;

/// Levels of containers in `value`: 0 for scalars. Fails beyond the limits.
fn height(value: &Value, engine_depth: usize) -> Result<usize, Error> {
    let Some(object) = value.as_object() else { return Ok(0) };
    if let Some(list) = object.downcast_ref::<List>() {
        return Ok(list.height);
    }
    if let Some(dict) = object.downcast_ref::<Dict>() {
        return Ok(dict.height);
    }
    if let Some(list) = object.downcast_ref::<MutableList>() {
        return Ok(list.height.load(Relaxed));
    }
    if let Some(map) = object.downcast_ref::<MutableMap>() {
        return Ok(map.height.load(Relaxed));
    }
    if engine_depth > MAX_ENGINE_DEPTH {
        return Err(too_deep());
    }
    let mut most = 0;
    match object.repr() {
        ObjectRepr::Plain => return Ok(0),
        ObjectRepr::Map => {
            for (_, item) in object.try_iter_pairs().into_iter().flatten() {
                most = most.max(height(&item, engine_depth + 1)?);
            }
        }
        _ => {
            for item in object.try_iter().into_iter().flatten() {
                budget::take(0);
                most = most.max(height(&item, engine_depth + 1)?);
            }
        }
    }
    Ok(most + 1)
}

/// Height of a container with these items; fails beyond [`MAX_DEPTH`].
fn height_over<'v>(items: impl IntoIterator<Item = &'v Value>) -> Result<usize, Error> {
    let mut most = 0;
    for item in items {
        most = most.max(height(item, 0)?);
    }
    if most < MAX_DEPTH { Ok(most + 1) } else { Err(too_deep()) }
}

/// Fails for a tuple that nests too deep. Tuples are the engine's and are walked without a budget, so few levels of them
/// may lie between lists and dicts of ours.
pub(super) fn check_tuple(value: &Value) -> Result<(), Error> {
    if height(value, 0)? > MAX_DEPTH { Err(too_deep()) } else { Ok(()) }
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
    visit(state, container, value, 0)?;
    let grown = height_over([value])?;
    if let Some(list) = container.downcast_object_ref::<MutableList>() {
        list.height.fetch_max(grown, Relaxed);
    } else if let Some(map) = container.downcast_object_ref::<MutableMap>() {
        map.height.fetch_max(grown, Relaxed);
    }
    Ok(())
}
