"""Converts a PyTorch checkpoint (.ckpt, .bin, .pt, .pth) into a safetensors file, without running it.

A pickle can run any program when it is opened. This opens it with torch.load(weights_only=True),
which builds tensors and plain containers and refuses everything else; there is no way round that here.

    pip install torch safetensors numpy
    python ckpt_to_safetensors.py model.ckpt [model.safetensors] [--f16] [--force]
"""

import argparse
import os
import pathlib
import re
import sys

import torch
from safetensors.torch import save_file


def state_dict(path):
    """Tensors by name: the file's own dictionary, or that under "state_dict" in it."""
    if not path.is_file():
        sys.exit(f"{path} is not there")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch's own advice in this message is to open it unsafely: only what it met is passed on.
        met = re.search(r"GLOBAL \S+", str(error))
        reason = met.group() if met else type(error).__name__
        sys.exit(f"{path} is not opened: it is damaged, or holds more than tensors ({reason})")
    inner = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    tensors = {name: value for name, value in inner.items() if isinstance(name, str) and torch.is_tensor(value)}
    left = len(inner) - len(tensors)
    if left:
        print(f"left out: {left} entries that are no tensors", file=sys.stderr)
    return tensors or sys.exit(f"{path} holds no tensors by name")


def to_half(tensors):
    """Floats as f16. Refuses where a finite number would become infinite."""
    halves = {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}
    lost = [name for name, x in tensors.items() if (x.isfinite() & ~halves[name].isfinite()).any()]
    if lost:
        sys.exit(f"too large for f16: {', '.join(lost[:5])}; convert without --f16")
    return halves


def write(tensors, path):
    """By way of a file beside it, so that it appears whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    # A copy of each: safetensors wants dense tensors that share no memory.
    dense = {name: x.detach().clone(memory_format=torch.contiguous_format) for name, x in tensors.items()}
    try:
        save_file(dense, partial, metadata={"format": "pt"})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path, nargs="?", help="by default beside it, with .safetensors")
    parser.add_argument("--f16", action="store_true", help="store floats as f16: half the size")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    options = parser.parse_args()
    output = options.output or options.checkpoint.with_suffix(".safetensors")
    if output.exists() and not options.force:
        sys.exit(f"{output} is there already; --force overwrites it")
    tensors = state_dict(options.checkpoint)
    write(to_half(tensors) if options.f16 else tensors, output)
    print(f"wrote {output}: {len(tensors)} tensors, {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
