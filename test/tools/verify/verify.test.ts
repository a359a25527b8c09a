/** `npm run verify`: the half that compares, on stages that diffusers computed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Device } from "../../../engine/index.ts";
import { readArguments, type Wanted } from "../../../tools/verify/arguments.ts";
import { reportOn } from "../../../tools/verify/command.ts";
import { type Dump, openDump } from "../../../tools/verify/dump.ts";
import { judge } from "../../../tools/verify/judge.ts";
import { markdown } from "../../../tools/verify/report.ts";
import { verify } from "../../../tools/verify/verify.ts";
import { failsWith } from "../../support/byte-source.ts";
import { copyCheckpoint, editTensor, removeCopies } from "../../support/checkpoint-copy.ts";
import { adapters } from "../../support/devices.ts";
import { checkpointPath } from "../../support/golden.ts";
import { fileBytes, tinyLdm } from "../../support/ldm.ts";
import { recordGoldens } from "../../support/recorded.ts";
import { scratchFolder } from "../../support/scratch.ts";
import { removeTaskFolders, taskFolder } from "../../support/task-folder.ts";

const root = dirname(dirname(dirname(import.meta.dirname)));
const RECORDED = join(root, "test/fixtures/verify");
const TINY = checkpointPath("tiny-v");

const wantedFor = (...args: string[]) => readArguments(["--model", TINY, ...args], {}) as Wanted;

describe("verify, on stages that were recorded", function () {
  // Every network in both dtypes: a software adapter compiles a hundred pipelines.
  this.timeout(600_000);
  let device: Device;
  let folder = "";
  let dump: Dump;
  before(async () => {
    device = (await adapters())[0]!.device;
    folder = scratchFolder("verify-");
    dump = await recordGoldens(join(folder, "all"));
  });
  after(() => {
    rmSync(folder, { recursive: true });
    removeCopies();
  });

  /** The stages that fail, each once, in the order that they ran. */
  const failing = async (path: string) => {
    const cases = dump.cases.filter(({ stage }) => stage !== "picture");
    const { rows } = await verify(path, { ...dump, cases }, { device, dtypes: ["f32"] });
    assert.equal(rows.length, 5);
    return [...new Set(rows.filter(({ ok }) => !ok).map(({ stage }) => stage))];
  };
  /** tiny-v with one weight, a half, changed by a little. */
  const withOneChanged = (part: "text_encoder" | "unet" | "vae", name: string) =>
    copyCheckpoint("tiny-v", (copy) =>
      editTensor(copy, part, name, (bytes) => {
        // Bit 9 of the mantissa: half of the leading one.
        bytes.setUint16(0, bytes.getUint16(0, true) ^ 0x200, true);
      }),
    );

  it("finds every stage of the right weights within its bound, in f32 and f16", async () => {
    const { rows, costs } = await verify(TINY, dump, { device, dtypes: ["f32", "f16"] });
    assert.deepEqual(
      rows.filter(({ ok }) => !ok),
      [],
    );
    const stages = ["text", "text", "unet", "encode", "decode", "picture", "picture"];
    assert.deepEqual(
      rows.map(({ stage }) => stage),
      [...stages, ...stages],
    );
    for (const { stage, maxError } of rows) assert.ok(maxError > 0 || stage === "picture");
    for (const { name, gpuBytes, hostPeakBytes } of costs) {
      assert.ok(gpuBytes! > 0 && hostPeakBytes > 0, name);
    }
  });

  it("fails at the text encoder alone where one of its weights is another", async () => {
    const changed = withOneChanged("text_encoder", "encoder.layers.0.mlp.fc1.weight");
    assert.deepEqual(await failing(changed), ["text"]);
  });

  it("fails at the UNet alone", async () => {
    const changed = withOneChanged("unet", "conv_in.weight");
    assert.deepEqual(await failing(changed), ["unet"]);
  });

  it("fails at the half of the VAE that was changed", async () => {
    const changed = withOneChanged("vae", "encoder.conv_out.weight");
    assert.deepEqual(await failing(changed), ["encode"]);
  });

  it("compares ids, timesteps and the sampler's kernels", async () => {
    const recorded = await openDump(RECORDED);
    const { rows } = await verify(TINY, recorded, { device, dtypes: ["f32"] });
    assert.equal(rows.length, 5);
    assert.ok(rows.every(({ ok }) => ok));
    // The same run by another solver's file.
    const other = copyCheckpoint("tiny-v", (copy) => {
      const path = join(copy, "scheduler/scheduler_config.json");
      const config = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, JSON.stringify({ ...config, prediction_type: "epsilon" }));
    });
    const found = await verify(other, recorded, { device, dtypes: ["f32"] });
    assert.deepEqual(
      found.rows.filter(({ ok }) => !ok).map(({ name }) => name),
      ["scheduler, 3 evaluations: inputs", "scheduler, 3 evaluations: samples"],
    );
  });

  it("ends with status 1 and a report that names the stage", async () => {
    await recordGoldens(join(folder, "text"), ["text"]);
    const changed = withOneChanged("text_encoder", "encoder.layers.2.mlp.fc2.weight");
    const out = join(folder, "report");
    const args = ["--model", changed, "--recorded", join(folder, "text"), "--dtype", "f32"];
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--import", "tsx", "tools/verify/main.ts", ...args, "--out", out],
      { cwd: root, encoding: "utf8" },
    );
    assert.equal(status, 1, stderr);
    assert.match(stdout, /^FAILS f32 text encoder: /);
    const report = JSON.parse(readFileSync(join(out, "report.json"), "utf8"));
    assert.equal(report.ok, false);
    // Two layers before it the third has no part.
    assert.deepEqual(
      report.rows.map(({ ok }: { ok: boolean }) => ok),
      [false, true],
    );
    const page = readFileSync(join(out, "report.md"), "utf8");
    assert.match(
      page,
      /1 of 2 comparisons are beyond their bounds; the first: text encoder \(f32\)/,
    );
    assert.equal(page, markdown(report));
  });
});

