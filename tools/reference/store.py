"""Files that come out the same each time: sorted keys, contiguous tensors, one trailing newline."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def write_json(path: Path, value, indent=2, sort_keys=True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {name: tensors[name].detach().clone().contiguous() for name in sorted(tensors)}
    save_file(own, path, metadata={"format": "pt"})


def write_states(fixture: Path, states: list[list[float]]) -> None:
    """The samples of all runs of a .json in a row, f64 [n, elements], in the .safetensors beside it."""
    write_tensors(fixture.with_suffix(".safetensors"), {"states": torch.tensor(states, dtype=torch.float64)})


def read_states(fixture: Path) -> torch.Tensor:
    return load_file(fixture.with_suffix(".safetensors"))["states"]
