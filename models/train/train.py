"""Trains a checkpoint: Muon for the matrices, Adam for the rest, constant rate with a linear end.

    python train.py target --steps 4000 --out /tmp/run

The corpus is drawn on the fly; the same arguments give the same batches. `--init` goes on from
saved parameters, `--from-step` says where in the schedule (and the curriculum) that is.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from itertools import islice
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import tokenizer as bpe
from corpus import MIXES, Encoder, batches, drawing
from model import DRAFT, TARGET, Config, Params, forward, init

MATRICES = ("q", "k", "v", "o", "gate", "up", "down")
MUON_RATE, ADAM_RATE, WARMUP = 0.02, 0.004, 60
State = dict[str, Params]


def loss(params: Params, tokens: jax.Array, weights: jax.Array, config: Config) -> tuple[jax.Array, jax.Array]:
    """Weighted cross-entropy, and the accuracy on the tokens of full weight."""
    hidden = forward(params, tokens[:, :-1], config)
    scores = hidden @ params["embed"].T
    target, weight = tokens[:, 1:].reshape(-1), weights[:, 1:].reshape(-1)
    # A comparison, not a gather: its gradient is no scatter, which is slow on a CPU.
    picked = jnp.sum(jnp.where(target[..., None] == jnp.arange(scores.shape[-1]), scores, 0.0), -1)
    entropy = jax.nn.logsumexp(scores, -1) - picked
    full = weight == 1.0
    right = jnp.sum((picked >= scores.max(-1)) & full) / jnp.sum(full)
    return jnp.sum(entropy * weight) / jnp.sum(weight), right


def _orthogonal(m: jax.Array) -> jax.Array:
    """Newton-Schulz iteration of Muon (Jordan et al., 2024), over stacked matrices."""
    tall = m.shape[-2] > m.shape[-1]
    x = jnp.swapaxes(m, -1, -2) if tall else m
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    for _ in range(5):
        a = x @ jnp.swapaxes(x, -1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return jnp.swapaxes(x, -1, -2) if tall else x


def fresh_state(params: Params) -> State:
    """Zero moments."""
    first = {name: jnp.zeros_like(p) for name, p in params.items()}
    return {"first": first, "second": {n: jnp.zeros_like(p) for n, p in params.items() if n not in MATRICES}}


@partial(jax.jit, donate_argnums=(0, 2))
def update(params: Params, grads: Params, state: State, rate: jax.Array, step: jax.Array) -> tuple[Params, State]:
    """One optimiser step; `rate` is a share of the full learning rates."""
    out: Params = {}
    first, second = dict(state["first"]), dict(state["second"])
    for name, p in params.items():
        g = grads[name]
        if name in MATRICES:
            first[name] = 0.95 * first[name] + g
            move = _orthogonal(g + 0.95 * first[name]) * max(1.0, p.shape[-1] / p.shape[-2]) ** 0.5
            out[name] = p * (1 - 0.1 * rate * MUON_RATE) - rate * MUON_RATE * move
        else:
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.97 * second[name] + 0.03 * g * g
            scale = jnp.sqrt(second[name] / (1 - 0.97**step)) + 1e-8
            out[name] = p - rate * ADAM_RATE * first[name] / (1 - 0.9**step) / scale
    return out, {"first": first, "second": second}


@partial(jax.jit, static_argnames="config")
def gradients(params: Params, tokens: jax.Array, weights: jax.Array, config: Config) -> tuple[jax.Array, jax.Array, Params]:
    """Loss, accuracy, gradients; compiled once for each batch shape."""
    (value, right), grads = jax.value_and_grad(loss, has_aux=True)(params, tokens, weights, config)
    return value, right, grads


def rate_at(step: int, total: int, decay_from: float) -> float:
    """Warm up, stay, fall to zero from `decay_from` of the way."""
    left = (total - step) / (total * (1 - decay_from))
    return min(1.0, (step + 1) / WARMUP, left)


def save(path: Path, params: Params) -> None:
    """Parameters as `.npz`, replaced in one move."""
    part = path.with_suffix(".part.npz")
    np.savez(part, **{name: np.asarray(p) for name, p in params.items()})
    part.replace(path)


def load(path: Path) -> Params:
    """What `save` wrote."""
    with np.load(path) as data:
        return {name: jnp.asarray(data[name]) for name in data.files}


def run(config: Config, args: argparse.Namespace) -> None:
    """The training loop."""
    args.out.mkdir(parents=True, exist_ok=True)
    params = load(args.init) if args.init else init(config, args.seed)
    state = fresh_state(params)
    print(f"{sum(p.size for p in params.values()) / 1e6:.3f} M parameters", flush=True)
    began, answer, right_sum, loss_sum = time.time(), 0, 0.0, 0.0
    tokenizer = bpe.build()
    encode, draw = Encoder(tokenizer, args.prompt_weight), drawing(args.mix, tokenizer, args.respelled)
    stream = batches(encode, draw, args.longest, args.seed + args.from_step, args.from_step, args.steps)
    last = args.stop or args.steps
    stream = islice(stream, last - args.from_step)
    for step, (tokens, weights) in enumerate(stream, args.from_step):
        rate = args.peak * rate_at(step, args.steps, args.decay_from)
        value, right, grads = gradients(params, tokens, weights, config)
        params, state = update(params, grads, state, rate, step - args.from_step + 1.0)
        answer += int((weights == 1).sum())
        loss_sum, right_sum = loss_sum + float(value), right_sum + float(right)
        if (step + 1) % 25 == 0:
            spent = time.time() - began
            print(
                f"step {step + 1} loss {loss_sum / 25:.4f} right {right_sum / 25:.4f} "
                f"answer tokens {answer / 1e6:.2f}M {spent:.0f}s",
                flush=True,
            )
            loss_sum = right_sum = 0.0
        if (step + 1) % 200 == 0 or step + 1 == last:
            save(args.out / "last.npz", params)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("target", "draft"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path)
    parser.add_argument("--from-step", type=int, default=0)
    parser.add_argument("--stop", type=int, help="leave the schedule after this step")
    parser.add_argument("--decay-from", type=float, default=0.35, help="where in the schedule the rate begins to fall")
    parser.add_argument("--mix", choices=MIXES, default="wide", help="which prompts are drawn")
    parser.add_argument("--respelled", type=float, default=0.0, help="share of conversations with exchanged words")
    parser.add_argument("--longest", type=int, default=384, help="longer conversations are left out")
    parser.add_argument("--peak", type=float, default=1.0, help="share of the full learning rates")
    parser.add_argument("--prompt-weight", type=float, default=0.05, help="loss weight of what the assistant does not say")
    args = parser.parse_args()
    run(TARGET if args.model == "target" else DRAFT, args)


if __name__ == "__main__":
    main()
