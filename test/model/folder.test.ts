import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type FolderOptions, openFolder } from "../../model/folder.node.ts";
import { failsWith } from "../support/byte-source.ts";
import { openWeightFiles } from "../support/open-files.ts";
import { type Files, TINY, TINY_SHAPES, tinyFolder, zeros } from "../support/tiny-folder.ts";

const TEXT = "text_encoder/model.safetensors";
const UNET = "unet/diffusion_pytorch_model.safetensors";
const VAE = "vae/diffusion_pytorch_model.safetensors";
const INDEX = `${UNET}.index.json`;

describe("openFolder", () => {
  const made: string[] = [];
  after(() => Promise.all(made.map((folder) => rm(folder, { recursive: true }))));

  const folderOf = async (changes: Files = {}) => {
    const folder = await tinyFolder(changes);
    made.push(folder);
    return folder;
  };
  const open = async (changes: Files = {}, options: FolderOptions = {}) =>
    openFolder(await folderOf(changes), options);
  /** The UNet's tensors of a folder with these changes. */
  const unet = async (changes: Files, options: FolderOptions = {}) => {
    await using folder = await open(changes, options);
    return await folder.unet.tensors();
  };

  it("gives configurations, tokenizer files and scheduler without opening a weight file", async () => {
    const before = openWeightFiles();
    await using folder = await open();
    assert.equal(folder.unet.config.crossAttentionDim[0], 8);
    assert.equal(folder.tokenizer.merges, "#version: 0.2\n");
    assert.deepEqual(folder.tokenizer.specialTokensMap, { pad_token: "!" });
    assert.equal(folder.tokenizer.tokenizerConfig, undefined);
    assert.deepEqual(
      [folder.scheduler.scheduler, folder.scheduler.predictionType],
      ["ddim", "v_prediction"],
    );
    assert.equal(openWeightFiles(), before);
  });

  it("gives each part's tensors, opens each file once and closes all of them", async () => {
    const before = openWeightFiles();
    const folder = await open();
    for (const part of [folder.textEncoder, folder.unet, folder.vae]) {
      assert.equal(await part.tensors(), await part.tensors());
    }
    const conv = (await folder.unet.tensors()).get("conv_in.weight")!;
    assert.deepEqual(conv.shape, [8, 4, 3, 3]);
    assert.equal((await conv.read(0, conv.byteLength)).length, 8 * 4 * 9 * 2);
    if (before !== undefined) assert.equal(openWeightFiles(), before + 3);
    await folder.close();
    assert.equal(openWeightFiles(), before);
    await folder.close();
  });

  it("refuses to open weights after close", async () => {
    const folder = await open();
    await folder.close();
    await failsWith(folder.vae.tensors(), "DISPOSED");
  });

  it("closes a file that was being opened when the folder was closed", async () => {
    const before = openWeightFiles();
    const folder = await open();
    const tensors = folder.unet.tensors();
    await folder.close();
    await tensors;
    assert.equal(openWeightFiles(), before);
  });

  for (const [name, scheduler, prediction] of [
    ["tiny-eps", "pndm", "epsilon"],
    ["tiny-v", "ddim", "v_prediction"],
  ] as const) {
    it(`finds in ${name}, saved by diffusers, every tensor that its configurations ask for`, async () => {
      await using folder = await openFolder(join(import.meta.dirname, "../fixtures", name));
      for (const part of [folder.textEncoder, folder.unet, folder.vae]) {
        assert.ok((await part.tensors()).size > 0);
      }
      assert.equal(folder.scheduler.scheduler, scheduler);
      assert.equal(folder.scheduler.predictionType, prediction);
    });
  }

  it("drops the prefix text_model. of older text encoders", async () => {
    const old = zeros(TINY_SHAPES[TEXT], (name) => `text_model.${name}`);
    await using folder = await open({ [TEXT]: old });
    const tensors = await folder.textEncoder.tensors();
    assert.equal(tensors.get("final_layer_norm.bias")?.name, "final_layer_norm.bias");
    assert.deepEqual([...tensors.keys()].sort(), [...TINY_SHAPES[TEXT].keys()].sort());
  });

  it("renames the attention of older VAEs", async () => {
    const names = { to_q: "query", to_k: "key", to_v: "value", "to_out.0": "proj_attn" };
    const old = zeros(TINY_SHAPES[VAE], (name) =>
      Object.entries(names).reduce(
        (text, [now, then]) => text.replace(`.${now}.`, `.${then}.`),
        name,
      ),
    );
    await using folder = await open({ [VAE]: old });
    const tensors = await folder.vae.tensors();
    assert.deepEqual(tensors.get("decoder.mid_block.attentions.0.to_out.0.weight")?.shape, [8, 8]);
  });

  it("refuses a tensor that is there in both spellings", async () => {
    const [name, shape] = ["final_layer_norm.bias", [8]] as const;
    const both = zeros([...TINY_SHAPES[TEXT], [`text_model.${name}`, shape]]);
    await using folder = await open({ [TEXT]: both });
    await failsWith(folder.textEncoder.tensors(), "WEIGHTS_MISMATCH", /final_layer_norm\.bias/);
  });

  it("takes fp16 files where asked to, and where there are no others", async () => {
    const fp16 = "unet/diffusion_pytorch_model.fp16.safetensors";
    const bad = { [UNET]: "<html>", [fp16]: zeros(TINY_SHAPES[UNET]) };
    assert.ok((await unet(bad, { variant: "fp16" })).size > 0);
    assert.ok((await unet({ ...bad, [UNET]: null })).size > 0);
    await failsWith(unet(bad), "WEIGHTS_FORMAT", /HTML/);
    await failsWith(
      unet({}, { variant: "bf16" }),
      "WEIGHTS_MISSING",
      /bf16.*found diffusion_pytorch/,
    );
  });

  describe("with shards", () => {
    const all = [...TINY_SHAPES[UNET]];
    const halves = [all.slice(0, 20), all.slice(20)];
    const names = ["part-00001-of-00002.safetensors", "part-00002-of-00002.safetensors"];
    const map = Object.fromEntries(
      halves.flatMap((half, i) => half.map(([name]) => [name, names[i]!])),
    );
    const sharded = (changes: Files = {}): Files => ({
      [UNET]: null,
      [INDEX]: { metadata: { total_size: 1 }, weight_map: map },
      [`unet/${names[0]}`]: zeros(halves[0]!),
      [`unet/${names[1]}`]: zeros(halves[1]!),
      ...changes,
    });

    it("joins them", async () => {
      assert.equal((await unet(sharded())).size, all.length);
    });

    it("reads both spellings of a variant's index", async () => {
      for (const spelling of ["safetensors.fp16.index", "safetensors.index.fp16"]) {
        const path = `unet/diffusion_pytorch_model.${spelling}.json`;
        const files = sharded({ [INDEX]: null, [path]: { weight_map: map } });
        assert.equal((await unet(files, { variant: "fp16" })).size, all.length);
      }
    });

    const mapped = (shard: unknown) =>
      sharded({ [INDEX]: { weight_map: { ...map, [all[0]![0]]: shard } } });
    const faults: [what: string, files: Files, code: string, message: RegExp][] = [
      [
        "a missing shard",
        sharded({ [`unet/${names[1]}`]: null }),
        "WEIGHTS_SHARD",
        /00002-of-00002.*not there/,
      ],
      ["a tensor in another shard", mapped(names[1]), "WEIGHTS_SHARD", /does not place/],
      [
        "a tensor in no shard",
        sharded({ [INDEX]: { weight_map: { ...map, x: names[0] } } }),
        "WEIGHTS_SHARD",
        /places x/,
      ],
      ["an index without map", sharded({ [INDEX]: {} }), "WEIGHTS_SHARD", /weight_map/],
      ["an index that is no JSON", sharded({ [INDEX]: "{" }), "WEIGHTS_SHARD", /not JSON/],
      ["a shard that is a pickle", mapped("part.bin"), "WEIGHTS_SHARD", /part\.bin/],
    ];
    for (const [what, files, code, message] of faults) {
      it(`${what}: ${code}`, () => failsWith(unet(files), code, message));
    }

    for (const shard of [
      "../vae/diffusion_pytorch_model.safetensors",
      "/etc/passwd",
      "..\\x.safetensors",
      "C:\\x.safetensors",
      "C:x.safetensors",
      "\\\\host\\share\\x.safetensors",
      "sub/x.safetensors",
      "x.safetensors:stream",
      "..",
      ".. ",
      "x.safetensors.",
      "CON.safetensors",
      "nul",
      "x\u0000.safetensors",
      "",
      7,
    ]) {
      it(`the shard name ${JSON.stringify(shard)}: PATH`, () =>
        failsWith(unet(mapped(shard)), "PATH"));
    }
  });

  const change = (path: keyof typeof TINY, more: object) => ({
    [path]: { ...(TINY[path] as object), ...more },
  });
  const folders: [what: string, files: Files, code: string, message: RegExp][] = [
    [
      "no model_index.json",
      { "model_index.json": null },
      "WEIGHTS_MISSING",
      /no model_index\.json/,
    ],
    ["an index that is no JSON", { "model_index.json": "<html>" }, "CONFIG", /not JSON/],
    [
      "no unet/config.json",
      { "unet/config.json": null },
      "CONFIG",
      /unet.config\.json does not exist/,
    ],
    [
      "text where a number belongs",
      change("vae/config.json", { latent_channels: "4" }),
      "CONFIG",
      /latent_channels is "4"/,
    ],
    [
      "a UNet for other text",
      change("unet/config.json", { cross_attention_dim: 12 }),
      "CONFIG",
      /12.*hidden_size is 8/,
    ],
    [
      "a VAE for other latents",
      change("vae/config.json", { latent_channels: 16 }),
      "CONFIG",
      /latent_channels is 16/,
    ],
    [
      "no scheduler file",
      { "scheduler/scheduler_config.json": null },
      "SCHEDULER",
      /does not exist/,
    ],
    [
      "an unknown prediction",
      change("scheduler/scheduler_config.json", { prediction_type: "x" }),
      "SCHEDULER",
      /epsilon/,
    ],
    ["no merges.txt", { "tokenizer/merges.txt": null }, "TOKENIZER", /merges\.txt/],
    [
      "a vocab.json that is not UTF-8",
      { "tokenizer/vocab.json": Uint8Array.of(0xff) },
      "TOKENIZER",
      /vocab\.json/,
    ],
  ];
  for (const [what, files, code, message] of folders) {
    it(`${what}: ${code}`, async () => failsWith(open(files), code, message));
  }

  const parts: [what: string, files: Files, code: string, message: RegExp][] = [
    [
      "no weights",
      { [UNET]: null },
      "WEIGHTS_MISSING",
      /unet has no diffusion_pytorch_model\.safetensors/,
    ],
    [
      "pickles only",
      { [UNET]: null, "unet/diffusion_pytorch_model.bin": "x" },
      "WEIGHTS_FORMAT",
      /\.bin/,
    ],
    [
      "an LFS pointer",
      { [UNET]: "version https://git-lfs.github.com/spec/v1\n" },
      "WEIGHTS_FORMAT",
      /LFS/,
    ],
    [
      "a file cut short",
      { [UNET]: zeros(TINY_SHAPES[UNET]).slice(0, -2) },
      "WEIGHTS_TRUNCATED",
      /unet/,
    ],
    [
      "weights of another part",
      { [UNET]: zeros(TINY_SHAPES[VAE]) },
      "WEIGHTS_MISMATCH",
      /looks like a VAE/,
    ],
    [
      "integers for weights",
      { [UNET]: zeros(TINY_SHAPES[UNET], (n) => n, "I16") },
      "WEIGHTS_DTYPE",
      /I16/,
    ],
  ];
  for (const [what, files, code, message] of parts) {
    it(`${what}: ${code}`, () => failsWith(unet(files), code, message));
  }

  it("says so of a folder that is not there, and of a file in its place", async () => {
    const folder = await folderOf();
    await failsWith(openFolder(join(folder, "absent")), "WEIGHTS_MISSING", /no model folder/);
    await failsWith(openFolder(join(folder, UNET)), "WEIGHTS_MISSING", /no model folder/);
  });
});
