"""Conversations as text, through the chat template, with Hugging Face's Jinja settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from dialogue import Dialogue

TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text()


def _compile(source: str) -> Any:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(source)


_TEMPLATE = _compile(TEMPLATE)


def render(sample: Dialogue) -> str:
    """The whole conversation."""
    return _TEMPLATE.render(messages=sample.messages, tools=sample.tools)


def prompt(messages: list[dict[str, Any]], tools: list[dict[str, Any]], thinking: bool) -> str:
    """What the model sees before it answers."""
    return _TEMPLATE.render(messages=messages, tools=tools, add_generation_prompt=True, enable_thinking=thinking)
