"""Random weights that keep every activation near unit size and leave no parameter at 0 or 1.

A weight is normal with standard deviation gain/sqrt(fan in); RULES gives the gain of the paths that need another than 1.
Sharper attention than gain 1 makes the samplers chaotic: at 1.5 diffusers in f32 and f64 differ by 4e-5 after six steps.
"""

import re

import torch
from torch import nn

RULES = [
    (r"attn1\.to_out|self_attn\.out_proj|mid_block\.attentions\.0\.to_out", 2.0),
    (r"vae\.post_quant_conv", 0.25),
]
# SD2's own embeddings are small, which is what makes the first LayerNorm's epsilon matter.
EMBEDDING_STD = 0.05
NORM_BIAS_STD = 0.15
BIAS_STD = 0.1


def gain_of(path: str) -> float:
    return next((gain for pattern, gain in RULES if re.search(pattern, path)), 1.0)


@torch.no_grad()
def randomize(model: nn.Module, name: str, seed: int) -> None:
    """Fills every parameter of model from one generator, in the order of the sorted names, then rounds to f16."""
    generator = torch.Generator("cpu").manual_seed(seed)
    norms = {path for path, module in model.named_modules() if isinstance(module, (nn.GroupNorm, nn.LayerNorm))}
    for path, parameter in sorted(model.named_parameters()):
        owner, kind = path.rsplit(".", 1)
        noise = away_from_zero(torch.randn(parameter.shape, generator=generator))
        if owner in norms:
            parameter.copy_(norm_weight(noise) if kind == "weight" else NORM_BIAS_STD * noise)
        elif kind == "bias":
            parameter.copy_(BIAS_STD * noise)
        elif "embedding.weight" in path:
            parameter.copy_(EMBEDDING_STD * noise)
        else:
            parameter.copy_(noise * gain_of(f"{name}.{path}") / parameter[0].numel() ** 0.5)
    round_to_f16(model)


def away_from_zero(noise: torch.Tensor) -> torch.Tensor:
    return torch.where(noise.abs() < 0.01, torch.full_like(noise, 0.01), noise)


def norm_weight(noise: torch.Tensor) -> torch.Tensor:
    """1 ± (0.1 … 0.4): never 1 itself."""
    return 1 + noise.sign() * (0.1 + 0.1 * noise.abs()).clamp(max=0.4)


@torch.no_grad()
def round_to_f16(model: nn.Module) -> None:
    """So that a folder stored in f16 and one stored in f32 hold the same weights."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())


def assert_lively(model: nn.Module, name: str) -> None:
    for path, parameter in model.named_parameters():
        assert not torch.any(parameter == 0), f"{name}.{path} holds a 0"
        if "norm" in path:
            assert not torch.any(parameter == 1), f"{name}.{path} holds a 1"
        assert torch.equal(parameter, parameter.half().float()), f"{name}.{path} is not exact in f16"
