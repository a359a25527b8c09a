"""A full-size Stable Diffusion 2 folder with random weights, and goldens of it by diffusers in f32 on the CPU.

usage: full_size.py DIR [--vocabulary CLIP_TOKENIZER_DIR]

Writes DIR as a diffusers folder (f16 safetensors, 2.6 GB; v-prediction, DDIM) and DIR/golden.safetensors:
  text/ids i32 [2,77], text/output [2,77,1024]
  unet/<8x8|16x16>/sample [2,4,h,w], …/timestep [1], unet/encoder_hidden_states [2,77,1024] (= text/output), …/output [2,4,h,w]
  vae/<8x8|16x16>/z [1,4,h,w] (latents already divided by 0.18215), …/output [1,3,8h,8w]
One component is in memory at a time: 1.7 GB while it is built, 3.5 GB while it runs.
"""

import argparse
import gc
import json
import shutil
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from store import write_json, write_tensors
from tiny import SCALING_FACTOR, TINY_V, model_index
from weights import randomize

SIDES = (8, 16)
TIMESTEP = 957.375
START, END = 49406, 49407
# "a photograph of an astronaut riding a horse", and the empty prompt; padded with id 0.
PROMPTS = [[START, END], [START, 320, 8853, 539, 550, 18376, 6765, 320, 4558, END]]

TEXT = dict(
    vocab_size=49408, hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16,
    max_position_embeddings=77, hidden_act="gelu", layer_norm_eps=1e-5, projection_dim=512,
    bos_token_id=START, eos_token_id=END, pad_token_id=1,
)
UNET = dict(
    sample_size=96, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(320, 640, 1280, 1280),
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True,
)
VAE = dict(
    in_channels=3, out_channels=3, latent_channels=4, sample_size=768, scaling_factor=SCALING_FACTOR,
    block_out_channels=(128, 256, 512, 512), layers_per_block=2,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vocabulary", type=Path, help="a CLIP tokenizer folder to copy")
    options = parser.parse_args()
    torch.set_num_threads(1)
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
    if vocabulary is None:
        return
    (folder / "tokenizer").mkdir(exist_ok=True)
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        shutil.copyfile(vocabulary / name, folder / "tokenizer" / name)


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


def make(build, name: str, seed: int, folder: Path) -> torch.nn.Module:
    """Builds and saves one component in f16, then gives it back in f32 with exactly the stored weights."""
    gc.collect()
    torch.set_default_dtype(torch.float16)
    model = build().eval().requires_grad_(False)
    torch.set_default_dtype(torch.float32)
    randomize(model, name, seed)
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
