//! The Format tree: one description of how a family writes an assistant turn.
//!
//! Every node has a strict reading (what the model may write under a grammar, what the printer prints) and
//! a lenient one (what the parser takes). The lenient reading always includes the strict one. In TOML each
//! node is a table with one key that names it: `{ lit = "<tool_call>" }`, `{ opt = { … } }`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Channel, Escape, NameNode, Notation, TypeLit, Words};

/// A node of a family's format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A fixed marker.
    Lit(Lit),
    /// White space. Strict: exactly these bytes. Lenient: any run of white space, none included.
    Ws(String),
    /// Free text. It runs up to whatever literal may follow it, or to the end of the turn.
    Text(Text),
    /// The tool's name. Strict: a planned tool's name. Lenient: anything up to the literal that follows.
    /// Both only among [`NameNode::only`], where that holds names, and inside a [`NameNode::header`], where
    /// there is one.
    Name(NameNode),
    /// The call's id. Strict: as `style` says. Lenient: anything up to the literal that follows.
    Id(IdNode),
    /// The call's arguments.
    Args(Args),
    /// A parameter's name, inside [`TaggedArgs::param`] only.
    Key(NameNode),
    /// A parameter's value, inside [`TaggedArgs::param`] only.
    Value(ValueNode),
    /// A word that states the type of the value that follows, inside [`TaggedArgs::param`] only and between
    /// two literals.
    TypeLit(TypeLit),
    /// One node after the other.
    Seq(Vec<Format>),
    /// Ordered choice: the parser takes the first branch that fits, the printer the first that can print.
    Alt(Vec<Format>),
    /// The node or nothing.
    Opt(Box<Format>),
    /// The node several times.
    Rep(Rep),
    /// One tool call. Its subtree holds one name and one `args`.
    Call(Box<Format>),
    /// A JSON object that carries a call's name and arguments as members.
    Object(ObjectNode),
    /// Read by the parser, never written: a spelling that models drift into.
    /// Strict: gone, as a member of a sequence and as a branch of a choice. Lenient: the node, which a
    /// sequence may also go without.
    Lenient(Box<Format>),
    /// Owned by plugin code: cannot be constrained or printed; the parser hands the rest of the turn to the
    /// plugin's session.
    Extern(ExternNode),
}

/// A fixed marker. In TOML a plain string or a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "LitRepr", into = "LitRepr")]
pub struct Lit {
    /// The spelling that is printed and constrained to.
    pub text: String,
    /// Further spellings that the parser takes.
    pub aliases: Vec<String>,
    /// Written as one special token where the vocabulary has a token of this spelling.
    pub special: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum LitRepr {
    Text(String),
    Full {
        text: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        aliases: Vec<String>,
        #[serde(default)]
        special: bool,
    },
}

impl From<LitRepr> for Lit {
    fn from(repr: LitRepr) -> Self {
        match repr {
            LitRepr::Text(text) => Lit { text, aliases: Vec::new(), special: false },
            LitRepr::Full { text, aliases, special } => Lit { text, aliases, special },
        }
    }
}

impl From<Lit> for LitRepr {
    fn from(lit: Lit) -> Self {
        if lit.aliases.is_empty() && !lit.special {
            LitRepr::Text(lit.text)
        } else {
            LitRepr::Full { text: lit.text, aliases: lit.aliases, special: lit.special }
        }
    }
}

impl Lit {
    /// A plain text marker.
    pub fn text(text: impl Into<String>) -> Self {
        Lit { text: text.into(), aliases: Vec::new(), special: false }
    }

    /// A marker that is a special token where the vocabulary has one.
    pub fn special(text: impl Into<String>) -> Self {
        Lit { special: true, ..Lit::text(text) }
    }

    /// Whether a spelling is a marker that ordinary text hardly holds by chance, be it no special token.
    pub fn is_distinctive(spelling: &str) -> bool {
        let text = spelling.trim_start();
        text.len() >= 3 && text.starts_with(['<', '[', '|'])
    }

