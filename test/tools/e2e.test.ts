/** The command line as users start it, with the real pipeline on the tiny checkpoint. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PNG } from "pngjs";
import { openFile } from "../../engine/platform/file.node.ts";
import { readSafetensors } from "../../engine/safetensors.ts";
import { encodePng } from "../../model/png.node.ts";
import type { ResolvedRequest, RgbaImage } from "../../model/request.ts";
import { inspect, type PictureSummary } from "../../tools/cli/inspect.node.ts";
import { copyCheckpoint, removeCopies, weightsPath } from "../support/checkpoint-copy.ts";
import { gradient } from "../support/fake-pipeline.ts";
import { checkpointPath, openGolden, readGolden, rmsError } from "../support/golden.ts";
import { distance, type PictureCase, samples } from "../support/pictures.ts";

const ROOT = join(import.meta.dirname, "../..");

/** `npm run -s cli -- ...`, called from `folder`. */
function cli(folder: string, ...args: string[]): SpawnSyncReturns<Buffer> {
  const env = { ...process.env, NO_COLOR: "1" };
  const npm = ["--prefix", ROOT, "run", "-s", "cli", "--", ...args];
  return spawnSync("npm", npm, { cwd: folder, env });
}

describe("the command line with the real pipeline", () => {
  let folder = "";
  const own = readGolden<PictureCase[]>("tiny-v", "pictures.json").find((c) => c.name === "own")!;
  const settings = [own.prompt, "--steps", `${own.steps}`, "--seed", `${own.seed}`];
  const model = ["--model", checkpointPath("tiny-v")];
  const size = ["--width", `${own.width}`, "--height", `${own.height}`];
  const request = [...settings, ...model, ...size, "--dtype", "f32"];
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "e2e-"));
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    removeCopies();
  });
  const at = (name: string) => join(folder, name);
  const picture = (png: Buffer) => samples([PNG.sync.read(png) as unknown as RgbaImage]);
  const golden = async (name: string) =>
    (await openGolden("tiny-v", ["pictures.safetensors"]))("pictures.safetensors", name).data;

  it("paints diffusers' picture into a PNG, with the settings in it", async () => {
    const { status, stdout, stderr } = cli(folder, "generate", ...request, "-o", "a.png");
    assert.equal(status, 0, String(stderr));
    assert.match(String(stdout), /^wrote a\.png \(64x64, seed 22, 5 steps of ddim, [\d.]+ s\)\n$/);
    assert.match(String(stderr), /step 5\/5/);
    const { worst } = distance(picture(readFileSync(at("a.png"))), await golden("own/pictures"));
    assert.ok(worst <= 3, `a sample is off by ${worst}`);
  });

  it("inspects it: prompt and settings, and nothing of the user's folders", () => {
    const { status, stdout } = cli(folder, "inspect", "a.png");
    assert.equal(status, 0);
    assert.match(String(stdout), /PNG 64x64/);
    assert.ok(String(stdout).includes(own.prompt));
    assert.match(String(stdout), /Steps: 5, Sampler: DDIM, .*Seed: 22, .*Model: tiny-v,/);
    assert.ok(!String(stdout).includes(checkpointPath("tiny-v")));
  });

  it("writes the picture to standard output, without settings where they are not wanted", () => {
    const { status, stdout, stderr } = cli(
      folder,
      ...["generate", ...request, "-o", "-", "--no-metadata", "--quiet"],
    );
    assert.equal(status, 0, String(stderr));
    assert.deepEqual(picture(stdout), picture(readFileSync(at("a.png"))));
    assert.ok(!stdout.includes(own.prompt) && !stdout.includes("tEXt") && !stdout.includes("iTXt"));
  });

  it("writes the final latents, and a JSON object a line", async () => {
    const { status, stdout, stderr } = cli(
      folder,
      ...["generate", ...request, "-o", "a.safetensors", "--json"],
    );
    assert.equal(status, 0, String(stderr));
    const lines = String(stdout)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.slice(0, -1).map(({ step, timestep }) => [step, timestep]),
      [801, 601, 401, 201, 1].map((timestep, i) => [i + 1, timestep]),
    );
    const { latents, seed, images, request: done } = lines.at(-1);
    assert.deepEqual([latents, seed, images], ["a.safetensors", 22, []]);
    assert.equal(done.guidance_scale, 7.5);
    const file = await openFile(at("a.safetensors"));
    const tensor = (await readSafetensors(file)).tensors.get("latents")!;
    assert.deepEqual([tensor.dtype, tensor.shape], ["F32", [1, 4, 8, 8]]);
    const values = new Float32Array((await tensor.read(0, tensor.byteLength)).slice().buffer);
    await file.close();
    assert.ok(rmsError(values, await golden("own/latents")) <= 1e-5);
  });

  describe("the command that inspect prints", () => {
    before(() => symlinkSync(checkpointPath("tiny-v"), at("tiny-v")));

    /** Paints `first.png`, and what it says of itself as `again.png`, in a shell. */
    async function paintTwice(...args: string[]) {
      const first = cli(folder, "generate", ...args, "-m", "tiny-v", "-o", "first.png", "--force");
      assert.equal(first.status, 0, String(first.stderr));
      const { command } = (await inspect(at("first.png"))) as PictureSummary;
      const program = 'wgsl-diffusion() { npm --prefix "$ROOT" run -s cli -- "$@"; }';
      const again = spawnSync(
        "bash",
        ["--norc", "-c", `${program}\n${command} -o again.png --force`],
        { cwd: folder, env: { ...process.env, ROOT } },
      );
      assert.equal(again.status, 0, String(again.stderr));
      assert.deepEqual(readFileSync(at("again.png")), readFileSync(at("first.png")));
    }

    it("paints a picture from a picture again, byte for byte", async () => {
      mkdirSync(at("given"));
      writeFileSync(at("given/a photo.png"), encodePng(gradient(64, 64)));
      await paintTwice(
        ...["it's a horse", "-i", "given/a photo.png", "--strength", "0.5", "--steps", "4"],
        ...["--dtype", "f32", "--scheduler", "euler_a", "--timestep-spacing", "trailing"],
        ...["--scheduler-config", "steps_offset=1"],
      );
    });

    it("paints a sheet again, byte for byte", () =>
      paintTwice("a horse", ...size, "--guidance-scale", "1,3", "--steps", "1", "--seed=-1,-1"));
  });

  it("paints a prompt that changes on the way, and inspects how to paint it again", () => {
    const [{ request: asked }] = readGolden<[{ request: ResolvedRequest }]>(
      "guided",
      "guided.json",
    );
    const { status, stderr } = cli(
      folder,
      ...["generate", asked.prompt, "--prompt-syntax", "a1111", "--scheduler", asked.scheduler],
      ...["--steps", `${asked.steps}`, "--seed", `${asked.seed}`, "-o", "changing.png"],
      ...["--guidance-scale", `${asked.guidanceScale}`, "--width", "64", "--height", "64"],
      ...["--model", checkpointPath("tiny-eps"), "--dtype", "f32"],
    );
    assert.equal(status, 0, String(stderr));
    const file = new URL("../fixtures/golden/guided/schedule.png", import.meta.url);
    const { worst, withinOne } = distance(
      picture(readFileSync(at("changing.png"))),
      picture(readFileSync(file)),
    );
    assert.ok(worst <= 3 && withinOne >= 0.99, `a sample is off by ${worst}`);
    const inspected = String(cli(folder, "inspect", "changing.png").stdout);
    assert.ok(inspected.includes(`wgsl-diffusion generate '${asked.prompt}'`), inspected);
    assert.match(inspected, /--prompt-syntax a1111( |$)/m);
  });

  describe("what cannot be done ends with", () => {
    const truncated = () =>
      copyCheckpoint("tiny-v", (copy) => {
        const path = weightsPath(copy, "unet");
        truncateSync(path, statSync(path).size - 100);
      });
    const wider = () =>
      copyCheckpoint("tiny-v", (copy) => {
        const path = join(copy, "unet/config.json");
        const config = JSON.parse(readFileSync(path, "utf8"));
        writeFileSync(path, JSON.stringify({ ...config, layers_per_block: 3 }));
      });
    const rows: readonly [string, number, RegExp, () => string[]][] = [
      [
        "2: a width of 65",
        2,
        /^error BAD_REQUEST: width .*65.*nearest: 64/m,
        () => ["--width", "65"],
      ],
      ["4: no such model", 4, /^error WEIGHTS_MISSING: .*nowhere/m, () => ["-m", "nowhere"]],
      ["4: a truncated file", 4, /^error WEIGHTS_TRUNCATED: .*unet/m, () => ["-m", truncated()]],
      ["4: other weights", 4, /^error WEIGHTS_MISMATCH: .*unet/m, () => ["-m", wider()]],
    ];
    for (const [name, wanted, message, args] of rows) {
      it(name, () => {
        const { status, stdout, stderr } = cli(folder, "generate", "x", "-o", "b.png", ...args());
        assert.match(String(stderr), message);
        assert.deepEqual([status, String(stdout)], [wanted, ""]);
        assert.ok(!readdirSync(folder).some((file) => file.includes("b.png")));
      });
    }
  });

  it("lists the devices", () => {
    const { status, stdout } = cli(folder, "devices", "--json");
    assert.equal(status, 0);
    const reports = String(stdout)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      reports.map(({ kind }) => kind),
      ["hardware", "lavapipe", "swiftshader"],
    );
    assert.ok(reports.some(({ adapter }) => adapter !== undefined));
  });
});
