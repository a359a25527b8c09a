"""Turns a diffusers folder into a single file of the original's layout, with diffusers' own conversion script.

usage: single_file.py SCRIPT [FOLDER FILE] [--check]
  SCRIPT  scripts/convert_diffusers_to_original_stable_diffusion.py of github.com/huggingface/diffusers (tried with 58eb52c)

Without FOLDER, converts test/fixtures/tiny-v and writes test/fixtures/ldm/tiny-v.json: for each part the rows of
ldm_keys.py, found by comparing the bytes of what went in and what came out, and the SHA-256 of all names, shapes and
bytes in the order of their names. Tests make the file from the folder by these rows. The script knows four levels of two layers.
"""

import argparse
import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from ldm_keys import PREFIXES, layout, rows
from load import FIXTURES
from store import write_tensors

TARGET = FIXTURES / "ldm" / "tiny-v.json"

WEIGHTS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("script", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    script = load_script(options.script)
    if options.folder:
        write_tensors(options.file, merge(convert(script, read(options.folder))))
        return
    text = record(script, FIXTURES / "tiny-v")
    if not options.check:
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        TARGET.write_text(text)
        return
    same = TARGET.read_text() == text
    print("the record agrees" if same else f"{TARGET} differs")
    sys.exit(0 if same else 1)


def load_script(path: Path):
    spec = importlib.util.spec_from_file_location("convert", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def read(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    parts = {part: load_file(folder / path) for part, path in WEIGHTS.items()}
    text = {name.removeprefix("text_model."): tensor for name, tensor in parts["text_encoder"].items()}
    return {**parts, "text_encoder": text}


def convert(script, parts: dict) -> dict[str, dict[str, torch.Tensor]]:
    """As the script's own main does for a model with OpenCLIP's text encoder, whatever its depth."""
    text = {"transformer.text_model." + name: tensor for name, tensor in parts["text_encoder"].items()}
    return {
        "unet": script.convert_unet_state_dict(dict(parts["unet"])),
        "vae": script.convert_vae_state_dict(dict(parts["vae"])),
        "text_encoder": script.convert_text_enc_state_dict_v20(text),
    }


def merge(converted: dict) -> dict[str, torch.Tensor]:
    return {PREFIXES[part] + name: tensor for part, tensors in converted.items() for name, tensor in tensors.items()}


def record(script, folder: Path) -> str:
    parts = read(folder)
    converted = convert(script, parts)
    tables = {}
    for part, tensors in converted.items():
        source = {raw(tensor): name for name, tensor in parts[part].items()}
        assert len(source) == len(parts[part]), "two tensors have equal bytes"
        names = {name: sources(tensor, source) for name, tensor in tensors.items()}
        tables[part] = rows(list(tensors), {name: list(tensor.shape) for name, tensor in tensors.items()}, names, "")
    return layout({"checkpoints": {"sha256": digest(merge(converted))}, "parts": tables})


def sources(tensor: torch.Tensor, source: dict[bytes, str]) -> list[str]:
    whole = source.get(raw(tensor))
    return [whole] if whole else [source[raw(third)] for third in tensor.chunk(3)]


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def digest(tensors: dict[str, torch.Tensor]) -> str:
    state = hashlib.sha256()
    for name in sorted(tensors):
        state.update(json.dumps([name, list(tensors[name].shape)], separators=(",", ":")).encode())
        state.update(raw(tensors[name]))
    return state.hexdigest()


if __name__ == "__main__":
    main()
