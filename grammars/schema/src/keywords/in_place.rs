//! Keywords that apply other schemas to the same value, and those that look at what no other keyword has looked at.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::{Keywords, Scope};
use crate::build::{Builder, Fault, Outcome, Segment};
use crate::form::{ANY, ArrayAtom, Form, Id, Layer, Member, NEVER, ObjectAtom, StringAtom};
use crate::{NoteKind, SchemaError};

impl<'a> Builder<'a> {
    // References.

    pub(super) fn references(&mut self, k: &Keywords<'a>, scope: Scope, form: &mut Form) -> Outcome<()> {
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

    pub(super) fn branches(
        &mut self,
        value: &'a Value,
        scope: Scope,
        keyword: &'static str,
    ) -> Outcome<Vec<Rc<Form>>> {
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

    pub(super) fn branch(
        &mut self,
        value: &'a Value,
        scope: Scope,
        keyword: &'static str,
    ) -> Outcome<Rc<Form>> {
        let place = self.below(scope.place, Segment::Key(keyword));
        self.inline(value, scope.base, scope.tracked, place)
    }

    pub(super) fn applicators(&mut self, k: &Keywords<'a>, scope: Scope, form: &mut Form) -> Outcome<()> {
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

    pub(super) fn any_of(&mut self, branches: Vec<Rc<Form>>, scope: Scope) -> Outcome<Form> {
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

    pub(super) fn one_of(&mut self, form: &Form, branches: &[Rc<Form>], scope: Scope) -> Outcome<Form> {
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
    pub(super) fn have_discriminator(&mut self, branches: &[Rc<Form>]) -> Outcome<bool> {
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
    pub(super) fn string_values(&mut self, id: Id) -> Option<Vec<String>> {
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

    pub(super) fn dependencies(
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

    pub(super) fn unevaluated(&mut self, k: &Keywords<'a>, scope: Scope, form: &mut Form) -> Outcome<()> {
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
