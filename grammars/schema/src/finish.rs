//! From forms to the public graph.
//!
//! Computes the sets that are reachable from the root, one raw node each, then: finds the nodes that hold no value
//! (also by recursion that never ends), removes what they make impossible, merges nodes of equal structure, and
//! numbers the rest from the root.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use crate::build::{Builder, Outcome};
use crate::form::{ANY, ArrayAtom, Form, Id, Member, NEVER, NumberAtom, ObjectAtom, Place, StringAtom};
use crate::hash::FastMap;
use crate::merge::Merged;
use crate::{
    ArrayRules, Contains, Kind, Node, NodeId, ObjectRules, Pattern, Property, Rest, Schema, StringRules,
    TypeSet, Wanted,
};

/// Most classes of undeclared names in one object.
const MAX_CLASSES: usize = 128;
/// Most kinds of items that are counted, and of members that are wanted, in one array or object.
const MAX_COUNTED: usize = 4;
/// Most ways to find what is wanted among the declared properties of one object.
const MAX_WAYS: usize = 256;

/// The graph under construction: ids are positions in `nodes`.
struct Raw {
    nodes: Vec<Node>,
    places: Vec<Place>,
    by_id: FastMap<Id, NodeId>,
    /// Sets whose nodes are still to be filled in.
    open: Vec<(Id, NodeId)>,
}

impl Raw {
    fn add(&mut self, node: Node, place: Place) -> NodeId {
        self.nodes.push(node);
        self.places.push(place);
        NodeId((self.nodes.len() - 1) as u32)
    }

    fn id(&mut self, id: Id, place: Place) -> NodeId {
        if let Some(node) = self.by_id.get(&id) {
            return *node;
        }
        let node = self.add(if id == ANY { Node::Any } else { Node::Never }, place);
        self.by_id.insert(id, node);
        if id != ANY && id != NEVER {
            self.open.push((id, node));
        }
        node
    }
}

/// Computes everything that the root needs and freezes it.
pub(crate) fn finish(builder: &mut Builder<'_>, root: Id) -> Outcome<Schema> {
    let mut raw = Raw { nodes: Vec::new(), places: Vec::new(), by_id: FastMap::default(), open: Vec::new() };
    let start = raw.id(root, 0);
    let mut at = 0;
    while at < raw.open.len() {
        let (id, node) = raw.open[at];
        at += 1;
        let form = builder.force(id)?;
        let place = builder.place_of(id);
        builder.at(place, "$schema");
        raw.nodes[node.index()] = builder.node(&form, place, &mut raw)?;
        if raw.nodes.len() > builder.options.max_nodes {
            return Err(builder.too_large("nodes", builder.options.max_nodes));
        }
    }
    let Raw { mut nodes, places, .. } = raw;
    prune(&mut nodes);
    let merged = Merged::new(&nodes, start);
    Ok(freeze(builder, merged, &places))
}

