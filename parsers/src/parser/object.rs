//! A JSON object whose members carry the call: its name, its arguments, its id.

use toolglot_format::{Member, MemberValue};
use toolglot_schema::TypeSet;

use super::args::{Args, ArgsState};
use super::call::CallArgs;
use super::escape::Unescape;
use super::json::Met;
use super::literal::{Around, Met as LiteralMet, Sink};
use super::{Machine, is_ws};
use crate::program::{Program, RegionId, RegionKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Start,
    KeyOrEnd,
    Key,
    Colon,
    /// In front of a value.
    Value,
    Name,
    Id,
    /// An id that is a number.
    Digits,
    Args,
    Skip,
    /// The same, in another notation.
    SkipLiteral,
    After,
}

/// A place in the object.
#[derive(Debug, Default)]
pub(super) struct ObjectState {
    at: At,
    /// The nested objects we are in, as positions in their member lists.
    path: Vec<usize>,
    /// What the member in hand is, when the format names it: its position.
    member: Option<usize>,
    word: Vec<u8>,
    unescape: Unescape,
    quote: u8,
    /// Where the member in hand and its value begin.
    member_at: u64,
    value_at: u64,
    /// A member that the format does not name holds an object: the arguments, perhaps.
    strange: bool,
    /// Nothing but the object shows that it is a call; see [`MemberValue::OfferedName`].
    unmarked: bool,
    /// It is none.
    refused: bool,
}

impl ObjectState {
    /// An object comes. The room for words stays.
    pub(super) fn restart(&mut self) {
        let mut word = std::mem::take(&mut self.word);
        word.clear();
        *self = ObjectState { word, ..ObjectState::default() };
    }
}

/// The members of the object at `path`.
fn at_path<'a>(mut members: &'a [Member], path: &[usize]) -> &'a [Member] {
    for &step in path {
        match members.get(step).map(|member| &member.is) {
            Some(MemberValue::Object(inner)) => members = inner,
            _ => return &[],
        }
    }
    members
}

impl Machine {
    pub(super) fn in_object(&mut self, p: &Program, id: RegionId, bytes: &[u8]) -> usize {
        let region = &p.regions[usize::from(id)];
        let RegionKind::Object(members) = &region.kind else { return bytes.len() };
        if !self.pending.is_empty() {
            return self.in_broken(p, id, bytes);
        }
        let mut i = 0;
        while let Some(&byte) = bytes.get(i) {
            let at = self.at + i as u64;
            if self.object.refused {
                self.give_back(p, at);
                return i;
            }
            match self.object.at {
                At::Start | At::KeyOrEnd | At::Colon | At::Value | At::After if is_ws(byte) => i += 1,
                At::Start if byte == b'{' => {
                    self.object.at = At::KeyOrEnd;
                    i += 1;
                    let shown = self.call.as_ref().is_none_or(|call| call.framed || call.behind_call);
                    self.object.unmarked =
                        !shown && members.iter().any(|member| member.is == MemberValue::OfferedName);
                    self.object.refused =
                        self.object.unmarked && self.call.as_ref().is_some_and(|call| !call.at_margin);
                }
                At::KeyOrEnd | At::After if byte == b'}' => {
                    i += 1;
                    if self.object.path.pop().is_some() {
                        self.object.at = At::After;
                    } else {
                        self.object_done(p, id, at + 1);
                        return i;
                    }
                }
                // A missing comma and one too many are passed over.
                At::KeyOrEnd | At::After if byte == b'"' || byte == b'\'' => {
                    self.object.at = At::Key;
                    self.object.member_at = at;
                    self.object.quote = byte;
                    self.object.unescape = Unescape::default();
                    self.object.word.clear();
                    i += 1;
                }
                At::After if byte == b',' => {
                    self.object.at = At::KeyOrEnd;
                    i += 1;
                }
                At::Key | At::Name | At::Id => {
                    let object = &mut self.object;
                    let (used, ended) = object.unescape.run(&bytes[i..], object.quote, &mut object.word);
                    i += used;
                    if ended {
                        self.string_ended(members, self.at + i as u64);
                    }
                }
                At::Colon if byte == b':' => {
                    self.object.at = At::Value;
                    i += 1;
                }
                At::Value => i += self.member_value(members, byte, at),
                At::Digits => {
                    if byte.is_ascii_digit() || b".eE+-".contains(&byte) {
                        self.object.word.push(byte);
                        i += 1;
                    } else {
                        self.member_id(at);
                    }
                }
                At::Args => {
                    self.at += i as u64;
                    let (used, how) = self.json_args(region, &bytes[i..]);
                    self.at -= i as u64;
                    i += used;
                    match how {
                        Args::More => {}
                        Args::End | Args::Literal(_) => self.object.at = At::After,
                        Args::Broken if !self.comment.is_empty() => {
                            self.at += i as u64;
                            self.no_comment(p);
                            self.at -= i as u64;
                            return i;
                        }
                        Args::Broken => {
                            self.at += i as u64;
                            let more = self.in_broken(p, id, &bytes[i..]);
                            self.at -= i as u64;
                            return i + more;
                        }
                    }
                }
                At::Skip => {
                    let (used, met) = self.inner.run(&bytes[i..]);
                    i += used;
                    match met {
                        Met::More => {}
                        Met::End | Met::EndBefore => self.passed_over(members, self.at + i as u64),
                        Met::Control => i += 1,
                        Met::Invalid if self.inner.take_trailing() => {}
                        Met::Invalid => match self.inner.take_foreign() {
                            Some(key) => {
                                self.literal.go_on(self.inner.brackets(), key);
                                self.object.at = At::SkipLiteral;
                            }
                            None => return self.object_fails(p, id, i),
                        },
                    }
                }
                At::SkipLiteral => {
                    let around =
                        Around { ends: &|_| false, markers: None, plain: true, types: &|_| TypeSet::ALL };
                    let (used, met) = self.literal.run(&bytes[i..], at, &around, &mut Nowhere);
                    i += used;
                    match met {
                        LiteralMet::More => {}
                        LiteralMet::End => self.passed_over(members, self.at + i as u64),
                        _ => return self.object_fails(p, id, i),
                    }
                }
                _ => return self.object_fails(p, id, i),
            }
        }
        i
    }

