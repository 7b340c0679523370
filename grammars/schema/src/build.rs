//! The builder: lazily computed sets, places, limits, notes.
//!
//! An [`Id`] names a set that is computed ([`Builder::force`]) only when its form is needed: a sub-schema of the
//! document, or an intersection, union or complement of other ids. Ids are interned, so equal requests are one entry
//! and recursion through members and items ends. A set that needs itself to be computed is an endless recursion.

use std::rc::Rc;

use serde_json::Value;

use crate::form::{ANY, Form, Id, NEVER, Place};
use crate::hash::FastMap;
use crate::source::{Base, Source};
use crate::{Note, NoteKind, Options, SchemaError};

/// Why a set could not be computed.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Final: the document is refused.
    Error(SchemaError),
    /// A set operation has no finite result; the keyword that asked for it turns this into an error or a note.
    Inexpressible(String),
}

impl Fault {
    pub(crate) fn inexpressible(why: impl Into<String>) -> Fault {
        Fault::Inexpressible(why.into())
    }

    /// Whether this must not be worked around.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self, Fault::Error(SchemaError::TooLarge { .. }))
    }
}

impl From<SchemaError> for Fault {
    fn from(error: SchemaError) -> Fault {
        Fault::Error(error)
    }
}

pub(crate) type Outcome<T> = Result<T, Fault>;

/// A step from a place to one below it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

#[derive(Clone)]
enum Lazy<'a> {
    /// A sub-schema; the flag asks for what its keywords have looked at.
    Schema(&'a Value, Base, bool),
    /// An intersection of at least two sets: sorted, none of them an intersection itself.
    And(Rc<[Id]>),
    Or(Id, Id),
    /// The complement, on behalf of a keyword.
    Not(Id, &'static str),
    Given,
}

enum State {
    Waiting,
    Running,
    Done(Rc<Form>),
}

struct Entry<'a> {
    lazy: Lazy<'a>,
    place: Place,
    state: State,
}

