//! Arguments as nested elements: a tag for each key and each item, strings raw, other scalars as JSON.
//!
//! Tags are what the schema declares: a grammar cannot hold a closing tag to an opening one of any name. What the
//! schema leaves open is a scalar. A schema that refers to itself becomes a rule.

use super::tagged::Way;
use super::{Lowering, refuse};
use crate::GrammarError;
use crate::builder::{Members, Rule};
use crate::grammar::Expr;
use rustc_hash::FxHashMap;
use toolglot_format::{ElementsArgs, Lit, Notation};
use toolglot_schema::{ArrayRules, Node, NodeId, ObjectRules, Schema, TypeSet};

/// What an element holds that has no elements in it.
const SCALARS: [TypeSet; 4] = [TypeSet::STRING, TypeSet::NUMBER, TypeSet::BOOLEAN, TypeSet::NULL];

enum Slot {
    /// Being lowered; a rule if something has referred to it meanwhile.
    Open(Option<Rule>),
    Done(Expr),
}

struct Elements<'a> {
    style: &'a ElementsArgs,
    schema: &'a Schema,
    slots: FxHashMap<NodeId, Slot>,
}

impl Lowering<'_> {
    /// All parameters of a call.
    pub(super) fn elements(
        &mut self,
        style: &ElementsArgs,
        tool: Option<usize>,
    ) -> Result<Expr, GrammarError> {
        let (_, schema) = self.tool(tool, "args.elements")?;
        let mut elements = Elements { style, schema, slots: FxHashMap::default() };
        let root = schema.root();
        match schema.node(root) {
            Node::Object(rules) => self.element_members(rules, &mut elements),
            Node::Any => Ok(self.b.empty()),
            Node::AnyOf(parts) => {
                let mut ways = Vec::new();
                for &part in parts {
                    if let Node::Object(rules) = schema.node(part) {
                        ways.push(self.element_members(rules, &mut elements)?);
                    }
                }
                Ok(self.b.alt(&ways))
            }
            _ => Err(refuse("args.elements", "the schema of the arguments allows no object")),
        }
    }

    fn prefix(&mut self, prefix: &Lit) -> Expr {
        if prefix.special { self.b.special(&prefix.text) } else { self.b.bytes(&prefix.text) }
    }

    fn element_members(
        &mut self,
        rules: &ObjectRules,
        elements: &mut Elements<'_>,
    ) -> Result<Expr, GrammarError> {
        if rules.wanted_bits > 0 {
            return Err(refuse("args.elements", crate::json::UNDECLARED));
        }
        let mut declared = Vec::with_capacity(rules.properties.len());
        for (name, property) in &rules.properties {
            if !ElementsArgs::is_name(name) {
                if property.required {
                    return Err(refuse(name, "this required key cannot be the name of an element"));
                }
                continue;
            }
            let value = self.element_value(property.schema, elements)?;
            let close = self.closing(name, elements.style);
            let key = vec![format!("<{name}>").into_bytes()];
            declared.push((key, self.b.seq(&[value, close]), property.required));
        }
        let empty = self.b.empty();
        let lead = self.prefix(&elements.style.prefix);
        self.b.members(Members {
            open: empty,
            close: empty,
            comma: empty,
            lead,
            colon: empty,
            declared,
            rest: Vec::new(),
            any_order: true,
            min: rules.min,
            max: rules.max,
        })
    }

    fn closing(&mut self, name: &str, style: &ElementsArgs) -> Expr {
        let prefix = self.prefix(&style.prefix);
        let tag = self.b.bytes(format!("</{name}>"));
        self.b.seq(&[prefix, tag])
    }

    fn element_value(&mut self, id: NodeId, elements: &mut Elements<'_>) -> Result<Expr, GrammarError> {
        match elements.slots.get_mut(&id) {
            Some(Slot::Done(expr)) => return Ok(*expr),
            Some(Slot::Open(rule)) => {
                let rule = *rule.get_or_insert_with(|| self.b.rule(elements.schema.pointer(id)));
                return Ok(self.b.call(rule));
            }
            None => {}
        }
        elements.slots.insert(id, Slot::Open(None));
        let schema = elements.schema;
        let mut ways = Vec::new();
        let types = schema.types(id);
        self.element_ways(id, types, elements, &mut ways)?;
        let expr = self.b.alt(&ways);
        let expr = match elements.slots.remove(&id) {
            Some(Slot::Open(Some(rule))) => {
                self.b.define(rule, expr)?;
                self.b.call(rule)
            }
            _ => expr,
        };
        elements.slots.insert(id, Slot::Done(expr));
        Ok(expr)
    }

    /// The ways to write a value. `beside`: the types that it could be taken for.
    fn element_ways(
        &mut self,
        id: NodeId,
        beside: TypeSet,
        elements: &mut Elements<'_>,
        out: &mut Vec<Expr>,
    ) -> Result<(), GrammarError> {
        let schema = elements.schema;
        match schema.node(id) {
            Node::AnyOf(parts) => {
                parts.iter().try_for_each(|&part| self.element_ways(part, beside, elements, out))?;
            }
            Node::Object(rules) => out.push(self.element_members(rules, elements)?),
            Node::Array(rules) => out.push(self.element_items(id, rules, elements)?),
            Node::Enum(values) if values.iter().any(|value| value.is_array() || value.is_object()) => {
                let (pointer, why) = (schema.pointer(id), "an array or object has no spelling as a constant");
                return Err(GrammarError::unsupported(pointer, "enum", why));
            }
            _ => {
                let terminators: Vec<Vec<u8>> =
                    elements.style.prefix.spellings().map(|text| text.as_bytes().to_vec()).collect();
                let notation = Notation::default();
                let way = Way {
                    raw: true,
                    only: SCALARS.into_iter().fold(TypeSet::NONE, |all, of| all | of),
                    beside,
                    terminators: &terminators,
                    notation: &notation,
                    escape: None,
                };
                self.collect(schema, id, &way, out)?;
            }
        }
        Ok(())
    }

    fn element_items(
        &mut self,
        id: NodeId,
        rules: &ArrayRules,
        elements: &mut Elements<'_>,
    ) -> Result<Expr, GrammarError> {
        let refused = |keyword: &str, why: &str| {
            Err(GrammarError::unsupported(elements.schema.pointer(id), keyword, why))
        };
        if !rules.contains.is_empty() {
            return refused("contains", "counting items of a kind is not supported");
        }
        if rules.unique {
            return refused("uniqueItems", "items that are elements cannot be told apart");
        }
        let (Ok(min), Ok(max)) = (u32::try_from(rules.min), rules.max.map(u32::try_from).transpose()) else {
            return refused("maxItems", "the number is too large");
        };
        let prefix: Vec<NodeId> = rules.prefix.to_vec();
        let name = elements.style.item.clone();
        let lead = self.prefix(&elements.style.prefix);
        let open = self.b.bytes(format!("<{name}>"));
        let close = self.closing(&name, elements.style);
        let mut item = |this: &mut Self, of: NodeId| -> Result<Expr, GrammarError> {
            let value = this.element_value(of, elements)?;
            Ok(this.b.seq(&[lead, open, value, close]))
        };
        let count = prefix.len() as u32;
        let more = item(self, rules.items)?;
        let more_max = max.map(|max| max.saturating_sub(count));
        let mut tail = self.b.repeat(more, min.saturating_sub(count), more_max, None);
        // From the end to the front: what may follow after this many items.
        for (index, &of) in prefix.iter().enumerate().rev() {
            let index = index as u32;
            if max.is_some_and(|max| max <= index) {
                tail = self.b.empty();
                continue;
            }
            let first = item(self, of)?;
            let here = self.b.seq(&[first, tail]);
            tail = if index >= min { self.b.opt(here) } else { here };
        }
        Ok(tail)
    }
}
