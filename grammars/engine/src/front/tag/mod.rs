//! XGrammar's structural tags: an output as a tree of formats, or as free text with tags in it.
//!
//! Both forms are read: `{"type": "structural_tag", "format": {…}}` and the older `{"structures": [{"begin", "schema",
//! "end"}], "triggers": […]}`. Formats: `const_string`, `json_schema` (styles `json`, `qwen_xml`, `minimax_xml`,
//! `deepseek_xml`, `glm_xml`; `any_order`), `qwen_xml_parameter`, `grammar` (GBNF), `regex`, `any_text`, `sequence`,
//! `or`, `optional`, `plus`, `star`, `repeat`, `tag`, `triggered_tags`, `tags_with_separator`, `dispatch`, and for
//! tokens `token`, `exclude_token`, `any_tokens`, `token_triggered_tags`, `token_dispatch`.
//!
//! Free text ends where the end of its tag, or a trigger, first occurs. So it must come last in its sequence, unless
//! it excludes what follows. A budget of tokens for free text is refused: a grammar knows text, not tokens.

mod fields;
mod xml;

use super::RegexSyntax;
use super::json::{Fields, below, step, wrong};
use crate::GrammarError;
use crate::builder::{GrammarBuilder, TokenClass};
use crate::grammar::{Expr, Grammar};
use crate::json::JsonStyle;
use crate::terminal::{Pattern, TextRules};
use fields::{Begin, Marker, endless, ends_inside, marker, overlap, pair, token_class, triggers};
use regex_syntax::hir::{Class, Hir, Repetition};
use serde_json::Value;

impl Grammar {
    /// Reads a structural tag of XGrammar. Objects take the properties that their schemas list and no others, unless
    /// they say otherwise; JSON may hold up to 32 white space characters wherever it allows them.
    ///
    /// ```
    /// # use toolglot_grammar::Grammar;
    /// let tag = serde_json::json!({
    ///     "type": "structural_tag",
    ///     "format": {
    ///         "type": "triggered_tags",
    ///         "triggers": ["<f="],
    ///         "tags": [{
    ///             "begin": "<f=now>",
    ///             "content": {"type": "json_schema", "json_schema": {"properties": {"zone": {"type": "string"}}}},
    ///             "end": "</f>",
    ///         }],
    ///     },
    /// });
    /// Grammar::from_structural_tag(&tag)?;
    /// # Ok::<(), toolglot_grammar::GrammarError>(())
    /// ```
    ///
    /// # Errors
    /// Name the place as a JSON pointer.
    pub fn from_structural_tag(tag: &Value) -> Result<Grammar, GrammarError> {
        Grammar::from_structural_tag_with(tag, &JsonStyle::flexible(32))
    }

    /// As [`Grammar::from_structural_tag`], with JSON in this style.
    pub fn from_structural_tag_with(tag: &Value, style: &JsonStyle) -> Result<Grammar, GrammarError> {
        let mut builder = GrammarBuilder::new();
        let root = lower(&mut builder, tag, style, "")?;
        builder.build(root)
    }
}

/// The texts of a structural tag that stands at `pointer`.
pub(super) fn lower(
    b: &mut GrammarBuilder,
    tag: &Value,
    style: &JsonStyle,
    pointer: &str,
) -> Result<Expr, GrammarError> {
    let fields = Fields::new(tag, pointer)?;
    let kind = fields.text_or_none("type")?;
    if kind.is_some_and(|kind| kind != "structural_tag") {
        return Err(wrong(&fields.at("type"), "expected `structural_tag`"));
    }
    let mut reader = Reader { b, style };
    let expr = if fields.get("format").is_some() {
        let place = Place { pointer: fields.at("format"), depth: 0, end: End::None };
        reader.format(fields.need("format")?, &place)?
    } else if fields.get("structures").is_some() || fields.get("triggers").is_some() {
        reader.structures(&fields)?
    } else {
        return Err(wrong(pointer, "`format` is missing"));
    };
    fields.finish()?;
    Ok(expr)
}

/// Deepest nesting of formats.
const MAX_DEPTH: usize = 32;

