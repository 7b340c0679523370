//! The call in progress: its name, its frame, its end.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use serde_json::Value;
use toolglot_format::{Channel, Event, FinishReason, HeaderWord, MalformedReason, Plan};
use toolglot_schema::{Node, NodeId, Options, Schema, TypeSet};

use super::out::Target;
use super::unmarked::is_in_name;
use super::{Machine, Mode, is_ws};
use crate::program::{NameRules, Program, RegionId, RegionKind, Search, Step};

/// Longest tool name; what is longer is none.
pub(super) const MAX_NAME: usize = 256;

/// What the parser must know of the tools.
#[derive(Debug)]
pub(crate) struct Tools {
    names: Vec<String>,
    /// The ASCII characters that names begin with, a bit each.
    first: u128,
    schemas: Vec<(Value, OnceCell<Option<Schema>>)>,
}

/// Whether the schema of a tool's arguments names this parameter.
fn names(document: &Value, key: &str) -> bool {
    document["properties"].get(key).is_some()
}

impl Tools {
    /// `schemas`: they are needed.
    pub(crate) fn new(plan: &Plan, schemas: bool) -> Self {
        let schemas = plan.tools.iter().filter(|_| schemas);
        let first = plan.tools.iter().filter_map(|tool| tool.name.bytes().next());
        Tools {
            names: plan.tools.iter().map(|tool| tool.name.clone()).collect(),
            first: first.filter(u8::is_ascii).fold(0, |all, byte| all | 1 << byte),
            schemas: schemas.map(|tool| (tool.parameters.clone(), OnceCell::new())).collect(),
        }
    }

    /// Always known when no tools were planned.
    pub(crate) fn is_known(&self, name: &str) -> bool {
        self.names.is_empty() || self.index(name).is_some()
    }

    /// Whether a planned tool has this name.
    pub(crate) fn is_planned(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Whether a name that [`Tools::is_known`] begins with the byte, which is ASCII.
    pub(super) fn begins(&self, byte: u8) -> bool {
        self.names.is_empty() || self.first >> (byte & 127) & 1 == 1
    }

    /// Whether the word of so many bytes is a name that [`Tools::is_known`], or (not `whole`) begins one.
    pub(super) fn could_be<'a>(
        &self,
        word: impl Iterator<Item = &'a u8> + Clone,
        len: usize,
        whole: bool,
    ) -> bool {
        let begins = |name: &String| {
            let start = name.as_bytes().get(..len).filter(|_| !whole || name.len() == len);
            start.is_some_and(|start| word.clone().eq(start))
        };
        self.names.is_empty() || self.names.iter().any(begins)
    }

    /// Whether a planned name begins with the word, outer white space aside, and goes on with the byte.
    fn go_on(&self, word: &[u8], byte: u8) -> bool {
        let word = word.trim_ascii_start();
        let rest =
            |name: &String| name.as_bytes().strip_prefix(word).and_then(|rest| rest.first()) == Some(&byte);
        !word.is_empty() && self.names.iter().any(rest)
    }

