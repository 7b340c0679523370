//! Whatever a budget allows is complete when the budget is spent, and what it does not suffice for is refused up
//! front: random grammars, every budget, random walks.

#![allow(clippy::unwrap_used)]

mod cfg;

use cfg::{Cfg, rules};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use toolglot_grammar::{
    CompiledGrammar, Expr, Grammar, GrammarBuilder, GrammarError, JsonStyle, Matcher, Rule, Token, Vocabulary,
};
use toolglot_schema::{Options, Schema};

/// A token for every byte, and some that span several.
fn vocabulary() -> Arc<Vocabulary> {
    let mut tokens: Vec<Token> = (0..=255u8).map(|byte| Token::text([byte])).collect();
    tokens
        .extend(["ab", "ba", "bb", "bbbb", "aab", "éa", "\"", "\"b", "b\"", "bb\",", "[\""].map(Token::text));
    tokens.push(Token::special("<eos>"));
    let eos = tokens.len() as u32 - 1;
    Arc::new(Vocabulary::new(tokens, &[eos], None).unwrap())
}

fn matcher(grammar: Grammar) -> Matcher {
    CompiledGrammar::new(Arc::new(grammar), vocabulary()).unwrap().matcher().unwrap()
}

/// Follows masks within a budget: once refused, or complete in time. The output, if there is one.
fn walk(
    matcher: &mut Matcher,
    budget: u64,
    mut choose: impl FnMut(usize) -> usize,
) -> Result<Option<Vec<u8>>, TestCaseError> {
    matcher.reset();
    let mut mask = vec![0; matcher.compiled().vocabulary().mask_words()];
    let need = matcher.shortest_completion();
    match matcher.mask_within(&mut mask, budget) {
        Err(GrammarError::Budget { need: said, left }) => {
            prop_assert!(budget < need && said == need && left == budget);
            return Ok(None);
        }
        Err(GrammarError::Limit { .. }) => return Ok(None),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
        Ok(()) => prop_assert!(budget >= need),
    }
    let mut left = budget;
    let mut text = Vec::new();
    loop {
        match matcher.mask_within(&mut mask, left) {
            // More readings at once than the engine follows: an error, and no wrong mask.
            Err(GrammarError::Limit { .. }) => return Ok(None),
            made => made.map_err(|error| TestCaseError::fail(error.to_string()))?,
        }
        let list: Vec<u32> =
            (0..mask.len() as u32 * 32).filter(|id| mask[*id as usize / 32] >> (id % 32) & 1 == 1).collect();
        prop_assert!(!list.is_empty(), "a dead end with {left} of {budget} left");
        let token = list[choose(list.len())];
        match matcher.accept(token) {
            Err(GrammarError::Limit { .. }) => return Ok(None),
            taken => taken.map_err(|error| TestCaseError::fail(error.to_string()))?,
        }
        if matcher.is_terminated() {
            return Ok(Some(text));
        }
        text.extend_from_slice(matcher.compiled().vocabulary().bytes(token));
        prop_assert!(left > 0, "{budget} tokens were not enough");
        left -= 1;
    }
}

/// Budgets around what is needed at first, and around where masks begin to keep to the budget.
fn budgets(matcher: &Matcher) -> impl Iterator<Item = u64> + use<> {
    let need = matcher.shortest_completion();
    let short = need.saturating_sub(1)..need + 2;
    short.chain([5, 20, 70, 300].map(|more| need + more))
}

/// Regular expressions that take long ways once they have begun them.
fn regex() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "b",
        "ab",
        "é",
        "[ab]",
        "[^a]",
        "b{40}",
        "(ab){30}",
        "a{3,90}",
        "[éè]",
        "[éè]*",
        "[\\x01-\\x05]+",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| parts.concat()),
            (inner, prop::sample::select(vec!["*", "+", "?", "{2}", "{1,20}"]))
                .prop_map(|(part, times)| format!("({part}){times}")),
        ]
    })
}

