//! The differences that are known, with their reasons.

use std::collections::{BTreeMap, BTreeSet};

/// The kinds of differences; `docs/src/conformance.md` says what they mean.
const KINDS: [&str; 5] = [MISPAIRED, "contradiction", "peer_bug", "deliberate", "other_format"];

/// The kind of a case whose expectation belongs to another output, or is a part of the one it belongs to.
const MISPAIRED: &str = "mispaired";

/// A known difference.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reason {
    /// `mispaired`, `contradiction`, `peer_bug`, `deliberate` or `other_format`.
    pub kind: String,
    /// Why.
    pub why: String,
}

/// Known differences by case id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    reasons: BTreeMap<String, Reason>,
}

/// A list of known differences that is not in its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {why}; known differences stand as `id = \"reason\"` under [mispaired], [contradiction], \
     [peer_bug], [deliberate] or [other_format]"
)]
pub struct KnownError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Known {
    /// The lists that the built-in families bring.
    pub fn builtin() -> Known {
        let mut known = Known::default();
        for list in crate::builtin::all().into_iter().filter_map(|family| family.known()) {
            // A test reads every one, so what cannot be read does not ship.
            let _ = known.add(list);
        }
        known
    }

    /// Adds the list of a family folder, `known.toml`. Its reasons replace earlier ones of the same cases.
    ///
    /// # Errors
    /// [`KnownError`] with the first line that is wrong; the lines before it are added.
    pub fn add(&mut self, source: &str) -> Result<(), KnownError> {
        let mut kind = None;
        let mut listed = BTreeSet::new();
        for (at, line) in source.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fail = |why: String| KnownError { line: at + 1, why };
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                if !KINDS.contains(&name) {
                    return Err(fail(format!("`{name}` is no kind of difference")));
                }
                kind = Some(name);
                continue;
            }
            let kind = kind.ok_or_else(|| fail("no kind stands above this line".into()))?;
            let (id, why) = line.split_once('=').ok_or_else(|| fail("no `=`".into()))?;
            let why: String = serde_json::from_str(why.trim())
                .map_err(|error| fail(format!("the reason is no quoted string: {error}")))?;
            if why.trim().len() < 10 {
                return Err(fail("the reason is too short to be one".into()));
            }
            let reason = Reason { kind: kind.to_owned(), why };
            let id = id.trim().trim_matches('"').to_owned();
            if !listed.insert(id.clone()) {
                return Err(fail("this case has a reason already".into()));
            }
            self.reasons.insert(id, reason);
        }
        Ok(())
    }

    /// Why the case differs.
    pub fn reason(&self, id: &str) -> Option<&Reason> {
        self.reasons.get(id)
    }

    /// Whether the case's expectation belongs to another output than the case's own.
    pub fn is_mispaired(&self, id: &str) -> bool {
        self.reason(id).is_some_and(|reason| reason.kind == MISPAIRED)
    }

    /// Every case id with its reason.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Reason)> {
        self.reasons.iter().map(|(id, reason)| (id.as_str(), reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_list_and_points_at_the_line() {
        let mut known = Known::default();
        known.add("# why\n[peer_bug]\nabc = \"leaks a marker\"\n").unwrap();
        let reason = Reason { kind: "peer_bug".into(), why: "leaks a marker".into() };
        assert_eq!(known.reason("abc"), Some(&reason));
        let error = |list: &str| Known::default().add(list).unwrap_err().to_string();
        assert!(error("[bug]\n").starts_with("line 1: `bug` is no kind of difference"));
        assert!(error("\nabc = \"leaks a marker\"").starts_with("line 2: no kind"));
        assert!(error("[deliberate]\nabc = leaks\n").starts_with("line 2: the reason is no quoted string"));
    }

    #[test]
    fn every_list_of_a_built_in_family_can_be_read() {
        let mut known = Known::default();
        for family in crate::builtin::all() {
            known.add(family.known().unwrap_or_default()).unwrap_or_else(|e| panic!("{}: {e}", family.id()));
        }
        assert!(known.iter().count() > 10);
        assert_eq!(known, Known::builtin());
    }
}
