//! Lays a Format out as leaves and the edges between them (Glushkov's construction).
//!
//! A leaf is a node without children, at one place of the tree. An edge says which leaf may come next, and
//! whether a call ends or begins on the way. Edges keep the order of the format, which is the order of
//! preference. Bounds of repetitions are not kept: the parser takes any number.

use toolglot_format::{Args, Channel, ElementsArgs, Escape, Format, Lit, Member, NameNode, TypeLit};

/// Index of a leaf.
pub(crate) type LeafId = u16;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LeafKind {
    Lit(Lit),
    /// A word that states the type of the value behind it.
    Type(TypeLit),
    Ws(String),
    Text(Channel),
    /// A tool's name.
    Name(NameNode),
    Id,
    Key(NameNode),
    Value {
        quoted: bool,
        escape: Option<Escape>,
    },
    /// An object; with a marker, strings stand between two of them.
    Json(Option<Lit>),
    Python,
    Raw(String),
    Elements(ElementsArgs),
    Object(Vec<Member>),
    Extern,
}

#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) kind: LeafKind,
    /// Which `call` node it stands in.
    pub(crate) call: Option<u16>,
    pub(crate) next: Vec<Edge>,
    /// Whether the turn may end behind it.
    pub(crate) last: bool,
    /// Stands at the end of a sequence that began with something else: a closing marker.
    pub(crate) closes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) to: LeafId,
    pub(crate) ends: bool,
    pub(crate) starts: bool,
}

#[derive(Debug)]
pub(crate) struct Leaves {
    pub(crate) all: Vec<Leaf>,
    /// The edges into the format.
    pub(crate) first: Vec<Edge>,
}

impl Leaves {
    pub(crate) fn new(format: &Format) -> Leaves {
        let mut builder = Builder { all: Vec::new(), call: None, calls: 0 };
        let whole = builder.build(format);
        for (leaf, _) in &whole.last {
            builder.all[usize::from(*leaf)].last = true;
        }
        let first = whole.first.iter().map(|&(to, starts)| Edge { to, ends: false, starts }).collect();
        Leaves { all: builder.all, first }
    }
}

struct Builder {
    all: Vec<Leaf>,
    call: Option<u16>,
    calls: u16,
}

/// A part of the format: where it begins (and whether a call begins there), where it ends (and whether a
/// call ends there).
#[derive(Default)]
struct Part {
    first: Vec<(LeafId, bool)>,
    last: Vec<(LeafId, bool)>,
    nullable: bool,
}

impl Builder {
    fn leaf(&mut self, kind: LeafKind) -> Part {
        let id = self.all.len() as LeafId;
        self.all.push(Leaf { kind, call: self.call, next: Vec::new(), last: false, closes: false });
        Part { first: vec![(id, false)], last: vec![(id, false)], nullable: false }
    }

    fn connect(&mut self, last: &[(LeafId, bool)], first: &[(LeafId, bool)]) {
        for &(from, ends) in last {
            for &(to, starts) in first {
                let edge = Edge { to, ends, starts };
                let next = &mut self.all[usize::from(from)].next;
                if !next.contains(&edge) {
                    next.push(edge);
                }
            }
        }
    }

    fn build(&mut self, node: &Format) -> Part {
        match node {
            Format::Lit(lit) => self.leaf(LeafKind::Lit(lit.clone())),
            Format::Ws(text) => self.leaf(LeafKind::Ws(text.clone())),
            Format::Text(text) => self.leaf(LeafKind::Text(text.channel)),
            Format::Name(name) => self.leaf(LeafKind::Name(name.clone())),
            Format::Id(_) => self.leaf(LeafKind::Id),
            Format::Key(key) => self.leaf(LeafKind::Key(key.clone())),
            Format::Value(value) => {
                self.leaf(LeafKind::Value { quoted: value.quoted_strings, escape: value.escape })
            }
            Format::TypeLit(word) => self.leaf(LeafKind::Type(word.clone())),
            Format::Object(object) => self.leaf(LeafKind::Object(object.members.clone())),
            Format::Extern(_) => self.leaf(LeafKind::Extern),
            Format::Args(Args::Json(notation)) => self.leaf(LeafKind::Json(notation.marker().cloned())),
            Format::Args(Args::Pythonic(_)) => self.leaf(LeafKind::Python),
            Format::Args(Args::Elements(elements)) => self.leaf(LeafKind::Elements(elements.clone())),
            Format::Args(Args::Raw(raw)) => self.leaf(LeafKind::Raw(raw.key.clone())),
            Format::Args(Args::Tagged(tagged)) => self.repeat(&tagged.param, tagged.sep.as_deref(), true),
            Format::Rep(rep) => self.repeat(&rep.of, rep.sep.as_deref(), rep.min == 0),
            Format::Seq(nodes) => self.sequence(nodes),
            Format::Alt(nodes) => {
                let parts: Vec<Part> = nodes.iter().map(|node| self.build(node)).collect();
                parts.into_iter().reduce(either).unwrap_or_default()
            }
            Format::Opt(node) => Part { nullable: true, ..self.build(node) },
            Format::Lenient(node) => self.build(node),
            Format::Call(node) => {
                self.call = Some(self.calls);
                self.calls += 1;
                let mut part = self.build(node);
                self.call = None;
                part.first.iter_mut().for_each(|(_, starts)| *starts = true);
                part.last.iter_mut().for_each(|(_, ends)| *ends = true);
                part
            }
        }
    }

    fn sequence(&mut self, nodes: &[Format]) -> Part {
        let mut whole = Part { nullable: true, ..Part::default() };
        let opens = nodes.iter().position(|node| !matches!(node, Format::Ws(_)));
        for (at, node) in nodes.iter().enumerate() {
            let mut part = self.build(node);
            // A sequence may go without a lenient member.
            part.nullable |= matches!(node, Format::Lenient(_));
            let framing_to_the_end = nodes[at..].iter().all(|node| !node.any(&mut holds_data));
            if opens.is_some_and(|opens| at > opens) && framing_to_the_end {
                part.first.iter().for_each(|&(leaf, _)| self.all[usize::from(leaf)].closes = true);
            }
            self.connect(&whole.last, &part.first);
            if whole.nullable {
                whole.first.extend(&part.first);
            }
            if part.nullable {
                whole.last.extend(&part.last);
            } else {
                whole.last = part.last;
            }
            whole.nullable &= part.nullable;
        }
        whole
    }

    fn repeat(&mut self, of: &Format, sep: Option<&Format>, nullable: bool) -> Part {
        let part = self.build(of);
        match sep {
            None => self.connect(&part.last, &part.first),
            Some(sep) => {
                let sep = self.build(sep);
                self.connect(&part.last, &sep.first);
                self.connect(&sep.last, &part.first);
                if sep.nullable {
                    self.connect(&part.last, &part.first);
                }
            }
        }
        Part { nullable: nullable || part.nullable, ..part }
    }
}

fn either(mut a: Part, b: Part) -> Part {
    a.first.extend(b.first);
    a.last.extend(b.last);
    a.nullable |= b.nullable;
    a
}

/// Whether the node is anything but markers and white space.
fn holds_data(node: &Format) -> bool {
    matches!(
        node,
        Format::Text(_)
            | Format::Name(_)
            | Format::Id(_)
            | Format::Args(_)
            | Format::Key(_)
            | Format::Value(_)
            | Format::TypeLit(_)
            | Format::Object(_)
            | Format::Extern(_)
    )
}
