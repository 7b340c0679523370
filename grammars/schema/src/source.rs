//! The document: drafts, resources (`$id`), anchors, and what references point to.
//!
//! Nothing is fetched. The document is searched for identifiers and anchors only when a reference needs it.

use serde_json::{Map, Value};

use crate::Draft;
use crate::build::Segment;
use crate::hash::FastMap;

/// A resource of the document (an entry of [`Source`]'s table): the root, or a sub-schema with its own `$id`.
pub(crate) type Base = u32;

struct Resource<'a> {
    uri: String,
    root: &'a Value,
    path: Vec<Segment<'a>>,
    draft: Draft,
}

/// What a reference points to.
pub(crate) struct Target<'a> {
    pub(crate) value: &'a Value,
    pub(crate) base: Base,
    /// From the document's root.
    pub(crate) path: Vec<Segment<'a>>,
}

pub(crate) struct Source<'a> {
    document: &'a Value,
    /// Whether the document leaves its draft open, so that older spellings and OpenAPI's are read too.
    pub(crate) loose: bool,
    unknown_dialect: Option<&'a str>,
    resources: Vec<Resource<'a>>,
    by_root: FastMap<usize, Base>,
    index: Option<Index<'a>>,
}

#[derive(Default)]
struct Index<'a> {
    anchors: Vec<Anchor<'a>>,
}

struct Anchor<'a> {
    base: Base,
    name: &'a str,
    dynamic: bool,
    value: &'a Value,
    path: Vec<Segment<'a>>,
}

fn address(value: &Value) -> usize {
    std::ptr::from_ref(value) as usize
}

fn draft_of(uri: &str) -> Option<Draft> {
    let has = |part: &str| uri.contains(part);
    if !has("json-schema.org/") {
        return None;
    }
    if has("draft-04") {
        Some(Draft::Draft4)
    } else if has("draft-06") {
        Some(Draft::Draft6)
    } else if has("draft-07") {
        Some(Draft::Draft7)
    } else if has("2019-09") {
        Some(Draft::Draft2019)
    } else if has("2020-12") || uri.trim_end_matches('#').ends_with("json-schema.org/schema") {
        Some(Draft::Draft2020)
    } else {
        None
    }
}

impl<'a> Source<'a> {
    pub(crate) fn new(document: &'a Value, default: Option<Draft>) -> Source<'a> {
        let named = document.get("$schema").and_then(Value::as_str);
        let known = named.and_then(draft_of);
        let draft = known.or(default);
        let loose = draft.is_none();
        let draft = draft.unwrap_or(Draft::Draft2020);
        let mut source = Source {
            document,
            loose,
            unknown_dialect: named.filter(|name| known.is_none() && !name.is_empty()),
            resources: vec![Resource { uri: String::new(), root: document, path: Vec::new(), draft }],
            by_root: FastMap::default(),
            index: None,
        };
        source.by_root.insert(address(document), 0);
        if let Some(id) = document.as_object().and_then(|map| source.own_id(map, draft)) {
            source.resources[0].uri = id.trim_end_matches('#').to_owned();
        }
        source
    }

    pub(crate) fn unknown_dialect(&self) -> Option<&'a str> {
        self.unknown_dialect
    }

    pub(crate) fn draft(&self, base: Base) -> Draft {
        self.resources[base as usize].draft
    }

