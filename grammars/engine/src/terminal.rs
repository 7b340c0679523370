//! Terminals: the leaves of a grammar that are byte automata, and the cache that shares them between grammars.

use crate::GrammarError;
use crate::automaton::{
    Automaton, Both, Escapes, Explicit, FreeText, JsonString, LazyDfa, LengthBounds, Not, NotWords, Number,
    RawText, Regex, Shortest, Without, number_dfa,
};
use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Repetition};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The distance to an end that was not found.
const NO_WAY: u64 = u64::MAX / 2;

/// Bytes of a character, if it has to be written as two escapes.
const WIDEST: u64 = 12;

/// A regular expression and how it is applied.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) hir: Hir,
    /// Texts that contain a match, rather than texts that match as a whole.
    pub(crate) search: bool,
}

/// True if a class has the character.
pub(crate) fn holds(class: &ClassUnicode, c: char) -> bool {
    class.ranges().iter().any(|range| range.start() <= c && c <= range.end())
}

impl Pattern {
    /// True for any number of characters of one class with one that is a byte in every kind of quotes.
    fn has_plain_character(&self) -> bool {
        let HirKind::Repetition(repetition) = self.hir.kind() else { return false };
        let HirKind::Class(Class::Unicode(class)) = repetition.sub.kind() else { return false };
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b' ' || c == b'_' || c == b'-';
        (b' '..=b'~').any(|c| plain(c) && holds(class, char::from(c)))
    }

    /// True for any number of characters of one class: every length is possible in every state.
    fn repeats_one_class(&self) -> bool {
        match self.hir.kind() {
            HirKind::Repetition(r) => {
                !self.search && r.min == 0 && r.max.is_none() && matches!(r.sub.kind(), HirKind::Class(_))
            }
            _ => false,
        }
    }
}

/// The most characters that the shortest way to a match can need, wherever in a text one is.
fn farthest(pattern: &Pattern) -> u64 {
    let (least, farthest) = needs(&pattern.hir);
    // A search can begin anew everywhere.
    if pattern.search { least } else { farthest }
}

/// Characters of a pattern, repetitions written out.
fn size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty => 0,
        HirKind::Look(_) => u64::MAX,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => size(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.max(1));
            size(&repetition.sub).saturating_mul(u64::from(times))
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(size).fold(0, u64::saturating_add)
        }
    }
}

/// The fewest characters of a match, and the most that can be missing to one within it.
fn needs(hir: &Hir) -> (u64, u64) {
    match hir.kind() {
        HirKind::Empty => (0, 0),
        HirKind::Look(_) => (0, u64::MAX),
        HirKind::Literal(literal) => (literal.0.len() as u64, literal.0.len() as u64),
        HirKind::Class(_) => (1, 1),
        HirKind::Capture(capture) => needs(&capture.sub),
        HirKind::Repetition(repetition) => {
            let (least, farthest) = needs(&repetition.sub);
            let behind = |times: u32| least.saturating_mul(u64::from(times));
            (behind(repetition.min), farthest.saturating_add(behind(repetition.min.saturating_sub(1))))
        }
        HirKind::Concat(parts) => parts.iter().rev().fold((0, 0), |(behind, worst), part| {
            let (least, farthest) = needs(part);
            (least.saturating_add(behind), worst.max(farthest.saturating_add(behind)))
        }),
        HirKind::Alternation(parts) => {
            let each = parts.iter().map(needs);
            each.fold((u64::MAX, 0), |(a, b), (least, farthest)| (a.min(least), b.max(farthest)))
        }
    }
}

/// Rules for a text. All hold together.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextRules {
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    pub(crate) include: Vec<Pattern>,
    pub(crate) exclude: Vec<Pattern>,
    pub(crate) excluded_words: Vec<Vec<u8>>,
}

impl TextRules {
    fn counted(&self) -> bool {
        self.min > 0 || self.max.is_some()
    }

    fn patterned(&self) -> bool {
        !self.include.is_empty() || !self.exclude.is_empty()
    }
}

