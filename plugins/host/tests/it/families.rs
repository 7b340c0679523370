//! Families as components: the same events as native.

use fixture_memo as _;
use serde_json::json;
use toolglot_format::{Event, Plan, Turn};
use toolglot_parsers::{Family, Registry};
use toolglot_plugin_host::{PluginHost, SessionWhere};

use crate::{HOST, components, config, open, prebuilt, run};

fn weather() -> Plan {
    let tools = json!([{"name": "get_weather", "parameters": {"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}}}}]);
    Plan::from_openai(&tools, &json!(null), true).unwrap()
}

/// Events of an output in one piece and byte by byte.
fn both_cuts(family: &dyn Family, output: &str) -> [Vec<Event>; 2] {
    let single: Vec<&[u8]> = output.as_bytes().chunks(1).collect();
    [vec![output.as_bytes()], single].map(|pieces| {
        let (events, failure) = run(&mut *open(family, &weather()), &pieces);
        assert!(failure.is_none(), "{failure:?}");
        Event::join(events)
    })
}

const OUTPUTS: [&str; 5] = [
    "Just text, with <markers that are none.",
    "Wait.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Åre\", \"days\": 3}}\n</tool_call>",
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
    "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}",
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather \
     <|constrain|>json<|message|>{\"city\": \"Paris\"}<|call|>",
];

#[test]
fn every_built_in_family_is_the_same_as_a_component() {
    let native = Registry::builtin().unwrap();
    let components = components(&HOST);
    assert!(components.len() >= 4, "{components:?}");
    for family in &components {
        let id = &family.manifest().id;
        let same = native.get(id).unwrap();
        let stale = "its sources have changed: run `cargo dev plugins`";
        assert_eq!(family.manifest(), same.manifest(), "{id}: {stale}");
        assert_eq!(family.template(), same.template(), "{id}: {stale}");
        assert_eq!(family.format(&weather()).unwrap(), same.format(&weather()).unwrap());
        for output in OUTPUTS {
            assert_eq!(both_cuts(&**family, output), both_cuts(&**same, output), "{id}: {output}");
        }
    }
    assert!(components.iter().any(|family| family.lowers()), "one family runs code of its own");
}

#[test]
fn built_in_tools_of_harmony_are_lowered_in_the_guest() {
    let native = Registry::builtin().unwrap();
    let mut guest = config();
    guest.sessions = SessionWhere::Guest;
    let host = PluginHost::new(guest).unwrap();
    let family = host.load_bytes("harmony.wasm", &prebuilt("harmony")).unwrap();
    let mut plan = weather();
    plan.tools.push(toolglot_format::Tool {
        name: "python".into(),
        description: String::new(),
        parameters: json!({"type": "string"}),
        kind: toolglot_format::ToolKind::Builtin,
    });
    let lowered = family.format(&plan).unwrap();
    assert_eq!(lowered, native.get("harmony").unwrap().format(&plan).unwrap());
    assert_ne!(*lowered, family.manifest().format);
}

#[test]
fn a_family_with_a_session_of_its_own() {
    let native = Registry::builtin().unwrap();
    let same = native.get("memo").unwrap();
    let family = HOST.load_bytes("memo.wasm", &prebuilt("memo")).unwrap();
    let output =
        "Let me look.\n@get_weather\ncity = Paris\ndays = 3\n.\n@nothing\nwhat\n.\nDone ✓\n@cut\na = 1\n";
    let [whole, single] = both_cuts(&*family, output);
    assert_eq!(whole, single);
    assert_eq!([whole.clone(), single], both_cuts(&**same, output));
    let turn: Turn = whole.into_iter().collect();
    assert_eq!(turn.content, "Let me look.\nDone ✓\n");
    let calls: Vec<_> =
        turn.calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str(), call.complete)).collect();
    let expected = [
        ("get_weather", r#"{"city":"Paris","days":3}"#, true),
        ("nothing", "{}", true),
        ("cut", r#"{"a":1"#, false),
    ];
    assert_eq!(calls, expected);
    assert_eq!(turn.malformed.len(), 2);
    assert_eq!(&output[turn.malformed[0].span.start as usize..turn.malformed[0].span.end as usize], "what\n");

    // A call that the prompt has begun.
    let outcome = [&*family as &dyn Family, &**same].map(|family| {
        let mut session = open(family, &weather());
        session.prime(b"Well.\n@get_weather\ncity = Par");
        Event::join(run(&mut *session, &[b"is\n.\n"]).0).into_iter().collect::<Turn>()
    });
    assert_eq!(outcome[0], outcome[1]);
    assert_eq!(outcome[0].calls[0].arguments, r#"{"city":"Paris"}"#);
    assert_eq!((outcome[0].content.as_str(), outcome[0].calls[0].complete), ("", true));
}

#[test]
fn large_outputs_are_handed_over_in_parts() {
    let family =
        HOST.load_bytes("memo2.wasm", &crate::patched(prebuilt("memo"), "id = \"memo\"", "id = \"m3m0\""));
    let family = family.unwrap();
    let text = "A line of text that says nothing at all.\n".repeat(100_000);
    let (events, failure) = run(&mut *open(&*family, &weather()), &[text.as_bytes()]);
    assert!(failure.is_none(), "{failure:?}");
    assert_eq!(events.into_iter().collect::<Turn>().content, text);
}
