//! What the plugins of a host share: ids, instances, compiled code; and the committed files themselves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use toolglot_parsers::{Family, Registry, SessionOptions};
use toolglot_plugin_host::{Loaded, PluginError, PluginHost};

use crate::{config, open, patched, plan, plugin_error, prebuilt, root};

#[test]
fn two_plugins_cannot_have_one_id() {
    let host = PluginHost::new(config()).unwrap();
    let first = host.load_bytes("first.wasm", &prebuilt("memo")).unwrap();
    let error = host.load_bytes("second.wasm", &prebuilt("memo")).unwrap_err();
    let PluginError::DuplicateId { id, first: one, second } = &error else { panic!("{error}") };
    assert_eq!((id.as_str(), one.as_str(), second.as_str()), ("memo", "first.wasm", "second.wasm"));
    // The id is free again when the plugin is gone.
    drop(first);
    let memo = host.load_bytes("second.wasm", &prebuilt("memo")).unwrap();
    // A registry holds plugins and compiled-in families alike, and knows whose id it is.
    let mut registry = Registry::empty();
    registry.add(memo).unwrap();
    assert_eq!(registry.get("memo").unwrap().manifest().id, "memo");
}

#[test]
fn sessions_beyond_the_limit_wait_or_are_refused() {
    let mut two = config();
    two.instances = 2;
    two.wait = Duration::ZERO;
    let host = PluginHost::new(two).unwrap();
    let family = host.load_bytes("memo.wasm", &prebuilt("memo")).unwrap();
    let [first, second] = [(); 2].map(|()| open(&*family, &plan(&[])));
    let error = plugin_error(family.session(&plan(&[]), SessionOptions::default()));
    assert!(matches!(error, PluginError::Busy { limit: 2 }), "{error}");
    drop(first);
    let third = open(&*family, &plan(&[]));
    drop((second, third));

    let mut patient = config();
    patient.instances = 1;
    let host = PluginHost::new(patient).unwrap();
    let family = host.load_bytes("memo.wasm", &prebuilt("memo")).unwrap();
    let first = open(&*family, &plan(&[]));
    let waiting = {
        let family = Arc::clone(&family);
        std::thread::spawn(move || drop(open(&*family, &plan(&[]))))
    };
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    drop(first);
    waiting.join().unwrap();
}

#[test]
fn many_sessions_at_once_keep_apart() {
    let host = PluginHost::new(config()).unwrap();
    let family = host.load_bytes("memo.wasm", &prebuilt("memo")).unwrap();
    // As many as there may be: each component instance is three core instances to wasmtime.
    let mut sessions: Vec<_> = (0..64).map(|_| open(&*family, &plan(&[]))).collect();
    let mut outputs = vec![Vec::new(); sessions.len()];
    for round in 0..3 {
        for (number, session) in sessions.iter_mut().enumerate() {
            let text = format!("{number}:{round}\n");
            session.feed(&[toolglot_format::Piece::text(&text)], &mut outputs[number]);
        }
    }
    for (number, events) in outputs.into_iter().enumerate() {
        let turn: toolglot_format::Turn = events.into_iter().collect();
        assert_eq!(turn.content, format!("{number}:0\n{number}:1\n{number}:2\n"));
    }
}

#[test]
fn compiled_code_is_kept_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let mut cached = config();
    cached.cache = Some(cache.clone());
    let load = |bytes: &[u8]| {
        let start = Instant::now();
        let host = PluginHost::new(cached.clone()).unwrap();
        let loaded = host.load_bytes("memo.wasm", bytes).unwrap();
        assert!(loaded.format(&plan(&[])).unwrap().has_extern());
        (loaded.loaded(), start.elapsed())
    };
    let memo = prebuilt("memo");
    assert_eq!(load(&memo).0, Loaded::Compiled);
    assert_eq!(load(&memo).0, Loaded::Cached);
    // Another component has another key.
    assert_eq!(load(&patched(memo.clone(), "id = \"memo\"", "id = \"m3m0\"")).0, Loaded::Compiled);
    // A damaged file is compiled again, and is whole afterwards.
    let files = || {
        let entries = std::fs::read_dir(&cache).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    assert_eq!(files().len(), 2, "{:?}", files());
    for path in files() {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    assert_eq!(load(&memo).0, Loaded::Compiled);
    assert_eq!(load(&memo).0, Loaded::Cached);
}

#[cfg(unix)]
#[test]
fn a_cache_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
    let mut open = config();
    open.cache = Some(folder.path().to_owned());
    let error = PluginHost::new(open).unwrap_err();
    assert!(matches!(&error, PluginError::Engine(why) if why.contains("0770")), "{error}");
}

#[test]
fn a_folder_of_plugins_is_loaded_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("b.wasm", prebuilt("memo")), ("a.wasm", prebuilt("hostile")), ("c.txt", vec![])] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let host = PluginHost::new(config()).unwrap();
    let loaded = host.load_all(folder.path()).unwrap();
    let ids: Vec<_> = loaded.iter().map(|family| family.manifest().id.as_str()).collect();
    assert_eq!(ids, ["hostile", "memo"]);
}

#[test]
fn the_committed_files_are_those_of_the_lock() {
    let folder = root().join("plugins/fixtures/prebuilt");
    let lock: toml::Table = std::fs::read_to_string(folder.join("lock.toml")).unwrap().parse().unwrap();
    assert!(lock["rustc"].as_str().unwrap().starts_with("rustc "));
    let files = lock["files"].as_table().unwrap();
    assert!(files.len() >= 4);
    for (name, entry) in files {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(entry["sha256"].as_str().unwrap(), sum, "{name}");
        assert_eq!(entry["bytes"].as_integer().unwrap() as usize, bytes.len(), "{name}");
        let text = String::from_utf8_lossy(&bytes);
        for trace in ["/root/", "/home/", "/work/", ".cargo"] {
            assert!(!text.contains(trace), "{name} holds a path of the machine that built it ({trace})");
        }
    }
}
