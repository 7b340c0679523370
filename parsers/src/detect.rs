//! Which family a model belongs to: a score over template texts and special tokens.

use std::sync::Arc;

use toolglot_format::Detect;

use crate::Family;

/// Points of a required template text, of a token, and of a hint. A required text is the strongest
/// evidence, and a family that asks for more of it is the more specific one.
const TEMPLATE: u32 = 4;
const TOKEN: u32 = 2;
const HINT: u32 = 1;

/// The family that fits a model best.
#[derive(Clone)]
pub struct Detection {
    /// The family.
    pub family: Arc<dyn Family>,
    /// Its score; comparable only between families for the same model.
    pub score: u32,
    /// The template texts and tokens that spoke for it.
    pub evidence: Vec<String>,
}

impl std::fmt::Debug for Detection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detection")
            .field("family", &self.family.manifest().id)
            .field("score", &self.score)
            .field("evidence", &self.evidence)
            .finish()
    }
}

/// Two families fit a model equally well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("families {} fit this model equally well; name one", list(.families))]
pub struct DetectError {
    /// The ids of all that share the best score, two or more.
    pub families: Vec<String>,
}

fn list(ids: &[String]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    quoted.join(" and ")
}

pub(crate) fn detect(
    families: &[Arc<dyn Family>],
    template: Option<&str>,
    tokens: &dyn Fn(&str) -> bool,
) -> Result<Option<Detection>, DetectError> {
    let mut best: Vec<Detection> = Vec::new();
    for family in families {
        let Some(found) = score(family, template, tokens) else { continue };
        match best.first().map_or(0, |best| best.score) {
            top if found.score > top => best = vec![found],
            top if found.score == top => best.push(found),
            _ => {}
        }
    }
    if best.len() > 1 {
        return Err(DetectError {
            families: best.iter().map(|found| found.family.manifest().id.clone()).collect(),
        });
    }
    Ok(best.pop())
}

/// `None` when the family is ruled out or nothing speaks for it.
fn score(
    family: &Arc<dyn Family>,
    template: Option<&str>,
    tokens: &dyn Fn(&str) -> bool,
) -> Option<Detection> {
    let rules = &family.manifest().detect;
    let mut found = Detection { family: family.clone(), score: 0, evidence: Vec::new() };
    let mut add = |points, evidence: &String| {
        found.score += points;
        found.evidence.push(evidence.clone());
    };
    if let Some(template) = template {
        let finds = Detect::finder(template);
        let holds = |text: &String| finds(text);
        if rules.without.iter().any(holds) {
            return None;
        }
        for text in &rules.template {
            if !holds(text) {
                return None;
            }
            add(TEMPLATE, text);
        }
        if !rules.any.is_empty() {
            add(TEMPLATE, rules.any.iter().find(|text| holds(text))?);
        }
        rules.hints.iter().filter(|text| holds(text)).for_each(|text| add(HINT, text));
        // Tokens alone do not make a template one of this family.
        if rules.template.is_empty() && rules.any.is_empty() && found.score == 0 {
            return None;
        }
    }
    let mut add = |points, evidence: &String| {
        found.score += points;
        found.evidence.push(evidence.clone());
    };
    rules.tokens.iter().filter(|token| tokens(token)).for_each(|token| add(TOKEN, token));
    (found.score > 0).then_some(found)
}
