//! A family's format and a request's plan to a grammar: the strict reading of every node.
//!
//! Free text excludes the literals that could start what follows it, and the literals that start a call even where
//! the plan has no calls. Arguments follow their tool's schema; properties may come in any order, as the printer
//! writes them. White space is as [`Spacing`] says. What has no strict reading is refused.

mod elements;
pub(crate) mod first;
mod space;
mod tagged;

pub use space::Spacing;

use std::borrow::Cow;

use serde_json::Value;

use crate::GrammarError;
use crate::automaton::Escapes;
use crate::builder::GrammarBuilder;
use crate::grammar::{Expr, Grammar};
use crate::json::{JsonLowering, JsonStyle, Whitespace};
use crate::terminal::{Pattern, TextRules};
use first::{bare_starts, block_starts, call_starts};
use regex_syntax::hir::Hir;
use rustc_hash::FxHashMap;
use space::{Beside, is_only_ws, may_be_empty};
use toolglot_format::{Args, Escape, Format, Header, Member, MemberValue, Notation, Plan, Rep, Tool};
use toolglot_schema::{Node, Options, Schema};

/// How a format is read as a grammar.
#[derive(Debug, Clone, Default)]
pub struct FormatOptions {
    /// How the tools' schemas are read.
    pub schema: Options,
    /// How much white space is left to the model.
    pub spacing: Spacing,
}

impl Grammar {
    /// The grammar of one assistant turn: `format` as a family states it (not yet specialised) under `plan`. Tools take
    /// the parameters that they declare, unless their schemas open themselves to more.
    pub fn from_format(format: &Format, plan: &Plan) -> Result<Grammar, GrammarError> {
        Grammar::from_format_with(format, plan, &FormatOptions::default())
    }

    /// As [`Grammar::from_format`], with `options`.
    pub fn from_format_with(
        format: &Format,
        plan: &Plan,
        options: &FormatOptions,
    ) -> Result<Grammar, GrammarError> {
        let loose = (options.spacing == Spacing::Flexible).then(|| space::loosened(format));
        let strict = loose
            .as_ref()
            .unwrap_or(format)
            .specialise(plan)
            .map_err(|error| GrammarError::Format { place: "plan".into(), reason: error.to_string() })?;
        let mut builder = GrammarBuilder::new();
        let mut tools = Vec::new();
        for tool in plan.callable() {
            let schema = Schema::compile(&closed(&tool.parameters), &options.schema)
                .map_err(|error| GrammarError::from(error).in_tool(&tool.name))?;
            tools.push((tool, schema));
        }
        let mut starts = Vec::new();
        call_starts(format, &mut starts);
        block_starts(format, &mut starts);
        let specials = format.specials().into_iter().map(str::to_owned).collect();
        let bare = match bare_starts(format, plan) {
            Some(pattern) => Some(
                regex_syntax::parse(&pattern)
                    .map_err(|error| GrammarError::Regex { pattern, reason: error.to_string() })?,
            ),
            None => None,
        };
        let mut opened = Vec::new();
        space::opened_texts(format, &[], &mut opened);
        let mut lowering = Lowering {
            b: &mut builder,
            tools: &tools,
            spacing: options.spacing,
            starts,
            bare,
            specials,
            arguments: FxHashMap::default(),
            opened,
            // What comes before a call that is required could be text, so it is nothing but what the family writes.
            beside: Beside { text_before: plan.requires_call(), ..Beside::default() },
        };
        let root = lowering.node(&strict, None, &[])?;
        builder.build(root)
    }
}

/// Lowers the nodes of one format.
struct Lowering<'a> {
    b: &'a mut GrammarBuilder,
    tools: &'a [(&'a Tool, Schema)],
    spacing: Spacing,
    /// Literals that start a call.
    starts: Vec<String>,
    /// What starts a call that no marker frames.
    bare: Option<Hir>,
    /// Every spelling of a special token.
    specials: Vec<String>,
    /// Argument objects made so far, by tool and notation.
    arguments: FxHashMap<(usize, Notation), Expr>,
    /// What may follow the texts that special tokens open, by token.
    opened: Vec<(String, Vec<String>)>,
    /// What stands beside the node that is being lowered.
    beside: Beside,
}

fn refuse(place: &str, reason: impl Into<String>) -> GrammarError {
    GrammarError::Format { place: place.into(), reason: reason.into() }
}

