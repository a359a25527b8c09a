"""The forms in which Stable Diffusion 2 was published, as diffusers' configurations: nothing here comes from a file.

Sources: the yaml files of github.com/Stability-AI/stablediffusion, and the keys of the diffusers folders of 2022.
Of `scheduler` the published v checkpoints and the upscaler have DDIM, the others PNDM; SD-Turbo Euler, trailing.
"""

from dataclasses import dataclass, field
from pathlib import Path

from store import write_json

START, END = 49406, 49407

TEXT = dict(
    vocab_size=49408, hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16,
    max_position_embeddings=77, hidden_act="gelu", layer_norm_eps=1e-5, projection_dim=512,
    bos_token_id=START, eos_token_id=END, pad_token_id=1,
)
UNET = dict(
    sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(320, 640, 1280, 1280),
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True,
)
X4_UNET = {
    **UNET, "sample_size": 128, "in_channels": 7, "block_out_channels": (256, 512, 512, 1024), "attention_head_dim": 8,
    "only_cross_attention": [True, True, True, False], "num_class_embeds": 1000,
    "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
    "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
}
VAE = dict(
    in_channels=3, out_channels=3, latent_channels=4, sample_size=768, scaling_factor=0.18215,
    block_out_channels=(128, 256, 512, 512), layers_per_block=2,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)
X4_VAE = {
    **VAE, "sample_size": 256, "scaling_factor": 0.08333, "block_out_channels": (128, 256, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3,
}
DPT = {
    "is_hybrid": True, "reassemble_factors": [1, 1, 1, 0.5], "neck_hidden_sizes": [256, 512, 768, 768],
    "backbone_config": {
        "model_type": "bit", "layer_type": "bottleneck", "global_padding": "same", "embedding_dynamic_padding": True,
        "out_features": ["stage1", "stage2", "stage3"], "depths": [3, 4, 9],
    },
}

# The keys and values of the scheduler files that Stable Diffusion 2 was published with in 2022.
SCHEDULER_2022 = {
    "_diffusers_version": "0.8.0",
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
X4_BETAS = {"beta_start": 0.0001, "beta_end": 0.02}
LOW_RES = {
    **X4_BETAS, "_class_name": "DDPMScheduler", "_diffusers_version": "0.8.0", "beta_schedule": "scaled_linear",
    "clip_sample": True, "num_train_timesteps": 1000, "prediction_type": "epsilon", "trained_betas": None,
    "variance_type": "fixed_small",
}


def scheduler(kind: str, prediction: str, **more) -> dict:
    return {**SCHEDULER_2022, "_class_name": kind, "prediction_type": prediction, **more}


PNDM = scheduler("PNDMScheduler", "epsilon")


@dataclass(frozen=True)
class Form:
    """One published checkpoint. `pipeline` is diffusers' class for it."""

    name: str
    pipeline: str = "StableDiffusionPipeline"
    unet: dict = field(default_factory=lambda: UNET)
    vae: dict = field(default_factory=lambda: VAE)
    scheduler: dict = field(default_factory=lambda: PNDM)

    @property
    def upscales(self) -> bool:
        return self.unet["in_channels"] == 7

    @property
    def has_depth(self) -> bool:
        return self.unet["in_channels"] == 5


FORMS = {form.name: form for form in (
    Form("base"),
    Form("768-v", unet={**UNET, "sample_size": 96}, scheduler=scheduler("DDIMScheduler", "v_prediction")),
    Form("turbo", scheduler=scheduler("EulerDiscreteScheduler", "epsilon", timestep_spacing="trailing")),
    Form("inpainting", "StableDiffusionInpaintPipeline", {**UNET, "in_channels": 9}),
    Form("depth", "StableDiffusionDepth2ImgPipeline", {**UNET, "in_channels": 5}),
    Form("x4-upscaling", "StableDiffusionUpscalePipeline", X4_UNET, X4_VAE,
         scheduler("DDIMScheduler", "v_prediction", **X4_BETAS)),
)}


def form_of(channels: int, prediction: str) -> Form:
    """The form of a UNet that takes so many channels. Raises KeyError where none does."""
    name = {4: "768-v" if prediction == "v_prediction" else "base", 5: "depth", 7: "x4-upscaling", 9: "inpainting"}
    return FORMS[name[channels]]


def model_index(form: Form) -> dict:
    index = {
        "_class_name": form.pipeline,
        "_diffusers_version": "0.8.0",
        "scheduler": ["diffusers", form.scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if form.upscales:
        return {**index, "low_res_scheduler": ["diffusers", "DDPMScheduler"], "max_noise_level": 350}
    if form.has_depth:
        return {**index, "depth_estimator": ["transformers", "DPTForDepthEstimation"],
                "feature_extractor": ["transformers", "DPTImageProcessor"]}
    return {**index, "feature_extractor": [None, None], "safety_checker": [None, None], "requires_safety_checker": False}


def save_schedulers(form: Form, folder: Path) -> None:
    """model_index.json and the schedulers' files: what of a folder has neither weights nor words."""
    write_json(folder / "model_index.json", model_index(form))
    write_json(folder / "scheduler" / "scheduler_config.json", form.scheduler)
    if form.upscales:
        write_json(folder / "low_res_scheduler" / "scheduler_config.json", LOW_RES)
