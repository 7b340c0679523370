//! A running state: one output, read token by token.

use crate::GrammarError;
use crate::budget::{shortest, shortest_stack};
use crate::compiled::CompiledGrammar;
use crate::machine::{ByteSet, Head, Leaf, Machine};
use crate::mask::{MaskScratch, add_head, add_head_within};
use crate::token_set::{Union, has, set};
use crate::vocab::TokenKind;
use std::sync::Arc;

/// Where one output stands in its grammar. Cheap to clone; going back is free.
///
/// Every operation either succeeds or leaves the matcher as it was.
#[derive(Clone)]
pub struct Matcher {
    compiled: Arc<CompiledGrammar>,
    machine: Machine,
    /// The heads of every state so far, one state after the other.
    heads: Vec<Head>,
    /// Where each state begins.
    marks: Vec<Mark>,
    scratch: MaskScratch,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    heads: u32,
    /// Number of stack cells when the state was complete.
    cells: u32,
    terminated: bool,
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher")
            .field("accepted", &self.accepted())
            .field("terminated", &self.is_terminated())
            .finish_non_exhaustive()
    }
}

impl Matcher {
    pub(crate) fn new(compiled: Arc<CompiledGrammar>) -> Result<Matcher, GrammarError> {
        let mut machine = Machine::new();
        let mut heads = Vec::new();
        machine.start(compiled.context(), &mut heads)?;
        let marks = vec![Mark { heads: 0, cells: machine.cells.len() as u32, terminated: false }];
        Ok(Matcher { compiled, machine, heads, marks, scratch: MaskScratch::default() })
    }

    /// The grammar and vocabulary this matcher runs on.
    pub fn compiled(&self) -> &Arc<CompiledGrammar> {
        &self.compiled
    }

    fn mark(&self) -> Mark {
        // There is always the start state.
        self.marks[self.marks.len() - 1]
    }

    fn current(&self) -> &[Head] {
        &self.heads[self.mark().heads as usize..]
    }

    /// Number of accepted steps (tokens and `accept_bytes` calls) that `rollback` can undo.
    pub fn accepted(&self) -> usize {
        self.marks.len() - 1
    }

    /// True if the output may end here: the end-of-sequence ids are allowed.
    pub fn is_accepting(&self) -> bool {
        !self.is_terminated() && self.current().iter().any(|h| h.leaf == Leaf::End)
    }

    /// True once an end-of-sequence id was accepted: nothing may follow.
    pub fn is_terminated(&self) -> bool {
        self.mark().terminated
    }

    /// True if nothing but the end of the output can follow.
    pub fn is_complete(&self) -> bool {
        self.is_terminated() || self.current().iter().all(|h| h.leaf == Leaf::End)
    }

