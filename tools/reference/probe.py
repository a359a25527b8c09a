"""What the UNets of the tiny checkpoints answer to the probe of the prediction type: test/fixtures/ldm/probe.json.

usage: probe.py [--check]

The probe is AUTOMATIC1111's (modules/sd_models.py, is_sd2_v_prediction): latents [1,4,8,8] and a context [1,2,D], all of
them 0.5, at timestep 999. The output [4,8,8] is written flat.
"""

import argparse
import json
import sys

import torch
from diffusers import UNet2DConditionModel

from load import FIXTURES

TARGET = FIXTURES / "ldm" / "probe.json"
TOLERANCE = 1e-5


@torch.no_grad()
def answer(checkpoint: str) -> list[float]:
    unet = UNet2DConditionModel.from_pretrained(FIXTURES / checkpoint / "unet", torch_dtype=torch.float32).eval()
    latents = torch.full((1, unet.config.in_channels, 8, 8), 0.5)
    context = torch.full((1, 2, unet.config.cross_attention_dim), 0.5)
    output = unet(latents, 999, encoder_hidden_states=context).sample
    return [round(value, 7) for value in output.flatten().tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    answers = {checkpoint: answer(checkpoint) for checkpoint in ("tiny-v", "tiny-eps")}
    if not check:
        TARGET.write_text(json.dumps(answers, separators=(",", ":")) + "\n")
        return
    committed = json.loads(TARGET.read_text())
    worst = max(abs(a - b) for name in answers for a, b in zip(answers[name], committed[name], strict=True))
    print(f"the answers differ by at most {worst:.2g}")
    sys.exit(0 if worst <= TOLERANCE else 1)


if __name__ == "__main__":
    main()
