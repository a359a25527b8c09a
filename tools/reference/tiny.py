"""Tiny checkpoints of Stable Diffusion 2's form: diffusers folders with random weights that behave like a trained model's.

The UNet's last convolution is fitted (least squares, float64) to remove noise from smooth random latents, so that the
samplers stay in the range of real latents; a random part on top keeps every channel and the prompt in play.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

from published import SCHEDULER_2022
from store import write_json, write_tensors
from vocabulary import save_tokenizer, vocabulary_size
from weights import assert_lively, gain_of, randomize, round_to_f16

SCALING_FACTOR = 0.18215


@dataclass(frozen=True)
class Config:
    """One checkpoint: everything in which the two differ."""

    name: str
    seed: int
    prediction: str
    dtype: torch.dtype
    scheduler: dict
    merges: int
    text: dict
    unet: dict
    vae: dict
    text_prefix: str


TINY_V = Config(
    name="tiny-v",
    seed=11,
    prediction="v_prediction",
    dtype=torch.float16,
    scheduler={
        **SCHEDULER_2022,
        "_class_name": "DDIMScheduler",
        "prediction_type": "v_prediction",
        "timestep_spacing": "leading",
    },
    merges=700,
    text=dict(hidden_size=32, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2),
    unet=dict(
        block_out_channels=(16, 24, 24, 32), layers_per_block=2, attention_head_dim=[1, 3, 2, 4],
        norm_num_groups=8, sample_size=12,
    ),
    vae=dict(block_out_channels=(16, 16, 24, 32), layers_per_block=2, norm_num_groups=8, sample_size=96),
    text_prefix="",
)

TINY_EPS = Config(
    name="tiny-eps",
    seed=22,
    prediction="epsilon",
    dtype=torch.float32,
    scheduler={**SCHEDULER_2022, "_class_name": "PNDMScheduler", "prediction_type": "epsilon"},
    merges=500,
    text=dict(hidden_size=48, intermediate_size=192, num_hidden_layers=2, num_attention_heads=6),
    unet=dict(
        block_out_channels=(16, 16, 24, 32), layers_per_block=1, attention_head_dim=[2, 1, 3, 4],
        norm_num_groups=4, sample_size=8,
    ),
    vae=dict(block_out_channels=(8, 8, 16, 24), layers_per_block=1, norm_num_groups=4, sample_size=64),
    # As transformers wrote text encoders before 5.6, and as every published folder has it.
    text_prefix="text_model.",
)

CONFIGS = {config.name: config for config in (TINY_V, TINY_EPS)}


@dataclass
class Models:
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL

    def items(self):
        return [("text_encoder", self.text_encoder), ("unet", self.unet), ("vae", self.vae)]


def build(config: Config) -> Models:
    models = Models(text_encoder(config), unet(config), vae(config))
    for index, (name, model) in enumerate(models.items()):
        randomize(model.eval().requires_grad_(False), name, config.seed + index)
    fit_denoiser(models, config)
    set_contrast(models.vae, config)
    for name, model in models.items():
        round_to_f16(model)
        assert_lively(model, name)
    return models


def text_encoder(config: Config) -> CLIPTextModel:
    size = vocabulary_size(config.merges)
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=size, bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=1, max_position_embeddings=77,
        hidden_act="gelu", layer_norm_eps=1e-5, projection_dim=16, **config.text,
    ))


def unet(config: Config) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        in_channels=4, out_channels=4, cross_attention_dim=config.text["hidden_size"], use_linear_projection=True,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        **config.unet,
    )


def vae(config: Config) -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, scaling_factor=SCALING_FACTOR,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, **config.vae,
    )


def smooth_latents(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Random fields of unit size with the long waves of real latents [count, 4, side, side]."""
    coarse = torch.randn(count, 4, 4, 4, generator=generator)
    field = F.interpolate(coarse, size=side, mode="bicubic") + 0.3 * torch.randn(count, 4, side, side, generator=generator)
    return field / field.std()


@torch.no_grad()
def fit_denoiser(models: Models, config: Config, count=192, side=12, random_part=0.1, ridge=1e-3) -> None:
    generator = torch.Generator("cpu").manual_seed(config.seed + 100)
    clean = smooth_latents(count, side, generator)
    noise = torch.randn(clean.shape, generator=generator)
    timestep = torch.randint(1, 1000, (count,), generator=generator)
    ids = torch.randint(0, vocabulary_size(config.merges), (count, 77), generator=generator)
    context = models.text_encoder(input_ids=ids).last_hidden_state
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha = (1 - beta).cumprod(0)[timestep].float().reshape(-1, 1, 1, 1)
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    target = noise if config.prediction == "epsilon" else alpha.sqrt() * noise - (1 - alpha).sqrt() * clean

    features = last_features(models.unet, noisy, timestep, context)
    columns = F.unfold(features, 3, padding=1).transpose(1, 2).flatten(0, 1)
    columns = torch.cat([columns, torch.ones(len(columns), 1)], 1).double()
    wanted = target.flatten(2).transpose(1, 2).flatten(0, 1).double()
    gram = columns.T @ columns + ridge * len(columns) * torch.eye(columns.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, columns.T @ wanted).T.float()

    last = models.unet.conv_out
    last.weight.copy_(solution[:, :-1].reshape(last.weight.shape) + random_part * last.weight)
    last.bias.copy_(solution[:, -1] + 0.1 * last.bias)


def last_features(unet: UNet2DConditionModel, noisy, timestep, context) -> torch.Tensor:
    seen = []
    hook = unet.conv_out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    unet(noisy, timestep, encoder_hidden_states=context)
    hook.remove()
    return seen[0]


@torch.no_grad()
def set_contrast(vae: AutoencoderKL, config: Config, std=0.45) -> None:
    """Scales the decoder's last convolution so that pictures fill the range of a PNG without being cut off."""
    generator = torch.Generator("cpu").manual_seed(config.seed + 200)
    decoded = vae.decode(smooth_latents(8, 8, generator) / SCALING_FACTOR).sample
    last = vae.decoder.conv_out
    last.bias.sub_(decoded.mean((0, 2, 3)))
    last.weight.mul_(std / decoded.std())
    last.bias.mul_(std / decoded.std())


def save(config: Config, models: Models, folder: Path) -> None:
    for _, model in models.items():
        model.to(config.dtype)
    for name, model in models.items():
        model.save_pretrained(folder / name, safe_serialization=True)
        model.float()
    rename_text(folder / "text_encoder" / "model.safetensors", config.text_prefix)
    save_tokenizer(folder / "tokenizer", config.merges)
    write_json(folder / "scheduler" / "scheduler_config.json", config.scheduler)
    write_json(folder / "model_index.json", model_index(config))


def rename_text(path: Path, prefix: str) -> None:
    tensors = load_file(path)
    bare = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    write_tensors(path, {prefix + name: tensor for name, tensor in bare.items()})


def model_index(config: Config) -> dict:
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.8.0",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", config.scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def save_all(fixtures: Path) -> None:
    for config in CONFIGS.values():
        save(config, build(config), fixtures / config.name)
