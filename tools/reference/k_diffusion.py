"""Solvers that diffusers lacks, written from their papers in numpy, as references for solver_traces.py.

dpmpp_2s_a: Lu et al. 2022, "DPM-Solver++" (arXiv 2211.01095), algorithm 1 with r1 = 1/2, from sigma to the
sigma_down of an ancestral step (Song et al. 2021, arXiv 2011.13456, appendix F; eta = 1), with noise of
deviation sigma_up after it while there is a next sigma. Katherine Crowson's k-diffusion combined them so
under the name sample_dpmpp_2s_ancestral.
euler_a: the ancestral step alone, by Euler's method, for the sigma spacings that diffusers' class lacks; a noise
is drawn for the last step too, as that class does. Sigmas, timesteps and first samples are EulerDiscreteScheduler's.
"""

import math

import numpy as np

SAMPLERS = ["dpmpp_2s_a"]


def model(x, t):
    return np.sin(1.3 * x + 0.01 * t) + 0.2 * x


def trace(name, swapped, config, steps, more, start, first_noise, noise, strength):
    assert name in ("dpmpp_2s_a", "euler_a")
    scheduler = swapped("EulerDiscreteScheduler", config, **more)
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.double().numpy()
    timesteps = scheduler.timesteps.double().numpy()
    skipped = 0 if strength is None else steps - min(int(steps * strength), steps)
    if strength is None:
        x, begin = np.array(start) * float(scheduler.init_noise_sigma), None
    else:
        x, begin = np.array(start) + sigmas[skipped] * np.array(first_noise), [1.0, float(sigmas[skipped])]
    table = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5
    log_table = np.log(table.numpy()).astype(np.float64)
    prediction = scheduler.config.prediction_type
    calls, states, draws = [], [], 0

    def clean(x, sigma, t):
        """x0 of the model at sigma, which sees x scaled to unit variance."""
        t = float(np.float32(t))
        calls.append(t)
        m = model(x / math.sqrt(sigma**2 + 1), t)
        if prediction == "epsilon":
            return x - sigma * m
        return x / (sigma**2 + 1) - m * sigma / math.sqrt(sigma**2 + 1)

    for i in range(skipped, len(timesteps)):
        sigma, following = sigmas[i], sigmas[i + 1]
        up = math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2)
        down = math.sqrt(following**2 - up**2)
        x0 = clean(x, sigma, timesteps[i])
        if name == "euler_a" or down == 0:
            x = x + (x - x0) / sigma * (down - sigma)
        else:
            h = math.log(sigma / down)
            middle = sigma * math.exp(-h / 2)
            u = math.exp(-h / 2) * x + (1 - math.exp(-h / 2)) * x0
            states.append(u.tolist())
            x = math.exp(-h) * x + (1 - math.exp(-h)) * clean(u, middle, np.interp(math.log(middle), log_table, np.arange(1000)))
        if following > 0 or name == "euler_a":
            draws += 1
            x = x + up * np.array(noise(draws))
        states.append(x.tolist())
    return float(scheduler.init_noise_sigma), begin, calls, states, draws


