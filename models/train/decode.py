"""Greedy decoding of many prompts at once with a key/value cache, in the trainer's own arithmetic."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from model import Config, Params, rms, rotate

LENGTH = 896
Cache = tuple[jax.Array, jax.Array]


@partial(jax.jit, static_argnames="config", donate_argnums=1)
def _feed(params: Params, cache: Cache, tokens: jax.Array, starts: jax.Array, config: Config) -> tuple[Cache, jax.Array]:
    """Append `tokens[rows, n]` at `starts[rows]`; the most likely next id after each of them."""
    rows, n = tokens.shape
    heads, kv, size, eps = config.num_attention_heads, config.num_key_value_heads, config.head_dim, config.rms_norm_eps
    places = starts[:, None] + jnp.arange(n)
    seen = jnp.arange(LENGTH) <= places[:, None, None, :, None]
    row = jnp.arange(rows)[:, None]
    keys, values = cache
    x = params["embed"][tokens]
    for i in range(config.num_hidden_layers):
        h = rms(x, params["norm1"][i], eps)
        q = rms((h @ params["q"][i]).reshape(rows, n, heads, size), params["q_norm"][i], eps)
        k = rms((h @ params["k"][i]).reshape(rows, n, kv, size), params["k_norm"][i], eps)
        v = (h @ params["v"][i]).reshape(rows, n, kv, size)
        q = rotate(q, places, config).reshape(rows, n, kv, heads // kv, size)
        keys = keys.at[i, row, places].set(rotate(k, places, config), mode="drop")
        values = values.at[i, row, places].set(v, mode="drop")
        scores = jnp.einsum("rnkgh,rskh->rkgns", q, keys[i]) * size**-0.5
        attention = jax.nn.softmax(jnp.where(seen, scores, -1e30), -1)
        mixed = jnp.einsum("rkgns,rskh->rnkgh", attention, values[i]).reshape(rows, n, heads * size)
        x = x + mixed @ params["o"][i]
        h = rms(x, params["norm2"][i], eps)
        x = x + (jax.nn.silu(h @ params["gate"][i]) * (h @ params["up"][i])) @ params["down"][i]
    return (keys, values), jnp.argmax(rms(x, params["norm"], eps) @ params["embed"].T, -1)


def generate(params: Params, config: Config, prompts: list[list[int]], stop: int, limit: int, rows: int) -> list[list[int]]:
    """Continuations up to and with `stop`, or `limit` ids, `rows` prompts at a time."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    out: list[list[int]] = [[] for _ in prompts]
    for at in range(0, len(order), rows):
        group = order[at : at + rows]
        answers = _group(params, config, [prompts[i] for i in group], stop, limit, rows)
        for i, answer in zip(group, answers, strict=True):
            out[i] = answer
    return out


def _group(
    params: Params, config: Config, prompts: list[list[int]], stop: int, limit: int, rows: int
) -> list[list[int]]:
    width = -(-max(map(len, prompts)) // 128) * 128
    tokens, sizes = np.zeros((rows, width), np.int32), np.ones(rows, np.int32)
    for row, ids in enumerate(prompts):
        tokens[row, : len(ids)], sizes[row] = ids, len(ids)
    shape = (config.num_hidden_layers, rows, LENGTH, config.num_key_value_heads, config.head_dim)
    cache = (jnp.zeros(shape), jnp.zeros(shape))
    cache, best = _feed(params, cache, tokens, np.zeros(rows, np.int32), config)
    last = np.asarray(best)[np.arange(rows), sizes - 1]
    answers: list[list[int]] = [[] for _ in prompts]
    unfinished = set(range(len(prompts)))
    for step in range(limit):
        for row in list(unfinished):
            answers[row].append(int(last[row]))
            if last[row] == stop:
                unfinished.discard(row)
        if not unfinished:
            break
        cache, best = _feed(params, cache, last[:, None], sizes + step, config)
        last = np.asarray(best)[:, 0]
    return answers
