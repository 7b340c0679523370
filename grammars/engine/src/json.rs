//! JSON Schema to grammar: every node of a compiled schema as the texts of its values, in JSON or another notation.
//!
//! Strict spelling: literals as Python's `json.dumps(ensure_ascii=False)` writes them, integers without fraction or
//! exponent, declared keys unescaped; where strings may stand in either kind of quotes, so may constants and keys.
//! Everything the schema says about *values* is enforced exactly, or refused with
//! the place and the keyword. Undeclared keys may repeat: readers of JSON take the last, and one that
//! is wanted counts as it was written (JSON Schema leaves open what repeated keys mean).

mod counted;

use crate::GrammarError;
use crate::automaton::{Bound, Decimal, Escapes, Number};
use crate::builder::{GrammarBuilder, Members, Rule};
use crate::grammar::Expr;
use crate::terminal::{Pattern, TerminalSpec, TextRules};
use rustc_hash::FxHashMap;
use serde_json::Value;
use toolglot_format::{Escape, Keys, Lit, Notation, Strings, Words};
use toolglot_schema::{ArrayRules, Node, NodeId, NumberRules, ObjectRules, Schema, StringRules, TypeSet};

/// How JSON is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonStyle {
    /// Between members and elements.
    pub item_separator: String,
    /// Between a key and its value.
    pub key_separator: String,
    /// White space beyond the separators.
    pub whitespace: Whitespace,
    /// Which escapes strings may use.
    pub escapes: Escapes,
    /// Properties may come in any order; otherwise in declared order, undeclared ones last.
    pub any_order: bool,
    /// How strings stand. Escapes are those of Python where they are Python's, and none where they are marked.
    pub strings: Strings,
    /// Further literals that marked strings must not contain.
    pub excluding: Vec<String>,
    /// How the keys of objects stand.
    pub keys: Keys,
    /// The words for true, false and null.
    pub words: Words,
    /// The words may be JSON's and Python's, whichever `words` says.
    pub both_words: bool,
    /// How characters are written that the text around has for its own.
    pub escape: Option<Escape>,
}

/// White space between the parts of a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Whitespace {
    /// The separators as they are, and none elsewhere.
    #[default]
    Exact,
    /// Up to this many white space characters wherever JSON allows them; the separators' own are not required.
    Flexible(u32),
    /// As `Flexible`, with what this regular expression matches as the white space.
    Pattern(Box<str>),
}

impl Default for JsonStyle {
    /// `json.dumps`: `", "` and `": "`, declared order.
    fn default() -> Self {
        JsonStyle {
            item_separator: ", ".into(),
            key_separator: ": ".into(),
            whitespace: Whitespace::Exact,
            escapes: Escapes::Any,
            any_order: false,
            strings: Strings::Json,
            excluding: Vec::new(),
            keys: Keys::Quoted,
            words: Words::Json,
            both_words: false,
            escape: None,
        }
    }
}

impl JsonStyle {
    /// No white space.
    pub fn compact() -> Self {
        JsonStyle { item_separator: ",".into(), key_separator: ":".into(), ..JsonStyle::default() }
    }

    /// White space as the JSON grammar has it, up to `max` characters at a time.
    pub fn flexible(max: u32) -> Self {
        JsonStyle { whitespace: Whitespace::Flexible(max), ..JsonStyle::compact() }
    }
}

impl From<&Notation> for JsonStyle {
    /// The notation's own spelling, properties in any order.
    fn from(notation: &Notation) -> Self {
        JsonStyle {
            item_separator: notation.item.clone(),
            key_separator: notation.key.clone(),
            any_order: true,
            strings: notation.strings.clone(),
            keys: notation.keys,
            words: notation.words,
            ..JsonStyle::default()
        }
    }
}

/// Writes a string as Python's `json.dumps` does (with `ensure_ascii` for [`Escapes::Ascii`]).
pub(crate) fn quoted(text: &str, escapes: Escapes) -> String {
    quoted_in(text, escapes, '"')
}

/// The same in the quotes that are given.
fn quoted_in(text: &str, escapes: Escapes, quote: char) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '"' | '\'' if c == quote => out.extend(['\\', c]),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || escapes == Escapes::Ascii && c as u32 >= 0x80 => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

