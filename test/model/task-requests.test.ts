import assert from "node:assert/strict";
import type { DiffusionError } from "../../engine/errors.ts";
import {
  type GenerateRequest,
  type RequestDefaults,
  type ResolvedRequest,
  validateRequest,
} from "../../model/request.ts";
import { taskOf } from "../../model/tasks/task.ts";

const image = { width: 70, height: 90, data: new Uint8Array(70 * 90 * 3) };
const depth = { width: 2, height: 2, data: Float32Array.of(0, 1, 2, 3) };
const size = { width: 512, height: 512, scheduler: "ddim" };
const base = { ...size, kind: "base" } as const;
const inpainting = { ...size, kind: "inpainting" } as const;
const depths = { ...size, kind: "depth" } as const;
const upscaler = { ...size, kind: "x4-upscaling", factor: 4 } as const;

const resolve = (defaults: RequestDefaults, part: Partial<GenerateRequest>): ResolvedRequest =>
  validateRequest({ prompt: "x", ...part }, defaults);

function refused(defaults: RequestDefaults, part: Partial<GenerateRequest>): string {
  try {
    resolve(defaults, part);
  } catch (error) {
    assert.equal((error as DiffusionError).code, "BAD_REQUEST");
    return (error as Error).message;
  }
  assert.fail(`accepted ${Object.keys(part)}`);
}

