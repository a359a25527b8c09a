/** Upscaling in tiles as a user sees it; against diffusers it is in tasks.test.ts. */
import assert from "node:assert/strict";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest, StepEvent } from "../../model/request.ts";
import { tileGrid } from "../../model/tile-grid.ts";
import { adapters } from "../support/devices.ts";
import { rmsError } from "../support/golden.ts";
import { distance, samples } from "../support/pictures.ts";
import { removeTaskFolders, taskFolder } from "../support/task-folder.ts";

/** Slow waves: what is sharp in the result comes from somewhere else. */
function waves(width: number, height: number) {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return Math.round(127 + 90 * Math.sin((x * (3 + c) - y * (5 - c)) / 40 + c));
  });
  return { width, height, data };
}

/** Between the steps in what blended tiles change, and in what cut ones do (1.58 to 1.96). */
const SEAM = 1.25;

describe("upscaling in tiles", () => {
  let device: Device;
  let sd: StableDiffusion;
  before(async () => {
    device = (await adapters())[0]!.device;
    sd = await StableDiffusion.fromPretrained(await taskFolder("x4-a"), { device, dtype: "f32" });
  });
  after(async () => {
    await sd[Symbol.asyncDispose]();
    removeTaskFolders();
  });
  const base = { prompt: "a horse", seed: 3, steps: 3, guidanceScale: 3 };
  const paint = async (request: Partial<GenerateRequest>) => {
    const { images, request: resolved } = await sd.generate({ ...base, ...request });
    return { image: images[0]!, resolved };
  };

  it("gives what the whole gives, bit by bit, where one tile holds the image", async () => {
    const image = waves(20, 16);
    const whole = await paint({ image });
    const inOne = await paint({ image, tile: 24, tileOverlap: 4 });
    assert.deepEqual(inOne.image.data, whole.image.data);
    assert.deepEqual(inOne.resolved, whole.resolved);
    const inTwo = await paint({ image, tile: 16, tileOverlap: 4 });
    assert.notDeepEqual(inTwo.image.data, whole.image.data);
    assert.deepEqual([inTwo.resolved.tile, inTwo.resolved.tileOverlap], [16, 4]);
  });

  it("shows no step across the tiles' borders, where tiles that do not overlap do", async () => {
    const [side, tile] = [48, 24];
    const image = waves(side, side);
    const whole = samples([(await paint({ image })).image]);
    const inTiles = async (tileOverlap: number) => {
      const own = samples([(await paint({ image, tile, tileOverlap })).image]);
      const borders = bordersOf(side, tile, tileOverlap);
      const change = own.map((value, i) => value - whole[i]!);
      const [steps, usual, changes] = [own, whole, change].map((of) =>
        stepAt(of, 4 * side, borders),
      );
      return { steps: steps!, usual: usual!, changes: changes! };
    };
    const blended = await inTiles(8);
    const said = JSON.stringify(blended);
    assert.ok(blended.steps <= 1.02 * blended.usual, `no larger than in one piece: ${said}`);
    // What tiles change, without the picture's own edges: 0.94 to 1.11 with other seeds and overlaps.
    assert.ok(blended.changes <= SEAM, said);
    const cut = await inTiles(0);
    assert.ok(cut.changes > SEAM, `no test: ${JSON.stringify(cut)}`);
  });

  it("tells after each tile how far it is", async () => {
    const events: StepEvent[] = [];
    const image = waves(20, 28);
    const onStep = (event: StepEvent) => void events.push(event);
    await paint({ image, tile: 16, tileOverlap: 6, output: "latent", onStep });
    assert.deepEqual(
      events.map(({ step, steps, tile, tiles }) => [step, steps, tile, tiles]),
      [1, 2, 3].flatMap((step) => [1, 2, 3, 4, 5, 6].map((tile) => [step, 3, tile, 6])),
    );
    assert.equal(events.at(-1)!.etaMs, 0);
    assert.ok(events.every(({ etaMs }, i) => etaMs > 0 || i === events.length - 1));
    const plain: StepEvent[] = [];
    await paint({ image, output: "latent", onStep: (event) => void plain.push(event) });
    assert.ok(plain.length === 3 && plain.every((event) => !("tile" in event)));
  });

  it("stops between two tiles, and paints as before after that", async () => {
    const request = { image: waves(20, 28), tile: 16, tileOverlap: 6 };
    const first = await paint(request);
    const stop = new AbortController();
    const reason = new Error("enough");
    const seen: (number | undefined)[] = [];
    const onStep = ({ step, tile }: StepEvent) => {
      seen.push(tile);
      if (step === 2 && tile === 2) stop.abort(reason);
    };
    const run = paint({ ...request, onStep, signal: stop.signal });
    await assert.rejects(run, (error) => error === reason);
    assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 1, 2]);
    assert.deepEqual((await paint(request)).image.data, first.image.data);
  });

  it("decodes in its tiles where asked to, and always beyond 2048 pixels", async () => {
    const small = { image: waves(20, 28), tile: 16, tileOverlap: 6 };
    const [whole, inTiles] = [await paint(small), await paint({ ...small, vaeTiling: true })];
    const { psnr } = distance(samples([inTiles.image]), samples([whole.image]));
    assert.ok(psnr >= 15 && psnr < 99, `${psnr} dB`);
    const wide = { image: waves(520, 16), steps: 1, guidanceScale: 1 };
    const { image, resolved } = await paint(wide);
    assert.deepEqual([image.width, image.height], [2080, 64]);
    assert.deepEqual([resolved.tile, resolved.tileOverlap, resolved.vaeTiling], [256, 64, true]);
  });

  it("takes several pictures, noise in the steps and rescaled guidance", async () => {
    const request = {
      ...{ image: waves(20, 16), tile: 16, tileOverlap: 8, numImages: 2, scheduler: "euler_a" },
      guidanceRescale: 0.7,
    };
    const { images } = await sd.generate({ ...base, ...request });
    const again = await sd.generate({ ...base, ...request });
    assert.equal(images.length, 2);
    assert.deepEqual(again.images, images);
    const { images: plain } = await sd.generate({ ...base, ...request, guidanceRescale: 0 });
    assert.ok(distance(samples(plain), samples(images)).worst > 3);
  });

  it("changes texts between two steps, for all tiles of the second", async () => {
    const request = { ...base, image: waves(20, 16), tile: 16, tileOverlap: 8, steps: 3 };
    const [first, second] = ["a horse", "two red apples"];
    const latents = async (prompt: string) => {
      const more = { prompt, scheduler: "euler", promptSyntax: "a1111", output: "latent" } as const;
      return (await sd.generate({ ...request, ...more })).latents!.data;
    };
    // Two calls of the UNet see the first text, the last one the second.
    const changing = await latents(`[${first}:${second}:1]`);
    for (const text of [first, second]) {
      const moved = rmsError(await latents(text), changing);
      assert.ok(moved > 1e-3, `${text}: ${moved}`);
    }
    // Both in turn, though the same: as the one.
    assert.deepEqual(await latents(`[${first}:${first}:1]`), await latents(first));
  });
});

