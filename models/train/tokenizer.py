"""The byte-level BPE: built from the corpus, saved in Hugging Face form.

A value has the same tokens in a request and inside JSON: words never merge with a space, quote or
bracket around them, and digits stand alone. The unchanging lines of the tools prompt are added
tokens of their own, since they would otherwise be most of every prompt.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import dialogue
import words
from render import TEMPLATE, render
from tools import Shape

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKERS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
PHRASES = [
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n",
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within ",
    " XML tags:\n",
    '\n{"name": <function-name>, "arguments": <args-json-object>}\n',
    '{"type": "function", "function": {"name": "',
    '", "description": "',
    '", "parameters": {"type": "object", "properties": {',
    '": {"type": "string"',
    '": {"type": "integer"',
    '": {"type": "number"',
    '": {"type": "boolean"',
    '": {"type": "array", "items": {"type": "',
    '": {"type": "object", "properties": {"',
    '": {"type": ["string", "null"]',
    '}, "required": ["',
    ', "enum": ["',
]
SPLIT = r"\p{Lu}?[\p{Ll}\p{M}]+|\p{Lu}+|\p{L}+|\p{N}|\n+| +|_|[^\s\p{L}\p{N}_]+(?: [^\s\p{L}\p{N}_]+)*(?: (?!\s))?|\s"
VOCAB = 1024


def build(samples: int = 6000, vocab: int = VOCAB, seed: int = 11) -> Tokenizer:
    """Train on rendered conversations; ids: bytes and merges, then special tokens, markers, phrases."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = len(SPECIAL) + len(MARKERS) + len(PHRASES)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - added, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    rng = random.Random(seed)
    texts = [_bare(render(dialogue.make(rng, Shape()))) for _ in range(samples)]
    known = words.VERBS + words.NOUNS + words.PARAMS + words.PLAIN + words.NAMES + [w for e in words.ENUMS for w in e]
    texts += [" ".join(known)] * (samples // 100)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in MARKERS + PHRASES])
    return tokenizer


def _bare(text: str) -> str:
    for token in SPECIAL + MARKERS + PHRASES:
        text = text.replace(token, "\n")
    return text


def config() -> dict[str, object]:
    """`tokenizer_config.json`."""
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 1024,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }


def main() -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    build().save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(json.dumps(config(), ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
