//! `toolglot explain`: a family's format as a person reads it, with an example that the printer made.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use toolglot::format::{Args as CallArgs, Call, MemberValue, Strings, ValueType, Words};
use toolglot::parsers::{print, to_text};
use toolglot::{Format, Plan, Registry, Turn};

use crate::input;
use crate::output::Output;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id or alias of the family
    family: String,
}

pub(crate) fn run(args: &Args, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let family = input::family(registry, &args.family)?;
    let manifest = family.manifest();
    let plan = sample_plan()?;
    let format = family.format(&plan)?;
    let strict = format.specialise(&plan)?;
    let example = print(&strict, &plan, &sample_turn()).map(|parts| to_text(&parts));
    out.emit(
        || {
            json!({
                "manifest": manifest,
                "example": example.as_ref().ok(),
                "template": family.template(),
            })
        },
        || {
            let mut text = format!("{}: {}\n", manifest.id, manifest.title);
            let mut line = |name: &str, values: Vec<String>| {
                if !values.is_empty() {
                    text += &format!("{name:<14}{}\n", values.join("  "));
                }
            };
            line("also known as", manifest.aliases.clone());
            line("turn opens", vec![format!("{:?}", manifest.turn.open)]);
            line("turn closes", vec![format!("{:?}", manifest.turn.close)]);
            line("stop tokens", manifest.stops.tokens.clone());
            line("stop strings", manifest.stops.strings.clone());
            text += "\nwritten (a literal in quotes, * for a special token):\n\n";
            describe(&strict, 1, &mut text);
            text += "\nexample:\n\n";
            match &example {
                Ok(printed) => printed.lines().for_each(|line| text += &format!("  {line}\n")),
                Err(error) => text += &format!("  none: {error}\n"),
            }
            text
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

fn sample_plan() -> Result<Plan> {
    let tools = json!([{"name": "get_weather", "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    }}]);
    Ok(Plan::from_openai(&tools, &json!("auto"), true)?)
}

fn sample_turn() -> Turn {
    let arguments = r#"{"city": "Zürich", "days": 2}"#.to_owned();
    let call = Call { name: "get_weather".into(), id: None, arguments, complete: true };
    Turn { calls: vec![call], ..Turn::default() }
}

/// The tree, one node a line.
pub(crate) fn describe(format: &Format, depth: usize, text: &mut String) {
    let line = match format {
        Format::Lit(lit) => format!("{:?}{}", lit.text, if lit.special { " *" } else { "" }),
        Format::Ws(ws) => format!("white space {ws:?}"),
        Format::Text(node) => format!("free text: {:?}", node.channel).to_lowercase(),
        Format::Name(node) => match &node.header {
            Some(header) => format!("tool name in {:?}, the call id", String::from(header.clone())),
            None => "tool name".into(),
        },
        Format::Id(_) => "call id".into(),
        Format::Key(_) => "parameter name".into(),
        Format::Value(_) => "parameter value".into(),
        Format::TypeLit(node) => {
            let words = ValueType::ALL.iter().filter_map(|&of| Some((node.word(of)?, of)));
            let words: Vec<String> = words.map(|(word, of)| format!("{word:?} for {of:?}")).collect();
            format!("the value's type: {}", words.join(", "))
        }
        Format::Args(CallArgs::Json(notation)) => {
            let separators = format!("separators {:?} and {:?}", notation.item, notation.key);
            match (&notation.strings, notation.words) {
                (Strings::Marked(marker), _) => {
                    format!("arguments, strings between {:?}, {separators}", marker.text)
                }
                (Strings::Json, Words::Json) => format!("arguments as JSON, {separators}"),
                _ => format!("arguments as Python literals, {separators}"),
            }
        }
        Format::Args(CallArgs::Tagged(_)) => "arguments, each as".into(),
        Format::Args(CallArgs::Pythonic(_)) => "arguments as Python keywords".into(),
        Format::Args(CallArgs::Elements(elements)) => {
            format!("arguments as elements, {:?} before each tag", elements.prefix.text)
        }
        Format::Args(CallArgs::Raw(raw)) => format!("raw text as parameter `{}`", raw.key),
        Format::Object(object) => {
            let members = object.members.iter().filter(|member| !member.optional).map(|member| {
                let value = match &member.is {
                    MemberValue::Name | MemberValue::OfferedName => "tool name",
                    MemberValue::Args => "arguments",
                    MemberValue::Id(_) => "call id",
                    MemberValue::Word(word) => word,
                    MemberValue::Object(_) => "object",
                };
                format!("{:?}: {value}", member.key)
            });
            format!("JSON object {{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Format::Seq(_) => String::new(),
        Format::Alt(_) => "one of".into(),
        Format::Opt(_) => "optionally".into(),
        Format::Rep(rep) => match (rep.min, rep.max) {
            (min, None) => format!("{min} times or more"),
            (min, Some(max)) => format!("{min} to {max} times"),
        },
        Format::Call(_) => "a call".into(),
        Format::Lenient(_) => "read, never written".into(),
        Format::Extern(_) => "read by plugin code".into(),
    };
    let in_place = line.is_empty();
    if !in_place {
        *text += &format!("{}{line}\n", "  ".repeat(depth));
    }
    let children = format.children();
    for (i, child) in children.iter().enumerate() {
        if matches!(format, Format::Rep(_)) && i == 1 {
            *text += &format!("{}between them\n", "  ".repeat(depth + 1));
            describe(child, depth + 2, text);
        } else {
            describe(child, depth + usize::from(!in_place), text);
        }
    }
}
