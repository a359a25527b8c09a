"""Writes test/fixtures/watermark.json: pictures with the invisible watermark of the original Stable
Diffusion 2 scripts (`WatermarkEncoder` of invisible-watermark 0.2.0, method dwtDct, message SDV2).

The algorithm is written anew here with NumPy alone, in the order of operations of OpenCV (colours in
14-bit fixed point) and PyWavelets (haar in float64, rows before columns), because its ties and its
truncations depend on the last bit. Where the packages are installed, --package compares with them:

    pip install --no-deps invisible-watermark opencv-python-headless PyWavelets
    python tools/reference/watermark.py [--check] [--package]
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np

FIXTURE = pathlib.Path(__file__).parents[2] / "test/fixtures/watermark.json"
MESSAGE = b"SDV2"
SCALE = 36
HALF = np.float64(0.7071067811865476)


def noise(count, seed):
    """The same bytes as `noise` in images.py, and in test/support/noise-image.ts."""
    x = (np.arange(count, dtype=np.uint64) + seed * 7919) * 0x9E3779B1 % 2**32
    x = (x ^ (x >> 15)) * 0x85EBCA6B % 2**32
    return ((x ^ (x >> 13)) & 255).astype(np.uint8)


def picture(kind, height, width, seed):
    if kind == "flat":
        return np.full((height, width, 3), seed, np.uint8)
    bytes_ = noise(height * width * 3, seed).reshape(height, width, 3)
    if kind == "noise":
        return bytes_
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((((x * (c + 1) + y * (3 - c)) >> 2) + (bytes_ & 7)) & 255).astype(np.uint8)


def descale(x):
    return (x + (1 << 13)) >> 14


def rgb_to_yuv(rgb):
    r, g, b = (rgb[..., i].astype(np.int64) for i in range(3))
    y = descale(4899 * r + 9617 * g + 1868 * b)
    u = descale((b - y) * 8061 + (128 << 14))
    v = descale((r - y) * 14369 + (128 << 14))
    return np.clip(np.stack([y, u, v], -1), 0, 255).astype(np.uint8)


def yuv_to_rgb(yuv):
    y, u, v = (yuv[..., i].astype(np.int64) for i in range(3))
    u, v = u - 128, v - 128
    rgb = [y + descale(18678 * v), y + descale(-6472 * u - 9519 * v), y + descale(33292 * u)]
    return np.clip(np.stack(rgb, -1), 0, 255).astype(np.uint8)


def split(x, axis):
    """One level of the haar wavelet along an axis: low and high."""
    first, second = np.moveaxis(x, axis, 0)[0::2], np.moveaxis(x, axis, 0)[1::2]
    low = HALF * second + HALF * first
    high = -HALF * second + HALF * first
    return np.moveaxis(low, 0, axis), np.moveaxis(high, 0, axis)


def join(low, high, axis):
    low, high = np.moveaxis(low, axis, 0), np.moveaxis(high, axis, 0)
    made = np.empty((2 * low.shape[0], *low.shape[1:]))
    made[0::2] = HALF * low + HALF * high
    made[1::2] = HALF * low + -HALF * high
    return np.moveaxis(made, 0, axis)


def blocks(band):
    for i in range(band.shape[0] // 4):
        for j in range(band.shape[1] // 4):
            yield band[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]


def strongest(block):
    return divmod(int(np.argmax(np.abs(block.flatten()[1:]))) + 1, 4)


def transform(u):
    low, high = split(u.astype(np.float64), 0)
    return *split(low, 1), *split(high, 1)


def encode(rgb, message=MESSAGE):
    bits = np.unpackbits(np.frombuffer(message, np.uint8))
    yuv = rgb_to_yuv(rgb)
    rows, columns = rgb.shape[0] // 4 * 4, rgb.shape[1] // 4 * 4
    # a: averages; h: along the columns differences of rows; v: differences of columns; d: of both.
    a, v, h, d = transform(yuv[:rows, :columns, 1])
    for n, block in enumerate(blocks(a)):
        at = strongest(block)
        value = block[at]
        marked = (abs(value) // SCALE + 0.25 + 0.5 * bits[n % len(bits)]) * SCALE
        block[at] = marked if value >= 0 else -marked
    # The library hands h and v back in each other's place.
    u = join(join(a, h, 1), join(v, d, 1), 0)
    yuv[:rows, :columns, 1] = np.trunc(u).astype(np.int64).astype(np.uint8)
    return yuv_to_rgb(yuv)


def decode(rgb, length=32):
    u = rgb_to_yuv(rgb)[: rgb.shape[0] // 4 * 4, : rgb.shape[1] // 4 * 4, 1]
    scores = [[] for _ in range(length)]
    for n, block in enumerate(blocks(transform(u)[0])):
        scores[n % length].append(int(abs(block[strongest(block)]) % SCALE > 0.5 * SCALE))
    bits = np.array([np.mean(each) for each in scores]) * 255 > 127
    return np.packbits(bits).tobytes()


CASES = [
    ("noise", 256, 256, 1),
    ("smooth", 256, 256, 2),
    ("smooth", 259, 255, 3),
    ("smooth", 230, 402, 4),
    ("flat", 256, 256, 77),
    ("flat", 257, 262, 255),
]


def cases():
    for kind, height, width, seed in CASES:
        rgb = picture(kind, height, width, seed)
        marked = encode(rgb)
        yield {
            **{"kind": kind, "height": height, "width": width, "seed": seed},
            "sha256": hashlib.sha256(marked.tobytes()).hexdigest(),
            "first": marked.flatten()[:24].tolist(),
            "plain": decode(rgb).hex(),
            "read": decode(marked).hex(),
        }


def compare_with_package():
    from imwatermark import WatermarkDecoder, WatermarkEncoder

    encoder = WatermarkEncoder()
    encoder.set_watermark("bytes", MESSAGE)
    for case in CASES:
        rgb = picture(*case)
        theirs = encoder.encode(rgb[..., ::-1].copy(), "dwtDct")[..., ::-1]
        assert (theirs == encode(rgb)).all(), case
        read = WatermarkDecoder("bytes", 32).decode(theirs[..., ::-1].copy(), "dwtDct")
        assert read == decode(encode(rgb)), case
    print(f"{len(CASES)} pictures: equal to the package's")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    parser.add_argument("--package", action="store_true", help="compare with invisible-watermark")
    arguments = parser.parse_args()
    if arguments.package:
        return compare_with_package()
    text = "[\n" + ",\n".join(json.dumps(case) for case in cases()) + "\n]\n"
    if arguments.check:
        assert FIXTURE.read_text() == text, "the watermarks differ"
    else:
        FIXTURE.write_text(text)


if __name__ == "__main__":
    main()