    /// Whether the tool declares this parameter.
    pub(super) fn declares(&self, tool: &str, key: &str) -> bool {
        let schema = self.index(tool).and_then(|tool| self.schemas.get(tool));
        schema.is_some_and(|(document, _)| names(document, key))
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The only tool that takes these arguments: it declares their keys, and they hold what it requires.
    fn infer(&self, arguments: &str) -> Option<String> {
        let arguments: Value = serde_json::from_str(arguments).ok()?;
        let keys = arguments.as_object()?;
        let mut fitting = self.schemas.iter().zip(&self.names).filter(|((document, _), _)| {
            let required = document.get("required").and_then(Value::as_array);
            let mut required = required.into_iter().flatten().filter_map(Value::as_str);
            keys.keys().all(|key| names(document, key)) && required.all(|key| keys.contains_key(key))
        });
        let (_, name) = fitting.next()?;
        fitting.next().is_none().then(|| name.clone())
    }

    fn schema(&self, tool: &str) -> Option<&Schema> {
        let (document, cell) = self.schemas.get(self.index(tool)?)?;
        #[expect(clippy::field_reassign_with_default, reason = "the struct is non-exhaustive")]
        let options = {
            let mut options = Options::default();
            options.lenient = true;
            options
        };
        cell.get_or_init(|| Schema::compile(document, &options).ok()).as_ref()
    }

    /// Where a call's arguments stand in its tool's schema.
    pub(crate) fn root(&self, tool: &str) -> Place {
        let node = self.schema(tool).map(Schema::root);
        Place { node, types: TypeSet::OBJECT }
    }

    /// The value of a member of the object at a place.
    pub(crate) fn member(&self, tool: &str, of: Place, key: &str) -> Place {
        let (Some(schema), Some(node)) = (self.schema(tool), of.node) else { return Place::default() };
        let types = schema.property_types(node, key);
        Place { node: schema.property(node, key), types: if types.is_empty() { TypeSet::ALL } else { types } }
    }

    /// An element of the array at a place.
    pub(crate) fn item(&self, tool: &str, of: Place, index: usize) -> Place {
        let (Some(schema), Some(node)) = (self.schema(tool), of.node) else { return Place::default() };
        let mut found = Vec::new();
        items(schema, node, index, &mut found);
        let types = found.iter().fold(TypeSet::NONE, |types, &id| types | schema.types(id));
        match found[..] {
            [] => Place::default(),
            [only] if !types.is_empty() => Place { node: Some(only), types },
            _ => Place { node: None, types: if types.is_empty() { TypeSet::ALL } else { types } },
        }
    }

    /// The types that a parameter may have. All of them for an unknown tool or parameter.
    pub(crate) fn types(&self, tool: &str, key: &str) -> TypeSet {
        let Some(schema) = self.schema(tool) else { return TypeSet::ALL };
        let types = schema.property_types(schema.root(), key);
        if types.is_empty() { TypeSet::ALL } else { types }
    }
}

/// A value in a tool's schema, and the types that it may have: all of them where the schema does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    node: Option<NodeId>,
    pub(crate) types: TypeSet,
}

impl Default for Place {
    fn default() -> Self {
        Place { node: None, types: TypeSet::ALL }
    }
}

/// The schemas that the element of an array has in the variants of a node.
fn items(schema: &Schema, node: NodeId, index: usize, found: &mut Vec<NodeId>) {
    match schema.node(node) {
        Node::AnyOf(variants) => variants.iter().for_each(|&variant| items(schema, variant, index, found)),
        Node::Array(rules) => {
            let item = rules.prefix.get(index).copied().unwrap_or(rules.items);
            if !found.contains(&item) {
                found.push(item);
            }
        }
        _ => {}
    }
}

#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) index: u32,
    /// Offset of the frame's first byte; weak framing in front of it, such as the bracket of a list, counts.
    pub(crate) start: u64,
    /// How long that weak framing is.
    lead: usize,
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    /// Whether the call was told of.
    pub(crate) started: bool,
    /// An id stands where the name should.
    pub(crate) nameless: bool,
    /// Whether markers show that this is a call; otherwise it may still turn out to be text.
    pub(crate) framed: bool,
    /// The name is one that the format lists.
    listed: bool,
    /// It begins a line, or the turn.
    apart: bool,
    /// The same, with no white space in front of it on the line.
    pub(crate) at_margin: bool,
    /// Nothing but framing stands between it and another call.
    pub(crate) behind_call: bool,
    /// Where text goes on if it does.
    pub(crate) resume: RegionId,
    /// Arguments: nothing yet, an object in the making (and how many keys it has), or done (and whether
    /// it is one whole JSON object).
    pub(crate) args: CallArgs,
    pub(crate) key: String,
    /// The keys that the arguments have.
    pub(crate) keys: BTreeSet<String>,
    /// A member whose key they have already is passed over: where it began.
    pub(crate) repeated: Option<u64>,
    /// Where the key stood, until its value comes.
    pub(crate) key_span: Option<(u64, u64)>,
    /// What a type word said about the next value: raw or JSON.
    pub(crate) value_raw: Option<bool>,
    /// The word stood before the key that it belongs to.
    pub(crate) word_first: bool,
    /// Junk from before the name was known, not reported yet.
    pub(crate) junk: Vec<(u64, u64, MalformedReason)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallArgs {
    None,
    /// An object written key by key.
    Keys(u32),
    /// JSON text as it comes.
    Open,
    Done {
        valid: bool,
    },
}