    /// A key or a string value ended at offset `at`.
    fn string_ended(&mut self, members: &[Member], at: u64) {
        match self.object.at {
            At::Key => {
                let word = &self.object.word;
                let level = at_path(members, &self.object.path);
                self.object.member = level.iter().position(|member| {
                    std::iter::once(&member.key).chain(&member.aliases).any(|key| key.as_bytes() == word)
                });
                self.object.at = At::Colon;
                let first =
                    self.call.as_ref().is_some_and(|call| call.name.is_none() && call.args == CallArgs::None);
                self.object.refused |= self.object.unmarked && first && self.object.member.is_none();
            }
            At::Name => {
                let word = std::mem::take(&mut self.object.word);
                self.object.at = At::After;
                if word.is_empty() {
                    return;
                }
                if self.object.unmarked && !self.is_on_offer(&word) {
                    self.object.refused = true;
                    return;
                }
                self.name(word, at);
                let Some(call) = &self.call else { return };
                let planned = call.name.as_ref().is_some_and(|name| self.tools.is_planned(name));
                if call.framed || planned && !self.object.unmarked || call.args != CallArgs::None {
                    self.confirm_name();
                }
            }
            _ => self.member_id(at),
        }
    }

    /// The value of a member that holds the id ended at offset `at`.
    fn member_id(&mut self, at: u64) {
        let word = std::mem::take(&mut self.object.word);
        self.object.at = At::After;
        if !self.id(word, at) {
            self.report_member(at);
        }
    }

    /// The value of a member that tells nothing of the call ended at offset `at`. What the format does not say of
    /// it is reported.
    fn passed_over(&mut self, members: &[Member], at: u64) {
        self.object.at = At::After;
        let member = self.object.member.and_then(|member| at_path(members, &self.object.path).get(member));
        if let Some(member) = member {
            let value = self.raw_of(self.object.value_at, at);
            let value = value.trim_ascii();
            let stated = match &member.is {
                MemberValue::Word(word) => {
                    serde_json::from_slice::<String>(value).is_ok_and(|value| value == *word)
                }
                // A header said it before.
                MemberValue::Name | MemberValue::OfferedName => {
                    let name = self.call.as_ref().and_then(|call| call.name.as_deref());
                    serde_json::from_slice::<String>(value).is_ok_and(|value| Some(value.as_str()) == name)
                }
                _ => false,
            };
            if stated || value == b"null" || value == b"None" {
                return;
            }
        } else {
            self.object.strange |= self.raw_of(self.object.value_at, self.object.value_at + 1) == b"{";
        }
        self.report_member(at);
    }

