//! Walking a vocabulary with a terminal.
//!
//! Most states of most patterns and strings go round in circles: nearly every character leads back to them. The
//! tokens of such characters alone are found by sets (see [`Holders`](crate::trie::Holders)), and only the places
//! where a token leaves the circle are walked.

use super::twins::Facts;
use crate::GrammarError;
use crate::automaton::{LazyDfa, utf8};
use crate::machine::ByteSet;
use crate::terminal::Terminal;
use crate::token_set::{has, set};
use crate::trie::{ASCII_GROUPS, OTHER, TokenTrie, group};
use crate::vocab::Vocabulary;

pub(super) struct Build<'a> {
    pub(super) terminal: &'a Terminal,
    pub(super) trie: &'a TokenTrie,
    pub(super) words: Vec<u32>,
    pub(super) by_cost: Option<Vec<Vec<u32>>>,
    pub(super) over: Vec<u32>,
    pub(super) longest: u32,
    pub(super) closed: bool,
    /// Nodes where the terminal may end, each with the characters begun so far.
    pub(super) exits: Vec<(u32, u32)>,
    /// Transitions met so far, by state.
    rows: Vec<Option<Box<[u32; 256]>>>,
    /// What is known of the states met so far.
    infos: Vec<Info>,
}

/// What a walk needs to know of a state.
#[derive(Debug, Clone, Copy, Default)]
struct Info {
    known: bool,
    live: bool,
    accepts: bool,
    /// Characters that have to come before the terminal may end.
    short: u32,
    /// The groups of characters that lead back to the state, once asked for.
    loops: Option<u64>,
}

/// A state that most characters lead back to, seen from a state that they lead to it from.
struct Circle {
    state: u32,
    /// First bytes of the characters that lead back to it.
    back: ByteSet,
    /// Those of them that lead to it from where the walk begins.
    there: ByteSet,
}

/// States that some characters lead from one to another only.
struct Region {
    /// First bytes of those characters.
    stays: ByteSet,
    states: Vec<u32>,
}

/// Walking this part of a vocabulary takes no time.
const FEW: u32 = 64;
/// Regions of more states are not worth finding.
const LARGE: usize = 64;
const UNKNOWN: u32 = u32::MAX;
pub(super) const DEAD: u32 = u32::MAX - 1;
/// Subtrees smaller than this are not worth a look at what they hold.
const WORTHWHILE: u32 = 2;
/// Circles of fewer bytes are not worth the sets.
const WIDE: u32 = 8;

/// The tokens that take this many characters.
fn at_cost(by_cost: &mut Vec<Vec<u32>>, cost: u32) -> &mut Vec<u32> {
    if by_cost.len() <= cost as usize {
        by_cost.resize_with(cost as usize + 1, Vec::new);
    }
    &mut by_cost[cost as usize]
}

/// First bytes of characters beyond ASCII.
const LEADS: std::ops::RangeInclusive<u8> = 0xc2..=0xf4;

/// The bytes that may go on a character from a place within it, one of each class, with the places behind them.
fn continuations(dfa: &LazyDfa, place: u32) -> impl Iterator<Item = (u8, u32)> {
    let mut byte = 0x7fu8;
    std::iter::from_fn(move || {
        while byte < 0xbf {
            byte += 1;
            if let Some(place) = utf8::step(place, byte) {
                let (first, last) = dfa.class(byte);
                byte = last;
                return Some((first, place));
            }
        }
        None
    })
}