    /// Every spelling, the printed one first.
    pub fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.text.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

/// Free text and the channel it belongs to.
///
/// Strict: any text without special tokens that contains no literal that could start what follows it and
/// no literal in `excluding`. Lenient: the same; a partial literal at the end of the input is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Where the text goes.
    pub channel: Channel,
    /// Further literals that the strict reading must not contain; the parser does not stop at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluding: Vec<String>,
}

/// How call ids look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdNode {
    /// A regular expression for the whole id, used by the strict reading, such as `[a-zA-Z0-9]{9}`.
    pub pattern: String,
    /// Ids are running numbers, and this is the first: a call that has no number for an id gets the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// The encodings of a call's arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Args {
    /// One object. Strict: the tool's schema, in this notation. Lenient: any object, also cut off, also as a
    /// JSON string that holds it, `null` for none, and Python's literals where a family writes JSON.
    Json(Notation),
    /// A sequence of parameters between markers, such as `<parameter=K>V</parameter>`.
    Tagged(TaggedArgs),
    /// Python keyword arguments, `a='x', n=3`, without the parentheses.
    Pythonic(PythonicArgs),
    /// The text itself is the value of one string parameter.
    Raw(RawArgs),
    /// A tree of elements that are named after the keys, such as `<city>Oslo</city>`.
    Elements(ElementsArgs),
}

/// Arguments written one parameter at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaggedArgs {
    /// One parameter: each way through it holds one [`Format::Key`] and, behind it, one [`Format::Value`].
    /// Of several ways the first that can hold the value is printed.
    pub param: Box<Format>,
    /// What stands between two parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sep: Option<Box<Format>>,
    /// Names such as `arguments` that models give to one parameter that holds them all. Where such a parameter
    /// comes first, the tool does not declare it, and its value is an object of parameters that the tool does
    /// declare, the parser takes the object's members for the arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrappers: Vec<String>,
}

/// How a parameter's value is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValueNode {
    /// Strings stand as JSON strings in quotes. By default they stand raw, up to the literal that follows;
    /// every other type is JSON in either case.
    pub quoted_strings: bool,
    /// How characters of the whole value are written that are the markers' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<Escape>,
    /// How arrays and objects are written. Strings inside them stand in quotes.
    #[serde(alias = "spacing")]
    pub notation: Notation,
    /// Further literals that a raw value must not contain in the strict reading, because the parser takes
    /// them for the value's end where the closing literal was forgotten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluding: Vec<String>,
}

/// Python keyword arguments. Strict: both kinds of quotes and the escapes that Python has, in any order.
/// Lenient: any literals; a string is read as another type where the tool's schema has no string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PythonicArgs {
    /// The parser takes JSON's `true`, `false` and `null` beside Python's words; with this they are also
    /// what is written.
    pub json_words: bool,
}

impl PythonicArgs {
    /// How the values are written.
    pub fn notation(&self) -> Notation {
        let words = if self.json_words { Words::Json } else { Words::Python };
        Notation { words, ..Notation::python() }
    }
}

/// Raw text as one parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawArgs {
    /// The parameter that takes the text.
    pub key: String,
}

/// Arguments as nested elements, every tag behind a prefix: `<key>value</key>` for each parameter and each member
/// of an object, [`ElementsArgs::item`] for each element of an array. Strings stand raw, other scalars as JSON.
///
/// Strict: what the tool's schema declares; a name that it does not declare cannot be written, and a value that it
/// leaves open is a scalar. Lenient: any names; what an element holds is told by the schema, or else by what is
/// found in it. A tag that closes an outer element closes those within.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElementsArgs {
    /// Stands before every tag, closing ones included. Behind the arguments it stands again, before a tag that is
    /// no element's.
    pub prefix: Lit,
    /// The name of an array's elements.
    pub item: String,
}

