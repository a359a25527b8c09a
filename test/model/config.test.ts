import assert from "node:assert/strict";
import fc from "fast-check";
import { DiffusionError } from "../../engine/errors.ts";
import {
  modelIndex,
  schedulerConfig,
  textConfig,
  unetConfig,
  vaeConfig,
} from "../../model/config.ts";

/** The unet/config.json of the published 768-v folder, where it differs from the class defaults. */
const SD2 = {
  _class_name: "UNet2DConditionModel",
  attention_head_dim: [5, 10, 20, 20],
  cross_attention_dim: 1024,
  sample_size: 96,
  use_linear_projection: true,
  upcast_attention: true,
};
const X4 = {
  in_channels: 7,
  block_out_channels: [256, 512, 512, 1024],
  attention_head_dim: 8,
  cross_attention_dim: 1024,
  only_cross_attention: [true, true, true, false],
  num_class_embeds: 1000,
  down_block_types: ["DownBlock2D", ...Array(3).fill("CrossAttnDownBlock2D")],
  up_block_types: [...Array(3).fill("CrossAttnUpBlock2D"), "UpBlock2D"],
};

const refused = (run: () => unknown, code: string, message: RegExp) =>
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof DiffusionError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });

describe("unetConfig", () => {
  it("reads SD2's own file", () => {
    const config = unetConfig(SD2);
    assert.deepEqual(config.numAttentionHeads, [5, 10, 20, 20]);
    assert.deepEqual(config.crossAttentionDim, [1024, 1024, 1024, 1024]);
    assert.deepEqual(config.sampleSize, [96, 96]);
    assert.deepEqual([config.useLinearProjection, config.upcastAttention], [true, true]);
  });

  it("reads the upscaler's: one head count for all levels, text in the first attention", () => {
    const config = unetConfig(X4);
    assert.deepEqual(config.numAttentionHeads, [8, 8, 8, 8]);
    assert.deepEqual(config.onlyCrossAttention, [true, true, true, false]);
    assert.deepEqual([config.inChannels, config.numClassEmbeds], [7, 1000]);
  });

  it("takes diffusers' class defaults for absent keys", () => {
    assert.deepEqual(unetConfig({}), {
      sampleSize: null,
      inChannels: 4,
      outChannels: 4,
      blockOutChannels: [320, 640, 1280, 1280],
      downBlockTypes: [...Array(3).fill("CrossAttnDownBlock2D"), "DownBlock2D"],
      upBlockTypes: ["UpBlock2D", ...Array(3).fill("CrossAttnUpBlock2D")],
      layersPerBlock: [2, 2, 2, 2],
      transformerLayersPerBlock: [1, 1, 1, 1],
      numAttentionHeads: [8, 8, 8, 8],
      crossAttentionDim: [1280, 1280, 1280, 1280],
      onlyCrossAttention: [false, false, false, false],
      useLinearProjection: false,
      upcastAttention: false,
      numClassEmbeds: null,
      timeEmbeddingDim: 1280,
      flipSinToCos: true,
      freqShift: 0,
      centerInputSample: false,
      downsamplePadding: 1,
      normNumGroups: 32,
      normEps: 1e-5,
    });
  });

  const faults: [what: string, change: object, message: RegExp][] = [
    ["an SDXL UNet", { addition_embed_type: "text_time" }, /addition_embed_type.*SDXL/],
    ["an unCLIP UNet", { class_embed_type: "projection" }, /class_embed_type.*unCLIP/],
    ["scale-shift norms", { resnet_time_scale_shift: "scale_shift" }, /resnet_time_scale_shift/],
    ["guidance embedded in time", { time_cond_proj_dim: 256 }, /time_cond_proj_dim.*consistency/],
    ["dual cross attention", { dual_cross_attention: true }, /dual_cross_attention/],
    [
      "an unknown block",
      { down_block_types: ["AttnDownBlock2D"] },
      /down_block_types\[0\].*DownBlock2D/,
    ],
    ["an unknown middle", { mid_block_type: "UNetMidBlock2D" }, /mid_block_type/],
    ["another activation", { act_fn: "mish" }, /act_fn.*silu/],
    [
      "a head list of the wrong length",
      { attention_head_dim: [8, 8] },
      /attention_head_dim.*list of 4/,
    ],
    ["heads that do not divide", { attention_head_dim: 7 }, /attention_head_dim\[0\].*divides 320/],
    ["a width that groups do not divide", { norm_num_groups: 48 }, /block_out_channels\[0\]/],
    [
      "blocks of another number than widths",
      { block_out_channels: [320, 640], attention_head_dim: 5 },
      /down_block_types/,
    ],
    ["a width that is text", { block_out_channels: ["320"] }, /block_out_channels\[0\] is "320"/],
    ["a width that would fill memory", { in_channels: 1e12 }, /in_channels/],
    ["a flag that is a number", { use_linear_projection: 1 }, /use_linear_projection is 1/],
    ["a padding of 2", { downsample_padding: 2 }, /downsample_padding/],
    ["groups that are null", { norm_num_groups: null }, /norm_num_groups is null/],
  ];
  for (const [what, change, message] of faults) {
    it(`refuses ${what}`, () => {
      refused(() => unetConfig({ ...SD2, ...change }, "x/config.json"), "CONFIG", message);
      refused(
        () => unetConfig({ ...SD2, ...change }, "x/config.json"),
        "CONFIG",
        /x\/config\.json/,
      );
    });
  }
});

