"""Batches of token ids and loss weights, drawn without end from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

import dialogue
from render import render
from tools import Shape

LENGTHS = (128, 192, 256, 384)
TOKENS_PER_BATCH = 4608
PROMPT_WEIGHT = 0.05


def shape_at(progress: float, rng: random.Random) -> Shape:
    """What to draw at `progress` (0 to 1): short and plain first, then everything."""
    if progress < 0.06:
        return Shape(tools=(1, 2), params=(0, 2), quoted=0.7, multi_word=0.1, rich_types=0.3, parallel=0.0, thinking=0.4)
    shape = Shape(turns=rng.choice([1, 1, 1, 2, 2, 3]), filler=rng.choice([0, 0, 0, 0, 1, 2]))
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

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._start = tokenizer.encode("<|im_start|>assistant\n").ids
        self._end = tokenizer.token_to_id("<|im_end|>")
        self._empty = tokenizer.encode("<think>\n\n</think>\n\n").ids

    def __call__(self, sample: dialogue.Dialogue) -> tuple[list[int], list[float]]:
        """Ids, and for each id the weight of predicting it."""
        ids = self._tokenizer.encode(render(sample)).ids
        weights = [PROMPT_WEIGHT] * len(ids)
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


def batches(tokenizer: Tokenizer, seed: int, total: int, begin: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches `begin` to `total`: ids and weights `[rows, length]`, one length a batch, padded with zeros."""
    rng, encode = random.Random(seed), Encoder(tokenizer)
    shelves: dict[int, list[tuple[list[int], list[float]]]] = {length: [] for length in LENGTHS}
    made = begin
    while made < total:
        ids, weights = encode(dialogue.make(rng, shape_at(made / total, rng)))
        length = next((n for n in LENGTHS if len(ids) <= n), None)
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
