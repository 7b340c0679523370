//! The parsers, ours and theirs, behind one door.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use cpu_time::ThreadTime;
use dynamo_parsers::tool_calling::jail::{Annotated, JailedStream};
use dynamo_parsers::tool_calling::{ToolDefinition, detect_and_parse_tool_call};
use dynamo_protocols::types::{
    ChatChoiceStream, ChatCompletionMessageContent, ChatCompletionStreamResponseDelta,
    CreateChatCompletionStreamResponse, FinishReason as DynamoFinish, Role,
};
use futures::StreamExt;
use futures::executor::block_on;
use openai_protocol::common::Tool as SmgTool;
use serde_json::{Value, json};
use toolglot_format::{Event, FinishReason, Piece, Plan};
use toolglot_parsers::{Family, Program, Registry, SessionOptions};

use crate::inputs::{Wire, schema};

/// A reading that takes longer by the clock is broken off.
const BREAK_OFF: Duration = Duration::from_secs(8);

/// The reading took longer than [`BREAK_OFF`].
#[derive(Debug, thiserror::Error)]
#[error("broken off after {} s", BREAK_OFF.as_secs())]
pub(crate) struct TooSlow;

/// The pieces of an output, until time is up.
fn in_time<T>(pieces: impl IntoIterator<Item = T>) -> impl Iterator<Item = Result<T, TooSlow>> {
    let start = Instant::now();
    pieces.into_iter().map(move |piece| if start.elapsed() < BREAK_OFF { Ok(piece) } else { Err(TooSlow) })
}

/// A call as a parser gives it: name and arguments.
pub(crate) type Call = (String, String);

/// Something that reads a whole output in pieces.
pub(crate) trait Parser {
    /// For the table.
    fn name(&self) -> String;

    /// Reads an output of this wire format that comes in `chunks`; gives the calls.
    fn parse(&self, wire: Wire, chunks: &[&str]) -> Result<Vec<Call>>;
}

/// Every parser that reads `wire`.
pub(crate) fn all(wire: Wire) -> Result<Vec<Box<dyn Parser>>> {
    let mut all: Vec<Box<dyn Parser>> =
        vec![Box::new(Toolglot::new()?), Box::new(Smg::new()?), Box::new(DynamoJail), Box::new(DynamoBatch)];
    if wire == Wire::Xml {
        all.push(Box::new(DynamoV2));
    }
    Ok(all)
}

/// This project's parser.
pub(crate) struct Toolglot {
    json: Arc<dyn Family>,
    xml: Arc<dyn Family>,
    plan: Plan,
}

impl Toolglot {
    pub(crate) fn new() -> Result<Self> {
        let registry = Registry::builtin()?;
        let family = |id: &str| registry.get(id).cloned().with_context(|| format!("no family `{id}`"));
        let tools = json!([{"name": "write_file", "parameters": schema()}]);
        let plan = Plan::from_openai(&tools, &Value::Null, true)?;
        Ok(Toolglot { json: family("hermes")?, xml: family("qwen3_coder")?, plan })
    }

    /// Microseconds for the program of each family and for a session on it.
    pub(crate) fn set_up(&self) -> Result<Vec<(String, [f64; 2])>> {
        const ROUNDS: u32 = 200;
        let time = |run: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
            let start = ThreadTime::now();
            (0..ROUNDS).try_for_each(|_| run())?;
            Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS))
        };
        let both = |family: &Arc<dyn Family>| {
            let manifest = family.manifest();
            let program = time(&mut || {
                black_box(Program::new(&manifest.format)?);
                Ok(())
            })?;
            let session = time(&mut || {
                black_box(family.session(&self.plan, SessionOptions::default())?);
                Ok(())
            })?;
            Ok((manifest.id.clone(), [program, session]))
        };
        [&self.json, &self.xml].into_iter().map(both).collect()
    }
}

impl Parser for Toolglot {
    fn name(&self) -> String {
        "toolglot".into()
    }

    fn parse(&self, wire: Wire, chunks: &[&str]) -> Result<Vec<Call>> {
        let family = if wire == Wire::Json { &self.json } else { &self.xml };
        let mut session = family.session(&self.plan, SessionOptions::default())?;
        let mut calls: Vec<Call> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut take = |events: &mut Vec<Event>| {
            for event in events.drain(..) {
                match event {
                    Event::CallStart { name, .. } => calls.push((name, String::new())),
                    Event::Arguments { json, .. } => {
                        if let Some((_, arguments)) = calls.last_mut() {
                            arguments.push_str(&json);
                        }
                    }
                    _ => {}
                }
            }
        };
        for chunk in chunks {
            session.feed(&[Piece::text(chunk)], &mut events);
            take(&mut events);
        }
        session.finish(FinishReason::Stop, &mut events);
        take(&mut events);
        Ok(calls)
    }
}

/// `tool-parser` of SMG.
struct Smg {
    tools: Vec<SmgTool>,
}

impl Smg {
    fn new() -> Result<Self> {
        let tool = json!({"type": "function", "function": {"name": "write_file", "parameters": schema()}});
        Ok(Smg { tools: vec![serde_json::from_value(tool)?] })
    }
}

impl Parser for Smg {
    fn name(&self) -> String {
        "tool-parser 1.10.0".into()
    }

