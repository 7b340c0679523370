"""Batches of token ids and loss weights, drawn without end from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

import dialogue
from render import render
from respell import Respeller
from tools import Shape

LENGTHS = (128, 192, 256, 384, 512)
TOKENS_PER_BATCH = 4608


def wide(progress: float, rng: random.Random) -> Shape:
    """What to draw at `progress` (0 to 1): short and plain first, then everything."""
    if progress < 0.06:
        return Shape(tools=(1, 2), params=(0, 2), quoted=0.7, multi_word=0.1, rich_types=0.3, parallel=0.0, thinking=0.4)
    return _sized(progress, rng, Shape())


def settled(progress: float, rng: random.Random) -> Shape:
    """As `wide`, with fewer of the names that say nothing about their tool, and less of the rare turns."""
    return _sized(progress, rng, _SETTLED)


def hardened(progress: float, rng: random.Random) -> Shape:
    """As `settled`, with more long prompts and more requests that no tool fits."""
    if rng.random() < 0.12:
        return replace(_SETTLED, tools=(3, 5), params=(1, 4), filler=rng.randint(0, 4))
    return _sized(progress, rng, replace(_SETTLED, no_call=0.14))


_SETTLED = Shape(fresh_names=0.3, related=0.93, thinking=0.35, parallel=0.12, rich_types=0.5)
MIXES: dict[str, Callable[[float, random.Random], Shape]] = {"wide": wide, "settled": settled, "hardened": hardened}


def _sized(progress: float, rng: random.Random, base: Shape) -> Shape:
    shape = replace(base, turns=rng.choice([1, 1, 1, 2, 2, 3]), filler=rng.choice([0, 0, 0, 0, 1, 2]))
    kind = rng.random()
    if kind > 0.98:
        return replace(shape, tools=(0, 0), no_call=1.0)
    if progress > 0.15 and kind < 0.15:
        return replace(shape, tools=(3, 5), params=(0, 3), turns=rng.choice([1, 2, 3]))
    if progress > 0.15 and kind < 0.25:
        return replace(shape, tools=(1, 2), params=(2, 5))
    return shape


class Encoder:
    """Turns a conversation into ids and weights: the assistant's words count, the rest hardly."""

    def __init__(self, tokenizer: Tokenizer, prompt_weight: float) -> None:
        self._tokenizer, self._prompt_weight = tokenizer, prompt_weight
        self._start = tokenizer.encode("<|im_start|>assistant\n").ids
        self._end = tokenizer.token_to_id("<|im_end|>")
        self._empty = tokenizer.encode("<think>\n\n</think>\n\n").ids

    def __call__(self, sample: dialogue.Dialogue) -> tuple[list[int], list[float]]:
        """Ids, and for each id the weight of predicting it."""
        ids = self._tokenizer.encode(render(sample)).ids
        weights = [self._prompt_weight] * len(ids)
        head, at = len(self._start), 0
        while at < len(ids):
            if ids[at : at + head] != self._start:
                at += 1
                continue
            begin = at + head
            stop = ids.index(self._end, begin) + 1
            weights[begin:stop] = [1.0] * (stop - begin)
            quiet = self._quiet(ids[begin:stop], sample.thinking)
            weights[begin : begin + quiet] = [0.0] * quiet
            at = stop
        return ids, weights

    def _quiet(self, turn: list[int], thinking: bool) -> int:
        """How many first tokens of a turn the prompt gives (or an older turn may not teach)."""
        if turn[: len(self._empty)] == self._empty:
            return len(self._empty)
        return 0 if thinking and turn[0] == self._empty[0] else 1


Draw = Callable[[float, random.Random], dialogue.Dialogue]


def drawing(mix: str, tokenizer: Tokenizer, respelled: float) -> Draw:
    """How conversations are drawn: from which mix, and what share of them with exchanged words."""
    respell, shape = Respeller(tokenizer), MIXES[mix]

    def draw(progress: float, rng: random.Random) -> dialogue.Dialogue:
        sample = dialogue.make(rng, shape(progress, rng))
        return respell(rng, sample) if respelled and rng.random() < respelled else sample

    return draw


def batches(
    encode: Encoder, draw: Draw, longest: int, seed: int, begin: int, total: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches `begin` to `total`: ids and weights `[rows, length]`, one length a batch, padded with zeros."""
    rng = random.Random(seed)
    shelves: dict[int, list[tuple[list[int], list[float]]]] = {length: [] for length in LENGTHS if length <= longest}
    made = begin
    while made < total:
        ids, weights = encode(draw(made / total, rng))
        length = next((n for n in shelves if len(ids) <= n), None)
        if length is None:
            continue
        shelf = shelves[length]
        shelf.append((ids, weights))
        if len(shelf) == TOKENS_PER_BATCH // length:
            tokens = np.zeros((len(shelf), length), np.int32)
            mask = np.zeros((len(shelf), length), np.float32)
            for row, (i, w) in enumerate(shelf):
                tokens[row, : len(i)] = i
                mask[row, : len(w)] = w
            shelf.clear()
            made += 1
            yield tokens, mask
