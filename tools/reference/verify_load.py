"""Any checkpoint as a diffusers pipeline in f32 on the CPU, without network."""

import json
import shutil
import tempfile
from pathlib import Path

import diffusers
import torch
from safetensors import safe_open
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

from published import TEXT, form_of, save_schedulers
from store import write_json

FIRST = "model.diffusion_model.input_blocks.0.0.weight"


def open_checkpoint(path: Path, settings: dict):
    """The pipeline, and what the report should say about how it was opened."""
    torch_dtype = torch.float32
    if path.is_dir():
        kind, more = folder_parts(path)
        pipeline = kind.from_pretrained(path, torch_dtype=torch_dtype, local_files_only=True, **more)
        notes = []
    else:
        pipeline, notes = open_single_file(path, settings)
    pipeline.set_progress_bar_config(disable=True)
    for name in ("text_encoder", "unet", "vae", "depth_estimator"):
        model = getattr(pipeline, name, None)
        if model is not None:
            model.eval().requires_grad_(False).float()
    # diffusers asks for text_model.final_layer_norm; transformers 5 has no text_model around the layers any more.
    if not hasattr(pipeline.text_encoder, "text_model"):
        vars(pipeline.text_encoder)["text_model"] = pipeline.text_encoder
    if settings["scheduler"] is not None:
        pipeline.scheduler = swapped(pipeline.scheduler, settings["scheduler"])
    encode_contiguous(pipeline.vae)
    return pipeline, notes


def folder_parts(path: Path):
    index = json.loads((path / "model_index.json").read_text())
    kind = getattr(diffusers, index["_class_name"])
    more = {"safety_checker": None} if "safety_checker" in index else {}
    if "Depth" in index["_class_name"]:
        if (path / "feature_extractor").is_dir():
            # Pillow's resizing, whether or not torchvision is installed.
            more["feature_extractor"] = DPTImageProcessorPil.from_pretrained(path / "feature_extractor")
        elif index.get("depth_estimator", [None])[0] is None:
            more |= {"depth_estimator": None, "feature_extractor": None}
    if index.get("feature_extractor", [0])[0] is None or "requires_safety_checker" in index:
        more.setdefault("feature_extractor", None)
    return kind, more


def open_single_file(path: Path, settings: dict):
    with safe_open(path, "pt") as file:
        channels = file.get_slice(FIRST).get_shape()[1]
    form = form_of(channels, settings["prediction"])
    notes = [f"single file: diffusers read it with its from_single_file, as {form.name}"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_schedulers(form, folder)
        for part, config in (("text_encoder", TEXT), ("unet", form.unet), ("vae", form.vae)):
            write_json(folder / part / "config.json", config)
        shutil.copytree(settings["tokenizer"], folder / "tokenizer")
        if settings["config"] is not None:
            overlay(Path(settings["config"]), folder)
        scheduler = folder / "scheduler" / "scheduler_config.json"
        values = {**json.loads(scheduler.read_text()), "prediction_type": settings["prediction"]}
        write_json(scheduler, values)
        index = folder / "model_index.json"
        write_json(index, {**json.loads(index.read_text()), "scheduler": ["diffusers", values["_class_name"]]})
        more = {}
        if form.has_depth:
            notes.append("diffusers does not read the depth estimator of a single file: depth is given instead")
            more = {"depth_estimator": None, "feature_extractor": None}
        pipeline = getattr(diffusers, form.pipeline).from_single_file(
            str(path), config=str(folder), torch_dtype=torch.float32, local_files_only=True, **more)
    return pipeline, notes


def overlay(source: Path, folder: Path) -> None:
    """The JSON files and the tokenizer that are there take the place of the published ones."""
    for part in ("text_encoder", "unet", "vae", "scheduler"):
        for file in (source / part).glob("*.json"):
            if not file.name.endswith(".index.json"):
                shutil.copyfile(file, folder / part / file.name)
    if (source / "tokenizer").is_dir():
        shutil.rmtree(folder / "tokenizer")
        shutil.copytree(source / "tokenizer", folder / "tokenizer")


def swapped(scheduler, name: str):
    """The solvers that `--scheduler` of verify takes, from the checkpoint's own file."""
    kinds = {
        "ddim": diffusers.DDIMScheduler, "pndm": diffusers.PNDMScheduler, "euler": diffusers.EulerDiscreteScheduler,
        "heun": diffusers.HeunDiscreteScheduler, "lms": diffusers.LMSDiscreteScheduler,
        "dpmpp_2m": diffusers.DPMSolverMultistepScheduler, "deis": diffusers.DEISMultistepScheduler,
        "unipc": diffusers.UniPCMultistepScheduler,
    }
    return kinds[name].from_config(scheduler.config)


def encode_contiguous(vae) -> None:
    """Pictures come channels last in memory, and PyTorch's GroupNorm then loses a digit: 2e-5 from float64 instead of 1e-6."""
    encode = vae.encode
    vae.encode = lambda picture: encode(picture.contiguous())
