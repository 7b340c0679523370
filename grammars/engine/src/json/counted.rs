//! Arrays whose items are counted by kind (`contains`, `minContains`, `maxContains`): a rule for every number of items
//! that still says something, and every count.

use super::JsonLowering;
use crate::GrammarError;
use crate::builder::Rule;
use crate::grammar::Expr;
use rustc_hash::FxHashMap;
use toolglot_schema::{ArrayRules, Kind, NodeId};

/// Most rules for one array.
const MAX_RULES: usize = 4096;

/// How far an array is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Progress {
    items: u64,
    counts: Vec<u64>,
}

impl Progress {
    /// After one more item, as far as it matters; `None` where too many of its kind would have come.
    fn after(&self, kind: &Kind, rules: &ArrayRules, min: u64) -> Option<Progress> {
        let most = rules.max.unwrap_or_else(|| min.max(rules.prefix.len() as u64).max(1));
        let mut next = Progress { items: (self.items + 1).min(most), counts: self.counts.clone() };
        for (at, (count, of)) in next.counts.iter_mut().zip(&rules.contains).enumerate() {
            if kind.counts >> at & 1 == 1 {
                *count += 1;
                match of.max {
                    Some(max) if *count > max => return None,
                    Some(_) => {}
                    None => *count = (*count).min(of.min),
                }
            }
        }
        Some(next)
    }
}

impl JsonLowering<'_> {
    pub(super) fn counted(&mut self, id: NodeId, rules: &ArrayRules) -> Result<Expr, GrammarError> {
        if rules.unique {
            return Err(self.refuse(id, "uniqueItems", "together with contains"));
        }
        if rules.kinds.len() != rules.prefix.len() + 1 {
            return Err(self.refuse(id, "contains", "counting items of so many kinds is not supported"));
        }
        // Enough items of a kind are enough items.
        let min = if rules.contains.iter().any(|c| c.min >= rules.min) { 0 } else { rules.min };
        let parts = self.parts()?;
        let start = Progress { items: 0, counts: vec![0; rules.contains.len()] };
        let mut known: FxHashMap<Progress, Rule> = FxHashMap::default();
        let first = self.b.rule("items");
        known.insert(start.clone(), first);
        let mut open = vec![(start, first)];
        while let Some((progress, rule)) = open.pop() {
            let enough = |(count, of): (&u64, &toolglot_schema::Contains)| *count >= of.min;
            let mut ways = Vec::new();
            if progress.items >= min && progress.counts.iter().zip(&rules.contains).all(enough) {
                // An empty list has no second pad.
                ways.push(if progress.items == 0 { self.b.empty() } else { parts.pad });
            }
            let full = rules.max.is_some_and(|max| progress.items >= max);
            let kinds = usize::try_from(progress.items).ok().and_then(|at| rules.kinds.get(at));
            for kind in kinds.or(rules.kinds.last()).into_iter().flatten().filter(|_| !full) {
                let Some(next) = progress.after(kind, rules, min) else { continue };
                let then = match known.get(&next) {
                    Some(then) => *then,
                    None => {
                        let then = self.b.rule("items");
                        known.insert(next.clone(), then);
                        open.push((next, then));
                        then
                    }
                };
                let (item, then) = (self.node(kind.node)?, self.b.call(then));
                ways.push(match progress.items {
                    0 => self.b.seq(&[item, then]),
                    _ => self.b.seq(&[parts.comma, item, then]),
                });
            }
            let body = self.b.alt(&ways);
            self.b.define(rule, body)?;
            if known.len() > MAX_RULES {
                return Err(self.refuse(id, "contains", "counting so many items of a kind is not supported"));
            }
        }
        let (before, after) = (self.b.bytes("["), self.b.bytes("]"));
        let items = self.b.call(first);
        Ok(self.b.seq(&[before, parts.pad, items, after]))
    }
}
