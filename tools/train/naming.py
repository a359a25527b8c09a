"""A second lesson for the UNet while it trains: to name, from its features, what each latent pixel shows.

The error of the picture says little about "this is a cone, not a pyramid"; a name says it at once. The head that
names is thrown away afterwards. The idea is that of representation alignment (Yu et al. 2024, arXiv:2410.06940),
with the renderer's own knowledge in place of a pretrained network's features.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from models import UNET
from words import COLOURS, SHAPES

COLOUR_NAMES = list(COLOURS)
OBJECT_WEIGHT = 5.0  # most cells show the backdrop


def classes_of(scene, cells):
    """uint8 [2, 16, 16]: shape and colour of what each cell shows, 0 for the backdrop."""
    shapes = np.array([0, *(1 + SHAPES.index(o["shape"]) for o in scene["objects"])], np.uint8)
    colours = np.array([0, *(1 + COLOUR_NAMES.index(o["colour"]) for o in scene["objects"])], np.uint8)
    return np.stack([shapes[cells], colours[cells]])


class Naming:
    """Listens to the last block with attention: its output, enlarged to the latents' size."""

    def __init__(self, unet):
        width = UNET["block_out_channels"][1]
        self.head = nn.Conv2d(width, 1 + len(SHAPES) + 1 + len(COLOURS), 1)
        self.features = None
        unet.up_blocks[1].register_forward_hook(self.listen)

    def to(self, device):
        self.head.to(device)
        return self

    def listen(self, _block, _inputs, output):
        self.features = output

    def loss(self, classes):
        """Cross entropy of shapes and colours; classes [n, 2, 16, 16]."""
        logits = self.head(self.features.float())
        shapes, colours = logits.split([1 + len(SHAPES), 1 + len(COLOURS)], dim=1)
        weight = torch.where(classes[:, 0] > 0, OBJECT_WEIGHT, 1.0)
        losses = F.cross_entropy(shapes, classes[:, 0], reduction="none") + F.cross_entropy(
            colours, classes[:, 1], reduction="none")
        return (losses * weight).sum() / weight.sum()
