"""Writes test/fixtures/torch-interpolate.json: torch.nn.functional.interpolate of a few small pictures.

    python tools/reference/torch_interpolate.py
"""

import json
import pathlib

import torch

FIXTURE = pathlib.Path(__file__).parents[2] / "test/fixtures/torch-interpolate.json"
SIZES = [((3, 5), (6, 10)), ((4, 4), (7, 3)), ((7, 5), (3, 11)), ((1, 3), (5, 1)), ((5, 7), (5, 8))]
FACTORS = [((5, 7), 1.3), ((5, 4), 0.7), ((3, 3), 2.0)]
MODES = [("nearest", False), ("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)]


def resize(picture, mode, corners, **size):
    corners = None if mode == "nearest" else corners
    return torch.nn.functional.interpolate(picture, mode=mode, align_corners=corners, **size)


def case(source, mode, corners, **size):
    generator = torch.Generator("cpu").manual_seed(source[0] * 16 + source[1])
    x = torch.randn((1, 2, *source), generator=generator)
    y = resize(x, mode, corners, **size)
    # Channels last, as the engine has pictures.
    x, y = (t.permute(0, 2, 3, 1).contiguous() for t in (x, y))
    return {
        "mode": mode,
        "alignCorners": corners,
        **({"size": size["size"]} if "size" in size else {"scaleFactor": size["scale_factor"]}),
        "from": list(x.shape),
        "to": list(y.shape),
        "x": digits(x),
        "y": digits(y),
    }


def digits(tensor):
    """Nine digits, as many as tell every float32 from its neighbours."""
    return [float(f"{value:.9g}") for value in tensor.flatten().tolist()]


def main():
    cases = [case(source, *mode, size=size) for source, size in SIZES for mode in MODES]
    cases += [
        case(source, *mode, scale_factor=factor)
        for source, factor in FACTORS
        for mode in MODES
        if not mode[1]
    ]
    FIXTURE.write_text(json.dumps({"torch": torch.__version__, "cases": cases}, separators=(",", ":")) + "\n")


main()