/// Whether the word is an id as other formats write them, copied from the conversation.
fn is_foreign_id(word: &str) -> bool {
    ["call_", "call-", "chatcmpl-tool-", "toolu_"].iter().any(|start| word.starts_with(start))
}

impl Machine {
    /// A call begins at offset `at`; `held` and `bytes` are the input from there.
    pub(super) fn start_call(&mut self, at: u64, held: &[u8], bytes: &[u8], resume: RegionId) {
        self.end_call(false, at);
        self.raw.clear();
        if self.weak_at + self.weak.len() as u64 == at {
            self.raw.append(&mut self.weak);
        }
        let lead = self.raw.len();
        let start = at - lead as u64;
        let breaks_line =
            held.iter().chain(bytes).take_while(|byte| is_ws(**byte)).any(|&byte| byte == b'\n');
        self.raw_from = start;
        self.raw.extend_from_slice(held);
        self.raw.extend_from_slice(bytes);
        // In front of framing, the format says how much there may be.
        let space = self.raw.iter().take_while(|byte| lead == 0 && is_ws(**byte)).last();
        self.call = Some(CallState {
            index: self.calls,
            start,
            lead,
            listed: false,
            at_margin: space.map_or(self.out.at_line_start(), |&last| last == b'\n'),
            behind_call: self.behind_call,
            apart: self.out.at_line_start() || self.raw[..lead].contains(&b'\n') || breaks_line,
            name: None,
            id: None,
            started: false,
            nameless: false,
            framed: false,
            resume,
            args: CallArgs::None,
            key: String::new(),
            keys: BTreeSet::new(),
            repeated: None,
            key_span: None,
            value_raw: None,
            word_first: false,
            junk: Vec::new(),
        });
    }

    /// The name was read; the call is told of once something else shows that it is one.
    pub(super) fn name(&mut self, name: Vec<u8>, at: u64) {
        let name = self.decode(name, at);
        let Some(call) = &mut self.call else { return };
        if !call.started {
            call.name = Some(name);
        } else if call.name.as_ref() != Some(&name) {
            // A second name is none.
            self.out.malformed(at, at + name.len() as u64, MalformedReason::Unexpected, name);
        }
    }