/// What closes the innermost tag around a format that stands last in it.
#[derive(Clone)]
enum End {
    /// Nothing: the output ends, or the format does not stand last.
    None,
    Texts(Vec<String>),
    Token(TokenClass),
}

#[derive(Clone)]
struct Place {
    pointer: String,
    depth: usize,
    end: End,
}

impl Place {
    fn inner(&self, key: &str, end: End) -> Result<Place, GrammarError> {
        self.below(step(&self.pointer, key), end)
    }

    fn item(&self, list: &str, index: usize, end: End) -> Result<Place, GrammarError> {
        self.below(step(&step(&self.pointer, list), index), end)
    }

    fn below(&self, pointer: String, end: End) -> Result<Place, GrammarError> {
        if self.depth >= MAX_DEPTH {
            return Err(wrong(&self.pointer, format!("formats are nested more than {MAX_DEPTH} deep")));
        }
        Ok(Place { pointer, depth: self.depth + 1, end })
    }

    fn ends(&self) -> &[String] {
        match &self.end {
            End::Texts(texts) => texts,
            _ => &[],
        }
    }
}

struct Reader<'a> {
    b: &'a mut GrammarBuilder,
    style: &'a JsonStyle,
}

/// Tags in free text.
struct Around<'a> {
    triggers: &'a [String],
    excludes: &'a [String],
    /// Which trigger starts a tag, and what follows the trigger.
    tags: Vec<(usize, Expr)>,
    at_least_one: bool,
    stop_after_first: bool,
}

/// The start of a tag, and what follows it.
type Tag = (Begin, Expr);

