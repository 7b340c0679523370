//! One suffix in every marker of a family, which differs from checkpoint to checkpoint.
//!
//! A manifest writes it as `{suffix}`. Reading the manifest puts the default in its place, with the other known
//! suffixes as aliases, so that nothing behind it knows of suffixes; [`Manifest::with_suffix`] then fits the
//! manifest to the checkpoint at hand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Manifest;
use crate::format::Spelled;

/// How a manifest writes the suffix.
pub(crate) const PLACE: &str = "{suffix}";

/// A suffix longer than this is none.
const LONGEST: usize = 32;

/// The suffix of a family's markers, such as `:opensource` in `<tool_calls:opensource>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suffix {
    /// Written where nothing is known of the checkpoint.
    pub default: String,
    /// Further ones that the parser takes in text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// Every text of the manifest that holds `{suffix}`. Filled in when the manifest is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<String>,
}

impl Suffix {
    /// The suffix that most of the family's markers have among these texts: names of special tokens, or the source
    /// of a chat template. `None`: fewer than two markers have the same one.
    pub fn learn<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let frames: Vec<(&str, &str)> =
            self.markers.iter().filter_map(|marker| marker.split_once(PLACE)).collect();
        let mut votes: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for text in texts {
            for (i, (head, tail)) in frames.iter().enumerate() {
                for (at, _) in text.match_indices(head) {
                    let rest = &text[at + head.len()..];
                    let Some(suffix) = rest.find(tail).and_then(|end| rest.get(..end)) else { continue };
                    if suffix.len() <= LONGEST && suffix.chars().all(is_part) {
                        votes.entry(suffix).or_insert_with(|| vec![false; frames.len()])[i] = true;
                    }
                }
            }
        }
        let count = |votes: &[bool]| votes.iter().filter(|&&vote| vote).count();
        let best = votes.iter().max_by_key(|(suffix, votes)| (count(votes), **suffix == self.default))?;
        (count(best.1) > 1).then(|| (*best.0).to_owned())
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.')
}

impl Manifest {
    /// The manifest for a checkpoint whose markers have this suffix. The same one where the family has none.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Manifest {
        let Some(old) = &self.suffix else { return self.clone() };
        let mut spellings = BTreeMap::new();
        for marker in &old.markers {
            spellings.insert(marker.replace(PLACE, &old.default), marker.replace(PLACE, suffix));
        }
        let spell = |text: &mut String| {
            if let Some(spelled) = spellings.get(text.as_str()) {
                text.clone_from(spelled);
            }
        };
        let mut new = self.clone();
        new.format.visit(&mut |spelled| match spelled {
            Spelled::Lit(lit) => {
                // The spelling of other checkpoints stays readable.
                let text = lit.text.clone();
                spell(&mut lit.text);
                add(&mut lit.aliases, &lit.text, vec![text]);
            }
            Spelled::List(list) => {
                let more = list.iter().filter_map(|text| spellings.get(text).cloned()).collect();
                add(list, "", more);
            }
            Spelled::Space(_) => {}
        });
        new.plain_texts().into_iter().for_each(spell);
        for list in new.text_lists() {
            list.iter_mut().for_each(spell);
        }
        if let Some(own) = &mut new.suffix {
            own.default = suffix.to_owned();
        }
        new
    }

    /// Puts the default suffix in its places, and the other known ones beside it. Gives back a text that holds
    /// `{suffix}` where the manifest has none.
    pub(crate) fn resolve_suffix(&mut self) -> Option<String> {
        let suffix = self.suffix.clone().unwrap_or_default();
        let mut places = Places { suffix: &suffix, markers: Vec::new() };
        self.format.visit(&mut |spelled| match spelled {
            Spelled::Lit(lit) => {
                let texts = std::iter::once(&mut lit.text).chain(&mut lit.aliases);
                let more: Vec<String> = texts.flat_map(|text| places.fill(text)).collect();
                add(&mut lit.aliases, &lit.text, more);
            }
            Spelled::List(list) => {
                let more = list.iter_mut().flat_map(|text| places.fill(text)).collect();
                add(list, "", more);
            }
            Spelled::Space(_) => {}
        });
        for text in self.plain_texts() {
            places.fill(text);
        }
        for list in self.text_lists() {
            let more = list.iter_mut().flat_map(|text| places.fill(text)).collect();
            add(list, "", more);
        }
        let markers = places.markers;
        match &mut self.suffix {
            None => markers.into_iter().next(),
            Some(own) => {
                add(&mut own.markers, "", markers);
                None
            }
        }
    }

    /// Single texts that may hold markers.
    fn plain_texts(&mut self) -> [&mut String; 3] {
        [&mut self.turn.open, &mut self.turn.close, &mut self.reasoning.open]
    }

    /// Lists of texts that may be markers.
    fn text_lists(&mut self) -> [&mut Vec<String>; 3] {
        [&mut self.stops.tokens, &mut self.stops.strings, &mut self.detect.tokens]
    }
}