    /// The word that holds the name was read.
    fn name_word(&mut self, rules: &NameRules, word: Vec<u8>, at: u64) {
        let word = match &rules.doubled {
            Some(between) => self.once(word, between),
            None => word,
        };
        if rules.header.is_none() && rules.escape.is_none() {
            return self.name(word, at);
        }
        let word = self.decode(word, at);
        let word = rules.escape.map_or(word.clone(), |escape| escape.read(&word));
        let Some(header) = &rules.header else { return self.name(word.into_bytes(), at) };
        if word.starts_with(['{', '[']) {
            // The arguments, or what should be them: no tool is called so.
            return;
        }
        let HeaderWord { name, index, prefixed } = header.read(&word);
        let framed = prefixed || index.is_some();
        let bare = name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit());
        let nameless = bare || !framed && is_foreign_id(name);
        if self.tools.is_planned(name) || !nameless {
            self.name(name.to_owned().into_bytes(), at);
        } else if let Some(call) = &mut self.call {
            call.nameless = true;
        }
        self.id(word.into_bytes(), at);
    }

    /// A planned name that stands there twice is the name.
    fn once(&self, mut word: Vec<u8>, between: &str) -> Vec<u8> {
        let half = word.len().saturating_sub(between.len()) / 2;
        let (first, rest) = word.split_at(half);
        let twice = rest.strip_prefix(between.as_bytes()) == Some(first);
        let planned = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| self.tools.is_planned(name));
        if twice && planned(first) && !planned(&word) {
            word.truncate(half);
        }
        word
    }

    /// What stands in a name's place is a word of the format, up to offset `at`: so far there is no call, and
    /// its bytes are given back when nothing comes of them.
    fn no_name(&mut self, at: u64) {
        let Some(start) = self.call.as_ref().map(|call| call.start) else { return };
        let raw = self.raw_of(start.max(self.out.mute_until), at);
        self.weak = raw;
        self.weak_at = start.max(self.out.mute_until);
    }

    /// A call that came with an id but without a name: the tool that its arguments fit, if it is the only one.
    fn infer_name(&mut self) {
        let Some(call) = &mut self.call else { return };
        if call.nameless && call.name.is_none() {
            call.name = self.tools.infer(self.out.held());
        }
    }

    /// The name just read is one of those that the format lists.
    pub(super) fn listed_name(&mut self) {
        if let Some(call) = &mut self.call {
            call.listed = true;
        }
    }

    /// Whether the open call, so far framed by nothing but what ordinary text also holds, can be one: its tool
    /// is known, a marker announced it, or it stands at the start of a line or right behind another call.
    pub(super) fn is_plausible(&self) -> bool {
        let Some(call) = &self.call else { return true };
        let planned = || call.name.as_ref().is_some_and(|name| self.tools.is_planned(name));
        call.framed
            || call.started
            || call.listed
            || call.apart
            || call.behind_call
            || self.in_block
            || planned()
    }

    /// Whether the name alone shows that this is a call: a tool on offer has it, no tools are known, or the calls
    /// have begun.
    pub(super) fn is_on_offer(&self, name: &[u8]) -> bool {
        let known = || std::str::from_utf8(name).is_ok_and(|name| self.tools.is_known(name));
        self.call.as_ref().is_some_and(|call| call.behind_call) || known()
    }

    /// Whether the open call, whose name begins at offset `at`, begins with text that is no marker, while tokens tell
    /// markers from text: then it is text. A marker that was left out can only be missing where they do not.
    fn is_spelled_out(&self, at: u64) -> bool {
        self.plain && self.call.as_ref().is_some_and(|call| !call.framed && call.start < at)
    }

    /// The id was read. Whether it is the call's: a second one is none.
    pub(super) fn id(&mut self, id: Vec<u8>, at: u64) -> bool {
        let id = self.decode(id, at);
        let Some(call) = &mut self.call else { return true };
        if id.is_empty() || call.id.is_some() {
            return id.is_empty() || call.id.as_ref() == Some(&id);
        }
        call.id = Some(id.clone());
        if call.started {
            let event = Event::CallId { index: call.index, id };
            self.out.event(event);
        }
        true
    }

    /// UTF-8 or replacement characters and a report.
    fn decode(&mut self, bytes: Vec<u8>, at: u64) -> String {
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let bytes = error.into_bytes();
                self.out.malformed(at, at + bytes.len() as u64, MalformedReason::NotUtf8, &bytes[..]);
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    /// Tells of the call if its name is known.
    pub(super) fn confirm_name(&mut self) {
        let Some(call) = &mut self.call else { return };
        if call.started {
            return;
        }
        let Some(name) = &call.name else { return };
        call.started = true;
        self.behind_call = true;
        self.calls += 1;
        self.weak.clear();
        let known = self.tools.is_known(name);
        let (index, name, id) = (call.index, name.clone(), call.id.clone());
        let junk = std::mem::take(&mut call.junk);
        self.report_junk(junk);
        self.out.event(Event::CallStart { index, name, id, known });
        let held = self.out.take_held();
        if !held.is_empty() {
            self.out.text(Target::Arguments(index), &held);
        }
    }

    /// Where the open call's arguments go.
    #[inline]
    pub(super) fn args_target(&self) -> Target {
        match &self.call {
            Some(call) if call.repeated.is_some() => Target::Nowhere,
            Some(call) if call.started => Target::Arguments(call.index),
            _ => Target::Held,
        }
    }

    pub(super) fn args_text(&mut self, text: &str) {
        let target = self.args_target();
        self.out.text(target, text);
    }

    #[inline]
    pub(super) fn args_bytes(&mut self, bytes: &[u8], at: u64) {
        let target = self.args_target();
        self.out.bytes(target, bytes, at);
    }

    /// A member with this key, which began at offset `from`, comes. Whether the arguments have it already: then it
    /// is passed over.
    pub(super) fn repeats(&mut self, key: &str, from: u64) -> bool {
        let Some(call) = &mut self.call else { return false };
        let repeats = call.keys.contains(key);
        if repeats {
            call.repeated = Some(from);
        } else {
            call.keys.insert(key.to_owned());
        }
        repeats
    }

    /// The value of a member ended at offset `at`.
    pub(super) fn member_over(&mut self, at: u64) {
        if let Some(from) = self.call.as_mut().and_then(|call| call.repeated.take()) {
            self.junk_from = Some(from);
            self.end_junk(at);
        }
    }

    /// Ends the open call, if there is one. `whole`: its frame ended as it should.
    pub(super) fn end_call(&mut self, whole: bool, at: u64) {
        self.close_value();
        self.end_junk(at);
        self.member_over(at);
        self.lost_key();
        self.infer_name();
        if self.call.as_ref().is_some_and(|call| call.framed || call.started) {
            self.confirm_name();
        }
        let Some(call) = self.call.take() else { return };
        if !call.started {
            let raw = self.raw_of(call.start.max(self.out.mute_until), at);
            self.out.take_held();
            self.give_back_weak();
            self.out.bytes(Target::Text(Channel::Content), &raw, call.start.max(self.out.mute_until));
            if call.framed {
                self.out.malformed(call.start, at, MalformedReason::NoName, raw);
            }
            return;
        }
        let target = Target::Arguments(call.index);
        let complete = match call.args {
            CallArgs::None => {
                self.out.text(target, "{}");
                whole
            }
            CallArgs::Keys(0) => {
                self.out.text(target, "{}");
                whole
            }
            CallArgs::Keys(_) => {
                self.out.text(target, "}");
                whole
            }
            CallArgs::Open => false,
            CallArgs::Done { valid } => valid,
        };
        self.out.event(Event::CallEnd { index: call.index, complete });
    }

    /// We are outside calls. One that was not told of was only an alternative that began alike.
    pub(super) fn no_call(&mut self, at: u64) {
        match &self.call {
            None => {}
            Some(call) if call.started || call.nameless || call.name.is_some() => self.end_call(true, at),
            Some(_) => {
                self.end_junk(at);
                let Some(call) = self.call.take() else { return };
                if call.lead > 0 {
                    self.weak = self.raw_of(call.start, call.start + call.lead as u64);
                    self.weak_at = call.start;
                }
                self.report_junk(call.junk);
                self.out.take_held();
            }
        }
    }

    /// Reports what is wrong in the open call's bytes, once it is known to be a call.
    pub(super) fn report(&mut self, from: u64, to: u64, reason: MalformedReason) {
        match &mut self.call {
            // Without a name the whole frame may have to be given back.
            Some(call) if !call.started => call.junk.push((from, to, reason)),
            _ => {
                let raw = self.raw_of(from, to);
                self.out.malformed(from, to, reason, raw);
            }
        }
    }

    fn report_junk(&mut self, junk: Vec<(u64, u64, MalformedReason)>) {
        for (from, to, reason) in junk {
            let raw = self.raw_of(from, to);
            self.out.malformed(from, to, reason, raw);
        }
    }

    /// A key without a value is reported.
    fn lost_key(&mut self) {
        let span = self.call.as_mut().and_then(|call| call.key_span.take());
        if let Some((from, to)) = span {
            self.junk_from = Some(from);
            self.end_junk(to);
        }
    }

    /// The call that looked like one is none: its bytes up to `at` are text.
    pub(super) fn give_back(&mut self, p: &Program, at: u64) {
        let Some(call) = self.call.take() else { return };
        self.forget_value();
        self.out.take_held();
        self.junk_from = None;
        self.give_back_weak();
        let from = call.start.max(self.out.mute_until);
        let raw = self.raw_of(from, at);
        let channel = match p.regions[usize::from(call.resume)].kind {
            RegionKind::Text(channel) => channel,
            _ => Channel::Content,
        };
        self.out.bytes(Target::Text(channel), &raw, from);
        self.enter(p, call.resume);
    }

    /// The input ended inside a call.
    pub(super) fn cut_call(&mut self, p: &Program, reason: FinishReason, at: u64) {
        self.close_value();
        self.infer_name();
        let Some(call) = &self.call else { return };
        let (start, framed, started) = (call.start, call.framed, call.started);
        if !framed && !started {
            return self.give_back(p, at);
        }
        let stopped = reason == FinishReason::Stop;
        if call.name.is_none() && stopped {
            return self.end_call(false, at);
        }
        if call.name.is_none() {
            let raw = self.take_raw(start, at);
            self.call = None;
            self.junk_from = None;
            self.out.take_held();
            self.out.malformed(start, at, MalformedReason::CutOff, raw);
            return;
        }
        let state = match self.mode {
            Mode::At(state) => Some(state),
            Mode::In(region) => {
                let region = &p.regions[usize::from(region)];
                (region.kind == RegionKind::Junk).then_some(region.done)
            }
        };
        let ends = state.map(|state| &p.states[usize::from(state)]);
        let ends = ends.is_some_and(|state| if stopped { state.ends_at_stop } else { state.ends });
        if ends && call.args != CallArgs::Open {
            return self.end_call(true, at);
        }
        // The report covers what fits nothing, too.
        self.junk_from = None;
        self.give_comma();
        self.confirm_name();
        let Some(call) = self.call.take() else { return };
        let raw = self.take_raw(start, at);
        self.out.malformed(start, at, MalformedReason::CutOff, raw);
        self.out.event(Event::CallEnd { index: call.index, complete: false });
    }

    // ---- names, ids and keys ----

    pub(super) fn in_word(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        let scan = region.expected.scan(self.plain);
        let (end, found) = match self.search.run(scan, bytes, self.pending.len()) {
            Step::Found(found) => (found.start, true),
            Step::More(hold) => (hold, false),
        };
        if let RegionKind::Name(_) = region.kind {
            let framed = self.call.as_ref().is_some_and(|call| call.framed);
            for i in 0..end {
                if !self.name_takes(self.byte(bytes, i), framed) {
                    return self.leave_word(p, id, i);
                }
            }
        } else {
            self.word.extend(self.pending.iter().chain(bytes).take(end));
        }
        if found {
            // A planned name may hold what would end it, such as a space.
            let byte = self.byte(bytes, end);
            if matches!(region.kind, RegionKind::Name(_)) && self.tools.go_on(&self.word, byte) {
                self.word.push(byte);
                self.search = Search::default();
                let held = std::mem::take(&mut self.pending);
                return self.again(p, held, end + 1);
            }
            return self.end_word(p, id, end);
        }
        self.hold(bytes, end, end);
        bytes.len()
    }

    /// Adds a byte to a tool's name if it can be one. Without a frame it must look like an identifier.
    fn name_takes(&mut self, byte: u8, framed: bool) -> bool {
        let last = self.word.last().copied();
        let good = if is_ws(byte) {
            true
        } else if last.is_some_and(|last| last == b'\n' || is_ws(last) && !framed)
            && !self.word.trim_ascii().is_empty()
        {
            false
        } else {
            framed || is_in_name(byte)
        };
        if good && self.word.len() < MAX_NAME {
            self.word.push(byte);
            return true;
        }
        false
    }

    /// The word is no name: from offset `end` of `pending` and `bytes` on, the input is read as something
    /// else.
    fn leave_word(&mut self, p: &Program, id: RegionId, end: usize) -> usize {
        let held = std::mem::take(&mut self.pending);
        let at = self.at + end as u64 - held.len() as u64;
        let word_at = at - self.word.len() as u64;
        let done = p.regions[usize::from(id)].done;
        if self.call.as_ref().is_some_and(|call| call.framed) {
            self.junk_from.get_or_insert(word_at);
        }
        self.unfit(p, done, at);
        self.again(p, held, end)
    }

    /// Runs the held bytes behind `end` again; gives back how many of the bytes behind them are used.
    pub(super) fn again(&mut self, p: &Program, held: Vec<u8>, end: usize) -> usize {
        let used = end.saturating_sub(held.len());
        self.replay(p, held.get(end..).unwrap_or_default());
        self.reuse(held);
        used
    }

    /// The word ends in front of offset `end` of `pending` and `bytes`. What ends it is looked at again,
    /// now that the word may have narrowed what can follow.
    pub(super) fn end_word(&mut self, p: &Program, id: RegionId, end: usize) -> usize {
        let region = &p.regions[usize::from(id)];
        let word = self.word.trim_ascii().to_vec();
        let at = self.pending_at() + end as u64;
        let word_at = at - self.word.len() as u64;
        let mut next = region.done;
        match &region.kind {
            RegionKind::Name(rules) => {
                let listed = region.by_name.iter().find(|named| {
                    named.names.is_empty() || named.names.iter().any(|name| name.as_bytes() == word)
                });
                let fits = !word.is_empty()
                    && (!rules.offered || self.is_on_offer(&word) && !self.is_spelled_out(word_at));
                let Some(named) = listed.filter(|_| fits) else {
                    return self.leave_word(p, id, end);
                };
                next = named.then;
                if named.word {
                    self.no_name(at);
                } else {
                    self.name_word(rules, word, word_at);
                    if !named.names.is_empty() {
                        self.listed_name();
                    }
                }
            }
            RegionKind::Id => {
                if !self.id(word, word_at) {
                    self.junk_from = Some(word_at);
                    self.end_junk(at);
                }
            }
            RegionKind::Type(words) => {
                let known = std::str::from_utf8(&word).ok().and_then(|word| words.is_raw(word));
                if let Some(call) = &mut self.call {
                    call.value_raw = known;
                    call.word_first = call.key_span.is_none();
                }
                if known.is_none() {
                    self.junk_from = Some(word_at);
                    self.end_junk(at);
                }
            }
            kind => {
                self.lost_key();
                let key = self.decode(word, word_at);
                let key = match kind {
                    RegionKind::Key(Some(escape)) => escape.read(&key),
                    _ => key,
                };
                if let Some(call) = &mut self.call {
                    call.key = key;
                    call.key_span = Some((word_at, at));
                    if !std::mem::take(&mut call.word_first) {
                        call.value_raw = None;
                    }
                }
            }
        }
        let held = std::mem::take(&mut self.pending);
        self.word.clear();
        self.go(p, next, at);
        self.again(p, held, end)
    }
}
