"""Calls one block again on the inputs of a golden entry."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file


class Blocks:
    """The goldens of one checkpoint: entries by name, tensors by file."""

    def __init__(self, golden: Path):
        self.entries = {entry["name"]: entry for entry in json.loads((golden / "blocks.json").read_text())}
        self.files = {name: load_file(golden / name) for name in {e["file"] for e in self.entries.values()}}

    def expected(self, name: str) -> torch.Tensor:
        entry = self.entries[name]
        return first(self.tensors(entry, entry["output"]))

    def tensors(self, entry: dict, value):
        if isinstance(value, list):
            return tuple(self.tensors(entry, part) for part in value)
        return self.files[entry["file"]][value] if isinstance(value, str) else value

    @torch.no_grad()
    def replay(self, pipeline, name: str) -> torch.Tensor:
        """The first output of the block as the pipeline's model computes it now."""
        entry = self.entries[name]
        inputs = {argument: self.tensors(entry, value) for argument, value in entry["inputs"].items()}
        model = getattr(pipeline, entry["component"])
        if entry["module"] == "":
            return whole(model, entry["component"], inputs)
        if entry["module"].startswith("encoder.layers.") and entry["class"] in {"CLIPEncoderLayer", "CLIPAttention"}:
            inputs["attention_mask"] = torch.full((1, 1, 77, 77), float("-inf")).triu(1)
        if entry["component"] == "vae" and entry["class"] == "ResnetBlock2D":
            inputs["temb"] = None
        return first(model.get_submodule(entry["module"])(**inputs))


def whole(model, component: str, inputs: dict) -> torch.Tensor:
    if component == "text_encoder":
        return model(input_ids=inputs["input_ids"].long()).last_hidden_state
    if component == "unet":
        return model(inputs["sample"], inputs["timestep"], inputs["encoder_hidden_states"]).sample
    return model.decode(inputs["z"]).sample if "z" in inputs else model.encode(inputs["x"]).latent_dist.parameters


def first(output) -> torch.Tensor:
    while not isinstance(output, torch.Tensor):
        output = output[0]
    return output
