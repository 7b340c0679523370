//! Finds the leftmost, then longest, of a set of literals in a stream.
//!
//! An Aho-Corasick automaton as a dense table over byte classes: one table look-up per byte, no step back.
//! The stream can stop anywhere: the node is all the state there is.

use super::starts::Starts;

/// A literal and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) text: Vec<u8>,
    /// Index of an action, chosen by the caller.
    pub(crate) action: u16,
}

/// The automaton. Node 0 is the root: nothing of a literal has been seen.
#[derive(Debug)]
pub(crate) struct Scan {
    classes: [u8; 256],
    /// log2 of the width of a table row.
    shift: u32,
    table: Vec<u16>,
    nodes: Vec<Node>,
    starts: Starts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// Bytes of the longest literal prefix that ends here.
    depth: u16,
    /// The longest literal that ends here: its length and action; length 0 for none.
    len: u16,
    action: u16,
    /// Whether a literal goes on from here.
    extends: bool,
}

/// A literal that was found. Offsets are those of the caller's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) action: u16,
}

impl Scan {
    /// Of two entries with one text the first counts. Empty texts are ignored.
    pub(crate) fn new(entries: &[Entry]) -> Scan {
        let mut classes = [0u8; 256];
        let mut count = 1u8;
        for &byte in entries.iter().flat_map(|entry| &entry.text) {
            if classes[usize::from(byte)] == 0 && count < 255 {
                classes[usize::from(byte)] = count;
                count += 1;
            }
        }
        let shift = usize::from(count).next_power_of_two().trailing_zeros();
        let width = 1usize << shift;
        // The trie; 0 stands for "no child" while it is built.
        let mut table = vec![0u16; width];
        let mut nodes = vec![Node::default()];
        for entry in entries.iter().filter(|entry| !entry.text.is_empty()) {
            let mut at = 0usize;
            for &byte in &entry.text {
                nodes[at].extends = true;
                let slot = (at << shift) + usize::from(classes[usize::from(byte)]);
                if table[slot] == 0 {
                    table[slot] = nodes.len() as u16;
                    let depth = nodes[at].depth + 1;
                    nodes.push(Node { depth, ..Node::default() });
                    table.resize(nodes.len() << shift, 0);
                }
                at = usize::from(table[slot]);
            }
            if nodes[at].len == 0 {
                nodes[at].len = nodes[at].depth;
                nodes[at].action = entry.action;
            }
        }
        // Breadth first, so that a node's failure target is finished before the node.
        let mut fail = vec![0u16; nodes.len()];
        let mut queue: Vec<u16> = (0..width).map(|class| table[class]).filter(|&node| node != 0).collect();
        let mut next = 0;
        while next < queue.len() {
            let at = usize::from(queue[next]);
            next += 1;
            let back = usize::from(fail[at]);
            if nodes[at].len == 0 {
                nodes[at].len = nodes[back].len;
                nodes[at].action = nodes[back].action;
            }
            for class in 0..width {
                let child = table[(at << shift) + class];
                let other = table[(back << shift) + class];
                if child == 0 {
                    table[(at << shift) + class] = other;
                } else {
                    fail[usize::from(child)] = other;
                    queue.push(child);
                }
            }
        }
        Scan { classes, shift, table, nodes, starts: Starts::new(entries) }
    }

    /// The node after one more byte.
    #[inline(always)]
    pub(crate) fn step(&self, node: u16, byte: u8) -> u16 {
        self.table[(usize::from(node) << self.shift) + usize::from(self.classes[usize::from(byte)])]
    }

    /// Whether a literal begins with the byte.
    #[inline(always)]
    pub(crate) fn begins(&self, byte: u8) -> bool {
        self.starts.begins(byte)
    }

    /// Inside what may become a literal: the node as far as that goes on and no literal ends, and how many bytes
    /// that is.
    #[inline]
    pub(crate) fn follow(&self, node: u16, bytes: &[u8]) -> (u16, usize) {
        let mut depth = self.depth(node);
        let mut at = node;
        for (i, &byte) in bytes.iter().enumerate() {
            let next = self.step(at, byte);
            depth += 1;
            if self.depth(next) != depth || !self.is_dull(next) {
                return (at, i);
            }
            at = next;
        }
        (at, bytes.len())
    }

    /// Whether no literal ends at the node.
    #[inline(always)]
    pub(crate) fn is_dull(&self, node: u16) -> bool {
        self.nodes[usize::from(node)].len == 0
    }

    /// How many of the last bytes may begin a literal.
    #[inline(always)]
    pub(crate) fn depth(&self, node: u16) -> usize {
        usize::from(self.nodes[usize::from(node)].depth)
    }

    /// The node after `bytes` from the root.
    pub(crate) fn walk(&self, node: u16, bytes: &[u8]) -> u16 {
        bytes.iter().fold(node, |node, &byte| self.step(node, byte))
    }

    /// The literal that ends at `end`, if one does.
    #[inline(always)]
    pub(crate) fn ends(&self, node: u16, end: usize) -> Option<Found> {
        let node = &self.nodes[usize::from(node)];
        (node.len > 0).then(|| Found { start: end - usize::from(node.len), end, action: node.action })
    }

    /// Whether a longer literal may go on from here.
    #[inline(always)]
    pub(crate) fn extends(&self, node: u16) -> bool {
        self.nodes[usize::from(node)].extends
    }

