//! `toolglot render`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use toolglot::Registry;
use toolglot::template::{ChatTemplate, Conversation, TemplateOptions};

use crate::input::{self, MessageArgs, ToolArgs};
use crate::output::Output;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model folder whose template is used
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Family whose own template is used
    #[arg(long, value_name = "ID", conflicts_with = "model")]
    family: Option<String>,
    /// A template file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "family"])]
    template: Option<PathBuf>,
    #[command(flatten)]
    messages: MessageArgs,
    #[command(flatten)]
    tools: ToolArgs,
    /// Do not open the assistant's turn
    #[arg(long)]
    no_generation_prompt: bool,
}

pub(crate) fn run(args: &Args, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let options = TemplateOptions::default();
    let template = match (&args.model, &args.family, &args.template) {
        (Some(dir), _, _) => ChatTemplate::from_model_dir(dir, &options)?,
        (_, Some(id), _) => {
            let source = input::family(registry, id)?.template();
            ChatTemplate::compile(
                source.with_context(|| format!("family `{id}` brings no template"))?,
                &options,
            )?
        }
        (_, _, Some(path)) => ChatTemplate::compile(input::read(path)?, &options)?,
        (None, None, None) => bail!("which template? give --model, --family or --template"),
    };
    let messages = args.messages.messages()?;
    let variables = args.messages.variables()?;
    let tools = args.tools.tools()?;
    let mut conversation = Conversation::new(&messages).with_variables(&variables);
    if let Value::Array(tools) = &tools {
        conversation = conversation.with_tools(tools);
    }
    let rendered = template.render(&conversation, !args.no_generation_prompt)?;
    if out.json() {
        let value = json!({"prompt": rendered.text, "generation_prompt": rendered.generation_prompt});
        out.emit(|| value, String::new)?;
    } else {
        out.raw(&rendered.text)?;
    }
    Ok(ExitCode::SUCCESS)
}
