//! Chat templates: from a conversation to the prompt's text, as Hugging Face's `apply_chat_template` renders it.
//!
//! [`ChatTemplate`] compiles a Jinja source (given, or found in a model directory) and renders conversations in OpenAI's
//! message shape. The reference is jinja2 3.1.6 with the settings of transformers 5: immutable sandbox, `trim_blocks`,
//! `lstrip_blocks`, loop controls, `{% generation %}`, `tojson` as `json.dumps`, Python's printing of values. Templates
//! are untrusted: work, nesting, source and output are limited.
//!
//! It does not tokenize, know families, or parse model output. What still differs from Python: `~` writes floats beyond
//! 1e16 or below 1e-4 in full digits, dates are UTC, `for` over None loops zero times instead of failing, lists and dicts
//! that the template made can be changed, namespaces cannot nest, and `groupby` and `pprint` are missing.

mod budget;
mod environment;
mod error;
#[cfg(test)]
mod golden;
mod guard;
mod methods;
mod model_dir;
mod number;
mod print;
mod shape;
mod source;
mod strftime;
#[cfg(test)]
mod tests;
mod values;

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use minijinja::Environment;
use minijinja::value::Value;
use serde_json::{Map, Value as Json};

pub use error::{TemplateError, TemplateErrorKind};
pub use strftime::Clock;

use model_dir::DEFAULT;
use shape::Shape;

/// Noncharacters that stand around assistant text while a template with `{% generation %}` renders.
const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// How to compile and render a template.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TemplateOptions {
    /// The name that errors carry; `chat_template` when empty.
    pub name: String,
    /// What `strftime_now` tells.
    pub clock: Clock,
    /// Whether messages are fitted to what the template takes.
    pub messages: MessageShape,
    /// Bounds for untrusted templates.
    pub limits: TemplateLimits,
}

/// Whether messages are fitted to what a template takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MessageShape {
    /// Argument strings become objects where the template needs objects, and the other way round; text parts are joined
    /// (by a line break) for templates that take strings only, and strings become parts for those that take parts only;
    /// null or missing content becomes `""` where null does not render.
    #[default]
    Fitted,
    /// Messages reach the template unchanged, but for the reasoning fields.
    AsGiven,
}

/// Bounds on what a template may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateLimits {
    /// Largest template source, in bytes.
    pub source_bytes: usize,
    /// Largest rendered text, in bytes.
    pub output_bytes: usize,
    /// Units of work for a render: about one for each instruction and each 64 bytes written.
    pub fuel: u64,
    /// Further units for each byte of the conversation.
    pub fuel_per_byte: u64,
}

impl Default for TemplateLimits {
    fn default() -> Self {
        Self { source_bytes: 1 << 20, output_bytes: 64 << 20, fuel: 400_000, fuel_per_byte: 8 }
    }
}

/// What is rendered: messages in OpenAI's shape, with what goes with them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conversation<'a> {
    /// The messages: objects with `role`, `content`, `tool_calls`, `reasoning_content` and so on.
    pub messages: &'a [Json],
    /// The tools offered: `{"type": "function", "function": {…}}` each; None where no tools are in play.
    pub tools: Option<&'a [Json]>,
    /// Documents for retrieval templates.
    pub documents: Option<&'a [Json]>,
    /// Further variables, such as `enable_thinking` or `reasoning_effort`. They win over special tokens.
    pub variables: Option<&'a Map<String, Json>>,
}

impl<'a> Conversation<'a> {
    /// A conversation of messages alone.
    pub fn new(messages: &'a [Json]) -> Self {
        Self { messages, ..Self::default() }
    }

    /// With the tools offered.
    pub fn with_tools(self, tools: &'a [Json]) -> Self {
        Self { tools: Some(tools), ..self }
    }

    /// With further variables.
    pub fn with_variables(self, variables: &'a Map<String, Json>) -> Self {
        Self { variables: Some(variables), ..self }
    }
}

