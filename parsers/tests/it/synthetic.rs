//! Formats that the built-in families do not cover.

use std::sync::Arc;

use serde_json::{Value, json};
use toolglot_format::{Format, Manifest};
use toolglot_parsers::{Parser, Program, Session, SessionOptions};

use crate::plan;

fn special(text: &str) -> Value {
    json!({"lit": {"text": text, "special": true}})
}

fn content() -> Value {
    json!({"text": {"channel": "content"}})
}

/// Name, format, and literals worth feeding.
pub(crate) fn all() -> Vec<(&'static str, Value, &'static [&'static str])> {
    vec![
        (
            "named",
            json!({"seq": [content(), {"rep": {"of": {"call": {"seq": [
                special("[TOOL_CALLS]"), {"name": {}},
                {"opt": {"seq": [special("[CALL_ID]"), {"id": {"pattern": "[a-zA-Z0-9]{9}"}}]}},
                {"lenient": special("[ARGS]")}, {"args": {"json": {}}},
            ]}}}}]}),
            &["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "{\"a\": ", "abc123def", "//", "/*", "*/", "}"],
        ),
        (
            "array",
            json!({"alt": [
                {"seq": [content(), special("[TOOL_CALLS]"), {"ws": ""}, {"lit": "["}, {"rep": {"of": {"call":
                    {"object": {"members": [
                        {"key": "name", "is": "name"},
                        {"key": "arguments", "aliases": ["parameters"], "is": "args"},
                        {"key": "id", "is": {"id": {"pattern": "[a-z]+"}}},
                    ]}}}, "sep": {"seq": [{"lit": ","}, {"ws": " "}]}, "min": 1}}, {"lit": "]"}]},
                content(),
            ]}),
            &["[TOOL_CALLS]", "[", "]", ", ", "\"id\": \"x\""],
        ),
        (
            // Calls whose marker got lost: a list at the start, an object on a line, a name in front of a token.
            "unmarked",
            json!({"seq": [
                {"lenient": {"seq": [{"ws": ""}, {"lit": "["}, {"rep": {"min": 1, "sep": {"lit": ", "}, "of": {"call":
                    {"object": {"members": [
                        {"key": "name", "is": "offered_name"}, {"key": "arguments", "is": "args"},
                    ]}}}}}, {"lit": "]"}]}},
                {"rep": {"of": {"alt": [
                    {"call": {"seq": [
                        {"alt": [
                            {"seq": [{"lenient": {"ws": ""}}, special("<call>"), {"name": {}}]},
                            {"lenient": {"name": {"offered": true}}},
                        ]},
                        {"ws": "\n"}, special("<args>"), {"args": {"json": {}}}, special("</call>"),
                    ]}},
                    {"lenient": {"call": {"object": {"members": [
                        {"key": "name", "is": "offered_name"}, {"key": "arguments", "is": "args"},
                    ]}}}},
                    content(),
                ]}}},
            ]}),
            &[
                "<call>",
                "<args>",
                "</call>",
                "now",
                "now\n<args>{}",
                "get_weather<args>",
                "get_",
                "weather",
                "[{\"name\": \"",
                "\n{\"name\": \"now\", \"arguments\": {}}",
                "{\"arguments\": {\"a\": 1}, \"name\": ",
                "\n",
                ", ",
                "]",
            ],
        ),
        (
            "escaped",
            json!({"rep": {"of": {"alt": [
                {"call": {"seq": [special("<call>"), {"name": {}}, {"ws": ""}, {"args": {"tagged": {"param": {"seq": [
                    {"lit": "<p:"}, {"key": {}}, {"lit": ">"}, {"value": {"escape": "xml"}}, {"lit": "</p>"},
                ]}}}}, special("</call>")]}},
                content(),
            ]}}}),
            &[
                "<call>",
                "</call>",
                "get_weather",
                "<p:city>",
                "<p:size>",
                "<p:tags>",
                "</p>",
                "&lt;",
                "&amp;",
                "&quot;",
                "&l",
                "&",
                "1",
                "[\"",
                "\"]",
                "{\"a\": \"&gt;\"}",
            ],
        ),
        (
            "pythonic",
            json!({"alt": [
                {"seq": [{"lit": "["}, {"rep": {"of": {"call": {"seq": [
                    {"name": {}}, {"lit": "("}, {"args": {"pythonic": {}}}, {"lit": ")"},
                ]}}, "sep": {"seq": [{"lit": ","}, {"ws": " "}]}, "min": 1}}, {"lit": "]"}]},
                content(),
            ]}),
            &["[", "]", "(", ")", "now", "a=", "'x'", "\"y\"", ", ", "None", "[1, {'k': 2}]"],
        ),
        (
            "marked",
            json!({"rep": {"of": {"alt": [
                {"call": {"seq": [
                    special("<|tool_call>"), {"lit": "call:"}, {"name": {}},
                    {"args": {"json": {"item": ",", "key": ":", "keys": "bare",
                        "strings": {"marked": {"text": "<|\"|>", "special": true}}}}},
                    {"alt": [special("<tool_call|>"), {"lenient": {"seq": []}}]},
                ]}},
                content(),
            ]}}}),
            &[
                "<|tool_call>",
                "<tool_call|>",
                "call:now{",
                "<|\"|>",
                "city:",
                "days:",
                ",",
                "{",
                "}",
                "[",
                "]",
                "<|\"|>}",
                "true",
                "12",
            ],
        ),
        (
            "escape",
            json!({"seq": [content(), {"rep": {"of": {"call": {"seq": [
                special("<start_function_call>"), {"lit": "call:"}, {"name": {}},
                {"args": {"json": {"item": ",", "key": ":", "keys": "bare",
                    "strings": {"marked": "<escape>"}}}},
                special("<end_function_call>"),
            ]}}}}]}),
            &[
                "<start_function_call>",
                "<end_function_call>",
                "call:get_weather{",
                "<escape>",
                "tags:[",
                "size:",
                ",",
                "}",
                "]",
                "<esc",
                "1.5",
            ],
        ),
        (
            "dicts",
            json!({"alt": [
                {"seq": [special("<|tool_calls|>"), {"lit": "["}, {"rep": {"of": {"call": {"object": {
                    "members": [{"key": "name", "is": "name"}, {"key": "arguments", "is": "args"}],
                    "notation": {"strings": "python", "words": "python"},
                }}}, "sep": {"lit": ", "}, "min": 1}}, {"lit": "]"}]},
                content(),
            ]}),
            &[
                "<|tool_calls|>[",
                "]",
                ", ",
                "{'name': 'now', 'arguments': {",
                "'a': None",
                "}}",
                "\"",
                "'",
                "[1, '",
            ],
        ),
        (
            "named_keys",
            json!({"seq": [content(), {"opt": {"seq": [
                special("<|tools_prefix|>"), {"lit": "["},
                {"rep": {"of": {"call": {"seq": [
                    {"lit": "{"}, {"ws": ""}, {"lit": "\""}, {"name": {}}, {"lit": "\""}, {"ws": ""},
                    {"lit": ":"}, {"ws": " "}, {"args": {"json": {}}}, {"ws": ""}, {"lit": "}"},
                ]}}, "min": 1, "sep": {"seq": [{"lit": ","}, {"ws": " "}]}}},
                {"lit": "]"}, special("<|tools_suffix|>"),
            ]}}]}),
            &["<|tools_prefix|>[", "<|tools_suffix|>", "{\"now\": {", "\"a\": 1", "}}", "]", ", ", "{", "\""],
        ),
        (
            "lines",
            json!({"seq": [content(), {"opt": {"seq": [
                {"lit": "<function_calls>"}, {"ws": "\n"},
                {"rep": {"of": {"call": {"seq": [
                    {"name": {}}, {"lit": "("}, {"args": {"pythonic": {}}}, {"lit": ")"},
                ]}}, "min": 1, "sep": {"ws": "\n"}}},
                {"ws": "\n"}, {"lit": "</function_calls>"},
            ]}}]}),
            &[
                "<function_calls>",
                "</function_calls>",
                "now(",
                ")",
                "city=",
                "'",
                "\"",
                "\\",
                ", ",
                "days='3'",
                "[",
                "]",
            ],
        ),
        (
            "pairs",
            json!({"seq": [content(), {"rep": {"of": {"call": {"seq": [
                {"lit": "<tool_call>"}, {"name": {}}, {"ws": "\n"},
                {"args": {"tagged": {"param": {"seq": [
                    {"lit": "<arg_key>"}, {"key": {}}, {"lit": "</arg_key>"}, {"ws": "\n"},
                    {"lit": "<arg_value>"}, {"value": {}}, {"lit": "</arg_value>"}, {"ws": "\n"},
                ]}}}},
                {"lit": "</tool_call>"},
            ]}}, "sep": {"ws": "\n"}}}]}),
            &[
                "<tool_call>",
                "</tool_call>",
                "<arg_key>",
                "</arg_key>",
                "<arg_value>",
                "</arg_value>",
                "city",
                "days",
            ],
        ),
        (
            "typed",
            json!({"seq": [content(), {"opt": {"seq": [
                special("<｜DSML｜calls>"), {"ws": "\n"},
                {"rep": {"of": {"call": {"seq": [
                    {"lit": "<｜DSML｜invoke name=\""}, {"name": {}}, {"lit": "\">"}, {"ws": "\n"},
                    {"args": {"tagged": {"param": {"seq": [
                        {"lit": "<｜DSML｜parameter name=\""}, {"key": {}}, {"lit": "\" string=\""},
                        {"type_lit": {"string": "true", "other": "false"}}, {"lit": "\">"},
                        {"value": {}}, {"lit": "</｜DSML｜parameter>"}, {"ws": "\n"},
                    ]}}}},
                    {"lit": "</｜DSML｜invoke>"}, {"ws": "\n"},
                ]}}}},
                special("</｜DSML｜calls>"),
            ]}}]}),
            &[
                "<｜DSML｜calls>",
                "</｜DSML｜calls>",
                "<｜DSML｜invoke name=\"",
                "\">",
                "</｜DSML｜invoke>",
                "<｜DSML｜parameter name=\"",
                "\" string=\"",
                "true",
                "false",
                "</｜DSML｜parameter>",
            ],
        ),
        (
            "raw",
            json!({"rep": {"of": {"alt": [
                {"call": {"seq": [special("<|python_tag|>"), {"name": {"only": ["python", "browser.search"]}},
                    {"lit": ":"}, {"args": {"raw": {"key": "code"}}}, special("<|eom|>")]}},
                {"call": {"seq": [special("<|python_tag|>"), {"name": {}}, {"lit": "\n"}, {"args": {"json": {}}},
                    {"alt": [special("<|eom|>"), {"lenient": {"seq": []}}]}]}},
                content(),
            ]}}}),
            &["<|python_tag|>", "<|eom|>", "python", "browser.search", ":", "\n"],
        ),
    ]
}

/// The formats in `parsers/tests/formats`, which the laws across crates run on, too.
pub(crate) fn files() -> Vec<(&'static str, Format)> {
    let files = [
        ("cdata", include_str!("../formats/cdata.toml")),
        ("elements", include_str!("../formats/elements.toml")),
        ("header", include_str!("../formats/header.toml")),
        ("maybe_words", include_str!("../formats/maybe_words.toml")),
        ("recipients", include_str!("../formats/recipients.toml")),
        ("suffixed", include_str!("../formats/suffixed.toml")),
        ("words", include_str!("../formats/words.toml")),
    ];
    files.map(|(name, toml)| (name, Manifest::from_toml(toml, name).unwrap().format)).to_vec()
}

pub(crate) fn format(name: &str) -> Format {
    if let Some((_, format)) = files().into_iter().find(|(id, _)| *id == name) {
        return format;
    }
    let (_, format, _) = all().into_iter().find(|(id, _, _)| *id == name).unwrap();
    serde_json::from_value(format).unwrap()
}

pub(crate) fn session(format: &Format) -> Box<dyn Session> {
    open(&Arc::new(Program::new(format).unwrap()))
}

pub(crate) fn open(program: &Arc<Program>) -> Box<dyn Session> {
    Box::new(Parser::new(program.clone(), &plan(), SessionOptions::default()))
}
