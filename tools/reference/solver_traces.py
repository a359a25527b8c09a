"""Writes test/fixtures/solver-traces.{json,safetensors}: runs of every solver, beside those of sampler_traces.py.

As there, the model is a formula, diffusers' own class runs on its float32 tables in float64, and every
sample of every run is written. Noise is a formula too, of the number of the draw: a draw that is left out
or comes too early shows in all that follows. `start` runs begin as the image-to-image pipeline does:
get_timesteps, set_begin_index, add_noise. k_diffusion.py stands in where diffusers has no class.
Needs scipy (diffusers' LMS and beta sigmas).

    python tools/reference/solver_traces.py [--check]
"""

import argparse
import inspect
import json
import logging
import math
import pathlib
import sys
import types
import warnings

import diffusers
import numpy as np
import torch

# DPMSolverSDEScheduler's module wants it for a noise that is replaced below.
sys.modules.setdefault("torchsde", types.ModuleType("torchsde"))

from diffusers.schedulers import scheduling_dpmsolver_sde as sde_module  # noqa: E402
from diffusers.schedulers.scheduling_utils import AysSchedules  # noqa: E402

import k_diffusion  # noqa: E402
from sampler_traces import SD2, X4, swapped, without  # noqa: E402
from store import read_states, write_states  # noqa: E402

