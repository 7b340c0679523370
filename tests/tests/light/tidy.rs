//! The repository's own rules: heavy dependencies at the edge, small files, complete family folders.

use std::path::{Path, PathBuf};

use toolglot_tests::folder;

/// A heavy crate and the one manifest that may name it.
const HEAVY: [(&str, &str); 5] = [
    ("wasmtime", "plugins/host/Cargo.toml"),
    ("mlx-rs", "core/mlx/Cargo.toml"),
    ("tokenizers", "grammars/engine/Cargo.toml"),
    ("minijinja", "core/engine/Cargo.toml"),
    ("axum", "core/server/Cargo.toml"),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "__pycache__"].contains(&name.as_str()) {
                files(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

fn repository() -> Vec<PathBuf> {
    let root = folder::root();
    let mut found = Vec::new();
    for part in ["core", "parsers", "grammars", "plugins", "tests", "fuzz", "docs", "bench"] {
        if root.join(part).is_dir() {
            files(&root.join(part), &mut found);
        }
    }
    found.push(root.join("Cargo.toml"));
    found
}

fn names_dependency(table: &toml::Table, wanted: &str) -> bool {
    table.iter().any(|(key, value)| match value {
        toml::Value::Table(inner) if key.ends_with("dependencies") => inner.iter().any(|(name, value)| {
            name == wanted || value.get("package").and_then(toml::Value::as_str) == Some(wanted)
        }),
        toml::Value::Table(inner) => names_dependency(inner, wanted),
        _ => false,
    })
}

#[test]
fn heavy_crates_have_one_home() {
    let root = folder::root();
    let files = repository();
    let manifests: Vec<&PathBuf> = files.iter().filter(|path| path.ends_with("Cargo.toml")).collect();
    assert!(manifests.len() > 10, "{manifests:?}");
    for (heavy, home) in HEAVY {
        for manifest in &manifests {
            let table: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
            let place = manifest.strip_prefix(&root).unwrap();
            assert!(
                place == Path::new(home) || !names_dependency(&table, heavy),
                "{} names {heavy}, which belongs to {home} alone",
                place.display()
            );
        }
    }
}

#[test]
fn files_stay_small() {
    let files = repository();
    let sources = files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut sizes: Vec<(usize, &PathBuf)> =
        sources.map(|path| (std::fs::read_to_string(path).unwrap().lines().count(), path)).collect();
    sizes.sort();
    let lines: usize = sizes.iter().map(|(lines, _)| lines).sum();
    let mean = lines / sizes.len();
    println!("{} files, {lines} lines, {mean} on average", sizes.len());
    for (lines, path) in sizes.iter().rev().take_while(|(lines, _)| *lines > 800) {
        println!("{lines:>6}  {}: can it be two files?", path.display());
    }
    assert!(mean < 350, "files have {mean} lines on average");
    let (longest, path) = sizes.last().unwrap();
    assert!(*longest <= 1200, "{} has {longest} lines", path.display());
}

#[test]
fn family_folders_are_complete() {
    let ids = folder::ids().unwrap();
    assert!(ids.len() >= 4, "{ids:?}");
    for id in ids {
        let own = folder::families().join(&id);
        for part in ["family.toml", "template.jinja", "cases.toml", "snapshots"] {
            assert!(own.join(part).exists(), "family `{id}` has no {part}");
        }
    }
}