describe("the judgement of a comparison", () => {
  const of = (kind: "exact" | "host" | "network" | "picture", actual: number[], dtype = "f32") =>
    judge({ name: "", kind, shape: [3], actual, expected: [100, -50, 0] }, dtype as "f32" | "f16");

  it("is 1e-4 of the largest value in f32, 40 dB in f16", () => {
    assert.ok(of("network", [100.009, -50, 0]).ok);
    assert.ok(!of("network", [100.011, -50, 0]).ok);
    assert.ok(of("network", [101, -50, 0], "f16").ok);
    assert.ok(!of("network", [101.2, -50, 0], "f16").ok);
    // The host computes in f32 whatever the dtype.
    assert.ok(!of("host", [100.011, -50, 0], "f16").ok);
  });

  it("takes no difference where numbers are chosen", () => {
    assert.ok(of("exact", [100, -50, 0]).ok);
    assert.ok(!of("exact", [100, -50, 1e-9]).ok);
  });

  it("lets pictures differ by a level, and by three in one sample of a hundred", () => {
    assert.ok(of("picture", [101, -50, 1]).ok);
    assert.ok(!of("picture", [102, -50, 0]).ok);
    assert.ok(of("picture", [102, -50, 0], "f16").ok);
    assert.ok(!of("picture", [105, -50, 0], "f16").ok);
  });

  it("fails for NaN, and for another number of values", () => {
    for (const kind of ["exact", "host", "network", "picture"] as const) {
      for (const dtype of ["f32", "f16"]) {
        assert.ok(!of(kind, [100, Number.NaN, 0], dtype).ok, `${kind} ${dtype} NaN`);
        assert.ok(!of(kind, [100, -50], dtype).ok, `${kind} ${dtype} short`);
      }
    }
  });
});