/// What a terminal is.
#[derive(Debug, Clone)]
pub(crate) enum TerminalSpec {
    Regex(Pattern),
    FreeText {
        excluded: Vec<Vec<u8>>,
        /// No part of the text matches it; matches end in ASCII.
        without: Option<Hir>,
    },
    RawText {
        terminators: Vec<Vec<u8>>,
        rules: TextRules,
    },
    /// The string behind its opening quote, closing quote included.
    /// The body of a string in quotes, and its closing quote.
    JsonString {
        escapes: Escapes,
        quote: u8,
        rules: TextRules,
    },
    Number(Number),
    /// Texts that follow the rules, but none of whose beginnings does.
    Shortest(TextRules),
}

impl TerminalSpec {
    /// Text that is equal for equal terminals.
    pub(crate) fn key(&self) -> String {
        fn patterns(list: &[Pattern]) -> Vec<(String, bool)> {
            list.iter().map(|p| (p.hir.to_string(), p.search)).collect()
        }
        let rules = |r: &TextRules| {
            format!(
                "{} {:?} {:?} {:?} {:?}",
                r.min,
                r.max,
                patterns(&r.include),
                patterns(&r.exclude),
                r.excluded_words
            )
        };
        match self {
            TerminalSpec::Regex(p) => format!("regex {:?}", patterns(std::slice::from_ref(p))),
            TerminalSpec::FreeText { excluded, without } => {
                format!("text {excluded:?} {:?}", without.as_ref().map(Hir::to_string))
            }
            TerminalSpec::RawText { terminators, rules: r } => format!("raw {terminators:?} {}", rules(r)),
            TerminalSpec::JsonString { escapes, quote, rules: r } => {
                format!("json {escapes:?} {quote} {}", rules(r))
            }
            TerminalSpec::Number(number) => format!("number {number:?}"),
            TerminalSpec::Shortest(r) => format!("shortest {}", rules(r)),
        }
    }

    /// Repetitions of one character class become plain length bounds: `[a-z]{1,500}` is `[a-z]*` with 1 to 500
    /// characters, which needs one state instead of 500.
    fn simplified(&self) -> TerminalSpec {
        let mut spec = self.clone();
        let (TerminalSpec::RawText { rules, .. } | TerminalSpec::JsonString { rules, .. }) = &mut spec else {
            return spec;
        };
        for pattern in rules.include.iter_mut().filter(|p| !p.search) {
            let HirKind::Repetition(repetition) = pattern.hir.kind() else { continue };
            let one = matches!(repetition.sub.kind(), HirKind::Class(_));
            if one && (repetition.min > 0 || repetition.max.is_some()) {
                rules.min = rules.min.max(u64::from(repetition.min));
                let max = repetition.max.map(u64::from);
                rules.max = [rules.max, max].into_iter().flatten().min();
                let any = Repetition { min: 0, max: None, ..repetition.clone() };
                pattern.hir = Hir::repetition(any);
            }
        }
        spec
    }

    /// True if lengths are bounded and which lengths are possible depends on the state.
    fn is_shaped(&self) -> bool {
        match self {
            TerminalSpec::RawText { rules, .. } => rules.counted(),
            TerminalSpec::JsonString { rules, .. } => {
                let free = rules.include.iter().all(Pattern::repeats_one_class)
                    && rules.include.len() <= 1
                    && rules.exclude.is_empty()
                    && rules.excluded_words.is_empty();
                rules.counted() && !free
            }
            _ => false,
        }
    }

    /// See [`Terminal::worst`].
    fn worst(&self) -> u64 {
        // The rest of a character, and a closing quote.
        let bytes = |characters: u64| characters.saturating_add(1).saturating_mul(WIDEST).saturating_add(1);
        match self {
            TerminalSpec::FreeText { without: None, .. } => 16,
            TerminalSpec::FreeText { .. } => u64::MAX,
            TerminalSpec::Regex(pattern) => bytes(farthest(pattern)),
            TerminalSpec::Number(number) => number.longest(),
            TerminalSpec::Shortest(rules)
            | TerminalSpec::RawText { rules, .. }
            | TerminalSpec::JsonString { rules, .. } => {
                let plain = rules.exclude.is_empty() && rules.excluded_words.is_empty();
                let characters = match &*rules.include {
                    // From the end of a word that is excluded, every character but some leads out of all words.
                    [] if rules.exclude.is_empty() => {
                        let mut words = rules.excluded_words.len();
                        let mut more = 1;
                        while words >= 64 {
                            words /= 64;
                            more += 1;
                        }
                        return bytes(more).saturating_add(rules.min.saturating_mul(WIDEST));
                    }
                    [only] if plain && rules.min == 0 => farthest(only),
                    // Whoever passes more characters than the pattern has passes one twice.
                    [only] if plain => rules.min.saturating_add(size(&only.hir)),
                    _ => u64::MAX,
                };
                bytes(rules.max.map_or(characters, |max| max.min(characters)))
            }
        }
    }

