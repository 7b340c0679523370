//! Terminals as regular expressions, or as rules: what an automaton over bytes accepts, said in characters.

use super::Exporter;
use super::string::encoded;
use crate::GrammarError;
use crate::automaton::{Escapes, Explicit, is_lead};
use crate::front::regex;
use crate::front::rules::{Part, RuleDef};
use crate::front::text::Place;
use crate::terminal::{Terminal, TerminalSpec, TextRules, explicit};
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange, HirKind};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// Most states of an automaton that is written down.
const MAX_STATES: usize = 1 << 12;
/// Automata of up to so many states become expressions, if these stay shorter than this.
const MAX_EXPRESSION_STATES: usize = 48;
const MAX_EXPRESSION: usize = 600;

/// Characters that lead from a state to another one; `counts` if they count for the text's length.
struct Edge {
    class: ClassUnicode,
    counts: bool,
    to: usize,
}

/// An automaton over characters.
struct Characters {
    edges: Vec<Vec<Edge>>,
    ends: Vec<bool>,
}

/// Code points from, to, and the state behind them.
type Ranges = Rc<Vec<(u32, u32, u32)>>;

impl Exporter<'_> {
    /// The texts of a terminal.
    pub(super) fn terminal(&mut self, terminal: &Terminal) -> Result<Part, GrammarError> {
        if let Some(TerminalSpec::JsonString { escapes, quote: b'"', rules }) = &terminal.spec
            && *escapes != Escapes::Python
        {
            return self.string(*escapes, rules);
        }
        if let Some(part) = terminal.spec.as_ref().and_then(pattern) {
            self.spend(part.size())?;
            return Ok(part);
        }
        let step = |state: u32, byte: u8| {
            let target = terminal.dfa.step(state, byte)?;
            Ok(target.map(|target| (target.state, target.starts)))
        };
        let all = explore(&step, &|state| terminal.dfa.accepts(state))?;
        let bounds = terminal.counted.then_some((terminal.min, terminal.max));
        self.bounded(&all, bounds, terminal.shaped)
    }

    /// The inside of a JSON string and its closing quote: the text that it stands for, each character in each of the
    /// ways to write it.
    fn string(&mut self, escapes: Escapes, rules: &TextRules) -> Result<Part, GrammarError> {
        let table: Explicit = explicit(rules, false)?;
        let step = |state: u32, byte: u8| Ok(table.step_to(state, byte).map(|to| (to, is_lead(byte))));
        let all = explore(&step, &|state| table.is_end(state))?;
        let counted = rules.min > 0 || rules.max.is_some();
        self.escapes = Some(escapes);
        let text = self.bounded(&all, counted.then_some((rules.min, rules.max)), all.edges.len() > 1);
        self.escapes = None;
        Ok(Part::seq(vec![text?, Part::Text("\"".into())]))
    }

    /// The texts of an automaton with so many characters.
    fn bounded(
        &mut self,
        all: &Characters,
        bounds: Option<(u64, Option<u64>)>,
        shaped: bool,
    ) -> Result<Part, GrammarError> {
        let Some((min, max)) = bounds else { return self.automaton(all, 0, &all.ends) };
        // One state to count from: so many characters, each from there and back, and what follows them.
        let counting: Vec<usize> =
            (0..all.edges.len()).filter(|&s| all.edges[s].iter().any(|e| e.counts)).collect();
        if let ([0], false) = (&*counting, shaped)
            && let (Ok(min), Ok(max)) = (u32::try_from(min), max.map(u32::try_from).transpose())
        {
            return self.counted(all, min, max);
        }
        let counted = product(all, min, max)?;
        self.automaton(&counted, 0, &counted.ends)
    }

    /// So many characters and what follows them, if all counting starts at state 0.
    fn counted(&mut self, all: &Characters, min: u32, max: Option<u32>) -> Result<Part, GrammarError> {
        // A character: a counting edge from the start, then others until the start is reached again. The start is
        // doubled, so that leaving it and coming back are two states.
        let back = all.edges.len();
        let mut one = Characters { edges: Vec::new(), ends: vec![false; back + 1] };
        for (state, edges) in all.edges.iter().enumerate() {
            let kept = edges.iter().filter(|edge| (state == 0) == edge.counts).map(|edge| Edge {
                class: edge.class.clone(),
                counts: false,
                to: if edge.to == 0 { back } else { edge.to },
            });
            one.edges.push(kept.collect());
        }
        one.edges.push(Vec::new());
        one.ends[back] = true;
        let ends = one.ends.clone();
        let character = self.automaton(&one, 0, &ends)?;
        let mut rest = Characters { edges: Vec::new(), ends: all.ends.clone() };
        for edges in &all.edges {
            let kept = edges.iter().filter(|edge| !edge.counts && edge.to != 0);
            rest.edges.push(
                kept.map(|edge| Edge { class: edge.class.clone(), counts: false, to: edge.to }).collect(),
            );
        }
        let tail = self.automaton(&rest, 0, &all.ends)?;
        Ok(Part::seq(vec![character.repeat(min, max), tail]))
    }

    /// The texts that lead from `start` to one of `ends`.
    fn automaton(&mut self, all: &Characters, start: usize, ends: &[bool]) -> Result<Part, GrammarError> {
        let alive = alive(all, start, ends);
        if !alive[start] {
            return Ok(Part::Alt(Vec::new()));
        }
        if alive.iter().filter(|&&alive| alive).count() <= MAX_EXPRESSION_STATES
            && let Some(part) = expression(all, start, ends, &alive)
        {
            return self.written(folded(part));
        }
        // One rule per state, each of which ends with the next.
        let first = self.rules.len();
        let mut number = vec![0; all.edges.len()];
        let mut count = 0;
        for state in (0..all.edges.len()).filter(|&state| alive[state]) {
            number[state] = first + count;
            count += 1;
        }
        self.count(count)?;
        let mut rules = Vec::with_capacity(count);
        for state in (0..all.edges.len()).filter(|&state| alive[state]) {
            let mut ways: Vec<(ClassUnicode, usize)> = Vec::new();
            for (class, to) in merged(&all.edges[state], &alive) {
                ways.push((class, number[to]));
            }
            rules.push((ways, ends[state]));
        }
        // Their numbers are spoken for before parts of classes get rules, too.
        let placeholder = RuleDef { name: "state".into(), place: Place::default(), body: Part::empty() };
        self.rules.extend(std::iter::repeat_n(placeholder, count));
        for (index, (ways, end)) in rules.into_iter().enumerate() {
            let mut parts = Vec::with_capacity(ways.len() + 1);
            for (class, to) in ways {
                parts.push(Part::Seq(vec![self.written(Part::Class(class))?, Part::Rule(to)]));
            }
            if end {
                parts.push(Part::empty());
            }
            let body = Part::alt(parts);
            self.spend(body.size())?;
            self.rules[first + index].body = body;
        }
        Ok(Part::Rule(number[start]))
    }

    /// An expression with its classes as they are written: in a string, with their escapes.
    fn written(&mut self, part: Part) -> Result<Part, GrammarError> {
        let Some(escapes) = self.escapes else { return Ok(part) };
        Ok(match part {
            Part::Class(class) => {
                let key = (escapes, format!("{class:?}"));
                if let Some(known) = self.characters.get(&key) {
                    return Ok(known.clone());
                }
                let part = self.shared(encoded(&class, escapes), "char")?;
                self.characters.insert(key, part.clone());
                part
            }
            Part::Seq(parts) => {
                Part::seq(parts.into_iter().map(|p| self.written(p)).collect::<Result<_, _>>()?)
            }
            Part::Alt(parts) => {
                Part::alt(parts.into_iter().map(|p| self.written(p)).collect::<Result<_, _>>()?)
            }
            Part::Repeat { item, min, max } => self.written(*item)?.repeat(min, max),
            other => other,
        })
    }
}
/// A terminal as the expression that it was made of.
fn pattern(spec: &TerminalSpec) -> Option<Part> {
    match spec {
        TerminalSpec::Regex(pattern) if !pattern.search => regex::part(&pattern.hir, 0),
        TerminalSpec::RawText { terminators, rules } => {
            let plain = terminators.is_empty() && rules.exclude.is_empty() && rules.excluded_words.is_empty();
            let [only] = &*rules.include else { return None };
            let HirKind::Repetition(any) = only.hir.kind() else { return None };
            let HirKind::Class(_) = any.sub.kind() else { return None };
            let all = plain && !only.search && any.min == 0 && any.max.is_none();
            let (min, max) = (u32::try_from(rules.min).ok()?, rules.max.map(u32::try_from).transpose().ok()?);
            all.then(|| regex::part(&any.sub, 0).map(|class| class.repeat(min, max)))?
        }
        _ => None,
    }
}

