"""Writes every golden fixture under test/fixtures, or compares with what is there.

usage: make.py            builds the tiny checkpoints and all goldens anew
       make.py --check    computes the goldens from the committed checkpoints and compares within 1e-5
"""

import os
from pathlib import Path

# Before torch: its own threads would change the order of sums.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from blocks import save_blocks
from clip_skip import save_clip_skip
from faults import save_faults
from guided import save_guided
from load import FIXTURES
from noisy import save_noisy
from pictures import save_pictures
from solvers import save_solvers
from regenerate import regenerate
from sampling import save_sampling
from task_models import save_tasks
from tasks import save_task_blocks, save_task_pictures
from tiny import CONFIGS, save_all


def save(target: Path) -> None:
    save_all(target)
    save_tasks(target)
    # From the committed checkpoints, where they are only compared.
    save_goldens(FIXTURES, target)


def save_goldens(models: Path, target: Path) -> None:
    for name in CONFIGS:
        save_blocks(models / name, target / "golden" / name)
        save_clip_skip(models / name, target / "golden" / name)
        save_pictures(models / name, target / "golden" / name)
        save_solvers(models / name, target / "golden" / name)
        save_noisy(models / name, target / "golden" / name)
        save_sampling(models / name, target / "golden" / name)
        save_faults(models / name, target / "golden" / name)
    save_guided(models, target / "golden" / "guided")
    save_task_blocks(models, target / "golden" / "tasks")
    save_task_pictures(models, target / "golden" / "tasks")


if __name__ == "__main__":
    regenerate(save, __doc__)
