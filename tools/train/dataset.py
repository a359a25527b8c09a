"""Renders the dataset once, in chunks that can be resumed: pictures and what their cells show, scenes as JSON lines."""

import json
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from render import render
from scenes import layout, sample_scene

CHUNK = 500
VALIDATION_SEED = 1_000_000


def render_dataset(folder, count, workers, log):
    """Fills folder with scenes-N.{npy,cells.npy,jsonl}; chunk n depends on nothing but n."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [n for n in chunk_numbers(count) if not chunk_path(folder, n).exists()]
    with ProcessPoolExecutor(workers) as pool:
        for done, n in enumerate(pool.map(render_chunk, [folder] * len(missing), missing), 1):
            log(f"dataset: chunk {n}, {done * CHUNK} of {len(missing) * CHUNK} scenes rendered")


def chunk_numbers(count):
    """The validation chunk first, then the training chunks."""
    return [VALIDATION_SEED, *range(count // CHUNK)]


def chunk_path(folder, n):
    return folder / f"scenes-{n:07d}.npy"


def render_chunk(folder, n):
    rng = np.random.default_rng(n)
    scenes = [sample_scene(rng) for _ in range(CHUNK)]
    pictures, cells = map(np.stack, zip(*(render(scene, layout(scene, rng), rng) for scene in scenes)))
    path = chunk_path(folder, n)
    path.with_suffix(".jsonl").write_text("\n".join(json.dumps(scene) for scene in scenes))
    np.save(path.with_suffix(".cells.npy"), cells)
    partial = path.with_suffix(".part.npy")
    np.save(partial, pictures)
    partial.rename(path)
    return n


def training_chunks(folder):
    return [p for p in sorted(folder.glob("scenes-???????.npy")) if str(VALIDATION_SEED) not in p.name]


def load_pictures(paths):
    """uint8 [n, 128, 128, 3]."""
    return np.concatenate([np.load(path) for path in paths])


def load_cells(paths):
    """uint8 [n, 16, 16]: 0 the backdrop, 1 and 2 the objects."""
    return np.concatenate([np.load(path.with_suffix(".cells.npy")) for path in paths])


def load_scenes(paths):
    lines = [path.with_suffix(".jsonl").read_text().splitlines() for path in paths]
    return [json.loads(line) for chunk in lines for line in chunk]
