//! What a lexer would make of a grammar.
//!
//! Lark grammars are meant for a lexer that cuts the text into terminals before the rules see it: a greedy terminal
//! goes on for as long as any terminal that may stand there can, a lazy one ends as soon as it may. Our machine has no
//! lexer; it follows every way to cut the text. Both accept the same texts if wherever a terminal may end, nothing
//! that may follow it begins with a byte that one of the terminals beside it could take. This module finds out where
//! that is not so, from the automata of the terminals and from what may stand beside and behind each. It says with
//! which bytes nothing may begin behind a terminal, and what terminals beside a lazy one must leave out; where that
//! depends on the text or on the place, the grammar is refused.

use super::terminals::Language;
use crate::GrammarError;
use crate::automaton::Explicit;
use crate::front::text::Place;
use crate::machine::ByteSet;
use crate::terminal::explicit;
use regex_syntax::hir::{Hir, HirKind, Repetition};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::rc::Rc;

/// Most pairs of terminals beside each other, most automaton states compared, most different surroundings.
const MAX_PAIRS: usize = 1 << 18;
const MAX_COMPARED: usize = 1 << 20;
const MAX_SETS: usize = 1 << 11;

/// A rule's body, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Empty,
    Symbol(usize),
    Rule(usize),
    Seq(Vec<Node>),
    Alt(Vec<Node>),
    Repeat(Box<Node>, u32, Option<u32>),
}

/// Something that the rules see as one: a terminal, a token, a JSON text.
pub(super) enum Symbol {
    /// Its language, where it stands, and what to call it.
    Lexeme(Language, Place, String),
    Token,
    /// What it may begin with, and whether it may end in a number.
    Json(ByteSet, bool, Place),
}

/// What the terminals of a grammar have to leave out, by symbol.
pub(super) type Exclusions = FxHashMap<usize, Vec<Hir>>;

/// What makes the machine, which has no lexer, read a grammar as a lexer does.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) exclusions: Exclusions,
    /// By symbol: which of the sets below bars the next byte, counted from 1.
    pub(super) guards: FxHashMap<usize, usize>,
    pub(super) sets: Vec<ByteSet>,
}

type Set = Rc<Vec<u64>>;

fn insert(set: &mut [u64], bit: usize) -> bool {
    let new = set[bit / 64] >> (bit % 64) & 1 == 0;
    set[bit / 64] |= 1 << (bit % 64);
    new
}

fn unite(set: &mut [u64], other: &[u64]) -> bool {
    let mut changed = false;
    for (mine, theirs) in set.iter_mut().zip(other) {
        changed |= theirs & !*mine != 0;
        *mine |= theirs;
    }
    changed
}

