"""Lists the tensors of the five original Stable Diffusion 2 checkpoints, and what diffusers calls each.

usage: ldm_keys.py STABLEDIFFUSION [--check]
  STABLEDIFFUSION  a checkout of github.com/Stability-AI/stablediffusion (tried with cf1d67a, March 2023)

Names and shapes come from the original's own classes, built from its own yaml files on torch's meta device; diffusers'
names from its single-file loader, which is given tensors of one element each and followed by their values.
Besides requirements.txt it takes `pip install einops omegaconf timm==0.6.13 torchvision open_clip_torch`.
Writes test/fixtures/ldm/keys.json: a row is [module, diffusers' module, weight's shape, bias's shape], or
[tensor, [diffusers' tensors], shape] where the last parts of the names differ. Depth and buffers have no other name.
A part that is like another holds that part's name and the rows that differ.
"""

import argparse
import importlib
import json
import sys
import types
from pathlib import Path
from unittest import mock

import torch
from diffusers.loaders import single_file_utils as diffusers_loader

from load import FIXTURES

TARGET = FIXTURES / "ldm" / "keys.json"

CHECKPOINTS = ["v2-inference", "v2-inference-v", "v2-midas-inference", "v2-inpainting-inference", "x4-upscaling"]

# In the order that a key is looked up; what has none of these is a buffer of the diffusion itself.
PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.model.",
    "depth": "depth_model.model.",
    "low_scale": "low_scale_model.",
    "buffers": "",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stub_imports()
    sys.path.insert(0, str(options.checkout))
    text = layout(collect(options.checkout))
    if options.check:
        same = TARGET.read_text() == text
        print("all keys agree" if same else f"{TARGET} differs")
        sys.exit(0 if same else 1)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text)


def stub_imports() -> None:
    """Packages that the original imports and that building a model does not need."""
    for name in ("kornia", "cv2", "pytorch_lightning", "pytorch_lightning.utilities", "pytorch_lightning.utilities.distributed"):
        sys.modules[name] = mock.MagicMock()
    sys.modules["pytorch_lightning"].LightningModule = torch.nn.Module
    sys.modules["pytorch_lightning.utilities.distributed"].rank_zero_only = lambda function: function
    # timm 0.6 imports a name that torch has dropped.
    sys.modules.setdefault("torch._six", types.SimpleNamespace(container_abcs=importlib.import_module("collections.abc")))


def collect(checkout: Path) -> dict:
    """{"parts": {"unet/v2-inference": rows}, "checkpoints": {name: {part: which}}}, equal parts once."""
    parts: dict[str, list] = {}
    checkpoints: dict[str, dict[str, str]] = {}
    for name in CHECKPOINTS:
        shapes = state_shapes(checkout / "configs" / "stable-diffusion" / f"{name}.yaml")
        names = diffusers_names(shapes)
        checkpoints[name] = {}
        for part, keys in by_part(shapes).items():
            table = rows(keys, shapes, names, PREFIXES[part])
            known = next((known for known, other in parts.items() if other == table), f"{part}/{name}")
            parts[known] = table
            checkpoints[name][part] = known
    return {"checkpoints": checkpoints, "parts": {name: shorter(name, table, parts) for name, table in parts.items()}}


def shorter(name: str, table: list, parts: dict[str, list]):
    """`table`, or what makes it from an earlier one that differs in a few shapes."""
    for other, rows in parts.items():
        if other == name:
            return table
        changed = [row for row, known in zip(table, rows) if row != known]
        if [row[0] for row in table] == [row[0] for row in rows] and len(changed) < 10:
            return {"like": other, "rows": changed}


