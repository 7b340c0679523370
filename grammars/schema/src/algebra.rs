//! Set operations on [`Form`]s: intersection, union, difference, and proofs of emptiness.
//!
//! All are exact. Intersection and union always succeed (but for numbers too large to combine); difference fails
//! where the result has no finite form, and then says why. Member and item schemas are combined as lazy ids.

use crate::build::{Builder, Fault};
use crate::form::{
    ANY, ArrayAtom, Constant, Counted, Form, Id, Layer, Member, NEVER, NumberAtom, ObjectAtom, StringAtom,
    Wanted,
};
use crate::{Bound, Decimal, NumberRules, StringRules};

/// How deep required members are searched for a contradiction.
const EMPTY_DEPTH: usize = 4;
/// Most alternatives that an intersection or a difference of objects may multiply to.
const MAX_ALTERNATIVES: usize = 1024;
/// Longest array whose items are told apart one by one in a difference.
const UNROLL: u64 = 16;

type Result<T> = std::result::Result<T, Fault>;

fn min_option(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn tighter(a: Option<Bound>, b: Option<Bound>, lower: bool) -> Option<Bound> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let order = a.value.cmp(&b.value).then(a.exclusive.cmp(&b.exclusive));
            let order = if lower || a.value == b.value { order } else { order.reverse() };
            Some(if order.is_ge() { a } else { b })
        }
        (a, b) => a.or(b),
    }
}

/// Brings rules to their simplest form; `None` if no number keeps them.
pub(crate) fn normal_number(mut r: NumberRules) -> Result<Option<NumberAtom>> {
    let one = Decimal::from(1);
    if let Some(m) = &r.multiple_of {
        r.integer |= m.is_integer();
        if r.integer {
            let m = m.lcm(&one).ok_or_else(|| Fault::inexpressible("a number with too many digits"))?;
            r.multiple_of = (m != one).then_some(m);
        }
    }
    if r.integer {
        for (bound, up) in [(&mut r.min, true), (&mut r.max, false)] {
            let Some(b) = bound else { continue };
            let mut value = b.value.round(up);
            if b.exclusive && value == b.value {
                match value.neighbour(up) {
                    Some(next) => value = next,
                    None => continue,
                }
            }
            *b = Bound { value, exclusive: false };
        }
    }
    let step = r.multiple_of.as_ref().or(r.integer.then_some(&one));
    if let Some(step) = step
        && r.not_multiple_of.iter().any(|n| step.is_multiple_of(n))
    {
        return Ok(None);
    }
    if let (Some(min), Some(max)) = (&r.min, &r.max) {
        if min.value > max.value || (min.value == max.value && (min.exclusive || max.exclusive)) {
            return Ok(None);
        }
        if min.value == max.value {
            let value = min.value.clone();
            if !r.accepts(&value) {
                return Ok(None);
            }
            let text = value.to_plain(400).and_then(|text| serde_json::from_str(&text).ok());
            if let Some(text) = text {
                return Ok(Some(NumberAtom::Values(vec![Constant { text, value }])));
            }
        }
    }
    Ok(Some(NumberAtom::Rules(r)))
}

/// Brings rules to their simplest form; `None` if they contradict each other plainly.
pub(crate) fn normal_string(r: StringRules) -> Option<StringAtom> {
    if r.max_chars.is_some_and(|max| max < r.min_chars) || r.patterns.iter().any(|p| r.excluded.contains(p)) {
        return None;
    }
    if r.max_chars == Some(0) {
        return r.accepts("").then(|| StringAtom::Values(vec![String::new()]));
    }
    Some(StringAtom::Rules(r))
}