describe("verify's faults", () => {
  let folder = "";
  before(() => {
    folder = scratchFolder("verify-faults-");
  });
  after(() => rmSync(folder, { recursive: true }));

  /** A Python that says this and ends so. */
  const python = (name: string, script: string) => {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const failure = (path: string) => reportOn(wantedFor("--python", path));

  it("says that Python is missing, and how to install what it needs", async () => {
    const nowhere = join(folder, "no-python");
    await failsWith(failure(nowhere), "NO_PYTHON", /no-python/);
    await assert.rejects(failure(nowhere), {
      hint: /pip install -r tools\/reference\/requirements/,
    });
  });

  it("names the package that Python lacks", async () => {
    const without = python("without", `echo '{"missing": "diffusers"}' >&2; exit 3`);
    await failsWith(failure(without), "PYTHON_PACKAGE", /no package diffusers/);
    await assert.rejects(failure(without), { hint: /requirements\.txt/ });
    assert.ok(existsSync(join(root, "tools/reference/requirements.txt")));
  });

  it("tells what diffusers said last", async () => {
    const broken = python(
      "broken",
      "echo 'Traceback' >&2; echo 'ValueError: odd file' >&2; exit 1",
    );
    await failsWith(failure(broken), "PYTHON_FAILED", /exit status 1.*ValueError: odd file/);
  });

  it("refuses what is no checkpoint before Python starts", async () => {
    const wanted = readArguments(
      ["--model", join(folder, "nothing"), "--python", python("never", "exit 9")],
      {},
    );
    await failsWith(reportOn(wanted as Wanted), "WEIGHTS_MISSING", /nothing/);
  });

  it("refuses a folder without recorded stages", async () => {
    await failsWith(reportOn(wantedFor("--recorded", folder)), "PATH", /no recorded stages/);
  });

  it("takes numbers and names within their bounds only", () => {
    const cases: [string[], RegExp][] = [
      [["--width", "100"], /--width must be a multiple of 8 from 64 to 2048 \(got 100\)/],
      [["--steps", "0"], /--steps must be a whole number from 1/],
      [["--dtype", "f64"], /--dtype must be one of f32, f16/],
      [["--stage", "nose"], /--stage must be one of tokens, /],
      [["--scheduler", "k_lms"], /--scheduler must be one of ddim/],
      [["--strength", "0.1"], /--strength 0.1 of 4 steps leaves none/],
      [["--colour"], /--colour/],
    ];
    for (const [args, message] of cases) {
      assert.throws(() => wantedFor(...args), { code: "BAD_REQUEST", message });
    }
    assert.throws(() => readArguments([], {}), {
      code: "BAD_REQUEST",
      message: /--model is missing/,
    });
    assert.equal(readArguments(["--help"], {}), "help");
    const env = { WGSL_DIFFUSION_PYTHON: "/opt/python" };
    assert.equal((readArguments(["--model", "x"], env) as Wanted).python, "/opt/python");
  });
});

/** Python is at hand where its path is given; these take some minutes. */
const PYTHON = process.env.WGSL_DIFFUSION_PYTHON;
if (PYTHON) {
  describe("verify against diffusers itself", function () {
    this.timeout(1_200_000);
    let folder = "";
    before(() => {
      folder = scratchFolder("verify-python-");
    });
    after(() => {
      rmSync(folder, { recursive: true });
      removeTaskFolders();
      removeCopies();
    });
    const report = (...args: string[]) =>
      reportOn(
        readArguments(
          ["--python", PYTHON, "--width", "64", "--height", "64", ...args],
          {},
        ) as Wanted,
      );
    const failed = ({ rows }: Awaited<ReturnType<typeof report>>) => rows.filter(({ ok }) => !ok);

    const MODELS = {
      "tiny-eps": () => checkpointPath("tiny-eps"),
      "inpaint-a": () => taskFolder("inpaint-a"),
      depth: () => taskFolder("depth", true),
      "depth without an estimator": () => taskFolder("depth"),
      "x4-a": () => taskFolder("x4-a"),
    };
    for (const [name, path] of Object.entries(MODELS)) {
      it(`finds ${name} within its bounds, every stage`, async () => {
        // Halves are compared once; the recorded stages do so too.
        const dtypes = name === "tiny-eps" ? [] : ["--dtype", "f32"];
        const found = await report("--model", await path(), "--timesteps", "1", ...dtypes);
        assert.deepEqual(failed(found), []);
        const stages = new Set(found.rows.map(({ stage }) => stage));
        for (const stage of [
          "tokens",
          "text",
          "unet",
          "scheduler",
          "encode",
          "decode",
          "picture",
        ]) {
          assert.ok(stages.has(stage), stage);
        }
        assert.equal(stages.has("inpaint"), name === "inpaint-a");
        assert.equal(stages.has("depth"), name === "depth");
        assert.equal(stages.has("embedding"), name === "x4-a");
      });
    }

    it("finds a single file within its bounds, and a wrong one by the folder it should equal", async () => {
      const path = join(folder, "tiny.safetensors");
      const file = await tinyLdm();
      writeFileSync(path, fileBytes(file));
      const single = ["--model", path, "--config", TINY, "--dtype", "f32", "--timesteps", "1"];
      const found = await report(...single);
      assert.deepEqual(failed(found), []);
      assert.match(found.notes.join(), /single file/);
      const changed = copyCheckpoint("tiny-v", (copy) =>
        editTensor(copy, "unet", "conv_in.weight", (bytes) => bytes.setUint16(0, 0x3c00, true)),
      );
      const wrong = await report(
        ...single,
        "--reference",
        changed,
        "--stage",
        "text",
        "--stage",
        "unet",
      );
      assert.deepEqual([...new Set(failed(wrong).map(({ stage }) => stage))], ["unet"]);
    });

    it("records what it compares, for a machine without Python", async () => {
      const recorded = join(folder, "recorded");
      const args = ["--model", TINY, "--stage", "tokens", "--stage", "scheduler", "--steps", "3"];
      await report(...args, "--record", recorded);
      const [now, committed] = [await openDump(recorded), await openDump(RECORDED)];
      assert.deepEqual(now.cases, committed.cases);
    });
  });
}
