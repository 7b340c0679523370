//! Harmony's format under a plan: each built-in tool is a recipient of its own, outside `functions.`.
//!
//! `python` takes its program as the bare body of the message; every other built-in tool (`browser.search`,
//! `browser.open`, `browser.find`) takes JSON. Both are called in the analysis channel, as the system message
//! of the gpt-oss templates says. The spelling of headers is stated in `family.toml`; this file reuses the
//! branch for functions and changes what differs.

use toolglot_format::{Args, Format, Lit, NameNode, Plan, RawArgs, Rep, Tool, ToolKind};

use crate::FamilyError;

/// The parameter that takes a bare program.
const PROGRAM: &str = "code";

/// Adds a branch for each built-in tool of the plan and keeps the built-in names out of `functions.`.
///
/// # Errors
/// None of its own.
pub fn lower(plan: &Plan, base: &Format) -> Result<Format, FamilyError> {
    let of_kind = |kind| plan.tools.iter().filter(move |tool| tool.kind == kind);
    if of_kind(ToolKind::Builtin).next().is_none() {
        return Ok(base.clone());
    }
    let functions: Vec<String> = of_kind(ToolKind::Function).map(|tool| tool.name.clone()).collect();
    Ok(map(base, &|node| match node {
        Format::Rep(rep) => with_builtins(rep, of_kind(ToolKind::Builtin), &functions),
        _ => None,
    }))
}

/// The messages with the built-in calls before the branch for functions, which takes any recipient.
fn with_builtins<'a>(
    messages: &Rep,
    tools: impl Iterator<Item = &'a Tool>,
    functions: &[String],
) -> Option<Format> {
    let Format::Alt(branches) = &*messages.of else { return None };
    let at = branches.iter().position(|branch| matches!(branch, Format::Call(_)))?;
    let mut branches = branches.clone();
    let call = branches.remove(at);
    // Strict: a function is a function. Lenient: the branch stays open to names that nobody planned.
    branches.insert(at, Format::Lenient(Box::new(call.clone())));
    if !functions.is_empty() {
        branches.insert(at, rename(&call, functions));
    }
    for tool in tools {
        branches.insert(at, builtin(&call, tool));
    }
    Some(Format::Rep(Rep { of: Box::new(Format::Alt(branches)), ..messages.clone() }))
}

/// The branch for functions, for these names only.
fn rename(call: &Format, names: &[String]) -> Format {
    map(call, &|node| match node {
        Format::Name(_) => Some(Format::Name(NameNode { only: names.to_vec(), ..NameNode::default() })),
        _ => None,
    })
}

/// The branch for functions, turned into the one for a built-in tool.
fn builtin(call: &Format, tool: &Tool) -> Format {
    let raw = is_raw(tool);
    map(call, &|node| match node {
        Format::Name(_) => Some(Format::Name(NameNode { only: vec![tool.name.clone()], ..NameNode::default() })),
        Format::Args(_) if raw => Some(Format::Args(Args::Raw(RawArgs { key: PROGRAM.into() }))),
        Format::Lit(lit) => match lit.text.as_str() {
            " to=functions." => Some(Format::Lit(recipient())),
            "commentary" => Some(Format::Lit(Lit {
                aliases: vec!["commentary".into(), "final".into()],
                ..Lit::text("analysis")
            })),
            "json" if raw => Some(Format::Lit(Lit { aliases: vec!["json".into()], ..Lit::text("code") })),
            _ => None,
        },
        _ => None,
    })
}

fn recipient() -> Lit {
    let aliases = ["to=", " to=functions.", "to=functions."];
    Lit { aliases: aliases.map(String::from).to_vec(), ..Lit::text(" to=") }
}

/// Whether the tool takes bare text: its schema says so, or it is the code interpreter and has no schema.
fn is_raw(tool: &Tool) -> bool {
    match tool.parameters.get("type").and_then(|kind| kind.as_str()) {
        Some("string") => true,
        _ => tool.name == "python",
    }
}

/// The tree with every node that `change` gives something for replaced by that.
fn map(node: &Format, change: &dyn Fn(&Format) -> Option<Format>) -> Format {
    if let Some(changed) = change(node) {
        return changed;
    }
    let all = |nodes: &[Format]| nodes.iter().map(|child| map(child, change)).collect();
    let one = |child: &Format| Box::new(map(child, change));
    match node {
        Format::Seq(nodes) => Format::Seq(all(nodes)),
        Format::Alt(nodes) => Format::Alt(all(nodes)),
        Format::Opt(child) => Format::Opt(one(child)),
        Format::Call(child) => Format::Call(one(child)),
        Format::Lenient(child) => Format::Lenient(one(child)),
        Format::Rep(rep) => Format::Rep(Rep {
            of: one(&rep.of),
            sep: rep.sep.as_deref().map(one),
            ..rep.clone()
        }),
        _ => node.clone(),
    }
}
