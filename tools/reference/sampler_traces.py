"""Writes test/fixtures/sampler-traces.{json,safetensors}: every intermediate sample of diffusers' own schedulers.

Each case is a scheduler_config.json, loaded from a folder into StableDiffusionPipeline (which mends
steps_offset and clip_sample) and swapped by X.from_config(pipe.scheduler.config) where a scheduler is
named. The model is a fixed formula of three elements, m = sin(1.3·x + 0.01·t) + 0.2·x. diffusers' code
runs on float32 tables in float64 arithmetic, so that the traces show the coefficients and not the
rounding of one run; "float32" is how far an ordinary float32 run ends from that, relative to the
largest element. "timesteps" hashes the lists of every step count from 1 to 200 for each spacing.

    python tools/reference/sampler_traces.py [--check]
"""

import argparse
import hashlib
import json
import logging
import pathlib
import tempfile
import types

import diffusers
import torch
from diffusers.schedulers import scheduling_euler_discrete as euler_module
from store import read_states, write_states

FIXTURE = pathlib.Path(__file__).parents[2] / "test/fixtures/sampler-traces.json"
CLASSES = {"ddim": "DDIMScheduler", "pndm": "PNDMScheduler", "euler": "EulerDiscreteScheduler"}
STEPS = [1, 2, 3, 4, 5, 20, 25, 30, 50]
SPACINGS = [None, "leading", "linspace", "trailing"]
START = [-1.7, 0.3, 2.2]

SD2 = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
X4 = {**SD2, "beta_start": 0.0001, "beta_end": 0.02}


def without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


def folder(own, base=SD2, **more):
    return {"_class_name": CLASSES[own], **base, **more}


def model(x, t):
    return torch.sin(1.3 * x + 0.01 * t) + 0.2 * x


def load(name, config):
    """The scheduler that a pipeline ends with, by the public API."""
    return swapped(None if name is None else CLASSES[name], config)


def swapped(name, config, **more):
    """The same by the class's own name, with settings of its own."""
    with tempfile.TemporaryDirectory() as path:
        (pathlib.Path(path) / "scheduler_config.json").write_text(json.dumps(config))
        own = getattr(diffusers, config["_class_name"]).from_pretrained(path)
    empty = dict.fromkeys(["vae", "text_encoder", "tokenizer", "unet", "safety_checker", "feature_extractor"])
    pipe = diffusers.StableDiffusionPipeline(scheduler=own, requires_safety_checker=False, **empty)
    if name is None:
        return pipe.scheduler
    return getattr(diffusers, name).from_config(pipe.scheduler.config, **more)


def in_float64(scheduler):
    """The float32 tables stay; what is computed from them is computed in float64."""
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = torch.as_tensor(scheduler.final_alpha_cumprod).double()
    if hasattr(scheduler, "sigmas"):
        scheduler.sigmas = scheduler.sigmas.double()


def widened_torch():
    proxy = types.SimpleNamespace(**vars(torch))
    proxy.float32 = torch.float64
    return proxy


def trace(name, config, steps, dtype, eta=0.0):
    scheduler = load(name, config)
    scheduler.set_timesteps(steps)
    scale = float(scheduler.init_noise_sigma)
    euler_module.torch = torch
    if dtype == torch.float64:
        in_float64(scheduler)
        euler_module.torch = widened_torch()
    x = torch.tensor(START, dtype=dtype) * scale
    noise = torch.tensor([0.4, -1.1, 0.7], dtype=dtype)
    extra = {"eta": eta, "variance_noise": noise} if eta else {}
    states = []
    for t in scheduler.timesteps:
        m = model(scheduler.scale_model_input(x, t), float(t))
        x = scheduler.step(m, t, x, return_dict=False, **extra)[0]
        assert x.dtype == dtype
        states.append(x.tolist())
    euler_module.torch = torch
    return scale, scheduler.timesteps.tolist(), states


def case(name, config, steps, eta=0.0):
    scale, timesteps, states = trace(name, config, steps, torch.float64, eta)
    ended = torch.tensor(trace(name, config, steps, torch.float32, eta)[2][-1], dtype=torch.float64)
    truth = torch.tensor(states[-1], dtype=torch.float64)
    return {
        "scheduler": name,
        "config": config,
        "steps": steps,
        **({"eta": eta} if eta else {}),
        "initNoiseSigma": scale,
        "timesteps": timesteps,
        "states": states,
        "float32": float(f"{((ended - truth).abs().max() / truth.abs().max()).item():.2g}"),
    }