impl JsonStyle {
    /// The spellings of true, false or null, by their place in [`Words::all`].
    fn word(&self, at: usize) -> Vec<String> {
        let all =
            [Words::Json, Words::Python].into_iter().filter(|words| self.both_words || *words == self.words);
        all.map(|words| words.all()[at].to_owned()).collect()
    }

    /// Every spelling of a string that quotes leave open; none where strings are marked.
    pub(crate) fn spellings(&self, text: &str) -> Vec<String> {
        let all = match self.strings {
            Strings::Json => vec![quoted(text, self.escapes)],
            Strings::Python => ['"', '\''].map(|quote| quoted_in(text, Escapes::Python, quote)).to_vec(),
            Strings::Marked(_) => Vec::new(),
        };
        match self.escape {
            Some(escape) => all.iter().map(|text| escape.write(text)).collect(),
            None => all,
        }
    }
}

impl GrammarBuilder {
    /// The strings that follow the rules, as they stand in a style.
    pub(crate) fn string(&mut self, style: &JsonStyle, rules: &TextRules) -> Result<Expr, GrammarError> {
        let written = style.escape.map(|_| rules.clone().escaped());
        let rules = written.as_ref().unwrap_or(rules);
        // An escape could spell what stands for another character, and is none.
        let own = if written.is_some() { Escapes::Minimal } else { style.escapes };
        let mut in_quotes = |escapes: Escapes, quote: u8| {
            let spec = TerminalSpec::JsonString { escapes, quote, rules: rules.clone() };
            let body = self.terminal(&spec)?;
            let open = self.bytes([quote]);
            Ok::<_, GrammarError>(self.seq(&[open, body]))
        };
        match &style.strings {
            Strings::Json => in_quotes(own, b'"'),
            Strings::Python => {
                let ways = [in_quotes(Escapes::Python, b'"')?, in_quotes(Escapes::Python, b'\'')?];
                Ok(self.alt(&ways))
            }
            Strings::Marked(marker) => {
                let text = self.raw_with(ends(style, marker), rules.clone())?;
                let marker = self.marker(marker);
                Ok(self.seq(&[marker, text, marker]))
            }
        }
    }

    /// One string, in every way that it may stand in a style.
    pub(crate) fn constant(&mut self, style: &JsonStyle, text: &str) -> Expr {
        if let Strings::Marked(marker) = &style.strings {
            let whole = format!("{text}{}", marker.text).into_bytes();
            let early = |end: &Vec<u8>| whole.windows(end.len()).position(|part| part == end.as_slice());
            if ends(style, marker).iter().filter_map(early).any(|at| at < text.len()) {
                return self.never();
            }
            let (marker, text) = (self.marker(marker), self.bytes(text));
            return self.seq(&[marker, text, marker]);
        }
        let ways: Vec<Expr> = style.spellings(text).into_iter().map(|text| self.bytes(text)).collect();
        self.alt(&ways)
    }

    /// What stands between the parts of a text in a style.
    pub(crate) fn punctuation(&mut self, style: &JsonStyle) -> Result<Punctuation, GrammarError> {
        let pad = match &style.whitespace {
            Whitespace::Exact => {
                let (next, colon) = (self.bytes(&style.item_separator), self.bytes(&style.key_separator));
                return Ok(Punctuation { next, comma: next, colon, pad: self.empty() });
            }
            Whitespace::Flexible(max) => self.regex(&format!("[ \\n\\r\\t]{{0,{max}}}"))?,
            Whitespace::Pattern(pattern) => self.regex(pattern)?,
        };
        let (comma, colon) = (self.bytes(","), self.bytes(":"));
        let next = self.seq(&[pad, comma]);
        Ok(Punctuation { next, comma: self.seq(&[next, pad]), colon: self.seq(&[pad, colon, pad]), pad })
    }

    fn marker(&mut self, marker: &Lit) -> Expr {
        if marker.special { self.special(&marker.text) } else { self.bytes(&marker.text) }
    }

    /// The JSON texts of the values of a schema.
    pub fn json_schema(&mut self, schema: &Schema, style: &JsonStyle) -> Result<Expr, GrammarError> {
        self.json(schema, schema.root(), style)
    }