/// A rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole text.
    pub text: String,
    /// The tail of `text` that opens the assistant's turn, and so primes parser and grammar, as
    /// `<|im_start|>assistant\n<think>\n`. It is what the template appends for `add_generation_prompt`; a template that
    /// opens the turn anyway gives what follows the last message. Empty when nothing opens a turn.
    pub generation_prompt: String,
    /// Byte ranges of `text` inside `{% generation %}` blocks: what assistants wrote. Empty when the template has none.
    pub assistant_spans: Vec<Range<usize>>,
}

/// The text of one assistant turn, as the template writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssistantTurn {
    /// The whole turn, header and ending included.
    pub text: String,
    /// The generation prompt after the same history; see [`Rendered::generation_prompt`].
    pub generation_prompt: String,
    /// The turn without the generation prompt: what a model would have to produce, ending included. None when the
    /// finished turn does not begin with the generation prompt.
    pub completion: Option<String>,
}

/// A compiled chat template; several named ones where a model brings several.
#[derive(Debug)]
pub struct ChatTemplate {
    name: String,
    variants: Vec<Variant>,
    tokens: Map<String, Json>,
    options: TemplateOptions,
}

#[derive(Debug)]
struct Variant {
    name: String,
    /// As given, before [`source::prepare`].
    source: String,
    env: Environment<'static>,
    marks: bool,
    shape: OnceLock<Shape>,
}

impl ChatTemplate {
    /// Compiles one template source. It has no special tokens; see [`Self::with_variable`].
    pub fn compile(source: impl AsRef<str>, options: &TemplateOptions) -> Result<Self, TemplateError> {
        Self::build(vec![(DEFAULT.to_owned(), source.as_ref().to_owned())], Map::new(), options)
    }

    /// Compiles the template of a parsed `tokenizer_config.json`, with its special tokens.
    pub fn from_tokenizer_config(
        config: &Map<String, Json>,
        options: &TemplateOptions,
    ) -> Result<Self, TemplateError> {
        let name = display_name(options);
        let sources = model_dir::config_sources(config, &name)?;
        if sources.is_empty() {
            let detail = "tokenizer_config.json has no chat_template".to_owned();
            return Err(TemplateError::new(&name, TemplateErrorKind::Model { detail }));
        }
        Self::build(sources, model_dir::special_tokens(config), options)
    }

    /// Compiles the template of a model directory in Hugging Face layout: `chat_template.jinja`,
    /// `additional_chat_templates/`, `chat_template.json`, or `tokenizer_config.json`, in this order.
    pub fn from_model_dir(dir: impl AsRef<Path>, options: &TemplateOptions) -> Result<Self, TemplateError> {
        let found = model_dir::read(dir.as_ref(), &display_name(options))?;
        Self::build(found.sources, found.tokens, options)
    }

