"""A small vocabulary in the format of CLIP's tokenizer: whole words of our captions, and every byte.

Ids: 256 bytes, the same bytes ending a word, one id per merge, start and end of text.
An unknown word falls apart into letters, so it still has tokens.
"""

import functools
import itertools
import json

from captions import OPENINGS
from words import (COLOUR_WORDS, COLOURS, PLAIN, PLAIN_WORDS, RELATION_WORDS, SETTING_WORDS,
                   SHAPE_WORDS, SIZE_WORDS)

START, END, PAD = "<|startoftext|>", "<|endoftext|>", "!"
LENGTH = 77
EXTRA = ("a", "an", "the", "and", "is", "gray", "of")
SPARE = ("with", "two", "scene", "medium", "next", "middle")  # tokens of their own, in no caption yet


@functools.cache
def known_words():
    """Every word a caption can contain, sorted."""
    tables = (SHAPE_WORDS, COLOUR_WORDS, SIZE_WORDS, RELATION_WORDS, SETTING_WORDS)
    phrases = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    phrases += [*OPENINGS, *(p.replace("{}", " ") for p in PLAIN_WORDS), *PLAIN, *COLOURS, *EXTRA]
    return sorted({word for phrase in phrases for word in phrase.split()})


def byte_symbols():
    """GPT-2's printable symbol of each byte, in CLIP's order: printable bytes first, so '!' has id 0."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(len(hidden))]


@functools.cache
def merges():
    """Merges by rank such that the greedy algorithm joins every known word into one token.

    Each word adds merges for what the earlier ones leave apart; lower ranks cannot undo an earlier word.
    """
    ranked = []
    for word in sorted([*known_words(), *SPARE]):
        parts = split(word, ranked)
        while len(parts) > 1:
            ranked.append((parts[0], parts[1]))
            parts = split(word, ranked)
    return ranked


def split(word, ranked):
    """CLIP's byte-pair algorithm: joins the pair of the best rank until none is left."""
    parts = [*word[:-1], word[-1] + "</w>"]
    while True:
        pairs = [pair for pair in itertools.pairwise(parts) if pair in ranked]
        if not pairs:
            return parts
        best, joined = min(pairs, key=ranked.index), []
        for part in parts:
            if joined and (joined[-1], part) == best:
                joined[-1] += part
            else:
                joined.append(part)
        parts = joined


def vocabulary():
    """Token to id."""
    symbols = byte_symbols()
    tokens = [*symbols, *(s + "</w>" for s in symbols), *("".join(m) for m in merges()), START, END]
    return {token: n for n, token in enumerate(dict.fromkeys(tokens))}


def write_tokenizer(folder):
    """vocab.json, merges.txt and the settings that diffusers' CLIPTokenizer reads."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges())]
    (folder / "vocab.json").write_text(json.dumps(vocabulary(), ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": PAD}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True,
                "add_prefix_space": False, "errors": "replace", "known_words": known_words(), **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")


class WordTokenizer:
    """Known words only, for training: the same ids as CLIP's algorithm gives, without its cost."""

    def __init__(self):
        self.ids = vocabulary()

    def __call__(self, text):
        """77 ids: start, words, end, padding (id 0)."""
        words = text.replace(",", " , ").split()
        ids = [self.ids[START], *(self.ids[word + "</w>"] for word in words), self.ids[END]]
        return ids + [self.ids[PAD]] * (LENGTH - len(ids))
