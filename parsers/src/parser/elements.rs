//! Arguments as nested elements, every tag behind a prefix.
//!
//! An element's text is given out as it comes where it can only be a string. Where its type is open, its first
//! letter or its first child decides. Inside text only the tags that end the element, or all elements, are tags.

use std::collections::BTreeSet;

use toolglot_format::{ElementsArgs, MalformedReason};
use toolglot_schema::TypeSet;

use super::call::Place;
use super::escape::quote;
use super::value::{How, decide, may_spill, typed};
use super::{Machine, is_ws};
use crate::program::{ElementRules, Found, Program, RegionId, RegionKind, Search, Step, To};

/// A tag longer than this is none.
const MAX_TAG: usize = 256;

/// Elements are not nested deeper than this, which readers of JSON take; a tag further in is text.
const MAX_DEPTH: usize = 100;

/// What an element holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Not known yet: only white space has come.
    Open,
    /// A string, given out as it comes.
    Text,
    /// Text that is kept until its end; then its type is found.
    Whole,
    /// The same, however long.
    Json,
    Object,
    Array,
}

/// An element that is open.
#[derive(Debug)]
struct Element {
    name: String,
    place: Place,
    holds: Holds,
    /// Children so far.
    count: usize,
    /// Their names, in an object.
    keys: BTreeSet<String>,
    text: Vec<u8>,
    /// Where the text began.
    text_at: u64,
}

#[derive(Debug, Default)]
pub(super) struct ElementsState {
    open: Vec<Element>,
    /// A tag in the making, its prefix included.
    tag: Vec<u8>,
    /// Length of the prefix in it; 0 outside tags.
    prefix: usize,
    /// It can be an element's no more, only an end.
    foreign: bool,
    /// The element that is passed over, as its object has one of its name: how many are open around it.
    repeated: Option<usize>,
}

impl Machine {
    pub(super) fn start_elements(&mut self) {
        self.elements = ElementsState::default();
    }

    pub(super) fn in_elements(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        let RegionKind::Elements(rules) = &region.kind else { return bytes.len() };
        if self.elements.prefix > 0 {
            return self.in_tag(p, id, rules, bytes);
        }
        let scan = region.expected.scan(self.plain);
        match self.search.run(scan, bytes, self.pending.len()) {
            Step::Found(found) => self.element_marker(p, found, bytes),
            Step::More(hold) => {
                self.element_bytes(bytes, hold);
                self.hold(bytes, hold, hold);
                bytes.len()
            }
        }
    }

    /// A literal ends the text in front of it: the prefix of a tag, or a marker behind the arguments.
    fn element_marker(&mut self, p: &Program, found: Found, bytes: &[u8]) -> usize {
        self.element_bytes(bytes, found.start);
        if p.actions[usize::from(found.action)].to != To::Done {
            self.end_elements(self.pending_at() + found.start as u64);
            return self.reach(p, found, found.start, bytes);
        }
        let held = std::mem::take(&mut self.pending);
        self.search = Search::default();
        let at = self.at - held.len() as u64 + found.start as u64;
        self.end_junk(at);
        self.elements.tag =
            held.iter().chain(bytes).copied().skip(found.start).take(found.end - found.start).collect();
        self.elements.prefix = self.elements.tag.len();
        self.again(p, held, found.end)
    }

    /// Behind a prefix.
    fn in_tag(&mut self, p: &Program, id: RegionId, rules: &ElementRules, bytes: &[u8]) -> usize {
        for (i, &byte) in bytes.iter().enumerate() {
            self.elements.tag.push(byte);
            let tag = &self.elements.tag[self.elements.prefix..];
            let end = self.at + i as u64 + 1;
            let over = rules.ends.iter().find(|over| over.text == tag);
            if let Some(over) = over.filter(|_| !self.closes_innermost(tag)) {
                return self.leave_elements(p, id, over.prefix, i + 1);
            }
            if !self.elements.foreign {
                match Tag::read(tag) {
                    Tag::Open(name) => {
                        let name = name.to_owned();
                        self.open_element(rules, name, end);
                        return i + 1;
                    }
                    Tag::Close(name) => {
                        let name = name.to_owned();
                        self.close_element(&name, end);
                        return i + 1;
                    }
                    Tag::More => continue,
                    Tag::No => self.elements.foreign = true,
                }
            }
            let tag = &self.elements.tag[self.elements.prefix..];
            if rules.ends.iter().any(|over| over.text.starts_with(tag)) {
                continue;
            }
            // Text after all: the prefix is, and what follows it is looked at again.
            let (tag, prefix) = self.take_tag();
            self.element_text(&tag[..prefix], end - tag.len() as u64);
            self.at += i as u64 + 1;
            self.replay(p, &tag[prefix..]);
            self.at -= i as u64 + 1;
            return i + 1;
        }
        bytes.len()
    }

    /// The tag in hand, which ends, and the length of its prefix.
    fn take_tag(&mut self) -> (Vec<u8>, usize) {
        self.elements.foreign = false;
        (std::mem::take(&mut self.elements.tag), std::mem::take(&mut self.elements.prefix))
    }

