/** Single files in the original's layout, at full size: headers as the original's classes have them, no bytes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { encodeHalf } from "../../engine/dtype.ts";
import type { StoredDtype } from "../../engine/safetensors.ts";
import { textConfig, unetConfig, vaeConfig } from "../../model/config.ts";
import { openSingleFile } from "../../model/single-file.ts";
import { createSampler } from "../../sampler/index.ts";
import { failsWith } from "../support/byte-source.ts";
import {
  emaNamed,
  type HeaderTensor,
  hollowSource,
  type LdmKey,
  PUBLISHED_NAMES,
  publishedKeys,
} from "../support/ldm.ts";

/** Configurations as diffusers writes them for SD2 at full size. */
const SD2 = JSON.parse(readFileSync(new URL("../fixtures/sd2-keys.json", import.meta.url), "utf8"));

const NORM_BIAS = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias";

/** Halves whose standard deviation is `size`: it and its negative in turn. */
const alternating = (size: number) => (name: string, bytes: Uint8Array) => {
  if (!name.endsWith(".norm1.bias") && !name.endsWith("norm1bias")) return bytes;
  const values = Array.from({ length: bytes.length / 2 }, (_, i) => (i % 2 ? size : -size));
  return new Uint8Array(encodeHalf(values).buffer);
};

const open = (tensors: readonly HeaderTensor[], bias = 0) =>
  openSingleFile(hollowSource(tensors, { fill: alternating(bias) }));

/** The tensors that diffusers makes of `part`, with the names that text encoders have today. */
const namesOf = (keys: readonly LdmKey[], part: string) =>
  keys
    .filter((key) => key.part === part)
    .flatMap(({ names }) => names.map((name) => name.replace(/^text_model\./, "")))
    .sort();

describe("a single file of", () => {
  const bias = (name: string) => (name.endsWith("-v") ? 0.2 : 0.02);

  for (const name of PUBLISHED_NAMES) {
    describe(name, () => {
      const keys = publishedKeys(name);

      it("has every tensor under the name that diffusers gives it, and no other", async () => {
        await using model = await open(keys, bias(name));
        for (const [part, component] of [
          ["text_encoder", model.textEncoder],
          ["unet", model.unet],
          ["vae", model.vae],
        ] as const) {
          assert.deepEqual([...(await component.tensors()).keys()].sort(), namesOf(keys, part));
        }
        assert.deepEqual(model.warnings, []);
      });

      it("is mapped whole: each tensor is used, the depth estimator's, or ignored by name", async () => {
        await using model = await open(keys, bias(name));
        const unused = keys.filter(({ names, part }) => names.length === 0 && part !== "depth");
        const known =
          /^(low_scale_model\.)?(betas|alphas_cumprod(_prev)?|(sqrt|log|posterior)_\w+)$|^cond_stage_model\.model\.(text_projection|logit_scale|transformer\.resblocks\.23\..*)$/;
        assert.deepEqual(
          unused.map((key) => key.name).filter((name) => !known.test(name)),
          [],
        );
        const depth = keys.filter(({ part }) => part === "depth").map((key) => key.name);
        assert.deepEqual(
          [...(model.depth?.keys() ?? [])].map((name) => `depth_model.model.${name}`),
          depth,
        );
      });
    });
  }

  it("the depth form holds the depth estimator, by its own names", async () => {
    await using model = await open(publishedKeys("v2-midas-inference"));
    assert.deepEqual(model.depth?.get("pretrained.model.cls_token")?.shape, [1, 1, 768]);
    assert.ok(model.depth?.has("pretrained.act_postprocess3.0.project.0.bias"));
    assert.equal(model.depth?.get("scratch.output_conv.4.bias")?.shape[0], 1);
  });
});

