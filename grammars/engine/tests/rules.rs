//! Regular expressions and GBNF against brute force.

#![allow(clippy::unwrap_used)]

mod cfg;

use cfg::{GBNF, accepts, bytes, derived, language, matcher, rules};
use proptest::prelude::*;
use std::sync::Arc;
use toolglot_grammar::{CompiledGrammar, Grammar, GrammarError, RegexSyntax};

const ALPHABET: [char; 4] = ['a', 'b', 'é', 'x'];

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gbnf_accepts_what_its_rules_derive(rules in rules()) {
        let source = GBNF.write(&rules);
        let expected = derived(&rules, &ALPHABET, 4);
        match Grammar::from_gbnf(&source) {
            Ok(grammar) => {
                let got = language(grammar, &ALPHABET, 4);
                prop_assume!(got.is_some());
                prop_assert_eq!(got, Some(expected), "{}", source);
            }
            // Nothing at all is derived, or a rule hides its left recursion.
            Err(GrammarError::Empty(_)) => prop_assert!(expected.is_empty(), "{source}: {expected:?}"),
            Err(GrammarError::Unsupported { reason, .. }) if reason.contains("behind something") => {}
            Err(error) => panic!("{source}: {error}"),
        }
    }
}

#[test]
fn left_recursion_is_rewritten() {
    let source = r#"
        root ::= sum
        sum ::= sum "+" product | product
        product ::= product "*" atom | atom
        atom ::= [0-9] | "(" sum ")"
    "#;
    let grammar = Grammar::from_gbnf(source).unwrap();
    let grammar = CompiledGrammar::new(Arc::new(grammar), bytes()).unwrap();
    for text in ["1", "1+2*3", "(1+2)*3+4*5", "((1))"] {
        assert!(accepts(&grammar, text), "{text}");
    }
    for text in ["", "1+", "(1", "+1", "1**2"] {
        assert!(!accepts(&grammar, text), "{text}");
    }
    // Through each other.
    let mutual = r#"root ::= x
        x ::= y "a" | "s"
        y ::= x "b" | y "c" | "t""#;
    let grammar = CompiledGrammar::new(Arc::new(Grammar::from_gbnf(mutual).unwrap()), bytes()).unwrap();
    for text in ["s", "ta", "sba", "sbacba".get(..3).unwrap(), "tcca", "sbcccaba"] {
        assert!(accepts(&grammar, text), "{text}");
    }
    assert!(!accepts(&grammar, "sb") && !accepts(&grammar, "a"));

    let hidden = Grammar::from_gbnf("root ::= \"b\"? root \"x\" | \"a\"").unwrap_err();
    assert_eq!(
        hidden.to_string(),
        "line 1, column 1: `rule root` cannot be enforced: it calls itself behind something that may be empty; make \
         that part non-empty, or write a repetition"
    );
}

#[test]
fn gbnf_tokens() {
    let source = "root ::= <think> !</think>* <[258]> [a-z]+";
    let mut m = matcher(Grammar::from_gbnf(source).unwrap());
    let mut mask = vec![0; bytes().mask_words()];
    let allowed = |mask: &[u32], id: usize| mask[id / 32] >> (id % 32) & 1 == 1;
    m.mask(&mut mask).unwrap();
    assert!(allowed(&mask, 257) && !allowed(&mask, 97) && !allowed(&mask, 258));
    m.accept(257).unwrap();
    m.mask(&mut mask).unwrap();
    assert!(allowed(&mask, 97) && allowed(&mask, 257) && allowed(&mask, 258) && !allowed(&mask, 256));
    for token in [97, 0xff, 257, 258, 98] {
        m.accept(token).unwrap();
    }
    assert!(m.is_accepting() && m.accept(258).is_err());
    // In a prompt's tail, names stand for their tokens.
    m.reset();
    m.accept_text("<think>").unwrap();
    assert_eq!(m.shortest_completion(), 2);

    let refused = |source: &str| {
        CompiledGrammar::new(Arc::new(Grammar::from_gbnf(source).unwrap()), bytes()).unwrap_err().to_string()
    };
    assert_eq!(refused("root ::= <tool>"), "the vocabulary has no token <tool>");
    assert_eq!(refused("root ::= !<[9999]>"), "the vocabulary has no token 9999");
}

