"""Writes test/fixtures/images.json: PNG files of every kind as Pillow reads them, pictures that Pillow
resized, and what diffusers' VaeImageProcessor and inpainting pipeline make of a picture and a mask.

Pictures are drawn from a formula (`noise`, the same as in test/support/noise-image.ts), so the file
holds SHA-256 sums of all samples and the first few. Samples are uint8 or little-endian float32;
-0 is written as 0.

    python tools/reference/images.py [--check]
"""

import argparse
import base64
import hashlib
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL
import torch
from diffusers import __version__ as diffusers_version
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

torch.set_num_threads(1)
FIXTURE = pathlib.Path(__file__).parents[2] / "test/fixtures/images.json"


def noise(count, seed):
    """`count` bytes that follow from `seed`."""
    x = (np.arange(count, dtype=np.uint64) + seed * 7919) * 0x9E3779B1 % 2**32
    x = (x ^ (x >> 15)) * 0x85EBCA6B % 2**32
    return ((x ^ (x >> 13)) & 255).astype(np.uint8)


def picture(size, seed, channels=3):
    height, width = size
    shape = (height, width) if channels == 1 else (height, width, channels)
    return noise(height * width * channels, seed).reshape(shape)


def digest(array):
    array = np.ascontiguousarray(array)
    if array.dtype == np.float32:
        array = array + np.float32(0)
    return {
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "first": array.flatten()[:12].tolist(),
    }


# PNG files that Pillow does not write itself: PNG specification, sections 8 to 11.

GREY, COLOR, PALETTE, GREY_ALPHA, COLOR_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, COLOR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOR_ALPHA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(rows, bits):
    """Rows of samples [h, n] as filtered scan lines, filter 0."""
    if bits == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    elif bits == 8:
        lines = [row.astype(np.uint8).tobytes() for row in rows]
    else:
        shifts = np.arange(bits - 1, -1, -1)
        lines = [np.packbits(((row[:, None] >> shifts) & 1).flatten().astype(np.uint8)).tobytes() for row in rows]
    return b"".join(b"\0" + line for line in lines)


def png(size, kind, bits, seed, interlaced=False, palette=None, transparent=None):
    height, width = size
    count = height * width * SAMPLES[kind]
    if bits == 16:
        samples = noise(count, seed).astype(np.uint16) * 256 + noise(count, seed + 1)
    else:
        samples = noise(count, seed) & (2**bits - 1)
    samples = samples.reshape(height, width, SAMPLES[kind])
    passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    lines = b"".join(packed(part.reshape(part.shape[0], -1), bits) for part in passes if part.size)
    data = zlib.compress(lines)
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            *([chunk(b"PLTE", palette)] if palette else []),
            *([chunk(b"tRNS", transparent)] if transparent else []),
            # In two pieces, as many writers do.
            chunk(b"IDAT", data[:20]),
            chunk(b"IDAT", data[20:]),
            chunk(b"IEND", b""),
        ]
    )


