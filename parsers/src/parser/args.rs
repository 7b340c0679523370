//! Arguments as one object in any notation, as Python keywords, and as raw text: the regions whose bytes are
//! the arguments.

use toolglot_format::{FinishReason, Lit, MalformedReason};

use super::call::CallArgs;
use super::escape::{Unescape, escape};
use super::json::Met;
use super::json::{empty_strings, plain_run};
use super::literal::{Around, Literal, Met as LiteralMet, Sink};
use super::out::{Out, Target};
use super::{Json, Machine, Mode, Steady, is_ws};
use crate::program::{Found, Program, Region, RegionId, RegionKind, Search, Step};
use toolglot_schema::TypeSet;

/// How the arguments of the open call come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgsState {
    /// Nothing but white space so far.
    Start,
    /// JSON, byte for byte, from this offset.
    Json(u64),
    /// In another notation, from this offset; given out as JSON.
    Literal(u64),
    /// A JSON string that holds the JSON, and its quote.
    Quoted(u64, Unescape, u8),
    /// The word `null` or `None`, or the beginning of it: how many bytes.
    Null(u64, &'static [u8], u8),
    /// JSON from this offset on, inside a comment.
    Comment(u64, Comment),
    Done,
}

/// A comment in JSON, as other notations have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comment {
    /// The slash, so far.
    Slash,
    /// `//` up to the end of the line.
    Line,
    /// Between `/*` and `*/`; whether the last byte was a star.
    Block(bool),
    /// Its last byte came.
    Over,
}

impl Comment {
    /// What it is with another byte; `None` where it is none. `len`: of what has come.
    fn next(self, byte: u8, len: usize) -> Option<Comment> {
        Some(match (self, byte) {
            (Comment::Slash, b'/') if len == 0 => Comment::Slash,
            (Comment::Slash, b'/') => Comment::Line,
            (Comment::Slash, b'*') if len > 0 => Comment::Block(false),
            (Comment::Line, b'\n') | (Comment::Block(true), b'/') => Comment::Over,
            (Comment::Line, _) => Comment::Line,
            (Comment::Block(_), byte) => Comment::Block(byte == b'*'),
            _ => return None,
        })
    }
}

impl Machine {
    pub(super) fn start_json(&mut self, _p: &Program) {
        self.args = ArgsState::Start;
        self.json.reset();
        self.inner.reset();
        self.comma.clear();
    }

    /// Arguments as an object or as keywords, between markers.
    pub(super) fn in_json(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        if self.pending.is_empty() && self.search.node == 0 {
            if self.args == ArgsState::Start && !is_ws(bytes[0]) && !b"{[\"'nN".contains(&bytes[0]) {
                self.begin_args();
                self.args = ArgsState::Json(self.at);
            }
            let (used, more) = self.json_args(region, bytes);
            match more {
                Args::More => return used,
                Args::End => {
                    self.go(p, region.done, self.at + used as u64);
                    return used;
                }
                Args::Literal(which) => {
                    // It ends the arguments; what is behind them reads it again.
                    let text = region.markers.as_ref().map_or(&[][..], |markers| markers.text(which));
                    let at = self.at + used as u64;
                    self.go(p, region.done, at - text.len() as u64);
                    self.at = at;
                    self.replay(p, text);
                    self.at -= used as u64;
                    return used;
                }
                Args::Broken if !self.comment.is_empty() => {
                    self.at += used as u64;
                    self.no_comment(p);
                    self.at -= used as u64;
                    return used;
                }
                Args::Broken if used > 0 => return used,
                Args::Broken => {}
            }
        }
        self.in_broken(p, id, bytes)
    }