/// The states on a way from `start` to an end.
fn alive(all: &Characters, start: usize, ends: &[bool]) -> Vec<bool> {
    let n = all.edges.len();
    let mut back = vec![Vec::new(); n];
    let mut reached = vec![false; n];
    let mut stack = vec![start];
    while let Some(state) = stack.pop() {
        if !std::mem::replace(&mut reached[state], true) {
            for edge in &all.edges[state] {
                back[edge.to].push(state);
                stack.push(edge.to);
            }
        }
    }
    let mut alive = vec![false; n];
    stack.extend((0..n).filter(|&state| ends[state] && reached[state]));
    while let Some(state) = stack.pop() {
        if !std::mem::replace(&mut alive[state], true) {
            stack.extend(back[state].iter().copied());
        }
    }
    alive
}

/// One class per target.
fn merged(edges: &[Edge], alive: &[bool]) -> Vec<(ClassUnicode, usize)> {
    let mut out: Vec<(ClassUnicode, usize)> = Vec::new();
    for edge in edges.iter().filter(|edge| alive[edge.to]) {
        match out.iter_mut().find(|(_, to)| *to == edge.to) {
            Some((class, _)) => class.union(&edge.class),
            None => out.push((edge.class.clone(), edge.to)),
        }
    }
    out
}

