//! Terminals as languages: what each one matches, whatever stands around it.

use super::parse::{Alternatives, Atom, Item, Terminal};
use crate::GrammarError;
use crate::front::text::Place;
use crate::terminal::{Pattern, TextRules};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Repetition};
use rustc_hash::FxHashMap;

/// Longest expression that a terminal may come to.
const MAX_LENGTH: usize = 1 << 14;
/// Deepest nesting of expressions.
const MAX_DEPTH: usize = 200;

/// Texts that match all of `include` and none of `exclude`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Language {
    pub(super) include: Vec<Hir>,
    pub(super) exclude: Vec<Hir>,
    /// Only the shortest of them: those no beginning of which is one, too.
    pub(super) lazy: bool,
}

impl Language {
    pub(super) fn of(hir: Hir) -> Language {
        Language { include: vec![hir], ..Language::default() }
    }

    /// The one expression, if there is nothing else to it.
    pub(super) fn plain(&self) -> Option<&Hir> {
        match (&*self.include, &*self.exclude) {
            ([hir], []) => Some(hir),
            _ => None,
        }
    }

    pub(super) fn nullable(&self) -> bool {
        let empty = |hir: &Hir| hir.properties().minimum_len() == Some(0);
        self.include.iter().all(empty) && !self.exclude.iter().any(empty)
    }

    pub(super) fn rules(&self) -> TextRules {
        let patterns =
            |list: &[Hir]| list.iter().map(|h| Pattern { hir: h.clone(), search: false }).collect();
        TextRules {
            include: patterns(&self.include),
            exclude: patterns(&self.exclude),
            ..TextRules::default()
        }
    }
}

#[derive(Clone)]
struct Sized {
    hir: Hir,
    length: usize,
    depth: usize,
}

enum Known {
    /// Being worked out: a terminal that needs itself has no expression.
    Open,
    Done(Language, usize, usize),
}

/// The terminals of a grammar.
pub(super) struct Terminals<'a> {
    sources: FxHashMap<&'a str, &'a Terminal>,
    imports: FxHashMap<&'a str, &'static str>,
    known: FxHashMap<String, Known>,
}

