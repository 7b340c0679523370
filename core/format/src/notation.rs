//! How values are written: JSON, Python literals, and the notations that models have of their own.

use serde::{Deserialize, Serialize};

use crate::Lit;

/// The spelling of values. The default is JSON as Python's `json.dumps` writes it.
///
/// It states the strict reading. The lenient one takes any white space, either kind of quotes, and the words
/// of JSON and of Python alike; only marked strings and bare keys must be stated to be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notation {
    /// Between members and elements: `", "` or `","`.
    pub item: String,
    /// Between a key and its value: `": "` or `":"`.
    pub key: String,
    /// How the keys of objects stand.
    #[serde(skip_serializing_if = "is_default")]
    pub keys: Keys,
    /// How strings stand.
    #[serde(skip_serializing_if = "is_default")]
    pub strings: Strings,
    /// The words for true, false and null.
    #[serde(skip_serializing_if = "is_default")]
    pub words: Words,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How the keys of objects are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// As strings.
    #[default]
    Quoted,
    /// As they are, without quotes, where [`Notation::is_bare_key`] lets them.
    Bare,
}

/// How strings are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strings {
    /// In double quotes, with JSON's escapes.
    #[default]
    Json,
    /// In single or double quotes, with the escapes that Python has. Printed as Python's `repr` chooses the
    /// quotes.
    Python,
    /// Raw between two of these markers, without escapes, such as `<|"|>text<|"|>`.
    Marked(Lit),
}

/// The words for true, false and null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Words {
    /// `true`, `false`, `null`.
    #[default]
    Json,
    /// `True`, `False`, `None`.
    Python,
}

impl Words {
    /// The three words, in the order true, false, null.
    pub fn all(self) -> [&'static str; 3] {
        match self {
            Words::Json => ["true", "false", "null"],
            Words::Python => ["True", "False", "None"],
        }
    }
}

impl Default for Notation {
    fn default() -> Self {
        Notation {
            item: ", ".into(),
            key: ": ".into(),
            keys: Keys::Quoted,
            strings: Strings::Json,
            words: Words::Json,
        }
    }
}

impl Notation {
    /// JSON without any white space.
    pub fn compact() -> Self {
        Notation { item: ",".into(), key: ":".into(), ..Notation::default() }
    }

    /// Python literals, as `repr` writes them.
    pub fn python() -> Self {
        Notation { strings: Strings::Python, words: Words::Python, ..Notation::default() }
    }

    /// The marker on either side of a string, where strings are marked.
    pub fn marker(&self) -> Option<&Lit> {
        match &self.strings {
            Strings::Marked(marker) => Some(marker),
            _ => None,
        }
    }

    /// Whether values are JSON as far as anything but white space goes.
    pub fn is_json(&self) -> bool {
        *self == Notation { item: self.item.clone(), key: self.key.clone(), ..Notation::default() }
    }

    /// The keys of [`Notation::is_bare_key`], as a regular expression.
    pub const BARE_KEY: &str = r"[A-Za-z0-9_\-.$/@\x{80}-\x{10FFFF}]([A-Za-z0-9_\-.$/@ \x{80}-\x{10FFFF}]*[A-Za-z0-9_\-.$/@\x{80}-\x{10FFFF}])?";
    /// The names of [`Notation::is_keyword`], as a regular expression.
    pub const KEYWORD: &str = r"[A-Za-z0-9_\x{80}-\x{10FFFF}][A-Za-z0-9_\-.\x{80}-\x{10FFFF}]*";

    /// Whether a key can stand without quotes: letters, digits and `_-.$/@`, whatever is not ASCII, and spaces
    /// inside.
    pub fn is_bare_key(key: &str) -> bool {
        let plain = |c: char| is_word(c) || "-.$/@".contains(c);
        key.starts_with(plain) && key.ends_with(plain) && key.chars().all(|c| c == ' ' || plain(c))
    }

    /// Whether a name can stand in front of `=`: an identifier, `-` and `.` inside it included.
    pub fn is_keyword(key: &str) -> bool {
        key.starts_with(is_word) && key.chars().all(|c| is_word(c) || "-.".contains(c))
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Notation {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_part_has_a_default_and_a_short_form() {
        assert_eq!(read(json!({})), Notation::default());
        assert_eq!(read(json!({"item": ",", "key": ":"})), Notation::compact());
        assert_eq!(read(json!({"strings": "python", "words": "python"})), Notation::python());
        let marked = json!({"item": ",", "key": ":", "keys": "bare", "strings": {"marked": "<escape>"}});
        let marked = read(marked);
        assert_eq!(marked.marker(), Some(&Lit::text("<escape>")));
        let again = serde_json::to_value(&marked).unwrap();
        assert_eq!(read(again), marked);
        assert!(Notation::compact().is_json() && !marked.is_json() && !Notation::python().is_json());
        assert!(serde_json::from_value::<Notation>(json!({"quotes": "'"})).is_err());
    }

    #[test]
    fn keys_that_can_stand_bare() {
        for key in ["city", "first name", "a-b.c$", "größe", "0", "@id"] {
            assert!(Notation::is_bare_key(key), "{key}");
        }
        for key in ["", " a", "a ", "a:b", "a,b", "{", "a\"b", "<a>"] {
            assert!(!Notation::is_bare_key(key), "{key}");
        }
        assert!(
            Notation::is_keyword("user-id") && !Notation::is_keyword("-a") && !Notation::is_keyword("a b")
        );
    }
}
