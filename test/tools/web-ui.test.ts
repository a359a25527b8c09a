import assert from "node:assert/strict";
import fc from "fast-check";
import { encodePng, readPng } from "../../model/png.node.ts";
import { validateRequest } from "../../model/request.ts";
import { pictureTexts } from "../../tools/metadata.ts";
import { parseWebUi, schedulerOf, webUiParameters, webUiSampler } from "../../tools/web-ui.ts";
import { fakeResult, gradient } from "../support/fake-pipeline.ts";

const resultFor = (request: object) =>
  fakeResult(
    validateRequest(
      { prompt: "", seed: 1, steps: 20, ...request },
      { width: 64, height: 64, scheduler: "euler" },
    ),
  );

/** Text as a user may paste it: newlines, commas, quotes, emoji, what looks like our own syntax. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 12 }),
      fc.constantFrom("\n", ", ", ": ", '"', "\\", "🦀", "\nSteps: 1, Sampler: x, Seed: 2", "\r"),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join("").toWellFormed());

const hasNegativeLine = (text: string) => /^\s*Negative prompt:/m.test(text);

describe("the web UI's parameters", () => {
  it("are written in its order, with its names", () => {
    const result = resultFor({ prompt: "a cat", negativePrompt: "a dog" });
    const model = { name: "a, b", sha256: "0123456789abcdef" };
    assert.equal(
      webUiParameters({ ...result, model }, "1.2.3"),
      "a cat\nNegative prompt: a dog\nSteps: 20, Sampler: Euler, CFG scale: 7.5, Seed: 1, Size: 64x64, " +
        'Model hash: 0123456789, Model: "a, b", RNG: CPU, Version: wgsl-diffusion 1.2.3',
    );
    const task = {
      strength: 0.75,
      clipSkip: 1,
      rng: "cuda",
      scheduler: "dpmpp_2m_karras",
    } as const;
    assert.equal(
      webUiParameters({ ...result, request: { ...result.request, ...task } }, "1").split("\n")[2],
      "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 1, Size: 64x64, " +
        "Model: fake, Denoising strength: 0.75, Clip skip: 2, RNG: NV, Version: wgsl-diffusion 1",
    );
  });

  it("come back as they were, whatever prompt, negative prompt and model's name hold", () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, (prompt, negativePrompt, name) => {
        fc.pre(!hasNegativeLine(prompt));
        const result = resultFor({ prompt, negativePrompt });
        const back = parseWebUi(webUiParameters({ ...result, model: { name } }, "1"));
        assert.equal(back.prompt, prompt);
        assert.equal(back.negativePrompt, negativePrompt);
        assert.equal(back.fields.get("Model"), name);
        assert.deepEqual(
          ["Steps", "Seed", "Size"].map((key) => back.fields.get(key)),
          ["20", "1", "64x64"],
        );
      }),
    );
  });

  it("survive the PNG, and so do more than 64 kB of them", () => {
    const result = resultFor({});
    for (const prompt of ['x,:\n"🦀'.repeat(12_000), "é, ü\n".repeat(20_000)]) {
      const long = { ...result, request: { ...result.request, prompt } };
      const { texts } = readPng(encodePng(gradient(8, 8), pictureTexts(long, 0, "1")));
      assert.equal(parseWebUi(texts[0]?.text ?? "").prompt, prompt);
      assert.equal(texts[0]?.keyword, "parameters");
    }
  });

  it("of other programs are read: quotes, several lines, no negative prompt, no settings", () => {
    const { prompt, negativePrompt, fields } = parseWebUi(
      "a (cat:1.2),\nhat <lora:x:1>\nNegative prompt: blurry,\nlow quality\n" +
        'Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, Size: 512x768, Lora hashes: "x: 1234, y: 5678", TI: "say \\"hi\\"", Version: v1.6.0\n',
    );
    assert.equal(prompt, "a (cat:1.2),\nhat <lora:x:1>");
    assert.equal(negativePrompt, "blurry,\nlow quality");
    assert.equal(fields.get("Sampler"), "DPM++ 2M Karras");
    assert.equal(fields.get("Lora hashes"), "x: 1234, y: 5678");
    assert.equal(fields.get("TI"), 'say "hi"');
    assert.equal(fields.get("Version"), "v1.6.0");
    const bare = parseWebUi("just a prompt, nothing: else");
    assert.deepEqual([bare.prompt, bare.fields.size], ["just a prompt, nothing: else", 0]);
  });

  it("are data and no more: hostile ones neither throw, nor linger, nor reach a prototype", () => {
    const hostile = [
      "__proto__: 1, constructor: 2, toString: 3",
      `${"a".repeat(500_000)}:`,
      "a:".repeat(250_000),
      'a: ",'.repeat(100_000),
      `a: "${'\\"'.repeat(200_000)}`,
      ",".repeat(1_000_000),
      `a: "${"x".repeat(3_000_000)}"`,
      "\n".repeat(500_000),
    ];
    const start = performance.now();
    for (const text of hostile) parseWebUi(text);
    assert.ok(performance.now() - start < 2000);
    assert.equal(parseWebUi(hostile[0] ?? "").fields.get("__proto__"), "1");
    assert.equal(({} as Record<string, unknown>).a, undefined);
    fc.assert(fc.property(anyText, (text) => void parseWebUi(text)));
  });

  it("name samplers both ways, with the schedule beside the name or in it", () => {
    for (const solver of ["ddim", "pndm", "euler_a", "dpm2_a", "dpmpp_2m_sde", "unipc", "lcm"])
      for (const spacing of ["", "_karras", "_exponential", "_beta"]) {
        const { sampler, schedule } = webUiSampler(solver + spacing);
        assert.equal(schedulerOf(sampler, schedule), solver + spacing);
        assert.equal(schedulerOf([sampler, schedule].filter(Boolean).join(" ")), solver + spacing);
      }
    assert.deepEqual(webUiSampler("dpm2_a"), { sampler: "DPM2 a", schedule: undefined });
    assert.equal(schedulerOf("DPM++ 2M", "Automatic"), "dpmpp_2m");
    assert.equal(schedulerOf("Restart"), undefined);
    assert.equal(schedulerOf("toString"), undefined);
    assert.equal(webUiSampler("constructor").sampler, "constructor");
  });
});
