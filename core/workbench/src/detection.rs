//! Finding families from chat templates: each template names its family, and no other.

use std::sync::Arc;

use toolglot::format::Detect;
use toolglot::{Family, Registry};

use crate::{Check, Finding};

/// Checks the detection of one family against all others: its template names it, its tokens make it surer, and
/// no other family's template is taken for it.
pub fn check_detection(registry: &Registry, family: &Arc<dyn Family>) -> Vec<Finding> {
    let manifest = family.manifest();
    let mut findings = Vec::new();
    let mut wrong = |name: &str, why: String| {
        let finding = Finding::new(&manifest.id, Check::Detection, name, why);
        findings.push(finding.look("[detect] in family.toml: `template`, `any`, `without`, `hints`"));
    };
    let Some(template) = family.template() else {
        wrong("", "the family has no template.jinja to be found by".into());
        return findings;
    };
    let has = |token: &str| manifest.detect.tokens.iter().any(|own| own == token);
    let plain = registry.detect(Some(template), &|_| false);
    let with_tokens = registry.detect(Some(template), &has);
    for (what, found) in [("template", &plain), ("template and tokens", &with_tokens)] {
        match found {
            Err(error) => wrong(what, format!("its own {what}: {error}")),
            Ok(None) => wrong(what, format!("its own {what} names no family: {}", missing(family, template))),
            Ok(Some(found)) if found.family.manifest().id != manifest.id => wrong(
                what,
                format!(
                    "its own {what} names `{}`, because of {:?}{}",
                    found.family.manifest().id,
                    found.evidence,
                    missing(family, template)
                ),
            ),
            Ok(Some(_)) => {}
        }
    }
    if let (Ok(Some(plain)), Ok(Some(found))) = (&plain, &with_tokens)
        && !manifest.detect.tokens.is_empty()
        && found.score <= plain.score
    {
        wrong("tokens", "its tokens make it no likelier".into());
    }
    for other in registry.iter().filter(|other| other.manifest().id != manifest.id) {
        let id = &other.manifest().id;
        match registry.detect(other.template(), &|_| false) {
            Ok(Some(found)) if found.family.manifest().id == manifest.id => wrong(
                id,
                format!(
                    "the template of `{id}` is taken for `{}`, because of {:?}",
                    manifest.id, found.evidence
                ),
            ),
            Err(error) if error.families.contains(&manifest.id) => {
                wrong(id, format!("the template of `{id}`: {error}"));
            }
            _ => {}
        }
    }
    findings
}

/// What of the family's own rules its template does not keep.
fn missing(family: &Arc<dyn Family>, template: &str) -> String {
    let detect = &family.manifest().detect;
    let finds = Detect::finder(template);
    let holds = |text: &&String| finds(text);
    let mut out = String::new();
    for text in detect.template.iter().filter(|text| !holds(text)) {
        out += &format!("\nits template does not hold {text:?}, which `template` asks for");
    }
    if !detect.any.is_empty() && !detect.any.iter().any(|text| holds(&text)) {
        out += &format!("\nits template holds none of {:?}, one of which `any` asks for", detect.any);
    }
    for text in detect.without.iter().filter(holds) {
        out += &format!("\nits template holds {text:?}, which `without` rules out");
    }
    out
}