impl<'a> Lowering<'a> {
    /// `tool`: whose call this is. `follow`: the literals that may come behind the node.
    fn node(&mut self, node: &Format, tool: Option<usize>, follow: &[String]) -> Result<Expr, GrammarError> {
        Ok(match node {
            ws if is_only_ws(ws) && self.is_free() => self.free_space(ws)?,
            Format::Lit(lit) if lit.special => self.b.special(&lit.text),
            Format::Lit(lit) => {
                let mut ways = vec![self.b.bytes(&lit.text)];
                if self.spacing == Spacing::Flexible {
                    let alike = lit.aliases.iter().filter(|alias| alias.trim() == lit.text.trim());
                    ways.extend(alike.map(|alias| self.b.bytes(alias)));
                }
                self.b.alt(&ways)
            }
            Format::Ws(text) => self.space(text),
            Format::Text(text) => {
                let starts = self.starts.iter().filter(|start| !self.is_word(start));
                let excluded = follow.iter().chain(&text.excluding).chain(starts);
                let excluded = excluded.map(|s| s.clone().into_bytes()).collect();
                self.b.text_without(excluded, self.bare.clone())?
            }
            Format::Name(name) => {
                let (tool, _) = self.tool(tool, "name")?;
                if !name.only.is_empty() && !name.only.contains(&tool.name) {
                    return Ok(self.b.never());
                }
                let written = Escape::written(name.escape, &tool.name);
                match &name.header {
                    Some(header) => self.header(header, &written)?,
                    None => {
                        let once = self.b.bytes(&*written);
                        // Models write either, so a mask must not choose for them.
                        match &name.doubled {
                            Some(between) if !written.contains(between.as_str()) => {
                                let twice = self.b.bytes(format!("{written}{between}{written}"));
                                self.b.alt(&[once, twice])
                            }
                            _ => once,
                        }
                    }
                }
            }
            Format::Id(id) => self.b.regex(&id.pattern)?,
            Format::Args(Args::Json(notation)) => self.json_arguments(tool, notation)?,
            Format::Args(Args::Tagged(tagged)) => self.tagged(tagged, tool, follow)?,
            Format::Args(Args::Pythonic(pythonic)) => {
                let (_, schema) = self.tool(tool, "args.pythonic")?;
                let mut style = self.style(&pythonic.notation());
                style.both_words = pythonic.json_words && self.spacing == Spacing::Flexible;
                JsonLowering::new(self.b, schema, &style).keywords(schema.root())?
            }
            Format::Args(Args::Elements(style)) => self.elements(style, tool)?,
            Format::Args(Args::Raw(raw)) => self.raw_argument(&raw.key, tool, follow)?,
            Format::Key(_) | Format::Value(_) | Format::TypeLit(_) => {
                return Err(refuse("key", "keys, values and type words stand inside `args.tagged` only"));
            }
            Format::Seq(nodes) => {
                let parts = self.sequence(nodes, tool, follow)?;
                self.b.seq(&parts)
            }
            Format::Alt(nodes) => {
                let parts =
                    nodes.iter().map(|n| self.node(n, tool, follow)).collect::<Result<Vec<_>, _>>()?;
                self.b.alt(&parts)
            }
            Format::Opt(inner) => {
                let inner = self.node(inner, tool, follow)?;
                self.b.opt(inner)
            }
            Format::Rep(rep) => {
                let flexible = self.spacing == Spacing::Flexible;
                if let Some(apart) = texts_apart(rep, flexible) {
                    return self.node(&apart, tool, follow);
                }
                let outer = self.beside.clone();
                self.beside = outer.repeated(rep);
                // Behind an item: a separator, another item, or what follows the whole.
                let mut behind = Vec::new();
                if rep.sep.as_deref().is_none_or(|sep| sep.first_literals(&mut behind)) {
                    rep.of.first_literals(&mut behind);
                }
                behind.extend_from_slice(follow);
                let item = self.node(&rep.of, tool, &behind)?;
                let separator = match &rep.sep {
                    Some(sep) => {
                        let mut behind = Vec::new();
                        if rep.of.first_literals(&mut behind) {
                            behind.extend_from_slice(follow);
                        }
                        Some(self.node(sep, tool, &behind)?)
                    }
                    None => None,
                };
                self.beside = outer;
                self.b.repeat(item, rep.min, rep.max, separator)
            }
            Format::Call(inner) => {
                let mut calls = Vec::with_capacity(self.tools.len());
                for index in 0..self.tools.len() {
                    let call = self.node(inner, Some(index), follow);
                    calls.push(call.map_err(|error| error.in_tool(&self.tools[index].0.name))?);
                }
                self.b.alt(&calls)
            }
            Format::Object(object) => self.envelope(&object.members, &object.notation, tool)?,
            // `specialise` has removed these.
            Format::Lenient(_) => self.b.empty(),
            Format::Extern(_) => {
                return Err(refuse("extern", "plugin code owns this part; it has no grammar"));
            }
        })
    }

