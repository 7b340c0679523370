"""Whole conversations: tools, request, thought, calls, results and answers.

`make(rng, shape)` draws one. Arguments always follow the order of the schema, so there is exactly
one right answer to a prompt; the wording of thoughts and answers is fixed for the same reason.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import words
from classics import CLASSICS, Classic
from tools import Param, Shape, Tool, Value, make_tool

Json = Any


@dataclass
class Call:
    """A tool call and the words that ask for it."""

    name: str
    arguments: dict[str, Json]
    request: str


@dataclass
class Dialogue:
    """A conversation that ends with the assistant turn to learn; `calls` are those of that turn."""

    tools: list[dict[str, Json]]
    messages: list[dict[str, Json]]
    calls: list[Call]
    thinking: bool


_LINK = ("{n} {v}", "{n} {v}", "{n}: {v}", "{n}={v}", "{n} = {v}", "the {n} {v}", "{n} is {v}", "{n} set to {v}")
_OPEN = ("", "", "", "please ", "Please ", "can you ", "Could you ", "I want to ", "Now ", "I need you to ", "Hi, ")
_JOIN = (" with ", " with ", ", ", " using ", " where ", " for ", ": ")
_CLOSE = ("", "", "", ".", "?", " please", ", thanks", "!")
_BOTH = (" and ", " and also ", ", then ", " and then ", "; also ")
_GREET = (
    ("hello", "Hello! How can I help?"), ("hi there", "Hello! How can I help?"), ("Hi!", "Hello! How can I help?"),
    ("good morning", "Hello! How can I help?"), ("hey", "Hello! How can I help?"),
    ("Hello, how are you?", "Hello! How can I help?"),
    ("thanks", "You are welcome."), ("Thank you!", "You are welcome."), ("thanks a lot", "You are welcome."),
    ("bye", "Goodbye."), ("Goodbye!", "Goodbye."), ("see you", "Goodbye."),
)
_SYSTEM = ("You are a helpful assistant.", "You are Toolglot.", "Answer briefly.", "Use the tools when they fit.")
_NO_TOOL = "I have no tool for that."
_FILLER = (
    "I was out yesterday", "it has been a long week", "there is no hurry", "my friend asked me about it",
    "we talked about this before", "the rest can wait", "I will check it later", "this is for the office",
)


def _wording(rng: random.Random, tool: Tool, values: list[tuple[Param, Value]]) -> str:
    given = list(values)
    if rng.random() < 0.3:
        rng.shuffle(given)
    verb = tool.phrase if rng.random() < 0.75 else f"{rng.choice(['call', 'use', 'run'])} {tool.name}"
    if not given:
        return verb
    if len(given) == 1 and len(tool.params) == 1 and rng.random() < 0.4:
        return verb + rng.choice([" for ", " ", " with ", ": "]) + given[0][1].text
    link = rng.choice(_LINK)
    parts = [link.format(n=p.name, v=v.text) for p, v in given]
    comma = rng.choice([", ", ", ", " and "])
    tail = parts[0] if len(parts) == 1 else comma.join(parts[:-1]) + rng.choice([" and ", comma]) + parts[-1]
    return verb + rng.choice(_JOIN) + tail


def _call(rng: random.Random, shape: Shape, tool: Tool) -> Call:
    given = [p for p in tool.params if p.required or rng.random() < 0.6]
    values = [(p, p.draw(rng, shape)) for p in given]
    return Call(tool.name, {p.name: v.json for p, v in values}, _wording(rng, tool, values))


def _classic_call(rng: random.Random, shape: Shape, classic: Classic) -> Call:
    request = rng.choice(classic.requests)
    given = [p for p in classic.tool.params if "{" + p.name + "}" in request]
    values = {p.name: p.draw(rng, shape) for p in given}
    text = request.format(**{name: value.text for name, value in values.items()})
    return Call(classic.tool.name, {name: value.json for name, value in values.items()}, text)


def _draw_tools(rng: random.Random, shape: Shape) -> tuple[list[Tool], dict[str, Classic]]:
    """Tools that differ in name and purpose, and those among them that are classics."""
    tools: dict[str, Tool] = {}
    classics: dict[str, Classic] = {}
    everyday = rng.random() < shape.classic
    count, phrases = rng.randint(*shape.tools), set()
    while len(tools) < count:
        if everyday and (not tools or rng.random() < 0.6):
            classic = rng.choice(CLASSICS)
            tool = classic.tool
            classics[tool.name] = classic
        else:
            tool = make_tool(rng, shape)
        if tool.name not in tools and tool.phrase not in phrases:
            tools[tool.name] = tool
            phrases.add(tool.phrase)
    order = list(tools.values())
    rng.shuffle(order)
    return order, classics


def thought(calls: list[Call]) -> str:
    """The plan that precedes calls in thinking mode."""
    if not calls:
        return "No tool is needed."
    plans = []
    for call in calls:
        args = ", ".join(f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items())
        plans.append(f"{call.name} with {args}" if args else f"{call.name} without arguments")
    return "I call " + ", then ".join(plans) + "."


def _assistant(calls: list[Call], text: str, reasoning: str) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": text, "reasoning_content": reasoning}
    if calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
        ]
    return message


def _result(rng: random.Random) -> tuple[str, str]:
    """The content of a tool result and the answer that quotes it."""
    kind = rng.random()
    word = rng.choice([words.fresh(rng), rng.choice(words.PLAIN), rng.choice(words.NAMES)])
    number = str(rng.randint(0, 999))
    if kind < 0.35:
        return f"{number} {word}", f"The result is {number} {word}."
    if kind < 0.65:
        return word, f"The result is {word}."
    key = rng.choice(words.PARAMS)
    value, said = (int(number), number) if rng.random() < 0.5 else (word, word)
    return json.dumps({key: value}), f"The {key} is {said}."


def _calls(rng: random.Random, shape: Shape, tools: list[Tool], classics: dict[str, Classic]) -> list[Call]:
    count = 1
    if rng.random() < shape.parallel:
        count = 2 if rng.random() < 0.75 else 3
    preferred = [t for t in tools if t.name in classics] or tools
    chosen = [rng.choice(preferred if rng.random() < 0.7 else tools) for _ in range(count)]
    return [_classic_call(rng, shape, classics[t.name]) if t.name in classics else _call(rng, shape, t) for t in chosen]


def _user(rng: random.Random, shape: Shape, calls: list[Call]) -> str:
    texts = [c.request for c in calls]
    if any(t[0].isupper() for t in texts):
        body = rng.choice([" ", " Also: ", " And then: "]).join(texts)
        opening = close = ""
    else:
        body, opening, close = rng.choice(_BOTH).join(texts), rng.choice(_OPEN), rng.choice(_CLOSE)
    filler = ". ".join(rng.choice(_FILLER) for _ in range(shape.filler))
    if filler:
        body = f"{filler}. {opening}{body}{close}" if rng.random() < 0.6 else f"{opening}{body}{close or '.'} {filler}."
    else:
        body = f"{opening}{body}{close}"
    return body[0].upper() + body[1:] if rng.random() < 0.3 and not opening else body


def _no_call(rng: random.Random, shape: Shape, tools: list[Tool]) -> tuple[str, str]:
    if rng.random() < 0.5:
        return rng.choice(_GREET)
    other = make_tool(rng, shape)
    if other.phrase in {t.phrase for t in tools}:
        return rng.choice(_GREET)
    return _user(rng, shape, [_call(rng, shape, other)]), _NO_TOOL


def make(rng: random.Random, shape: Shape) -> Dialogue:
    """One conversation; earlier turns, if any, carry no thoughts, as the template drops them."""
    tools, classics = _draw_tools(rng, shape)
    messages: list[dict[str, Json]] = []
    if rng.random() < 0.25:
        messages.append({"role": "system", "content": rng.choice(_SYSTEM)})
    thinking = rng.random() < shape.thinking
    calls: list[Call] = []
    for turn in range(shape.turns):
        last = turn == shape.turns - 1
        if rng.random() < shape.no_call:
            calls = []
            request, answer = _no_call(rng, shape, tools)
            messages.append({"role": "user", "content": request})
            messages.append(_assistant([], answer, thought([]) if thinking else ""))
            continue
        calls = _calls(rng, shape, tools, classics)
        messages.append({"role": "user", "content": _user(rng, shape, calls)})
        messages.append(_assistant(calls, "", thought(calls) if thinking else ""))
        if last and rng.random() >= shape.results:
            break
        results = [_result(rng) for _ in calls]
        messages.extend({"role": "tool", "content": content} for content, _ in results)
        messages.append(_assistant([], " ".join(said for _, said in results), "I have the result." if thinking else ""))
        calls = []
    return Dialogue([t.spec() for t in tools], messages, calls, thinking)