impl<'a> Terminals<'a> {
    pub(super) fn new(
        terminals: &'a [Terminal],
        imports: &'a [(String, String, Place)],
    ) -> Result<Terminals<'a>, GrammarError> {
        let mut out = Terminals {
            sources: FxHashMap::default(),
            imports: FxHashMap::default(),
            known: FxHashMap::default(),
        };
        for (path, name, place) in imports {
            let common = path.strip_prefix("common.").and_then(common);
            let common =
                common.ok_or_else(|| place.refuse("%import", format!("`{path}` is not known here")))?;
            out.imports.insert(name, common);
        }
        for terminal in terminals {
            let imported = out.imports.contains_key(&*terminal.name);
            if out.sources.insert(&terminal.name, terminal).is_some() || imported {
                return Err(terminal.place.syntax(format!("terminal `{}` is defined twice", terminal.name)));
            }
        }
        Ok(out)
    }

    /// What the terminal of this name, used at `place`, matches.
    pub(super) fn named(&mut self, name: &str, place: Place) -> Result<Language, GrammarError> {
        self.sized(name, place, 0).map(|(language, ..)| language)
    }

    fn sized(
        &mut self,
        name: &str,
        place: Place,
        nested: usize,
    ) -> Result<(Language, usize, usize), GrammarError> {
        match self.known.get(name) {
            Some(Known::Done(language, length, depth)) => return Ok((language.clone(), *length, *depth)),
            Some(Known::Open) => {
                return Err(place.refuse(format!("terminal {name}"), "it needs itself; make it a rule"));
            }
            None => {}
        }
        if nested > MAX_DEPTH {
            return Err(place.refuse(format!("terminal {name}"), "terminals call each other too deeply"));
        }
        self.known.insert(name.to_owned(), Known::Open);
        let (language, length, depth) = match (self.sources.get(name), self.imports.get(name)) {
            (Some(terminal), _) => self.language(&terminal.body, nested + 1)?,
            (None, Some(pattern)) => {
                let hir = pattern_of(pattern, "", place)?;
                (Language::of(hir), pattern.len(), 10)
            }
            (None, None) => {
                return Err(place.syntax(format!("terminal `{name}` is used but never defined")));
            }
        };
        self.known.insert(name.to_owned(), Known::Done(language.clone(), length, depth));
        Ok((language, length, depth))
    }

    /// What a terminal's body matches. `&` and `~` are read where nothing is built around them.
    pub(super) fn language(
        &mut self,
        body: &Alternatives,
        nested: usize,
    ) -> Result<(Language, usize, usize), GrammarError> {
        if let [conjuncts] = &*body.list {
            let (mut out, mut length, mut depth) = (Language::default(), 0, 0);
            for sequence in conjuncts {
                let (language, more, deep) = match &**sequence {
                    [Item { atom: Atom::Not(inner, place), min: 1, max: Some(1), .. }] => {
                        let inner = self.atom(inner, *place, nested)?;
                        let any = any_text();
                        let language = Language { include: vec![any], exclude: vec![inner.hir], lazy: false };
                        (language, inner.length, inner.depth)
                    }
                    [item @ Item { atom: Atom::Terminal(name), .. }] if item.is_once() => {
                        self.sized(name, item.place, nested)?
                    }
                    [item @ Item { atom: Atom::Group(inner), .. }] if item.is_once() => {
                        self.language(inner, nested)?
                    }
                    items => {
                        let sized = self.sequence(items, nested)?;
                        (Language::of(sized.hir), sized.length, sized.depth)
                    }
                };
                out.include.extend(language.include);
                out.exclude.extend(language.exclude);
                length += more;
                depth = depth.max(deep);
            }
            return Ok((out, length, depth));
        }
        let sized = self.alternatives(body, nested)?;
        Ok((Language::of(sized.hir), sized.length, sized.depth))
    }

    fn bounded(&self, place: Place, out: Sized) -> Result<Sized, GrammarError> {
        if out.length > MAX_LENGTH || out.depth > MAX_DEPTH {
            return Err(place.refuse("terminal", format!("it comes to more than {MAX_LENGTH} characters")));
        }
        Ok(out)
    }

    fn alternatives(&mut self, body: &Alternatives, nested: usize) -> Result<Sized, GrammarError> {
        let (mut hirs, mut length, mut depth) = (Vec::new(), 0, 0);
        for conjuncts in &body.list {
            let [sequence] = &**conjuncts else {
                return Err(body.place.refuse("&", "it is read at the top of a terminal only"));
            };
            let sized = self.sequence(sequence, nested)?;
            hirs.push(sized.hir);
            length += sized.length;
            depth = depth.max(sized.depth);
        }
        self.bounded(body.place, Sized { hir: Hir::alternation(hirs), length, depth: depth + 1 })
    }

    fn sequence(&mut self, items: &[Item], nested: usize) -> Result<Sized, GrammarError> {
        let (mut hirs, mut length, mut depth) = (Vec::new(), 0, 0);
        let mut place = Place::default();
        for item in items {
            place = item.place;
            let inner = self.atom(&item.atom, item.place, nested)?;
            // A counted class is short, however often it is repeated.
            let times = match (inner.hir.kind(), item.max) {
                (HirKind::Class(_), _) | (_, None) => item.min.clamp(1, 64),
                (_, Some(max)) => max.max(1),
            };
            length += inner.length.saturating_mul(times as usize);
            depth = depth.max(inner.depth + 1);
            hirs.push(if item.is_once() {
                inner.hir
            } else {
                let sub = Box::new(inner.hir);
                Hir::repetition(Repetition { min: item.min, max: item.max, greedy: true, sub })
            });
            self.bounded(place, Sized { hir: Hir::empty(), length, depth })?;
        }
        self.bounded(place, Sized { hir: Hir::concat(hirs), length, depth: depth + 1 })
    }

    /// The expression of one atom.
    fn atom(&mut self, atom: &Atom, place: Place, nested: usize) -> Result<Sized, GrammarError> {
        let leaf = |hir: Hir, length: usize| Ok(Sized { hir, length, depth: 10 });
        match atom {
            Atom::Text(text, false) => leaf(Hir::literal(text.as_bytes()), text.len()),
            Atom::Text(text, true) => leaf(pattern_of(&regex_syntax::escape(text), "i", place)?, text.len()),
            Atom::Range(from, to) => {
                let class = ClassUnicode::new([ClassUnicodeRange::new(*from, *to)]);
                leaf(Hir::class(Class::Unicode(class)), 1)
            }
            Atom::Regex(source, flags) => leaf(pattern_of(source, flags, place)?, source.len()),
            Atom::Terminal(name) => {
                let (language, length, depth) = self.sized(name, place, nested)?;
                match language.plain() {
                    Some(hir) => self.bounded(place, Sized { hir: hir.clone(), length, depth }),
                    None => {
                        let reason =
                            format!("`{name}` is made with & or ~, so nothing can be built around it");
                        Err(place.refuse(format!("terminal {name}"), reason))
                    }
                }
            }
            Atom::Group(body) => self.alternatives(body, nested),
            Atom::Optional(body) => {
                let inner = self.alternatives(body, nested)?;
                let sub = Box::new(inner.hir);
                let hir = Hir::repetition(Repetition { min: 0, max: Some(1), greedy: true, sub });
                Ok(Sized { hir, length: inner.length, depth: inner.depth + 1 })
            }
            Atom::Not(..) => Err(place.refuse("~", "it is read at the top of a terminal only")),
            Atom::Rule(name) => {
                Err(place.syntax(format!("`{name}` is a rule, and a terminal is made of terminals only")))
            }
            Atom::Token(name) => {
                Err(place.syntax(format!("the token `{name}` cannot be part of a terminal")))
            }
            Atom::Json(_) => Err(place.syntax("`%json` cannot be part of a terminal")),
            Atom::Extended(regex) => {
                let chunks = chunks(regex, place)?;
                let length: usize = chunks.iter().map(String::len).sum::<usize>() * chunks.len().max(1) / 2;
                self.bounded(place, Sized { hir: Hir::empty(), length, depth: chunks.len() })?;
                leaf(substring(&chunks), length)
            }
        }
    }
}

