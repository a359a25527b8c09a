"""What diffusers makes of a checkpoint, stage by stage: the reference of `npm run verify` (tools/verify).

usage: verify_dump.py MODEL OUT SETTINGS

MODEL     a diffusers folder, or a single file in the original's layout
OUT       a folder; stages.json and stages.safetensors are written into it
SETTINGS  JSON: prompt, negativePrompt, prompts, seed, steps, guidanceScale, scheduler, width, height, strength,
          noiseLevel, timesteps, stages; for a single file prediction, tokenizer (a folder) and config (a folder or null)

stages.json: {"versions", "pipeline", "notes", "cases"}. A case is one call: its `stage`, plain values, and names of
tensors, inputs and outputs alike. All is computed in f32 on the CPU, on one thread, with the weights as stored.
Exit status 3 with a line {"missing": name} on standard error: a package is not installed.
"""

import json
import logging
import os
import sys
from pathlib import Path

# Before torch: its own threads would change the order of sums.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

try:
    import accelerate  # noqa: F401 (diffusers loads weights one by one with it)
    import diffusers
    import safetensors  # noqa: F401
    import torch
    import transformers
    from PIL import Image  # noqa: F401
except ImportError as error:
    print(json.dumps({"missing": error.name}), file=sys.stderr)
    sys.exit(3)

from store import write_json, write_tensors
from verify_load import open_checkpoint
from verify_stages import STAGES, Dump


def main() -> None:
    model, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
    quiet_libraries()
    pipeline, notes = open_checkpoint(model, settings)
    dump = Dump(pipeline, settings)
    with torch.no_grad():
        for name, stage in STAGES.items():
            if settings["stages"] is None or name in settings["stages"]:
                print(json.dumps({"stage": name}), flush=True)
                stage(dump)
    write_tensors(out / "stages.safetensors", dump.tensors)
    write_json(out / "stages.json", {
        "versions": {
            "python": sys.version.split()[0], "torch": torch.__version__, "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        },
        "pipeline": type(pipeline).__name__,
        "notes": notes + dump.notes,
        "cases": dump.cases,
    })


def quiet_libraries() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.WARNING)


if __name__ == "__main__":
    main()