/// The automaton as one expression, by taking out one state after the other (Brzozowski and McCluskey, 1963).
fn expression(all: &Characters, start: usize, ends: &[bool], alive: &[bool]) -> Option<Part> {
    let n = all.edges.len();
    let (source, sink) = (n, n + 1);
    let mut label: FxHashMap<(usize, usize), Part> = FxHashMap::default();
    for state in (0..n).filter(|&state| alive[state]) {
        for (class, to) in merged(&all.edges[state], alive) {
            label.insert((state, to), Part::Class(class));
        }
        if ends[state] {
            label.insert((state, sink), Part::empty());
        }
    }
    label.insert((source, start), Part::empty());
    let mut left: Vec<usize> = (0..n).filter(|&state| alive[state]).collect();
    while !left.is_empty() {
        let ways = |state: usize| {
            let into = label.keys().filter(|&&(from, to)| to == state && from != state).count();
            let out = label.keys().filter(|&&(from, to)| from == state && to != state).count();
            into * out
        };
        // The one through which the fewest ways lead; the last met among equals, so that the start stays longest.
        let (at, &state) =
            left.iter().enumerate().min_by_key(|&(at, &state)| (ways(state), usize::MAX - at))?;
        left.remove(at);
        let looped = label.remove(&(state, state)).map(|part| part.repeat(0, None));
        let mut into: Vec<(usize, Part)> = Vec::new();
        let mut out: Vec<(usize, Part)> = Vec::new();
        label.retain(|&(from, to), part| {
            if to == state {
                into.push((from, part.clone()));
            } else if from == state {
                out.push((to, part.clone()));
            }
            from != state && to != state
        });
        into.sort_by_key(|(from, _)| *from);
        out.sort_by_key(|(to, _)| *to);
        for (from, before) in &into {
            for (to, after) in &out {
                let mut parts = vec![before.clone()];
                parts.extend(looped.clone());
                parts.push(after.clone());
                let way = Part::seq(parts);
                let part = match label.remove(&(*from, *to)) {
                    Some(other) => either(other, way),
                    None => way,
                };
                if part.size() > MAX_EXPRESSION {
                    return None;
                }
                label.insert((*from, *to), part);
            }
        }
    }
    label.remove(&(source, sink))
}

fn either(a: Part, b: Part) -> Part {
    match (a, b) {
        (Part::Class(mut a), Part::Class(b)) => {
            a.union(&b);
            Part::Class(a)
        }
        (a, b) if a.is_empty() => optional(b),
        (a, b) if b.is_empty() => optional(a),
        (a, b) => Part::alt(vec![a, b]),
    }
}

