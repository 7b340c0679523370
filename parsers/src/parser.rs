//! The streaming parser. Grows: so far all output is content.

use std::sync::Arc;

use toolglot_format::{Channel, Event, FinishReason, Piece, Plan};

use crate::{Program, Session, SessionOptions};

/// The engine's session.
pub struct Parser {
    text: Vec<u8>,
}

impl Parser {
    /// A parser for one turn.
    pub fn new(_program: Arc<Program>, _plan: &Plan, _options: SessionOptions) -> Self {
        Parser { text: Vec::new() }
    }
}

impl Session for Parser {
    fn prime(&mut self, _prompt_tail: &[u8]) {}

    fn feed(&mut self, pieces: &[Piece<'_>], _events: &mut Vec<Event>) {
        pieces.iter().for_each(|piece| self.text.extend_from_slice(piece.bytes));
    }

    fn finish(&mut self, _reason: FinishReason, events: &mut Vec<Event>) {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        if !text.is_empty() {
            events.push(Event::Text { channel: Channel::Content, text });
        }
    }
}
