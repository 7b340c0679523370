//! One parameter's value between markers: raw text or JSON, as the tool's schema says.

use serde_json::{Map, Value};
use toolglot_format::{Escape, MalformedReason};
use toolglot_schema::TypeSet;

use super::call::CallArgs;
use super::escape::quote;
use super::json::{Json, Met};
use super::{Machine, Steady, is_ws, literal};
use crate::program::{Found, Program, RegionId, RegionKind, Search, Step, To};

/// A number or word longer than this is a string, where it may be one.
const MAX_SCALAR: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum How {
    /// In front of the value: how many bytes of the template's white space have come.
    #[default]
    Lead,
    /// Not decided yet: only white space, kept in `text`.
    Open,
    /// A string, given out as it comes.
    Text,
    /// Kept until its end; then its type is found.
    Whole,
    /// Kept, and followed as JSON: markers inside its strings are data.
    Json,
}

#[derive(Debug, Default)]
pub(super) struct ValueState {
    how: How,
    lead: usize,
    text: Vec<u8>,
    /// Where it began.
    text_at: u64,
    types: TypeSet,
    /// The parameter may be one that holds all the others; if it is none, it has these types.
    wrapper: Option<TypeSet>,
    /// The value was read as JSON once and that failed.
    retried: bool,
    /// JSON stands here whatever the schema says, strings in quotes.
    quoted: bool,
    /// The opening quote of a string was given out.
    open: bool,
    /// How characters stand in it.
    escape: Option<Escape>,
    /// The string before, while its end is not sure.
    closing: Option<Closing>,
}

/// A string whose closing marker was read. Where neither markup nor the end follows, the marker was a part of it.
#[derive(Debug)]
struct Closing {
    region: RegionId,
    /// Where the marker begins.
    at: u64,
    /// The marker was passed.
    passed: bool,
}

impl Machine {
    pub(super) fn start_value(&mut self, p: &Program, escape: Option<Escape>) {
        let (types, quoted) = match &self.call {
            None => (TypeSet::ALL, false),
            Some(call) => match call.value_raw {
                Some(true) => (TypeSet::STRING, false),
                Some(false) => (TypeSet::ALL, true),
                None => {
                    let name = call.name.as_deref().unwrap_or_default();
                    (self.tools.types(name, &call.key), false)
                }
            },
        };
        self.value.how = How::Lead;
        self.value.lead = 0;
        self.value.text.clear();
        self.value.retried = false;
        self.value.wrapper = self.may_wrap(p).then_some(types);
        self.value.types = self.value.wrapper.map_or(types, |_| TypeSet::ALL);
        self.value.quoted = quoted;
        self.value.escape = escape;
        self.json.reset();
    }

    pub(super) fn in_value(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        let RegionKind::Value { quoted, lead, .. } = &region.kind else { return bytes.len() };
        if self.value.how == How::Lead {
            let lead = lead.as_bytes();
            let seen = self.value.lead;
            if seen < lead.len() && lead[seen] == bytes[0] {
                self.value.lead += 1;
                self.value.text.push(bytes[0]);
                if self.value.lead == lead.len() {
                    self.value.text.clear();
                    self.value.how = self.first_reading();
                }
                return 1;
            }
            // Not the template's white space after all.
            let held = std::mem::take(&mut self.value.text);
            self.value.how = self.first_reading();
            if !held.is_empty() {
                self.replay(p, &held);
            }
            return 0;
        }
        let quoted = *quoted || self.value.quoted;
        if self.value.how == How::Json {
            return self.in_json_value(p, bytes);
        }
        let scan = region.expected.scan(self.plain);
        let first = self.first_place(scan, bytes);
        if self.value.open && first == Some(bytes.len()) {
            // Most chunks of a long string.
            self.raw_text(bytes, self.at);
            self.steady = Steady::Value(id);
            return bytes.len();
        }
        match self.search.run_from(scan, bytes, self.pending.len(), first) {
            Step::Found(found) => {
                if let Some(first) = self.value_bytes(bytes, found.start, quoted) {
                    return self.rerun_as_json(p, first);
                }
                if p.actions[usize::from(found.action)].to == To::Entity {
                    return self.entity(p, found, bytes, quoted);
                }
                self.end_value(Some(id), self.pending_at() + found.start as u64);
                self.reach(p, found, found.start, bytes)
            }
            Step::More(hold) => {
                if let Some(first) = self.value_bytes(bytes, hold, quoted) {
                    return self.rerun_as_json(p, first);
                }
                self.hold(bytes, hold, hold);
                bytes.len()
            }
        }
    }

    /// How the value is read at its first byte.
    fn first_reading(&self) -> How {
        if self.value.types == TypeSet::STRING && !self.value.quoted { How::Text } else { How::Open }
    }

