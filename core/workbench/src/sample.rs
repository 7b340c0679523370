//! Random tools, turns and outputs for the laws.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use toolglot::format::{Call, Tool, ToolKind, Turn};

/// A parameter's type.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Strings,
    Object,
    NullableInteger,
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Kind::String => json!({"type": "string"}),
            Kind::Integer => json!({"type": "integer"}),
            Kind::Number => json!({"type": "number"}),
            Kind::Boolean => json!({"type": "boolean"}),
            Kind::Strings => json!({"type": "array", "items": {"type": "string"}}),
            Kind::Object => {
                json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
            }
            Kind::NullableInteger => json!({"type": ["integer", "null"]}),
        }
    }

    fn value(self) -> BoxedStrategy<Value> {
        match self {
            Kind::String => wild_text().prop_map(Value::from).boxed(),
            Kind::Integer => any::<i64>().prop_map(Value::from).boxed(),
            Kind::Number => (any::<i32>(), 0..3u32)
                .prop_map(|(n, places)| {
                    let text = format!("{}", f64::from(n) / f64::from(10_u32.pow(places)));
                    serde_json::from_str(&text).unwrap_or(Value::Null)
                })
                .boxed(),
            Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
            Kind::Strings => prop::collection::vec(wild_text(), 0..3).prop_map(Value::from).boxed(),
            Kind::Object => any::<i16>().prop_map(|n| json!({"n": n})).boxed(),
            Kind::NullableInteger => prop::option::of(any::<i16>()).prop_map(|n| json!(n)).boxed(),
        }
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::String,
        Kind::String,
        Kind::Integer,
        Kind::Number,
        Kind::Boolean,
        Kind::Strings,
        Kind::Object,
        Kind::NullableInteger,
    ])
}

/// Text of pieces that parsers trip over.
fn wild_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "word",
        " ",
        "  ",
        "\n",
        "\t",
        "\"",
        "\\",
        "'",
        "é",
        "東京",
        "🌤",
        "<",
        ">",
        "</",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        ";",
        "&",
        "&lt;",
        "7",
        "null",
        "true",
        "<|",
        "|>",
        "<tool",
        "tool_call>",
        "functions.",
        "json",
        "=",
        "\\n",
        "\u{7f}",
        "\r",
        "```",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Text that a person or a model would write: no white space around it.
fn prose() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        wild_text().prop_map(|text| text.trim().to_owned()),
        "[A-Z][a-z]{2,8}( [a-z]{1,7}){0,5}[.!?]",
    ]
}

/// Tools and a turn that calls some of them.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) tools: Vec<Tool>,
    pub(crate) turn: Turn,
}

/// Tools with random schemas and a turn of reasoning, content and `calls` calls.
pub(crate) fn sample(calls: std::ops::Range<usize>) -> impl Strategy<Value = Sample> {
    prop::collection::vec(tool(), 1..4).prop_flat_map(move |specs| {
        let call = (0..specs.len()).prop_flat_map({
            let specs = specs.clone();
            move |at| arguments(&specs[at]).prop_map(move |arguments| (at, arguments))
        });
        (Just(specs), prose(), prose(), prop::collection::vec(call, calls.clone())).prop_map(
            |(specs, reasoning, content, calls)| {
                let name = |at: usize| format!("{}_{at}", specs[at].name);
                let tools = specs.iter().enumerate().map(|(at, spec)| spec.tool(name(at))).collect();
                let calls = calls.into_iter().map(|(at, arguments)| Call {
                    name: name(at),
                    id: None,
                    arguments,
                    complete: true,
                });
                let turn = Turn { reasoning, content, calls: calls.collect(), malformed: Vec::new() };
                Sample { tools, turn }
            },
        )
    })
}

#[derive(Debug, Clone)]
struct Spec {
    name: String,
    /// Name, type, whether required.
    parameters: Vec<(String, Kind, bool)>,
}