fn optional(part: Part) -> Part {
    match &part {
        Part::Repeat { min: 0, .. } => part,
        _ => part.repeat(0, Some(1)),
    }
}

/// Where a byte leads, and whether it is the first of a character that counts.
type Stepper<'a> = dyn Fn(u32, u8) -> Result<Option<(u32, bool)>, GrammarError> + 'a;

/// An automaton over bytes as one over characters, lengths aside. State 0 is the start.
fn explore(step: &Stepper<'_>, ends: &dyn Fn(u32) -> bool) -> Result<Characters, GrammarError> {
    let mut reader = Reader { step, tails: FxHashMap::default() };
    let mut numbers: FxHashMap<u32, usize> = FxHashMap::default();
    let mut states = vec![0u32];
    numbers.insert(0, 0);
    let mut out = Characters { edges: Vec::new(), ends: Vec::new() };
    while out.edges.len() < states.len() {
        let state = states[out.edges.len()];
        out.ends.push(ends(state));
        let mut edges: Vec<Edge> = Vec::new();
        let mut by_target: FxHashMap<(u32, bool), usize> = FxHashMap::default();
        for (from, to, target, counts) in reader.characters(state)? {
            let (Some(low), Some(high)) = (char::from_u32(from), char::from_u32(to)) else {
                return Err(beyond("a terminal of bytes that are no characters"));
            };
            let number = *numbers.entry(target).or_insert_with(|| {
                states.push(target);
                states.len() - 1
            });
            let at = *by_target.entry((target, counts)).or_insert_with(|| {
                edges.push(Edge { class: ClassUnicode::empty(), counts, to: number });
                edges.len() - 1
            });
            edges[at].class.push(ClassUnicodeRange::new(low, high));
        }
        if states.len() > MAX_STATES {
            return Err(beyond("an automaton of that many states"));
        }
        out.edges.push(edges);
    }
    Ok(out)
}

pub(super) fn beyond(what: &str) -> GrammarError {
    GrammarError::unsupported("", what, "it would be too long to write down in this notation")
}

struct Reader<'a> {
    step: &'a Stepper<'a>,
    /// Behind a first byte: what so many more bytes lead to.
    tails: FxHashMap<(u32, u32), Ranges>,
}

impl Reader<'_> {
    /// The characters that a state takes: from, to, the state behind them, and whether they count.
    fn characters(&mut self, state: u32) -> Result<Vec<(u32, u32, u32, bool)>, GrammarError> {
        let mut out: Vec<(u32, u32, u32, bool)> = Vec::new();
        let mut add = |from: u32, to: u32, target: u32, counts: bool| match out.last_mut() {
            Some((_, last, before, counted))
                if *before == target && *counted == counts && *last + 1 == from =>
            {
                *last = to;
            }
            _ => out.push((from, to, target, counts)),
        };
        for byte in (0..0x80u8).chain(0xc2..=0xf4) {
            let Some((target, counts)) = (self.step)(state, byte)? else { continue };
            let (more, first) = match byte {
                0..0x80 => {
                    add(u32::from(byte), u32::from(byte), target, counts);
                    continue;
                }
                0xc2..=0xdf => (1, u32::from(byte & 0x1f) << 6),
                0xe0..=0xef => (2, u32::from(byte & 0x0f) << 12),
                _ => (3, u32::from(byte & 0x07) << 18),
            };
            for &(from, to, behind) in self.tails(target, more)?.iter() {
                add(first + from, first + to, behind, counts);
            }
        }
        Ok(out)
    }

    fn tails(&mut self, state: u32, more: u32) -> Result<Ranges, GrammarError> {
        if let Some(known) = self.tails.get(&(state, more)) {
            return Ok(known.clone());
        }
        let mut out: Vec<(u32, u32, u32)> = Vec::new();
        let mut add = |from: u32, to: u32, target: u32| match out.last_mut() {
            Some((_, last, before)) if *before == target && *last + 1 == from => *last = to,
            _ => out.push((from, to, target)),
        };
        for byte in 0x80..=0xbfu8 {
            let Some((target, _)) = (self.step)(state, byte)? else { continue };
            let first = u32::from(byte & 0x3f) << (6 * (more - 1));
            if more == 1 {
                add(first, first, target);
            } else {
                for &(from, to, behind) in self.tails(target, more - 1)?.iter() {
                    add(first + from, first + to, behind);
                }
            }
        }
        let out = Rc::new(out);
        self.tails.insert((state, more), out.clone());
        Ok(out)
    }
}

