"""Writes test/fixtures/torch-noise.json: what torch.randn draws on a CPU, for test/engine/random.test.ts.

Each case is one generator and the sizes that are drawn from it one after another. The file holds the
SHA-256 of all values (little-endian float32) and the first and last few. PyTorch's AVX2 path wrote it:
another instruction set may differ in the last bit, so --check compares the values within 1e-6.

    python tools/reference/torch_noise.py [--check]
"""

import argparse
import hashlib
import json
import pathlib

import torch

FIXTURE = pathlib.Path(__file__).parents[2] / "test/fixtures/torch-noise.json"
SEEDS = [0, 1, 42, 1234567, 2**32 - 1, 2**32, 2**40 + 5, 2**53 - 1, 2**64 - 1, -1, -7]
LATENTS = [4 * 64 * 64, 4 * 96 * 96, 4 * 65 * 73]
EDGES = [3, 16, 17, 1, 15, 31, 4, 100, 5, 0, 2, 33, 7]


def draw(seed, counts):
    generator = torch.Generator("cpu").manual_seed(seed)
    values = torch.cat([torch.randn(count, generator=generator) for count in counts])
    return {
        "seed": str(seed),
        "counts": counts,
        "sha256": hashlib.sha256(values.numpy().astype("<f4").tobytes()).hexdigest(),
        "first": values[:20].tolist(),
        "last": values[-20:].tolist(),
    }


def cases():
    yield from (draw(seed, EDGES) for seed in SEEDS)
    yield from (draw(seed, LATENTS) for seed in (0, 42))
    yield from (draw(3, [count]) for count in range(1, 34))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    check = parser.parse_args().check
    made = list(cases())
    if not check:
        FIXTURE.write_text("[\n" + ",\n".join(json.dumps(case) for case in made) + "\n]\n")
        return
    for ours, theirs in zip(json.loads(FIXTURE.read_text()), made, strict=True):
        assert (ours["seed"], ours["counts"]) == (theirs["seed"], theirs["counts"])
        for key in ("first", "last"):
            torch.testing.assert_close(torch.tensor(ours[key]), torch.tensor(theirs[key]), atol=1e-6, rtol=0)


if __name__ == "__main__":
    main()
