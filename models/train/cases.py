"""The evaluation set: for each shift some prompts with the calls that are right, from a fixed seed.

    python cases.py ../eval.jsonl

One JSON object a line: `shift`, `thinking`, `messages`, `tools`, `calls` (name and arguments; empty
where the model should answer in words, with that answer in `answer`).
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import dialogue
from tools import Shape

PER_SHIFT, SEED = 34, 2_000_003
_BASE = Shape(thinking=0.0, no_call=0.0, results=0.0, parallel=0.0, classic=0.0)

SHIFTS: dict[str, Shape] = {
    "in distribution": Shape(),
    "everyday tools": replace(_BASE, classic=1.0),
    "unseen tool names": replace(_BASE, held_names=True),
    "unseen parameter names": replace(_BASE, held_params=True, params=(1, 3)),
    "quoted values": replace(_BASE, quoted=1.0, rich_types=0.0, params=(1, 2)),
    "unquoted values": replace(_BASE, quoted=0.0, rich_types=0.0, params=(1, 2)),
    "multi-word values": replace(_BASE, multi_word=1.0, rich_types=0.0, params=(1, 2)),
    "all types": replace(_BASE, all_types=True),
    "more tools (5 to 6)": replace(_BASE, tools=(5, 6), params=(0, 2)),
    "longer prompts": replace(_BASE, tools=(4, 5), params=(2, 4), filler=4),
    "parallel calls": replace(_BASE, parallel=1.0),
    "thinking": replace(_BASE, thinking=1.0),
    "answer after a result": replace(_BASE, results=1.0, thinking=0.3),
    "no call": replace(_BASE, no_call=1.0, thinking=0.3),
}


def cases() -> list[dict[str, Any]]:
    """All cases, shift after shift."""
    out = []
    for number, (shift, shape) in enumerate(SHIFTS.items()):
        rng = random.Random(SEED + number)
        out += [_case(shift, dialogue.make(rng, shape)) for _ in range(PER_SHIFT)]
    return out


def _case(shift: str, sample: dialogue.Dialogue) -> dict[str, Any]:
    return {
        "shift": shift,
        "thinking": sample.thinking,
        "messages": [_plain(m) for m in sample.messages[:-1]],
        "tools": sample.tools,
        "calls": [{"name": c.name, "arguments": c.arguments} for c in sample.calls],
        "answer": sample.messages[-1]["content"],
    }


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if value or key == "content"}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    lines = [json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases()]
    parser.parse_args().out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
