import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ProgressEvent } from "../../../model/hub/events.ts";
import type { CliContext } from "../../../tools/cli/context.ts";
import { localModel } from "../../../tools/cli/download.ts";
import {
  createDownloadProgress,
  downloadLine,
  speedometer,
} from "../../../tools/cli/download-progress.ts";
import { run } from "../../../tools/cli/program.ts";
import { fakePipeline } from "../../support/fake-pipeline.ts";
import { COMMIT, type HubServer, ID, startHub } from "../../support/hub-server.ts";
import { scratchFolder } from "../../support/scratch.ts";
import { tinyRepo, UNET } from "../../support/tiny-repo.ts";

/** Runs the command line in this process; `out` and `err` are what it wrote. */
async function cli(args: readonly string[], signal = new AbortController().signal, tty = false) {
  let out = "";
  let err = "";
  const context: CliContext = {
    load: fakePipeline().load,
    terminal: {
      out: (data) => {
        out += data;
      },
      err: (text) => {
        err += text;
      },
      ...{ outIsTerminal: false, errIsTerminal: tty, color: false, columns: () => 80 },
    },
    signal,
    readInput: async () => "",
  };
  const status = await run(["download", ...args], context);
  return { status, out, err };
}

describe("wgsl-diffusion download", () => {
  let cacheDir = "";
  let hub: HubServer;
  const variables = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].map(
    (name) => [name, process.env[name]] as const,
  );
  before(() => {
    for (const [name] of variables) delete process.env[name];
  });
  after(() => {
    for (const [name, value] of variables) if (value !== undefined) process.env[name] = value;
  });
  beforeEach(async () => {
    cacheDir = scratchFolder("cli-hub-");
    hub = await startHub(tinyRepo());
  });
  afterEach(async () => {
    await hub[Symbol.asyncDispose]();
    rmSync(cacheDir, { recursive: true, force: true });
  });
  const download = (args: readonly string[], signal?: AbortSignal, tty?: boolean) =>
    cli([ID, "--endpoint", hub.url, "--cache-dir", cacheDir, ...args], signal, tty);

  it("prints the folder alone on standard output, the rest on standard error", async () => {
    const { status, out, err } = await download([]);
    const path = join(cacheDir, "models--some-org--tiny-sd/snapshots", COMMIT);
    assert.deepEqual([status, out], [0, `${path}\n`]);
    assert.match(err, /^some-org\/tiny-sd: 11 files, 20\d\.\d kB to fetch\n/);
    assert.match(err, new RegExp(`\\n${UNET}  [\\d.]+ kB of 20\\d\\.\\d kB {2}.*ETA `));
    assert.match(err, /\n11 files, 20\d\.\d kB \(20\d\.\d kB fetched\)\n$/);
    assert.match((await download([])).err, /\(all there already\)/);
    assert.deepEqual(await download(["--quiet"]), { status: 0, out, err: "" });
  });

  it("writes JSON lines, the last of which is the result", async () => {
    const { status, out } = await download(["--json", "--variant", "fp16"]);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(status, 0);
    assert.equal(lines[0].status, "initiate");
    const last = lines.findLast((line) => line.status === "progress");
    assert.deepEqual([last.progress, last.all_loaded], [100, last.all_total]);
    const { status: end, commit, files, bytes: size, fetched_bytes: fetched } = lines.at(-1);
    assert.deepEqual([end, commit, files.length], ["ready", COMMIT, 11]);
    assert.ok(size > 102_500 && fetched <= size);
  });

  it("draws a bar on a terminal and clears it", async () => {
    const { err } = await download(["--file", UNET], undefined, true);
    const drawn = err.split("\r\u001b[2K");
    assert.match(drawn.at(-2) ?? "", /^unet\/diff\S+ 200\.0 kB of 200\.0 kB {2}/);
    assert.equal(drawn.at(-1), "1 file, 200.0 kB (200.0 kB fetched)\n");
  });

  it("ends with 5 and a way out if the model is not there, and never shows the token", async () => {
    const id = "stabilityai/stable-diffusion-2-1";
    const args = [id, "--endpoint", hub.url, "--cache-dir", cacheDir, "--token", "hf_secret"];
    const { status, out, err } = await cli([...args, "--json"]);
    assert.equal(status, 5);
    assert.match(err, /error HUB_404: 127\S+ has no model stabilityai.*\n.*sd2-community/);
    assert.equal(JSON.parse(out).error.code, "HUB_404");
    assert.doesNotMatch(out + err, /secret/);
    assert.equal(hub.seen[0]?.headers.authorization, "Bearer hf_secret");
  });

  it("ends with 2 for what is no model, and 4 for pickles", async () => {
    assert.equal((await cli(["no model"])).status, 2);
    assert.equal((await cli([])).status, 2);
    assert.equal((await download(["--file", "../x.safetensors"])).status, 2);
    assert.equal((await download(["--file", "v2-1_768-ema-pruned.ckpt"])).status, 4);
  });

  it("ends with 130 when interrupted, keeps what came, and goes on there", async () => {
    const controller = new AbortController();
    const data = hub.files.get(UNET)!;
    hub.next(`/cdn/${UNET}`, (_, response) => {
      response.writeHead(200, { "content-length": data.length });
      response.write(data.subarray(0, 90_000), () => setTimeout(() => controller.abort(), 100));
    });
    const first = await download(["--file", UNET], controller.signal);
    assert.deepEqual([first.status, first.out], [130, ""]);
    const blobs = join(cacheDir, "models--some-org--tiny-sd/blobs");
    const [left] = readdirSync(blobs);
    assert.match(left ?? "", /\.incomplete$/);
    assert.deepEqual(readFileSync(join(blobs, left!)), data.subarray(0, 90_000));
    const second = await download(["--file", UNET]);
    assert.match(second.err, /110\.0 kB to fetch/);
    assert.deepEqual(readFileSync(second.out.trimEnd()), data);
  });

  it("fetches what --model names, where the environment says", async () => {
    const before = { HF_ENDPOINT: process.env.HF_ENDPOINT, HF_HUB_CACHE: process.env.HF_HUB_CACHE };
    Object.assign(process.env, { HF_ENDPOINT: hub.url, HF_HUB_CACHE: cacheDir });
    let err = "";
    const terminal = {
      ...{ out() {}, outIsTerminal: false, errIsTerminal: false, color: false },
      columns: () => 80,
      err(text: string) {
        err += text;
      },
    };
    const context = { terminal, signal: new AbortController().signal };
    try {
      const path = await localModel(ID, false, context);
      assert.equal(path, join(cacheDir, "models--some-org--tiny-sd/snapshots", COMMIT));
      assert.match(err, /11 files/);
      err = "";
      assert.equal(await localModel(ID, false, context), path);
      assert.equal(err, "");
    } finally {
      for (const [name, value] of Object.entries(before))
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
    }
  });

  it("says what a repository calls itself without its control characters", async () => {
    const shard = "\x1b[2Jdiffusion.safetensors";
    const index = JSON.stringify({ weight_map: { a: shard } });
    hub.files.delete(UNET);
    hub.files.set(`${UNET}.index.json`, Buffer.from(index));
    const { status, err } = await download([]);
    assert.equal(status, 2);
    assert.ok(err.includes("u001b") && !err.includes("\u001b"));
  });
});