def filtered(size):
    """Pillow's own writer: all of PNG's filters."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 5 % 256, y * 7 % 256, (x + y) * 3 % 256], -1).astype(np.uint8)
    smooth[:3, :3] = picture((3, 3), 5)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, "PNG", optimize=True)
    return file.getvalue()


def png_files():
    colors = noise(3 * 256, 9).tobytes()
    key = struct.pack(">H", noise(1, 21)[0])
    size = (7, 11)
    yield "filters", filtered((16, 21))
    for kind, name in [(GREY, "grey"), (COLOR, "rgb"), (GREY_ALPHA, "grey-alpha"), (COLOR_ALPHA, "rgba")]:
        for bits in (8, 16):
            yield f"{name}-{bits}", png(size, kind, bits, 20 + bits)
            yield f"{name}-{bits}-interlaced", png(size, kind, bits, 20 + bits, interlaced=True)
    for bits in (1, 2, 4):
        yield f"grey-{bits}", png(size, GREY, bits, 30 + bits)
        yield f"grey-{bits}-interlaced", png((3, 2), GREY, bits, 30 + bits, interlaced=True)
    for bits in (1, 2, 4, 8):
        part = colors[: 3 * 2**bits]
        yield f"palette-{bits}", png(size, PALETTE, bits, 40 + bits, palette=part)
        yield f"palette-{bits}-transparent", png(
            size, PALETTE, bits, 40 + bits, palette=part, transparent=b"\0\x80"
        )
    yield "grey-8-transparent", png(size, GREY, 8, 21, transparent=key)
    yield "rgb-8-transparent", png((1, 1), COLOR, 8, 22, transparent=noise(3, 22).astype(">u2").tobytes())
    yield "one-pixel", png((1, 1), COLOR_ALPHA, 8, 50, interlaced=True)


def png_cases():
    for name, file in png_files():
        image = Image.open(io.BytesIO(file))
        mode = image.mode
        if mode == "I;16":
            # Pillow's conversion cuts all above 255 off; the high byte is what it takes of 16-bit colours.
            rgb = np.repeat((np.array(image) >> 8).astype(np.uint8)[..., None], 3, -1)
        else:
            rgb = np.array(image.convert("RGB"))
        clear = mode in ("LA", "RGBA") or "transparency" in image.info
        yield {
            "name": name,
            "size": [image.height, image.width],
            "file": base64.b64encode(file).decode(),
            "rgb": digest(rgb),
            "alpha": digest(np.array(image.convert("RGBA"))[..., 3]) if clear else None,
        }


FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
RESIZES = [
    ((13, 9), (30, 17), 3),
    ((30, 17), (13, 9), 3),
    ((5, 7), (5, 8), 3),
    ((5, 7), (6, 7), 1),
    ((1, 1), (4, 3), 3),
    ((40, 64), (1, 1), 3),
    ((64, 1), (3, 9), 1),
    ((17, 19), (17, 19), 3),
    ((12, 10), (7, 23), 4),
    ((301, 403), (96, 128), 3),
    ((96, 128), (200, 190), 3),
]


def resize_cases():
    for i, (source, target, channels) in enumerate(RESIZES):
        image = Image.fromarray(picture(source, 100 + i, channels))
        for name, resample in FILTERS.items():
            made = np.array(image.resize(target[::-1], resample))
            yield {"filter": name, "from": source, "to": target, "channels": channels, "seed": 100 + i, **digest(made)}


def channels_last(x):
    return digest(x.permute(0, 2, 3, 1).contiguous().numpy())


def prepare_cases():
    """`image_processor` of image-to-image (Lanczos, multiples of 8) and of the x4 upscaler (bicubic, 4)."""
    for multiple, resample in ((8, "lanczos"), (4, "bicubic")):
        processor = VaeImageProcessor(vae_scale_factor=multiple, resample=resample)
        for size, wanted in [((37, 50), None), ((24, 40), None), ((20, 33), (32, 48)), ((50, 41), (30, 25))]:
            image = Image.fromarray(picture(size, 200))
            height, width = wanted or (None, None)
            made = processor.preprocess(image, height=height, width=width)
            yield {
                **{"multiple": multiple, "filter": resample, "from": size, "seed": 200, "wanted": wanted},
                **{"shape": [1, *made.shape[2:], 3], **channels_last(made)},
            }


def inpaint_cases():
    """`__call__` and `prepare_mask_latents` of StableDiffusionInpaintPipeline, up to the VAE."""
    processor = VaeImageProcessor(vae_scale_factor=8)
    mask_processor = VaeImageProcessor(
        vae_scale_factor=8, do_normalize=False, do_binarize=True, do_convert_grayscale=True
    )
    for size, mask_size, channels, (height, width) in [
        ((37, 50), (37, 50), 1, (64, 64)),
        ((64, 48), (20, 31), 3, (64, 48)),
        ((30, 30), (90, 70), 3, (40, 24)),
        ((32, 32), (32, 32), 4, (32, 32)),
    ]:
        image = Image.fromarray(picture(size, 300))
        # As `load_image` does it: colours stay for the resize, alpha goes.
        mask = Image.fromarray(picture(mask_size, 301, channels))
        mask = mask if channels == 1 else mask.convert("RGB")
        init = processor.preprocess(image, height=height, width=width).to(torch.float32)
        condition = mask_processor.preprocess(mask, height=height, width=width)
        masked = init * (condition < 0.5)
        latent = torch.nn.functional.interpolate(condition, size=(height // 8, width // 8))
        yield {
            **{"image": size, "mask": mask_size, "channels": channels, "size": [height, width], "seed": 300},
            "prepared": channels_last(init),
            "condition": channels_last(condition),
            "masked": channels_last(masked),
            "latent": channels_last(latent),
        }


def grey_cases():
    rgb = picture((40, 50), 400)
    yield {"from": [40, 50], "seed": 400, **digest(np.array(Image.fromarray(rgb).convert("L")))}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    made = {
        "pillow": PIL.__version__,
        "diffusers": diffusers_version,
        "png": list(png_cases()),
        "resize": list(resize_cases()),
        "prepare": list(prepare_cases()),
        "inpaint": list(inpaint_cases()),
        "grey": list(grey_cases()),
    }
    lines = [
        f"{json.dumps(key)}: " + ("[\n" + ",\n".join(map(json.dumps, value)) + "\n]" if isinstance(value, list) else json.dumps(value))
        for key, value in made.items()
    ]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if parser.parse_args().check:
        ours = json.loads(FIXTURE.read_text())
        theirs = json.loads(text)
        wrong = [key for key in ours if key not in ("pillow", "diffusers") and ours[key] != theirs[key]]
        assert not wrong, f"these differ: {wrong}"
        return
    FIXTURE.write_text(text)


if __name__ == "__main__":
    main()