    /// A value that is no JSON, outside its strings: a marker may come at any byte.
    pub(super) fn in_broken(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        let scan = region.expected.scan(self.plain);
        let from = self.pending.len();
        let mut i = 0;
        let mut node = self.search.node;
        while let Some(&byte) = bytes.get(i) {
            let next = scan.step(node, byte);
            if self.search.found.is_none() && scan.is_dull(next) {
                node = next;
            } else {
                self.search.node = node;
                if let Step::Found(found) = self.search.run(scan, &bytes[i..=i], from + i) {
                    self.emit_args(bytes, found.start);
                    self.end_args(false, self.pending_at() + found.start as u64);
                    return self.reach(p, found, found.start, bytes);
                }
                node = self.search.node;
            }
            i += 1;
            if !Json::is_structure(byte) || !self.json.broken(byte) {
                continue;
            }
            if self.json.done() {
                self.emit_args(bytes, from + i);
                self.pending.clear();
                self.search = Search::default();
                let at = self.at + i as u64;
                self.end_args(false, at);
                match region.kind {
                    RegionKind::Object(_) => self.object_goes_on(),
                    _ => self.go(p, region.done, at),
                }
                return i;
            }
            // A string began: what waits is no marker, and none stands in the string.
            self.search = Search::default();
            node = 0;
            let string = self.json.short_text(&bytes[i..]);
            if string > 0 {
                i += string;
                if string == 1 && !scan.begins(b'"') {
                    i += empty_strings(&bytes[i..]);
                }
                continue;
            }
            let (used, met) = self.json.run(&bytes[i..]);
            i += used;
            if met == Met::Control {
                self.emit_args(bytes, from + i);
                self.pending.clear();
                return i;
            }
        }
        self.search.node = node;
        let hold = from + bytes.len() - scan.depth(self.search.node);
        let hold = self.search.found.map_or(hold, |found| hold.min(found.start));
        self.emit_args(bytes, hold);
        self.hold(bytes, hold, hold);
        bytes.len()
    }

    /// Gives out the first `end` bytes of `pending` and `bytes` together as arguments.
    fn emit_args(&mut self, bytes: &[u8], end: usize) {
        self.joined(bytes, end, Self::args_bytes);
    }

    fn begin_args(&mut self) {
        if let Some(call) = &mut self.call {
            call.args = CallArgs::Open;
        }
    }

    /// The arguments end at offset `at`. `valid`: they are one whole JSON object.
    pub(super) fn end_args(&mut self, valid: bool, at: u64) {
        let from = match self.args {
            ArgsState::Json(from)
            | ArgsState::Literal(from)
            | ArgsState::Comment(from, ..)
            | ArgsState::Quoted(from, ..) => Some(from),
            _ => None,
        };
        self.args = ArgsState::Done;
        self.give_comma();
        if let Some(call) = &mut self.call
            && call.args == CallArgs::Open
        {
            call.args = CallArgs::Done { valid };
            if let (false, Some(from)) = (valid, from) {
                self.report(from, at, MalformedReason::InvalidArguments);
            }
        }
    }

    /// Takes bytes of one value that is a call's arguments.
    #[inline]
    pub(super) fn json_args(&mut self, region: &Region, bytes: &[u8]) -> (usize, Args) {
        if let ArgsState::Json(_) = self.args
            && self.json.in_plain_text()
            && plain_run(bytes) == bytes.len()
        {
            self.args_bytes(bytes, self.at);
            if !self.json.take_plain(bytes) {
                self.steady = Steady::Args;
            }
            return (bytes.len(), Args::More);
        }
        self.any_args(region, bytes)
    }

