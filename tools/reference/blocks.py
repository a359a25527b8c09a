"""Goldens of every block of one tiny checkpoint: golden/<model>/{text_encoder,unet,vae}.safetensors and blocks.json."""

from pathlib import Path

import torch
from torch import nn

from load import open_pipeline, token_ids
from record import record, store
from store import write_json, write_tensors

PROMPTS = {
    "empty": "",
    "plain": "a photograph of an astronaut riding a horse",
    "marks": "Two RED apples, on a table! (oil painting, 1889) café",
    "long": "a very long list of words that says little about the picture " * 6,
}

TEXT_MODULES = ["embeddings", "encoder.layers.0", "encoder.layers.0.layer_norm1", "encoder.layers.0.self_attn",
                "encoder.layers.0.mlp", "encoder.layers.1", "final_layer_norm"]

ATTENTION = "down_blocks.1.attentions.0"
UNET_MODULES = [
    "time_proj", "time_embedding", "conv_in",
    "down_blocks.0", "down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0", "down_blocks.1.resnets.0",
    ATTENTION, f"{ATTENTION}.transformer_blocks.0",
    *(f"{ATTENTION}.transformer_blocks.0.{part}" for part in
      ("norm1", "attn1", "norm2", "attn2", "norm3", "ff", "ff.net.0")),
    "down_blocks.3", "mid_block", "mid_block.attentions.0",
    "up_blocks.0", "up_blocks.0.resnets.0", "up_blocks.0.upsamplers.0", "up_blocks.1", "up_blocks.1.upsamplers.0",
    "up_blocks.3", "conv_norm_out", "conv_out",
]

VAE_MODULES = [
    "post_quant_conv", "decoder.conv_in", "decoder.mid_block", "decoder.mid_block.resnets.0",
    "decoder.mid_block.attentions.0", "decoder.up_blocks.0", "decoder.up_blocks.0.upsamplers.0",
    "decoder.up_blocks.1.resnets.0",
]
ENCODER_MODULES = ["encoder.down_blocks.0.downsamplers.0", "encoder", "quant_conv"]

# (name, batch, height, width, timestep, with the blocks inside?)
UNET_RUNS = [
    ("8x8", 2, 8, 8, 981.0, True),
    ("8x12", 1, 8, 12, 1.0, False),
    ("9x13", 1, 9, 13, 957.375, True),
    ("13x9", 2, 13, 9, 333.25, False),
    ("5x7", 1, 5, 7, 501.5, False),
]
# Inputs this small show a wrong epsilon, which unit-sized ones hide.
QUIET = 0.01


class Goldens:
    """The tensors and entries of one checkpoint, gathered component by component."""

    def __init__(self):
        self.files: dict[str, dict[str, torch.Tensor]] = {}
        self.entries: list[dict] = []

    def add(self, component: str, recorded: tuple[dict, list[dict]]) -> None:
        tensors, entries = recorded
        self.files.setdefault(component, {}).update(tensors)
        self.entries.extend({**entry, "file": f"{component}.safetensors"} for entry in entries)

    def save(self, folder: Path) -> None:
        for component, tensors in self.files.items():
            kept = share_equal(tensors)
            write_tensors(folder / f"{component}.safetensors", {name: tensors[name] for name in kept.values()})
            for entry in self.entries:
                if entry["component"] == component:
                    entry["inputs"] = renamed(entry["inputs"], kept)
                    entry["output"] = renamed(entry["output"], kept)
        write_json(folder / "blocks.json", self.entries, indent=None)


def share_equal(tensors: dict[str, torch.Tensor]) -> dict[str, str]:
    """For each name the first name that holds the same bytes: one block's output is the next one's input."""
    first = {}
    keys = {name: (tensor.shape, tensor.dtype, tensor.contiguous().numpy().tobytes()) for name, tensor in tensors.items()}
    return {name: first.setdefault(keys[name], name) for name in sorted(tensors)}


def renamed(value, names: dict[str, str]):
    if isinstance(value, dict):
        return {key: renamed(part, names) for key, part in value.items()}
    if isinstance(value, list):
        return [renamed(part, names) for part in value]
    return names[value] if isinstance(value, str) else value


def generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def save_blocks(folder: Path, golden: Path) -> None:
    pipeline = open_pipeline(folder)
    goldens = Goldens()
    text_goldens(pipeline, goldens)
    unet_goldens(pipeline, goldens)
    vae_goldens(pipeline.vae, goldens)
    goldens.save(golden)


