"""Final latents of solvers that draw noise in their steps, two pictures from one generator: golden/<model>/noisy.{json,safetensors}."""

from pathlib import Path

import diffusers
import torch

from load import open_pipeline
from store import write_json, write_tensors

PROMPT = "two red apples on a table, oil painting"

# Five UNet evaluations each, so that one plan serves them all: name, class, settings, steps, eta.
CASES = [
    ("ddim", "DDIMScheduler", {}, 5, 1.0),
    ("euler_a", "EulerAncestralDiscreteScheduler", {}, 5, 0.0),
    ("dpm2_a", "KDPM2AncestralDiscreteScheduler", {}, 3, 0.0),
    ("dpmpp_2m_sde", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, 5, 0.0),
    ("lcm", "LCMScheduler", {}, 5, 0.0),
    ("unipc", "UniPCMultistepScheduler", {}, 5, 0.0),
]


def save_noisy(folder: Path, golden: Path) -> None:
    pipeline = open_pipeline(folder)
    own = pipeline.scheduler.config
    tensors, manifest = {}, []
    for seed, (name, kind, more, steps, eta) in enumerate(CASES, start=30):
        pipeline.scheduler = getattr(diffusers, kind).from_config(own, **more)
        tensors[f"{name}/latents"] = pipeline(
            PROMPT, num_inference_steps=steps, guidance_scale=3.0, width=64, height=64, num_images_per_prompt=2,
            eta=eta, generator=torch.Generator("cpu").manual_seed(seed), output_type="latent",
        ).images
        manifest.append({"name": name, "prompt": PROMPT, "guidance": 3.0, "seed": seed, "steps": steps, "eta": eta})
    write_json(golden / "noisy.json", manifest)
    write_tensors(golden / "noisy.safetensors", tensors)
