//! Where the parser writes: joins deltas, decodes UTF-8, keeps spans in the order of the output.

use std::string::FromUtf8Error;

use toolglot_format::{Channel, Event, MalformedReason};

use super::escape::{ROW, escape, row};
use super::is_ws;
use super::json::plain_run;

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Text(Channel),
    /// The arguments of the call with this index.
    Arguments(u32),
    /// Arguments whose call has no name yet.
    Held,
    /// What the arguments hold already and cannot hold twice.
    Nowhere,
}

/// Collects events.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) events: Vec<Event>,
    target: Target,
    delta: String,
    /// The beginning of a code point, at most three bytes.
    tail: [u8; 4],
    tail_len: usize,
    tail_at: u64,
    /// Arguments that wait for their call's name.
    held: String,
    /// What goes nowhere, until the next flush.
    scrap: String,
    /// Bytes in front of this offset came from the prompt: their text is not given out.
    pub(crate) mute_until: u64,
    /// The last byte of content; a line break where there is none yet.
    last: u8,
    /// White space that stood between content and framing: content that goes on behind the framing is parted by it.
    gap: String,
    /// A run of bytes that are not UTF-8.
    bad: Option<(u64, u64, Vec<u8>)>,
}

impl Out {
    pub(crate) fn new() -> Self {
        Out {
            events: Vec::new(),
            target: Target::Text(Channel::Content),
            delta: String::new(),
            tail: [0; 4],
            tail_len: 0,
            tail_at: 0,
            held: String::new(),
            scrap: String::new(),
            mute_until: 0,
            last: b'\n',
            gap: String::new(),
            bad: None,
        }
    }

