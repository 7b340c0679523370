//! Small rule grammars, their texts by brute force, and their spellings: the judge of the rule notations. Shares no
//! code with the engine.

#![allow(dead_code, clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use toolglot_grammar::{CompiledGrammar, Grammar, GrammarError, Matcher, Token, Vocabulary};

/// A part of a rule.
#[derive(Debug, Clone)]
pub(crate) enum Cfg {
    Text(String),
    /// One character out of these, or any but these.
    Class(Vec<char>, bool),
    Rule(usize),
    Seq(Vec<Cfg>),
    Alt(Vec<Cfg>),
    Repeat(Box<Cfg>, u32, Option<u32>),
}

/// How a notation of grammars writes what notations do not agree on.
pub(crate) struct Notation {
    pub(crate) root: &'static str,
    /// What stands before the body of the root, and of another rule.
    pub(crate) define: fn(Option<usize>) -> String,
    /// Around the characters of a class.
    pub(crate) class: (&'static str, &'static str),
    pub(crate) or: &'static str,
    /// So many times what stands in the parentheses that this closes.
    pub(crate) times: fn(u32, u32) -> String,
    pub(crate) comment: &'static str,
}

impl Notation {
    /// The text of a grammar.
    pub(crate) fn write(&self, rules: &[Cfg]) -> String {
        let mut out = String::new();
        for (index, rule) in rules.iter().enumerate() {
            out += &(self.define)((index > 0).then_some(index));
            self.part(rule, &mut out);
            out += self.comment;
            out.push('\n');
        }
        out
    }

    fn part(&self, node: &Cfg, out: &mut String) {
        match node {
            Cfg::Text(text) => *out += &format!("\"{text}\""),
            Cfg::Class(chars, negated) => {
                let (open, close) = self.class;
                *out += open;
                out.extend(negated.then_some('^'));
                out.extend(chars);
                *out += close;
            }
            Cfg::Rule(0) => *out += self.root,
            Cfg::Rule(rule) => *out += &format!("r{rule}"),
            Cfg::Seq(parts) => self.joined(parts, " ", out),
            Cfg::Alt(parts) => self.joined(parts, self.or, out),
            Cfg::Repeat(item, min, max) => {
                out.push('(');
                self.part(item, out);
                *out += &match (min, max) {
                    (0, None) => ")*".into(),
                    (1, None) => ")+".into(),
                    (0, Some(1)) => ")?".into(),
                    (min, None) => format!("){{{min},}}"),
                    (min, Some(max)) => (self.times)(*min, *max),
                };
            }
        }
    }

    fn joined(&self, parts: &[Cfg], with: &str, out: &mut String) {
        out.push('(');
        for (index, inner) in parts.iter().enumerate() {
            *out += if index > 0 { with } else { "" };
            self.part(inner, out);
        }
        out.push(')');
    }
}

/// As llama.cpp writes grammars.
pub(crate) const GBNF: Notation = Notation {
    root: "root",
    define: |rule| rule.map_or("root ::= ".into(), |rule| format!("r{rule} ::= ")),
    class: ("[", "]"),
    or: " | ",
    times: |min, max| if min == max { format!("){{{min}}}") } else { format!("){{{min},{max}}}") },
    comment: " # a comment",
};

/// As llguidance writes them.
pub(crate) const LARK: Notation = Notation {
    root: "start",
    define: |rule| rule.map_or("?start: ".into(), |rule| format!("!r{rule}: ")),
    class: ("/[", "]/"),
    or: "\n | ",
    times: |min, max| if min == max { format!(")~{min}") } else { format!(")~{min}..{max}") },
    comment: " // a comment",
};

/// For each rule and start, the ends known so far.
type Table = Vec<Vec<BTreeSet<usize>>>;

fn ends(part: &Cfg, text: &[char], from: usize, table: &Table) -> BTreeSet<usize> {
    match part {
        Cfg::Text(word) => {
            let word: Vec<char> = word.chars().collect();
            text[from..].starts_with(&word).then_some(from + word.len()).into_iter().collect()
        }
        Cfg::Class(chars, negated) => {
            text.get(from).filter(|c| chars.contains(c) != *negated).map(|_| from + 1).into_iter().collect()
        }
        Cfg::Rule(rule) => table[*rule][from].clone(),
        Cfg::Seq(parts) => parts.iter().fold(BTreeSet::from([from]), |starts, part| {
            starts.iter().flat_map(|&start| ends(part, text, start, table)).collect()
        }),
        Cfg::Alt(parts) => parts.iter().flat_map(|part| ends(part, text, from, table)).collect(),
        Cfg::Repeat(item, min, max) => {
            let mut here = BTreeSet::from([from]);
            let mut out = BTreeSet::new();
            // An item that consumes nothing changes nothing, so the text's length and `min` bound the rounds.
            for round in 0..=max.unwrap_or(*min + text.len() as u32 + 1) {
                if round >= *min {
                    out.extend(here.iter().copied());
                }
                here = here.iter().flat_map(|&start| ends(item, text, start, table)).collect();
            }
            out
        }
    }
}