def spaced(config, spacing):
    return config if spacing is None else {**config, "timestep_spacing": spacing}


def cases():
    for own in CLASSES:
        for prediction in ("epsilon", "v_prediction"):
            for spacing in SPACINGS:
                for steps in STEPS:
                    yield case(None, spaced(folder(own, prediction_type=prediction), spacing), steps)
    for own in CLASSES:
        for name in CLASSES:
            for config in swap_configs(own):
                for steps in (4, 25):
                    if name == "ddim" and "clip_sample" not in config:
                        continue  # it clips: no sampler of ours
                    yield case(name, config, steps)
    for own in ("ddim", "euler"):
        yield case(None, folder(own, prediction_type="sample"), 5)
        yield case(None, folder(own, prediction_type="v_prediction", timestep_spacing="trailing",
                                rescale_betas_zero_snr=True), 5)
        yield case(None, folder(own, without(SD2, "clip_sample", "steps_offset", "set_alpha_to_one")), 5)
        yield case(None, folder(own, {**SD2, "clip_sample": True, "steps_offset": 0}), 5)
        yield case(None, folder(own, X4, prediction_type="v_prediction"), 5)
        yield case(None, folder(own, {**SD2, "beta_schedule": "squaredcos_cap_v2"}), 5)
        yield case(None, folder(own, {**SD2, "beta_schedule": "linear"}), 5)
        yield case(None, folder(own, {**SD2, "num_train_timesteps": 100}), 7)
    yield case(None, folder("euler", final_sigmas_type="sigma_min"), 5)
    yield case(None, folder("ddim", {**SD2, "trained_betas": [0.001 * (i + 1) for i in range(40)],
                                     "num_train_timesteps": 40}), 7)
    for prediction in ("epsilon", "v_prediction"):
        for steps in (4, 5, 25):
            yield case(None, folder("pndm", {**SD2, "skip_prk_steps": False}, prediction_type=prediction), steps)
        for eta in (0.3, 1.0):
            yield case(None, folder("ddim", prediction_type=prediction), 5, eta)


def swap_configs(own):
    yield folder(own, prediction_type="v_prediction")
    yield folder(own, timestep_spacing="trailing")
    yield folder(own, timestep_spacing="leading")
    yield folder(own, {**SD2, "clip_sample": True, "steps_offset": 0})
    yield folder(own, without(SD2, "steps_offset", "set_alpha_to_one", "skip_prk_steps"))
    yield folder(own, without(SD2, "clip_sample"))


def timestep_hashes():
    for name in CLASSES:
        for spacing in SPACINGS[1:]:
            scheduler = load(None, folder(name, timestep_spacing=spacing))
            digest = hashlib.sha256()
            for steps in range(1, 201):
                scheduler.set_timesteps(steps)
                digest.update(scheduler.timesteps.float().numpy().astype("<f4").tobytes())
            yield {"scheduler": name, "spacing": spacing, "sha256": digest.hexdigest()}


def table_hashes():
    for schedule in ("scaled_linear", "linear", "squaredcos_cap_v2"):
        table = load(None, folder("ddim", {**SD2, "beta_schedule": schedule})).alphas_cumprod
        digest = hashlib.sha256(table.numpy().astype("<f4").tobytes()).hexdigest()
        yield {"schedule": schedule, "sha256": digest}


def split(made):
    """The file as it is written, each config once and no states; and the states of all cases in a row."""
    configs = []
    for row in made["cases"]:
        if row["config"] not in configs:
            configs.append(row["config"])
    rows = [{**without(row, "states"), "config": configs.index(row["config"])} for row in made["cases"]]
    return {"configs": configs, **made, "cases": rows}, [state for row in made["cases"] for state in row["states"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    check = parser.parse_args().check
    logging.disable(logging.WARNING)
    file, states = split(
        {"cases": list(cases()), "timesteps": list(timestep_hashes()), "tables": list(table_hashes())})
    if not check:
        lines = {key: ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) for key, rows in file.items()}
        FIXTURE.write_text("{\n" + ",\n".join(f'"{key}": [\n{text}\n]' for key, text in lines.items()) + "\n}\n")
        write_states(FIXTURE, states)
        return
    held = json.loads(FIXTURE.read_text())
    exact = lambda file: {**file, "cases": [without(row, "float32") for row in file["cases"]]}  # noqa: E731
    assert exact(held) == exact(file)
    torch.testing.assert_close(read_states(FIXTURE), torch.tensor(states, dtype=torch.float64), rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    main()
