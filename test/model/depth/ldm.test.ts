import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { StoredTensor } from "../../../engine/safetensors.ts";
import {
  depthFromLdm,
  dptConfig,
  expectedDepth,
  MIDAS_HYBRID,
} from "../../../model/depth/index.ts";
import { checkWeights } from "../../../model/expected.ts";
import { openTinyDepth } from "../../support/depth.ts";

type Shapes = Readonly<Record<string, readonly number[]>>;

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), "utf8"));

/** Names and shapes at full size: as transformers lists them, and as MiDaS's own code does with timm 0.6.13. */
const TRANSFORMERS = fixture("dpt-hybrid-keys.json") as { config: unknown; tensors: Shapes };
const MIDAS = fixture("midas-keys.json") as Shapes;

const PREFIX = "depth_model.model.";

function stored(name: string, shape: readonly number[], bytes?: Uint8Array): StoredTensor {
  const byteLength = 2 * shape.reduce((product, n) => product * n, 1);
  const read = async (offset: number, length: number) => {
    assert.ok(bytes && offset >= 0 && offset + length <= byteLength, `${name} has these bytes`);
    return bytes.slice(offset, offset + length);
  };
  return { name, dtype: "F16", shape, byteLength, read };
}

const storedAll = (shapes: Shapes, prefix = PREFIX) =>
  new Map(Object.entries(shapes).map(([n, s]) => [prefix + n, stored(prefix + n, s)] as const));

const shapesOf = (tensors: ReadonlyMap<string, { shape: readonly number[] }>) =>
  Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));

describe("the depth estimator of a full-size SD2", () => {
  it("has the names and shapes that transformers' module has", () => {
    const expected = expectedDepth(dptConfig(TRANSFORMERS.config));
    assert.deepEqual(Object.fromEntries(expected), TRANSFORMERS.tensors);
    const count = [...expected.values()].reduce((n, s) => n + s.reduce((a, b) => a * b, 1), 0);
    assert.equal(count, 122_377_985);
  });

  it("is the same from a single file: every name of MiDaS becomes one of transformers', none is left", () => {
    assert.deepEqual(MIDAS_HYBRID, dptConfig(TRANSFORMERS.config));
    for (const prefix of [PREFIX, "model.", ""]) {
      const renamed = depthFromLdm(storedAll(MIDAS, prefix));
      assert.deepEqual(shapesOf(renamed), TRANSFORMERS.tensors);
      for (const [name, tensor] of renamed) assert.equal(tensor.name, name);
      checkWeights("depth_estimator", expectedDepth(MIDAS_HYBRID), renamed);
    }
  });

  it("names what a file has too much or too little", () => {
    const tensors = storedAll(MIDAS);
    tensors.delete(`${PREFIX}scratch.refinenet4.out_conv.bias`);
    tensors.set(`${PREFIX}scratch.extra`, stored("extra", [3]));
    const check = () =>
      checkWeights("depth_estimator", expectedDepth(MIDAS_HYBRID), depthFromLdm(tensors));
    assert.throws(check, {
      code: "WEIGHTS_MISMATCH",
      message:
        /depth_estimator\.neck\.fusion_stage\.layers\.0\.projection\.bias expected \[256\].*found none[\s\S]*depth_estimator\.scratch\.extra expected none, found \[3\]/,
    });
  });
});

describe("depthFromLdm", () => {
  it("gives the bytes of a checkpoint in transformers' names, queries, keys and values taken apart", async () => {
    const { tensors } = await openTinyDepth();
    const bytesOf = (t: StoredTensor) => t.read(0, t.byteLength);
    const file = new Map<string, StoredTensor>();
    for (const name of Object.keys(MIDAS)) {
      const parts = [...depthFromLdm(storedAll({ [name]: MIDAS[name]! })).keys()];
      const own = parts.flatMap((part) => tensors.get(part) ?? []);
      if (own.length === 0) continue;
      const bytes = Buffer.concat(await Promise.all(own.map(bytesOf)));
      const [rows, ...rest] = own[0]!.shape as [number, ...number[]];
      file.set(PREFIX + name, stored(name, [rows * own.length, ...rest], bytes));
    }
    const renamed = depthFromLdm(file);
    assert.deepEqual([...renamed.keys()].sort(), [...tensors.keys()].sort());
    for (const [name, tensor] of renamed) {
      assert.deepEqual(tensor.shape, tensors.get(name)!.shape, name);
      const [ours, theirs] = [await bytesOf(tensor), await bytesOf(tensors.get(name)!)];
      assert.deepEqual(Buffer.from(ours), Buffer.from(theirs), name);
    }
  });

  it("reads a range of the file's one matrix: queries, then keys, then values", async () => {
    const name = "depth_model.model.pretrained.model.blocks.3.attn.qkv.weight";
    const bytes = Uint8Array.from({ length: 24 }, (_, i) => i);
    const parts = depthFromLdm(new Map([[name, stored(name, [6, 2], bytes)]]));
    const path = "dpt.encoder.layer.3.attention.attention";
    for (const [i, key] of ["query", "key", "value"].entries()) {
      const part = parts.get(`${path}.${key}.weight`)!;
      assert.deepEqual(part.shape, [2, 2]);
      assert.deepEqual(
        [...(await part.read(2, 4))],
        [2, 3, 4, 5].map((b) => b + 8 * i),
      );
    }
  });

  it("refuses a matrix that is not three, and two tensors of one name", () => {
    const name = "pretrained.model.blocks.0.attn.qkv.bias";
    const odd = new Map([[name, stored(name, [7])]]);
    assert.throws(() => depthFromLdm(odd), { code: "WEIGHTS_MISMATCH", message: /\[7\]/ });
    const twice = new Map(
      ["", PREFIX].map((prefix) => [`${prefix}scratch.layer1_rn.weight`, stored("x", [1])]),
    );
    const message = /two tensors are called neck\.convs\.0\.weight/;
    assert.throws(() => depthFromLdm(twice), { code: "WEIGHTS_MISMATCH", message });
  });
});