/// Any text.
pub(super) fn any_text() -> Hir {
    let class = Hir::class(Class::Unicode(crate::front::gbnf::any_char()));
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(class) })
}

/// Reads a regular expression between slashes.
fn pattern_of(source: &str, flags: &str, place: Place) -> Result<Hir, GrammarError> {
    if flags.contains('l') {
        return Err(place.refuse("flag l", "characters do not depend on a locale here"));
    }
    let parsed = ParserBuilder::new()
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .ignore_whitespace(flags.contains('x'))
        .build()
        .parse(source)
        .map_err(|error| {
            let reason = match error {
                regex_syntax::Error::Parse(error) => error.kind().to_string(),
                regex_syntax::Error::Translate(error) => error.kind().to_string(),
                other => other.to_string(),
            };
            place.syntax(format!("in /{source}/: {reason}"))
        })?;
    if !parsed.properties().look_set().is_empty() {
        return Err(place.refuse(format!("/{source}/"), "a terminal cannot look at what stands around it"));
    }
    if !parsed.properties().is_utf8() {
        return Err(place.refuse(format!("/{source}/"), "it matches bytes that are not UTF-8"));
    }
    Ok(parsed)
}

/// `%regex {"substring_…": …}`: the pieces of a text, any run of which is matched.
fn chunks(regex: &serde_json::Value, place: Place) -> Result<Vec<String>, GrammarError> {
    let Some((key, value)) = regex.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next())
    else {
        return Err(place.syntax("`%regex` takes an object with one field"));
    };
    let text = || value.as_str().ok_or_else(|| place.syntax(format!("`{key}` takes a string")));
    match key.as_str() {
        "substring_chunks" => {
            let list = value.as_array().and_then(|list| {
                list.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            });
            list.ok_or_else(|| place.syntax("`substring_chunks` takes a list of strings"))
        }
        "substring_chars" => Ok(text()?.chars().map(String::from).collect()),
        "substring_words" => {
            let mut out: Vec<String> = Vec::new();
            let mut before = None;
            for c in text()?.chars() {
                // Runs of letters and digits, of white space, and of everything else.
                let kind = (c.is_alphanumeric() || c == '_', c.is_whitespace());
                match out.last_mut() {
                    Some(word) if before == Some(kind) => word.push(c),
                    _ => out.push(c.into()),
                }
                before = Some(kind);
            }
            Ok(out)
        }
        other => Err(place.refuse(format!("%regex {other}"), "no such expression is known here")),
    }
}

/// `""`, or some pieces in a row.
fn substring(chunks: &[String]) -> Hir {
    let optional =
        |hir: Hir| Hir::repetition(Repetition { min: 0, max: Some(1), greedy: true, sub: Box::new(hir) });
    let mut ways = vec![Hir::empty()];
    let mut rest = Hir::empty();
    for chunk in chunks.iter().rev() {
        rest = Hir::concat(vec![Hir::literal(chunk.as_bytes()), optional(rest)]);
        ways.push(rest.clone());
    }
    Hir::alternation(ways)
}

/// Lark's `common` terminals, as llguidance has them.
fn common(name: &str) -> Option<&'static str> {
    Some(match name {
        "DIGIT" => "[0-9]",
        "HEXDIGIT" => "[0-9A-Fa-f]",
        "INT" => "[0-9]+",
        "SIGNED_INT" => "[+-]?[0-9]+",
        "DECIMAL" => r"[0-9]+\.[0-9]*|\.[0-9]+",
        "_EXP" => "[eE][+-]?[0-9]+",
        "FLOAT" => r"(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+",
        "SIGNED_FLOAT" => r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)",
        "NUMBER" => r"(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+(?:[eE][+-]?[0-9]+)?",
        "SIGNED_NUMBER" => {
            r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+(?:[eE][+-]?[0-9]+)?)"
        }
        "ESCAPED_STRING" => r#""(?:[^"\\]|\\.)*""#,
        "LCASE_LETTER" => "[a-z]",
        "UCASE_LETTER" => "[A-Z]",
        "LETTER" => "[A-Za-z]",
        "WORD" => "[A-Za-z]+",
        "CNAME" => "[A-Za-z_][0-9A-Za-z_]*",
        "WS_INLINE" => r"[ \t]+",
        "WS" => r"[ \t\f\r\n]+",
        "CR" => r"\r",
        "LF" => r"\n",
        "NEWLINE" => r"(?:\r?\n)+",
        "SH_COMMENT" => r"#[^\n]*",
        "CPP_COMMENT" => r"//[^\n]*",
        "C_COMMENT" => r"/\*[^*]*\*+(?:[^/*][^*]*\*+)*/",
        "SQL_COMMENT" => r"--[^\n]*",
        _ => return None,
    })
}
