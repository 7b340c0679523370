"""Writes a checkpoint as a Hugging Face folder that MLX, transformers and Toolglot load.

    python exporting.py target /tmp/run/last.npz ../tiny-qwen3
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.flax import save_file

import tokenizer as bpe
from model import DRAFT, TARGET, Config, Params
from train import load

_LAYER = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "norm1": "input_layernorm",
    "norm2": "post_attention_layernorm",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
}


def tensors(params: Params, config: Config) -> dict[str, jax.Array]:
    """The weights under their Hugging Face names, in bfloat16."""
    out = {"model.embed_tokens.weight": params["embed"], "model.norm.weight": params["norm"]}
    for ours, theirs in _LAYER.items():
        for i in range(config.num_hidden_layers):
            weight = params[ours][i]
            out[f"model.layers.{i}.{theirs}.weight"] = weight.T if weight.ndim == 2 else weight
    return {name: jnp.asarray(np.ascontiguousarray(w), jnp.bfloat16) for name, w in out.items()}


def rounded(params: Params) -> Params:
    """The parameters as the exported file has them."""
    return {name: p.astype(jnp.bfloat16).astype(jnp.float32) for name, p in params.items()}


def hf_config(config: Config, stop: int, pad: int) -> dict[str, object]:
    """`config.json`."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": stop,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": 1024,
        "model_type": "qwen3",
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "pad_token_id": pad,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_scaling": None,
        "rope_theta": config.rope_theta,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": config.vocab_size,
    }


def export(params: Params, config: Config, out: Path) -> None:
    """Write weights, configuration and tokenizer into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = bpe.build()
    stop, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    save_file(tensors(params, config), out / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(out / "tokenizer.json"))
    _write(out / "config.json", hf_config(config, stop, pad))
    generation = {"do_sample": False, "eos_token_id": [stop, pad], "pad_token_id": pad}
    _write(out / "generation_config.json", generation)
    _write(out / "tokenizer_config.json", bpe.config())


def _write(path: Path, value: dict[str, object]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("target", "draft"))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    export(load(args.checkpoint), TARGET if args.model == "target" else DRAFT, args.out)


if __name__ == "__main__":
    main()
