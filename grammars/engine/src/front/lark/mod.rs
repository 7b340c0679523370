//! Lark grammars in llguidance's dialect.
//!
//! Read are rules (lower case) and terminals (upper case) from `start`, strings with the flag `i`, `"a".."z"`, regular
//! expressions with flags, groups, `[…]`, `* + ?`, `{m,n}` and `~m..n`, `%ignore`, `%import common.…`, `%json {…}`,
//! `%regex {"substring_…": …}`, `&` and `~` at the top of a terminal, special tokens `<name>`, `<[1,5-9]>`, `<[^1]>`
//! and `<[*]>`, the attributes `lazy` and `suffix=`, and `%llguidance {…}`. Refused by name are what needs a token
//! count, a capture or another text: `max_tokens`, `temperature`, `stop`, `capture`, `@grammar`, `%lark`, parameters,
//! priorities, `%override`, `%declare`.
//!
//! A terminal is greedy unless it is lazy: it goes on for as long as it can. Where that matters, because what follows
//! could also begin with what it goes on with, the rules are written so that it must not ([`adjacent`]); where rules
//! cannot say it, the grammar is refused ([`Lexing::Exact`]), or every way to cut the text is accepted
//! ([`Lexing::Any`], Lark's `dynamic_complete`). `%ignore` is accepted behind every terminal,
//! token and JSON text that something may follow in some place, and at the start with `allow_initial_skip`.

mod adjacent;
mod lexing;
mod parse;
mod scan;
mod terminals;

use super::json::below;
use super::rules::{Part, RuleDef, Rules};
use super::text::Place;
use crate::GrammarError;
use crate::builder::{GrammarBuilder, TokenClass};
use crate::grammar::{Expr, Grammar};
use crate::json::JsonStyle;
use crate::machine::ByteSet;
use crate::terminal::TerminalSpec;
use adjacent::Barred;
use lexing::{Node, Reading, Symbol};
use parse::{Alternatives, Atom, Item, Lazy, Source};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Repetition};
use rustc_hash::FxHashMap;
use serde_json::Value;
use terminals::{Language, Terminals};
use toolglot_schema::TypeSet;

/// How the text of a Lark grammar is cut into terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lexing {
    /// As a lexer does, each terminal as long as it can be; refused where rules cannot say what that decides.
    #[default]
    Exact,
    /// In every way.
    Any,
}

/// How a Lark grammar is read.
#[derive(Debug, Clone)]
pub struct LarkOptions {
    /// How the text is cut into terminals.
    pub lexing: Lexing,
    /// How the JSON of `%json` is written.
    pub style: JsonStyle,
}

impl Default for LarkOptions {
    /// Exact, and JSON with up to 32 white space characters wherever it allows them.
    fn default() -> Self {
        LarkOptions { lexing: Lexing::Exact, style: JsonStyle::flexible(32) }
    }
}

impl Grammar {
    /// Reads a Lark grammar in llguidance's dialect, from the rule `start`.
    ///
    /// ```
    /// # use toolglot_grammar::Grammar;
    /// Grammar::from_lark(r#"
    /// start: (text call)* rest
    /// text[lazy]: /(.|\n)*/ "<call>"
    /// call: %json {"type": "object"} "</call>"
    /// rest: /(.|\n)*/
    /// "#)?;
    /// let error = Grammar::from_lark("start: NAME \"from\" NAME\nNAME: /[a-z]+/").unwrap_err();
    /// assert!(error.to_string().starts_with("line 1, column 8: `NAME` cannot be enforced"));
    /// # Ok::<(), toolglot_grammar::GrammarError>(())
    /// ```
    pub fn from_lark(source: &str) -> Result<Grammar, GrammarError> {
        Grammar::from_lark_with(source, &LarkOptions::default())
    }

    /// As [`Grammar::from_lark`], read with `options`.
    pub fn from_lark_with(source: &str, options: &LarkOptions) -> Result<Grammar, GrammarError> {
        let mut builder = GrammarBuilder::new();
        let root = builder.lark_with(source, options)?;
        builder.build(root)
    }
}

impl GrammarBuilder {
    /// The texts of a Lark grammar in llguidance's dialect.
    pub fn lark(&mut self, source: &str) -> Result<Expr, GrammarError> {
        self.lark_with(source, &LarkOptions::default())
    }