    /// Bytes of the output, the first at offset `at`.
    #[inline]
    pub(crate) fn bytes(&mut self, target: Target, bytes: &[u8], at: u64) {
        let Some(&last) = bytes.last() else { return };
        if target != self.target {
            self.turn_to(target);
        }
        if target == Target::Text(Channel::Content) {
            if !self.gap.is_empty() {
                self.fill_gap(bytes[0]);
            }
            self.last = last;
        }
        if self.tail_len == 0
            && self.bad.is_none()
            && at >= self.mute_until
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            let sink = self.sink();
            if sink.capacity() == 0 {
                // What comes is most often all that comes at once; the least that is ever allocated holds it.
                *sink = String::with_capacity(text.len().max(24));
            }
            sink.push_str(text);
            return;
        }
        self.decode(target, bytes, at);
    }

    /// The last byte of content; a line break where there is none yet.
    pub(crate) fn last(&self) -> u8 {
        self.last
    }

    /// Whether content ends with a line break, or there is none yet.
    pub(crate) fn at_line_start(&self) -> bool {
        self.last == b'\n'
    }

    /// Whether content ends with more than white space.
    fn in_word(&self) -> bool {
        !is_ws(self.last)
    }

    /// White space that is no part of content although it stands beside some; the first on the way from one piece
    /// of content to the next counts.
    pub(crate) fn leave_gap(&mut self, space: impl Iterator<Item = u8>) {
        if self.in_word() && self.gap.is_empty() {
            self.gap.extend(space.map(char::from));
        }
    }

    /// Content goes on with this byte: words that framing parted do not run together.
    #[cold]
    fn fill_gap(&mut self, first: u8) {
        let gap = std::mem::take(&mut self.gap);
        self.settle();
        if self.in_word() && !is_ws(first) {
            self.sink().push_str(&gap);
        }
    }

    /// Bytes of the output as the inside of a JSON string.
    #[inline]
    pub(crate) fn escaped(&mut self, target: Target, bytes: &[u8], at: u64) {
        let mut next = plain_run(bytes);
        if next == bytes.len() {
            return self.bytes(target, bytes, at);
        }
        if target != self.target {
            self.turn_to(target);
        }
        let clean = self.tail_len == 0 && self.bad.is_none();
        if let (true, Ok(mut text)) = (clean, std::str::from_utf8(bytes)) {
            let sink = self.sink();
            loop {
                let (plain, rest) = text.split_at(next);
                let row = row(rest.as_bytes());
                if row.is_some() || text.len() == bytes.len() {
                    // Room for more escapes, too, so that most chunks cost one allocation.
                    sink.reserve(text.len() + row.map_or(text.len() / 8 + 4, |_| rest.len()));
                }
                if !plain.is_empty() {
                    sink.push_str(plain);
                }
                let taken = match (row, rest.as_bytes().first()) {
                    (Some(row), _) => {
                        sink.push_str(row);
                        ROW
                    }
                    (None, None) => return,
                    (None, Some(&byte)) => {
                        match byte {
                            b'"' => sink.push_str("\\\""),
                            b'\\' => sink.push_str("\\\\"),
                            b'\n' => sink.push_str("\\n"),
                            _ => sink.push_str(escape(byte)),
                        }
                        1
                    }
                };
                text = &rest[taken..];
                next = plain_run(text.as_bytes());
            }
        }
        let (mut rest, mut at) = (bytes, at);
        while !rest.is_empty() {
            let plain = plain_run(rest);
            self.bytes(target, &rest[..plain], at);
            rest = &rest[plain..];
            at += plain as u64;
            if let Some(&byte) = rest.first() {
                self.text(target, escape(byte));
                rest = &rest[1..];
                at += 1;
            }
        }
    }

    /// Text that stands for bytes of the output, such as an escape or a bracket.
    #[inline]
    pub(crate) fn text(&mut self, target: Target, text: &str) {
        if target != self.target || self.tail_len > 0 || self.bad.is_some() {
            self.turn_to(target);
        }
        self.sink().push_str(text);
    }

    #[inline(always)]
    fn sink(&mut self) -> &mut String {
        match self.target {
            Target::Held => &mut self.held,
            Target::Nowhere => &mut self.scrap,
            _ => &mut self.delta,
        }
    }

    #[cold]
    fn decode(&mut self, target: Target, bytes: &[u8], at: u64) {
        let joined: Vec<u8>;
        let (mut bytes, mut at) = (bytes, at);
        if matches!(target, Target::Text(_)) && at < self.mute_until {
            let skip = (self.mute_until - at).min(bytes.len() as u64);
            bytes = &bytes[skip as usize..];
            at += skip;
        }
        // Framing may stand between: what it cuts is no code point.
        if self.tail_len > 0 && at != self.tail_at + self.tail_len as u64 {
            self.settle();
        }
        if self.tail_len > 0 {
            joined = [&self.tail[..self.tail_len], bytes].concat();
            bytes = &joined;
            at = self.tail_at;
            self.tail_len = 0;
        }
        while !bytes.is_empty() {
            let (good, bad) = match std::str::from_utf8(bytes) {
                Ok(text) => (text.len(), None),
                Err(error) => (error.valid_up_to(), Some(error.error_len())),
            };
            if let (1.., Ok(text)) = (good, std::str::from_utf8(&bytes[..good])) {
                self.end_bad();
                self.sink().push_str(text);
            }
            bytes = &bytes[good..];
            at += good as u64;
            match bad {
                None => {}
                Some(None) => {
                    self.tail[..bytes.len()].copy_from_slice(bytes);
                    self.tail_len = bytes.len();
                    self.tail_at = at;
                    return;
                }
                Some(Some(bad)) => {
                    self.invalid(&bytes[..bad], at);
                    bytes = &bytes[bad..];
                    at += bad as u64;
                }
            }
        }
    }

    fn invalid(&mut self, bytes: &[u8], at: u64) {
        self.sink().push('\u{FFFD}');
        match &mut self.bad {
            Some((_, end, raw)) if *end == at => {
                *end += bytes.len() as u64;
                raw.extend_from_slice(bytes);
            }
            _ => {
                self.end_bad();
                self.bad = Some((at, at + bytes.len() as u64, bytes.to_vec()));
            }
        }
    }

    /// Reports a run of invalid bytes, behind the text that replaces it.
    fn end_bad(&mut self) {
        if let Some((from, to, raw)) = self.bad.take() {
            self.flush_delta();
            self.push_malformed(from, to, MalformedReason::NotUtf8, raw);
        }
    }

    /// The text in hand ends: an unfinished code point stays unfinished.
    fn settle(&mut self) {
        if self.tail_len > 0 {
            let tail = self.tail;
            let len = std::mem::take(&mut self.tail_len);
            self.invalid(&tail[..len], self.tail_at);
        }
        self.end_bad();
    }

    fn turn_to(&mut self, target: Target) {
        self.settle();
        if target != self.target {
            self.flush_delta();
            self.target = target;
        }
    }

    /// Gives out the delta in hand; an unfinished code point waits on. Call it at the end of each feed.
    pub(crate) fn flush_delta(&mut self) {
        self.scrap.clear();
        if self.delta.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.delta);
        self.events.push(match self.target {
            Target::Text(channel) => Event::Text { channel, text },
            Target::Arguments(index) => Event::Arguments { index, json: text },
            Target::Held | Target::Nowhere => return,
        });
    }

    /// The prompt ends here. Gives out its events about the open call; deltas of it go to index 0 from now on.
    pub(crate) fn restart(&mut self, open: Option<u32>) -> Vec<Event> {
        if let Target::Arguments(_) = self.target {
            self.target = Target::Arguments(0);
        }
        // The prompt's content is not parted from what comes.
        if self.in_word() {
            self.last = b' ';
        }
        self.gap.clear();
        let mut events = std::mem::take(&mut self.events);
        events.retain(|event| match event {
            Event::CallStart { index, .. } | Event::CallId { index, .. } | Event::Arguments { index, .. } => {
                Some(*index) == open
            }
            _ => false,
        });
        events
    }

    /// Ends all text in hand.
    pub(crate) fn flush(&mut self) {
        self.settle();
        self.flush_delta();
    }

    /// An event that is not a delta.
    pub(crate) fn event(&mut self, event: Event) {
        self.flush();
        self.events.push(event);
    }

    pub(crate) fn malformed(&mut self, from: u64, to: u64, reason: MalformedReason, raw: impl Into<Vec<u8>>) {
        self.flush();
        self.push_malformed(from, to, reason, raw.into());
    }

    fn push_malformed(&mut self, from: u64, to: u64, reason: MalformedReason, raw: Vec<u8>) {
        let span = from.saturating_sub(self.mute_until)..to.saturating_sub(self.mute_until);
        let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
        let raw = String::from_utf8(raw).unwrap_or_else(lossy);
        self.events.push(Event::Malformed { span, reason, raw });
    }

    /// The arguments that wait for a name.
    pub(crate) fn held(&self) -> &str {
        &self.held
    }

    /// The arguments that waited for a name, which is known or will not come.
    pub(crate) fn take_held(&mut self) -> String {
        if self.target == Target::Held {
            self.settle();
        }
        std::mem::take(&mut self.held)
    }
}