def text_goldens(pipeline, goldens: Goldens) -> None:
    model = pipeline.text_encoder
    for name, prompt in PROMPTS.items():
        ids = token_ids(pipeline, [prompt])
        modules = TEXT_MODULES if name == "plain" else []
        goldens.add("text_encoder", whole(model, f"text/{name}", "text_encoder", modules,
                                          lambda: model(input_ids=ids), {"input_ids": ids}, 0))
    quiet(model, "encoder.layers.0", {"hidden_states": (1, 77, model.config.hidden_size)}, "text_encoder", goldens,
          call=lambda layer, hidden_states: layer(hidden_states, causal_mask(77)))


def causal_mask(length: int) -> torch.Tensor:
    return torch.full((1, 1, length, length), float("-inf")).triu(1)


def unet_goldens(pipeline, goldens: Goldens) -> None:
    model = pipeline.unet
    context = pipeline.text_encoder(input_ids=token_ids(pipeline, [PROMPTS["empty"], PROMPTS["plain"]]))[0]
    for name, batch, height, width, timestep, inside in UNET_RUNS:
        sample = torch.randn(batch, 4, height, width, generator=generator(height * 100 + width))
        text, time = context[-batch:], torch.tensor(timestep)
        inputs = {"sample": sample, "timestep": timestep, "encoder_hidden_states": text}
        goldens.add("unet", whole(model, f"unet/{name}", "unet", UNET_MODULES if inside else [],
                                  lambda: model(sample, time, encoder_hidden_states=text), inputs, "sample"))
    times = torch.tensor([0.0, 1.0, 20.0, 333.25, 500.0, 957.375, 999.0])
    goldens.add("unet", record(model, ["time_proj", "time_embedding"],
                               lambda: model.time_embedding(model.time_proj(times)), "unet/times", "unet"))
    channels = model.config.block_out_channels
    quiet(model, "down_blocks.1.resnets.0", {"input_tensor": (1, channels[0], 6, 6), "temb": (1, channels[0] * 4)},
          "unet", goldens)
    tokens = {"hidden_states": (1, 30, channels[1]), "encoder_hidden_states": (1, 77, context.shape[-1])}
    quiet(model, f"{ATTENTION}.transformer_blocks.0", tokens, "unet", goldens)
    tokens["hidden_states"] = (1, channels[1], 6, 5)
    quiet(model, ATTENTION, tokens, "unet", goldens)


def vae_goldens(model, goldens: Goldens) -> None:
    for name, batch, height, width in [("8x8", 1, 8, 8), ("5x7", 1, 5, 7), ("3x2", 2, 3, 2)]:
        latents = torch.randn(batch, 4, height, width, generator=generator(height * 100 + width)) / 0.18215
        goldens.add("vae", whole(model, f"vae-decode/{name}", "vae", VAE_MODULES if name == "5x7" else [],
                                 lambda: model.decode(latents), {"z": latents}, 0))
    for name, height, width in [("32x32", 32, 32), ("24x16", 24, 16)]:
        picture = torch.rand(1, 3, height, width, generator=generator(height)) * 2 - 1
        goldens.add("vae", whole(model, f"vae-encode/{name}", "vae", ENCODER_MODULES if name == "24x16" else [],
                                 lambda: model.encode(picture).latent_dist.parameters, {"x": picture}, None))
    width = model.config.block_out_channels[-1]
    for module in ("resnets.0", "attentions.0"):
        argument = "input_tensor" if module == "resnets.0" else "hidden_states"
        call = (lambda block, input_tensor: block(input_tensor, None)) if module == "resnets.0" else None
        quiet(model, f"decoder.mid_block.{module}", {argument: (1, width, 5, 6)}, "vae", goldens, call)


def whole(model, name, component, modules, run, inputs, output_key) -> tuple[dict, list[dict]]:
    """One run of the whole model, with the blocks inside it that are asked for."""
    result = []
    tensors, entries = record(model, modules, lambda: result.append(run()), name, component)
    output = result[0] if output_key is None else result[0][output_key]
    entries.append({
        "class": type(model).__name__,
        "component": component,
        "inputs": {argument: store(value, f"{name}/{argument}", tensors) for argument, value in inputs.items()},
        "module": "",
        "name": name,
        "output": store(output, f"{name}/output", tensors),
    })
    return tensors, entries


def quiet(model: nn.Module, path: str, shapes: dict, component: str, goldens: Goldens, call=None) -> None:
    """One block by itself on inputs of size QUIET."""
    block = model.get_submodule(path)
    source = generator(7)
    inputs = {argument: QUIET * torch.randn(shape, generator=source) for argument, shape in shapes.items()}
    run = call or (lambda block, **given: block(**given))
    goldens.add(component, record(model, [path], lambda: run(block, **inputs), "quiet", component))
