//! A flat byte trie over tokens: nodes in depth-first order, each with the end of its subtree. Skipping a subtree
//! is one assignment and a walk touches memory in order. Also used for the tails of tokens (see `pack`).

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
    index: OnceLock<Index>,
}

/// Nodes by the byte that leads to them, and the parent of each node.
#[derive(Debug, Clone)]
struct Index {
    starts: Vec<u32>,
    nodes: Vec<u32>,
    parents: Vec<u32>,
}

impl TokenTrie {
    /// Builds from (bytes, token) pairs. Sorts them. Pairs with empty bytes land on the root.
    pub(crate) fn build(mut pairs: Vec<(&[u8], u32)>) -> TokenTrie {
        pairs.sort_unstable();
        let mut nodes: Vec<TrieNode> = Vec::with_capacity(pairs.len() * 2 + 2);
        let mut tokens = Vec::with_capacity(pairs.len());
        let mut path: Vec<u32> = vec![0];
        nodes.push(TrieNode { end: 0, first_token: 0, byte: 0 });
        let mut previous: &[u8] = &[];
        for (bytes, token) in pairs {
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
        TokenTrie { nodes, tokens, first, index: OnceLock::new() }
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

    /// All nodes that `byte` leads to, each with its parent.
    pub(crate) fn nodes_by_byte(&self, byte: u8) -> impl Iterator<Item = (u32, u32)> {
        let index = self.index.get_or_init(|| {
            let count = self.nodes.len() - 1;
            let mut parents = vec![0; count];
            let mut path: Vec<u32> = Vec::new();
            let mut sizes = [0u32; 257];
            for node in 1..count as u32 {
                while path.last().is_some_and(|&p| self.node(p).end <= node) {
                    path.pop();
                }
                parents[node as usize] = path.last().copied().unwrap_or(0);
                path.push(node);
                sizes[self.node(node).byte as usize + 1] += 1;
            }
            for byte in 0..256 {
                sizes[byte + 1] += sizes[byte];
            }
            let mut fill = sizes;
            let mut nodes = vec![0; count.saturating_sub(1)];
            for node in 1..count as u32 {
                let slot = &mut fill[self.node(node).byte as usize];
                nodes[*slot as usize] = node;
                *slot += 1;
            }
            Index { starts: sizes.to_vec(), nodes, parents }
        });
        let range = index.starts[byte as usize] as usize..index.starts[byte as usize + 1] as usize;
        index.nodes[range].iter().map(|&node| (node, index.parents[node as usize]))
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

    /// Number of nodes, root included.
    pub(crate) fn len(&self) -> u32 {
        self.nodes.len() as u32 - 1
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