    /// Takes the first `end` bytes of `pending` and `bytes` together, unless JSON begins at one of them:
    /// then gives back which.
    fn value_bytes(&mut self, bytes: &[u8], end: usize, quoted: bool) -> Option<usize> {
        if end == 0 {
            return None;
        }
        if self.value.how == How::Text {
            self.open_text();
            self.emit_raw(bytes, end);
            return None;
        }
        for i in 0..end {
            let from = self.pending.len();
            let byte = self.byte(bytes, i);
            if self.value.how == How::Open && !is_ws(byte) {
                self.value.how = decide(self.value.types, byte, quoted);
                if self.value.how == How::Json {
                    return Some(i);
                }
            }
            if self.value.text.is_empty() {
                self.value.text_at = self.pending_at() + i as u64;
            }
            self.value.text.push(byte);
            if self.value.how == How::Whole
                && !self.value.retried
                && may_spill(&self.value.text, self.value.types)
            {
                self.value.how = How::Text;
            }
            if self.value.how == How::Text {
                self.spill();
                let held = std::mem::take(&mut self.pending);
                let at = self.at;
                if i + 1 < from {
                    self.raw_text(&held[i + 1..end.min(from)], at - (from - i - 1) as u64);
                }
                if end > from {
                    let first = (i + 1).max(from) - from;
                    self.raw_text(&bytes[first..end - from], at + first as u64);
                }
                self.pending = held;
                return None;
            }
        }
        None
    }

    /// The value is a string: gives out what was kept of it.
    fn spill(&mut self) {
        let mut text = std::mem::take(&mut self.value.text);
        self.open_text();
        if let (Some(escape), Ok(written)) = (self.value.escape, std::str::from_utf8(&text)) {
            text = escape.read(written).into_bytes();
        }
        self.raw_text(&text, self.value.text_at);
    }

    /// A literal of the value that stands for another character comes; what stands in front of it has been taken.
    fn entity(&mut self, p: &Program, found: Found, bytes: &[u8], quoted: bool) -> usize {
        let at = self.pending_at() + found.start as u64;
        let held = std::mem::take(&mut self.pending);
        self.search = Search::default();
        let written: Vec<u8> = held.iter().chain(bytes).copied().take(found.end).skip(found.start).collect();
        if self.value.how == How::Open {
            self.value.how = decide(self.value.types, b'&', quoted);
        }
        if self.value.text.is_empty() {
            self.value.text_at = at;
        }
        self.value.text.extend(written);
        if self.value.how == How::Text {
            self.spill();
        }
        self.again(p, held, found.end)
    }

    /// The value turned out to be JSON at offset `first` of what is in hand: looks at it again.
    fn rerun_as_json(&mut self, p: &Program, first: usize) -> usize {
        let held = std::mem::take(&mut self.pending);
        self.search = Search::default();
        self.again(p, held, first)
    }

    fn in_json_value(&mut self, p: &Program, bytes: &[u8]) -> usize {
        if self.value.text.is_empty() {
            self.value.text_at = self.at;
        }
        let (used, met) = self.json.run(bytes);
        self.value.text.extend_from_slice(&bytes[..used]);
        match met {
            Met::More => {}
            Met::Control => {
                self.value.text.push(bytes[used]);
                return used + 1;
            }
            Met::End | Met::EndBefore => {
                // Whether it is the whole value shows at the marker.
                self.value.how = How::Whole;
                self.value.retried = true;
            }
            Met::Invalid => self.retry_value(p, self.at + used as u64),
        }
        used
    }

    /// The value is no JSON: reads it again, ended by its marker alone.
    fn retry_value(&mut self, p: &Program, at: u64) {
        let text = std::mem::take(&mut self.value.text);
        self.value.how = How::Whole;
        self.value.retried = true;
        self.search = Search::default();
        let saved = self.at;
        self.at = at;
        if !text.is_empty() {
            self.replay(p, &text);
        }
        self.at = saved;
    }

    /// Emits the key in front of the value.
    pub(super) fn open_value(&mut self) {
        let Some(call) = &mut self.call else { return };
        let keys = match call.args {
            CallArgs::Keys(keys) => keys,
            _ => 0,
        };
        let span = call.key_span.take();
        let key = std::mem::take(&mut call.key);
        let repeats = self.repeats(&key, span.map_or(self.behind, |(from, _)| from));
        let quoted = quote(&key);
        let Some(call) = &mut self.call else { return };
        call.key = key;
        if repeats {
            return;
        }
        call.args = CallArgs::Keys(keys + 1);
        let open = if keys == 0 { "{" } else { ", " };
        self.args_text(open);
        self.args_text(&quoted);
        self.args_text(": ");
    }

