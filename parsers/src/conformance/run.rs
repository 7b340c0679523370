//! Runs one case: how the prompt was primed, how the output ended, and every way to cut it.

use toolglot_format::{Channel, Event, FinishReason, Format, Manifest, Piece};

use super::{Case, Cut};
use crate::{Family, FamilyError, SessionOptions};

/// What the prompt's tail was.
///
/// In this order: what the output itself shows (it opens reasoning), what the case says, what the
/// expectation shows (reasoning that the output does not open was opened by the prompt), whether thinking
/// was on, and a closing marker without its opening one.
pub(super) fn prompt_tail<'a>(case: &Case, manifest: &'a Manifest) -> &'a str {
    let open = manifest.reasoning.open.as_str();
    let marker = open.trim();
    let text = SPECIAL.iter().fold(case.text.clone(), |text, token| text.replace(token, ""));
    let text = text.trim_start();
    // Outputs may have white space in the opening, or less of it, where the parser takes any.
    let visible =
        |text: &str| text.chars().filter(|c| !c.is_whitespace()).take(marker.len()).collect::<String>();
    if marker.is_empty() || visible(text).starts_with(&visible(marker)) {
        return "";
    }
    let close = closing(&manifest.format);
    let primed = case.flag("starts_in_reasoning").or_else(|| {
        let expected = case.expected_reasoning.as_deref().unwrap_or_default().trim();
        let content = case.expected_content.as_deref().unwrap_or_default();
        if !expected.is_empty() {
            return Some(!text.contains(marker) || text.starts_with(expected));
        }
        close.as_ref().is_some_and(|close| content.contains(close.as_str())).then_some(false)
    });
    let primed = primed.or_else(|| {
        let before = &text[..text.find(close.as_deref()?)?];
        let markers = manifest.format.framing().into_iter().map(|lit| lit.text.trim());
        Some(!markers.filter(|marker| marker.len() > 3).any(|marker| before.contains(marker)))
    });
    let primed =
        primed.or_else(|| case.flag("enable_thinking").filter(|_| case.expected_reasoning.is_some()));
    if primed.unwrap_or(false) { open } else { "" }
}

/// The marker that ends reasoning: the literals behind its text, several where the format writes several.
pub(super) fn closing(format: &Format) -> Option<String> {
    /// Adds the literals that `node` begins with; false where something else comes.
    fn literals(node: &Format, out: &mut String) -> bool {
        match node {
            Format::Lit(lit) => out.push_str(&lit.text),
            Format::Lenient(_) => {}
            Format::Ws(_) => return out.is_empty(),
            Format::Alt(branches) => {
                return branches.first().is_some_and(|first| literals(first, out));
            }
            Format::Seq(nodes) => return nodes.iter().all(|node| literals(node, out)),
            _ => return false,
        }
        true
    }
    if let Format::Seq(nodes) = format {
        let is_reasoning =
            |node: &Format| matches!(node, Format::Text(text) if text.channel == Channel::Reasoning);
        if let Some(at) = nodes.iter().position(is_reasoning) {
            let mut out = String::new();
            nodes[at + 1..].iter().all(|node| literals(node, &mut out));
            return (!out.is_empty()).then_some(out);
        }
    }
    format.children().into_iter().find_map(closing)
}

/// The markers behind a call's arguments, its own first, then those of the block that it stands in.
pub(super) fn closers(format: &Format) -> Vec<&str> {
    /// Adds the literals of `node` behind a call; false where something else may come.
    fn behind<'a>(node: &'a Format, out: &mut Vec<&'a str>) -> bool {
        match node {
            Format::Lit(lit) => out.push(lit.text.trim()),
            Format::Ws(_) | Format::Lenient(_) => {}
            Format::Alt(branches) => return branches.first().is_some_and(|first| behind(first, out)),
            Format::Seq(nodes) => return nodes.iter().all(|node| behind(node, out)),
            _ => return false,
        }
        true
    }
    fn walk<'a>(node: &'a Format, out: &mut Vec<&'a str>) {
        let holds = |node: &Format| {
            node.any(&mut |node| matches!(node, Format::Call(_) | Format::Args(_) | Format::Object(_)))
        };
        let children = match node {
            Format::Seq(nodes) => nodes,
            _ => {
                return node
                    .children()
                    .into_iter()
                    .find(|child| holds(child))
                    .map_or((), |child| walk(child, out));
            }
        };
        if let Some(at) = children.iter().rposition(holds) {
            walk(&children[at], out);
            children[at + 1..].iter().all(|node| behind(node, out));
        }
    }
    let mut out = Vec::new();
    walk(format, &mut out);
    // A suffix that differs between checkpoints is not known here.
    out.retain(|closer| !closer.is_empty() && !closer.contains("{suffix}"));
    out
}

