//! The forms in which requests to servers ask for a structure: OpenAI's `response_format` and vLLM's
//! `structured_outputs`.

use super::json::{Fields, below, closed, kind, schema, whitespace, wrong};
use super::{RegexSyntax, tag};
use crate::GrammarError;
use crate::builder::GrammarBuilder;
use crate::grammar::Grammar;
use crate::json::{JsonStyle, Whitespace};
use serde_json::{Value, json};

/// White space characters that JSON may hold in one place where the form does not say.
const WHITESPACE: u32 = 32;

impl Grammar {
    /// Reads OpenAI's `response_format` (Chat Completions) or `text.format` (Responses): `json_schema`, `json_object`,
    /// and the `structural_tag` of other servers. `None` for `text` and `null`, which constrain nothing.
    ///
    /// ```
    /// # use toolglot_grammar::Grammar;
    /// use serde_json::json;
    ///
    /// let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}});
    /// assert!(Grammar::from_response_format(&format)?.is_some());
    /// assert!(Grammar::from_response_format(&json!({"type": "text"}))?.is_none());
    /// # Ok::<(), toolglot_grammar::GrammarError>(())
    /// ```
    pub fn from_response_format(format: &Value) -> Result<Option<Grammar>, GrammarError> {
        if format.is_null() {
            return Ok(None);
        }
        let fields = Fields::new(format, "")?;
        let style = JsonStyle::flexible(WHITESPACE);
        let mut b = GrammarBuilder::new();
        let root = match fields.text("type")? {
            "text" => {
                fields.finish()?;
                return Ok(None);
            }
            "json_object" => {
                // Some servers take a schema here.
                let any = json!({"type": "object"});
                schema(&mut b, fields.get("schema").unwrap_or(&any), &style, &fields.at("schema"))?
            }
            "json_schema" => {
                // The Responses API has its fields one level up.
                let inner = match fields.get("json_schema") {
                    Some(inner) => Fields::new(inner, &fields.at("json_schema"))?,
                    None => Fields::new(format, "")?,
                };
                let root = schema(&mut b, inner.need("schema")?, &style, &inner.at("schema"))?;
                for (fields, name) in [(&inner, "type"), (&inner, "name"), (&inner, "description")] {
                    fields.text_or_none(name)?;
                }
                inner.flag("strict", false)?;
                inner.finish()?;
                if fields.get("json_schema").is_none() {
                    return b.build(root).map(Some);
                }
                root
            }
            "structural_tag" => return Grammar::from_structural_tag_with(format, &style).map(Some),
            other => {
                return Err(GrammarError::unsupported(
                    "/type",
                    other,
                    "known are text, json_object, json_schema and structural_tag",
                ));
            }
        };
        fields.finish()?;
        b.build(root).map(Some)
    }

    /// Reads vLLM's `structured_outputs`: one of `json`, `json_object`, `regex`, `choice`, `grammar` (GBNF if it holds
    /// `::=`, else Lark) and `structural_tag`, with `whitespace_pattern`, `disable_any_whitespace` and
    /// `disable_additional_properties`.
    pub fn from_structured_outputs(outputs: &Value) -> Result<Grammar, GrammarError> {
        const KINDS: [&str; 6] = ["json", "json_object", "regex", "choice", "grammar", "structural_tag"];
        let fields = Fields::new(outputs, "")?;
        let asked: Vec<&str> = KINDS.into_iter().filter(|kind| fields.get(kind).is_some()).collect();
        let [asked] = *asked else {
            let asked =
                if asked.is_empty() { "none is".to_owned() } else { format!("{} are", asked.join(", ")) };
            return Err(wrong("", format!("one of {} has to be given; {asked}", KINDS.join(", "))));
        };
        let mut style = JsonStyle::flexible(WHITESPACE);
        if let Some(pattern) = fields.text_or_none("whitespace_pattern")? {
            style.whitespace = whitespace(pattern, &fields.at("whitespace_pattern"))?;
        }
        if fields.flag("disable_any_whitespace", false)? {
            if matches!(style.whitespace, Whitespace::Pattern(_)) {
                return Err(wrong("", "whitespace_pattern and disable_any_whitespace contradict each other"));
            }
            style = JsonStyle::compact();
        }
        let close = fields.flag("disable_additional_properties", false)?;
        let at = fields.at(asked);
        let mut b = GrammarBuilder::new();
        let root = match asked {
            "json" => {
                let document = document(fields.need("json")?, &at)?;
                let document = if close { closed(&document) } else { document };
                schema(&mut b, &document, &style, &at)?
            }
            "json_object" => {
                if !fields.flag("json_object", false)? {
                    return Err(wrong(&at, "expected true"));
                }
                schema(&mut b, &json!({"type": "object"}), &style, &at)?
            }
            "regex" => {
                let pattern = fields.text("regex")?;
                super::regex::expression(&mut b, pattern, RegexSyntax::Rust).map_err(|e| below(e, &at))?
            }
            "choice" => {
                let choices = fields.texts("choice")?;
                if choices.is_empty() {
                    return Err(wrong(&at, "there is nothing to choose from"));
                }
                let choices: Vec<_> = choices.iter().map(|choice| b.bytes(choice)).collect();
                b.alt(&choices)
            }
            "grammar" => {
                let source = fields.text("grammar")?;
                let root = if is_gbnf(source) { b.gbnf(source, "root") } else { b.lark(source) };
                root.map_err(|error| below(error, &at))?
            }
            _ => {
                let tag = document(fields.need("structural_tag")?, &at)?;
                tag::lower(&mut b, &tag, &style, &at)?
            }
        };
        fields.finish()?;
        b.build(root)
    }
}

/// JSON, or the text of some.
fn document(value: &Value, pointer: &str) -> Result<Value, GrammarError> {
    match value {
        Value::String(text) => {
            serde_json::from_str(text).map_err(|error| wrong(pointer, format!("this is no JSON: {error}")))
        }
        Value::Object(_) | Value::Bool(_) => Ok(value.clone()),
        other => Err(wrong(pointer, format!("expected JSON or its text, found {}", kind(other)))),
    }
}

/// Whether a grammar is written in GBNF rather than Lark: only GBNF defines rules with `::=`.
fn is_gbnf(source: &str) -> bool {
    let code = |line: &str| -> bool {
        let line = line.split('#').next().unwrap_or_default();
        line.split_once("::=").is_some_and(|(name, _)| {
            let name = name.trim();
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
    };
    source.lines().any(code)
}
