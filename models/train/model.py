"""A Qwen3 decoder in JAX: QK-norm, rotary positions, grouped KV heads, SwiGLU, tied embeddings.

Parameters of all layers are stacked on axis 0, matrices are `[in, out]`. `exporting.py` turns them
into Hugging Face names and `[out, in]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

Params = dict[str, jax.Array]


@dataclass(frozen=True)
class Config:
    """Sizes, named as in `config.json`."""

    vocab_size: int = 1024
    hidden_size: int = 128
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    intermediate_size: int = 384
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6


TARGET = Config()
DRAFT = Config(
    hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=192
)


def init(config: Config, seed: int) -> Params:
    """Random parameters."""
    rng = np.random.default_rng(seed)
    layers, d, f = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    q, kv = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim

    def matrix(rows: int, cols: int, scale: float = 1.0) -> jax.Array:
        return jnp.asarray(rng.normal(0, scale / rows**0.5, (layers, rows, cols)), jnp.float32)

    return {
        "embed": jnp.asarray(rng.normal(0, 0.02, (config.vocab_size, d)), jnp.float32),
        "q": matrix(d, q),
        "k": matrix(d, kv),
        "v": matrix(d, kv),
        "o": matrix(q, d, 0.3),
        "gate": matrix(d, f),
        "up": matrix(d, f),
        "down": matrix(f, d, 0.3),
        "norm1": jnp.ones((layers, d)),
        "norm2": jnp.ones((layers, d)),
        "q_norm": jnp.ones((layers, config.head_dim)),
        "k_norm": jnp.ones((layers, config.head_dim)),
        "norm": jnp.ones((d,)),
    }


def rms(x: jax.Array, weight: jax.Array, eps: float) -> jax.Array:
    """Root-mean-square norm over the last axis."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + eps) * weight


def rotate(x: jax.Array, places: jax.Array, config: Config) -> jax.Array:
    """Rotary embedding of `[batch, time, heads, head_dim]` at `places[batch or 1, time]`, halves paired as Qwen does."""
    half = config.head_dim // 2
    angles = places[..., None, None] * config.rope_theta ** (-jnp.arange(half) / half)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def forward(params: Params, tokens: jax.Array, config: Config) -> jax.Array:
    """Hidden states `[batch * time, hidden]` after the final norm, for token ids `[batch, time]`."""
    batch, time = tokens.shape
    heads, kv, size, eps = config.num_attention_heads, config.num_key_value_heads, config.head_dim, config.rms_norm_eps
    places = jnp.arange(time)[None]
    causal = jnp.tril(jnp.ones((time, time), bool))
    # A product, not a look-up: its gradient is no scatter, which is slow on a CPU.
    x = jax.nn.one_hot(tokens.reshape(-1), config.vocab_size) @ params["embed"]
    for i in range(config.num_hidden_layers):
        h = rms(x, params["norm1"][i], eps)
        q = rms((h @ params["q"][i]).reshape(batch, time, heads, size), params["q_norm"][i], eps)
        k = rms((h @ params["k"][i]).reshape(batch, time, kv, size), params["k_norm"][i], eps)
        v = (h @ params["v"][i]).reshape(batch, time, kv, size)
        q = rotate(q, places, config).transpose(0, 2, 1, 3) * size**-0.5
        k = jnp.repeat(rotate(k, places, config), heads // kv, 2).transpose(0, 2, 3, 1)
        v = jnp.repeat(v, heads // kv, 2).transpose(0, 2, 1, 3)
        attention = jax.nn.softmax(jnp.where(causal, q @ k, -1e30), -1)
        mixed = (attention @ v).transpose(0, 2, 1, 3).reshape(batch * time, heads * size)
        x = x + mixed @ params["o"][i]
        h = rms(x, params["norm2"][i], eps)
        x = x + (jax.nn.silu(h @ params["gate"][i]) * (h @ params["up"][i])) @ params["down"][i]
    return rms(x, params["norm"], eps)