fn bits(set: &[u64]) -> impl Iterator<Item = usize> {
    set.iter().enumerate().flat_map(|(word, &bits)| {
        (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
    })
}

/// Finds where the longest match matters; refuses a grammar in which that cannot be said by rules.
pub(super) fn check(rules: &[Node], root: usize, symbols: &[Symbol]) -> Result<Reading, GrammarError> {
    let around = Around::new(rules, root, symbols);
    let mut languages = Languages::new(symbols)?;
    let mut beside: FxHashSet<(usize, usize)> = FxHashSet::default();
    let mut queue: VecDeque<(usize, usize)> = VecDeque::new();
    let mut pairs = |a: &[u64], b: &[u64], queue: &mut VecDeque<_>| {
        for x in bits(a) {
            for y in bits(b) {
                if x < symbols.len() && y < symbols.len() && beside.insert((x, y)) {
                    queue.push_back((x, y));
                    if beside.len() > MAX_PAIRS {
                        return Err(limit("terminals beside each other", MAX_PAIRS));
                    }
                }
            }
        }
        Ok(())
    };
    let start = around.start();
    pairs(&start, &start, &mut queue)?;
    let mut cut: FxHashSet<(usize, usize)> = FxHashSet::default();
    // Terminals that may end where another one, or they themselves, go on with these bytes.
    let mut held: Vec<(usize, usize, ByteSet)> = Vec::new();
    while let Some((x, y)) = queue.pop_front() {
        let together = match (&symbols[x], &symbols[y]) {
            _ if x == y => {
                held.extend(languages.ends_once(symbols, &around, x, y)?.map(|set| (x, y, set)));
                true
            }
            (Symbol::Lexeme(..), Symbol::Lexeme(..)) => {
                held.extend(languages.ends_once(symbols, &around, x, y)?.map(|set| (x, y, set)));
                if languages.cuts(x, y)? {
                    cut.insert((x, y));
                }
                languages.end_together(x, y)?
            }
            (Symbol::Json(first, _, place), Symbol::Lexeme(language, ..)) => {
                let (_, table) = languages.of(y)?;
                let mine = first_bytes(table);
                if first.iter().any(|byte| mine.iter().any(|b| b == byte)) && language.lazy {
                    return Err(place.refuse("%json", "a lazy terminal beside it may begin in the same way"));
                }
                if first.iter().any(|byte| mine.iter().any(|b| b == byte)) {
                    let reason = "a terminal that may stand in its place begins in the same way, and would go on as \
                                  long as it can";
                    return Err(place.refuse("%json", reason));
                }
                false
            }
            (Symbol::Token, Symbol::Token) | (Symbol::Json(..), Symbol::Json(..)) => true,
            _ => false,
        };
        if together {
            pairs(&around.follow[x], &around.follow[y], &mut queue)?;
        }
    }
    if cut.is_empty() && held.is_empty() {
        return Ok(Reading::default());
    }
    let surroundings = around.surroundings(rules, symbols)?;
    // Whether `other` stands, in some occurrence, wherever `symbol` does.
    let beside = |symbol: usize, other: usize| {
        let same = |at: usize| match (symbols.get(at), &symbols[other]) {
            (Some(Symbol::Lexeme(one, ..)), Symbol::Lexeme(other, ..)) => one == other,
            _ => false,
        };
        let mut places = surroundings.iter().filter(|set| set[symbol / 64] >> (symbol % 64) & 1 == 1);
        places.all(|set| bits(set).any(same))
    };
    let mut reading = Reading::default();
    let mut union: std::collections::BTreeMap<usize, ByteSet> = Default::default();
    for (x, y, set) in held {
        if languages.of[x] != languages.of[y] && !beside(x, y) {
            return Err(longest(
                symbols,
                x,
                y,
                "",
                &set,
                "stands beside it in some places and not in others",
            ));
        }
        let all = union.entry(x).or_default();
        set.iter().for_each(|byte| all.insert(byte));
    }
    for (symbol, set) in union {
        let known = reading.sets.iter().position(|known| *known == set);
        let at = known.unwrap_or_else(|| {
            reading.sets.push(set);
            reading.sets.len() - 1
        });
        reading.guards.insert(symbol, at + 1);
    }
    let out = &mut reading.exclusions;
    for (lazy, other) in cut {
        let (Symbol::Lexeme(ends, _, name), Symbol::Lexeme(longer, place, text)) =
            (&symbols[lazy], &symbols[other])
        else {
            continue;
        };
        if !beside(other, lazy) {
            let reason = format!(
                "the lazy {name} stands beside it in some places and not in others, so where it ends depends on the place; \
                 use different rules for them"
            );
            return Err(place.refuse(text.clone(), reason));
        }
        let Some(first) = ends.plain() else {
            return Err(place.refuse(text.clone(), format!("the lazy {name} beside it is made with & or ~")));
        };
        // A lazy terminal that ends here leaves nothing to its neighbours; another lazy one may end in the same place.
        let any = super::terminals::any_text();
        let more = if longer.lazy {
            let one = Hir::class(regex_syntax::hir::Class::Unicode(crate::front::gbnf::any_char()));
            vec![first.clone(), one, any]
        } else {
            vec![first.clone(), any]
        };
        let excluded = out.entry(other).or_default();
        let more = Hir::concat(more);
        if !excluded.contains(&more) {
            excluded.push(more);
        }
    }
    Ok(reading)
}

/// The refusal of a terminal whose end only the longest match would tell.
fn longest(symbols: &[Symbol], x: usize, y: usize, text: &str, set: &ByteSet, why: &str) -> GrammarError {
    let (Symbol::Lexeme(_, place, name), Symbol::Lexeme(_, _, other)) = (&symbols[x], &symbols[y]) else {
        return GrammarError::Empty("a terminal".into());
    };
    let byte = set.iter().next().map_or('\0', char::from);
    let who = if name == other { "it".to_owned() } else { format!("{other} beside it") };
    let behind = if text.is_empty() { String::new() } else { format!("behind {text:?} ") };
    place.refuse(
        name.clone(),
        format!(
            "{behind}it may end, while {who} goes on with {byte:?}, with which something that follows begins as well: \
             only the longest match would tell them apart, and {who} {why}. Keep them apart by what they begin with, \
             or read the grammar with `Lexing::Any`"
        ),
    )
}

/// The symbols that nothing but the end of the text can follow.
pub(super) fn last(rules: &[Node], root: usize, symbols: &[Symbol]) -> Vec<bool> {
    let around = Around::new(rules, root, symbols);
    around.follow.iter().map(|set| bits(set).all(|symbol| symbol == around.end)).collect()
}

fn limit(what: &'static str, limit: usize) -> GrammarError {
    GrammarError::Limit { what, limit: limit as u64 }
}

/// What may stand where.
struct Around {
    nullable: Vec<bool>,
    /// By rule: the symbols it may begin with.
    first: Vec<Vec<u64>>,
    /// By symbol: the symbols that may come next; the number of symbols stands for the end.
    follow: Vec<Vec<u64>>,
    root: usize,
    words: usize,
    end: usize,
}

impl Around {
    fn new(rules: &[Node], root: usize, symbols: &[Symbol]) -> Around {
        let words = symbols.len() / 64 + 1;
        let empty = vec![0u64; words];
        let mut out = Around {
            nullable: vec![false; rules.len()],
            first: vec![empty.clone(); rules.len()],
            follow: vec![empty.clone(); symbols.len()],
            root,
            words,
            end: symbols.len(),
        };
        loop {
            let mut changed = false;
            for (index, rule) in rules.iter().enumerate() {
                let (first, nullable) = out.first_of(rule, symbols);
                changed |= unite(&mut out.first[index], &first) | (nullable && !out.nullable[index]);
                out.nullable[index] |= nullable;
            }
            if !changed {
                break;
            }
        }
        let mut behind = vec![empty; rules.len()];
        insert(&mut behind[root], out.end);
        loop {
            let mut changed = false;
            for index in 0..rules.len() {
                let after = behind[index].clone();
                changed |= out.spread(&rules[index], &after, &mut behind, symbols);
            }
            if !changed {
                return out;
            }
        }
    }

    fn first_of(&self, node: &Node, symbols: &[Symbol]) -> (Vec<u64>, bool) {
        let mut out = vec![0u64; self.words];
        let nullable = match node {
            Node::Empty => true,
            Node::Symbol(symbol) => {
                insert(&mut out, *symbol);
                matches!(&symbols[*symbol], Symbol::Lexeme(language, ..) if language.nullable())
            }
            Node::Rule(rule) => {
                out.clone_from(&self.first[*rule]);
                self.nullable[*rule]
            }
            Node::Seq(nodes) => nodes.iter().all(|node| {
                let (first, nullable) = self.first_of(node, symbols);
                unite(&mut out, &first);
                nullable
            }),
            Node::Alt(nodes) => {
                let mut any = false;
                for node in nodes {
                    let (first, nullable) = self.first_of(node, symbols);
                    unite(&mut out, &first);
                    any |= nullable;
                }
                any
            }
            Node::Repeat(item, min, _) => {
                let (first, nullable) = self.first_of(item, symbols);
                unite(&mut out, &first);
                nullable || *min == 0
            }
        };
        (out, nullable)
    }

    /// Adds `after` to what follows the symbols and rules that `node` may end with; true if something was new.
    fn spread(&mut self, node: &Node, after: &[u64], behind: &mut [Vec<u64>], symbols: &[Symbol]) -> bool {
        match node {
            Node::Empty => false,
            Node::Symbol(symbol) => unite(&mut self.follow[*symbol], after),
            Node::Rule(rule) => unite(&mut behind[*rule], after),
            Node::Seq(nodes) => {
                let mut after = after.to_vec();
                let mut changed = false;
                for node in nodes.iter().rev() {
                    changed |= self.spread(node, &after, behind, symbols);
                    let (mut first, nullable) = self.first_of(node, symbols);
                    if nullable {
                        unite(&mut first, &after);
                    }
                    after = first;
                }
                changed
            }
            Node::Alt(nodes) => {
                let mut changed = false;
                for node in nodes {
                    changed |= self.spread(node, after, behind, symbols);
                }
                changed
            }
            Node::Repeat(item, _, max) => {
                let mut after = after.to_vec();
                if *max != Some(1) {
                    let (first, _) = self.first_of(item, symbols);
                    unite(&mut after, &first);
                }
                self.spread(item, &after, behind, symbols)
            }
        }
    }

    /// What the text may begin with.
    fn start(&self) -> Vec<u64> {
        let mut start = self.first[self.root].clone();
        if self.nullable[self.root] {
            insert(&mut start, self.end);
        }
        start
    }

    /// The sets of symbols that may come next in one place, place by place rather than taken together.
    fn surroundings(&self, rules: &[Node], symbols: &[Symbol]) -> Result<Vec<Set>, GrammarError> {
        let mut behind: Vec<FxHashSet<Set>> = vec![FxHashSet::default(); rules.len()];
        let mut end = vec![0u64; self.words];
        insert(&mut end, self.end);
        behind[self.root].insert(Rc::new(end));
        let mut all: FxHashSet<Set> = FxHashSet::default();
        all.insert(Rc::new(self.start()));
        let mut size = 0;
        loop {
            for index in 0..rules.len() {
                let after: Vec<Set> = behind[index].iter().cloned().collect();
                self.places(&rules[index], &after, &mut behind, &mut all, symbols)?;
            }
            let now = all.len() + behind.iter().map(FxHashSet::len).sum::<usize>();
            if now == size {
                return Ok(all.into_iter().collect());
            }
            if now > MAX_SETS {
                return Err(limit("surroundings of lazy terminals", MAX_SETS));
            }
            size = now;
        }
    }

    fn places(
        &self,
        node: &Node,
        after: &[Set],
        behind: &mut [FxHashSet<Set>],
        all: &mut FxHashSet<Set>,
        symbols: &[Symbol],
    ) -> Result<(), GrammarError> {
        if after.len() > MAX_SETS || all.len() > MAX_SETS {
            return Err(limit("surroundings of lazy terminals", MAX_SETS));
        }
        let joined = |first: &[u64], nullable: bool, after: &[Set]| -> Vec<Set> {
            if !nullable {
                return vec![Rc::new(first.to_vec())];
            }
            let mut out: Vec<Set> = Vec::with_capacity(after.len());
            for set in after {
                let mut set = set.to_vec();
                unite(&mut set, first);
                out.push(Rc::new(set));
            }
            out.sort_unstable();
            out.dedup();
            out
        };
        match node {
            Node::Empty => {}
            Node::Symbol(_) => all.extend(after.iter().cloned()),
            Node::Rule(rule) => behind[*rule].extend(after.iter().cloned()),
            Node::Seq(nodes) => {
                let mut after = after.to_vec();
                for node in nodes.iter().rev() {
                    self.places(node, &after, behind, all, symbols)?;
                    let (first, nullable) = self.first_of(node, symbols);
                    after = joined(&first, nullable, &after);
                }
            }
            Node::Alt(nodes) => {
                for node in nodes {
                    self.places(node, after, behind, all, symbols)?;
                }
            }
            Node::Repeat(item, min, max) => {
                let (first, nullable) = self.first_of(item, symbols);
                // In the middle of the repetition, before its lower bound, and at its upper one.
                let mut ways = if *max == Some(1) { Vec::new() } else { joined(&first, true, after) };
                if *min > 1 && !nullable {
                    ways.push(Rc::new(first));
                }
                if max.is_some() {
                    ways.extend(after.iter().cloned());
                }
                ways.sort_unstable();
                ways.dedup();
                self.places(item, &ways, behind, all, symbols)?;
            }
        }
        Ok(())
    }
}

/// What goes on where a terminal may end.
#[derive(Clone)]
enum Held {
    /// Nothing that matters.
    Never,
    /// The same bytes, whatever the terminal is.
    Always(ByteSet),
    /// Other bytes behind other texts; behind this one, these.
    Sometimes(Vec<u8>, ByteSet),
}

/// The automata of the terminals.
struct Languages {
    /// By symbol: which automaton.
    of: Vec<Option<usize>>,
    tables: Vec<Explicit>,
    ends: FxHashMap<(usize, usize, Vec<u8>), Held>,
    together: FxHashMap<(usize, usize), (bool, bool)>,
    lazy: Vec<bool>,
    compared: usize,
}

fn first_bytes(table: &Explicit) -> ByteSet {
    let mut out = ByteSet::default();
    table.next(0).for_each(|(byte, _)| out.insert(byte));
    out
}

/// The same with long counts left open, so that its automaton stays small: a larger language, which can only make
/// the check stricter.
fn relaxed(hir: &Hir) -> Hir {
    const COUNTED: u32 = 8;
    match hir.kind() {
        HirKind::Repetition(r) => {
            let long = r.min > COUNTED || r.max.is_some_and(|max| max > COUNTED);
            let (min, max) = if long { (r.min.min(1), None) } else { (r.min, r.max) };
            Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(relaxed(&r.sub)) })
        }
        HirKind::Capture(capture) => relaxed(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(relaxed).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(relaxed).collect()),
        _ => hir.clone(),
    }
}

