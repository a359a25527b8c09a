"""Writes test/fixtures/prompts/ by running AUTOMATIC1111's webui itself (its version 1.10.1, which stays outside).

vectors.json: what its prompt_parser.py makes of prompts (emphasis, AND, schedules, the entry in force at each
    call of the UNet) and how its sd_hijack_clip.py cuts them into chunks, with the ids of the tiny checkpoint.
conditioning.safetensors: what its sd_hijack_clip.py hands to the UNet, with the text encoder of the tiny checkpoint.

    pip install lark==1.3.1
    python tools/reference/prompt_vectors.py CHECKOUT [--check]

The webui pins lark 1.1.2, which resolves ambiguous prompts by the order of a hash set: the same prompt parses
one way or another from process to process. From 1.1.6 on the order is fixed. Prompts whose schedule hangs on
it (a changing part that touches stray brackets) are left out here.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

# Before torch: its own threads would change the order of sums.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from load import FIXTURES
from regenerate import quiet_libraries
from store import write_tensors

MODEL = FIXTURES / "tiny-v"
TARGET = FIXTURES / "prompts"
TOLERANCE = 1e-5

EMPHASIS = [
    # The documented ones.
    "normal text", "an (important) word", "(unbalanced", r"\(literal\]", "(unnecessary)(parens)",
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
    # Weights.
    "", " ", "(a:1.5)", "(a: 1.5 )", "(a:+.5)", "(a:-1)", "(a:0)", "(a:2.)", "(a:1e2)", "(a:b:1.2)", "a:1.2)", "a:1.2",
    "[a:1.2]", "[a:1.2)", "(a:1.2]", "((a:2):3)", "(a:1.2) (b:1.2)", "(a:\u00a01.5\u2003)", "(a:\u0661.\u0665)", "(a:\U0001d7d9)",
    # Odd brackets.
    "((a", "[[a", "([a", "a)", "a]", "a))", "(a]b)", "[a(b]c)", ")(", "][", "()", "[]", "(())", "(a)(b)[c]", "((a) b", "[a] [b",
    # Escapes.
    r"\(a\)", r"\\(a)", r"\\\(a)", r"(a\)", r"a\b", "a\\", r"\[\]", r"(\(\)\:1.3)", "\\\n(a)", r"\é",
    # BREAK.
    "a BREAK b", "BREAK", " BREAK ", "aBREAK b", "a BREAKb", "a\nBREAK\nb", "a,BREAK,b", "a_BREAK b", "éBREAK", "a BREAK BREAK b",
    "(a BREAK b)", "(a BREAK b:1)", "(a:-1) BREAK b", "a BREAK (b:-1)", "BREAK BREAK", "\u6771BREAK", "e\u0301BREAK",
    # Unicode.
    "(caf\u00e9:1.2), [\u6771\u4eac]", "(\U0001f600\U0001f468\u200d\U0001f469:0.9)", "\uff08a\uff1a1.2\uff09", "a\ufeff(b:\ufeff1.2)",
    "a | b", "<lora:x:1>", "a, (b, c:1.1), d",
]

COMPOSITION = [
    "a cat AND a dog", "a cat :1.2 AND a dog AND a penguin :2.2", "a:1.5", "a : -0.5 AND b:+2", "a:1. AND b:.5", "a:1.5.5", "a:1:2",
    "a:", "AND", " AND ", "a AND", "AND b", "a and b", "aAND b", "sAND", "a_AND b", "a\nAND\nb", "a AND a", "(a AND b:1.2)",
    "[a AND b:3]", "\u00e9AND b", "a\u00a0AND\u3000b:\u0662", " a  AND  b ", "a\nb :2 \n", "a:1e3", "a:b AND :2", "a \ufeffAND\ufeff b",
]

SCHEDULES = [
    # The documented ones.
    "test", "a [b:3]", "a [b: 3]", "a [[[b]]:2]", "[(a:2):3]", "a [b : c : 1] d", "a[b:[c:d:2]:1]e", "a [unbalanced", "a [b:.5] c",
    "a [{b|d{:.5] c", "((a][:b:c [d:3]",
    "a [mountain:lake:0.25] [an oak:a tree:0.75][ in front::0.6][ behind:0.25] [x:y:0.5]",
    # When.
    "[a:b:0]", "[a:b:1]", "[a:b:1.0]", "[a:b:0.99]", "[a:b:-1]", "[a:b:-0.5]", "[a:b:+.25]", "[a:b:1e1]", "[a:b:1e-1]", "[a:b:.5e0]",
    "[a:b:99]", "[a:b:7.]", "[a:b:0.05]", "[a:b:0.29]", "[a:b: 3 ]", "[a:b:\u00a03\u2003]", "[a:b:3\n]", "[a:b:x]", "[a:b:]", "[a:b:3e]", "[a:b:3 4]",
    "[a:b:\u0663]", "[a:b:1/2]", "[a:b:\ufeff3]",
    # Empty parts and colons.
    "[:b:3]", "[a::3]", "[::3]", "[:3]", "[a:3]", "[3]", "[a:b]", "[a:b:c:3]", "[a:3:5]", "(a:b:3)", "[(a:b):3]", "[(a:b:c):3]",
    "[]", "[:]", "()", "", " ", "a:b", "a : 3]",
    # Brackets.
    "[a [b:c:3]", "a] [b:c:3] [d", "(a [b:c:3]", "((a:[b:c:3]", "(a:[b:c:3])", "[a:(b:3]", "[a (b] c):3]", "[a:b:3", "a:b:3]",
    "([a:b:3]:1.2)", "[(a:1.2):(b:0.8):3]", "[[a]:[b]:3]", "[[a:b:2]:[c:d:4]:3]", "[a:[b:[c:d:4]:3]:2]", "[[[a:b:1]:c:2]:d:3]",
    # Escapes.
    r"[a\:b:c:3]", r"[a\]:b:3]", r"\[a:b:3]", r"[a:b:3\]", r"[\(:\):3]", "x\\", "x\\\n[a:b:3]", r"\\[a:b:3]", r"[a\|b|c]",
    # A bar outside of an alternation.
    "a | b", "a | b [c:d:3]", "(a|b)", "[a|b", "[a|b:c]", "[a|b:3]", "[a|b:c:3]",
    # Unicode.
    "[\u6771\u4eac:caf\u00e9:0.5]", "[\U0001f600:\U0001f468\u200d\U0001f469:3] \uff3ba:b:3\uff3d",
]

ALTERNATIONS = ["[a|b]", "[a|(b:1.1)]", "[fe|]male", "[fe|||]male", "[|]", "[a| b ] [c:d:3]", "[[a|b]:c:0.5]", "[a|[b:c:5]]", "[a|b|c] [d|e]",
                "[[a|b]|c]", "([a|b]:1.2)"]

LONG = ("a photograph of an astronaut riding a horse, (a red apple:1.3) on a [wooden] table, the old city, " * 3).strip()

CHUNKS = [
    "", "a cat", "a (cat:1.5), [dog]", "a BREAK b", "BREAK", "a BREAK", "a BREAK BREAK (b:0.5)", "(a BREAK b)", LONG,
    "a " * 75, "a " * 76, "a " * 74 + ", b", "a " * 75 + ", b", "a " * 74 + ", " + "b " * 80, "a " * 55 + ", " + "b " * 20,
    "a " * 54 + ", " + "b " * 21, "a " * 54 + ", (" + "b " * 20 + ":1.2), c", "a " * 53 + ", " + "b " * 22, ", " * 160, "a, " * 40,
    "a " * 20 + "BREAK " + "b " * 70 + ", " + "c " * 10, "foo<|endoftext|>bar (baz:1.2)", r"\(a\) (b:-1) (c:0)", "caf\u00e9, (\u6771\u4eac:1.1)",
]

# Texts that are encoded together, as those of a schedule are; the last one again, as where two take turns.
CONDITIONING = {
    "alone": ["a (red:1.5) cat, [on a table]"],
    "schedule": ["a (red:1.5) cat", "a [blue] dog BREAK (on a table:0.3)", "a (red:1.5) cat"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder of stable-diffusion-webui")
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    arguments = parser.parse_args()
    quiet_libraries()
    prompts, clip = webui(arguments.checkout)
    embedder = make_embedder(clip)
    text = vectors(prompts, embedder)
    tensors = {name: embedder(texts)[:2] for name, texts in CONDITIONING.items()}
    if not arguments.check:
        write_tensors(TARGET / "conditioning.safetensors", tensors)
        (TARGET / "vectors.json").write_text(text, encoding="utf-8")
        return
    assert (TARGET / "vectors.json").read_text(encoding="utf-8") == text
    committed = load_file(TARGET / "conditioning.safetensors")
    for name in tensors.keys() | committed.keys():
        torch.testing.assert_close(tensors[name], committed[name], rtol=0, atol=TOLERANCE * committed[name].abs().max().item())


def webui(checkout: Path):
    """Its prompt_parser and sd_hijack_clip, what else they import replaced by as little as they use of it."""
    sys.path.insert(0, str(checkout))
    options = SimpleNamespace(emphasis="Original", comma_padding_backtrack=20, use_old_emphasis_implementation=False,
                              textual_inversion_add_hashes_to_infotext=False)
    no_embeddings = SimpleNamespace(find_embedding_at_position=lambda _tokens, _position: (None, None))
    hijack = SimpleNamespace(embedding_db=no_embeddings, extra_generation_params={}, fixes=None)
    stubs = {
        "devices": {"device": "cpu", "torch_npu_set_device": lambda: None},
        "sd_hijack": {"model_hijack": hijack},
        "shared": {"opts": options},
    }
    for name, values in stubs.items():
        module = ModuleType(f"modules.{name}")
        vars(module).update(values)
        sys.modules[f"modules.{name}"] = module
    from modules import prompt_parser, sd_hijack_clip

    return prompt_parser, sd_hijack_clip


def make_embedder(clip):
    """The webui's embedder as its class for Stable Diffusion 2 sets it up, on the tiny checkpoint."""
    tokenizer = CLIPTokenizer.from_pretrained(MODEL / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(MODEL / "text_encoder", torch_dtype=torch.float32).eval().requires_grad_(False)

    class Embedder(clip.FrozenCLIPEmbedderWithCustomWordsBase):
        def __init__(self):
            super().__init__(SimpleNamespace(), clip.sd_hijack.model_hijack)
            self.comma_token = tokenizer.get_vocab()[",</w>"]
            self.id_start, self.id_end, self.id_pad = tokenizer.bos_token_id, tokenizer.eos_token_id, 0
            self.seen = []

        def tokenize(self, texts):
            return tokenizer(texts, truncation=False, add_special_tokens=False)["input_ids"]

        def encode_with_transformers(self, tokens):
            self.seen.append(tokens)
            return encoder(input_ids=tokens).last_hidden_state

    return Embedder()


def vectors(prompts, embedder) -> str:
    schedules = [(text, 10) for text in SCHEDULES + ALTERNATIONS]
    schedules += [(text, steps) for text in SCHEDULES[5:20] for steps in (20, 50)] + [(text, 1) for text in ("[a:b:0.5]", "[a|b]")]
    schedules += [("[a|b] [c:d:0.5]", 20)]
    parts = {
        "emphasis": [{"text": text, "pieces": prompts.parse_prompt_attention(text)} for text in EMPHASIS],
        "composition": [composition(prompts, text) for text in COMPOSITION],
        "schedules": [{"text": text, "steps": steps, "schedule": schedule(prompts, text, steps)} for text, steps in schedules],
        "uses": [uses(prompts, text, 10) for text in ("a", "[a:b:3]", "[a:b:1]", "[a:b:0]", "[a|b]", "[a:[b:c:6]:0.31]")],
        "conditioning": [{"name": name, "texts": texts} for name, texts in CONDITIONING.items()],
        "chunks": [chunks(embedder, text) for text in CHUNKS],
    }
    bodies = (f'"{name}":[\n' + ",\n".join(dump(row) for row in rows) + "\n]" for name, rows in parts.items())
    return "{" + ",\n".join(bodies) + "}\n"


def dump(value) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def composition(prompts, text: str) -> dict:
    [indexes], flat, _ = prompts.get_multicond_prompt_list([text])
    return {"text": text, "parts": [[flat[index], weight] for index, weight in indexes]}


def schedule(prompts, text: str, steps: int) -> list:
    return prompts.get_learned_conditioning_prompt_schedules([text], steps)[0]


def uses(prompts, text: str, steps: int) -> dict:
    """The entry in force at each call, two calls more than there are steps."""
    entries = [prompts.ScheduledPromptConditioning(end, torch.tensor([float(i)]))
               for i, (end, _) in enumerate(schedule(prompts, text, steps))]
    picked = [int(prompts.reconstruct_cond_batch([entries], call)) for call in range(steps + 2)]
    return {"text": text, "steps": steps, "uses": picked}


def chunks(embedder, text: str) -> dict:
    """Ids as the text encoder gets them, and weights, without the padding and the ones at the end."""
    made, _ = embedder.tokenize_line(text)
    embedder.seen.clear()
    embedder([text])
    ids = [stripped(tokens[0].tolist(), 0) for tokens in embedder.seen]
    return {"text": text, "ids": ids, "weights": [stripped(chunk.multipliers, 1.0) for chunk in made]}


def stripped(values: list, filler) -> list:
    count = max((i + 1 for i, value in enumerate(values) if value != filler), default=0)
    return values[:count]


if __name__ == "__main__":
    main()
