//! The printer: a turn written as the strict reading of a format says.
//!
//! Lenient nodes are skipped, literals take their first spelling. What cannot be written so that it reads
//! back the same is an error, never something close to it. How chat templates lay a conversation out is not
//! decided here.

mod args;
mod elements;
mod json;

use std::borrow::Cow;

use toolglot_format::{
    Args, Call, Channel, Escape, Format, Header, IdNode, Lit, Member, MemberValue, Notation, Plan, Rep,
    Strings, Turn,
};

use crate::parser::quote;

/// A stretch of printed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The text.
    pub text: String,
    /// It is one marker, a special token where the vocabulary has one of this spelling.
    pub special: bool,
}

/// A turn that a format cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrintError {
    /// The format has no place for a part of the turn.
    #[error("the format has no place left for {0}")]
    NoPlace(String),
    /// Text holds a marker of the format and would be read as one.
    #[error("the text holds `{marker}`, which this format reads as a marker")]
    Marker {
        /// The marker.
        marker: String,
    },
    /// A raw value holds the marker that ends it.
    #[error("call `{call}`: the value of `{key}` holds `{marker}`, which ends it in this format")]
    Terminator {
        /// The tool's name.
        call: String,
        /// The parameter.
        key: String,
        /// The marker.
        marker: String,
    },
    /// A value would be read as another type.
    #[error("call `{call}`: the value of `{key}` would be read as another type in this format")]
    Ambiguous {
        /// The tool's name.
        call: String,
        /// The parameter.
        key: String,
    },
    /// The arguments are not what the format can write.
    #[error("call `{call}`: {why}")]
    Arguments {
        /// The tool's name.
        call: String,
        /// What is wrong and what the format takes.
        why: String,
    },
    /// The format writes ids and the call has none.
    #[error("call `{call}`: this format writes an id with every call; set one")]
    NoId {
        /// The tool's name.
        call: String,
    },
    /// Plugin code owns the format.
    #[error("plugin code owns a part of this format, so it cannot be printed")]
    Extern,
}

/// Prints a turn. The format may be specialised to the plan or not. The plan's schemas say which raw strings
/// would be read as another type.
///
/// # Errors
/// [`PrintError`] when the format cannot express the turn.
pub fn print(format: &Format, plan: &Plan, turn: &Turn) -> Result<Vec<Printed>, PrintError> {
    print_parts(format, plan, std::slice::from_ref(turn))
}

/// As [`print()`], for a turn whose text stands between its calls: all of a part is written before anything of
/// the next.
///
/// # Errors
/// As [`print()`].
pub fn print_parts(format: &Format, plan: &Plan, parts: &[Turn]) -> Result<Vec<Printed>, PrintError> {
    let (framing, specials) = (format.framing(), format.specials());
    let printer = Printer { parts, tools: crate::parser::Tools::new(plan, true), framing, specials };
    let mut out = Page::default();
    let start = printer.enter(0);
    let end = match printer.node(format, start, None, &mut out) {
        Ok(end) => end,
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::Misfit) => start,
    };
    let left = if end.reasoning {
        "the reasoning".to_owned()
    } else if end.content {
        "the content".to_owned()
    } else if let Some(call) = parts.get(end.part).and_then(|part| part.calls.get(end.call)) {
        format!("call {} (`{}`)", end.call, call.name)
    } else {
        return Ok(out.parts);
    };
    Err(PrintError::NoPlace(left))
}

/// The printed text without the marks of special tokens.
pub fn to_text(parts: &[Printed]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect()
}

/// What of a part is still to be printed; the parts before it are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    part: usize,
    reasoning: bool,
    content: bool,
    call: usize,
}

impl Cursor {
    /// What was printed between `self` and `after`, as a rank in a turn's natural order.
    fn rank(self, after: Cursor) -> u8 {
        let done = after.part != self.part;
        if self.reasoning && (done || !after.reasoning) {
            0
        } else if self.content && (done || !after.content) {
            1
        } else if done || self.call != after.call {
            2
        } else {
            3
        }
    }
}

/// Why a node was not printed.
enum Stop {
    /// It does not fit what is left of the turn.
    Misfit,
    Error(PrintError),
}

impl From<PrintError> for Stop {
    fn from(error: PrintError) -> Self {
        Stop::Error(error)
    }
}

/// Printed parts; neighbouring ordinary text is joined.
#[derive(Default, Clone)]
struct Page {
    parts: Vec<Printed>,
}

impl Page {
    fn text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if !last.special => last.text += text,
            _ => self.parts.push(Printed { text: text.to_owned(), special: false }),
        }
    }

    fn lit(&mut self, lit: &Lit) {
        if lit.special {
            self.parts.push(Printed { text: lit.text.clone(), special: true });
        } else {
            self.text(&lit.text);
        }
    }

    fn extend(&mut self, other: Page) {
        for part in other.parts {
            if part.special { self.parts.push(part) } else { self.text(&part.text) }
        }
    }
}

