//! Published chat templates, a folder for each source: from PyPI the source archives of llama-cpp-python (llama.cpp's
//! collection), vLLM and axolotl; from npm tokenizer packages and `@huggingface/ollama-utils` (the templates of the
//! models in Ollama's library).

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{npm, shell};

/// Folder, project on PyPI, file, its SHA-256, and which members.
const ARCHIVES: [[&str; 5]; 3] = [
    [
        "llama.cpp",
        "llama-cpp-python",
        "llama_cpp_python-0.3.36.tar.gz",
        "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
        r"/models/templates/([^/]+\.jinja)$",
    ],
    [
        "vllm",
        "vllm",
        "vllm-0.33.0.tar.gz",
        "f4c33c2503d52bb411146afa9618a4f48bed68912f617e6803ac8d76e4c74112",
        r"/examples/(?:.+/)?([^/]+\.jinja)$|/chat/tests/templates/([^/]+\.jinja)$",
    ],
    [
        "axolotl",
        "axolotl",
        "axolotl-0.19.0.tar.gz",
        "136d623f04c909c5149d7f5dbd4a0e215014ab4c3617cce9d64010b5b8ca609d",
        r"/chat_templates/templates/([^/]+\.jinja)$",
    ],
];

const OLLAMA: (&str, &str) = (
    "@huggingface/ollama-utils@0.0.18",
    "sha512-XdFPSQY2nFX3IQrviL2A4RqSGAsS5655CI1lQmT2TVz3YWVEFXHFJ9LEvmKZKmb1ihjhENaUy2/RJc4foaWpQA==",
);
const OLLAMA_LIST: &str = "chat-template-automap.ts";
/// Ollama's list is a TypeScript file of nothing but literals.
const SPLIT_LIST: &str = r#"
const fs = require("fs");
const source = fs.readFileSync(process.argv[1], "utf8");
const list = eval(source.slice(source.indexOf("= [") + 2).trim().replace(/;$/, ""));
for (const entry of list) {
  fs.writeFileSync(entry.model.split("/").pop().replace(":", "_") + ".jinja", entry.gguf);
}
"#;

/// Brings every source whose folder is not there yet.
pub(super) fn fetch(python: &Path, root: &Path) -> Result<()> {
    let script = shell::root().join("core/dev/src/templates/fetch.py");
    for [folder, archive @ ..] in ARCHIVES {
        once(root, folder, |part| shell::run(Command::new(python).arg(&script).arg(part).args(archive)))?;
    }
    once(root, "npm", |part| {
        let with_template = npm::TOKENIZERS.iter().filter(|(model, _)| *model != "gptoss");
        with_template
            .map(|(model, _)| *model)
            .try_for_each(|model| npm::tokenizer(model, &["tokenizer_config.json"], &part.join(model)))
    })?;
    once(root, "ollama", |part| {
        npm::unpack(OLLAMA.0, OLLAMA.1, &[format!("package/src/{OLLAMA_LIST}")], part)?;
        shell::run(Command::new("node").args(["-e", SPLIT_LIST, OLLAMA_LIST]).current_dir(part))?;
        fs::remove_file(part.join(OLLAMA_LIST)).context("cannot remove Ollama's list")
    })
}

/// Fills a folder that is not there: whole or not at all.
fn once(root: &Path, folder: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let (to, part) = (root.join(folder), root.join(format!("{folder}.part")));
    if to.exists() {
        return Ok(());
    }
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("cannot clear {}", part.display()))?;
    }
    fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    shell::step(&format!("fetch {folder}"), || fill(&part))?;
    fs::rename(&part, &to).with_context(|| format!("cannot make {}", to.display()))
}
