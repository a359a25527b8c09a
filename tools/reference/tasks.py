"""Pictures by diffusers' pipelines beside text-to-image, on the CPU in f32: golden/tasks/{blocks,pictures}.{json,safetensors}."""

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import diffusers
import numpy as np
import PIL.Image
import torch
import transformers
from diffusers.models.autoencoders import vae as vae_module
from diffusers.pipelines.stable_diffusion import (
    pipeline_stable_diffusion as text_module,
    pipeline_stable_diffusion_depth2img as depth_module,
    pipeline_stable_diffusion_img2img as image_module,
    pipeline_stable_diffusion_inpaint as inpaint_module,
    pipeline_stable_diffusion_upscale as upscale_module,
)
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

from blocks import whole
from load import FIXTURES, scheduler_class
from pictures import STEADY, relative_rms
from store import write_json, write_tensors
from task_models import TASKS, complete
from tiles import decode_tiles, see_tiles

HORSE = "a photograph of an astronaut riding a horse"

TURBO = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}


@dataclass(frozen=True)
class Case:
    """One picture. `image` is [width, height] of what is given; `size` the one asked for, where the task takes one."""

    name: str
    model: str
    image: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    strength: float | None = None
    noiseLevel: int | None = None
    scheduler: str | None = None
    steps: int = 5
    guidance: float = 4.0
    seed: int = 1
    n: int = 1
    turbo: bool = False
    estimated: bool = False
    picture: bool = True
    # Of a picture's rows and columns every so many-th is kept.
    stride: tuple[int, int] = (1, 1)
    tile: int | None = None
    tileOverlap: int | None = None
    vaeTiling: bool = False


CASES = [
    Case("img2img-ddim", "tiny-v", (64, 64), strength=0.8, seed=1),
    Case("img2img-weak", "tiny-v", (64, 64), strength=0.3, steps=10, seed=2, picture=False),
    Case("img2img-euler", "tiny-v", (64, 64), strength=0.6, scheduler="euler", seed=3, picture=False),
    Case("img2img-two", "tiny-v", (80, 70), strength=0.5, steps=6, n=2, guidance=1.0, seed=4, stride=(2, 4)),
    Case("img2img-pndm", "tiny-eps", (64, 72), strength=0.8, steps=6, seed=5),
    Case("img2img-pndm-weak", "tiny-eps", (64, 72), strength=0.3, steps=10, guidance=2.0, seed=6, picture=False),
    Case("img2img-full", "tiny-eps", (64, 72), strength=1.0, steps=4, guidance=2.0, seed=7, picture=False),
    Case("inpaint-full", "inpaint-a", (64, 64), (64, 64), 1.0, seed=8),
    Case("inpaint-wide", "inpaint-a", (80, 70), (88, 64), 1.0, scheduler="euler", seed=9),
    Case("inpaint-partly", "inpaint-a", (64, 64), (64, 64), 0.6, steps=6, seed=10, picture=False),
    Case("inpaint-ddim", "inpaint-b", (64, 72), (64, 72), 0.8, scheduler="ddim", guidance=1.0, seed=11, stride=(2, 2)),
    Case("inpaint-two", "inpaint-b", (64, 72), (64, 72), 1.0, scheduler="euler", n=2, seed=12, picture=False),
    Case("depth-own", "depth", (64, 72), strength=0.8, steps=6, seed=13),
    Case("depth-euler", "depth", (80, 70), strength=0.6, scheduler="euler", seed=14, picture=False),
    Case("depth-estimated", "depth", (64, 72), strength=0.8, scheduler="ddim", guidance=2.0, seed=24, estimated=True, picture=False),
    Case("depth-two", "depth", (64, 72), strength=1.0, scheduler="ddim", n=2, guidance=1.0, seed=15, picture=False),
    Case("depth-b", "depth-b", (64, 72), strength=0.8, steps=6, seed=13, stride=(2, 2)),
    Case("x4-own", "x4-a", (16, 20), noiseLevel=20, seed=16),
    Case("x4-noisier", "x4-a", (16, 20), noiseLevel=40, seed=16, picture=False),
    Case("x4-euler", "x4-a", (23, 17), noiseLevel=0, scheduler="euler", seed=17, picture=False),
    Case("x4-two", "x4-b", (16, 16), noiseLevel=350, n=2, guidance=1.0, seed=18, picture=False),
    Case("x4-pndm", "x4-b", (20, 16), noiseLevel=100, scheduler="pndm", steps=4, seed=19, stride=(2, 2)),
    Case("x4-tiled", "x4-a", (20, 28), noiseLevel=20, steps=4, seed=25, stride=(4, 3), tile=16, tileOverlap=6),
    Case("x4-tiled-vae", "x4-a", (20, 28), noiseLevel=20, steps=4, seed=25, stride=(4, 3), tile=16, tileOverlap=6, vaeTiling=True),
    Case("x4-tiled-two", "x4-b", (20, 16), noiseLevel=350, scheduler="euler", n=2, guidance=1.0, seed=26, tile=16, tileOverlap=8, picture=False),
    Case("turbo-1", "tiny-eps", None, (64, 64), steps=1, guidance=0.0, seed=20, turbo=True, picture=False),
    Case("turbo-4", "tiny-eps", None, (64, 64), steps=4, guidance=0.0, seed=21, turbo=True, picture=False),
    Case("turbo-img2img", "tiny-eps", (64, 64), strength=0.5, steps=2, guidance=0.0, seed=22, turbo=True, picture=False),
]