/** Where tiles begin and end, in pixels of the picture. */
function bordersOf(side: number, most: number, overlap: number): Set<number> {
  const { tile, places } = tileGrid({ height: side, width: side }, most, overlap);
  const ends = places.flatMap(({ left }) => [4 * left, 4 * (left + tile.width)]);
  return new Set(ends.filter((x) => x > 0 && x < 4 * side));
}

/**
 * Mean difference of neighbours across the borders, divided by that elsewhere; both between pixels of neighbouring
 * latents, for what one latent becomes has a rhythm of its own. RGB of a square picture.
 */
function stepAt(picture: readonly number[], side: number, borders: ReadonlySet<number>): number {
  const mean = { border: [0, 0], elsewhere: [0, 0] };
  for (let at = 4; at < side; at += 4) {
    const sums = borders.has(at) ? mean.border : mean.elsewhere;
    for (let along = 0; along < side; along++) {
      for (let c = 0; c < 3; c++) {
        const value = (y: number, x: number) => picture[3 * (y * side + x) + c]!;
        sums[0]! += Math.abs(value(along, at) - value(along, at - 1));
        sums[0]! += Math.abs(value(at, along) - value(at - 1, along));
        sums[1]! += 2;
      }
    }
  }
  const [border, elsewhere] = [mean.border, mean.elsewhere].map(([sum, count]) => sum! / count!);
  return border! / elsewhere!;
}
