"""Goldens of diffusers' clip_skip: golden/<model>/clip_skip.safetensors, for a checkpoint of three layers or more."""

from pathlib import Path

from load import open_pipeline, token_ids
from store import write_tensors

PROMPT = "a photograph of an astronaut riding a horse"


def save_clip_skip(folder: Path, golden: Path) -> None:
    pipeline = open_pipeline(folder)
    layers = pipeline.text_encoder.config.num_hidden_layers
    if layers < 3:
        return
    skipped = {f"skip.{skip}": encode(pipeline, skip) for skip in range(1, layers)}
    write_tensors(golden / "clip_skip.safetensors", {"input_ids": token_ids(pipeline, [PROMPT]).int(), **skipped})


def encode(pipeline, skip: int):
    # diffusers asks for text_model.final_layer_norm; transformers 5 has no text_model around the layers any more.
    vars(pipeline.text_encoder)["text_model"] = pipeline.text_encoder
    context, _ = pipeline.encode_prompt(PROMPT, "cpu", 1, do_classifier_free_guidance=False, clip_skip=skip)
    return context