def save_task_blocks(models: Path, golden: Path) -> None:
    """Whole UNets, and of the upscaler the transformers of both kinds."""
    tensors, entries = {}, []
    for task in TASKS:
        if task.like:
            continue
        with complete(models, task.name) as folder:
            model = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet").eval()
        recorded, more = whole_unet(task, model)
        tensors |= recorded
        entries += [{**entry, "model": task.name, "file": "blocks.safetensors"} for entry in more]
    write_json(golden / "blocks.json", entries, indent=None)
    write_tensors(golden / "blocks.safetensors", tensors)


def whole_unet(task, model) -> tuple[dict, list]:
    source = torch.Generator("cpu").manual_seed(task.seed)
    sample = torch.randn(2, task.unet["in_channels"], 8, 6, generator=source)
    text = torch.randn(2, 7, model.config.cross_attention_dim, generator=source)
    inputs = {"sample": sample, "timestep": 321.0, "encoder_hidden_states": text}
    modules = []
    if task.upscales:
        inputs["class_labels"] = torch.tensor([33, 33])
        modules = ["down_blocks.1.attentions.0.transformer_blocks.0", "mid_block.attentions.0", "up_blocks.0.attentions.1"]
    return whole(model, f"unet/{task.name}", "unet", modules, lambda: model(**inputs), inputs, "sample")


def save_task_pictures(models: Path, golden: Path) -> None:
    tensors, manifest = {}, []
    for case in CASES:
        manifest.append(add_case(models, case, tensors))
    assert_inputs_matter(tensors)
    write_json(golden / "pictures.json", manifest, indent=None)
    write_tensors(golden / "pictures.safetensors", tensors)


def add_case(models: Path, case: Case, tensors: dict) -> dict:
    with opened(models, case) as pipeline:
        given = inputs_of(case, pipeline)
        latents, samples = paint(pipeline, case, given)
        exact, _ = paint(in_dtype(pipeline, torch.float64), case, given)
        in_dtype(pipeline, torch.float32)
        timesteps = [float(t) for t in pipeline.scheduler.timesteps]
    error = relative_rms(latents, exact)
    assert error < STEADY, f"{case.name}: f32 and f64 differ by {error:.1e}, too much to test other code by"
    clipped = ((samples.round() <= 0) | (samples.round() >= 255)).mean()
    assert clipped < 0.25, f"{case.name}: {clipped:.0%} of the samples are cut off"
    if not case.vaeTiling:
        tensors[f"{case.name}/latents"] = latents
    if case.picture:
        down, across = case.stride
        tensors[f"{case.name}/pictures"] = torch.from_numpy(samples.round().astype(np.uint8)[:, ::down, ::across])
    names = {name: f"{name}/{'x'.join(map(str, value.shape if torch.is_tensor(value) else value.size))}"
             for name, value in given.items()}
    for name, value in given.items():
        tensors[names[name]] = value if torch.is_tensor(value) else torch.from_numpy(np.array(value))
    return {
        **stated(case), "prompt": HORSE, "given": names, "float32Error": float(f"{error:.1e}"), "parts": parts_of(case),
        "schedulerClass": type(pipeline.scheduler).__name__, "timesteps": timesteps,
    }


def stated(case: Case) -> dict:
    """The case without its image, which is in `given`, and without what only some cases say."""
    some = {"stride": (1, 1), "tile": None, "tileOverlap": None, "vaeTiling": False}
    return {key: value for key, value in asdict(case).items() if key != "image" and (key, value) not in some.items()}


def in_dtype(pipeline, dtype: torch.dtype):
    for name in ("text_encoder", "unet", "vae", "depth_estimator"):
        model = getattr(pipeline, name, None)
        if model is not None:
            model.to(dtype)
    return pipeline


def parts_of(case: Case) -> str | None:
    return next((task.parts for task in TASKS if task.name == case.model), None)


@contextmanager
def opened(models: Path, case: Case):
    """The pipeline of a case: a task's own, or one of the text-to-image checkpoints as img2img."""
    task = next((task for task in TASKS if task.name == case.model), None)
    if task:
        with complete(models, case.model) as folder:
            yield prepared(getattr(diffusers, task.pipeline), folder, case)
    else:
        kind = diffusers.StableDiffusionImg2ImgPipeline if case.image else diffusers.StableDiffusionPipeline
        yield prepared(kind, models / case.model, case)


