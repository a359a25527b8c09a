"""Writes the averaged weights of a training run, finished or not, as a diffusers folder in f16 safetensors.

python tools/train/export.py --work DIR --to DIR
"""

import argparse
import json
from pathlib import Path

import torch

from diffusion import load_networks
from latents import latent_rgb, level_channels
from models import make_schedule
from run import Run
from vae import load_vae
from vocabulary import write_tokenizer

MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


@torch.no_grad()
def export(run, dataset, folder):
    """The folder loads with StableDiffusionPipeline.from_pretrained(folder)."""
    folder.mkdir(parents=True, exist_ok=True)
    text, unet, step = load_networks(run)
    vae = level_channels(load_vae(run), run, dataset)
    factors, bias = latent_rgb(vae, run, dataset)
    for name, network in {"text_encoder": text, "unet": unet, "vae": vae}.items():
        network.half().save_pretrained(folder / name, safe_serialization=True)
    add_keys(folder / "vae/config.json", latent_rgb_factors=factors, latent_rgb_bias=bias)
    make_schedule().save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    write_json(folder / "model_index.json", MODEL_INDEX)
    card = (Path(__file__).parent / "card.md").read_text()
    (folder / "README.md").write_text(card.replace("{step}", str(step)).replace("{size}", size_of(folder)))
    run.log(f"export: step {step}, {size_of(folder)} MB, to {folder}")


def add_keys(path, **keys):
    write_json(path, json.loads(path.read_text()) | keys)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def size_of(folder):
    return f"{sum(f.stat().st_size for f in folder.rglob('*.safetensors')) / 1e6:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".cache/train"))
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    export(Run(options.work, "cpu"), options.work / "dataset", options.to)


if __name__ == "__main__":
    main()
