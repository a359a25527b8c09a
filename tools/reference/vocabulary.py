"""A small CLIP vocabulary: the 512 byte tokens, the first merges of CLIP's own list, and the two marks.

Ids follow CLIP's rule, so "!" is 0, and the marks take the last two. The merges are the head of OpenAI's
bpe_simple_vocab_16e6.txt (MIT, Copyright (c) 2021 OpenAI).
"""

from pathlib import Path

from store import write_json

MERGES = Path(__file__).with_name("clip-merges.txt")
START, END, PAD = "<|startoftext|>", "<|endoftext|>", "!"


def byte_characters() -> list[str]:
    """The 256 printable stand-ins of GPT-2's byte-level BPE, printable bytes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(others)]


def vocabulary(merges: list[str]) -> dict[str, int]:
    characters = byte_characters()
    words = [*characters, *(c + "</w>" for c in characters), *("".join(m.split()) for m in merges), START, END]
    return {word: index for index, word in enumerate(words)}


def vocabulary_size(merge_count: int) -> int:
    return 512 + merge_count + 2


def save_tokenizer(folder: Path, merge_count: int) -> None:
    """Writes the four files that an SD2 folder's tokenizer/ holds."""
    merges = MERGES.read_text(encoding="utf-8").splitlines()[:merge_count]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "vocab.json", vocabulary(merges), indent=None, sort_keys=False)
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    write_json(folder / "special_tokens_map.json", special_tokens())
    write_json(folder / "tokenizer_config.json", tokenizer_config())


def special_tokens() -> dict:
    return {"bos_token": mark(START), "eos_token": mark(END), "pad_token": PAD, "unk_token": mark(END)}


def tokenizer_config() -> dict:
    return {
        "add_prefix_space": False,
        "bos_token": {"__type": "AddedToken", **mark(START)},
        "do_lower_case": True,
        "eos_token": {"__type": "AddedToken", **mark(END)},
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": PAD,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": {"__type": "AddedToken", **mark(END)},
    }


def mark(content: str) -> dict:
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