    /// The identifier that makes this schema a resource.
    fn own_id(&self, map: &'a Map<String, Value>, draft: Draft) -> Option<&'a str> {
        let id = match draft {
            Draft::Draft4 => map.get("id"),
            _ => map.get("$id"),
        };
        let id = id.and_then(Value::as_str)?;
        let ignored = draft <= Draft::Draft7 && map.contains_key("$ref");
        (!ignored && !id.starts_with('#') && !id.is_empty()).then_some(id)
    }

    /// The resource that a schema belongs to, if it opens one itself.
    pub(crate) fn enter(
        &mut self,
        value: &'a Value,
        base: Base,
        path: impl FnOnce() -> Vec<Segment<'a>>,
    ) -> Base {
        let Value::Object(map) = value else { return base };
        if !(map.contains_key("$id") || map.contains_key("id")) {
            return base;
        }
        if let Some(base) = self.by_root.get(&address(value)) {
            return *base;
        }
        let parent = &self.resources[base as usize];
        let draft = map.get("$schema").and_then(Value::as_str).and_then(draft_of).unwrap_or(parent.draft);
        let Some(id) = self.own_id(map, draft) else { return base };
        let uri = join(&parent.uri, id).trim_end_matches('#').to_owned();
        self.resources.push(Resource { uri, root: value, path: path(), draft });
        let new = (self.resources.len() - 1) as Base;
        self.by_root.insert(address(value), new);
        new
    }

    /// Finds the target of `$ref`.
    pub(crate) fn resolve(&mut self, reference: &str, base: Base) -> Option<Target<'a>> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = if uri.is_empty() {
            base
        } else {
            let full = join(&self.resources[base as usize].uri, uri);
            let found = |s: &Source<'_>| s.resources.iter().position(|r| r.uri == full);
            let at = match found(self) {
                Some(at) => at,
                None => {
                    self.scan();
                    found(self)?
                }
            };
            at as Base
        };
        let fragment = percent_decode(fragment)?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return self.walk(base, &fragment);
        }
        self.anchor(base, &fragment, false)
    }

    /// Finds the target of `$dynamicRef`, if it is the same in every dynamic scope: then it is like `$ref`.
    /// `Err` if it depends on the scope.
    pub(crate) fn resolve_dynamic(&mut self, reference: &str, base: Base) -> Result<Option<Target<'a>>, ()> {
        self.scan();
        let target = self.resolve(reference, base);
        let name = reference.split_once('#').map_or("", |(_, name)| name);
        let Some(first) = target else { return Ok(None) };
        let anchors =
            self.index.iter().flat_map(|index| &index.anchors).filter(|a| a.dynamic && a.name == name);
        let (mut count, mut is_dynamic) = (0, false);
        for anchor in anchors {
            count += 1;
            is_dynamic |= std::ptr::eq(anchor.value, first.value);
        }
        if is_dynamic && count > 1 { Err(()) } else { Ok(Some(first)) }
    }

    /// Finds the target of `$recursiveRef: "#"` (2019-09); `Err` if it depends on the dynamic scope.
    pub(crate) fn resolve_recursive(&mut self, base: Base) -> Result<Option<Target<'a>>, ()> {
        self.scan();
        let recursive = |r: &Resource<'_>| r.root.get("$recursiveAnchor") == Some(&Value::Bool(true));
        let here = recursive(&self.resources[base as usize]);
        if here && self.resources.iter().filter(|r| recursive(r)).count() > 1 {
            return Err(());
        }
        Ok(self.walk(base, ""))
    }

    fn anchor(&mut self, base: Base, name: &str, dynamic_only: bool) -> Option<Target<'a>> {
        self.scan();
        let index = self.index.as_ref()?;
        let found = index
            .anchors
            .iter()
            .find(|a| a.base == base && a.name == name && (a.dynamic || !dynamic_only))?;
        Some(Target { value: found.value, base, path: found.path.clone() })
    }

    fn walk(&mut self, base: Base, pointer: &str) -> Option<Target<'a>> {
        let resource = &self.resources[base as usize];
        let (mut value, mut path, mut base) = (resource.root, resource.path.clone(), base);
        for raw in pointer.split('/').skip(1) {
            let name = raw.replace("~1", "/").replace("~0", "~");
            let segment;
            (value, segment) = match value {
                Value::Object(map) => {
                    let (key, value) = map.get_key_value(name.as_str())?;
                    (value, Segment::Key(key.as_str()))
                }
                Value::Array(items) => {
                    let at = name.parse::<usize>().ok()?;
                    (items.get(at)?, Segment::Index(at))
                }
                _ => return None,
            };
            path.push(segment);
            base = self.enter(value, base, || path.clone());
        }
        Some(Target { value, base, path })
    }

    /// Visits every schema of the document once, for resources and anchors.
    fn scan(&mut self) {
        if self.index.is_some() {
            return;
        }
        let mut index = Index::default();
        let mut stack = vec![(self.document, 0, Vec::new())];
        while let Some((value, base, path)) = stack.pop() {
            let Value::Object(map) = value else { continue };
            let base = self.enter(value, base, || path.clone());
            let draft = self.draft(base);
            let mut add = |name: &'a str, dynamic| {
                index.anchors.push(Anchor { base, name, dynamic, value, path: path.clone() });
            };
            if draft <= Draft::Draft7 {
                let key = if draft == Draft::Draft4 { "id" } else { "$id" };
                if let Some(name) = map.get(key).and_then(Value::as_str).and_then(|id| id.strip_prefix('#')) {
                    add(name, false);
                }
            } else {
                for (key, dynamic) in [("$anchor", false), ("$dynamicAnchor", true)] {
                    if let Some(name) = map.get(key).and_then(Value::as_str) {
                        add(name, dynamic);
                    }
                }
            }
            for (key, child) in map {
                let mut push = |child: &'a Value, more: &[Segment<'a>]| {
                    let mut path = path.clone();
                    path.push(Segment::Key(key));
                    path.extend_from_slice(more);
                    stack.push((child, base, path));
                };
                match (key.as_str(), child) {
                    (
                        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas"
                        | "dependencies",
                        Value::Object(children),
                    ) => children.iter().for_each(|(name, child)| push(child, &[Segment::Key(name)])),
                    ("allOf" | "anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(children)) => {
                        children
                            .iter()
                            .enumerate()
                            .for_each(|(at, child)| push(child, &[Segment::Index(at)]));
                    }
                    (
                        "items"
                        | "additionalItems"
                        | "unevaluatedItems"
                        | "contains"
                        | "additionalProperties"
                        | "unevaluatedProperties"
                        | "propertyNames"
                        | "not"
                        | "if"
                        | "then"
                        | "else"
                        | "contentSchema",
                        child,
                    ) => push(child, &[]),
                    _ => {}
                }
            }
        }
        self.index = Some(index);
    }
}

fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
            out.push((digit()? * 16 + digit()?) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// Resolves a reference against a base, both without fragment (RFC 3986, section 5.2).
fn join(base: &str, reference: &str) -> String {
    let has_scheme = reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    if has_scheme || base.is_empty() {
        return reference.to_owned();
    }
    let scheme_end = base.find(':').map_or(0, |at| at + 1);
    let (scheme, rest) = base.split_at(scheme_end);
    if reference.starts_with("//") {
        return format!("{scheme}{reference}");
    }
    let authority_end = match rest.strip_prefix("//") {
        Some(after) => 2 + after.find(['/', '?']).unwrap_or(after.len()),
        None => 0,
    };
    let (authority, path) = rest.split_at(authority_end);
    let (reference_path, query) = match reference.find('?') {
        Some(at) => reference.split_at(at),
        None => (reference, ""),
    };
    let path = path.split('?').next().unwrap_or("");
    let merged = if reference_path.starts_with('/') {
        reference_path.to_owned()
    } else if reference_path.is_empty() {
        path.to_owned()
    } else {
        let directory =
            path.rfind('/').map_or(if authority.is_empty() { "" } else { "/" }, |at| &path[..=at]);
        format!("{directory}{reference_path}")
    };
    let mut segments: Vec<&str> = Vec::new();
    let last = merged.split('/').next_back().unwrap_or("");
    for segment in merged.split('/') {
        match segment {
            "." => {}
            ".." => {
                if segments.len() > 1 || segments.first().is_some_and(|s| !s.is_empty()) {
                    segments.pop();
                }
            }
            segment => segments.push(segment),
        }
    }
    if matches!(last, "." | "..") {
        segments.push("");
    }
    format!("{scheme}{authority}{}{query}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn references_resolve_as_in_rfc_3986() {
        let base = "http://a/b/c/d;p?q";
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("g?y", "http://a/b/c/g?y"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("..", "http://a/b/"),
            ("urn:x:y", "urn:x:y"),
        ] {
            assert_eq!(join(base, reference), expected, "{reference}");
        }
        assert_eq!(join("http://a", "g"), "http://a/g");
        assert_eq!(join("", "g"), "g");
    }
}
