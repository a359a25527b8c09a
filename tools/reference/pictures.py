"""Whole pictures by StableDiffusionPipeline on the CPU in f32: golden/<model>/pictures.{json,safetensors}."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import diffusers
import numpy as np
import torch

from load import open_pipeline, scheduler_class
from store import write_json, write_tensors

HORSE = "a photograph of an astronaut riding a horse"
APPLES = "two red apples on a table, oil painting"

# Other code is allowed 1e-5: a picture in which rounding alone makes a third of that is no test.
STEADY = 3.5e-6


@dataclass(frozen=True)
class Case:
    """One picture. scheduler None is the folder's own; schedulerFile None is the folder's own file."""

    name: str
    prompt: str = HORSE
    negative: str = ""
    seed: int = 1
    steps: int = 5
    guidance: float = 7.5
    scheduler: str | None = None
    width: int = 64
    height: int = 64
    n: int = 1
    schedulerFile: str | None = None
    trace: bool = False


CASES = [
    Case("own", seed=22, trace=True),
    Case("own-other-prompt", seed=22, prompt=APPLES),
    Case("ddim", scheduler="ddim", seed=2, guidance=3.0),
    Case("pndm", scheduler="pndm", seed=3, steps=6, guidance=4.0, trace=True),
    Case("euler", scheduler="euler", seed=4, trace=True),
    Case("wide", scheduler="ddim", seed=5, width=96, height=64, prompt=APPLES, negative="blurry, horse"),
    Case("tall-odd", scheduler="euler", seed=6, width=72, height=104, guidance=3.0),
    Case("odd-pndm", scheduler="pndm", seed=6, width=104, height=72, guidance=3.0, steps=4),
    Case("no-guidance", scheduler="euler", seed=7, guidance=1.0, steps=8),
    Case("no-guidance-own", seed=8, guidance=1.0, steps=10, negative="this has no effect"),
    Case("negative", seed=2**31 + 9, guidance=3.0, negative="two red apples"),
    Case("two", seed=10, n=2, prompt=APPLES, guidance=5.0),
    Case("two-no-guidance", seed=11, n=2, guidance=1.0, scheduler="pndm", steps=4, width=72),
    Case("empty-prompt", prompt="", seed=12, steps=4, guidance=3.0),
    Case("one-step", seed=13, steps=1, scheduler="ddim"),
    # The other kind of scheduler file, with each sampler.
    Case("other-file-ddim", seed=14, scheduler="ddim", schedulerFile="other"),
    Case("other-file-pndm", seed=15, scheduler="pndm", schedulerFile="other", guidance=3.0),
    Case("other-file-euler", seed=16, scheduler="euler", schedulerFile="other", guidance=3.0),
    Case("trailing-ddim", seed=17, scheduler="ddim", schedulerFile="trailing"),
    Case("trailing-euler", seed=18, scheduler="euler", schedulerFile="trailing"),
]


def scheduler_files(own: dict) -> dict[str, dict]:
    """The folder's file with timestep_spacing taken out where it is given, put in where it is not, and trailing."""
    bare = {key: value for key, value in own.items() if key != "timestep_spacing"}
    other = bare if "timestep_spacing" in own else {**bare, "timestep_spacing": "leading"}
    return {"other": other, "trailing": {**bare, "timestep_spacing": "trailing"}}


def save_pictures(folder: Path, golden: Path) -> None:
    pipeline = open_pipeline(folder)
    own = pipeline.scheduler
    files = scheduler_files(read_config(folder))
    for name, value in files.items():
        write_json(golden / f"scheduler-{name}" / "scheduler_config.json", value)
    tensors, manifest = {}, []
    for case in CASES:
        pipeline.scheduler = choose_scheduler(case, own, files)
        manifest.append(add_case(pipeline, case, tensors))
    manifest.append(model_page_sample(folder, tensors))
    assert_prompt_matters(tensors)
    write_json(golden / "pictures.json", manifest)
    write_tensors(golden / "pictures.safetensors", tensors)


def read_config(folder: Path) -> dict:
    return json.loads((folder / "scheduler" / "scheduler_config.json").read_text())


def choose_scheduler(case: Case, own, files: dict):
    source = own if case.schedulerFile is None else getattr(
        diffusers, files[case.schedulerFile]["_class_name"]).from_config(files[case.schedulerFile])
    return source if case.scheduler is None else scheduler_class(case.scheduler).from_config(source.config)


def model_page_sample(folder: Path, tensors: dict) -> dict:
    """Stable Diffusion 2's model page: Euler read from the folder's own scheduler file, then the pipeline round it."""
    euler = diffusers.EulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
    case = Case("model-page", seed=19, scheduler="euler", steps=6)
    return add_case(open_pipeline(folder, scheduler=euler), case, tensors)


def add_case(pipeline, case: Case, tensors: dict) -> dict:
    latents, samples, trace = paint(pipeline, case)
    exact, *_ = paint(in_float64(pipeline), case)
    in_float32(pipeline)
    error = relative_rms(latents, exact)
    assert error < STEADY, f"{case.name}: f32 and f64 differ by {error:.1e}, too much to test other code by"
    pictures = torch.from_numpy(samples.round().astype(np.uint8))
    clipped = ((pictures == 0) | (pictures == 255)).float().mean().item()
    assert clipped < 0.2, f"{case.name}: {clipped:.0%} of the samples are cut off"
    tensors[f"{case.name}/latents"] = latents
    tensors[f"{case.name}/pictures"] = pictures
    if case.trace:
        tensors.update({f"{case.name}/step.{index}": step for index, step in enumerate(trace)})
    return {
        **{key: value for key, value in asdict(case).items() if key != "trace"},
        "float32Error": float(f"{error:.1e}"),
        "samplerCalls": len(pipeline.scheduler.timesteps),
        "schedulerClass": type(pipeline.scheduler).__name__,
        "timesteps": [float(t) for t in pipeline.scheduler.timesteps],
        "trace": len(trace) if case.trace else 0,
    }


def paint(pipeline, case: Case) -> tuple[torch.Tensor, np.ndarray, list[torch.Tensor]]:
    """The final latents [n,4,h,w], the pictures [n,H,W,3] as floats 0…255, and the latents after each sampler call."""
    trace = []

    def keep(_pipeline, _index, _timestep, values):
        trace.append(values["latents"].clone())
        return values

    dtype = pipeline.unet.dtype
    shape = (case.n, 4, case.height // 8, case.width // 8)
    noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(case.seed))
    images = pipeline(
        case.prompt, negative_prompt=case.negative, num_inference_steps=case.steps, guidance_scale=case.guidance,
        width=case.width, height=case.height, num_images_per_prompt=case.n, latents=noise.to(dtype),
        output_type="np", callback_on_step_end=keep,
    ).images
    return trace[-1], images * 255, trace


def in_float64(pipeline):
    for model in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        model.double()
    return pipeline


def in_float32(pipeline):
    for model in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        model.float()
    return pipeline


def relative_rms(actual: torch.Tensor, expected: torch.Tensor) -> float:
    difference = actual.double() - expected.double()
    return (difference.pow(2).mean().sqrt() / expected.double().pow(2).mean().sqrt()).item()


def assert_prompt_matters(tensors: dict, levels=5.0) -> None:
    horse, apples = (tensors[f"{name}/pictures"].float() for name in ("own", "own-other-prompt"))
    moved = (horse - apples).abs().mean().item()
    assert moved >= levels, f"another prompt moves the picture by {moved:.1f} levels only"
