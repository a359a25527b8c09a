import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type DType, type Tensor, tensor } from "../../../engine/index.ts";
import { Weights } from "../../../engine/parameters.ts";
import { readSafetensors } from "../../../engine/safetensors.ts";
import { conditionText, joinChunks, textEncoder } from "../../../model/clip.ts";
import { type ModelFolder, openFolder } from "../../../model/folder.node.ts";
import { planPrompt } from "../../../model/prompt/plan.ts";
import { promptSchedule } from "../../../model/prompt/schedule.ts";
import { memorySource } from "../../support/byte-source.ts";
import { adapters } from "../../support/devices.ts";
import { runAll } from "../../support/fused.ts";
import {
  checkpointPath,
  maxError,
  openGolden,
  rmsError,
  STAGE_TOLERANCE,
} from "../../support/golden.ts";
import { tinyTokenizer, vectors } from "../../support/prompts.ts";

/** rms(Δ) / rms(expected) of a whole model in f16, as in blocks.test.ts. */
const HALF_TOLERANCE = 5e-3;
const TOKENS = 77;
const CASES = vectors.conditioning.map(({ name, texts }) => ({
  name,
  texts,
  // A schedule of three entries whose last is the first one again.
  prompt: texts.length === 1 ? texts[0]! : `[${texts[0]}|${texts[1]}]`,
}));

describe("the text encoder", () => {
  let folder: ModelFolder;
  let weights: Weights;
  before(async () => {
    folder = await openFolder(checkpointPath("tiny-v"));
    weights = Weights.of("text_encoder", await folder.textEncoder.tensors());
  });
  after(() => folder?.close());

  const encode = (ids: Int32Array, dtype: DType, skip?: number) => {
    const chunks = tensor(ids, [ids.length / TOKENS, TOKENS], "i32");
    return textEncoder(weights, folder.textEncoder.config, chunks, dtype, { skip });
  };
  const run = async (outputs: Record<string, Tensor>) =>
    runAll((await adapters())[0]!.device, outputs);

  describe("with emphasis gives what the webui hands to the UNet", () => {
    const conditioned = (prompt: string, steps: number, dtype: DType, alone = false) => {
      const options = { syntax: "a1111", tokens: TOKENS, guided: false } as const;
      const made = planPrompt(prompt, "", steps, tinyTokenizer(), options);
      const count = made.encodings * made.chunks;
      const emphasis = tensor(made.weights, [count, TOKENS], "f32");
      const own = Float32Array.from(made.shares!, (_, i) => (i % (count + 1) === 0 ? 1 : 0));
      const shares = tensor(alone ? own : made.shares!, [count, count], "f32");
      return conditionText(encode(made.ids, dtype), emphasis, shares, made.chunks);
    };

    it("of the schedules that the fixture was made from", () => {
      for (const { prompt, texts } of CASES) {
        const ours = promptSchedule(prompt, texts.length).map(({ text }) => text);
        assert.deepEqual(ours, texts);
      }
    });

    for (const dtype of ["f32", "f16"] as const) {
      it(`in ${dtype}`, async () => {
        const expected = await readConditioning();
        const results = await run(
          Object.fromEntries(
            CASES.map(({ name, prompt, texts }) => [
              name,
              conditioned(prompt, texts.length, dtype),
            ]),
          ),
        );
        const [measure, tolerance] =
          dtype === "f32" ? [maxError, STAGE_TOLERANCE] : [rmsError, HALF_TOLERANCE];
        for (const { name } of CASES) {
          assert.deepEqual(results[name]!.length, expected[name]!.length);
          const error = measure(results[name]!, expected[name]!);
          assert.ok(error <= tolerance, `${name} is off by ${error}`);
        }
      });
    }

    it("where a chunk's mean is that of a schedule's texts together", async () => {
      const { name, prompt, texts } = CASES.find(({ texts }) => texts.length > 1)!;
      const { alone } = await run({ alone: conditioned(prompt, texts.length, "f32", true) });
      const error = maxError(alone!, (await readConditioning())[name]!);
      assert.ok(error > 100 * STAGE_TOLERANCE, `means of their own are off by ${error} only`);
    });
  });

  it("lays the chunks of an encoding one after another", async () => {
    const x = Float32Array.from({ length: 24 }, (_, i) => i);
    const joined = joinChunks(tensor(x, [4, 3, 2]), 2);
    assert.deepEqual(joined.shape, [2, 6, 2]);
    assert.deepEqual([...(await run({ joined })).joined!], [...x]);
  });

  it("leaves out layers as diffusers' clip_skip does", async () => {
    const golden = await openGolden("tiny-v", ["clip_skip.safetensors"]);
    const ids = Int32Array.from(golden("clip_skip.safetensors", "input_ids").data);
    const results = await run({ 1: encode(ids, "f32", 1), 2: encode(ids, "f32", 2) });
    for (const skip of [1, 2]) {
      const expected = golden("clip_skip.safetensors", `skip.${skip}`).data;
      const error = maxError(results[skip]!, expected);
      assert.ok(error <= STAGE_TOLERANCE, `skip ${skip} is off by ${error}`);
      assert.ok(maxError(results[3 - skip]!, expected) > 0.1, "the other one differs");
    }
  });

  it("keeps one layer at least", () => {
    const ids = new Int32Array(TOKENS);
    for (const skip of [3, -1, 0.5, Number.NaN]) {
      const fault = { code: "BAD_REQUEST", message: /clipSkip .* between 0 and 2/ };
      assert.throws(() => encode(ids, "f32", skip), fault);
    }
  });
});

async function readConditioning(): Promise<Record<string, Float32Array>> {
  const path = new URL("../../fixtures/prompts/conditioning.safetensors", import.meta.url);
  const { tensors } = await readSafetensors(memorySource(readFileSync(path), "conditioning"));
  const found: Record<string, Float32Array> = {};
  for (const [name, stored] of tensors) {
    found[name] = new Float32Array((await stored.read(0, stored.byteLength)).slice().buffer);
  }
  return found;
}
