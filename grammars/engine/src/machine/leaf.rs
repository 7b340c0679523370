//! What may come next at a leaf, byte by byte.

use super::Leaf;
use crate::GrammarError;
use crate::compiled::Context;
use crate::grammar::Node;

/// A set of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) fn insert(&mut self, byte: u8) {
        self.0[byte as usize / 64] |= 1 << (byte % 64);
    }

    pub(crate) fn remove(&mut self, byte: u8) {
        self.0[byte as usize / 64] &= !(1 << (byte % 64));
    }

    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[byte as usize / 64] >> (byte % 64) & 1 == 1
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..4usize).flat_map(move |word| {
            let mut bits = self.0[word];
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros())?;
                bits &= bits - 1;
                Some((word as u32 * 64 + bit) as u8)
            })
        })
    }
}

impl Leaf {
    /// True for what waits for a whole token, or for the end, rather than for a byte.
    #[inline]
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Leaf::End | Leaf::Special { .. } | Leaf::Token { .. })
    }

    /// The next byte of a literal.
    #[inline]
    pub(crate) fn literal(self, ctx: Context<'_>) -> Option<u8> {
        let Leaf::Bytes { node, at } = self else { return None };
        match &ctx.grammar.nodes[node as usize] {
            Node::Bytes(bytes) => bytes.get(at as usize).copied(),
            Node::Special(name) => name.as_bytes().get(at as usize).copied(),
            _ => None,
        }
    }

    /// Adds the bytes that may come next.
    pub(crate) fn first_bytes(self, ctx: Context<'_>, out: &mut ByteSet) -> Result<(), GrammarError> {
        let grammar = ctx.grammar;
        match self {
            Leaf::End | Leaf::Special { .. } | Leaf::Token { .. } => {}
            Leaf::Bytes { .. } => self.literal(ctx).into_iter().for_each(|b| out.insert(b)),
            Leaf::Switch { id, low, high, depth } => {
                each_byte(&grammar.switches[id as usize].words, low, high, depth, |byte, _, _| {
                    out.insert(byte)
                });
            }
            Leaf::Keys { id, low, high, depth, rest, seen } => {
                let object = &grammar.objects[id as usize];
                let state = ctx.member_state(object, rest, seen);
                each_byte(&object.keys, low, high, depth, |byte, from, to| {
                    if object.position[from as usize..to as usize].iter().any(|&p| state.may_take(object, p))
                    {
                        out.insert(byte);
                    }
                });
            }
            Leaf::Terminal { id, state, count } => {
                let terminal = &grammar.terminals[id as usize];
                let mut next = Some(0);
                while let Some(byte) = next {
                    let (_, last) = terminal.dfa.class(byte);
                    if terminal.step(state, count, byte)?.is_some() {
                        (byte..=last).for_each(|byte| out.insert(byte));
                    }
                    next = last.checked_add(1);
                }
            }
        }
        Ok(())
    }
}

/// Visits the different next bytes of sorted words, each with its range of words.
fn each_byte(words: &[Box<[u8]>], low: u32, high: u32, depth: u32, mut visit: impl FnMut(u8, u32, u32)) {
    let mut at = low;
    while at < high {
        match words[at as usize].get(depth as usize) {
            Some(&byte) => {
                let (_, end) = crate::automaton::narrow(words, at, high, depth, byte);
                visit(byte, at, end);
                at = end;
            }
            None => at += 1,
        }
    }
}
