"""Runs whose text or guidance changes on the way: golden/guided/{guided.json,latents.safetensors,<case>.png}.

The loop is written out on diffusers' UNet and schedulers. Which text is in force at which call of the UNet is what
AUTOMATIC1111's webui itself said (fixtures/prompts/vectors.json); conditions are combined as its combine_denoised does.
Where diffusers has a way of its own (a callback that sets the scale, guiders with start and stop), that decides.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import diffusers
import PIL.Image
import torch
from diffusers.guiders import ClassifierFreeGuidance

from load import FIXTURES, open_pipeline
from pictures import HORSE, STEADY, in_float32, in_float64, relative_rms
from store import write_json, write_tensors

LAKE = "a [mountain:lake:0.25] [an oak:a tree:0.75][ in front::0.6][ behind:0.25] [x:y:0.5]"
TURNS = "[a|b|c] [d|e]"
SHORT = "[a|[b:c:5]]"
SIDE = 8


@dataclass(frozen=True)
class Case:
    """One run. parts: texts between ANDs and their weights. request: ours, what is not said elsewhere."""

    name: str
    model: str
    seed: int
    scheduler: str
    steps: int = 10
    guidance: float = 3.0
    parts: tuple = ((HORSE, None),)
    negative: str = ""
    config: dict = field(default_factory=dict)
    request: dict = field(default_factory=dict)
    picture: bool = False
    n: int = 1
    syntax: str = "a1111"


CLASSES = {
    "ddim": "DDIMScheduler", "euler": "EulerDiscreteScheduler", "heun": "HeunDiscreteScheduler", "pndm": "PNDMScheduler",
    "dpm2": "KDPM2DiscreteScheduler", "dpmpp_2m": "DPMSolverMultistepScheduler", "unipc": "UniPCMultistepScheduler",
}
# Schedulers of two evaluations a step: the webui plans texts for twice the steps.
TWICE = ("heun", "dpm2")

CATS = (("a cat", 1.2), ("a dog", None), ("a penguin", 2.2))
DYNAMIC = {"thresholding": "dynamic", "thresholdingRatio": 0.9, "sampleMaxValue": 1.5}
THRESHOLDING = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5}
LIST = [7.5, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.5, 4.0, 3.0]

CASES = [
    Case("schedule", "tiny-eps", 41, "euler", parts=((LAKE, None),), picture=True),
    Case("both-change", "tiny-v", 42, "ddim", parts=((SHORT, None),), negative=LAKE, n=2),
    Case("heun", "tiny-eps", 43, "heun", steps=5, parts=((TURNS, None),), negative=SHORT),
    Case("dpm2", "tiny-v", 44, "dpm2", steps=5, parts=((LAKE, None),)),
    Case("pndm", "tiny-eps", 45, "pndm", parts=((TURNS, None),)),
    Case("not-guided", "tiny-eps", 46, "euler", guidance=1.0, parts=((TURNS, None),)),
    Case("and", "tiny-v", 47, "euler", steps=5, guidance=1.5, parts=CATS, negative=HORSE, picture=True),
    Case("and-changing", "tiny-eps", 48, "ddim", guidance=2.0, parts=((LAKE, 0.7), (TURNS, None), ("a dog", -0.5))),
    Case("weight", "tiny-eps", 49, "ddim", steps=5, guidance=1.0, parts=(("a cat", 1.5),)),
    Case("interval", "tiny-v", 50, "ddim", guidance=7.5, syntax="plain", request={"guidanceStart": 0.25, "guidanceStop": 0.7}),
    Case("list", "tiny-eps", 51, "dpmpp_2m", syntax="plain", request={"guidanceSchedule": LIST}),
    Case("linear", "tiny-eps", 52, "euler", guidance=8.0, syntax="plain", request={"guidanceSchedule": "linear"}),
    Case("cosine", "tiny-v", 53, "heun", steps=6, guidance=2.0, syntax="plain",
         request={"guidanceSchedule": "cosine", "guidanceFrom": 6.0, "guidanceStop": 0.8}),
    Case("dynamic-ddim", "tiny-v", 54, "ddim", steps=5, guidance=7.5, syntax="plain", request=DYNAMIC, config=THRESHOLDING, picture=True),
    Case("dynamic-eps", "tiny-eps", 55, "ddim", steps=5, guidance=2.0, syntax="plain", request=DYNAMIC, config=THRESHOLDING),
    Case("dynamic-dpm", "tiny-eps", 56, "dpmpp_2m", steps=6, syntax="plain", request=DYNAMIC, config=THRESHOLDING),
    Case("dynamic-unipc", "tiny-v", 57, "unipc", steps=6, syntax="plain", request=DYNAMIC, config=THRESHOLDING),
    Case("dynamic-alone", "tiny-v", 58, "dpmpp_2m", steps=5, guidance=1.0, syntax="plain", request=DYNAMIC, config=THRESHOLDING),
    Case("all", "tiny-eps", 59, "dpmpp_2m", guidance=5.0, parts=((LAKE, 0.6), ("a dog", None)), config=THRESHOLDING,
         request={**DYNAMIC, "guidanceSchedule": "linear", "guidanceFrom": 2.0, "guidanceStart": 0.1}),
]


def save_guided(models: Path, target: Path) -> None:
    pipelines = {name: open_pipeline(models / name) for name in ("tiny-v", "tiny-eps")}
    tensors, manifest = {}, []
    for case in CASES:
        pipeline = pipelines[case.model]
        latents = run(pipeline, case)
        error = relative_rms(latents, run(in_float64(pipeline), case))
        in_float32(pipeline)
        assert error < STEADY, f"{case.name}: f32 and f64 differ by {error:.1e}, too much to test other code by"
        tensors[f"{case.name}/latents"] = latents
        manifest.append({"name": case.name, "model": case.model, "float32Error": float(f"{error:.1e}"), "request": request_of(case)})
        if case.picture:
            save_picture(pipeline, latents, target / f"{case.name}.png")
    write_json(target / "guided.json", manifest, indent=None)
    write_tensors(target / "latents.safetensors", tensors)


def request_of(case: Case) -> dict:
    """In the names of our request."""
    prompt = " AND".join(f" {text}" if weight is None else f" {text} :{weight}" for text, weight in case.parts)[1:]
    return {
        "prompt": prompt, "negativePrompt": case.negative, "steps": case.steps, "guidanceScale": case.guidance,
        "scheduler": case.scheduler, "seed": case.seed, "width": 8 * SIDE, "height": 8 * SIDE, "numImages": case.n,
        "promptSyntax": case.syntax, **case.request,
    }


@torch.no_grad()
def run(pipeline, case: Case) -> torch.Tensor:
    scheduler = getattr(diffusers, CLASSES[case.scheduler]).from_config(pipeline.scheduler.config, **case.config)
    noise = torch.randn((case.n, 4, SIDE, SIDE), generator=torch.Generator("cpu").manual_seed(case.seed)).to(pipeline.unet.dtype)
    if "guidanceSchedule" in case.request and isinstance(case.request["guidanceSchedule"], list):
        return by_callback(pipeline, scheduler, case, noise)
    return by_hand(pipeline, scheduler, case, noise)


def by_callback(pipeline, scheduler, case: Case, noise: torch.Tensor) -> torch.Tensor:
    """diffusers' pipeline; a callback sets the scale of the next step."""
    scales = case.request["guidanceSchedule"]

    def next_scale(pipe, step, _timestep, values):
        pipe._guidance_scale = scales[min(step + 1, len(scales) - 1)]
        return values

    own, pipeline.scheduler = pipeline.scheduler, scheduler
    latents = pipeline(
        case.parts[0][0], num_inference_steps=case.steps, guidance_scale=scales[0], latents=noise, output_type="latent",
        height=8 * SIDE, width=8 * SIDE, callback_on_step_end=next_scale,
    ).images
    pipeline.scheduler = own
    return latents