    fn style(&self, notation: &Notation) -> JsonStyle {
        let mut style = JsonStyle { excluding: self.specials.clone(), ..JsonStyle::from(notation) };
        match self.spacing {
            Spacing::Flexible if space::is_plain(notation) => {
                style.whitespace = Whitespace::Pattern(space::IN_VALUES.into());
            }
            Spacing::Compact => {
                style.item_separator = notation.item.trim().to_owned();
                style.key_separator = notation.key.trim().to_owned();
            }
            _ => {}
        }
        style
    }

    /// Whether a literal that starts a call elsewhere is a word here: in text that a special token opens, where the
    /// parser looks for nothing but what may follow.
    fn is_word(&self, start: &String) -> bool {
        let Some(opened) = &self.beside.opened else { return false };
        let mut texts = self.opened.iter().filter(|(by, _)| by == opened).peekable();
        texts.peek().is_some()
            && !self.specials.contains(start)
            && !texts.any(|(_, follow)| follow.contains(start))
    }

    /// Whether the parser reads any white space here as framing, and the grammar goes along.
    fn is_free(&self) -> bool {
        self.spacing == Spacing::Flexible && !self.beside.text_before && !self.beside.text_behind
    }

    /// White space around markers, away from text.
    fn free_space(&mut self, ws: &Format) -> Result<Expr, GrammarError> {
        let mut odd = Vec::new();
        space::odd_spaces(ws, &mut odd);
        let mut ways = vec![self.b.regex(space::AROUND_MARKERS)?];
        ways.extend(odd.into_iter().map(|text| self.b.bytes(text)));
        Ok(self.b.alt(&ways))
    }

    /// White space as the family writes it. Between two texts it is what keeps them apart; beside one it may be left
    /// out, or be a part of the text.
    fn space(&mut self, text: &str) -> Expr {
        let own = self.b.bytes(text);
        let (text_before, text_behind) = (self.beside.text_before, self.beside.text_behind);
        let needed = self.spacing != Spacing::Flexible || text_before && text_behind;
        if needed { own } else { self.b.opt(own) }
    }

