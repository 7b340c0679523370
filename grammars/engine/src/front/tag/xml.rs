//! Parameters between XML-like markers, the styles of a structural tag's schema: strings stand raw up to the closing
//! marker, everything else as JSON.

use crate::GrammarError;
use crate::builder::{GrammarBuilder, Members};
use crate::front::json::{below, compile};
use crate::grammar::Expr;
use crate::json::{JsonLowering, JsonStyle, Whitespace, text_rules};
use crate::terminal::{Pattern, TextRules};
use serde_json::Value;
use toolglot_schema::{Node, NodeId, ObjectRules, Schema, StringRules};

/// What stands around names and values.
pub(super) struct Wrapper {
    before_key: &'static str,
    /// Any of these.
    after_key: &'static [&'static str],
    before_value: &'static str,
    after_value: &'static str,
}

impl Wrapper {
    /// The wrapper of a style.
    pub(super) fn of(style: &str) -> Option<&'static Wrapper> {
        const QWEN: Wrapper = Wrapper {
            before_key: "<parameter=",
            after_key: &[">"],
            before_value: "",
            after_value: "</parameter>",
        };
        const MINIMAX: Wrapper = Wrapper {
            before_key: "<parameter name=\"",
            after_key: &["\">"],
            before_value: "",
            after_value: "</parameter>",
        };
        const DEEPSEEK: Wrapper = Wrapper {
            before_key: "<｜DSML｜parameter name=\"",
            after_key: &["\" string=\"true\">", "\" string=\"false\">"],
            before_value: "",
            after_value: "</｜DSML｜parameter>",
        };
        const GLM: Wrapper = Wrapper {
            before_key: "<arg_key>",
            after_key: &["</arg_key>"],
            before_value: "<arg_value>",
            after_value: "</arg_value>",
        };
        Some(match style {
            "qwen_xml" => &QWEN,
            "minimax_xml" => &MINIMAX,
            "deepseek_xml" => &DEEPSEEK,
            "glm_xml" => &GLM,
            _ => return None,
        })
    }
}

/// The parameters of a schema's objects.
pub(super) fn parameters(
    b: &mut GrammarBuilder,
    document: &Value,
    wrapper: &Wrapper,
    style: &JsonStyle,
    pointer: &str,
) -> Result<Expr, GrammarError> {
    let schema = compile(document, pointer)?;
    let mut lowering = Lowering { b, schema: &schema, wrapper, style };
    let expr = lowering.root().map_err(|error| below(error, pointer))?;
    Ok(expr)
}

struct Lowering<'a> {
    b: &'a mut GrammarBuilder,
    schema: &'a Schema,
    wrapper: &'a Wrapper,
    style: &'a JsonStyle,
}

