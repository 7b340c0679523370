//! A flat byte trie over tokens: nodes in depth-first order, each with the end of its subtree. Skipping a subtree
//! is one assignment and a walk touches memory in order. Also used for the tails of tokens (see `pack`).

use crate::automaton::{is_lead, utf8};
use crate::machine::ByteSet;
use std::sync::OnceLock;

/// One node. Its tokens are `tokens[node.first_token .. next node's first_token]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrieNode {
    /// Index after the last node of this subtree.
    pub(crate) end: u32,
    /// Start of this node's tokens.
    pub(crate) first_token: u32,
    /// The byte that leads here from the parent (0 for the root).
    pub(crate) byte: u8,
}

/// Immutable trie; node 0 is the root, the last node is a sentinel that closes the token ranges.
#[derive(Debug, Clone)]
pub(crate) struct TokenTrie {
    nodes: Vec<TrieNode>,
    tokens: Vec<u32>,
    /// Child of the root by byte, 0 for none.
    first: Box<[u32; 256]>,
    depth: u32,
    index: OnceLock<Index>,
    holders: OnceLock<Holders>,
}

/// What is known beyond the nodes themselves.
#[derive(Debug, Clone)]
struct Index {
    /// Nodes by the byte that leads to them.
    starts: Vec<u32>,
    nodes: Vec<u32>,
    parents: Vec<u32>,
    /// Per node: the groups of the characters below it, see [`group`].
    below: Vec<u64>,
    /// Per token of the trie: the number of characters that begin in it.
    characters: Vec<u16>,
    /// Per node: the same for the path to it.
    begun: Vec<u16>,
    /// Per node: where its path stands in UTF-8; `BROKEN_PLACE` if it is none.
    places: Vec<u8>,
}

/// Which tokens hold which characters, by the characters' first bytes. Sets of tokens are words of 32 bits.
#[derive(Debug, Clone)]
pub(crate) struct Holders {
    /// All tokens of the trie that are UTF-8 as far as they go.
    sound: Vec<u32>,
    by_byte: Vec<Holding>,
}

#[derive(Debug, Clone)]
enum Holding {
    List(Vec<u32>),
    Words(Vec<u32>),
}

impl Holders {
    /// The tokens all of whose characters begin with one of these bytes.
    pub(crate) fn only(&self, bytes: ByteSet, out: &mut Vec<u32>) {
        out.clear();
        out.extend_from_slice(&self.sound);
        for (byte, holding) in (0..=255u8).zip(&self.by_byte) {
            match holding {
                _ if bytes.contains(byte) => {}
                Holding::List(list) => {
                    list.iter().for_each(|&token| out[token as usize / 32] &= !(1 << (token % 32)));
                }
                Holding::Words(words) => out.iter_mut().zip(words).for_each(|(to, held)| *to &= !held),
            }
        }
    }
}

const BROKEN_PLACE: u8 = u8::MAX;

/// Number of groups of ASCII characters.
pub(crate) const ASCII_GROUPS: u32 = 62;
/// Bytes that are not UTF-8.
const BROKEN: u64 = 1 << 62;
/// Characters beyond ASCII.
pub(crate) const OTHER: u64 = 1 << 63;

/// The group of an ASCII byte: small letters and punctuation characters are their own; capitals, digits and control
/// characters are one group each.
pub(crate) fn group(byte: u8) -> u32 {
    match byte {
        b'!'..=b'/' => u32::from(byte - b'!'),
        b':'..=b'@' => u32::from(byte - b':') + 15,
        b'['..=b'`' => u32::from(byte - b'[') + 22,
        b'{'..=b'~' => u32::from(byte - b'{') + 28,
        b'a'..=b'z' => u32::from(byte - b'a') + 32,
        b'0'..=b'9' => 58,
        b'A'..=b'Z' => 59,
        b' ' => 60,
        _ => 61,
    }
}

impl TokenTrie {
    /// Builds from (bytes, token) pairs. Sorts them. Pairs with empty bytes land on the root.
    pub(crate) fn build(mut pairs: Vec<(&[u8], u32)>) -> TokenTrie {
        pairs.sort_unstable();
        TokenTrie::of_sorted(&pairs)
    }

