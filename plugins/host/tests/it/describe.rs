//! What the host refuses when a plugin is loaded, and with which error.

use toolglot_plugin_host::PluginError;

use crate::{HOST, patched, prebuilt, root};

fn refused(bytes: &[u8]) -> PluginError {
    HOST.load_bytes("x.wasm", bytes).expect_err("the plugin was not refused")
}

/// The hostile guest, told what to do when it is asked to describe itself.
fn hostile(word: &str) -> PluginError {
    refused(&patched(prebuilt("hostile"), "describe:well   ", &format!("describe:{word:<7}")))
}

#[test]
fn what_is_no_component() {
    for (bytes, why) in [
        (b"hello".to_vec(), "does not begin as WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "core module"),
        (b"\0asm\x0e\0\x01\0".to_vec(), "another version"),
        (prebuilt("hostile")[..9000].to_vec(), "out of bounds"),
    ] {
        let error = refused(&bytes);
        assert!(matches!(error, PluginError::NotAComponent { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = HOST.load("/nonexistent/x.wasm").unwrap_err();
    assert!(
        matches!(error, PluginError::Read { .. }) && error.to_string().contains("/nonexistent"),
        "{error}"
    );
}

#[test]
fn another_version_of_the_contract() {
    let error = refused(&patched(prebuilt("hostile"), "plugin@0.1.0", "plugin@0.2.0"));
    let PluginError::ContractVersion { found, supported, .. } = &error else { panic!("{error}") };
    assert_eq!((found.as_str(), *supported), ("0.2.0", "0.1"));
    // A later 0.1 is the same contract.
    let later = patched(prebuilt("hostile"), "plugin@0.1.0", "plugin@0.1.7");
    assert!(HOST.load_bytes("later.wasm", &patched(later, "\"hostile\"", "\"anubis7\"")).is_ok());
    let error = hostile("contrac");
    assert!(matches!(&error, PluginError::ContractVersion { found, .. } if found == "7.0"), "{error}");
}

#[test]
fn a_component_that_is_no_plugin() {
    let error = refused(&patched(prebuilt("hostile"), "family/plugin@", "family/plugon@"));
    assert!(matches!(&error, PluginError::Contract { why, .. } if why.contains("family/plugin")), "{error}");
    // The same name with other functions.
    let error = refused(&patched(prebuilt("hostile"), "describe", "descrive"));
    assert!(matches!(&error, PluginError::Contract { why, .. } if why.contains("describe")), "{error}");
}

#[test]
fn an_import_of_wasi() {
    let error = refused(&prebuilt("wasi"));
    let PluginError::ForbiddenImport { name, .. } = &error else { panic!("{error}") };
    assert!(name.starts_with("wasi:cli/environment"), "{name}");
}

#[test]
fn failures_while_it_describes_itself() {
    let error = hostile("trap");
    let PluginError::Trapped { call: "describe", why, .. } = &error else { panic!("{error}") };
    assert_eq!(why, "about to trap", "the message that the guest logged");
    let error = hostile("loop");
    assert!(matches!(error, PluginError::TimedOut { call: "describe", .. }), "{error}");
    let error = hostile("eat");
    assert!(matches!(error, PluginError::OutOfMemory { wanted, limit, .. } if wanted > limit), "{error}");
}

#[test]
fn nonsense_in_its_description() {
    let nonsense = |error: PluginError, part: &str| {
        let PluginError::Nonsense { call: "describe", what, .. } = &error else { panic!("{error}") };
        assert!(what.contains(part), "{what}");
    };
    nonsense(hostile("params"), "no JSON object");
    nonsense(hostile("many"), "fuel");
    let manifest = |from, to| refused(&patched(prebuilt("hostile"), from, to));
    nonsense(manifest("id = \"hostile\"", "id = \"Hostile\""), "lower-case");
    nonsense(manifest("id = \"hostile\"", "id : \"hostile\""), "TOML");
    nonsense(manifest("turn.open =", "turn.oben ="), "oben");
    let packed = toolglot_plugin_pack::pack(&root().join("parsers/families/hermes")).unwrap();
    nonsense(refused(&patched(packed.clone(), "{\"id\":", "[\"id\":")), "the manifest");
    nonsense(refused(&patched(packed, "\"name\",\"is\":\"name\"", "\"name\",\"is\":\"args\"")), "call");
    // A format that needs a session, of a plugin without sessions.
    let part = "extern = {} }\n";
    assert!(prebuilt("hostile").windows(part.len()).any(|window| window == part.as_bytes()));
    nonsense(hostile("abiliti"), "session");
}
