"""Writes test/fixtures/guidance.json: what diffusers' guidance does to model outputs, for test/model/guidance.test.ts.

rescale: rescale_noise_cfg. interval: the steps at which ClassifierFreeGuidance guides. threshold: the x0 and the
noise that DPMSolverMultistepScheduler takes from a guided output with `thresholding` on, with its alpha and sigma.
mimic: the "dynamic thresholding" of the webui extension of that name with its defaults, from its description.
Tensors are NCHW in float32, row-major.

    python tools/reference/guidance.py [--check]
"""

import argparse
import json
import pathlib

import torch
from diffusers import DPMSolverMultistepScheduler
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

FIXTURE = pathlib.Path(__file__).parents[2] / "test/fixtures/guidance.json"
SHAPE = [2, 4, 3, 5]
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
INTERVALS = [(0.0, 1.0, 10), (0.2, 0.8, 10), (0.3, 0.7, 25), (0.0, 0.5, 7), (0.1, 0.9, 3), (0.55, 1.0, 50)]


def rescale_case(u, c, scale, phi):
    guided = u + scale * (c - u)
    return {"scale": scale, "phi": phi, "output": flat(rescale_noise_cfg(guided, c, phi))}


def interval_case(start, stop, steps):
    guider = ClassifierFreeGuidance(guidance_scale=7.5, start=start, stop=stop)
    enabled = []
    for step in range(steps):
        guider.set_state(step=step, num_inference_steps=steps, timestep=torch.tensor(0))
        enabled.append(guider._is_cfg_enabled())
    return {"start": start, "stop": stop, "steps": steps, "guided": enabled}


def scheduler(prediction, algorithm, step, ratio, most):
    made = DPMSolverMultistepScheduler(
        **BETAS,
        prediction_type=prediction,
        algorithm_type=algorithm,
        thresholding=True,
        dynamic_thresholding_ratio=ratio,
        sample_max_value=most,
        final_sigmas_type="sigma_min",
    )
    made.set_timesteps(10)
    made._init_step_index(made.timesteps[step])
    return made


def threshold_case(u, c, x, prediction, step, scale, ratio, most):
    guided = u + scale * (c - u)
    # The only algorithm that asks for x0 in the end, and the one that asks for the noise.
    data = scheduler(prediction, "dpmsolver++", step, ratio, most)
    noise = scheduler(prediction, "dpmsolver", step, ratio, most)
    alpha, sigma = data._sigma_to_alpha_sigma_t(data.sigmas[data.step_index])
    return {
        "prediction": prediction,
        "scale": scale,
        "ratio": ratio,
        "most": most,
        "alpha": alpha.item(),
        "sigma": sigma.item(),
        "clean": flat(data.convert_model_output(guided, sample=x)),
        "noise": flat(noise.convert_model_output(guided, sample=x)),
    }


def mimic_case(u, c, x, alpha, sigma, scale, mimic, ratio):
    """v-prediction; each channel of each picture for itself, around its mean."""
    clean = lambda by: (alpha * x - sigma * (u + by * (c - u))).flatten(2)
    own, other = clean(scale), clean(mimic)
    centre = own.mean(2, keepdim=True)
    target = (other - other.mean(2, keepdim=True)).abs().amax(2, keepdim=True)
    quantile = torch.quantile((own - centre).abs(), ratio, dim=2, keepdim=True)
    limit = torch.maximum(target, quantile)
    drawn = (own - centre).clamp(-limit, limit) / limit * target + centre
    numbers = {"alpha": alpha, "sigma": sigma, "scale": scale, "mimic": mimic, "ratio": ratio}
    return {**numbers, "clean": flat(drawn)}


def flat(tensor):
    return tensor.flatten().tolist()


def make():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(11)
    u, c, x = (torch.randn(SHAPE, generator=generator) for _ in range(3))
    # Pictures with means and spreads of their own.
    u, c = u * 0.9 + 0.1, (c + u) * torch.tensor([0.6, 1.1]).view(2, 1, 1, 1) - 0.2
    return {
        "shape": SHAPE,
        "u": flat(u),
        "c": flat(c),
        "x": flat(x),
        "rescale": [rescale_case(u, c, scale, phi) for scale, phi in [(7.5, 0.7), (3.0, 1.0), (9.0, 0.0)]],
        "interval": [interval_case(*interval) for interval in INTERVALS],
        "threshold": [
            threshold_case(u, c, x, "epsilon", 1, 7.5, 0.995, 1.0),
            threshold_case(u, c, x, "epsilon", 8, 7.5, 0.9, 100.0),
            threshold_case(u, c, x, "v_prediction", 3, 7.5, 0.995, 100.0),
            threshold_case(u, c, x, "v_prediction", 6, 2.0, 0.5, 1.5),
        ],
        "mimic": [
            mimic_case(u, c, x, 0.6, 0.8, 15.0, 7.0, 1.0),
            mimic_case(u, c, x, 0.8, 0.6, 12.0, 1.0, 0.9),
        ],
    }


def same(ours, theirs):
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs or (isinstance(ours, float) and abs(ours - theirs) <= 1e-5 * max(1, abs(ours)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    check = parser.parse_args().check
    made = make()
    if not check:
        lines = ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in made.items())
        FIXTURE.write_text("{\n" + lines + "\n}\n")
    assert same(json.loads(FIXTURE.read_text()), made), "the committed values differ"


if __name__ == "__main__":
    main()
