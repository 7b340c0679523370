//! States that do the same to every token.
//!
//! An automaton that counts has many states between which no token can tell: behind the third word of at most fifty
//! nothing is different from behind the fourth. Where a walk over the vocabulary has found one state's pack, what it
//! looked at is kept; a state from which all of that looks the same has the same pack.

use super::Found;
use super::build::{Build, DEAD};
use crate::GrammarError;
use crate::terminal::Terminal;
use rustc_hash::{FxHashMap, FxHashSet};

/// A walk that met more states is not worth keeping.
const STATES: usize = 128;
/// Walks kept per terminal.
const WALKS: usize = 4;

/// What a walk may ask of a state beside its transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) live: bool,
    pub(super) accepts: bool,
    /// Characters that have to come before the terminal may end.
    pub(super) short: u32,
    /// No length between the least and the greatest one is impossible.
    pub(super) closed: bool,
}

impl Facts {
    pub(super) fn of(terminal: &Terminal, state: u32) -> Facts {
        let dfa = &terminal.dfa;
        let (live, accepts) = (dfa.live(state), dfa.accepts(state));
        let (mut short, mut closed) = (0, true);
        if live && terminal.shaped {
            let lengths = dfa.lengths(state);
            closed = lengths.is_closed();
            short = lengths.first_from(0).unwrap_or(0) as u32;
        }
        Facts { live, accepts, short, closed }
    }
}

/// What a walk saw of one state.
pub(super) struct Seen {
    live: bool,
    accepts: bool,
    facts: Option<Facts>,
    rest_of_character: Option<u32>,
    /// One byte of each class that was looked at, and where it leads; see [`Build`].
    steps: Box<[(u8, u32)]>,
}

/// What a walk saw, by state.
pub(super) type Sights = FxHashMap<u32, Seen>;

/// A walk over the vocabulary.
struct Walk {
    found: Found,
    seen: Sights,
}

/// The last walks of a terminal.
#[derive(Default)]
pub(super) struct Twins {
    walks: Vec<Walk>,
}

impl Twins {
    /// The pack of a state that does the same to every token as this one.
    pub(super) fn find(&self, terminal: &Terminal, state: u32) -> Result<Option<Found>, GrammarError> {
        for walk in self.walks.iter().rev() {
            if walk.is_the_same_from(terminal, state)? {
                return Ok(Some(walk.found.clone()));
            }
        }
        Ok(None)
    }

    /// Keeps the walk that found a pack, in place of the oldest one.
    pub(super) fn keep(&mut self, found: &Found, seen: Option<Sights>) {
        let Some(seen) = seen else { return };
        if self.walks.len() >= WALKS {
            self.walks.remove(0);
        }
        self.walks.push(Walk { found: found.clone(), seen });
    }
}

/// What a walk saw, if that is worth keeping.
pub(super) fn sights(build: &Build<'_>) -> Option<Sights> {
    let terminal = build.terminal;
    let dfa = &terminal.dfa;
    let states = build.states().collect::<Vec<_>>();
    if states.len() > STATES {
        return None;
    }
    let see = |state: u32| {
        let mut steps: Vec<_> = build.steps(state).map(|(byte, step)| (dfa.class(byte).0, step)).collect();
        steps.dedup();
        Seen {
            live: dfa.live(state),
            accepts: dfa.accepts(state),
            facts: build.knows(state).then(|| Facts::of(terminal, state)),
            rest_of_character: dfa.rest_of_character(state),
            steps: steps.into(),
        }
    };
    Some(states.into_iter().map(|state| (state, see(state))).collect())
}

impl Walk {
    /// Whether the walk, begun from another state, would have seen the same everywhere.
    fn is_the_same_from(&self, terminal: &Terminal, state: u32) -> Result<bool, GrammarError> {
        let dfa = &terminal.dfa;
        let mut pairs = FxHashSet::default();
        let mut todo = vec![(self.found.state, state)];
        while let Some((mine, other)) = todo.pop() {
            let Some(seen) = self.seen.get(&mine) else { continue };
            let same = seen.live == dfa.live(other)
                && seen.accepts == dfa.accepts(other)
                && seen.facts.is_none_or(|facts| facts == Facts::of(terminal, other))
                && seen.rest_of_character == dfa.rest_of_character(other);
            if !same {
                return Ok(false);
            }
            for &(byte, step) in &seen.steps {
                match dfa.step(other, byte)? {
                    None if step == DEAD => {}
                    Some(target) if step != DEAD && target.starts == (step & 1 == 1) => {
                        // From one state on everything is the same as from itself.
                        let pair = (step >> 1, target.state);
                        if pair.0 != pair.1 && pairs.insert(pair) {
                            todo.push(pair);
                        }
                    }
                    _ => return Ok(false),
                }
            }
            if pairs.len() > 4 * STATES {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Packs;
    use crate::Token;
    use crate::automaton::Escapes;
    use crate::terminal::{Pattern, TerminalSpec, TextRules, terminal};
    use crate::vocab::Vocabulary;

    /// Where a string with this pattern is after each text, and which state's pack is used there.
    fn packs(pattern: &str, texts: &[&str]) -> Vec<(u32, u32)> {
        let hir = regex_syntax::parse(pattern).expect("parses");
        let rules = TextRules { include: vec![Pattern { hir, search: false }], ..TextRules::default() };
        let spec = TerminalSpec::JsonString { escapes: Escapes::Any, quote: b'"', rules };
        let terminal = terminal(&spec).expect("builds");
        let mut tokens: Vec<Token> = (0..=255u8).map(|byte| Token::text([byte])).collect();
        tokens.extend(["ab", "a b", " a", "b\"", "\",", "é", " b a"].map(Token::text));
        let vocabulary = Vocabulary::new(tokens, &[], None).expect("fits");
        let packs = Packs::default();
        let pack = |text: &&str| {
            let step = |at: u32, byte: u8| Some(terminal.dfa.step(at, byte).ok()??.state);
            let state = text.bytes().try_fold(0, step).expect("the text begins a match");
            let (found, _) = packs.get(&terminal, &vocabulary, state, 0).expect("within limits");
            (state, found.state)
        };
        texts.iter().map(pack).collect()
    }

    #[test]
    fn counted_words_share_a_pack_until_a_token_can_tell() {
        let found = packs(
            "(?:[a-zé]+ ){0,9}[a-z]+",
            &["a", "a b", "a b c", "a b c d", "a b c d e f g h i", "a b c d e f g h i j"],
        );
        let (first, last) = (found[0], found[5]);
        assert_eq!(first.0, first.1, "the first one is made");
        for (text, &(state, pack)) in found[1..4].iter().enumerate() {
            assert_ne!(state, pack, "{text}");
            assert_eq!(pack, first.1, "{text}");
        }
        assert_ne!(found[4].1, first.1, "a token of three words is one too many");
        assert_ne!(last.1, first.1, "no more spaces");
    }

    #[test]
    fn what_differs_by_a_single_character_is_no_twin() {
        let found = packs("(?:x[a-c]*|y[a-d]*|z[a-c]*)", &["xa", "ya", "za"]);
        assert_eq!(found[0].1, found[2].1);
        assert_ne!(found[0].1, found[1].1);
    }
}
