"""Trains the whole checkpoint: dataset, autoencoder, latents, text encoder + UNet, export. Resumes by itself.

python tools/train/train.py --work DIR [--device cuda] [--until vae] [--begin model/shapes]
"""

import argparse
import os
from pathlib import Path

from begin import begin_from
from dataset import render_dataset
from diffusion import train_diffusion
from export import export
from latents import encode_dataset
from reading import train_reading
from run import Run
from team import gather
from vae import train_decoder, train_vae

# The CPU plan takes about four hours on 2 cores; the GPU plan has not been timed.
PLANS = {
    "cpu": dict(scenes=28_000, vae_steps=1_400, reading_steps=700, decoder_steps=0, steps=7_600, batch=64),
    "cuda": dict(scenes=60_000, vae_steps=20_000, reading_steps=4_000, decoder_steps=0, steps=60_000, batch=128),
}
STAGES = ("dataset", "vae", "latents", "reading", "diffusion", "decoder", "export")


def main():
    options = parse()
    run = Run(options.work, options.device, options.threads)
    plan = PLANS[run.device.type] | {k: v for k, v in vars(options).items() if v is not None}
    if options.begin:
        begin_from(run, options.begin)
    dataset = options.work / "dataset"
    work = {
        "dataset": lambda: render_dataset(dataset, plan["scenes"], os.cpu_count(), run.log),
        "vae": lambda: train_vae(run, dataset, plan["vae_steps"]),
        "latents": lambda: encode_dataset(run, dataset, plan["scenes"]),
        "reading": lambda: train_reading(run, plan["reading_steps"]),
        "diffusion": lambda: gather(workers(run), options.work, train_diffusion, run, dataset, plan["steps"], plan["batch"]),
        "decoder": lambda: train_decoder(run, dataset, plan["decoder_steps"]),
        "export": lambda: export(run, dataset, options.work / "export"),
    }
    for stage in STAGES:
        run.log(f"stage: {stage}")
        work[stage]()
        if stage == options.until:
            break


def workers(run):
    """A process a core on a CPU."""
    return os.cpu_count() if run.device.type == "cpu" else 1


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".cache/train"), help="dataset, checkpoints, log")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="default: as many as cores are idle")
    parser.add_argument("--begin", type=Path, help="an exported folder to go on from, if DIR is empty")
    parser.add_argument("--until", choices=STAGES, help="stop after this stage")
    for name in ("scenes", "vae-steps", "reading-steps", "decoder-steps", "steps", "batch"):
        parser.add_argument(f"--{name}", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