struct Printer<'a> {
    parts: &'a [Turn],
    tools: crate::parser::Tools,
    framing: Vec<&'a Lit>,
    /// Every spelling of a special token.
    specials: Vec<&'a str>,
}

type Outcome = Result<Cursor, Stop>;

impl Printer<'_> {
    /// The start of a part; parts that hold nothing are passed over.
    fn enter(&self, part: usize) -> Cursor {
        let holds =
            |turn: &Turn| !(turn.reasoning.is_empty() && turn.content.is_empty() && turn.calls.is_empty());
        let next = self.parts.iter().skip(part).position(holds).map(|skipped| part + skipped);
        match next.and_then(|at| Some((at, self.parts.get(at)?))) {
            Some((part, turn)) => Cursor {
                part,
                reasoning: !turn.reasoning.is_empty(),
                content: !turn.content.is_empty(),
                call: 0,
            },
            None => Cursor { part: self.parts.len(), reasoning: false, content: false, call: 0 },
        }
    }

    /// Goes on to the next part where this one is done.
    fn settle(&self, at: Cursor) -> Cursor {
        let calls = self.parts.get(at.part).map_or(0, |part| part.calls.len());
        if at.reasoning || at.content || at.call < calls { at } else { self.enter(at.part + 1) }
    }

    fn node(&self, node: &Format, at: Cursor, call: Option<&Call>, out: &mut Page) -> Outcome {
        match node {
            Format::Lit(lit) => {
                out.lit(lit);
                Ok(at)
            }
            Format::Ws(text) => {
                out.text(text);
                Ok(at)
            }
            Format::Text(text) => self.text(text, at, out),
            Format::Seq(nodes) => {
                let strict = nodes.iter().filter(|node| !matches!(node, Format::Lenient(_)));
                strict.into_iter().try_fold(at, |at, node| self.node(node, at, call, out))
            }
            Format::Alt(nodes) => self.choice(nodes, at, call, out),
            Format::Opt(node) => {
                let mut page = Page::default();
                match self.node(node, at, call, &mut page) {
                    // In a call nothing shows in the cursor; an id that is there is reason enough.
                    Ok(end) if end != at || (call.is_some() && holds_data(node)) => {
                        out.extend(page);
                        Ok(end)
                    }
                    Err(Stop::Error(error)) if !matches!(error, PrintError::NoId { .. }) => Err(error.into()),
                    _ => Ok(at),
                }
            }
            Format::Rep(rep) => self.repeat(rep, at, call, out),
            Format::Lenient(_) => Err(Stop::Misfit),
            Format::Extern(_) => Err(PrintError::Extern.into()),
            Format::Call(body) => {
                let part = self.parts.get(at.part);
                let Some(call) = part.and_then(|part| part.calls.get(at.call)) else {
                    return Err(Stop::Misfit);
                };
                self.node(body, at, Some(call), out)?;
                Ok(self.settle(Cursor { call: at.call + 1, ..at }))
            }
            _ => {
                let Some(call) = call else { return Err(Stop::Misfit) };
                self.of_call(node, call, out)?;
                Ok(at)
            }
        }
    }

    fn text(&self, text: &toolglot_format::Text, at: Cursor, out: &mut Page) -> Outcome {
        let Some(part) = self.parts.get(at.part) else { return Ok(at) };
        let (wanted, value, end) = match text.channel {
            Channel::Reasoning => (at.reasoning, &part.reasoning, Cursor { reasoning: false, ..at }),
            Channel::Content => (at.content, &part.content, Cursor { content: false, ..at }),
        };
        if !wanted {
            return Ok(at);
        }
        let special = self.framing.iter().filter(|lit| lit.special).map(|lit| &lit.text);
        if let Some(marker) = special.chain(&text.excluding).find(|marker| value.contains(marker.as_str())) {
            return Err(PrintError::Marker { marker: marker.clone() }.into());
        }
        // A marker that overlaps itself would begin within the text.
        let overlaps = |lit: &&&Lit| {
            let marker = lit.text.as_str();
            let borders = (1..marker.len()).filter(|&k| marker.is_char_boundary(k));
            borders.filter(|&k| marker.ends_with(&marker[..k])).any(|k| value.ends_with(&marker[..k]))
        };
        if let Some(lit) = self.framing.iter().find(overlaps) {
            return Err(PrintError::Marker { marker: lit.text.clone() }.into());
        }
        out.text(value);
        Ok(self.settle(end))
    }

    /// The branch that prints what comes first in a turn; of several the first.
    fn choice(&self, nodes: &[Format], at: Cursor, call: Option<&Call>, out: &mut Page) -> Outcome {
        let mut best: Option<(u8, Cursor, Page)> = None;
        let mut error = Stop::Misfit;
        for node in nodes {
            let mut page = Page::default();
            match self.node(node, at, call, &mut page) {
                Ok(end) => {
                    let rank = at.rank(end);
                    if best.as_ref().is_none_or(|(known, ..)| rank < *known) {
                        best = Some((rank, end, page));
                    }
                }
                Err(stop) => {
                    if let Stop::Misfit = error {
                        error = stop;
                    }
                }
            }
        }
        // A branch that prints nothing of the turn must not hide why another could not.
        match (best, error) {
            (Some((3, ..)), Stop::Error(error)) if call.is_none() => Err(error.into()),
            (Some((_, end, page)), _) => {
                out.extend(page);
                Ok(end)
            }
            (None, stop) => Err(stop),
        }
    }

    fn repeat(&self, rep: &Rep, at: Cursor, call: Option<&Call>, out: &mut Page) -> Outcome {
        let mut at = at;
        let mut count = 0;
        while rep.max.is_none_or(|max| count < max) {
            let mut page = Page::default();
            if let (Some(sep), 1..) = (rep.strict_sep(), count) {
                self.node(sep, at, call, &mut page)?;
            }
            match self.node(&rep.of, at, call, &mut page) {
                Ok(end) if end != at || count < rep.min => {
                    out.extend(page);
                    at = end;
                }
                Err(Stop::Error(error)) => return Err(error.into()),
                Err(Stop::Misfit) if count < rep.min => return Err(Stop::Misfit),
                _ => break,
            }
            count += 1;
        }
        Ok(at)
    }

    /// A node that belongs to a call.
    fn of_call(&self, node: &Format, call: &Call, out: &mut Page) -> Result<(), Stop> {
        match node {
            Format::Name(name) => {
                if !name.only.is_empty() && !name.only.contains(&call.name) {
                    return Err(Stop::Misfit);
                }
                match &name.header {
                    Some(header) => out.text(&header.write(&call.name, self.index(header, call))),
                    None => out.text(&Escape::written(name.escape, &call.name)),
                }
            }
            Format::Id(node) => out.text(&self.id(node, call)?),
            Format::Object(object) => self.object(&object.members, &object.notation, call, out)?,
            Format::Args(Args::Json(notation)) => self.json(call, notation, out)?,
            Format::Args(Args::Pythonic(pythonic)) => self.pythonic(call, pythonic, out)?,
            Format::Args(Args::Elements(style)) => {
                self.elements(style, call, args::arguments(call)?, out)?;
            }
            Format::Args(Args::Raw(raw)) => out.text(&args::raw(call, raw)?),
            Format::Args(Args::Tagged(tagged)) => self.tagged(tagged, call, out)?,
            _ => return Err(Stop::Misfit),
        }
        Ok(())
    }

    /// The number in a call's header: the one of its id where that is such a header, else the next in the turn.
    fn index(&self, header: &Header, call: &Call) -> u64 {
        self.number(call, 0, &|id, name| header.index_of(id, name))
    }

    /// The number of a call that has one by `given`, else the next in the turn, which begins with `first`.
    fn number(&self, call: &Call, first: u64, given: &dyn Fn(&str, &str) -> Option<u64>) -> u64 {
        let mut next = first;
        for other in self.parts.iter().flat_map(|part| &part.calls) {
            let number = other.id.as_ref().and_then(|id| given(id, &other.name)).unwrap_or(next);
            if std::ptr::eq(other, call) {
                return number;
            }
            next = number.saturating_add(1);
        }
        next
    }

    fn id<'a>(&self, node: &IdNode, call: &'a Call) -> Result<Cow<'a, str>, PrintError> {
        if let Some(first) = node.count {
            return Ok(self.number(call, first, &|id, _| plain_number(id)).to_string().into());
        }
        match &call.id {
            Some(id) => Ok(id.into()),
            None => Err(PrintError::NoId { call: call.name.clone() }),
        }
    }

    fn object(
        &self,
        members: &[Member],
        notation: &Notation,
        call: &Call,
        out: &mut Page,
    ) -> Result<(), Stop> {
        let string = |text: &str| match notation.strings {
            Strings::Python => json::python_string(text),
            _ => quote(text),
        };
        out.text("{");
        for (i, member) in members.iter().filter(|member| !member.optional).enumerate() {
            if i > 0 {
                out.text(&notation.item);
            }
            out.text(&string(&member.key));
            out.text(&notation.key);
            match &member.is {
                MemberValue::Name | MemberValue::OfferedName => out.text(&string(&call.name)),
                MemberValue::Args => self.json(call, notation, out)?,
                MemberValue::Id(node) => out.text(&string(&self.id(node, call)?)),
                MemberValue::Word(word) => out.text(&string(word)),
                MemberValue::Object(inner) => self.object(inner, notation, call, out)?,
            }
        }
        out.text("}");
        Ok(())
    }
}

/// A number that is written as it would be printed.
fn plain_number(id: &str) -> Option<u64> {
    id.parse::<u64>().ok().filter(|number| number.to_string() == id)
}

fn holds_data(node: &Format) -> bool {
    node.any(&mut |node| {
        matches!(node, Format::Id(_) | Format::Name(_) | Format::Args(_) | Format::Object(_))
    })
}
