"""Trains text encoder and UNet together: v-prediction on latents, captions dropped for guidance."""

import time

import numpy as np
import torch

from captions import caption
from dataset import load_cells, load_scenes, training_chunks
from latents import latent_path
from models import make_schedule, make_text_encoder, make_unet
from naming import Naming, classes_of
from optimizer import Optimizers
from run import Average, Run, rate_at
from vocabulary import WordTokenizer

RATE, DROPOUT, NAMING_WEIGHT = 2e-3, 0.1, 0.05
# SD2's schedule ends with a trace of the picture (alpha-bar 0.0047), enough to give the backdrop away;
# sampling starts from noise alone. So the last steps train on noise alone too (cf. arXiv:2305.08891).
BLIND_FROM = 950


def train_diffusion(team, run: Run, dataset, steps, batch):
    """Runs to the given step from the last checkpoint; leaves diffusion.pt. `batch` is the whole team's."""
    text, unet = make_networks(run)
    naming = Naming(unet).to(run.device)
    average = Average([*text.parameters(), *unet.parameters()], 0.9995)
    optimizer = Optimizers([text, unet, naming.head], RATE, weight_decay=0.01, team=team)
    step = resume(run, text, unet, naming, average, optimizer)
    data = Latents(run, dataset)
    say = run.log if team.rank == 0 else lambda text: None
    say(f"diffusion: {len(data)} latents, {count(text):.2f} M + {count(unet):.2f} M parameters")
    losses, since = [], time.time()
    while step < steps:
        rng = np.random.default_rng([2, step, team.rank])
        losses.append(train_step(team, run, text, unet, naming, data.draw(rng, batch // team.size), rng))
        optimizer.step(RATE * rate_at(step + 1, steps, 200))
        step += 1
        average.update(step)
        if step % 50 == 0:
            loss, names = np.mean(losses, axis=0)
            say(f"diffusion: step {step}/{steps}, loss {loss:.4f}, naming {names:.4f}, "
                f"{len(losses) * batch / (time.time() - since):.1f} samples/s")
            losses, since = [], time.time()
            if team.size == 1:
                run.share_cores()
        if team.rank == 0 and (run.is_time_to_save() or step == steps):
            save(run, text, unet, naming, average, optimizer, step)


def make_networks(run):
    """New ones, or as far as they have learned elsewhere."""
    torch.manual_seed(0)
    text, unet = make_text_encoder(len(WordTokenizer().ids)).to(run.device), make_unet().to(run.device)
    for name, network in {"text.pt": text, "unet.pt": unet}.items():
        learned = run.load(name)
        if learned is not None:
            network.load_state_dict(learned)
    return text, unet


def count(module):
    return sum(p.numel() for p in module.parameters()) / 1e6


class Latents:
    """The encoded dataset in memory, with the scenes to caption it."""

    def __init__(self, run, dataset):
        paths = [p for p in training_chunks(dataset) if latent_path(run, p).exists()]
        self.scale = run.load("level.pt")["scaling_factor"]
        self.latents = np.concatenate([np.load(latent_path(run, p)) for p in paths], axis=1)
        self.scenes, self.tokenize = load_scenes(paths), WordTokenizer()
        self.classes = np.stack([classes_of(scene, cells) for scene, cells in zip(self.scenes, load_cells(paths))])

    def __len__(self):
        return 2 * len(self.scenes)

    def draw(self, rng, batch):
        """Scaled latents f32 [batch, 4, 16, 16], token ids [batch, 77], classes of the cells [batch, 2, 16, 16]."""
        picked, mirrored = rng.integers(len(self.scenes), size=batch), rng.integers(2, size=batch)
        ids = [self.tokenize(self.text(n, m, rng)) for n, m in zip(picked, mirrored)]
        z = self.latents[mirrored, picked].astype(np.float32) * self.scale
        classes = self.classes[picked]
        classes = np.where(mirrored[:, None, None, None], classes[..., ::-1], classes).astype(np.int64)
        return torch.from_numpy(z), torch.tensor(ids), torch.from_numpy(classes)

    def text(self, n, mirrored, rng):
        return "" if rng.random() < DROPOUT else caption(self.scenes[n], rng, bool(mirrored))


def train_step(team, run, text, unet, naming, data, rng):
    """One step's gradients, averaged over the team; the v-loss and the loss of naming."""
    z, ids, classes = (x.to(run.device) for x in data)
    noise = torch.from_numpy(rng.standard_normal(z.shape, np.float32)).to(run.device)
    t = spread_times(rng, len(z)).to(run.device)
    noisy, target = diffuse(z, noise, t)
    with run.autocast():
        hidden = text(ids).last_hidden_state
        v = unet(noisy, t, hidden).sample.float()
    loss, names = (v - target).square().mean(), naming.loss(classes)
    (loss + NAMING_WEIGHT * names).backward()
    parameters = [p for m in (text, unet, naming.head) for p in m.parameters() if p.grad is not None]
    team.average_([p.grad for p in parameters])
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    return loss.item(), names.item()


def spread_times(rng, batch):
    """Uniform over 0..999, one from each of batch equal parts: less variance than independent draws."""
    t = (rng.permutation(batch) + rng.random(batch)) / batch * 1000
    return torch.from_numpy(t.astype(np.int64))


ALPHAS = make_schedule().alphas_cumprod


def diffuse(z, noise, t):
    """x_t and its target v = sqrt(a) noise - sqrt(1 - a) z."""
    a = ALPHAS.to(z.device)[t][:, None, None, None]
    noisy = a.sqrt() * z + (1 - a).sqrt() * noise
    blind = (t >= BLIND_FROM)[:, None, None, None]
    return torch.where(blind, noise, noisy), a.sqrt() * noise - (1 - a).sqrt() * z


def save(run, text, unet, naming, average, optimizer, step):
    run.save("diffusion.pt", {"step": step, "text": text.state_dict(), "unet": unet.state_dict(),
                              "naming": naming.head.state_dict(), "average": average.values,
                              "optimizer": optimizer.state_dict()})


def resume(run, text, unet, naming, average, optimizer):
    state = run.load("diffusion.pt")
    if state is None:
        return 0
    text.load_state_dict(state["text"])
    unet.load_state_dict(state["unet"])
    naming.head.load_state_dict(state["naming"])
    average.values = state["average"]
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def load_networks(run):
    """Text encoder and UNet with their averaged weights, and the step they have reached."""
    text, unet = make_networks(run)
    state = run.load("diffusion.pt")
    for parameter, value in zip([*text.parameters(), *unet.parameters()], state["average"]):
        parameter.data.copy_(value)
    return text.eval(), unet.eval(), state["step"]
