//! Lark grammars: against brute force, and what their terminals mean.

#![allow(clippy::unwrap_used)]

mod cfg;

use cfg::{LARK, accepts, bytes, derived, language, matcher, rules};
use proptest::prelude::*;
use std::sync::Arc;
use toolglot_grammar::{CompiledGrammar, Grammar, GrammarError, LarkOptions, Lexing};

fn any() -> LarkOptions {
    LarkOptions { lexing: Lexing::Any, ..LarkOptions::default() }
}

const ALPHABET: [char; 4] = ['a', 'b', 'é', 'x'];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_accept_what_they_derive(rules in rules()) {
        let source = LARK.write(&rules);
        let expected = derived(&rules, &ALPHABET, 4);
        match Grammar::from_lark_with(&source, &any()) {
            Ok(grammar) => {
                let got = language(grammar, &ALPHABET, 4);
                prop_assume!(got.is_some());
                prop_assert_eq!(got.as_ref(), Some(&expected), "{}", source);
            }
            Err(GrammarError::Empty(_)) => prop_assert!(expected.is_empty(), "{source}: {expected:?}"),
            Err(GrammarError::Unsupported { reason, .. }) if reason.contains("behind something") => {}
            Err(error) => panic!("{source}: {error}"),
        }
        // What is read as a lexer would accepts no more than every way to cut the text does.
        match Grammar::from_lark(&source) {
            Ok(grammar) => {
                let got = language(grammar, &ALPHABET, 4);
                prop_assume!(got.is_some());
                let got = got.unwrap_or_default();
                prop_assert!(got.is_subset(&expected), "{}: {:?} and {:?}", source, got, expected);
            }
            Err(GrammarError::Empty(_) | GrammarError::Unsupported { .. }) => {}
            Err(error) => panic!("{source}: {error}"),
        }
    }
}

