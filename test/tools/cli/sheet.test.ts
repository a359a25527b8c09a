import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PNG } from "pngjs";
import { readPng } from "../../../model/png.node.ts";
import type { RgbaImage } from "../../../model/request.ts";
import { cropped } from "../../support/crop.ts";
import { gradient } from "../../support/fake-pipeline.ts";
import { cli, type Setting } from "../../support/run-cli.ts";

describe("generate with lists", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "sheet-test-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string) => join(folder, name);
  const generate = (args: readonly string[], setting?: Setting) =>
    cli(["generate", "a cat", "-o", at("s.png"), ...args], setting);
  const GUIDANCE = ["--steps", "2", "--guidance-scale", "1.5,2,3,4,5,6,7,8", "--seed", "7"];

  it("paints one sheet with one pipeline, a picture for each value", async () => {
    const { status, out, err, calls } = await generate(GUIDANCE);
    assert.equal(status, 0, err);
    assert.deepEqual(
      calls.requests.map(({ guidanceScale, steps, seed }) => [guidanceScale, steps, seed]),
      [1.5, 2, 3, 4, 5, 6, 7, 8].map((scale) => [scale, 2, 7]),
    );
    assert.equal(calls.disposed, 1);
    assert.deepEqual(readdirSync(folder), ["s.png"]);
    assert.match(out, /^wrote .*s\.png \(304x162: 8 pictures, 4 across and 2 down, [\d.]+ s\)\n$/);
    assert.match(err, /step 16\/16/);
    assert.ok(!err.includes("/2 "), "no picture's own steps");
  });

  it("tells with --json where each picture is and what it is, and has it there", async () => {
    const { out } = await generate([
      ...["--scheduler", "euler, DDIMScheduler", "--steps", "1,2", "--seed", "3", "--json"],
    ]);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.slice(0, -1).map(({ step, steps, cell, cells }) => [step, steps, cell, cells]),
      [
        [1, 6, 1, 4],
        [2, 6, 2, 4],
        [3, 6, 3, 4],
        [4, 6, 3, 4],
        [5, 6, 4, 4],
        [6, 6, 4, 4],
      ],
    );
    const { images, sheet, cells, request, model } = lines.at(-1);
    const { width, height } = readPng(readFileSync(at("s.png")));
    assert.deepEqual(sheet, { width, height, rows: 2, columns: 2 });
    assert.deepEqual([images, model.name], [[at("s.png")], "fake"]);
    assert.deepEqual(
      [request.scheduler, request.steps],
      [
        ["euler", "ddim"],
        [1, 2],
      ],
    );
    const picture = PNG.sync.read(readFileSync(at("s.png"))) as unknown as RgbaImage;
    for (const [i, cell] of cells.entries()) {
      assert.deepEqual(
        [cell.row, cell.column, cell.request.scheduler, cell.request.steps],
        [i >> 1, i % 2, i < 2 ? "euler" : "ddim", 1 + (i % 2)],
      );
      assert.deepEqual(cell.labels, [cell.request.scheduler, ["1 step", "2 steps"][i % 2]]);
      assert.equal(cell.request.guidance_scale, 7.5);
      assert.deepEqual(cropped(picture, cell, { width: 64, height: 64 }), gradient(64, 64));
    }
  });

  it("says in the sheet how it was made, and inspect how to make it again", async () => {
    await generate([...GUIDANCE, "--scheduler", "dpmpp_2m_karras,euler_a", "--dtype", "f32"]);
    const { texts } = readPng(readFileSync(at("s.png")));
    assert.match(
      texts[0]!.text,
      /Script: X\/Y\/Z plot, X Type: CFG Scale, X Values: "1\.5, 2, .*, 8", Y Type: Sampler, Y Values: "DPM\+\+ 2M Karras, Euler a", Version/,
    );
    const { out } = await cli(["inspect", at("s.png"), "--json"]);
    assert.equal(
      JSON.parse(out).command,
      "wgsl-diffusion generate 'a cat' --model fake --steps 2 --guidance-scale 1.5,2,3,4,5,6,7,8 " +
        "--scheduler dpmpp_2m_karras,euler_a --seed 7 --width 64 --height 64 --dtype f32",
    );
    await generate([...GUIDANCE, "--no-metadata", "--force"]);
    assert.deepEqual(readPng(readFileSync(at("s.png"))).texts, []);
  });

  it("names random seeds, so that they can be had again", async () => {
    await generate(["--steps", "1", "--seed=-1,-1,5"]);
    const { out } = await cli(["inspect", at("s.png"), "--json"]);
    const { seed } = JSON.parse(out).record.request;
    assert.ok(seed.length === 3 && seed[2] === 5 && seed.every(Number.isSafeInteger));
    assert.ok(JSON.parse(out).command.includes(`--seed ${seed.join(",")}`));
  });

  it("gives the sheet to standard output with -o -, and keeps a file that is there", async () => {
    const { bytes, status } = await cli(["generate", "x", "--steps", "1,2", "-o", "-"]);
    assert.deepEqual([status, bytes.length], [0, 1]);
    assert.ok(readPng(bytes[0] as Uint8Array).width > 128);
    await generate(["--steps", "1,2"]);
    assert.equal((await generate(["--steps", "1,2"])).status, 1);
  });

  const WRONG: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["one bad value among good ones", ["--steps", "2,1001"], /steps must be.*got 1001/],
    ["a gap in a list", ["--guidance-scale", "1,,2"], /--guidance-scale must be a number/],
    ["a value twice", ["--scheduler", "ddim,ddim"], /"ddim" is in the list twice/],
    ["an unknown scheduler", ["--scheduler", "ddim,foo"], /got "foo"/],
    ["several pictures a value", ["--steps", "1,2", "-b", "2"], /one picture for each/],
    ["latents", ["--steps", "1,2", "-o", "x.safetensors"], /-o must end in \.png/],
    ["a list where none can be", ["--width", "64,128"], /--width must be a number/],
  ];
  for (const [name, args, message] of WRONG) {
    it(`ends with 2 and loads nothing for ${name}`, async () => {
      const { status, err, calls } = await generate(args);
      assert.match(err, message);
      assert.deepEqual([status, calls.directory], [2, undefined]);
    });
  }
});