diffusers.DPMSolverSDEScheduler = sde_module.DPMSolverSDEScheduler
FIXTURE = pathlib.Path(__file__).parents[2] / "test/fixtures/solver-traces.json"
CLASSES = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "pndm": "PNDMScheduler",
    "lms": "LMSDiscreteScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm2": "KDPM2DiscreteScheduler",
    "dpm2_a": "KDPM2AncestralDiscreteScheduler",
    "dpmpp_2m": "DPMSolverMultistepScheduler",
    "dpmpp_2m_sde": "DPMSolverMultistepScheduler",
    "dpmpp_2s": "DPMSolverSinglestepScheduler",
    "dpmpp_sde": "DPMSolverSDEScheduler",
    "deis": "DEISMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "lcm": "LCMScheduler",
    "tcd": "TCDScheduler",
}
NEW = [name for name in CLASSES if name not in ("ddim", "pndm", "euler")]
SPACED = ["lms", "euler", "heun", "dpm2", "dpm2_a", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2s", "dpmpp_sde", "deis", "unipc"]
START = [-1.7, 2.2]
FIRST_NOISE = [0.6, -1.2]

FILES = {
    "bare": {"_class_name": "PNDMScheduler", **SD2},
    "v": {"_class_name": "DDIMScheduler", **SD2, "prediction_type": "v_prediction"},
    "leading": {"_class_name": "PNDMScheduler", **SD2, "timestep_spacing": "leading"},
    "v-leading": {"_class_name": "DDIMScheduler", **SD2, "prediction_type": "v_prediction", "timestep_spacing": "leading"},
    "trailing": {"_class_name": "EulerDiscreteScheduler", **SD2, "timestep_spacing": "trailing"},
    "v-trailing": {"_class_name": "DDIMScheduler", **SD2, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    "linspace": {"_class_name": "PNDMScheduler", **SD2, "timestep_spacing": "linspace"},
    "prk": {"_class_name": "PNDMScheduler", **SD2, "skip_prk_steps": False},
    "poor": {"_class_name": "PNDMScheduler", **without(SD2, "steps_offset", "set_alpha_to_one", "skip_prk_steps")},
    "x4": {"_class_name": "DDIMScheduler", **X4, "prediction_type": "v_prediction"},
    "cosine": {"_class_name": "DDIMScheduler", **SD2, "beta_schedule": "squaredcos_cap_v2"},
}


def noise(draw):
    return [1.3 * math.cos(2.1 * draw + 1.7 * i + 0.4) for i in range(len(START))]


def model(x, t):
    return torch.sin(1.3 * x + 0.01 * t) + 0.2 * x


class Float64:
    """A scheduler's module with torch's float32 widened, its tables kept, and noise by formula."""

    def __init__(self, scheduler):
        self.module = inspect.getmodule(type(scheduler))
        self.draws = 0

    def __enter__(self):
        proxy = types.SimpleNamespace(**vars(torch))
        proxy.float32 = torch.float64
        proxy.from_numpy = lambda array: wide(torch.from_numpy(array))
        self.kept = self.module.torch, getattr(self.module, "randn_tensor", None)
        self.module.torch, self.module.randn_tensor = proxy, self.randn
        return self

    def __exit__(self, *_):
        self.module.torch, self.module.randn_tensor = self.kept

    def randn(self, shape, generator=None, device=None, dtype=None):
        self.draws += 1
        return torch.tensor(noise(self.draws), dtype=torch.float64).reshape(shape)


def wide(tensor):
    return tensor.double() if tensor.dtype == torch.float32 else tensor


def widen_tables(scheduler):
    for key in ("alphas_cumprod", "final_alpha_cumprod"):
        if hasattr(scheduler, key):
            setattr(scheduler, key, torch.as_tensor(getattr(scheduler, key)).double())


def trace(name, config, steps, more, timesteps, strength, eta):
    algorithm = {"algorithm_type": "sde-dpmsolver++"} if name == "dpmpp_2m_sde" else {}
    if name == "tcd" and eta is None:
        eta = 0.0  # what pipelines pass unless they are told otherwise
    settings = {**algorithm, **more}
    scheduler = swapped(CLASSES[name] if name else None, config, **settings)
    with Float64(scheduler) as wide_module:
        chosen = {"timesteps": timesteps} if timesteps else {"num_inference_steps": steps}
        scheduler.set_timesteps(**chosen)
        widen_tables(scheduler)
        if inspect.getmodule(type(scheduler)) is sde_module:
            scheduler.noise_sampler = lambda *_: wide_module.randn((1, len(START)))
        calls, x, start = begin(scheduler, steps if not timesteps else len(timesteps), strength)
        extra = {"eta": eta} if eta is not None else {}
        states = []
        for t in calls:
            t = int(t) if name == "lcm" else t  # a tensor would be multiplied in float32
            m = model(scheduler.scale_model_input(x, t), float(np.float32(t)))
            x = scheduler.step(m, t, x, return_dict=False, **extra)[0]
            assert x.dtype == torch.float64
            states.append(x.flatten().tolist())
        return float(scheduler.init_noise_sigma), start, [float(np.float32(t)) for t in calls], states, wide_module.draws


def begin(scheduler, steps, strength):
    """Timesteps and first sample, of noise alone or as image-to-image makes them."""
    image = torch.tensor([START], dtype=torch.float64)
    if strength is None:
        return scheduler.timesteps, image * float(scheduler.init_noise_sigma), None
    skipped = max(steps - min(int(steps * strength), steps), 0) * scheduler.order
    calls = scheduler.timesteps[skipped:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    add = lambda image, noise: scheduler.add_noise(  # noqa: E731
        torch.tensor([[image]], dtype=torch.float64), torch.tensor([[noise]], dtype=torch.float64), calls[:1]
    ).item()
    one = torch.tensor([FIRST_NOISE], dtype=torch.float64)
    return calls, scheduler.add_noise(image, one, calls[:1]), [add(1.0, 0.0), add(0.0, 1.0)]


def run(name, file, steps, more=None, timesteps=None, strength=None, eta=None, options=None, inside=None):
    """One run. `more` are settings of the class, `options` what asks us for the same, `inside` keys of the file."""
    config = {**FILES[file], **(inside or {})}
    if name in k_diffusion.SAMPLERS or (name == "euler_a" and "sigmas" in (options or {})):
        result = k_diffusion.trace(name, swapped, config, steps, more or {}, START, FIRST_NOISE, noise, strength)
    else:
        result = trace(name, config, steps, more or {}, timesteps, strength, eta)
    initial, start, calls, states, draws = result
    row = {
        **{"name": name, "file": file, "steps": steps, "inside": inside},
        "options": {**(options or {}), **given(timesteps=timesteps, strength=strength, eta=eta)},
        **{"initNoiseSigma": initial, "start": start, "draws": draws, "timesteps": calls},
        "states": states,
    }
    return {key: value for key, value in row.items() if value not in (None, {})}


def given(**options):
    return {key: value for key, value in options.items() if value is not None}


def runs():
    for name in [*NEW, *k_diffusion.SAMPLERS]:
        etas = [0.0, 0.3, 1.0] if name == "tcd" else [None]
        for file in ("bare", "v", "leading", "v-leading", "trailing", "v-trailing"):
            if name == "tcd" and "ing" in file:
                continue  # it knows no spacing
            for steps in (1, 2, 5, 16) if file in ("bare", "v-leading") else (4,):
                for eta in etas:
                    yield run(name, file, steps, eta=eta)
        yield run(name, "poor", 3, eta=etas[0])
        yield run(name, "x4", 3, eta=etas[-1])
    for name in ("ddpm", "dpmpp_2m"):
        yield run(name, "linspace", 4)
    yield from spaced_runs()
    yield from started_runs()
    yield from chosen_runs()
    yield from file_runs()


def spaced_runs():
    for spacing in ("karras", "exponential", "beta"):
        for name in SPACED:
            more = {f"use_{spacing}_sigmas": True}
            yield run(name, "v-leading" if name in ("dpmpp_2m", "heun") else "bare", 7, more, options={"sigmas": spacing})
        for name in (*k_diffusion.SAMPLERS, "euler_a"):
            yield run(name, "bare", 4, {f"use_{spacing}_sigmas": True}, options={"sigmas": spacing})
    yield run("euler", "leading", 20, {"use_karras_sigmas": True}, options={"sigmas": "karras"})
    yield run("dpmpp_2m", "bare", 20, {"use_karras_sigmas": True}, options={"sigmas": "karras"})


def started_runs():
    for name in [*CLASSES, *k_diffusion.SAMPLERS]:
        eta = 0.5 if name in ("ddim", "tcd") else None
        for file, steps, strength in (("bare", 7, 0.6), ("v-leading", 5, 0.8), ("leading", 5, 0.3), ("bare", 3, 1.0)):
            yield run(name, file, steps, strength=strength, eta=eta)
    yield run("pndm", "prk", 8, strength=0.7)
    for order in (2, 3):
        yield run("dpmpp_2s", "bare", 16, {"solver_order": order}, strength=0.5, inside={"solver_order": order})
        yield run("unipc", "bare", 16, {"solver_order": order}, strength=0.5, inside={"solver_order": order})


def chosen_runs():
    ays = AysSchedules["StableDiffusionTimesteps"]
    for name in ("ddpm", "euler", "heun", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2s", "lcm", "tcd"):
        yield run(name, "bare", len(ays), timesteps=ays, eta=0.2 if name == "tcd" else None)
        yield run(name, "v", 4, timesteps=[900, 500, 333, 7])
    yield run("dpmpp_2m", "bare", 10, timesteps=ays, strength=0.5)
    for name in ("ddim", "ddpm", "euler", "euler_a", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "lcm", "tcd"):
        more = {"rescale_betas_zero_snr": True}
        yield run(name, "v-trailing", 4, more, options={"rescaleBetasZeroSnr": True})
    yield run("pndm", "v-trailing", 4, inside={"rescale_betas_zero_snr": True})  # it does not know the key


def file_runs():
    """Settings that a file can hold, by the class itself and by a swap."""
    multistep = {"_class_name": "DPMSolverMultistepScheduler"}
    for inside in (
        {"solver_order": 3},
        {"solver_order": 1},
        {"solver_type": "heun"},
        {"euler_at_final": True, "final_sigmas_type": "sigma_min"},
        {"lower_order_final": False, "final_sigmas_type": "sigma_min", "solver_order": 3},
        {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
        {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "solver_order": 3},
        {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "solver_type": "heun"},
        {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"},
        {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min", "solver_type": "heun"},
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"},
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, "use_karras_sigmas": True},
        {"use_lu_lambdas": True},
        {"lambda_min_clipped": -2.0},
        {"timestep_spacing": "trailing", "lambda_min_clipped": -2.0},
    ):
        yield run(None, "bare", 6, inside={**multistep, **inside})
    yield run(None, "cosine", 6, inside={**multistep, "lambda_min_clipped": -5.1})
    # From noise alone diffusers fails here: it looks its first timestep up, and finds it twice.
    yield run(None, "cosine", 6, strength=1.0, inside={**multistep, "use_karras_sigmas": True})
    yield run(None, "bare", 16, inside={**multistep, "solver_order": 3})
    single = {"_class_name": "DPMSolverSinglestepScheduler"}
    for inside in (
        {"solver_order": 3},
        {"solver_order": 3, "solver_type": "heun"},
        {"solver_type": "heun"},
        {"solver_order": 3, "final_sigmas_type": "sigma_min"},
        {"solver_order": 3, "final_sigmas_type": "sigma_min", "algorithm_type": "dpmsolver"},
        {"algorithm_type": "sde-dpmsolver++"},
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, "solver_type": "heun"},
    ):
        yield run(None, "v", 6, inside={**single, **inside})
    for inside in ({"solver_order": 3}, {"solver_order": 1}):
        yield run(None, "bare", 6, inside={"_class_name": "DEISMultistepScheduler", **inside})
    for inside in (
        {"solver_order": 3},
        {"solver_order": 3, "solver_type": "bh1", "final_sigmas_type": "sigma_min"},
        {"solver_order": 3, "predict_x0": False, "final_sigmas_type": "sigma_min"},
        {"disable_corrector": [0, 2]},
        {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
    ):
        yield run(None, "v", 6, inside={"_class_name": "UniPCMultistepScheduler", **inside})
    for variance in ("fixed_small_log", "fixed_large"):
        yield run(None, "bare", 3, inside={"_class_name": "DDPMScheduler", "variance_type": variance})
    yield run(None, "bare", 3, inside={"_class_name": "KDPM2DiscreteScheduler", "use_karras_sigmas": True})
    yield run("dpmpp_2m", "bare", 5, inside={"solver_order": 3, "use_karras_sigmas": True})
    yield run("euler", "bare", 3, inside={"sigma_min": 0.1, "sigma_max": 10.0, "use_exponential_sigmas": True})
    for name in ("lms", "heun", "dpmpp_2m", "deis", "unipc", "ddpm", "lcm", "tcd"):
        yield run(name, "bare", 3, inside={"prediction_type": "sample"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    check = parser.parse_args().check
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    made = list(runs())
    rows = [without(run, "states") for run in made]
    states = [state for run in made for state in run["states"]]
    if not check:
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        FIXTURE.write_text(f'{{\n"files": {json.dumps(FILES)},\n"runs": [\n{lines}\n]\n}}\n')
        write_states(FIXTURE, states)
        return
    for ours, theirs in zip(json.loads(FIXTURE.read_text())["runs"], rows, strict=True):
        assert ours == theirs, (ours, theirs)
    torch.testing.assert_close(read_states(FIXTURE), torch.tensor(states, dtype=torch.float64), rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    main()
