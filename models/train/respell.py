"""Replaces words of a conversation, everywhere alike, by words made of vocabulary pieces.

Random syllables use a small part of the vocabulary, and a token that was never copied in training
cannot be copied later. After this, any word may stand in a name, a parameter or a value.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

from tokenizers import Tokenizer

import words
from dialogue import Call, Dialogue

_WORD = re.compile(r"[A-Z]?[a-z]+")
# Words with a meaning to the schema, the message form or the fixed wording of the assistant.
_KEPT = frozenset(
    "function name description parameters properties required type object string integer number boolean array null "
    "enum items role content user assistant system tool calls reasoning arguments true false yes no call with then "
    "without the result is have no for that need needed text to from at on in early late first last".split()
)
_POOL = frozenset(words.VERBS + words.NOUNS + words.PARAMS + words.PLAIN + [n.lower() for n in words.NAMES]) - _KEPT


class Respeller:
    """Makes words from the letter-only pieces of a vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = sorted(p for p in tokenizer.get_vocab() if re.fullmatch("[a-z]+", p))

    def word(self, rng: random.Random) -> str:
        """Two to four pieces in a row."""
        return "".join(rng.choices(self._pieces, k=rng.choice([2, 2, 3, 3, 4])))[:14]

    def __call__(self, rng: random.Random, sample: Dialogue) -> Dialogue:
        """The conversation with up to six of its known words exchanged."""
        text = json.dumps([sample.tools, sample.messages], ensure_ascii=False)
        present = sorted({w.lower() for w in _WORD.findall(text)} & _POOL)
        chosen = rng.sample(present, min(len(present), rng.randint(1, 6)))
        new = {old: self.word(rng) for old in chosen}

        def swap(match: re.Match[str]) -> str:
            found = match.group()
            other = new.get(found.lower(), found.lower())
            return other.capitalize() if found[0].isupper() else other

        tools, messages = json.loads(_WORD.sub(swap, text))
        calls = [Call(c["function"]["name"], c["function"]["arguments"], "") for c in messages[-1].get("tool_calls", [])]
        return replace(sample, tools=tools, messages=messages, calls=calls)
