"""Writes the fixtures of the depth estimator: a tiny DPT-hybrid, its goldens, and the names at full size.

    python tools/reference/depth.py            # test/fixtures/{tiny-depth,golden/tiny-depth}, dpt-hybrid-keys.json
    python tools/reference/depth.py --check    # compares with what is committed

transformers runs a hybrid on square pictures of one size only. For others `predict` calls the same modules
with the size that they ask for; on a square it must give the model's own result.
"""

import os
from pathlib import Path
from types import SimpleNamespace

# Before torch: its own threads would change the order of sums.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionDepth2ImgPipeline
from PIL import Image
from transformers import DPTConfig, DPTForDepthEstimation
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil, get_resize_output_image_size

from blocks import renamed, share_equal
from load import FIXTURES
from published import DPT
from record import record
from regenerate import regenerate
from store import write_json, write_tensors
from weights import randomize, round_to_f16

SEED = 20
BACKBONE = {
    "model_type": "bit", "layer_type": "bottleneck", "global_padding": "same", "embedding_dynamic_padding": True,
    "out_features": ["stage1", "stage2", "stage3"],
}
# Widths that are no multiples of four, and no two alike where they could be mixed up. Bottlenecks have at least 8.
TINY = {
    "is_hybrid": True, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 40,
    "image_size": 64, "patch_size": 16, "backbone_out_indices": [0, 1, 1, 2], "backbone_featmap_shape": [1, 32, 4, 4],
    "reassemble_factors": [1, 1, 1, 0.5], "neck_hidden_sizes": [16, 24, 14, 10], "fusion_hidden_size": 10,
    "backbone_config": {
        **BACKBONE, "embedding_size": 8, "hidden_sizes": [16, 24, 32, 40], "depths": [2, 1, 2], "num_groups": 4,
    },
}
PROCESSOR = {"size": {"height": 64, "width": 64}}

BIT = "dpt.embeddings.backbone.bit"
MODULES = [
    f"{BIT}.embedder", f"{BIT}.encoder.stages.0.layers.0", f"{BIT}.encoder.stages.0.layers.1",
    f"{BIT}.encoder.stages.1.layers.0", "dpt.embeddings", "dpt.encoder.layer.0", "neck.reassemble_stage",
    "neck.fusion_stage.layers.0", "neck.fusion_stage.layers.1", "neck.fusion_stage.layers.1.residual_layer1", "head",
]
QUIET_MODULE = f"{BIT}.encoder.stages.1.layers.0"
QUIET = 0.01


def save_all(folder: Path) -> None:
    save_names(folder / "dpt-hybrid-keys.json")
    model = tiny_model()
    save_model(model, folder / "tiny-depth")
    tensors, entries = goldens(model)
    kept = share_equal(tensors)
    names = lambda value: {key: renamed(part, kept) for key, part in value.items()}
    entries = [{**entry, "inputs": names(entry["inputs"]), "output": renamed(entry["output"], kept)}
               for entry in entries]
    golden = folder / "golden" / "tiny-depth"
    write_tensors(golden / "depth.safetensors", {name: tensors[name] for name in kept.values()})
    write_json(golden / "blocks.json", entries, indent=None)
    write_json(golden / "sizes.json", input_sizes(), indent=None)


def save_names(path: Path) -> None:
    with torch.device("meta"):
        model = DPTForDepthEstimation(DPTConfig(**DPT))
    tensors = {name: list(tensor.shape) for name, tensor in sorted(model.state_dict().items())}
    write_json(path, {"config": plain(model.config), "tensors": tensors}, indent=None)


def plain(config: DPTConfig) -> dict:
    """What a folder's config.json says, without what names versions and classes."""
    values = config.to_dict()
    for part in (values, values["backbone_config"]):
        for key in ("transformers_version", "architectures", "_name_or_path", "dtype", "id2label", "label2id"):
            part.pop(key, None)
    return values


@torch.no_grad()
def tiny_model() -> DPTForDepthEstimation:
    model = DPTForDepthEstimation(DPTConfig(**TINY)).eval().requires_grad_(False)
    randomize(model, "depth_estimator", SEED)
    # The last ReLU cuts off a few of the pixels, not most.
    last = model.head.head[4]
    before = []
    hook = last.register_forward_hook(lambda module, args, output: before.append(output))
    predict(model, pixels(picture(64, 96, 1)))
    hook.remove()
    last.bias -= torch.quantile(before[0], 0.1)
    round_to_f16(model)
    return model


def save_model(model: DPTForDepthEstimation, folder: Path) -> None:
    halves = {name: tensor.half() for name, tensor in model.state_dict().items()}
    write_tensors(folder / "depth_estimator" / "model.safetensors", halves)
    write_json(folder / "depth_estimator" / "config.json", plain(model.config))
    write_json(folder / "feature_extractor" / "preprocessor_config.json",
               DPTImageProcessorPil(**PROCESSOR).to_dict())


