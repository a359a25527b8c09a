"""Says what a picture shows: for each colour which shape, if any, and where. Trained on renders only.

For every cell of 8x8 pixels it tells the shape and the colour that it sees, and where in the world the object
stands; what most cells of a colour say counts. It sees renders of every combination, held out or not, and nothing
of the generator. It is kept in judge.safetensors, for test/model/shapes.test.ts asks it too, on our own engine.
"""

import itertools
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from dataset import VALIDATION_SEED
from naming import classes_of
from render import render
from scenes import layout, sample_any_scene
from words import COLOURS, RELATIONS, SHAPES

COLOUR_NAMES = list(COLOURS)
SEED = VALIDATION_SEED * 2
WIDTHS = (3, 24, 48, 96, 96, 96, 96, 96)
ANSWERS = (1 + len(SHAPES), 1 + len(COLOURS), 3)
FEWEST_CELLS = 3  # of a colour that is there: an edge may look like a third colour
FILE = Path(__file__).parent / "judge.safetensors"
AXIS_RELATIONS = {0: ("left of", "right of"), 1: ("under", "on top of"), 2: ("behind", "in front of")}


class Judge(nn.Module):
    """RGB [n, 3, 128, 128] in [-1, 1] to shape logits [n, 7, 16, 16], colour logits [n, 11, 16, 16] and places
    [n, 3, 16, 16]: a small U-Net. `normed` trains with batch norms; `folded` gives the same without them.
    """

    def __init__(self, normed=False):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(WIDTHS))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) if normed else nn.Identity() for b in WIDTHS[1:])
        self.head = nn.Conv2d(WIDTHS[-1], sum(ANSWERS), 1)

    def forward(self, x):
        block = lambda i, x: F.relu(self.norms[i](self.convs[i](x)))
        double = lambda x: F.interpolate(x, scale_factor=2)
        x = F.avg_pool2d(x, 2)
        x = F.max_pool2d(block(0, x), 2)
        x = F.max_pool2d(block(1, x), 2)
        sixteen = block(2, x)
        eight = block(3, F.max_pool2d(sixteen, 2))
        x = block(4, F.max_pool2d(eight, 2))
        x = block(5, double(x) + eight)
        x = block(6, double(x) + sixteen)
        return self.head(x).split(ANSWERS, dim=1)


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


def judge_data(run, count, part=500):
    """Renders uint8 [n, 128, 128, 3]; shape and colour of the cells [n, 2, 16, 16]; places [n, 3, 16, 16]."""
    stored = run.work / "judge-data.npz"
    if not stored.exists():
        with ProcessPoolExecutor(2) as pool:
            parts = list(pool.map(judged_scenes, [(SEED + n, part) for n in range(count // part)]))
        np.savez(stored, *[np.concatenate(arrays) for arrays in zip(*parts)])
    loaded = np.load(stored)
    return [loaded[name] for name in ("arr_0", "arr_1", "arr_2")]


def judged_scenes(seed_and_count):
    seed, count = seed_and_count
    rng = np.random.default_rng(seed)
    return [np.stack(parts) for parts in zip(*(judged_scene(rng) for _ in range(count)))]


def judged_scene(rng):
    scene = sample_any_scene(rng)
    placed = layout(scene, rng)
    picture, cells = render(scene, placed, rng)
    places = np.array([(0, 0, 0), *(o["centre"] for o in placed)], np.float32)
    return picture, classes_of(scene, cells), places[cells].transpose(2, 0, 1)


def load_judge(run, count=12_000, epochs=8, batch=32):
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
    optimizer = torch.optim.AdamW(judge.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    rng = np.random.default_rng(0)
    for step in range(steps):
        picked = rng.integers(len(train[0]), size=batch)
        loss = loss_of(judge, *disturb(*tensors(run, [part[picked] for part in train]), rng))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if (step + 1) % 100 == 0:
            run.log(f"judge: step {step + 1}/{steps}, loss {float(loss):.3f}")
    run.log(f"judge: {accuracy(run, judge.eval(), test) * 100:.1f} % of unseen renders wholly right")


def loss_of(judge, x, classes, places):
    shapes, colours, where = judge(x)
    there = classes[:, 0] > 0
    weight = torch.where(there, 5.0, 1.0)
    wrong = F.cross_entropy(shapes, classes[:, 0], reduction="none") + F.cross_entropy(
        colours, classes[:, 1], reduction="none")
    apart = ((where - places).abs().sum(1) * there).sum() / there.sum()
    return (wrong * weight).sum() / weight.sum() + 0.5 * apart


def tensors(run, data):
    pictures, classes, places = data
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    return [part.to(run.device) for part in (x, torch.from_numpy(classes).long(), torch.from_numpy(places))]


def disturb(x, classes, places, rng):
    """Mirror, blur, noise, exposure: so that a generator's small flaws do not decide."""
    if rng.random() < 0.5:
        mirror = torch.tensor([-1.0, 1, 1], device=x.device)[None, :, None, None]
        x, classes, places = x.flip(3), classes.flip(3), places.flip(3) * mirror
    if rng.random() < 0.4:
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    gain, noise = rng.uniform(0.9, 1.1), rng.uniform(0, 0.06)
    return ((x + 1) * gain - 1 + noise * torch.randn_like(x)).clamp(-1, 1), classes, places


def accuracy(run, judge, data):
    """The share of renders whose colours and shapes are all seen rightly."""
    x, classes, _ = tensors(run, data)
    seen = [s for part in x.split(100) for s in read(judge, part)]
    right = [{c: shape for c, (shape, there, _) in s.items() if there} == truth(own) for s, own in zip(seen, classes)]
    return float(np.mean(right))


def truth(classes):
    shapes, colours = (part.flatten().tolist() for part in classes)
    return {COLOUR_NAMES[c - 1]: SHAPES[s - 1] for s, c in zip(shapes, colours) if c > 0}


@torch.no_grad()
def read(judge, x):
    """What each picture shows: [{colour: (shape, is it there, place)}]."""
    shapes, colours, places = (part.flatten(2) for part in judge(x))
    shapes, said = shapes[:, 1:].log_softmax(1), colours.argmax(1)
    return [{name: of_colour(shapes[n], places[n], said[n] == 1 + i) for i, name in enumerate(COLOUR_NAMES)}
            for n in range(len(x))]


def of_colour(shapes, places, mine):
    """The shape that the cells of one colour (mine [256]) find likeliest together, and their mean place."""
    if not mine.any():
        return SHAPES[0], False, [0.0, 0.0, 0.0]
    shape = SHAPES[int(shapes[:, mine].sum(1).argmax())]
    return shape, int(mine.sum()) >= FEWEST_CELLS, places[:, mine].mean(1).tolist()


def relation_between(a, b):
    """The relation of place a to place b: along the axis on which they are farthest apart."""
    apart = [p - q for p, q in zip(a, b)]
    axis = max(range(3), key=lambda k: abs(apart[k]))
    return AXIS_RELATIONS[axis][apart[axis] > 0]


assert {r for pair in AXIS_RELATIONS.values() for r in pair} == set(RELATIONS)
