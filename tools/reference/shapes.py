"""Goldens of the checkpoint that ships (model/shapes), by diffusers: golden/shapes/pictures.{json,safetensors}.

usage: shapes.py [--check]
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

from load import FIXTURES, open_pipeline, scheduler_class
from pictures import Case, add_case
from regenerate import regenerate
from store import write_json, write_tensors

FOLDER = FIXTURES.parents[1] / "model" / "shapes"

CASES = [
    Case("own", prompt="a red cube on top of a blue sphere", seed=1, steps=10, guidance=4.0, width=128, height=128),
    Case("wide-euler", prompt="a yellow cone to the left of a purple torus on grass", seed=2, steps=6, guidance=3.0,
         scheduler="euler", width=144, height=96),
]


def save_shapes(target: Path) -> None:
    tensors, manifest = {}, []
    for case in CASES:
        pipeline = open_pipeline(FOLDER)
        if case.scheduler:
            pipeline.scheduler = scheduler_class(case.scheduler).from_config(pipeline.scheduler.config)
        manifest.append(add_case(pipeline, case, tensors))
    write_json(target / "golden" / "shapes" / "pictures.json", manifest)
    write_tensors(target / "golden" / "shapes" / "pictures.safetensors", tensors)


if __name__ == "__main__":
    regenerate(save_shapes, __doc__)
