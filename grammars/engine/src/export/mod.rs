//! Grammars written down for other engines: GBNF for llama.cpp, Lark for llguidance, structural tags for XGrammar.
//!
//! What a notation has no words for is refused by name. Rules come out where a grammar repeats itself or a part is
//! used twice; automata become regular expressions, or a rule per state where these would be long.

mod automaton;
mod gbnf;
mod lark;
mod rules;
mod string;
mod tag;

pub use tag::structural_tag;

use crate::GrammarError;
use crate::automaton::Escapes;
use crate::front::rules::{Part, RuleDef};
use crate::grammar::{Expr, Grammar, Node};
use crate::vocab::Vocabulary;
use rustc_hash::{FxHashMap, FxHashSet};

/// Most rules and most parts that are written down.
const MAX_RULES: usize = 1 << 15;
const MAX_PARTS: usize = 1 << 18;

impl Grammar {
    /// The grammar in GBNF, for llama.cpp. A special token is named by its id in `vocabulary`, or stands as its text
    /// where that has none; without a vocabulary it is named as `<name>`.
    ///
    /// ```
    /// # use toolglot_grammar::Grammar;
    /// let grammar = Grammar::from_regex("(yes|no), [a-z]{2,9}")?;
    /// assert_eq!(grammar.to_gbnf(None)?, "root ::= (\"yes\" | \"no\") \", \" [a-z]{2,9}\n");
    /// # Ok::<(), toolglot_grammar::GrammarError>(())
    /// ```
    pub fn to_gbnf(&self, vocabulary: Option<&Vocabulary>) -> Result<String, GrammarError> {
        gbnf::write(&Exporter::rules(self)?, vocabulary)
    }

    /// The grammar in Lark, for llguidance; special tokens as in [`Grammar::to_gbnf`]. Where that engine's lexer would
    /// cut a text in another way, every character becomes a terminal: slower to follow, and the same texts.
    ///
    /// ```
    /// # use toolglot_grammar::Grammar;
    /// let grammar = Grammar::from_gbnf("root ::= \"[\" [0-9]+ (\",\" [0-9]+)* \"]\"")?;
    /// assert!(grammar.to_lark(None)?.starts_with("start: "));
    /// # Ok::<(), toolglot_grammar::GrammarError>(())
    /// ```
    pub fn to_lark(&self, vocabulary: Option<&Vocabulary>) -> Result<String, GrammarError> {
        lark::write(&Exporter::rules(self)?, vocabulary)
    }
}

/// Turns one grammar into rules.
struct Exporter<'a> {
    grammar: &'a Grammar,
    rules: Vec<RuleDef>,
    /// Nodes that have a rule.
    named: FxHashMap<Expr, usize>,
    /// Rules whose bodies are still to be written.
    open: Vec<(Expr, usize)>,
    /// How often each node is used.
    uses: Vec<u32>,
    /// The inside of a string is being written, with these escapes.
    escapes: Option<Escapes>,
    /// Classes as strings write them.
    characters: FxHashMap<(Escapes, String), Part>,
    parts: usize,
}

impl<'a> Exporter<'a> {
    fn rules(grammar: &'a Grammar) -> Result<Vec<RuleDef>, GrammarError> {
        let mut exporter = Exporter {
            grammar,
            rules: Vec::new(),
            named: FxHashMap::default(),
            open: Vec::new(),
            uses: uses(grammar),
            escapes: None,
            characters: FxHashMap::default(),
            parts: 0,
        };
        exporter.grammar()?;
        Ok(tidy(exporter.rules))
    }

    /// Accounts for rules.
    fn count(&self, more: usize) -> Result<(), GrammarError> {
        if self.rules.len() + more > MAX_RULES {
            return Err(GrammarError::Limit {
                what: "rules of an exported grammar",
                limit: MAX_RULES as u64,
            });
        }
        Ok(())
    }

    /// Accounts for parts.
    fn spend(&mut self, parts: usize) -> Result<(), GrammarError> {
        self.parts += parts;
        if self.parts > MAX_PARTS {
            return Err(GrammarError::Limit {
                what: "parts of an exported grammar",
                limit: MAX_PARTS as u64,
            });
        }
        Ok(())
    }
}

/// How often each node is used by those that the root needs.
fn uses(grammar: &Grammar) -> Vec<u32> {
    let mut uses = vec![0u32; grammar.nodes.len()];
    let mut seen: FxHashSet<Expr> = FxHashSet::default();
    let mut stack = vec![grammar.root];
    uses[grammar.root.0 as usize] = 1;
    seen.insert(grammar.root);
    let mut inner: Vec<Expr> = Vec::new();
    while let Some(node) = stack.pop() {
        inner.clear();
        match grammar.node(node) {
            Node::Seq(parts) | Node::Alt(parts) => inner.extend(parts.iter()),
            Node::Switch(id) => inner.extend(&grammar.switches[*id as usize].then),
            Node::Repeat { item, separator, .. } => {
                // Written twice where there is a separator.
                inner.push(*item);
                if let Some(separator) = separator {
                    inner.extend([*item, *separator]);
                }
            }
            Node::Rule(rule) => inner.push(grammar.rules[*rule as usize].1),
            Node::Object(id) | Node::Behind { object: id, .. } => {
                let object = &grammar.objects[*id as usize];
                let ends = [object.open, object.lead, object.comma, object.colon, object.close];
                inner.extend(ends.iter().chain(&object.values));
                // Used once for every member.
                inner.extend(ends);
                object.rest.iter().for_each(|&(key, value)| inner.extend([key, value]));
            }
            _ => {}
        }
        for &part in &inner {
            uses[part.0 as usize] += 1;
            if seen.insert(part) {
                stack.push(part);
            }
        }
    }
    uses
}

