//! A bare decode loop over somebody else's logits: no MLX, no wasmtime.
//!
//! `cargo run -p toolglot --example decode_loop -- MODEL_DIR`, such as `models/tiny-qwen3`. The logits are
//! noise, so the call is nonsense, but it is a call that the tool's schema accepts.

use std::error::Error;

use serde_json::json;
use toolglot::grammar::Spacing;
use toolglot::sampler::{Sampler, SamplingParams};
use toolglot::template::Conversation;
use toolglot::{Event, Model, Plan, Registry, SessionSettings, Turn};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("name a model folder in Hugging Face layout")?;
    let model = Model::from_dir(dir, &Registry::builtin()?, None)?;

    let tools = [json!({"type": "function", "function": {
        "name": "set_light",
        "parameters": {
            "type": "object",
            "properties": {"room": {"enum": ["kitchen", "hall"]}, "level": {"type": "integer", "minimum": 0, "maximum": 9}},
            "required": ["room", "level"],
            "additionalProperties": false,
        },
    }})];
    let mut plan = Plan::from_openai(&json!(tools), &json!("required"), false)?;
    plan.reasoning = false;
    let messages = [json!({"role": "user", "content": "Light the hall."})];
    let conversation = Conversation::new(&messages).with_tools(&tools);
    let prompt = model.prompt(&conversation)?;
    // Here a real engine would compute the prompt's tokens.

    // Noise has no habits, so white space is not left to it.
    let settings =
        SessionSettings { spacing: Spacing::Family, max_tokens: Some(200), ..SessionSettings::default() };
    let mut session = model.session(&plan, &prompt.tail, &settings)?;
    let mut sampler = Sampler::new(SamplingParams { seed: 7, ..SamplingParams::default() }, &[])?;
    let mut logits = vec![0.0_f32; model.vocabulary().len()];
    let mut mask = vec![0_u32; model.vocabulary().mask_words()];
    let mut events: Vec<Event> = Vec::new();
    let reason = loop {
        noise(&mut logits, sampler.step());
        session.mask(&mut mask)?;
        let sampled = sampler.sample(&mut logits, Some(&mask))?;
        if let Some(reason) = session.accept(sampled.id, &mut events)? {
            break reason;
        }
    };

    let turn: Turn = events.into_iter().collect();
    let call = turn.calls.first().ok_or_else(|| format!("no call: {turn:?}, ended by {reason:?}"))?;
    println!("{} {}", call.name, call.arguments);
    println!("{} tokens, ended by {reason:?}", sampler.step());
    Ok(())
}

/// Stands in for a model.
fn noise(logits: &mut [f32], step: u64) {
    let mut state = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for logit in logits {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *logit = (state >> 40) as f32 / (1 << 24) as f32;
    }
}
