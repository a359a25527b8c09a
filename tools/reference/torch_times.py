"""PyTorch's times on a CUDA GPU: a product of f16 matrices, and Stable Diffusion 2's UNet with guidance (batch 2, f16,
random weights), eager and compiled. One JSON object a line; `npm run bench -- matrix` runs it.

usage: torch_times.py [--gemm 8192] [--sides 64,96] [--runs 30] [--no-compile]
"""
import argparse
import json
import statistics

import torch


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gemm", type=int, default=8192)
    parser.add_argument("--sides", default="64,96")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--no-compile", action="store_true")
    return parser.parse_args()


def milliseconds(work, runs):
    """Median and least of `runs`, by the GPU's clock, after three that do not count."""
    for _ in range(3):
        work()
    times = []
    for _ in range(runs):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return {"ms": round(statistics.median(times), 4), "msLeast": round(min(times), 4)}


def tell(what, mode, times):
    about = {"what": what, "mode": mode, "device": torch.cuda.get_device_name(), "torch": torch.__version__}
    print(json.dumps({**about, **times}), flush=True)


def unet():
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=96, in_channels=4, out_channels=4, layers_per_block=2,
        block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=1024,
        attention_head_dim=(5, 10, 20, 20), use_linear_projection=True,
    )
    return model.half().eval().cuda().to(memory_format=torch.channels_last)


@torch.no_grad()
def main():
    options = arguments()
    size = options.gemm
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.float16) for _ in range(2))
    times = milliseconds(lambda: a @ b, options.runs)
    tell(f"gemm {size}", "eager", {**times, "tflops": round(2 * size**3 / times["ms"] / 1e9, 1)})
    sides = [int(side) for side in options.sides.split(",") if side]
    if not sides:
        return
    model = unet()
    modes = {"eager": model}
    if not options.no_compile:
        modes["compile"] = torch.compile(model, mode="max-autotune", fullgraph=True)
    for mode, run in modes.items():
        for side in sides:
            x = torch.randn(2, 4, side, side, device="cuda", dtype=torch.float16)
            context = torch.randn(2, 77, 1024, device="cuda", dtype=torch.float16)
            step = torch.tensor([500], device="cuda")
            tell(f"unet {side}", mode, milliseconds(lambda: run(x, step, context).sample, options.runs))


main()
