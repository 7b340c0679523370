//! Ways to write values, each in a format as a family would state it, under the laws.

use std::sync::Arc;

use toolglot_format::Manifest;
use toolglot_parsers::{DataFamily, Family};
use toolglot_workbench::laws::{LAWS, Samples};

/// Name and format.
const FORMATS: [(&str, &str); 4] = [
    (
        "marked",
        r##"
        [[format.rep.of.alt]]
        call.seq = [
            { lit = { text = "<|tool_call>", special = true } },
            { lit = "call:" },
            { name = {} },
            { args = { json = { item = ",", key = ":", keys = "bare", strings = { marked = { text = '<|"|>', special = true } } } } },
            { lit = { text = "<tool_call|>", special = true } },
        ]
        [[format.rep.of.alt]]
        text = { channel = "content" }
        "##,
    ),
    (
        "escape",
        r##"
        [[format.seq]]
        text = { channel = "content" }
        [[format.seq]]
        rep.of.call.seq = [
            { lit = { text = "<start_function_call>", special = true } },
            { lit = "call:" },
            { name = {} },
            { args = { json = { item = ",", key = ":", keys = "bare", strings = { marked = "<escape>" } } } },
            { lit = { text = "<end_function_call>", special = true } },
        ]
        "##,
    ),
    (
        "dicts",
        r##"
        [[format.alt]]
        [[format.alt.seq]]
        lit = { text = "<|tool_calls|>", special = true }
        [[format.alt.seq]]
        lit = "["
        [[format.alt.seq]]
        [format.alt.seq.rep]
        min = 1
        sep = { lit = ", " }
        [format.alt.seq.rep.of.call.object]
        notation = { strings = "python", words = "python" }
        members = [{ key = "name", is = "name" }, { key = "arguments", is = "args" }]
        [[format.alt.seq]]
        lit = "]"
        [[format.alt]]
        text = { channel = "content" }
        "##,
    ),
    (
        "lines",
        r##"
        [[format.seq]]
        text = { channel = "content", excluding = ["</function_calls>"] }
        [[format.seq]]
        [[format.seq.opt.seq]]
        lit = "<function_calls>"
        [[format.seq.opt.seq]]
        ws = "\n"
        [[format.seq.opt.seq]]
        [format.seq.opt.seq.rep]
        min = 1
        sep = { ws = "\n" }
        of = { call = { seq = [{ name = {} }, { lit = "(" }, { args = { pythonic = {} } }, { lit = ")" }] } }
        [[format.seq.opt.seq]]
        ws = "\n"
        [[format.seq.opt.seq]]
        lit = "</function_calls>"
        "##,
    ),
];

/// The families. They have no templates.
fn families() -> Vec<Arc<dyn Family>> {
    let family = |(id, format): &(&str, &str)| -> Arc<dyn Family> {
        let text = format!(
            "id = \"{id}\"\ntitle = \"A format of the tests\"\n[turn]\nopen = \"<a>\"\nclose = \"</a>\"\n{format}"
        );
        let manifest = Manifest::from_toml(&text, id).unwrap_or_else(|error| panic!("{error}"));
        Arc::new(DataFamily::new(manifest, None, None))
    };
    FORMATS.iter().map(family).collect()
}

#[test]
fn every_notation_keeps_the_laws() {
    let mut wrong = String::new();
    for family in families() {
        for law in LAWS.iter().filter(|law| law.of_format) {
            if let Err(why) = law.check(family.as_ref(), &Samples::default()) {
                wrong += &format!("== {}, law {}: {}\n{why}\n", family.manifest().id, law.number, law.title);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