def prepared(kind, folder: Path, case: Case):
    depth = depth_parts(case) if "Depth" in kind.__name__ else {}
    pipeline = kind.from_pretrained(folder, torch_dtype=torch.float32, **depth)
    pipeline.set_progress_bar_config(disable=True)
    encode_contiguous(pipeline.vae)
    if case.turbo:
        pipeline.scheduler = turbo_scheduler(pipeline.scheduler.config)
    elif case.scheduler:
        pipeline.scheduler = scheduler_class(case.scheduler).from_config(pipeline.scheduler.config)
    if case.tile is not None:
        see_tiles(pipeline.unet, case.tile, case.tileOverlap)
    if case.vaeTiling:
        decode_tiles(pipeline.vae, case.tile, case.tileOverlap)
    return pipeline


def depth_parts(case: Case) -> dict:
    """The tiny estimator, which the folder lacks, or nothing in its place."""
    if not case.estimated:
        return {"depth_estimator": None, "feature_extractor": None}
    folder = FIXTURES / "tiny-depth"
    estimator = transformers.DPTForDepthEstimation.from_pretrained(folder / "depth_estimator", dtype=torch.float32).eval()
    return {
        "depth_estimator": estimator,
        "feature_extractor": DPTImageProcessorPil.from_pretrained(folder / "feature_extractor"),
    }


def encode_contiguous(vae) -> None:
    """Pictures come channels last in memory, and PyTorch's GroupNorm then loses a digit: 2e-5 from float64 instead of 1e-6."""
    encode = vae.encode
    vae.encode = lambda picture: encode(picture.contiguous())


def turbo_scheduler(config):
    """SD-Turbo's file: Euler with trailing timesteps."""
    given = {key: value for key, value in config.items() if key != "_use_default_values"}
    return diffusers.EulerDiscreteScheduler.from_config({**given, **TURBO})


def inputs_of(case: Case, pipeline) -> dict:
    """What the task is given, in the names of our request: pictures [H,W,3] u8, mask [H,W] u8, depth [h,w] f32."""
    if case.image is None:
        return {}
    width, height = case.image
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    waves = [np.sin(5 * x + 2 * y), np.cos(7 * y - x), np.sin(9 * (x * y) + 1)]
    image = 127.5 + 100 * np.stack(waves, -1)
    image[(x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06] = [230, 40, 90]
    given = {"image": PIL.Image.fromarray(image.round().astype(np.uint8))}
    kind = type(pipeline).__name__
    if "Inpaint" in kind:
        mask = 255 * ((x + y > 0.6) & (x - y < 0.3)) - 90 * (x > 0.8)
        given["mask"] = PIL.Image.fromarray(mask.clip(0, 255).astype(np.uint8))
    if "Depth" in kind and not case.estimated:
        y, x = np.mgrid[0:13, 0:11] / 10
        given["depth"] = torch.from_numpy((3 + 2 * np.sin(4 * x) * np.cos(3 * y)).astype(np.float32))
    return given


@torch.no_grad()
def paint(pipeline, case: Case, given: dict) -> tuple[torch.Tensor, np.ndarray]:
    """The final latents [n,4,h,w] and the pictures [n,H,W,3] as floats 0…255."""
    options = dict(
        num_inference_steps=case.steps, guidance_scale=case.guidance, num_images_per_prompt=case.n, output_type="latent",
        generator=torch.Generator("cpu").manual_seed(case.seed),
    )
    if case.strength is not None:
        options["strength"] = case.strength
    if case.size is not None:
        options |= {"width": case.size[0], "height": case.size[1]}
    if case.noiseLevel is not None:
        options["noise_level"] = case.noiseLevel
    names = {"image": "image", "mask": "mask_image", "depth": "depth_map"}
    values = {names[name]: value[None] if torch.is_tensor(value) else value for name, value in given.items()}
    with noise_in_float32():
        latents = pipeline(HORSE, **values, **options).images
    pictures = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return latents, (pictures / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().numpy() * 255


NOISY_MODULES = [vae_module, text_module, depth_module, image_module, inpaint_module, upscale_module]


@contextmanager
def noise_in_float32():
    """A generator's float64 numbers are others than its float32 ones: both runs draw the latter."""
    kept = [module.randn_tensor for module in NOISY_MODULES]

    def draw(shape, generator=None, device=None, dtype=None, layout=None):
        return torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype)

    for module in NOISY_MODULES:
        module.randn_tensor = draw
    yield
    for module, function in zip(NOISY_MODULES, kept):
        module.randn_tensor = function


def assert_inputs_matter(tensors: dict) -> None:
    """Another noise level (and with it another class) moves the latents."""
    moved = relative_rms(tensors["x4-noisier/latents"], tensors["x4-own/latents"])
    assert moved > 0.05, f"another noise level moves the latents by {moved:.2f} only"
