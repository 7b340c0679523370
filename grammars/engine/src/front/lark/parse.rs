//! The definitions of a Lark grammar, as they are written.

use super::scan::{Word, scan};
use crate::GrammarError;
use crate::front::rules::{MAX_NESTING, MAX_PARTS};
use crate::front::text::Place;
use serde_json::Value;

/// Greatest bound of a repetition.
const MAX_TIMES: u32 = 100_000;

/// A whole grammar.
#[derive(Default)]
pub(super) struct Source {
    pub(super) rules: Vec<Rule>,
    pub(super) terminals: Vec<Terminal>,
    pub(super) ignored: Vec<Alternatives>,
    /// Imported terminals: the path and the name they get.
    pub(super) imports: Vec<(String, String, Place)>,
    /// `%ignore` also before anything else.
    pub(super) initial_skip: bool,
}

pub(super) struct Rule {
    pub(super) name: String,
    pub(super) place: Place,
    /// How its one terminal is matched, if it says so.
    pub(super) lazy: Lazy,
    pub(super) body: Alternatives,
}

/// Whether a terminal is matched lazily: as few characters as possible.
pub(super) enum Lazy {
    No,
    Yes,
    /// Up to this, and with it.
    Suffix(Box<Atom>),
}

pub(super) struct Terminal {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) body: Alternatives,
}

#[derive(Clone)]
pub(super) struct Alternatives {
    pub(super) place: Place,
    /// Each one is what all of its conjuncts accept.
    pub(super) list: Vec<Vec<Sequence>>,
}

pub(super) type Sequence = Vec<Item>;

#[derive(Clone)]
pub(super) struct Item {
    pub(super) atom: Atom,
    pub(super) place: Place,
    pub(super) min: u32,
    pub(super) max: Option<u32>,
}

impl Item {
    pub(super) fn is_once(&self) -> bool {
        self.min == 1 && self.max == Some(1)
    }
}

#[derive(Clone)]
pub(super) enum Atom {
    Group(Alternatives),
    Optional(Alternatives),
    Not(Box<Atom>, Place),
    Text(String, bool),
    Range(char, char),
    Regex(String, String),
    Rule(String),
    Terminal(String),
    Token(String),
    Json(Value),
    Extended(Value),
}

pub(super) fn parse(source: &str) -> Result<Source, GrammarError> {
    let mut parser = Parser { words: scan(source)?, at: 0, depth: 0, parts: 0 };
    let mut out = Source::default();
    loop {
        match parser.peek() {
            Word::End => return Ok(out),
            Word::Newline => parser.at += 1,
            Word::Rule(_) => out.rules.push(parser.rule()?),
            Word::Terminal(_) => out.terminals.push(parser.terminal()?),
            _ => parser.statement(&mut out)?,
        }
    }
}

struct Parser {
    words: Vec<(Word, Place)>,
    at: usize,
    /// Open groups: line ends inside them say nothing.
    depth: usize,
    parts: usize,
}

impl Parser {
    fn peek(&self) -> &Word {
        let mut at = self.at;
        while self.depth > 0 && self.words[at].0 == Word::Newline {
            at += 1;
        }
        &self.words[at].0
    }

    fn place(&self) -> Place {
        self.words[self.at].1
    }

    fn next(&mut self) -> Word {
        while self.depth > 0 && self.words[self.at].0 == Word::Newline {
            self.at += 1;
        }
        let word = self.words[self.at].0.clone();
        if word != Word::End {
            self.at += 1;
        }
        word
    }

    fn is(&self, mark: &'static str) -> bool {
        *self.peek() == Word::Mark(mark)
    }

    fn eat(&mut self, mark: &'static str) -> bool {
        let found = self.is(mark);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, mark: &'static str) -> Result<(), GrammarError> {
        if self.eat(mark) { Ok(()) } else { Err(self.expected(&format!("`{mark}`"))) }
    }

    fn expected(&self, what: &str) -> GrammarError {
        self.place().syntax(format!("expected {what}, found {}", self.peek().shown()))
    }

