//! Words inside calls that say more than their bytes: names in attributes, headers, type words.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A tool's or parameter's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameNode {
    /// The only names that may stand here, in either reading, such as a recipient with a body of its own
    /// kind. Empty: any name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// The name stands in a longer word, which is the call's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// How characters are written that would end the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<Escape>,
    /// The parser also takes a planned name twice with this text between, such as `f.f` with a dot: for models
    /// that make a namespace of a name that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubled: Option<String>,
    /// The parser takes a name of a tool on offer only, any name where no tools are known; with another one there
    /// is no call. A call may begin with such a name in the middle of content, if a special token follows it. Where
    /// text that is no marker begins the call, such as a bracket, it is text if tokens tell markers from text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offered: bool,
}

/// How characters are written that would end a name or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    /// As in an attribute: `&` and `"` as `&amp;` and `&quot;`. The parser also takes `&lt;`, `&gt;` and
    /// `&apos;`.
    Attribute,
    /// As in the text of an element: `&`, `<` and `>` as `&amp;`, `&lt;` and `&gt;`. The parser also takes `&quot;`
    /// and `&apos;`.
    Xml,
}

impl Escape {
    /// What the parser takes, and what it stands for.
    pub const ENTITIES: [(&str, char); 5] =
        [("&amp;", '&'), ("&quot;", '"'), ("&lt;", '<'), ("&gt;", '>'), ("&apos;", '\'')];

    /// The text as it is written.
    pub fn write(self, text: &str) -> String {
        let escaped = text.replace('&', "&amp;");
        match self {
            Escape::Attribute => escaped.replace('"', "&quot;"),
            Escape::Xml => escaped.replace('<', "&lt;").replace('>', "&gt;"),
        }
    }

    /// The text as it is written where there may be an escape.
    pub fn written(escape: Option<Escape>, text: &str) -> Cow<'_, str> {
        escape.map_or(Cow::Borrowed(text), |escape| Cow::Owned(escape.write(text)))
    }

    /// The text that was written. What is no entity stays as it is.
    pub fn read(self, written: &str) -> String {
        self.read_with(written, "\"")
    }

    /// The JSON text that was written. An entity of a quote is one inside a string.
    pub fn read_json(self, written: &str) -> String {
        self.read_with(written, "\\\"")
    }

    fn read_with(self, written: &str, quote: &str) -> String {
        let mut out = String::with_capacity(written.len());
        let mut rest = written;
        while let Some(at) = rest.find('&') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let known = Self::ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
            let (len, c) = known.map_or((1, '&'), |(entity, c)| (entity.len(), *c));
            match c {
                '"' => out.push_str(quote),
                c => out.push(c),
            }
            rest = &rest[len..];
        }
        out + rest
    }
}

/// A word that holds a call's name and its number, such as `functions.{name}:{index}`. The whole word is the
/// call's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Header {
    before: String,
    between: String,
    after: String,
}

impl TryFrom<String> for Header {
    type Error = String;

    fn try_from(form: String) -> Result<Self, String> {
        let parts = form.split_once("{name}").and_then(|(before, rest)| {
            let (between, after) = rest.split_once("{index}")?;
            (!between.is_empty()).then_some([before, between, after])
        });
        let plain = |part: &&str| !part.contains(['{', '}']);
        match parts.filter(|parts| parts.iter().all(plain)) {
            Some(parts) => {
                let [before, between, after] = parts.map(str::to_owned);
                Ok(Header { before, between, after })
            }
            None => Err(format!(
                "`{form}` is no header: write `{{name}}`, a separator and `{{index}}`, such as `functions.{{name}}:{{index}}`"
            )),
        }
    }
}

impl From<Header> for String {
    fn from(header: Header) -> String {
        let Header { before, between, after } = header;
        format!("{before}{{name}}{between}{{index}}{after}")
    }
}

/// What a header word holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderWord<'a> {
    /// The call's name.
    pub name: &'a str,
    /// Its number, where one is written.
    pub index: Option<u64>,
    /// Whether the word begins as headers do.
    pub prefixed: bool,
}

impl Header {
    /// What stands around the name: before it, between it and the number, and behind the number.
    pub fn frame(&self) -> [&str; 3] {
        [&self.before, &self.between, &self.after]
    }

    /// The header of a call.
    pub fn write(&self, name: &str, index: u64) -> String {
        let Header { before, between, after } = self;
        format!("{before}{name}{between}{index}{after}")
    }

    /// Takes a word apart. What stands around the name may be missing, and the name may hold what separates
    /// it from the number.
    pub fn read<'a>(&self, word: &'a str) -> HeaderWord<'a> {
        let stripped = word.strip_prefix(self.before.as_str()).filter(|_| !self.before.is_empty());
        let rest = stripped.unwrap_or(word);
        let (name, index) = rest
            .strip_suffix(self.after.as_str())
            .and_then(|rest| rest.rsplit_once(self.between.as_str()))
            .and_then(|(name, index)| Some((name, number(index)?)))
            .map_or((rest, None), |(name, index)| (name, Some(index)));
        HeaderWord { name, index, prefixed: stripped.is_some() }
    }

    /// The number of a word that is exactly the header of a call of this name.
    pub fn index_of(&self, word: &str, name: &str) -> Option<u64> {
        let index = self.read(word).index?;
        (self.write(name, index) == word).then_some(index)
    }
}