/// The automaton with its count in every state.
fn product(all: &Characters, min: u64, max: Option<u64>) -> Result<Characters, GrammarError> {
    // Without an upper bound, counting beyond the lower one says nothing.
    let cap = max.unwrap_or(min);
    let mut numbers: FxHashMap<(usize, u64), usize> = FxHashMap::default();
    let mut states = vec![(0usize, 0u64)];
    numbers.insert((0, 0), 0);
    let mut out = Characters { edges: Vec::new(), ends: Vec::new() };
    while out.edges.len() < states.len() {
        let (state, count) = states[out.edges.len()];
        out.ends.push(all.ends[state] && count >= min);
        let mut edges = Vec::new();
        for edge in &all.edges[state] {
            let next = count + u64::from(edge.counts);
            if next > cap && max.is_some() {
                continue;
            }
            let next = (edge.to, next.min(cap));
            let to = *numbers.entry(next).or_insert_with(|| {
                states.push(next);
                states.len() - 1
            });
            edges.push(Edge { class: edge.class.clone(), counts: false, to });
        }
        if states.len() > MAX_STATES {
            return Err(beyond("a pattern together with a length"));
        }
        out.edges.push(edges);
    }
    Ok(out)
}

/// `X X X*` as `X{2,}`, wherever it stands.
fn folded(part: Part) -> Part {
    match part {
        Part::Seq(parts) => {
            let mut out: Vec<Part> = Vec::with_capacity(parts.len());
            for part in parts.into_iter().map(folded) {
                let (next, low, high) = times(&part);
                let joined = out.last().and_then(|last| {
                    let (before, min, max) = times(last);
                    let sum = max.zip(high).map(|(a, b)| a + b);
                    same(before, next).then(|| before.clone().repeat(min + low, sum))
                });
                match joined {
                    Some(joined) => {
                        out.pop();
                        out.push(joined);
                    }
                    None => out.push(part),
                }
            }
            Part::seq(out)
        }
        Part::Alt(parts) => Part::alt(parts.into_iter().map(folded).collect()),
        Part::Repeat { item, min, max } => folded(*item).repeat(min, max),
        other => other,
    }
}

/// Classes of one character as that character, and without what accepts nothing.
pub(super) fn plain(part: Part) -> Part {
    let never = |part: &Part| matches!(part, Part::Alt(parts) if parts.is_empty());
    match part {
        Part::Class(class) => match class.ranges() {
            [] => Part::Alt(Vec::new()),
            [one] if one.start() == one.end() => Part::Text(one.start().into()),
            _ => Part::Class(class),
        },
        Part::Seq(parts) => {
            let parts: Vec<Part> = parts.into_iter().map(plain).collect();
            if parts.iter().any(never) { Part::Alt(Vec::new()) } else { Part::seq(parts) }
        }
        Part::Alt(parts) => Part::alt(parts.into_iter().map(plain).filter(|part| !never(part)).collect()),
        Part::Repeat { item, min, max } => match plain(*item) {
            item if never(&item) && min == 0 => Part::empty(),
            item if never(&item) => item,
            item => item.repeat(min, max),
        },
        other => other,
    }
}

/// What a part repeats, and how often.
fn times(part: &Part) -> (&Part, u32, Option<u32>) {
    match part {
        Part::Repeat { item, min, max } => (item, *min, *max),
        other => (other, 1, Some(1)),
    }
}

/// Whether two parts of an expression are written alike.
fn same(a: &Part, b: &Part) -> bool {
    let lists = |a: &[Part], b: &[Part]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    match (a, b) {
        (Part::Class(a), Part::Class(b)) => a == b,
        (Part::Seq(a), Part::Seq(b)) | (Part::Alt(a), Part::Alt(b)) => lists(a, b),
        (Part::Repeat { item: a, min, max }, Part::Repeat { item: b, min: low, max: high }) => {
            (min, max) == (low, high) && same(a, b)
        }
        _ => false,
    }
}
