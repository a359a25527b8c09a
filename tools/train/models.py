"""The three networks: SD2's own classes and block types, small. Sizes are data; the code is diffusers'."""

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

VAE = dict(
    sample_size=128,
    block_out_channels=(16, 32, 64, 128),
    layers_per_block=1,
    norm_num_groups=4,
    latent_channels=4,
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
)

TEXT = dict(
    hidden_size=128,
    intermediate_size=512,
    num_hidden_layers=3,
    num_attention_heads=4,
    max_position_embeddings=77,
    hidden_act="gelu",
    projection_dim=128,
)

# 0.54 GFLOP per evaluation of one sample. attention_head_dim counts heads, as in SD2's own config.
UNET = dict(
    sample_size=16,
    in_channels=4,
    out_channels=4,
    block_out_channels=(64, 96, 128),
    layers_per_block=1,
    norm_num_groups=16,
    cross_attention_dim=128,
    attention_head_dim=(2, 3, 4),
    use_linear_projection=True,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
)

# SD2's 768-v, as published.
SCHEDULE = dict(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    num_train_timesteps=1000,
    prediction_type="v_prediction",
    clip_sample=False,
    set_alpha_to_one=False,
    steps_offset=1,
)


def make_vae():
    return AutoencoderKL(**VAE)


def make_text_encoder(vocabulary_size):
    """The two last ids are the start and the end of text, as in CLIP; padding is id 0."""
    config = CLIPTextConfig(
        **TEXT, vocab_size=vocabulary_size, bos_token_id=vocabulary_size - 2,
        eos_token_id=vocabulary_size - 1, pad_token_id=0,
    )
    return CLIPTextModel(config)


def make_unet():
    return UNet2DConditionModel(**UNET)


def make_schedule():
    return DDIMScheduler(**SCHEDULE)