    fn parse(&self, wire: Wire, chunks: &[&str]) -> Result<Vec<Call>> {
        let mut parser: Box<dyn tool_parser::ToolParser> = match wire {
            Wire::Json => Box::new(tool_parser::QwenParser::new()),
            Wire::Xml => Box::new(tool_parser::parsers::QwenXmlParser::new()),
        };
        if let [whole] = chunks {
            let (_, calls) = block_on(parser.parse_complete_with_tools(whole, &self.tools))?;
            return Ok(calls.into_iter().map(|call| (call.function.name, call.function.arguments)).collect());
        }
        let mut calls: Vec<Call> = Vec::new();
        for chunk in in_time(chunks) {
            for item in block_on(parser.parse_incremental(chunk?, &self.tools))?.calls {
                match item.name {
                    Some(name) => calls.push((name, item.parameters)),
                    None => {
                        if let Some((_, arguments)) = calls.last_mut() {
                            arguments.push_str(&item.parameters);
                        }
                    }
                }
            }
        }
        for item in parser.get_unstreamed_tool_args().unwrap_or_default() {
            if let Some((_, arguments)) = calls.last_mut() {
                arguments.push_str(&item.parameters);
            }
        }
        Ok(calls)
    }
}

fn dynamo_name(wire: Wire) -> &'static str {
    match wire {
        Wire::Json => "hermes",
        Wire::Xml => "qwen3_coder",
    }
}

fn dynamo_tools() -> Vec<ToolDefinition> {
    vec![ToolDefinition { name: "write_file".into(), parameters: Some(schema()), strict: None }]
}

/// `dynamo-parsers`, the stream that holds a call back until it is whole.
struct DynamoJail;

impl Parser for DynamoJail {
    fn name(&self) -> String {
        "dynamo-parsers 11.0.1".into()
    }

    fn parse(&self, wire: Wire, chunks: &[&str]) -> Result<Vec<Call>> {
        let texts = chunks.iter().map(|chunk| Some((*chunk).to_owned())).chain([None]);
        let input: Vec<_> = texts.map(response).collect();
        let jail = JailedStream::builder()
            .tool_call_parser(dynamo_name(wire))
            .tool_definitions(dynamo_tools())
            .build();
        let start = Instant::now();
        let in_time = futures::stream::iter(in_time(input).map_while(Result::ok));
        let output: Vec<_> = block_on(jail.apply(in_time).collect());
        if start.elapsed() >= BREAK_OFF {
            return Err(TooSlow.into());
        }
        let mut calls: Vec<Call> = Vec::new();
        let choices = output.into_iter().filter_map(|one| one.data?.choices.into_iter().next());
        for call in choices.flat_map(|choice| choice.delta.tool_calls.unwrap_or_default()) {
            let function = call.function.context("a call without a function")?;
            match function.name {
                Some(name) => calls.push((name, function.arguments.unwrap_or_default())),
                None => {
                    if let Some((_, arguments)) = calls.last_mut() {
                        arguments.push_str(&function.arguments.unwrap_or_default());
                    }
                }
            }
        }
        Ok(calls)
    }
}

/// One chunk of a chat completion; `None` ends the stream.
fn response(text: Option<String>) -> Annotated<CreateChatCompletionStreamResponse> {
    let finish_reason = text.is_none().then_some(DynamoFinish::Stop);
    let choice = ChatChoiceStream {
        index: 0,
        delta: ChatCompletionStreamResponseDelta {
            role: Some(Role::Assistant),
            content: text.map(ChatCompletionMessageContent::Text),
            tool_calls: None,
            function_call: None,
            refusal: None,
            reasoning_content: None,
        },
        finish_reason,
        logprobs: None,
    };
    let response = CreateChatCompletionStreamResponse {
        id: String::new(),
        choices: vec![choice],
        created: 0,
        model: String::new(),
        system_fingerprint: None,
        object: "chat.completion.chunk".into(),
        usage: None,
        service_tier: None,
    };
    Annotated { data: Some(response), id: None, event: None, comment: None, error: None }
}

/// `dynamo-parsers` over the whole text.
struct DynamoBatch;

impl Parser for DynamoBatch {
    fn name(&self) -> String {
        "dynamo-parsers 11.0.1, batch".into()
    }

    fn parse(&self, wire: Wire, chunks: &[&str]) -> Result<Vec<Call>> {
        let [whole] = chunks else { return Err(anyhow!("reads whole texts only")) };
        let tools = dynamo_tools();
        let (calls, _) = block_on(detect_and_parse_tool_call(whole, Some(dynamo_name(wire)), Some(&tools)))?;
        Ok(calls.into_iter().map(|call| (call.function.name, call.function.arguments)).collect())
    }
}

/// `dynamo-parsers-v2`, tool calls only.
struct DynamoV2;

impl Parser for DynamoV2 {
    fn name(&self) -> String {
        "dynamo-parsers-v2 0.9.6".into()
    }

    fn parse(&self, wire: Wire, chunks: &[&str]) -> Result<Vec<Call>> {
        let tool = dynamo_parsers_v2::Tool {
            name: "write_file".into(),
            description: None,
            parameters: schema(),
            strict: None,
        };
        let mut parser =
            dynamo_parsers_v2::create_tool_parser_for_family(dynamo_name(wire), std::slice::from_ref(&tool))?;
        let mut calls: Vec<Call> = Vec::new();
        let mut take = |result: dynamo_parsers_v2::ToolParseResult| {
            for delta in result.calls {
                match delta.name {
                    Some(name) => calls.push((name, delta.arguments)),
                    None => {
                        if let Some((_, arguments)) = calls.last_mut() {
                            arguments.push_str(&delta.arguments);
                        }
                    }
                }
            }
        };
        for chunk in in_time(chunks) {
            take(parser.push(chunk?)?);
        }
        take(parser.finish()?);
        Ok(calls)
    }
}