fn compiled(source: &str) -> Arc<CompiledGrammar> {
    let grammar = Grammar::from_lark(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    CompiledGrammar::new(Arc::new(grammar), bytes()).unwrap()
}

fn check(source: &str, yes: &[&str], no: &[&str]) {
    let grammar = compiled(source);
    yes.iter().for_each(|text| assert!(accepts(&grammar, text), "{source}\nrefuses {text:?}"));
    no.iter().for_each(|text| assert!(!accepts(&grammar, text), "{source}\naccepts {text:?}"));
}

#[test]
fn arithmetic_with_left_recursion_and_ignored_space() {
    let source = r#"
        %import common.NUMBER
        %import common.WS
        %ignore WS
        start: sum
        ?sum: sum ("+" | "-") product | product   // left-recursive
        ?product: product "*" atom
                | atom -> single
        ?atom: NUMBER | "(" sum ")"
    "#;
    check(source, &["1", "1+2 * (3 - 4.5e3)", "1 ", "( 1 )"], &["", " 1", "1 2", "1 +", "()", "1.5.2"]);
    check(
        "%llguidance {\"allow_initial_skip\": true}\n%ignore \" \"\nstart: \"a\" \"b\"",
        &["ab", " a b", "  ab"],
        &["b", "a", "ab "],
    );
}

#[test]
fn terminals_are_regular() {
    check(
        r#"start: INT ("," HEX)*
           HEX: "0x"i DIGIT{2}
           INT: "-"? UINT
           UINT: DIGIT+
           DIGIT: "0".."9""#,
        &["1", "-12,0x34,0X56"],
        &["", "--1", "1,0x3", "1,"],
    );
    check("start: /a.c/s \"X\"i", &["abcx", "a\ncX"], &["abc", "acx"]);
    check("start: LINES\nLINES: /[a-z\\n]*/ & ~/(?s:.*)\\n\\n(?s:.*)/", &["", "a\nb\n"], &["a\n\nb", "A"]);
    check("start: A\nA: B & C\nB: /[ab]+/\nC: ~\"ab\"", &["a", "aba"], &["ab", ""]);
    check("start: \"[\" [\"a\"] \"]\"", &["[]", "[a]"], &["[aa]"]);
    let words = "start: X\nX: %regex {\"substring_words\": \"to be, or not\"}";
    check(words, &["", "to be", "be, or", ", ", "not"], &["o be", "to be,  or", "to or"]);
    check("start: %regex {\"substring_chars\": \"abc\"}", &["", "b", "bc", "abc"], &["ac", "cb"]);
}

#[test]
fn json_and_tokens() {
    let source = r#"start: <think> "\n" /[^<]*/ </think> call
call: %json {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
             "additionalProperties": false}"#;
    let mut m = matcher(Grammar::from_lark(source).unwrap());
    for token in [257, 10, 97, 258] {
        m.accept(token).unwrap();
    }
    m.accept_bytes(b"{ \"n\" : 12}").unwrap();
    assert!(m.is_complete());
    let ranges = "start: <[97-98,257]> <[^97]> <[*]>";
    let mut m = matcher(Grammar::from_lark(ranges).unwrap());
    for (refused, taken) in [(99, 257), (97, 99), (256, 97)] {
        assert!(m.accept(refused).is_err());
        m.accept(taken).unwrap();
    }
    assert!(m.is_complete());
    check(
        "start: %json {\"type\": \"object\", \"x-guidance\": {\"whitespace_flexible\": false}}",
        &["{}", "{\"a\":1}"],
        &["{ }", "{\"a\": 1}"],
    );
}

/// Free text up to a marker, in each of the ways that llguidance documents.
#[test]
fn lazy_terminals_end_as_soon_as_they_can() {
    check("start: x \"b\"\nx[lazy]: /[ab]*<e>/", &["ab<e>b"], &["ab<e>", "a<e>b<e>b"]);
    check("start: x \"b\"\nx[suffix=\"<e>\"]: /(?s:.*)/", &["ab<e>b"], &["ab<e>", "a<e>b<e>b"]);
    check("start: x \"b\"\nx[lazy]: /[0-9]+/", &["1b"], &["12b", "b"]);
    check("start: x \"b\"\nx[lazy]: /.*/", &["b"], &["ab"]);
    let tools = r#"
        start: ( f_foo | f_bar )* f_end
        f_end: TEXT
        TEXT: /(.|\n)*/
        f_foo_hd[lazy]: TEXT "<function"
        f_foo: f_foo_hd "=foo>" %json { "type": "object" } "</function>"
        f_bar_hd[lazy]: TEXT "<function"
        f_bar: f_bar_hd "=bar>" /[0-9]+/ "</function>"
    "#;
    check(
        tools,
        &[
            "",
            "Hello <functio",
            "a<function=foo>{}</function>b",
            "<function=bar>12</function><function=foo>{}</function>",
        ],
        &[
            "<function",
            "a<function=baz>",
            "<function=bar>1</function><function",
            "x<function=foo>1</function>",
        ],
    );
    // Two markers: text before one must not hold the other.
    let two = r#"
        start: (a | b)* TEXT
        TEXT: /(?s:.*)/
        a: to_a "1"
        b: to_b "2"
        to_a[lazy]: TEXT "<a>"
        to_b[lazy]: TEXT "<b>"
    "#;
    check(two, &["x<a>1y<b>2z", "<b>2<a>1"], &["<b>x<a>1", "<b>1", "<a>2", "x<a>"]);
}

/// Where only the longest match would tell terminals apart, there is no silent guess.
#[test]
fn what_the_longest_match_would_decide_is_refused() {
    for (source, place) in [
        ("start: /[a-z]+/ \"x\"", "line 1, column 8: `/[a-z]+/`"),
        ("start: \"if\" NAME | NAME \"=\"\nNAME: /[a-z]+/", "line 1, column 8: `\"if\"`"),
        ("start: A B\nA: /a+/\nB: /ab/", "line 1, column 8: `A`"),
        ("start: %json {\"type\": \"integer\"} \".5\"", "line 1, column 8: `%json`"),
        ("start: %json {\"type\": \"object\"} | /\\{.*/", "line 1, column 8: `%json`"),
    ] {
        let error = Grammar::from_lark(source).expect_err(source).to_string();
        assert!(error.starts_with(place), "{source}: {error}");
        assert!(Grammar::from_lark_with(source, &any()).is_ok(), "{source}");
    }
    // A name that is followed by a keyword goes on for as long as it can: the keyword has to stand apart.
    check(
        "%ignore \" \"\nstart: \"from\" NAME \"to\" NAME (\"via\" NAME)*\nNAME: /[a-z]+/",
        &["from a to b", "froma to b", "from to to via via from", "from a  tob viac"],
        &["from ato b", "from a to", "from a to b to c"],
    );
    check(
        "%ignore \" \"\nstart: (\"if\" NAME \";\" | NAME \"=\" NAME \";\")+\nNAME: /[a-z]+/",
        &["if a;", "iff = a;", "if = b;if if;"],
        &["ifa;", "if;", "iff a;"],
    );
    // Nothing that follows begins like what goes on.
    for source in [
        "start: /[a-z]+/ \"1\"",
        "start: \"if\" \" \" NAME | NAME \"=\"\nNAME: /[a-z]+/",
        "start: STRING (\",\" STRING)*\nSTRING: /\"[^\"]*\"/",
        "start: TEXT | call\nTEXT: /[^{](.|\\n)*/\ncall: %json {\"type\": \"object\"}",
    ] {
        Grammar::from_lark(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    }
    let sometimes = "start: hd t | t\nt: TEXT \"!\"\nhd[lazy]: TEXT \"<\"\nTEXT: /[a-z<]*/";
    let error = Grammar::from_lark(sometimes).unwrap_err().to_string();
    assert!(error.contains("stands beside it in some places and not in others"), "{error}");
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    for (source, keyword) in [
        ("start[max_tokens=3]: /a/", "max_tokens"),
        ("start[temperature=0.5]: /a/", "temperature"),
        ("start[stop=\"x\"]: /a*/", "stop"),
        ("start[capture]: /a/", "capture"),
        ("start[suffix=\"\"]: /a/", "suffix"),
        ("start: @other", "@other"),
        ("start: %lark { start: \"a\" }", "%lark"),
        ("start: a::3\na::_: \"x\"", "parameters"),
        ("start: a{x}\na{p}: p", "parameters"),
        ("start: A\nA.2: \"a\"", "priority"),
        ("%override start: \"a\"", "%override"),
        ("%declare A\nstart: A", "%declare"),
        ("%import common.NOTHING\nstart: \"a\"", "%import"),
        ("%import .local.A\nstart: A", "%import"),
        ("start: A\nA: A \"a\" | \"a\"", "terminal A"),
        ("start: /\\bx/", "/\\bx/"),
        ("start: A \"b\"\nA: (B & C)+\nB: /a/\nC: /a/", "&"),
        ("start: A\nA: (~\"a\")+", "~"),
        ("%llguidance {\"allow_invalid_utf8\": true}\nstart: \"a\"", "%llguidance allow_invalid_utf8"),
        ("start: \"a\" & \"b\"", "&"),
        ("start: %json {\"type\": \"array\", \"uniqueItems\": true, \"items\": {}}", "uniqueItems"),
    ] {
        match Grammar::from_lark(source) {
            Err(GrammarError::Unsupported { keyword: found, .. }) => assert_eq!(found, keyword, "{source}"),
            Err(GrammarError::Within { source: inner, .. }) => {
                assert!(inner.to_string().contains(keyword), "{source}: {inner}");
            }
            other => panic!("{source}: {other:?}"),
        }
    }
    for (source, message) in [
        ("begin: \"a\"", "rule `start` is used but never defined"),
        ("start: b", "line 1, column 8: rule `b` is used but never defined"),
        ("start: B", "line 1, column 8: terminal `B` is used but never defined"),
        ("start: \"a", "line 1, column 8: the string has no closing quote"),
        ("start: /a", "line 1, column 8: the regular expression has no closing slash"),
        ("start: (\"a\"", "line 1, column 12: expected `)`, found the end of the grammar"),
        ("start \"a\"", "line 1, column 7: expected `:`, found \"a\""),
        ("start: \"a\" ]", "line 1, column 12: expected the end of the definition, found `]`"),
        ("start: /a(/", "line 1, column 8: in /a(/: unclosed group"),
        ("start: \"a\"~3..2", "line 1, column 11: the upper bound of the repetition is below the lower one"),
        (
            "start: %json {\"a\"",
            "line 1, column 13: behind `%json`: EOF while parsing an object at line 1 column 5",
        ),
        ("start: \"a\"\nstart: \"b\"", "line 2, column 1: rule `start` is defined twice"),
        (
            "A: start\nstart: A",
            "line 1, column 4: `start` is a rule, and a terminal is made of terminals only",
        ),
        ("start: Abc", "line 1, column 8: `Abc` is neither a rule (lower case) nor a terminal (upper case)"),
    ] {
        assert_eq!(Grammar::from_lark(source).unwrap_err().to_string(), message, "{source}");
    }
}

#[test]
fn work_is_bounded() {
    let deep = format!("start: {}\"a\"{}", "(".repeat(5000), ")".repeat(5000));
    assert!(matches!(Grammar::from_lark(&deep), Err(GrammarError::Syntax { .. })));
    // Terminals that double thirty times.
    let mut doubling = String::from("start: A0\n");
    for i in 0..30 {
        doubling += &format!("A{i}: A{} A{}\n", i + 1, i + 1);
    }
    doubling += "A30: \"ab\"\n";
    assert!(matches!(Grammar::from_lark(&doubling), Err(GrammarError::Unsupported { .. })));
    // Automata that explode.
    let hard = "start: A \"!\"\nA: /(?s:.)*a[ab]{25}/ & /(?s:.)*b[ab]{24}/";
    assert!(matches!(
        Grammar::from_lark(hard),
        Err(GrammarError::Unsupported { .. } | GrammarError::Limit { .. })
    ));
    let long = compiled("start: /(.|\\n){10,3000}/ <think>");
    assert!(!accepts(&long, "short"));
}
