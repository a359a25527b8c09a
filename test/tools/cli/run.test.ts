import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DiffusionError, type ErrorCode, EXIT_STATUS } from "../../../engine/errors.ts";
import { openFile } from "../../../engine/platform/file.node.ts";
import { readSafetensors } from "../../../engine/safetensors.ts";
import { encodePng, readPng } from "../../../model/png.node.ts";
import { cli, type Setting } from "../../support/run-cli.ts";

describe("the command line", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "cli-test-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string) => join(folder, name);
  const generate = (args: readonly string[], setting?: Setting) =>
    cli(["generate", "a cat", "--steps", "3", "-o", at("a.png"), ...args], setting);

  it("hands every option on", async () => {
    const { status, calls } = await generate([
      ...["--model", folder, "--negative-prompt", "dogs", "--guidance-scale", "5.5"],
      ...["--scheduler", "euler", "--seed", "7", "--width", "128", "--height", "64"],
      ...["--num-images", "2", "--dtype", "f16", "--strict", "--no-matrix"],
    ]);
    assert.equal(status, 0);
    assert.equal(calls.directory, folder);
    assert.deepEqual([calls.options?.dtype, calls.options?.strict], ["f16", true]);
    assert.equal(calls.options?.matrix, false);
    const { signal, onStep, ...request } = calls.request ?? assert.fail();
    assert.deepEqual(request, {
      ...{ prompt: "a cat", negativePrompt: "dogs", steps: 3, guidanceScale: 5.5 },
      ...{ scheduler: "euler", seed: 7, width: 128, height: 64, numImages: 2, output: "image" },
    });
    assert.deepEqual(readdirSync(folder), ["a-0001.png", "a-0002.png"]);
    assert.equal(calls.disposed, 1);
  });

  it("hands pictures and the options of the tasks on", async () => {
    const image = { width: 64, height: 64, data: new Uint8ClampedArray(64 * 64 * 4).fill(255) };
    writeFileSync(at("in.png"), encodePng(image, []));
    const { status, err, calls } = await generate([
      ...["-i", at("in.png"), "--strength", "0.5", "--eta", "0.25", "--rng", "cpu"],
      ...["--clip-skip", "1", "--prompt-syntax", "a1111", "--guidance-rescale", "0.7"],
      ...["--prediction", "v", "--config", "some/folder", "--vae-tiling", "--watermark"],
    ]);
    assert.equal(status, 0, err);
    assert.deepEqual([calls.options?.prediction, calls.options?.config], ["v", "some/folder"]);
    const { signal, onStep, image: given, ...request } = calls.request ?? assert.fail();
    assert.deepEqual([given?.width, given?.height], [64, 64]);
    assert.deepEqual(request, {
      ...{ prompt: "a cat", steps: 3, guidanceRescale: 0.7, strength: 0.5, eta: 0.25 },
      ...{ rng: "torch", clipSkip: 1, promptSyntax: "a1111", vaeTiling: true, watermark: true },
      output: "image",
    });
  });

  it("hands timesteps, spacing and the scheduler's settings on", async () => {
    const { status, err, calls } = await cli([
      ...["generate", "a cat", "-o", at("a.png"), "--timesteps", "999,500, 3", "-b", "2"],
      ...["--rescale-betas-zero-snr", "--per-image-seeds", "--scheduler-config"],
      "solver_order=3,use_lu_lambdas=true,solver_type=heun,disable_corrector=[0,2]",
    ]);
    assert.equal(status, 0, err);
    const { signal, onStep, ...request } = calls.request ?? assert.fail();
    assert.deepEqual(request, {
      ...{ prompt: "a cat", timesteps: [999, 500, 3], rescaleBetasZeroSnr: true, numImages: 2 },
      schedulerConfig: {
        ...{ solver_order: 3, use_lu_lambdas: true, solver_type: "heun" },
        disable_corrector: [0, 2],
      },
      ...{ perImageSeeds: true, output: "image" },
    });
    const spaced = await generate(["--timestep-spacing", "ays", "--timesteps", "5"]);
    assert.equal(spaced.status, 2);
    assert.equal(
      (await generate(["--timestep-spacing", "ays"])).calls.request?.timestepSpacing,
      "ays",
    );
  });

  it("carries the files that it was given, as they were typed", async () => {
    const image = { width: 64, height: 64, data: new Uint8ClampedArray(64 * 64 * 4).fill(255) };
    writeFileSync(at("in.png"), encodePng(image, []));
    const typed = `${folder}/./in.png`;
    await generate(["-i", typed, "--prediction", "v", "--dtype", "fp16"]);
    const record = (name: string) =>
      readPng(readFileSync(at(name))).texts.find(({ keyword }) => keyword === "wgsl-diffusion");
    const { options } = JSON.parse(record("a.png")?.text ?? "");
    assert.deepEqual(options, { image: typed, dtype: "f16", prediction: "v" });
    await generate(["-i", typed, "--no-metadata", "-o", at("b.png")]);
    assert.ok(!readFileSync(at("b.png")).includes("in.png"));
  });

  it("hands on how guidance changes", async () => {
    const { status, err, calls } = await generate([
      ...["--guidance-start", "0.1", "--guidance-stop", "0.9", "--guidance-schedule", "7, 5,3.5"],
      ...["--thresholding", "dynamic", "--thresholding-ratio", "0.9", "--sample-max-value", "2"],
    ]);
    assert.equal(status, 0, err);
    const { signal, onStep, output, ...request } = calls.request ?? assert.fail();
    assert.deepEqual(request, {
      ...{ prompt: "a cat", steps: 3, guidanceStart: 0.1, guidanceStop: 0.9 },
      ...{ guidanceSchedule: [7, 5, 3.5], thresholding: "dynamic", thresholdingRatio: 0.9 },
      sampleMaxValue: 2,
    });
    const named = await generate([
      ...["--guidance-schedule", "cosine", "--guidance-from", "2", "--force"],
      ...["--thresholding", "mimic", "--mimic-scale", "5"],
    ]);
    const { guidanceSchedule, guidanceFrom, mimicScale } = named.calls.request ?? assert.fail();
    assert.deepEqual([guidanceSchedule, guidanceFrom, mimicScale], ["cosine", 2, 5]);
  });

  it("refuses guidance that cannot be, before anything is loaded", async () => {
    const rows: readonly [string, RegExp][] = [
      ["--guidance-start=0.6 --guidance-stop=0.4", /guidanceStart 0.6 is after guidanceStop 0.4/],
      ["--guidance-schedule=7,5", /a scale for each of the 3 steps that run \(got 2\)/],
      ["--guidance-schedule=7,x,5", /--guidance-schedule must be a number \(got "x"\)/],
      ["--guidance-schedule=square", /guidanceSchedule must be one of constant, linear, cosine/],
      ["--mimic-scale=3", /mimicScale is an option of thresholding mimic/],
    ];
    for (const [options, message] of rows) {
      const { status, err, calls } = await generate(options.split(" "));
      assert.equal(status, 2, options);
      assert.match(err, message);
      assert.equal(calls.directory, undefined);
    }
  });

  it("knows the names of stable-diffusion.cpp and diffusers", async () => {
    const short = await cli([
      ...[
        "generate",
        "-p",
        "a cat",
        "-n",
        "dogs",
        "-m",
        "dir",
        "-W",
        "128",
        "-H",
        "64",
        "-s",
        "-1",
      ],
      ...["-b", "2", "--cfg-scale", "3", "--sampling-method", "pndm", "--type", "fp16"],
      ...["--num-inference-steps=4", "--disable-image-metadata", "--output", at("b.png")],
    ]);
    assert.equal(short.status, 0, short.err);
    const { signal, onStep, ...request } = short.calls.request ?? assert.fail();
    assert.deepEqual(request, {
      ...{ prompt: "a cat", negativePrompt: "dogs", steps: 4, guidanceScale: 3 },
      ...{ scheduler: "pndm", seed: -1, width: 128, height: 64, numImages: 2, output: "image" },
    });
    assert.deepEqual(readPng(readFileSync(at("b-0001.png"))).texts, []);
  });

  it("tells the picture how it was made, and --no-metadata tells it nothing", async () => {
    await generate(["--seed", "9"]);
    const { texts } = readPng(readFileSync(at("a.png")));
    assert.deepEqual(
      texts.map(({ keyword }) => keyword),
      ["parameters", "wgsl-diffusion", "XML:com.adobe.xmp"],
    );
    assert.match(texts[0]?.text ?? "", /^a cat\nSteps: 3, .*Seed: 9, Size: 64x64/);
    await generate(["--no-metadata", "--force"]);
    const bytes = readFileSync(at("a.png"));
    assert.deepEqual(readPng(bytes).texts, []);
    assert.ok(!bytes.includes("cat"));
  });

  it("writes the final latents where the name ends in .safetensors", async () => {
    const { status, out } = await cli([
      "generate",
      "x",
      "-b",
      "2",
      "-o",
      at("l.safetensors"),
      "--json",
    ]);
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(out.trim().split("\n").at(-1) ?? "").latents, at("l.safetensors"));
    const source = await openFile(at("l.safetensors"));
    const { tensors, metadata } = await readSafetensors(source);
    assert.deepEqual(
      [...tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape })),
      [{ name: "latents", dtype: "F32", shape: [2, 4, 8, 8] }],
    );
    assert.deepEqual([...metadata.keys()], ["wgsl-diffusion"]);
    await source.close();
  });

  it("writes one JSON object a line: the steps, then the result", async () => {
    const { out, err } = await generate(["--json", "--seed", "5"], { warnings: ["slow"] });
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.slice(0, 3).map(({ step, steps }) => [step, steps]),
      [
        [1, 3],
        [2, 3],
        [3, 3],
      ],
    );
    assert.deepEqual(Object.keys(lines[0]), ["step", "steps", "timestep", "elapsed_ms", "eta_ms"]);
    const last = lines.at(-1);
    assert.deepEqual([last.images, last.seed, last.warnings], [[at("a.png")], 5, ["slow"]]);
    assert.deepEqual(last.timings_ms, { encode: 1, steps: 20, decode: 3 });
    assert.equal(last.request.guidance_scale, 7.5);
    assert.match(err, /step 3\/3/);
  });

  it("gives the picture alone to standard output with -o -", async () => {
    const { status, bytes } = await cli(["generate", "x", "-o", "-"]);
    assert.equal(status, 0);
    assert.equal(bytes.length, 1);
    assert.equal(readPng(bytes[0] as Uint8Array).width, 64);
    assert.equal((await cli(["generate", "x", "-o", "-", "--json"])).status, 2);
    assert.equal((await cli(["generate", "x", "-o", "-", "-b", "2"])).status, 2);
  });

  it("reads the prompt from standard input where it is -", async () => {
    const { calls } = await cli(["generate", "-", "-o", at("a.png")], { input: "from a pipe\n" });
    assert.equal(calls.request?.prompt, "from a pipe");
  });

  it("says on standard output what it wrote, and --quiet says nothing", async () => {
    const { out, err } = await generate([], { warnings: ["cut \x1b[31mred"] });
    assert.match(out, /^wrote .*a\.png \(64x64, seed \d+, 3 steps of ddim, 0\.0 s\)\n$/);
    assert.match(err, /warning: cut \\u001b\[31mred\n/);
    const quiet = await generate(["--quiet", "--force"], { warnings: ["x"] });
    assert.deepEqual([quiet.status, quiet.out, quiet.err], [0, "", ""]);
  });

  const WRONG: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["a width that is not a multiple of 8", ["--width", "510"], /got 510\); nearest: 512/],
    ["a width with a unit", ["--width", "512x"], /--width must be a number \(got "512x"\)/],
    ["timesteps that ascend", ["--timesteps", "5,9"], /\(got 9, number 2\)/],
    [
      "steps and timesteps that disagree",
      ["--timesteps", "9,5"],
      /steps is 3, and there are 2 timesteps/,
    ],
    [
      "an unknown spacing",
      ["--timestep-spacing", "even"],
      /timestepSpacing must be one of leading/,
    ],
    ["a setting without a value", ["--scheduler-config", "solver_order"], /must be name=value/],
    ["a setting twice", ["--scheduler-config", "a=1,a=2"], /each name once \(got "a=2"\)/],
    [
      "a setting that has an option",
      ["--scheduler-config", "timestep_spacing=leading"],
      /timestep_spacing is the option timestepSpacing/,
    ],
    [
      "a setting that is an object",
      ["--scheduler-config", 'a={"b":1}'],
      /a must be a number, text/,
    ],
    ["seeds beyond 2^53", ["--per-image-seeds", "-b2", "-s", "9007199254740991"], /seed must be/],
    ["no steps", ["--steps", "0"], /steps must be a whole number between 1 and 1000/],
    ["an empty number", ["--steps", ""], /--steps must be a number/],
    ["a hexadecimal number", ["--seed", "0x10"], /--seed must be a number/],
    ["a seed beyond 2^53", ["--seed", "9007199254740992"], /seed must be/],
    ["infinite guidance", ["--guidance-scale", "Infinity"], /--guidance-scale must be a number/],
    ["NaN guidance", ["--guidance-scale", "nan"], /--guidance-scale must be a number/],
    ["negative guidance", ["--guidance-scale", "-1"], /guidanceScale must be a number between 0/],
    ["17 pictures", ["-b", "17"], /numImages must be/],
    ["an unknown scheduler", ["--scheduler", "foo"], /one of ddim, ddpm, pndm.*\(got "foo"\)/],
    ["an unknown dtype", ["--dtype", "int8"], /--dtype must be f16 or f32/],
    ["an unknown option", ["--foo"], /unknown option '--foo'/],
    ["an option without its value", ["--seed"], /argument missing/],
    ["two prompts", ["-p", "another"], /two prompts/],
    ["more words than a prompt", ["b", "c"], /too many arguments/],
    ["an image that is not there", ["--image", "x.png"], /IMAGE_MISSING: x.png does not exist/],
    ["a strength without an image", ["--strength", "0.5"], /strength goes with image/],
    ["a random generator that is none", ["--rng", "dice"], /rng must be one of torch, cuda, numpy/],
    ["4,001 characters", ["-n", "x".repeat(4001)], /at most 4000 characters/],
    ["another kind of file", ["-o", "out.jpg"], /must end in \.png or \.safetensors/],
  ];
  for (const [name, args, message] of WRONG) {
    it(`ends with 2 and loads nothing for ${name}`, async () => {
      const { status, err, out, calls } = await generate(args);
      assert.equal(status, 2);
      assert.match(err, message);
      assert.deepEqual([out, calls.directory], ["", undefined]);
    });
  }

  it("ends with 2 for no prompt, and for a command that is unknown or of a later version", async () => {
    assert.equal((await cli(["generate"])).status, 2);
    assert.equal((await cli(["paint"])).status, 2);
    assert.equal((await cli(["bench", "some", "--x"])).status, 2);
    assert.equal((await cli([])).status, 2);
  });

  it("ends with 0 after --help and --version, on standard output", async () => {
    const help = await cli(["generate", "--help"]);
    assert.deepEqual([help.status, help.err], [0, ""]);
    for (const option of ["--model", "--seed", "--no-matrix", "--no-metadata"])
      assert.ok(help.out.includes(option));
    assert.match((await cli(["--version"])).out, /^\d+\.\d+\.\d+\n$/);
  });

  it("ends with the status of each error's code, and says code, message and hint", async () => {
    for (const [code, expected] of Object.entries(EXIT_STATUS)) {
      const fail = new DiffusionError(code as ErrorCode, "the message", { hint: "the hint" });
      const { status, err, out } = await generate(["--json"], { fail });
      assert.equal(status, expected);
      assert.match(err, new RegExp(`error ${code}: the message\n  the hint\n`));
      const last = JSON.parse(out.trimEnd().split("\n").at(-1) ?? "");
      assert.deepEqual(last, { error: { code, message: "the message", hint: "the hint" } });
    }
    const { status, err } = await generate([], { fail: new TypeError("oops") });
    assert.equal(status, 1);
    assert.match(err, /error INTERNAL: oops/);
    assert.ok(!err.includes("at "), "no stack");
    assert.deepEqual(readdirSync(folder), []);
  });

  it("ends with 130 and no file when it is aborted, before or within the steps", async () => {
    const before = await generate([], { signal: AbortSignal.abort() });
    assert.deepEqual([before.status, before.calls.disposed], [130, 1]);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 25);
    const within = await generate(["--steps", "100"], { signal: controller.signal, stepMs: 10 });
    assert.deepEqual([within.status, within.calls.disposed], [130, 1]);
    assert.match(within.err, /interrupted\n$/);
    assert.deepEqual(readdirSync(folder), []);
  });

  it("fails before the work where the file is there already", async () => {
    writeFileSync(at("a.png"), "old");
    const { status, err, calls } = await generate([]);
    assert.deepEqual([status, calls.directory], [1, undefined]);
    assert.match(err, /error OUTPUT: .*a\.png is there already\n {2}Say --force/);
  });

  it("draws a bar on a terminal, within its width, and wipes it away", async () => {
    for (const columns of [80, 40, 20, 5, 1]) {
      const { err } = await generate(["--force"], { tty: true, columns });
      const drawn = err.split("\r\x1b[2K").filter((line) => line !== "");
      assert.ok(drawn.length >= 4);
      for (const line of drawn) assert.ok(line.length < Math.max(2, columns), JSON.stringify(line));
      assert.ok(err.endsWith("\r\x1b[2K"));
      assert.equal(err.includes("█"), columns >= 40);
    }
  });

  it("writes plain lines elsewhere: the first step, then one every 10 %", async () => {
    const { err } = await generate(["--steps", "50"]);
    const steps = err.split("\n").filter((line) => line.startsWith("step"));
    assert.deepEqual(
      steps.map((line) => Number(/^step (\d+)/.exec(line)?.[1])),
      [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50],
    );
    assert.ok(!err.includes("\x1b") && !err.includes("\r"));
  });

  describe("devices", () => {
    const adapter = {
      ...{ description: "Test GPU", vendor: "test", architecture: "one", software: false },
      ...{ subgroupSize: [32, 32] as const, features: ["shader-f16"], limits: {} },
      matrices: ["f16 16x16x16 -> f32"],
      switches: [
        { name: "finer", value: "disable", gives: "time", requested: true },
        { name: "unsafe", value: "enable", gives: "matrices", requested: false },
      ] as const,
    };

    // What `generate` runs on depends on the environment: these say it for one without a wish.
    const wish = process.env.WGSL_DIFFUSION_ADAPTER;
    before(() => {
      delete process.env.WGSL_DIFFUSION_ADAPTER;
    });
    after(() => {
      if (wish !== undefined) process.env.WGSL_DIFFUSION_ADAPTER = wish;
    });

    it("says what each kind can do, and which one is used", async () => {
      const describe = async () => [
        { kind: "hardware", reason: "no \x1b driver" } as const,
        { kind: "lavapipe", adapter } as const,
      ];
      const { status, out } = await cli(["devices"], { describe });
      assert.equal(status, 0);
      assert.match(out, /^hardware +not usable: no \\u001b driver$/m);
      assert.match(out, /^lavapipe +Test GPU$/m);
      assert.match(out, /shader-f16 yes, subgroups no/);
      assert.match(out, /16x16x16/);
      assert.match(out, /Dawn's switches: disable finer \(time\)\n/);
      assert.match(out, /not requested: enable unsafe \(matrices\)\n/);
      const json = await cli(["devices", "--json"], { describe });
      assert.deepEqual(
        json.out
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line).kind),
        [...["hardware", "lavapipe"]],
      );
    });

    it("ends with 3 where nothing can be used", async () => {
      const describe = async () => [
        { kind: "hardware", reason: "none", code: "NO_ADAPTER" } as const,
      ];
      const { status, err } = await cli(["devices"], { describe });
      assert.equal(status, 3);
      assert.match(err, /error NO_ADAPTER: nothing to run on: none/);
    });
  });

  describe("inspect", () => {
    it("says how a picture was made", async () => {
      await generate(["--seed", "11"]);
      const { status, out } = await cli(["inspect", at("a.png"), "--json"]);
      const summary = JSON.parse(out);
      assert.deepEqual([status, summary.width, summary.record.request.seed], [0, 64, 11]);
      assert.match(
        (await cli(["inspect", at("a.png")])).out,
        /PNG 64x64\nparameters:\n {2}a cat\n/,
      );
      assert.deepEqual(summary.parameters.fields[0], ["Steps", "3"]);
      assert.match(
        (await cli(["inspect", at("a.png")])).out,
        /paint it again:\n {2}wgsl-diffusion generate 'a cat' --model fake --steps 3 .* --seed 11 /,
      );
    });

    it("prints a command that asks for the same picture", async () => {
      await cli([
        ...["generate", "it's $HOME,\n'quoted'", "-n", "-dogs", "--steps", "2", "-s", "5"],
        ...["--scheduler", "pndm", "-W", "128", "-o", at("b.png")],
      ]);
      const { command } = JSON.parse((await cli(["inspect", at("b.png"), "--json"])).out);
      // What a shell makes of it, without running anything but printf.
      const words = execFileSync("bash", ["--norc", "-c", `printf '%s\\0' ${command}`], {
        encoding: "utf8",
      });
      const { status, calls } = await cli([
        ...words.split("\0").slice(1, -1),
        ...["-o", at("c.png")],
      ]);
      assert.equal(status, 0);
      const [first, second] = ["b.png", "c.png"].map((name) =>
        readPng(readFileSync(at(name))).texts.map(({ text }) => text),
      );
      assert.deepEqual(second, first);
      assert.equal(calls.directory, "fake");
    });

    it("sums up a safetensors file", async () => {
      await cli(["generate", "x", "-o", at("l.safetensors")]);
      const { out } = await cli(["inspect", at("l.safetensors")]);
      assert.match(out, /1 F32 tensors, 256 parameters, 1\.0 kB/);
      assert.match(out, /^ {2}latents {2}F32 \[1, 4, 8, 8\]$/m);
    });

    it("sums up a checkpoint's folder", async () => {
      const { status, out } = await cli(["inspect", "test/fixtures/tiny-v"]);
      assert.equal(status, 0);
      assert.match(out, /StableDiffusionPipeline/);
      assert.match(out, /unet: UNet2DConditionModel/);
    });

    it("ends with 4 for weights that cannot be read, 2 for a picture, nothing half said", async () => {
      writeFileSync(at("bad.safetensors"), "<html>");
      writeFileSync(at("bad.png"), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]));
      writeFileSync(at("empty"), "");
      const ends = async (name: string) => {
        const { status, out } = await cli(["inspect", at(name)]);
        assert.equal(out, "");
        return status;
      };
      assert.deepEqual(
        [
          await ends("bad.safetensors"),
          await ends("bad.png"),
          await ends("empty"),
          await ends("none"),
        ],
        [4, 2, 4, 4],
      );
    });
  });
});
