//! How often which token occurred, for the penalties. Costs nothing while penalties are off.
//!
//! One step is O(1); listing penalties is linear in the number of distinct tokens in the window.

use crate::{Penalty, SamplingParams};

/// No row of logits is wider than this, so higher ids have no logit to be penalised.
const WIDEST: usize = 1 << 24;

/// Occurrences of one id inside the window.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: u32,
    prompt: u32,
    output: u32,
}

/// Tokens of the prompt and the output, and their counts within the window.
#[derive(Debug, Clone)]
pub(crate) struct History {
    tokens: Vec<u32>,
    prompt: usize,
    window: usize,
    /// id -> index into `entries`, plus one; 0 is none.
    slots: Vec<u32>,
    entries: Vec<Entry>,
}

impl History {
    pub(crate) fn new(prompt: &[u32], window: Option<usize>) -> Self {
        let mut history = Self {
            tokens: Vec::with_capacity(prompt.len() + 256),
            prompt: prompt.len(),
            window: window.unwrap_or(usize::MAX),
            slots: Vec::new(),
            entries: Vec::new(),
        };
        for &id in prompt {
            history.push(id);
        }
        history
    }

    pub(crate) fn push(&mut self, id: u32) {
        let at = self.tokens.len();
        self.tokens.push(id);
        if self.window == 0 {
            return;
        }
        self.count(at, 1);
        if let Some(left) = at.checked_sub(self.window) {
            self.count(left, -1);
        }
    }

    /// Forgets the last `n` output tokens.
    pub(crate) fn rollback(&mut self, n: usize) {
        for _ in 0..n.min(self.tokens.len() - self.prompt) {
            let at = self.tokens.len() - 1;
            if self.window != 0 {
                if let Some(left) = at.checked_sub(self.window) {
                    self.count(left, 1);
                }
                self.count(at, -1);
            }
            self.tokens.pop();
        }
    }

    /// Lists what the penalties do to which id; `out` is overwritten.
    pub(crate) fn penalties(&self, params: &SamplingParams, out: &mut Vec<Penalty>) {
        out.clear();
        for entry in &self.entries {
            let seen = entry.output > 0;
            let divide = if seen || entry.prompt > 0 { params.repetition_penalty } else { 1.0 };
            let subtract = if seen {
                params.presence_penalty + params.frequency_penalty * entry.output as f32
            } else {
                0.0
            };
            if divide != 1.0 || subtract != 0.0 {
                out.push(Penalty { id: entry.id, divide, subtract });
            }
        }
    }

    fn count(&mut self, at: usize, by: i32) {
        let id = self.tokens[at];
        let slot = id as usize;
        if slot >= WIDEST {
            return;
        }
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, 0);
        }
        if self.slots[slot] == 0 {
            self.entries.push(Entry { id, prompt: 0, output: 0 });
            self.slots[slot] = self.entries.len() as u32;
        }
        let entry = &mut self.entries[self.slots[slot] as usize - 1];
        let field = if at < self.prompt { &mut entry.prompt } else { &mut entry.output };
        *field = field.saturating_add_signed(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(history: &History, params: &SamplingParams) -> Vec<(u32, f32, f32)> {
        let mut out = Vec::new();
        history.penalties(params, &mut out);
        let mut out: Vec<_> = out.iter().map(|p| (p.id, p.divide, p.subtract)).collect();
        out.sort_by_key(|p| p.0);
        out
    }

    #[test]
    fn repetition_sees_the_prompt_and_the_others_only_the_output() {
        let params = SamplingParams {
            repetition_penalty: 2.0,
            presence_penalty: 0.5,
            frequency_penalty: 0.25,
            ..SamplingParams::default()
        };
        let mut history = History::new(&[1, 2], None);
        assert_eq!(listed(&history, &params), [(1, 2.0, 0.0), (2, 2.0, 0.0)]);
        for id in [2, 3, 3] {
            history.push(id);
        }
        assert_eq!(listed(&history, &params), [(1, 2.0, 0.0), (2, 2.0, 0.75), (3, 2.0, 1.0)]);
        history.rollback(2);
        assert_eq!(listed(&history, &params), [(1, 2.0, 0.0), (2, 2.0, 0.75)]);
        history.rollback(99);
        assert_eq!(listed(&history, &params), [(1, 2.0, 0.0), (2, 2.0, 0.0)], "the prompt stays");
    }

    #[test]
    fn absurd_ids_cost_nothing() {
        let params = SamplingParams { repetition_penalty: 2.0, ..SamplingParams::default() };
        let mut history = History::new(&[u32::MAX, 3], Some(1));
        history.push(u32::MAX);
        history.rollback(1);
        assert_eq!(listed(&history, &params), [(3, 2.0, 0.0)]);
    }

    #[test]
    fn a_window_slides_and_rolls_back() {
        let params = SamplingParams { repetition_penalty: 2.0, ..SamplingParams::default() };
        let mut history = History::new(&[1, 2, 3], Some(2));
        assert_eq!(listed(&history, &params), [(2, 2.0, 0.0), (3, 2.0, 0.0)]);
        history.push(4);
        assert_eq!(listed(&history, &params), [(3, 2.0, 0.0), (4, 2.0, 0.0)]);
        history.rollback(1);
        assert_eq!(listed(&history, &params), [(2, 2.0, 0.0), (3, 2.0, 0.0)]);
        let mut none = History::new(&[1], Some(0));
        none.push(1);
        none.rollback(1);
        assert!(listed(&none, &params).is_empty());
    }
}
