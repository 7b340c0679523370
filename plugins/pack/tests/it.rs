//! What packing takes, what it refuses, and that it gives the same bytes each time.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use toolglot_plugin_pack::{PackError, encode, pack};

fn families() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parsers/families")
}

fn folder(manifest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("family.toml"), manifest).unwrap();
    folder
}

#[test]
fn every_data_only_family_packs_to_the_same_bytes() {
    let mut packed = Vec::new();
    for entry in std::fs::read_dir(families()).unwrap() {
        let path = entry.unwrap().path();
        if path.join("family.rs").exists() {
            assert!(matches!(pack(&path), Err(PackError::HasCode { .. })), "{}", path.display());
            continue;
        }
        let component = pack(&path).unwrap();
        assert_eq!(component[..8], *b"\0asm\x0d\0\x01\0", "{}", path.display());
        assert_eq!(component, pack(&path).unwrap());
        let id = path.file_name().unwrap().to_str().unwrap().to_owned();
        let holds = |text: &str| component.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds(&format!(r#""id":"{id}""#)), "{id} does not hold its manifest");
        assert!(!holds("same_as"), "{id} does not state its own format");
        packed.push(id);
    }
    assert!(packed.len() >= 3, "{packed:?}");
}

#[test]
fn a_wrong_manifest_is_told_with_line_and_column() {
    let folder = folder("id = \"x\"\ntitle = 3\n");
    let error = pack(folder.path()).unwrap_err();
    assert!(matches!(error, PackError::Manifest(_)));
    assert!(error.to_string().contains("line 2, column 9"), "{error}");
    let error = pack(Path::new("/nonexistent")).unwrap_err();
    assert!(matches!(&error, PackError::Read { path, .. } if path.ends_with("family.toml")), "{error}");
}

#[test]
fn a_format_for_code_cannot_be_packed_without_code() {
    let folder = folder("id = \"x\"\ntitle = \"X\"\nturn.open = \"<a>\"\nformat = { extern = {} }\n");
    assert!(matches!(pack(folder.path()), Err(PackError::NeedsCode { family }) if family == "x"));
}

#[test]
fn a_module_of_another_kind_cannot_be_encoded() {
    assert!(matches!(encode(b"\0asm\x01\0\0\0"), Err(PackError::Encode(_))));
    assert!(matches!(encode(b"text"), Err(PackError::Encode(_))));
}
