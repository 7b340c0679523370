"""Greedy, unconstrained answers to the evaluation set, scored and printed as a table.

    python evaluate.py target /tmp/run/last.npz --json results.json --markdown results.md

`exact`: the very calls that were asked for, or the very answer in words. `name`: the right tools in
the right order. `JSON`: each call that was begun is closed and parses as an object with `name` and
`arguments`. `schema`: and names an offered tool whose schema the arguments satisfy.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

import tokenizer as bpe
from cases import SHIFTS, cases
from decode import generate
from exporting import rounded
from model import DRAFT, TARGET, Config, Params
from render import prompt
from train import load

Json = Any
LIMIT, ROWS = 200, 36
MEASURES = ("exact", "name", "json", "schema")


def read(text: str) -> tuple[str, list[Json] | None]:
    """The words and the calls of an answer; `None` if a call does not parse."""
    text = text.removesuffix("<|im_end|>").split("</think>")[-1]
    words, *blocks = text.split("<tool_call>")
    calls: list[Json] = []
    for block in blocks:
        body, closed, rest = block.partition("</tool_call>")
        try:
            call = json.loads(body)
        except json.JSONDecodeError:
            return words.strip(), None
        if not closed or rest.strip() or not isinstance(call, dict) or set(call) != {"name", "arguments"}:
            return words.strip(), None
        calls.append(call)
    return words.strip(), calls


def valid(schema: dict[str, Json], value: Json) -> bool:
    """Whether a value satisfies a schema made of the keywords that the corpus uses."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(kind, value) for kind in kinds) or value not in schema.get("enum", [value]):
        return False
    if isinstance(value, list):
        return all(valid(schema["items"], item) for item in value)
    if isinstance(value, dict):
        known, required = schema["properties"], schema.get("required", [])
        return set(required) <= set(value) and all(k in known and valid(known[k], v) for k, v in value.items())
    return True


def _is(kind: str, value: Json) -> bool:
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)
    types = {"string": str, "boolean": bool, "null": type(None), "array": list, "object": dict}
    return isinstance(value, types[kind])


def score(case: dict[str, Json], text: str) -> dict[str, bool]:
    """The measures of one answer."""
    words, calls = read(text)
    if calls is None:
        return dict.fromkeys(MEASURES, False)
    schemas = {t["function"]["name"]: t["function"]["parameters"] for t in case["tools"]}
    fits = all(c["name"] in schemas and valid(schemas[c["name"]], c["arguments"]) for c in calls)
    same = json.dumps(calls) == json.dumps(case["calls"])
    return {
        "exact": same and text.endswith("<|im_end|>") and (bool(calls) or words == case["answer"]),
        "name": [c["name"] for c in calls] == [c["name"] for c in case["calls"]],
        "json": True,
        "schema": fits,
    }


def evaluate(params: Params, config: Config, tokenizer: Tokenizer, per_shift: int) -> tuple[list[Json], list[Json]]:
    """Rows of the table, and every case with what the model said."""
    stop = tokenizer.token_to_id("<|im_end|>")
    chosen = []
    for shift in SHIFTS:
        chosen += [c for c in cases() if c["shift"] == shift][:per_shift]
    prompts = [tokenizer.encode(prompt(c["messages"], c["tools"], c["thinking"])).ids for c in chosen]
    answers = [tokenizer.decode(a, skip_special_tokens=False) for a in generate(params, config, prompts, stop, LIMIT, ROWS)]
    said = [{**c, "said": a, **score(c, a)} for c, a in zip(chosen, answers, strict=True)]
    rows = []
    for shift in SHIFTS:
        mine = [s for s in said if s["shift"] == shift]
        rates = {m: round(100 * sum(s[m] for s in mine) / len(mine), 1) for m in MEASURES}
        tokens = [len(p) for p, c in zip(prompts, chosen, strict=True) if c["shift"] == shift]
        rows.append({"shift": shift, "cases": len(mine), "prompt tokens": round(sum(tokens) / len(tokens)), **rates})
    return rows, said


def markdown(rows: list[Json]) -> str:
    """The rows as a Markdown table, in percent."""
    lines = ["| shift | cases | prompt tokens | exact | name | JSON | schema |", "| --- | --: | --: | --: | --: | --: | --: |"]
    for r in rows:
        rates = " | ".join(f"{r[m]:.0f}" for m in MEASURES)
        lines.append(f"| {r['shift']} | {r['cases']} | {r['prompt tokens']} | {rates} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("target", "draft"))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--per-shift", type=int, default=1000, help="at most so many cases of each shift")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--said", type=Path, help="every case with the model's answer, as JSON lines")
    args = parser.parse_args()
    params, config = rounded(load(args.checkpoint)), TARGET if args.model == "target" else DRAFT
    rows, said = evaluate(params, config, bpe.build(), args.per_shift)
    print(markdown(rows), end="")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(rows))
    if args.said:
        args.said.write_text("".join(json.dumps(s, ensure_ascii=False) + "\n" for s in said))


if __name__ == "__main__":
    main()