def goldens(model: DPTForDepthEstimation) -> tuple[dict, list]:
    wide = pixels(picture(32, 64, 2))
    tensors, entries = record(model, MODULES, lambda: predict(model, wide), "32x64", "depth_estimator")
    # Inputs this small show a wrong epsilon, which unit-sized ones hide.
    quiet = QUIET * torch.randn((1, 16, 4, 6), generator=torch.Generator("cpu").manual_seed(SEED))
    block = model.get_submodule(QUIET_MODULE)
    recorded = record(model, [QUIET_MODULE], lambda: block(quiet), "quiet", "depth_estimator")
    tensors.update(recorded[0])
    entries += recorded[1]
    keep = lambda name, pictures: tensors.update({
        f"{name}/pictures": torch.from_numpy(np.stack(pictures)),
        f"{name}/depth": predict(model, torch.cat([pixels(p) for p in pictures])),
    })
    keep("32x64", [picture(32, 64, 2)])
    keep("64x32", [picture(64, 32, 3), picture(64, 32, 4)])
    tensors.update(pipeline_goldens(model))
    for entry in entries:
        # The size of the token grid, which the module is given.
        entry["inputs"] = {key: value for key, value in entry["inputs"].items() if not key.startswith("patch_")}
    return tensors, entries


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Waves of a few sizes with a little noise: u8 [height, width, 3]."""
    random = np.random.Generator(np.random.PCG64(seed))
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(random.uniform(-0.3, 0.3) * y + random.uniform(-0.3, 0.3) * x + random.uniform(0, 6)) for _ in range(9)
    ]
    color = np.stack([sum(waves[3 * c:3 * c + 3]) for c in range(3)], axis=-1)
    noise = random.normal(0, 10, color.shape)
    return np.clip(127.5 + 45 * color + noise, 0, 255).round().astype(np.uint8)


def pixels(image: np.ndarray) -> torch.Tensor:
    """As the processor has them, without its resizing."""
    processor = DPTImageProcessorPil(do_resize=False)
    return processor(images=[Image.fromarray(image)], return_tensors="pt").pixel_values.float()


@torch.no_grad()
def predict(model: DPTForDepthEstimation, values: torch.Tensor) -> torch.Tensor:
    """DPTForDepthEstimation.forward for pictures of any multiple of 32: [B, 3, H, W] -> [B, H, W]."""
    embedded = model.dpt.embeddings(values, interpolate_pos_encoding=True)
    hidden, kept = embedded.last_hidden_states, list(embedded.intermediate_activations)
    for index, layer in enumerate(model.dpt.encoder.layer):
        hidden = layer(hidden)
        kept += [hidden] * (index in model.config.backbone_out_indices[2:])
    patch = model.config.patch_size
    features = model.neck(kept, values.shape[2] // patch, values.shape[3] // patch)
    depth = model.head(features)
    if tuple(values.shape[2:]) == (model.config.image_size,) * 2:
        assert torch.equal(depth, model(values).predicted_depth)
    return depth


def pipeline_goldens(model: DPTForDepthEstimation) -> dict:
    """From pictures, and from a given map, to the latents that diffusers puts beside the noise."""
    processor = DPTImageProcessorPil(**PROCESSOR)
    image = picture(40, 56, 5)
    prepare = lambda depth_map: StableDiffusionDepth2ImgPipeline.prepare_depth_map(
        SimpleNamespace(feature_extractor=processor, depth_estimator=model, vae_scale_factor=8),
        Image.fromarray(image), depth_map, 1, False, torch.float32, torch.device("cpu"),
    )
    values = processor(images=[Image.fromarray(image)], return_tensors="pt").pixel_values
    resized = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BICUBIC))
    assert torch.equal(values, pixels(resized))
    given = 4000 * torch.from_numpy(picture(37, 53, 6)[None, :, :, 0].astype(np.float32) / 255)
    return {
        "pipeline/picture": torch.from_numpy(image),
        "pipeline/resized": torch.from_numpy(resized.copy()),
        "pipeline/pixel_values": values[:, :, 20:28, 40:48],
        "pipeline/latents": prepare(None),
        "given/depth_map": given,
        "given/latents": prepare(given),
    }


def input_sizes() -> list:
    """What the processor makes of pictures' sizes: [height, width] in, what it is told, [height, width] out."""
    pictures = [(512, 512), (768, 512), (512, 768), (480, 640), (333, 1000), (1000, 333), (40, 56), (400, 393)]
    told = [([384, 384], False, 1), ([384, 384], True, 1), ([384, 384], True, 32), ([320, 448], True, 64),
            ([400, 400], False, 32), ([48, 80], False, 32)]
    return [
        {"from": [height, width], "size": size, "keepAspectRatio": keep, "ensureMultipleOf": multiple,
         "to": [int(n) for n in (out.height, out.width)]}
        for height, width in pictures for size, keep, multiple in told
        for out in [get_resize_output_image_size(np.empty((3, height, width)), size, keep, multiple)]
    ]


if __name__ == "__main__":
    regenerate(save_all, __doc__)
