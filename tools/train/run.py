"""What every stage of training shares: where it runs, its log, its checkpoints and its moving average."""

import contextlib
import os
import time

import torch


class Run:
    """One stage's folder and device. Checkpoints are written whole or not at all."""

    def __init__(self, work, device, threads=0, save_every=170):
        self.threads = threads
        if threads:
            torch.set_num_threads(threads)
        self.work, self.device, self.save_every = work, torch.device(device), save_every
        self.saved_at = time.time()
        work.mkdir(parents=True, exist_ok=True)

    def log(self, text):
        line = f"{time.strftime('%H:%M:%S')} {text}"
        print(line, flush=True)
        with open(self.work / "log", "a") as file:
            file.write(line + "\n")

    def autocast(self):
        """bf16 on a GPU, and on a CPU that multiplies it (a quarter faster on Zen 4); else f32."""
        if self.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported():
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def load(self, name):
        path = self.work / name
        return torch.load(path, map_location=self.device) if path.exists() else None

    def save(self, name, state):
        partial = self.work / (name + ".part")
        torch.save(state, partial)
        os.replace(partial, self.work / name)
        self.saved_at = time.time()

    def share_cores(self):
        """As many threads as cores are idle: threads that wait for a core they share are slower than one alone."""
        if self.threads == 0 and self.device.type == "cpu":
            others = round(os.getloadavg()[0] - torch.get_num_threads())
            torch.set_num_threads(max(1, os.cpu_count() - max(0, others)))

    def is_time_to_save(self):
        return time.time() - self.saved_at > self.save_every


class Average:
    """Exponential moving average of parameters, with a warm-up so that early averages are useful."""

    def __init__(self, parameters, decay):
        self.parameters, self.decay = list(parameters), decay
        self.values = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self, step):
        keep = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [p.detach() for p in self.parameters], 1 - keep)

    @torch.no_grad()
    def swap(self):
        """Exchanges the averages with the live values; call again to undo."""
        for value, parameter in zip(self.values, self.parameters):
            kept = value.clone()
            value.copy_(parameter)
            parameter.copy_(kept)


def rate_at(step, steps, warm_up):
    """Linear warm-up, constant, then a linear fall to zero over the last third."""
    return min(step / warm_up, 1.0, max(0.0, (steps - step) / (steps / 3)))