impl Builder<'_> {
    /// The node of a form; its parts become nodes of their own if there are several.
    fn node(&mut self, form: &Form, place: Place, raw: &mut Raw) -> Outcome<Node> {
        if form.is_any() {
            return Ok(Node::Any);
        }
        let mut parts = Vec::new();
        let mut values = Vec::new();
        match form.bools {
            3 => parts.push(Node::Bool),
            1 => values.push(Value::Bool(false)),
            2 => values.push(Value::Bool(true)),
            _ => {}
        }
        let mut rules = Vec::new();
        for atom in &form.strings {
            match atom {
                StringAtom::Values(list) => values.extend(list.iter().cloned().map(Value::String)),
                StringAtom::Rules(r) => rules.push(Node::String(r.clone())),
            }
        }
        for atom in &form.numbers {
            match atom {
                NumberAtom::Values(list) => values.extend(list.iter().map(|c| Value::Number(c.text.clone()))),
                NumberAtom::Rules(r) => rules.push(Node::Number(r.clone())),
            }
        }
        if form.null && !values.is_empty() {
            values.push(Value::Null);
        } else if form.null {
            parts.insert(0, Node::Null);
        }
        if !values.is_empty() {
            parts.push(Node::Enum(values));
        }
        parts.append(&mut rules);
        for atom in &form.arrays {
            if let Some(rules) = self.array_rules(atom, place, raw)? {
                parts.push(Node::Array(rules));
            }
        }
        for atom in &form.objects {
            self.step()?;
            if atom.wanted.is_empty() {
                parts.extend(self.object_rules(atom, place, raw)?.map(Node::Object));
                continue;
            }
            for atom in self.found_wanted(atom)? {
                parts.extend(self.object_rules(&atom, place, raw)?.map(Node::Object));
            }
        }
        Ok(match parts.len() {
            0 => Node::Never,
            1 => parts.swap_remove(0),
            _ => Node::AnyOf(parts.into_iter().map(|part| raw.add(part, place)).collect()),
        })
    }

    fn array_rules(&mut self, atom: &ArrayAtom, place: Place, raw: &mut Raw) -> Outcome<Option<ArrayRules>> {
        let mut max = atom.max;
        let mut unique = false;
        if let Some(asked) = atom.unique {
            match self.distinct_items(atom)? {
                Some(most) => {
                    unique = true;
                    max = Some(max.map_or(most, |max| max.min(most)));
                    if max < Some(atom.min) {
                        return Ok(None);
                    }
                }
                None => {
                    let why = "items are not limited to a finite set of scalars (enum, const, boolean, null), so \
                               repeats cannot be told";
                    let error = self.unsupported(asked, "uniqueItems", why);
                    self.drop_or_fail(error)?;
                }
            }
        }
        let mut contains = Vec::with_capacity(atom.contains.len());
        for counted in &atom.contains {
            let mut others = None;
            if counted.max.is_some() {
                let before = self.at(counted.place, "maxContains");
                let not = self.not_id(counted.id)?;
                self.force(not)?;
                self.at(before.0, before.1);
                others = Some(raw.id(not, place));
            }
            let node = raw.id(counted.id, place);
            contains.push(Contains { node, others, min: counted.min, max: counted.max });
        }
        let prefix = atom.prefix.iter().map(|id| raw.id(*id, place)).collect();
        let items = raw.id(atom.items, place);
        let kinds = self.item_kinds(atom, place, raw)?;
        Ok(Some(ArrayRules { prefix, items, min: atom.min, max, contains, kinds, unique }))
    }

    /// What an item at each position counts towards. Where there is no upper limit, an item may be taken as one that
    /// does not count; where there is one, it is told apart.
    fn item_kinds(&mut self, atom: &ArrayAtom, place: Place, raw: &mut Raw) -> Outcome<Vec<Vec<Kind>>> {
        if atom.contains.is_empty() || atom.contains.len() > MAX_COUNTED {
            return Ok(Vec::new());
        }
        let mut out = Vec::with_capacity(atom.prefix.len() + 1);
        for item in atom.prefix.iter().copied().chain([atom.items]) {
            let mut kinds = vec![(item, 0)];
            for (at, counted) in atom.contains.iter().enumerate() {
                let mut next = Vec::with_capacity(kinds.len() * 2);
                for (id, counts) in kinds {
                    let yes = self.and_id(id, counted.id)?;
                    let no = match counted.max {
                        None => id,
                        Some(_) => {
                            let not = self.not_id(counted.id)?;
                            self.and_id(id, not)?
                        }
                    };
                    // What counts in any case need not be taken as what does not.
                    if yes != id || counted.max.is_some() {
                        next.push((no, counts));
                    }
                    next.push((yes, counts | 1 << at));
                }
                next.retain(|(id, _)| *id != NEVER);
                kinds = next;
            }
            let kinds = kinds.into_iter().map(|(id, counts)| Kind { node: raw.id(id, place), counts });
            out.push(kinds.collect());
        }
        Ok(out)
    }

    /// How many different items an array can hold, if all its items have finite scalar sets.
    fn distinct_items(&mut self, atom: &ArrayAtom) -> Outcome<Option<u64>> {
        let mut union = Form::default();
        for id in atom.prefix.iter().copied().chain([atom.items]) {
            if id == NEVER {
                continue;
            }
            let form = self.force(id)?;
            self.union(&mut union, (*form).clone(), false)?;
        }
        let mut count = u64::from(union.null) + u64::from(union.bools.count_ones());
        for atom in &union.numbers {
            match atom {
                NumberAtom::Values(values) => count += values.len() as u64,
                NumberAtom::Rules(_) => return Ok(None),
            }
        }
        for atom in &union.strings {
            match atom {
                StringAtom::Values(values) => count += values.len() as u64,
                StringAtom::Rules(_) => return Ok(None),
            }
        }
        Ok((union.arrays.is_empty() && union.objects.is_empty()).then_some(count))
    }

    /// The ways to find what is wanted: in a declared property, or left to the undeclared ones.
    fn found_wanted(&mut self, atom: &ObjectAtom) -> Outcome<Vec<ObjectAtom>> {
        let mut start = ObjectAtom { wanted: Vec::new(), ..atom.clone() };
        for names in self.allowed_names(atom)?.into_iter().flatten() {
            // Names that are a finite set count as declared.
            for name in if let StringAtom::Values(names) = names { names } else { Vec::new() } {
                if !atom.properties.contains_key(&name) {
                    let id = self.rest_id(atom, &name)?;
                    start.properties.insert(name, Member { id, required: false });
                }
            }
        }
        let mut ways = vec![start];
        for wanted in &atom.wanted {
            let before = self.at(wanted.place, wanted.keyword);
            // Whether it can be expressed shows here.
            self.force(wanted.id)?;
            let mut next = Vec::new();
            for way in ways {
                self.steps_for(1 + way.properties.len() / 8)?;
                let mut found = false;
                for (name, member) in way.properties.iter().filter(|(name, _)| wanted.is_about(name)) {
                    let id = self.and_id(member.id, wanted.id)?;
                    if id == NEVER {
                        continue;
                    }
                    let mut way = way.clone();
                    way.properties.insert(name.clone(), Member { id, required: true });
                    found |= member.required && id == member.id;
                    next.push(way);
                }
                if found {
                    // It is present in any case.
                    next = vec![way];
                } else if !way.is_closed() {
                    let mut way = way;
                    way.wanted.push(wanted.clone());
                    next.push(way);
                }
                if next.len() > MAX_WAYS {
                    return Err(self.too_large("alternatives of one object", MAX_WAYS));
                }
            }
            ways = next;
            self.at(before.0, before.1);
        }
        Ok(ways)
    }

    fn object_rules(
        &mut self,
        atom: &ObjectAtom,
        place: Place,
        raw: &mut Raw,
    ) -> Outcome<Option<ObjectRules>> {
        let names = self.allowed_names(atom)?;
        let mut properties = IndexMap::with_capacity(atom.properties.len());
        for (name, member) in &atom.properties {
            let fits = names.as_ref().is_none_or(|names| names.iter().any(|n| n.accepts(name)));
            let id = if fits { member.id } else { NEVER };
            if member.required && id == NEVER {
                return Ok(None);
            }
            properties
                .insert(name.clone(), Property { schema: raw.id(id, place), required: member.required });
        }
        let mut rest = Vec::new();
        let mut open = Vec::new();
        for (key, id) in self.classes(atom)? {
            match &names {
                None => open.push((key, id)),
                Some(names) => {
                    for name in names {
                        match crate::algebra::and_string(&StringAtom::Rules(key.clone()), name) {
                            Some(StringAtom::Rules(key)) => open.push((key, id)),
                            Some(StringAtom::Values(values)) => {
                                for name in values {
                                    let value = raw.id(id, place);
                                    let property = Property { schema: value, required: false };
                                    properties.entry(name).or_insert(property);
                                }
                            }
                            None => {}
                        }
                    }
                }
            }
        }
        let Some(wanted) = self.wanted(atom, &open, place, raw)? else { return Ok(None) };
        rest.extend(open.into_iter().map(|(key, id)| Rest { key, value: raw.id(id, place) }));
        let required = properties.values().filter(|p| p.required).count() as u64;
        let min = if atom.min <= required { 0 } else { atom.min };
        let wanted_bits = atom.wanted.len() as u32;
        Ok(Some(ObjectRules { properties, rest, wanted, wanted_bits, min, max: atom.max }))
    }

    /// The undeclared members that are wanted; `None` if some cannot be there.
    fn wanted(
        &mut self,
        atom: &ObjectAtom,
        open: &[(StringRules, Id)],
        place: Place,
        raw: &mut Raw,
    ) -> Outcome<Option<Vec<Wanted>>> {
        if atom.wanted.len() > MAX_COUNTED {
            let why =
                format!("it needs more than {MAX_COUNTED} undeclared properties that differ from others");
            let error = self.unsupported(atom.wanted[0].place, atom.wanted[0].keyword, why);
            return Err(error.into());
        }
        let mut out = Vec::new();
        let mut missing: u32 = (1 << atom.wanted.len()) - 1;
        for bits in 1..1u32 << atom.wanted.len() {
            for (key, id) in open {
                let (mut key, mut id) = (Some(StringAtom::Rules(key.clone())), *id);
                for (_, wanted) in atom.wanted.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1) {
                    let mut of = wanted.key.clone();
                    of.excluded_values.extend(wanted.except.iter().cloned());
                    key = key.and_then(|key| crate::algebra::and_string(&key, &StringAtom::Rules(of)));
                    id = self.and_id(id, wanted.id)?;
                }
                let keys = match key {
                    None => continue,
                    _ if id == NEVER => continue,
                    Some(StringAtom::Rules(key)) => vec![key],
                    // A name that nothing else declares: the empty one.
                    Some(StringAtom::Values(names)) => names
                        .into_iter()
                        .filter(|name| !atom.properties.contains_key(name))
                        .map(|_| StringRules { max_chars: Some(0), ..StringRules::default() })
                        .collect(),
                };
                for key in keys {
                    missing &= !bits;
                    out.push(Wanted { key, value: raw.id(id, place), bits });
                }
            }
        }
        Ok((missing == 0).then_some(out))
    }

    /// What `propertyNames` leaves of the names; `None` if everything.
    fn allowed_names(&mut self, atom: &ObjectAtom) -> Outcome<Option<Vec<StringAtom>>> {
        let mut names: Option<Vec<StringAtom>> = None;
        for id in &atom.names {
            let form = self.force(*id)?;
            let both = match names {
                None => form.strings.clone(),
                Some(names) => names
                    .iter()
                    .flat_map(|a| form.strings.iter().filter_map(|b| crate::algebra::and_string(a, b)))
                    .collect(),
            };
            names = Some(both);
        }
        Ok(names)
    }

    /// The undeclared names by which patterns they match, with the set of their values; without [`NEVER`].
    fn classes(&mut self, atom: &ObjectAtom) -> Outcome<Vec<(StringRules, Id)>> {
        let mut patterns: Vec<&Pattern> = Vec::new();
        for (pattern, _) in atom.layers.iter().flat_map(|l| &l.patterns) {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        // The sets of patterns that one name may match together, smallest first.
        let apart = |a: &Pattern, b: &Pattern| a.is_disjoint(b) == Some(true);
        let mut groups: Vec<Vec<usize>> = vec![Vec::new()];
        for (at, pattern) in patterns.iter().enumerate() {
            for group in groups.clone() {
                if group.iter().all(|other| !apart(patterns[*other], pattern)) {
                    groups.push(group.iter().copied().chain([at]).collect());
                }
            }
            if groups.len() > MAX_CLASSES {
                let place = atom.layers.iter().map(|l| l.place).next().unwrap_or_default();
                let why = "too many patterns can match the same name";
                let error = self.unsupported(place, "patternProperties", why);
                return Err(error.into());
            }
        }
        let mut out = Vec::with_capacity(groups.len());
        for group in groups {
            let mut id = ANY;
            for layer in &atom.layers {
                let mut matched = false;
                for (pattern, schema) in &layer.patterns {
                    if group.iter().any(|at| patterns[*at] == pattern) {
                        matched = true;
                        id = self.and_id(id, *schema)?;
                    }
                }
                if !matched {
                    id = self.and_id(id, layer.other)?;
                }
            }
            if id == NEVER {
                continue;
            }
            let chosen: Vec<Pattern> = group.iter().map(|at| patterns[*at].clone()).collect();
            let excluded = patterns
                .iter()
                .filter(|p| !chosen.contains(p) && !chosen.iter().any(|c| apart(c, p)))
                .map(|p| (*p).clone())
                .collect();
            out.push((StringRules { patterns: chosen, excluded, ..StringRules::default() }, id));
        }
        if out.len() > 1
            && out.len() == 1 << patterns.len().min(20)
            && out.iter().all(|(_, id)| *id == out[0].1)
        {
            return Ok(vec![(StringRules::default(), out[0].1)]);
        }
        Ok(out)
    }
}