    /// Sets a variable for every render, as `bos_token`.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.tokens.insert(name.into(), value.into());
        self
    }

    /// Takes the special tokens of a parsed `tokenizer_config.json`.
    #[must_use]
    pub fn with_special_tokens(mut self, config: &Map<String, Json>) -> Self {
        self.tokens.extend(model_dir::special_tokens(config));
        self
    }

    /// The special tokens and other variables that every render gets.
    pub fn variables(&self) -> &Map<String, Json> {
        &self.tokens
    }

    /// The source that renders a conversation with or without tools.
    pub fn source(&self, with_tools: bool) -> Result<&str, TemplateError> {
        Ok(&self.variant(with_tools)?.source)
    }

    /// Renders a conversation. With `add_generation_prompt` the text ends where the assistant begins to write.
    pub fn render(
        &self,
        conversation: &Conversation<'_>,
        add_generation_prompt: bool,
    ) -> Result<Rendered, TemplateError> {
        let variant = self.variant(conversation.tools.is_some())?;
        let messages = self.fit(variant, conversation)?;
        let input = Input { messages: &messages, ..Input::of(conversation) };
        self.guarded(&input, || {
            let (text, assistant_spans) = self.run(variant, &input, add_generation_prompt)?;
            let generation_prompt = if add_generation_prompt {
                let without = self.run(variant, &input, false).ok().map(|(text, _)| text);
                generation_prompt(&text, without.as_deref(), input.messages).to_owned()
            } else {
                String::new()
            };
            Ok(Rendered { text, generation_prompt, assistant_spans })
        })
    }

    /// The text of `message` (an assistant's) as a turn of its own after `history`: what the model would have to write.
    pub fn assistant_turn(
        &self,
        history: &Conversation<'_>,
        message: &Json,
    ) -> Result<AssistantTurn, TemplateError> {
        let variant = self.variant(history.tools.is_some())?;
        let mut all = history.messages.to_vec();
        all.push(message.clone());
        let all = self.fit(variant, &Conversation { messages: &all, ..*history })?;
        let before = Input { messages: &all[..all.len() - 1], ..Input::of(history) };
        let after = Input { messages: &all, ..before };
        self.guarded(&after, || {
            let (history, _) = self.run(variant, &before, false)?;
            let (prompt, _) = self.run(variant, &before, true)?;
            let (whole, _) = self.run(variant, &after, false)?;
            let opening = generation_prompt(&prompt, Some(&history), before.messages).to_owned();
            let completion = whole.strip_prefix(prompt.as_str()).map(str::to_owned);
            let text = match (whole.strip_prefix(history.as_str()), &completion) {
                (Some(text), _) => text.to_owned(),
                (None, Some(completion)) => format!("{opening}{completion}"),
                (None, None) => return Err(TemplateError::new(&self.name, TemplateErrorKind::NotAppendOnly)),
            };
            Ok(AssistantTurn { text, generation_prompt: opening, completion })
        })
    }

    fn build(
        sources: Vec<(String, String)>,
        tokens: Map<String, Json>,
        options: &TemplateOptions,
    ) -> Result<Self, TemplateError> {
        let name = display_name(options);
        let limits = options.limits;
        let mut variants = Vec::with_capacity(sources.len());
        for (variant, source) in sources {
            let shown = if variant == DEFAULT { name.clone() } else { format!("{name}:{variant}") };
            if source.len() > limits.source_bytes {
                let detail =
                    format!("its {} bytes are more than the {} allowed", source.len(), limits.source_bytes);
                return Err(TemplateError::new(&shown, TemplateErrorKind::Limit { detail }));
            }
            let prepared = source::prepare(&source);
            let mut env = environment::environment(options.clock);
            let compiled = guard::on_own_stack(&shown, 0, || {
                env.add_template_owned(variant.clone(), prepared.text)
                    .map_err(|e| TemplateError::from_engine(&shown, &e))?;
                Ok(env)
            });
            variants.push(Variant {
                name: variant,
                source,
                env: compiled?,
                marks: prepared.marks,
                shape: OnceLock::new(),
            });
        }
        Ok(Self { name, variants, tokens, options: options.clone() })
    }

    /// The template for a conversation, chosen as `transformers` does: `tool_use` for tools, else `default`.
    fn variant(&self, with_tools: bool) -> Result<&Variant, TemplateError> {
        let named = |name: &str| self.variants.iter().find(|v| v.name == name);
        let tool_use = if with_tools { named("tool_use") } else { None };
        tool_use.or_else(|| named(DEFAULT)).ok_or_else(|| {
            let names: Vec<_> = self.variants.iter().map(|v| v.name.as_str()).collect();
            let detail = format!(
                "the model brings the templates {names:?} and none called `default`; compile the one you want"
            );
            TemplateError::new(&self.name, TemplateErrorKind::Model { detail })
        })
    }

    fn fit<'m>(
        &self,
        variant: &Variant,
        conversation: &Conversation<'m>,
    ) -> Result<Cow<'m, [Json]>, TemplateError> {
        if self.options.messages == MessageShape::AsGiven || conversation.messages.is_empty() {
            return Ok(Cow::Borrowed(conversation.messages));
        }
        let shape = variant.shape.get_or_init(|| {
            Shape::probe(|messages| {
                let input = Input { messages, ..Input::default() };
                self.guarded(&input, || self.run(variant, &input, false)).ok().map(|(text, _)| text)
            })
        });
        let fitted = shape.fit(conversation.messages);
        fitted
            .map(Cow::Owned)
            .map_err(|detail| TemplateError::new(&self.name, TemplateErrorKind::Input { detail }))
    }

    fn fuel(&self, input: &Input<'_>) -> u64 {
        let limits = &self.options.limits;
        limits.fuel.saturating_add(limits.fuel_per_byte.saturating_mul(input.size() as u64))
    }

    fn guarded<T: Send>(
        &self,
        input: &Input<'_>,
        run: impl FnOnce() -> Result<T, TemplateError> + Send,
    ) -> Result<T, TemplateError> {
        guard::on_own_stack(&self.name, self.fuel(input), run)
    }

    /// One pass of the engine: the text, and the spans of generation blocks.
    fn run(
        &self,
        variant: &Variant,
        input: &Input<'_>,
        add_generation_prompt: bool,
    ) -> Result<(String, Vec<Range<usize>>), TemplateError> {
        let marks = variant.marks && !input.contains(&MARKS);
        let context = self.context(input, add_generation_prompt, marks)?;
        let mut env = variant.env.clone();
        env.set_fuel(Some(self.fuel(input)));
        let template = env.get_template(&variant.name).map_err(|e| self.engine(&e))?;
        let text = template.render(context).map_err(|e| self.engine(&e))?;
        let (text, spans) = if marks { cut_marks(&text) } else { (text, Vec::new()) };
        let most = self.options.limits.output_bytes;
        if text.len() > most {
            let detail = format!("its {} bytes of output are more than the {most} allowed", text.len());
            return Err(TemplateError::new(&self.name, TemplateErrorKind::Limit { detail }));
        }
        Ok((text, spans))
    }

    fn context(
        &self,
        input: &Input<'_>,
        add_generation_prompt: bool,
        marks: bool,
    ) -> Result<Value, TemplateError> {
        let value = |json: &Json| values::from_json(json).map_err(|e| self.engine(&e));
        let list = |items: Option<&[Json]>| match items {
            None => Ok(Value::from(())),
            Some(items) => items.iter().map(value).collect::<Result<Vec<_>, _>>().map(Value::from),
        };
        let mark = |i: usize| if marks { MARKS[i].to_string() } else { String::new() };
        let mut pairs = Vec::with_capacity(16);
        for (name, token) in &self.tokens {
            pairs.push((Cow::Borrowed(name.as_str()), value(token)?));
        }
        for (name, variable) in input.variables.into_iter().flatten() {
            pairs.push((Cow::Borrowed(name.as_str()), value(variable)?));
        }
        let messages: Result<Vec<_>, _> = input.messages.iter().map(|m| value(&alias_reasoning(m))).collect();
        pairs.push(("messages".into(), Value::from(messages?)));
        pairs.push(("tools".into(), list(input.tools)?));
        pairs.push(("documents".into(), list(input.documents)?));
        pairs.push(("add_generation_prompt".into(), Value::from(add_generation_prompt)));
        pairs.push((source::OPEN.into(), Value::from(mark(0))));
        pairs.push((source::CLOSE.into(), Value::from(mark(1))));
        Ok(Value::from_pairs(pairs.into_iter().map(|(name, value)| (name.into_owned(), value))))
    }

    fn engine(&self, error: &minijinja::Error) -> TemplateError {
        TemplateError::from_engine(&self.name, error)
    }
}