    /// As [`GrammarBuilder::lark`], read with `options`.
    pub fn lark_with(&mut self, source: &str, options: &LarkOptions) -> Result<Expr, GrammarError> {
        let source = parse::parse(source)?;
        let mut reader = Reader::new(self, &source, options)?;
        let (nodes, root) = reader.rules()?;
        let mut reading = match options.lexing {
            Lexing::Exact => lexing::check(&nodes, root, &reader.symbols)?,
            Lexing::Any => Reading::default(),
        };
        let mut last = lexing::last(&nodes, root, &reader.symbols);
        let rules = if reading.sets.is_empty() {
            reader.parts(&nodes, root, &last, &reading)
        } else {
            let (nodes, root) = reader.apart(&nodes, root, &mut last, &mut reading)?;
            reader.parts(&nodes, root, &last, &reading)
        };
        super::lower::lower(self, rules)
    }
}

/// Whether every way to cut a text into the terminals of a grammar is the way that a lexer would cut it, so that the
/// grammar's rules alone say what it accepts.
pub(crate) fn needs_no_lexer(source: &str) -> Result<bool, GrammarError> {
    let (source, options) = (parse::parse(source)?, LarkOptions::default());
    let mut builder = GrammarBuilder::new();
    let mut reader = Reader::new(&mut builder, &source, &options)?;
    let (nodes, root) = reader.rules()?;
    let reading = lexing::check(&nodes, root, &reader.symbols)?;
    Ok(reading.sets.is_empty() && reading.exclusions.is_empty())
}

/// What a symbol stands for in the grammar.
enum Content {
    Lexeme,
    /// What `%ignore` names.
    Skip,
    Token(TokenClass),
    Json(Expr),
}

struct Reader<'a> {
    b: &'a mut GrammarBuilder,
    source: &'a Source,
    options: &'a LarkOptions,
    terminals: Terminals<'a>,
    names: FxHashMap<&'a str, usize>,
    symbols: Vec<Symbol>,
    contents: Vec<Content>,
    /// A run of what `%ignore` names.
    ignored: Option<Hir>,
}

