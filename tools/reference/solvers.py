"""Pictures of the deterministic solvers that pictures.py lacks, not square: golden/<model>/solvers.{json,safetensors}."""

from pathlib import Path

import diffusers
import numpy as np
import torch

from load import open_pipeline
from pictures import APPLES, STEADY, Case, in_float32, in_float64, paint, relative_rms
from store import write_json, write_tensors

# Five UNet evaluations each, so that one plan serves them all: name, class, steps.
SOLVERS = [
    ("lms", "LMSDiscreteScheduler", 5),
    ("heun", "HeunDiscreteScheduler", 3),
    ("dpm2", "KDPM2DiscreteScheduler", 3),
    ("dpmpp_2m", "DPMSolverMultistepScheduler", 5),
    ("dpmpp_2s", "DPMSolverSinglestepScheduler", 5),
    ("deis", "DEISMultistepScheduler", 5),
    ("unipc", "UniPCMultistepScheduler", 5),
    ("tcd", "TCDScheduler", 5),
]

# Of a picture's rows and columns every so many-th is kept.
STRIDE = (3, 3)


def save_solvers(folder: Path, golden: Path) -> None:
    pipeline = open_pipeline(folder)
    own = pipeline.scheduler.config
    tensors, manifest = {}, []
    for seed, (name, kind, steps) in enumerate(SOLVERS, start=40):
        pipeline.scheduler = getattr(diffusers, kind).from_config(own)
        case = Case(name, prompt=APPLES, seed=seed, steps=steps, guidance=2.0, scheduler=name, width=72, height=64)
        latents, samples, _ = paint(pipeline, case)
        exact, *_ = paint(in_float64(pipeline), case)
        in_float32(pipeline)
        error = relative_rms(latents, exact)
        assert error < STEADY, f"{name}: f32 and f64 differ by {error:.1e}, too much to test other code by"
        tensors[f"{name}/latents"] = latents
        kept = samples.round().astype(np.uint8)[:, ::STRIDE[0], ::STRIDE[1]]
        tensors[f"{name}/pictures"] = torch.from_numpy(kept)
        manifest.append({
            "name": name, "prompt": case.prompt, "guidance": case.guidance, "seed": seed, "steps": steps,
            "width": case.width, "height": case.height, "stride": STRIDE, "float32Error": float(f"{error:.1e}"),
        })
    write_json(golden / "solvers.json", manifest)
    write_tensors(golden / "solvers.safetensors", tensors)
