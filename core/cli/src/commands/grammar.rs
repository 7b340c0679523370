//! `toolglot grammar` and `toolglot mask`: what a request, or a grammar in some notation, allows.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use toolglot::grammar::{
    CompiledGrammar, FormatOptions, Grammar, GrammarBuilder, GrammarError, JsonStyle, LarkOptions, Lexing,
    Token, Vocabulary, structural_tag,
};
use toolglot::schema::{Options, Schema};
use toolglot::{Family, Model, Registry};

use crate::commands::explain::describe;
use crate::input::{self, ToolArgs};
use crate::output::{Output, table};

/// Arguments of `grammar`.
#[derive(clap::Args)]
pub(crate) struct GrammarArgs {
    #[command(flatten)]
    of: GrammarOf,
    #[command(flatten)]
    tools: ToolArgs,
    /// Read a Lark grammar in every way to cut its text into terminals, instead of refusing it where the longest match
    /// would matter
    #[arg(long, requires = "lark")]
    any_split: bool,
    /// How much white space a family's grammar leaves to the model
    #[arg(long, value_enum, default_value_t, requires = "family")]
    spacing: Spacing,
    /// Write the grammar down for another engine
    #[arg(long, value_name = "NOTATION")]
    export: Option<Notation>,
    /// Model folder: special tokens are exported as its ids
    #[arg(long, value_name = "DIR", requires = "export")]
    model: Option<PathBuf>,
    /// Say whether this text is accepted, special tokens written as their names
    #[arg(long, value_name = "TEXT", conflicts_with = "export")]
    accepts: Option<String>,
}

/// Where a grammar comes from. Files named "-" are standard input.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct GrammarOf {
    /// Id or alias of the family
    #[arg(long, short)]
    family: Option<String>,
    /// JSON Schema: JSON as `json.dumps` writes it
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Regular expression that the whole text matches
    #[arg(long, value_name = "PATTERN")]
    regex: Option<String>,
    /// Grammar of llama.cpp
    #[arg(long, value_name = "FILE")]
    gbnf: Option<PathBuf>,
    /// Lark grammar in llguidance's dialect
    #[arg(long, value_name = "FILE")]
    lark: Option<PathBuf>,
    /// Structural tag of XGrammar
    #[arg(long, value_name = "FILE")]
    structural_tag: Option<PathBuf>,
    /// `response_format` of an OpenAI request
    #[arg(long, value_name = "FILE")]
    response_format: Option<PathBuf>,
    /// `structured_outputs` of a vLLM request
    #[arg(long, value_name = "FILE")]
    structured_outputs: Option<PathBuf>,
}

/// White space in the grammar of a family.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Spacing {
    /// What parsers read alike, within bounds
    #[default]
    Flexible,
    /// The family's own
    Family,
    /// The family's own around markers, none inside JSON
    Compact,
}

impl From<Spacing> for toolglot::grammar::Spacing {
    fn from(spacing: Spacing) -> Self {
        match spacing {
            Spacing::Flexible => Self::Flexible,
            Spacing::Family => Self::Family,
            Spacing::Compact => Self::Compact,
        }
    }
}

/// A notation of another engine.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Notation {
    /// For llama.cpp
    Gbnf,
    /// For llguidance
    Lark,
    /// For XGrammar, of a family only
    StructuralTag,
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
    /// How much white space the masks leave to the model
    #[arg(long, value_enum, default_value_t)]
    spacing: Spacing,
    /// Show at most this many tokens
    #[arg(long, value_name = "N", default_value_t = 40)]
    show: usize,
}

