//! The differences that are known, with their reasons.

use std::collections::BTreeMap;

/// Reasons by case id, by kind.
type Kinds = BTreeMap<String, BTreeMap<String, String>>;

/// A known difference.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reason {
    /// `contradiction`, `peer_bug`, `deliberate` or `other_format`.
    pub kind: String,
    /// Why.
    pub why: String,
}

/// Known differences by case id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    reasons: BTreeMap<String, Reason>,
}

impl Known {
    /// The list that comes with this crate.
    pub fn builtin() -> Known {
        // A test reads the file, so what does not parse does not ship.
        Known::read(include_str!("known.toml")).unwrap_or_default()
    }

    fn read(source: &str) -> Option<Known> {
        let mut reasons = BTreeMap::new();
        for (kind, list) in read(source)? {
            for (id, why) in list {
                reasons.insert(id, Reason { kind: kind.clone(), why });
            }
        }
        Some(Known { reasons })
    }

    /// Why the case differs.
    pub fn reason(&self, id: &str) -> Option<&Reason> {
        self.reasons.get(id)
    }

    /// Every case id with its reason.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Reason)> {
        self.reasons.iter().map(|(id, reason)| (id.as_str(), reason))
    }
}

/// Reads the subset of TOML that the list is written in: headers, and `id = "reason"`.
fn read(source: &str) -> Option<Kinds> {
    let mut kinds = Kinds::new();
    let mut kind = String::new();
    for line in source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            kind = name.to_owned();
        } else {
            let (id, why) = line.split_once('=')?;
            let why: String = serde_json::from_str(why.trim()).ok()?;
            kinds.entry(kind.clone()).or_default().insert(id.trim().to_owned(), why);
        }
    }
    Some(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_read() {
        let known = Known::read(include_str!("known.toml")).unwrap();
        assert!(known.iter().count() > 10);
        for (id, reason) in known.iter() {
            assert!(
                ["contradiction", "peer_bug", "deliberate", "other_format"].contains(&reason.kind.as_str())
            );
            assert!(id.len() == 16 && reason.why.len() > 10, "{id}: {reason:?}");
        }
    }
}