    fn closes_innermost(&self, tag: &[u8]) -> bool {
        match (Tag::read(tag), self.elements.open.last()) {
            (Tag::Close(name), Some(element)) => element.name == name,
            _ => false,
        }
    }

    /// The arguments are over; the tag in hand is what follows them, and its prefix leads on. `used` bytes of the
    /// chunk belong to it.
    fn leave_elements(&mut self, p: &Program, id: RegionId, action: Option<u16>, used: usize) -> usize {
        let (tag, prefix) = self.take_tag();
        let end = self.at + used as u64;
        let start = end - tag.len() as u64;
        self.end_elements(start);
        // The prefix may have been a special token, which the bytes alone do not show.
        let rest = match action {
            Some(action) => {
                let action = p.actions[usize::from(action)].clone();
                if action.ends {
                    self.end_call(true, start);
                }
                if action.starts {
                    self.start_call(start, &tag, &[], self.resume);
                }
                self.arrive(p, &action, &tag[..prefix], start);
                &tag[prefix..]
            }
            None => {
                self.go(p, p.regions[usize::from(id)].done, start);
                &tag[..]
            }
        };
        self.at = end;
        self.replay(p, rest);
        self.at = end - used as u64;
        used
    }

    /// Gives the first `end` bytes of `pending` and `bytes` together to the innermost element.
    fn element_bytes(&mut self, bytes: &[u8], end: usize) {
        let held = std::mem::take(&mut self.pending);
        let from = held.len();
        self.element_text(&held[..end.min(from)], self.at - from as u64);
        if end > from {
            self.element_text(&bytes[..end - from], self.at);
        }
        self.pending = held;
    }

    fn element_text(&mut self, bytes: &[u8], at: u64) {
        if bytes.is_empty() {
            return;
        }
        let Some(element) = self.elements.open.last_mut() else {
            return self.element_junk(bytes, at);
        };
        match element.holds {
            Holds::Text => self.raw_text(bytes, at),
            Holds::Object | Holds::Array => self.element_junk(bytes, at),
            Holds::Open | Holds::Whole | Holds::Json => {
                if element.text.is_empty() {
                    element.text_at = at;
                }
                element.text.extend_from_slice(bytes);
                if element.holds == Holds::Open {
                    let Some(first) = bytes.iter().copied().find(|&byte| !is_ws(byte)) else { return };
                    element.holds = match decide(element.place.types, first, false) {
                        How::Text => Holds::Text,
                        How::Json => Holds::Json,
                        _ => Holds::Whole,
                    };
                }
                let types = element.place.types;
                if element.holds == Holds::Whole && may_spill(&element.text, types) {
                    element.holds = Holds::Text;
                }
                if element.holds == Holds::Text {
                    let (text, at) = (std::mem::take(&mut element.text), element.text_at);
                    self.args_text("\"");
                    self.raw_text(&text, at);
                }
            }
        }
    }

    /// Text where only tags may stand.
    fn element_junk(&mut self, bytes: &[u8], at: u64) {
        if self.elements.repeated.is_some() {
            return;
        }
        if let Some(first) = bytes.iter().position(|&byte| !is_ws(byte)) {
            self.junk_from.get_or_insert(at + first as u64);
        }
    }

    /// An opening tag ends at offset `end`.
    fn open_element(&mut self, rules: &ElementRules, name: String, end: u64) {
        let tool = self.call.as_ref().and_then(|call| call.name.clone()).unwrap_or_default();
        let types = |element: &Element| element.place.types;
        let nested = TypeSet::OBJECT | TypeSet::ARRAY;
        let mut junk = None;
        let start = end - self.elements.tag.len() as u64;
        if self.elements.open.len() >= MAX_DEPTH {
            return self.tag_is_text(end);
        }
        let place = match self.elements.open.last_mut() {
            None => {
                if let Some(call) = &mut self.call {
                    call.key.clone_from(&name);
                    call.key_span = Some((start, end));
                }
                self.open_value();
                self.elements.repeated =
                    self.call.as_ref().and_then(|call| call.repeated).map(|_| self.elements.open.len());
                self.tools.member(&tool, self.tools.root(&tool), &name)
            }
            Some(outer) if matches!(outer.holds, Holds::Text | Holds::Json) => return self.tag_is_text(end),
            Some(outer)
                if matches!(outer.holds, Holds::Open | Holds::Whole)
                    && (!types(outer).intersects(nested)
                        || outer.holds == Holds::Whole && types(outer).contains(TypeSet::STRING)) =>
            {
                return self.tag_is_text(end);
            }
            Some(outer) => {
                if matches!(outer.holds, Holds::Open | Holds::Whole) {
                    // Text in front of the first child, where there may be none.
                    let text = std::mem::take(&mut outer.text);
                    junk = (outer.holds == Holds::Whole).then_some((outer.text_at, text.len()));
                    let [object, array] =
                        [TypeSet::OBJECT, TypeSet::ARRAY].map(|of| types(outer).contains(of));
                    let is_array = array && (!object || name == rules.item);
                    outer.holds = if is_array { Holds::Array } else { Holds::Object };
                }
                let (place, index) = (outer.place, outer.count);
                let repeats = outer.holds == Holds::Object && !outer.keys.insert(name.clone());
                outer.count += usize::from(!repeats);
                let depth = self.elements.open.len();
                if repeats && self.elements.repeated.is_none() {
                    self.elements.repeated = Some(depth);
                    if let Some(call) = &mut self.call {
                        call.repeated = Some(start);
                    }
                }
                let Some(outer) = self.elements.open.last() else { return };
                let (open, place) = if outer.holds == Holds::Array {
                    (if index == 0 { "[" } else { ", " }.to_owned(), self.tools.item(&tool, place, index))
                } else {
                    let open = if index == 0 { "{" } else { ", " };
                    (format!("{open}{}: ", quote(&name)), self.tools.member(&tool, place, &name))
                };
                self.args_text(&open);
                place
            }
        };
        if let Some((from, len)) = junk {
            self.junk_from = Some(from);
            self.end_junk(from + len as u64);
        }
        let holds = if place.types == TypeSet::STRING { Holds::Text } else { Holds::Open };
        if holds == Holds::Text {
            self.args_text("\"");
        }
        self.take_tag();
        let (keys, text) = (BTreeSet::new(), Vec::new());
        self.elements.open.push(Element { name, place, holds, count: 0, keys, text, text_at: end });
    }