/// The texts of a manifest that hold the suffix.
struct Places<'a> {
    suffix: &'a Suffix,
    markers: Vec<String>,
}

impl Places<'_> {
    /// Writes the default suffix; gives back the spellings with the other known ones.
    fn fill(&mut self, text: &mut String) -> Vec<String> {
        if !text.contains(PLACE) {
            return Vec::new();
        }
        let marker = text.clone();
        *text = marker.replace(PLACE, &self.suffix.default);
        let others = self.suffix.known.iter().map(|known| marker.replace(PLACE, known)).collect();
        if !self.markers.contains(&marker) {
            self.markers.push(marker);
        }
        others
    }
}

/// Adds what is not there yet, and is not `but`.
fn add(list: &mut Vec<String>, but: &str, more: Vec<String>) {
    for text in more {
        if text != but && !list.contains(&text) {
            list.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFIXED: &str = r#"
id = "suffixed"
title = "Markers with a suffix"
[suffix]
default = ":open"
known = ["", ":6124c78e"]
[turn]
open = "<a{suffix}>"
close = "<end{suffix}>\n"
[stops]
tokens = ["<end{suffix}>"]
[[format.seq]]
text = { channel = "content", excluding = ["</call{suffix}>"] }
[[format.seq]]
[format.seq.rep.of]
call.seq = [
    { lit = { text = "<call{suffix}>", special = true } },
    { name = {} },
    { args = { json = {} } },
    { lit = { text = "</call{suffix}>", special = true } },
]
"#;

    fn texts(manifest: &Manifest) -> Vec<&str> {
        manifest.format.framing().iter().map(|lit| lit.text.as_str()).collect()
    }

    #[test]
    fn the_default_is_written_and_the_known_ones_are_read() {
        let manifest = Manifest::from_toml(SUFFIXED, "s").unwrap();
        assert_eq!(texts(&manifest), ["<call:open>", "</call:open>"]);
        assert_eq!(manifest.format.framing()[0].aliases, ["<call>", "<call:6124c78e>"]);
        assert_eq!(manifest.turn.open, "<a:open>");
        assert_eq!(manifest.stops.tokens, ["<end:open>", "<end>", "<end:6124c78e>"]);
        let json = serde_json::to_string(&manifest).unwrap();
        let again: Manifest = serde_json::from_str(&json).unwrap();
        assert_eq!(again, manifest);
        // Written out as TOML, too, for a component.
        let toml = toml::to_string(&toml::Value::try_from(&manifest).unwrap()).unwrap();
        assert_eq!(Manifest::from_toml(&toml, "s").unwrap(), manifest);
    }

    #[test]
    fn a_manifest_is_fitted_to_a_checkpoint() {
        let manifest = Manifest::from_toml(SUFFIXED, "s").unwrap();
        for suffix in [":6124c78e", ":other", ""] {
            let fitted = manifest.with_suffix(suffix);
            assert_eq!(texts(&fitted), [format!("<call{suffix}>"), format!("</call{suffix}>")]);
            assert!(fitted.format.framing()[0].aliases.contains(&"<call:open>".to_owned()));
            assert_eq!(fitted.turn.open, format!("<a{suffix}>"));
            assert_eq!(fitted.turn.close, format!("<end{suffix}>\n"));
            assert_eq!(fitted.stops.tokens[0], format!("<end{suffix}>"));
            assert_eq!(fitted.check("s"), Ok(()));
            assert_eq!(texts(&fitted.with_suffix(":open")), texts(&manifest));
        }
    }

    #[test]
    fn the_suffix_is_learned_from_names_and_templates() {
        let manifest = Manifest::from_toml(SUFFIXED, "s").unwrap();
        let suffix = manifest.suffix.unwrap();
        let learn = |names: &[&str]| suffix.learn(names.iter().copied());
        assert_eq!(learn(&["<pad>", "<call:x1>", "</call:x1>", "<end:x1>"]).as_deref(), Some(":x1"));
        assert_eq!(learn(&["<call>", "</call>"]).as_deref(), Some(""));
        assert_eq!(learn(&["<call:a>", "<caller>", "</call:b>", "<end:b>"]).as_deref(), Some(":b"));
        assert_eq!(learn(&["<call:x>"]), None);
        assert_eq!(learn(&["<call{}>", "</call{}>"]), None);
        let template = "{{ '<call:7f>' }}{{ m.name }}{{ '</call:7f>' }} <end:7f>";
        assert_eq!(learn(&[template]).as_deref(), Some(":7f"));
    }

    #[test]
    fn a_place_needs_a_suffix() {
        let without = SUFFIXED.replace("[suffix]\ndefault = \":open\"\nknown = [\"\", \":6124c78e\"]\n", "");
        let error = Manifest::from_toml(&without, "s").unwrap_err().to_string();
        assert_eq!(
            error,
            "s: `suffix`: \"</call{suffix}>\" holds `{suffix}`, and the manifest has none; add `[suffix]`"
        );
    }
}