/// The grammar of a request or of a notation, written down, tried, or shown.
pub(crate) fn show(args: &GrammarArgs, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    if let Some(id) = &args.of.family {
        return show_family(args, id, registry, out);
    }
    let grammar = read_grammar(args)?;
    if let Some(notation) = args.export {
        return export(args, &grammar, notation, registry, out);
    }
    let nodes = grammar.len();
    match &args.accepts {
        Some(text) => accepts(grammar, text, out),
        None => {
            out.emit(|| json!({"nodes": nodes}), || format!("grammar: {nodes} nodes\n"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The format narrowed to the request, once its grammar has been built: nothing in it is left unenforced.
fn show_family(args: &GrammarArgs, id: &str, registry: &Registry, out: &mut Output) -> Result<ExitCode> {
    let family = input::family(registry, id)?;
    let plan = args.tools.plan()?;
    let format = family.format(&plan)?;
    if args.export == Some(Notation::StructuralTag) {
        let tag = structural_tag(&format, &plan)?;
        out.emit(|| tag.clone(), || format!("{tag:#}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = FormatOptions { spacing: args.spacing.into(), ..FormatOptions::default() };
    let grammar = Grammar::from_format_with(&format, &plan, &options)?;
    if let Some(notation) = args.export {
        return export(args, &grammar, notation, registry, out);
    }
    if let Some(text) = &args.accepts {
        return accepts(grammar, text, out);
    }
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

/// Reads the grammar from whichever notation was given; errors say which file they are in.
fn read_grammar(args: &GrammarArgs) -> Result<Grammar> {
    fn from<T>(path: &PathBuf, read: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        read(&input::read(path)?).with_context(|| path.display().to_string())
    }
    let of = &args.of;
    let json = |path: &PathBuf, read: &dyn Fn(&Value) -> Result<Grammar>| {
        from(path, |text| read(&serde_json::from_str(text)?))
    };
    if let Some(pattern) = &of.regex {
        Ok(Grammar::from_regex(pattern)?)
    } else if let Some(path) = &of.gbnf {
        from(path, |text| Ok(Grammar::from_gbnf(text)?))
    } else if let Some(path) = &of.lark {
        let lexing = if args.any_split { Lexing::Any } else { Lexing::Exact };
        let options = LarkOptions { lexing, ..LarkOptions::default() };
        from(path, |text| Ok(Grammar::from_lark_with(text, &options)?))
    } else if let Some(path) = &of.schema {
        json(path, &|document| {
            let schema = Schema::compile(document, &Options::default())?;
            let mut builder = GrammarBuilder::new();
            let root = builder.json_schema(&schema, &JsonStyle::default())?;
            Ok(builder.build(root)?)
        })
    } else if let Some(path) = &of.structural_tag {
        json(path, &|tag| Ok(Grammar::from_structural_tag(tag)?))
    } else if let Some(path) = &of.response_format {
        json(path, &|format| {
            Grammar::from_response_format(format)?.context("it allows any text, so it has no grammar")
        })
    } else if let Some(path) = &of.structured_outputs {
        json(path, &|outputs| Ok(Grammar::from_structured_outputs(outputs)?))
    } else {
        bail!("give --family or a grammar")
    }
}

fn export(
    args: &GrammarArgs,
    grammar: &Grammar,
    notation: Notation,
    registry: &Registry,
    out: &mut Output,
) -> Result<ExitCode> {
    let model = match &args.model {
        Some(dir) => Some(Model::from_dir(dir, registry, args.of.family.as_deref())?),
        None => None,
    };
    let vocabulary = model.as_ref().map(|model| model.vocabulary().as_ref());
    let text = match notation {
        Notation::Gbnf => grammar.to_gbnf(vocabulary)?,
        Notation::Lark => grammar.to_lark(vocabulary)?,
        Notation::StructuralTag => bail!("only a family is exported as a structural tag; try gbnf or lark"),
    };
    out.emit(|| json!({"grammar": text}), || text.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the grammar accepts a text, and if not, from where on.
fn accepts(grammar: Grammar, text: &str, out: &mut Output) -> Result<ExitCode> {
    let compiled = CompiledGrammar::new(Arc::new(grammar), Arc::new(bytes()?))?;
    let mut matcher = compiled.matcher()?;
    let (accepted, why) = match matcher.accept_text(text) {
        Ok(()) if matcher.is_accepting() => (true, "accepted".to_owned()),
        Ok(()) => (false, "refused: it has to go on".to_owned()),
        Err(GrammarError::RejectedBytes { offset }) => (false, format!("refused from byte {offset} on")),
        Err(error) => return Err(error.into()),
    };
    out.emit(|| json!({"accepted": accepted, "why": why}), || format!("{why}\n"))?;
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    let options = FormatOptions { spacing: args.spacing.into(), ..FormatOptions::default() };
    let grammar = Grammar::from_format_with(&*family.format(&plan)?, &plan, &options)?;
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