impl<'a> Reader<'a> {
    fn new(
        b: &'a mut GrammarBuilder,
        source: &'a Source,
        options: &'a LarkOptions,
    ) -> Result<Reader<'a>, GrammarError> {
        let mut terminals = Terminals::new(&source.terminals, &source.imports)?;
        let mut names = FxHashMap::default();
        for (index, rule) in source.rules.iter().enumerate() {
            if names.insert(&*rule.name, index).is_some() {
                return Err(rule.place.syntax(format!("rule `{}` is defined twice", rule.name)));
            }
        }
        let mut ignored = Vec::new();
        for body in &source.ignored {
            let (language, ..) = terminals.language(body, 0)?;
            let hir = language.plain();
            ignored.push(hir.ok_or_else(|| body.place.refuse("%ignore", "it is made with & or ~"))?.clone());
        }
        let ignored = (!ignored.is_empty()).then(|| {
            let sub = Box::new(Hir::alternation(ignored));
            Hir::repetition(Repetition { min: 1, max: None, greedy: true, sub })
        });
        let (symbols, contents) = (Vec::new(), Vec::new());
        Ok(Reader { b, source, options, terminals, names, symbols, contents, ignored })
    }

    /// The rules, and which one is the root.
    fn rules(&mut self) -> Result<(Vec<Node>, usize), GrammarError> {
        let start = self.names.get("start");
        let &start = start.ok_or_else(|| GrammarError::UndefinedRule("start".into()))?;
        let source = self.source;
        let mut nodes = Vec::with_capacity(source.rules.len() + 1);
        for rule in &source.rules {
            let node = match &rule.lazy {
                Lazy::No => self.alternatives(&rule.body)?,
                lazy => self.lazy_rule(&rule.body, lazy, rule.place, &rule.name)?,
            };
            nodes.push(node);
        }
        if !source.initial_skip || self.ignored.is_none() {
            return Ok((nodes, start));
        }
        let skip = self.skip(source.rules[start].place);
        nodes.push(Node::Seq(vec![skip, Node::Rule(start)]));
        Ok((nodes, source.rules.len()))
    }

    /// A rule of one lazy terminal.
    fn lazy_rule(
        &mut self,
        body: &Alternatives,
        lazy: &Lazy,
        place: Place,
        name: &str,
    ) -> Result<Node, GrammarError> {
        let (mut language, ..) = self.terminals.language(body, 0)?;
        if let Lazy::Suffix(suffix) = lazy {
            let item = Item { atom: suffix.as_ref().clone(), place, min: 1, max: Some(1) };
            let suffix = Alternatives { place, list: vec![vec![vec![item]]] };
            let (suffix, ..) = self.terminals.language(&suffix, 0)?;
            let whole = language.plain().zip(suffix.plain());
            let (body, suffix) =
                whole.ok_or_else(|| place.refuse("suffix", "the terminal is made with & or ~"))?;
            language = Language::of(Hir::concat(vec![body.clone(), suffix.clone()]));
        }
        if language.nullable() {
            // The shortest match is the empty one.
            return Ok(Node::Empty);
        }
        language.lazy = true;
        Ok(self.symbol(Symbol::Lexeme(language, place, format!("rule {name}")), Content::Lexeme, place))
    }

    /// A symbol, and what may be ignored behind it.
    fn symbol(&mut self, symbol: Symbol, content: Content, place: Place) -> Node {
        self.symbols.push(symbol);
        self.contents.push(content);
        let node = Node::Symbol(self.symbols.len() - 1);
        if self.ignored.is_some() {
            let skip = self.skip(place);
            return Node::Seq(vec![node, skip]);
        }
        node
    }

    fn skip(&mut self, place: Place) -> Node {
        let ignored = Language::of(self.ignored.clone().unwrap_or(Hir::empty()));
        self.symbols.push(Symbol::Lexeme(ignored, place, "%ignore".into()));
        self.contents.push(Content::Skip);
        Node::Repeat(Box::new(Node::Symbol(self.symbols.len() - 1)), 0, Some(1))
    }

    fn lexeme(&mut self, language: Language, place: Place, name: String) -> Node {
        if language.plain().is_some_and(|hir| *hir == Hir::empty()) {
            return Node::Empty;
        }
        self.symbol(Symbol::Lexeme(language, place, name), Content::Lexeme, place)
    }

    fn alternatives(&mut self, body: &Alternatives) -> Result<Node, GrammarError> {
        let mut ways = Vec::with_capacity(body.list.len());
        for conjuncts in &body.list {
            let [sequence] = &**conjuncts else {
                return Err(body
                    .place
                    .refuse("&", "it is read in terminals only; write the name in upper case"));
            };
            let mut parts = Vec::with_capacity(sequence.len());
            for item in sequence {
                let node = self.atom(item)?;
                parts.push(if item.is_once() {
                    node
                } else {
                    Node::Repeat(Box::new(node), item.min, item.max)
                });
            }
            ways.push(if parts.len() == 1 { parts.swap_remove(0) } else { Node::Seq(parts) });
        }
        Ok(if ways.len() == 1 { ways.swap_remove(0) } else { Node::Alt(ways) })
    }

    fn atom(&mut self, item: &Item) -> Result<Node, GrammarError> {
        let place = item.place;
        Ok(match &item.atom {
            Atom::Group(body) => self.alternatives(body)?,
            Atom::Optional(body) => Node::Repeat(Box::new(self.alternatives(body)?), 0, Some(1)),
            Atom::Rule(name) => match self.names.get(&**name) {
                Some(&rule) => Node::Rule(rule),
                None => return Err(place.syntax(format!("rule `{name}` is used but never defined"))),
            },
            Atom::Terminal(name) => {
                let language = self.terminals.named(name, place)?;
                self.lexeme(language, place, name.clone())
            }
            Atom::Token(name) => {
                let class = token(name, place)?;
                self.symbol(Symbol::Token, Content::Token(class), place)
            }
            Atom::Json(schema) => self.json(schema, place)?,
            other => {
                let once = Item { atom: other.clone(), place, min: 1, max: Some(1) };
                let body = Alternatives { place, list: vec![vec![vec![once]]] };
                let (language, ..) = self.terminals.language(&body, 0)?;
                let name = match other {
                    Atom::Text(text, _) => format!("{text:?}"),
                    Atom::Regex(source, _) => format!("/{source}/"),
                    _ => "this".to_owned(),
                };
                self.lexeme(language, place, name)
            }
        })
    }

    fn json(&mut self, document: &Value, place: Place) -> Result<Node, GrammarError> {
        let style = style(document, &self.options.style, place)?;
        let pointer = format!("%json at {place}: ");
        let schema = super::json::compile(document, &pointer)?;
        let expr = self.b.json_schema(&schema, &style).map_err(|error| below(error, &pointer))?;
        let types = schema.types(schema.root());
        let mut first = ByteSet::default();
        for (kind, bytes) in [
            (TypeSet::OBJECT, &b"{"[..]),
            (TypeSet::ARRAY, b"["),
            (TypeSet::STRING, b"\""),
            (TypeSet::NUMBER, b"-0123456789"),
            (TypeSet::BOOLEAN, b"tf"),
            (TypeSet::NULL, b"n"),
        ] {
            if types.intersects(kind) {
                bytes.iter().for_each(|&byte| first.insert(byte));
            }
        }
        let symbol = Symbol::Json(first, types.intersects(TypeSet::NUMBER), place);
        Ok(self.symbol(symbol, Content::Json(expr), place))
    }

    /// The rules written so that what a lexer would never read side by side is not.
    fn apart(
        &mut self,
        nodes: &[Node],
        root: usize,
        last: &mut Vec<bool>,
        reading: &mut Reading,
    ) -> Result<(Vec<Node>, usize), GrammarError> {
        let empty: Vec<bool> = self
            .symbols
            .iter()
            .map(|symbol| matches!(symbol, Symbol::Lexeme(language, ..) if language.nullable()))
            .collect();
        let sets = reading.sets.clone();
        let mut exclusions = std::mem::take(&mut reading.exclusions);
        let mut known: FxHashMap<(usize, usize, bool), Option<usize>> = FxHashMap::default();
        let mut variants = |symbol: usize, from: usize, something: bool| {
            if from == 0 && !something {
                return Ok(Barred::Same);
            }
            if let Some(known) = known.get(&(symbol, from, something)) {
                return Ok(known.map_or(Barred::Never, Barred::Other));
            }
            let barred = from.checked_sub(1).map_or(ByteSet::default(), |set| sets[set]);
            let (language, place, name) = match &self.symbols[symbol] {
                Symbol::Lexeme(language, place, name) => (language.clone(), *place, name.clone()),
                Symbol::Token => return Ok(Barred::Same),
                Symbol::Json(first, _, place) => {
                    if first.iter().any(|byte| barred.iter().any(|other| other == byte)) {
                        let reason = "it may begin with what the terminal before it goes on with";
                        return Err(place.refuse("%json", reason));
                    }
                    return Ok(Barred::Same);
                }
            };
            let mut excluded = exclusions.get(&symbol).cloned().unwrap_or_default();
            if something {
                excluded.push(Hir::empty());
            }
            let mut class = ClassUnicode::empty();
            for byte in barred.iter() {
                if !byte.is_ascii() {
                    return Err(place.refuse(name, "a character beyond ASCII would tell the longest match"));
                }
                class.push(ClassUnicodeRange::new(char::from(byte), char::from(byte)));
            }
            if !class.ranges().is_empty() {
                let first = Hir::class(Class::Unicode(class));
                excluded.push(Hir::concat(vec![first, terminals::any_text()]));
            }
            // A language of which nothing is left has no terminal.
            let mut rest = language.clone();
            rest.exclude.extend(excluded.iter().cloned());
            let table = crate::terminal::explicit(&rest.rules(), rest.lazy);
            let table = table.map_err(|error| place.refuse(name.clone(), error.to_string()))?;
            if !table.is_end(0) && table.next(0).next().is_none() {
                known.insert((symbol, from, something), None);
                return Ok(Barred::Never);
            }
            let new = self.symbols.len();
            self.symbols.push(Symbol::Lexeme(language, place, name));
            let skip = matches!(self.contents[symbol], Content::Skip);
            self.contents.push(if skip { Content::Skip } else { Content::Lexeme });
            last.push(last[symbol]);
            exclusions.insert(new, excluded);
            known.insert((symbol, from, something), Some(new));
            Ok(Barred::Other(new))
        };
        let out = adjacent::apart(nodes, root, reading, &|symbol| empty[symbol], &mut variants)?;
        reading.exclusions = exclusions;
        Ok(out)
    }

    /// The rules with their terminals in place.
    fn parts(&self, nodes: &[Node], root: usize, last: &[bool], reading: &Reading) -> Rules {
        let mut symbols = Vec::with_capacity(self.symbols.len());
        for (index, symbol) in self.symbols.iter().enumerate() {
            symbols.push(match (symbol, &self.contents[index]) {
                // Nothing is ignored behind the last terminal.
                (_, Content::Skip) if last[index] => Part::empty(),
                (Symbol::Lexeme(language, ..), _) => lexeme_part(language, reading.exclusions.get(&index)),
                (_, Content::Token(class)) => Part::Token(class.clone()),
                (_, Content::Json(expr)) => Part::Built(*expr),
                (_, Content::Lexeme | Content::Skip) => Part::empty(),
            });
        }
        let rules = nodes.iter().enumerate().map(|(index, node)| {
            let source = self.source.rules.get(index);
            RuleDef {
                name: source.map_or("start", |rule| &rule.name).to_owned(),
                place: source.map_or(Place { line: 1, column: 1 }, |rule| rule.place),
                body: part(node, &symbols),
            }
        });
        Rules { rules: rules.collect(), root }
    }
}