describe("requests with pictures", () => {
  it("are told apart by the checkpoint and by what is given", () => {
    assert.equal(taskOf("base", {}), "text-to-image");
    assert.equal(taskOf("base", { image }), "image-to-image");
    assert.equal(taskOf("inpainting", { image, mask: image }), "inpainting");
    assert.equal(taskOf("depth", { image }), "depth-to-image");
    assert.equal(taskOf("x4-upscaling", { image }), "upscaling");
  });

  it("say what the checkpoint wants where something is missing", () => {
    const wants = "this checkpoint repaints under a mask (9 channels): give image and mask";
    assert.equal(refused(inpainting, {}), wants);
    assert.equal(refused(inpainting, { image }), wants);
    assert.match(refused(depths, {}), /\(5 channels\): give image$/);
    assert.match(refused(upscaler, {}), /\(7 channels\): give image$/);
  });

  it("refuse what the checkpoint does not take", () => {
    assert.match(refused(base, { image, mask: image }), /\(4 channels\): it takes no mask$/);
    assert.match(refused(base, { image, depth }), /takes no depth$/);
    assert.match(refused(inpainting, { image, mask: image, noiseLevel: 3 }), /no noiseLevel$/);
    assert.match(refused(upscaler, { image, strength: 0.5 }), /takes no strength$/);
    assert.match(refused(size, { strength: 0.5 }), /^strength goes with image$/);
  });

  it("take diffusers' defaults", () => {
    const part = (task: ResolvedRequest) => [task.steps, task.guidanceScale, task.strength];
    assert.deepEqual(part(resolve(base, { image })), [50, 7.5, 0.8]);
    assert.deepEqual(part(resolve(depths, { image })), [50, 7.5, 0.8]);
    assert.deepEqual(part(resolve(inpainting, { image, mask: image })), [50, 7.5, 1]);
    assert.deepEqual(part(resolve(upscaler, { image })), [75, 9, undefined]);
    assert.equal(resolve(upscaler, { image }).noiseLevel, 20);
  });

  it("are as large as the image, down to a multiple of 8; inpainting as the checkpoint", () => {
    const sides = ({ width, height }: ResolvedRequest) => [width, height];
    assert.deepEqual(sides(resolve(base, { image })), [64, 88]);
    assert.deepEqual(sides(resolve(base, { image, width: 128 })), [128, 88]);
    assert.deepEqual(sides(resolve(inpainting, { image, mask: image })), [512, 512]);
    assert.deepEqual(sides(resolve(upscaler, { image })), [272, 352]);
    assert.match(refused(upscaler, { image, width: 64 }), /no width and no height/);
    const large = { width: 1030, height: 8, data: new Uint8Array(1030 * 8) };
    assert.match(refused(upscaler, { image: large }), /at most 1024x1024 \(got 1028x8\)/);
  });

  it("enlarge in one piece up to 512x512, and in tiles of 256 beyond, which share a quarter", () => {
    const sized = (width: number, height: number) => ({
      image: { width, height, data: new Uint8Array(width * height) },
    });
    const part = ({ tile, tileOverlap, vaeTiling }: ResolvedRequest) => [
      ...[tile, tileOverlap, vaeTiling],
    ];
    const none = [undefined, undefined, undefined];
    assert.deepEqual(part(resolve(upscaler, sized(512, 512))), none);
    assert.deepEqual(part(resolve(upscaler, sized(516, 64))), [256, 64, true]);
    const { width, height } = resolve(upscaler, sized(1024, 900));
    assert.deepEqual([width, height], [4096, 3600]);
    assert.deepEqual(part(resolve(upscaler, { ...sized(80, 64), tile: 64 })), [64, 16, undefined]);
    const both = { tile: 64, tileOverlap: 5, vaeTiling: true };
    assert.deepEqual(part(resolve(upscaler, { ...sized(80, 64), ...both })), [64, 5, true]);
    // One tile holds it: as without.
    assert.deepEqual(part(resolve(upscaler, { ...sized(64, 64), tile: 64 })), none);
  });

  it("bound the tiles, and only an upscaler takes them", () => {
    const tiles = (tile?: unknown, tileOverlap?: unknown) =>
      refused(upscaler, { image, tile, tileOverlap } as Partial<GenerateRequest>);
    for (const tile of [8, 20, 520, "64", Number.NaN])
      assert.match(tiles(tile), /^tile must be a multiple of 8 between 16 and 512 \(got /);
    assert.match(tiles(64, 33), /^tileOverlap must be a whole number between 0 and 32 \(got 33\)/);
    assert.match(tiles(64, 0.5), /^tileOverlap must be/);
    assert.match(refused(base, { image, tile: 64 }), /\(4 channels\): it takes no tile$/);
    assert.match(refused(base, { tileOverlap: 8 }), /^tileOverlap goes with image$/);
  });

  it("name the least strength, and take 0", () => {
    assert.match(
      refused(base, { image, steps: 3, strength: 0.3 }),
      /strength must be at least 0.334, or steps at least 4$/,
    );
    assert.equal(resolve(base, { image, steps: 3, strength: 0.334 }).strength, 0.334);
    assert.equal(resolve(base, { image, strength: 0 }).strength, 0);
    for (const strength of [-0.1, 1.1, Number.NaN]) refused(base, { image, strength });
  });

  it("bound the noise level by 350 and by the checkpoint", () => {
    assert.equal(resolve(upscaler, { image, noiseLevel: 350 }).noiseLevel, 350);
    assert.match(refused(upscaler, { image, noiseLevel: 351 }), /between 0 and 350 \(got 351\)/);
    refused({ ...upscaler, maxNoiseLevel: 40 }, { image, noiseLevel: 41 });
    assert.equal(resolve({ ...upscaler, maxNoiseLevel: 10 }, { image }).noiseLevel, 10);
  });

  it("leave out of the record what is as usual", () => {
    const usual = { eta: 0, clipSkip: 0, rng: "torch", promptSyntax: "plain" } as const;
    const { seed: _, ...plain } = resolve(base, usual);
    assert.deepEqual(Object.keys(plain), [
      ...["prompt", "negativePrompt", "steps", "guidanceScale", "guidanceRescale"],
      ...["scheduler", "width", "height", "numImages"],
    ]);
    const unusual = { eta: 0.5, clipSkip: 2, rng: "numpy", promptSyntax: "a1111" } as const;
    const { eta, clipSkip, rng, promptSyntax } = resolve(base, unusual);
    assert.deepEqual({ eta, clipSkip, rng, promptSyntax }, unusual);
    for (const part of [{ eta: 2 }, { clipSkip: -1 }, { rng: "x" }, { promptSyntax: "x" }])
      refused(base, part as Partial<GenerateRequest>);
  });
});