    /// Whether the parameter that comes may be one that holds all the others.
    fn may_wrap(&self, p: &Program) -> bool {
        let Some(call) = self.call.as_ref().filter(|call| p.wrappers.contains(&call.key)) else {
            return false;
        };
        let tool = call.name.as_deref().unwrap_or_default();
        let first = !matches!(call.args, CallArgs::Keys(1..));
        first && self.tools.is_planned(tool) && !self.tools.declares(tool, &call.key)
    }

    /// The keys of the object that the value is, if they are all parameters of the tool.
    fn unwrapped(&self, value: &str) -> Option<Vec<String>> {
        let tool = self.call.as_ref()?.name.as_deref()?;
        let object: Map<String, Value> = serde_json::from_str(value).ok()?;
        let keys: Vec<String> = object.into_iter().map(|(key, _)| key).collect();
        (!keys.is_empty() && keys.iter().all(|key| self.tools.declares(tool, key))).then_some(keys)
    }

    /// Gives the members of an object out as the call's arguments, of which there are none so far.
    fn give_members(&mut self, object: &str, keys: Vec<String>) {
        let Some(call) = &mut self.call else { return };
        call.key_span = None;
        call.args = CallArgs::Keys(keys.len() as u32);
        call.keys.extend(keys);
        // The end of the arguments writes the closing brace.
        self.args_text(object.strip_suffix('}').unwrap_or(object).trim_end());
    }

    fn open_text(&mut self) {
        if !self.value.open {
            self.value.open = true;
            self.open_value();
            self.args_text("\"");
        }
    }

    /// The value is over, at offset `at`. `closed`: by a marker, in this region.
    fn end_value(&mut self, closed: Option<RegionId>, at: u64) {
        match self.value.how {
            How::Text => {
                self.open_text();
                self.value.closing = closed.map(|region| Closing { region, at, passed: false });
            }
            _ => {
                let text = std::mem::take(&mut self.value.text);
                let from = self.value.text_at;
                if std::str::from_utf8(&text).is_err() {
                    self.out.malformed(from, from + text.len() as u64, MalformedReason::NotUtf8, &text[..]);
                }
                let mut written = String::from_utf8_lossy(&text).into_owned();
                if let Some(escape) = self.value.escape {
                    let json = is_json(written.trim_ascii());
                    written = if json { escape.read_json(&written) } else { escape.read(&written) };
                }
                if closed.is_some() || !text.trim_ascii().is_empty() {
                    let object = written.trim_ascii();
                    if let Some(keys) = self.value.wrapper.and_then(|_| self.unwrapped(object)) {
                        self.give_members(object, keys);
                    } else {
                        let types = self.value.wrapper.unwrap_or(self.value.types);
                        let json = typed(&written, types, self.value.quoted);
                        self.open_value();
                        self.args_text(&json);
                    }
                }
                if self.json.complete() && self.json.mended {
                    self.report(from, from + text.len() as u64, MalformedReason::InvalidArguments);
                }
            }
        }
        self.value.open = false;
        self.value.how = How::Lead;
        if let Some(call) = &mut self.call {
            call.value_raw = None;
        }
        if self.value.closing.is_none() {
            self.member_over(at);
        }
    }

    /// A marker was read: the one that closes a string leaves its end open, the next one settles it.
    pub(super) fn pass_marker(&mut self) {
        match &mut self.value.closing {
            None => {}
            Some(closing) if !closing.passed => closing.passed = true,
            Some(_) => self.close_value(),
        }
    }

    /// The string that ended is over for good.
    pub(super) fn close_value(&mut self) {
        if let Some(closing) = self.value.closing.take() {
            self.args_text("\"");
            self.member_over(closing.at);
        }
    }

    /// What the string belongs to is no call.
    pub(super) fn forget_value(&mut self) {
        self.value.closing = None;
    }

    /// Neither markup nor the end follows a string's closing marker, at offset `at`: the string goes on, and the
    /// marker is a part of it.
    pub(super) fn reopen_value(&mut self, p: &Program, at: u64) -> bool {
        let Some(closing) = self.value.closing.take() else { return false };
        let raw = self.raw_of(closing.at, at);
        self.enter(p, closing.region);
        self.value.how = How::Text;
        self.value.open = true;
        self.raw_text(&raw, closing.at);
        true
    }

