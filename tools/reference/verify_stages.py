"""The stages that `npm run verify` compares: each records its inputs and what diffusers makes of them."""

import copy
import inspect

import numpy as np
import torch
from PIL import Image


class Dump:
    """A pipeline, what is asked of it, and what was recorded so far."""

    def __init__(self, pipeline, settings: dict):
        self.pipeline, self.settings = pipeline, settings
        self.tensors: dict[str, torch.Tensor] = {}
        self.cases: list[dict] = []
        self.notes: list[str] = []
        self.random = torch.Generator("cpu").manual_seed(settings["seed"])
        self.kind = type(pipeline).__name__

    def add(self, stage: str, name: str, **values) -> None:
        """A case; tensors among its values are stored under the case's name, pictures as bytes."""
        case = {"stage": stage, "name": name}
        for key, value in values.items():
            if torch.is_tensor(value):
                case[key] = f"{name}/{key}"
                self.tensors[case[key]] = value
            elif isinstance(value, list) and value and torch.is_tensor(value[0]):
                case[key] = [f"{name}/{key}.{i}" for i in range(len(value))]
                self.tensors |= dict(zip(case[key], value))
            else:
                case[key] = value
        self.cases.append(case)

    def randn(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.random)

    @property
    def factor(self) -> int:
        return 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)

    @property
    def latent_size(self) -> tuple[int, int]:
        return self.settings["height"] // self.factor, self.settings["width"] // self.factor


def tokens(dump: Dump) -> None:
    prompts = dump.settings["prompts"]
    dump.add("tokens", "tokens", prompts=prompts, ids=token_ids(dump, prompts))


def token_ids(dump: Dump, prompts: list[str]) -> torch.Tensor:
    tokenizer = dump.pipeline.tokenizer
    return tokenizer(
        prompts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt",
    ).input_ids.int()


def text(dump: Dump) -> None:
    prompts = [dump.settings["negativePrompt"], dump.settings["prompt"]]
    ids = token_ids(dump, prompts)
    most = dump.pipeline.text_encoder.config.num_hidden_layers - 1
    for skip in (0, 1, 2):
        if skip <= most:
            # Both as prompts: diffusers leaves no layer of a negative prompt out.
            hidden, _ = dump.pipeline.encode_prompt(prompts, "cpu", 1, False, clip_skip=skip or None)
            dump.add("text", f"text encoder, clip skip {skip}", ids=ids, skip=skip, hidden=hidden)


def unet(dump: Dump) -> None:
    """Two samples, for the negative prompt and the prompt, at some timesteps."""
    model = dump.pipeline.unet
    positive, negative = dump.pipeline.encode_prompt(
        dump.settings["prompt"], "cpu", 1, True, dump.settings["negativePrompt"])
    context = torch.cat([negative, positive])
    sample = dump.randn(2, model.config.in_channels, *dump.latent_size)
    level, labels = {}, {}
    if model.config.num_class_embeds is not None:
        level = {"label": dump.settings["noiseLevel"]}
        labels = {"class_labels": torch.tensor([dump.settings["noiseLevel"]] * 2)}
    timesteps = some_timesteps(dump)
    outputs = [model(sample, t, encoder_hidden_states=context, **labels).sample for t in timesteps]
    dump.add("unet", "UNet", timesteps=timesteps, sample=sample, context=context, outputs=outputs, **level)


