//! Narrows a format to a plan: the strict reading that a grammar is built from.
//!
//! `None` stands for "nothing matches" while the tree is rebuilt; it travels up to the nearest place that
//! can do without the node.

use crate::{Args, Channel, Format, Plan, PlanError, Rep, TaggedArgs, Text};

impl Format {
    /// The strict reading of this format under `plan`: lenient nodes are gone, calls are required, limited
    /// or removed as the tool choice says, and reasoning is removed where the plan has none.
    ///
    /// A required call leaves no room for content: the turn is reasoning and calls only. Which names and
    /// schemas a call may have is not decided here; see [`Plan::callable`].
    ///
    /// # Errors
    /// [`PlanError::NoTools`] and the other errors of [`Plan::check`]; [`PlanError::NoCalls`] when a call is
    /// required and the format has none; [`PlanError::Unconstrainable`] when plugin code owns the calls.
    pub fn specialise(&self, plan: &Plan) -> Result<Format, PlanError> {
        plan.check()?;
        if plan.requires_call() && self.has_extern() && !self.has_call() {
            return Err(PlanError::Unconstrainable);
        }
        let strict = prune(self, &|node| match node {
            Format::Lenient(_) => Verdict::Drop,
            Format::Text(Text { channel: Channel::Reasoning, .. }) if !plan.reasoning => Verdict::Drop,
            _ => Verdict::Keep,
        })
        .ok_or(PlanError::NoCalls)?;
        if plan.callable().next().is_none() {
            without_calls(&strict)
        } else if plan.requires_call() {
            with_call(&strict, plan.parallel)
        } else if plan.parallel {
            Some(strict)
        } else {
            at_most_one_call(&strict)
        }
        .ok_or(PlanError::NoCalls)
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    /// Look further down.
    Keep,
    /// Nothing matches here.
    Drop,
}

fn empty() -> Format {
    Format::Seq(Vec::new())
}

/// Rebuilds the tree without the nodes that `judge` drops; `None` when the whole node goes.
fn prune(node: &Format, judge: &dyn Fn(&Format) -> Verdict) -> Option<Format> {
    if let Verdict::Drop = judge(node) {
        return None;
    }
    Some(match node {
        Format::Seq(nodes) => {
            let strict = nodes.iter().filter(|child| !matches!(child, Format::Lenient(_)));
            Format::Seq(strict.map(|child| prune(child, judge)).collect::<Option<_>>()?)
        }
        Format::Alt(nodes) => one_of(nodes.iter().filter_map(|child| prune(child, judge)).collect())?,
        Format::Opt(child) => match prune(child, judge) {
            Some(child) => Format::Opt(Box::new(child)),
            None => empty(),
        },
        Format::Call(child) => Format::Call(Box::new(prune(child, judge)?)),
        Format::Rep(rep) => match prune(&rep.of, judge) {
            Some(of) => {
                let sep = rep.strict_sep().and_then(strict).map(Box::new);
                repeat(Rep { of: Box::new(of), sep, ..rep.clone() })
            }
            None if rep.min == 0 => empty(),
            None => return None,
        },
        Format::Args(Args::Tagged(tagged)) => Format::Args(Args::Tagged(TaggedArgs {
            param: Box::new(prune(&tagged.param, judge)?),
            sep: tagged.sep.as_deref().and_then(|sep| prune(sep, judge)).map(Box::new),
            wrappers: tagged.wrappers.clone(),
        })),
        _ => node.clone(),
    })
}

/// The node without lenient parts.
fn strict(node: &Format) -> Option<Format> {
    prune(node, &|node| if let Format::Lenient(_) = node { Verdict::Drop } else { Verdict::Keep })
}

/// Several times, but a text with nothing between is one text: cut in two it could spell what it excludes.
fn repeat(rep: Rep) -> Format {
    match *rep.of {
        Format::Text(_) if rep.sep.is_none() => *rep.of,
        _ => Format::Rep(rep),
    }
}

fn one_of(mut branches: Vec<Format>) -> Option<Format> {
    match branches.len() {
        0 => None,
        1 => branches.pop(),
        _ => Some(Format::Alt(branches)),
    }
}

fn without_calls(node: &Format) -> Option<Format> {
    prune(node, &|node| match node {
        Format::Call(_) => Verdict::Drop,
        _ => Verdict::Keep,
    })
}

fn is_content(node: &Format) -> bool {
    matches!(node, Format::Text(Text { channel: Channel::Content, .. }))
}

/// The node with neither calls nor content.
fn without_calls_and_content(node: &Format) -> Option<Format> {
    prune(node, &|node| match node {
        Format::Call(_) => Verdict::Drop,
        _ if is_content(node) => Verdict::Drop,
        _ => Verdict::Keep,
    })
}

/// A sibling of a required call. Content that stands free beside it is left out.
fn beside_call(node: &Format, more_calls: bool) -> Option<Format> {
    if is_content(node) {
        return Some(empty());
    }
    prune(node, &|node| match node {
        Format::Call(_) if !more_calls => Verdict::Drop,
        _ if is_content(node) => Verdict::Drop,
        _ => Verdict::Keep,
    })
}

/// The node with at least one call (exactly one unless `parallel`) and no content.
fn with_call(node: &Format, parallel: bool) -> Option<Format> {
    match node {
        Format::Call(_) => Some(node.clone()),
        Format::Opt(child) => with_call(child, parallel),
        Format::Alt(branches) => {
            one_of(branches.iter().filter_map(|branch| with_call(branch, parallel)).collect())
        }
        Format::Seq(children) => {
            let holders = (0..children.len()).filter(|&i| children[i].has_call());
            let per_holder = holders.filter_map(|holder| {
                let part = |(i, child): (usize, &Format)| match i.cmp(&holder) {
                    std::cmp::Ordering::Less => beside_call(child, false),
                    std::cmp::Ordering::Equal => with_call(child, parallel),
                    std::cmp::Ordering::Greater => beside_call(child, parallel),
                };
                children.iter().enumerate().map(part).collect::<Option<Vec<_>>>().map(Format::Seq)
            });
            one_of(per_holder.collect())
        }
        Format::Rep(rep) => {
            let of = with_call(&rep.of, parallel)?;
            if without_calls(&rep.of).is_none() {
                let max = if parallel { rep.max } else { Some(1) };
                return Some(Format::Rep(Rep { of: Box::new(of), min: 1, max, sep: rep.sep.clone() }));
            }
            let before = beside(rep, without_calls_and_content(&rep.of), Side::Before);
            let after = beside(rep, beside_call(&rep.of, parallel), Side::After);
            Some(Format::Seq([before, Some(of), after].into_iter().flatten().collect()))
        }
        _ => None,
    }
}

/// The node with one call or none.
fn at_most_one_call(node: &Format) -> Option<Format> {
    match node {
        _ if !node.has_call() => Some(node.clone()),
        Format::Opt(child) => at_most_one_call(child).map(|child| Format::Opt(Box::new(child))),
        Format::Alt(branches) => one_of(branches.iter().filter_map(at_most_one_call).collect()),
        Format::Seq(children) if children.iter().filter(|child| child.has_call()).count() == 1 => {
            children.iter().map(at_most_one_call).collect::<Option<Vec<_>>>().map(Format::Seq)
        }
        Format::Rep(rep) => match without_calls(&rep.of) {
            None => {
                let of = Box::new(at_most_one_call(&rep.of)?);
                Some(Format::Rep(Rep { of, max: Some(1), ..rep.clone() }))
            }
            Some(other) => {
                let call = keep_one_call(&rep.of)?;
                let rest = [
                    beside(rep, Some(other.clone()), Side::Before),
                    Some(call),
                    beside(rep, Some(other.clone()), Side::After),
                ];
                let with = Format::Seq(rest.into_iter().flatten().collect());
                one_of(vec![with, repeat(Rep { of: Box::new(other), ..rep.clone() })])
            }
        },
        Format::Call(_) => Some(node.clone()),
        _ => one_of([keep_one_call(node), without_calls(node)].into_iter().flatten().collect()),
    }
}

/// The node with exactly one call, content left as it is.
fn keep_one_call(node: &Format) -> Option<Format> {
    match node {
        Format::Call(_) => Some(node.clone()),
        Format::Opt(child) => keep_one_call(child),
        Format::Alt(branches) => one_of(branches.iter().filter_map(keep_one_call).collect()),
        Format::Seq(children) => {
            let holders = (0..children.len()).filter(|&i| children[i].has_call());
            let per_holder = holders.filter_map(|holder| {
                let part = |(i, child): (usize, &Format)| {
                    if i == holder { keep_one_call(child) } else { without_calls(child) }
                };
                children.iter().enumerate().map(part).collect::<Option<Vec<_>>>().map(Format::Seq)
            });
            one_of(per_holder.collect())
        }
        Format::Rep(rep) => {
            let one = keep_one_call(&rep.of)?;
            let other = without_calls(&rep.of);
            let parts =
                [beside(rep, other.clone(), Side::Before), Some(one), beside(rep, other, Side::After)];
            Some(Format::Seq(parts.into_iter().flatten().collect()))
        }
        _ => None,
    }
}

enum Side {
    Before,
    After,
}

/// Any number of `of` on one side of an element of `rep`, separators included.
fn beside(rep: &Rep, of: Option<Format>, side: Side) -> Option<Format> {
    let part = match (rep.sep.as_deref().cloned(), side) {
        (None, _) => of?,
        (Some(sep), Side::Before) => Format::Seq(vec![of?, sep]),
        (Some(sep), Side::After) => Format::Seq(vec![sep, of?]),
    };
    Some(repeat(Rep { of: Box::new(part), min: 0, max: None, sep: None }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ToolChoice;

    fn format(value: serde_json::Value) -> Format {
        serde_json::from_value(value).unwrap()
    }

    fn call() -> serde_json::Value {
        json!({"call": {"seq": [{"lit": "<c>"}, {"name": {}}, {"args": {"json": {}}}, {"lit": "</c>"}]}})
    }

    fn hermes() -> Format {
        format(json!({"seq": [
            {"opt": {"seq": [{"lit": "<think>"}, {"text": {"channel": "reasoning"}}, {"lit": "</think>"}]}},
            {"text": {"channel": "content"}},
            {"rep": {"of": call(), "sep": {"ws": "\n"}}},
            {"lenient": {"lit": "stray"}},
        ]}))
    }

    fn channels() -> Format {
        let message = |name: &str, channel: &str| json!({"seq": [{"lit": name}, {"text": {"channel": channel}}, {"lit": "<end>"}]});
        format(
            json!({"rep": {"of": {"alt": [message("<a>", "reasoning"), call(), message("<f>", "content")]},
            "sep": {"lit": "<start>"}}}),
        )
    }

    fn plan(choice: ToolChoice, parallel: bool) -> Plan {
        let tools = json!([{"name": "f"}]);
        Plan { choice, ..Plan::from_openai(&tools, &json!(null), parallel).unwrap() }
    }

    fn show(format: &Format) -> String {
        serde_json::to_string(format).unwrap()
    }

    #[test]
    fn auto_keeps_all_but_lenient_nodes() {
        let Format::Seq(mut nodes) = hermes() else { unreachable!() };
        nodes.pop();
        assert_eq!(hermes().specialise(&plan(ToolChoice::Auto, true)), Ok(Format::Seq(nodes)));
        let choice = format(json!({"alt": [{"lenient": {"lit": "x"}}, {"lit": "y"}]}));
        assert_eq!(choice.specialise(&plan(ToolChoice::Auto, true)), Ok(format(json!({"lit": "y"}))));
    }

    #[test]
    fn a_separator_that_writes_nothing_is_none() {
        let node = |sep: serde_json::Value| format(json!({"rep": {"of": call(), "sep": sep}}));
        for sep in [json!({"ws": ""}), json!({"lenient": {"ws": "\n"}}), json!({"seq": [{"ws": ""}]})] {
            let want = format(json!({"rep": {"of": call()}}));
            assert_eq!(node(sep).specialise(&plan(ToolChoice::Auto, true)), Ok(want));
        }
        let choice =
            json!({"alt": [{"seq": [{"lenient": {"ws": " "}}, {"lit": ";"}]}, {"lenient": {"ws": " "}}]});
        let want = node(json!({"seq": [{"lit": ";"}]}));
        assert_eq!(node(choice).specialise(&plan(ToolChoice::Auto, true)), Ok(want));
    }

    #[test]
    fn parameters_lose_their_lenient_parts_too() {
        let tagged = |end: serde_json::Value| {
            format(json!({"call": {"seq": [{"name": {}}, {"args": {"tagged": {"param": {"seq": [
                {"lit": "<p="}, {"key": {}}, {"lit": ">"}, {"value": {}}, end,
            ]}}}}]}}))
        };
        let node = tagged(json!({"alt": [{"lit": "</p>"}, {"lenient": {"ws": "\n"}}]}));
        let want = tagged(json!({"lit": "</p>"}));
        assert_eq!(node.specialise(&plan(ToolChoice::Auto, true)), Ok(want));
    }

    #[test]
    fn text_alone_with_nothing_between_is_one_text() {
        let text = json!({"text": {"channel": "content"}});
        let node = format(json!({"rep": {"of": {"alt": [call(), text]}}}));
        assert_eq!(node.specialise(&plan(ToolChoice::None, true)), Ok(format(text.clone())));
        let want = json!({"alt": [{"seq": [text, call(), text]}, text]});
        assert_eq!(node.specialise(&plan(ToolChoice::Auto, false)), Ok(format(want)));
    }

    #[test]
    fn required_leaves_reasoning_and_calls() {
        let got = hermes().specialise(&plan(ToolChoice::Required, true)).unwrap();
        let Format::Seq(nodes) = &got else { panic!("{}", show(&got)) };
        assert!(matches!(nodes[0], Format::Opt(_)));
        assert_eq!(nodes[1], Format::Seq(vec![]));
        assert!(matches!(&nodes[2], Format::Rep(Rep { min: 1, max: None, .. })));
        let got = hermes().specialise(&plan(ToolChoice::Required, false)).unwrap();
        let Format::Seq(nodes) = &got else { panic!("{}", show(&got)) };
        assert!(matches!(&nodes[2], Format::Rep(Rep { min: 1, max: Some(1), .. })));
    }

    #[test]
    fn required_drops_content_messages() {
        let got = channels().specialise(&plan(ToolChoice::Required, false)).unwrap();
        assert!(!got.any(&mut is_content), "{}", show(&got));
        assert_eq!(show(&got).matches(r#"{"call""#).count(), 1);
        assert!(show(&got).contains("<a>") && !show(&got).contains("<f>"));
    }

    #[test]
    fn none_has_no_calls_and_keeps_content() {
        for node in [hermes(), channels()] {
            let got = node.specialise(&plan(ToolChoice::None, true)).unwrap();
            assert!(!got.has_call() && got.any(&mut is_content), "{}", show(&got));
        }
    }

    #[test]
    fn one_call_at_most_without_parallel() {
        let got = hermes().specialise(&plan(ToolChoice::Auto, false)).unwrap();
        assert!(show(&got).contains(r#""max":1"#), "{}", show(&got));
        let got = channels().specialise(&plan(ToolChoice::Auto, false)).unwrap();
        assert_eq!(show(&got).matches(r#"{"call""#).count(), 1, "{}", show(&got));
    }

    #[test]
    fn one_call_at_most_in_a_list_of_lists() {
        let list = json!({"seq": [{"lit": "["}, {"rep": {"of": call(), "min": 1}}, {"lit": "]"}]});
        let node = format(json!({"rep": {"of": list, "min": 1}}));
        let got = node.specialise(&plan(ToolChoice::Auto, false)).unwrap();
        assert_eq!(show(&got).matches(r#""max":1"#).count(), 2, "{}", show(&got));
    }

    #[test]
    fn reasoning_goes_where_the_plan_has_none() {
        let quiet = Plan { reasoning: false, ..plan(ToolChoice::Auto, true) };
        let got = hermes().specialise(&quiet).unwrap();
        assert!(!show(&got).contains("reasoning"), "{}", show(&got));
    }

    #[test]
    fn a_call_cannot_be_required_of_plugin_code() {
        let node = format(json!({"extern": {}}));
        assert_eq!(node.specialise(&plan(ToolChoice::Required, true)), Err(PlanError::Unconstrainable));
        let node = format(json!({"text": {"channel": "content"}}));
        assert_eq!(node.specialise(&plan(ToolChoice::Required, true)), Err(PlanError::NoCalls));
    }
}