impl<'a> Build<'a> {
    pub(super) fn new(terminal: &'a Terminal, vocabulary: &'a Vocabulary) -> Build<'a> {
        Build {
            terminal,
            trie: vocabulary.trie(),
            words: vec![0; vocabulary.mask_words()],
            by_cost: None,
            over: Vec::new(),
            longest: 0,
            closed: true,
            exits: Vec::new(),
            rows: Vec::new(),
            infos: Vec::new(),
        }
    }

    /// The states that the walk looked into.
    pub(super) fn states(&self) -> impl Iterator<Item = u32> {
        let count = self.rows.len().max(self.infos.len()) as u32;
        (0..count)
            .filter(|&state| self.knows(state) || matches!(self.rows.get(state as usize), Some(Some(_))))
    }

    /// The bytes that it tried there, in order, and where they lead: the state, and behind it a bit for a byte that
    /// begins a character; or [`DEAD`].
    pub(super) fn steps(&self, state: u32) -> impl Iterator<Item = (u8, u32)> {
        let row = self.rows.get(state as usize).and_then(Option::as_deref);
        let steps = row.into_iter().flat_map(|row| (0..=255u8).zip(row));
        steps.filter(|&(_, &step)| step != UNKNOWN).map(|(byte, &step)| (byte, step))
    }

    /// Whether the walk looked at lengths and ends of this state.
    pub(super) fn knows(&self, state: u32) -> bool {
        self.infos.get(state as usize).is_some_and(|info| info.known)
    }

    /// Walks the whole vocabulary from a state, lengths aside.
    pub(super) fn state(&mut self, state: u32) -> Result<(), GrammarError> {
        match self.circle(state)? {
            Some(circle) => match self.region(state, &circle)? {
                Some(region) => self.across(state, &region),
                None => self.around(state, &circle),
            },
            None => self.children(0, state, 0),
        }
    }

    /// The characters that keep a state alive for good, if by them far fewer nodes have to be walked than by the
    /// circle: where a text is searched for something, nearly every character leads somewhere, but none to an end.
    fn region(&mut self, state: u32, circle: &Circle) -> Result<Option<Region>, GrammarError> {
        let terminal = self.terminal;
        let dfa = &terminal.dfa;
        let firsts = || (0..0x80u8).chain(LEADS);
        let mut leaving = 0;
        for byte in firsts().filter(|&byte| !circle.back.contains(byte)) {
            if self.transition(circle.state, byte)? != DEAD {
                leaving += self.trie.count_by_byte(byte);
            }
        }
        // Which lengths a token has depends on the state it leads to, so those are counted node by node.
        if leaving < self.trie.len() / FEW || self.by_cost.is_some() {
            return Ok(None);
        }
        let mut stays = ByteSet::default();
        firsts().for_each(|byte| stays.insert(byte));
        let mut states = vec![state];
        let mut next = 0;
        while next < states.len() {
            let from = states[next];
            next += 1;
            for byte in firsts().filter(|&byte| dfa.class(byte).0 == byte || byte == *LEADS.start()) {
                let last = dfa.class(byte).1;
                if !stays.contains(byte) {
                    continue;
                }
                if !self.survives(from, byte, &mut states)? {
                    (byte..=last).for_each(|byte| stays.remove(byte));
                }
                if states.len() > LARGE {
                    return Ok(None);
                }
            }
        }
        let mut left = 0;
        for byte in firsts().filter(|&byte| !stays.contains(byte)) {
            let mut alive = false;
            for &from in &states {
                alive |= self.transition(from, byte)? != DEAD;
            }
            left += if alive { self.trie.count_by_byte(byte) } else { 0 };
        }
        Ok((left * 2 < leaving).then_some(Region { stays, states }))
    }

    /// True if every character that begins with `first` keeps the terminal alive and short of its end; adds the
    /// states that they lead to.
    fn survives(&mut self, from: u32, first: u8, states: &mut Vec<u32>) -> Result<bool, GrammarError> {
        let terminal = self.terminal;
        let dfa = &terminal.dfa;
        let (Some(place), Some(target)) = (utf8::step(utf8::BOUNDARY, first), self.begin(from, first)?)
        else {
            return Ok(false);
        };
        let mut places = vec![(target, place)];
        let mut next = 0;
        while next < places.len() {
            let (at, place) = places[next];
            next += 1;
            if dfa.accepts(at) || !dfa.live(at) || places.len() > LARGE {
                return Ok(false);
            }
            if place == utf8::BOUNDARY {
                // A backslash begins a character, but what follows it belongs to the same one.
                if dfa.rest_of_character(at).is_some_and(|rest| rest > 0) {
                    return Ok(false);
                }
                if !states.contains(&at) {
                    states.push(at);
                }
                continue;
            }
            for (byte, place) in continuations(dfa, place) {
                match self.transition(at, byte)? {
                    DEAD => return Ok(false),
                    step if places.contains(&(step >> 1, place)) => {}
                    step => places.push((step >> 1, place)),
                }
            }
        }
        Ok(true)
    }

    /// Walks the whole vocabulary from a state that most characters keep alive.
    fn across(&mut self, state: u32, region: &Region) -> Result<(), GrammarError> {
        let trie = self.trie;
        let mut short = 0;
        for &state in &region.states {
            short = short.max(self.info(state)?.short);
        }
        // No token takes more, whatever state it leads to.
        self.longest = trie.depth() + short;
        let mut words = Vec::new();
        trie.holders().only(region.stays, &mut words);
        words.resize(self.words.len(), 0);
        self.words = words;
        let mut path = Vec::new();
        for byte in (0..0x80).chain(LEADS).filter(|&byte| !region.stays.contains(byte)) {
            for (node, parent) in trie.nodes_by_byte(byte) {
                path.clear();
                let mut at = parent;
                while at != 0 {
                    let byte = trie.node(at).byte;
                    if byte & 0xc0 != 0x80 && !region.stays.contains(byte) {
                        break;
                    }
                    path.push(byte);
                    at = trie.parent(at);
                }
                if at != 0 || parent != 0 && !trie.between_characters(parent) {
                    continue;
                }
                let mut step = state << 1;
                for &byte in path.iter().rev().chain([&byte]) {
                    if step != DEAD {
                        step = self.transition(step >> 1, byte)?;
                    }
                }
                if step != DEAD {
                    self.node(node, step, u32::from(trie.begun(parent)))?;
                }
            }
        }
        Ok(())
    }

    /// The widest circle that the state leads to.
    fn circle(&mut self, state: u32) -> Result<Option<Circle>, GrammarError> {
        let terminal = self.terminal;
        let dfa = &terminal.dfa;
        let mut tried = Vec::new();
        let mut best: Option<Circle> = None;
        for first in ["e", "E", "0", " ", "-", "\u{4e38}"] {
            let mut step = state << 1;
            for byte in first.bytes() {
                if step != DEAD {
                    step = self.transition(step >> 1, byte)?;
                }
            }
            let at = step >> 1;
            if step == DEAD || tried.contains(&at) {
                continue;
            }
            tried.push(at);
            if dfa.accepts(at) || !dfa.live(at) {
                continue;
            }
            let (mut back, mut there) = (ByteSet::default(), ByteSet::default());
            let (mut leads_back, mut leads_there) = (false, false);
            for byte in (0..0x80).chain(LEADS) {
                // What holds for a byte holds for its class.
                if dfa.class(byte).0 == byte || byte == *LEADS.start() {
                    leads_back = self.leads(at, byte, at)?;
                    leads_there = leads_back && (state == at || self.leads(state, byte, at)?);
                }
                if leads_back {
                    back.insert(byte);
                }
                if leads_there {
                    there.insert(byte);
                }
            }
            if there.len() >= WIDE && best.as_ref().is_none_or(|best| there.len() > best.there.len()) {
                best = Some(Circle { state: at, back, there });
            }
        }
        Ok(best)
    }

    /// Where a byte leads that begins a character: the digits of an escape belong to one that has begun.
    fn begin(&mut self, from: u32, first: u8) -> Result<Option<u32>, GrammarError> {
        let step = self.transition(from, first)?;
        Ok((step != DEAD && step & 1 == 1).then_some(step >> 1))
    }

    /// True if every character that begins with `first` leads from one state to the other, and the terminal cannot
    /// end within it.
    fn leads(&mut self, from: u32, first: u8, to: u32) -> Result<bool, GrammarError> {
        let terminal = self.terminal;
        let dfa = &terminal.dfa;
        let (Some(place), Some(target)) = (utf8::step(utf8::BOUNDARY, first), self.begin(from, first)?)
        else {
            return Ok(false);
        };
        if place == utf8::BOUNDARY {
            return Ok(target == to);
        }
        let mut places = vec![(target, place)];
        let mut next = 0;
        while next < places.len() {
            let (at, place) = places[next];
            next += 1;
            if dfa.accepts(at) || places.len() > 8 {
                return Ok(false);
            }
            for (byte, place) in continuations(dfa, place) {
                match self.transition(at, byte)? {
                    DEAD => return Ok(false),
                    step if place == utf8::BOUNDARY && step >> 1 == to => {}
                    step if place != utf8::BOUNDARY => {
                        if !places.contains(&(step >> 1, place)) {
                            places.push((step >> 1, place));
                        }
                    }
                    _ => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Walks the whole vocabulary from a state that leads to a circle.
    fn around(&mut self, state: u32, circle: &Circle) -> Result<(), GrammarError> {
        let trie = self.trie;
        let around = self.info(circle.state)?;
        let mut words = Vec::new();
        trie.holders().only(circle.back, &mut words);
        words.resize(self.words.len(), 0);
        // Tokens that begin otherwise are met below.
        for byte in circle.back.iter().filter(|&byte| !circle.there.contains(byte)) {
            for (token, _) in trie.child(0, byte).into_iter().flat_map(|child| trie.subtree(child)) {
                words[token as usize / 32] &= !(1 << (token % 32));
            }
        }
        if self.terminal.counted || self.terminal.listed {
            for byte in circle.there.iter() {
                for (token, characters) in trie.child(0, byte).into_iter().flat_map(|c| trie.subtree(c)) {
                    if has(&words, token) {
                        let cost = u32::from(characters) + around.short;
                        self.longest = self.longest.max(cost);
                        if let Some(by_cost) = &mut self.by_cost {
                            at_cost(by_cost, cost).push(token);
                        }
                    }
                }
            }
        }
        self.words = words;
        // Where tokens leave the circle.
        for byte in (0..0x80).chain(LEADS).filter(|&byte| !circle.back.contains(byte)) {
            let step = self.transition(circle.state, byte)?;
            if step == DEAD {
                continue;
            }
            for (node, parent) in trie.nodes_by_byte(byte) {
                if parent != 0 && self.on_circle(parent, circle) {
                    self.node(node, step, u32::from(trie.begun(parent)))?;
                }
            }
        }
        // Where they never come to it.
        let end = trie.node(0).end;
        let mut child = 1;
        while child < end {
            let node = trie.node(child);
            if !circle.there.contains(node.byte) {
                let step = self.transition(state, node.byte)?;
                if step != DEAD {
                    self.node(child, step, 0)?;
                }
            }
            child = node.end;
        }
        Ok(())
    }

    /// True if the text of a node goes to the circle with its first character, and then round it.
    fn on_circle(&self, mut node: u32, circle: &Circle) -> bool {
        let trie = self.trie;
        if !trie.between_characters(node) {
            return false;
        }
        loop {
            let byte = trie.node(node).byte;
            let parent = trie.parent(node);
            if parent == 0 {
                return circle.there.contains(byte);
            }
            // Bytes within characters say nothing.
            if byte & 0xc0 != 0x80 && !circle.back.contains(byte) {
                return false;
            }
            node = parent;
        }
    }

    /// Visits the children of `parent` for a terminal in this state.
    fn children(&mut self, parent: u32, state: u32, count: u32) -> Result<(), GrammarError> {
        let trie = self.trie;
        let end = trie.node(parent).end;
        let mut child = parent + 1;
        while child < end {
            let node = trie.node(child);
            let step = self.transition(state, node.byte)?;
            if step != DEAD {
                self.node(child, step, count)?;
            }
            child = node.end;
        }
        Ok(())
    }

    /// Visits a node behind a transition.
    #[inline]
    fn node(&mut self, node: u32, step: u32, count: u32) -> Result<(), GrammarError> {
        let (target, count) = (step >> 1, count + (step & 1));
        let info = self.info(target)?;
        let end = self.trie.node(node).end;
        self.longest = self.longest.max(count + info.short);
        if info.live && end - node > WORTHWHILE && self.trie.below(node) & !self.loops_of(target)? == 0 {
            self.whole(node, count, info);
        } else {
            self.here(node, count, info);
            if info.live && end > node + 1 {
                self.children(node, target, count)?;
            }
        }
        Ok(())
    }

    /// Target and character bit, or `DEAD`.
    #[inline]
    fn transition(&mut self, state: u32, byte: u8) -> Result<u32, GrammarError> {
        match self.rows.get(state as usize) {
            Some(Some(row)) if row[byte as usize] != UNKNOWN => Ok(row[byte as usize]),
            _ => self.resolve(state, byte),
        }
    }

    /// Looks a transition up and keeps it at hand.
    #[cold]
    fn resolve(&mut self, state: u32, byte: u8) -> Result<u32, GrammarError> {
        let value = match self.terminal.dfa.step(state, byte)? {
            None => DEAD,
            Some(target) => target.state << 1 | u32::from(target.starts),
        };
        if self.rows.len() <= state as usize {
            self.rows.resize(state as usize + 1, None);
        }
        self.rows[state as usize].get_or_insert_with(|| Box::new([UNKNOWN; 256]))[byte as usize] = value;
        Ok(value)
    }

    #[inline]
    fn info(&mut self, state: u32) -> Result<Info, GrammarError> {
        match self.infos.get(state as usize) {
            Some(info) if info.known => Ok(*info),
            _ => self.resolve_state(state),
        }
    }

    #[cold]
    fn resolve_state(&mut self, state: u32) -> Result<Info, GrammarError> {
        let at = state as usize;
        if self.infos.len() <= at {
            self.infos.resize(at + 1, Info::default());
        }
        let facts = Facts::of(self.terminal, state);
        self.closed &= facts.closed;
        let Facts { live, accepts, short, .. } = facts;
        self.infos[at] = Info { known: true, live, accepts, short, loops: None };
        Ok(self.infos[at])
    }

    #[inline]
    fn loops_of(&mut self, state: u32) -> Result<u64, GrammarError> {
        match self.infos[state as usize].loops {
            Some(loops) => Ok(loops),
            None => {
                let loops = self.loops(state)?;
                self.infos[state as usize].loops = Some(loops);
                Ok(loops)
            }
        }
    }

    /// Takes the tokens of one node.
    fn here(&mut self, node: u32, count: u32, info: Info) {
        let tokens = self.trie.tokens(node);
        if info.live {
            tokens.iter().for_each(|&token| set(&mut self.words, token));
            if let (Some(by_cost), false) = (&mut self.by_cost, tokens.is_empty()) {
                at_cost(by_cost, count + info.short).extend_from_slice(tokens);
            }
        } else {
            self.over.extend_from_slice(tokens);
        }
        if info.accepts {
            self.exits.push((node, count));
        }
    }

    /// Takes a whole subtree, all of whose characters lead back to the state it hangs on.
    fn whole(&mut self, node: u32, count: u32, info: Info) {
        let trie = self.trie;
        // Characters before the subtree are those of the path, whatever the terminal made of them.
        let before = trie.begun(node);
        for (token, characters) in trie.subtree(node) {
            set(&mut self.words, token);
            let cost = count + u32::from(characters - before) + info.short;
            self.longest = self.longest.max(cost);
            if let Some(by_cost) = &mut self.by_cost {
                at_cost(by_cost, cost).push(token);
            }
        }
        if info.accepts {
            for at in node..trie.node(node).end {
                self.exits.push((at, count + u32::from(trie.begun(at) - before)));
            }
        }
    }

    /// The groups of characters that lead from a state back to it.
    fn loops(&mut self, state: u32) -> Result<u64, GrammarError> {
        let mut groups = (1u64 << ASCII_GROUPS) - 1;
        for byte in 0..0x80u8 {
            let step = self.transition(state, byte)?;
            if step == DEAD || step >> 1 != state {
                groups &= !(1 << group(byte));
            }
        }
        if self.loops_over_others(state)? {
            groups |= OTHER;
        }
        Ok(groups)
    }

    /// True if every character beyond ASCII leads back to the state.
    fn loops_over_others(&mut self, state: u32) -> Result<bool, GrammarError> {
        for first in LEADS {
            let begins = self.terminal.dfa.class(first).0 == first || first == *LEADS.start();
            if begins && !self.leads(state, first, state)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Visits the children of `parent` for a terminal after a number of characters, lengths included.
    pub(super) fn counted(&mut self, parent: u32, state: u32, count: u64) -> Result<(), GrammarError> {
        let (trie, terminal) = (self.trie, self.terminal);
        let end = trie.node(parent).end;
        let mut child = parent + 1;
        while child < end {
            let node = trie.node(child);
            if let Some(to) = terminal.step(state, count, node.byte)? {
                if to.goes_on {
                    trie.tokens(child).iter().for_each(|&token| set(&mut self.words, token));
                } else {
                    self.over.extend_from_slice(trie.tokens(child));
                }
                if to.ends {
                    self.exits.push((child, 0));
                }
                if to.goes_on && node.end > child + 1 {
                    self.counted(child, to.state, to.count)?;
                }
            }
            child = node.end;
        }
        Ok(())
    }
}