/// Rules without those that only stand for a word or for another rule, under names that say what they are.
fn tidy(mut rules: Vec<RuleDef>) -> Vec<RuleDef> {
    let small = |part: &Part| match part {
        Part::Text(text) => text.len() <= 24,
        Part::Class(class) => class.ranges().len() <= 4,
        Part::Rule(_) | Part::Token(_) | Part::Special(_) => true,
        Part::Alt(parts) => parts.is_empty(),
        _ => false,
    };
    // Rules that stand for rules may do so in turn, but not in a circle: no rule is left-recursive.
    let mut stands: Vec<Option<Part>> =
        rules.iter().map(|r| small(&r.body).then(|| r.body.clone())).collect();
    for index in 0..stands.len() {
        let mut end = stands[index].clone();
        let mut steps = 0;
        while let Some(Part::Rule(next)) = end {
            match &stands[next] {
                Some(part) if steps < stands.len() => end = Some(part.clone()),
                _ => break,
            }
            steps += 1;
        }
        stands[index] = end;
    }
    for rule in &mut rules {
        replace(&mut rule.body, &stands);
        rule.body = automaton::plain(std::mem::replace(&mut rule.body, Part::empty()));
    }
    // What the root needs, in the order in which it is met. A root that only stands for a rule is that rule.
    let root = match rules[0].body {
        Part::Rule(rule) => rule,
        _ => 0,
    };
    rules[root].name = "root".into();
    let mut number: FxHashMap<usize, usize> = FxHashMap::default();
    let mut order = vec![root];
    number.insert(root, 0);
    let mut at = 0;
    while at < order.len() {
        let mut calls = Vec::new();
        visit(&rules[order[at]].body, &mut calls);
        for call in calls {
            number.entry(call).or_insert_with(|| {
                order.push(call);
                order.len() - 1
            });
        }
        at += 1;
    }
    let mut names: FxHashSet<String> = FxHashSet::default();
    order
        .into_iter()
        .map(|old| {
            let mut rule = rules[old].clone();
            renumber(&mut rule.body, &number);
            let wanted = name_of(&rule.name);
            let mut name = wanted.clone();
            let mut count = 1;
            while !names.insert(name.clone()) {
                count += 1;
                name = format!("{wanted}{count}");
            }
            RuleDef { name, ..rule }
        })
        .collect()
}

/// Lower-case letters, which every notation takes, digits behind them.
fn name_of(name: &str) -> String {
    let word = name.rsplit('/').find(|part| part.chars().any(|c| c.is_ascii_alphabetic())).unwrap_or("rule");
    let mut out: String = word.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    out.make_ascii_lowercase();
    let digits = out.chars().take_while(char::is_ascii_digit).count();
    out.drain(..digits);
    // A number behind the name would not tell `a1` from the first of several `a`.
    let letters = out.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    out.truncate(letters);
    if out.is_empty() { "rule".into() } else { out }
}

fn inner_mut(part: &mut Part) -> &mut [Part] {
    match part {
        Part::Seq(parts) | Part::Alt(parts) => parts,
        Part::Repeat { item, .. } => std::slice::from_mut(item),
        _ => &mut [],
    }
}

fn replace(part: &mut Part, stands: &[Option<Part>]) {
    if let Part::Rule(rule) = part
        && let Some(stand) = &stands[*rule]
    {
        *part = stand.clone();
        return;
    }
    inner_mut(part).iter_mut().for_each(|inner| replace(inner, stands));
}

fn visit(part: &Part, out: &mut Vec<usize>) {
    if let Part::Rule(rule) = part {
        out.push(*rule);
    }
    part.inner().iter().for_each(|inner| visit(inner, out));
}

fn renumber(part: &mut Part, number: &FxHashMap<usize, usize>) {
    if let Part::Rule(rule) = part {
        *rule = number.get(rule).copied().unwrap_or_default();
    }
    inner_mut(part).iter_mut().for_each(|inner| renumber(inner, number));
}

/// What a part stands in: how tightly its surroundings bind.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Alt,
    Seq,
    Item,
}

/// What a special token is in a notation.
enum Named {
    Id(u32),
    Name(String),
    Text(String),
}

/// Finds a special token: its id, its text where the vocabulary has none, its name where there is no vocabulary.
fn named(name: &str, vocabulary: Option<&Vocabulary>) -> Result<Named, GrammarError> {
    match vocabulary {
        Some(vocabulary) => Ok(match vocabulary.named(name) {
            Some(id) => Named::Id(id),
            None => Named::Text(name.to_owned()),
        }),
        None => {
            let inner = name.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
            let plain = |inner: &str| {
                !inner.is_empty()
                    && !inner.starts_with('[')
                    && !inner.contains(['<', '>'])
                    && !inner.contains(char::is_whitespace)
            };
            if inner.is_some_and(plain) {
                return Ok(Named::Name(name.to_owned()));
            }
            Err(GrammarError::unsupported(
                "",
                format!("the special token {name}"),
                "it has to be named by its id; give a vocabulary",
            ))
        }
    }
}
