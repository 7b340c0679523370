//! A family's chat template: how it writes an assistant's turn, and what of a turn it writes at all.
//!
//! A template may leave reasoning out of the history, or refuse text beside a call. That is found by rendering
//! small turns, and recorded, so that a change shows.

use std::sync::Arc;

use serde_json::{Value, json};
use toolglot::format::{Call, Channel, FinishReason, Turn};
use toolglot::template::{ChatTemplate, Clock, Conversation, TemplateOptions};
use toolglot::{Family, Piece, Plan, Tool};

use crate::expect::{parse, same, show};
use crate::place::{Thing, has_place};
use crate::record::{Record, barred};
use crate::{ids, tool_set};

/// The day on which templates are rendered.
const DAY: i64 = 1_735_732_800;

/// What of a turn a template writes, beside an answer or one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) calls: bool,
    pub(crate) several: bool,
    pub(crate) reasoning: bool,
    pub(crate) reasoning_with_call: bool,
    pub(crate) text_with_call: bool,
}

/// A compiled template and what it writes.
pub(crate) struct Writer<'a> {
    family: &'a dyn Family,
    template: Arc<ChatTemplate>,
    pub(crate) abilities: Abilities,
    /// The abilities in words.
    told: String,
}

impl<'a> Writer<'a> {
    /// Compiles the family's template and finds what it writes.
    pub(crate) fn new(family: &'a dyn Family) -> Result<Writer<'a>, String> {
        let source = family.template().ok_or("the family has no template.jinja")?;
        let options = TemplateOptions { clock: Clock::Fixed(DAY), ..TemplateOptions::default() };
        let template = ChatTemplate::compile(source, &options).map_err(|error| error.to_string())?;
        Writer::of(family, Arc::new(template))
    }

    /// As [`Writer::new`], with a template of a checkpoint's own.
    pub(crate) fn of(family: &'a dyn Family, template: Arc<ChatTemplate>) -> Result<Writer<'a>, String> {
        let none = Abilities {
            calls: false,
            several: false,
            reasoning: false,
            reasoning_with_call: false,
            text_with_call: false,
        };
        let mut writer = Writer { family, template, abilities: none, told: String::new() };
        writer.probe()?;
        Ok(writer)
    }

    /// What the template writes, in words, a line each.
    pub(crate) fn told(&self) -> &str {
        &self.told
    }

    fn probe(&mut self) -> Result<(), String> {
        let plan = Plan { tools: tool_set("weather")?, ..Plan::default() };
        let call = |city: &str| Call {
            name: "get_weather".into(),
            id: None,
            arguments: json!({"city": city}).to_string(),
            complete: true,
        };
        let turn = |reasoning: &str, content: &str, cities: &[&str]| Turn {
            reasoning: reasoning.into(),
            content: content.into(),
            calls: cities.iter().map(|city| call(city)).collect(),
            malformed: Vec::new(),
        };
        self.must(&plan, turn("", "Probeanswer.", &[]))?;
        let format = &self.family.manifest().format;
        if has_place(format, &[Thing::Call]) || format.has_extern() {
            self.must(&plan, turn("", "", &["Probeone"]))?;
            self.abilities.calls = true;
            let two = turn("", "", &["Probeone", "Probetwo"]);
            self.abilities.several = self.can("several calls", &plan, two, &["Probetwo", "Probeone"])?;
            let both = turn("", "Probetext.", &["Probeone"]);
            self.abilities.text_with_call =
                self.can("text beside a call", &plan, both, &["Probetext.", "Probeone"])?;
        }
        let think = "Probethought.";
        let both = turn(think, "Probeanswer.", &[]);
        self.abilities.reasoning = self.can("reasoning", &plan, both, &[think, "Probeanswer."])?;
        if self.abilities.calls {
            let both = turn(think, "", &["Probeone"]);
            self.abilities.reasoning_with_call =
                self.can("reasoning before a call", &plan, both, &[think, "Probeone"])?;
        }
        Ok(())
    }

    /// What every template writes.
    fn must(&self, plan: &Plan, mut turn: Turn) -> Result<(), String> {
        let body = self.body(&plan.tools, &mut turn)?;
        let events = parse(self.family, plan, "", &[Piece::text(&body)], FinishReason::Stop)?;
        same(plan, &events, std::slice::from_ref(&turn))
            .map_err(|why| format!("the template writes\n{}{why}", barred(&body)))
    }

    /// Whether the template writes the turn with all of `words`, the first of them that of the part in question.
    fn can(&mut self, what: &str, plan: &Plan, mut turn: Turn, words: &[&str]) -> Result<bool, String> {
        let absent = |body: &str| words.iter().position(|word| !body.contains(word));
        let word = words.first().copied().unwrap_or_default();
        let answer = match self.body(&plan.tools, &mut turn) {
            Err(error) => format!("refused: {}", error.lines().next().unwrap_or_default()),
            Ok(body) if absent(&body) == Some(0) => "left out".into(),
            Ok(body) if absent(&body).is_some() => "in place of the rest".into(),
            Ok(body) => {
                let events = parse(self.family, plan, "", &[Piece::text(&body)], FinishReason::Stop)?;
                let got: Turn = events.iter().cloned().collect();
                // A template may write text behind the calls.
                let mut behind = [turn.clone(), Turn { content: turn.content.clone(), ..Turn::default() }];
                behind[0].content.clear();
                let read = same(plan, &events, std::slice::from_ref(&turn));
                match read.or_else(|why| same(plan, &events, &behind).map_err(|_| why)) {
                    Ok(()) => "written".into(),
                    Err(_) if !turn.reasoning.contains(word) && got.reasoning.contains(word) => {
                        "written as reasoning".into()
                    }
                    Err(why) => {
                        return Err(format!(
                            "the template writes {what} as\n{}{why}\nread was\n{}",
                            barred(&body),
                            show(&events)
                        ));
                    }
                }
            }
        };
        self.told += &format!("{what}: {answer}\n");
        Ok(answer == "written")
    }

    /// The turn without what this template does not write.
    pub(crate) fn fit(&self, turn: &mut Turn) {
        let can = &self.abilities;
        if !can.calls {
            turn.calls.clear();
        }
        if !can.several {
            turn.calls.truncate(1);
        }
        let with_call = !turn.calls.is_empty();
        if with_call && !can.text_with_call {
            turn.content.clear();
        }
        if !(if with_call { can.reasoning_with_call } else { can.reasoning }) {
            turn.reasoning.clear();
        }
    }

    /// The text of an assistant's turn as the template writes it, between the frame of `[turn]`, without the
    /// family's stops.
    pub(crate) fn body(&self, tools: &[Tool], turn: &mut Turn) -> Result<String, String> {
        let manifest = self.family.manifest();
        ids::fill(&manifest.format, std::slice::from_mut(turn));
        let history = [json!({"role": "user", "content": "Go on."})];
        let offered = offered(tools);
        let conversation = Conversation::new(&history).with_tools(&offered);
        let rendered = self.template.assistant_turn(&conversation, &message(turn));
        let text = rendered.map_err(|error| error.to_string())?.text;
        // Templates write line breaks between turns, on either side.
        let open = manifest.turn.open.as_str();
        let body = text.strip_prefix(open).or_else(|| text.trim_start().strip_prefix(open));
        let body = body.ok_or_else(|| {
            format!(
                "[turn] open is {:?}, but the template writes a turn as\n{}",
                manifest.turn.open,
                barred(&text)
            )
        })?;
        let close = manifest.turn.close.as_str();
        let without = |close: &str| match close.is_empty() {
            true => None,
            false => body.strip_suffix(close).or_else(|| body.trim_end().strip_suffix(close)),
        };
        let body = without(close).or_else(|| without(close.trim_end())).unwrap_or(body);
        // A stop ends the turn, whatever white space the template writes behind it.
        let stops = manifest.stops.tokens.iter();
        let ended = |body: &str, stop: &str| body.trim_end().strip_suffix(stop).map(str::len);
        Ok(stops.fold(body, |body, stop| ended(body, stop).map_or(body, |end| &body[..end])).to_owned())
    }

    /// A conversation as the template writes it, up to where the next turn begins; and what it writes.
    pub(crate) fn record(&self) -> Result<Record, String> {
        let format = &self.family.manifest().format;
        let mut turn = Turn::default();
        let arguments = json!({"city": "Oslo", "days": 2}).to_string();
        turn.calls.push(Call { name: "get_weather".into(), id: None, arguments, complete: true });
        ids::fill(format, std::slice::from_mut(&mut turn));
        let id = call_id(&turn.calls[0], 0);
        let answer =
            json!({"role": "tool", "tool_call_id": id, "name": "get_weather", "content": "Rain, 7 °C"});
        let mut messages = vec![
            json!({"role": "system", "content": "Be brief."}),
            json!({"role": "user", "content": "How is Oslo?"}),
        ];
        if self.abilities.calls {
            messages.extend([message(&turn), answer]);
        }
        let tools = offered(&tool_set("weather")?);
        let conversation = Conversation::new(&messages).with_tools(&tools);
        let rendered = self.template.render(&conversation, true).map_err(|error| error.to_string())?;
        let text = &rendered.text[..rendered.text.len() - rendered.generation_prompt.len()];
        let mut record = Record::default();
        record.push("conversation", barred(text));
        record.push("generation prompt", barred(&rendered.generation_prompt));
        record.push("an assistant's turn", &self.told);
        Ok(record)
    }

    /// Whether the prompt ends where the format begins.
    pub(crate) fn check_prompt(&self) -> Result<(), String> {
        let manifest = self.family.manifest();
        let messages = [json!({"role": "user", "content": "How is Oslo?"})];
        let tools = offered(&tool_set("weather")?);
        for with_tools in [true, false] {
            let mut conversation = Conversation::new(&messages);
            if with_tools {
                conversation = conversation.with_tools(&tools);
            }
            let rendered = self.template.render(&conversation, true).map_err(|error| error.to_string())?;
            let prompt = &rendered.generation_prompt;
            let Some((_, tail)) = prompt.split_once(manifest.turn.open.as_str()) else {
                return Err(format!(
                    "[turn] open is {:?}, but the prompt ends in\n{}",
                    manifest.turn.open,
                    barred(prompt)
                ));
            };
            // Whatever the prompt holds of the turn, an answer may follow it.
            let plan = Plan::default();
            let events = parse(self.family, &plan, tail, &[Piece::text("Probeanswer.")], FinishReason::Stop)?;
            let text = events.iter().find_map(|event| match event {
                toolglot::Event::Text { channel, text } => Some((*channel, text.as_str())),
                _ => None,
            });
            let opens = !manifest.reasoning.open.is_empty() && tail.contains(manifest.reasoning.open.trim());
            let as_reasoning = matches!(text, Some((Channel::Reasoning, "Probeanswer.")));
            let as_content = matches!(text, Some((Channel::Content, "Probeanswer.")));
            if !(as_content || as_reasoning && opens) {
                return Err(format!(
                    "the prompt ends in\n{}and an answer behind it reads as\n{}",
                    barred(prompt),
                    show(&events)
                ));
            }
        }
        Ok(())
    }
}

fn call_id(call: &Call, index: usize) -> String {
    call.id.clone().unwrap_or_else(|| format!("call_{index}"))
}

fn message(turn: &Turn) -> Value {
    let calls: Vec<Value> = turn
        .calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or(Value::Null);
            let function = json!({"name": call.name, "arguments": arguments});
            json!({"id": call_id(call, index), "type": "function", "function": function})
        })
        .collect();
    let mut message = json!({"role": "assistant", "content": turn.content});
    if !turn.reasoning.is_empty() {
        message["reasoning_content"] = turn.reasoning.clone().into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

pub(crate) fn offered(tools: &[Tool]) -> Vec<Value> {
    let offer = |tool: &Tool| {
        let description = if tool.description.is_empty() { "Does it." } else { &tool.description };
        let function = json!({"name": tool.name, "description": description, "parameters": tool.parameters});
        json!({"type": "function", "function": function})
    };
    tools.iter().map(offer).collect()
}