fn display_name(options: &TemplateOptions) -> String {
    if options.name.is_empty() { "chat_template".to_owned() } else { options.name.clone() }
}

/// A conversation whose messages have their final shape.
#[derive(Clone, Copy, Default)]
struct Input<'a> {
    messages: &'a [Json],
    tools: Option<&'a [Json]>,
    documents: Option<&'a [Json]>,
    variables: Option<&'a Map<String, Json>>,
}

impl<'a> Input<'a> {
    fn of(conversation: &Conversation<'a>) -> Self {
        let Conversation { messages, tools, documents, variables } = *conversation;
        Self { messages, tools, documents, variables }
    }

    fn values(&self) -> impl Iterator<Item = &'a Json> {
        let lists = [Some(self.messages), self.tools, self.documents];
        lists.into_iter().flatten().flatten().chain(self.variables.into_iter().flat_map(Map::values))
    }

    /// Bytes of text in the conversation, plus a few for each value.
    fn size(&self) -> usize {
        fn size(json: &Json) -> usize {
            8 + match json {
                Json::String(text) => text.len(),
                Json::Array(items) => items.iter().map(size).sum(),
                Json::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
                _ => 0,
            }
        }
        self.values().map(size).sum()
    }

    fn contains(&self, chars: &[char]) -> bool {
        fn found(json: &Json, chars: &[char]) -> bool {
            match json {
                Json::String(text) => text.contains(chars),
                Json::Array(items) => items.iter().any(|i| found(i, chars)),
                Json::Object(map) => {
                    map.iter().any(|(key, value)| key.contains(chars) || found(value, chars))
                }
                _ => false,
            }
        }
        self.values().any(|v| found(v, chars))
    }
}

