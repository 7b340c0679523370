//! The reference validator: is a value in a node's set. Used by strict printers and as the judge in tests; exact, and
//! written to be plainly right rather than fast.

use std::cmp::Ordering;

use serde_json::Value;

use crate::{ArrayRules, Decimal, Node, NodeId, NumberRules, ObjectRules, Schema, StringRules};

/// Whether two JSON values are equal: numbers by value, objects without regard to order.
pub(crate) fn json_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b
                || matches!((Decimal::from_number(a), Decimal::from_number(b)), (Some(a), Some(b)) if a == b)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| json_equal(a, b)))
        }
        _ => a == b,
    }
}

impl NumberRules {
    /// Whether a number keeps the rules.
    pub fn accepts(&self, value: &Decimal) -> bool {
        let low = self.min.as_ref().is_none_or(|b| match value.cmp(&b.value) {
            Ordering::Greater => true,
            Ordering::Equal => !b.exclusive,
            Ordering::Less => false,
        });
        let high = self.max.as_ref().is_none_or(|b| match value.cmp(&b.value) {
            Ordering::Less => true,
            Ordering::Equal => !b.exclusive,
            Ordering::Greater => false,
        });
        low && high
            && (!self.integer || value.is_integer())
            && self.multiple_of.as_ref().is_none_or(|m| value.is_multiple_of(m))
            && !self.not_multiple_of.iter().any(|m| value.is_multiple_of(m))
    }
}

impl StringRules {
    /// Whether a string keeps the rules.
    pub fn accepts(&self, text: &str) -> bool {
        if self.min_chars > 0 || self.max_chars.is_some() {
            let chars = text.chars().count() as u64;
            if chars < self.min_chars || self.max_chars.is_some_and(|max| chars > max) {
                return false;
            }
        }
        !self.excluded_values.iter().any(|v| v == text)
            && self.patterns.iter().all(|p| p.is_match(text))
            && !self.excluded.iter().any(|p| p.is_match(text))
    }
}

impl Schema {
    /// Whether the schema allows the value. A number whose exponent is beyond ±10^15 is never allowed by rules.
    pub fn accepts(&self, value: &Value) -> bool {
        self.accepts_at(self.root(), value)
    }

    /// Whether a node allows the value.
    pub fn accepts_at(&self, id: NodeId, value: &Value) -> bool {
        match (self.node(id), value) {
            (Node::Any, _) => true,
            (Node::AnyOf(variants), _) => variants.iter().any(|id| self.accepts_at(*id, value)),
            (Node::Enum(values), _) => values.iter().any(|v| json_equal(v, value)),
            (Node::Null, Value::Null) | (Node::Bool, Value::Bool(_)) => true,
            (Node::Number(rules), Value::Number(number)) => {
                Decimal::from_number(number).is_some_and(|d| rules.accepts(&d))
            }
            (Node::String(rules), Value::String(text)) => rules.accepts(text),
            (Node::Array(rules), Value::Array(items)) => self.array(rules, items),
            (Node::Object(rules), Value::Object(members)) => self.object(rules, members),
            _ => false,
        }
    }

    fn array(&self, rules: &ArrayRules, items: &[Value]) -> bool {
        let len = items.len() as u64;
        if len < rules.min || rules.max.is_some_and(|max| len > max) {
            return false;
        }
        let fits = items
            .iter()
            .enumerate()
            .all(|(at, item)| self.accepts_at(rules.prefix.get(at).copied().unwrap_or(rules.items), item));
        fits && rules.contains.iter().all(|c| {
            let count = items.iter().filter(|item| self.accepts_at(c.node, item)).count() as u64;
            count >= c.min && c.max.is_none_or(|max| count <= max)
        }) && (!rules.unique
            || items.iter().enumerate().all(|(at, a)| !items[..at].iter().any(|b| json_equal(a, b))))
    }

    fn object(&self, rules: &ObjectRules, members: &serde_json::Map<String, Value>) -> bool {
        let len = members.len() as u64;
        len >= rules.min
            && rules.max.is_none_or(|max| len <= max)
            && rules.properties.iter().all(|(name, p)| !p.required || members.contains_key(name))
            && (0..rules.wanted_bits).all(|bit| {
                let wanted = || rules.wanted.iter().filter(|w| w.bits >> bit & 1 == 1);
                members.iter().any(|(name, value)| {
                    !rules.properties.contains_key(name)
                        && wanted().any(|w| w.key.accepts(name) && self.accepts_at(w.value, value))
                })
            })
            && members.iter().all(|(name, value)| match rules.properties.get(name) {
                Some(property) => self.accepts_at(property.schema, value),
                None => rules.rest.iter().any(|r| r.key.accepts(name) && self.accepts_at(r.value, value)),
            })
    }
}
