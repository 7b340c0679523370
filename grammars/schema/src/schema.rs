//! The compiled schema and its options: the crate's front door.

use std::collections::HashMap;

use serde_json::Value;

use crate::build::Builder;
use crate::finish::finish;
use crate::{Node, NodeId, Note, SchemaError, TypeSet};

/// How to compile.
#[derive(Debug, Clone)]
pub struct Options {
    /// Drop what cannot be expressed and list it in [`Schema::notes`], instead of failing. Off by default.
    pub lenient: bool,
    /// The draft of a schema that does not name one in `$schema`. `None` (the default) is 2020-12 plus the older
    /// spellings that mean something else nowhere (`definitions`, array `items`, `dependencies`, `nullable`, ...).
    pub draft: Option<Draft>,
    /// What `format` means. By default known formats are enforced, and unknown ones say nothing, as the specification
    /// has it.
    pub formats: Formats,
    /// Most nodes (distinct sub-schemas after expansion).
    pub max_nodes: usize,
    /// Most merge steps; one is in the order of a microsecond.
    pub max_steps: usize,
    /// Deepest nesting of schemas that apply to the same value (`allOf` in `anyOf` in `$ref` ...).
    pub max_depth: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            lenient: false,
            draft: None,
            formats: Formats::EnforceKnown,
            max_nodes: 50_000,
            max_steps: 200_000,
            max_depth: 64,
        }
    }
}

/// What `format` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formats {
    /// Known formats restrict strings; unknown ones say nothing, as the specification has it, and are noted.
    EnforceKnown,
    /// Known formats restrict strings; unknown ones are refused (noted in lenient mode).
    Enforce,
    /// Formats say nothing, as in the default vocabulary of 2020-12.
    Annotate,
}

/// A version of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Draft {
    /// Draft 4 (2013), also OpenAPI 3.0.
    Draft4,
    /// Draft 6 (2017).
    Draft6,
    /// Draft 7 (2018).
    Draft7,
    /// Draft 2019-09.
    Draft2019,
    /// Draft 2020-12, also OpenAPI 3.1.
    Draft2020,
}

/// A compiled schema: an immutable graph of [`Node`]s. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Schema {
    pub(crate) nodes: Vec<Node>,
    pub(crate) types: Vec<TypeSet>,
    pub(crate) hashes: Vec<u128>,
    pub(crate) pointers: Vec<String>,
    pub(crate) root: NodeId,
    pub(crate) notes: Vec<Note>,
    /// Schemas of the root's properties where several variants of the root disagree on them.
    pub(crate) root_properties: HashMap<String, NodeId>,
}

impl Schema {
    /// Normalises a schema document.
    ///
    /// # Errors
    /// [`SchemaError`]: unsupported or invalid keywords (unless lenient), unresolved references, self-application
    /// without end, limits.
    pub fn compile(document: &Value, options: &Options) -> Result<Schema, SchemaError> {
        let mut builder = Builder::new(document, options)?;
        let compiled = builder.schema_id(document, 0, false, 0).and_then(|root| finish(&mut builder, root));
        compiled.map_err(|fault| builder.blame(fault, 0, "$schema"))
    }

    /// The node of the whole document.
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// A node by id. Ids of another schema give a wrong node or panic.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Number of nodes; ids are dense below it.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes (never: the root is one).
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The types that values of a node may have.
    pub fn types(&self, id: NodeId) -> TypeSet {
        self.types[id.index()]
    }

    /// A hash of the node's structure that is the same in every schema and every run, for caches. Nodes with equal
    /// hashes accept the same values and have their properties in the same order.
    pub fn structural_hash(&self, id: NodeId) -> u128 {
        self.hashes[id.index()]
    }

    /// Where in the document the node (or the first of several equal ones) comes from, as a JSON pointer: for error
    /// messages.
    pub fn pointer(&self, id: NodeId) -> &str {
        &self.pointers[id.index()]
    }

    /// What was dropped (lenient mode) or mapped, in the order in which it was met.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The schema of an object's property: what the value of `name` may be. Looks through unions; `None` if no
    /// variant allows the name, or if variants of a node other than the root disagree (see
    /// [`property_types`](Schema::property_types) for those).
    pub fn property(&self, id: NodeId, name: &str) -> Option<NodeId> {
        let mut found = Vec::new();
        self.collect_property(id, name, &mut found);
        match found[..] {
            [] => None,
            [only] => Some(only),
            _ if id == self.root => self.root_properties.get(name).copied(),
            _ => None,
        }
    }

    /// The types that the value of an object's property may have, over all variants of the object.
    pub fn property_types(&self, id: NodeId, name: &str) -> TypeSet {
        let mut found = Vec::new();
        self.collect_property(id, name, &mut found);
        found.into_iter().fold(TypeSet::NONE, |types, id| types | self.types(id))
    }

    /// The different schemas that `name` has in the object variants of a node, without [`Node::Never`].
    pub(crate) fn collect_property(&self, id: NodeId, name: &str, found: &mut Vec<NodeId>) {
        match self.node(id) {
            Node::Any if !found.contains(&id) => found.push(id),
            Node::AnyOf(variants) => {
                variants.iter().for_each(|variant| self.collect_property(*variant, name, found));
            }
            Node::Object(rules) => {
                let mut add = |id: NodeId| {
                    if !matches!(self.node(id), Node::Never) && !found.contains(&id) {
                        found.push(id);
                    }
                };
                match rules.properties.get(name) {
                    Some(property) => add(property.schema),
                    None => {
                        rules.rest.iter().filter(|r| r.key.accepts(name)).for_each(|r| add(r.value));
                    }
                }
            }
            _ => {}
        }
    }
}