    fn any_args(&mut self, region: &Region, bytes: &[u8]) -> (usize, Args) {
        let mut i = 0;
        while i < bytes.len() {
            match self.args {
                ArgsState::Start => {
                    let byte = bytes[i];
                    let at = self.at + i as u64;
                    match byte {
                        _ if is_ws(byte) => i += 1,
                        b'"' | b'\'' => {
                            self.args = ArgsState::Quoted(at, Unescape::default(), byte);
                            i += 1;
                        }
                        b'n' | b'N' => {
                            let word: &[u8] = if byte == b'n' { b"null" } else { b"None" };
                            self.args = ArgsState::Null(at, word, 1);
                            i += 1;
                        }
                        b'{' if region.markers.is_some() => {
                            self.begin_args();
                            self.args = ArgsState::Literal(at);
                            self.literal.begin_marked();
                        }
                        _ => {
                            self.begin_args();
                            self.args = ArgsState::Json(at);
                        }
                    }
                }
                ArgsState::Json(from) => {
                    let (used, met) = self.json.run(&bytes[i..]);
                    self.json_bytes(&bytes[i..i + used], self.at + i as u64);
                    i += used;
                    match met {
                        Met::More => {}
                        Met::End | Met::EndBefore => {
                            let valid = self.json.valid && self.json.object;
                            self.end_mended(valid, self.json.mended, self.at + i as u64);
                            return (i, Args::End);
                        }
                        Met::Control => i += self.control_bytes(&bytes[i..], self.at + i as u64),
                        Met::Invalid if self.json.take_trailing() => self.comma.clear(),
                        Met::Invalid if self.json.take_comment() => {
                            self.comment_at = self.at + i as u64;
                            self.args = ArgsState::Comment(from, Comment::Slash);
                        }
                        Met::Invalid => match self.json.take_foreign() {
                            Some(key) if self.json.object => {
                                self.give_comma();
                                self.literal.go_on(self.json.brackets(), key);
                                self.args = ArgsState::Literal(from);
                            }
                            _ => {
                                self.give_comma();
                                return (i, Args::Broken);
                            }
                        },
                    }
                }
                ArgsState::Comment(from, state) => {
                    let ended = self.comment_byte(region, bytes[i]);
                    match state.next(bytes[i], self.comment.len() - 1).filter(|_| !ended) {
                        None => {
                            self.comment.pop();
                            self.json.break_off(self.json.brackets().count(), true);
                            self.args = ArgsState::Json(from);
                            return (i, Args::Broken);
                        }
                        Some(Comment::Over) => {
                            self.comment.clear();
                            self.json.mended = true;
                            self.args = ArgsState::Json(from);
                        }
                        Some(state) => self.args = ArgsState::Comment(from, state),
                    }
                    i += 1;
                }
                ArgsState::Literal(from) => {
                    let (used, met) = self.read_literal(region, &bytes[i..], self.at + i as u64);
                    i += used;
                    let at = self.at + i as u64;
                    match met {
                        LiteralMet::More => {}
                        LiteralMet::End => {
                            self.end_literal(at);
                            return (i, Args::End);
                        }
                        LiteralMet::Literal(which) => {
                            let len = region.markers.as_ref().map_or(0, |markers| markers.text(which).len());
                            self.end_literal(at - len as u64);
                            return (i, Args::Literal(which));
                        }
                        LiteralMet::Broken => {
                            // Keyword arguments end where a marker ends them, whatever brackets say.
                            let depth = self.literal.depth() + usize::from(self.literal.is_keywords());
                            self.json.break_off(depth, region.markers.is_none());
                            self.args = ArgsState::Json(from);
                            return (i, Args::Broken);
                        }
                    }
                }
                ArgsState::Quoted(from, mut state, quote) => {
                    let direct = state == Unescape::Plain && quote == b'"';
                    let plain = if direct { plain_run(&bytes[i..]) } else { 0 };
                    if plain > 0 {
                        self.quoted_args(&bytes[i..i + plain], self.at + i as u64);
                        i += plain;
                        continue;
                    }
                    // One byte at a time, so that what it stands for has its place.
                    let mut inner = Vec::new();
                    let (_, ended) = state.run(&bytes[i..=i], quote, &mut inner);
                    self.args = ArgsState::Quoted(from, state, quote);
                    self.quoted_args(&inner, self.at + i as u64);
                    i += 1;
                    if ended {
                        let empty = self.call.as_ref().is_some_and(|call| call.args == CallArgs::None);
                        if !empty {
                            let valid = self.inner.complete() && self.inner.object;
                            self.end_mended(valid, self.inner.mended, self.at + i as u64);
                        }
                        self.args = ArgsState::Done;
                        return (i, Args::End);
                    }
                }
                ArgsState::Null(from, word, seen) => {
                    let byte = bytes[i];
                    if word.get(usize::from(seen)) == Some(&byte) {
                        i += 1;
                        self.args = ArgsState::Null(from, word, seen + 1);
                        if seen == 3 {
                            self.args = ArgsState::Done;
                            return (i, Args::End);
                        }
                    } else {
                        self.begin_args();
                        self.args = ArgsState::Json(from);
                        let word = &word[..usize::from(seen)];
                        self.json.run(word);
                        self.args_bytes(word, from);
                    }
                }
                ArgsState::Done => return (i, Args::End),
            }
        }
        (i, Args::More)
    }

