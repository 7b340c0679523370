//! A Format, compiled for the parser: states, regions and what leads from one to the next.
//!
//! A state stands behind the leaves that were just read; several leaves at once are alternatives that began
//! alike. From a state a literal leads on (found at once, or after white space where the format has some),
//! or a region is entered: a stretch of data that runs until one of the literals that may follow it.
//! Everything is decided here, once per format, so that the parser only looks things up.

mod build;
mod leaves;
mod scan;
mod starts;

use std::sync::OnceLock;

use toolglot_format::{Channel, Escape, Format, FormatError, Header, Lit, Member, TypeLit};

pub(crate) use scan::{Entry, Found, Scan, Search, Step};

pub(crate) type StateId = u16;
pub(crate) type RegionId = u16;

/// A compiled format. Share one between sessions.
#[derive(Debug)]
pub struct Program {
    pub(crate) states: Vec<State>,
    pub(crate) regions: Vec<Region>,
    pub(crate) actions: Vec<Action>,
    has_extern: bool,
    /// See [`TaggedArgs::wrappers`](toolglot_format::TaggedArgs::wrappers).
    pub(crate) wrappers: Vec<String>,
}

/// The literals that may come, in two readings.
#[derive(Debug)]
pub(crate) struct Expected {
    entries: Vec<Literal>,
    /// Every literal.
    full: OnceLock<Scan>,
    /// Those that ordinary text can spell.
    plain: OnceLock<Scan>,
}

#[derive(Debug, Clone)]
pub(crate) struct Literal {
    pub(crate) entry: Entry,
    pub(crate) special: bool,
}

impl Expected {
    pub(crate) fn new(entries: Vec<Literal>) -> Self {
        Expected { entries, full: OnceLock::new(), plain: OnceLock::new() }
    }

    /// `plain`: the input is known to hold no special token.
    #[inline(always)]
    pub(crate) fn scan(&self, plain: bool) -> &Scan {
        let cell = if plain { &self.plain } else { &self.full };
        match cell.get() {
            Some(scan) => scan,
            None => self.build(plain),
        }
    }

    #[cold]
    fn build(&self, plain: bool) -> &Scan {
        let cell = if plain { &self.plain } else { &self.full };
        cell.get_or_init(|| {
            let entries = self.entries.iter().filter(|literal| !(plain && literal.special));
            Scan::new(&entries.map(|literal| literal.entry.clone()).collect::<Vec<_>>())
        })
    }

    /// The action of the literal with exactly this text.
    pub(crate) fn exact(&self, text: &[u8]) -> Option<u16> {
        let found = self.entries.iter().find(|literal| literal.entry.text == text);
        found.map(|literal| literal.entry.action)
    }
}

/// The literals that mean something inside marked strings: the markers, and the special tokens that may follow
/// the values.
#[derive(Debug)]
pub(crate) struct Markers {
    /// Actions are positions.
    pub(crate) expected: Expected,
    /// How many of them are markers.
    count: usize,
}

impl Markers {
    fn new(marker: &Lit, behind: &[Literal]) -> Self {
        let count = marker.spellings().count();
        let spelled = marker.spellings().map(|text| (text.as_bytes().to_vec(), marker.special));
        let behind = behind
            .iter()
            .filter(|literal| literal.special)
            .map(|literal| (literal.entry.text.clone(), literal.special));
        let all = spelled.chain(behind).zip(0..);
        let all = all.map(|((text, special), action)| Literal { entry: Entry { text, action }, special });
        Markers { expected: Expected::new(all.collect()), count }
    }

    pub(crate) fn is_marker(&self, action: u16) -> bool {
        usize::from(action) < self.count
    }

    /// The literal with this position.
    pub(crate) fn text(&self, action: usize) -> &[u8] {
        self.expected.entries.get(action).map_or(&[], |literal| &literal.entry.text)
    }
}

/// Behind a set of leaves.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) expected: Expected,
    /// Some way on passes white space.
    pub(crate) ws: bool,
    /// The region for input that begins with none of the literals.
    pub(crate) fallback: Option<Fallback>,
    /// The region for input that fits nothing here.
    pub(crate) unfit: RegionId,
    /// Only calls may come here, and the marker that closes their block: the region for input that fits
    /// nothing when a marker has opened the block.
    pub(crate) block: Option<RegionId>,
    pub(crate) in_call: bool,
    /// The call that the leaves stand in cannot go on.
    pub(crate) call_over: bool,
    /// A marker has to come before anything of the call that is data.
    pub(crate) needs_marker: bool,
    /// The call may end here.
    pub(crate) ends: bool,
    /// It may end here when the model ended its turn; see `Builder::may_end`.
    pub(crate) ends_at_stop: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fallback {
    pub(crate) region: RegionId,
    /// White space before it is framing.
    pub(crate) ws: bool,
    pub(crate) ends: bool,
    pub(crate) starts: bool,
}

