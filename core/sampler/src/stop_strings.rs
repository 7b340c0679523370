//! Finds stop strings in a byte stream, in one pass, whatever the cuts between tokens.
//!
//! An Aho-Corasick automaton (Aho and Corasick, 1975) with full transition rows: one table look-up
//! per byte. The depth of its state is the number of last bytes that may still become a stop
//! string, which is exactly what must be held back.

/// The automaton. Node 0 is the root.
#[derive(Debug, Clone)]
pub(crate) struct StopStrings {
    next: Vec<[u32; 256]>,
    depth: Vec<u32>,
    /// Index of the longest stop string that ends in this node, and its length.
    found: Vec<Option<(u32, u32)>>,
}

impl StopStrings {
    /// Builds the automaton. Strings must not be empty; of equal ones the first counts.
    pub(crate) fn new(strings: &[Vec<u8>]) -> Self {
        let mut this = Self { next: vec![[0; 256]], depth: vec![0], found: vec![None] };
        for (index, string) in strings.iter().enumerate() {
            let mut node = 0;
            for &byte in string {
                let child = this.next[node][usize::from(byte)];
                node = if child != 0 {
                    child as usize
                } else {
                    let child = this.next.len();
                    this.next[node][usize::from(byte)] = child as u32;
                    this.next.push([0; 256]);
                    this.depth.push(this.depth[node] + 1);
                    this.found.push(None);
                    child
                };
            }
            this.found[node].get_or_insert((index as u32, string.len() as u32));
        }
        this.link();
        this
    }

    /// Breadth first, so that the node a failure leads to is complete before it is copied from.
    fn link(&mut self) {
        let mut fail = vec![0u32; self.next.len()];
        let mut queue: Vec<u32> = self.next[0].iter().copied().filter(|&child| child != 0).collect();
        let mut at = 0;
        while at < queue.len() {
            let node = queue[at] as usize;
            at += 1;
            let back = fail[node] as usize;
            if self.found[node].is_none() {
                self.found[node] = self.found[back];
            }
            for byte in 0..256 {
                let (child, other) = (self.next[node][byte], self.next[back][byte]);
                if child == 0 {
                    self.next[node][byte] = other;
                } else {
                    fail[child as usize] = other;
                    queue.push(child);
                }
            }
        }
    }

    /// The state after one more byte.
    #[inline]
    pub(crate) fn step(&self, state: u32, byte: u8) -> u32 {
        self.next[state as usize][usize::from(byte)]
    }

    /// Number of last bytes that may be the start of a stop string.
    #[inline]
    pub(crate) fn held(&self, state: u32) -> usize {
        self.depth[state as usize] as usize
    }

    /// The longest stop string that ends here: its index and length.
    #[inline]
    pub(crate) fn found(&self, state: u32) -> Option<(usize, usize)> {
        self.found[state as usize].map(|(index, len)| (index as usize, len as usize))
    }
}
