/** Choices among variants of kernels: what a record says, what is made of it, and that results stay the same. */
import assert from "node:assert/strict";
import { compile } from "../../engine/compile.ts";
import {
  type Device,
  input,
  linear,
  openDevice,
  type TuningStore,
  tensor,
  tune,
} from "../../engine/index.ts";
import { lower } from "../../engine/program.ts";
import { type Choices, type Problem, problemKey, Tuning } from "../../engine/tuning/choices.ts";
import { useRecord } from "../../engine/tuning/open.ts";
import { readRecord, writeRecord } from "../../engine/tuning/record.ts";
import { GPU_SHAPES } from "../../shaders/gpus.ts";
import { TILES, tilingName, tilings } from "../../shaders/tile.ts";
import { DEFAULT_GPU } from "../../tools/plans/targets.ts";
import { random } from "../support/random.ts";

const normals = (seed: number, count: number) => random(seed).normals(count);

const PROBLEM: Problem = {
  ...{ op: "linear", dtype: "f32", batch: 1, M: 60, N: 64, K: 128, gated: false },
};
const KEY = "linear f32 64x64x128";

/** A store in memory that holds this text for every device. */
function holding(text?: string): TuningStore & { text: string | undefined; reads: number } {
  return {
    ...{ text, reads: 0 },
    async read() {
      this.reads++;
      return this.text;
    },
    async write(_device, written) {
      this.text = written;
    },
  };
}

const product = () => {
  const x = input("x", [1, 60, 128]);
  const w = tensor(normals(7, 64 * 128), [64, 128]);
  return { y: linear(x, w) };
};

const tilingsOf = (choices: Choices) => {
  const { dispatches } = lower(product(), { ...DEFAULT_GPU, tuning: choices });
  const { kernel, params } = dispatches.at(-1)!;
  assert.equal(kernel.name, "gemm");
  return (params as { tile: (typeof TILES)[number] }).tile;
};

describe("a record of tuning", () => {
  it("comes back as it was written, in an order of its own", () => {
    const text = writeRecord("gpu", { choices: { b: "2", a: "1" } });
    assert.deepEqual(readRecord("gpu", text).choices, { a: "1", b: "2" });
    assert.equal(text, writeRecord("gpu", { choices: { a: "1", b: "2" } }));
  });

  const wrong = {
    "no JSON": "{",
    "another format": `{"format":"x"}`,
    "another device's": writeRecord("other gpu", { choices: {} }),
    "choices that are no names": writeRecord("gpu", { choices: { a: 1 as unknown as string } }),
    "a list": "[]",
  };
  for (const [what, text] of Object.entries(wrong)) {
    it(`is left aside with a warning: ${what}`, async () => {
      const tuning = new Tuning();
      const warning = await useRecord(tuning, "gpu", holding(text));
      assert.match(warning ?? "", /left aside/);
      assert.equal(tuning.known.size, 0);
    });
  }

  it("of another revision of the kernels is empty, without a word", async () => {
    const text = writeRecord("gpu", { choices: { a: "1" } }).replace(
      /"revision": \d+/,
      '"revision": 0',
    );
    const tuning = new Tuning();
    assert.equal(await useRecord(tuning, "gpu", holding(text)), undefined);
    assert.equal(tuning.known.size, 0);
  });

  it("that cannot be read is left aside", async () => {
    const store = { read: () => Promise.reject(new Error("EACCES")), write: async () => undefined };
    assert.match((await useRecord(new Tuning(), "gpu", store)) ?? "", /EACCES/);
  });
});