pub(crate) fn and_number(a: &NumberAtom, b: &NumberAtom) -> Result<Option<NumberAtom>> {
    let values = |values: &[Constant], keep: &dyn Fn(&Constant) -> bool| {
        let kept: Vec<_> = values.iter().filter(|v| keep(v)).cloned().collect();
        (!kept.is_empty()).then_some(NumberAtom::Values(kept))
    };
    Ok(match (a, b) {
        (NumberAtom::Values(a), NumberAtom::Values(b)) => values(a, &|v| b.contains(v)),
        (NumberAtom::Values(v), NumberAtom::Rules(r)) | (NumberAtom::Rules(r), NumberAtom::Values(v)) => {
            values(v, &|v| r.accepts(&v.value))
        }
        (NumberAtom::Rules(a), NumberAtom::Rules(b)) => {
            let multiple_of = match (&a.multiple_of, &b.multiple_of) {
                (Some(a), Some(b)) => Some(
                    a.lcm(b)
                        .ok_or_else(|| Fault::inexpressible("multiples of numbers with too many digits"))?,
                ),
                (a, b) => a.clone().or(b.clone()),
            };
            let mut not_multiple_of = a.not_multiple_of.clone();
            b.not_multiple_of.iter().for_each(|n| push_new(&mut not_multiple_of, n.clone()));
            not_multiple_of.sort();
            normal_number(NumberRules {
                integer: a.integer || b.integer,
                min: tighter(a.min.clone(), b.min.clone(), true),
                max: tighter(a.max.clone(), b.max.clone(), false),
                multiple_of,
                not_multiple_of,
            })?
        }
    })
}

pub(crate) fn and_string(a: &StringAtom, b: &StringAtom) -> Option<StringAtom> {
    let values = |values: &[String], other: &StringAtom| {
        let kept: Vec<_> = values.iter().filter(|v| other.accepts(v)).cloned().collect();
        (!kept.is_empty()).then_some(StringAtom::Values(kept))
    };
    match (a, b) {
        (StringAtom::Values(v), other) | (other, StringAtom::Values(v)) => values(v, other),
        (StringAtom::Rules(a), StringAtom::Rules(b)) => {
            let mut out = a.clone();
            out.min_chars = out.min_chars.max(b.min_chars);
            out.max_chars = min_option(out.max_chars, b.max_chars);
            b.patterns.iter().for_each(|p| push_new(&mut out.patterns, p.clone()));
            b.excluded.iter().for_each(|p| push_new(&mut out.excluded, p.clone()));
            b.excluded_values.iter().for_each(|v| push_new(&mut out.excluded_values, v.clone()));
            normal_string(out)
        }
    }
}

fn not_number(atom: &NumberAtom) -> Result<Vec<NumberAtom>> {
    let mut out = Vec::new();
    let mut add = |rules: NumberRules| -> Result<()> {
        out.extend(normal_number(rules)?);
        Ok(())
    };
    let bound = |value: &Decimal, exclusive| Some(Bound { value: value.clone(), exclusive });
    match atom {
        NumberAtom::Values(values) => {
            let mut sorted: Vec<&Decimal> = values.iter().map(|v| &v.value).collect();
            sorted.sort();
            let mut low = None;
            for value in sorted {
                let max = bound(value, true);
                add(NumberRules { min: low.take(), max, ..NumberRules::default() })?;
                low = bound(value, true);
            }
            add(NumberRules { min: low, ..NumberRules::default() })?;
        }
        NumberAtom::Rules(r) => {
            if let Some(min) = &r.min {
                add(NumberRules { max: bound(&min.value, !min.exclusive), ..NumberRules::default() })?;
            }
            if let Some(max) = &r.max {
                add(NumberRules { min: bound(&max.value, !max.exclusive), ..NumberRules::default() })?;
            }
            let step = r.multiple_of.clone().or(r.integer.then(|| Decimal::from(1)));
            if let Some(step) = step {
                add(NumberRules { not_multiple_of: vec![step], ..NumberRules::default() })?;
            }
            for step in &r.not_multiple_of {
                add(NumberRules { multiple_of: Some(step.clone()), ..NumberRules::default() })?;
            }
        }
    }
    Ok(out)
}

fn not_string(atom: &StringAtom) -> Vec<StringAtom> {
    let mut out = Vec::new();
    let mut add = |rules: StringRules| out.extend(normal_string(rules));
    match atom {
        StringAtom::Values(values) => {
            add(StringRules { excluded_values: values.clone(), ..StringRules::default() });
        }
        StringAtom::Rules(r) => {
            if r.min_chars > 0 {
                add(StringRules { max_chars: Some(r.min_chars - 1), ..StringRules::default() });
            }
            if let Some(max) = r.max_chars {
                add(StringRules { min_chars: max.saturating_add(1), ..StringRules::default() });
            }
            for p in &r.patterns {
                add(StringRules { excluded: vec![p.clone()], ..StringRules::default() });
            }
            for p in &r.excluded {
                add(StringRules { patterns: vec![p.clone()], ..StringRules::default() });
            }
            if !r.excluded_values.is_empty() {
                out.push(StringAtom::Values(r.excluded_values.clone()));
            }
        }
    }
    out
}

