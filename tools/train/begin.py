"""Begins a training from a folder that was exported before: its networks, with fresh optimizers."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

DONE = 10**9  # more steps than any plan asks for


def begin_from(run, folder):
    """Fills an empty work folder with what `export` wrote: the autoencoder counts as trained, the rest goes on."""
    if (run.work / "vae.pt").exists():
        return
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32)
    text = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32)
    channels = vae.config.latent_channels
    # The export's 1x1 convolutions are level already.
    run.save("level.pt", {"mean": torch.zeros(channels), "gain": torch.ones(channels),
                          "scaling_factor": vae.config.scaling_factor})
    run.save("text.pt", text.state_dict())
    run.save("unet.pt", unet.state_dict())
    run.save("vae.pt", {"step": DONE, "vae": vae.state_dict(), "average": list(vae.parameters()), "optimizer": None})
    run.log(f"begins from {folder}")