    /// Builds the automaton. Costs little: its states come later, when a mask needs them.
    fn build(&self) -> Result<Terminal, GrammarError> {
        let spec = &self.simplified();
        let shaped = spec.is_shaped();
        if let (TerminalSpec::JsonString { escapes, quote, rules }, false) = (spec, shaped)
            && rules.counted()
        {
            // Lengths do not change the automaton: all strings share one, and its packs.
            let rules = TextRules { min: 0, max: None, ..rules.clone() };
            let plain = terminal(&TerminalSpec::JsonString { escapes: *escapes, quote: *quote, rules })?;
            return plain.bounded(spec);
        }
        let bounds = |rules: &TextRules| {
            if shaped && rules.patterned() {
                LengthBounds::new(rules.min, rules.max).map(Some)
            } else {
                Ok(None)
            }
        };
        let (automaton, rules): (Box<dyn Automaton>, Option<&TextRules>) = match spec {
            TerminalSpec::Regex(p) => (Box::new(Regex::new(&p.hir, p.search, None)?), None),
            TerminalSpec::FreeText { excluded, without } => {
                let text = FreeText::new(excluded)?;
                match without {
                    None => (Box::new(text), None),
                    Some(hir) => (Box::new(Without::new(text, Regex::new(hir, true, None)?)), None),
                }
            }
            TerminalSpec::Number(number) => (Box::new(number_dfa(number)?), None),
            TerminalSpec::Shortest(rules) => {
                let inner = restriction(rules, None)?.unwrap_or(Box::new(FreeText::new(&[])?));
                (Box::new(Shortest(inner)), None)
            }
            TerminalSpec::RawText { terminators, rules } => {
                let raw: Box<dyn Automaton> = Box::new(RawText::new(terminators)?);
                let bounds = bounds(rules)?;
                let automaton = match restriction(rules, bounds)? {
                    None => raw,
                    Some(inner) => Box::new(Explicit::new(
                        &Both(raw, inner),
                        rules.counted().then_some(bounds).flatten(),
                    )?),
                };
                (automaton, Some(rules))
            }
            TerminalSpec::JsonString { escapes, quote, rules } => {
                let bounds = bounds(rules)?;
                let inner = restriction(rules, bounds)?;
                (Box::new(JsonString::new(*escapes, *quote, inner, bounds)), Some(rules))
            }
        };
        let dfa = Arc::new(LazyDfa::new(automaton));
        if !dfa.accepts(0) && !dfa.live(0) {
            return Err(GrammarError::Empty(
                "a pattern, or a combination of patterns, matches no text".into(),
            ));
        }
        let pack = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let listed = matches!(spec, TerminalSpec::JsonString { .. });
        let quick = match spec {
            TerminalSpec::FreeText { .. } => true,
            TerminalSpec::JsonString { rules, .. } | TerminalSpec::RawText { rules, .. } => {
                !rules.patterned() && rules.excluded_words.is_empty()
            }
            _ => false,
        };
        let mut made = Terminal::new(dfa, rules, shaped, pack, (listed, quick))?;
        if let TerminalSpec::JsonString { escapes, quote, rules } = spec
            && !rules.counted()
            && !rules.patterned()
            && !rules.excluded_words.is_empty()
        {
            let any =
                TerminalSpec::JsonString { escapes: *escapes, quote: *quote, rules: TextRules::default() };
            made.plain = Some((terminal(&any)?, *quote));
        }
        Ok(made)
    }
}