    /// Gives out bytes of JSON, but for a comma that may turn out to be one too many.
    #[inline]
    fn json_bytes(&mut self, bytes: &[u8], at: u64) {
        if !self.json.behind_comma() && self.comma.is_empty() {
            return self.args_bytes(bytes, at);
        }
        let end = bytes.trim_ascii_end().len();
        let keep = match bytes[..end].last() {
            _ if !self.json.behind_comma() => bytes.len(),
            None => 0,
            Some(_) => end - 1,
        };
        if keep > 0 {
            self.give_comma();
            self.args_bytes(&bytes[..keep], at);
        }
        if self.comma.is_empty() {
            self.comma_at = at + keep as u64;
        }
        self.comma.extend_from_slice(&bytes[keep..]);
    }

    /// Gives out the inside of a JSON string from a control character on, up to what means something in it. How many
    /// bytes that is.
    fn control_bytes(&mut self, bytes: &[u8], at: u64) -> usize {
        let end = bytes.iter().position(|&byte| byte == b'"' || byte == b'\\').unwrap_or(bytes.len());
        // The first byte was looked at.
        self.json.take_plain(&bytes[1..end]);
        self.raw_text(&bytes[..end], at);
        end
    }

    /// The comma that waits is no more than one.
    pub(super) fn give_comma(&mut self) {
        if !self.comma.is_empty() {
            let comma = std::mem::take(&mut self.comma);
            self.args_bytes(&comma, self.comma_at);
            self.comma = comma;
            self.comma.clear();
        }
        if !self.comment.is_empty() {
            // A comment that does not end is none.
            let comment = std::mem::take(&mut self.comment);
            self.args_bytes(&comment, self.comment_at);
        }
    }

    /// A byte of what looks like a comment. Whether it ends a marker, which ends the arguments wherever it stands.
    fn comment_byte(&mut self, region: &Region, byte: u8) -> bool {
        let scan = region.expected.scan(self.plain);
        if self.comment.is_empty() || self.comment_plain != self.plain {
            // Longer than any marker.
            let tail = self.comment.len().saturating_sub(256);
            self.comment_node = scan.walk(0, &self.comment[tail..]);
            self.comment_plain = self.plain;
        }
        self.comment_node = scan.step(self.comment_node, byte);
        self.comment.push(byte);
        let literal = scan.ends(self.comment_node, self.comment.len());
        let text = literal.and_then(|found| std::str::from_utf8(&self.comment[found.start..found.end]).ok());
        text.is_some_and(Lit::is_distinctive)
    }

    /// What looked like a comment is none: the bytes that were taken for one are looked at again, in front of the next
    /// one. Whether there are any.
    pub(super) fn no_comment(&mut self, p: &Program) -> bool {
        let held = std::mem::take(&mut self.comment);
        if held.is_empty() {
            return false;
        }
        self.give_comma();
        self.replay(p, &held);
        true
    }

    /// The decoded inside of a JSON string that holds the arguments.
    fn quoted_args(&mut self, inner: &[u8], at: u64) {
        let mut rest = inner;
        while let Some(&first) = rest.first() {
            let at = at + (inner.len() - rest.len()) as u64;
            if self.inner.valid && !self.inner.begun() && is_ws(first) {
                rest = &rest[1..];
                continue;
            }
            if let Some(call) = &mut self.call {
                call.args = CallArgs::Open;
            }
            if !self.inner.valid || self.inner.done() {
                let target = self.args_target();
                self.out.bytes(target, rest, at);
                if rest.iter().any(|&byte| !is_ws(byte)) {
                    self.inner.valid = false;
                }
                return;
            }
            let (used, met) = self.inner.run(rest);
            let target = self.args_target();
            self.out.bytes(target, &rest[..used], at);
            rest = &rest[used..];
            if met == Met::Control {
                self.out.text(target, escape(rest[0]));
                rest = &rest[1..];
            }
        }
    }