    /// The JSON texts of the values of one node of a schema.
    pub fn json(&mut self, schema: &Schema, node: NodeId, style: &JsonStyle) -> Result<Expr, GrammarError> {
        JsonLowering::new(self, schema, style).node(node)
    }
}

enum Slot {
    /// Being lowered; a rule if something has referred to it meanwhile.
    Open(Option<Rule>),
    Done(Expr),
}

/// Lowers the nodes of one schema.
pub(crate) struct JsonLowering<'a> {
    b: &'a mut GrammarBuilder,
    schema: &'a Schema,
    style: &'a JsonStyle,
    slots: FxHashMap<NodeId, Slot>,
    any: Option<Expr>,
}

/// The parts of the JSON grammar in one style.
pub(crate) struct Punctuation {
    /// Between two elements, but for the pad behind it.
    next: Expr,
    /// Between two elements.
    pub(crate) comma: Expr,
    /// Between a key and its value.
    pub(crate) colon: Expr,
    /// What follows an opening and precedes a closing bracket.
    pub(crate) pad: Expr,
}

impl<'a> JsonLowering<'a> {
    pub(crate) fn new(b: &'a mut GrammarBuilder, schema: &'a Schema, style: &'a JsonStyle) -> Self {
        JsonLowering { b, schema, style, slots: FxHashMap::default(), any: None }
    }

    pub(crate) fn builder(&mut self) -> &mut GrammarBuilder {
        self.b
    }

    fn parts(&mut self) -> Result<Punctuation, GrammarError> {
        self.b.punctuation(self.style)
    }

    /// The JSON texts of a node's values.
    pub(crate) fn node(&mut self, id: NodeId) -> Result<Expr, GrammarError> {
        match self.slots.get_mut(&id) {
            Some(Slot::Done(expr)) => return Ok(*expr),
            Some(Slot::Open(rule)) => {
                let rule = match *rule {
                    Some(rule) => rule,
                    None => {
                        let fresh = self.b.rule(self.schema.pointer(id));
                        *rule = Some(fresh);
                        fresh
                    }
                };
                return Ok(self.b.call(rule));
            }
            None => {}
        }
        self.slots.insert(id, Slot::Open(None));
        let schema = self.schema;
        let expr = match schema.node(id) {
            Node::Any => self.any()?,
            Node::Never => self.b.never(),
            Node::Null => self.words(&[2]),
            Node::Bool => self.words(&[0, 1]),
            Node::Number(rules) => self.number(id, rules)?,
            Node::String(rules) => self.string(rules)?,
            Node::Array(rules) => self.array(id, rules)?,
            Node::Object(rules) => self.object(id, rules)?,
            Node::Enum(values) => {
                let words: Option<Vec<_>> = values.iter().map(|value| self.scalar(value)).collect();
                if let Some(words) = words {
                    self.b.words(words.into_iter().flatten())
                } else {
                    let values = values.iter().map(|v| self.value(v)).collect::<Result<Vec<_>, _>>();
                    let values = self.located(id, "enum", values)?;
                    self.b.alt(&values)
                }
            }
            Node::AnyOf(nodes) => {
                let parts = nodes.iter().map(|&n| self.node(n)).collect::<Result<Vec<_>, _>>()?;
                self.b.alt(&parts)
            }
        };
        let expr = match self.slots.insert(id, Slot::Done(expr)) {
            Some(Slot::Open(Some(rule))) => {
                self.b.define(rule, expr)?;
                self.b.call(rule)
            }
            _ => expr,
        };
        self.slots.insert(id, Slot::Done(expr));
        Ok(expr)
    }

