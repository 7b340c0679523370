//! Tool schemas with instances: everyday ones, and ones that hurt.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A schema and values.
pub struct Case {
    /// What it is.
    pub name: String,
    /// The schema.
    pub schema: Value,
    /// The values, members in declared order.
    pub instances: Vec<Instance>,
}

/// A value, and whether its schema accepts it.
pub struct Instance {
    /// Whether the schema accepts it.
    pub valid: bool,
    /// The value.
    pub data: Value,
}

/// A schema with values that it accepts.
fn case(name: &str, schema: Value, instances: &[Value]) -> Case {
    let instances = instances.iter().map(|data| Instance { valid: true, data: data.clone() }).collect();
    Case { name: name.to_string(), schema, instances }
}

/// The schemas of a folder of `{"schema": …, "tests": [{"valid": …, "data": …}, …]}` files that have a valid value:
/// `sample` of them, evenly over their sorted names, or all for 0.
pub fn read_folder(folder: &Path, sample: usize) -> Result<Vec<Case>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "json"));
    paths.sort();
    let step = if sample == 0 { 1.0 } else { (paths.len() as f64 / sample as f64).max(1.0) };
    let mut out: Vec<Case> = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        // The first usable one of each stretch.
        if (index as f64) < out.len() as f64 * step {
            continue;
        }
        let text = std::fs::read_to_string(path)?;
        let document: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let tests = document.get("tests").and_then(Value::as_array);
        let instance = |test: &Value| Instance {
            valid: test.get("valid") == Some(&Value::Bool(true)),
            data: test.get("data").cloned().unwrap_or_default(),
        };
        let instances: Vec<Instance> = tests.into_iter().flatten().map(instance).collect();
        if instances.iter().any(|instance| instance.valid) {
            out.push(Case {
                name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                schema: document.get("schema").cloned().unwrap_or_default(),
                instances,
            });
        }
    }
    Ok(out)
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

const PROSE: &str = "The harbour was quiet that morning; gulls circled above the pier, and \"nobody\" spoke.\n\
    A long way off – towards the island – someone had lit a fire. Übung macht den Meister, 東京タワー.";