    /// Builds from pairs that are in order, without repeats; `None` if they are not.
    pub(crate) fn from_sorted(pairs: &[(&[u8], u32)]) -> Option<TokenTrie> {
        pairs.is_sorted_by(|a, b| a < b).then(|| TokenTrie::of_sorted(pairs))
    }

    fn of_sorted(pairs: &[(&[u8], u32)]) -> TokenTrie {
        let mut nodes: Vec<TrieNode> = Vec::with_capacity(pairs.len() * 5 / 2 + 2);
        let mut tokens = Vec::with_capacity(pairs.len());
        let mut path: Vec<u32> = vec![0];
        nodes.push(TrieNode { end: 0, first_token: 0, byte: 0 });
        let mut previous: &[u8] = &[];
        for &(bytes, token) in pairs {
            let shared = previous.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            while path.len() > shared + 1 {
                if let Some(node) = path.pop() {
                    nodes[node as usize].end = nodes.len() as u32;
                }
            }
            for &byte in &bytes[shared..] {
                path.push(nodes.len() as u32);
                nodes.push(TrieNode { end: 0, first_token: tokens.len() as u32, byte });
            }
            tokens.push(token);
            previous = bytes;
        }
        while let Some(node) = path.pop() {
            nodes[node as usize].end = nodes.len() as u32;
        }
        let end = nodes.len() as u32;
        nodes.push(TrieNode { end: end + 1, first_token: tokens.len() as u32, byte: 0 });
        TokenTrie::finish(nodes, tokens)
    }

    fn finish(nodes: Vec<TrieNode>, tokens: Vec<u32>) -> TokenTrie {
        let mut first = Box::new([0; 256]);
        let mut child = 1;
        while child < nodes[0].end {
            let node = nodes[child as usize];
            first[node.byte as usize] = child;
            child = node.end;
        }
        let (mut depth, mut ends) = (0, Vec::new());
        for (at, node) in nodes[1..nodes.len() - 1].iter().enumerate() {
            while ends.last().is_some_and(|&end| end <= at as u32 + 1) {
                ends.pop();
            }
            ends.push(node.end);
            depth = depth.max(ends.len() as u32);
        }
        TokenTrie { nodes, tokens, first, depth, index: OnceLock::new(), holders: OnceLock::new() }
    }

    /// The trie of everything that hangs below and at these nodes, which share their byte: its root has one child.
    pub(crate) fn merge(&self, nodes: &[u32]) -> TokenTrie {
        let mut out = vec![TrieNode { end: 0, first_token: 0, byte: 0 }];
        let mut tokens = Vec::new();
        if !nodes.is_empty() {
            self.merge_into(nodes, &mut out, &mut tokens);
        }
        let end = out.len() as u32;
        out[0].end = end;
        out.push(TrieNode { end: end + 1, first_token: tokens.len() as u32, byte: 0 });
        TokenTrie::finish(out, tokens)
    }

    fn merge_into(&self, sources: &[u32], out: &mut Vec<TrieNode>, tokens: &mut Vec<u32>) {
        let at = out.len();
        out.push(TrieNode { end: 0, first_token: tokens.len() as u32, byte: self.node(sources[0]).byte });
        let mut children = Vec::new();
        for &source in sources {
            tokens.extend_from_slice(self.tokens(source));
            let end = self.node(source).end;
            let mut child = source + 1;
            while child < end {
                let node = self.node(child);
                children.push((node.byte, child));
                child = node.end;
            }
        }
        children.sort_unstable();
        for group in children.chunk_by(|a, b| a.0 == b.0) {
            let group: Vec<u32> = group.iter().map(|&(_, node)| node).collect();
            self.merge_into(&group, out, tokens);
        }
        out[at].end = out.len() as u32;
    }

    /// How many nodes `byte` leads to.
    pub(crate) fn count_by_byte(&self, byte: u8) -> u32 {
        let starts = &self.index().starts;
        starts[byte as usize + 1] - starts[byte as usize]
    }

