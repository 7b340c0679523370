//! Arguments written one parameter at a time, each between its markers: raw strings, everything else as JSON.

use super::{Lowering, Spacing, refuse};
use crate::GrammarError;
use crate::builder::Members;
use crate::grammar::Expr;
use crate::json::{JsonLowering, JsonStyle, text_rules};
use crate::terminal::{Pattern, TextRules};
use serde_json::Value;
use toolglot_format::{Escape, Format, Notation, TaggedArgs, TypeLit, ValueNode, ValueType, Words};
use toolglot_schema::{Node, NodeId, ObjectRules, Schema, StringRules, TypeSet};

/// The type that a word states, and the types of the values that may stand behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stated {
    of: ValueType,
    types: TypeSet,
}

/// Which parameter is being lowered.
#[derive(Clone, Copy)]
struct Parameter<'a> {
    key: Key<'a>,
    value: NodeId,
    /// What the type words of this spelling of the parameter say; without, it has none.
    stated: Option<Stated>,
}

#[derive(Clone, Copy)]
enum Key<'a> {
    Name(&'a str),
    /// An undeclared one; the declared names are excluded.
    Rule(&'a StringRules),
}

/// What stands around a part of a parameter.
#[derive(Clone, Copy)]
struct Around<'a> {
    /// Literals that could stand in the place of what comes next: a raw value must not hold them.
    before: &'a [String],
    /// Literals that may follow.
    follow: &'a [String],
    /// What comes next stands directly behind this node.
    behind: Option<&'a Format>,
}

/// One spelling of a declared parameter: what stands before its key's literal, that literal (up to where the key
/// ends, at least), and the rest.
struct Spelling {
    lead: Expr,
    key: Vec<u8>,
    /// Bytes of `key` that no other key of the object can share.
    least: usize,
    rest: Vec<Expr>,
}

/// Marks where a key begins and ends while the literal around it is found. No text holds these bytes.
const KEY_MARKS: [u8; 2] = [0xfe, 0xff];

