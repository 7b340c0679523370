//! Checkpoints that must not load, each with an error that names the culprit.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use toolglot_mlx::{LoadError, Model, ModelError, end_ids};
use toolglot_sampler::uniform;

use crate::fixture;

/// A copy of a fixture, to be changed.
fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

fn load_error(folder: &Path) -> LoadError {
    Model::load(folder).err().expect("this checkpoint must not load")
}

fn with_config(name: &str, change: impl FnOnce(&mut Value)) -> LoadError {
    let folder = copy(name);
    edit(&folder.path().join("config.json"), change);
    load_error(folder.path())
}

fn setting(name: &str, key: &str, value: Value) -> String {
    match with_config(name, |config| config[key] = value) {
        LoadError::Setting { path, key, problem } => {
            assert!(path.ends_with("config.json"));
            format!("{key} {problem}")
        }
        other => panic!("another error: {other}"),
    }
}

#[test]
fn unknown_architectures_are_refused_by_name() {
    let error = with_config("qwen3-f32", |config| config["model_type"] = json!("mamba"));
    assert!(matches!(&error, LoadError::Architecture { found, .. } if found == "mamba"), "{error}");
    assert!(error.to_string().contains("llama, qwen2 and qwen3"));
}

#[test]
fn settings_that_would_change_the_result_are_refused() {
    let llama = "llama-rope3-f32";
    assert!(setting(llama, "hidden_act", json!("gelu")).starts_with("hidden_act is `gelu`"));
    assert!(setting(llama, "use_sliding_window", json!(true)).contains("sliding windows"));
    assert!(
        setting(llama, "layer_types", json!(["full_attention", "sliding_attention"])).contains("sliding")
    );
    assert!(setting(llama, "rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})).contains("`yarn`"));
    assert!(
        setting(llama, "rope_scaling", json!({"rope_type": "llama3", "factor": 4.0}))
            .starts_with("rope_scaling.low_freq_factor is missing")
    );
    assert!(setting(llama, "rope_scaling", json!({"type": "linear", "factor": 0})).contains("above 0"));
    assert!(setting(llama, "num_key_value_heads", json!(3)).contains("does not divide"));
    assert!(setting(llama, "hidden_size", json!(0)).contains("out of range"));
    assert!(setting(llama, "vocab_size", Value::Null).contains("is missing"));
    assert!(setting("qwen3-f32", "rope_theta", Value::Null).contains("is missing"));
    let foreign = setting("qwen3-f32", "quantization_config", json!({"quant_method": "gptq"}));
    assert!(foreign.contains("`gptq`"), "{foreign}");
    let mode = setting("qwen3-4bit", "quantization", json!({"group_size": 32, "bits": 4, "mode": "mxfp4"}));
    assert!(mode.contains("`mxfp4`"), "{mode}");
    let bits = setting("qwen3-4bit", "quantization", json!({"group_size": 32, "bits": 7}));
    assert!(bits.starts_with("quantization.bits is 7"), "{bits}");
    let uncovered = setting("qwen3-4bit", "quantization", Value::Null);
    assert!(uncovered.contains("does not cover `model.embed_tokens`"), "{uncovered}");
}

#[test]
fn positions_may_be_described_the_newer_way() {
    let folder = copy("qwen3-f32");
    edit(&folder.path().join("config.json"), |config| {
        let theta = config.as_object_mut().unwrap().remove("rope_theta").unwrap();
        config["rope_parameters"] = json!({"rope_type": "default", "rope_theta": theta});
    });
    // Some converters write what is unset as null.
    edit(&folder.path().join("config.json"), |config| {
        for key in ["mlp_bias", "attention_bias", "use_sliding_window", "layer_types", "rope_scaling"] {
            config[key] = Value::Null;
        }
    });
    let model = Model::load(folder.path()).unwrap();
    assert_eq!(model.config(), Model::load(&fixture("qwen3-f32")).unwrap().config());
}

#[test]
fn tensors_must_fit_the_config() {
    let error = with_config("qwen3-f32", |config| config["intermediate_size"] = json!(48));
    match error {
        LoadError::Shape { tensor, expected, found, path } => {
            assert_eq!(tensor, "model.layers.0.mlp.gate_proj.weight");
            assert_eq!((expected, found), (vec![48, 32], vec![64, 32]));
            assert!(path.ends_with("model.safetensors"));
        }
        other => panic!("another error: {other}"),
    }
    let error = with_config("qwen3-f32", |config| config["num_hidden_layers"] = json!(3));
    assert!(
        matches!(&error, LoadError::MissingTensor { tensor, .. } if tensor.starts_with("model.layers.2.")),
        "{error}"
    );
    let error = with_config("qwen3-f32", |config| config["num_hidden_layers"] = json!(1));
    assert!(
        matches!(&error, LoadError::UnexpectedTensor { tensor, .. } if tensor.starts_with("model.layers.1.")),
        "{error}"
    );
    let error = with_config("qwen3-4bit", |config| config["quantization"]["bits"] = json!(8));
    assert!(
        matches!(&error, LoadError::Shape { tensor, .. } if tensor == "model.embed_tokens.weight"),
        "{error}"
    );
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let read = load_error(folder.path());
    assert!(matches!(&read, LoadError::Read { path, .. } if path.ends_with("config.json")), "{read}");

    let folder = copy("qwen3-f32");
    let weights = folder.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for broken in [
        bytes[..bytes.len() - 4].to_vec(),
        [&u64::MAX.to_le_bytes()[..], &bytes[8..]].concat(),
        String::from_utf8_lossy(&bytes).replacen("F32", "Q77", 1).into_bytes()[..200].to_vec(),
    ] {
        fs::write(&weights, broken).unwrap();
        let error = load_error(folder.path());
        assert!(matches!(&error, LoadError::Damaged { path, .. } if *path == weights), "{error}");
    }
    fs::write(&weights, [2, 0, 0, 0, 0, 0, 0, 0, b'{', b'x', 0, 0]).unwrap();
    assert!(matches!(load_error(folder.path()), LoadError::Json { .. }));

    fs::write(folder.path().join("config.json"), "{").unwrap();
    assert!(matches!(load_error(folder.path()), LoadError::Json { .. }));
}

#[test]
fn shards_must_be_complete() {
    let folder = copy("llama-linear-f16-sharded");
    let index = folder.path().join("model.safetensors.index.json");
    edit(&index, |index| {
        index["weight_map"]["model.extra.weight"] = json!("model-00002-of-00003.safetensors")
    });
    let error = load_error(folder.path());
    assert!(error.to_string().contains("model.extra.weight"), "{error}");

    edit(&index, |index| index["weight_map"]["model.extra.weight"] = json!("../elsewhere.safetensors"));
    assert!(matches!(load_error(folder.path()), LoadError::Setting { .. }));

    let folder = copy("llama-linear-f16-sharded");
    fs::remove_file(folder.path().join("model-00002-of-00003.safetensors")).unwrap();
    let error = load_error(folder.path());
    let LoadError::Read { path, .. } = &error else { panic!("another error: {error}") };
    assert!(path.ends_with("model-00002-of-00003.safetensors"));
}

#[test]
fn token_ids_are_checked_before_mlx_sees_them() {
    let model = Model::load(&fixture("qwen3-4bit")).unwrap();
    let mut cache = model.new_cache();
    let error = model.prefill(&[1, 131], &mut cache).unwrap_err();
    assert!(matches!(error, ModelError::Token { id: 131, vocabulary: 131 }));
    assert!(matches!(model.step(&[], &mut cache), Err(ModelError::Empty)));
    assert!(cache.is_empty());
}

#[test]
fn end_ids_are_the_union_of_what_the_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: Value| fs::write(folder.path().join(name), value.to_string()).unwrap();
    assert_eq!(end_ids(folder.path()).unwrap(), [0u32; 0]);
    write("config.json", json!({"eos_token_id": 9}));
    write("generation_config.json", json!({"eos_token_id": [4, 9]}));
    assert_eq!(end_ids(folder.path()).unwrap(), [4, 9]);
    write("tokenizer_config.json", json!({"eos_token": {"content": "<end>"}}));
    let error = end_ids(folder.path()).unwrap_err();
    assert!(error.to_string().contains("<end>"), "{error}");
    write("tokenizer.json", json!({"added_tokens": [{"id": 77, "content": "<end>"}]}));
    assert_eq!(end_ids(folder.path()).unwrap(), [4, 9, 77]);
    write(
        "tokenizer_config.json",
        json!({"eos_token": "<end>", "added_tokens_decoder": {"5": {"content": "<end>"}}}),
    );
    assert_eq!(end_ids(folder.path()).unwrap(), [4, 5, 9]);
}

#[test]
fn no_damage_to_a_header_goes_unnoticed_or_panics() {
    let folder = copy("qwen3-4bit");
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let rounds: u64 = std::env::var("TOOLGLOT_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let mut loaded = 0;
    for round in 0..rounds {
        let random = |what: u64, below: usize| (uniform(round, what) * below as f64) as usize;
        let mut broken = bytes.clone();
        for flip in 0..=random(0, 3) as u64 {
            // Mostly digits and quotes: what keeps the JSON valid is the harder case.
            let at = random(10 + flip, header);
            broken[at] = b"0123456789\",:[]{}\\ F"[random(20 + flip, 20)];
        }
        if random(1, 8) == 0 {
            broken.truncate(random(2, broken.len()));
        }
        fs::write(&path, &broken).unwrap();
        // What still loads has the same tensors in the same places: damage to the metadata, or none.
        loaded += usize::from(Model::load(folder.path()).is_ok());
    }
    assert!(loaded < rounds as usize / 2, "{loaded} of {rounds} loaded");
}
