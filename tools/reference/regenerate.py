"""What the programs that write golden fixtures have in common: write them, or compare with what is committed."""

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# Before torch: its own threads would change the order of sums.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import diffusers
import numpy as np
import PIL.Image
import torch
import transformers
from safetensors.torch import load_file

from load import FIXTURES

TOLERANCE = 1e-5
# Rounding to f16 may fall the other way on another machine.
WEIGHT_TOLERANCE = 2e-3


def regenerate(save: Callable[[Path], None], description: str) -> None:
    """A program's main: save(test/fixtures), or with --check save(elsewhere), the differences and an exit status."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write none")
    check = parser.parse_args().check
    quiet_libraries()
    if not check:
        save(FIXTURES)
        return
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        problems = list(differences(Path(folder)))
    print("\n".join(problems) or "all fixtures agree")
    sys.exit(1 if problems else 0)


def quiet_libraries() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.WARNING)


def differences(again: Path):
    """One line for every file of again that the committed fixtures lack or that differs from them."""
    for path in sorted(p for p in again.rglob("*") if p.is_file()):
        name = path.relative_to(again)
        committed = FIXTURES / name
        if not committed.is_file():
            yield f"{name}: not committed"
        elif path.suffix == ".safetensors":
            tolerance = TOLERANCE if name.parts[0] == "golden" else WEIGHT_TOLERANCE
            yield from tensor_differences(str(name), load_file(path), load_file(committed), tolerance)
        elif path.suffix == ".png":
            pictures = ({"picture": torch.from_numpy(np.array(PIL.Image.open(file)))} for file in (path, committed))
            yield from tensor_differences(str(name), *pictures, 0)
        elif path.suffix == ".json" and name.parts[0] == "golden":
            if shape_of(json.loads(path.read_text())) != shape_of(json.loads(committed.read_text())):
                yield f"{name}: differs"
        elif path.read_bytes() != committed.read_bytes():
            yield f"{name}: differs"


def tensor_differences(file: str, actual: dict, expected: dict, tolerance: float):
    for name in sorted(actual.keys() | expected.keys()):
        if name not in actual or name not in expected or actual[name].shape != expected[name].shape:
            yield f"{file}: {name} is missing or has another shape"
            continue
        a, e = actual[name].double(), expected[name].double()
        # A rounded picture may differ by one level where the float lies on the border.
        limit = 1.0 if expected[name].dtype == torch.uint8 else tolerance * max(e.abs().max().item(), 1e-30)
        worst = (a - e).abs().max().item()
        if not worst <= limit:
            yield f"{file}: {name} differs by {worst:.3g}, allowed {limit:.3g}"


MEASURED = {"float32Error", "error"}


def shape_of(value):
    """A manifest without the numbers that vary from machine to machine."""
    if isinstance(value, dict):
        return {key: shape_of(part) for key, part in value.items() if key not in MEASURED}
    return [shape_of(part) for part in value] if isinstance(value, list) else value