impl MemberValue {
    /// Whether the call's name stands here.
    pub fn is_name(&self) -> bool {
        matches!(self, MemberValue::Name | MemberValue::OfferedName)
    }
}

impl ElementsArgs {
    /// Whether a key can be the name of an element.
    pub fn is_name(key: &str) -> bool {
        let fits = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '=' | '"');
        !key.is_empty() && !key.starts_with('/') && key.chars().all(fits)
    }
}

/// A node several times, with a separator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rep {
    /// The node.
    pub of: Box<Format>,
    /// At least this often.
    #[serde(default)]
    pub min: u32,
    /// At most this often; without it, any number of times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Between two of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sep: Option<Box<Format>>,
}

/// A JSON object whose members carry the call.
///
/// Strict: these members in this order in this notation; optional ones are left out. Lenient: any order,
/// any white space, either kind of quotes, aliases, and further members, which are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectNode {
    /// The members in the order they are written.
    pub members: Vec<Member>,
    /// How they and their values are written. Strings and keys stand in quotes.
    #[serde(default, alias = "spacing")]
    pub notation: Notation,
}

/// One member of an [`ObjectNode`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The key as written.
    pub key: String,
    /// Further keys that the parser takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What stands there.
    pub is: MemberValue,
    /// The parser takes it, the strict reading leaves it out.
    #[serde(default)]
    pub optional: bool,
}

/// What a member holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberValue {
    /// The tool's name as a JSON string.
    Name,
    /// The same, where nothing but the object shows that it is a call. Lenient: the object is text unless it stands
    /// at the beginning of a line of content, its first key is one of its members, it has arguments, and the name
    /// is that of a tool on offer (any name where no tools are known). Behind another call any name will do.
    OfferedName,
    /// The arguments as a JSON object.
    Args,
    /// The call's id as a JSON string.
    Id(IdNode),
    /// A fixed string.
    Word(String),
    /// A nested object.
    Object(Vec<Member>),
}

/// Plugin code reads this part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExternNode {
    /// Handed to the plugin's session as it stands.
    pub options: String,
}

impl Rep {
    /// The separator of the strict reading: none where it is lenient or writes nothing.
    pub fn strict_sep(&self) -> Option<&Format> {
        fn writes(node: &Format) -> bool {
            match node {
                Format::Lenient(_) => false,
                Format::Ws(text) => !text.is_empty(),
                Format::Seq(nodes) => nodes.iter().any(writes),
                _ => true,
            }
        }
        self.sep.as_deref().filter(|sep| writes(sep))
    }
}