    // ---- raw ----

    pub(super) fn start_raw(&mut self, _p: &Program, key: &str) {
        let open = format!("{{{}: \"", super::escape::quote(key));
        if let Some(call) = &mut self.call {
            call.args = CallArgs::Open;
        }
        self.args_text(&open);
    }

    /// Text that is the value of one parameter.
    pub(super) fn in_raw(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        let scan = region.expected.scan(self.plain);
        match self.search.run(scan, bytes, self.pending.len()) {
            Step::Found(found) => {
                let end = if p.actions[usize::from(found.action)].ws {
                    self.trim_end(bytes, found.start)
                } else {
                    found.start
                };
                self.emit_raw(bytes, end);
                self.end_raw();
                self.reach(p, found, end, bytes)
            }
            Step::More(hold) => {
                let end = if region.ws { self.trim_end(bytes, hold) } else { hold };
                self.emit_raw(bytes, end);
                self.hold(bytes, end, hold);
                bytes.len()
            }
        }
    }

    pub(super) fn end_raw(&mut self) {
        self.args_text("\"}");
        if let Some(call) = &mut self.call {
            call.args = CallArgs::Done { valid: true };
        }
    }

    /// Gives out the first `end` bytes of `pending` and `bytes` as the inside of a JSON string.
    pub(super) fn emit_raw(&mut self, bytes: &[u8], end: usize) {
        self.joined(bytes, end, Self::raw_text);
    }

    #[inline]
    pub(super) fn raw_text(&mut self, bytes: &[u8], at: u64) {
        let target = self.args_target();
        self.out.escaped(target, bytes, at);
    }

    // ---- other notations ----

    pub(super) fn start_python(&mut self, _p: &Program) {
        self.literal.begin_keywords();
        self.begin_args();
        self.args = ArgsState::Literal(self.pending_at());
    }

    /// Takes bytes of values in another notation, the first of them at offset `at`.
    fn read_literal(&mut self, region: &Region, bytes: &[u8], at: u64) -> (usize, LiteralMet) {
        let args = self.args_target();
        let target = if self.literal.passes_over() { Target::Nowhere } else { args };
        let scan = region.expected.scan(self.plain);
        let (tools, call) = (&self.tools, self.call.as_ref());
        let name = call.and_then(|call| call.name.as_deref()).unwrap_or_default();
        let typed = region.markers.is_some() || region.kind == RegionKind::Python;
        let around = Around {
            ends: &|byte| scan.begins(byte),
            markers: region.markers.as_ref(),
            plain: self.plain,
            types: &|key| if typed { tools.types(name, key) } else { TypeSet::ALL },
        };
        self.literal.run(bytes, at, &around, &mut Given { out: &mut self.out, args, target })
    }

    /// The values are over at offset `at`, whole or not.
    fn end_literal(&mut self, at: u64) {
        let Literal { valid, mended, .. } = self.literal;
        self.end_mended(valid, mended, at);
    }

    /// The same. `mended`: they were read in the one way there was, though they are not as they should be.
    fn end_mended(&mut self, valid: bool, mended: bool, at: u64) {
        let from = match self.args {
            ArgsState::Literal(from) | ArgsState::Json(from) | ArgsState::Quoted(from, ..) => from,
            _ => at,
        };
        self.end_args(valid, at);
        if valid && mended {
            self.report(from, at, MalformedReason::InvalidArguments);
        }
    }

    /// The arguments are cut short at offset `at`, by a literal or by the end of the turn.
    pub(super) fn stop_args(&mut self, at_literal: bool, at: u64) {
        if let ArgsState::Literal(_) = self.args {
            let args = self.args_target();
            let target = if self.literal.passes_over() { Target::Nowhere } else { args };
            self.literal.leave(at_literal, &mut Given { out: &mut self.out, args, target });
            self.end_literal(at);
        } else {
            self.end_args(false, at);
        }
    }

    // ---- leaving regions ----

