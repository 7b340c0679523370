//! Masks against brute force: random grammars over a small vocabulary, every token of every mask decided by an
//! independent interpreter that shares no code with the engine.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use toolglot_grammar::{CompiledGrammar, Expr, GrammarBuilder, Matcher, Members, RawText, Token, Vocabulary};

/// A grammar as a term, and its meaning by derivatives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Term {
    Empty,
    Never,
    Byte(u8),
    /// Index into the special tokens.
    Special(u8),
    Seq(Rc<Term>, Rc<Term>),
    Alt(BTreeSet<Rc<Term>>),
    Repeat(Rc<Term>, u32, Option<u32>),
    /// Text without these strings; what was read since the start.
    Text(Rc<Vec<Vec<u8>>>, Vec<u8>),
    /// Text up to this terminator.
    Raw(Rc<Vec<u8>>, Vec<u8>),
    /// Members: keys with values and whether they are required; which were used; a flag for declared order.
    Members(Rc<Object>, BTreeSet<usize>, bool),
    Rule(Rc<str>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    declared: Vec<(Vec<u8>, Rc<Term>, bool)>,
    any_order: bool,
    min: u64,
    max: Option<u64>,
}

fn lit(bytes: &[u8]) -> Rc<Term> {
    bytes.iter().rev().fold(Rc::new(Term::Empty), |rest, &b| seq(Rc::new(Term::Byte(b)), rest))
}

fn seq(a: Rc<Term>, b: Rc<Term>) -> Rc<Term> {
    match (&*a, &*b) {
        (Term::Never, _) | (_, Term::Never) => Rc::new(Term::Never),
        (Term::Empty, _) => b,
        (_, Term::Empty) => a,
        (Term::Seq(x, y), _) => seq(x.clone(), seq(y.clone(), b)),
        _ => Rc::new(Term::Seq(a, b)),
    }
}

fn alt(parts: impl IntoIterator<Item = Rc<Term>>) -> Rc<Term> {
    let mut set = BTreeSet::new();
    for part in parts {
        match &*part {
            Term::Never => {}
            Term::Alt(inner) => set.extend(inner.iter().cloned()),
            _ => {
                set.insert(part);
            }
        }
    }
    match set.len() {
        0 => Rc::new(Term::Never),
        1 => set.into_iter().next().unwrap(),
        _ => Rc::new(Term::Alt(set)),
    }
}

/// The right-recursive rule `r = a r? b`, the one recursive rule of these tests.
fn rule_body() -> Rc<Term> {
    let inner = alt([Rc::new(Term::Rule("r".into())), Rc::new(Term::Empty)]);
    seq(lit(b"("), seq(inner, alt([lit(b")"), lit(b"))")])))
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && text.windows(needle.len()).any(|w| w == needle)
}

fn text_ok(excluded: &[Vec<u8>], text: &[u8]) -> bool {
    !excluded.iter().any(|e| contains(text, e))
}

/// A string that begins as it ends, such as `,,`, must not be completed early when it follows the text.
fn text_ends(excluded: &[Vec<u8>], text: &[u8]) -> bool {
    let overlaps = |e: &&Vec<u8>| (1..e.len()).any(|n| e[..n] == e[e.len() - n..]);
    // What holds another excluded string cannot follow at all.
    let whole = |e: &&Vec<u8>| text_ok(excluded, &e[..e.len() - 1]) && text_ok(excluded, &e[1..]);
    excluded
        .iter()
        .filter(overlaps)
        .filter(whole)
        .all(|e| text_ok(excluded, &[text, &e[..e.len() - 1]].concat()))
}

fn raw_ends(terminator: &[u8], text: &[u8]) -> bool {
    let mut all = text.to_vec();
    all.extend_from_slice(terminator);
    (0..all.len()).find(|&i| all[i..].starts_with(terminator)) == Some(text.len())
}