impl Terminal {
    fn new(
        dfa: Arc<LazyDfa>,
        rules: Option<&TextRules>,
        shaped: bool,
        pack: u64,
        (listed, quick): (bool, bool),
    ) -> Result<Terminal, GrammarError> {
        let (min, max) = rules.map_or((0, None), |r| (r.min, r.max));
        let counted = min > 0 || max.is_some();
        let plain = rules.is_none_or(|rules| rules.include.iter().all(Pattern::has_plain_character));
        if counted && !dfa.lengths(0).meets(min, max.unwrap_or(u64::MAX)) {
            return Err(GrammarError::Empty("no text has both the pattern and the length asked for".into()));
        }
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Terminal {
            spec: None,
            dfa,
            min,
            max,
            counted,
            shaped,
            id,
            pack,
            listed,
            quick,
            unit: if plain { 1 } else { WIDEST },
            plain: None,
            distances: Mutex::default(),
            worst: OnceLock::new(),
        })
    }

    /// The same automaton under length bounds.
    fn bounded(&self, spec: &TerminalSpec) -> Result<Terminal, GrammarError> {
        let rules = match spec {
            TerminalSpec::JsonString { rules, .. } | TerminalSpec::RawText { rules, .. } => Some(rules),
            _ => None,
        };
        Terminal::new(Arc::clone(&self.dfa), rules, false, self.pack, (true, self.quick))
    }
}

/// The automaton over decoded text that the rules (lengths apart) ask for.
fn restriction(
    rules: &TextRules,
    bounds: Option<LengthBounds>,
) -> Result<Option<Box<dyn Automaton>>, GrammarError> {
    if !rules.patterned() {
        if rules.excluded_words.is_empty() {
            return Ok(None);
        }
        return Ok(Some(Box::new(NotWords::new(rules.excluded_words.iter().cloned()))));
    }
    if let ([only], [], true) = (&*rules.include, &*rules.exclude, rules.excluded_words.is_empty()) {
        return Ok(Some(Box::new(Regex::new(&only.hir, only.search, bounds)?)));
    }
    let mut parts: Vec<Box<dyn Automaton>> = Vec::new();
    for p in &rules.include {
        parts.push(Box::new(Regex::new(&p.hir, p.search, None)?));
    }
    for p in &rules.exclude {
        parts.push(Box::new(Not(Box::new(Regex::new(&p.hir, p.search, None)?))));
    }
    if !rules.excluded_words.is_empty() {
        parts.push(Box::new(NotWords::new(rules.excluded_words.iter().cloned())));
    }
    let mut all: Option<Explicit> = None;
    for part in parts {
        all = Some(match all {
            None => Explicit::new(part.as_ref(), bounds)?,
            Some(before) => Explicit::new(&Both(Box::new(before), part), bounds)?,
        });
    }
    Ok(all.map(|explicit| Box::new(explicit) as Box<dyn Automaton>))
}