fn lexeme_part(language: &Language, excluded: Option<&Vec<Hir>>) -> Part {
    if let (Some(hir), None, false) = (language.plain(), excluded, language.lazy) {
        return super::regex::part(hir, 0).unwrap_or_else(|| Part::Pattern(hir.clone()));
    }
    let mut language = language.clone();
    language.exclude.extend(excluded.into_iter().flatten().cloned());
    let (rules, nullable) = (language.rules(), language.nullable());
    let spec = if language.lazy {
        TerminalSpec::Shortest(rules)
    } else {
        TerminalSpec::RawText { terminators: Vec::new(), rules }
    };
    Part::Terminal(Box::new(spec), nullable)
}

fn part(node: &Node, symbols: &[Part]) -> Part {
    match node {
        Node::Empty => Part::empty(),
        Node::Symbol(symbol) => symbols[*symbol].clone(),
        Node::Rule(rule) => Part::Rule(*rule),
        Node::Seq(nodes) => Part::seq(nodes.iter().map(|node| part(node, symbols)).collect()),
        Node::Alt(nodes) => Part::alt(nodes.iter().map(|node| part(node, symbols)).collect()),
        Node::Repeat(item, min, max) => part(item, symbols).repeat(*min, *max),
    }
}

/// `<name>`, `<[1,5-9]>`, `<[^1]>` or `<[*]>`.
fn token(text: &str, place: Place) -> Result<TokenClass, GrammarError> {
    let Some(ids) = text.strip_prefix("<[").and_then(|rest| rest.strip_suffix("]>")) else {
        return Ok(TokenClass { names: vec![text.to_owned()], ..TokenClass::default() });
    };
    if ids == "*" {
        return Ok(TokenClass { negated: true, ..TokenClass::default() });
    }
    let (negated, ids) = match ids.strip_prefix('^') {
        Some(ids) => (true, ids),
        None => (false, ids),
    };
    let mut class = TokenClass { negated, ..TokenClass::default() };
    for range in ids.split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        match (from.trim().parse(), to.trim().parse()) {
            (Ok(from), Ok(to)) if from <= to => class.ids.push(from..=to),
            _ => return Err(place.syntax(format!("{range:?} is no range of token ids"))),
        }
    }
    Ok(class)
}

/// The style that a schema asks for with `x-guidance`.
fn style(document: &Value, style: &JsonStyle, place: Place) -> Result<JsonStyle, GrammarError> {
    let mut style = style.clone();
    let Some(Value::Object(map)) = document.get("x-guidance") else { return Ok(style) };
    for (key, value) in map {
        match (key.as_str(), value) {
            ("item_separator", Value::String(text)) => style.item_separator.clone_from(text),
            ("key_separator", Value::String(text)) => style.key_separator.clone_from(text),
            ("whitespace_flexible", Value::Bool(true)) => {}
            ("whitespace_flexible", Value::Bool(false)) => {
                style.whitespace = crate::json::Whitespace::Exact;
            }
            ("whitespace_pattern", Value::String(pattern)) => {
                style.whitespace = super::json::whitespace(pattern, &format!("{place}: "))?;
            }
            _ => return Err(place.refuse(format!("x-guidance {key}"), "this option is not known here")),
        }
    }
    Ok(style)
}
