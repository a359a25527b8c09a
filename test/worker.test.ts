/** The worker's messages, between two ports of this process, with a fake pipeline on the far side. */
import assert from "node:assert/strict";
import { DiffusionError } from "../engine/errors.ts";
import type { GenerateRequest } from "../model/request.ts";
import { connect } from "../worker/connection.ts";
import type { Port } from "../worker/protocol.ts";
import { type Load, type Served, serve } from "../worker/serve.ts";
import { fakePipeline } from "./support/fake-pipeline.ts";

const REQUEST: GenerateRequest = { prompt: "a horse", steps: 4, seed: 1 };

/** A served pipeline that does as the fake does, unless `generate` says otherwise. */
function far(changes: { generate?: Served["generate"]; stepMs?: number } = {}) {
  const { load, calls } = fakePipeline({ stepMs: changes.stepMs ?? 0 });
  let loads = 0;
  const opened: Load = async (model, options) => {
    loads++;
    const pipeline = await load(String(model), options);
    return {
      generate: changes.generate ?? pipeline.generate,
      [Symbol.asyncDispose]: () => pipeline[Symbol.asyncDispose](),
      ...{ warnings: ["slow"], dtype: "f32", model: { name: "fake" } },
      defaults: { width: 64, height: 64, scheduler: "ddim" },
    };
  };
  const { port1, port2 } = new MessageChannel();
  serve(port1 as unknown as Port, opened);
  const connection = connect(port2 as unknown as Port);
  for (const port of [port1, port2]) port.start();
  const close = () => port1.close();
  return { connection, calls, close, loads: () => loads };
}

describe("the worker", () => {
  it("tells what was loaded, and passes progress, steps, previews and pictures on", async () => {
    const { connection, calls, close } = far();
    const heard: string[] = [];
    const info = await connection.load("m", { dtype: "f32", onProgress: () => heard.push("load") });
    assert.deepEqual(info.warnings, ["slow"]);
    assert.equal(info.defaults.width, 64);
    assert.equal(calls.options?.dtype, "f32");
    const result = await connection.generate({
      ...REQUEST,
      onStep: ({ step }) => heard.push(`${step}`),
    });
    assert.deepEqual(heard, ["load", "1", "2", "3", "4"]);
    assert.equal(result.images[0]!.data.length, 4 * 64 * 64);
    assert.equal(calls.request?.onPreview, undefined, "what nobody hears is not sent");
    await connection.dispose();
    assert.equal(calls.disposed, 1);
    close();
  });

  it("passes errors on with code and hint", async () => {
    const fault = new DiffusionError("GPU_OOM", "too large", { hint: "smaller" });
    const { connection, close } = far({ generate: () => Promise.reject(fault) });
    await connection.load("m", {});
    await assert.rejects(connection.generate(REQUEST), (error: unknown) => {
      assert.ok(error instanceof DiffusionError);
      assert.deepEqual(
        [error.code, error.message, error.hint],
        ["GPU_OOM", "too large", "smaller"],
      );
      return true;
    });
    close();
  });

  it("stops with the signal's reason, before and during a run, and paints again", async () => {
    const { connection, close } = far({ stepMs: 20 });
    await connection.load("m", {});
    const why = new Error("enough");
    await assert.rejects(connection.generate({ ...REQUEST, signal: AbortSignal.abort(why) }), why);
    const abort = new AbortController();
    const onStep = ({ step }: { step: number }) => step === 2 && abort.abort(why);
    await assert.rejects(
      connection.generate({ ...REQUEST, steps: 100, signal: abort.signal, onStep }),
      why,
    );
    assert.equal((await connection.generate(REQUEST)).images.length, 1);
    close();
  });

  it("ends a run whose callback throws, with what it threw", async () => {
    const { connection, close } = far({ stepMs: 20 });
    await connection.load("m", {});
    const fault = new Error("mine");
    const onStep = () => {
      throw fault;
    };
    await assert.rejects(connection.generate({ ...REQUEST, steps: 100, onStep }), fault);
    close();
  });

  it("opens a lost device again and begins the picture anew, once", async () => {
    const lost = new DiffusionError("DEVICE_LOST", "gone");
    const { load } = fakePipeline();
    const whole = (await load("m")).generate;
    let tries = 0;
    const once = far({ generate: (r) => (++tries === 1 ? Promise.reject(lost) : whole(r)) });
    await once.connection.load("m", {});
    assert.equal((await once.connection.generate(REQUEST)).images.length, 1);
    assert.equal(once.loads(), 2);
    const always = far({ generate: () => Promise.reject(lost) });
    await always.connection.load("m", {});
    await assert.rejects(always.connection.generate(REQUEST), { code: "DEVICE_LOST" });
    assert.equal(always.loads(), 2);
    once.close();
    always.close();
  });

  it("does without optional features where a shader does not compile with them, and says so", async () => {
    const fault = new DiffusionError("GPU_VALIDATION", "gemm.wgsl 3:1: no subgroups here");
    const { load } = fakePipeline();
    const whole = (await load("m")).generate;
    let tries = 0;
    const { connection, calls, close } = far({
      generate: (r) => (++tries === 1 ? Promise.reject(fault) : whole(r)),
    });
    await connection.load("m", {});
    const { warnings } = await connection.generate(REQUEST);
    assert.match(warnings.join(), /without the adapter's optional features.*no subgroups here/);
    assert.equal(calls.options?.minimal, true);
    tries = 0;
    await assert.rejects(connection.generate(REQUEST), { code: "GPU_VALIDATION" });
    close();
  });

  it("rejects what is under way when it ends, and everything after", async () => {
    const { connection, close } = far({ stepMs: 50 });
    await connection.load("m", {});
    const run = connection.generate({ ...REQUEST, steps: 100 });
    connection.end();
    await assert.rejects(run, { code: "DISPOSED" });
    await assert.rejects(connection.generate(REQUEST), { code: "DISPOSED" });
    close();
  });
});