    /// The member in hand, up to offset `at`, is no part of the call.
    fn report_member(&mut self, at: u64) {
        self.junk_from = Some(self.object.member_at);
        self.end_junk(at);
    }

    /// A member's value begins with `byte`; gives back how many bytes are taken.
    fn member_value(&mut self, members: &[Member], byte: u8, at: u64) -> usize {
        let level = at_path(members, &self.object.path);
        let quoted = byte == b'"' || byte == b'\'';
        self.object.word.clear();
        self.object.unescape = Unescape::default();
        let (named, has_args) = match &self.call {
            Some(call) => (call.name.is_some(), call.args != CallArgs::None),
            None => (false, false),
        };
        self.object.value_at = at;
        let member = self.object.member;
        match member.and_then(|member| level.get(member)).map(|member| &member.is) {
            Some(MemberValue::Name | MemberValue::OfferedName) if quoted && !named => {
                self.object.at = At::Name;
                self.object.quote = byte;
                1
            }
            Some(MemberValue::Id(_)) if quoted => {
                self.object.at = At::Id;
                self.object.quote = byte;
                1
            }
            Some(MemberValue::Id(_)) if byte.is_ascii_digit() => {
                self.object.at = At::Digits;
                0
            }
            Some(MemberValue::Object(_)) if byte == b'{' => {
                self.object.path.extend(member);
                self.object.at = At::KeyOrEnd;
                1
            }
            Some(MemberValue::Args) if !has_args => {
                self.object.at = At::Args;
                self.args = ArgsState::Start;
                self.json.reset();
                self.inner.reset();
                self.comma.clear();
                self.confirm_name();
                0
            }
            other => {
                self.object.refused |=
                    self.object.unmarked && !named && other == Some(&MemberValue::OfferedName);
                self.object.at = At::Skip;
                self.inner.reset();
                0
            }
        }
    }

    /// The object is closed.
    fn object_done(&mut self, p: &Program, id: RegionId, at: u64) {
        if let Some(call) = &self.call {
            let has_args = call.args != CallArgs::None;
            let planned = call.name.as_ref().is_some_and(|name| self.tools.is_planned(name));
            if !call.framed && !call.started {
                if call.name.is_some() && (has_args || planned && !self.object.unmarked) {
                    self.confirm_name();
                } else {
                    return self.give_back(p, at);
                }
            }
        }
        self.confirm_name();
        if let (true, Some(call)) = (self.object.strange, &mut self.call)
            && call.args == CallArgs::None
        {
            call.args = CallArgs::Done { valid: false };
        }
        self.go(p, p.regions[usize::from(id)].done, at);
    }

    /// The object ends inside a member, at offset `at`.
    fn leave_member(&mut self, at: u64) {
        match self.object.at {
            At::Start | At::KeyOrEnd | At::After | At::Args => {}
            At::Key | At::Colon | At::Value | At::Name | At::Id | At::Digits | At::Skip | At::SkipLiteral => {
                self.report_member(at)
            }
        }
    }

    /// The byte at `i` fits no object.
    fn object_fails(&mut self, p: &Program, id: RegionId, i: usize) -> usize {
        let done = p.regions[usize::from(id)].done;
        let at = self.at + i as u64;
        self.end_args(false, at);
        self.leave_member(at);
        self.unfit(p, done, at);
        i
    }

    /// Broken arguments ended; the object goes on.
    pub(super) fn object_goes_on(&mut self) {
        self.object.at = At::After;
    }

    /// A special token that may follow the object comes inside it.
    pub(super) fn leave_object(&mut self, p: &Program, id: RegionId) {
        let held = std::mem::take(&mut self.pending);
        self.args_bytes(&held, self.at - held.len() as u64);
        self.stop_args(true, self.at);
        self.leave_member(self.at);
        let done = p.regions[usize::from(id)].done;
        if self.call.as_ref().is_some_and(|call| !call.framed && !call.started) {
            return self.give_back(p, self.at);
        }
        self.go(p, done, self.at);
    }
}

/// What is passed over goes nowhere.
struct Nowhere;

impl Sink for Nowhere {
    fn json(&mut self, _text: &str) {}

    fn escaped(&mut self, _bytes: &[u8], _at: u64) {}

    fn raw(&mut self, _bytes: &[u8], _at: u64) {}

    fn pass_over(&mut self, _on: bool) {}
}