    /// What waits is part of the value, or a literal ends it.
    pub(super) fn settle_value(&mut self, p: &Program, id: RegionId, found: Option<Found>) {
        let RegionKind::Value { quoted, .. } = &p.regions[usize::from(id)].kind else { return };
        let quoted = *quoted || self.value.quoted;
        let end = found.map_or(self.pending.len(), |found| found.start);
        if let Some(first) = self.value_bytes(&[], end, quoted) {
            self.rerun_as_json(p, first);
            return;
        }
        match found {
            Some(found) if p.actions[usize::from(found.action)].to == To::Entity => {
                self.entity(p, found, &[], quoted);
            }
            Some(found) => {
                self.end_value(Some(id), self.pending_at() + end as u64);
                self.reach(p, found, end, &[]);
            }
            None => {
                self.pending.clear();
                self.search = Search::default();
            }
        }
    }

    /// The input ends inside the value.
    pub(super) fn finish_value(&mut self, p: &Program, id: RegionId, stopped: bool) {
        if self.value.how == How::Json && !self.value.retried {
            // A quote that never closes would swallow the rest of the turn.
            self.retry_value(p, self.at);
            self.settle_pending(p);
            let still = matches!(self.mode, super::Mode::In(region) if region == id);
            if !still {
                return;
            }
        }
        if self.value.how == How::Lead {
            self.value.text.clear();
            self.value.how = self.first_reading();
        }
        if self.value.how == How::Text || stopped {
            self.end_value(None, self.at);
        }
    }
}

/// What a value that begins with `byte` can be.
pub(super) fn decide(types: TypeSet, byte: u8, quoted: bool) -> How {
    let text = types.contains(TypeSet::STRING);
    match byte {
        b'{' if types.contains(TypeSet::OBJECT) || quoted => How::Json,
        b'[' if types.contains(TypeSet::ARRAY) || quoted => How::Json,
        b'"' if quoted => How::Json,
        _ if quoted || !text => How::Whole,
        // An unknown type: a JSON string is one, too.
        b'"' if types == TypeSet::ALL => How::Json,
        b'-' | b'0'..=b'9' if types.intersects(TypeSet::NUMBER) => How::Whole,
        b't' | b'f' | b'T' | b'F' if types.contains(TypeSet::BOOLEAN) => How::Whole,
        b'n' | b'N' if types.contains(TypeSet::NULL) => How::Whole,
        _ => How::Text,
    }
}

/// Whether kept text is too long for anything but a string, which it may be.
pub(super) fn may_spill(text: &[u8], types: TypeSet) -> bool {
    text.len() > MAX_SCALAR && types.contains(TypeSet::STRING)
}

/// A value's text as JSON.
pub(crate) fn typed(text: &str, types: TypeSet, quoted: bool) -> String {
    let string = || quote(text);
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        // An empty value of a type that has no empty text.
        return if types.contains(TypeSet::STRING) || quoted { string() } else { "null".into() };
    }
    let fits = |json: &str| match json.as_bytes().first() {
        Some(b'{') => types.contains(TypeSet::OBJECT),
        Some(b'[') => types.contains(TypeSet::ARRAY),
        Some(b'"') => types.contains(TypeSet::STRING),
        Some(b't' | b'f') => types.contains(TypeSet::BOOLEAN),
        Some(b'n') => types.contains(TypeSet::NULL),
        _ => types.intersects(TypeSet::NUMBER),
    };
    let text_allowed = types.contains(TypeSet::STRING) && !quoted;
    // In quotes although its type has no strings.
    let unquoted = |json: &str| {
        let inner: String = serde_json::from_str(json).ok()?;
        (!types.contains(TypeSet::STRING) && is_json(&inner) && fits(&inner)).then_some(inner)
    };
    if is_json(trimmed) {
        let spelled = || unquoted(trimmed).unwrap_or_else(|| trimmed.to_owned());
        return if text_allowed && !fits(trimmed) { string() } else { spelled() };
    }
    // Digits in groups are a number in Python, and a name or a code in text.
    let grouped = trimmed.contains('_') && trimmed.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    match literal::literal(trimmed).or_else(|| unescaped(trimmed).filter(|_| !text_allowed)) {
        Some(json) if !text_allowed => unquoted(&json).unwrap_or(json),
        Some(json) if fits(&json) && !grouped => json,
        _ => match trimmed.to_ascii_lowercase().as_str() {
            word @ ("true" | "false") if types.contains(TypeSet::BOOLEAN) => word.to_owned(),
            _ => string(),
        },
    }
}

/// JSON that is escaped as if it stood inside a string, as models write it that saw it there.
fn unescaped(text: &str) -> Option<String> {
    let inner = text.contains("\\\"").then(|| format!("\"{text}\""))?;
    serde_json::from_str(&inner).ok().filter(|text: &String| is_json(text))
}

/// Whether the text is one JSON value.
fn is_json(text: &str) -> bool {
    let mut json = Json::new();
    let (used, met) = json.run(text.as_bytes());
    json.valid
        && match met {
            Met::End => used == text.len(),
            Met::More => json.complete(),
            _ => false,
        }
}