/// Inside a stretch of data.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) kind: RegionKind,
    pub(crate) expected: Expected,
    /// For values with marked strings.
    pub(crate) markers: Option<Markers>,
    /// White space before some of the literals is framing.
    pub(crate) ws: bool,
    /// Behind the region.
    pub(crate) done: StateId,
    /// For names: behind the region, by what the name is. The first that lists the name counts.
    pub(crate) by_name: Vec<Named>,
    /// For text: the calls that may begin in it with nothing but a name.
    pub(crate) unmarked: Option<Unmarked>,
}

/// Calls that begin with the name of a tool on offer, in the middle of text.
#[derive(Debug)]
pub(crate) struct Unmarked {
    /// The region of the name.
    pub(crate) name: RegionId,
    /// The literals, special tokens all, that show that the word in front of them is one.
    pub(crate) behind: Vec<Vec<u8>>,
}

/// What follows a name.
#[derive(Debug)]
pub(crate) struct Named {
    /// The names, or all of them where there are none here.
    pub(crate) names: Vec<String>,
    pub(crate) then: StateId,
    /// A word of the format that stands where a tool's name could, such as a recipient that is none.
    pub(crate) word: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RegionKind {
    Text(Channel),
    /// Input inside a call that fits nothing.
    Junk,
    Name(NameRules),
    Id,
    Key(Option<Escape>),
    /// A word that states the type of the value behind it.
    Type(TypeLit),
    Value {
        quoted: bool,
        escape: Option<Escape>,
        /// The template's exact white space before the value.
        lead: String,
    },
    Json,
    Python,
    Raw(String),
    Object(Vec<Member>),
    Elements(ElementRules),
}

/// How nested elements are read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ElementRules {
    /// The name of an array's elements.
    pub(crate) item: String,
    /// What stands behind the prefix where it is no element's.
    pub(crate) ends: Vec<ElementEnd>,
}

/// What ends nested elements, such as `</invoke>` behind the prefix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ElementEnd {
    pub(crate) text: Vec<u8>,
    /// Where the prefix in front of it leads; `None` where both are one literal.
    pub(crate) prefix: Option<u16>,
}

/// How a tool's name stands in the output.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NameRules {
    pub(crate) header: Option<Header>,
    pub(crate) escape: Option<Escape>,
    pub(crate) doubled: Option<String>,
    /// Only the name of a tool on offer is one.
    pub(crate) offered: bool,
}

/// What a literal leads to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Action {
    pub(crate) to: To,
    /// White space before the literal is framing.
    pub(crate) ws: bool,
    /// The call in progress ends before the literal.
    pub(crate) ends: bool,
    /// A call begins with the literal.
    pub(crate) starts: bool,
    /// The literal also occurs in ordinary text, so it alone proves nothing.
    pub(crate) weak: bool,
    /// The literal hardly occurs in ordinary text.
    pub(crate) marker: bool,
    /// The literal closes what its sequence began.
    pub(crate) closes: bool,
    /// The literal is a tool's name.
    pub(crate) name: bool,
}

impl Action {
    /// Goes there, and says nothing of the literal.
    fn to(to: To) -> Action {
        Action {
            to,
            ws: false,
            ends: false,
            starts: false,
            weak: false,
            marker: false,
            closes: false,
            name: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    State(StateId),
    /// The literal only announces the region and belongs to it.
    Region(RegionId),
    /// A closing marker that closes nothing.
    Stray,
    /// The region ends here, without the literal; its done state looks on.
    Done,
    /// The literal is part of the value, and stands for another character.
    Entity,
}

impl Program {
    /// Compiles a format.
    ///
    /// # Errors
    /// As [`Format::validate`].
    pub fn new(format: &Format) -> Result<Program, FormatError> {
        format.validate()?;
        build::build(format)
    }

    /// Whether values are written without their types, so that the tools' schemas must tell them.
    pub(crate) fn is_typed(&self) -> bool {
        let typed = |region: &Region| {
            matches!(region.kind, RegionKind::Value { .. } | RegionKind::Elements(_) | RegionKind::Python)
                || region.markers.is_some()
        };
        self.regions.iter().any(typed)
    }

    /// Whether a call may come without a name, so that its arguments must tell the tool.
    pub(crate) fn infers_names(&self) -> bool {
        let header =
            |region: &Region| matches!(&region.kind, RegionKind::Name(rules) if rules.header.is_some());
        self.regions.iter().any(header)
    }

    /// Whether plugin code owns a part of the format.
    pub fn has_extern(&self) -> bool {
        self.has_extern
    }
}
