//! The family manifest: `family.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::suffix::PLACE;
use crate::{Format, FormatError, Suffix};

/// What a family says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Lower-case id: letters, digits and underscores.
    pub id: String,
    /// One line for lists: which models it is.
    pub title: String,
    /// Other ids under which it is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// How a model of this family is told from others.
    #[serde(default)]
    pub detect: Detect,
    /// The frame of the assistant's turn in the prompt.
    pub turn: TurnFrame,
    /// What ends a turn.
    #[serde(default)]
    pub stops: Stops,
    /// How the family's templates treat reasoning.
    #[serde(default)]
    pub reasoning: Reasoning,
    /// The suffix that all markers share, for a family whose checkpoints have suffixes of their own; written as
    /// `{suffix}` in the markers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<Suffix>,
    /// How calls, text and reasoning are written. In TOML also `{ same_as = "<id>" }`, for a family that
    /// shares the format of another and differs in its template or in the spelling of markers; see
    /// [`Manifest::from_toml_with`].
    pub format: Format,
}

/// How a model of this family is told from others, from its chat template and its special tokens.
///
/// Every entry that is found adds to the family's score; one entry of `without` found rules it out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detect {
    /// Text of the chat template. All of it must be there.
    pub template: Vec<String>,
    /// Text of the chat template, spelled in several ways. One of them must be there; none are asked for where
    /// the list is empty.
    pub any: Vec<String>,
    /// Text that a template of this family never holds.
    pub without: Vec<String>,
    /// Text that makes the family likelier, where it is there.
    pub hints: Vec<String>,
    /// Tokens of the vocabulary that make the family likelier.
    pub tokens: Vec<String>,
}

impl Detect {
    /// Whether a text stands in this chat template, which may write its quotes escaped, inside a string of its own.
    pub fn finder(template: &str) -> impl Fn(&str) -> bool + '_ {
        let unescaped = template.replace("\\\"", "\"").replace("\\'", "'");
        move |text| template.contains(text) || unescaped.contains(text)
    }
}

/// The frame of the assistant's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnFrame {
    /// The text after which the format begins, such as `<|im_start|>assistant\n`. What a template puts
    /// behind it in the prompt primes parser and grammar.
    pub open: String,
    /// What the template writes after a finished turn, such as `<|im_end|>\n`.
    #[serde(default)]
    pub close: String,
}

/// What ends a turn, beside the EOS tokens that the checkpoint names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stops {
    /// Special tokens, by spelling. Those that the vocabulary lacks are not used.
    pub tokens: Vec<String>,
    /// Strings in the text.
    pub strings: Vec<String>,
}

/// How the family's templates treat reasoning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reasoning {
    /// The text with which a template opens reasoning in the prompt, such as `<think>\n`. Empty where no
    /// template does.
    pub open: String,
}

/// The format of another family, with other spellings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    same_as: String,
    #[serde(default)]
    respell: BTreeMap<String, String>,
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, or not the manifest's shape. The message shows line and column.
    #[error("{origin}: {message}")]
    Toml {
        /// The file, as the caller named it.
        origin: String,
        /// The parser's message, with a picture of the place.
        message: String,
        /// Byte offsets in the source.
        span: Option<std::ops::Range<usize>>,
    },
    /// A field holds what it must not.
    #[error("{origin}: `{field}`: {why}")]
    Field {
        /// The file, as the caller named it.
        origin: String,
        /// The field.
        field: &'static str,
        /// What is wrong and what to write instead.
        why: String,
    },
    /// The format cannot work.
    #[error("{origin}: {error}")]
    Format {
        /// The file, as the caller named it.
        origin: String,
        /// The node and what is wrong with it.
        error: FormatError,
    },
}

impl Manifest {
    /// Reads and checks a manifest that states its own format. `origin` names the source in errors.
    ///
    /// # Errors
    /// [`ManifestError`], with line and column where the text itself is wrong.
    pub fn from_toml(source: &str, origin: &str) -> Result<Manifest, ManifestError> {
        Manifest::from_toml_with(source, origin, &|_| None)
    }

    /// As [`Manifest::from_toml`], and `format = { same_as = "<id>" }` takes the format that `format_of`
    /// gives for that id, so that a format shared by two families is stated once. A table `respell` beside it
    /// gives literals another spelling, each by its present text: `"<tool_call>" = "<seed:tool_call>"`.
    ///
    /// # Errors
    /// As [`Manifest::from_toml`]; [`ManifestError::Field`] when `format_of` does not know the id, when a
    /// spelling in `respell` is in no literal, or when `format` holds anything else beside `same_as`.
    pub fn from_toml_with(
        source: &str,
        origin: &str,
        format_of: &dyn Fn(&str) -> Option<Format>,
    ) -> Result<Manifest, ManifestError> {
        let bad_toml = |error: toml::de::Error| ManifestError::Toml {
            origin: origin.to_owned(),
            message: error.to_string(),
            span: error.span(),
        };
        let mut table: toml::Table = toml::from_str(source).map_err(bad_toml)?;
        let shared = match table.get("format") {
            Some(format) if format.get("same_as").is_some() => {
                Some(format.clone().try_into::<Shared>().map_err(bad_toml)?)
            }
            _ => None,
        };
        let mut manifest: Manifest = match shared {
            None => toml::from_str(source).map_err(bad_toml)?,
            Some(Shared { same_as, respell }) => {
                let field = |why| ManifestError::Field { origin: origin.to_owned(), field: "format", why };
                let mut format = format_of(&same_as)
                    .ok_or_else(|| field(format!("no format of a family `{same_as}` is known here")))?;
                if let Some(unused) = format.respell(&respell).first() {
                    return Err(field(format!("`respell`: no literal of `{same_as}` is spelled {unused:?}")));
                }
                let value = toml::Value::try_from(format).map_err(|error| field(error.to_string()))?;
                table.insert("format".into(), value);
                table.try_into().map_err(bad_toml)?
            }
        };
        if let Some(text) = manifest.resolve_suffix() {
            let why = format!("{text:?} holds `{PLACE}`, and the manifest has none; add `[suffix]`");
            return Err(ManifestError::Field { origin: origin.to_owned(), field: "suffix", why });
        }
        manifest.check(origin)?;
        Ok(manifest)
    }

