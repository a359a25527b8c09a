"""Teaches the text encoder to read before it meets pictures: who has which shape and colour, who stands where.

Captions cost nothing, pictures do: what words mean together ("a red cube on a blue ball") is learned from a
million captions in minutes, and the UNet then starts with a text that is understood.
"""

import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from captions import caption
from models import TEXT, make_text_encoder
from optimizer import Optimizers
from run import Run, rate_at
from scenes import sample_scene
from vocabulary import WordTokenizer
from words import COLOURS, INVERSE, PLAIN, RELATIONS, SETTINGS, SHAPES

RATE, BATCH, LENGTH = 2e-3, 128, 32  # no caption has more than 32 tokens
COLOUR_NAMES, PLACES = list(COLOURS), [*PLAIN, *SETTINGS]
ABSENT, ALONE = len(SHAPES), len(RELATIONS)


class Reader(nn.Module):
    """Hidden states [n, tokens, width] to: shape of each colour [n, 10, 7], its relation to the other object
    [n, 10, 7], the setting [n, 14]. A query a colour and one for the setting look over the text."""

    def __init__(self, width=TEXT["hidden_size"]):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(COLOURS) + 1, width) * 0.02)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.hidden = nn.Linear(width, 2 * width)
        self.object = nn.Linear(2 * width, ABSENT + 1 + ALONE + 1)
        self.setting = nn.Linear(2 * width, len(PLACES))

    def forward(self, states):
        queries = self.queries.expand(len(states), -1, -1)
        seen = F.gelu(self.hidden(self.attention(queries, states, states, need_weights=False)[0]))
        objects = self.object(seen[:, :-1])
        return objects[..., :ABSENT + 1], objects[..., ABSENT + 1:], self.setting(seen[:, -1])


def train_reading(run: Run, steps):
    """Leaves text.pt: the text encoder's weights. Done at once if they are there."""
    if steps == 0 or run.load("text.pt") is not None:
        return
    torch.manual_seed(0)
    tokenize, reader = WordTokenizer(), Reader().to(run.device)
    text = make_text_encoder(len(tokenize.ids)).to(run.device)
    optimizer = Optimizers([text, reader], RATE, weight_decay=0.01)
    rng, since = np.random.default_rng(3), time.time()
    for step in range(steps):
        ids, *wanted = draw(rng, tokenize, run.device)
        guesses = reader(text(ids).last_hidden_state)
        loss = sum(F.cross_entropy(g.flatten(0, -2), w.flatten()) for g, w in zip(guesses, wanted))
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*text.parameters(), *reader.parameters()], 1.0)
        optimizer.step(RATE * rate_at(step + 1, steps, 50))
        if (step + 1) % 50 == 0:
            right = [float((g.argmax(-1) == w).float().mean()) for g, w in zip(guesses, wanted)]
            run.log(f"reading: step {step + 1}/{steps}, loss {float(loss):.4f}, right: shapes, relations, settings "
                    f"{' '.join(f'{r:.4f}' for r in right)}, {time.time() - since:.0f} s")
    run.save("text.pt", text.state_dict())


def draw(rng, tokenize, device):
    """Token ids [n, 32] and what they say, as `Reader` answers."""
    ids = np.zeros((BATCH, LENGTH), np.int64)
    shapes = np.full((BATCH, len(COLOURS)), ABSENT)
    relations = np.full((BATCH, len(COLOURS)), ALONE)
    settings = np.zeros(BATCH, np.int64)
    for n in range(BATCH):
        scene = sample_scene(rng)
        ids[n] = tokenize(caption(scene, rng))[:LENGTH]
        settings[n] = PLACES.index(scene["setting"])
        for o, relation in zip(scene["objects"], (scene["relation"], INVERSE.get(scene["relation"]))):
            colour = COLOUR_NAMES.index(o["colour"])
            shapes[n, colour] = SHAPES.index(o["shape"])
            if relation:
                relations[n, colour] = RELATIONS.index(relation)
    return [torch.from_numpy(part).to(device) for part in (ids, shapes, relations, settings)]
