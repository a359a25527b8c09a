"""Final latents of what a request can say of its sampler and its seeds: golden/<model>/sampling.{json,safetensors}.

`request` is what our pipeline is asked, `settings` and the rest what diffusers is.
"""

from dataclasses import dataclass, field
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from diffusers.schedulers.scheduling_utils import AysSchedules
from PIL import Image

from load import open_pipeline
from store import write_json, write_tensors

PROMPT = "two red apples on a table, oil painting"
AYS = AysSchedules["StableDiffusionTimesteps"]


@dataclass(frozen=True)
class Case:
    name: str
    kind: str
    request: dict
    settings: dict = field(default_factory=dict)
    # In place of a number of steps.
    timesteps: list | None = None
    models: tuple = ("tiny-v", "tiny-eps")
    pictures: int = 1
    image: bool = False


CASES = [
    Case("timesteps", "DPMSolverMultistepScheduler", {"scheduler": "dpmpp_2m", "timesteps": [900, 600, 250, 40]},
         timesteps=[900, 600, 250, 40]),
    Case("align-your-steps", "EulerDiscreteScheduler",
         {"scheduler": "euler", "steps": 10, "timestepSpacing": "ays"}, timesteps=AYS),
    Case("spacing", "DDIMScheduler", {"scheduler": "ddim", "steps": 4, "timestepSpacing": "trailing"},
         {"timestep_spacing": "trailing"}),
    # Of noise there is nothing to divide by: for v only.
    Case("zero-snr", "DDIMScheduler",
         {"scheduler": "ddim", "steps": 4, "timestepSpacing": "trailing", "rescaleBetasZeroSnr": True},
         {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}, models=("tiny-v",)),
    Case("settings", "DPMSolverMultistepScheduler",
         {"scheduler": "dpmpp_2m", "steps": 5, "schedulerConfig": {"solver_order": 3, "use_karras_sigmas": True}},
         {"solver_order": 3, "use_karras_sigmas": True}),
    Case("seeds", "EulerAncestralDiscreteScheduler", {"scheduler": "euler_a", "steps": 4, "perImageSeeds": True},
         pictures=2),
    Case("seeds-of-an-image", "EulerAncestralDiscreteScheduler",
         {"scheduler": "euler_a", "steps": 5, "strength": 0.8, "perImageSeeds": True}, pictures=2, image=True),
]


def picture() -> np.ndarray:
    """A slope in each channel: u8 [64, 64, 3]."""
    y, x = np.mgrid[0:64, 0:64]
    return np.stack([4 * x, 4 * y, 2 * (x + y)], axis=-1).astype(np.uint8)


def save_sampling(folder: Path, golden: Path) -> None:
    pipeline = open_pipeline(folder)
    own = pipeline.scheduler.config
    tensors, manifest = {}, []
    for seed, case in enumerate(CASES, start=50):
        if folder.name not in case.models:
            continue
        pipeline.scheduler = getattr(diffusers, case.kind).from_config(own, **case.settings)
        tensors[f"{case.name}/latents"] = latents(pipeline, case, seed)
        request = {"prompt": PROMPT, "guidanceScale": 3.0, "seed": seed, "width": 64, "height": 64,
                   "numImages": case.pictures, **case.request}
        manifest.append({"name": case.name, "image": case.image, "request": request})
    write_json(golden / "sampling.json", manifest)
    write_tensors(golden / "sampling.safetensors", tensors)


def latents(pipeline, case: Case, seed: int) -> torch.Tensor:
    steps = {"timesteps": case.timesteps} if case.timesteps else {"num_inference_steps": case.request["steps"]}
    generators = [torch.Generator("cpu").manual_seed(seed + i) for i in range(case.pictures)]
    shared = {"guidance_scale": 3.0, "num_images_per_prompt": case.pictures, "output_type": "latent", **steps,
              "generator": generators if case.pictures > 1 else generators[0]}
    if not case.image:
        return pipeline(PROMPT, width=64, height=64, **shared).images
    from_image = StableDiffusionImg2ImgPipeline(**pipeline.components)
    from_image.set_progress_bar_config(disable=True)
    return from_image(PROMPT, image=Image.fromarray(picture()), strength=case.request["strength"], **shared).images