    /// Checks a manifest that came by another way than [`Manifest::from_toml`].
    ///
    /// # Errors
    /// [`ManifestError::Field`] or [`ManifestError::Format`].
    pub fn check(&self, origin: &str) -> Result<(), ManifestError> {
        let field = |field, why: &str| {
            Err(ManifestError::Field { origin: origin.to_owned(), field, why: why.to_owned() })
        };
        let is_id = |id: &str| {
            !id.is_empty()
                && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b))
        };
        if !is_id(&self.id) {
            return field("id", "use lower-case letters, digits, `_`, `-` and `.`");
        }
        if !self.aliases.iter().all(|alias| is_id(alias)) {
            return field("aliases", "use lower-case letters, digits, `_`, `-` and `.`");
        }
        if self.stops.strings.iter().chain(&self.stops.tokens).any(String::is_empty) {
            return field("stops", "a stop is empty");
        }
        self.format.validate().map_err(|error| ManifestError::Format { origin: origin.to_owned(), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
id = "tagged"
title = "A test family"
[turn]
open = "<a>"
[[format.seq]]
text = { channel = "content" }
[[format.seq]]
opt = { call = { seq = [{ lit = { text = "<c>", special = true } }, { name = {} }, { args = { json = {} } }] } }
"#;

    #[test]
    fn reads_a_manifest_and_writes_it_as_json() {
        let manifest = Manifest::from_toml(GOOD, "family.toml").unwrap();
        let json = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    }

    #[test]
    fn points_at_line_and_column() {
        let bad = GOOD.replace("channel = \"content\"", "channel = \"contents\"");
        let error = Manifest::from_toml(&bad, "x/family.toml").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("x/family.toml: TOML parse error at line 7"), "{text}");
        assert!(matches!(error, ManifestError::Toml { span: Some(_), .. }));
    }

    #[test]
    fn takes_the_format_of_another_family() {
        let first = Manifest::from_toml(GOOD, "family.toml").unwrap();
        let second = "id = \"b\"\ntitle = \"B\"\nturn.open = \"<b>\"\nformat.same_as = \"tagged\"\n";
        let format_of = |id: &str| (id == "tagged").then(|| first.format.clone());
        let got = Manifest::from_toml_with(second, "b", &format_of).unwrap();
        assert_eq!((got.id.as_str(), &got.format), ("b", &first.format));
        let error = Manifest::from_toml(second, "b").unwrap_err();
        assert_eq!(error.to_string(), "b: `format`: no format of a family `tagged` is known here");
    }

    #[test]
    fn spells_the_literals_of_another_family_anew() {
        let first = Manifest::from_toml(GOOD, "family.toml").unwrap();
        let format_of = |id: &str| (id == "tagged").then(|| first.format.clone());
        let second = |from: &str| {
            format!(
                "id = \"b\"\ntitle = \"B\"\nturn.open = \"<b>\"\n[format]\nsame_as = \"tagged\"\nrespell = {{ \"{from}\" = \"<call>\" }}\n"
            )
        };
        let got = Manifest::from_toml_with(&second("<c>"), "b", &format_of).unwrap();
        let spelled: Vec<&str> = got.format.framing().iter().map(|lit| lit.text.as_str()).collect();
        assert_eq!(spelled, ["<call>"]);
        let error = Manifest::from_toml_with(&second("<d>"), "b", &format_of).unwrap_err();
        assert_eq!(error.to_string(), "b: `format`: `respell`: no literal of `tagged` is spelled \"<d>\"");
        let spaced =
            Format::Seq(vec![Format::Ws("\n\n".into()), Format::Ws("\n".into()), first.format.clone()]);
        let got = Manifest::from_toml_with(&second("\\n\\n"), "b", &|_| Some(spaced.clone())).unwrap_err();
        assert!(got.to_string().contains("format.seq[0]: `ws` takes white space only"), "{got}");
        let source = second("\\n\\n").replace("<call>", "\\n");
        let got = Manifest::from_toml_with(&source, "b", &|_| Some(spaced.clone())).unwrap();
        assert_eq!(got.format.children()[0], &Format::Ws("\n".into()));
    }

    #[test]
    fn names_a_bad_field_and_a_bad_node() {
        let error = Manifest::from_toml(&GOOD.replace("\"tagged\"", "\"Tagged\""), "f").unwrap_err();
        assert!(error.to_string().starts_with("f: `id`: use lower-case"), "{error}");
        let error = Manifest::from_toml(&GOOD.replace("\"<c>\"", "\"\""), "f").unwrap_err();
        assert_eq!(error.to_string(), "f: format.seq[1].opt.call.seq[0]: a literal is empty");
    }
}
