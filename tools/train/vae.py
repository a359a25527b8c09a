"""Trains the autoencoder: mostly on 64x64 crops, which cost a quarter, at the end on whole pictures."""

import time

import numpy as np
import torch
import torch.nn.functional as F

from dataset import VALIDATION_SEED, chunk_path, load_pictures, training_chunks
from models import make_vae
from optimizer import Optimizers
from run import Average, Run, rate_at

BATCH, CROP = 8, 64
WHOLE_BATCH, WHOLE_PART = 3, 0.08  # whole pictures in the last 8 % of the steps
RATE, KL_WEIGHT, EDGE_WEIGHT = 2.5e-3, 2e-5, 0.5


def train_vae(run: Run, dataset, steps):
    """Trains the whole autoencoder to the given step; leaves vae.pt."""
    torch.manual_seed(0)
    train(run, dataset, "vae", make_vae().to(run.device), steps)


def train_decoder(run: Run, dataset, steps):
    """Trains the decoder on, the encoder fixed, so that latents and UNet stay valid; leaves decoder.pt."""
    vae = free_decoder(load_part(run, "vae", make_vae().to(run.device)))
    train(run, dataset, "decoder", vae, steps)


def train(run, dataset, name, vae, steps):
    """Runs from the last checkpoint; each holds weights, averaged weights, optimizers and the step."""
    average = Average(trained(vae), 0.998)
    optimizer = Optimizers([vae], RATE, weight_decay=0.01)
    step = resume(run, name, vae, average, optimizer)
    if step >= steps:
        return
    pictures, seen, since = load_pictures(training_chunks(dataset)), [], time.time()
    while step < steps:
        rng = np.random.default_rng([1, step])
        x = draw(pictures, rng, whole=step > steps * (1 - WHOLE_PART)).to(run.device)
        seen.append(train_step(run, vae, x))
        optimizer.step(RATE * rate_at(step + 1, steps, 100))
        step += 1
        average.update(step)
        if step % 25 == 0:
            run.log(f"{name}: step {step}/{steps}, train PSNR {np.mean(seen):.2f} dB, "
                    f"{len(seen) * len(x) / (time.time() - since):.1f} crops/s")
            seen, since = [], time.time()
            run.share_cores()
        if run.is_time_to_save() or step == steps:
            save(run, name, vae, average, optimizer, step)
            run.log(f"{name}: step {step}, unseen PSNR {measure(run, vae, average, dataset):.2f} dB")
            since = time.time()


def free_decoder(vae):
    """Only what turns latents into pictures is left to train."""
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)
    vae.post_quant_conv.requires_grad_(True)
    return vae


def trained(vae):
    return [p for p in vae.parameters() if p.requires_grad]


def draw(pictures, rng, whole):
    """A batch [-1, 1] f32, flipped at random; of two crops the busier one is taken."""
    if whole:
        picked = [pictures[i] for i in rng.integers(len(pictures), size=WHOLE_BATCH)]
    else:
        picked = [busier_crop(pictures[i], rng) for i in rng.integers(len(pictures), size=BATCH)]
    batch = [p[:, ::-1] if rng.random() < 0.5 else p for p in picked]
    return to_network(np.stack(batch))


def busier_crop(picture, rng):
    corners = rng.integers(picture.shape[0] - CROP + 1, size=(2, 2))
    crops = [picture[y:y + CROP, x:x + CROP] for y, x in corners]
    return max(crops, key=lambda crop: crop[::4, ::4].std(axis=(0, 1)).sum())


def to_network(pictures):
    """uint8 [n, h, w, 3] to f32 [n, 3, h, w] in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1


def train_step(run, vae, x):
    with run.autocast():
        posterior = vae.encode(x).latent_dist
        y = vae.decode(disturbed(vae, posterior)).sample.float()
    loss = F.l1_loss(y, x) + F.mse_loss(y, x) + EDGE_WEIGHT * edge_loss(y, x)
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    (loss + KL_WEIGHT * kl).backward()
    torch.nn.utils.clip_grad_norm_(trained(vae), 1.0)
    return psnr(y.detach(), x)


def disturbed(vae, posterior):
    """The posterior's sample; for a fixed encoder also up to 5 % of noise, as a UNet's latents are not exact."""
    z = posterior.sample()
    if vae.encoder.conv_in.weight.requires_grad:
        return z
    share = 0.05 * torch.rand(len(z), 1, 1, 1, device=z.device)
    return z + share * z.std() * torch.randn_like(z)


def edge_loss(y, x):
    """L1 between the pictures' differences to the right and downwards: keeps edges clean."""
    right = F.l1_loss(y[..., 1:] - y[..., :-1], x[..., 1:] - x[..., :-1])
    down = F.l1_loss(y[..., 1:, :] - y[..., :-1, :], x[..., 1:, :] - x[..., :-1, :])
    return right + down


def psnr(y, x):
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1], averaged over the batch."""
    error = (y.clamp(-1, 1) - x).square().mean(dim=(1, 2, 3)) / 4
    return float((-10 * error.log10()).mean())


@torch.no_grad()
def measure(run, vae, average, dataset, count=16):
    """PSNR of whole unseen renders under the averaged weights."""
    x = to_network(np.load(chunk_path(dataset, VALIDATION_SEED))[:count]).to(run.device)
    average.swap()
    y = torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample for part in x.split(16)])
    average.swap()
    return psnr(y, x)


def save(run, name, vae, average, optimizer, step):
    run.save(f"{name}.pt", {"step": step, "vae": vae.state_dict(), "average": average.values,
                            "optimizer": optimizer.state_dict()})


def resume(run, name, vae, average, optimizer):
    state = run.load(f"{name}.pt")
    if state is None:
        return 0
    vae.load_state_dict(state["vae"])
    average.values = state["average"]
    if state["optimizer"] is not None:
        optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def load_vae(run):
    """The trained autoencoder with its averaged weights; with the later decoder if there is one."""
    vae = load_part(run, "vae", make_vae().to(run.device))
    if (run.work / "decoder.pt").exists():
        load_part(run, "decoder", free_decoder(vae))
    return vae.eval().requires_grad_(False)


def load_part(run, name, vae):
    """Puts the checkpoint's averages into the parameters that it trained."""
    for parameter, value in zip(trained(vae), run.load(f"{name}.pt")["average"], strict=True):
        parameter.data.copy_(value)
    return vae
