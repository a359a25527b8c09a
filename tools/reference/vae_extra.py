"""Goldens of what the VAE does beside a plain decode: test/fixtures/golden/vae, and the checkpoint tiny-x4-vae.

The x4 upscaler's VAE (three levels, factor 4) as a very small checkpoint, its plain and its tiled results, and
samples of latents. A program of its own: vae_extra.py writes, vae_extra.py --check compares within 1e-5.
"""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from safetensors.torch import load_file

from load import FIXTURES
from regenerate import regenerate
from store import write_tensors
from weights import assert_lively, randomize, round_to_f16

SEED = 4242
# Tiles of 8 latents, 6 apart: 14 x 11 latents give 3 x 2 tiles, the last of them 2 rows high and 5 columns wide.
HEIGHT, WIDTH = 14, 11


def upscaler_vae() -> AutoencoderKL:
    """The form of stable-diffusion-x4-upscaler/vae, narrow, with weights that are exact in f16."""
    model = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, scaling_factor=0.08333, sample_size=32,
        block_out_channels=(4, 8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    )
    randomize(model.eval().requires_grad_(False), "vae", SEED)
    round_to_f16(model)
    assert_lively(model, "vae")
    return model


@torch.no_grad()
def results(model: AutoencoderKL) -> dict[str, torch.Tensor]:
    """Plain and tiled decode of one z, plain and tiled encode of one picture."""
    z = torch.randn(1, 4, HEIGHT, WIDTH, generator=torch.Generator("cpu").manual_seed(SEED))
    found = {"x4/z": z, "x4/decoded": model.decode(z).sample}
    model.enable_tiling()
    found["x4/tiled-decoded"] = picture = model.decode(z).sample
    found["x4/tiled-moments"] = model.encode(picture).latent_dist.parameters
    model.disable_tiling()
    found["x4/moments"] = model.encode(picture).latent_dist.parameters
    assert found["x4/tiled-decoded"].shape == found["x4/decoded"].shape
    return found


def samples(moments: torch.Tensor, name: str, seed: int) -> dict[str, torch.Tensor]:
    """A sample of the moments with PyTorch's noise, and what two mistakes give in its place."""
    distribution = DiagonalGaussianDistribution(moments)
    mean, logvar = moments.chunk(2, dim=1)
    noise = torch.randn(mean.shape, generator=torch.Generator("cpu").manual_seed(seed))
    return {
        f"{name}/sample": distribution.sample(torch.Generator("cpu").manual_seed(seed)),
        f"{name}/fault-mean-for-sample": distribution.mode(),
        f"{name}/fault-no-clamp": mean + torch.exp(0.5 * logvar) * noise,
    }


def wide_moments() -> torch.Tensor:
    """Log variances on both sides of the clamp at -30 and 20."""
    noise = torch.randn(2, 8, 3, 5, generator=torch.Generator("cpu").manual_seed(SEED + 1))
    noise[:, :4] *= 1e4
    noise[:, 4:] *= 25
    return noise


def save(folder: Path) -> None:
    model = upscaler_vae()
    found = results(model)
    for index, name in enumerate(("tiny-v", "tiny-eps")):
        moments = load_file(FIXTURES / "golden" / name / "vae.safetensors")["vae-encode/24x16/output"]
        found |= {key: value for key, value in samples(moments, name, 100 + index).items() if "clamp" not in key}
    found["wide/moments"] = wide_moments()
    found |= samples(found["wide/moments"], "wide", 102)
    write_tensors(folder / "golden" / "vae" / "vae.safetensors", found)
    model.half().save_pretrained(folder / "tiny-x4-vae", safe_serialization=True)


if __name__ == "__main__":
    regenerate(save, __doc__)