/// Adds the atoms of `from`; one that allows everything swallows the rest.
fn merge<T: PartialEq>(into: &mut Vec<T>, from: Vec<T>, is_any: impl Fn(&T) -> bool) {
    if into.first().is_some_and(&is_any) {
        return;
    }
    if from.iter().any(&is_any) {
        into.clear();
        into.extend(from.into_iter().find(is_any));
        return;
    }
    for atom in from {
        push_new(into, atom);
    }
}

impl Builder<'_> {
    pub(crate) fn and(&mut self, a: &Form, b: &Form) -> Result<Form> {
        self.step()?;
        let mut out = Form { null: a.null && b.null, bools: a.bools & b.bools, ..Form::default() };
        for x in &a.numbers {
            for y in &b.numbers {
                if let Some(atom) = and_number(x, y)? {
                    push_new(&mut out.numbers, atom);
                }
            }
        }
        for x in &a.strings {
            for y in &b.strings {
                if let Some(atom) = and_string(x, y) {
                    push_new(&mut out.strings, atom);
                }
            }
        }
        for x in &a.arrays {
            for y in &b.arrays {
                if let Some(atom) = self.and_array(x, y)? {
                    push_new(&mut out.arrays, atom);
                }
            }
        }
        for x in &a.objects {
            for y in &b.objects {
                if let Some(atom) = self.and_object(x, y)? {
                    self.push_object(&mut out.objects, atom)?;
                }
            }
        }
        Ok(out)
    }

    /// Adds an alternative, at the price of comparing it with the others.
    fn push_object(&mut self, list: &mut Vec<ObjectAtom>, atom: ObjectAtom) -> Result<()> {
        self.steps_for(list.len() / 8 + atom.properties.len() / 8)?;
        if list.iter().any(|other| atom.is_plainly_in(other)) {
            return Ok(());
        }
        list.retain(|other| !other.is_plainly_in(&atom));
        if list.len() >= MAX_ALTERNATIVES {
            return Err(self.too_large("alternatives of one object", MAX_ALTERNATIVES));
        }
        list.push(atom);
        Ok(())
    }

    /// Adds `b` to `a`. With `tracked`, atoms also differ by what they have looked at and nothing is swallowed.
    pub(crate) fn union(&mut self, a: &mut Form, b: Form, tracked: bool) -> Result<()> {
        self.steps_for(a.objects.len().saturating_mul(b.objects.len()) / 8 + 1)?;
        a.null |= b.null;
        a.bools |= b.bools;
        for atom in b.numbers {
            match (a.numbers.iter_mut().find(|n| matches!(n, NumberAtom::Values(_))), atom) {
                (Some(NumberAtom::Values(values)), NumberAtom::Values(more)) => {
                    more.into_iter().for_each(|v| push_new(values, v));
                }
                (_, atom) => {
                    merge(&mut a.numbers, vec![atom], |n| matches!(n, NumberAtom::Rules(r) if r.is_any()))
                }
            }
        }
        for atom in b.strings {
            match (a.strings.iter_mut().find(|n| matches!(n, StringAtom::Values(_))), atom) {
                (Some(StringAtom::Values(values)), StringAtom::Values(more)) => {
                    more.into_iter().for_each(|v| push_new(values, v));
                }
                (_, atom) => {
                    merge(&mut a.strings, vec![atom], |s| matches!(s, StringAtom::Rules(r) if r.is_any()))
                }
            }
        }
        merge(&mut a.arrays, b.arrays, |x| !tracked && x.is_any());
        merge(&mut a.objects, b.objects, |x| !tracked && x.is_any());
        Ok(())
    }

    pub(crate) fn and_array(&mut self, a: &ArrayAtom, b: &ArrayAtom) -> Result<Option<ArrayAtom>> {
        self.step()?;
        let mut out = a.clone();
        out.prefix.clear();
        for at in 0..a.prefix.len().max(b.prefix.len()) {
            let id = self.and_id(a.item(at), b.item(at))?;
            out.prefix.push(id);
        }
        out.items = self.and_id(a.items, b.items)?;
        out.min = a.min.max(b.min);
        out.max = min_option(a.max, b.max);
        for counted in &b.contains {
            push_new(&mut out.contains, counted.clone());
        }
        out.unique = a.unique.or(b.unique);
        out.seen.all |= b.seen.all;
        out.seen.prefix = a.seen.prefix.max(b.seen.prefix);
        b.seen.contains.iter().for_each(|id| push_new(&mut out.seen.contains, *id));
        Ok(normal_array(out))
    }

    pub(crate) fn and_object(&mut self, a: &ObjectAtom, b: &ObjectAtom) -> Result<Option<ObjectAtom>> {
        self.steps_for(1 + (a.properties.len() + b.properties.len()) / 8)?;
        let mut out = a.clone();
        for (name, member) in &mut out.properties {
            let other = match b.properties.get(name) {
                Some(other) => *other,
                None => Member { id: self.rest_id(b, name)?, required: false },
            };
            member.id = self.and_id(member.id, other.id)?;
            member.required |= other.required;
        }
        for (name, member) in &b.properties {
            if !a.properties.contains_key(name) {
                let id = self.rest_id(a, name)?;
                let id = self.and_id(id, member.id)?;
                out.properties.insert(name.clone(), Member { id, required: member.required });
            }
        }
        if out.properties.values().any(|m| m.required && m.id == NEVER) {
            return Ok(None);
        }
        for layer in &b.layers {
            self.add_layer(&mut out.layers, layer.clone())?;
        }
        b.names.iter().for_each(|id| push_new(&mut out.names, *id));
        b.wanted.iter().for_each(|wanted| push_new(&mut out.wanted, wanted.clone()));
        out.min = a.min.max(b.min);
        out.max = min_option(a.max, b.max);
        if out.max.is_some_and(|max| max < out.min) {
            return Ok(None);
        }
        out.seen.all |= b.seen.all;
        b.seen.names.iter().for_each(|n| push_new(&mut out.seen.names, n.clone()));
        b.seen.patterns.iter().for_each(|p| push_new(&mut out.seen.patterns, p.clone()));
        Ok(Some(out))
    }

    pub(crate) fn add_layer(&mut self, layers: &mut Vec<Layer>, layer: Layer) -> Result<()> {
        if layer.patterns.is_empty() {
            if layer.other == ANY {
                return Ok(());
            }
            if let Some(old) = layers.iter_mut().find(|l| l.patterns.is_empty()) {
                old.other = self.and_id(old.other, layer.other)?;
                return Ok(());
            }
        }
        let known = |l: &Layer| l.patterns == layer.patterns && l.other == layer.other;
        if !layers.iter().any(known) {
            layers.push(layer);
        }
        Ok(())
    }

    /// What the value of a name without declaration may be.
    pub(crate) fn rest_id(&mut self, atom: &ObjectAtom, name: &str) -> Result<Id> {
        let mut id = ANY;
        for layer in &atom.layers {
            let mut matched = false;
            for (pattern, schema) in &layer.patterns {
                if pattern.is_match(name) {
                    matched = true;
                    id = self.and_id(id, *schema)?;
                }
            }
            if !matched {
                id = self.and_id(id, layer.other)?;
            }
        }
        Ok(id)
    }

    /// What is in `a` and not in `b`.
    pub(crate) fn minus(&mut self, a: &Form, b: &Form) -> Result<Form> {
        self.step()?;
        let mut out = Form { null: a.null && !b.null, bools: a.bools & !b.bools, ..Form::default() };
        out.numbers.clone_from(&a.numbers);
        for atom in &b.numbers {
            let complement = not_number(atom)?;
            let mut next = Vec::new();
            for x in &out.numbers {
                for y in &complement {
                    self.step()?;
                    next.extend(and_number(x, y)?);
                }
            }
            out.numbers = next;
        }
        out.strings.clone_from(&a.strings);
        for atom in &b.strings {
            let complement = not_string(atom);
            let mut next = Vec::new();
            for x in &out.strings {
                for y in &complement {
                    self.step()?;
                    next.extend(and_string(x, y));
                }
            }
            out.strings = next;
        }
        out.arrays.clone_from(&a.arrays);
        for atom in &b.arrays {
            let mut next = Vec::new();
            for x in &out.arrays {
                self.minus_array(x, atom, &mut next)?;
            }
            out.arrays = next;
        }
        out.objects.clone_from(&a.objects);
        for atom in &b.objects {
            let mut next = Vec::new();
            for x in &out.objects {
                self.minus_object(x, atom, &mut next)?;
            }
            out.objects = next;
        }
        Ok(out)
    }

    fn minus_array(&mut self, a: &ArrayAtom, b: &ArrayAtom, out: &mut Vec<ArrayAtom>) -> Result<()> {
        if self.disjoint_arrays(a, b)? {
            push_new(out, a.clone());
            return Ok(());
        }
        if b.unique.is_some() {
            return Err(Fault::inexpressible("it needs the opposite of uniqueItems"));
        }
        let mut pieces = Vec::new();
        if b.min > 0 {
            pieces.push(ArrayAtom { max: Some(b.min - 1), ..ArrayAtom::any() });
        }
        if let Some(max) = b.max {
            pieces.push(ArrayAtom { min: max.saturating_add(1), ..ArrayAtom::any() });
        }
        let item_piece = |at: usize, id: Id| {
            let mut prefix = vec![ANY; at];
            prefix.push(id);
            ArrayAtom { prefix, min: at as u64 + 1, ..ArrayAtom::any() }
        };
        for (at, id) in b.prefix.iter().enumerate() {
            if *id != ANY && *id != a.item(at) {
                pieces.push(item_piece(at, self.not_id(*id)?));
            }
        }
        let from = b.prefix.len();
        let end = min_option(a.max, b.max);
        if b.items == NEVER {
            pieces.push(ArrayAtom { min: from as u64 + 1, ..ArrayAtom::any() });
        } else if b.items != ANY && !(a.items == b.items && a.prefix.len() <= from) {
            let not = self.not_id(b.items)?;
            match end {
                Some(end) if end <= UNROLL => {
                    pieces.extend((from..end as usize).map(|at| item_piece(at, not)));
                }
                _ if from == 0 => {
                    let place = self.place();
                    let contains = vec![Counted { id: not, min: 1, max: None, place }];
                    pieces.push(ArrayAtom { contains, ..ArrayAtom::any() });
                }
                _ => {
                    return Err(Fault::inexpressible(
                        "it needs arrays in which some item after the first few is wrong",
                    ));
                }
            }
        }
        for counted in &b.contains {
            if counted.min > 0 {
                let less = Counted { min: 0, max: Some(counted.min - 1), ..counted.clone() };
                pieces.push(ArrayAtom { contains: vec![less], ..ArrayAtom::any() });
            }
            if let Some(max) = counted.max {
                let more = Counted { min: max.saturating_add(1), max: None, ..counted.clone() };
                pieces.push(ArrayAtom { contains: vec![more], ..ArrayAtom::any() });
            }
        }
        for piece in pieces {
            if let Some(atom) = self.and_array(a, &piece)? {
                push_new(out, atom);
            }
        }
        Ok(())
    }

    fn minus_object(&mut self, a: &ObjectAtom, b: &ObjectAtom, out: &mut Vec<ObjectAtom>) -> Result<()> {
        if self.disjoint_objects(a, b, EMPTY_DEPTH)? {
            return self.push_object(out, a.clone());
        }
        let mut pieces = Vec::new();
        let one = |name: &str, id: Id, required: bool| {
            let mut atom = ObjectAtom::default();
            atom.properties.insert(name.to_owned(), Member { id, required });
            atom
        };
        if b.min > 0 {
            pieces.push(ObjectAtom { max: Some(b.min - 1), ..ObjectAtom::default() });
        }
        if let Some(max) = b.max {
            pieces.push(ObjectAtom { min: max.saturating_add(1), ..ObjectAtom::default() });
        }
        for (name, member) in &b.properties {
            let mine = match a.properties.get(name) {
                Some(mine) => *mine,
                None => Member { id: self.rest_id(a, name)?, required: false },
            };
            let may_miss = member.required && !mine.required;
            if member.id != ANY && member.id != mine.id && mine.id != NEVER {
                // Missing or wrong is one piece.
                pieces.push(one(name, self.not_id(member.id)?, !may_miss));
            } else if may_miss {
                pieces.push(one(name, NEVER, false));
            }
        }
        for id in b.names.iter().filter(|id| !a.names.contains(id)) {
            self.wrong_name(*id, &mut pieces)?;
        }
        if !a.is_closed() {
            for layer in b.layers.iter().filter(|layer| !a.layers.contains(layer)) {
                self.wrong_value(a, b, layer, &mut pieces)?;
            }
        }
        for wanted in &b.wanted {
            pieces.push(self.none_of(wanted)?);
        }
        if !b.layers.is_empty() {
            // What is left to be wrong are the names that only `a` declares.
            for (name, member) in &a.properties {
                if member.id != NEVER && !b.properties.contains_key(name) {
                    let theirs = self.rest_id(b, name)?;
                    if theirs != ANY && theirs != member.id {
                        pieces.push(one(name, self.not_id(theirs)?, true));
                    }
                }
            }
        }
        for piece in pieces {
            if let Some(atom) = self.and_object(a, &piece)? {
                self.push_object(out, atom)?;
            }
        }
        Ok(())
    }

    /// The objects with a name that is not in a set.
    fn wrong_name(&mut self, names: Id, pieces: &mut Vec<ObjectAtom>) -> Result<()> {
        let not = self.not_id(names)?;
        let (place, keyword) = (self.place(), "propertyNames");
        for atom in &self.force(not)?.strings {
            match atom {
                StringAtom::Values(values) => pieces.extend(values.iter().map(|name| {
                    let mut piece = ObjectAtom::default();
                    piece.properties.insert(name.clone(), Member { id: ANY, required: true });
                    piece
                })),
                StringAtom::Rules(key) => {
                    let key = key.clone();
                    let wanted = Wanted { key, except: Vec::new(), id: ANY, place, keyword };
                    pieces.push(ObjectAtom { wanted: vec![wanted], ..ObjectAtom::default() });
                }
            }
        }
        Ok(())
    }

    /// The objects in which the value of a name that neither `a` nor `b` declares breaks a layer of `b`.
    fn wrong_value(
        &mut self,
        a: &ObjectAtom,
        b: &ObjectAtom,
        layer: &Layer,
        pieces: &mut Vec<ObjectAtom>,
    ) -> Result<()> {
        let mut except: Vec<String> = a.properties.keys().chain(b.properties.keys()).cloned().collect();
        except.sort_unstable();
        except.dedup();
        let patterns = || layer.patterns.iter().map(|(pattern, _)| pattern.clone());
        let mut classes =
            vec![(StringRules { excluded: patterns().collect(), ..StringRules::default() }, layer.other)];
        for (pattern, id) in &layer.patterns {
            classes.push((StringRules { patterns: vec![pattern.clone()], ..StringRules::default() }, *id));
        }
        let (place, keyword) = (self.place(), "not");
        for (key, id) in classes {
            if id != ANY {
                let wanted = Wanted { key, except: except.clone(), id: self.not_id(id)?, place, keyword };
                pieces.push(ObjectAtom { wanted: vec![wanted], ..ObjectAtom::default() });
            }
        }
        Ok(())
    }

    /// The objects in which nothing that is wanted is present.
    fn none_of(&mut self, wanted: &Wanted) -> Result<ObjectAtom> {
        let place = self.place();
        let not = self.not_id(wanted.id)?;
        let key = &wanted.key;
        let plain = StringRules { patterns: key.patterns.clone(), ..StringRules::default() };
        let other = StringRules { excluded: key.excluded.clone(), ..StringRules::default() };
        let layer = match &key.patterns[..] {
            [pattern] if *key == plain => Layer { patterns: vec![(pattern.clone(), not)], other: ANY, place },
            [] if *key == other => {
                let patterns = key.excluded.iter().map(|pattern| (pattern.clone(), ANY)).collect();
                Layer { patterns, other: not, place }
            }
            _ => return Err(Fault::inexpressible("it needs names that keep propertyNames after all")),
        };
        let mut atom = ObjectAtom::default();
        for name in &wanted.except {
            atom.properties.insert(name.clone(), Member { id: ANY, required: false });
        }
        self.add_layer(&mut atom.layers, layer)?;
        Ok(atom)
    }

    /// Whether no value is provably in both.
    pub(crate) fn disjoint(&mut self, a: &Form, b: &Form, depth: usize) -> Result<bool> {
        self.step()?;
        if (a.null && b.null) || a.bools & b.bools != 0 {
            return Ok(false);
        }
        for x in &a.numbers {
            for y in &b.numbers {
                if and_number(x, y)?.is_some() {
                    return Ok(false);
                }
            }
        }
        for x in &a.strings {
            for y in &b.strings {
                match and_string(x, y) {
                    Some(StringAtom::Rules(rules)) => {
                        let p = &rules.patterns;
                        let apart = |i: usize| p[..i].iter().any(|q| q.is_disjoint(&p[i]) == Some(true));
                        if !(1..p.len()).any(apart) {
                            return Ok(false);
                        }
                    }
                    Some(StringAtom::Values(_)) => return Ok(false),
                    None => {}
                }
            }
        }
        for x in &a.arrays {
            for y in &b.arrays {
                if !self.disjoint_arrays(x, y)? {
                    return Ok(false);
                }
            }
        }
        for x in &a.objects {
            for y in &b.objects {
                if !self.disjoint_objects(x, y, depth)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    pub(crate) fn disjoint_by_default(&mut self, a: &Form, b: &Form) -> Result<bool> {
        self.disjoint(a, b, EMPTY_DEPTH)
    }

    fn disjoint_arrays(&mut self, a: &ArrayAtom, b: &ArrayAtom) -> Result<bool> {
        let Some(both) = self.and_array(a, b)? else { return Ok(true) };
        for at in 0..both.min.min(UNROLL) as usize {
            if self.disjoint_ids(a.item(at), b.item(at), 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn disjoint_objects(&mut self, a: &ObjectAtom, b: &ObjectAtom, depth: usize) -> Result<bool> {
        self.steps_for(1 + (a.properties.len() + b.properties.len()) / 16)?;
        let below = |max: Option<u64>, min: u64| max.is_some_and(|max| max < min);
        if below(a.max, b.min) || below(b.max, a.min) {
            return Ok(true);
        }
        for (x, y) in [(a, b), (b, a)] {
            for (name, member) in &x.properties {
                if !member.required {
                    continue;
                }
                let other = match y.properties.get(name) {
                    Some(other) => other.id,
                    None => self.rest_id(y, name)?,
                };
                if self.disjoint_ids(member.id, other, depth)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn disjoint_ids(&mut self, a: Id, b: Id, depth: usize) -> Result<bool> {
        if a == NEVER || b == NEVER {
            return Ok(true);
        }
        if a == ANY || b == ANY || a == b || depth == 0 {
            return Ok(false);
        }
        // A schema that is being computed further up, or that will be refused later, proves nothing here.
        let (a, b) = match (self.force(a), self.force(b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(fault), _) | (_, Err(fault)) if fault.is_limit() => return Err(fault),
            _ => return Ok(false),
        };
        match self.disjoint(&a, &b, depth - 1) {
            Err(fault) if !fault.is_limit() => Ok(false),
            result => result,
        }
    }
}

/// Brings an array rule to its simplest form; `None` if no array keeps it.
pub(crate) fn normal_array(mut a: ArrayAtom) -> Option<ArrayAtom> {
    if let Some(at) = a.prefix.iter().position(|id| *id == NEVER) {
        a.max = min_option(a.max, Some(at as u64));
    }
    if a.items == NEVER {
        a.max = min_option(a.max, Some(a.prefix.len() as u64));
    }
    if let Some(max) = a.max {
        a.prefix.truncate(usize::try_from(max).unwrap_or(usize::MAX));
        if a.prefix.len() as u64 == max {
            a.items = NEVER;
        }
    }
    while a.prefix.last() == Some(&a.items) {
        a.prefix.pop();
    }
    let impossible = |c: &Counted| {
        c.max.is_some_and(|max| max < c.min)
            || a.max.is_some_and(|max| max < c.min)
            || (c.id == NEVER && c.min > 0)
    };
    if a.max.is_some_and(|max| max < a.min) || a.contains.iter().any(impossible) {
        return None;
    }
    a.contains.retain(|c| c.id != NEVER);
    let mut at = 0;
    while at < a.contains.len() {
        // Counting everything is counting items.
        if a.contains[at].id == ANY {
            let c = a.contains.remove(at);
            a.min = a.min.max(c.min);
            a.max = min_option(a.max, c.max);
            return normal_array(a);
        }
        at += 1;
    }
    a.contains.iter().for_each(|c| a.min = a.min.max(c.min));
    if a.max.is_some_and(|max| max <= 1) {
        a.unique = None;
    }
    Some(a)
}
