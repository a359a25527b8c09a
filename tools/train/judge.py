"""Says what a picture shows: for each colour which shape, if any, and where. Trained on renders only.

The judge sees renders of every combination, held out or not, and nothing of the generator. It is kept in
judge.safetensors, for test/model/shapes.test.ts asks it too, on our own engine.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from dataset import VALIDATION_SEED
from render import render
from scenes import layout, sample_any_scene
from words import COLOURS, RELATIONS, SHAPES

COLOUR_NAMES = list(COLOURS)
NOTHING = len(SHAPES)
SEED = VALIDATION_SEED * 2
WIDTHS = (3, 24, 48, 96, 96)
FILE = Path(__file__).parent / "judge.safetensors"
AXIS_RELATIONS = {0: ("left of", "right of"), 1: ("under", "on top of"), 2: ("behind", "in front of")}


class Judge(nn.Module):
    """RGB [n, 3, 128, 128] in [-1, 1] to shape logits [n, 10 colours, 7] and places [n, 10, 3].

    `normed` trains with batch norms; `folded` gives the same network without them.
    """

    def __init__(self, normed=False):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(WIDTHS))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) if normed else nn.Identity() for b in WIDTHS[1:])
        self.hidden = nn.Linear(WIDTHS[-1] * 16, 128)
        self.head = nn.Linear(128, len(COLOURS) * (NOTHING + 1 + 3))

    def forward(self, x):
        x = F.avg_pool2d(x, 2)
        for conv, norm in zip(self.convs, self.norms):
            x = F.max_pool2d(F.relu(norm(conv(x))), 2)
        y = F.relu(self.hidden(F.dropout(x.flatten(1), 0.2, self.training)))
        y = self.head(y).view(len(x), len(COLOURS), -1)
        return y[..., :NOTHING + 1], y[..., NOTHING + 1:]


@torch.no_grad()
def folded(judge):
    """Its batch norms folded into the convolutions."""
    plain = Judge()
    plain.load_state_dict(judge.state_dict(), strict=False)
    for conv, norm in zip(plain.convs, judge.norms):
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        conv.weight *= gain[:, None, None, None]
        conv.bias.copy_((conv.bias - norm.running_mean) * gain + norm.bias)
    return plain


def judge_data(run, count):
    """Renders [n, 128, 128, 3] with labels: shape of each colour [n, 10] and its place in the world [n, 10, 3]."""
    stored = run.work / "judge-data.npz"
    if not stored.exists():
        rng = np.random.default_rng(SEED)
        items = [judged_scene(rng) for _ in range(count)]
        np.savez(stored, *[np.stack(part) for part in zip(*items)])
    loaded = np.load(stored)
    return [loaded[name] for name in ("arr_0", "arr_1", "arr_2")]


def judged_scene(rng):
    scene = sample_any_scene(rng)
    placed = layout(scene, rng)
    shapes, places = np.full(len(COLOURS), NOTHING), np.zeros((len(COLOURS), 3), np.float32)
    for o, where in zip(scene["objects"], placed):
        colour = COLOUR_NAMES.index(o["colour"])
        shapes[colour], places[colour] = SHAPES.index(o["shape"]), where["centre"]
    return render(scene, placed, rng)[0], shapes, places


def load_judge(run, count=8_000, epochs=16, batch=64):
    """The judge in judge.safetensors, trained first if it is not there."""
    if not FILE.exists():
        torch.manual_seed(0)
        judge = Judge(normed=True).to(run.device)
        train_judge(run, judge, judge_data(run, count), epochs, batch)
        half = {k: v.half().contiguous() for k, v in folded(judge.cpu()).state_dict().items()}
        save_file(half, FILE)
    judge = Judge()
    judge.load_state_dict({k: v.float() for k, v in load_file(FILE).items()})
    return judge.to(run.device).eval()


def train_judge(run, judge, data, epochs, batch):
    held = len(data[0]) // 10
    train, test = [part[held:] for part in data], [part[:held] for part in data]
    steps = epochs * (len(train[0]) // batch)
    optimizer = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    rng = np.random.default_rng(0)
    for step in range(steps):
        picked = rng.integers(len(train[0]), size=batch)
        x, shapes, places = tensors(run, [part[picked] for part in train])
        x, places = disturb(x, places, rng)
        logits, where = judge(x)
        seen = shapes != NOTHING
        loss = F.cross_entropy(logits.flatten(0, 1), shapes.flatten()) * 4
        (loss + (where - places)[seen].abs().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if (step + 1) % 100 == 0:
            run.log(f"judge: step {step + 1}/{steps}, loss {float(loss):.3f}")
    run.log(f"judge: {accuracy(run, judge.eval(), test) * 100:.1f} % of unseen renders wholly right")


def tensors(run, data):
    pictures, shapes, places = data
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x.to(run.device), torch.from_numpy(shapes).to(run.device), torch.from_numpy(places).to(run.device)


def disturb(x, places, rng):
    """Mirror, blur, noise, exposure: so that a generator's small flaws do not decide."""
    if rng.random() < 0.5:
        x, places = x.flip(3), places * torch.tensor([-1.0, 1, 1], device=x.device)
    if rng.random() < 0.4:
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    gain, noise = rng.uniform(0.9, 1.1), rng.uniform(0, 0.06)
    return ((x + 1) * gain - 1 + noise * torch.randn_like(x)).clamp(-1, 1), places


@torch.no_grad()
def accuracy(run, judge, data):
    x, shapes, _ = tensors(run, data)
    guess = torch.cat([judge(part)[0].argmax(-1) for part in x.split(100)])
    return float((guess == shapes).all(1).float().mean())


@torch.no_grad()
def read(judge, x):
    """What each picture shows: [{colour: (shape, if it must be one, is it there, place)}]."""
    logits, places = judge(x)
    there = (logits.argmax(-1) != NOTHING).tolist()
    shapes = logits[..., :NOTHING].argmax(-1).tolist()
    return [{c: (SHAPES[shapes[n][i]], there[n][i], places[n, i].tolist()) for i, c in enumerate(COLOUR_NAMES)}
            for n in range(len(x))]


def relation_between(a, b):
    """The relation of place a to place b: along the axis on which they are farthest apart."""
    apart = [p - q for p, q in zip(a, b)]
    axis = max(range(3), key=lambda k: abs(apart[k]))
    return AXIS_RELATIONS[axis][apart[axis] > 0]


assert {r for pair in AXIS_RELATIONS.values() for r in pair} == set(RELATIONS)