def some_timesteps(dump: Dump) -> list[float]:
    """The first, the middle and the last of a run."""
    scheduler = copy.deepcopy(dump.pipeline.scheduler)
    scheduler.set_timesteps(dump.settings["steps"])
    every = [float(t) for t in scheduler.timesteps]
    chosen = [every[0], every[len(every) // 2], every[-1]][:dump.settings["timesteps"]]
    return list(dict.fromkeys(chosen))


def scheduler(dump: Dump) -> None:
    """Every step of a run on outputs that are noise: each step from the reference's own history."""
    solver = copy.deepcopy(dump.pipeline.scheduler)
    solver.set_timesteps(dump.settings["steps"])
    channels = dump.pipeline.unet.config.out_channels
    x = start = dump.randn(1, channels, *dump.latent_size) * float(solver.init_noise_sigma)
    inputs, outputs, samples = [], [], []
    takes_noise = "generator" in inspect.signature(solver.step).parameters
    noise = torch.Generator("cpu").manual_seed(dump.settings["seed"] + 1)
    for timestep in solver.timesteps:
        inputs.append(solver.scale_model_input(x, timestep))
        outputs.append(dump.randn(*x.shape))
        more = {"generator": noise} if takes_noise else {}
        x = solver.step(outputs[-1], timestep, x, **more).prev_sample
        samples.append(x)
    dump.add(
        "scheduler", f"scheduler, {len(samples)} evaluations", solver=dump.settings["scheduler"], steps=dump.settings["steps"],
        sigma=float(solver.init_noise_sigma), timesteps=[float(t) for t in solver.timesteps],
        start=start, inputs=torch.cat(inputs), outputs=torch.cat(outputs), samples=torch.cat(samples),
        noiseSeed=dump.settings["seed"] + 1,
    )


def vae_encode(dump: Dump) -> None:
    vae = dump.pipeline.vae
    if getattr(vae, "encoder", None) is None:
        dump.notes.append("the checkpoint has no VAE encoder")
        return
    image = given_image(dump.settings["width"], dump.settings["height"])
    picture = dump.pipeline.image_processor.preprocess(image).contiguous()
    dump.add("encode", "VAE encoder", picture=picture, moments=vae.encode(picture).latent_dist.parameters)


def vae_decode(dump: Dump) -> None:
    vae = dump.pipeline.vae
    z = dump.randn(1, vae.config.latent_channels, *dump.latent_size) / vae.config.scaling_factor
    dump.add("decode", "VAE decoder", z=z, picture=vae.decode(z).sample)


def inpaint(dump: Dump) -> None:
    """As StableDiffusionInpaintPipeline: picture and mask brought to size, the mask cut, the picture masked."""
    if "Inpaint" not in dump.kind:
        return
    given, size = inputs_of(dump), {"height": dump.settings["height"], "width": dump.settings["width"]}
    picture = dump.pipeline.image_processor.preprocess(given["image"], **size)
    mask = dump.pipeline.mask_processor.preprocess(given["mask"], **size)
    small = torch.nn.functional.interpolate(mask, size=dump.latent_size)
    dump.add("inpaint", "mask and masked picture", image=as_bytes(given["image"]), mask=as_bytes(given["mask"]), **size,
             latentMask=small, masked=picture * (mask < 0.5))


def depth(dump: Dump) -> None:
    """As StableDiffusionDepth2ImgPipeline.prepare_depth_map, up to the latents' size."""
    estimator = getattr(dump.pipeline, "depth_estimator", None)
    if estimator is None:
        if "Depth" in dump.kind:
            dump.notes.append("the checkpoint comes without a depth estimator")
        return
    image = inputs_of(dump)["image"]
    pixels = dump.pipeline.feature_extractor(images=[image], return_tensors="pt").pixel_values.float()
    dump.add("depth-pixels", "picture for the depth estimator", image=as_bytes(image), pixels=pixels)
    predicted = estimator(pixels).predicted_depth
    size = [image.height // dump.factor, image.width // dump.factor]
    small = torch.nn.functional.interpolate(predicted[:, None], size=size, mode="bicubic", align_corners=False)
    dump.add("depth", "DPT depth map", latents=size, pixels=pixels, map=small)


def noise_level(dump: Dump) -> None:
    """The x4 upscaler: what a noise level does to the small picture, and to the time embedding."""
    model = dump.pipeline.unet
    if "Upscale" not in dump.kind:
        return
    level = dump.settings["noiseLevel"]
    image = inputs_of(dump)["image"]
    picture = dump.pipeline.image_processor.preprocess(image)
    noise = dump.randn(*picture.shape)
    noisy = dump.pipeline.low_res_scheduler.add_noise(picture, noise, torch.tensor([level]))
    dump.add("noise-level", "small picture with noise", image=as_bytes(image), level=level, noise=noise, noisy=noisy)
    timestep = some_timesteps(dump)[0]
    sinusoids = model.time_proj(torch.tensor([timestep])).float()
    embedding = model.time_embedding(sinusoids) + model.class_embedding(torch.tensor([level]))
    dump.add("embedding", "noise level embedding", timestep=timestep, label=level, embedding=embedding)


def picture(dump: Dump) -> None:
    settings, pipeline = dump.settings, dump.pipeline
    given = inputs_of(dump)
    options = {"num_inference_steps": settings["steps"], "guidance_scale": settings["guidanceScale"],
               "negative_prompt": settings["negativePrompt"], "output_type": "latent",
               "generator": torch.Generator("cpu").manual_seed(settings["seed"])}
    takes = inspect.signature(type(pipeline).__call__).parameters
    request = {name: settings[name] for name in ("prompt", "negativePrompt", "seed", "steps", "guidanceScale")}
    if settings["scheduler"] is not None:
        request["scheduler"] = settings["scheduler"]
    if "height" in takes:
        size = {"height": settings["height"], "width": settings["width"]}
        options |= size
        request |= size
    if "strength" in takes:
        options["strength"] = request["strength"] = settings["strength"]
    if "noise_level" in takes:
        options["noise_level"] = request["noiseLevel"] = settings["noiseLevel"]
    names = {"image": "image", "mask": "mask_image", "depth": "depth_map"}
    values = {names[name]: value[None] if torch.is_tensor(value) else value for name, value in given.items()}
    latents = pipeline(settings["prompt"], **values, **options).images
    decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    levels = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).mul(255).round().to(torch.uint8)
    dump.add("picture", "whole picture", request=request, latents=latents, image=levels,
             **{f"given_{name}": as_bytes(value) for name, value in given.items()})


def inputs_of(dump: Dump) -> dict:
    """What the task is given beside words: picture, mask, and depth where the checkpoint has no estimator."""
    width, height = dump.settings["width"], dump.settings["height"]
    if "Upscale" in dump.kind:
        return {"image": given_image(width // 4, height // 4)}
    if "Inpaint" in dump.kind:
        return {"image": given_image(width, height), "mask": given_mask(width, height)}
    if "Depth" not in dump.kind:
        return {}
    given = {"image": given_image(width, height)}
    if dump.pipeline.depth_estimator is None:
        y, x = np.mgrid[0:dump.latent_size[0], 0:dump.latent_size[1]] / 10
        given["depth"] = torch.from_numpy((3 + 2 * np.sin(4 * x) * np.cos(3 * y)).astype(np.float32))
    return given


def given_image(width: int, height: int) -> Image.Image:
    """Waves, and a disc with a sharp edge."""
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    waves = [np.sin(5 * x + 2 * y), np.cos(7 * y - x), np.sin(9 * (x * y) + 1)]
    image = 127.5 + 100 * np.stack(waves, -1)
    image[(x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06] = [230, 40, 90]
    return Image.fromarray(image.round().astype(np.uint8))


def given_mask(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    mask = 255 * ((x + y > 0.6) & (x - y < 0.3)) - 90 * (x > 0.8)
    return Image.fromarray(mask.clip(0, 255).astype(np.uint8))


def as_bytes(value) -> torch.Tensor:
    return value if torch.is_tensor(value) else torch.from_numpy(np.array(value))


STAGES = {
    "tokens": tokens, "text": text, "unet": unet, "scheduler": scheduler, "encode": vae_encode, "decode": vae_decode,
    "inpaint": inpaint, "depth": depth, "noise-level": noise_level, "picture": picture,
}