impl Lowering<'_> {
    /// All parameters of a call.
    pub(super) fn tagged(
        &mut self,
        tagged: &TaggedArgs,
        tool: Option<usize>,
        follow: &[String],
    ) -> Result<Expr, GrammarError> {
        let (_, schema) = self.tool(tool, "args.tagged")?;
        let index = tool.unwrap_or_default();
        let open = ObjectRules::default();
        let objects: Vec<NodeId> = match schema.node(schema.root()) {
            Node::Object(_) | Node::Any => vec![schema.root()],
            Node::AnyOf(parts) => {
                parts.iter().copied().filter(|&p| matches!(schema.node(p), Node::Object(_))).collect()
            }
            _ => return Err(refuse("args.tagged", "the schema of the arguments allows no object")),
        };
        let tools = self.tools;
        let schema = &tools[index].1;
        // No text stands among parameters.
        let outer = std::mem::take(&mut self.beside);
        let mut parts = Vec::new();
        for object in objects {
            let rules = match schema.node(object) {
                Node::Object(rules) => rules,
                _ => &open,
            };
            let any = matches!(schema.node(object), Node::Any).then_some(object);
            parts.push(self.tagged_object(tagged, tool, schema, rules, any, follow)?);
        }
        self.beside = outer;
        Ok(self.b.alt(&parts))
    }

    fn tagged_object(
        &mut self,
        tagged: &TaggedArgs,
        tool: Option<usize>,
        schema: &Schema,
        rules: &ObjectRules,
        any: Option<NodeId>,
        follow: &[String],
    ) -> Result<Expr, GrammarError> {
        if rules.wanted_bits > 0 {
            return Err(refuse("args.tagged", crate::json::UNDECLARED));
        }
        let mut declared = Vec::with_capacity(rules.properties.len());
        let mut lead = None;
        for (name, property) in &rules.properties {
            let ways = self.parameter(tagged, tool, schema, Key::Name(name), property.schema, follow)?;
            // A declared property that must not be there needs no spelling.
            if ways.is_empty() {
                if property.required {
                    return Ok(self.b.never());
                }
                continue;
            }
            let (before, key, value) = self.split(ways)?;
            if *lead.get_or_insert(before) != before {
                return Err(refuse("args.tagged", "what stands before a parameter's name has to be fixed"));
            }
            declared.push((vec![key], value, property.required));
        }
        let names: Vec<String> = rules.properties.keys().cloned().collect();
        let mut rest = Vec::new();
        let open = any.map(|value| (StringRules::default(), value));
        for (key, value) in rules.rest.iter().map(|r| (r.key.clone(), r.value)).chain(open) {
            let mut key = key;
            key.excluded_values.extend(names.iter().cloned());
            for parts in self.parameter(tagged, tool, schema, Key::Rule(&key), value, follow)? {
                // The part before the key has to be told apart from `lead`.
                let (before, parts) = self.split_rest(&parts, lead)?;
                lead.get_or_insert(before);
                let key = self.b.seq(&parts);
                let empty = self.b.empty();
                rest.push((key, empty));
            }
        }
        let empty = self.b.empty();
        let comma = match &tagged.sep {
            Some(sep) => self.node(sep, tool, &[])?,
            None => empty,
        };
        self.b.members(Members {
            open: empty,
            close: empty,
            comma,
            lead: lead.unwrap_or(empty),
            colon: empty,
            declared,
            rest,
            any_order: true,
            min: rules.min,
            max: rules.max,
        })
    }

    /// The flat parts of each spelling of one parameter. Neighbouring literals are one part.
    fn parameter(
        &mut self,
        tagged: &TaggedArgs,
        tool: Option<usize>,
        schema: &Schema,
        key: Key<'_>,
        value: NodeId,
        follow: &[String],
    ) -> Result<Vec<Vec<Expr>>, GrammarError> {
        // Behind a parameter: the next one, or what follows the arguments.
        let mut after = Vec::new();
        let through = tagged.sep.as_deref().is_none_or(|sep| sep.first_literals(&mut after));
        if through {
            tagged.param.first_literals(&mut after);
        }
        after.extend_from_slice(follow);
        let around = Around { before: &[], follow: &after, behind: None };
        let mut ways = Vec::new();
        for stated in std::iter::once(None).chain(stated_types(&tagged.param).into_iter().map(Some)) {
            let parameter = Parameter { key, value, stated };
            let way = self.parameter_node(&tagged.param, tool, schema, parameter, around)?;
            let parts = self.b.parts(way);
            if way != self.b.never() && !ways.contains(&parts) {
                ways.push(parts);
            }
        }
        Ok(ways)
    }

    fn parameter_node(
        &mut self,
        node: &Format,
        tool: Option<usize>,
        schema: &Schema,
        parameter: Parameter<'_>,
        around: Around<'_>,
    ) -> Result<Expr, GrammarError> {
        let with_word = parameter.stated.is_some();
        match node {
            Format::Seq(nodes) => {
                let mut parts = Vec::with_capacity(nodes.len());
                let mut before = around.before.to_vec();
                for (index, node) in nodes.iter().enumerate() {
                    if !matches!(node, Format::Lenient(_)) {
                        let follow = Format::literals_behind(&nodes[index + 1..], around.follow);
                        let behind = index.checked_sub(1).map_or(around.behind, |at| nodes.get(at));
                        let around = Around { before: &before, follow: &follow, behind };
                        let part = match (node, nodes.get(index + 1)) {
                            (Format::Ws(text), next) => {
                                self.parameter_space(text, schema, parameter, behind, next)?
                            }
                            _ => self.parameter_node(node, tool, schema, parameter, around)?,
                        };
                        parts.push(part);
                    }
                    if !node.first_literals(&mut before) {
                        before.clear();
                    }
                }
                Ok(self.b.seq(&parts))
            }
            Format::Alt(nodes) => {
                // With a word that states the type, the branches that have one.
                let worded = with_word && nodes.iter().any(has_type_word);
                let mut parts = Vec::with_capacity(nodes.len());
                for (index, node) in nodes.iter().enumerate() {
                    if matches!(node, Format::Lenient(_)) || worded && !has_type_word(node) {
                        continue;
                    }
                    let mut before = around.before.to_vec();
                    nodes.iter().enumerate().filter(|(other, _)| *other != index).for_each(|(_, other)| {
                        other.first_literals(&mut before);
                    });
                    let around = Around { before: &before, ..around };
                    parts.push(self.parameter_node(node, tool, schema, parameter, around)?);
                }
                Ok(self.b.alt(&parts))
            }
            Format::Opt(inner) => {
                let expr = self.parameter_node(inner, tool, schema, parameter, around)?;
                Ok(if with_word && has_type_word(inner) { expr } else { self.b.opt(expr) })
            }
            Format::Key(node) => match parameter.key {
                Key::Name(name) => {
                    let written = Escape::written(node.escape, name);
                    if around.follow.iter().any(|f| !f.is_empty() && written.contains(f.as_str())) {
                        return Err(refuse(name, "this parameter's name contains the marker that ends it"));
                    }
                    let [open, close] = KEY_MARKS;
                    Ok(self.b.bytes([&[open], written.as_bytes(), &[close]].concat()))
                }
                Key::Rule(rules) => {
                    let mut rules = text_rules(rules);
                    rules.min = rules.min.max(1);
                    let mut ends: Vec<Vec<u8>> =
                        around.follow.iter().map(|f| f.clone().into_bytes()).collect();
                    if node.escape.is_some() {
                        // Other names than the plain ones have no spelling of their own.
                        ends.extend([b"&".to_vec(), b"\"".to_vec()]);
                    }
                    self.b.raw_with(ends, rules)
                }
            },
            Format::TypeLit(words) => {
                let word = parameter.stated.and_then(|stated| words.word(stated.of));
                Ok(match word {
                    Some(word) => self.b.bytes(word),
                    None => self.b.never(),
                })
            }
            Format::Value(value) => self.value(value, schema, parameter, around),
            // One spelling: it may be what tells the key.
            Format::Lit(lit) if !lit.special => Ok(self.b.bytes(&lit.text)),
            other => self.node(other, tool, around.follow),
        }
    }

    /// White space in a parameter. Beside a raw value the parser takes off what the family writes, or nothing, so
    /// no other white space may stand there, and a value whose length or shape matters needs exactly that. A key is
    /// told by the literal behind it.
    fn parameter_space(
        &mut self,
        text: &str,
        schema: &Schema,
        parameter: Parameter<'_>,
        behind: Option<&Format>,
        next: Option<&Format>,
    ) -> Result<Expr, GrammarError> {
        let own = self.b.bytes(text);
        let beside = [behind, next];
        if self.spacing != Spacing::Flexible
            || beside.iter().any(|node| matches!(node, Some(Format::Key(_) | Format::TypeLit(_))))
        {
            return Ok(own);
        }
        let value = beside.into_iter().flatten().find_map(|node| match node {
            Format::Value(value) => Some(value),
            _ => None,
        });
        match value {
            Some(value) if !value.quoted_strings => {
                Ok(if is_shaped(schema, parameter.value) { own } else { self.b.opt(own) })
            }
            _ => self.free_space(&Format::Ws(text.to_owned())),
        }
    }

    /// Joins the spellings of a declared parameter: what stands before its key, a literal that holds the key and
    /// that all spellings share, and the rest.
    fn split(&mut self, ways: Vec<Vec<Expr>>) -> Result<(Expr, Vec<u8>, Expr), GrammarError> {
        let mut spellings: Vec<Spelling> = Vec::with_capacity(ways.len());
        for parts in ways {
            let [open, close] = KEY_MARKS;
            let marked = parts.iter().enumerate().find_map(|(at, &part)| {
                let literal = self.b.literal(part)?;
                let from = literal.iter().position(|&byte| byte == open)?;
                let to = literal.iter().position(|&byte| byte == close)?;
                let key = [&literal[..from], &literal[from + 1..to], &literal[to + 1..]].concat();
                Some((at, key, to - 1))
            });
            let Some((at, key, least)) = marked else {
                return Err(refuse("args.tagged", "a parameter has to state its name in a literal"));
            };
            spellings.push(Spelling {
                lead: self.b.seq(&parts[..at]),
                key,
                least,
                rest: parts[at + 1..].to_vec(),
            });
        }
        let Some(first) = spellings.first() else {
            return Err(refuse("args.tagged", "a parameter has no spelling"));
        };
        let (lead, least) = (first.lead, first.least);
        let shared = spellings.iter().fold(first.key.clone(), |shared, other| {
            let same = shared.iter().zip(&other.key).take_while(|(a, b)| a == b).count();
            shared[..same].to_vec()
        });
        let same = spellings.iter().all(|spelling| spelling.lead == lead && spelling.least == least);
        if !same || shared.len() < least {
            return Err(refuse("args.tagged", "what stands before a parameter's name has to be fixed"));
        }
        let mut values = Vec::with_capacity(spellings.len());
        for spelling in &spellings {
            let behind = self.b.bytes(&spelling.key[shared.len()..]);
            let rest = self.b.seq(&spelling.rest);
            values.push(self.b.seq(&[behind, rest]));
        }
        let value = self.b.alt(&values);
        Ok((lead, shared, value))
    }

    /// Splits an undeclared parameter the same way: without declared ones the special tokens before the first literal
    /// are the lead.
    fn split_rest(&mut self, parts: &[Expr], lead: Option<Expr>) -> Result<(Expr, Vec<Expr>), GrammarError> {
        let at = match lead {
            Some(lead) => {
                let lead = self.b.parts(lead);
                if !parts.starts_with(&lead) {
                    return Err(refuse(
                        "args.tagged",
                        "declared and other parameters begin in different ways",
                    ));
                }
                lead.len()
            }
            None => parts.iter().position(|&p| !self.b.is_special(p)).unwrap_or(parts.len()),
        };
        Ok((self.b.seq(&parts[..at]), parts[at..].to_vec()))
    }

    /// One value: raw if it is a string, JSON otherwise.
    fn value(
        &mut self,
        value: &ValueNode,
        schema: &Schema,
        parameter: Parameter<'_>,
        around: Around<'_>,
    ) -> Result<Expr, GrammarError> {
        let ends = around.follow.iter().chain(around.before).chain(&value.excluding);
        let terminators: Vec<Vec<u8>> = ends.map(|end| end.clone().into_bytes()).collect();
        // Behind a word that states the type nothing else can be taken for a string.
        let beside = parameter.stated.map_or(schema.types(parameter.value), |_| TypeSet::STRING);
        let way = Way {
            raw: !value.quoted_strings,
            only: parameter.stated.map_or(TypeSet::ALL, |stated| stated.types),
            beside,
            terminators: &terminators,
            notation: &value.notation,
            escape: value.escape,
        };
        let mut ways = Vec::new();
        self.collect(schema, parameter.value, &way, &mut ways)?;
        Ok(self.b.alt(&ways))
    }

    pub(super) fn collect(
        &mut self,
        schema: &Schema,
        id: NodeId,
        way: &Way<'_>,
        out: &mut Vec<Expr>,
    ) -> Result<(), GrammarError> {
        let style = JsonStyle { escape: way.escape, ..self.style(way.notation) };
        match schema.node(id) {
            Node::AnyOf(parts) => {
                for &part in parts {
                    self.collect(schema, part, way, out)?;
                }
            }
            _ if !way.raw && way.only == TypeSet::ALL => {
                out.push(JsonLowering::new(self.b, schema, &style).node(id)?);
            }
            Node::String(rules) if way.raw && way.only.contains(TypeSet::STRING) => {
                out.push(self.raw_string(text_rules(rules), way)?);
            }
            Node::Enum(values) => {
                for value in values.iter().filter(|value| way.only.intersects(type_of(value))) {
                    match value.as_str() {
                        Some(text) if way.raw => {
                            let written = Escape::written(way.escape, text);
                            let clash = way.terminators.iter().any(|t| contains(written.as_bytes(), t));
                            if !clash && !looks_like_json(text, way.beside) {
                                out.push(self.b.bytes(written.as_bytes()));
                            }
                        }
                        Some(text) => out.push(self.b.constant(&style, text)),
                        None => out.push(JsonLowering::new(self.b, schema, &style).value(value)?),
                    }
                }
            }
            Node::Any => {
                if way.raw && way.only.contains(TypeSet::STRING) {
                    out.push(self.raw_string(TextRules::default(), way)?);
                }
                self.other_words(way.only, way, out);
                let mut json = JsonLowering::new(self.b, schema, &style);
                out.push(json.any_of(way.only, !way.raw)?);
            }
            Node::Number(rules) if way.only == TypeSet::INTEGER && !rules.integer => {
                out.push(JsonLowering::new(self.b, schema, &style).integers(id, rules)?);
            }
            _ if way.only.contains(schema.types(id)) => {
                if matches!(schema.node(id), Node::Bool | Node::Null) {
                    self.other_words(schema.types(id), way, out);
                }
                out.push(JsonLowering::new(self.b, schema, &style).node(id)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// A value that stands alone is a word of JSON, or of Python: templates write it as either, by how they print it.
    fn other_words(&mut self, types: TypeSet, way: &Way<'_>, out: &mut Vec<Expr>) {
        if self.spacing != Spacing::Flexible {
            return;
        }
        let [yes, no, null] = match way.notation.words {
            Words::Json => Words::Python.all(),
            Words::Python => Words::Json.all(),
        };
        for (of, word) in [(TypeSet::BOOLEAN, yes), (TypeSet::BOOLEAN, no), (TypeSet::NULL, null)] {
            if types.contains(of) {
                out.push(self.b.bytes(word));
            }
        }
    }

    fn raw_string(&mut self, mut rules: TextRules, way: &Way<'_>) -> Result<Expr, GrammarError> {
        // Beside other types, text that can be taken for one of them would be.
        if way.beside != TypeSet::STRING {
            let mut first = String::new();
            for (types, start) in [(TypeSet::OBJECT, "{"), (TypeSet::ARRAY, "\\["), (TypeSet::ALL, "\"")] {
                if way.beside.contains(types) {
                    first.push_str(start);
                }
            }
            rules.include.push(whole(format!("[ \\t\\r\\n]*[^ \\t\\r\\n{first}][\\s\\S]*"))?);
            let words = [(TypeSet::NUMBER, NUMBER), (TypeSet::BOOLEAN, BOOLEAN), (TypeSet::NULL, NULL)];
            for (_, words) in words.into_iter().filter(|(types, _)| way.beside.intersects(*types)) {
                rules.exclude.push(whole(format!("[ \\t\\r\\n]*(?:{words})[ \\t\\r\\n]*"))?);
            }
        }
        let rules = if way.escape.is_some() { rules.escaped() } else { rules };
        self.b.raw_with(way.terminators.to_vec(), rules)
    }

    /// The whole of the arguments is the raw text of one string parameter.
    pub(super) fn raw_argument(
        &mut self,
        key: &str,
        tool: Option<usize>,
        follow: &[String],
    ) -> Result<Expr, GrammarError> {
        let (_, schema) = self.tool(tool, "args.raw")?;
        let terminators: Vec<Vec<u8>> = follow.iter().map(|f| f.clone().into_bytes()).collect();
        let rules = match schema.property(schema.root(), key).map(|id| schema.node(id)) {
            None | Some(Node::Any) => TextRules::default(),
            Some(Node::String(rules)) => text_rules(rules),
            Some(_) => {
                return Err(refuse("args.raw", format!("the parameter `{key}` is not a plain string")));
            }
        };
        self.b.raw_with(terminators, rules)
    }
}

/// In which ways a value may be written.
pub(super) struct Way<'a> {
    /// Strings stand raw.
    pub(super) raw: bool,
    /// Values of these types only.
    pub(super) only: TypeSet,
    /// The types that a raw string could be taken for.
    pub(super) beside: TypeSet,
    /// What a raw string must not hold.
    pub(super) terminators: &'a [Vec<u8>],
    pub(super) notation: &'a Notation,
    pub(super) escape: Option<Escape>,
}

/// Whether a string that stands for the node has to follow rules.
fn is_shaped(schema: &Schema, id: NodeId) -> bool {
    match schema.node(id) {
        Node::String(rules) => *rules != StringRules::default(),
        Node::AnyOf(parts) => parts.iter().any(|&part| is_shaped(schema, part)),
        _ => false,
    }
}

fn has_type_word(node: &Format) -> bool {
    type_word(node).is_some()
}

/// The first type word that the strict reading has.
fn type_word(node: &Format) -> Option<&TypeLit> {
    match node {
        Format::TypeLit(word) => Some(word),
        Format::Lenient(_) => None,
        _ => node.children().into_iter().find_map(type_word),
    }
}

/// What the type words of a parameter can say: one entry for each different word.
fn stated_types(param: &Format) -> Vec<Stated> {
    let Some(words) = type_word(param) else { return Vec::new() };
    let mut out: Vec<(Option<&str>, Stated)> = Vec::new();
    for of in ValueType::ALL {
        let types = match of {
            ValueType::String => TypeSet::STRING,
            ValueType::Integer => TypeSet::INTEGER,
            ValueType::Number => TypeSet::NUMBER,
            ValueType::Boolean => TypeSet::BOOLEAN,
            ValueType::Object => TypeSet::OBJECT,
            ValueType::Array => TypeSet::ARRAY,
            ValueType::Null => TypeSet::NULL,
        };
        match out.iter_mut().find(|(word, _)| *word == words.word(of)) {
            Some((_, stated)) => stated.types |= types,
            None => out.push((words.word(of), Stated { of, types })),
        }
    }
    out.into_iter().map(|(_, stated)| stated).collect()
}

fn type_of(value: &Value) -> TypeSet {
    match value {
        Value::Null => TypeSet::NULL,
        Value::Bool(_) => TypeSet::BOOLEAN,
        Value::Number(number) if number.is_f64() => TypeSet::FRACTION,
        Value::Number(_) => TypeSet::INTEGER,
        Value::String(_) => TypeSet::STRING,
        Value::Array(_) => TypeSet::ARRAY,
        Value::Object(_) => TypeSet::OBJECT,
    }
}

/// What the parser takes for a number, or more.
const NUMBER: &str =
    r"[+\-_]*(?:0_*[xX][0-9a-fA-F_]*|0_*[oO][0-7_]*|0_*[bB][01_]*|[0-9_.]*(?:[eE][+\-_]*[0-9_]*)?)";
/// What it takes for a truth value.
const BOOLEAN: &str = "(?i:true|false)";
/// What it takes for null, or more.
const NULL: &str = "(?i:null|none|nan)";

/// A pattern of the whole text.
fn whole(pattern: String) -> Result<Pattern, GrammarError> {
    let hir = regex_syntax::parse(&pattern)
        .map_err(|error| GrammarError::Regex { pattern, reason: error.to_string() })?;
    Ok(Pattern { hir, search: false })
}

/// True if the parser would take this text for a value of another type.
fn looks_like_json(text: &str, types: TypeSet) -> bool {
    let Some(first) = text.trim_start_matches([' ', '\t', '\r', '\n']).chars().next() else {
        return types != TypeSet::STRING;
    };
    match first {
        '{' => types.intersects(TypeSet::OBJECT),
        '[' => types.intersects(TypeSet::ARRAY),
        '0'..='9' | '-' => types.intersects(TypeSet::NUMBER),
        't' | 'T' | 'f' | 'F' => types.intersects(TypeSet::BOOLEAN),
        'n' | 'N' => types.intersects(TypeSet::NULL),
        '"' => types == TypeSet::ALL,
        _ => false,
    }
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || text.windows(needle.len()).any(|w| w == needle)
}