/// As transformers 5: the first of `reasoning_content`, `thinking`, `reasoning` that is not null is given as
/// `reasoning_content`, and as `thinking` unless that is there.
fn alias_reasoning(message: &Json) -> Cow<'_, Json> {
    let fields = ["reasoning_content", "thinking", "reasoning"];
    let Json::Object(map) = message else { return Cow::Borrowed(message) };
    let Some(reasoning) = fields.iter().find_map(|f| map.get(*f).filter(|v| !v.is_null())) else {
        return Cow::Borrowed(message);
    };
    let mut out = map.clone();
    if !out.contains_key("thinking") {
        out.insert("thinking".to_owned(), reasoning.clone());
    }
    out.insert("reasoning_content".to_owned(), reasoning.clone());
    Cow::Owned(Json::Object(out))
}

/// The tail of `with` that opens the assistant's turn; see [`Rendered::generation_prompt`].
fn generation_prompt<'t>(with: &'t str, without: Option<&str>, messages: &[Json]) -> &'t str {
    if let Some(without) = without {
        if let Some(tail) = with.strip_prefix(without)
            && !tail.is_empty()
        {
            return tail;
        }
        if with != without {
            let common = with.bytes().zip(without.bytes()).take_while(|(a, b)| a == b).count();
            let mut cut = with.floor_char_boundary(common);
            // Both may go on with different markers: do not cut one in two.
            if let Some(open) = with[..cut].rfind(['<', '['])
                && !with[open..cut].contains(['>', ']', '\n'])
            {
                cut = open;
            }
            return &with[cut..];
        }
    }
    // The template opens the turn unasked: what follows the last message's text does it.
    let last = messages.last();
    let text = last.and_then(|m| m.get("content")).and_then(Json::as_str).map(str::trim).unwrap_or_default();
    let role = last.and_then(|m| m.get("role")).and_then(Json::as_str);
    match with.rfind(text) {
        Some(at) if !text.is_empty() && role != Some("assistant") => &with[at + text.len()..],
        _ => "",
    }
}

/// Removes the marks and reports where they stood.
fn cut_marks(text: &str) -> (String, Vec<Range<usize>>) {
    let mut out = String::with_capacity(text.len());
    let mut spans = Vec::new();
    let mut start = None;
    for piece in text.split_inclusive(MARKS) {
        let body = piece.strip_suffix(MARKS).unwrap_or(piece);
        out.push_str(body);
        if piece.ends_with(MARKS[0]) {
            start = Some(out.len());
        } else if piece.ends_with(MARKS[1])
            && let Some(start) = start.take()
        {
            spans.push(start..out.len());
        }
    }
    (out, spans)
}