    /// A constant as it is written.
    pub(crate) fn value(&mut self, value: &Value) -> Result<Expr, GrammarError> {
        let style = self.style;
        let Punctuation { comma, colon, pad, .. } = self.parts()?;
        Ok(match value {
            Value::String(text) => self.b.constant(style, text),
            Value::Bool(word) => self.words(&[usize::from(!word)]),
            Value::Null => self.words(&[2]),
            Value::Number(number) => self.b.words(numerals(number)),
            Value::Array(items) => {
                let mut parts = vec![self.b.bytes("["), pad];
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        parts.push(comma);
                    }
                    parts.push(self.value(item)?);
                }
                parts.extend((!items.is_empty()).then_some(pad));
                parts.push(self.b.bytes("]"));
                self.b.seq(&parts)
            }
            Value::Object(members) => {
                let mut parts = vec![self.b.bytes("{"), pad];
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        parts.push(comma);
                    }
                    let keys: Vec<Expr> = self.key(key)?.into_iter().map(|key| self.b.bytes(key)).collect();
                    parts.push(self.b.alt(&keys));
                    parts.push(colon);
                    parts.push(self.value(value)?);
                }
                parts.extend((!members.is_empty()).then_some(pad));
                parts.push(self.b.bytes("}"));
                self.b.seq(&parts)
            }
        })
    }

    /// The spellings of a key.
    fn key(&self, key: &str) -> Result<Vec<Vec<u8>>, GrammarError> {
        match self.style.keys {
            Keys::Quoted => Ok(self.style.spellings(key).into_iter().map(String::into_bytes).collect()),
            Keys::Bare if Notation::is_bare_key(key) => Ok(vec![key.into()]),
            Keys::Bare => {
                let reason = format!("the format writes keys without quotes, and `{key}` needs them");
                Err(GrammarError::unsupported("", "properties", &reason))
            }
        }
    }

    /// Keys that follow the rules.
    fn keys(&mut self, rules: &StringRules) -> Result<Expr, GrammarError> {
        match self.style.keys {
            Keys::Quoted => self.string(rules),
            Keys::Bare => self.matching(rules, Notation::BARE_KEY),
        }
    }

    /// Raw strings that follow the rules and match the pattern.
    fn matching(&mut self, rules: &StringRules, pattern: &str) -> Result<Expr, GrammarError> {
        let hir = regex_syntax::parse(pattern)
            .map_err(|error| GrammarError::Regex { pattern: pattern.into(), reason: error.to_string() })?;
        let mut rules = text_rules(rules);
        rules.include.push(Pattern { hir, search: false });
        self.b.raw_with(Vec::new(), rules)
    }

    /// Some of the words for true, false and null, by their place in [`Words::all`].
    fn words(&mut self, which: &[usize]) -> Expr {
        self.b.words(which.iter().flat_map(|&at| self.style.word(at)))
    }

    fn refuse(&self, id: NodeId, keyword: &str, reason: &str) -> GrammarError {
        GrammarError::unsupported(self.schema.pointer(id), keyword, reason)
    }

    /// Puts the place into errors that do not know it.
    fn located<T>(
        &self,
        id: NodeId,
        keyword: &str,
        result: Result<T, GrammarError>,
    ) -> Result<T, GrammarError> {
        result.map_err(|error| match error {
            GrammarError::Unsupported { pointer, keyword, reason } if pointer.is_empty() => {
                self.refuse(id, &keyword, &reason)
            }
            GrammarError::Regex { reason, .. } => self.refuse(id, keyword, &reason),
            GrammarError::Limit { .. } => self.refuse(id, keyword, &error.to_string()),
            other => other,
        })
    }

    fn any(&mut self) -> Result<Expr, GrammarError> {
        if let Some(any) = self.any {
            return Ok(any);
        }
        let rule = self.b.rule("any JSON value");
        let value = self.b.call(rule);
        self.any = Some(value);
        let object = self.any_object()?;
        let array = self.list(Vec::new(), value, 0, None)?;
        let string = self.string(&StringRules::default())?;
        let number = self.b.number(Number::default())?;
        let words = self.words(&[0, 1, 2]);
        let body = self.b.alt(&[object, array, string, number, words]);
        self.b.define(rule, body)?;
        Ok(value)
    }

    /// Any JSON value of these types; strings only with `strings`.
    pub(crate) fn any_of(&mut self, types: TypeSet, strings: bool) -> Result<Expr, GrammarError> {
        let mut parts = Vec::new();
        if types.contains(TypeSet::OBJECT) {
            parts.push(self.any_object()?);
        }
        if types.contains(TypeSet::ARRAY) {
            let value = self.any()?;
            parts.push(self.list(Vec::new(), value, 0, None)?);
        }
        if strings && types.contains(TypeSet::STRING) {
            parts.push(self.string(&StringRules::default())?);
        }
        if types.contains(TypeSet::INTEGER) {
            let integer = !types.contains(TypeSet::NUMBER);
            parts.push(self.b.number(Number { integer, ..Number::default() })?);
        }
        let words = [TypeSet::BOOLEAN, TypeSet::BOOLEAN, TypeSet::NULL];
        let words: Vec<usize> = (0..3).filter(|&at| types.contains(words[at])).collect();
        parts.push(self.words(&words));
        Ok(self.b.alt(&parts))
    }

    /// The whole numbers among the numbers that follow the rules.
    pub(crate) fn integers(&mut self, id: NodeId, rules: &NumberRules) -> Result<Expr, GrammarError> {
        self.number(id, &NumberRules { integer: true, ..rules.clone() })
    }

    /// Any JSON object.
    pub(crate) fn any_object(&mut self) -> Result<Expr, GrammarError> {
        let value = self.any()?;
        let key = self.keys(&StringRules::default())?;
        self.members(Vec::new(), vec![(key, value)], Vec::new(), 0, None)
    }

    fn members(
        &mut self,
        declared: Vec<(Vec<Vec<u8>>, Expr, bool)>,
        rest: Vec<(Expr, Expr)>,
        wanted: Vec<(Expr, Expr, u8)>,
        min: u64,
        max: Option<u64>,
    ) -> Result<Expr, GrammarError> {
        let parts = self.parts()?;
        let (open, close) = (self.b.bytes("{"), self.b.bytes("}"));
        let close = self.b.seq(&[parts.pad, close]);
        // The pad leads the keys: behind the bracket, an empty object would have it twice.
        let members = Members {
            open,
            close,
            comma: parts.next,
            lead: parts.pad,
            colon: parts.colon,
            declared,
            rest,
            any_order: self.style.any_order,
            min,
            max,
        };
        self.b.members_with(members, wanted)
    }

    /// The members of an object as keyword arguments: `a=1, b='x'`, without anything around them.
    pub(crate) fn keywords(&mut self, id: NodeId) -> Result<Expr, GrammarError> {
        let open = ObjectRules::default();
        let schema = self.schema;
        let rules = match schema.node(id) {
            Node::AnyOf(parts) => {
                let objects = parts.iter().filter(|&&p| matches!(schema.node(p), Node::Object(_)));
                let ways = objects.map(|&p| self.keywords(p)).collect::<Result<Vec<_>, _>>()?;
                return Ok(self.b.alt(&ways));
            }
            Node::Object(rules) => rules,
            Node::Any => &open,
            _ => return Ok(self.b.never()),
        };
        if rules.wanted_bits > 0 {
            return Err(self.refuse(id, "not", UNDECLARED));
        }
        let mut declared = Vec::with_capacity(rules.properties.len());
        for (name, property) in &rules.properties {
            if !Notation::is_keyword(name) {
                return Err(self.refuse(id, "properties", &format!("`{name}` cannot be a keyword argument")));
            }
            let value = self.node(property.schema)?;
            declared.push((vec![name.clone().into_bytes()], value, property.required));
        }
        let mut rest = Vec::new();
        let any = matches!(schema.node(id), Node::Any).then(|| (StringRules::default(), id));
        for (key, value) in undeclared(rules).chain(any) {
            let key = self.matching(&key, Notation::KEYWORD);
            rest.push((self.located(id, "patternProperties", key)?, self.node(value)?));
        }
        let empty = self.b.empty();
        let parts = self.parts()?;
        let equals = self.b.bytes("=");
        let colon = self.b.seq(&[parts.pad, equals, parts.pad]);
        let members = self.b.members(Members {
            open: empty,
            close: parts.pad,
            comma: parts.next,
            lead: parts.pad,
            colon,
            declared,
            rest,
            any_order: self.style.any_order,
            min: rules.min,
            max: rules.max,
        });
        self.located(id, "minProperties", members)
    }

    fn object(&mut self, id: NodeId, rules: &ObjectRules) -> Result<Expr, GrammarError> {
        let mut declared = Vec::with_capacity(rules.properties.len());
        for (name, property) in &rules.properties {
            let value = self.node(property.schema)?;
            let key = self.key(name);
            declared.push((self.located(id, "properties", key)?, value, property.required));
        }
        let mut rest = Vec::new();
        for (key, value) in undeclared(rules) {
            let key = self.keys(&key);
            let key = self.located(id, "patternProperties", key)?;
            rest.push((key, self.node(value)?));
        }
        let mut wanted = Vec::new();
        for entry in &rules.wanted {
            let bits = u8::try_from(entry.bits).ok().filter(|bits| *bits < 1 << 4);
            let bits = bits.ok_or_else(|| self.refuse(id, "not", UNDECLARED))?;
            let mut key = entry.key.clone();
            key.excluded_values.extend(rules.properties.keys().cloned());
            let key = self.keys(&key);
            let key = self.located(id, "patternProperties", key)?;
            wanted.push((key, self.node(entry.value)?, bits));
        }
        let members = self.members(declared, rest, wanted, rules.min, rules.max);
        self.located(id, "minProperties", members)
    }

    /// The JSON texts of the strings that follow the rules.
    pub(crate) fn string(&mut self, rules: &StringRules) -> Result<Expr, GrammarError> {
        self.b.string(self.style, &text_rules(rules))
    }

    fn number(&mut self, id: NodeId, rules: &NumberRules) -> Result<Expr, GrammarError> {
        let decimal = |value: &toolglot_schema::Decimal, keyword: &str| {
            value
                .to_plain(256)
                .and_then(|text| Decimal::parse(&text))
                .ok_or_else(|| self.refuse(id, keyword, "the number has too many digits"))
        };
        let bound = |bound: &Option<toolglot_schema::Bound>, keyword: &str| {
            let Some(b) = bound else { return Ok::<_, GrammarError>(None) };
            Ok(Some(Bound { value: decimal(&b.value, keyword)?, exclusive: b.exclusive }))
        };
        let mut number = Number {
            integer: rules.integer,
            min: bound(&rules.min, "minimum")?,
            max: bound(&rules.max, "maximum")?,
            multiple_of: None,
            not_multiple_of: Vec::with_capacity(rules.not_multiple_of.len()),
        };
        if let Some(divisor) = &rules.multiple_of {
            number.multiple_of = Some(decimal(divisor, "multipleOf")?);
        }
        for divisor in &rules.not_multiple_of {
            number.not_multiple_of.push(decimal(divisor, "multipleOf")?);
        }
        let expr = self.b.number(number);
        self.located(id, "multipleOf", expr)
    }

    fn array(&mut self, id: NodeId, rules: &ArrayRules) -> Result<Expr, GrammarError> {
        if !rules.contains.is_empty() {
            return self.counted(id, rules);
        }
        if rules.unique {
            return self.unique(id, rules);
        }
        let prefix = rules.prefix.iter().map(|&n| self.node(n)).collect::<Result<Vec<_>, _>>()?;
        let items = self.node(rules.items)?;
        let small =
            |n: u64| u32::try_from(n).map_err(|_| self.refuse(id, "maxItems", "the number is too large"));
        let (min, max) = (small(rules.min)?, rules.max.map(small).transpose()?);
        self.list(prefix, items, min, max)
    }

    fn list(
        &mut self,
        prefix: Vec<Expr>,
        items: Expr,
        min: u32,
        max: Option<u32>,
    ) -> Result<Expr, GrammarError> {
        let parts = self.parts()?;
        let count = prefix.len() as u32;
        if max.is_some_and(|max| max < min) {
            return Ok(self.b.never());
        }
        let empty = self.b.empty();
        // With white space, the pad in front of the end belongs to what is there: an empty list would have it twice.
        let padded = parts.pad != empty;
        let filled = if padded { min.max(1) } else { min };
        let optional = padded && min == 0;
        if optional && max == Some(0) {
            let (open, close) = (self.b.bytes("["), self.b.bytes("]"));
            return Ok(self.b.seq(&[open, parts.pad, close]));
        }
        // From the end to the front: what may follow after this many elements.
        let mut tail = if prefix.is_empty() {
            self.b.repeat(items, filled, max, Some(parts.comma))
        } else {
            let more = self.b.seq(&[parts.comma, items]);
            match max {
                Some(max) if max <= count => empty,
                _ => self.b.repeat(more, min.saturating_sub(count), max.map(|max| max - count), None),
            }
        };
        for (index, &item) in prefix.iter().enumerate().rev() {
            let index = index as u32;
            let here = if max.is_some_and(|max| max <= index) {
                self.b.never()
            } else if index == 0 {
                self.b.seq(&[item, tail])
            } else {
                self.b.seq(&[parts.comma, item, tail])
            };
            tail = if index >= filled { self.b.opt(here) } else { here };
        }
        let tail = self.b.seq(&[tail, parts.pad]);
        let tail = if optional { self.b.opt(tail) } else { tail };
        let (open, close) = (self.b.bytes("["), self.b.bytes("]"));
        Ok(self.b.seq(&[open, parts.pad, tail, close]))
    }

    /// The spellings of a scalar, where bytes can tell them.
    fn scalar(&self, value: &Value) -> Option<Vec<String>> {
        Some(match value {
            Value::String(text) => self.style.spellings(text),
            Value::Bool(word) => self.style.word(usize::from(!word)),
            Value::Null => self.style.word(2),
            Value::Number(number) => numerals(number),
            Value::Array(_) | Value::Object(_) => return None,
        })
        .filter(|spellings| !spellings.is_empty())
    }

    /// A list of different scalars: the same state machine as for an object's keys.
    fn unique(&mut self, id: NodeId, rules: &ArrayRules) -> Result<Expr, GrammarError> {
        let words: Vec<Vec<String>> = match self.schema.node(rules.items) {
            _ if !rules.prefix.is_empty() => {
                return Err(self.refuse(id, "uniqueItems", "together with prefixItems"));
            }
            Node::Null => vec![self.style.word(2)],
            Node::Bool => vec![self.style.word(0), self.style.word(1)],
            Node::Enum(values) => {
                let words: Option<Vec<_>> = values.iter().map(|v| self.scalar(v)).collect();
                words.ok_or_else(|| {
                    self.refuse(id, "uniqueItems", "the items are no scalars, or strings between markers")
                })?
            }
            Node::Never => Vec::new(),
            _ => return Err(self.refuse(id, "uniqueItems", "the items are not a finite set of scalars")),
        };
        // Words that are the beginning of others (1 and 12) stay apart because a separator follows.
        let parts = self.parts()?;
        let empty = self.b.empty();
        let (open, close) = (self.b.bytes("["), self.b.bytes("]"));
        let close = self.b.seq(&[parts.pad, close]);
        self.b.members(Members {
            open,
            close,
            comma: parts.next,
            lead: parts.pad,
            colon: empty,
            declared: words
                .into_iter()
                .map(|spellings| (spellings.into_iter().map(String::into_bytes).collect(), empty, false))
                .collect(),
            rest: Vec::new(),
            any_order: true,
            min: rules.min,
            max: rules.max,
        })
    }
}

