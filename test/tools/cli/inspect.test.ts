/** What `inspect` says of weights in one file: the model, told from names and shapes. */
import assert from "node:assert/strict";
import { guessFile } from "../../../model/expected/guess.ts";
import { inspectTensors, textOf } from "../../../tools/cli/inspect.node.ts";
import { type HeaderTensor, hollowSource, publishedKeys } from "../../support/ldm.ts";

async function lines(tensors: readonly HeaderTensor[]): Promise<string[]> {
  const source = hollowSource(tensors);
  const summary = await inspectTensors(source);
  assert.equal(source.closed, false);
  return textOf(summary, false).filter((line) => !line.startsWith("  "));
}

describe("inspect, of a single file", () => {
  it("says what kind it is, what it predicts, and how that is known", async () => {
    const [size, model] = await lines(publishedKeys("x4-upscaling"));
    assert.match(size!, /hollow\.safetensors: \d+ F16 tensors, 8\d\d\.\d M parameters/);
    assert.equal(
      model,
      "Stable Diffusion 2 (x4-upscaling), v_prediction (as all of its kind), original naming",
    );
    assert.equal(
      (await lines(publishedKeys("v2-inference")))[1],
      "Stable Diffusion 2 (base), epsilon (told by a norm's bias, 0.000), original naming",
    );
  });

  it("gives the same as JSON", async () => {
    const { detected } = await inspectTensors(hollowSource(publishedKeys("v2-midas-inference")));
    assert.deepEqual(detected, { kind: "depth", prediction: "epsilon", by: "kind", layout: "ldm" });
  });

  it("says why a checkpoint cannot be run", async () => {
    const keys = publishedKeys("v2-inference").map((key) =>
      key.name.endsWith("attn2.to_k.weight") ? { ...key, shape: [320, 768] } : key,
    );
    const [, note] = await lines(keys);
    assert.match(note!, /cannot be run: .*looks like a checkpoint of SD 1\.x/);
  });

  it("guesses at other files, and is silent where it knows nothing", async () => {
    const lora = [{ name: "lora_unet_mid_block.lora_up.weight", shape: [4, 4] }];
    assert.match((await lines(lora))[1]!, /looks like a LoRA file/);
    const latents = [{ name: "latents", shape: [1, 4, 8, 8] }];
    assert.equal(guessFile(new Map(latents.map((each) => [each.name, each]))), undefined);
    assert.equal((await lines(latents)).length, 1);
  });
});