    /// All nodes that `byte` leads to, each with its parent.
    pub(crate) fn nodes_by_byte(&self, byte: u8) -> impl Iterator<Item = (u32, u32)> {
        let index = self.index();
        let range = index.starts[byte as usize] as usize..index.starts[byte as usize + 1] as usize;
        index.nodes[range].iter().map(|&node| (node, index.parents[node as usize]))
    }

    /// The node above.
    pub(crate) fn parent(&self, node: u32) -> u32 {
        self.index().parents[node as usize]
    }

    /// True if a node lies between characters.
    pub(crate) fn between_characters(&self, node: u32) -> bool {
        self.index().places[node as usize] == utf8::BOUNDARY as u8
    }

    /// Which tokens hold which characters.
    pub(crate) fn holders(&self) -> &Holders {
        self.holders.get_or_init(|| self.make_holders())
    }

    fn make_holders(&self) -> Holders {
        let words = self.tokens.iter().max().map_or(0, |&last| last as usize / 32 + 1);
        let index = self.index();
        let mut sound = vec![0u32; words];
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); 256];
        // The first bytes of the characters on the way to each node of the current path.
        let mut path: Vec<(u32, ByteSet)> = vec![(self.nodes[0].end, ByteSet::default())];
        for node in 1..self.nodes.len() as u32 - 1 {
            while path.len() > 1 && path[path.len() - 1].0 <= node {
                path.pop();
            }
            let mut bytes = path[path.len() - 1].1;
            let byte = self.node(node).byte;
            if is_lead(byte) {
                bytes.insert(byte);
            }
            path.push((self.node(node).end, bytes));
            if index.places[node as usize] != BROKEN_PLACE {
                for &token in self.tokens(node) {
                    sound[token as usize / 32] |= 1 << (token % 32);
                    bytes.iter().for_each(|byte| lists[byte as usize].push(token));
                }
            }
        }
        let holding = |list: Vec<u32>| {
            if list.len() * 4 < words {
                return Holding::List(list);
            }
            let mut set = vec![0u32; words];
            list.iter().for_each(|&token| set[token as usize / 32] |= 1 << (token % 32));
            Holding::Words(set)
        };
        Holders { sound, by_byte: lists.into_iter().map(holding).collect() }
    }

    /// The groups of the characters below a node, if the node lies between characters.
    pub(crate) fn below(&self, node: u32) -> u64 {
        self.index().below[node as usize]
    }

    /// The number of characters that begin on the way to a node.
    pub(crate) fn begun(&self, node: u32) -> u16 {
        self.index().begun[node as usize]
    }

    /// The tokens at and below a node, each with the number of characters that begin in it.
    pub(crate) fn subtree(&self, node: u32) -> impl Iterator<Item = (u32, u16)> {
        let tokens = self.tokens_below(node);
        let from = self.nodes[node as usize].first_token as usize;
        let characters = &self.index().characters[from..from + tokens.len()];
        tokens.iter().copied().zip(characters.iter().copied())
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| self.make_index())
    }

    fn make_index(&self) -> Index {
        let count = self.nodes.len() - 1;
        let mut parents = vec![0; count];
        let mut path: Vec<u32> = Vec::new();
        let mut starts = vec![0u32; 257];
        // Where each node stands in UTF-8, `None` behind broken bytes; and how many characters have begun.
        let mut places = vec![Some(utf8::BOUNDARY); count];
        let mut begun = vec![0u16; count];
        let mut characters = vec![0; self.tokens.len()];
        for node in 1..count as u32 {
            while path.last().is_some_and(|&p| self.node(p).end <= node) {
                path.pop();
            }
            let parent = path.last().copied().unwrap_or(0) as usize;
            let (at, byte) = (node as usize, self.node(node).byte);
            parents[at] = parent as u32;
            path.push(node);
            starts[byte as usize + 1] += 1;
            places[at] = places[parent].and_then(|place| utf8::step(place, byte));
            begun[at] = begun[parent].saturating_add(u16::from(is_lead(byte)));
            let first = self.node(node).first_token as usize;
            characters[first..first + self.tokens(node).len()].fill(begun[at]);
        }
        let mut below = vec![0u64; count];
        for node in (1..count).rev() {
            let byte = self.nodes[node].byte;
            let own = match places[node] {
                None => BROKEN,
                Some(_) if byte < 0x80 => 1 << group(byte),
                Some(_) => OTHER,
            };
            let all = below[node] | own;
            below[parents[node] as usize] |= all;
        }
        for byte in 0..256 {
            starts[byte + 1] += starts[byte];
        }
        let mut fill = starts.clone();
        let mut nodes = vec![0; count.saturating_sub(1)];
        for node in 1..count as u32 {
            let slot = &mut fill[self.node(node).byte as usize];
            nodes[*slot as usize] = node;
            *slot += 1;
        }
        let places = places.into_iter().map(|p| p.map_or(BROKEN_PLACE, |p| p as u8)).collect();
        Index { starts, nodes, parents, below, characters, begun, places }
    }

    /// The node at `index`.
    #[inline]
    pub(crate) fn node(&self, index: u32) -> TrieNode {
        self.nodes[index as usize]
    }

    /// Tokens that end at node `index`.
    #[inline]
    pub(crate) fn tokens(&self, index: u32) -> &[u32] {
        let from = self.nodes[index as usize].first_token as usize;
        let to = self.nodes[index as usize + 1].first_token as usize;
        &self.tokens[from..to]
    }

    /// Tokens that end at node `index` or below it.
    #[inline]
    pub(crate) fn tokens_below(&self, index: u32) -> &[u32] {
        let from = self.nodes[index as usize].first_token as usize;
        let to = self.nodes[self.nodes[index as usize].end as usize].first_token as usize;
        &self.tokens[from..to]
    }

    /// All tokens, in the order of their bytes, then of their ids.
    pub(crate) fn all_tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Length of the longest path.
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// Number of nodes, root included.
    pub(crate) fn len(&self) -> u32 {
        self.nodes.len() as u32 - 1
    }

    /// True if some token begins with this text and is longer.
    pub(crate) fn goes_beyond(&self, text: &[u8]) -> bool {
        let node = text.iter().try_fold(0, |node, &byte| self.child(node, byte));
        node.is_some_and(|node| self.node(node).end > node + 1)
    }

    /// Finds the child of `parent` under `byte`.
    #[inline]
    pub(crate) fn child(&self, parent: u32, byte: u8) -> Option<u32> {
        if parent == 0 {
            let child = self.first[byte as usize];
            return (child != 0).then_some(child);
        }
        let end = self.node(parent).end;
        let mut at = parent + 1;
        while at < end {
            let node = self.node(at);
            if node.byte >= byte {
                return (node.byte == byte).then_some(at);
            }
            at = node.end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_in_order_and_tokens_sit_where_they_end() {
        let trie = TokenTrie::build(vec![(b"ab", 1), (b"a", 0), (b"b", 2), (b"ab", 7), (b"acd", 3)]);
        let a = trie.child(0, b'a').expect("a");
        assert_eq!(trie.tokens(a), &[0]);
        let ab = trie.child(a, b'b').expect("ab");
        assert_eq!(trie.tokens(ab), &[1, 7]);
        let ac = trie.child(a, b'c').expect("ac");
        assert!(trie.tokens(ac).is_empty());
        assert_eq!(trie.tokens(trie.child(ac, b'd').expect("acd")), &[3]);
        assert_eq!(trie.tokens(trie.child(0, b'b').expect("b")), &[2]);
        assert_eq!(trie.child(0, b'c'), None);
        assert_eq!(trie.len(), 6);
        let by_b: Vec<_> = trie.nodes_by_byte(b'b').collect();
        assert_eq!(by_b, [(ab, a), (trie.child(0, b'b').expect("b"), 0)]);
        let merged = trie.merge(&[ab, trie.child(0, b'b').expect("b")]);
        assert_eq!(merged.tokens(merged.child(0, b'b').expect("b")), &[1, 7, 2]);
        assert_eq!(merged.len(), 2);
        assert_eq!(trie.node(0).end, 6);
    }
}