    /// A closing tag ends at offset `end`.
    fn close_element(&mut self, name: &str, end: u64) {
        match self.elements.open.iter().rposition(|element| element.name == name) {
            Some(depth) => {
                while self.elements.open.len() > depth {
                    self.end_element(end);
                }
            }
            None => {
                let container = |element: &Element| matches!(element.holds, Holds::Object | Holds::Array);
                if !self.elements.open.last().is_none_or(container) {
                    return self.tag_is_text(end);
                }
                self.junk_from = Some(end - self.elements.tag.len() as u64);
                self.end_junk(end);
            }
        }
        self.take_tag();
    }

    /// The tag in hand, which ends at offset `end`, is text.
    fn tag_is_text(&mut self, end: u64) {
        let (tag, _) = self.take_tag();
        self.element_text(&tag, end - tag.len() as u64);
    }

    /// The innermost element is closed, at offset `at`.
    fn end_element(&mut self, at: u64) {
        let Some(element) = self.elements.open.pop() else { return };
        let types = element.place.types;
        match element.holds {
            Holds::Text => self.args_text("\""),
            Holds::Object => self.args_text("}"),
            Holds::Array => self.args_text("]"),
            Holds::Open if !types.contains(TypeSet::STRING) => self.args_text(match () {
                () if types.contains(TypeSet::OBJECT) => "{}",
                () if types.contains(TypeSet::ARRAY) => "[]",
                () => "null",
            }),
            Holds::Open | Holds::Whole | Holds::Json => {
                let (text, from) = (element.text, element.text_at);
                if std::str::from_utf8(&text).is_err() {
                    self.out.malformed(from, from + text.len() as u64, MalformedReason::NotUtf8, &text[..]);
                }
                self.args_text(&typed(&String::from_utf8_lossy(&text), types, false));
            }
        }
        if self.elements.repeated == Some(self.elements.open.len()) {
            self.elements.repeated = None;
            self.member_over(at);
        }
    }

    fn end_elements(&mut self, at: u64) {
        while !self.elements.open.is_empty() {
            self.end_element(at);
        }
    }

    /// What waits is text, or a literal ends it.
    pub(super) fn settle_elements(&mut self, p: &Program, found: Option<Found>) {
        match found {
            Some(found) => {
                self.element_marker(p, found, &[]);
            }
            None => {
                self.element_bytes(&[], self.pending.len());
                self.pending.clear();
                self.search = Search::default();
            }
        }
    }

    /// The input ends inside the arguments. The beginning of a tag is no text.
    pub(super) fn finish_elements(&mut self) {
        self.elements.tag.clear();
        self.elements.prefix = 0;
    }
}

/// Whether a byte that is a character can be a part of a name.
fn may_name(byte: u8) -> bool {
    std::str::from_utf8(&[byte]).is_ok_and(|text| text == "/" || ElementsArgs::is_name(text))
}

/// What has come behind a prefix.
enum Tag<'a> {
    Open(&'a str),
    Close(&'a str),
    More,
    No,
}

impl Tag<'_> {
    fn read(text: &[u8]) -> Tag<'_> {
        let [b'<', rest @ ..] = text else { return Tag::No };
        let (name, closes) = match rest {
            [b'/', name @ ..] => (name, true),
            _ => (rest, false),
        };
        let [name @ .., b'>'] = name else {
            // What stands before the last byte was looked at when it came; the whole name is at its end.
            let fits = name.last().is_none_or(|&byte| byte >= 0x80 || may_name(byte));
            return if fits && name.len() < MAX_TAG { Tag::More } else { Tag::No };
        };
        match std::str::from_utf8(name) {
            Ok(name) if ElementsArgs::is_name(name) && closes => Tag::Close(name),
            Ok(name) if ElementsArgs::is_name(name) => Tag::Open(name),
            _ => Tag::No,
        }
    }
}
