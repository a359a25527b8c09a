"""Upscaling in tiles as we do it: the networks of a diffusers pipeline see tiles, and their results are averaged.

The UNet's predictions are averaged in every step, before guidance and the scheduler, which know nothing of tiles.
"""

import math
from types import SimpleNamespace

import torch


def see_tiles(unet, tile: int, overlap: int) -> None:
    whole = unet.forward

    def forward(sample, *arguments, **options):
        return (blended(sample, tile, overlap, 1, lambda part: whole(part, *arguments, **options)[0]),)

    unet.forward = forward


def decode_tiles(vae, tile: int, overlap: int) -> None:
    whole, factor = vae.decode, 2 ** (len(vae.config.block_out_channels) - 1)

    def decode(latents, *arguments, **options):
        return SimpleNamespace(sample=blended(latents, tile, overlap, factor, lambda part: whole(part).sample))

    vae.decode = decode


def blended(x: torch.Tensor, tile: int, overlap: int, factor: int, run) -> torch.Tensor:
    """x [B, C, h, w] in tiles; what `run` makes of them is `factor` times as large."""
    rows, columns = (spans(size, tile, overlap) for size in x.shape[2:])
    row_shares, column_shares = (shares(span, size, overlap, factor) for span, size in zip((rows, columns), x.shape[2:]))
    total = None
    for (top, bottom), down in zip(rows, row_shares):
        for (left, right), across in zip(columns, column_shares):
            part = run(x[:, :, top:bottom, left:right])
            if total is None:
                total = torch.zeros(*part.shape[:2], factor * x.shape[2], factor * x.shape[3], dtype=part.dtype)
            share = (down[:, None] * across[None, :]).to(part.dtype)
            place = (slice(factor * top, factor * bottom), slice(factor * left, factor * right))
            total[:, :, *place] += share[place] * part
    return total


def spans(size: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """As few tiles as will do, no larger than they must be (a multiple of 8), evenly spread."""
    if size <= tile:
        return [(0, size)]
    count = math.ceil((size - overlap) / (tile - overlap))
    side = min(tile, 8 * math.ceil((size + (count - 1) * overlap) / count / 8))
    starts = [math.floor(i * (size - side) / (count - 1) + 0.5) for i in range(count)]
    return [(start, start + side) for start in starts]


def shares(tiles: list[tuple[int, int]], size: int, overlap: int, factor: int) -> list[torch.Tensor]:
    """sin^2 up and down over the overlap; divided by the sum of all tiles."""
    ramp = lambda i: torch.where(i < overlap * factor, torch.sin(math.pi * (i + 0.5) / (2 * max(overlap, 1) * factor)) ** 2, 1.0)
    weights = []
    for first, last in tiles:
        i = torch.arange(factor * (last - first), dtype=torch.float64)
        weight = torch.zeros(factor * size, dtype=torch.float64)
        weight[factor * first:factor * last] = ramp(i) * ramp(i.flip(0))
        weights.append(weight)
    total = sum(weights)
    return [weight / total for weight in weights]
