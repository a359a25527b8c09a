import assert from "node:assert/strict";
import fc from "fast-check";
import type { DiffusionError } from "../../engine/errors.ts";
import { type GenerateRequest, LIMITS, validateRequest } from "../../model/request.ts";

const defaults = { width: 768, height: 512, scheduler: "pndm" };

function refused(part: Record<string, unknown>): string {
  try {
    validateRequest({ prompt: "x", ...part } as GenerateRequest, defaults);
  } catch (error) {
    assert.equal((error as DiffusionError).code, "BAD_REQUEST");
    return (error as Error).message;
  }
  assert.fail(`accepted ${JSON.stringify(part)}`);
}

describe("validateRequest", () => {
  it("fills everything in from the checkpoint", () => {
    const { seed, ...rest } = validateRequest({ prompt: "a cat" }, defaults);
    assert.deepEqual(rest, {
      ...{ prompt: "a cat", negativePrompt: "", steps: 50, guidanceScale: 7.5 },
      ...{ guidanceRescale: 0, scheduler: "pndm", width: 768, height: 512, numImages: 1 },
    });
    assert.ok(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32);
  });

  it("draws another seed each time where none, or -1, is given, and keeps a given one", () => {
    const seeds = Array.from(
      { length: 8 },
      () => validateRequest({ prompt: "", seed: -1 }, defaults).seed,
    );
    assert.ok(new Set(seeds).size > 1);
    for (const seed of [0, 42, 2 ** 32, Number.MAX_SAFE_INTEGER])
      assert.equal(validateRequest({ prompt: "", seed }, defaults).seed, seed);
  });

  it("names the nearest size that is allowed", () => {
    assert.equal(
      refused({ width: 510 }),
      "width must be a multiple of 8 between 64 and 2048 (got 510); nearest: 512",
    );
    assert.match(refused({ height: 0 }), /^height .* \(got 0\); nearest: 64$/);
    assert.match(refused({ height: -8 }), /nearest: 64$/);
    assert.match(refused({ width: 1e9 }), /nearest: 2048$/);
    assert.match(refused({ width: Number.NaN }), /\(got NaN\)$/);
    assert.match(refused({ width: "512x" }), /\(got "512x"\)$/);
    refused({ width: 512.5 });
  });

  it("refuses what is out of range, one by one", () => {
    for (const steps of [0, -1, 1001, 10_000, 2.5, Number.NaN, "20"]) refused({ steps });
    for (const guidanceScale of [-1, 1e9, Number.NaN, Number.POSITIVE_INFINITY, "7"])
      refused({ guidanceScale });
    for (const numImages of [0, 17, 100, 1.5]) refused({ numImages });
    for (const seed of [-2, 2 ** 53, 1.5, Number.NaN, "abc"]) refused({ seed });
    for (const scheduler of ["", "foo", "__proto__", "constructor", 3]) refused({ scheduler });
    for (const guidanceRescale of [-0.1, 1.1]) refused({ guidanceRescale });
  });

  it("takes guidance that changes, and leaves out of the record what is so anyway", () => {
    const rest = (part: Partial<GenerateRequest>, kind?: "base") => {
      const usual = validateRequest({ prompt: "x", seed: 1 }, defaults);
      const known = { ...defaults, ...(kind && { kind }) };
      const resolved = validateRequest({ prompt: "x", seed: 1, ...part }, known);
      assert.deepEqual(validateRequest(resolved, known), resolved);
      return Object.fromEntries(
        Object.entries(resolved).filter(([key]) => !Object.hasOwn(usual, key)),
      );
    };
    const nothing = { guidanceStart: 0, guidanceStop: 1, guidanceSchedule: "constant" } as const;
    assert.deepEqual(rest(nothing), {});
    const interval = { guidanceStart: 0.5, guidanceStop: 0.5 };
    assert.deepEqual(rest(interval), interval);
    const rising = { guidanceSchedule: "linear", guidanceFrom: 0 } as const;
    assert.deepEqual(rest(rising), rising);
    const list = { guidanceSchedule: [1, 2, 100] };
    assert.deepEqual(rest({ ...list, steps: 3 }, "base"), list);
    const dynamic = { thresholding: "dynamic", thresholdingRatio: 0, sampleMaxValue: 1 } as const;
    assert.deepEqual(rest(dynamic), dynamic);
    assert.deepEqual(rest({ thresholding: "mimic" }), { thresholding: "mimic" });
  });

  it("refuses guidance that cannot be", () => {
    for (const guidanceStart of [-0.1, 1.1, Number.NaN, "0.5"]) refused({ guidanceStart });
    for (const guidanceStop of [-0.1, 1.1, Number.NaN]) refused({ guidanceStop });
    for (const guidanceSchedule of ["", "square", "__proto__", 3, {}, null])
      refused({ guidanceSchedule });
    for (const scale of [-1, 101, Number.NaN, "7", undefined])
      assert.match(refused({ steps: 1, guidanceSchedule: [scale] }), /^guidanceSchedule\[0\] /);
    assert.match(
      refused({ guidanceStart: 0.6, guidanceStop: 0.4 }),
      /^guidanceStart 0.6 is after guidanceStop 0.4$/,
    );
    assert.match(
      refused({ steps: 3, guidanceSchedule: [1, 2] }),
      /^guidanceSchedule must hold a scale for each of the 3 steps that run \(got 2\)$/,
    );
    refused({ guidanceSchedule: [] });
  });

  it("refuses options of what is not asked for", () => {
    for (const guidanceSchedule of [undefined, "constant", [1]])
      assert.match(refused({ steps: 1, guidanceSchedule, guidanceFrom: 2 }), /^guidanceFrom /);
    for (const thresholding of ["", "static", true]) refused({ thresholding });
    assert.match(refused({ thresholdingRatio: 0.9 }), /option of thresholding dynamic .*"off"/);
    assert.match(refused({ thresholding: "mimic", sampleMaxValue: 2 }), /of thresholding dynamic/);
    assert.match(refused({ thresholding: "dynamic", mimicScale: 2 }), /of thresholding mimic/);
    for (const sampleMaxValue of [0.5, 1e9, Number.NaN])
      refused({ thresholding: "dynamic", sampleMaxValue });
  });

  it("wants of a list a scale for each step that runs, where that is known", () => {
    const image = { width: 64, height: 64, data: new Uint8Array(64 * 64) };
    const guidanceSchedule = [7, 6, 5];
    const asked = { prompt: "x", image, guidanceSchedule };
    const base = { ...defaults, kind: "base" } as const;
    // 4 · 0.8 is 3.2.
    assert.equal(validateRequest({ ...asked, steps: 4 }, base).strength, 0.8);
    assert.throws(() => validateRequest({ ...asked, steps: 3 }, base), /each of the 2 steps/);
    assert.throws(() => validateRequest({ ...asked, steps: 8, strength: 0.5 }, defaults), /the 4/);
    // Another checkpoint may have other defaults.
    validateRequest({ ...asked, steps: 3 }, defaults);
    validateRequest({ prompt: "x", guidanceSchedule }, defaults);
    assert.throws(() => validateRequest({ prompt: "x", guidanceSchedule }, base), /the 50 steps/);
  });

  it("accepts the ends of every range", () => {
    for (const steps of [1, 1000]) validateRequest({ prompt: "", steps }, defaults);
    for (const guidanceScale of [0, 1, 100])
      validateRequest({ prompt: "", guidanceScale }, defaults);
    for (const width of [64, 2048]) validateRequest({ prompt: "", width }, defaults);
    for (const numImages of [1, 16]) validateRequest({ prompt: "", numImages }, defaults);
  });

  it("knows the schedulers by diffusers' class names too", () => {
    const name = (scheduler: string) =>
      validateRequest({ prompt: "", scheduler }, defaults).scheduler;
    assert.deepEqual(["EulerDiscreteScheduler", "DDIM", "PNDMScheduler"].map(name), [
      ...["euler", "ddim", "pndm"],
    ]);
  });

  it("takes 4,000 characters, an emoji being one, and no more", () => {
    const fits = ["", "   ", "\0", "\ud800", "שלום", "🦀".repeat(LIMITS.promptLength)];
    for (const prompt of fits) assert.equal(validateRequest({ prompt }, defaults).prompt, prompt);
    assert.match(refused({ prompt: "x".repeat(4001) }), /^prompt .* 4000 characters \(got 4001\)$/);
    assert.match(refused({ negativePrompt: "x".repeat(100_000) }), /^negativePrompt /);
    assert.match(refused({ prompt: undefined }), /must be a string/);
  });

  it("gives a request that passes again, or BAD_REQUEST, for any input at all", () => {
    const anything = fc.record(
      Object.fromEntries(
        [
          "prompt",
          "steps",
          "guidanceScale",
          "scheduler",
          "seed",
          "width",
          "height",
          "numImages",
        ].map((key) => [key, fc.oneof(fc.anything(), fc.double(), fc.integer(), fc.string())]),
      ),
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(anything, (input) => {
        try {
          const resolved = validateRequest(input as unknown as GenerateRequest, defaults);
          assert.deepEqual(validateRequest(resolved, defaults), resolved);
        } catch (error) {
          assert.equal((error as DiffusionError).code, "BAD_REQUEST");
        }
      }),
      { examples: [[{ prompt: { toString: {} } }], [{ scheduler: Object.create(null) }]] },
    );
  });

  it("takes as many steps as there are timesteps, and keeps how they are spread", () => {
    const resolve = (part: Partial<GenerateRequest>) =>
      validateRequest({ prompt: "x", seed: 1, ...part }, defaults);
    assert.equal(resolve({ timesteps: [900, 500, 3] }).steps, 3);
    assert.deepEqual(resolve({ timesteps: [5, 0], steps: 2 }).timesteps, [5, 0]);
    const { steps, timestepSpacing } = resolve({ timestepSpacing: "ays", steps: 8 });
    assert.deepEqual([steps, timestepSpacing], [8, "ays"]);
    const usual = { timestepSpacing: undefined, rescaleBetasZeroSnr: false, schedulerConfig: {} };
    assert.deepEqual(resolve({ ...usual, perImageSeeds: false }), resolve({}));
  });

  it("refuses timesteps, spacings and settings that no scheduler takes", () => {
    for (const [timesteps, message] of [
      [[], /got 0 of them/],
      [[3, 3], /got 3, number 2/],
      [[3.5], /got 3.5, number 1/],
      [[-1], /got -1, number 1/],
      ["999,3", /got "999,3"/],
    ] as const) {
      assert.match(refused({ timesteps }), message);
    }
    assert.match(refused({ timesteps: [5], steps: 2 }), /steps is 2, and there are 1 timesteps/);
    assert.match(refused({ timesteps: [5], timestepSpacing: "ays" }), /exclude one another/);
    assert.match(refused({ timestepSpacing: "karras" }), /one of leading, linspace, trailing, ays/);
    assert.match(refused({ rescaleBetasZeroSnr: "yes" }), /must be true or false/);
    assert.match(refused({ schedulerConfig: [1] }), /must be an object of settings \(got a list/);
    assert.match(refused({ schedulerConfig: { a: null } }), /a must be a number, text/);
    const twice = { schedulerConfig: { rescale_betas_zero_snr: true } };
    assert.match(refused(twice), /is the option rescaleBetasZeroSnr/);
  });
});