    /// Writes the set of tokens allowed next, one bit per id, least significant bit first. `mask` must have
    /// [`Vocabulary::mask_words`](crate::Vocabulary::mask_words) words.
    pub fn mask(&mut self, mask: &mut [u32]) -> Result<(), GrammarError> {
        let vocabulary = &self.compiled.vocabulary;
        let need = vocabulary.mask_words();
        if mask.len() != need {
            return Err(GrammarError::MaskLength { got: mask.len(), need });
        }
        let mark = self.mark();
        let mut union = Union::new(mask, std::mem::take(&mut self.scratch.added));
        for index in mark.heads as usize..self.heads.len() {
            let head = self.heads[index];
            if !head.leaf.is_whole() {
                add_head(&self.compiled, &mut self.machine, &mut self.scratch, head, &mut union)?;
            }
        }
        let mask;
        (mask, self.scratch.added) = union.finish();
        if !mark.terminated {
            for head in self.current() {
                match head.leaf {
                    Leaf::End => vocabulary.eos().iter().for_each(|&id| set(mask, id)),
                    Leaf::Special { token } => set(mask, token),
                    Leaf::Token { node } => add_class(&self.compiled, node, mask),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// How many tokens complete the output from here, at most: a proven upper bound on the shortest completion, the
    /// end-of-sequence token not counted. 0 if the output may end here.
    pub fn shortest_completion(&self) -> u64 {
        if self.is_terminated() {
            return 0;
        }
        shortest(self.compiled.context(), self.compiled.costs(), &self.machine, self.current())
    }

    /// As [`Matcher::mask`], for an output with `left` tokens to go: allows only tokens after which the rest of the
    /// budget suffices to complete the output. Followed at every step, the output is complete before the budget is
    /// spent. Refused if the budget does not suffice even now, or if the vocabulary cannot write every byte.
    pub fn mask_within(&mut self, mask: &mut [u32], left: u64) -> Result<(), GrammarError> {
        let compiled = Arc::clone(&self.compiled);
        if !compiled.vocabulary.writes_every_byte() {
            return Err(GrammarError::unsupported("", "budget", "the vocabulary has no token for some byte"));
        }
        let need = self.shortest_completion();
        if need > left {
            return Err(GrammarError::Budget { need, left });
        }
        let longest = compiled.vocabulary.trie().depth() as u64;
        let growth = compiled.costs().growth(longest);
        if need.saturating_add(growth) < left {
            return self.mask(mask);
        }
        let words = compiled.vocabulary.mask_words();
        if mask.len() != words {
            return Err(GrammarError::MaskLength { got: mask.len(), need: words });
        }
        let mark = self.mark();
        let mut union = Union::new(mask, std::mem::take(&mut self.scratch.added));
        let end = if mark.terminated { mark.heads as usize } else { self.heads.len() };
        for index in mark.heads as usize..end {
            let head = self.heads[index];
            match head.leaf {
                Leaf::End => compiled.vocabulary.eos().iter().for_each(|&id| set(union.words(), id)),
                Leaf::Special { token } => {
                    if shortest_stack(compiled.context(), compiled.costs(), &self.machine, head.stack) < left
                    {
                        set(union.words(), token);
                    }
                }
                Leaf::Token { node } => {
                    if shortest_stack(compiled.context(), compiled.costs(), &self.machine, head.stack) < left
                    {
                        add_class(&compiled, node, union.words());
                    }
                }
                // Nothing but the end fits into an empty budget.
                _ if left == 0 => {}
                _ => {
                    let (machine, scratch) = (&mut self.machine, &mut self.scratch);
                    add_head_within(&compiled, machine, scratch, head, &mut union, left - 1)?;
                }
            }
        }
        self.scratch.added = union.finish().1;
        Ok(())
    }

    /// Fills one mask per matcher into `masks`, row after row. Many rows are shared out among the processor's cores.
    pub fn mask_batch(matchers: &mut [Matcher], masks: &mut [u32]) -> Result<(), GrammarError> {
        /// So many rows are worth a thread: starting one takes about as long as five masks.
        const ROWS: usize = 32;
        let need: usize = matchers.iter().map(|m| m.compiled.vocabulary.mask_words()).sum();
        if masks.len() != need {
            return Err(GrammarError::MaskLength { got: masks.len(), need });
        }
        let threads = match matchers.len() / ROWS {
            0 | 1 => 1,
            most => std::thread::available_parallelism().map_or(1, usize::from).min(most),
        };
        let share = matchers.len().div_ceil(threads).max(1);
        let mut parts = Vec::with_capacity(threads);
        let mut rest = masks;
        for matchers in matchers.chunks_mut(share) {
            let words = matchers.iter().map(|m| m.compiled.vocabulary.mask_words()).sum();
            let (rows, after) = rest.split_at_mut(words);
            parts.push((matchers, rows));
            rest = after;
        }
        if parts.len() < 2 {
            return parts.into_iter().try_for_each(|(matchers, rows)| mask_rows(matchers, rows));
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                parts.into_iter().map(|(matchers, rows)| scope.spawn(|| mask_rows(matchers, rows))).collect();
            let mut done = Ok(());
            for worker in workers {
                let one = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                done = done.and(one);
            }
            done
        })
    }

    /// The tokens that must come next because nothing else is allowed, special tokens included. They are forced by
    /// the masks, so whatever tokenizer the model was trained with, no other token could stand there.
    pub fn forced_tokens(&mut self) -> Result<Vec<u32>, GrammarError> {
        let before = self.accepted();
        let mut mask = vec![0; self.compiled.vocabulary.mask_words()];
        let mut out = Vec::new();
        let mut done = Ok(());
        while out.len() < MAX_FORCED && !self.is_accepting() && !self.is_terminated() {
            done = self.mask(&mut mask);
            if done.is_err() {
                break;
            }
            let mut allowed = mask.iter().enumerate().filter(|(_, word)| **word != 0);
            let (Some((index, word)), None) = (allowed.next(), allowed.next()) else { break };
            if word.count_ones() != 1 {
                break;
            }
            let token = index as u32 * 32 + word.trailing_zeros();
            done = self.accept(token);
            if done.is_err() {
                break;
            }
            out.push(token);
        }
        self.rollback(self.accepted() - before)?;
        done.map(|()| out)
    }

    /// The tokens of the bytes that must come next, as the model's own tokenizer would write them: `split` is that
    /// tokenizer. The last ones are left out as long as a longer token could stand there, so none of the tokens would
    /// have been another one had the model gone on by itself. Empty if nothing is certain.
    pub fn forced_canonical(
        &mut self,
        split: impl FnOnce(&[u8]) -> Vec<u32>,
    ) -> Result<Vec<u32>, GrammarError> {
        let bytes = self.forced_bytes()?;
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let vocabulary = &self.compiled.vocabulary;
        let mut tokens = split(&bytes);
        let mut at = 0;
        for index in 0..tokens.len() {
            let token = vocabulary.bytes(tokens[index]);
            let text = matches!(vocabulary.kind(tokens[index]), TokenKind::Text | TokenKind::Added);
            let rest = &bytes[at..];
            if !text || !rest.starts_with(token) || vocabulary.trie().goes_beyond(rest) {
                tokens.truncate(index);
                break;
            }
            at += token.len();
        }
        Ok(tokens)
    }

    /// Takes one token. An end-of-sequence id ends the output if it may end here and the grammar itself does not
    /// ask for that token.
    pub fn accept(&mut self, token: u32) -> Result<(), GrammarError> {
        if self.is_terminated() {
            return Err(GrammarError::Rejected { token });
        }
        let compiled = Arc::clone(&self.compiled);
        let vocabulary = &compiled.vocabulary;
        let kind = vocabulary.kind(token);
        let old = self.mark();
        let from = self.heads.len();
        let mut done = Ok(());
        if matches!(kind, TokenKind::Text | TokenKind::Added) {
            done = self.run(vocabulary.bytes(token)).map(|_| ());
        }
        if done.is_ok() && kind != TokenKind::Hole {
            for index in old.heads as usize..from {
                let head = self.heads[index];
                let takes = match head.leaf {
                    Leaf::Special { token: this } => this == token,
                    Leaf::Token { node } => in_class(&compiled, node, token),
                    _ => false,
                };
                if takes && done.is_ok() {
                    done = self.machine.resume(compiled.context(), head.stack, from, &mut self.heads);
                }
            }
        }
        let terminated = self.heads.len() == from
            && done.is_ok()
            && self.is_accepting()
            && vocabulary.eos().binary_search(&token).is_ok();
        if done.is_ok() && self.heads.len() == from && !terminated {
            done = Err(GrammarError::Rejected { token });
        }
        self.finish(from, old, terminated, done)
    }

    /// Takes text, whatever its tokens will be. Counts as one step for `rollback`.
    pub fn accept_bytes(&mut self, bytes: &[u8]) -> Result<(), GrammarError> {
        let (old, from) = (self.mark(), self.heads.len());
        if old.terminated && !bytes.is_empty() {
            return Err(GrammarError::RejectedBytes { offset: 0 });
        }
        let done = match self.run(bytes) {
            Ok(taken) if taken < bytes.len() => Err(GrammarError::RejectedBytes { offset: taken }),
            other => other.map(|_| ()),
        };
        self.finish(from, old, old.terminated, done)
    }

    fn finish(
        &mut self,
        from: usize,
        old: Mark,
        terminated: bool,
        done: Result<(), GrammarError>,
    ) -> Result<(), GrammarError> {
        if done.is_err() {
            self.heads.truncate(from);
            self.machine.cells.truncate(old.cells as usize);
            return done;
        }
        self.marks.push(Mark { heads: from as u32, cells: self.machine.cells.len() as u32, terminated });
        Ok(())
    }

    /// Steps the current heads over `bytes`, leaving the result behind the existing heads; says how many bytes were
    /// possible. If not all were, the heads are left as they were.
    fn run(&mut self, bytes: &[u8]) -> Result<usize, GrammarError> {
        let compiled = Arc::clone(&self.compiled);
        let ctx = compiled.context();
        let base = self.heads.len();
        let mut from = self.mark().heads as usize;
        let mut to = base;
        if bytes.is_empty() {
            self.heads.extend_from_within(from..to);
            return Ok(0);
        }
        for (offset, &byte) in bytes.iter().enumerate() {
            for index in from..to {
                let head = self.heads[index];
                self.machine.step(ctx, head, byte, to, &mut self.heads)?;
            }
            if self.heads.len() == to {
                self.heads.truncate(base);
                return Ok(offset);
            }
            (from, to) = (to, self.heads.len());
        }
        self.heads.copy_within(from..to, base);
        self.heads.truncate(base + to - from);
        Ok(bytes.len())
    }

    /// Takes the longest prefix of `tokens` that is allowed; returns its length. For drafts.
    pub fn accept_many(&mut self, tokens: &[u32]) -> Result<usize, GrammarError> {
        for (index, &token) in tokens.iter().enumerate() {
            match self.accept(token) {
                Ok(()) => {}
                Err(GrammarError::Rejected { .. }) => return Ok(index),
                Err(error) => return Err(error),
            }
        }
        Ok(tokens.len())
    }

    /// The length of the longest prefix of a draft that is allowed. The matcher stays where it is.
    pub fn try_draft(&mut self, tokens: &[u32]) -> Result<usize, GrammarError> {
        let before = self.accepted();
        let taken = self.accept_many(tokens);
        self.rollback(self.accepted() - before)?;
        taken
    }

    /// Undoes the last `steps` accepted steps.
    pub fn rollback(&mut self, steps: usize) -> Result<(), GrammarError> {
        if steps > self.accepted() {
            return Err(GrammarError::Rollback { asked: steps, accepted: self.accepted() });
        }
        if steps > 0 {
            let first_undone = self.marks[self.marks.len() - steps];
            self.heads.truncate(first_undone.heads as usize);
            self.marks.truncate(self.marks.len() - steps);
            self.machine.cells.truncate(self.mark().cells as usize);
        }
        Ok(())
    }

    /// Back to the start of the grammar.
    pub fn reset(&mut self) {
        // Cannot fail: it undoes exactly what was accepted.
        let _ = self.rollback(self.accepted());
    }

    /// The bytes that must come next, as far as they are certain. Empty where there is a choice, where the output
    /// may end, or where a special token is due.
    pub fn forced_bytes(&mut self) -> Result<Vec<u8>, GrammarError> {
        let compiled = Arc::clone(&self.compiled);
        let ctx = compiled.context();
        let (base, cells) = (self.heads.len(), self.machine.cells.len());
        let mut from = self.mark().heads as usize;
        let mut to = base;
        let mut forced = Vec::new();
        let mut done = Ok(());
        if !self.mark().terminated {
            while forced.len() < MAX_FORCED {
                let Some(byte) = only_byte(ctx, &self.heads[from..to])? else { break };
                for index in from..to {
                    let head = self.heads[index];
                    done = done.and_then(|()| self.machine.step(ctx, head, byte, to, &mut self.heads));
                }
                if done.is_err() {
                    break;
                }
                forced.push(byte);
                (from, to) = (to, self.heads.len());
            }
        }
        self.heads.truncate(base);
        self.machine.cells.truncate(cells);
        done.map(|()| forced)
    }
}

const MAX_FORCED: usize = 1 << 12;

fn mask_rows(matchers: &mut [Matcher], mut masks: &mut [u32]) -> Result<(), GrammarError> {
    for matcher in matchers {
        let (row, after) = masks.split_at_mut(matcher.compiled.vocabulary.mask_words());
        matcher.mask(row)?;
        masks = after;
    }
    Ok(())
}

/// Adds the tokens of a token node.
fn add_class(compiled: &CompiledGrammar, node: u32, mask: &mut [u32]) {
    if let Some(class) = compiled.classes.get(&node) {
        mask.iter_mut().zip(class).for_each(|(word, ids)| *word |= ids);
    }
}

fn in_class(compiled: &CompiledGrammar, node: u32, token: u32) -> bool {
    compiled.classes.get(&node).is_some_and(|class| has(class, token))
}

/// The one byte that all heads agree on, if there is exactly one.
fn only_byte(ctx: crate::compiled::Context<'_>, heads: &[Head]) -> Result<Option<u8>, GrammarError> {
    let mut bytes = ByteSet::default();
    for head in heads {
        if head.leaf.is_whole() {
            return Ok(None);
        }
        head.leaf.first_bytes(ctx, &mut bytes)?;
        if bytes.len() > 1 {
            return Ok(None);
        }
    }
    Ok(bytes.iter().next())
}
