"""Files that come out the same each time: sorted keys, contiguous tensors, one trailing newline."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file


def write_json(path: Path, value, indent=2, sort_keys=True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {name: tensors[name].detach().clone().contiguous() for name in sorted(tensors)}
    save_file(own, path, metadata={"format": "pt"})
