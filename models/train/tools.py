"""Random tools, their parameters and the values asked for.

A `Param` knows its JSON schema and draws a `Value`: the JSON value and the words that ask for it.
What is drawn depends only on the `random.Random` and the `Shape` that are passed in.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import words

Json = Any


@dataclass(frozen=True)
class Shape:
    """What kind of prompts are drawn; an evaluation shift changes one field."""

    tools: tuple[int, int] = (1, 3)
    params: tuple[int, int] = (0, 3)
    held_names: bool = False
    held_params: bool = False
    fresh_names: float = 0.4
    related: float = 0.85
    quoted: float = 0.4
    multi_word: float = 0.25
    rich_types: float = 0.55
    thinking: float = 0.4
    parallel: float = 0.15
    no_call: float = 0.1
    results: float = 0.15
    turns: int = 1
    classic: float = 0.2
    filler: int = 0
    all_types: bool = False


@dataclass(frozen=True)
class Value:
    """A JSON value and its wording in a request."""

    json: Json
    text: str


@dataclass
class Param:
    """One parameter: name, JSON schema, whether it is required, how to draw a value."""

    name: str
    schema: dict[str, Json]
    required: bool
    draw: Callable[[random.Random, Shape], Value]


@dataclass
class Tool:
    """A tool, with the words by which a request names its purpose."""

    name: str
    phrase: str
    description: str
    params: list[Param] = field(default_factory=list)

    def spec(self) -> dict[str, Json]:
        """The tool in OpenAI form."""
        schema = {"type": "object", "properties": {p.name: p.schema for p in self.params}}
        required = [p.name for p in self.params if p.required]
        if required:
            schema["required"] = required
        function = {"name": self.name, "description": self.description, "parameters": schema}
        return {"type": "function", "function": function}


def _word(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return words.fresh(rng)
    if kind < 0.45:
        return words.fresh(rng).capitalize()
    if kind < 0.65:
        return rng.choice(words.PLAIN)
    if kind < 0.93:
        return rng.choice(words.NAMES)
    if kind < 0.97:
        return rng.choice(words.ACCENTED)
    return "".join(rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=rng.randint(2, 5)))


def _digits(rng: random.Random, low: int, high: int) -> str:
    size = rng.randint(low, high)
    return str(rng.randint(10 ** (size - 1) if size > 1 else 0, 10**size - 1))


def _odd(rng: random.Random) -> str:
    """Dates, times, paths, addresses, codes."""
    kind = rng.randrange(7)
    if kind == 0:
        return f"20{rng.randint(10, 39)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    if kind == 1:
        return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
    if kind == 2:
        return "/" + "/".join(_word(rng).lower() for _ in range(rng.randint(1, 3))) + rng.choice([".txt", ".md", "", ".py"])
    if kind == 3:
        return f"{_word(rng).lower()}@{words.fresh(rng)}.{rng.choice(['com', 'org', 'net'])}"
    if kind == 4:
        return f"{words.letters(rng, 1, 3).upper()}-{_digits(rng, 1, 4)}"
    if kind == 5:
        return f"https://{words.fresh(rng)}.{rng.choice(['com', 'org', 'io'])}/{_word(rng).lower()}"
    return words.fresh(rng) + _digits(rng, 1, 3)


def quote(rng: random.Random, text: str, shape: Shape) -> str:
    """The text of a string value, sometimes in quotes."""
    if rng.random() < shape.quoted:
        return rng.choice(['"{}"', '"{}"', "'{}'"]).format(text)
    return text


def draw_string(rng: random.Random, shape: Shape) -> Value:
    """One or several words, or something with digits and punctuation."""
    if rng.random() < shape.multi_word:
        text = " ".join(_word(rng) for _ in range(rng.randint(2, 4)))
    elif rng.random() < 0.2:
        text = _odd(rng)
    else:
        text = _word(rng)
    return Value(text, quote(rng, text, shape))


def draw_integer(rng: random.Random, _: Shape) -> Value:
    """Up to five digits, sometimes negative."""
    value = int(_digits(rng, 1, rng.choice([1, 2, 2, 3, 5])))
    value = -value if rng.random() < 0.12 else value
    return Value(value, str(value))


def draw_number(rng: random.Random, shape: Shape) -> Value:
    """Mostly with decimals; the last decimal is never zero, so that text and JSON agree."""
    if rng.random() < 0.2:
        return draw_integer(rng, shape)
    sign = "-" if rng.random() < 0.15 else ""
    text = f"{sign}{_digits(rng, 1, 3)}.{rng.choice(['', '0', '5', '2'])}{rng.randint(1, 9)}"
    return Value(float(text), text)


def draw_boolean(rng: random.Random, _: Shape) -> Value:
    """`true` and `false`, seldom said as yes and no."""
    value = rng.random() < 0.5
    said = ("true" if value else "false") if rng.random() < 0.7 else ("yes" if value else "no")
    return Value(value, said)


def _draw_nullable(rng: random.Random, shape: Shape) -> Value:
    return Value(None, "null") if rng.random() < 0.5 else draw_string(rng, shape)


def _listing(rng: random.Random, texts: list[str]) -> str:
    if len(texts) == 1 or rng.random() < 0.4:
        return ", ".join(texts)
    return ", ".join(texts[:-1]) + " and " + texts[-1]


def _array(kind: str) -> Callable[[random.Random, Shape], Value]:
    def draw(rng: random.Random, shape: Shape) -> Value:
        size = rng.randint(1, 3)
        if kind == "integer":
            items = [draw_integer(rng, shape) for _ in range(size)]
        else:
            quoted = rng.random() < shape.quoted
            texts = [_word(rng) for _ in range(size)]
            items = [Value(t, f'"{t}"' if quoted else t) for t in texts]
        return Value([i.json for i in items], _listing(rng, [i.text for i in items]))

    return draw


def _object(parts: list[Param]) -> Callable[[random.Random, Shape], Value]:
    def draw(rng: random.Random, shape: Shape) -> Value:
        values = [(p.name, p.draw(rng, shape)) for p in parts]
        text = ", ".join(f"{name} {v.text}" for name, v in values)
        return Value({name: v.json for name, v in values}, f"({text})")

    return draw


def _enum(choices: list[str]) -> Callable[[random.Random, Shape], Value]:
    def draw(rng: random.Random, shape: Shape) -> Value:
        text = rng.choice(choices)
        return Value(text, quote(rng, text, shape))

    return draw


def _param_name(rng: random.Random, shape: Shape) -> str:
    if shape.held_params:
        return rng.choice(words.HELD_PARAMS)
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(words.PARAMS)
    if kind < 0.75:
        return rng.choice(words.PARAMS) + rng.choice(["_", "_", ""]) + rng.choice(["id", "name", "date", "at", "max"])
    if kind < 0.9:
        return words.fresh(rng)
    return words.fresh(rng) + "_" + rng.choice(words.PARAMS)


_SCALARS: dict[str, Callable[[random.Random, Shape], Value]] = {
    "string": draw_string,
    "integer": draw_integer,
    "number": draw_number,
    "boolean": draw_boolean,
}
_RICH = ["integer", "integer", "number", "boolean", "enum", "array", "object", "nullable"]


def make_param(rng: random.Random, shape: Shape, kind: str | None = None, depth: int = 0) -> Param:
    """A parameter with a random name and, unless given, a random type."""
    name, required = _param_name(rng, shape), rng.random() < 0.7
    kind = kind or (rng.choice(_RICH) if rng.random() < shape.rich_types else "string")
    if depth and kind in ("object", "array", "nullable"):
        kind = "string"
    if kind == "enum":
        known = rng.random() < 0.6
        choices = list(rng.choice(words.ENUMS)) if known else [words.fresh(rng) for _ in range(rng.randint(2, 4))]
        return Param(name, {"type": "string", "enum": choices}, required, _enum(choices))
    if kind == "array":
        items = rng.choice(["string", "string", "integer"])
        return Param(name, {"type": "array", "items": {"type": items}}, required, _array(items))
    if kind == "object":
        parts = distinct([make_param(rng, shape, rng.choice(["string", "integer"]), depth + 1) for _ in range(2)])
        schema = {"type": "object", "properties": {p.name: p.schema for p in parts}, "required": [p.name for p in parts]}
        return Param(name, schema, required, _object(parts))
    if kind == "nullable":
        return Param(name, {"type": ["string", "null"]}, required, _draw_nullable)
    return Param(name, {"type": kind}, required, _SCALARS[kind])


def distinct(params: list[Param]) -> list[Param]:
    """The parameters without those whose name was taken already."""
    return list({p.name: p for p in params}.values())


def _style(rng: random.Random, parts: list[str]) -> str:
    kind = rng.random()
    if kind < 0.5:
        return "_".join(parts)
    if kind < 0.7:
        return parts[0] + "".join(p.capitalize() for p in parts[1:])
    if kind < 0.85:
        return ".".join(reversed(parts))
    return "-".join(parts)


def make_tool(rng: random.Random, shape: Shape) -> Tool:
    """A tool whose purpose is a verb and a noun, named after them or quite otherwise."""
    if shape.held_names:
        verb, noun = rng.choice(words.HELD_VERBS), rng.choice(words.HELD_NOUNS)
    elif rng.random() < shape.fresh_names:
        verb, noun = rng.choice([rng.choice(words.VERBS), words.fresh(rng)]), words.fresh(rng)
    else:
        verb, noun = rng.choice(words.VERBS), rng.choice(words.NOUNS)
    related = shape.held_names or rng.random() < shape.related
    name = _style(rng, [verb, noun]) if related else _style(rng, [words.fresh(rng) for _ in range(rng.randint(1, 2))])
    article = rng.choice(["the", "the", "a", "one"])
    description = f"{verb} {article} {noun}"
    if rng.random() < 0.5:
        description = description.capitalize() + "."
    kinds: list[str | None] = [None] * rng.randint(*shape.params)
    if shape.all_types:
        kinds = rng.sample(["string", "integer", "number", "boolean", "enum", "array", "object", "nullable"], 3)
    params = distinct([make_param(rng, shape, kind) for kind in kinds])
    return Tool(name, f"{verb} the {noun}", description, params)
