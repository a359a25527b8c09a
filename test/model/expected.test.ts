import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DiffusionError } from "../../engine/errors.ts";
import type { StoredDtype } from "../../engine/safetensors.ts";
import { textConfig, unetConfig, vaeConfig } from "../../model/config.ts";
import {
  checkWeights,
  expectedText,
  expectedUnet,
  expectedVae,
  type FoundTensor,
} from "../../model/expected.ts";

/** Names and shapes of SD2's parts at full size, listed by diffusers and transformers. */
const SD2 = JSON.parse(readFileSync(new URL("../fixtures/sd2-keys.json", import.meta.url), "utf8"));

const TABLES = {
  text_encoder: expectedText(textConfig(SD2.text_encoder.config)),
  unet: expectedUnet(unetConfig(SD2.unet.config)),
  vae: expectedVae(vaeConfig(SD2.vae.config)),
};

const parameters = (table: ReadonlyMap<string, readonly number[]>) =>
  [...table.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);

const stored = (table: ReadonlyMap<string, readonly number[]>, dtype: StoredDtype = "F16") =>
  new Map<string, FoundTensor>([...table].map(([name, shape]) => [name, { dtype, shape }]));

const unetOf = (change: object) => expectedUnet(unetConfig({ ...SD2.unet.config, ...change }));

/** The message with which `tensors` are refused as SD2's `part`. */
function refusal(
  part: keyof typeof TABLES,
  tensors: ReadonlyMap<string, FoundTensor>,
  code = "WEIGHTS_MISMATCH",
) {
  let message = "";
  assert.throws(
    () => checkWeights(part, TABLES[part], tensors),
    (error: unknown) => {
      assert.ok(error instanceof DiffusionError, String(error));
      assert.equal(error.code, code);
      message = error.message;
      return true;
    },
  );
  return message;
}

describe("the tensors of a full-size SD2", () => {
  for (const part of ["text_encoder", "unet", "vae"] as const) {
    it(`${part}: the names and shapes that PyTorch's module has`, () => {
      assert.deepEqual(Object.fromEntries(TABLES[part]), SD2[part].tensors);
    });
  }

  it("the published numbers of parameters", () => {
    assert.equal(parameters(TABLES.text_encoder), 340_387_840);
    assert.equal(parameters(TABLES.unet), 865_910_724);
    assert.equal(parameters(TABLES.vae), 83_653_863);
    assert.equal(parameters(unetOf({ in_channels: 5 })), 865_913_604);
    assert.equal(parameters(unetOf({ in_channels: 9 })), 865_925_124);
  });

  it("the upscaler's number of parameters", () => {
    const x4 = unetOf({
      in_channels: 7,
      block_out_channels: [256, 512, 512, 1024],
      attention_head_dim: 8,
      only_cross_attention: [true, true, true, false],
      num_class_embeds: 1000,
      down_block_types: ["DownBlock2D", ...Array(3).fill("CrossAttnDownBlock2D")],
      up_block_types: [...Array(3).fill("CrossAttnUpBlock2D"), "UpBlock2D"],
    });
    assert.equal(parameters(x4), 473_398_020);
  });

  it("the upscaler's VAE and its number of parameters: three levels, so factor 4", () => {
    const x4 = expectedVae(
      vaeConfig({
        ...SD2.vae.config,
        block_out_channels: [128, 256, 512],
        down_block_types: Array(3).fill("DownEncoderBlock2D"),
        up_block_types: Array(3).fill("UpDecoderBlock2D"),
      }),
    );
    assert.equal(parameters(x4), 55_325_927);
  });

  it("projections by convolution have the shapes of 1×1 kernels", () => {
    const table = unetOf({ use_linear_projection: false });
    assert.deepEqual(table.get("down_blocks.0.attentions.0.proj_in.weight"), [320, 320, 1, 1]);
  });
});