impl Spec {
    fn tool(&self, name: String) -> Tool {
        let properties: Map<String, Value> =
            self.parameters.iter().map(|(name, kind, _)| (name.clone(), kind.schema())).collect();
        let required: Vec<&String> =
            self.parameters.iter().filter(|(_, _, required)| *required).map(|(name, _, _)| name).collect();
        let parameters = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        Tool { name, description: String::new(), parameters, kind: ToolKind::Function }
    }
}

fn tool() -> impl Strategy<Value = Spec> {
    let parameter = ("[a-z][a-z0-9_]{0,8}", kind(), any::<bool>());
    ("[a-z][a-z0-9_]{0,10}", prop::collection::vec(parameter, 0..4)).prop_map(|(name, list)| {
        let mut parameters: Vec<(String, Kind, bool)> = Vec::new();
        for parameter in list {
            if !parameters.iter().any(|(name, _, _)| *name == parameter.0) {
                parameters.push(parameter);
            }
        }
        Spec { name, parameters }
    })
}

/// Arguments in the order of the schema, with Python's spacing.
fn arguments(spec: &Spec) -> BoxedStrategy<String> {
    let values: Vec<_> = spec.parameters.iter().map(|(_, kind, _)| kind.value()).collect();
    let given: Vec<_> = spec
        .parameters
        .iter()
        .map(|(_, _, required)| if *required { Just(true).boxed() } else { any::<bool>().boxed() })
        .collect();
    let names: Vec<String> = spec.parameters.iter().map(|(name, _, _)| name.clone()).collect();
    (values, given)
        .prop_map(move |(values, given)| {
            let members = names.iter().zip(values).zip(given).filter(|(_, given)| *given);
            let object: Map<String, Value> =
                members.map(|((name, value), _)| (name.clone(), value)).collect();
            python_json(&Value::Object(object))
        })
        .boxed()
}

/// JSON as Python's `json.dumps(ensure_ascii=False)` writes it.
pub(crate) fn python_json(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}: {}", json!(key), python_json(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(python_json).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Output of a drunken model: literals of the format, calls, halves of calls and numbered words, in any
/// order. The words are `w1z`, `w2z`, …, each once.
pub(crate) fn mash(literals: Vec<String>) -> impl Strategy<Value = String> {
    #[derive(Debug, Clone)]
    enum Part {
        Literal(String),
        Half(String, prop::sample::Index),
        Word,
        Space(&'static str),
        Call,
        Object,
        Junk(String),
    }
    let literal = prop::sample::select(literals.clone());
    let part = prop_oneof![
        6 => literal.clone().prop_map(Part::Literal),
        1 => (literal, any::<prop::sample::Index>()).prop_map(|(text, at)| Part::Half(text, at)),
        4 => Just(Part::Word),
        2 => prop::sample::select(vec![" ", "\n", "\n\n", "\t"]).prop_map(Part::Space),
        2 => Just(Part::Call),
        1 => Just(Part::Object),
        1 => prop::sample::select(vec!["{", "}", "\"", "é", "東", "\\", "<", "[", "get_weather", "}}"])
            .prop_map(|text| Part::Junk(text.to_owned())),
    ];
    (prop::collection::vec(part, 0..24), any::<prop::sample::Index>(), prop::bool::weighted(0.3)).prop_map(
        |(parts, end, truncated)| {
            let mut words = 0;
            let mut word = || {
                words += 1;
                format!("w{words}z")
            };
            let mut text = String::new();
            for part in parts {
                text += &match part {
                    Part::Literal(text) => text,
                    Part::Half(text, at) => text.chars().take(at.index(text.chars().count() + 1)).collect(),
                    Part::Word => word(),
                    Part::Space(text) => text.to_owned(),
                    Part::Call => {
                        format!(
                            "{{\"name\": \"{}\", \"arguments\": {{\"city\": \"{}\", \"n\": [1, {{}}]}}}}",
                            word(),
                            word()
                        )
                    }
                    Part::Object => format!("{{\"city\": \"{}\"}}", word()),
                    Part::Junk(text) => text,
                };
            }
            if truncated && !text.is_empty() {
                text = text.chars().take(end.index(text.chars().count())).collect();
            }
            text
        },
    )
}