describe("what a single file is", () => {
  const kinds: [name: string, bias: number, kind: string, prediction: string, by: string][] = [
    ["v2-inference", 0.02, "base", "epsilon", "norm-bias"],
    ["v2-inference-v", 0.2, "base", "v_prediction", "norm-bias"],
    ["v2-midas-inference", 0.2, "depth", "epsilon", "kind"],
    ["v2-inpainting-inference", 0.2, "inpainting", "epsilon", "kind"],
    ["x4-upscaling", 0.02, "x4-upscaling", "v_prediction", "kind"],
  ];
  for (const [name, bias, kind, prediction, by] of kinds) {
    it(`${name}: ${kind}, ${prediction}`, async () => {
      const source = hollowSource(publishedKeys(name), { fill: alternating(bias) });
      await using model = await openSingleFile(source);
      const { normBias, ...detected } = model.detected;
      assert.deepEqual(detected, { kind, prediction, by, layout: "ldm" });
      assert.equal(model.scheduler.predictionType, prediction);
      if (by === "norm-bias") assert.ok(Math.abs(normBias! - bias) < 1e-4);
      // One norm's bias: 320 halves.
      assert.equal(source.dataRead, by === "norm-bias" ? 640 : 0);
    });
  }

  it("has the configurations that diffusers writes for it", async () => {
    await using model = await open(publishedKeys("v2-inference-v"), 0.2);
    assert.deepEqual(model.unet.config, {
      ...unetConfig(SD2.unet.config),
      sampleSize: [96, 96],
    });
    assert.deepEqual(model.vae.config, { ...vaeConfig(SD2.vae.config), sampleSize: 768 });
    const text = textConfig(SD2.text_encoder.config);
    assert.deepEqual(model.textEncoder.config, { ...text, padTokenId: 0 });
  });

  it("the upscaler: 8 heads, text in the first attention of three levels, a label for the noise", async () => {
    await using model = await open(publishedKeys("x4-upscaling"));
    const { unet, vae } = model;
    assert.deepEqual(unet.config.blockOutChannels, [256, 512, 512, 1024]);
    assert.deepEqual(unet.config.numAttentionHeads, [8, 8, 8, 8]);
    assert.deepEqual(unet.config.downBlockTypes, [
      "DownBlock2D",
      ...Array(3).fill("CrossAttnDownBlock2D"),
    ]);
    assert.deepEqual(unet.config.onlyCrossAttention.slice(1), [true, true, false]);
    assert.equal(unet.config.numClassEmbeds, 1000);
    assert.deepEqual(vae.config.blockOutChannels, [128, 256, 512]);
    assert.equal(vae.config.scalingFactor, 0.08333);
    const { values } = model.scheduler;
    assert.deepEqual([values.beta_start, values.beta_end], [0.0001, 0.02]);
    // The largest sigma in float64; samplers multiply 1000 alphas in float32, as diffusers does.
    const { initNoiseSigma } = createSampler("euler", values, 75);
    assert.ok(Math.abs(initNoiseSigma / 36.911912 - 1) < 1000 * 2 ** -24);
  });

  it("the heads are 64 wide in the others, and the latents those of SD2", async () => {
    for (const name of PUBLISHED_NAMES.slice(0, 4)) {
      await using model = await open(publishedKeys(name));
      assert.deepEqual(model.unet.config.numAttentionHeads, [5, 10, 20, 20]);
      assert.ok(model.unet.config.useLinearProjection);
      assert.equal(model.vae.config.scalingFactor, 0.18215);
      assert.equal(model.textEncoder.config.numHiddenLayers, 23);
      assert.equal(model.textEncoder.config.geluApproximate, "none");
    }
  });

  it("projections by convolution are told by their rank", async () => {
    const keys = publishedKeys("v2-inference").map((key) =>
      key.part === "unet" && /\.proj_(in|out)\.weight$/.test(key.name)
        ? { ...key, shape: [...key.shape, 1, 1] }
        : key,
    );
    await using model = await open(keys);
    assert.equal(model.unet.config.useLinearProjection, false);
  });

  it("a scheduler as a file without timestep_spacing: each solver takes its own", async () => {
    await using eps = await open(publishedKeys("v2-inference"));
    await using v = await open(publishedKeys("v2-inference-v"), 0.2);
    assert.deepEqual([eps.scheduler.scheduler, v.scheduler.scheduler], ["pndm", "ddim"]);
    const times = (name: string | undefined) =>
      createSampler(name, v.scheduler.values, 25).rows.map(({ timestep }) => timestep);
    assert.deepEqual(times(undefined).slice(0, 2), [961, 921]);
    assert.deepEqual(times("euler").slice(0, 2), [999, 957.375]);
  });
});

