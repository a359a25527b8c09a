"""Opens a tiny checkpoint as committed: every golden is computed from the stored weights, in f32."""

from pathlib import Path

import diffusers
import torch
from diffusers import StableDiffusionPipeline

FIXTURES = Path(__file__).resolve().parents[2] / "test" / "fixtures"


def open_pipeline(folder: Path, scheduler=None) -> StableDiffusionPipeline:
    """The whole pipeline; a scheduler given here replaces the folder's, as in the model page's sample."""
    given = {} if scheduler is None else {"scheduler": scheduler}
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, **given)
    pipeline.set_progress_bar_config(disable=True)
    for model in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        model.eval().requires_grad_(False)
    assert pipeline.tokenizer.pad_token_id == 0
    return pipeline


def scheduler_class(name: str):
    return getattr(diffusers, {
        "ddim": "DDIMScheduler", "pndm": "PNDMScheduler", "euler": "EulerDiscreteScheduler",
    }[name])


def token_ids(pipeline: StableDiffusionPipeline, prompts: list[str]) -> torch.Tensor:
    return pipeline.tokenizer(
        prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt",
    ).input_ids
