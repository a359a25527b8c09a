"""Tiny checkpoints for the tasks beside text-to-image: only the UNet and the JSON files are their own.

test/fixtures/tasks/<name> lacks text encoder, tokenizer and VAE: those of `parts` complete the folder, and tiny-x4-vae.
"""

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from load import FIXTURES, open_pipeline
from published import LOW_RES, PNDM, SCHEDULER_2022, X4_BETAS
from store import write_json, write_tensors
from tiny import smooth_latents
from weights import assert_lively, randomize, round_to_f16

X4_DDIM = {**SCHEDULER_2022, **X4_BETAS, "_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}


@dataclass(frozen=True)
class Task:
    """One checkpoint. `parts` is the tiny checkpoint that lends what is missing."""

    name: str
    seed: int
    pipeline: str
    parts: str
    unet: dict
    scheduler: dict = field(default_factory=lambda: PNDM)
    max_noise_level: int | None = None
    # The UNet has the weights of this task's but for its first and last convolution: unet/own.safetensors.
    like: str | None = None

    @property
    def upscales(self) -> bool:
        return self.unet["in_channels"] == 7


SHALLOW = dict(
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    sample_size=8,
)

TASKS = [
    Task("inpaint-a", 31, "StableDiffusionInpaintPipeline", "tiny-v", dict(
        in_channels=9, block_out_channels=(8, 12), layers_per_block=1, attention_head_dim=[2, 3], **SHALLOW)),
    Task("inpaint-b", 32, "StableDiffusionInpaintPipeline", "tiny-eps", dict(
        in_channels=9, block_out_channels=(8, 8), layers_per_block=1, attention_head_dim=[1, 2], **SHALLOW)),
    Task("depth", 33, "StableDiffusionDepth2ImgPipeline", "tiny-v", dict(
        in_channels=5, block_out_channels=(8, 8), layers_per_block=2, attention_head_dim=[2, 1], **SHALLOW)),
    Task("depth-b", 34, "StableDiffusionDepth2ImgPipeline", "tiny-v", dict(
        in_channels=5, block_out_channels=(8, 12), layers_per_block=1, attention_head_dim=[2, 3], **SHALLOW),
        like="inpaint-a"),
    # The x4 upscaler's pattern: the finest level has no attention; the next attends to the text twice; the last to itself.
    Task("x4-a", 35, "StableDiffusionUpscalePipeline", "tiny-v", dict(
        in_channels=7, block_out_channels=(8, 8, 8), layers_per_block=1, attention_head_dim=2,
        only_cross_attention=[True, True, False], num_class_embeds=48, sample_size=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")), X4_DDIM, max_noise_level=40),
    # Eight heads, whatever the width; the noise levels of the published file.
    Task("x4-b", 36, "StableDiffusionUpscalePipeline", "tiny-eps", dict(
        in_channels=7, block_out_channels=(8, 8), layers_per_block=1, attention_head_dim=8,
        only_cross_attention=[True, True], num_class_embeds=352, sample_size=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D")), X4_DDIM),
]


def save_tasks(fixtures: Path) -> None:
    for task in TASKS:
        save_task(task, fixtures / "tasks" / task.name)


def save_task(task: Task, folder: Path) -> None:
    lender = open_pipeline(FIXTURES / task.parts)
    if task.like:
        unet = build_unet_like(task, lender, folder.parent / task.like / "unet")
        own = {name: tensor.half() for name, tensor in unet.state_dict().items() if is_own(name)}
        write_tensors(folder / "unet" / OWN, own)
        unet.save_config(folder / "unet")
    else:
        save_half(build_unet(task, lender), folder / "unet")
    write_json(folder / "scheduler" / "scheduler_config.json", task.scheduler)
    if task.upscales:
        write_json(folder / "low_res_scheduler" / "scheduler_config.json", LOW_RES)
    write_json(folder / "model_index.json", model_index(task))


def save_half(model, folder: Path) -> None:
    model.half().save_pretrained(folder, safe_serialization=True)
    model.float()


def build_unet(task: Task, lender) -> UNet2DConditionModel:
    width = lender.text_encoder.config.hidden_size
    unet = UNet2DConditionModel(
        out_channels=4, cross_attention_dim=width, use_linear_projection=True, norm_num_groups=4, **task.unet,
    ).eval().requires_grad_(False)
    randomize(unet, "unet", task.seed)
    let_through(unet)
    if unet.class_embedding is not None:
        # As large as the time embedding beside it.
        unet.class_embedding.weight.mul_(10)
    fit_denoiser(task, unet, lender)
    round_to_f16(unet)
    assert_lively(unet, task.name)
    return unet


OWN = "own.safetensors"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def is_own(name: str) -> bool:
    return name.startswith(("conv_in.", "conv_out."))


def build_unet_like(task: Task, lender, other: Path) -> UNet2DConditionModel:
    """Another task's UNet, whose first convolution loses the channels that are too many; the last is fitted anew."""
    weights = {name: tensor.float() for name, tensor in load_file(other / WEIGHTS).items()}
    weights["conv_in.weight"] = weights["conv_in.weight"][:, :task.unet["in_channels"]].clone()
    unet = UNet2DConditionModel(
        out_channels=4, cross_attention_dim=lender.text_encoder.config.hidden_size, use_linear_projection=True,
        norm_num_groups=4, **task.unet,
    ).eval().requires_grad_(False)
    unet.load_state_dict(weights)
    fit_denoiser(task, unet, lender)
    round_to_f16(unet)
    assert_lively(unet, task.name)
    return unet


@torch.no_grad()
def let_through(unet, gain=1.5) -> None:
    """Eight random channels lose the noise, and samplers then run away: the first convolution and the last skip hand it on."""
    for channel in range(4):
        unet.conv_in.weight[channel, channel, 1, 1] += gain
    last = unet.up_blocks[-1].resnets[-1].conv_shortcut
    for channel in range(4):
        last.weight[channel, last.in_channels - unet.conv_in.out_channels + channel, 0, 0] += gain


@torch.no_grad()
def fit_denoiser(task: Task, unet, lender, count=192, side=12, ridge=1e-3) -> None:
    """tiny.py's fit of the last convolution, with what the task puts beside the latents; the class is a noise level."""
    generator = torch.Generator("cpu").manual_seed(task.seed + 100)
    clean = smooth_latents(count, side, generator)
    noise = torch.randn(clean.shape, generator=generator)
    timestep = torch.randint(1, 1000, (count,), generator=generator)
    ids = torch.randint(0, lender.text_encoder.config.vocab_size, (count, 77), generator=generator)
    context = lender.text_encoder(input_ids=ids).last_hidden_state
    scheduler = task.scheduler
    beta = torch.linspace(scheduler["beta_start"]**0.5, scheduler["beta_end"]**0.5, 1000, dtype=torch.float64) ** 2
    alpha = (1 - beta).cumprod(0)[timestep].float().reshape(-1, 1, 1, 1)
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    predicts_noise = scheduler["prediction_type"] == "epsilon"
    target = noise if predicts_noise else alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    classes = task.unet.get("num_class_embeds")
    labels = torch.randint(0, classes, (count,), generator=generator) if classes else None
    x = torch.cat([noisy, beside(task.unet["in_channels"] - 4, clean, generator)], 1)

    seen = []
    hook = unet.conv_out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    unet(x, timestep, encoder_hidden_states=context, class_labels=labels)
    hook.remove()
    columns = F.unfold(seen[0], 3, padding=1).transpose(1, 2).flatten(0, 1)
    columns = torch.cat([columns, torch.ones(len(columns), 1)], 1).double()
    wanted = target.flatten(2).transpose(1, 2).flatten(0, 1).double()
    gram = columns.T @ columns + ridge * len(columns) * torch.eye(columns.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, columns.T @ wanted).T.float()
    last = unet.conv_out
    last.weight.copy_(solution[:, :-1].reshape(last.weight.shape) + 0.1 * last.weight)
    last.bias.copy_(solution[:, -1] + 0.1 * last.bias)


def beside(channels: int, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Stand-ins for depth (1 channel), mask and masked latents (5), a small picture (3)."""
    field = smooth_latents(len(clean), clean.shape[-1], generator)
    if channels == 5:
        mask = (field[:, :1] > 0).float()
        return torch.cat([mask, clean * (1 - mask)], 1)
    return field[:, :channels].clamp(-1, 1)


def model_index(task: Task) -> dict:
    index = {
        "_class_name": task.pipeline,
        "_diffusers_version": "0.8.0",
        "scheduler": ["diffusers", task.scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if task.upscales:
        index["low_res_scheduler"] = ["diffusers", "DDPMScheduler"]
        if task.max_noise_level is not None:
            index["max_noise_level"] = task.max_noise_level
    elif "Depth" in task.pipeline:
        index |= {"depth_estimator": [None, None], "feature_extractor": [None, None]}
    else:
        index |= {"feature_extractor": [None, None], "safety_checker": [None, None], "requires_safety_checker": False}
    return index


@contextmanager
def complete(fixtures: Path, name: str):
    """The folder of a task with its missing parts, as long as the block runs."""
    task = next(task for task in TASKS if task.name == name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        shutil.copytree(fixtures / "tasks" / name, folder)
        if task.like:
            lent = load_file(fixtures / "tasks" / task.like / "unet" / WEIGHTS)
            save_file(lent | load_file(folder / "unet" / OWN), folder / "unet" / WEIGHTS, metadata={"format": "pt"})
        for part in ("text_encoder", "tokenizer", "vae"):
            lent = "tiny-x4-vae" if task.upscales and part == "vae" else f"{task.parts}/{part}"
            shutil.copytree(FIXTURES / lent, folder / part)
        yield folder