impl Languages {
    fn new(symbols: &[Symbol]) -> Result<Languages, GrammarError> {
        let mut out = Languages {
            of: Vec::with_capacity(symbols.len()),
            tables: Vec::new(),
            ends: FxHashMap::default(),
            together: FxHashMap::default(),
            lazy: Vec::new(),
            compared: 0,
        };
        let mut known: FxHashMap<String, usize> = FxHashMap::default();
        for symbol in symbols {
            let Symbol::Lexeme(language, place, name) = symbol else {
                out.of.push(None);
                continue;
            };
            let key = format!("{language:?}");
            let index = match known.get(&key) {
                Some(&index) => index,
                None => {
                    // What is left out cannot be widened.
                    let open = language.exclude.is_empty() && !language.lazy;
                    let include = language.include.iter();
                    let include = include.map(|h| if open { relaxed(h) } else { h.clone() }).collect();
                    let language = Language { include, ..language.clone() };
                    let table = explicit(&language.rules(), language.lazy)
                        .map_err(|error| place.refuse(name.clone(), error.to_string()))?;
                    out.tables.push(table);
                    out.lazy.push(language.lazy);
                    known.insert(key, out.tables.len() - 1);
                    out.tables.len() - 1
                }
            };
            out.of.push(Some(index));
        }
        Ok(out)
    }

