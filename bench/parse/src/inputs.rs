//! What the parsers read: one call that writes a file of a given size, in two formats, and hostile text.

use serde_json::{Value, json};

/// The bytes of a mebibyte.
pub(crate) const MEBI: usize = 1 << 20;

/// How a call is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// JSON inside `<tool_call>`, as Hermes and Qwen2.5 write it.
    Json,
    /// Parameters in XML-like tags, as Qwen3-Coder writes them.
    Xml,
}

impl Wire {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Wire::Json => "JSON",
            Wire::Xml => "XML",
        }
    }

    /// A call whose string argument is `size` bytes of code.
    pub(crate) fn call(self, size: usize) -> String {
        let content = code(size);
        match self {
            Wire::Json => {
                let arguments = json!({"path": "src/main.rs", "content": content});
                format!("<tool_call>\n{{\"name\": \"write_file\", \"arguments\": {arguments}}}\n</tool_call>")
            }
            Wire::Xml => format!(
                "<tool_call>\n<function=write_file>\n<parameter=path>\nsrc/main.rs\n</parameter>\n\
                 <parameter=content>\n{content}\n</parameter>\n</function>\n</tool_call>"
            ),
        }
    }

    /// The start of a call, up to the inside of its string argument.
    pub(crate) fn inside(self) -> &'static str {
        match self {
            Wire::Json => "<tool_call>\n{\"name\": \"write_file\", \"arguments\": {\"content\": \"",
            Wire::Xml => "<tool_call>\n<function=write_file>\n<parameter=content>\n",
        }
    }
}

/// The arguments that [`Wire::call`] holds.
pub(crate) fn arguments(size: usize) -> Value {
    json!({"path": "src/main.rs", "content": code(size)})
}

/// The schema of the tool that is called.
pub(crate) fn schema() -> Value {
    json!({"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}})
}

fn code(size: usize) -> String {
    let line = "fn main() { let x = vec![1, 2, 3]; println!(\"{}\", x.len() < 4 && x[0] > 0); }\n";
    line.repeat(size / line.len() + 1)[..size].to_owned()
}

/// A mebibyte of prose.
pub(crate) fn prose() -> String {
    fill("The quick brown fox jumps over the lazy dog, again and again. ")
}

/// Text that parsers trip over, a mebibyte each, with a name.
pub(crate) fn hostile() -> Vec<(&'static str, String)> {
    let units = [
        ("{", "{"),
        ("<", "<"),
        ("half a marker", "<tool_ca"),
        ("half a closer", "</tool_"),
        ("backslashes", "\\"),
        ("open brackets", "["),
        ("quotes", "\""),
        ("spaces", " "),
    ];
    units.map(|(name, unit)| (name, fill(unit))).into()
}

fn fill(unit: &str) -> String {
    unit.repeat(MEBI / unit.len())
}