/// Replaces nodes without values by [`Node::Never`] and removes what that makes impossible.
fn prune(nodes: &mut [Node]) {
    let mut alive = vec![false; nodes.len()];
    loop {
        let mut changed = false;
        for at in (0..nodes.len()).rev() {
            if !alive[at] && is_alive(&nodes[at], &alive) {
                alive[at] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let lives = |id: &NodeId| alive[id.index()];
    for (at, node) in nodes.iter_mut().enumerate() {
        if !alive[at] {
            *node = Node::Never;
            continue;
        }
        match node {
            Node::AnyOf(variants) => {
                let mut kept: Vec<NodeId> = Vec::with_capacity(variants.len());
                for id in variants.iter().filter(|id| lives(id)) {
                    if !kept.contains(id) {
                        kept.push(*id);
                    }
                }
                *variants = kept;
            }
            Node::Array(rules) => {
                if let Some(end) = rules.prefix.iter().position(|id| !lives(id)) {
                    rules.items = rules.prefix[end];
                    rules.prefix.truncate(end);
                }
                if !lives(&rules.items) {
                    let end = rules.prefix.len() as u64;
                    rules.max = Some(rules.max.map_or(end, |max| max.min(end)));
                }
                rules.kinds.iter_mut().for_each(|kinds| kinds.retain(|kind| lives(&kind.node)));
                if rules.kinds.len() > rules.prefix.len() + 1 {
                    rules.kinds.truncate(rules.prefix.len());
                    rules.kinds.push(Vec::new());
                }
                drop_uncounted(rules, lives);
            }
            Node::Object(rules) => {
                rules.rest.retain(|rest| lives(&rest.value));
                rules.wanted.retain(|wanted| lives(&wanted.value));
                if rules.rest.is_empty() {
                    rules.properties.retain(|_, p| lives(&p.schema));
                    if rules.max.is_some_and(|max| max >= rules.properties.len() as u64) {
                        rules.max = None;
                    }
                }
            }
            _ => {}
        }
    }
}

/// Forgets the counts of items that no value is one of.
fn drop_uncounted(rules: &mut ArrayRules, lives: impl Fn(&NodeId) -> bool) {
    while let Some(at) = rules.contains.iter().position(|c| !lives(&c.node)) {
        rules.contains.remove(at);
        let low = (1 << at) - 1;
        for kind in rules.kinds.iter_mut().flatten() {
            kind.counts = kind.counts & low | kind.counts >> 1 & !low;
        }
    }
    if rules.contains.is_empty() {
        rules.kinds.clear();
    }
}

fn is_alive(node: &Node, alive: &[bool]) -> bool {
    let lives = |id: &NodeId| alive[id.index()];
    match node {
        Node::Never => false,
        Node::Any | Node::Null | Node::Bool | Node::Number(_) | Node::String(_) | Node::Enum(_) => true,
        Node::AnyOf(variants) => variants.iter().any(lives),
        Node::Array(rules) => {
            let needed = rules.min;
            let fixed = rules.prefix.iter().take(usize::try_from(needed).unwrap_or(usize::MAX)).all(lives);
            fixed
                && (needed <= rules.prefix.len() as u64 || lives(&rules.items))
                && rules.contains.iter().all(|c| c.min == 0 || lives(&c.node))
        }
        Node::Object(rules) => {
            let (mut required, mut possible) = (0, 0);
            for property in rules.properties.values() {
                let lives = lives(&property.schema);
                if property.required && !lives {
                    return false;
                }
                required += u64::from(property.required);
                possible += u64::from(lives);
            }
            let open = rules.rest.iter().any(|rest| lives(&rest.value));
            let found = |bit| rules.wanted.iter().any(|w| w.bits >> bit & 1 == 1 && lives(&w.value));
            (0..rules.wanted_bits).all(found)
                && (open || possible >= rules.min)
                && rules.max.is_none_or(|max| max >= required)
        }
    }
}

fn freeze(builder: &mut Builder<'_>, merged: Merged, places: &[Place]) -> Schema {
    let Merged { nodes, hashes, sources } = merged;
    let mut schema = Schema {
        types: nodes.iter().map(|_| TypeSet::NONE).collect(),
        pointers: sources.iter().map(|at| builder.pointer(places[*at])).collect(),
        nodes,
        hashes,
        root: NodeId(0),
        notes: std::mem::take(&mut builder.notes),
        root_properties: HashMap::new(),
    };
    for at in 0..schema.nodes.len() {
        schema.types[at] = schema.compute_types(at);
    }
    unite_root_properties(&mut schema);
    schema
}

/// Adds a union node for every property on which the variants of the root disagree.
fn unite_root_properties(schema: &mut Schema) {
    let Node::AnyOf(variants) = schema.node(schema.root) else { return };
    let mut names: Vec<String> = Vec::new();
    for variant in variants {
        if let Node::Object(rules) = schema.node(*variant) {
            for name in rules.properties.keys() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
    }
    for name in names {
        let mut found = Vec::new();
        schema.collect_property(schema.root, &name, &mut found);
        if found.len() < 2 {
            continue;
        }
        let any = found.iter().copied().find(|id| matches!(schema.node(*id), Node::Any));
        let id = any.unwrap_or_else(|| {
            let mut flat: Vec<NodeId> = Vec::new();
            for id in found {
                match schema.node(id) {
                    Node::AnyOf(inner) => inner.iter().for_each(|id| {
                        if !flat.contains(id) {
                            flat.push(*id);
                        }
                    }),
                    _ if !flat.contains(&id) => flat.push(id),
                    _ => {}
                }
            }
            if let [only] = flat[..] {
                return only;
            }
            let node = Node::AnyOf(flat);
            let hash = crate::merge::node_hash(&node, |id| schema.hashes[id.index()]);
            if let Some(at) = schema.hashes.iter().position(|h| *h == hash) {
                return NodeId(at as u32);
            }
            schema.nodes.push(node);
            schema.hashes.push(hash);
            schema.pointers.push(format!("/properties/{}", name.replace('~', "~0").replace('/', "~1")));
            let at = schema.nodes.len() - 1;
            let types = schema.compute_types(at);
            schema.types.push(types);
            NodeId(at as u32)
        });
        schema.root_properties.insert(name, id);
    }
}

impl Schema {
    fn compute_types(&self, at: usize) -> TypeSet {
        let leaf = |node: &Node| match node {
            Node::Any => TypeSet::ALL,
            Node::Null => TypeSet::NULL,
            Node::Bool => TypeSet::BOOLEAN,
            Node::Number(rules) if rules.integer => TypeSet::INTEGER,
            Node::Number(rules) if rules.not_multiple_of.iter().any(|n| *n == crate::Decimal::from(1)) => {
                TypeSet::FRACTION
            }
            Node::Number(_) => TypeSet::NUMBER,
            Node::String(_) => TypeSet::STRING,
            Node::Array(_) => TypeSet::ARRAY,
            Node::Object(_) => TypeSet::OBJECT,
            Node::Enum(values) => values.iter().fold(TypeSet::NONE, |types, value| {
                types
                    | match value {
                        Value::Null => TypeSet::NULL,
                        Value::Bool(_) => TypeSet::BOOLEAN,
                        Value::Number(n) => match crate::Decimal::from_number(n) {
                            Some(d) if d.is_integer() => TypeSet::INTEGER,
                            _ => TypeSet::FRACTION,
                        },
                        Value::String(_) => TypeSet::STRING,
                        Value::Array(_) => TypeSet::ARRAY,
                        Value::Object(_) => TypeSet::OBJECT,
                    }
            }),
            Node::Never | Node::AnyOf(_) => TypeSet::NONE,
        };
        match &self.nodes[at] {
            Node::AnyOf(variants) => {
                variants.iter().fold(TypeSet::NONE, |types, id| types | leaf(&self.nodes[id.index()]))
            }
            node => leaf(node),
        }
    }
}