describe("textConfig", () => {
  const sd2 = {
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 23,
    num_attention_heads: 16,
  };

  it("reads SD2's own file, and tells exact GELU from the two others", () => {
    const config = textConfig({ ...sd2, hidden_act: "gelu", eos_token_id: 2, bos_token_id: 0 });
    assert.deepEqual([config.hiddenSize, config.numHiddenLayers], [1024, 23]);
    assert.deepEqual([config.bosTokenId, config.eosTokenId, config.padTokenId], [0, 2, 1]);
    assert.equal(config.geluApproximate, "none");
    assert.equal(textConfig({ hidden_act: "gelu_new" }).geluApproximate, "tanh");
    assert.equal(textConfig({ hidden_act: "quick_gelu" }).geluApproximate, "quick");
  });

  it("takes transformers' class defaults for absent keys", () => {
    assert.deepEqual(textConfig({}), {
      vocabSize: 49408,
      hiddenSize: 512,
      intermediateSize: 2048,
      numHiddenLayers: 12,
      numAttentionHeads: 8,
      maxPositionEmbeddings: 77,
      geluApproximate: "quick",
      layerNormEps: 1e-5,
      bosTokenId: 49406,
      eosTokenId: 49407,
      padTokenId: 1,
    });
  });

  it("refuses what it cannot run", () => {
    refused(() => textConfig({ hidden_act: "relu" }), "CONFIG", /hidden_act is "relu".*quick_gelu/);
    refused(() => textConfig({ hidden_act: "toString" }), "CONFIG", /hidden_act/);
    refused(
      () => textConfig({ num_attention_heads: 7 }),
      "CONFIG",
      /num_attention_heads is 7.*512/,
    );
    refused(() => textConfig([]), "CONFIG", /expected a JSON object/);
  });
});

describe("vaeConfig", () => {
  it("takes diffusers' class defaults for absent keys", () => {
    assert.deepEqual(vaeConfig({}), {
      inChannels: 3,
      outChannels: 3,
      latentChannels: 4,
      blockOutChannels: [64],
      layersPerBlock: 1,
      normNumGroups: 32,
      scalingFactor: 0.18215,
      sampleSize: 32,
      forceUpcast: true,
      midBlockAddAttention: true,
      useQuantConv: true,
      usePostQuantConv: true,
    });
  });

  it("refuses what it cannot run", () => {
    refused(() => vaeConfig({ shift_factor: 0.1 }), "CONFIG", /shift_factor.*SD3/);
    refused(() => vaeConfig({ scaling_factor: 0 }), "CONFIG", /scaling_factor/);
    refused(
      () => vaeConfig({ block_out_channels: [64, 128] }),
      "CONFIG",
      /down_block_types.*2 items/,
    );
    refused(() => vaeConfig({ up_block_types: ["UpBlock2D"] }), "CONFIG", /up_block_types\[0\]/);
    refused(() => vaeConfig({ block_out_channels: [48] }), "CONFIG", /norm_num_groups, 32/);
  });
});

