"""Everyday tools with everyday requests, for prompts that sound like a demonstration.

Each entry is a tool and request templates; `{param}` stands for a value. A parameter that the
template does not name must be optional and is left out of the call.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import words
from tools import Param, Shape, Tool, Value, draw_boolean, draw_integer, draw_number, draw_string, quote


@dataclass(frozen=True)
class Classic:
    """A tool and the ways in which people ask for it."""

    tool: Tool
    requests: tuple[str, ...]


def _city(rng: random.Random, shape: Shape) -> Value:
    text = rng.choice(words.NAMES) if rng.random() < 0.4 else words.syllables(rng, 1, 3).capitalize()
    return Value(text, quote(rng, text, shape))


def _text(rng: random.Random, shape: Shape) -> Value:
    return draw_string(rng, shape)


def _choice(*choices: str) -> Param:
    def draw(rng: random.Random, _: Shape) -> Value:
        text = rng.choice(choices)
        return Value(text, text)

    return Param("unit", {"type": "string", "enum": list(choices)}, False, draw)


def _p(name: str, kind: str, required: bool = True, city: bool = False) -> Param:
    draws = {"string": _city if city else _text, "integer": draw_integer, "number": draw_number, "boolean": draw_boolean}
    return Param(name, {"type": kind}, required, draws[kind])


def _c(name: str, phrase: str, params: list[Param], *requests: str) -> Classic:
    return Classic(Tool(name, phrase, phrase[0].upper() + phrase[1:] + ".", params), requests)


CLASSICS: tuple[Classic, ...] = (
    _c("get_weather", "get the weather", [_p("city", "string", city=True), _choice("celsius", "fahrenheit")],
       "What is the weather in {city}?", "How is the weather in {city}?", "weather in {city} please",
       "What's the weather like in {city} in {unit}?", "Tell me the weather in {city} in {unit}"),
    _c("get_time", "get the local time", [_p("city", "string", city=True)],
       "What time is it in {city}?", "Tell me the time in {city}", "local time in {city}?"),
    _c("search_web", "search the web", [_p("query", "string"), _p("limit", "integer", False)],
       "Search the web for {query}", "Look up {query}", "Search for {query} and show {limit} results"),
    _c("send_email", "send an email", [_p("to", "string"), _p("subject", "string")],
       "Send an email to {to} about {subject}", "Email {to} with subject {subject}", "Write {to} a mail about {subject}"),
    _c("set_timer", "set a timer", [_p("minutes", "integer"), _p("label", "string", False)],
       "Set a timer for {minutes} minutes", "Timer for {minutes} minutes please",
       "Start a {minutes} minute timer called {label}"),
    _c("convert_currency", "convert money", [_p("amount", "number"), _p("from", "string"), _p("to", "string")],
       "Convert {amount} from {from} to {to}", "How much is {amount} {from} in {to}?"),
    _c("create_event", "create a calendar event", [_p("title", "string"), _p("date", "string")],
       "Create an event {title} on {date}", "Put {title} in my calendar for {date}", "Schedule {title} on {date}"),
    _c("play_music", "play music", [_p("artist", "string"), _p("shuffle", "boolean", False)],
       "Play music by {artist}", "Play something by {artist}", "Play {artist} with shuffle {shuffle}"),
    _c("add", "add two numbers", [_p("a", "number"), _p("b", "number")],
       "What is {a} plus {b}?", "Add {a} and {b}", "Compute {a} + {b}"),
    _c("read_file", "read a file", [_p("path", "string")],
       "Read the file {path}", "Open {path}", "Show me what is in {path}"),
    _c("get_stock_price", "get the price of a stock", [_p("symbol", "string")],
       "What is the stock price of {symbol}?", "How much is {symbol} trading at?", "price of {symbol} stock"),
    _c("book_flight", "book a flight",
       [_p("origin", "string", city=True), _p("destination", "string", city=True), _p("date", "string", False)],
       "Book a flight from {origin} to {destination}", "I need to fly from {origin} to {destination} on {date}"),
    _c("translate", "translate text", [_p("text", "string"), _p("language", "string")],
       "Translate {text} to {language}", "How do you say {text} in {language}?"),
)
