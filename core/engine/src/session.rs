//! One assistant turn in a decode loop: masks out, tokens in, events out.
//!
//! [`Constraint`] is the grammar side and can move to the thread that samples; [`Reader`] is the parsing
//! side; [`Session`] is both with the stop rules between them. No logits are touched here.

use std::sync::Arc;

use toolglot_format::{Event, FinishReason as TurnEnd, Piece, Plan, PlanError, Tool, ToolKind};
use toolglot_grammar::{
    FormatOptions, Grammar, GrammarCache, GrammarError, GrammarKey, Matcher, Spacing, TokenKind, Vocabulary,
};
use toolglot_parsers::{Family, FamilyError, SessionOptions};
use toolglot_sampler::{
    ConstraintError, FinishReason, Pieces, RepetitionDetection, StopConfig, StopConfigError, StopWatch,
    TokenConstraint,
};

/// What one turn is told beside its plan.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSettings {
    /// Whether masks hold the turn to its plan. Without it a required tool choice is a wish, so only turn it
    /// off to compare.
    pub constrain: bool,
    /// How much white space the masks leave to the model.
    pub spacing: Spacing,
    /// Stop strings, beside the family's.
    pub stop: Vec<String>,
    /// Stop ids, beside the EOS ids.
    pub stop_ids: Vec<u32>,
    /// Whether the text of what stopped the turn is part of the output.
    pub include_stop: bool,
    /// Whether the turn ends with its first complete call.
    pub stop_after_call: bool,
    /// Most tokens to take, the EOS token included. Under a constraint it is a promise too: the masks see to
    /// it that the turn is complete by then, and a limit that cannot be met is refused up front.
    pub max_tokens: Option<usize>,
    /// Ends loops.
    pub repetition: Option<RepetitionDetection>,
}

impl SessionSettings {
    /// The stop rules of a turn: these settings, the family's stop strings, and the EOS ids.
    pub(crate) fn stops(&self, family: &dyn Family, vocabulary: &Vocabulary) -> StopConfig {
        let strings = self.stop.iter().chain(&family.manifest().stops.strings);
        StopConfig {
            eos: vocabulary.eos().to_vec(),
            stop_ids: self.stop_ids.clone(),
            stop_strings: strings.map(|stop| stop.clone().into_bytes()).collect(),
            include_stop: self.include_stop,
            max_tokens: self.max_tokens,
            repetition: self.repetition,
        }
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        SessionSettings {
            constrain: true,
            spacing: Spacing::default(),
            stop: Vec::new(),
            stop_ids: Vec::new(),
            include_stop: false,
            stop_after_call: false,
            max_tokens: None,
            repetition: None,
        }
    }
}

/// A turn that cannot be opened or go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The plan cannot be met.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The family refused the plan.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// The grammar cannot be built, or a token is not allowed by it.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// The stop rules make no sense.
    #[error(transparent)]
    Stops(#[from] StopConfigError),
    /// The prompt opens the turn with text that the plan does not allow.
    #[error("the prompt ends with {tail:?}, which this plan's grammar does not allow: {source}")]
    Tail {
        /// The text behind the opening of the turn.
        tail: String,
        /// Where it fails.
        source: GrammarError,
    },
    /// The token limit is too small for any turn that the plan allows.
    #[error("a turn under this plan needs up to {need} tokens, but max_tokens is {limit}; raise it")]
    Limit {
        /// Tokens that are sure to suffice, the EOS token included.
        need: u64,
        /// The limit.
        limit: u64,
    },
    /// More tokens were to be taken back than are open.
    #[error("cannot take back {wanted} tokens: {open} are not committed yet")]
    Rollback {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        open: usize,
    },
}

/// Holds a turn to its plan, and to its token limit.
#[derive(Debug, Clone)]
pub struct Constraint {
    matcher: Matcher,
    /// The count of accepted steps at which the turn must be complete.
    limit: Option<u64>,
}

impl Constraint {
    pub(crate) fn new(
        family: &dyn Family,
        vocabulary: &Arc<Vocabulary>,
        plan: &Plan,
        tail: &str,
        settings: &SessionSettings,
        grammars: &GrammarCache,
    ) -> Result<Self, SessionError> {
        let compiled = grammars.get(&key(plan, settings.spacing), vocabulary, || {
            let format = family.format(plan)?;
            let options = FormatOptions { spacing: settings.spacing, ..FormatOptions::default() };
            Ok::<_, SessionError>(Grammar::from_format_with(&format, plan, &options)?)
        })?;
        let mut matcher = compiled.matcher()?;
        matcher.accept_text(tail).map_err(|source| SessionError::Tail { tail: tail.to_owned(), source })?;
        // The last token is the one that ends the turn.
        let content = settings.max_tokens.map(|max| max.saturating_sub(1) as u64);
        if let Some(left) = content {
            let need = matcher.shortest_completion();
            if need > left {
                return Err(SessionError::Limit { need: need + 1, limit: left + 1 });
            }
        }
        let limit = content.map(|left| left + matcher.accepted() as u64);
        Ok(Constraint { matcher, limit })
    }