/// How the output ended.
///
/// A project that leaves the family's stop tokens in its outputs shows by their absence that one was cut
/// off; `keeps_stops` says whether it does.
pub(super) fn finish_reason(case: &Case, manifest: &Manifest, keeps_stops: bool) -> FinishReason {
    let ended = manifest.stops.tokens.iter().any(|stop| case.text.trim_end().ends_with(stop.as_str()));
    if case.flag("is_partial") == Some(true) || (keeps_stops && !ended) {
        FinishReason::Cut
    } else {
        FinishReason::Stop
    }
}

/// Whether the output holds one of the family's stop tokens.
pub(super) fn holds_stop(case: &Case, manifest: &Manifest) -> bool {
    manifest.stops.tokens.iter().any(|stop| case.text.contains(stop.as_str()))
}

/// The output without the stop token at its end, which an engine takes away. A format that names the token
/// reads it itself.
fn without_stop<'a>(text: &'a str, manifest: &Manifest) -> &'a str {
    let named = |stop: &str| {
        manifest.format.any(&mut |node| match node {
            Format::Lit(lit) => lit.spellings().any(|text| text.contains(stop)),
            _ => false,
        })
    };
    let stops = manifest.stops.tokens.iter().map(String::as_str).filter(|stop| !named(stop));
    stops.filter_map(|stop| text.trim_end().strip_suffix(stop)).next().unwrap_or(text)
}

/// Parses the case's output, cut in one way. Gives the events with neighbouring deltas joined.
pub(super) fn events(
    case: &Case,
    family: &dyn Family,
    cut: Cut,
    tail: &str,
    finish: FinishReason,
) -> Result<Vec<Event>, RunError> {
    let plan = case.plan()?;
    let text = without_stop(&case.text, family.manifest());
    let mut session = family.session(&plan, SessionOptions::default())?;
    let mut events = Vec::new();
    session.prime(tail.as_bytes());
    let chunks: Vec<&str> = match (cut, &case.chunks) {
        (Cut::Chunks, Some(chunks)) => chunks.iter().map(String::as_str).collect(),
        (Cut::Characters, _) => text.split_inclusive(|_| true).collect(),
        (Cut::Whole | Cut::Chunks, _) => vec![text],
    };
    let bounds = chunks.iter().scan(0, |at, chunk| {
        *at = text.len().min(*at + chunk.len());
        Some(*at)
    });
    for piece in pieces(text, bounds) {
        session.feed(&[piece], &mut events);
    }
    session.finish(finish, &mut events);
    Ok(Event::join(events))
}

/// Spellings that are special tokens wherever they occur, though cases do not say which tokens made a text.
const SPECIAL: [&str; 2] = ["<bos>", "<eos>"];

/// Cuts `text` at `bounds`, and gives special tokens as pieces of their own.
fn pieces(text: &str, bounds: impl Iterator<Item = usize>) -> Vec<Piece<'_>> {
    let mut tokens: Vec<(usize, usize)> = SPECIAL
        .iter()
        .flat_map(|token| text.match_indices(token).map(|(at, token)| (at, at + token.len())))
        .collect();
    tokens.sort_unstable();
    let mut cuts: Vec<usize> = bounds.chain(tokens.iter().flat_map(|&(from, to)| [from, to])).collect();
    cuts.retain(|cut| !tokens.iter().any(|&(from, to)| from < *cut && *cut < to));
    cuts.sort_unstable();
    cuts.dedup();
    let mut from = 0;
    let mut out = Vec::new();
    for to in cuts {
        let special = tokens.contains(&(from, to)).then_some(true);
        out.push(Piece { bytes: &text.as_bytes()[from..to], special });
        from = to;
    }
    out
}

/// A case that cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Plan(#[from] toolglot_format::PlanError),
    #[error(transparent)]
    Family(#[from] FamilyError),
}