/// A spelling in a format.
pub(crate) enum Spelled<'a> {
    Lit(&'a mut Lit),
    Space(&'a mut String),
    /// Literals that text or a value excludes.
    List(&'a mut Vec<String>),
}

impl Format {
    /// What a lenient node holds; any other node as it is.
    pub fn bare(&self) -> &Format {
        match self {
            Format::Lenient(inner) => inner,
            node => node,
        }
    }

    /// The children of this node, in order. `Args::Tagged` counts its parameter and separator.
    pub fn children(&self) -> Vec<&Format> {
        match self {
            Format::Seq(nodes) | Format::Alt(nodes) => nodes.iter().collect(),
            Format::Opt(node) | Format::Call(node) | Format::Lenient(node) => vec![node],
            Format::Rep(rep) => std::iter::once(&*rep.of).chain(rep.sep.as_deref()).collect(),
            Format::Args(Args::Tagged(tagged)) => {
                std::iter::once(&*tagged.param).chain(tagged.sep.as_deref()).collect()
            }
            Format::Lit(_)
            | Format::Ws(_)
            | Format::Text(_)
            | Format::Name(_)
            | Format::Id(_)
            | Format::Args(_)
            | Format::Key(_)
            | Format::Value(_)
            | Format::TypeLit(_)
            | Format::Object(_)
            | Format::Extern(_) => Vec::new(),
        }
    }

    /// Children that can be changed; see [`Format::children`].
    fn children_mut(&mut self) -> Vec<&mut Format> {
        match self {
            Format::Seq(nodes) | Format::Alt(nodes) => nodes.iter_mut().collect(),
            Format::Opt(node) | Format::Call(node) | Format::Lenient(node) => vec![node],
            Format::Rep(rep) => std::iter::once(&mut *rep.of).chain(rep.sep.as_deref_mut()).collect(),
            Format::Args(Args::Tagged(tagged)) => {
                std::iter::once(&mut *tagged.param).chain(tagged.sep.as_deref_mut()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Gives every literal that is spelled as a key of `spellings` the spelling beside it: printed forms,
    /// aliases, white space, and what free text and values exclude. Gives back the keys that no literal has.
    pub(crate) fn respell(&mut self, spellings: &BTreeMap<String, String>) -> Vec<String> {
        let mut unused: Vec<String> = spellings.keys().cloned().collect();
        let mut spell = |text: &mut String| {
            if let Some(new) = spellings.get(text.as_str()) {
                unused.retain(|key| key != text);
                text.clone_from(new);
            }
        };
        self.visit(&mut |spelled| match spelled {
            Spelled::Lit(lit) => std::iter::once(&mut lit.text).chain(&mut lit.aliases).for_each(&mut spell),
            Spelled::Space(text) => spell(text),
            Spelled::List(list) => list.iter_mut().for_each(&mut spell),
        });
        unused
    }

    /// Shows every spelling of the format.
    pub(crate) fn visit(&mut self, visitor: &mut dyn FnMut(Spelled<'_>)) {
        match self {
            Format::Lit(lit) => visitor(Spelled::Lit(lit)),
            Format::Ws(text) => visitor(Spelled::Space(text)),
            Format::Text(text) => visitor(Spelled::List(&mut text.excluding)),
            Format::Value(value) => visitor(Spelled::List(&mut value.excluding)),
            Format::Args(Args::Elements(elements)) => visitor(Spelled::Lit(&mut elements.prefix)),
            _ => self.children_mut().into_iter().for_each(|child| child.visit(visitor)),
        }
    }

    /// Whether `test` holds for this node or any node below it.
    pub fn any(&self, test: &mut dyn FnMut(&Format) -> bool) -> bool {
        test(self) || self.children().into_iter().any(|child| child.any(test))
    }

    /// Whether a tool call stands in this subtree.
    pub fn has_call(&self) -> bool {
        self.any(&mut |node| matches!(node, Format::Call(_)))
    }

    /// Whether plugin code owns a part of this subtree.
    pub fn has_extern(&self) -> bool {
        self.any(&mut |node| matches!(node, Format::Extern(_)))
    }

    /// Every literal of the strict reading: the framing that free text must not contain.
    pub fn framing(&self) -> Vec<&Lit> {
        fn add<'a>(lit: &'a Lit, out: &mut Vec<&'a Lit>) {
            if !out.contains(&lit) {
                out.push(lit);
            }
        }
        fn walk<'a>(node: &'a Format, out: &mut Vec<&'a Lit>) {
            match node {
                Format::Lenient(_) => {}
                Format::Lit(lit) => add(lit, out),
                Format::Args(Args::Json(notation)) => {
                    notation.marker().into_iter().for_each(|lit| add(lit, out));
                }
                _ => node.children().into_iter().for_each(|child| walk(child, out)),
            }
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }

    /// Every spelling of every special token, in either reading, each once.
    pub fn specials(&self) -> Vec<&str> {
        fn walk<'a>(node: &'a Format, out: &mut Vec<&'a str>) {
            let lit = match node {
                Format::Lit(lit) => Some(lit),
                Format::Args(Args::Json(notation)) => notation.marker(),
                _ => None,
            };
            for text in lit.filter(|lit| lit.special).into_iter().flat_map(Lit::spellings) {
                if !out.contains(&text) {
                    out.push(text);
                }
            }
            node.children().into_iter().for_each(|child| walk(child, out));
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }
}