    /// A special token ends whatever region this is; it is a literal that may follow.
    pub(super) fn leave_region(&mut self, p: &Program, id: RegionId, token: &[u8]) {
        let region = &p.regions[usize::from(id)];
        match &region.kind {
            RegionKind::Json | RegionKind::Python => {
                let at = self.at;
                if !self.pending.is_empty() {
                    self.settle_pending(p);
                }
                if region.expected.exact(token).is_some() && self.args != ArgsState::Done {
                    self.stop_args(true, at);
                    self.go(p, region.done, at);
                }
            }
            RegionKind::Object(_) => self.leave_object(p, id),
            _ => {}
        }
    }

    /// What waits inside a region of data is data: no more comes of it.
    pub(super) fn settle_region(&mut self, p: &Program, id: RegionId, found: Option<Found>) {
        let region = &p.regions[usize::from(id)];
        let end = found.map_or(self.pending.len(), |found| found.start);
        match &region.kind {
            RegionKind::Name(_) | RegionKind::Id | RegionKind::Key(_) | RegionKind::Type(_) => match found {
                Some(found) => {
                    self.word.extend_from_slice(&self.pending[..found.start]);
                    self.end_word(p, id, found.start);
                }
                None => self.word.append(&mut self.pending),
            },
            RegionKind::Raw(_) => {
                self.emit_raw(&[], end);
                match found {
                    Some(found) => {
                        self.end_raw();
                        self.reach(p, found, end, &[]);
                    }
                    None => self.pending.clear(),
                }
            }
            RegionKind::Value { .. } => self.settle_value(p, id, found),
            RegionKind::Elements(_) => self.settle_elements(p, found),
            RegionKind::Json | RegionKind::Python => {
                let held = std::mem::take(&mut self.pending);
                self.args_bytes(&held, self.at - held.len() as u64);
                held.iter().for_each(|&byte| {
                    self.json.broken(byte);
                });
                self.search = Search::default();
            }
            _ => {
                self.pending.clear();
                self.search = Search::default();
            }
        }
    }

    /// The input ends inside a region. Whether it was left for another place.
    pub(super) fn finish_region(&mut self, p: &Program, id: RegionId, reason: FinishReason) -> bool {
        let region = &p.regions[usize::from(id)];
        let stopped = reason == FinishReason::Stop;
        match &region.kind {
            RegionKind::Name(_) if stopped && !self.word.trim_ascii().is_empty() => {
                self.end_word(p, id, 0);
                true
            }
            RegionKind::Value { .. } => {
                self.finish_value(p, id, stopped);
                self.mode != Mode::In(id)
            }
            RegionKind::Elements(_) => {
                self.finish_elements();
                false
            }
            // Where nothing has to follow, the turn ends the text.
            RegionKind::Raw(_) if stopped && p.states[usize::from(region.done)].ends_at_stop => {
                self.end_raw();
                self.go(p, region.done, self.at);
                true
            }
            // The marker behind the arguments may have been the stop.
            RegionKind::Json if stopped && region.markers.is_some() && self.literal.is_whole() => {
                if let ArgsState::Literal(_) = self.args {
                    self.stop_args(false, self.at);
                    self.go(p, region.done, self.at);
                }
                self.mode != Mode::In(id)
            }
            _ => false,
        }
    }
}

/// How far arguments came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Args {
    More,
    End,
    /// They were cut short by this literal, which has been taken.
    Literal(usize),
    /// The next byte fits no value; it was not taken.
    Broken,
}

/// Where literals go: to the call's arguments.
struct Given<'a> {
    out: &'a mut Out,
    args: Target,
    /// The same, or nowhere.
    target: Target,
}

impl Sink for Given<'_> {
    fn json(&mut self, text: &str) {
        self.out.text(self.target, text);
    }

    fn escaped(&mut self, bytes: &[u8], at: u64) {
        self.out.escaped(self.target, bytes, at);
    }

    fn raw(&mut self, bytes: &[u8], at: u64) {
        self.out.bytes(self.target, bytes, at);
    }

    fn pass_over(&mut self, on: bool) {
        self.target = if on { Target::Nowhere } else { self.args };
    }
}