/// Everyday tools.
pub fn tool_cases() -> Vec<Case> {
    let address = object(
        json!({"street": {"type": "string"}, "city": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}),
        &["street", "city"],
    );
    vec![
        case(
            "weather",
            object(
                json!({"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]},
                    "days": {"type": "integer", "minimum": 1, "maximum": 14}}),
                &["city"],
            ),
            &[json!({"city": "Reykjavík"}), json!({"city": "São Paulo", "unit": "celsius", "days": 10})],
        ),
        case(
            "mail",
            object(
                json!({"to": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 10},
                    "subject": {"type": "string", "maxLength": 120}, "body": {"type": "string"},
                    "urgent": {"type": "boolean"}}),
                &["to", "subject", "body"],
            ),
            &[
                json!({"to": ["a.person@example.org", "b@example.com"], "subject": "Minutes of Tuesday's meeting", "body": PROSE}),
                json!({"to": ["x@y.z"], "subject": "", "body": "ok", "urgent": true}),
            ],
        ),
        case(
            "search",
            object(
                json!({"query": {"type": "string", "minLength": 1, "maxLength": 200}, "limit": {"type": "integer", "minimum": 1, "maximum": 100},
                    "filters": object(json!({"from": {"type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}$"},
                        "language": {"enum": ["en", "de", "fr", "ja"]}, "score": {"type": "number", "minimum": 0, "maximum": 1}}), &[])}),
                &["query"],
            ),
            &[
                json!({"query": "rust token trie", "limit": 25, "filters": {"from": "2024-02-29", "language": "de", "score": 0.75}}),
            ],
        ),
        case(
            "order",
            object(
                json!({"customer": object(json!({"name": {"type": "string"}, "address": address}), &["name", "address"]),
                    "lines": {"type": "array", "minItems": 1, "items": object(json!({"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
                        "quantity": {"type": "integer", "minimum": 1}, "price": {"type": "number", "exclusiveMinimum": 0}}), &["sku", "quantity"])},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}}),
                &["customer", "lines"],
            ),
            &[
                json!({"customer": {"name": "Ada", "address": {"street": "1 Main St", "city": "Bath", "zip": "12345"}},
                "lines": [{"sku": "ABC-0001", "quantity": 3, "price": 12.5}, {"sku": "XYZ-9999", "quantity": 12}], "note": null}),
            ],
        ),
        case(
            "file",
            object(
                json!({"path": {"type": "string"}, "content": {"type": "string"}, "append": {"type": "boolean"}}),
                &["path", "content"],
            ),
            &[
                json!({"path": "src/main.rs", "content": "fn main() {\n    println!(\"hi\");\n}\n"}),
                json!({"path": "a/b c.txt", "content": PROSE, "append": false}),
            ],
        ),
        case(
            "tree",
            json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {"name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}, "required": ["name"], "additionalProperties": false}}}),
            &[
                json!({"name": "a", "children": [{"name": "b", "children": []}, {"name": "c", "children": [{"name": "d"}]}]}),
            ],
        ),
        case(
            "shape",
            json!({"anyOf": [
                object(json!({"kind": {"const": "circle"}, "radius": {"type": "number"}}), &["kind", "radius"]),
                object(json!({"kind": {"const": "rectangle"}, "width": {"type": "number"}, "height": {"type": "number"}}), &["kind", "width", "height"]),
            ]}),
            &[
                json!({"kind": "circle", "radius": 2.5}),
                json!({"kind": "rectangle", "width": 10, "height": 0.125}),
            ],
        ),
        case(
            "open",
            json!({"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}),
            &[json!({"id": 7, "anything": [1, {"x": null}, "text"], "more": {"deep": {"er": true}}})],
        ),
        case(
            "labels",
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            &[json!({"app": "web", "tier": "front end", "release": "2026.11"})],
        ),
        case("any", json!({"type": "object"}), &[json!({"a": [1, 2.5e3, "x", {"b": [true, false, null]}]})]),
    ]
}

/// Schemas after users' complaints: many tools, long bounds, many values, many properties, patterns.
pub fn stress_cases() -> Vec<Case> {
    let mut out = Vec::new();
    for count in [16, 64, 256] {
        let tool = |i: usize| {
            let properties: Map<String, Value> = (0..8)
                .map(|p| {
                    (format!("parameter_{p}"), json!({"type": (["string", "integer", "boolean"][p % 3])}))
                })
                .collect();
            object(
                json!({"name": {"const": format!("tool_number_{i}")}, "arguments": object(Value::Object(properties), &["parameter_0"])}),
                &["name", "arguments"],
            )
        };
        let instance = json!({"name": format!("tool_number_{}", count - 1), "arguments": {"parameter_0": "some text", "parameter_4": 12}});
        out.push(case(
            &format!("{count} tools"),
            json!({"anyOf": (0..count).map(tool).collect::<Vec<_>>()}),
            &[instance],
        ));
    }
    let long: String = PROSE.repeat(3);
    for (name, schema) in [
        ("string", json!({"type": "string"})),
        ("maxLength 1000", json!({"type": "string", "maxLength": 1000})),
        ("maxLength 100000", json!({"type": "string", "maxLength": 100000})),
        ("minLength 128", json!({"type": "string", "minLength": 128})),
        ("minLength 100, maxLength 5000", json!({"type": "string", "minLength": 100, "maxLength": 5000})),
    ] {
        out.push(case(name, schema, &[json!(long)]));
    }
    for count in [100, 10_000] {
        let values: Vec<String> =
            (0..count).map(|i| format!("value {} {i}", ["red", "green", "blue"][i % 3])).collect();
        out.push(case(&format!("enum of {count}"), json!({"enum": values}), &[json!(values[count / 2])]));
    }
    for count in [20, 100, 1000] {
        let properties: Map<String, Value> =
            (0..count).map(|i| (format!("property_{i}"), json!({"type": "integer"}))).collect();
        let instance = json!({"property_1": 1, format!("property_{}", count / 2): 22, format!("property_{}", count - 1): 333});
        let open = json!({"type": "object", "properties": properties});
        out.push(case(
            &format!("{count} optional properties"),
            object(Value::Object(properties), &[]),
            std::slice::from_ref(&instance),
        ));
        out.push(case(&format!("{count} optional properties, open"), open, &[instance]));
    }
    for (name, pattern, text) in [
        (
            "pattern, email-like",
            "^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\\.[a-zA-Z]{2,}$",
            "some.person+tag@mail.example.org",
        ),
        ("pattern, words", "^[a-z ]*$", "the quick brown fox jumps over the lazy dog"),
        ("pattern, {1,500}", "^[a-z]{1,500}$", "thequickbrownfoxjumpsoverthelazydog"),
        ("pattern, \\w and \\s", "^[\\w\\s]+$", "practice makes perfect"),
        ("pattern, found anywhere", "b[0-9]+", "see item b42 for more"),
        ("pattern, negated class", "^[^<>]*$", "plain text without angle brackets"),
        ("pattern, late choice", "^([a-z]+-[0-9]+|[a-z]+_[a-z]+)$", "some_longer"),
        ("pattern, words anywhere", "(error|warning|fatal): ", "a fatal: error, then a warning: none"),
    ] {
        out.push(case(name, json!({"type": "string", "pattern": pattern}), &[json!(text)]));
    }
    for (name, schema, text) in [
        (
            "pattern, maxLength",
            json!({"pattern": "^[a-z]+(-[a-z]+)*$", "maxLength": 64}),
            "some-kebab-case-name",
        ),
        ("date-time", json!({"format": "date-time"}), "2026-11-26T00:30:00Z"),
        ("uri", json!({"format": "uri"}), "https://example.org/a/path?with=query&more=1#part"),
        ("uuid", json!({"format": "uuid"}), "123e4567-e89b-12d3-a456-426614174000"),
    ] {
        let mut schema = schema;
        schema["type"] = "string".into();
        out.push(case(name, schema, &[json!(text)]));
    }
    let numbers: Vec<Value> = (0..200).map(|i| json!(i * 37 % 1009)).collect();
    out.push(case(
        "array of numbers",
        json!({"type": "array", "items": {"type": "number"}}),
        &[Value::Array(numbers)],
    ));
    out
}
