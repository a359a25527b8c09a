"""Plants the mistakes that ports of Stable Diffusion make, and shows that the goldens reject each of them.

Writes golden/<model>/faults.safetensors (what the wrong models put out) and faults.json (how far off that is).
Every fault must exceed the tolerance of each block named with it, and of the final latents where it reaches them.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from safetensors.torch import load_file
from torch import nn
from transformers.activations import QuickGELUActivation
from transformers.models.clip.modeling_clip import CLIPMLP, CLIPAttention

from load import open_pipeline
from pictures import CASES, paint, relative_rms
from replay import Blocks
from store import write_json, write_tensors

BLOCK_TOLERANCE = 1e-4
LATENTS_TOLERANCE = 1e-5
LATENTS_CASE = next(case for case in CASES if case.name == "own")

BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0"
TEXT_LAYER = "text/plain/encoder.layers.0"


def gelu_tanh(pipeline) -> None:
    for module in modules(pipeline, GEGLU):
        module.gelu = lambda gate: F.gelu(gate, approximate="tanh")
    for module in modules(pipeline, CLIPMLP):
        module.activation_fn = nn.GELU(approximate="tanh")


def quick_gelu(pipeline) -> None:
    for module in modules(pipeline, CLIPMLP):
        module.activation_fn = QuickGELUActivation()


def epsilon_times_10(pipeline) -> None:
    for module in modules(pipeline, (nn.GroupNorm, nn.LayerNorm)):
        module.eps *= 10


def pad_one_sided(pipeline) -> None:
    """The VAE encoder's padding (0, 1, 0, 1) in the UNet."""
    for module in modules_of(pipeline.unet, Downsample2D):
        module.padding, module.conv.padding = 0, (0, 0)


def pad_both_sides(pipeline) -> None:
    """The UNet's padding in the VAE encoder."""
    for module in modules_of(pipeline.vae, Downsample2D):
        module.padding, module.conv.padding = 1, (1, 1)


def text_layer_fewer(pipeline) -> None:
    layers = pipeline.text_encoder.encoder.layers
    pipeline.text_encoder.encoder.layers = layers[:-1]


def text_layer_more(pipeline) -> None:
    pipeline.text_encoder.encoder.layers.append(copy.deepcopy(pipeline.text_encoder.encoder.layers[-1]))


def text_not_causal(pipeline) -> None:
    def see_all(_module, args, kwargs):
        return args, {**kwargs, "attention_mask": torch.zeros(1, 1, 77, 77)}

    for module in modules(pipeline, CLIPAttention):
        module.register_forward_pre_hook(see_all, with_kwargs=True)


def key_and_value_swapped(pipeline) -> None:
    for module in modules(pipeline, Attention):
        module.to_k, module.to_v = module.to_v, module.to_k
    for module in modules(pipeline, CLIPAttention):
        module.k_proj, module.v_proj = module.v_proj, module.k_proj


