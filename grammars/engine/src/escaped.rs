//! Rules for a text, as rules for the text that is written for it, in which entities stand for characters.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Literal, Repetition};
use toolglot_format::Escape;

use crate::terminal::{Pattern, TextRules, holds};

impl TextRules {
    /// The same rules for what is written. Without rules any text may be written; with some, `&` begins an entity.
    pub(crate) fn escaped(mut self) -> TextRules {
        let patterns = self.include.iter_mut().chain(&mut self.exclude);
        patterns.for_each(|pattern| pattern.hir = written(&pattern.hir));
        // An entity is one character and looks like several.
        if self.min > 1 || self.max.is_some() {
            self.include.push(Pattern { hir: no_entity(), search: false });
        }
        let words = self.excluded_words.iter().filter_map(|word| std::str::from_utf8(word).ok());
        let escaped: Vec<Vec<u8>> = words.map(|word| Escape::Xml.write(word).into_bytes()).collect();
        self.excluded_words.extend(escaped);
        self.excluded_words.sort_unstable();
        self.excluded_words.dedup();
        self
    }
}

fn is_ampersand() -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new('&', '&')])
}

/// Any text without `&`.
fn no_entity() -> Hir {
    let mut class = is_ampersand();
    class.negate();
    let sub = Box::new(Hir::class(Class::Unicode(class)));
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub })
}

/// One character of a class: as it stands, but for `&`, or as an entity.
fn character(class: &ClassUnicode) -> Hir {
    let entities = Escape::ENTITIES.iter().filter(|(_, c)| holds(class, *c));
    let entities: Vec<Hir> = entities.map(|(entity, _)| Hir::literal(entity.as_bytes())).collect();
    if entities.is_empty() {
        return Hir::class(Class::Unicode(class.clone()));
    }
    let mut plain = class.clone();
    plain.difference(&is_ampersand());
    Hir::alternation(std::iter::once(Hir::class(Class::Unicode(plain))).chain(entities).collect())
}

fn written(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Literal(Literal(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) if Escape::ENTITIES.iter().any(|(_, c)| text.contains(*c)) => {
                let one = |c| character(&ClassUnicode::new([ClassUnicodeRange::new(c, c)]));
                Hir::concat(text.chars().map(one).collect())
            }
            _ => hir.clone(),
        },
        HirKind::Class(Class::Unicode(class)) => character(class),
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(written(&repetition.sub)), ..repetition.clone() })
        }
        HirKind::Capture(capture) => written(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(written).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(written).collect()),
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Bytes(_)) => hir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, text: &str) -> bool {
        let hir = written(&regex_syntax::parse(pattern).unwrap());
        let anchored = format!("^(?:{hir})$");
        regex_automata::meta::Regex::new(&anchored).unwrap().is_match(text)
    }

    #[test]
    fn patterns_count_an_entity_as_its_character() {
        assert!(takes("a<b", "a&lt;b") && takes("a<b", "a<b") && takes("a&b", "a&amp;b"));
        assert!(!takes("a&b", "a&b") && !takes("a<b", "a&gt;b"));
        assert!(takes(".{3}", "&lt;&gt;x") && takes("[^a]", "&amp;") && !takes("[a-z]+", "&lt;"));
        assert!(takes("(x|<)*", "x&lt;<"));
    }
}