    /// As [`TokenConstraint::mask`], with the engine's own error.
    fn write_mask(&mut self, out: &mut [u32]) -> Result<(), GrammarError> {
        match self.limit {
            None => self.matcher.mask(out),
            Some(limit) => {
                self.matcher.mask_within(out, limit.saturating_sub(self.matcher.accepted() as u64))
            }
        }
    }

    /// The matcher itself.
    pub fn matcher(&mut self) -> &mut Matcher {
        &mut self.matcher
    }
}

/// All of a plan: a family may compute its format from any part.
fn key(plan: &Plan, spacing: Spacing) -> GrammarKey {
    let Plan { tools, choice, parallel, reasoning } = plan;
    let mut key = GrammarKey::new();
    key.text(&format!("{spacing:?}"));
    key.number(u64::from(*parallel)).number(u64::from(*reasoning)).number(tools.len() as u64);
    for Tool { name, description, parameters, kind } in tools {
        let builtin = u64::from(*kind == ToolKind::Builtin);
        key.text(name).text(description).json(parameters).number(builtin);
    }
    key.text(&format!("{choice:?}"));
    key
}

impl TokenConstraint for Constraint {
    fn mask(&mut self, out: &mut [u32]) -> Result<(), ConstraintError> {
        self.write_mask(out).map_err(ConstraintError::from_error)
    }

    fn accept(&mut self, token: u32) -> Result<(), ConstraintError> {
        self.matcher.accept(token).map_err(ConstraintError::from_error)
    }

    fn is_accepting(&self) -> bool {
        self.matcher.is_accepting()
    }

    fn is_finished(&self) -> bool {
        self.matcher.is_terminated()
    }
}

/// Reads a turn with the family's parser.
pub struct Reader {
    parser: Box<dyn toolglot_parsers::Session>,
    vocabulary: Arc<Vocabulary>,
    calls: usize,
    finished: bool,
}

impl Reader {
    pub(crate) fn new(
        family: &dyn Family,
        vocabulary: &Arc<Vocabulary>,
        plan: &Plan,
        tail: &str,
    ) -> Result<Self, SessionError> {
        let mut parser = family.session(plan, SessionOptions::default())?;
        parser.prime(tail.as_bytes());
        Ok(Reader { parser, vocabulary: vocabulary.clone(), calls: 0, finished: false })
    }

    /// Takes output that the stop rules let pass, and appends events.
    pub fn pieces(&mut self, pieces: &Pieces, events: &mut Vec<Event>) {
        let before = events.len();
        for (span, bytes) in pieces.iter() {
            let special = match self.vocabulary.kind(span.id) {
                TokenKind::Special => Some(span.special),
                // Added tokens may be markers or mere words: their spelling says.
                TokenKind::Added => None,
                TokenKind::Text | TokenKind::Hole => Some(false),
            };
            self.parser.feed(&[Piece { bytes, special }], events);
        }
        self.count(&events[before..]);
    }

    /// Takes plain text of unknown tokens, such as a recorded output.
    pub fn text(&mut self, text: &str, events: &mut Vec<Event>) {
        let before = events.len();
        self.parser.feed(&[Piece::text(text)], events);
        self.count(&events[before..]);
    }

    /// How many calls have come to their end.
    pub fn complete_calls(&self) -> usize {
        self.calls
    }

    /// Ends the turn: what was held back comes out. Once is enough.
    pub fn finish(&mut self, reason: FinishReason, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let before = events.len();
        let end = match reason {
            FinishReason::Eos { .. } | FinishReason::ToolCall | FinishReason::Constraint => TurnEnd::Stop,
            _ => TurnEnd::Cut,
        };
        self.parser.finish(end, events);
        self.count(&events[before..]);
    }

