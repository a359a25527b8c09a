"""Keeps what goes into and comes out of chosen modules while a model runs."""

import inspect

import torch
from torch import nn


def record(model: nn.Module, paths: list[str], run, prefix: str, component: str) -> tuple[dict, list[dict]]:
    """Runs run() and returns the tensors by name, and one entry per module that says which is which."""
    tensors, entries, hooks = {}, [], []

    def keep(path: str):
        def hook(module, args, kwargs, output):
            entries.append(entry(module, path, args, kwargs, output, prefix, component, tensors))
        return hook

    for path in paths:
        hooks.append(model.get_submodule(path).register_forward_hook(keep(path), with_kwargs=True))
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return tensors, sorted(entries, key=lambda e: e["name"])


def entry(module, path, args, kwargs, output, prefix, component, tensors) -> dict:
    name = f"{prefix}/{path}" if path else prefix
    bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    inputs = {argument: value for argument, value in bound.items()
              if is_data(value) and argument != "attention_mask"}
    return {
        "class": type(module).__name__,
        "component": component,
        "inputs": {argument: store(value, f"{name}/{argument}", tensors) for argument, value in inputs.items()},
        "module": path,
        "name": name,
        "output": store(unwrap(output), f"{name}/output", tensors),
    }


def is_data(value) -> bool:
    return isinstance(value, (torch.Tensor, int, float)) and not isinstance(value, bool) or (
        isinstance(value, (tuple, list)) and len(value) > 0
    )


def unwrap(output):
    if isinstance(output, torch.Tensor):
        return output
    values = output.to_tuple() if hasattr(output, "to_tuple") else output
    kept = [value for value in values if value is not None]
    return kept[0] if len(kept) == 1 else tuple(kept)


def store(value, name: str, tensors: dict):
    """A tensor becomes its name in the file, a tuple a list of names, a number stays."""
    if isinstance(value, (tuple, list)):
        return [store(part, f"{name}.{index}", tensors) for index, part in enumerate(value)]
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    tensors[name] = value.to(torch.int32) if value.dtype == torch.int64 else value.clone()
    return name