describe("schedulerConfig", () => {
  const file = { _class_name: "PNDMScheduler", beta_schedule: "scaled_linear", steps_offset: 1 };

  it("keeps the file's keys and adds none", () => {
    const config = schedulerConfig(file);
    assert.deepEqual([config.scheduler, config.predictionType], ["pndm", "epsilon"]);
    assert.deepEqual(config.values, file);
  });

  it("follows model_index.json's class, and the solver asked for before it", () => {
    assert.equal(schedulerConfig(file, "s", { className: "DDIMScheduler" }).scheduler, "ddim");
    assert.equal(schedulerConfig(file, "s", { scheduler: "euler" }).scheduler, "euler");
    const unknown = { _class_name: "HeunDiscreteScheduler", prediction_type: "v_prediction" };
    const config = schedulerConfig(unknown, "s", { scheduler: "ddim" });
    assert.deepEqual([config.scheduler, config.predictionType], ["ddim", "v_prediction"]);
  });

  it("an unknown class, solver or prediction type: SCHEDULER with the supported ones", () => {
    refused(
      () => schedulerConfig({ _class_name: "MyScheduler" }),
      "SCHEDULER",
      /MyScheduler.*PNDMScheduler/,
    );
    refused(() => schedulerConfig({}), "SCHEDULER", /PNDMScheduler/);
    refused(() => schedulerConfig(file, "s", { scheduler: "warp" }), "SCHEDULER", /"warp".*ddim/);
    refused(
      () => schedulerConfig({ ...file, prediction_type: "flow" }),
      "SCHEDULER",
      /scheduler_config\.json: prediction_type is "flow".*epsilon, v_prediction/,
    );
    refused(() => schedulerConfig("x"), "SCHEDULER", /JSON object/);
  });
});

describe("modelIndex", () => {
  const parts = {
    text_encoder: ["transformers", "CLIPTextModel"],
    unet: ["diffusers", "UNet2DConditionModel"],
    vae: ["diffusers", "AutoencoderKL"],
    tokenizer: ["transformers", "CLIPTokenizer"],
    scheduler: ["diffusers", "DDIMScheduler"],
    safety_checker: [null, null],
  };

  it("lists the parts that are there", () => {
    const index = modelIndex({ _class_name: "StableDiffusionPipeline", ...parts });
    assert.equal(index.components.get("scheduler"), "DDIMScheduler");
    assert.equal(index.components.has("safety_checker"), false);
  });

  it("refuses other pipelines and missing parts", () => {
    refused(
      () => modelIndex({ _class_name: "FluxPipeline", ...parts }),
      "CONFIG",
      /_class_name is "FluxPipeline"/,
    );
    const bare = { _class_name: "StableDiffusionPipeline", ...parts, vae: [null, null] };
    refused(() => modelIndex(bare), "CONFIG", /vae.*AutoencoderKL/);
  });
});

describe("configurations from anywhere", () => {
  it("are read or refused with a DiffusionError, whatever JSON they hold", () => {
    const keys = fc.constantFrom(
      "block_out_channels",
      "attention_head_dim",
      "sample_size",
      "hidden_size",
      "eos_token_id",
      "down_block_types",
      "prediction_type",
      "_class_name",
      "unet",
      "layers_per_block",
      "__proto__",
    );
    const json = fc.oneof(fc.jsonValue(), fc.dictionary(keys, fc.jsonValue()));
    fc.assert(
      fc.property(json, (value) => {
        for (const read of [unetConfig, textConfig, vaeConfig, schedulerConfig, modelIndex]) {
          try {
            read(value);
          } catch (error) {
            assert.ok(error instanceof DiffusionError, String((error as Error).stack));
          }
        }
      }),
      { numRuns: 500, seed: 7 },
    );
  });
});