describe("a single file may also be", () => {
  for (const dtype of ["F32", "BF16"] as const) {
    it(`of ${dtype}`, async () => {
      const source = hollowSource(publishedKeys("v2-inpainting-inference"), { dtype });
      await using model = await openSingleFile(source);
      const conv = (await model.unet.tensors()).get("conv_in.weight")!;
      assert.deepEqual([conv.dtype, conv.shape], [dtype, [320, 9, 3, 3]]);
    });
  }

  it("of the moving average alone, whose names have no dots", async () => {
    const keys = publishedKeys("v2-inference");
    const flat = keys.map((key) =>
      key.part === "unet" ? { ...key, name: emaNamed(key.name) } : key,
    );
    const counters = ["model_ema.decay", "model_ema.num_updates"].map((name) => ({
      name,
      shape: [],
    }));
    await using model = await open([...flat, ...counters], 0.2);
    assert.equal(model.detected.layout, "ldm-ema");
    assert.equal(model.detected.prediction, "v_prediction");
    assert.deepEqual([...(await model.unet.tensors()).keys()].sort(), namesOf(keys, "unet"));
  });

  it("of the moving average for the upscaler", async () => {
    const keys = publishedKeys("x4-upscaling");
    const flat = keys.map((key) =>
      key.part === "unet" ? { ...key, name: emaNamed(key.name) } : key,
    );
    await using model = await open(flat);
    assert.deepEqual([...(await model.unet.tensors()).keys()].sort(), namesOf(keys, "unet"));
  });

  it("with the moving average beside the weights, which it does not replace", async () => {
    const keys = publishedKeys("v2-inference");
    const both = keys.flatMap((key) =>
      key.part === "unet" ? [{ ...key, name: emaNamed(key.name) }, key] : [key],
    );
    const source = hollowSource(both, {
      // The average's bias says v, the weights' own says noise.
      fill: (name, bytes) => alternating(name === NORM_BIAS ? 0.01 : 0.3)(name, bytes),
    });
    await using model = await openSingleFile(source);
    assert.equal(model.detected.layout, "ldm");
    assert.equal(model.detected.prediction, "epsilon");
    assert.deepEqual(model.warnings, []);
  });

  it("with tensors of nothing known, which are left out with a warning", async () => {
    const stray = { name: "embedding_manager.x", shape: [3] };
    await using model = await open([...publishedKeys("v2-inference"), stray]);
    assert.equal(model.warnings.length, 1);
    assert.match(model.warnings[0]!, /embedding_manager\.x/);
  });

  it("converted back from diffusers: 23 text layers, and nothing of CLIP's projection", async () => {
    const keys = publishedKeys("v2-inference").filter(({ names }) => names.length > 0);
    await using model = await open(keys);
    assert.equal(model.textEncoder.config.numHiddenLayers, 23);
  });
});

