//! Arguments written one parameter at a time, each between its markers: raw strings, everything else as JSON.

use super::{Lowering, behind, json_style, refuse};
use crate::GrammarError;
use crate::builder::Members;
use crate::grammar::Expr;
use crate::json::{JsonLowering, text_rules};
use crate::terminal::{Pattern, TextRules};
use toolglot_format::{Format, Notation, TaggedArgs, ValueNode};
use toolglot_schema::{Node, NodeId, ObjectRules, Schema, StringRules, TypeSet};

/// How the value of a parameter is written where a word states its type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As the schema says.
    Any,
    /// A raw string.
    Text,
    /// JSON, but no string.
    Other,
}

/// Which parameter is being lowered.
#[derive(Clone, Copy)]
struct Parameter<'a> {
    key: Key<'a>,
    value: NodeId,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Key<'a> {
    Name(&'a str),
    /// An undeclared one; the declared names are excluded.
    Rule(&'a StringRules),
}

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
        let mut parts = Vec::new();
        for object in objects {
            let rules = match schema.node(object) {
                Node::Object(rules) => rules,
                _ => &open,
            };
            let any = matches!(schema.node(object), Node::Any).then_some(object);
            parts.push(self.tagged_object(tagged, tool, schema, rules, any, follow)?);
        }
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
        let mut declared = Vec::with_capacity(rules.properties.len());
        let mut lead = None;
        for (name, property) in &rules.properties {
            let parts = self.parameter(tagged, tool, schema, Key::Name(name), property.schema, follow)?;
            // A declared property that must not be there needs no spelling.
            if parts.contains(&self.b.never()) {
                if property.required {
                    return Ok(self.b.never());
                }
                continue;
            }
            let (before, key, value) = self.split(&parts, name)?;
            if *lead.get_or_insert(before) != before {
                return Err(refuse("args.tagged", "what stands before a parameter's name has to be fixed"));
            }
            declared.push((key, value, property.required));
        }
        let names: Vec<String> = rules.properties.keys().cloned().collect();
        let mut rest = Vec::new();
        let open = any.map(|value| (StringRules::default(), value));
        for (key, value) in rules.rest.iter().map(|r| (r.key.clone(), r.value)).chain(open) {
            let mut key = key;
            key.excluded_values.extend(names.iter().cloned());
            // The part before the key has to be told apart from `lead`.
            let parts = self.parameter(tagged, tool, schema, Key::Rule(&key), value, follow)?;
            let (before, parts) = self.split_rest(&parts, lead)?;
            lead.get_or_insert(before);
            let key = self.b.seq(&parts);
            let empty = self.b.empty();
            rest.push((key, empty));
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

    /// The flat parts of one parameter. Neighbouring literals are one part.
    fn parameter(
        &mut self,
        tagged: &TaggedArgs,
        tool: Option<usize>,
        schema: &Schema,
        key: Key<'_>,
        value: NodeId,
        follow: &[String],
    ) -> Result<Vec<Expr>, GrammarError> {
        // Behind a parameter: the next one, or what follows the arguments.
        let mut after = Vec::new();
        let through = tagged.sep.as_deref().is_none_or(|sep| super::add_first(sep, &mut after));
        if through {
            super::add_first(&tagged.param, &mut after);
        }
        after.extend_from_slice(follow);
        let typed = tagged.param.any(&mut |node| matches!(node, Format::TypeLit(_)));
        let kinds: &[Kind] = if typed { &[Kind::Text, Kind::Other] } else { &[Kind::Any] };
        let mut ways = Vec::new();
        for &kind in kinds {
            let parameter = Parameter { key, value, kind };
            ways.push(self.parameter_node(&tagged.param, tool, schema, parameter, &after)?);
        }
        let whole = self.b.alt(&ways);
        Ok(self.b.parts(whole))
    }

    fn parameter_node(
        &mut self,
        node: &Format,
        tool: Option<usize>,
        schema: &Schema,
        parameter: Parameter<'_>,
        follow: &[String],
    ) -> Result<Expr, GrammarError> {
        match node {
            Format::Seq(nodes) => {
                let mut parts = Vec::with_capacity(nodes.len());
                for (index, node) in nodes.iter().enumerate() {
                    let behind = behind(&nodes[index + 1..], follow);
                    parts.push(self.parameter_node(node, tool, schema, parameter, &behind)?);
                }
                Ok(self.b.seq(&parts))
            }
            Format::Alt(nodes) => {
                let mut parts = Vec::with_capacity(nodes.len());
                for node in nodes {
                    parts.push(self.parameter_node(node, tool, schema, parameter, follow)?);
                }
                Ok(self.b.alt(&parts))
            }
            Format::Opt(inner) => {
                let inner = self.parameter_node(inner, tool, schema, parameter, follow)?;
                Ok(self.b.opt(inner))
            }
            Format::Key(_) => match parameter.key {
                Key::Name(name) => {
                    if follow.iter().any(|f| !f.is_empty() && name.contains(f.as_str())) {
                        return Err(refuse(name, "this parameter's name contains the marker that ends it"));
                    }
                    Ok(self.b.bytes(name))
                }
                Key::Rule(rules) => {
                    let mut rules = text_rules(rules);
                    rules.min = rules.min.max(1);
                    self.b.raw_with(follow.iter().map(|f| f.clone().into_bytes()).collect(), rules)
                }
            },
            Format::TypeLit(word) => {
                Ok(self.b.bytes(if parameter.kind == Kind::Text { &word.string } else { &word.other }))
            }
            Format::Value(value) => self.value(value, schema, parameter, follow),
            other => self.node(other, tool, follow),
        }
    }

    /// Splits a parameter into what stands before its key's literal, that literal, and the rest.
    fn split(&mut self, parts: &[Expr], name: &str) -> Result<(Expr, Vec<u8>, Expr), GrammarError> {
        let at = parts.iter().position(|&p| self.b.literal(p).is_some_and(|l| contains(l, name.as_bytes())));
        let Some(at) = at else {
            return Err(refuse("args.tagged", "a parameter has to state its name in a literal"));
        };
        let before = self.b.seq(&parts[..at]);
        let key = self.b.literal(parts[at]).unwrap_or_default().to_vec();
        let value = self.b.seq(&parts[at + 1..]);
        Ok((before, key, value))
    }

    /// Splits an undeclared parameter the same way: special tokens before the first literal are the lead.
    fn split_rest(&mut self, parts: &[Expr], lead: Option<Expr>) -> Result<(Expr, Vec<Expr>), GrammarError> {
        let at = parts.iter().position(|&p| !self.b.is_special(p)).unwrap_or(parts.len());
        let before = self.b.seq(&parts[..at]);
        if lead.is_some_and(|lead| lead != before) {
            return Err(refuse("args.tagged", "declared and other parameters begin in different ways"));
        }
        Ok((before, parts[at..].to_vec()))
    }

    /// One value: raw if it is a string, JSON otherwise.
    fn value(
        &mut self,
        value: &ValueNode,
        schema: &Schema,
        parameter: Parameter<'_>,
        follow: &[String],
    ) -> Result<Expr, GrammarError> {
        let mut terminators: Vec<Vec<u8>> = follow.iter().map(|f| f.clone().into_bytes()).collect();
        terminators.extend(value.excluding.iter().map(|f| f.clone().into_bytes()));
        let mut ways = Vec::new();
        let raw = match parameter.kind {
            Kind::Text => true,
            Kind::Other => false,
            Kind::Any => !value.quoted_strings,
        };
        let json = parameter.kind != Kind::Text;
        let types = if parameter.kind == Kind::Any { schema.types(parameter.value) } else { TypeSet::STRING };
        self.collect(
            schema,
            parameter.value,
            &Way { raw, json, types, terminators: &terminators, notation: &value.notation },
            parameter.kind == Kind::Any && value.quoted_strings,
            &mut ways,
        )?;
        Ok(self.b.alt(&ways))
    }

    fn collect(
        &mut self,
        schema: &Schema,
        id: NodeId,
        way: &Way<'_>,
        quoted: bool,
        out: &mut Vec<Expr>,
    ) -> Result<(), GrammarError> {
        let style = json_style(way.notation);
        match schema.node(id) {
            Node::AnyOf(parts) => {
                for &part in parts {
                    self.collect(schema, part, way, quoted, out)?;
                }
            }
            _ if quoted => out.push(JsonLowering::new(self.b, schema, &style).node(id)?),
            Node::String(rules) if way.raw => out.push(self.raw_string(text_rules(rules), way)?),
            Node::String(_) => {}
            Node::Enum(values) => {
                for value in values {
                    match value.as_str() {
                        Some(text) if way.raw => {
                            let clash = way.terminators.iter().any(|t| contains(text.as_bytes(), t));
                            if !clash && !looks_like_json(text, way.types) {
                                out.push(self.b.bytes(text));
                            }
                        }
                        None if way.json => out.push(self.b.bytes(value.to_string())),
                        _ => {}
                    }
                }
            }
            Node::Any => {
                if way.raw {
                    out.push(self.raw_string(TextRules::default(), way)?);
                }
                if way.json {
                    let mut json = JsonLowering::new(self.b, schema, &style);
                    out.push(json.any_but_string()?);
                }
            }
            _ if way.json => out.push(JsonLowering::new(self.b, schema, &style).node(id)?),
            _ => {}
        }
        Ok(())
    }

    fn raw_string(&mut self, mut rules: TextRules, way: &Way<'_>) -> Result<Expr, GrammarError> {
        // Beside other types, text that begins like one of them would be read as JSON.
        if way.types != TypeSet::STRING {
            let mut first = String::new();
            for (types, chars) in STARTS {
                if way.types.intersects(types) {
                    first.push_str(chars);
                }
            }
            if way.types == TypeSet::ALL {
                first.push('"');
            }
            let pattern = format!("[ \\t\\r\\n]*[^ \\t\\r\\n{first}][\\s\\S]*");
            let hir = regex_syntax::parse(&pattern)
                .map_err(|error| GrammarError::Regex { pattern, reason: error.to_string() })?;
            rules.include.push(Pattern { hir, search: false });
        }
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
struct Way<'a> {
    raw: bool,
    json: bool,
    types: TypeSet,
    terminators: &'a [Vec<u8>],
    notation: &'a Notation,
}

/// What values of other types begin with, as regex class members.
const STARTS: [(TypeSet, &str); 5] = [
    (TypeSet::OBJECT, "{"),
    (TypeSet::ARRAY, "\\["),
    (TypeSet::NUMBER, "0-9\\-"),
    (TypeSet::BOOLEAN, "tTfF"),
    (TypeSet::NULL, "nN"),
];

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
