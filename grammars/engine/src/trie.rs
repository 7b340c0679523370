//! A flat byte trie over tokens: nodes in depth-first order, each with the end of its subtree. Skipping a subtree
//! is one assignment and a walk touches memory in order. Also used for the tails of tokens (see `pack`).

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
    max_depth: usize,
}

impl TokenTrie {
    /// Builds from (bytes, token) pairs. Sorts them. Pairs with empty bytes land on the root.
    pub(crate) fn build(mut pairs: Vec<(&[u8], u32)>) -> TokenTrie {
        pairs.sort_unstable();
        let mut nodes: Vec<TrieNode> = Vec::with_capacity(pairs.len() * 2 + 2);
        let mut tokens = Vec::with_capacity(pairs.len());
        let mut path: Vec<u32> = vec![0];
        nodes.push(TrieNode { end: 0, first_token: 0, byte: 0 });
        let mut max_depth = 0;
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
            max_depth = max_depth.max(bytes.len());
            tokens.push(token);
            previous = bytes;
        }
        while let Some(node) = path.pop() {
            nodes[node as usize].end = nodes.len() as u32;
        }
        let end = nodes.len() as u32;
        nodes.push(TrieNode { end: end + 1, first_token: tokens.len() as u32, byte: 0 });
        TokenTrie { nodes, tokens, max_depth }
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

    /// Length of the longest key.
    pub(crate) fn max_depth(&self) -> usize {
        self.max_depth
    }

    /// Finds the child of `parent` under `byte`.
    #[inline]
    pub(crate) fn child(&self, parent: u32, byte: u8) -> Option<u32> {
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
        assert_eq!(trie.max_depth(), 3);
        assert_eq!(trie.node(0).end, 6);
    }
}
