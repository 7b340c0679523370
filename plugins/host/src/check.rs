//! Checks what a plugin's session reports against what a session may report, and knows how much of the
//! output has been reported.
//!
//! A caller acts on a complete call, so a plugin's word for it is not enough. The check is linear in the
//! output and the events.

use serde::de::IgnoredAny;
use toolglot_format::{Event, Plan};

/// The state of one turn as its events tell it.
pub(crate) struct Checker {
    tools: Vec<String>,
    /// The calls so far: the arguments of the open ones.
    calls: Vec<Option<String>>,
    /// The arguments of the last call that ended, kept for their memory.
    spare: String,
    /// Output; what lies before `head` has been reported. `dropped` bytes came before it.
    output: Vec<u8>,
    head: usize,
    dropped: u64,
}

impl Checker {
    pub(crate) fn new(plan: &Plan) -> Self {
        let tools = plan.tools.iter().map(|tool| tool.name.clone()).collect();
        let (calls, spare, output) = (Vec::new(), String::new(), Vec::new());
        Checker { tools, calls, spare, output, head: 0, dropped: 0 }
    }

    /// More output, before the events that it gives.
    pub(crate) fn fed(&mut self, bytes: &[u8]) {
        if self.head > 4096 && self.head * 2 > self.output.len() {
            self.output.drain(..self.head);
            self.dropped += self.head as u64;
            self.head = 0;
        }
        self.output.extend_from_slice(bytes);
    }

    /// The length of the output so far.
    pub(crate) fn end(&self) -> u64 {
        self.dropped + self.output.len() as u64
    }

    /// The last bytes of the output so far, as many of them.
    pub(crate) fn last(&self, bytes: usize) -> &[u8] {
        &self.output[self.output.len() - bytes..]
    }

    /// The first byte that may be in no event yet. Bytes behind it may be in one all the same: arguments
    /// need not stand in the output as they are reported.
    pub(crate) fn reported(&self) -> u64 {
        self.dropped + self.head as u64
    }

    /// The bytes from [`Checker::reported`] on.
    pub(crate) fn unreported(&self) -> &[u8] {
        &self.output[self.head..]
    }

    /// The calls that have begun and not ended.
    pub(crate) fn open_calls(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.calls).filter(|(_, call)| call.is_some()).map(|(index, _)| index)
    }

    /// Takes the next event, or says what is wrong with it.
    pub(crate) fn event(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Text { text, .. } => {
                not_empty(text, "a text")?;
                self.advance(text)
            }
            Event::CallStart { index, name, known, .. } => {
                if *index as usize != self.calls.len() {
                    return Err(format!("a call starts with index {index}, expected {}", self.calls.len()));
                }
                let planned = self.tools.is_empty() || self.tools.contains(name);
                if *known != planned {
                    return Err(format!("it says known = {known} of tool `{name}`"));
                }
                let mut arguments = std::mem::take(&mut self.spare);
                arguments.clear();
                self.calls.push(Some(arguments));
                Ok(())
            }
            Event::CallId { index, .. } => self.open(*index).map(|_| ()),
            Event::Arguments { index, json } => {
                not_empty(json, "arguments")?;
                self.open(*index)?.push_str(json);
                Ok(())
            }
            Event::CallEnd { index, complete } => {
                let arguments = std::mem::take(self.open(*index)?);
                if *complete && !is_object(&arguments) {
                    return Err(format!(
                        "it says that call {index} is complete, but its arguments are no JSON object"
                    ));
                }
                self.calls[*index as usize] = None;
                self.spare = arguments;
                Ok(())
            }
            Event::Malformed { span, .. } => {
                if span.start > span.end || span.end > self.end() {
                    return Err(format!("the span {span:?} of an output of {} bytes", self.end()));
                }
                Ok(())
            }
        }
    }

    /// The turn is over.
    pub(crate) fn finish(&self) -> Result<(), String> {
        match self.open_calls().next() {
            Some(index) => Err(format!("call {index} has no end")),
            None => Ok(()),
        }
    }

    fn open(&mut self, index: u32) -> Result<&mut String, String> {
        let call = self.calls.get_mut(index as usize).and_then(Option::as_mut);
        call.ok_or_else(|| format!("an event of call {index}, which is not open"))
    }

    /// Moves behind the text. Its characters must stand in the output in this order, with framing between
    /// them. Taking the first place for each never passes a byte that is not reported yet.
    fn advance(&mut self, text: &str) -> Result<(), String> {
        let (mut at, mut text) = (self.head, text);
        loop {
            // As much of it as stands here.
            let rest = &self.output[at..];
            let same = common(rest, text);
            at += same;
            let rest = &rest[same..];
            text = &text[same..];
            let Some(wanted) = text.chars().next() else { break };
            // A replacement character stands for bytes that are not UTF-8.
            let replaced = (wanted == char::REPLACEMENT_CHARACTER)
                .then(|| rest.iter().position(|byte| !byte.is_ascii()))
                .flatten();
            if let Some(replaced) = replaced {
                at += replaced + 1;
                text = &text[wanted.len_utf8()..];
            } else {
                // What stands there is taken in the next round.
                let encoded = &text.as_bytes()[..wanted.len_utf8()];
                at += place(rest, encoded).ok_or_else(|| "a text that is not in the output".to_owned())?;
            }
        }
        self.head = at;
        Ok(())
    }
}