pub(crate) struct Builder<'a> {
    pub(crate) options: &'a Options,
    pub(crate) source: Source<'a>,
    pub(crate) notes: Vec<Note>,
    entries: Vec<Entry<'a>>,
    places: Vec<(Place, Segment<'a>)>,
    by_schema: FastMap<(usize, bool), Id>,
    by_pair: FastMap<(u8, Id, Id), Id>,
    by_parts: FastMap<Rc<[Id]>, Id>,
    steps: usize,
    depth: usize,
    /// The place being worked on, for errors without a better one, and the keyword.
    here: Place,
    keyword: &'static str,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(document: &'a Value, options: &'a Options) -> Result<Builder<'a>, SchemaError> {
        let mut builder = Builder {
            options,
            source: Source::new(document, options.draft),
            notes: Vec::new(),
            entries: Vec::with_capacity(32),
            places: Vec::with_capacity(64),
            by_schema: FastMap::default(),
            by_pair: FastMap::default(),
            by_parts: FastMap::default(),
            steps: 0,
            depth: 0,
            here: 0,
            keyword: "$schema",
        };
        builder.places.push((0, Segment::Index(0)));
        for form in [Form::any(), Form::default()] {
            builder.entries.push(Entry { lazy: Lazy::Given, place: 0, state: State::Done(Rc::new(form)) });
        }
        if let Some(name) = builder.source.unknown_dialect() {
            let why = format!("the dialect {name} is not one of draft-04 to 2020-12");
            let error = builder.unsupported(0, "$schema", why);
            builder.drop_or_fail(error)?;
        }
        Ok(builder)
    }

    // Places.

    pub(crate) fn below(&mut self, place: Place, segment: Segment<'a>) -> Place {
        self.places.push((place, segment));
        (self.places.len() - 1) as Place
    }

    /// The steps from the root to a place.
    pub(crate) fn segments(&self, place: Place) -> Vec<Segment<'a>> {
        let mut segments = Vec::new();
        let mut at = place;
        while at != 0 {
            let (parent, segment) = self.places[at as usize];
            segments.push(segment);
            at = parent;
        }
        segments.reverse();
        segments
    }

    pub(crate) fn pointer(&self, place: Place) -> String {
        let mut out = String::new();
        for segment in self.segments(place) {
            out.push('/');
            match segment {
                Segment::Key(key) => out.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Segment::Index(index) => out.push_str(&index.to_string()),
            }
        }
        out
    }

    /// Says what is being worked on; returns what was before.
    pub(crate) fn at(&mut self, place: Place, keyword: &'static str) -> (Place, &'static str) {
        (std::mem::replace(&mut self.here, place), std::mem::replace(&mut self.keyword, keyword))
    }

    pub(crate) fn place(&self) -> Place {
        self.here
    }

    // Errors, notes, limits.

    pub(crate) fn unsupported(&self, place: Place, keyword: &str, why: impl Into<String>) -> SchemaError {
        let pointer = self.pointer(place);
        SchemaError::Unsupported { pointer, keyword: keyword.into(), why: why.into() }
    }

    pub(crate) fn invalid(&self, place: Place, keyword: &str, why: impl Into<String>) -> SchemaError {
        SchemaError::Invalid { pointer: self.pointer(place), keyword: keyword.into(), why: why.into() }
    }

    pub(crate) fn note(&mut self, place: Place, keyword: &str, kind: NoteKind, text: impl Into<String>) {
        let note = Note { pointer: self.pointer(place), keyword: keyword.into(), kind, text: text.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// In lenient mode turns an error about one keyword into a note; otherwise, and for all others, fails.
    pub(crate) fn drop_or_fail(&mut self, error: SchemaError) -> Result<(), SchemaError> {
        let (pointer, keyword, text) = match &error {
            SchemaError::Unsupported { pointer, keyword, why } => {
                (pointer.clone(), keyword.clone(), why.clone())
            }
            SchemaError::Invalid { pointer, keyword, why } => (pointer.clone(), keyword.clone(), why.clone()),
            SchemaError::UnresolvedRef { pointer, .. } => (pointer.clone(), "$ref".into(), error.to_string()),
            _ => return Err(error),
        };
        if !self.options.lenient {
            return Err(error);
        }
        let note = Note { pointer, keyword, kind: NoteKind::Dropped, text };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        Ok(())
    }

    /// A fault as an error of the keyword that caused it.
    pub(crate) fn blame(&self, fault: Fault, place: Place, keyword: &str) -> SchemaError {
        match fault {
            Fault::Error(error) => error,
            Fault::Inexpressible(why) => self.unsupported(place, keyword, why),
        }
    }

    pub(crate) fn step(&mut self) -> Outcome<()> {
        self.steps_for(1)
    }

    pub(crate) fn steps_for(&mut self, count: usize) -> Outcome<()> {
        self.steps = self.steps.saturating_add(count);
        if self.steps > self.options.max_steps {
            Err(self.too_large("steps", self.options.max_steps))
        } else {
            Ok(())
        }
    }

    pub(crate) fn too_large(&self, what: &'static str, limit: usize) -> Fault {
        Fault::Error(SchemaError::TooLarge { pointer: self.pointer(self.here), what, limit })
    }

    // Ids.

    fn add(&mut self, lazy: Lazy<'a>, place: Place, state: State) -> Outcome<Id> {
        if self.entries.len() >= self.options.max_nodes {
            return Err(self.too_large("nodes", self.options.max_nodes));
        }
        self.entries.push(Entry { lazy, place, state });
        Ok((self.entries.len() - 1) as Id)
    }

    /// The set of a sub-schema.
    pub(crate) fn schema_id(
        &mut self,
        value: &'a Value,
        base: Base,
        tracked: bool,
        place: Place,
    ) -> Outcome<Id> {
        match value {
            Value::Bool(true) => return Ok(ANY),
            Value::Bool(false) => return Ok(NEVER),
            Value::Object(map) if map.is_empty() => return Ok(ANY),
            _ => {}
        }
        let key = (std::ptr::from_ref(value) as usize, tracked);
        if let Some(id) = self.by_schema.get(&key) {
            return Ok(*id);
        }
        let id = self.add(Lazy::Schema(value, base, tracked), place, State::Waiting)?;
        self.by_schema.insert(key, id);
        Ok(id)
    }

    /// The set of a form that is at hand.
    pub(crate) fn given_id(&mut self, form: Form) -> Outcome<Id> {
        if form.is_never() {
            return Ok(NEVER);
        }
        let place = self.here;
        self.add(Lazy::Given, place, State::Done(Rc::new(form)))
    }

    fn pair(&mut self, kind: u8, a: Id, b: Id, lazy: Lazy<'a>) -> Outcome<Id> {
        if let Some(id) = self.by_pair.get(&(kind, a, b)) {
            return Ok(*id);
        }
        let place = self.here;
        let id = self.add(lazy, place, State::Waiting)?;
        self.by_pair.insert((kind, a, b), id);
        Ok(id)
    }

    pub(crate) fn and_id(&mut self, a: Id, b: Id) -> Outcome<Id> {
        if a == b || b == ANY || a == NEVER {
            return Ok(a);
        }
        if a == ANY || b == NEVER {
            return Ok(b);
        }
        let (a, b) = (a.min(b), a.max(b));
        if let Some(id) = self.by_pair.get(&(0, a, b)) {
            return Ok(*id);
        }
        let id = self.new_and(a, b)?;
        self.by_pair.insert((0, a, b), id);
        Ok(id)
    }

    fn new_and(&mut self, a: Id, b: Id) -> Outcome<Id> {
        self.step()?;
        // Scalars are intersected at once: contradictions end whole branches early.
        if self.is_shallow(a) && self.is_shallow(b) {
            let (x, y) = (self.force(a)?, self.force(b)?);
            match self.and(&x, &y) {
                Ok(both) if both == *x => return Ok(a),
                Ok(both) if both == *y => return Ok(b),
                Ok(both) => return self.given_id(both),
                Err(Fault::Inexpressible(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        let parts = |id: Id| match &self.entries[id as usize].lazy {
            Lazy::And(parts) => parts.to_vec(),
            _ => vec![id],
        };
        let mut all = parts(a);
        all.extend(parts(b));
        all.sort_unstable();
        all.dedup();
        for id in &all {
            if let Lazy::Not(of, _) = &self.entries[*id as usize].lazy
                && all.binary_search(of).is_ok()
            {
                return Ok(NEVER);
            }
        }
        let all: Rc<[Id]> = all.into();
        if let Some(id) = self.by_parts.get(&all) {
            return Ok(*id);
        }
        let place = self.here;
        let id = self.add(Lazy::And(all.clone()), place, State::Waiting)?;
        self.by_parts.insert(all, id);
        Ok(id)
    }

    pub(crate) fn or_id(&mut self, a: Id, b: Id) -> Outcome<Id> {
        if a == b || b == NEVER || a == ANY {
            return Ok(a);
        }
        if a == NEVER || b == ANY {
            return Ok(b);
        }
        let (a, b) = (a.min(b), a.max(b));
        self.pair(1, a, b, Lazy::Or(a, b))
    }

    pub(crate) fn not_id(&mut self, id: Id) -> Outcome<Id> {
        match (id, &self.entries[id as usize].lazy) {
            (ANY, _) => Ok(NEVER),
            (NEVER, _) => Ok(ANY),
            (_, Lazy::Not(of, _)) => Ok(*of),
            _ => {
                let keyword = self.keyword;
                self.pair(2, id, 0, Lazy::Not(id, keyword))
            }
        }
    }

    /// Whether a set can be computed without looking at other schemas, and holds only scalars.
    pub(crate) fn is_shallow(&self, id: Id) -> bool {
        let entry = &self.entries[id as usize];
        match (&entry.state, &entry.lazy) {
            (State::Done(form), _) => form.arrays.is_empty() && form.objects.is_empty(),
            (State::Running, _) => false,
            (_, Lazy::Schema(Value::Object(map), _, _)) => {
                map.len() <= 6
                    && map.keys().all(|key| {
                        matches!(
                            key.as_str(),
                            "type"
                                | "const"
                                | "enum"
                                | "description"
                                | "title"
                                | "default"
                                | "minimum"
                                | "maximum"
                        )
                    })
                    && (map.get("type").is_some_and(|t| t != "object" && t != "array" && t.is_string())
                        || map.get("const").is_some_and(|v| !v.is_object() && !v.is_array()))
            }
            _ => false,
        }
    }

    pub(crate) fn place_of(&self, id: Id) -> Place {
        self.entries[id as usize].place
    }

    /// The form of a set, computed at most once.
    pub(crate) fn force(&mut self, id: Id) -> Outcome<Rc<Form>> {
        let entry = &mut self.entries[id as usize];
        let place = entry.place;
        match &entry.state {
            State::Done(form) => return Ok(form.clone()),
            State::Running => {
                return Err(SchemaError::EndlessRecursion { pointer: self.pointer(place) }.into());
            }
            State::Waiting => {}
        }
        entry.state = State::Running;
        let lazy = entry.lazy.clone();
        let before = self.at(place, self.keyword);
        let result = self.enter().and_then(|()| self.compute(lazy, place));
        self.depth = self.depth.saturating_sub(1);
        self.at(before.0, before.1);
        match result {
            Ok(form) => {
                let form = Rc::new(form);
                self.entries[id as usize].state = State::Done(form.clone());
                Ok(form)
            }
            Err(fault) => {
                self.entries[id as usize].state = State::Waiting;
                Err(fault)
            }
        }
    }

    /// Counts one more schema around the present one.
    fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        self.step()?;
        if self.depth > self.options.max_depth {
            return Err(self.too_large("nested schemas", self.options.max_depth));
        }
        Ok(())
    }

    /// The form of a schema that applies to the same value as the one being computed.
    pub(crate) fn inline(
        &mut self,
        value: &'a Value,
        base: Base,
        tracked: bool,
        place: Place,
    ) -> Outcome<Rc<Form>> {
        let id = self.schema_id(value, base, tracked, place)?;
        self.force(id)
    }

    fn compute(&mut self, lazy: Lazy<'a>, place: Place) -> Outcome<Form> {
        match lazy {
            Lazy::Schema(value, base, tracked) => self.schema(value, base, tracked, place),
            Lazy::And(parts) => {
                let mut out = (*self.force(parts[0])?).clone();
                for part in &parts[1..] {
                    let form = self.force(*part)?;
                    match self.and(&out, &form) {
                        Ok(both) => out = both,
                        Err(fault) => {
                            let error = self.blame(fault, place, self.keyword);
                            self.drop_or_fail(error)?;
                        }
                    }
                }
                Ok(out)
            }
            Lazy::Or(a, b) => {
                let (a, b) = (self.force(a)?, self.force(b)?);
                let mut out = (*a).clone();
                self.union(&mut out, (*b).clone(), false)?;
                Ok(out)
            }
            Lazy::Not(id, keyword) => {
                let form = self.force(id)?;
                match self.minus(&Form::any(), &form) {
                    Err(Fault::Inexpressible(why)) => {
                        let error = self.unsupported(place, keyword, why);
                        self.drop_or_fail(error)?;
                        Ok(Form::any())
                    }
                    result => result,
                }
            }
            // Given sets are done from the start.
            Lazy::Given => Ok(Form::any()),
        }
    }
}