describe("the choice of a variant", () => {
  const names = tilings({ batch: 1, M: 60, N: 64, K: 128, gated: false }, DEFAULT_GPU).map(
    tilingName,
  );

  it("has names that tell all variants apart", () => {
    const all = tilings({ batch: 1, M: 64, N: 1280, K: 11520, gated: false }, DEFAULT_GPU);
    assert.equal(new Set(all.map(tilingName)).size, all.length);
    assert.ok(all.length > TILES.length);
  });

  it("is the recorded one", () => {
    for (const name of names) {
      const tuning = new Tuning();
      tuning.use({ [KEY]: name });
      assert.equal(tilingName({ tile: tilingsOf(tuning), slices: 1 }), name);
    }
  });

  it("is the estimate where nothing, or what is no variant, is recorded", () => {
    for (const choices of [{}, { [KEY]: "8x8 by hand" }, { "linear f32 64x64x127": names[1]! }]) {
      const tuning = new Tuning();
      tuning.use(choices as Record<string, string>);
      assert.equal(tilingName({ tile: tilingsOf(tuning), slices: 1 }), names[0]);
    }
  });

  it("serves a class: rows in powers of two, the rest exactly", () => {
    const key = (more: Partial<Problem>) => problemKey({ ...PROBLEM, ...more } as Problem);
    assert.equal(key({}), KEY);
    assert.equal(key({ M: 64 }), KEY);
    assert.notEqual(key({ M: 65 }), KEY);
    assert.notEqual(key({ K: 132 }), KEY);
    assert.notEqual(key({ dtype: "f16" }), KEY);
  });

  it("of a vendor's GPU with fewer cores prefers slices less", () => {
    const small = { batch: 1, M: 256, N: 1280, K: 11520, gated: false };
    const slices = (vendor: string) =>
      tilings(small, { ...DEFAULT_GPU, gpu: GPU_SHAPES[vendor] })[0]!.slices;
    assert.ok(slices("nvidia") > 1);
    assert.equal(slices("qualcomm"), 1);
  });

  it("lets what costs most be measured first", () => {
    const tuning = new Tuning();
    const large = { ...PROBLEM, M: 4096 };
    for (const problem of [PROBLEM, large, large]) tuning.choice(problem, ["a", "b"]);
    tuning.choice({ ...PROBLEM, K: 4 }, ["only one"]);
    assert.deepEqual(
      tuning.open.map(({ key, count }) => [key, count]),
      [
        ["linear f32 4096x64x128", 2],
        [KEY, 1],
      ],
    );
  });
});

describe("tuning a device", () => {
  const devices: Device[] = [];
  const open = async (tuning: TuningStore | false) => {
    const device = await openDevice({ software: false, bake: false, tuning });
    devices.push(device);
    return device;
  };
  after(() => {
    for (const device of devices) device.destroy();
  });
  const run = async (device: Device) => {
    const plan = await compile(device, product());
    plan.write("x", normals(3, 60 * 128));
    plan.run();
    const y = await plan.read("y");
    await plan.destroy();
    return y;
  };

  it("records what it measured; the device keeps its kernels, the next has the fastest", async () => {
    const store = holding();
    const first = await open(store);
    const before = await run(first);
    const { measured, left } = await tune(first, { budgetMs: 60_000 });
    assert.deepEqual([measured.length, left], [1, 0]);
    const [{ key, times, chosen }] = measured as [(typeof measured)[number]];
    assert.equal(key, KEY);
    assert.ok(times.length > 1 && times.every(({ ms }) => ms > 0));
    assert.deepEqual(readRecord(first.identity, store.text!).choices, { [KEY]: chosen });
    assert.deepEqual(await run(first), before);
    assert.deepEqual((await tune(first)).measured, []);

    const next = await open(store);
    assert.deepEqual(next.warnings, []);
    assert.equal(next.tuning.known.get(KEY), chosen);
  });

  it("gives the same bytes for the same record, and the same result for any", async () => {
    const plain = await run(await open(false));
    const size = Math.max(...plain.map(Math.abs));
    const slowest = tilings({ batch: 1, M: 60, N: 64, K: 128, gated: false }, DEFAULT_GPU).at(-1)!;
    const device = await open(false);
    const text = writeRecord(device.identity, { choices: { [KEY]: tilingName(slowest) } });
    const [a, b] = [await run(await open(holding(text))), await run(await open(holding(text)))];
    assert.deepEqual(a, b);
    assert.ok(Math.max(...a.map((value, i) => Math.abs(value - plain[i]!))) < 1e-5 * size);
  });

  it("warns once of a broken record, and goes on", async () => {
    const device = await open(holding("{"));
    assert.equal(device.warnings.length, 1);
    assert.match(device.warnings[0]!, /no JSON/);
    assert.equal((await run(device)).length, 60 * 64);
  });

  it("stops between two problems when the time is over, and on a signal", async () => {
    const device = await open(holding());
    await run(device);
    assert.deepEqual(await tune(device, { budgetMs: 0 }), { measured: [], left: 1 });
    const reason = new Error("enough");
    await assert.rejects(tune(device, { signal: AbortSignal.abort(reason) }), reason);
  });

  it("reads no record on a software adapter that is one", async () => {
    const device = await openDevice({ preferSoftware: true });
    devices.push(device);
    assert.equal(device.tuningStore, undefined);
  });
});