def by_hand(pipeline, scheduler, case: Case, noise: torch.Tensor) -> torch.Tensor:
    scheduler.set_timesteps(case.steps)
    scales = scales_of(case)
    latents = noise * scheduler.init_noise_sigma
    for call, timestep in enumerate(scheduler.timesteps):
        model_input = scheduler.scale_model_input(latents, timestep)
        outputs = [
            pipeline.unet(model_input, timestep, encoder_hidden_states=encode(pipeline, text_at(text, case, call), case.n)).sample
            for text in (case.negative, *(text for text, _ in case.parts))
        ]
        step = call // 2 if case.scheduler in TWICE else max(0, call - 1) if case.scheduler == "pndm" else call
        output = combine(outputs, [1.0 if weight is None else weight for _, weight in case.parts], scales[step])
        latents = scheduler.step(output, timestep, latents).prev_sample
    return latents


def combine(outputs: list, weights: list, scale: float) -> torch.Tensor:
    """The webui's combine_denoised."""
    uncond, *conditions = outputs
    denoised = uncond.clone()
    for condition, weight in zip(conditions, weights):
        denoised += (condition - uncond) * (weight * scale)
    return denoised


def encode(pipeline, text: str, n: int) -> torch.Tensor:
    return pipeline.encode_prompt(text, "cpu", n, do_classifier_free_guidance=False)[0]


VECTORS = json.loads((FIXTURES / "prompts" / "vectors.json").read_text(encoding="utf-8"))


def text_at(text: str, case: Case, call: int) -> str:
    """The text in force at a call of the UNet, from 0: the webui's reconstruct_cond_batch on its own schedules."""
    if "[" not in text:
        return text
    steps = case.steps * (2 if case.scheduler in TWICE else 1)
    schedule = next(entry["schedule"] for entry in VECTORS["schedules"] if (entry["text"], entry["steps"]) == (text, steps))
    return next((shown for end, shown in schedule if call <= end), schedule[0][1])


def scales_of(case: Case) -> list:
    """The scale of each step: what diffusers' guider guides, by the named curve between its first and its last."""
    start, stop = case.request.get("guidanceStart", 0.0), case.request.get("guidanceStop", 1.0)
    guider = ClassifierFreeGuidance(guidance_scale=case.guidance, start=start, stop=stop)
    guided = []
    for step in range(case.steps):
        guider.set_state(step=step, num_inference_steps=case.steps, timestep=torch.tensor(0))
        guided += [step] if guider._is_cfg_enabled() else []
    shape = CURVES[case.request.get("guidanceSchedule", "constant")]
    first = case.request.get("guidanceFrom", 1.0)
    scales = [1.0] * case.steps
    for i, step in enumerate(guided):
        scales[step] = first + (case.guidance - first) * shape(i / (len(guided) - 1))
    return scales


CURVES = {"constant": lambda _: 1.0, "linear": lambda t: t, "cosine": lambda t: (1 - math.cos(math.pi * t)) / 2}


@torch.no_grad()
def save_picture(pipeline, latents: torch.Tensor, path: Path) -> None:
    picture = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample[0]
    samples = ((picture / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(samples).save(path, optimize=True)