/// Whether rule 0 derives the text.
pub(crate) fn derives(rules: &[Cfg], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut table: Table = vec![vec![BTreeSet::new(); text.len() + 1]; rules.len()];
    loop {
        let mut changed = false;
        for from in 0..=text.len() {
            for (index, rule) in rules.iter().enumerate() {
                let found = ends(rule, &text, from, &table);
                changed |= found.len() > table[index][from].len();
                table[index][from].extend(found);
            }
        }
        if !changed {
            return table[0][0].contains(&text.len());
        }
    }
}

/// All texts over `alphabet` of up to `longest` characters, shortest first.
pub(crate) fn texts(alphabet: &[char], longest: usize) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut from = 0;
    for _ in 0..longest {
        let to = out.len();
        for index in from..to {
            out.extend(alphabet.iter().map(|c| format!("{}{c}", out[index])).collect::<Vec<_>>());
        }
        from = to;
    }
    out
}

/// A vocabulary with a token for every byte, and two special ones.
pub(crate) fn bytes() -> Arc<Vocabulary> {
    static BYTES: OnceLock<Arc<Vocabulary>> = OnceLock::new();
    let make = || {
        let mut tokens: Vec<Token> = (0..=255u8).map(|b| Token::text([b])).collect();
        tokens.extend([Token::special("<eos>"), Token::special("<think>"), Token::special("</think>")]);
        Arc::new(Vocabulary::new(tokens, &[256], None).unwrap())
    };
    BYTES.get_or_init(make).clone()
}

pub(crate) fn matcher(grammar: Grammar) -> Matcher {
    CompiledGrammar::new(Arc::new(grammar), bytes()).unwrap().matcher().unwrap()
}

/// Whether a grammar accepts a text.
pub(crate) fn accepts(grammar: &Arc<CompiledGrammar>, text: &str) -> bool {
    let mut matcher = grammar.matcher().unwrap();
    matcher.accept_bytes(text.as_bytes()).is_ok() && matcher.is_accepting()
}

/// The texts over an alphabet that a grammar accepts, found by following it; what it lets begin must have an end. `None`
/// if it can be read in more ways at once than the engine follows, which is an error and no guess.
pub(crate) fn language(grammar: Grammar, alphabet: &[char], longest: usize) -> Option<BTreeSet<String>> {
    fn follow(
        m: &mut Matcher,
        text: &mut String,
        alphabet: &[char],
        left: usize,
        out: &mut BTreeSet<String>,
    ) -> bool {
        assert!(m.shortest_completion() < u64::MAX / 4, "no way out behind {text:?}");
        if m.is_accepting() {
            out.insert(text.clone());
        }
        for &c in alphabet.iter().filter(|_| left > 0) {
            let mut bytes = [0; 4];
            match m.accept_bytes(c.encode_utf8(&mut bytes).as_bytes()) {
                Ok(()) => {
                    text.push(c);
                    let done = follow(m, text, alphabet, left - 1, out);
                    text.pop();
                    m.rollback(1).unwrap();
                    if !done {
                        return false;
                    }
                }
                Err(GrammarError::RejectedBytes { .. }) => {}
                Err(GrammarError::Limit { .. }) => return false,
                Err(error) => panic!("behind {text:?}: {error}"),
            }
        }
        true
    }
    let mut out = BTreeSet::new();
    follow(&mut matcher(grammar), &mut String::new(), alphabet, longest, &mut out).then_some(out)
}

/// The texts that rule 0 derives.
pub(crate) fn derived(rules: &[Cfg], alphabet: &[char], longest: usize) -> BTreeSet<String> {
    texts(alphabet, longest).into_iter().filter(|text| derives(rules, text)).collect()
}

/// Parts that call any of `rules` rules.
pub(crate) fn part(rules: usize) -> impl Strategy<Value = Cfg> {
    let leaf = prop_oneof![
        3 => prop::sample::select(vec!["a", "b", "ab", "é", "ba"]).prop_map(|t| Cfg::Text(t.into())),
        1 => Just(Cfg::Text(String::new())),
        2 => (prop::sample::subsequence(vec!['a', 'b', 'é'], 1..3), any::<bool>())
            .prop_map(|(chars, negated)| Cfg::Class(chars, negated)),
        3 => (0..rules).prop_map(Cfg::Rule),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let times = prop_oneof![
            Just((0, None)),
            Just((1, None)),
            Just((0, Some(1))),
            Just((2, Some(3))),
            Just((2, Some(2))),
            Just((2, None)),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Cfg::Seq),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Cfg::Alt),
            (inner, times).prop_map(|(item, (min, max))| Cfg::Repeat(Box::new(item), min, max)),
        ]
    })
}

pub(crate) fn rules() -> impl Strategy<Value = Vec<Cfg>> {
    (1usize..4).prop_flat_map(|n| prop::collection::vec(part(n), n))
}