fn build(b: &mut GrammarBuilder, part: &Cfg, rules: &[Rule]) -> Expr {
    match part {
        Cfg::Text(text) => b.bytes(text),
        Cfg::Class(chars, negated) => {
            let not = if *negated { "^" } else { "" };
            b.regex(&format!("[{not}{}]", chars.iter().collect::<String>())).unwrap()
        }
        Cfg::Rule(rule) => b.call(rules[*rule]),
        Cfg::Seq(parts) => {
            let parts: Vec<Expr> = parts.iter().map(|part| build(b, part, rules)).collect();
            b.seq(&parts)
        }
        Cfg::Alt(parts) => {
            let parts: Vec<Expr> = parts.iter().map(|part| build(b, part, rules)).collect();
            b.alt(&parts)
        }
        Cfg::Repeat(item, min, max) => {
            let item = build(b, item, rules);
            b.repeat(item, *min, *max, None)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn regular_expressions_end_in_time(pattern in regex(), seed in any::<u64>()) {
        let mut b = GrammarBuilder::new();
        let root = b.regex(&pattern).unwrap();
        let mut matcher = matcher(b.build(root).unwrap());
        let mut random = seed;
        for budget in budgets(&matcher) {
            walk(&mut matcher, budget, |n| next(&mut random, n))?;
        }
    }

    #[test]
    fn rules_end_in_time(cfg in rules(), seed in any::<u64>()) {
        let mut b = GrammarBuilder::new();
        let all: Vec<Rule> = (0..cfg.len()).map(|at| b.rule(&format!("r{at}"))).collect();
        for (rule, body) in all.iter().zip(&cfg) {
            let body = build(&mut b, body, &all);
            b.define(*rule, body).unwrap();
        }
        let root = b.call(all[0]);
        // Left recursion and rules without any text are refused.
        let Ok(grammar) = b.build(root) else { return Ok(()) };
        let mut matcher = matcher(grammar);
        let mut random = seed;
        for budget in budgets(&matcher) {
            walk(&mut matcher, budget, |n| next(&mut random, n))?;
        }
    }

    #[test]
    fn patterns_in_schemas_end_in_time(pattern in regex(), min in 0u64..4, max in prop::option::of(30u64..200), seed in any::<u64>()) {
        let mut string = json!({"type": "string", "pattern": format!("^(?:{pattern})$"), "minLength": min});
        if let Some(max) = max {
            string["maxLength"] = max.into();
        }
        let schema = json!({"type": "array", "items": string, "minItems": 1});
        let schema = Schema::compile(&schema, &Options::default()).unwrap();
        let mut b = GrammarBuilder::new();
        // No string may have both the pattern and the length.
        let Ok(root) = b.json_schema(&schema, &JsonStyle::default()) else { return Ok(()) };
        let Ok(grammar) = b.build(root) else { return Ok(()) };
        let mut matcher = matcher(grammar);
        let mut random = seed;
        for budget in budgets(&matcher) {
            walk(&mut matcher, budget, |n| next(&mut random, n))?;
        }
    }

    #[test]
    fn schemas_end_in_time(schema in value(), any_order in any::<bool>(), seed in any::<u64>()) {
        // Not every combination has a value, or a finite grammar.
        let Ok(schema) = Schema::compile(&schema, &Options::default()) else { return Ok(()) };
        let mut b = GrammarBuilder::new();
        let style = JsonStyle { any_order, ..JsonStyle::default() };
        let Ok(root) = b.json_schema(&schema, &style) else { return Ok(()) };
        let Ok(grammar) = b.build(root) else { return Ok(()) };
        let mut matcher = matcher(grammar);
        let mut random = seed;
        for budget in budgets(&matcher) {
            if let Some(text) = walk(&mut matcher, budget, |n| next(&mut random, n))? {
                let value: Value = serde_json::from_slice(&text).unwrap();
                prop_assert!(schema.accepts(&value), "{}", String::from_utf8_lossy(&text));
            }
        }
    }
}

/// Values, among them objects and arrays of which a least number of members or items has to come.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        json!({"type": "null"}),
        json!({"const": "a long text that takes many tokens"}),
        json!({"type": "string", "minLength": 2}),
        json!({"enum": [1, "ab", false]}),
        json!({"type": "integer", "minimum": 1000}),
        json!({}),
    ]);
    leaf.prop_recursive(2, 12, 4, |inner| prop_oneof![array(inner.clone()), object(inner)])
}

fn array(item: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    (item.clone(), prop::option::of(item), 0u64..3, 0u64..3).prop_map(|(items, contains, min, more)| {
        let mut schema = json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more});
        if let Some(contains) = contains {
            schema["contains"] = contains;
        }
        schema
    })
}

fn object(value: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    let names = prop::sample::subsequence(vec!["a", "ab", "bb\"", "é\n", "x", "a_very_long_name"], 0..=6);
    let members = names.prop_shuffle().prop_flat_map({
        let value = value.clone();
        move |names| {
            let values = prop::collection::vec((value.clone(), any::<bool>()), names.len());
            values.prop_map(move |values| names.clone().into_iter().zip(values).collect::<Vec<_>>())
        }
    });
    let others = prop_oneof![Just(json!(false)), Just(json!({"type": "string"})), Just(json!({}))];
    let pattern = prop::option::of((prop::sample::select(vec!["^a", "b", "[^x]$"]), value));
    (members, others, pattern, 0u64..5, 0u64..4).prop_map(|(members, others, pattern, min, more)| {
        let required: Vec<_> = members.iter().filter(|(_, (_, required))| *required).map(|m| m.0).collect();
        let properties: Map<String, Value> =
            members.iter().map(|(name, (value, _))| (name.to_string(), value.clone())).collect();
        let mut schema = json!({"type": "object", "properties": properties, "required": required,
            "additionalProperties": others, "minProperties": min, "maxProperties": min + more});
        if let Some((pattern, value)) = pattern {
            schema["patternProperties"] = json!({pattern: value});
        }
        schema
    })
}

/// Knuth's MMIX generator.
fn next(random: &mut u64, n: usize) -> usize {
    *random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    ((*random >> 33) as usize) % n
}

#[test]
fn a_long_way_is_not_begun_without_the_budget_for_it() {
    let grammar = Grammar::from_regex("a|b{1000}");
    let mut matcher = matcher(grammar.unwrap());
    let mut mask = vec![0; matcher.compiled().vocabulary().mask_words()];
    assert_eq!(matcher.shortest_completion(), 1);
    for (budget, b) in [(1, false), (100, false), (999, false), (5000, true)] {
        matcher.mask_within(&mut mask, budget).unwrap();
        let allowed = |byte: u8| mask[byte as usize / 32] >> (byte % 32) & 1 == 1;
        assert!(allowed(b'a'));
        assert_eq!(allowed(b'b'), b, "{budget}");
    }
}