    fn sequence(
        &mut self,
        nodes: &[Format],
        tool: Option<usize>,
        follow: &[String],
    ) -> Result<Vec<Expr>, GrammarError> {
        let outer = self.beside.clone();
        let mut parts = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let behind = Format::literals_behind(&nodes[index + 1..], follow);
            self.beside = outer.within(nodes, index);
            let part = self.node(node, tool, &behind)?;
            // One run of any white space is as good as two.
            if !(is_only_ws(node) && self.is_free() && parts.last() == Some(&part)) {
                parts.push(part);
            }
        }
        self.beside = outer;
        Ok(parts)
    }

    /// A header counts, so it has a number of few digits.
    fn header(&mut self, header: &Header, name: &str) -> Result<Expr, GrammarError> {
        let [before, between, after] = header.frame();
        let open = self.b.bytes(format!("{before}{name}{between}"));
        let index = self.b.regex("0|[1-9][0-9]{0,3}")?;
        let close = self.b.bytes(after);
        Ok(self.b.seq(&[open, index, close]))
    }

    fn tool(&self, tool: Option<usize>, place: &str) -> Result<(&'a Tool, &'a Schema), GrammarError> {
        let tools = self.tools;
        match tool {
            Some(index) => Ok((tools[index].0, &tools[index].1)),
            None => Err(refuse(place, "stands outside every call")),
        }
    }

    fn json_arguments(&mut self, tool: Option<usize>, notation: &Notation) -> Result<Expr, GrammarError> {
        self.tool(tool, "args.json")?;
        let index = tool.unwrap_or_default();
        if let Some(&known) = self.arguments.get(&(index, notation.clone())) {
            return Ok(known);
        }
        let (tools, style) = (self.tools, self.style(notation));
        let (tool, schema) = &tools[index];
        let mut json = JsonLowering::new(self.b, schema, &style);
        let expr = match schema.node(schema.root()) {
            Node::Object(_) => json.node(schema.root())?,
            Node::Any => json.any_object()?,
            Node::AnyOf(parts) => {
                let objects = parts.iter().filter(|&&p| matches!(schema.node(p), Node::Object(_)));
                let objects = objects.map(|&p| json.node(p)).collect::<Result<Vec<_>, _>>()?;
                json.builder().alt(&objects)
            }
            _ => return Err(refuse(&tool.name, "the schema of the arguments allows no object")),
        };
        self.arguments.insert((index, notation.clone()), expr);
        Ok(expr)
    }

    /// A JSON object with the call's name and arguments as members.
    fn envelope(
        &mut self,
        members: &[Member],
        notation: &Notation,
        tool: Option<usize>,
    ) -> Result<Expr, GrammarError> {
        let style = self.style(notation);
        let marks = self.b.punctuation(&style)?;
        let mut parts = vec![self.b.bytes("{"), marks.pad];
        for (index, member) in members.iter().filter(|m| !m.optional).enumerate() {
            if index > 0 {
                parts.push(marks.comma);
            }
            parts.push(self.b.constant(&style, &member.key));
            parts.push(marks.colon);
            parts.push(match &member.is {
                MemberValue::Name | MemberValue::OfferedName => {
                    let (tool, _) = self.tool(tool, "name")?;
                    self.b.constant(&style, &tool.name)
                }
                MemberValue::Args => self.json_arguments(tool, notation)?,
                MemberValue::Id(id) => {
                    let hir = regex_syntax::parse(&id.pattern).map_err(|error| GrammarError::Regex {
                        pattern: id.pattern.clone(),
                        reason: error.to_string(),
                    })?;
                    let include = vec![Pattern { hir, search: false }];
                    let rules = TextRules { include, ..TextRules::default() };
                    let style = JsonStyle { escapes: Escapes::Minimal, ..style.clone() };
                    self.b.string(&style, &rules)?
                }
                MemberValue::Word(word) => self.b.constant(&style, word),
                MemberValue::Object(inner) => self.envelope(inner, notation, tool)?,
            });
        }
        parts.extend([marks.pad, self.b.bytes("}")]);
        Ok(self.b.seq(&parts))
    }
}

/// Texts and other nodes in any order with nothing between them, or white space that may be left out: two
/// neighbouring texts could spell a marker together, so this writes `rep(alt(others, text))` as
/// `text (others text)*`, which has the same turns, since text holds white space as well. `flexible`: any white space
/// may be left out.
pub(crate) fn texts_apart(rep: &Rep, flexible: bool) -> Option<Format> {
    let may_be_nothing = |sep: &Format| is_only_ws(sep) && (flexible || may_be_empty(sep));
    let nothing_between = rep.sep.as_deref().is_none_or(may_be_nothing);
    if !nothing_between || rep.max.is_some() || rep.min > 1 {
        return None;
    }
    let branches = match &*rep.of {
        Format::Alt(branches) => branches.as_slice(),
        of => std::slice::from_ref(of),
    };
    let (texts, others): (Vec<_>, Vec<_>) = branches.iter().partition(|b| matches!(b, Format::Text(_)));
    let [text] = *texts else { return None };
    if others.is_empty() {
        return Some(text.clone());
    }
    let others = Format::Alt(others.into_iter().cloned().collect());
    let more = Format::Seq(vec![others, text.clone()]);
    let more = Rep { of: Box::new(more), min: 0, max: None, sep: None };
    Some(Format::Seq(vec![text.clone(), Format::Rep(more)]))
}

/// A tool's parameters, closed where they say nothing of it: a schema that lists its properties and neither opens nor
/// combines anything means these properties. An open object lets a model invent parameters without end, and no tool
/// takes them; OpenAI's strict mode and XGrammar's default read such schemas in the same way.
pub(crate) fn closed(parameters: &Value) -> Cow<'_, Value> {
    const OPENING: [&str; 10] = [
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
        "propertyNames",
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "not",
    ];
    let Some(object) = parameters.as_object() else { return Cow::Borrowed(parameters) };
    if !object.contains_key("properties") || OPENING.iter().any(|keyword| object.contains_key(*keyword)) {
        return Cow::Borrowed(parameters);
    }
    let mut closed = object.clone();
    closed.insert("additionalProperties".to_owned(), Value::Bool(false));
    Cow::Owned(Value::Object(closed))
}