def state_shapes(yaml: Path) -> dict[str, list[int]]:
    """Name and shape of everything in the state dict of the model that `yaml` describes."""
    from ldm.models.diffusion import ddpm
    from ldm.modules.encoders import modules
    from ldm.modules.midas.midas import dpt_depth
    from ldm.util import instantiate_from_config
    from omegaconf import OmegaConf

    def on_meta(config, *more):
        # These compute while they are built, which meta tensors cannot; they are small.
        device = "cpu" if "midas" in config.target or "upscaling" in config.target else "meta"
        with torch.device(device):
            return instantiate_from_config(config, *more)

    create = modules.open_clip.create_model_and_transforms
    config = OmegaConf.load(yaml).model
    config.params.cond_stage_config.params.device = "cpu"
    with (
        mock.patch.object(ddpm, "instantiate_from_config", on_meta),
        mock.patch.object(modules.open_clip, "create_model_and_transforms",
                          lambda arch, device, pretrained: create(arch, device="meta", pretrained=None)),
        # The depth model's weights come with the checkpoint; building it would read a file of its own.
        mock.patch.object(dpt_depth.DPTDepthModel, "load", lambda self, path: None),
    ):
        model = instantiate_from_config(config)
    return {key: list(value.shape) for key, value in model.state_dict().items()}


def by_part(keys) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for key in keys:
        part = next(part for part, prefix in PREFIXES.items() if key.startswith(prefix))
        parts.setdefault(part, []).append(key)
    return parts


def diffusers_names(shapes: dict[str, list[int]]) -> dict[str, list[str]]:
    """What diffusers' loader makes of each key. Every element of every tensor is another number."""
    count = 0
    source: dict[int, str] = {}
    checkpoint = {}
    for key, shape in shapes.items():
        rank = len(shape)
        size = 3 if ".in_proj_" in key else 1
        checkpoint[key] = torch.arange(count, count + size, dtype=torch.float64).reshape([size] + [1] * (rank - 1)) if rank else torch.zeros(())
        source.update({value: key for value in range(count, count + size)})
        count += size
    is_x4 = shapes["model.diffusion_model.input_blocks.0.0.weight"][1] == 7
    levels = ["level"] * (3 if is_x4 else 4)
    unet = diffusers_loader.convert_ldm_unet_checkpoint(checkpoint, {"layers_per_block": 2, "num_class_embeds": 1000 if is_x4 else None})
    vae = diffusers_loader.convert_ldm_vae_checkpoint(checkpoint, {"down_block_types": levels, "up_block_types": levels})
    text = diffusers_loader.convert_open_clip_checkpoint(types.SimpleNamespace(config=None), checkpoint)
    names: dict[str, list[tuple[int, str]]] = {}
    for converted in (unet, vae, text):
        for name, tensor in converted.items():
            value = int(tensor.reshape(-1)[0])
            names.setdefault(source[value], []).append((value, name))
    return {key: [name for _, name in sorted(found)] for key, found in names.items()}


def rows(keys: list[str], shapes: dict, names: dict, prefix: str) -> list:
    """Weight and bias of a module in one row where diffusers has them under one module too."""
    modules: dict[str, dict[str, str]] = {}
    for key in keys:
        module, _, leaf = key.rpartition(".")
        modules.setdefault(module, {})[leaf] = key
    table = []
    for module, leaves in modules.items():
        others = {name.removesuffix("." + leaf) for leaf, key in leaves.items() for name in names.get(key, [None]) if name} or {None}
        plain = set(leaves) <= {"weight", "bias"} and "weight" in leaves and len(others) == 1
        if plain:
            sizes = [shapes[leaves[leaf]] for leaf in ("weight", "bias") if leaf in leaves]
            table.append([module.removeprefix(prefix), others.pop(), *sizes])
            continue
        for key in leaves.values():
            table.append([key.removeprefix(prefix), names.get(key, []), shapes[key]])
    return table


def layout(content: dict) -> str:
    compact = lambda value: json.dumps(value, separators=(",", ":"))
    lines = lambda table: "[\n" + ",\n".join(map(compact, table)) + "\n]" if isinstance(table, list) else compact(table)
    parts = [f"{json.dumps(name)}:{lines(table)}" for name, table in content["parts"].items()]
    checkpoints = ",\n".join(f"{json.dumps(name)}:{compact(parts)}" for name, parts in content["checkpoints"].items())
    return '{"checkpoints":{\n' + checkpoints + '\n},\n"parts":{\n' + ",\n".join(parts) + "\n}}\n"


if __name__ == "__main__":
    main()