impl Lowering<'_> {
    fn root(&mut self) -> Result<Expr, GrammarError> {
        let schema = self.schema;
        let objects: Vec<NodeId> = match schema.node(schema.root()) {
            Node::AnyOf(parts) => parts.to_vec(),
            _ => vec![schema.root()],
        };
        let mut ways = Vec::new();
        for object in objects {
            match schema.node(object) {
                Node::Object(rules) => ways.push(self.object(rules, None)?),
                Node::Any => ways.push(self.object(&ObjectRules::default(), Some(object))?),
                _ => {}
            }
        }
        if ways.is_empty() {
            return Err(GrammarError::unsupported("", "type", "parameters need a schema of objects"));
        }
        Ok(self.b.alt(&ways))
    }

    /// White space between the parts.
    fn pad(&mut self) -> Result<Expr, GrammarError> {
        match &self.style.whitespace {
            Whitespace::Exact => Ok(self.b.empty()),
            Whitespace::Flexible(max) => self.b.regex(&format!("[ \\n\\r\\t]{{0,{max}}}")),
            Whitespace::Pattern(pattern) => self.b.regex(pattern),
        }
    }

    fn object(&mut self, rules: &ObjectRules, any: Option<NodeId>) -> Result<Expr, GrammarError> {
        let pad = self.pad()?;
        let mut declared = Vec::with_capacity(rules.properties.len());
        for (name, property) in &rules.properties {
            let closing = self.wrapper.after_key.iter().any(|close| name.contains(close));
            if closing || name.is_empty() {
                return Err(GrammarError::unsupported(
                    "/properties",
                    name,
                    "a parameter's name must not hold the marker that ends it",
                ));
            }
            let key = format!("{}{name}", self.wrapper.before_key);
            declared.push((vec![key.into_bytes()], self.rest_of(property.schema)?, property.required));
        }
        let names: Vec<String> = rules.properties.keys().cloned().collect();
        let mut rest = Vec::new();
        let open = any.map(|value| (StringRules::default(), value));
        for (key, value) in rules.rest.iter().map(|r| (r.key.clone(), r.value)).chain(open) {
            let mut key = text_rules(&key);
            key.excluded_words.extend(names.iter().map(|name| name.clone().into_bytes()));
            // Undeclared names are identifiers.
            let hir = regex_syntax::parse("[A-Za-z_][A-Za-z0-9_]*").map_err(|error| GrammarError::Regex {
                pattern: "identifier".into(),
                reason: error.to_string(),
            })?;
            key.include.push(Pattern { hir, search: false });
            let key = self.b.raw_with(Vec::new(), key)?;
            let before = self.b.bytes(self.wrapper.before_key);
            rest.push((self.b.seq(&[before, key]), self.rest_of(value)?));
        }
        let empty = self.b.empty();
        self.b.members(Members {
            open: pad,
            close: pad,
            comma: pad,
            lead: empty,
            colon: empty,
            declared,
            rest,
            any_order: self.style.any_order,
            min: rules.min,
            max: rules.max,
        })
    }

    /// Everything behind a parameter's name.
    fn rest_of(&mut self, value: NodeId) -> Result<Expr, GrammarError> {
        let suffixes: Vec<Expr> = self.wrapper.after_key.iter().map(|text| self.b.bytes(text)).collect();
        let mut parts = vec![self.b.alt(&suffixes)];
        if !self.wrapper.before_value.is_empty() {
            parts.push(self.pad()?);
            parts.push(self.b.bytes(self.wrapper.before_value));
        }
        let mut ways = Vec::new();
        self.value(value, &mut ways)?;
        parts.push(self.b.alt(&ways));
        parts.push(self.b.bytes(self.wrapper.after_value));
        Ok(self.b.seq(&parts))
    }

    /// The ways to write a value.
    fn value(&mut self, id: NodeId, out: &mut Vec<Expr>) -> Result<(), GrammarError> {
        let schema = self.schema;
        match schema.node(id) {
            Node::AnyOf(parts) => parts.iter().try_for_each(|&part| self.value(part, out))?,
            Node::String(rules) => out.push(self.raw(text_rules(rules))?),
            // Raw text is what any JSON looks like, too.
            Node::Any => out.push(self.raw(TextRules::default())?),
            Node::Enum(values) => {
                for value in values {
                    match value.as_str() {
                        Some(text) if text.contains(self.wrapper.after_value) => {}
                        Some(text) => out.push(self.b.bytes(text)),
                        None => {
                            let text = self.b.bytes(value.to_string());
                            out.push(self.padded(text)?);
                        }
                    }
                }
            }
            _ => {
                let json = JsonLowering::new(self.b, schema, self.style).node(id)?;
                out.push(self.padded(json)?);
            }
        }
        Ok(())
    }

    fn padded(&mut self, value: Expr) -> Result<Expr, GrammarError> {
        let pad = self.pad()?;
        Ok(self.b.seq(&[pad, value, pad]))
    }

    fn raw(&mut self, rules: TextRules) -> Result<Expr, GrammarError> {
        self.b.raw_with(vec![self.wrapper.after_value.as_bytes().to_vec()], rules)
    }
}