    fn count(&mut self) -> Result<(), GrammarError> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(GrammarError::Limit { what: "parts of rules", limit: MAX_PARTS as u64 });
        }
        Ok(())
    }

    fn rule(&mut self) -> Result<Rule, GrammarError> {
        let place = self.place();
        let Word::Rule(name) = self.next() else { return Err(self.expected("a rule")) };
        if self.is("::") {
            return Err(self.place().refuse("::", "rules with parameters have no grammar here"));
        }
        self.no_priority()?;
        if self.is("{") {
            return Err(self.place().refuse("template", "rules with parameters have no grammar here"));
        }
        let lazy = if self.is("[") { self.attributes()? } else { Lazy::No };
        self.expect(":")?;
        let body = self.body()?;
        Ok(Rule { name, place, lazy, body })
    }

    fn no_priority(&mut self) -> Result<(), GrammarError> {
        if self.is(".") {
            return Err(self.place().refuse("priority", "no reading of a text is preferred to another"));
        }
        Ok(())
    }

    fn terminal(&mut self) -> Result<Terminal, GrammarError> {
        let place = self.place();
        let Word::Terminal(name) = self.next() else { return Err(self.expected("a terminal")) };
        self.no_priority()?;
        if self.is("{") {
            return Err(self.place().refuse("template", "terminals with parameters have no grammar here"));
        }
        self.expect(":")?;
        let body = self.body()?;
        Ok(Terminal { name, place, body })
    }

    fn attributes(&mut self) -> Result<Lazy, GrammarError> {
        self.expect("[")?;
        let mut lazy = Lazy::No;
        while !self.is("]") {
            let place = self.place();
            let Word::Rule(name) = self.next() else { return Err(place.syntax("expected an attribute")) };
            let once = |lazy: &Lazy| {
                if matches!(lazy, Lazy::No) {
                    Ok(())
                } else {
                    Err(place.syntax("`lazy` and `suffix` exclude each other and are given once"))
                }
            };
            match name.as_str() {
                "lazy" => {
                    once(&lazy)?;
                    lazy = Lazy::Yes;
                }
                "suffix" => {
                    once(&lazy)?;
                    self.expect("=")?;
                    let atom = self.atom()?;
                    if matches!(&atom, Atom::Text(text, _) if text.is_empty()) {
                        return Err(place.refuse("suffix", "it is empty; leave it out"));
                    }
                    lazy = Lazy::Suffix(Box::new(atom));
                }
                "stop" => {
                    let reason = "it would take text back that was already generated; use suffix or lazy";
                    return Err(place.refuse("stop", reason));
                }
                "max_tokens" => {
                    return Err(
                        place.refuse("max_tokens", "a grammar counts characters, not tokens; write {m,n}")
                    );
                }
                "temperature" => {
                    return Err(
                        place.refuse("temperature", "a grammar says what is allowed, not how likely it is")
                    );
                }
                "capture" | "stop_capture" => {
                    return Err(place.refuse(name, "a grammar gives no captures; read the output instead"));
                }
                _ => return Err(place.refuse(name, "no such attribute is known")),
            }
            if !self.eat(",") {
                break;
            }
        }
        self.expect("]")?;
        Ok(lazy)
    }

    fn statement(&mut self, out: &mut Source) -> Result<(), GrammarError> {
        let place = self.place();
        match self.next() {
            Word::Directive(name) => match name.as_str() {
                "%ignore" => out.ignored.push(self.body()?),
                "%import" => self.import(place, &mut out.imports)?,
                "%override" | "%declare" | "%extend" => {
                    return Err(
                        place.refuse(name, "a grammar is one text, and every terminal is defined in it")
                    );
                }
                _ => return Err(place.refuse(name, "no such directive is known")),
            },
            Word::Json("%llguidance", options) => self.options(place, &options, out)?,
            other => {
                let found = other.shown();
                return Err(
                    place.syntax(format!("expected a rule, a terminal or a directive, found {found}"))
                );
            }
        }
        match self.peek() {
            Word::Newline | Word::End => Ok(()),
            _ => Err(self.expected("the end of the line")),
        }
    }

    fn options(&mut self, place: Place, options: &Value, out: &mut Source) -> Result<(), GrammarError> {
        let Value::Object(map) = options else {
            return Err(place.syntax("`%llguidance` takes an object"));
        };
        for (name, value) in map {
            match (name.as_str(), value) {
                (_, Value::Bool(false)) => {}
                // The masks force nothing beyond what is certain, so there is nothing to switch off.
                ("no_forcing", Value::Bool(true)) => {}
                ("allow_initial_skip", Value::Bool(true)) => out.initial_skip = true,
                _ => return Err(place.refuse(format!("%llguidance {name}"), "this option is not known here")),
            }
        }
        Ok(())
    }

    fn import(
        &mut self,
        place: Place,
        imports: &mut Vec<(String, String, Place)>,
    ) -> Result<(), GrammarError> {
        let mut path = String::new();
        let mut name = String::new();
        loop {
            match self.next() {
                Word::Mark(".") if path.is_empty() => {
                    return Err(
                        place.refuse("%import", "a grammar is one text; only `common` can be imported")
                    );
                }
                Word::Rule(part) => path = format!("{path}{part}."),
                Word::Terminal(part) => {
                    name.clone_from(&part);
                    path.push_str(&part);
                    break;
                }
                Word::Mark("(") => {
                    loop {
                        match self.next() {
                            Word::Terminal(part) => {
                                imports.push((format!("{path}{part}"), part, place));
                            }
                            other => {
                                return Err(
                                    place.syntax(format!("expected a terminal, found {}", other.shown()))
                                );
                            }
                        }
                        if !self.eat(",") {
                            break;
                        }
                    }
                    return self.expect(")");
                }
                other => {
                    return Err(place.syntax(format!("expected what to import, found {}", other.shown())));
                }
            }
            if !self.is("(") && !self.eat(".") {
                return Err(self.expected("`.` and a terminal"));
            }
        }
        if self.eat("->") {
            match self.next() {
                Word::Terminal(alias) => name = alias,
                other => {
                    return Err(place.syntax(format!("expected a terminal's name, found {}", other.shown())));
                }
            }
        }
        imports.push((path, name, place));
        Ok(())
    }

    fn body(&mut self) -> Result<Alternatives, GrammarError> {
        let body = self.alternatives()?;
        match self.peek() {
            Word::Newline | Word::End => Ok(body),
            _ => Err(self.expected("the end of the definition")),
        }
    }

    fn alternatives(&mut self) -> Result<Alternatives, GrammarError> {
        let place = self.place();
        let mut list = vec![self.conjuncts()?];
        loop {
            // A line that begins with `|` goes on.
            if *self.peek() == Word::Newline && self.words[self.at + 1].0 == Word::Mark("|") {
                self.at += 1;
            }
            if !self.eat("|") {
                return Ok(Alternatives { place, list });
            }
            list.push(self.conjuncts()?);
        }
    }

    fn conjuncts(&mut self) -> Result<Vec<Sequence>, GrammarError> {
        let mut list = vec![self.sequence()?];
        while self.eat("&") {
            list.push(self.sequence()?);
        }
        if self.eat("->") {
            match self.next() {
                // Names of alternatives shape trees only.
                Word::Rule(_) => {}
                _ => return Err(self.expected("the name of an alternative")),
            }
        }
        if *self.peek() == Word::Directive("%if".into()) {
            return Err(self.place().refuse("%if", "rules with parameters have no grammar here"));
        }
        Ok(list)
    }

    fn sequence(&mut self) -> Result<Sequence, GrammarError> {
        let mut items = Vec::new();
        loop {
            match self.peek() {
                Word::Newline | Word::End => return Ok(items),
                Word::Directive(name) if name == "%if" => return Ok(items),
                Word::Mark("|" | "&" | ")" | "]" | "}" | "->") => return Ok(items),
                _ => {
                    self.count()?;
                    items.push(self.item()?);
                }
            }
        }
    }

    fn item(&mut self) -> Result<Item, GrammarError> {
        let place = self.place();
        let atom = self.atom()?;
        let at = self.place();
        let (min, max) = if self.eat("*") {
            (0, None)
        } else if self.eat("+") {
            (1, None)
        } else if self.eat("?") {
            (0, Some(1))
        } else if self.eat("~") {
            let min = self.times()?;
            let max = if self.eat("..") { self.times()? } else { min };
            (min, Some(max))
        } else if self.eat("{") {
            let min = if self.is(",") { 0 } else { self.times()? };
            let max =
                if self.eat(",") { if self.is("}") { None } else { Some(self.times()?) } } else { Some(min) };
            self.expect("}")?;
            (min, max)
        } else {
            (1, Some(1))
        };
        if max.is_some_and(|max| max < min) {
            return Err(at.syntax("the upper bound of the repetition is below the lower one"));
        }
        Ok(Item { atom, place, min, max })
    }

    fn times(&mut self) -> Result<u32, GrammarError> {
        let place = self.place();
        match self.next() {
            Word::Number(n) => u32::try_from(n)
                .ok()
                .filter(|&n| n <= MAX_TIMES)
                .ok_or_else(|| place.syntax(format!("a repetition has 0 to {MAX_TIMES} rounds"))),
            other => Err(place.syntax(format!("expected a number, found {}", other.shown()))),
        }
    }

    fn atom(&mut self) -> Result<Atom, GrammarError> {
        let place = self.place();
        Ok(match self.next() {
            Word::Mark("~") => {
                self.nest(place)?;
                let inner = self.atom()?;
                self.depth -= 1;
                Atom::Not(Box::new(inner), place)
            }
            Word::Mark("(") => {
                self.nest(place)?;
                let inner = self.alternatives()?;
                self.close(")")?;
                Atom::Group(inner)
            }
            Word::Mark("[") => {
                self.nest(place)?;
                let inner = self.alternatives()?;
                self.close("]")?;
                Atom::Optional(inner)
            }
            Word::Text(first, false) if self.is("..") => {
                self.next();
                let Word::Text(last, false) = self.next() else {
                    return Err(place.syntax("a range ends with a string"));
                };
                let one = |text: &str| {
                    let mut chars = text.chars();
                    let (first, rest) = (chars.next(), chars.next());
                    first.filter(|_| rest.is_none())
                };
                match (one(&first), one(&last)) {
                    (Some(a), Some(b)) if a <= b => Atom::Range(a, b),
                    _ => return Err(place.syntax("a range goes from one character up to another")),
                }
            }
            Word::Text(text, ignore_case) => Atom::Text(text, ignore_case),
            Word::Regex(source, flags) => Atom::Regex(source, flags),
            Word::Rule(name) => {
                self.no_parameters()?;
                Atom::Rule(name)
            }
            Word::Terminal(name) => {
                self.no_parameters()?;
                Atom::Terminal(name)
            }
            Word::Token(name) => Atom::Token(name),
            Word::Json("%json", schema) => Atom::Json(schema),
            Word::Json("%regex", regex) => Atom::Extended(regex),
            Word::Reference(name) => {
                return Err(place.refuse(format!("@{name}"), "a grammar is one text; use %json for schemas"));
            }
            Word::Directive(name) => return Err(place.refuse(name, "it has no grammar here")),
            other => return Err(place.syntax(format!("expected a value, found {}", other.shown()))),
        })
    }

    /// `name{a, b}` and `name::n` are calls with parameters; `name{2}` is a repetition.
    fn no_parameters(&mut self) -> Result<(), GrammarError> {
        let inner =
            |word: Option<&(Word, Place)>| !matches!(word, Some((Word::Number(_) | Word::Mark(","), _)));
        if self.is("::") || self.is("{") && inner(self.words.get(self.at + 1)) {
            return Err(self.place().refuse("parameters", "rules with parameters have no grammar here"));
        }
        Ok(())
    }

    fn nest(&mut self, place: Place) -> Result<(), GrammarError> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(place.syntax(format!("groups are nested more than {MAX_NESTING} deep")));
        }
        Ok(())
    }

    fn close(&mut self, mark: &'static str) -> Result<(), GrammarError> {
        self.expect(mark)?;
        self.depth -= 1;
        Ok(())
    }
}
