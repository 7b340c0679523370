//! The same checkpoints, the same numbers as mlx-lm (see `fixtures.py`).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toolglot_mlx::{Architecture, Event, Model, Request, end_ids, generate};
use toolglot_sampler::{SamplingParams, StopConfig};

use crate::fixture;

#[derive(Deserialize)]
struct Reference {
    prompt: Vec<u32>,
    positions: Vec<usize>,
    logits: Vec<Vec<f32>>,
    greedy: Vec<u32>,
    last_logprobs: Vec<f32>,
}

const CASES: [&str; 7] = [
    "llama-rope3-f32",
    "llama-linear-f16-sharded",
    "qwen2-bf16",
    "qwen2-mixed-bits",
    "qwen3-f32",
    "qwen3-bf16",
    "qwen3-4bit",
];

/// The references come from MLX on a CPU. The same library gives the same bits; another device
/// rounds differently.
const SAME_DEVICE: bool = cfg!(target_os = "linux");

fn load(name: &str) -> (Model, Reference) {
    let folder = fixture(name);
    let text = std::fs::read_to_string(folder.join("reference.json")).unwrap();
    (Model::load(&folder).unwrap(), serde_json::from_str(&text).unwrap())
}

fn tolerance(name: &str) -> f32 {
    match name {
        _ if SAME_DEVICE => 1e-5,
        _ if name.contains("f32") || name.contains("mixed") => 1e-3,
        _ => 0.2,
    }
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn log_softmax(row: &[f32]) -> Vec<f32> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total = row.iter().map(|x| f64::from(x - max).exp()).sum::<f64>().ln();
    row.iter().map(|x| (f64::from(x - max) - total) as f32).collect()
}

fn greedy(model: &Model, prompt: &[u32], tokens: usize, chunk: usize) -> Vec<u32> {
    let mut out = Vec::new();
    let request = Request {
        sampling: SamplingParams::greedy(),
        stops: StopConfig { max_tokens: Some(tokens), ..StopConfig::default() },
        prefill_chunk: chunk,
        ..Request::new(prompt.to_vec())
    };
    let mut emit = |event| {
        if let Event::Token(token) = event {
            out.push(token.sampled.id);
        }
        true
    };
    generate(model, request, &mut emit).unwrap();
    out
}

#[test]
fn logits_and_greedy_tokens_equal_those_of_mlx_lm() {
    for name in CASES {
        let (model, reference) = load(name);
        compare(name, &model, &reference, tolerance(name), name.contains("f32"));
    }
}

/// `cargo dev mlx-fixtures --compare FOLDER` runs this on a checkpoint of any size.
#[test]
#[ignore = "needs a checkpoint and its reference outputs"]
fn a_checkpoint_of_choice() {
    let [folder, file] = ["TOOLGLOT_MLX_CHECKPOINT", "TOOLGLOT_MLX_REFERENCE"].map(|name| {
        PathBuf::from(std::env::var_os(name).expect("run through cargo dev mlx-fixtures --compare"))
    });
    let reference: Reference = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let model = Model::load(&folder).unwrap();
    compare(&folder.display().to_string(), &model, &reference, 0.2, false);
}

fn compare(name: &str, model: &Model, reference: &Reference, tolerance: f32, f32_logprobs: bool) {
    let width = model.config().vocab_size;
    let mut all = Vec::new();
    model.step_all(&reference.prompt, &mut model.new_cache()).unwrap().read(&mut all).unwrap();
    let rows = reference.positions.iter().map(|&position| &all[position * width..][..width]);
    let worst = rows.zip(&reference.logits).map(|(row, expected)| difference(row, expected));
    let worst = worst.fold(0.0, f32::max);

    let tokens = greedy(model, &reference.prompt, reference.greedy.len(), 2048);
    let agree = tokens.iter().zip(&reference.greedy).take_while(|(a, b)| a == b).count();

    let (_, seen) = reference.greedy.split_last().unwrap();
    let history = [&reference.prompt[..], seen].concat();
    let (next, before) = history.split_last().unwrap();
    let (mut cache, mut row) = (model.new_cache(), Vec::new());
    model.prefill(before, &mut cache).unwrap();
    model.step(&[*next], &mut cache).unwrap().read(&mut row).unwrap();
    let end = difference(&log_softmax(&row), &reference.last_logprobs);

    println!(
        "{name}: logits differ by {worst:e}, log-probabilities after {} tokens by {end:e}; greedy {agree}/{}",
        history.len(),
        tokens.len()
    );
    assert!(worst <= tolerance, "{name}: {worst}");
    // mlx-lm computes these in the element type of the checkpoint, we in f32.
    assert!(end <= tolerance.max(if f32_logprobs { 1e-4 } else { 0.15 }), "{name}: {end}");
    if SAME_DEVICE {
        assert_eq!(tokens, reference.greedy, "{name}");
    }
}