fn members_next(o: &Rc<Object>, used: &BTreeSet<usize>) -> Vec<usize> {
    let n = o.declared.len();
    let first = if o.any_order { 0 } else { used.iter().next_back().map_or(0, |&l| l + 1) };
    (first..n).filter(|i| !used.contains(i)).collect()
}

/// `(a, b)` is true if the term accepts the empty text.
fn nullable(t: &Term) -> bool {
    match t {
        Term::Empty => true,
        Term::Never | Term::Byte(_) | Term::Special(_) => false,
        Term::Seq(a, b) => nullable(a) && nullable(b),
        Term::Alt(set) => set.iter().any(|t| nullable(t)),
        Term::Repeat(t, min, _) => *min == 0 || nullable(t),
        Term::Text(excluded, read) => text_ends(excluded, read),
        Term::Raw(t, read) => raw_ends(t, read),
        Term::Members(o, used, _) => {
            used.len() as u64 >= o.min && (0..o.declared.len()).all(|i| !o.declared[i].2 || used.contains(&i))
        }
        Term::Rule(_) => nullable(&rule_body()),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Symbol {
    Byte(u8),
    Special(u8),
}

fn derive(t: &Rc<Term>, s: Symbol) -> Rc<Term> {
    let never = || Rc::new(Term::Never);
    match &**t {
        Term::Empty | Term::Never => never(),
        Term::Byte(b) => {
            if s == Symbol::Byte(*b) {
                Rc::new(Term::Empty)
            } else {
                never()
            }
        }
        Term::Special(i) => {
            if s == Symbol::Special(*i) {
                Rc::new(Term::Empty)
            } else {
                never()
            }
        }
        Term::Seq(a, b) => {
            let first = seq(derive(a, s), b.clone());
            if nullable(a) { alt([first, derive(b, s)]) } else { first }
        }
        Term::Alt(set) => alt(set.iter().map(|t| derive(t, s))),
        Term::Repeat(t, min, max) => {
            if *max == Some(0) {
                return never();
            }
            // With a nullable item the empty ones can all come first.
            let min = if nullable(t) { 0 } else { min.saturating_sub(1) };
            seq(derive(t, s), Rc::new(Term::Repeat(t.clone(), min, max.map(|m| m - 1))))
        }
        Term::Text(excluded, read) => match s {
            Symbol::Byte(b) => {
                let mut read = read.clone();
                read.push(b);
                if !text_ok(excluded, &read) {
                    return never();
                }
                // Only a window of the past matters.
                let longest = excluded.iter().map(Vec::len).max().unwrap_or(0);
                if read.len() > longest {
                    read.remove(0);
                }
                Rc::new(Term::Text(excluded.clone(), read))
            }
            Symbol::Special(_) => never(),
        },
        Term::Raw(terminator, read) => match s {
            Symbol::Byte(b) => {
                let mut read = read.clone();
                read.push(b);
                if contains(&read, terminator) {
                    return never();
                }
                if read.len() > terminator.len() {
                    read.remove(0);
                }
                Rc::new(Term::Raw(terminator.clone(), read))
            }
            Symbol::Special(_) => never(),
        },
        Term::Members(o, used, comma) => {
            let mut out = Vec::new();
            if o.max.is_none_or(|max| (used.len() as u64) < max) {
                for i in members_next(o, used) {
                    let (key, value, _) = &o.declared[i];
                    let mut now = used.clone();
                    now.insert(i);
                    let rest = Rc::new(Term::Members(o.clone(), now, true));
                    let prefix = if *comma { lit(b",") } else { Rc::new(Term::Empty) };
                    let member = seq(prefix, seq(lit(key), seq(lit(b":"), seq(value.clone(), rest))));
                    out.push(derive(&member, s));
                }
            }
            alt(out)
        }
        Term::Rule(_) => derive(&rule_body(), s),
    }
}

const BYTES: &[u8] = b"abx,:()";
const SPECIALS: &[&str] = &["<s0>", "<s1>"];

type Memo = std::collections::BTreeMap<Rc<Term>, bool>;

/// True if some text completes the term: breadth-first over everything that can follow.
fn alive(t: &Rc<Term>, memo: &mut Memo) -> bool {
    if let Some(&known) = memo.get(t) {
        return known;
    }
    let mut seen = BTreeSet::from([t.clone()]);
    let mut queue = std::collections::VecDeque::from([t.clone()]);
    let mut found = false;
    while let Some(t) = queue.pop_front() {
        if nullable(&t) || memo.get(&t) == Some(&true) {
            found = true;
            break;
        }
        if seen.len() > 1_500 {
            // Too large for the oracle: said so, not guessed.
            memo.insert(Rc::new(Term::Never), true);
            return false;
        }
        let bytes = BYTES.iter().map(|&b| Symbol::Byte(b));
        for symbol in bytes.chain((0..SPECIALS.len() as u8).map(Symbol::Special)) {
            let next = derive(&t, symbol);
            if *next != Term::Never && seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    memo.insert(t.clone(), found);
    found
}

/// A recipe from which both sides are built.
#[derive(Debug, Clone)]
enum Recipe {
    Empty,
    Lit(Vec<u8>),
    Special(u8),
    Seq(Vec<Recipe>),
    Alt(Vec<Recipe>),
    Repeat(Box<Recipe>, u32, Option<u32>, Option<Box<Recipe>>),
    Text(Vec<Vec<u8>>),
    Raw(Vec<u8>),
    Regex(&'static str),
    Members(Vec<(Vec<u8>, Recipe, bool)>, bool, u64, Option<u64>),
    Rule,
}

fn term(r: &Recipe) -> Rc<Term> {
    match r {
        Recipe::Empty => Rc::new(Term::Empty),
        Recipe::Lit(b) => lit(b),
        Recipe::Special(i) => Rc::new(Term::Special(*i)),
        Recipe::Seq(parts) => parts.iter().rev().fold(Rc::new(Term::Empty), |rest, p| seq(term(p), rest)),
        Recipe::Alt(parts) => alt(parts.iter().map(term)),
        Recipe::Repeat(item, min, max, separator) => {
            let item = term(item);
            let Some(separator) = separator else {
                if nullable(&item) {
                    return Rc::new(Term::Repeat(item, 0, *max));
                }
                return Rc::new(Term::Repeat(item, *min, *max));
            };
            if *max == Some(0) {
                return Rc::new(Term::Empty);
            }
            // One item, then separator and item.
            let pair = seq(term(separator), item.clone());
            let rest_min = if nullable(&pair) { 0 } else { min.saturating_sub(1) };
            let some = seq(item, Rc::new(Term::Repeat(pair, rest_min, max.map(|m| m - 1))));
            if *min == 0 { alt([some, Rc::new(Term::Empty)]) } else { some }
        }
        Recipe::Text(excluded) => Rc::new(Term::Text(Rc::new(excluded.clone()), Vec::new())),
        Recipe::Raw(t) => Rc::new(Term::Raw(Rc::new(t.clone()), Vec::new())),
        Recipe::Regex(p) => match *p {
            "[ab]{2,3}" => Rc::new(Term::Repeat(alt([lit(b"a"), lit(b"b")]), 2, Some(3))),
            "a*x" => seq(Rc::new(Term::Repeat(lit(b"a"), 0, None)), lit(b"x")),
            _ => Rc::new(Term::Repeat(alt([lit(b"ab"), lit(b"ba")]), 0, None)),
        },
        Recipe::Members(declared, any_order, min, max) => {
            let declared = declared.iter().map(|(k, v, r)| (k.clone(), term(v), *r)).collect();
            let object = Object { declared, any_order: *any_order, min: *min, max: *max };
            seq(lit(b"("), seq(Rc::new(Term::Members(Rc::new(object), BTreeSet::new(), false)), lit(b")")))
        }
        Recipe::Rule => Rc::new(Term::Rule("r".into())),
    }
}

fn expr(r: &Recipe, b: &mut GrammarBuilder, rule: Expr) -> Expr {
    match r {
        Recipe::Empty => b.empty(),
        Recipe::Lit(bytes) => b.bytes(bytes),
        Recipe::Special(i) => b.special(SPECIALS[*i as usize]),
        Recipe::Seq(parts) => {
            let parts: Vec<Expr> = parts.iter().map(|p| expr(p, b, rule)).collect();
            b.seq(&parts)
        }
        Recipe::Alt(parts) => {
            let parts: Vec<Expr> = parts.iter().map(|p| expr(p, b, rule)).collect();
            b.alt(&parts)
        }
        Recipe::Repeat(item, min, max, separator) => {
            let item = expr(item, b, rule);
            let separator = separator.as_ref().map(|s| expr(s, b, rule));
            b.repeat(item, *min, *max, separator)
        }
        Recipe::Text(excluded) => b.text(excluded.clone()).unwrap(),
        Recipe::Raw(t) => b.raw(&RawText { terminators: vec![t.clone()], ..RawText::default() }).unwrap(),
        Recipe::Regex(p) => b.regex(p).unwrap(),
        Recipe::Members(declared, any_order, min, max) => {
            let declared = declared.iter().map(|(k, v, r)| (vec![k.clone()], expr(v, b, rule), *r)).collect();
            let (open, close) = (b.bytes("("), b.bytes(")"));
            let (comma, colon, lead) = (b.bytes(","), b.bytes(":"), b.empty());
            let members = Members {
                open,
                close,
                comma,
                lead,
                colon,
                declared,
                rest: Vec::new(),
                any_order: *any_order,
                min: *min,
                max: *max,
            };
            b.members(members).unwrap()
        }
        Recipe::Rule => rule,
    }
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(BYTES), 1..4)
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let leaf = prop_oneof![
        4 => word().prop_map(Recipe::Lit),
        1 => Just(Recipe::Empty),
        1 => (0..2u8).prop_map(Recipe::Special),
        1 => prop::collection::vec(word(), 0..3).prop_map(Recipe::Text),
        1 => word().prop_map(Recipe::Raw),
        1 => prop::sample::select(vec!["[ab]{2,3}", "a*x", "(ab|ba)*"]).prop_map(Recipe::Regex),
        1 => Just(Recipe::Rule),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(Recipe::Seq),
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(Recipe::Alt),
            2 => (inner.clone(), 0..3u32, prop::option::of(0..3u32), prop::option::of(inner.clone())).prop_map(
                |(item, min, extra, separator)| Recipe::Repeat(
                    Box::new(item), min, extra.map(|e| min + e), separator.map(Box::new))),
            2 => (
                prop::collection::btree_map(word(), (inner, any::<bool>()), 1..4),
                any::<bool>(),
                0..3u64,
                prop::option::of(0..3u64),
            ).prop_map(|(declared, any_order, min, extra)| {
                let declared: Vec<_> = declared.into_iter().map(|(k, (v, r))| (k, v, r)).rev().collect();
                let required = declared.iter().filter(|d| d.2).count() as u64;
                let min = min.min(declared.len() as u64);
                Recipe::Members(declared, any_order, min, extra.map(|e| min.max(required) + e))
            }),
        ]
    })
}

fn vocabulary() -> Arc<Vocabulary> {
    let mut tokens: Vec<Token> = BYTES.iter().map(|&b| Token::text(vec![b])).collect();
    // Every pair, and some longer ones.
    for &a in BYTES {
        for &b in BYTES {
            tokens.push(Token::text(vec![a, b]));
        }
    }
    for text in
        ["aba", "abab", "(a)", "):", "a,b", "x,a", "((", "a:b,", "(((", "bb,x:", "axx)", "aaaaa", "ab"]
    {
        tokens.push(Token::text(text));
    }
    tokens.push(Token::hole());
    tokens.extend(SPECIALS.iter().map(|s| Token::special(s)));
    tokens.push(Token::special("<eos>"));
    let eos = tokens.len() as u32 - 1;
    Arc::new(Vocabulary::new(tokens, &[eos], Some(97)).unwrap())
}

fn check_mask(
    matcher: &mut Matcher,
    state: &Rc<Term>,
    vocabulary: &Vocabulary,
    memo: &mut Memo,
) -> Vec<(u32, Option<Rc<Term>>)> {
    let mut mask = vec![0u32; vocabulary.mask_words()];
    matcher.mask(&mut mask).unwrap();
    let mut legal = Vec::new();
    for id in 0..vocabulary.mask_words() as u32 * 32 {
        let got = mask[id as usize / 32] >> (id % 32) & 1 == 1;
        let bytes = vocabulary.bytes(id);
        let after = if let Some(i) = SPECIALS.iter().position(|s| vocabulary.named(s) == Some(id)) {
            Some(derive(state, Symbol::Special(i as u8)))
        } else if vocabulary.eos().contains(&id) {
            assert_eq!(got, nullable(state), "end in {state:?}");
            assert_eq!(matcher.is_accepting(), nullable(state));
            if got {
                legal.push((id, None));
            }
            continue;
        } else if bytes.is_empty() {
            None
        } else {
            Some(bytes.iter().fold(state.clone(), |t, &b| derive(&t, Symbol::Byte(b))))
        };
        let expected = after.as_ref().is_some_and(|t| alive(t, memo));
        if memo.contains_key(&Term::Never) {
            return Vec::new();
        }
        assert_eq!(got, expected, "token {id} {:?} in {state:?}", String::from_utf8_lossy(bytes));
        if got {
            legal.push((id, after));
        }
    }
    legal
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn masks_equal_brute_force(recipe in recipe(), choices in prop::collection::vec(any::<u32>(), 8)) {
        let vocabulary = vocabulary();
        let mut memo = Memo::new();
        let meaning = term(&recipe);
        let mut b = GrammarBuilder::new();
        let rule = b.rule("r");
        let call = b.call(rule);
        let (open, one, two) = (b.bytes("("), b.bytes(")"), b.bytes("))"));
        let (inner, end) = (b.opt(call), b.alt(&[one, two]));
        let body = b.seq(&[open, inner, end]);
        b.define(rule, body).unwrap();
        let root = expr(&recipe, &mut b, call);
        let grammar = match b.build(root) {
            Ok(grammar) => grammar,
            Err(error) => {
                prop_assert!(memo.contains_key(&Term::Never) || !alive(&meaning, &mut memo), "{error}: {meaning:?}");
                return Ok(());
            }
        };
        let compiled = CompiledGrammar::new(Arc::new(grammar), vocabulary.clone()).unwrap();
        let mut matcher = compiled.matcher().unwrap();
        let mut state = meaning;
        let mut states = vec![state.clone()];
        for choice in choices {
            let legal = check_mask(&mut matcher, &state, &vocabulary, &mut memo);
            // Forced bytes are what every continuation begins with.
            let forced = matcher.forced_bytes().unwrap();
            if memo.contains_key(&Term::Never) {
                return Ok(());
            }
            if let Some(&byte) = forced.first() {
                let possible: Vec<u8> = BYTES.iter().copied()
                    .filter(|&b| alive(&derive(&state, Symbol::Byte(b)), &mut memo)).collect();
                prop_assert_eq!(&possible, &vec![byte]);
                prop_assert!(!nullable(&state));
            }
            let Some((id, after)) = legal.get(choice as usize % legal.len().max(1)) else { break };
            matcher.accept(*id).unwrap();
            match after {
                Some(after) => {
                    state = after.clone();
                    states.push(state.clone());
                }
                None => {
                    prop_assert!(matcher.is_terminated());
                    matcher.rollback(1).unwrap();
                    break;
                }
            }
            if choice % 5 == 0 && states.len() > 1 {
                states.pop();
                state = states.last().unwrap().clone();
                matcher.rollback(1).unwrap();
                check_mask(&mut matcher, &state, &vocabulary, &mut memo);
            }
        }
        matcher.reset();
        check_mask(&mut matcher, &states[0], &vocabulary, &mut memo);
    }
}