    fn of(&self, symbol: usize) -> Result<(usize, &Explicit), GrammarError> {
        let index = self.of[symbol].unwrap_or_default();
        Ok((index, &self.tables[index]))
    }

    /// Walks two automata side by side, as long as both go on; `visit` sees the states behind each text and may stop.
    fn compare(
        &mut self,
        x: usize,
        y: usize,
        mut visit: impl FnMut(&Explicit, u32, &Explicit, u32) -> bool,
    ) -> Result<Option<Vec<u8>>, GrammarError> {
        let (a, b) = (&self.tables[x], &self.tables[y]);
        let mut from: FxHashMap<(u32, u32), ((u32, u32), u8)> = FxHashMap::default();
        let mut queue = VecDeque::from([(0u32, 0u32)]);
        while let Some((p, q)) = queue.pop_front() {
            for (byte, to) in a.next(p) {
                self.compared += 1;
                if self.compared > MAX_COMPARED * 16 {
                    return Err(limit("states of terminals compared", MAX_COMPARED));
                }
                let Some(other) = b.step_to(q, byte) else { continue };
                let state = (to, other);
                if from.contains_key(&state) {
                    continue;
                }
                from.insert(state, ((p, q), byte));
                if visit(a, to, b, other) {
                    let mut text = Vec::new();
                    let mut at = state;
                    // Back to the start, which may itself be reached again: the first way found is the shortest.
                    while let Some(&(before, byte)) = from.get(&at) {
                        text.push(byte);
                        if before == (0, 0) {
                            break;
                        }
                        at = before;
                    }
                    text.reverse();
                    return Ok(Some(text));
                }
                queue.push_back(state);
            }
        }
        Ok(None)
    }

