//! Brackets and what stands between them: commas, and members that their object has already.

use std::collections::BTreeSet;

use super::{Form, Literal, Sink, Stepped};

impl Literal {
    pub(super) fn push(&mut self, close: u8) {
        self.stack.push(close);
        self.open[kind(close)] += 1;
        if close == b'}' {
            self.seen.push(BTreeSet::new());
        }
    }

    /// The innermost bracket is closed.
    pub(super) fn close(&mut self, sink: &mut impl Sink) {
        let Some(close) = self.stack.pop() else { return };
        self.open[kind(close)] -= 1;
        if close == b'}' {
            self.seen.pop();
        }
        if self.repeated.is_some_and(|depth| depth > self.stack.len()) {
            self.repeated = None;
            sink.pass_over(false);
        }
        sink.json(if close == b'}' { "}" } else { "]" });
        self.key = false;
        self.value_ended();
    }

    /// A closing bracket behind a value: brackets inside that stayed open are closed with it, and one that
    /// closes nothing is passed over.
    pub(super) fn closed(&mut self, byte: u8, sink: &mut impl Sink) -> Stepped {
        if self.open[kind(byte)] == 0 {
            self.mended = true;
            return Stepped::Taken;
        }
        while let Some(&close) = self.stack.last() {
            self.comma = false;
            self.close(sink);
            if close == byte {
                break;
            }
            self.mended = true;
        }
        Stepped::Taken
    }

    /// The member that is passed over has ended, if there is one.
    pub(super) fn member_over(&mut self, sink: &mut impl Sink) {
        if self.repeated == Some(self.stack.len()) {
            self.repeated = None;
            sink.pass_over(false);
        }
    }

    /// A key has come: what its object has already is passed over.
    pub(super) fn next_member(&mut self, key: &[u8], sink: &mut impl Sink) {
        self.member_over(sink);
        let repeats = match self.seen.last_mut() {
            Some(seen) if seen.contains(key) => true,
            Some(seen) => {
                seen.insert(key.to_vec());
                false
            }
            None => false,
        };
        if repeats {
            self.mended |= self.form != Form::Single;
            if self.repeated.is_none() {
                self.repeated = Some(self.stack.len());
                sink.pass_over(true);
            }
        }
    }

    /// The comma that waits.
    pub(super) fn separate(&mut self, sink: &mut impl Sink) {
        if std::mem::take(&mut self.comma) {
            sink.json(", ");
        }
    }

    /// Whether the member in hand is passed over.
    pub(in crate::parser) fn passes_over(&self) -> bool {
        self.repeated.is_some()
    }
}

fn kind(close: u8) -> usize {
    match close {
        b'}' => 0,
        b']' => 1,
        _ => 2,
    }
}