fn number(digits: &str) -> Option<u64> {
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// A word that states the type of the value that follows it, such as `type="number"`.
///
/// A string is written raw, every other type as JSON. The parser goes by the word; a word that is none of these
/// leaves it to the schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeLit {
    /// Stands before a string.
    pub string: String,
    /// Stands before a whole number; without it the word for numbers does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer: Option<String>,
    /// Stands before a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Stands before `true` and `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boolean: Option<String>,
    /// Stands before an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Stands before an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
    /// Stands before `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null: Option<String>,
    /// Stands before a value of a type that has no word of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

/// The types that values are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Text.
    String,
    /// A number without fractional part.
    Integer,
    /// Any other number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An object.
    Object,
    /// An array.
    Array,
    /// `null`.
    Null,
}

impl ValueType {
    /// Each type.
    pub const ALL: [ValueType; 7] = [
        ValueType::String,
        ValueType::Integer,
        ValueType::Number,
        ValueType::Boolean,
        ValueType::Object,
        ValueType::Array,
        ValueType::Null,
    ];

    /// The type of a value that is written as this JSON text.
    pub fn of_json(text: &str) -> ValueType {
        match text.trim_start().as_bytes().first() {
            Some(b'"') => ValueType::String,
            Some(b'{') => ValueType::Object,
            Some(b'[') => ValueType::Array,
            Some(b't' | b'f') => ValueType::Boolean,
            Some(b'n') => ValueType::Null,
            _ if text.contains(['.', 'e', 'E']) => ValueType::Number,
            _ => ValueType::Integer,
        }
    }
}

impl TypeLit {
    /// The word before a value of this type. `None`: the format has none, which [`Format::validate`] refuses.
    ///
    /// [`Format::validate`]: crate::Format::validate
    pub fn word(&self, of: ValueType) -> Option<&str> {
        let own = match of {
            ValueType::String => Some(&self.string),
            ValueType::Integer => self.integer.as_ref().or(self.number.as_ref()),
            ValueType::Number => self.number.as_ref(),
            ValueType::Boolean => self.boolean.as_ref(),
            ValueType::Object => self.object.as_ref(),
            ValueType::Array => self.array.as_ref(),
            ValueType::Null => self.null.as_ref(),
        };
        own.or(self.other.as_ref()).map(String::as_str)
    }

    /// Whether the value behind this word is raw; `None` for a word that is none of these.
    pub fn is_raw(&self, word: &str) -> Option<bool> {
        let known = ValueType::ALL.into_iter().find(|&of| self.word(of) == Some(word))?;
        Some(known == ValueType::String)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_escaped_both_ways() {
        let escape = Escape::Attribute;
        for name in ["a", "a&b", "\"x\"", "&amp;", "a<b", "&", ""] {
            assert_eq!(escape.read(&escape.write(name)), name);
        }
        assert_eq!(escape.write("a&\"b<"), "a&amp;&quot;b<");
        assert_eq!(escape.read("&lt;a&gt; &nbsp; &apos; &"), "<a> &nbsp; ' &");
        assert_eq!(Escape::Xml.write("a&\"b<>"), "a&amp;\"b&lt;&gt;");
        assert_eq!(Escape::Xml.read_json("[\"&quot;&amp;quot;\"]"), "[\"\\\"&quot;\"]");
    }

    #[test]
    fn headers_hold_names_and_numbers() {
        let header = Header::try_from("functions.{name}:{index}".to_owned()).unwrap();
        let read = |word| {
            let HeaderWord { name, index, prefixed } = header.read(word);
            (name, index, prefixed)
        };
        assert_eq!(read("functions.get_weather:12"), ("get_weather", Some(12), true));
        assert_eq!(read("get_weather:0"), ("get_weather", Some(0), false));
        assert_eq!(read("functions.ns:a.b:3"), ("ns:a.b", Some(3), true));
        assert_eq!(read("functions.invalid.0"), ("invalid.0", None, true));
        assert_eq!(read("ns:tool"), ("ns:tool", None, false));
        assert_eq!(read("7"), ("7", None, false));
        assert_eq!(header.index_of("functions.f:7", "f"), Some(7));
        assert_eq!(header.index_of("functions.f:07", "f"), None);
        assert_eq!(header.index_of("f:7", "f"), None);
        for bad in ["{name}", "{name}{index}", "{index}:{name}", "{name}:{index}}"] {
            assert!(Header::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn type_words_fall_back_to_other() {
        let two: TypeLit = serde_json::from_str(r#"{"string": "true", "other": "false"}"#).unwrap();
        assert_eq!(two.word(ValueType::Null), Some("false"));
        assert_eq!(
            (two.is_raw("true"), two.is_raw("false"), two.is_raw("x")),
            (Some(true), Some(false), None)
        );
        let typed = r#"{"string": "s", "number": "n", "boolean": "b"}"#;
        let typed: TypeLit = serde_json::from_str(typed).unwrap();
        assert_eq!(typed.word(ValueType::of_json("12")), Some("n"));
        assert_eq!(typed.word(ValueType::of_json("{}")), None);
    }
}