/// The automaton over text that the rules (lengths apart) ask for, written out; only their shortest texts if so asked.
pub(crate) fn explicit(rules: &TextRules, shortest: bool) -> Result<Explicit, GrammarError> {
    let inner = restriction(rules, None)?.unwrap_or(Box::new(FreeText::new(&[])?));
    let automaton = if shortest { Box::new(Shortest(inner)) } else { inner };
    Explicit::new(automaton.as_ref(), None)
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A terminal ready to run: its automaton and its length bounds.
pub(crate) struct Terminal {
    /// What it was made of.
    pub(crate) spec: Option<TerminalSpec>,
    pub(crate) dfa: Arc<LazyDfa>,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    /// Characters are counted at all.
    pub(crate) counted: bool,
    /// Which lengths are possible depends on the state.
    pub(crate) shaped: bool,
    /// Different for every terminal of this process.
    pub(crate) id: u64,
    /// Equal where the automaton and therefore the packs are the same.
    pub(crate) pack: u64,
    /// Packs of this automaton are used under length bounds: their exits stay listed with their counts.
    pub(crate) listed: bool,
    /// Any string, and its closing quote, for a string that only may not be one of some words.
    pub(crate) plain: Option<(Arc<Terminal>, u8)>,
    /// Plain text of some kind: no state is far from an end.
    quick: bool,
    /// Bytes of the shortest character, where lengths do not depend on the state.
    unit: u64,
    /// By state and missing characters.
    distances: Mutex<FxHashMap<(u32, u64), u64>>,
    worst: OnceLock<u64>,
}

/// What a byte does to a terminal.
pub(crate) struct Stepped {
    pub(crate) state: u32,
    pub(crate) count: u64,
    /// The text may end here.
    pub(crate) ends: bool,
    /// The text may go on here.
    pub(crate) goes_on: bool,
}

impl Terminal {
    /// Steps state and count; `None` if no text begins like this.
    #[inline]
    pub(crate) fn step(&self, state: u32, count: u64, byte: u8) -> Result<Option<Stepped>, GrammarError> {
        let Some(target) = self.dfa.step(state, byte)? else { return Ok(None) };
        let state = target.state;
        let mut ends = self.dfa.accepts(state);
        let mut goes_on = self.dfa.live(state);
        if !self.counted {
            return Ok(Some(Stepped { state, count: 0, ends, goes_on }));
        }
        let mut count = count + u64::from(target.starts);
        match self.max {
            Some(max) if count > max => return Ok(None),
            // Without an upper bound, counting beyond the lower one says nothing.
            None => count = count.min(self.min),
            Some(_) => {}
        }
        ends &= count >= self.min;
        goes_on &= self.can_finish(state, count);
        Ok((ends || goes_on).then_some(Stepped { state, count, ends, goes_on }))
    }

    /// True if the bounds can still be met.
    pub(crate) fn can_finish(&self, state: u32, count: u64) -> bool {
        if !self.shaped {
            return self.max.is_none_or(|max| count <= max);
        }
        let left = self.max.map_or(u64::MAX, |max| max.saturating_sub(count));
        self.dfa.lengths(state).meets(self.min.saturating_sub(count), left)
    }

    /// Bytes of the shortest completion from here: exact, except that where a pattern and a length bound come
    /// together it is an upper bound that still shrinks with every character written.
    pub(crate) fn shortest(&self, state: u32, count: u64) -> u64 {
        let missing = self.min.saturating_sub(count);
        if self.shaped && self.max.is_none() {
            // Lengths beyond the lower bound are not told apart there.
            return self.distance(state, missing);
        }
        if self.shaped {
            if missing == 0 && self.dfa.accepts(state) {
                return 0;
            }
            let characters = self.dfa.lengths(state).first_from(missing).unwrap_or(u64::MAX / 32);
            return characters.saturating_mul(WIDEST)
                + self.rest_of_character(state, missing, characters)
                + 1;
        }
        missing.saturating_mul(self.unit).saturating_add(self.distance(state, 0))
    }

    /// Bytes to the end of the character that a state is in, on a way that leaves no more than `characters` to come.
    fn rest_of_character(&self, from: u32, missing: u64, characters: u64) -> u64 {
        if let Some(bytes) = self.dfa.rest_of_character(from) {
            return u64::from(bytes);
        }
        let mut level = vec![from];
        for bytes in 0..4 {
            let mut next = Vec::new();
            for &state in &level {
                if self.dfa.accepts(state) {
                    return bytes;
                }
                let mut byte = 0;
                loop {
                    if let Ok(Some(target)) = self.dfa.step(state, byte) {
                        if target.starts {
                            return bytes;
                        }
                        let to = target.state;
                        let short = self.dfa.lengths(to).first_from(missing);
                        if !next.contains(&to) && short.is_some_and(|n| n <= characters) {
                            next.push(to);
                        }
                    }
                    match self.dfa.class(byte).1 {
                        255 => break,
                        last => byte = last + 1,
                    }
                }
            }
            level = next;
        }
        4
    }

    /// An upper bound on [`Terminal::shortest`] over all states, missing characters aside, if there is a small one.
    pub(crate) fn settles_within(&self) -> Option<u64> {
        (!self.shaped && self.quick).then_some(16)
    }

    /// An upper bound on [`Terminal::shortest`] over all states and counts; `u64::MAX` where none is known.
    pub(crate) fn worst(&self) -> u64 {
        *self.worst.get_or_init(|| self.spec.as_ref().map_or(u64::MAX, TerminalSpec::worst))
    }

    /// Bytes to a state where the text may end, after `missing` more characters where those are told apart: the
    /// nearest, as far as a search of limited width finds it. The states on the way found are remembered with it, so
    /// the way stays open whatever later searches find.
    fn distance(&self, from: u32, missing: u64) -> u64 {
        const WIDTH: usize = 64;
        let from = (from, missing);
        let mut near = self.distance_within(from, WIDTH, false);
        // Where a bound is known, no way found may be longer than it.
        if near > self.worst() {
            near = self.distance_within(from, usize::MAX, false);
        }
        // A control character has to be written as an escape, even where other characters could stand.
        if near == NO_WAY { self.distance_within(from, usize::MAX, true) } else { near }
    }

    fn distance_within(&self, from: (u32, u64), width: usize, escapes: bool) -> u64 {
        let mut distances = self.distances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&known) = distances.get(&from)
            && (width < usize::MAX || known <= self.worst())
        {
            return known;
        }
        let mut came_from: FxHashMap<(u32, u64), (u32, u64)> = FxHashMap::default();
        let mut level = vec![from];
        came_from.insert(from, from);
        while !level.is_empty() {
            let done = |&&(state, missing): &&(u32, u64)| missing == 0 && self.dfa.accepts(state);
            if let Some(&end) = level.iter().find(done) {
                let (mut at, mut distance) = (end, 0);
                loop {
                    let known = distances.entry(at).or_insert(distance);
                    *known = distance.min(*known);
                    if at == from {
                        return *known;
                    }
                    distance = *known + 1;
                    at = came_from[&at];
                }
            }
            let mut next = Vec::new();
            for &(state, missing) in &level {
                // An escape is hardly ever the shortest way to write a character, and its digits are many states;
                // but inside a pair of escapes there is no other way.
                let mut stuck = true;
                for byte in (0..=255u8).filter(|&b| b != b'\\').chain([b'\\']) {
                    if byte == b'\\' && self.listed && !stuck && !escapes || next.len() >= width {
                        continue;
                    }
                    let Ok(Some(target)) = self.dfa.step(state, byte) else { continue };
                    let to = (target.state, missing.saturating_sub(u64::from(target.starts)));
                    // Behind the last character the missing ones cannot come any more.
                    if to.1 > 0 && !self.dfa.lengths(to.0).meets(to.1, u64::MAX) {
                        continue;
                    }
                    stuck = false;
                    if let Entry::Vacant(slot) = came_from.entry(to) {
                        slot.insert((state, missing));
                        next.push(to);
                    }
                }
            }
            level = next;
        }
        NO_WAY
    }

    /// True if the empty text is in the language.
    pub(crate) fn nullable(&self) -> bool {
        self.min == 0 && self.dfa.accepts(0)
    }

    /// True if some text but the empty one is in the language.
    pub(crate) fn live(&self) -> bool {
        self.dfa.live(0) && self.max != Some(0) || self.dfa.live(0) && self.ends_without_characters()
    }

    /// With no characters allowed, a JSON string still has its closing quote.
    fn ends_without_characters(&self) -> bool {
        (0..=255u8).any(|b| matches!(self.step(0, 0, b), Ok(Some(_))))
    }
}

const CACHE_LIMIT: usize = 2048;

/// The terminal of this specification. Equal terminals are built once per process and shared while in use.
pub(crate) fn terminal(spec: &TerminalSpec) -> Result<Arc<Terminal>, GrammarError> {
    static CACHE: OnceLock<Mutex<FxHashMap<String, Arc<Terminal>>>> = OnceLock::new();
    let cache = CACHE.get_or_init(Mutex::default);
    let key = spec.key();
    if let Some(terminal) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(Arc::clone(terminal));
    }
    let mut made = spec.build()?;
    made.spec = Some(spec.simplified());
    let terminal = Arc::new(made);
    let mut map = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= CACHE_LIMIT {
        map.retain(|_, terminal| Arc::strong_count(terminal) > 1);
    }
    if map.len() >= CACHE_LIMIT {
        map.clear();
    }
    Ok(Arc::clone(map.entry(key).or_insert(terminal)))
}