    /// The bytes with which `y` goes on where `x` may end, and with which something that follows `x` begins: behind
    /// `x` a lexer never reads one of them as the start of something else. Refused if they depend on what `x` is.
    fn ends_once(
        &mut self,
        symbols: &[Symbol],
        around: &Around,
        x: usize,
        y: usize,
    ) -> Result<Option<ByteSet>, GrammarError> {
        let mut behind = ByteSet::default();
        let mut open = false;
        for next in bits(&around.follow[x]) {
            match symbols.get(next) {
                Some(Symbol::Lexeme(..)) => {
                    first_bytes(self.of(next)?.1).iter().for_each(|byte| behind.insert(byte));
                }
                Some(Symbol::Json(first, ..)) => first.iter().for_each(|byte| behind.insert(byte)),
                _ => open = true,
            }
        }
        if let Symbol::Json(_, number, place) = &symbols[x] {
            let goes_on = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
            if *number && behind.iter().any(goes_on) {
                return Err(place.refuse("%json", "a number at its end could go on with what follows it"));
            }
            return Ok(None);
        }
        let (Some(a), Some(b)) = (self.of[x], self.of[y]) else { return Ok(None) };
        // A lazy terminal ends where it can, whatever goes on.
        if self.lazy[a] || behind.len() == 0 {
            return Ok(None);
        }
        let key = (a, b, behind.iter().collect::<Vec<u8>>());
        let found = match self.ends.get(&key) {
            Some(found) => found.clone(),
            None => {
                let found = self.goes_on(a, b, behind)?;
                self.ends.insert(key, found.clone());
                found
            }
        };
        match found {
            Held::Never => Ok(None),
            Held::Always(set) if open || set.len() < behind.len() => Ok(Some(set)),
            Held::Always(set) => Err(longest(symbols, x, y, "", &set, "leaves nothing that could follow")),
            Held::Sometimes(text, set) => {
                let shown = String::from_utf8_lossy(&text).into_owned();
                Err(longest(symbols, x, y, &shown, &set, "does so behind some texts and not behind others"))
            }
        }
    }