/// The model that this repository brings; it is trained anew now and then, so no outputs are
/// recorded.
#[test]
fn the_bundled_model_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny-qwen3");
    let model = Model::load(&folder).unwrap();
    assert_eq!(model.config().architecture, Architecture::Qwen3);
    let ends = end_ids(&folder).unwrap();
    assert!(!ends.is_empty() && ends.iter().all(|&id| (id as usize) < model.config().vocab_size));

    let prompt: Vec<u32> = (0..64).map(|at| at * 37 % model.config().vocab_size as u32).collect();
    let width = model.config().vocab_size;
    let (mut all, mut row) = (Vec::new(), Vec::new());
    model.step_all(&prompt, &mut model.new_cache()).unwrap().read(&mut all).unwrap();
    assert!(all.iter().all(|logit| logit.is_finite()));
    let mut cache = model.new_cache();
    for (at, token) in prompt.iter().enumerate() {
        model.step(&[*token], &mut cache).unwrap().read(&mut row).unwrap();
        let worst = difference(&row, &all[at * width..][..width]);
        assert!(worst < 0.2, "position {at}: {worst}");
    }
}

#[test]
fn the_cache_gives_what_a_full_pass_gives() {
    for name in ["llama-rope3-f32", "qwen3-f32", "qwen2-mixed-bits"] {
        let (model, reference) = load(name);
        let width = model.config().vocab_size;
        let tokens = &reference.prompt[..reference.prompt.len().min(300)];
        let mut all = Vec::new();
        model.step_all(tokens, &mut model.new_cache()).unwrap().read(&mut all).unwrap();

        let mut cache = model.new_cache();
        let (mut row, mut worst) = (Vec::new(), 0.0f32);
        for (at, token) in tokens.iter().enumerate() {
            model.step(&[*token], &mut cache).unwrap().read(&mut row).unwrap();
            worst = worst.max(difference(&row, &all[at * width..][..width]));
        }
        assert_eq!(cache.len(), tokens.len());
        println!("{name}: cached and full pass differ by {worst:e}");
        assert!(worst < 2e-4, "{name}: {worst}");
    }
}

#[test]
fn chunked_prefill_changes_nothing() {
    for name in CASES {
        let (model, reference) = load(name);
        let whole = greedy(&model, &reference.prompt, 24, 4096);
        let chunked = greedy(&model, &reference.prompt, 24, 7);
        if SAME_DEVICE && (name.contains("f32") || name.contains("mixed")) {
            assert_eq!(whole, chunked, "{name}");
        }
        let mut rows = [Vec::new(), Vec::new()];
        for (row, chunk) in rows.iter_mut().zip([4096, 7]) {
            let mut cache = model.new_cache();
            let (last, head) = reference.prompt.split_last().unwrap();
            head.chunks(chunk).for_each(|chunk| model.prefill(chunk, &mut cache).unwrap());
            model.step(&[*last], &mut cache).unwrap().read(row).unwrap();
        }
        let worst = difference(&rows[0], &rows[1]);
        println!("{name}: chunked and whole prefill differ by {worst:e}");
        assert!(
            worst <= if name.contains("f32") || name.contains("mixed") { 2e-4 } else { 0.2 },
            "{name}: {worst}"
        );
    }
}

#[test]
fn a_trimmed_cache_forgets() {
    let (model, reference) = load("qwen3-f32");
    let (prompt, other) = (&reference.prompt[..20], &reference.prompt[20..32]);
    let mut cache = model.new_cache();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    model.prefill(prompt, &mut cache).unwrap();
    model.step(&[7], &mut cache).unwrap().read(&mut first).unwrap();
    cache.trim(1);
    model.prefill(other, &mut cache).unwrap();
    assert_eq!(cache.len(), 32);
    cache.truncate(20);
    model.step(&[7], &mut cache).unwrap().read(&mut again).unwrap();
    assert_eq!(first, again);
    cache.trim(1000);
    assert!(cache.is_empty());
}

/// Guards the fixtures themselves: a setting that no logit depends on would not be tested.
#[test]
fn the_settings_of_the_fixtures_matter() {
    let last = |folder: &Path| {
        let model = Model::load(folder).unwrap();
        let mut row = Vec::new();
        let tokens: Vec<u32> = (0..100).collect();
        model.step(&tokens, &mut model.new_cache()).unwrap().read(&mut row).unwrap();
        row
    };
    for (name, key, value) in [
        ("llama-rope3-f32", "rope_scaling", serde_json::Value::Null),
        ("llama-rope3-f32", "rope_theta", 10_000.0.into()),
        ("llama-linear-f16-sharded", "rope_scaling", serde_json::Value::Null),
        ("llama-rope3-f32", "rms_norm_eps", 0.1.into()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(fixture(name)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let path = folder.path().join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        let change = difference(&last(folder.path()), &last(&fixture(name)));
        assert!(change > 1e-3, "{name}: {key} changes the logits by {change} only");
    }
}
