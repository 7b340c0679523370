//! Finds the family folders, checks each `family.toml`, and writes one module per family.
//!
//! A folder holds `family.toml`, optionally `template.jinja`, and at level L1 `family.rs` with
//! `pub fn lower(plan: &Plan, base: &Format) -> Result<Format, FamilyError>`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use toolglot_format::{Format, Manifest};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("families");
    println!("cargo::rerun-if-changed={}", root.display());
    let folders = match folders(&root) {
        Ok(folders) => folders,
        Err(error) => fail(&format!("{}: {error}", root.display())),
    };
    let mut sources = BTreeMap::new();
    for folder in folders {
        let path = folder.join("family.toml");
        match fs::read_to_string(&path) {
            Ok(source) => sources.insert(folder, source),
            Err(error) => fail(&format!("{}: {error}; a family folder needs this file", path.display())),
        };
    }
    let mut code = String::new();
    for (folder, source) in &sources {
        let manifest = read(folder, source, &sources, 0);
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if manifest.id != name {
            fail(&format!(
                "{}/family.toml: `id` is `{}`, the folder is `{name}`",
                folder.display(),
                manifest.id
            ));
        }
        write_module(&mut code, folder, &manifest);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("families.rs");
    if let Err(error) = fs::write(&out, code) {
        fail(&format!("{}: {error}", out.display()));
    }
}

fn fail(message: &str) -> ! {
    // Several lines show as several errors.
    message.lines().for_each(|line| println!("cargo::error={line}"));
    process::exit(1)
}

fn folders(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(folder: &Path, source: &str, all: &BTreeMap<PathBuf, String>, depth: usize) -> Manifest {
    let format_of = |id: &str| -> Option<Format> {
        let (folder, source) = all.iter().find(|(folder, _)| folder.ends_with(id)).filter(|_| depth < 8)?;
        Some(read(folder, source, all, depth + 1).format)
    };
    let origin = folder.join("family.toml").display().to_string();
    match Manifest::from_toml_with(source, &origin, &format_of) {
        Ok(manifest) => manifest,
        Err(error) => fail(&error.to_string()),
    }
}

fn write_module(code: &mut String, folder: &Path, manifest: &Manifest) {
    let file = |name: &str| {
        let path = folder.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        path.is_file().then(|| format!("{:?}", path.display().to_string()))
    };
    // Ids may hold characters that identifiers may not.
    let module: String =
        manifest.id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let toml = file("family.toml").unwrap_or_default();
    let text = |name: &str| match file(name) {
        Some(path) => format!("Some(include_str!({path}))"),
        None => "None".into(),
    };
    let (template, known) = (text("template.jinja"), text("known.toml"));
    let (body, lower) = match file("family.rs") {
        Some(path) => (
            format!("#[path = {path}]\n    mod code;\n    pub use code::lower;"),
            "Some(code::lower as crate::Lower)",
        ),
        None => (String::new(), "None"),
    };
    // Titles are plain text; rustdoc would read markers in them as HTML.
    let title = manifest.title.replace('<', "\\<").replace('[', "\\[").replace(']', "\\]");
    let id = &manifest.id;
    let _ = write!(
        code,
        "#[doc = {title:?}]\npub mod {module} {{\n    {body}\n    /// The manifest's source.\n    \
         pub const MANIFEST: &str = include_str!({toml});\n    /// The chat template.\n    \
         pub const TEMPLATE: Option<&str> = {template};\n    \
         #[cfg(not(target_family = \"wasm\"))]\n    inventory::submit! {{\n        \
         crate::BuiltinFamily::new({id:?}, MANIFEST, TEMPLATE, {lower}).with_known({known})\n    }}\n}}\n"
    );
}
