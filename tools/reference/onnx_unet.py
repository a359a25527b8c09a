"""A UNet as an ONNX model beside its golden output, for bench/peers: the same evaluation by other engines.

usage: onnx_unet.py OUT [--unet DIR] [--side N]

--unet is a diffusers folder's unet/; without it a narrower UNet of Stable Diffusion 2's form is made, with random
weights, and saved as OUT/unet. Writes OUT/unet.onnx (f32, fixed sizes, opset 20: what PyTorch's exporter makes,
nothing rewritten) and OUT/golden.safetensors: sample [2,4,N,N], timestep [1], context [2,77,C], output [2,4,N,N] by
diffusers in f32. Not committed: bench makes it on first use.
"""

import argparse
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from full_size import UNET
from store import write_tensors
from weights import randomize

OPSET = 20
TIMESTEP = 501.0
TOKENS = 77

# A fifth of Stable Diffusion 2's channels in heads of 64, as its own.
NARROW = UNET | dict(
    sample_size=32, block_out_channels=(64, 128, 256, 256), attention_head_dim=[1, 2, 4, 4], cross_attention_dim=256,
)


class Evaluation(torch.nn.Module):
    """The UNet with tensors in and a tensor out."""

    def __init__(self, unet: UNet2DConditionModel):
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, context):
        return self.unet(sample, timestep, encoder_hidden_states=context, return_dict=False)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--unet", type=Path)
    parser.add_argument("--side", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    unet = open_unet(options.unet) if options.unet else narrow_unet(options.out / "unet")
    export(unet, options.out, options.side or unet.config.sample_size)


def open_unet(folder: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32).eval().requires_grad_(False)


def narrow_unet(folder: Path) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(**NARROW).eval().requires_grad_(False)
    randomize(unet, "unet", 2)
    unet.save_pretrained(folder, safe_serialization=True)
    return unet


def export(unet: UNet2DConditionModel, out: Path, side: int) -> None:
    generator = torch.Generator("cpu").manual_seed(side)
    given = {
        "sample": torch.randn(2, unet.config.in_channels, side, side, generator=generator),
        "timestep": torch.tensor([TIMESTEP]),
        "context": torch.randn(2, TOKENS, unet.config.cross_attention_dim, generator=generator),
    }
    evaluation = Evaluation(unet)
    with torch.no_grad():
        output = evaluation(*given.values())
    torch.onnx.export(
        evaluation, tuple(given.values()), str(out / "unet.onnx"), opset_version=OPSET, dynamo=True,
        external_data=False, input_names=list(given), output_names=["output"], verbose=False,
    )
    # Last of all: where it is, everything is.
    write_tensors(out / "golden.safetensors", given | {"output": output})


if __name__ == "__main__":
    main()
