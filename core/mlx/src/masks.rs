//! Grammar work beside the forward pass: a thread that owns the constraint of one generation.
//!
//! While the model thread computes, this one takes the sampled token into the constraint and computes
//! the mask of the next. Tokens that the mask leaves no choice about are taken in the same go. The
//! model thread meets the result when it needs it.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Scope;
use std::time::{Duration, Instant};

use toolglot_sampler::{ConstraintError, TokenConstraint, mask};

/// Most forced tokens per answer: what a forward pass takes well, and a bound on the wait.
const MOST_FORCED: usize = 64;

struct Ask {
    accept: Option<u32>,
    most_forced: usize,
    mask: Vec<u32>,
}

/// What may come next.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Tokens that must come, in order. All but an end token are in the constraint already.
    pub(crate) forced: Vec<u32>,
    /// What comes after them.
    pub(crate) next: Next,
    /// The ids to choose from, if there is a choice.
    pub(crate) mask: Vec<u32>,
    /// Whether penalties apply to that choice.
    pub(crate) penalties_apply: bool,
    /// Time that the constraint took.
    pub(crate) time: Duration,
}

/// What comes after the forced tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A choice among the ids of the mask.
    Choice,
    /// Further tokens, perhaps forced too: ask again.
    More,
    /// Nothing: the constraint is complete, or the last token is an end token.
    Nothing,
}

/// The model thread's end of the two channels.
pub(crate) struct Masks {
    asks: Sender<Ask>,
    answers: Receiver<Result<Answer, ConstraintError>>,
    /// The mask that is not in use, once there is one.
    spare: Vec<u32>,
}

impl Masks {
    /// Starts the thread. It ends when this is dropped. `words` is the length of the masks; `ends` are
    /// the ids that are allowed wherever the constraint accepts.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        constraint: Box<dyn TokenConstraint>,
        ends: Vec<u32>,
        words: usize,
    ) -> Self {
        let (asks, asked) = mpsc::channel::<Ask>();
        let (answering, answers) = mpsc::channel();
        scope.spawn(move || {
            let mut worker = Worker { constraint, ends };
            for ask in asked {
                // A panic in the constraint must not take the model down; `wait` reports the silence.
                let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.answer(ask)));
                let Ok(answer) = answer else { return };
                if answering.send(answer).is_err() {
                    return;
                }
            }
        });
        Self { asks, answers, spare: vec![0; words] }
    }

    /// Sets the thread to work: first takes a token, then looks ahead.
    pub(crate) fn ask(&mut self, accept: Option<u32>, most_forced: usize) {
        let mask = std::mem::take(&mut self.spare);
        // If the thread is gone, `wait` tells.
        let _ = self.asks.send(Ask { accept, most_forced: most_forced.min(MOST_FORCED), mask });
    }

    /// Waits for the answer to the last `ask`. `old` is the answer before, whose mask is used again.
    pub(crate) fn wait(&mut self, old: Option<Answer>) -> Result<Answer, ConstraintError> {
        let answer = self.answers.recv().unwrap_or_else(|_| Err(ConstraintError::new("it panicked")))?;
        self.spare = old.map_or_else(|| vec![0; answer.mask.len()], |old| old.mask);
        Ok(answer)
    }
}

struct Worker {
    constraint: Box<dyn TokenConstraint>,
    ends: Vec<u32>,
}

impl Worker {
    fn answer(&mut self, ask: Ask) -> Result<Answer, ConstraintError> {
        let start = Instant::now();
        let mut mask = ask.mask;
        let mut forced = Vec::new();
        if let Some(id) = ask.accept {
            self.constraint.accept(id)?;
        }
        let next = loop {
            if self.constraint.is_finished() {
                break Next::Nothing;
            }
            if forced.len() == ask.most_forced {
                break Next::More;
            }
            mask.fill(0);
            self.constraint.mask(&mut mask)?;
            let accepting = self.constraint.is_accepting();
            if accepting {
                for &id in &self.ends {
                    mask::insert(&mut mask, id);
                }
            }
            let mut ids = mask::ids(&mask);
            let (Some(id), None) = (ids.next(), ids.next()) else { break Next::Choice };
            forced.push(id);
            if accepting && self.ends.contains(&id) {
                break Next::Nothing;
            }
            self.constraint.accept(id)?;
        };
        let penalties_apply = self.constraint.penalties_apply();
        Ok(Answer { forced, next, mask, penalties_apply, time: start.elapsed() })
    }
}