def heads_for_head_size(pipeline) -> None:
    """attention_head_dim of the UNet's config read as what its name says."""
    for module in modules_of(pipeline.unet, Attention):
        module.heads = module.inner_dim // module.heads
        module.scale = (module.inner_dim // module.heads) ** -0.5


def skips_reversed(pipeline) -> None:
    """The last up block takes the shallowest skip first (its skips have equal widths)."""
    def reverse(_module, args, kwargs):
        return args, {**kwargs, "res_hidden_states_tuple": kwargs["res_hidden_states_tuple"][::-1]}

    pipeline.unet.up_blocks[-1].register_forward_pre_hook(reverse, with_kwargs=True)


def skip_before_hidden(pipeline) -> None:
    """Up blocks concatenate [skip, hidden] where [hidden, skip] is right."""
    for block in pipeline.unet.up_blocks:
        swap_concatenation(block)


def swap_concatenation(block: nn.Module) -> None:
    widths: list[int] = []

    def note(_module, _args, kwargs):
        widths[:] = [skip.shape[1] for skip in kwargs["res_hidden_states_tuple"]]

    def swap(_module, args):
        return (args[0].roll(widths.pop(), dims=1), *args[1:])

    block.register_forward_pre_hook(note, with_kwargs=True)
    for resnet in block.resnets:
        resnet.register_forward_pre_hook(swap)


def pad_token_end(pipeline) -> None:
    """Padding with <|endoftext|>, as Stable Diffusion 1 does, where 2 pads with id 0."""
    end = pipeline.tokenizer.eos_token_id

    def pad(_module, args, kwargs):
        ids = kwargs["input_ids"]
        return args, {**kwargs, "input_ids": torch.where(ids == 0, end, ids)}

    pipeline.text_encoder.embeddings.register_forward_pre_hook(pad, with_kwargs=True)


def sine_first(pipeline) -> None:
    pipeline.unet.time_proj.flip_sin_to_cos = False


@dataclass(frozen=True)
class Fault:
    plant: Callable
    blocks: list[str]
    reaches_latents: bool = True


FAULTS = {
    "gelu-tanh": Fault(gelu_tanh, [f"{TEXT_LAYER}.mlp", "text/plain", f"unet/9x13/{BLOCK}.ff.net.0", f"unet/9x13/{BLOCK}.ff"]),
    "quick-gelu": Fault(quick_gelu, [f"{TEXT_LAYER}.mlp", "text/plain"]),
    "epsilon-x10": Fault(epsilon_times_10, [
        "quiet/encoder.layers.0", "text/plain", "quiet/down_blocks.1.resnets.0", "quiet/down_blocks.1.attentions.0",
        f"quiet/{BLOCK}", "quiet/decoder.mid_block.resnets.0", "quiet/decoder.mid_block.attentions.0",
    ]),
    "unet-pad-one-sided": Fault(pad_one_sided, ["unet/8x8/down_blocks.0.downsamplers.0", "unet/8x8"]),
    "vae-pad-both-sides": Fault(pad_both_sides, [
        "vae-encode/24x16/encoder.down_blocks.0.downsamplers.0", "vae-encode/24x16"], reaches_latents=False),
    "text-layer-fewer": Fault(text_layer_fewer, ["text/plain"]),
    "text-layer-more": Fault(text_layer_more, ["text/plain"]),
    "text-not-causal": Fault(text_not_causal, [TEXT_LAYER, "text/plain"]),
    "key-and-value-swapped": Fault(key_and_value_swapped, [
        f"{TEXT_LAYER}.self_attn", f"unet/9x13/{BLOCK}.attn1", f"unet/9x13/{BLOCK}.attn2",
        "vae-decode/5x7/decoder.mid_block.attentions.0",
    ]),
    "heads-for-head-size": Fault(heads_for_head_size, [f"unet/9x13/{BLOCK}.attn1", f"unet/9x13/{BLOCK}.attn2"]),
    "skips-reversed": Fault(skips_reversed, ["unet/9x13/up_blocks.3", "unet/9x13"]),
    "skip-before-hidden": Fault(skip_before_hidden, ["unet/9x13/up_blocks.1", "unet/9x13"]),
    "pad-token-end": Fault(pad_token_end, ["text/plain", "text/empty"]),
    "sine-first": Fault(sine_first, ["unet/times/time_proj", "unet/9x13"]),
}


def modules_of(model: nn.Module, kind) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, kind)]


def modules(pipeline, kind) -> list[nn.Module]:
    return [module for model in (pipeline.text_encoder, pipeline.unet, pipeline.vae) for module in modules_of(model, kind)]


def save_faults(folder: Path, golden: Path) -> None:
    blocks = Blocks(golden)
    latents = load_file(golden / "pictures.safetensors")[f"{LATENTS_CASE.name}/latents"]
    assert_sound(open_pipeline(folder), blocks)
    tensors, rows = {}, []
    for name, fault in FAULTS.items():
        pipeline = open_pipeline(folder)
        fault.plant(pipeline)
        for block in fault.blocks:
            faulty = blocks.replay(pipeline, block)
            tensors[f"{name}/{block}"] = faulty
            rows.append(block_row(name, block, blocks, faulty))
        if fault.reaches_latents:
            faulty, *_ = paint(pipeline, LATENTS_CASE)
            tensors[f"{name}/latents"] = faulty
            rows.append(latents_row(name, faulty, latents))
    for row in rows:
        assert row["error"] > row["tolerance"], f"{golden.name}: {row['fault']} hides in {row['expected']}: {row['error']:.1e}"
    write_tensors(golden / "faults.safetensors", tensors)
    write_json(golden / "faults.json", rows)


def assert_sound(pipeline, blocks: Blocks) -> None:
    """Without a fault every block that the table names gives its golden again."""
    for name in sorted({block for fault in FAULTS.values() for block in fault.blocks}):
        error = relative_max(blocks.replay(pipeline, name), blocks.expected(name))
        assert error < 1e-6, f"{name} replayed without a fault is off by {error:.1e}"


def relative_max(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def block_row(fault: str, block: str, blocks: Blocks, faulty: torch.Tensor) -> dict:
    entry = blocks.entries[block]
    output = entry["output"]
    while isinstance(output, list):
        output = output[0]
    return row(fault, block, entry["file"], output, "max", relative_max(faulty, blocks.expected(block)), BLOCK_TOLERANCE)


def latents_row(fault: str, faulty: torch.Tensor, expected: torch.Tensor) -> dict:
    name = f"{LATENTS_CASE.name}/latents"
    return row(fault, "latents", "pictures.safetensors", name, "rms", relative_rms(faulty, expected), LATENTS_TOLERANCE)


def row(fault: str, what: str, file: str, expected: str, measure: str, error: float, tolerance: float) -> dict:
    return {
        "error": float(f"{error:.2e}"), "expected": expected, "fault": fault, "faulty": f"{fault}/{what}",
        "file": file, "measure": measure, "tolerance": tolerance, "what": what,
    }