    /// The offset of the first place at which a literal may stand.
    #[inline(always)]
    pub(crate) fn skip(&self, bytes: &[u8]) -> usize {
        self.starts.skip(bytes)
    }

    /// The same, apart from a caller that has much in hand.
    #[inline(never)]
    fn skip_on(&self, bytes: &[u8]) -> usize {
        self.starts.skip(bytes)
    }
}

/// In fewer bytes than this the automaton walks on where a literal came to nothing.
const SHORT: usize = 9;

/// A search through a stream that comes in chunks. Offsets count from where the search began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) node: u16,
    pub(crate) found: Option<Found>,
}

/// What a search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A literal, for certain.
    Found(Found),
    /// The chunk is used up; bytes from this offset on may belong to a literal.
    More(usize),
}

impl Search {
    /// Takes `chunk`, whose first byte has the offset `from`.
    #[inline]
    pub(crate) fn run(&mut self, scan: &Scan, chunk: &[u8], from: usize) -> Step {
        self.run_from(scan, chunk, from, None)
    }

    /// As [`Search::run`]. `first`: what [`Scan::skip`] says of the chunk, where that is known and no literal goes on
    /// in it.
    #[inline]
    pub(crate) fn run_from(&mut self, scan: &Scan, chunk: &[u8], from: usize, first: Option<usize>) -> Step {
        if first.is_none() && (self.node != 0 || self.found.is_some()) {
            return self.walk(scan, chunk, from, 0);
        }
        let at = first.unwrap_or_else(|| scan.skip(chunk));
        if at == chunk.len() {
            return Step::More(from + at);
        }
        self.walk(scan, chunk, from, at)
    }

    /// The same behind the first `at` bytes, where a literal begins or goes on.
    fn walk(&mut self, scan: &Scan, chunk: &[u8], from: usize, mut at: usize) -> Step {
        let mut node = self.node;
        let looks_ahead = chunk.len() >= SHORT;
        while at < chunk.len() {
            if self.found.is_none() {
                // Inside what may become a literal, byte for byte, until it comes to nothing.
                let mut depth = scan.depth(node);
                let mut alive = depth;
                for &byte in &chunk[at..] {
                    depth = alive;
                    at += 1;
                    node = scan.step(node, byte);
                    let here = scan.nodes[usize::from(node)];
                    alive = usize::from(here.depth);
                    if here.len != 0 || node == 0 || looks_ahead && alive <= depth {
                        break;
                    }
                }
                if looks_ahead && alive <= depth.min(at) && chunk.len() - (at - alive) >= SHORT {
                    // What may be a literal now is judged by all of it that is in hand.
                    (at, node) = (at - alive, 0);
                }
                if node == 0 {
                    at += scan.skip_on(&chunk[at..]);
                    continue;
                }
                if scan.is_dull(node) {
                    continue;
                }
            } else {
                node = scan.step(node, chunk[at]);
                at += 1;
            }
            let end = from + at;
            let partial = end - scan.depth(node);
            if let Some(new) = scan.ends(node, end) {
                let better = self.found.is_none_or(|old| new.start <= old.start);
                if better {
                    self.found = Some(new);
                }
            }
            if let Some(found) = self.found {
                let may_grow = partial < found.start || (partial == found.start && scan.extends(node));
                if !may_grow {
                    *self = Search::default();
                    return Step::Found(found);
                }
            }
        }
        self.node = node;
        let end = from + chunk.len();
        let partial = end - scan.depth(node);
        Step::More(self.found.map_or(partial, |found| found.start.min(partial)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(texts: &[&str]) -> Scan {
        let entries = texts.iter().zip(0..).map(|(text, action)| Entry { text: (*text).into(), action });
        Scan::new(&entries.collect::<Vec<_>>())
    }

    fn first(scan: &Scan, text: &str, chunk: usize) -> Option<(usize, usize, u16)> {
        let mut search = Search::default();
        for (i, piece) in text.as_bytes().chunks(chunk).enumerate() {
            if let Step::Found(found) = search.run(scan, piece, i * chunk) {
                return Some((found.start, found.end, found.action));
            }
        }
        search.found.map(|found| (found.start, found.end, found.action))
    }

    #[test]
    fn leftmost_then_longest_in_any_cut() {
        let set = scan(&["</think>", "</think>\n\n", "abcd", "bc"]);
        for chunk in 1..12 {
            assert_eq!(first(&set, "x</think>\nyy", chunk), Some((1, 9, 0)));
            assert_eq!(first(&set, "x</think>\n\nyy", chunk), Some((1, 11, 1)));
            assert_eq!(first(&set, "xxabcx", chunk), Some((3, 5, 3)));
            assert_eq!(first(&set, "xxabcd", chunk), Some((2, 6, 2)));
            assert_eq!(first(&set, "<</thin</think>", chunk), Some((7, 15, 0)));
            assert_eq!(first(&set, "plain text", chunk), None);
        }
    }

    #[test]
    fn says_what_must_be_held_back() {
        let set = scan(&["</think>"]);
        let mut search = Search::default();
        assert_eq!(search.run(&set, b"abc</th", 0), Step::More(3));
        assert_eq!(search.run(&set, b"x", 7), Step::More(8));
    }
}
