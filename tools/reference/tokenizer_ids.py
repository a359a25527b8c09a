"""Writes test/fixtures/tokenizer/ from the tokenizer folder of an SD2 checkpoint, with CLIP's 49,408 tokens.

vocab.json, merges.txt: a small honest BPE, CLIP's byte tokens, its first 1,500 merges and its marks: what
    the tests run against the Rust tokenizer.
clip-prompts.json: prompts with their ids under the whole vocabulary, by transformers' CLIPTokenizer; the
    text that it loses of long ones; and those of CLIP's tokens and merges, with their own ids and order,
    that can touch the prompts' words, so that the ids can be checked without the other 45,000.

    python tools/reference/tokenizer_ids.py FOLDER [--check]
"""

import argparse
import json
import pathlib

from transformers import CLIPTokenizer

FIXTURES = pathlib.Path(__file__).parents[2] / "test/fixtures/tokenizer"
SMALL = 1500
START, END = "<|startoftext|>", "<|endoftext|>"

PROMPTS = [
    "",
    " ",
    "a photo of an astronaut riding a horse on mars",
    "a photo of a cat",
    "A Photo Of A CAT",
    "  a   photo\tof\na\r\ncat  ",
    "a professional photograph of an astronaut riding a horse",
    "a high tech solarpunk utopia in the Amazon rainforest",
    "a pikachu fine dining with a view to the Eiffel Tower",
    "a mecha robot in a favela in expressionist style",
    "an insect robot preparing a delicious meal",
    "a small cabin on top of a snowy mountain in the style of Disney, artstation",
    "portrait of a knight, intricate, elegant, highly detailed, digital painting, artstation, concept art, "
    "smooth, sharp focus, illustration, art by artgerm and greg rutkowski and alphonse mucha",
    "blurry, low quality, jpeg artifacts, watermark, text, signature, extra limbs",
    "ugly, tiling, poorly drawn hands, out of frame, mutation, (deformed:1.3), [cropped]",
    "oil painting of a lighthouse at dusk, stormy sea --ar 16:9",
    "watercolour of mountains; mist, pines & a lake",
    "isometric voxel art of a tiny ramen shop",
    "macro photo of a bee on a sunflower, f/2.8, 85mm, bokeh",
    "cyberpunk city at night, neon lights, rain, 8k, hdr, unreal engine 5",
    "studio ghibli style landscape, fluffy clouds",
    "a red cube on top of a blue sphere",
    "a sign that says \"hello world!\"",
    "hello! wow!! no?!",
    "it's they're i'm we'd you'll can't i've",
    "IT'S THEY'RE I'M WE'D",
    "rock 'n' roll ''s 's",
    "don\u2019t stop",
    "naïve café, crème brûlée",
    "nai\u0308ve cafe\u0301",
    "straße und ſtraße, STRASSE",
    "Kelvin \u212a, angstrom \u212b, ohm \u2126",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ ς",
    "İstanbul ıI",
    "Привет, мир! Ёлка",
    "東京タワーの夜景",
    "北京 故宫 水墨画",
    "한국어 서울",
    "ภาพวาด แมว",
    "हिन्दी चित्र",
    "لوحة زيتية",
    "ציור שמן",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e9\U0001f1ea",
    "a\ufeffb \ufeffc",
    "a\u0085b\u00a0c\u2003d\u3000e\u200bf\u180eg",
    "a\u0000b\u0007c\u001fd\u007fe",
    "1234567890 3.14 1,000 ½ ² Ⅷ",
    "C++ C# .NET user@example.com https://example.com/a?b=c#d",
    "snake_case kebab-case CamelCase",
    "&amp; &lt;b&gt; <b>bold</b>",
    "foo<|endoftext|>bar",
    "foo <|ENDOFTEXT|> bar <|StartOfText|>",
    "-<|startoftext|>-",
    "</w> a</w> <w>",
    "\ufffd \uffff \ue000 \U0010fffd",
    "\u201cquoted\u201d \u2018single\u2019 \u2014 dash \u2026",
    "ﬁne ﬂuﬀ Ａ１",
    "supercalifragilisticexpialidocious antidisestablishmentarianism pneumonoultramicroscopic",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "a " * 75,
    "a " * 76,
    "cat " * 100,
    "a very long prompt that goes on and on, " * 9 + "and ends with café and 東京",
    "!" * 90,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="the tokenizer folder of an SD2 checkpoint")
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    arguments = parser.parse_args()
    made = files(arguments.folder)
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        if arguments.check:
            assert (FIXTURES / name).read_text(encoding="utf-8") == text, name
        else:
            (FIXTURES / name).write_text(text, encoding="utf-8")


def files(folder):
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    merges = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert len(vocab) == 49408 and len(merges) == 48894
    return {
        "vocab.json": dump(small_vocab(vocab)),
        "merges.txt": "\n".join(["#version: 0.2", *merges[:SMALL], ""]),
        "clip-prompts.json": prompts(folder, vocab, merges),
    }


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def small_vocab(vocab):
    tokens = sorted(vocab, key=vocab.get)
    return {token: index for index, token in enumerate([*tokens[: 512 + SMALL], START, END])}


def prompts(folder, vocab, merges):
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    rows = [row(tokenizer, text) for text in PROMPTS]
    backend = tokenizer.backend_tokenizer
    words = set()
    for text in PROMPTS:
        pieces = backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
        words.update(piece + "</w>" for piece, _ in pieces)
    everything = "\n".join(words)
    touching = [merge for merge in merges if merge.replace(" ", "") in everything]
    tokens = {*sorted(vocab, key=vocab.get)[:512], START, END, *(merge.replace(" ", "") for merge in touching)}
    kept = {token: vocab[token] for token in sorted(tokens, key=vocab.get)}
    lines = ",\n".join(json.dumps(row) for row in rows)
    return f'{{"vocab":{dump(kept).strip()},\n"merges":{dump(touching).strip()},\n"prompts":[\n{lines}\n]}}\n'


def row(tokenizer, text):
    padded = tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
    whole = tokenizer(text).input_ids
    count = min(len(whole), 77)
    assert len(padded) == 77 and set(padded[count:]) <= {0}
    return {"text": text, "ids": padded[:count], "lost": tokenizer.decode(whole[76:-1])}


if __name__ == "__main__":
    main()