/// Why some objects cannot be written.
pub(crate) const UNDECLARED: &str = "it needs an undeclared property that differs from others";

/// A constant number as the schema has it, and a whole one also without fraction and exponent.
fn numerals(number: &serde_json::Number) -> Vec<String> {
    let text = number.to_string();
    let value = toolglot_schema::Decimal::from_number(number).filter(toolglot_schema::Decimal::is_integer);
    let plain = value.and_then(|value| value.to_plain(32)).filter(|plain| *plain != text);
    [Some(text), plain].into_iter().flatten().collect()
}

/// What ends a marked string.
fn ends(style: &JsonStyle, marker: &Lit) -> Vec<Vec<u8>> {
    let all = marker.spellings().chain(style.excluding.iter().map(String::as_str));
    all.map(|text| text.as_bytes().to_vec()).collect()
}

/// The rules of undeclared members: keys without the declared names, and values.
fn undeclared(rules: &ObjectRules) -> impl Iterator<Item = (StringRules, NodeId)> {
    rules.rest.iter().map(|entry| {
        let mut key = entry.key.clone();
        key.excluded_values.extend(rules.properties.keys().cloned());
        (key, entry.value)
    })
}

/// The rules of a string for an automaton over its text.
pub(crate) fn text_rules(rules: &StringRules) -> TextRules {
    let patterns = |list: &[toolglot_schema::Pattern]| {
        list.iter().map(|p| Pattern { hir: p.hir().clone(), search: false }).collect()
    };
    TextRules {
        min: rules.min_chars,
        max: rules.max_chars,
        include: patterns(&rules.patterns),
        exclude: patterns(&rules.excluded),
        excluded_words: rules.excluded_values.iter().map(|v| v.clone().into_bytes()).collect(),
    }
}