    /// With which bytes of `behind` the second automaton goes on where the first may end.
    fn goes_on(&mut self, a: usize, b: usize, behind: ByteSet) -> Result<Held, GrammarError> {
        let (first, second) = (&self.tables[a], &self.tables[b]);
        let mut from: FxHashMap<(u32, Option<u32>), Vec<u8>> = FxHashMap::default();
        let mut queue = VecDeque::from([(0u32, Some(0u32))]);
        let mut all: Option<ByteSet> = None;
        let mut some: Option<(Vec<u8>, ByteSet)> = None;
        let mut differ = false;
        while let Some(state @ (p, q)) = queue.pop_front() {
            let text = from.get(&state).cloned().unwrap_or_default();
            for (byte, to) in first.next(p) {
                self.compared += 1;
                if self.compared > MAX_COMPARED * 16 {
                    return Err(limit("states of terminals compared", MAX_COMPARED));
                }
                let next = (to, q.and_then(|q| second.step_to(q, byte)));
                if from.contains_key(&next) {
                    continue;
                }
                let mut longer = text.clone();
                // The text is for messages: a long one says no more.
                if longer.len() < 40 {
                    longer.push(byte);
                }
                if first.is_end(to) {
                    let mut set = ByteSet::default();
                    if let Some(q) = next.1 {
                        behind.iter().filter(|&b| second.step_to(q, b).is_some()).for_each(|b| set.insert(b));
                    }
                    differ |= all.is_some_and(|all| all != set);
                    all = Some(set);
                    if set.len() > 0 && some.is_none() {
                        some = Some((longer.clone(), set));
                    }
                }
                from.insert(next, longer);
                queue.push_back(next);
            }
        }
        Ok(match some {
            None => Held::Never,
            Some((text, set)) if differ => Held::Sometimes(text, set),
            Some((_, set)) => Held::Always(set),
        })
    }

    /// Whether some text ends both.
    fn end_together(&mut self, x: usize, y: usize) -> Result<bool, GrammarError> {
        let (Some(a), Some(b)) = (self.of[x], self.of[y]) else { return Ok(false) };
        if let Some(&(known, _)) = self.together.get(&(a, b)) {
            return Ok(known);
        }
        let found = self.compare(a, b, |first, p, second, q| first.is_end(p) && second.is_end(q))?.is_some();
        // `x` lazy: does it end where `y` would go on, or end otherwise?
        let cuts = self.lazy[a] && a != b && {
            let lazy = self.lazy[b];
            let goes_on = |first: &Explicit, p: u32, second: &Explicit, q: u32| {
                first.is_end(p) && (!lazy || second.next(q).next().is_some())
            };
            self.compare(a, b, goes_on)?.is_some()
        };
        self.together.insert((a, b), (found, cuts));
        Ok(found)
    }

    fn cuts(&mut self, x: usize, y: usize) -> Result<bool, GrammarError> {
        self.end_together(x, y)?;
        let (Some(a), Some(b)) = (self.of[x], self.of[y]) else { return Ok(false) };
        Ok(self.together.get(&(a, b)).is_some_and(|&(_, cuts)| cuts))
    }
}