describe("the progress of a download", () => {
  const event = (allLoaded: number, more: Partial<ProgressEvent> = {}): ProgressEvent => ({
    ...{ status: "progress", name: "a/b", file: "unet/model.safetensors", progress: 0 },
    ...{ loaded: allLoaded, total: 4e9, allLoaded, allTotal: 4e9 },
    ...more,
  });
  const line = (columns: number) =>
    downloadLine(event(1e9), 5e7, { columns: () => columns, color: false });

  it("shows name, bar, amounts, speed and time to go, as far as there is room", () => {
    const bar = "████████░░░░░░░░░░░░░░░░░░░░░░";
    const tail = "1.00 GB of 4.00 GB  50.0 MB/s  ETA 01:00";
    assert.equal(line(120), `unet/model.safetensors ${bar} ${tail}`);
    assert.equal(line(60), `unet/model.safeten ${tail}`);
    for (const columns of [1, 5, 30, 63, 64, 68, 69, 70, 95])
      assert.ok(line(columns).length <= Math.max(1, columns - 1), `${columns}`);
  });

  it("measures what comes now, not what was there before", () => {
    let now = 0;
    const speed = speedometer(() => now);
    assert.equal(speed(event(1e9)), 0);
    now = 1000;
    assert.equal(speed(event(1e9 + 5e6)), 5e6);
    for (now = 2000; now <= 30_000; now += 1000) speed(event(1e9 + 5e6 + (now - 1000) * 1000));
    assert.equal(Math.round(speed(event(1e9 + 5e6 + 30e6))), 1e6);
    assert.equal(speed(event(2e9, { file: "other" })), 0);
  });

  it("says what a user has to know: pauses, other processes, warnings", () => {
    let err = "";
    const terminal = {
      ...{ out() {}, outIsTerminal: false, errIsTerminal: false, color: false },
      columns: () => 80,
      err(text: string) {
        err += text;
      },
    };
    const progress = createDownloadProgress(terminal, false);
    progress.show({ status: "retry", name: "a/b", message: "h: status 503", waitMs: 1500 });
    progress.show({ status: "wait", name: "a/b", file: "x", owner: "process 7 on here" });
    progress.show({ status: "warning", name: "a/b", message: "vae has no variant" });
    assert.deepEqual(err.trimEnd().split("\n"), [
      "h: status 503; trying again in 1.5 s",
      "process 7 on here is fetching x: waiting for it",
      "warning: vae has no variant",
    ]);
  });
});
