import assert from "node:assert/strict";
import fc from "fast-check";
import { DiffusionError } from "../../../engine/errors.ts";
import { dptConfig, dptProcessor, inputMultiple } from "../../../model/depth/index.ts";
import { tinyJson } from "../../support/depth.ts";

type Json = Record<string, unknown>;

const TINY = tinyJson("depth_estimator/config.json") as Json & { backbone_config: Json };

describe("dptConfig", () => {
  it("reads every size from the file", () => {
    const config = dptConfig(TINY);
    assert.deepEqual(config, {
      backbone: {
        numChannels: 3,
        embeddingSize: 8,
        hiddenSizes: [16, 24, 32],
        depths: [2, 1, 2],
        numGroups: 4,
      },
      hiddenSize: 24,
      numHiddenLayers: 3,
      numAttentionHeads: 3,
      intermediateSize: 40,
      layerNormEps: 1e-12,
      qkvBias: true,
      patchSize: 16,
      positionGrid: 4,
      hooks: [1, 2],
      reassembleFactors: [1, 0.5],
      neckHiddenSizes: [16, 24, 14, 10],
      fusionHiddenSize: 10,
      fusionBias: true,
    });
    assert.equal(inputMultiple(config), 32);
    assert.deepEqual(dptConfig({ ...TINY, image_size: [64, 64] }), config);
  });

  it("takes the backbone of a hybrid where the file names none", () => {
    const { backbone } = dptConfig({
      is_hybrid: true,
      backbone_config: null,
      neck_hidden_sizes: [256, 512, 768, 768],
      reassemble_factors: [1, 1, 1, 0.5],
    });
    assert.deepEqual(backbone.depths, [3, 4, 9]);
    assert.deepEqual(backbone.hiddenSizes, [256, 512, 1024]);
  });

  const refused: [key: string, value: unknown][] = [
    ["is_hybrid", false],
    ["patch_size", 14],
    ["readout_type", "add"],
    ["hidden_act", "relu"],
    ["head_in_index", -2],
    ["use_batch_norm_in_fusion_residual", true],
    ["add_projection", true],
    ["image_size", [64, 96]],
    ["neck_ignore_stages", []],
    ["backbone_out_indices", [0, 1, 2, 1]],
    ["backbone_out_indices", [0, 1, 2, 3]],
    ["reassemble_factors", [4, 2, 1, 2]],
    ["reassemble_factors", [1, 1, 1, 1]],
    ["neck_hidden_sizes", [16, 20, 14, 10]],
    ["num_attention_heads", 5],
    ["hidden_size", 0],
  ];
  for (const [key, value] of refused) {
    it(`refuses ${key} ${JSON.stringify(value)} by name`, () => {
      const message = new RegExp(`depth_estimator/config\\.json: ${key}`);
      assert.throws(() => dptConfig({ ...TINY, [key]: value }), { code: "CONFIG", message });
    });
  }

  const refusedBackbone: [key: string, value: unknown][] = [
    ["model_type", "swinv2"],
    ["layer_type", "preactivation"],
    ["global_padding", null],
    ["embedding_dynamic_padding", false],
    ["depths", [3, 4, 6, 3]],
    ["out_features", ["stage2", "stage3"]],
    ["width_factor", 2],
    ["output_stride", 8],
  ];
  for (const [key, value] of refusedBackbone) {
    it(`refuses ${key} ${JSON.stringify(value)} of the backbone by name`, () => {
      const backbone = { ...TINY.backbone_config, [key]: value };
      const message = new RegExp(`config\\.json: backbone_config: ${key}`);
      const read = () => dptConfig({ ...TINY, backbone_config: backbone });
      assert.throws(read, { code: "CONFIG", message });
    });
  }

  it("wants to be told that it is a hybrid", () => {
    const { is_hybrid: _, ...rest } = TINY;
    assert.throws(() => dptConfig(rest), { code: "CONFIG", message: /is_hybrid/ });
  });

  it("reads or refuses any JSON with a DiffusionError", () => {
    const keys = fc.constantFrom(...Object.keys(TINY), "size", "image_mean", "__proto__");
    const changed = fc.dictionary(keys, fc.jsonValue());
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), changed), (value) => {
        const merged =
          typeof value === "object" && !Array.isArray(value) ? { ...TINY, ...value } : value;
        for (const read of [dptConfig, dptProcessor]) {
          try {
            read(merged);
          } catch (error) {
            assert.ok(error instanceof DiffusionError, String((error as Error).stack));
          }
        }
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});
