/** tiny-v as one file, converted by diffusers' own script: the same weights, the same picture. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Device } from "../../engine/index.ts";
import type { ModelFolder } from "../../model/folder.node.ts";
import { openModel } from "../../model/open.node.ts";
import type { OpenOptions } from "../../model/open-options.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { LoadEvent } from "../../model/request.ts";
import { failsWith } from "../support/byte-source.ts";
import { adapters, settled } from "../support/devices.ts";
import { checkpointPath } from "../support/golden.ts";
import {
  emaNamed,
  fileBytes,
  type LdmFile,
  sha256Of,
  TINY_SHA256,
  tinyLdm,
} from "../support/ldm.ts";
import { openWeightFiles } from "../support/open-files.ts";

const FOLDER = checkpointPath("tiny-v");
const PARTS = ["textEncoder", "unet", "vae"] as const;

describe("tiny-v as a single file", () => {
  let folder = "";
  let path = "";
  let file: LdmFile;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "single-file-"));
    path = join(folder, "tiny.safetensors");
    file = await tinyLdm();
    writeFileSync(path, fileBytes(file));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const write = (name: string, content: LdmFile | string | Uint8Array) => {
    const raw = content instanceof Map ? fileBytes(content) : content;
    writeFileSync(join(folder, name), raw);
    return join(folder, name);
  };
  /** A folder of what a header does not show: the sizes of tiny-v and its vocabulary, no scheduler. */
  const weightless = () => {
    const config = join(folder, "config");
    for (const part of ["unet", "vae", "text_encoder", "tokenizer"]) {
      const filter = (name: string) => !name.endsWith(".safetensors");
      cpSync(join(FOLDER, part), join(config, part), { recursive: true, filter });
    }
    return config;
  };
  const open = (options: OpenOptions = {}) => openModel(path, { config: FOLDER, ...options });

  it("is what diffusers' script made", () => {
    assert.equal(sha256Of(file), TINY_SHA256);
  });

  it("has the tensors of the folder: names, shapes, dtypes and bytes", async () => {
    await using one = await open();
    await using many = await openModel(FOLDER);
    await sameTensors(one, many);
    assert.deepEqual(one.scheduler, many.scheduler);
    assert.deepEqual([one.name, one.detected.by, one.detected.layout], ["tiny", "config", "ldm"]);
  });

  it("has them too in bf16, from the moving average, and beside decoys", async () => {
    const changed: LdmFile = new Map();
    for (const [name, { shape, data }] of file) {
      const isUnet = name.startsWith("model.diffusion_model.");
      changed.set(isUnet ? emaNamed(name) : name, { dtype: "BF16", shape, data });
    }
    const decoy = { dtype: "F32", shape: [2], data: new Uint8Array(8) } as const;
    const decoys = ["betas", "alphas_cumprod", "model_ema.decay", "low_scale_model.betas"];
    for (const name of [...decoys, "cond_stage_model.model.logit_scale"]) changed.set(name, decoy);
    await using one = await openModel(write("ema.safetensors", changed), { config: FOLDER });
    await using many = await openModel(FOLDER);
    await sameTensors(one, many, "BF16");
    assert.equal(one.detected.layout, "ldm-ema");
    assert.deepEqual(one.warnings, []);
  });

  it("reads query, key and value as pieces of one tensor, and no byte beyond them", async () => {
    await using one = await open();
    const tensors = await one.textEncoder.tensors();
    const key = tensors.get("encoder.layers.1.self_attn.k_proj.bias")!;
    const packed = file.get("cond_stage_model.model.transformer.resblocks.1.attn.in_proj_bias")!;
    assert.deepEqual([...(await key.read(2, 6))], [...packed.data.subarray(64 + 2, 64 + 8)]);
    await failsWith(key.read(60, 8), "INTERNAL", /k_proj\.bias/);
  });

  it("leaves out the layers of text that the configuration does not have", async () => {
    const more: LdmFile = new Map(file);
    for (const [name, tensor] of file) {
      if (name.includes("resblocks.2."))
        more.set(name.replace("resblocks.2.", "resblocks.3."), tensor);
    }
    await using one = await openModel(write("more.safetensors", more), { config: FOLDER });
    await using many = await openModel(FOLDER);
    await sameTensors(one, many);
  });

  it("predicts what it is told to: by the option, then by the configuration", async () => {
    await using eps = await open({ prediction: "eps" });
    assert.deepEqual([eps.detected.prediction, eps.detected.by], ["epsilon", "option"]);
    assert.equal(eps.scheduler.predictionType, "epsilon");
    await using folder = await openModel(FOLDER, { prediction: "eps" });
    assert.deepEqual([folder.detected.prediction, folder.detected.by], ["epsilon", "option"]);
    assert.equal(folder.scheduler.values.prediction_type, "epsilon");
  });

  it("needs no more of the configuration than is unusual", async () => {
    await using one = await openModel(path, { config: weightless() });
    assert.equal(one.detected.by, "norm-bias");
    assert.equal(one.scheduler.values.timestep_spacing, undefined);
  });

  it("refuses options that do not fit", async () => {
    const bad = { prediction: "x0" as "eps" };
    await failsWith(openModel(path, bad), "BAD_REQUEST", /"eps" or "v" \(got "x0"\)/);
    await failsWith(openModel(FOLDER, { config: FOLDER }), "BAD_REQUEST", /is a folder/);
    await failsWith(open({ config: join(folder, "absent") }), "CONFIG", /does not exist/);
    await failsWith(openModel(path), "CONFIG", /wide/);
    await failsWith(openModel(join(folder, "absent")), "WEIGHTS_MISSING", /does not exist/);
  });

  const others: [what: string, name: string, content: string | Uint8Array, message: RegExp][] = [
    [
      "a pickle in a zip",
      "a.ckpt",
      Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0, 0),
      /zip archive/,
    ],
    ["a bare pickle", "b.ckpt", Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0, 0, 0, 0, 0), /pickle/],
    ["an HTML page", "c.safetensors", "<!DOCTYPE html><html>sign in</html>", /HTML page/],
    [
      "a Git LFS pointer",
      "d.safetensors",
      "version https://git-lfs.github.com/spec/v1\n",
      /LFS pointer/,
    ],
  ];
  for (const [what, name, content, message] of others) {
    it(`refuses ${what}: WEIGHTS_FORMAT`, () =>
      failsWith(openModel(write(name, content)), "WEIGHTS_FORMAT", message));
  }

  it("refuses a file that was cut off", async () => {
    const bytes = fileBytes(file);
    const cut = write("cut.safetensors", bytes.subarray(0, bytes.length - 100));
    await failsWith(openModel(cut, { config: FOLDER }), "WEIGHTS_TRUNCATED");
  });

  it("closes the file when it is closed, and when it is refused", async () => {
    const before = openWeightFiles();
    const one = await open();
    if (before !== undefined) assert.equal(openWeightFiles(), before + 1);
    await one.close();
    await failsWith(openModel(path), "CONFIG");
    assert.equal(openWeightFiles(), before);
  });

  describe("on a device", () => {
    let device: Device;
    before(async () => {
      device = (await adapters())[0]!.device;
    });
    afterEach(() => settled(device));

    const REQUEST = { prompt: "a horse", steps: 1, seed: 3, width: 64, height: 64 } as const;
    const paint = async (path: string, options: OpenOptions = {}) => {
      const events: LoadEvent[] = [];
      const onProgress = (event: LoadEvent) => void events.push(event);
      await using sd = await StableDiffusion.fromPretrained(path, {
        ...{ device, dtype: "f32", onProgress },
        ...options,
      });
      const { images, model, request } = await sd.generate(REQUEST);
      return { picture: images[0]!, model, request, events };
    };

    it("warns of tensors that belong to nothing, and refuses them where warnings are errors", async () => {
      const stray = { dtype: "F32", shape: [1], data: new Uint8Array(4) } as const;
      const strange = write("strange.safetensors", new Map(file).set("stray", stray));
      const options = { device, config: FOLDER };
      await using sd = await StableDiffusion.fromPretrained(strange, options);
      assert.ok(sd.warnings.some((warning) => /left out: stray$/.test(warning)));
      const strict = StableDiffusion.fromPretrained(strange, { ...options, strict: true });
      await failsWith(strict, "WEIGHTS_MISMATCH", /stray/);
    });

    it("asks the UNet what it predicts where warnings are errors, and frees it when it disagrees", async () => {
      const config = weightless();
      const bytes = device.allocatedBytes;
      const options = { device, dtype: "f32", config, strict: true } as const;
      // tiny-v's biases are random and large; its answer is that of a model of the noise.
      const message = /in doubt: by a norm's bias \(0\.\d+\) it is v, by its answer eps/;
      await failsWith(StableDiffusion.fromPretrained(path, options), "SCHEDULER", message);
      assert.equal(device.allocatedBytes, bytes);
    });

    it("paints the folder's picture, byte for byte", async () => {
      const one = await paint(path, { config: FOLDER });
      const many = await paint(FOLDER);
      assert.deepEqual(one.picture, many.picture);
      assert.deepEqual(one.request, many.request);
      assert.deepEqual({ ...one.model, name: "tiny-v" }, many.model);
      const read = (events: LoadEvent[]) =>
        new Map(events.map((e) => [e.name, [e.loaded, e.total]]));
      assert.deepEqual(read(one.events), read(many.events));
    });
  });
});

/** Every tensor of every part, to the byte. */
async function sameTensors(one: ModelFolder, many: ModelFolder, dtype?: string): Promise<void> {
  for (const part of PARTS) {
    const [actual, expected] = [await one[part].tensors(), await many[part].tensors()];
    assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
    assert.deepEqual(one[part].config, many[part].config);
    for (const [name, tensor] of expected) {
      const found = actual.get(name)!;
      assert.deepEqual(
        [found.name, found.dtype, found.shape],
        [name, dtype ?? tensor.dtype, tensor.shape],
      );
      const [a, b] = [found, tensor].map((each) => each.read(0, each.byteLength));
      assert.ok(Buffer.from((await a)!).equals((await b)!), name);
    }
  }
}
