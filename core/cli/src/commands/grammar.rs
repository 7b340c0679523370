//! `toolglot grammar` and `toolglot mask`: what a request allows.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use toolglot::grammar::{CompiledGrammar, Grammar, Token, Vocabulary};
use toolglot::{Family, Model, Registry};

use crate::commands::explain::describe;
use crate::input::{self, ToolArgs};
use crate::output::{Output, table};

/// Arguments of `grammar`.
#[derive(clap::Args)]
pub(crate) struct GrammarArgs {
    /// Id or alias of the family
    #[arg(long, short)]
    family: String,
    #[command(flatten)]
    tools: ToolArgs,
}

/// Arguments of `mask`.
#[derive(clap::Args)]
pub(crate) struct MaskArgs {
    /// Model folder, for its tokens and its family
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Id or alias of the family; without a model, each byte is a token
    #[arg(long, short)]
    family: Option<String>,
    #[command(flatten)]
    tools: ToolArgs,
    /// What the turn holds so far, the prompt's tail included
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Show at most this many tokens
    #[arg(long, value_name = "N", default_value_t = 40)]
    show: usize,
}

/// The format narrowed to the request, once its grammar has been built: nothing in it is left unenforced.
pub(crate) fn show(args: &GrammarArgs, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let family = input::family(registry, &args.family)?;
    let plan = args.tools.plan()?;
    let format = family.format(&plan)?;
    let grammar = Grammar::from_format(&format, &plan)?;
    let strict = format.specialise(&plan)?;
    let tools: Vec<&str> = plan.callable().map(|tool| tool.name.as_str()).collect();
    out.emit(
        || json!({"family": family.manifest().id, "tools": tools, "nodes": grammar.len(), "format": strict}),
        || {
            let mut text = String::new();
            describe(&strict, 0, &mut text);
            let tools = if tools.is_empty() { "none".to_owned() } else { tools.join(", ") };
            text + &format!("\ntools: {tools}\ngrammar: {} nodes\n", grammar.len())
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn mask(args: &MaskArgs, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let plan = args.tools.plan()?;
    let (family, vocabulary): (Arc<dyn Family>, Arc<Vocabulary>) = match (&args.model, &args.family) {
        (Some(dir), family) => {
            let model = Model::from_dir(dir, registry, family.as_deref())?;
            (model.family().clone(), model.vocabulary().clone())
        }
        (None, Some(id)) => (input::family(registry, id)?.clone(), Arc::new(bytes()?)),
        (None, None) => bail!("give --model or --family"),
    };
    let grammar = Grammar::from_format(&*family.format(&plan)?, &plan)?;
    let compiled = CompiledGrammar::new(Arc::new(grammar), vocabulary.clone())?;
    let mut matcher = compiled.matcher()?;
    matcher.accept_text(&args.prefix).with_context(|| format!("--prefix {:?}", args.prefix))?;
    let mut mask = vec![0_u32; vocabulary.mask_words()];
    matcher.mask(&mut mask)?;
    let forced = String::from_utf8_lossy(&matcher.forced_bytes()?).into_owned();
    let allowed: Vec<u32> =
        (0..vocabulary.len() as u32).filter(|id| mask[(id / 32) as usize] >> (id % 32) & 1 == 1).collect();
    let text = |id: &u32| String::from_utf8_lossy(vocabulary.bytes(*id)).into_owned();
    out.emit(
        || {
            let tokens: Vec<Value> = allowed.iter().map(|id| json!({"id": id, "text": text(id)})).collect();
            json!({
                "allowed": allowed.len(), "of": vocabulary.len(), "forced": forced,
                "may_end": matcher.is_accepting(), "tokens": tokens,
            })
        },
        || {
            let mut rows =
                vec![vec!["allowed".to_owned(), format!("{} of {} tokens", allowed.len(), vocabulary.len())]];
            rows.push(vec!["may end".into(), if matcher.is_accepting() { "yes" } else { "no" }.into()]);
            if !forced.is_empty() {
                rows.push(vec!["forced".into(), format!("{forced:?}")]);
            }
            let shown: Vec<String> =
                allowed.iter().take(args.show).map(|id| format!("{:?}", text(id))).collect();
            let more = if allowed.len() > args.show { " …" } else { "" };
            rows.push(vec!["tokens".into(), shown.join(" ") + more]);
            table(&rows)
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

/// One token per byte and an end token, for families without a model.
fn bytes() -> Result<Vocabulary> {
    let mut tokens: Vec<Token> = (0..=255_u8).map(|byte| Token::text([byte])).collect();
    tokens.push(Token::special("<end>"));
    Ok(Vocabulary::new(tokens, &[256], None)?)
}
