"""A full-size Stable Diffusion 2 folder with random weights, and goldens of it by diffusers in f32 on the CPU.

usage: full_size.py DIR [--form NAME] [--vocabulary CLIP_TOKENIZER_DIR]

Without --form writes DIR as a diffusers folder (f16 safetensors, 2.6 GB; v-prediction, DDIM) and DIR/golden.safetensors:
  text/ids i32 [2,77], text/output [2,77,1024]
  unet/<8x8|16x16>/sample [2,4,h,w], …/timestep [1], unet/encoder_hidden_states [2,77,1024] (= text/output), …/output [2,4,h,w]
  vae/<8x8|16x16>/z [1,4,h,w] (latents already divided by 0.18215), …/output [1,3,8h,8w]
With --form (a name of published.py: base, 768-v, turbo, inpainting, depth, x4-upscaling) writes that checkpoint whole
and no goldens: `npm run verify` compares it with diffusers.
One component is in memory at a time: 1.7 GB while it is built, 3.5 GB while it runs.
"""

import argparse
import gc
import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, DPTConfig, DPTForDepthEstimation

from published import DPT, END, FORMS, START, TEXT, VAE, Form, save_schedulers
from store import write_json, write_tensors
from tiny import SCALING_FACTOR, TINY_V, model_index, set_contrast
from verify_stages import given_image
from weights import randomize, round_to_f16

SIDES = (8, 16)
TIMESTEP = 957.375
# "a photograph of an astronaut riding a horse", and the empty prompt; padded with id 0.
PROMPTS = [[START, END], [START, 320, 8853, 539, 550, 18376, 6765, 320, 4558, END]]

UNET = FORMS["768-v"].unet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vocabulary", type=Path, help="a CLIP tokenizer folder to copy")
    parser.add_argument("--form", choices=list(FORMS), help="a published checkpoint's form, without goldens")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.form:
        save_form(FORMS[options.form], options.folder)
        save_vocabulary(options.folder, options.vocabulary)
        return
    save_small_files(options.folder, options.vocabulary)
    golden: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        text_golden(options.folder, golden)
        unet_golden(options.folder, golden)
        vae_golden(options.folder, golden)
    write_tensors(options.folder / "golden.safetensors", golden)
    for name, tensor in sorted(golden.items()):
        print(name, tuple(tensor.shape), f"std {tensor.float().std():.3f}" if tensor.numel() > 1 else tensor.item())


def save_small_files(folder: Path, vocabulary: Path | None) -> None:
    write_json(folder / "scheduler" / "scheduler_config.json", TINY_V.scheduler)
    write_json(folder / "model_index.json", model_index(TINY_V))
    save_vocabulary(folder, vocabulary)


def save_vocabulary(folder: Path, vocabulary: Path | None) -> None:
    if vocabulary is None:
        return
    (folder / "tokenizer").mkdir(exist_ok=True)
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        if (vocabulary / name).exists():
            shutil.copyfile(vocabulary / name, folder / "tokenizer" / name)


@torch.no_grad()
def save_form(form: Form, folder: Path) -> None:
    save_schedulers(form, folder)
    parts = {
        "text_encoder": (lambda: CLIPTextModel(CLIPTextConfig(**TEXT)), 1, None),
        "unet": (lambda: UNet2DConditionModel(**form.unet), 2, None),
        "vae": (lambda: AutoencoderKL(**form.vae), 3, in_range),
    }
    if form.has_depth:
        parts["depth_estimator"] = (lambda: DPTForDepthEstimation(DPTConfig(**DPT)), 4, above_zero)
        write_json(folder / "feature_extractor" / "preprocessor_config.json", PROCESSOR)
    for name, (build, seed, adjust) in parts.items():
        # The same seed makes the same weights: what is there is taken as it is.
        if not (folder / name / "config.json").exists():
            make(build, name, seed, folder, adjust)


# As the published folder's own: DPTImageProcessor with its class's values.
PROCESSOR = {
    "image_processor_type": "DPTImageProcessor", "do_resize": True, "size": {"height": 384, "width": 384},
    "keep_aspect_ratio": False, "ensure_multiple_of": 1, "resample": 3, "do_rescale": True,
    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
}


def in_range(vae: AutoencoderKL) -> None:
    """Random weights decode to pictures beyond black and white, where every error is cut off."""
    set_contrast(vae, SimpleNamespace(seed=3))


def above_zero(model: DPTForDepthEstimation) -> None:
    """The last ReLU cuts off a few of the pixels of verify's picture, not all."""
    last, seen = model.head.head[4], []
    hook = last.register_forward_hook(lambda module, args, output: seen.append(output))
    picture = torch.from_numpy(np.array(given_image(384, 384))).permute(2, 0, 1)
    model((picture.float() / 127.5 - 1)[None])
    hook.remove()
    last.bias -= torch.quantile(seen[0], 0.02)


def text_golden(folder: Path, golden: dict) -> None:
    ids = torch.tensor([prompt + [0] * (77 - len(prompt)) for prompt in PROMPTS])
    model = make(lambda: CLIPTextModel(CLIPTextConfig(**TEXT)), "text_encoder", 1, folder)
    golden["text/ids"] = ids.int()
    golden["text/output"] = timed("text encoder", lambda: model(input_ids=ids).last_hidden_state)


def unet_golden(folder: Path, golden: dict) -> None:
    model = make(lambda: UNet2DConditionModel(**UNET), "unet", 2, folder)
    context = golden["text/output"]
    for side in SIDES:
        name = f"unet/{side}x{side}"
        sample = torch.randn(2, 4, side, side, generator=torch.Generator("cpu").manual_seed(side))
        golden[f"{name}/sample"] = sample
        golden[f"{name}/timestep"] = torch.tensor([TIMESTEP])
        golden[f"{name}/output"] = timed(
            name, lambda: model(sample, TIMESTEP, encoder_hidden_states=context).sample)


def vae_golden(folder: Path, golden: dict) -> None:
    model = make(lambda: AutoencoderKL(**VAE), "vae", 3, folder)
    for side in SIDES:
        name = f"vae/{side}x{side}"
        latents = torch.randn(1, 4, side, side, generator=torch.Generator("cpu").manual_seed(side + 1)) / SCALING_FACTOR
        golden[f"{name}/z"] = latents
        golden[f"{name}/output"] = timed(name, lambda: model.decode(latents).sample)


def make(build, name: str, seed: int, folder: Path, adjust=None) -> torch.nn.Module:
    """Builds and saves one component in f16, then gives it back in f32 with exactly the stored weights."""
    gc.collect()
    torch.set_default_dtype(torch.float16)
    model = build().eval().requires_grad_(False)
    torch.set_default_dtype(torch.float32)
    randomize(model, name, seed)
    if adjust:
        adjust(model.float())
        round_to_f16(model)
    model.half().save_pretrained(folder / name, safe_serialization=True, max_shard_size="10GB")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"component": name, "parameters": parameters}), flush=True)
    return model.float()


def timed(what: str, run) -> torch.Tensor:
    start = time.perf_counter()
    result = run()
    print(json.dumps({"ran": what, "seconds": round(time.perf_counter() - start, 2)}), flush=True)
    return result


if __name__ == "__main__":
    main()