impl Reader<'_> {
    fn format(&mut self, value: &Value, place: &Place) -> Result<Expr, GrammarError> {
        let fields = Fields::new(value, &place.pointer)?;
        let kind = fields.text("type")?;
        let expr = self.format_of(kind, &fields, place)?;
        fields.finish()?;
        Ok(expr)
    }

    fn format_of(&mut self, kind: &str, fields: &Fields<'_>, place: &Place) -> Result<Expr, GrammarError> {
        Ok(match kind {
            "const_string" => self.b.bytes(fields.text("value")?),
            "json_schema" => {
                let style = fields.text_or_none("style")?.unwrap_or("json");
                let any_order = fields.flag("any_order", false)?;
                self.schema(fields.need("json_schema")?, style, any_order, fields)?
            }
            "qwen_xml_parameter" => self.schema(fields.need("json_schema")?, "qwen_xml", false, fields)?,
            "grammar" => {
                let source = fields.text("grammar")?;
                self.b.gbnf(source, "root").map_err(|error| below(error, &fields.at("grammar")))?
            }
            "regex" => {
                let pattern = fields.text("pattern")?;
                super::regex::expression(self.b, pattern, RegexSyntax::Ecma)
                    .map_err(|error| below(error, &fields.at("pattern")))?
            }
            "any_text" => {
                if fields.get("max_tokens").is_some() {
                    return Err(GrammarError::unsupported(
                        &place.pointer,
                        "max_tokens",
                        "a grammar counts characters, not tokens; use max_chars",
                    ));
                }
                let max = fields.count("max_chars")?.map(u64::from);
                self.free_text(&fields.texts("excludes")?, place, max)?
            }
            "sequence" => self.sequence(fields, place)?,
            "or" => {
                let elements = fields.list("elements")?;
                let mut parts = Vec::with_capacity(elements.len());
                for (index, element) in elements.iter().enumerate() {
                    let inner = place.item("elements", index, place.end.clone())?;
                    parts.push(self.format(element, &inner)?);
                }
                if parts.is_empty() {
                    return Err(wrong(&fields.at("elements"), "there is nothing to choose from"));
                }
                self.b.alt(&parts)
            }
            "optional" => {
                let content =
                    self.format(fields.need("content")?, &place.inner("content", place.end.clone())?)?;
                self.b.opt(content)
            }
            "plus" => self.repeated(fields, place, 1, None)?,
            "star" => self.repeated(fields, place, 0, None)?,
            "repeat" => {
                let min = fields.count("min")?.ok_or_else(|| wrong(&place.pointer, "`min` is missing"))?;
                let max = match fields.number("max")? {
                    None => return Err(wrong(&place.pointer, "`max` is missing")),
                    Some(-1) => None,
                    Some(_) => fields.count("max")?,
                };
                if max.is_some_and(|max| max < min) {
                    return Err(wrong(&fields.at("max"), "the upper bound is below the lower one"));
                }
                self.repeated(fields, place, min, max)?
            }
            "tag" => {
                let tag = self.tag(fields, place)?;
                self.whole(tag)
            }
            "triggered_tags" => self.triggered_tags(fields, place)?,
            "tags_with_separator" => {
                let tags = self.tags(fields, place)?;
                let parts: Vec<Expr> = tags.into_iter().map(|tag| self.whole(tag)).collect();
                let tag = self.b.alt(&parts);
                let separator = self.b.bytes(fields.text("separator")?);
                let min = u32::from(fields.flag("at_least_one", false)?);
                let max = fields.flag("stop_after_first", false)?.then_some(1);
                self.b.repeat(tag, min, max, Some(separator))
            }
            "dispatch" => self.dispatch(fields, place)?,
            "token" => {
                let class = token_class(&[fields.need("token")?], &fields.at("token"), false)?;
                self.b.token(class)
            }
            "exclude_token" => {
                let class = self.other_tokens(fields, place, &[])?;
                self.b.token(class)
            }
            "any_tokens" => {
                let class = self.other_tokens(fields, place, &[])?;
                let token = self.b.token(class);
                let max = fields.count("max_tokens")?;
                self.b.repeat(token, 0, max, None)
            }
            "token_triggered_tags" => {
                let triggers: Vec<&Value> = fields.list("trigger_tokens")?.iter().collect();
                let class = self.other_tokens(fields, place, &triggers)?;
                let known = token_class(&triggers, &fields.at("trigger_tokens"), false)?;
                let tags = self.tags(fields, place)?;
                for (begin, _) in &tags {
                    let Begin::Token(class) = begin else {
                        return Err(wrong(
                            &fields.at("tags"),
                            "tags after a trigger token begin with a token",
                        ));
                    };
                    let one = class.ids.iter().all(|ids| known.ids.contains(ids))
                        && class.names.iter().all(|name| known.names.contains(name));
                    if !one {
                        return Err(wrong(
                            &fields.at("tags"),
                            "a tag begins with a token that is no trigger",
                        ));
                    }
                }
                let parts: Vec<Expr> = tags.into_iter().map(|tag| self.whole(tag)).collect();
                let tag = self.b.alt(&parts);
                self.between_tokens(fields, class, tag)?
            }
            "token_dispatch" => {
                let mut triggers = Vec::new();
                let mut parts = Vec::new();
                for (index, rule) in fields.list("rules")?.iter().enumerate() {
                    let pointer = step(&fields.at("rules"), index);
                    let [token, format] = pair(rule, &pointer)?;
                    triggers.push(token);
                    let class = token_class(&[token], &step(&pointer, 0), false)?;
                    let begin = self.b.token(class);
                    let content = self.dispatched(format, place, &pointer)?;
                    parts.push(self.b.seq(&[begin, content]));
                }
                let class = self.other_tokens(fields, place, &triggers)?;
                let tag = self.b.alt(&parts);
                let token = self.b.token(class);
                let text = self.b.repeat(token, 0, None, None);
                let max = (!fields.flag("loop", true)?).then_some(1);
                let more = self.b.seq(&[tag, text]);
                let more = if max.is_some() { self.b.opt(tag) } else { self.b.repeat(more, 0, None, None) };
                self.b.seq(&[text, more])
            }
            other => {
                return Err(GrammarError::unsupported(
                    &place.pointer,
                    other,
                    "no such format is known; see the list of formats in the documentation",
                ));
            }
        })
    }

    fn schema(
        &mut self,
        document: &Value,
        style: &str,
        any_order: bool,
        fields: &Fields<'_>,
    ) -> Result<Expr, GrammarError> {
        let pointer = fields.at("json_schema");
        let document = super::json::closed(document);
        let json = JsonStyle { any_order, ..self.style.clone() };
        if style == "json" {
            return super::json::schema(self.b, &document, &json, &pointer);
        }
        let wrapper = xml::Wrapper::of(style).ok_or_else(|| {
            GrammarError::unsupported(
                &fields.pointer,
                format!("style {style}"),
                "known are json, qwen_xml, minimax_xml, deepseek_xml and glm_xml",
            )
        })?;
        xml::parameters(self.b, &document, wrapper, &json, &pointer)
    }

    fn sequence(&mut self, fields: &Fields<'_>, place: &Place) -> Result<Expr, GrammarError> {
        let elements = fields.list("elements")?;
        let mut parts = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let last = index + 1 == elements.len();
            let end = if last { place.end.clone() } else { End::None };
            let inner = place.item("elements", index, end)?;
            if !last && endless(element) {
                return Err(GrammarError::unsupported(
                    inner.pointer,
                    element["type"].as_str().unwrap_or_default(),
                    "free text has to stand last in its sequence, or exclude what follows",
                ));
            }
            parts.push(self.format(element, &inner)?);
        }
        Ok(self.b.seq(&parts))
    }

    fn repeated(
        &mut self,
        fields: &Fields<'_>,
        place: &Place,
        min: u32,
        max: Option<u32>,
    ) -> Result<Expr, GrammarError> {
        let content = fields.need("content")?;
        if endless(content) && max != Some(1) {
            return Err(GrammarError::unsupported(
                fields.at("content"),
                content["type"].as_str().unwrap_or_default(),
                "free text that is repeated has no end between its repetitions",
            ));
        }
        let content = self.format(content, &place.inner("content", End::None)?)?;
        Ok(self.b.repeat(content, min, max, None))
    }

    /// Free text without any of `excluded`, up to the first end of the tag around it.
    fn free_text(
        &mut self,
        excluded: &[String],
        place: &Place,
        max: Option<u64>,
    ) -> Result<Expr, GrammarError> {
        let ends = place.ends();
        self.text(excluded, ends, max).map_err(|error| below(error, &place.pointer))
    }

    /// Text that contains none of `excluded` and, if one of `ends` follows, has no earlier end.
    fn text(&mut self, excluded: &[String], ends: &[String], max: Option<u64>) -> Result<Expr, GrammarError> {
        let bytes = |list: &[String]| -> Vec<Vec<u8>> {
            list.iter().filter(|t| !t.is_empty()).map(|t| t.clone().into_bytes()).collect()
        };
        let all: Vec<Vec<u8>> = bytes(excluded).into_iter().chain(bytes(ends)).collect();
        let own = all.iter().any(|text| ends_inside(text, text));
        if max.is_none() && !own && !overlap(&bytes(ends)) {
            return self.b.text(all);
        }
        // What overlaps itself: text before `aa` must not end in `a`, and other text may.
        let search = |word: &Vec<u8>| Pattern { hir: Hir::literal(word.as_slice()), search: true };
        let exclude = bytes(excluded).iter().map(search).collect();
        self.b.raw_with(bytes(ends), TextRules { max, exclude, ..TextRules::default() })
    }

    /// A tag.
    fn tag(&mut self, fields: &Fields<'_>, place: &Place) -> Result<Tag, GrammarError> {
        let marker = |name: &str| marker(fields.need(name)?, &fields.at(name));
        let begin = match marker("begin")? {
            Marker::Texts(texts) => match <[String; 1]>::try_from(texts) {
                Ok([text]) => Begin::Text(text),
                Err(_) => return Err(wrong(&fields.at("begin"), "expected one string or token")),
            },
            Marker::Token(class) => Begin::Token(class),
        };
        let end = marker("end")?;
        let (behind, end) = match end {
            Marker::Texts(texts) => {
                let parts: Vec<Expr> = texts.iter().map(|text| self.b.bytes(text)).collect();
                // With an empty end, free text goes on.
                let open = texts.iter().any(String::is_empty);
                let behind = if open { place.end.clone() } else { End::Texts(texts) };
                (behind, self.b.alt(&parts))
            }
            Marker::Token(class) => (End::Token(class.clone()), self.b.token(class)),
        };
        let content = self.format(fields.need("content")?, &place.inner("content", behind)?)?;
        Ok((begin, self.b.seq(&[content, end])))
    }

    /// A tag with its start.
    fn whole(&mut self, (begin, rest): Tag) -> Expr {
        let open = match begin {
            Begin::Text(text) => self.b.bytes(text),
            Begin::Token(class) => self.b.token(class),
        };
        self.b.seq(&[open, rest])
    }

    /// The `tags` of a format.
    fn tags(&mut self, fields: &Fields<'_>, place: &Place) -> Result<Vec<Tag>, GrammarError> {
        let tags = fields.list("tags")?;
        if tags.is_empty() {
            return Err(wrong(&fields.pointer, "`tags` are missing"));
        }
        let mut out = Vec::with_capacity(tags.len());
        for (index, tag) in tags.iter().enumerate() {
            let inner = place.item("tags", index, End::None)?;
            let fields = Fields::new(tag, &inner.pointer)?;
            if fields.text_or_none("type")?.is_some_and(|kind| kind != "tag") {
                return Err(wrong(&fields.at("type"), "expected `tag`"));
            }
            out.push(self.tag(&fields, &inner)?);
            fields.finish()?;
        }
        Ok(out)
    }

    fn triggered_tags(&mut self, fields: &Fields<'_>, place: &Place) -> Result<Expr, GrammarError> {
        let triggers = triggers(fields)?;
        let excludes = fields.texts("excludes")?;
        let tags = self.tags(fields, place)?;
        let mut used = vec![false; triggers.len()];
        let mut dispatched = Vec::with_capacity(tags.len());
        for (index, (begin, rest)) in tags.into_iter().enumerate() {
            let at = step(&fields.at("tags"), index);
            let Begin::Text(begin) = begin else {
                return Err(wrong(&at, "a tag after a trigger begins with a string"));
            };
            let mut matching = (0..triggers.len()).filter(|&t| begin.starts_with(&triggers[t]));
            let trigger = match (matching.next(), matching.next()) {
                (Some(one), None) => one,
                (None, _) => return Err(wrong(&at, format!("no trigger begins the tag {begin:?}"))),
                (Some(_), Some(_)) => {
                    return Err(wrong(&at, format!("more than one trigger begins the tag {begin:?}")));
                }
            };
            used[trigger] = true;
            let begin = self.b.bytes(&begin[triggers[trigger].len()..]);
            dispatched.push((trigger, self.b.seq(&[begin, rest])));
        }
        if let Some(unused) = used.iter().position(|used| !used) {
            let at = step(&fields.at("triggers"), unused);
            return Err(wrong(&at, format!("no tag begins with the trigger {:?}", triggers[unused])));
        }
        let around = Around {
            triggers: &triggers,
            excludes: &excludes,
            tags: dispatched,
            at_least_one: fields.flag("at_least_one", false)?,
            stop_after_first: fields.flag("stop_after_first", false)?,
        };
        self.triggered(around, place)
    }

    /// Text in which triggers start tags: where one first occurs, one of its tags has to follow.
    fn triggered(&mut self, around: Around<'_>, place: &Place) -> Result<Expr, GrammarError> {
        let Around { triggers, excludes, tags, at_least_one, stop_after_first } = around;
        let mut by_trigger: Vec<Vec<Expr>> = vec![Vec::new(); triggers.len()];
        for (trigger, rest) in tags {
            by_trigger[trigger].push(rest);
        }
        let rests: Vec<Expr> = by_trigger.iter().map(|rests| self.b.alt(rests)).collect();
        let mut whole = Vec::with_capacity(rests.len());
        for (trigger, &rest) in triggers.iter().zip(&rests) {
            let begin = self.b.bytes(trigger);
            whole.push(self.b.seq(&[begin, rest]));
        }
        let tag = self.b.alt(&whole);
        if at_least_one && stop_after_first {
            return Ok(tag);
        }
        let ends = place.ends();
        let bytes =
            |list: &[String]| -> Vec<Vec<u8>> { list.iter().map(|t| t.clone().into_bytes()).collect() };
        let mixed = triggers.iter().any(|t| {
            ends.iter().filter(|end| !end.is_empty()).any(|end| {
                t.contains(end.as_str())
                    || end.contains(t.as_str())
                    || ends_inside(t.as_bytes(), end.as_bytes())
            })
        });
        let within = triggers.iter().any(|t| triggers.iter().any(|u| t != u && u.ends_with(t.as_str())));
        if mixed || within {
            return Err(GrammarError::unsupported(
                &place.pointer,
                "triggers",
                "a trigger ends inside another one, or inside the end of the tag around, so both can be seen at once",
            ));
        }
        let located = |error| below(error, &place.pointer);
        let open: Vec<String> = excludes.iter().chain(triggers).cloned().collect();
        let last = self.text(&open, ends, None).map_err(located)?;
        if !overlap(&bytes(triggers)) {
            let more = self.b.seq(&[tag, last]);
            return Ok(match (at_least_one, stop_after_first) {
                (true, _) => self.b.repeat(more, 1, None, None),
                (false, true) => {
                    let tag = self.b.opt(tag);
                    self.b.seq(&[last, tag])
                }
                (false, false) => {
                    let more = self.b.repeat(more, 0, None, None);
                    self.b.seq(&[last, more])
                }
            });
        }
        // Triggers that overlap: the text with its trigger, in which no trigger is complete before the end.
        let mut started = Vec::with_capacity(triggers.len());
        for (trigger, &rest) in triggers.iter().zip(&rests) {
            let text = self.up_to(trigger, triggers, &[excludes, ends].concat()).map_err(located)?;
            started.push(self.b.seq(&[text, rest]));
        }
        let started = self.b.alt(&started);
        Ok(if stop_after_first {
            self.b.alt(&[started, last])
        } else {
            let more = self.b.repeat(started, 0, None, None);
            let first = if at_least_one { tag } else { self.b.empty() };
            self.b.seq(&[first, more, last])
        })
    }

    /// Text that ends with `trigger` and holds no trigger before that.
    fn up_to(
        &mut self,
        trigger: &str,
        triggers: &[String],
        excludes: &[String],
    ) -> Result<Expr, GrammarError> {
        let any = |min| {
            let class = Class::Unicode(super::gbnf::any_char());
            let sub = Box::new(Hir::class(class));
            Hir::repetition(Repetition { min, max: None, greedy: true, sub })
        };
        let literal = |text: &str| Hir::literal(text.as_bytes());
        let whole = |hir: Hir| Pattern { hir, search: false };
        let all = Hir::alternation(triggers.iter().map(|t| literal(t)).collect());
        let mut exclude = vec![whole(Hir::concat(vec![any(0), all, any(1)]))];
        // Ends and excluded strings count in the text, not across the trigger.
        for text in excludes.iter().filter(|text| !text.is_empty()) {
            exclude.push(whole(Hir::concat(vec![any(0), literal(text), any(0), literal(trigger)])));
        }
        let include = vec![whole(Hir::concat(vec![any(0), literal(trigger)]))];
        self.b.raw_with(Vec::new(), TextRules { include, exclude, ..TextRules::default() })
    }

    fn dispatch(&mut self, fields: &Fields<'_>, place: &Place) -> Result<Expr, GrammarError> {
        let mut patterns = Vec::new();
        let mut tags = Vec::new();
        for (index, rule) in fields.list("rules")?.iter().enumerate() {
            let pointer = step(&fields.at("rules"), index);
            let [pattern, format] = pair(rule, &pointer)?;
            let pattern = match pattern.as_str() {
                Some(text) if !text.is_empty() => text.to_owned(),
                _ => return Err(wrong(&step(&pointer, 0), "expected a string that is not empty")),
            };
            tags.push((patterns.len(), self.dispatched(format, place, &pointer)?));
            patterns.push(pattern);
        }
        if patterns.is_empty() {
            return Err(wrong(&fields.pointer, "`rules` are missing"));
        }
        let around = Around {
            triggers: &patterns,
            excludes: &fields.texts("excludes")?,
            tags,
            at_least_one: false,
            stop_after_first: !fields.flag("loop", true)?,
        };
        self.triggered(around, place)
    }

    /// What follows a pattern. It has no end of its own, so it must come to one by itself.
    fn dispatched(&mut self, format: &Value, place: &Place, pointer: &str) -> Result<Expr, GrammarError> {
        let at = place.below(step(pointer, 1), End::None)?;
        if endless(format) {
            return Err(GrammarError::unsupported(
                at.pointer,
                format["type"].as_str().unwrap_or_default(),
                "free text behind a pattern has no end; put it into a tag",
            ));
        }
        self.format(format, &at)
    }

    /// Every token but those excluded, `more`, and the one that ends the tag around.
    fn other_tokens(
        &mut self,
        fields: &Fields<'_>,
        place: &Place,
        more: &[&Value],
    ) -> Result<TokenClass, GrammarError> {
        let excluded: Vec<&Value> =
            fields.list("exclude_tokens")?.iter().chain(more.iter().copied()).collect();
        let mut class = token_class(&excluded, &fields.at("exclude_tokens"), true)?;
        match &place.end {
            End::None => {}
            End::Token(end) => {
                class.ids.extend(end.ids.iter().cloned());
                class.names.extend(end.names.iter().cloned());
            }
            End::Texts(_) => {
                return Err(GrammarError::unsupported(
                    &place.pointer,
                    "any token",
                    "a tag around tokens has to end with a token, not with a string",
                ));
            }
        }
        Ok(class)
    }

    fn between_tokens(
        &mut self,
        fields: &Fields<'_>,
        class: TokenClass,
        tag: Expr,
    ) -> Result<Expr, GrammarError> {
        let token = self.b.token(class);
        let text = self.b.repeat(token, 0, None, None);
        let more = self.b.seq(&[tag, text]);
        let (one, stop) = (fields.flag("at_least_one", false)?, fields.flag("stop_after_first", false)?);
        Ok(match (one, stop) {
            (true, true) => tag,
            (true, false) => self.b.repeat(more, 1, None, None),
            (false, true) => {
                let tag = self.b.opt(tag);
                self.b.seq(&[text, tag])
            }
            (false, false) => {
                let more = self.b.repeat(more, 0, None, None);
                self.b.seq(&[text, more])
            }
        })
    }

    /// The older form: tags by begin, schema and end, and the triggers that start them.
    fn structures(&mut self, fields: &Fields<'_>) -> Result<Expr, GrammarError> {
        let triggers = triggers(fields)?;
        let tags: Vec<Value> = fields
            .list("structures")?
            .iter()
            .enumerate()
            .map(|(index, tag)| {
                let tag = Fields::new(tag, &step(&fields.at("structures"), index))?;
                let schema = match tag.need("schema")? {
                    // As text, too.
                    Value::String(text) => serde_json::from_str(text)
                        .map_err(|error| wrong(&tag.at("schema"), format!("this is no JSON: {error}")))?,
                    other => other.clone(),
                };
                let content = serde_json::json!({"type": "json_schema", "json_schema": schema});
                let out = serde_json::json!({
                    "begin": tag.text("begin")?, "content": content, "end": tag.text("end")?,
                });
                tag.finish()?;
                Ok(out)
            })
            .collect::<Result<_, GrammarError>>()?;
        let format = serde_json::json!({"type": "triggered_tags", "triggers": triggers, "tags": tags});
        let place = Place { pointer: fields.pointer.clone(), depth: 0, end: End::None };
        self.format(&format, &place).map_err(|error| match error {
            // The tags stood under another name.
            GrammarError::Request { pointer, reason } => {
                GrammarError::Request { pointer: pointer.replacen("/tags/", "/structures/", 1), reason }
            }
            GrammarError::Unsupported { pointer, keyword, reason } => GrammarError::Unsupported {
                pointer: pointer.replacen("/tags/", "/structures/", 1).replacen(
                    "/content/json_schema",
                    "/schema",
                    1,
                ),
                keyword,
                reason,
            },
            GrammarError::Within { pointer, source } => GrammarError::Within {
                pointer: pointer.replacen("/tags/", "/structures/", 1).replacen(
                    "/content/json_schema",
                    "/schema",
                    1,
                ),
                source,
            },
            other => other,
        })
    }
}