describe("checkWeights", () => {
  it("accepts the right file in each dtype that is read, and an old position_ids", () => {
    for (const dtype of ["F32", "F16", "BF16"] as const) {
      checkWeights("unet", TABLES.unet, stored(TABLES.unet, dtype));
    }
    const text = stored(TABLES.text_encoder);
    text.set("embeddings.position_ids", { dtype: "I64", shape: [1, 77] });
    checkWeights("text_encoder", TABLES.text_encoder, text);
  });

  it("names the inpainting UNet", () => {
    const message = refusal("unet", stored(unetOf({ in_channels: 9 })));
    assert.match(
      message,
      /unet\.conv_in\.weight expected \[320,4,3,3\] F32\|F16\|BF16, found \[320,9,3,3\]/,
    );
    assert.match(message, /this looks like the \*inpainting\* UNet; use `inpaint`/);
  });

  it("shows five differences and counts the rest", () => {
    const message = refusal("unet", new Map([["other", { dtype: "F32", shape: [1] }]]));
    assert.equal(message.match(/found none/g)?.length, 5);
    assert.match(message, /and 682 more/);
    assert.doesNotMatch(message, /looks like/);
  });

  it("names a tensor that the model does not have", () => {
    const tensors = stored(TABLES.vae);
    tensors.set("extra.weight", { dtype: "F32", shape: [3, 4] });
    assert.match(refusal("vae", tensors), /vae\.extra\.weight expected none, found \[3,4\]/);
  });

  it("accepts a VAE without its encoder, but not with a part of it", () => {
    const isEncoder = (name: string) => /^(?:encoder|quant_conv)\./.test(name);
    const decoder = [...stored(TABLES.vae)].filter(([name]) => !isEncoder(name));
    checkWeights("vae", TABLES.vae, new Map(decoder));
    const part = stored(TABLES.vae);
    part.delete("encoder.conv_out.bias");
    assert.match(refusal("vae", part), /vae\.encoder\.conv_out\.bias expected \[8\].*found none/);
    const shape = stored(TABLES.vae);
    shape.set("encoder.conv_in.weight", { dtype: "F16", shape: [128, 4, 3, 3] });
    assert.match(refusal("vae", shape), /vae\.encoder\.conv_in\.weight/);
    const quant = new Map([...decoder, ["quant_conv.bias", { dtype: "F16", shape: [8] } as const]]);
    assert.match(refusal("vae", quant), /vae\.encoder\.conv_in\.weight/);
    const encoder = [...stored(TABLES.vae)].filter(([name]) => isEncoder(name));
    assert.match(refusal("vae", new Map(encoder)), /vae\.post_quant_conv\.weight/);
  });

  it("names a weight stored in a dtype that is not read", () => {
    for (const dtype of ["F8_E4M3", "F4", "I64", "F64"] as const) {
      const tensors = stored(TABLES.vae);
      tensors.set("quant_conv.bias", { dtype, shape: [8] });
      const message = refusal("vae", tensors, "WEIGHTS_DTYPE");
      assert.match(message, new RegExp(`vae\\.quant_conv\\.bias.*${dtype}.*F32\\|F16\\|BF16`));
    }
  });

  const only = (name: string, shape: number[] = [1]) =>
    new Map([[name, { dtype: "F16", shape } as const]]);
  const guesses: [what: RegExp, tensors: ReadonlyMap<string, FoundTensor>][] = [
    [/depth/, stored(unetOf({ in_channels: 5 }))],
    [/x4 upscaler/, stored(unetOf({ in_channels: 7 }))],
    [/SD 1\.x/, stored(unetOf({ cross_attention_dim: 768 }))],
    [/SDXL/, stored(unetOf({ cross_attention_dim: 2048 }))],
    [/SDXL/, only("add_embedding.linear_1.weight")],
    [/unCLIP/, only("class_embedding.linear_1.weight")],
    [/LoRA/, only("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight")],
    [/LoRA/, only("unet.down_blocks.0.attentions.0.to_q.lora_A.weight")],
    [/single-file \(LDM\)/, only("model.diffusion_model.input_blocks.0.0.weight")],
    [/VAE in the LDM naming/, only("first_stage_model.encoder.conv_in.weight")],
    [/a VAE/, stored(TABLES.vae)],
    [/CLIP text encoder/, stored(TABLES.text_encoder)],
    [/text encoder of SD 1\.x/, stored(expectedText(textConfig({ hidden_size: 768 })))],
    [/ControlNet/, only("controlnet_cond_embedding.conv_in.weight")],
    [/T5/, only("encoder.block.0.layer.0.SelfAttention.q.weight")],
  ];
  for (const [what, tensors] of guesses) {
    it(`guesses ${what.source} of a file that is no SD2 UNet`, () => {
      assert.match(refusal("unet", tensors), new RegExp(`this looks like .*${what.source}`));
    });
  }

  it("keeps its message short for a million strange names", () => {
    const many = new Map(
      Array.from({ length: 1e5 }, (_, i) => [
        `${"n".repeat(300)}${i}`,
        { dtype: "F32", shape: [1] } as const,
      ]),
    );
    assert.ok(refusal("vae", many).length < 2000);
  });
});