describe("a file that is refused", () => {
  const base = publishedKeys("v2-inference");
  const only = (part: string) => base.filter((key) => key.part === part);
  const sized = (name: RegExp, shape: number[]) =>
    base.map((key) => (name.test(key.name) ? { ...key, shape } : key));
  const named = (name: string, shape = [1]) => [{ name, shape }];
  const UNET = "model.diffusion_model";
  const files: [what: string, tensors: readonly HeaderTensor[], code: string, message: RegExp][] = [
    [
      "SD 1.5",
      [
        ...base.filter(({ part }) => part !== "text_encoder"),
        ...named("cond_stage_model.transformer.text_model.final_layer_norm.weight", [768]),
      ],
      "WEIGHTS_MISMATCH",
      /looks like a checkpoint of SD 1\.x/,
    ],
    [
      "SD 1.5's UNet",
      sized(/attn2\.to_k\.weight$/, [320, 768]),
      "WEIGHTS_MISMATCH",
      /SD 1\.x \(its text is 768 wide\)/,
    ],
    [
      "SDXL",
      [...base, ...named("conditioner.embedders.0.transformer.text_model.final_layer_norm.bias")],
      "WEIGHTS_MISMATCH",
      /looks like a checkpoint of SDXL/,
    ],
    [
      "unCLIP",
      [...base, ...named("embedder.model.ln_final.weight", [1024])],
      "WEIGHTS_MISMATCH",
      /unCLIP/,
    ],
    [
      "unCLIP's UNet",
      [...base, ...named(`${UNET}.label_emb.0.0.weight`)],
      "WEIGHTS_MISMATCH",
      /unCLIP/,
    ],
    ["SD3", named(`${UNET}.joint_blocks.0.x_block.mlp.fc1.weight`), "WEIGHTS_MISMATCH", /SD3/],
    [
      "InstructPix2Pix",
      sized(/input_blocks\.0\.0\.weight$/, [320, 8, 3, 3]),
      "WEIGHTS_MISMATCH",
      /InstructPix2Pix/,
    ],
    [
      "a UNet of 6 channels",
      sized(/input_blocks\.0\.0\.weight$/, [320, 6, 3, 3]),
      "WEIGHTS_MISMATCH",
      /takes 6 channels; expected 4, 5/,
    ],
    [
      "a LoRA",
      named("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"),
      "WEIGHTS_MISMATCH",
      /not a whole checkpoint.*LoRA/,
    ],
    ["a VAE", only("vae"), "WEIGHTS_MISMATCH", /no UNet.*no text encoder/],
    [
      "a VAE without prefix",
      only("vae").map((key) => ({ ...key, name: key.name.replace("first_stage_model.", "") })),
      "WEIGHTS_MISMATCH",
      /looks like a VAE in the LDM naming/,
    ],
    ["a UNet", only("unet"), "WEIGHTS_MISMATCH", /no VAE.*no text encoder/],
    [
      "a file of a diffusers folder",
      named("down_blocks.0.resnets.0.norm1.weight").concat(named("time_embedding.linear_1.bias")),
      "WEIGHTS_MISMATCH",
      /looks like a UNet of Stable Diffusion 2/,
    ],
    ["one tensor short", base.slice(0, -1), "WEIGHTS_MISMATCH", /expected \[.*found none/],
    [
      "a block too many",
      [...base, ...named(`${UNET}.output_blocks.12.0.in_layers.0.weight`, [320])],
      "WEIGHTS_MISMATCH",
      /unet\.up_blocks\.4\.resnets\.0\.norm1\.weight expected none/,
    ],
    [
      "an unknown name in a part",
      [...base, ...named(`${UNET}.adapter.weight`)],
      "WEIGHTS_MISMATCH",
      /unet\.adapter\.weight expected none/,
    ],
    [
      "weights in 8 bits",
      base.map((key) => ({ ...key, dtype: "F8_E4M3" as StoredDtype })),
      "WEIGHTS_DTYPE",
      /F8_E4M3/,
    ],
    [
      "another vocabulary",
      sized(/token_embedding\.weight$/, [1214, 1024]),
      "TOKENIZER",
      /knows 1214 tokens, but CLIP's vocabulary has 49408/,
    ],
    [
      "text of another width than the UNet's",
      sized(/attn2\.to_k\.weight$/, [320, 1280]),
      "CONFIG",
      /cross_attention_dim is 1280, but text_encoder: hidden_size is 1024/,
    ],
    [
      "a model of unusual width",
      sized(/input_blocks\.1\.0\.out_layers\.3\.weight$/, [48, 48, 3, 3]),
      "CONFIG",
      /the UNet is 48 wide/,
    ],
  ];
  for (const [what, tensors, code, message] of files) {
    it(`${what}: ${code}`, () => failsWith(open(tensors), code, message));
  }
});