#[test]
fn gbnf_says_where_it_fails() {
    for (source, message) in [
        ("root := \"a\"", "line 1, column 6: expected `::=`, found ':'"),
        ("root ::= \"a", "line 1, column 10: the literal has no closing quote"),
        ("root ::= (\"a\"\n  | b", "line 2, column 6: expected `)`, found the end of the grammar"),
        ("root ::= [b-a]", "line 1, column 11: the range 'b' to 'a' is upside down"),
        ("root ::= \"\\q\"", "line 1, column 11: unknown escape `\\q`"),
        ("root ::= \"\\ud800\"", "line 1, column 13: U+d800 is no character"),
        (
            "root ::= \"a\"{3,2}",
            "line 1, column 13: the upper bound of the repetition is below the lower one",
        ),
        ("root ::= * \"a\"", "line 1, column 10: a repetition has to stand behind what it repeats"),
        ("root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule `root` is defined twice"),
        ("root ::= \"a\" ; b", "line 1, column 14: expected the end of the rule, found ';'"),
        ("start ::= \"a\"", "rule `root` is used but never defined"),
        ("root ::= a\na ::= \"x\" b", "line 2, column 11: rule `b` is used but never defined"),
        ("root ::= []", "line 1, column 10: no character is in this class"),
        ("root ::= root \"a\"", "the grammar accepts nothing: no text can complete it"),
    ] {
        assert_eq!(Grammar::from_gbnf(source).unwrap_err().to_string(), message, "{source}");
    }
    assert!(Grammar::from_gbnf("").is_err());
}

/// What takes too much work ends in an error, and soon.
#[test]
fn gbnf_is_bounded() {
    let deep = format!("root ::= {}\"a\"{}", "(".repeat(5000), ")".repeat(5000));
    assert!(matches!(Grammar::from_gbnf(&deep), Err(GrammarError::Syntax { .. })));
    let stacked = format!("root ::= \"a\"{}", "*".repeat(5000));
    assert!(matches!(Grammar::from_gbnf(&stacked), Err(GrammarError::Syntax { .. })));
    assert!(matches!(Grammar::from_gbnf("root ::= \"a\"{1000000}"), Err(GrammarError::Syntax { .. })));
    let long = "a".repeat(5 << 20);
    assert!(matches!(Grammar::from_gbnf(&long), Err(GrammarError::Limit { .. })));
    // A chain of rules is no nesting.
    let mut chain = String::from("root ::= r0\n");
    for i in 0..20_000 {
        chain += &format!("r{i} ::= \"a\" r{} | [b-d]\n", i + 1);
    }
    chain += "r20000 ::= \"z\"\n";
    assert!(Grammar::from_gbnf(&chain).is_ok());
    // Every rule begins with every other.
    let names: Vec<String> = (0..60).map(|i| format!("r{i}")).collect();
    let mut dense = String::from("root ::= r0\n");
    for i in 0..60 {
        let all: Vec<String> = names.iter().map(|n| format!("{n} \"{i}\"")).collect();
        dense += &format!("r{i} ::= {} | \"x\"\n", all.join(" | "));
    }
    match Grammar::from_gbnf(&dense) {
        Ok(_) | Err(GrammarError::Limit { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Patterns and texts over a small alphabet: the `regex` crate is the judge.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "a", "b", "ab", "é", ".", "[ab]", "[^a]", "[a-é]", r"\w", r"[^\s]", "", "x?"
        ])
        .prop_map(str::to_string),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|p| p.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|p| format!("({})", p.join("|"))),
            (inner, prop::sample::select(vec!["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "{0,30}"]))
                .prop_map(|(p, times)| format!("(?:{p}){times}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn regular_expressions_match_whole_texts(pattern in pattern(), anchored in any::<bool>()) {
        let judge = regex_automata::meta::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        let texts = cfg::texts(&ALPHABET, 4);
        let expected: std::collections::BTreeSet<String> =
            texts.into_iter().filter(|text| judge.is_match(text)).collect();
        let spelled = if anchored { format!("^{pattern}$") } else { pattern.clone() };
        // Anchors bind tighter than alternatives.
        let spelled = if pattern.contains('|') { pattern.clone() } else { spelled };
        match Grammar::from_regex(&spelled) {
            Ok(grammar) => prop_assert_eq!(language(grammar, &ALPHABET, 4), Some(expected), "{}", spelled),
            Err(error) => panic!("{spelled}: {error}"),
        }
        let ecma = Grammar::from_regex_with(&pattern.replace(r"\w", "[a-z]"), RegexSyntax::Ecma);
        prop_assert!(ecma.is_ok(), "{pattern}: {ecma:?}");
    }
}

#[test]
fn long_expressions_are_counted_not_copied() {
    let grammar = Grammar::from_regex(r"[a-z]{1,500}@[a-z]{2,300}\.(com|org|net)").unwrap();
    let grammar = CompiledGrammar::new(Arc::new(grammar), bytes()).unwrap();
    assert!(accepts(&grammar, "x@example.org"));
    assert!(accepts(&grammar, &format!("{}@{}.com", "y".repeat(500), "z".repeat(300))));
    assert!(!accepts(&grammar, &format!("{}@example.com", "y".repeat(501))));
    assert!(!accepts(&grammar, "x@e.org"));
}
