"""Writes test/fixtures/other-noise.json: draws beside torch.randn's own, for test/engine/random.test.ts.

numpy: RandomState(seed).randn, one generator and the sizes drawn from it one after another, as float32.
batches: three pictures by torch, of one generator and of one generator each (seed + i).
cuda: the formula of PyTorch's CUDA randn (Philox4x32-10, curand's Box-Muller) in float64 on float32
uniforms, written down anew with numpy's integers; no GPU is asked.

    python tools/reference/other_noise.py [--check]
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np
import torch

FIXTURE = pathlib.Path(__file__).parents[2] / "test/fixtures/other-noise.json"
NUMPY_SEEDS = [0, 1, 42, 1234567, 2**32 - 1]
NUMPY_COUNTS = [1, 5, 16, 7, 0, 2, 33, 1, 100, 4 * 9 * 13]
CUDA_SEEDS = [0, 42, 2**32 - 1, 2**40 + 5, 2**64 - 1]


def excerpt(values):
    values = np.asarray(values, dtype="<f4")
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    return {"sha256": digest, "first": values[:12].tolist(), "last": values[-12:].tolist()}


def numpy_case(seed):
    state = np.random.RandomState(seed)
    values = np.concatenate([state.randn(count) for count in NUMPY_COUNTS])
    return {"seed": str(seed), "counts": NUMPY_COUNTS, **excerpt(values)}


def torch_draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)).flatten()


def batch_case(seed, batch, *shape):
    single = torch.cat([torch_draw(seed + i, *shape) for i in range(batch)])
    together = torch_draw(seed, batch, *shape)
    sizes = {"seed": seed, "batch": batch, "perPicture": int(np.prod(shape))}
    return {**sizes, "together": excerpt(together), "perImage": excerpt(single)}


def philox(counter, key):
    a, b, c, d = (np.asarray(word, np.uint64) for word in counter)
    k, l = (np.uint64(word) for word in key)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        first, second = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        shift = np.uint64(32)
        a, b, c, d = (second >> shift) ^ b ^ k, second & low, (first >> shift) ^ d ^ l, first & low
        k, l = (k + np.uint64(0x9E3779B9)) & low, (l + np.uint64(0xBB67AE85)) & low
    return a, b


def cuda_randn(seed, draw, count):
    element = np.arange(count, dtype=np.uint64)
    zero = np.zeros_like(element)
    x, y = philox((zero + np.uint64(draw), zero, element, zero), (seed & 0xFFFFFFFF, seed >> 32))
    unit = np.float32(2**-32)
    turn = np.float32(2 * np.pi) * unit
    # A float32 of a sum of two floats in float64 is one fused multiply-add.
    u = (np.float32(x).astype(np.float64) * unit + unit / 2).astype(np.float32).astype(np.float64)
    v = (np.float32(y).astype(np.float64) * turn + turn / 2).astype(np.float32).astype(np.float64)
    return np.sqrt(-2 * np.log(u)) * np.sin(v)


def cuda_case(seed):
    draws = [cuda_randn(seed, draw, count).tolist() for draw, count in enumerate([5, 1, 34])]
    return {"seed": str(seed), "draws": draws}


def make():
    return {
        "numpy": [numpy_case(seed) for seed in NUMPY_SEEDS],
        "batches": [batch_case(42, 3, 4, 5, 7), batch_case(2**32 - 2, 3, 4, 8, 8)],
        "cuda": [cuda_case(seed) for seed in CUDA_SEEDS],
    }


def same(ours, theirs):
    """Digests may differ by another machine's last bits; numbers must not by more than 1e-6."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(
            key == "sha256" or same(ours[key], theirs[key]) for key in ours
        )
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs or (isinstance(ours, (int, float)) and abs(ours - theirs) <= 1e-6)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    made = make()
    if not check:
        parts = [
            f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]"
            for name, cases in made.items()
        ]
        FIXTURE.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    assert same(json.loads(FIXTURE.read_text()), made), "the committed draws differ"


if __name__ == "__main__":
    main()
