"""Builds the tiny random checkpoints that core/mlx is tested against, with their reference outputs.

Run through `cargo dev mlx-fixtures`: `fixtures.py OUT`, or `fixtures.py OUT CHECKPOINT` for the
reference outputs of one checkpoint of any size. Needs mlx-lm. Every case is a folder in Hugging Face layout plus
`reference.json`: a prompt, full logits at some of its positions (one pass, no cache), the greedy
continuation (with cache) and the logarithmic probabilities of its last step. Weights are random with
a fixed seed.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.generate import generate_step
from mlx_lm.models import llama, qwen2, qwen3
from mlx_lm.utils import load_model

GREEDY_TOKENS = 48

BASE = dict(
    hidden_size=32,
    num_hidden_layers=2,
    intermediate_size=64,
    num_attention_heads=4,
    num_key_value_heads=2,
    rms_norm_eps=1e-6,
    vocab_size=131,
    max_position_embeddings=1024,
    hidden_act="silu",
    eos_token_id=[2, 5],
)

LLAMA3 = dict(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)

# Some matrices of this one differ from the rest, as in mixed-precision conversions.
MIXED = {
    "group_size": 32,
    "bits": 3,
    "model.layers.0.mlp.down_proj": {"group_size": 64, "bits": 8},
    "model.layers.1.self_attn.q_proj": False,
}

# Name, module, changes to BASE, element type, quantization, shards, prompt length.
CASES = [
    ("llama-rope3-f32", llama, dict(model_type="llama", rope_theta=500000.0, rope_scaling=LLAMA3,
     tie_word_embeddings=False), mx.float32, None, 1, 300),
    ("llama-linear-f16-sharded", llama, dict(model_type="llama", rope_theta=10000.0, attention_bias=True,
     mlp_bias=True, rope_scaling=dict(type="linear", factor=4.0), tie_word_embeddings=False),
     mx.float16, None, 3, 40),
    ("qwen2-bf16", qwen2, dict(model_type="qwen2", rope_theta=1000000.0, tie_word_embeddings=True),
     mx.bfloat16, None, 1, 40),
    ("qwen3-f32", qwen3, dict(model_type="qwen3", rope_theta=1000000.0, head_dim=16,
     tie_word_embeddings=True), mx.float32, None, 1, 40),
    ("qwen3-bf16", qwen3, dict(model_type="qwen3", rope_theta=1000000.0, head_dim=16,
     num_key_value_heads=1, tie_word_embeddings=False), mx.bfloat16, None, 1, 40),
    ("qwen3-4bit", qwen3, dict(model_type="qwen3", rope_theta=1000000.0, head_dim=16,
     tie_word_embeddings=True), mx.bfloat16, dict(group_size=32, bits=4), 1, 40),
    ("qwen2-mixed-bits", qwen2, dict(model_type="qwen2", rope_theta=1000000.0, tie_word_embeddings=False),
     mx.float32, MIXED, 1, 40),
]


def randomise(model, dtype, rng):
    """Weights large enough that the layers matter, norms near 1."""
    values = []
    for name, value in tree_flatten(model.parameters()):
        noise = rng.standard_normal(value.shape).astype(np.float32)
        if "norm" in name:
            new = 1.0 + 0.2 * noise
        elif value.ndim == 1:
            new = 0.3 * noise
        else:
            new = noise * (1.5 / np.sqrt(value.shape[-1]))
        values.append((name, mx.array(new).astype(dtype)))
    model.update(tree_unflatten(values))


def quantize(model, quantization):
    def choose(path, module):
        if not hasattr(module, "to_quantized"):
            return False
        return quantization.get(path, True)

    nn.quantize(model, quantization["group_size"], quantization["bits"], class_predicate=choose)


def save(folder, model, config, shards):
    weights = sorted(dict(tree_flatten(model.parameters())).items())
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    if shards == 1:
        mx.save_safetensors(str(folder / "model.safetensors"), dict(weights), metadata={"format": "mlx"})
        return
    index = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = dict(weights[shard::shards])
        mx.save_safetensors(str(folder / name), part, metadata={"format": "mlx"})
        index.update({key: name for key in part})
    text = json.dumps({"metadata": {}, "weight_map": dict(sorted(index.items()))}, indent=1)
    (folder / "model.safetensors.index.json").write_text(text + "\n")


def numbers(row):
    """Nine digits name every float32 exactly."""
    return [float(f"{x:.9g}") for x in np.array(row.astype(mx.float32), dtype=np.float32)]


def reference(folder, prompt):
    model, _ = load_model(folder)
    full = model(mx.array([prompt]))[0]
    positions = [0, 1, len(prompt) // 2, len(prompt) - 1]
    greedy, last = [], None
    for token, logprobs in generate_step(mx.array(prompt), model, max_tokens=GREEDY_TOKENS):
        greedy.append(int(token))
        last = logprobs
    return dict(
        prompt=prompt,
        positions=positions,
        logits=[numbers(full[position]) for position in positions],
        greedy=greedy,
        last_logprobs=numbers(last),
    )


def of_checkpoint(out, folder):
    """Outputs of a checkpoint that is there already, with its speed."""
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    prompt = [int(x) for x in np.random.default_rng(0).integers(0, vocabulary, 60)]
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    result = reference(folder, prompt)
    print(f"mlx-lm: {time.perf_counter() - start:.2f} s in all")
    model, _ = load_model(folder)
    for _ in range(3):
        start = time.perf_counter()
        count = sum(1 for _ in generate_step(mx.array(prompt), model, max_tokens=256))
        print(f"mlx-lm: {count / (time.perf_counter() - start):.0f} tokens per second, prompt included")
    (out / "reference.json").write_text(json.dumps(result) + "\n")


def main():
    out = Path(sys.argv[1])
    if len(sys.argv) > 2:
        of_checkpoint(out, Path(sys.argv[2]))
        return
    for seed, (name, module, changes, dtype, quantization, shards, length) in enumerate(CASES):
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rng = np.random.default_rng(seed)
        config = BASE | changes
        model = module.Model(module.ModelArgs.from_dict(config))
        randomise(model, dtype, rng)
        if quantization:
            quantize(model, quantization)
            config["quantization"] = quantization
        save(folder, model, config, shards)
        prompt = [int(x) for x in rng.integers(0, config["vocab_size"], length)]
        text = json.dumps(reference(folder, prompt))
        (folder / "reference.json").write_text(text.replace("], ", "],\n") + "\n")
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{name}: {size} bytes")


main()
