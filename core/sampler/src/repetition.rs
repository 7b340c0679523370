//! Detects that a model repeats itself token for token.
//!
//! The three fields and their meaning are those of vLLM's `repetition_detection`: generation ends
//! when the output's last tokens are one pattern, `min_count` times in a row.

/// When to call the output a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepetitionDetection {
    /// Longest pattern looked for, in tokens. 1 to 1,024.
    pub max_pattern_size: usize,
    /// Shortest pattern looked for, in tokens. At least 1.
    pub min_pattern_size: usize,
    /// How often the pattern must occur in a row. At least 2.
    pub min_count: usize,
}

/// The loop that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repetition {
    /// Length of the pattern, in tokens: the shortest that qualifies.
    pub pattern_size: usize,
    /// How often it occurred in a row.
    pub count: usize,
}

/// Watches the output. A step costs one comparison per pattern size and allocates nothing.
#[derive(Debug, Clone)]
pub(crate) struct RepetitionWatch {
    rule: RepetitionDetection,
    /// The last `max_pattern_size` tokens, as a ring; `len` tokens were seen in all.
    ring: Vec<u32>,
    len: usize,
    /// Per pattern size p: how many last tokens equal the one p before them.
    runs: Vec<usize>,
}

impl RepetitionWatch {
    pub(crate) fn new(rule: RepetitionDetection) -> Self {
        Self { rule, ring: vec![0; rule.max_pattern_size], len: 0, runs: vec![0; rule.max_pattern_size + 1] }
    }

    /// Takes one token; tells of a loop that ends with it.
    pub(crate) fn push(&mut self, id: u32) -> Option<Repetition> {
        let size = self.ring.len();
        let mut found = None;
        for p in self.rule.min_pattern_size..=self.rule.max_pattern_size {
            let same = self.len >= p && self.ring[(self.len - p) % size] == id;
            self.runs[p] = if same { self.runs[p] + 1 } else { 0 };
            // A run of r equal pairs at distance p means that the last r + p tokens have period p.
            if found.is_none() && self.runs[p] >= p.saturating_mul(self.rule.min_count - 1) {
                found = Some(Repetition { pattern_size: p, count: self.runs[p] / p + 1 });
            }
        }
        self.ring[self.len % size] = id;
        self.len += 1;
        found
    }
}
