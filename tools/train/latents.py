"""Encodes the dataset once, every picture and its mirror image, and levels the latents' channels."""

import numpy as np
import torch

from dataset import CHUNK, load_pictures, training_chunks
from vae import load_vae, to_network


def encode_dataset(run, dataset, count):
    """Leaves latents-NNNNNNN.npy next to each chunk: f16 [2 (as is, mirrored), n, 4, 16, 16], unscaled."""
    (run.work / "latents").mkdir(exist_ok=True)
    vae = level_channels(load_vae(run), run, dataset)
    # A third of f32's time on CPUs that multiply bf16; its rounding is far below the noise of any step.
    vae = vae.to(torch.bfloat16, memory_format=torch.channels_last)
    paths = [p for p in training_chunks(dataset)[:count // CHUNK]
             if not latent_path(run, p).exists()]
    for done, path in enumerate(paths, 1):
        run.share_cores()
        pictures = np.load(path)
        latents = np.stack([encode(vae, run, pictures), encode(vae, run, pictures[:, :, ::-1])])
        partial = latent_path(run, path).with_suffix(".part.npy")
        np.save(partial, latents.astype(np.float16))
        partial.rename(latent_path(run, path))
        run.log(f"latents: {done} of {len(paths)} chunks")


def latent_path(run, path):
    return run.work / "latents" / path.name


@torch.no_grad()
def encode(vae, run, pictures, batch=5):
    """The posterior's mean, f32 [n, 4, 16, 16], computed in the network's own dtype."""
    parts = [to_network(np.ascontiguousarray(p)).to(run.device, vae.dtype)
             for p in np.array_split(pictures, max(1, len(pictures) // batch))]
    return np.concatenate([vae.encode(x).latent_dist.mode().float().cpu().numpy() for x in parts])


@torch.no_grad()
def level_channels(vae, run, dataset):
    """Folds into the 1x1 convolutions what gives each latent channel mean 0 and the same spread.

    SD2's pipeline knows one scaling_factor and no shift; the pictures stay the same.
    """
    state = run.load("level.pt")
    if state is None:
        z = encode(vae, run, load_pictures(training_chunks(dataset)[:1]))
        mean, spread = z.mean(axis=(0, 2, 3)), z.std(axis=(0, 2, 3))
        state = {"mean": torch.tensor(mean), "gain": torch.tensor(spread / spread.mean()),
                 "scaling_factor": float(1 / spread.mean())}
        run.save("level.pt", state)
    mean, gain = state["mean"].to(run.device), state["gain"].to(run.device)
    down, up = vae.quant_conv, vae.post_quant_conv
    down.weight[:4] /= gain[:, None, None, None]
    down.bias[:4] = (down.bias[:4] - mean) / gain
    down.bias[4:] -= 2 * gain.log()
    up.bias += (up.weight[:, :, 0, 0] * mean).sum(1)
    up.weight *= gain[None, :, None, None]
    vae.register_to_config(scaling_factor=state["scaling_factor"])
    return vae


def latent_rgb(vae, run, dataset):
    """Least-squares latent to RGB, for previews: factors [4][3] and bias [3].

    Input: scaled latents, as the UNet sees them; output: RGB in [-1, 1], one pixel per 8x8 block.
    """
    pictures = load_pictures(training_chunks(dataset)[:1])
    z = encode(vae, run, pictures).transpose(0, 2, 3, 1).reshape(-1, 4) * vae.config.scaling_factor
    n, side = len(pictures), pictures.shape[1] // 8
    blocks = pictures.reshape(n, side, 8, side, 8, 3).mean(axis=(2, 4)).reshape(-1, 3) / 127.5 - 1
    solved, *_ = np.linalg.lstsq(np.c_[z, np.ones(len(z))], blocks, rcond=None)
    return solved[:4].round(5).tolist(), solved[4].round(5).tolist()