    fn count(&mut self, events: &[Event]) {
        let ended = |event: &&Event| matches!(event, Event::CallEnd { complete: true, .. });
        self.calls += events.iter().filter(ended).count();
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// Constraint, stop rules and reader in one, for a decode loop over anyone's logits.
///
/// Per step: [`mask`](Session::mask), sample, [`accept`](Session::accept). A draft of several tokens goes
/// through [`advance`](Session::advance), which moves the grammar only, and is then taken back or committed.
#[derive(Debug)]
pub struct Session {
    constraint: Option<Constraint>,
    reader: Reader,
    stops: StopWatch,
    stop_after_call: bool,
    vocabulary: Arc<Vocabulary>,
    open: Vec<u32>,
    pieces: Pieces,
    finished: Option<FinishReason>,
}

impl Session {
    pub(crate) fn new(
        constraint: Option<Constraint>,
        reader: Reader,
        stops: StopConfig,
        stop_after_call: bool,
        vocabulary: Arc<Vocabulary>,
    ) -> Result<Self, SessionError> {
        Ok(Session {
            constraint,
            reader,
            stops: StopWatch::new(stops)?,
            stop_after_call,
            vocabulary,
            open: Vec::new(),
            pieces: Pieces::default(),
            finished: None,
        })
    }

    /// Writes which ids may come next: `u32` words, least significant bit first, one bit per id. EOS ids
    /// are in it where the turn may end. Without a constraint every id is allowed.
    ///
    /// # Errors
    /// [`SessionError::Grammar`] when the mask would take more work than the engine's limit.
    pub fn mask(&mut self, out: &mut [u32]) -> Result<(), SessionError> {
        match &mut self.constraint {
            Some(constraint) => Ok(constraint.write_mask(out)?),
            None => {
                out.fill(u32::MAX);
                Ok(())
            }
        }
    }

    /// Moves the grammar over a token that may still be taken back.
    ///
    /// # Errors
    /// [`SessionError::Grammar`] when the grammar does not allow it; nothing has moved then.
    pub fn advance(&mut self, token: u32) -> Result<(), SessionError> {
        if let Some(constraint) = &mut self.constraint {
            constraint.matcher.accept(token)?;
        }
        self.open.push(token);
        Ok(())
    }

    /// Takes back the last `n` tokens that were advanced and not committed.
    ///
    /// # Errors
    /// [`SessionError::Rollback`] when fewer are open.
    pub fn rollback(&mut self, n: usize) -> Result<(), SessionError> {
        let open = self.open.len();
        let keep = open.checked_sub(n).ok_or(SessionError::Rollback { wanted: n, open })?;
        if let Some(constraint) = &mut self.constraint {
            constraint.matcher.rollback(n)?;
        }
        self.open.truncate(keep);
        Ok(())
    }

    /// Hands every advanced token to stop rules and parser, and appends events. Tells why the turn ended,
    /// once it has; the last events are then out too and further tokens are ignored.
    pub fn commit(&mut self, events: &mut Vec<Event>) -> Option<FinishReason> {
        for token in std::mem::take(&mut self.open) {
            if self.finished.is_some() {
                break;
            }
            self.pieces.clear();
            let special = self.vocabulary.kind(token) != TokenKind::Text;
            let reason = self.stops.push(token, self.vocabulary.bytes(token), special, &mut self.pieces);
            self.reader.pieces(&self.pieces, events);
            let stop_here = self.stop_after_call && self.reader.complete_calls() > 0;
            if let Some(reason) = reason.or(stop_here.then_some(FinishReason::ToolCall)) {
                self.finish(reason, events);
            }
        }
        self.finished
    }

    /// Takes the sampled token: [`advance`](Session::advance) and [`commit`](Session::commit).
    ///
    /// # Errors
    /// As [`Session::advance`].
    pub fn accept(
        &mut self,
        token: u32,
        events: &mut Vec<Event>,
    ) -> Result<Option<FinishReason>, SessionError> {
        self.advance(token)?;
        Ok(self.commit(events))
    }

    /// Takes plain text of unknown tokens: read, but neither constrained nor stopped.
    pub fn text(&mut self, text: &str, events: &mut Vec<Event>) {
        if self.finished.is_none() {
            self.reader.text(text, events);
        }
    }

    /// Ends the turn for a reason that only the caller knows. The first reason stands.
    pub fn finish(&mut self, reason: FinishReason, events: &mut Vec<Event>) -> FinishReason {
        if let Some(reason) = self.finished {
            return reason;
        }
        self.pieces.clear();
        let reason = self.stops.finish(reason, &mut self.pieces);
        self.reader.pieces(&self.pieces, events);
        self.reader.finish(reason, events);
        self.finished = Some(reason);
        reason
    }
}