/// The length of the whole characters with which both begin.
fn common(output: &[u8], text: &str) -> usize {
    if output.starts_with(text.as_bytes()) {
        return text.len();
    }
    let same = output.iter().zip(text.as_bytes()).take_while(|(one, other)| one == other).count();
    text.floor_char_boundary(same)
}

/// The first place of a character.
fn place(output: &[u8], encoded: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + output[from..].iter().position(|byte| *byte == encoded[0])?;
        if output[at..].starts_with(encoded) {
            return Some(at);
        }
        from = at + 1;
    }
}

fn not_empty(delta: &str, what: &str) -> Result<(), String> {
    if delta.is_empty() { Err(format!("{what} delta is empty")) } else { Ok(()) }
}

fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use toolglot_format::{Channel, MalformedReason};

    use super::*;

    fn checker(output: &[u8]) -> Checker {
        let plan = Plan::from_openai(&json!([{"name": "f"}]), &json!(null), true).unwrap();
        let mut checker = Checker::new(&plan);
        checker.fed(output);
        checker
    }

    fn text(text: &str) -> Event {
        Event::Text { channel: Channel::Content, text: text.into() }
    }

    fn start(index: u32, name: &str, known: bool) -> Event {
        Event::CallStart { index, name: name.into(), id: None, known }
    }

    fn arguments(index: u32, json: &str) -> Event {
        Event::Arguments { index, json: json.into() }
    }

    #[test]
    fn knows_what_has_been_reported() {
        let mut checker = checker("a<x>bé".as_bytes());
        checker.event(&text("a")).unwrap();
        assert_eq!(checker.reported(), 1);
        checker.event(&text("bé")).unwrap();
        assert_eq!((checker.reported(), checker.end()), (7, 7));
        checker.fed(b"tail");
        assert_eq!(checker.unreported(), b"tail");
        assert!(checker.event(&text("tale")).unwrap_err().contains("not in the output"));
        assert_eq!(checker.unreported(), b"tail", "a wrong text takes nothing");
    }

    #[test]
    fn offsets_hold_when_reported_output_is_dropped() {
        let mut checker = checker(b"");
        for _ in 0..300 {
            checker.fed(&[b'x'; 100]);
            checker.event(&text(&"x".repeat(100))).unwrap();
        }
        assert_eq!((checker.reported(), checker.end()), (30_000, 30_000));
        assert!(checker.output.len() < 10_000, "{}", checker.output.len());
    }

    #[test]
    fn framing_may_stand_between_characters() {
        let mut checker = checker("x\u{c3}\u{a9}<y>\u{e9}\u{e8}<z>!?".as_bytes());
        checker.event(&text("\u{e9}\u{e8}!")).unwrap();
        assert_eq!(checker.unreported(), b"?");
        assert!(checker.event(&text("?!")).is_err());
        assert_eq!(checker.unreported(), b"?");
    }

    #[test]
    fn replacement_characters_stand_for_broken_bytes() {
        let mut checker = checker(b"a\xffb\xe2\x82c");
        checker.event(&text("a\u{fffd}b\u{fffd}c")).unwrap();
        assert_eq!(checker.reported(), 6);
    }

    #[test]
    fn a_call_begins_fills_and_ends_in_order() {
        let mut good = checker(b"...");
        for event in [
            start(0, "f", true),
            Event::CallId { index: 0, id: "1".into() },
            arguments(0, "{\"a\":"),
            arguments(0, " 1}"),
            Event::CallEnd { index: 0, complete: true },
            start(1, "g", false),
            Event::CallEnd { index: 1, complete: false },
        ] {
            good.event(&event).unwrap();
        }
        good.finish().unwrap();
        let wrong = |events: &[Event]| {
            let mut checker = checker(b"...");
            events
                .iter()
                .try_for_each(|event| checker.event(event))
                .and_then(|()| checker.finish())
                .unwrap_err()
        };
        assert!(wrong(&[start(1, "f", true)]).contains("index 1, expected 0"));
        assert!(wrong(&[start(0, "g", true)]).contains("known = true of tool `g`"));
        assert!(wrong(&[start(0, "f", true)]).contains("call 0 has no end"));
        assert!(wrong(&[arguments(0, "{}")]).contains("not open"));
        assert!(wrong(&[start(0, "f", true), arguments(0, "")]).contains("is empty"));
        let end = Event::CallEnd { index: 0, complete: true };
        assert!(
            wrong(&[start(0, "f", true), arguments(0, "{\"a\":"), end.clone()]).contains("no JSON object")
        );
        assert!(wrong(&[start(0, "f", true), arguments(0, "3"), end.clone()]).contains("no JSON object"));
        assert!(wrong(&[start(0, "f", true), arguments(0, "{}"), end.clone(), end]).contains("not open"));
        let span = Event::Malformed { span: 0..4, reason: MalformedReason::CutOff, raw: String::new() };
        assert!(wrong(&[span]).contains("3 bytes"));
    }
}
