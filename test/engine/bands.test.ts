/** Pictures in bands of rows come to what they are in one piece. */
import assert from "node:assert/strict";
import type { Device } from "../../engine/device.ts";
import {
  add,
  cast,
  concat,
  conv2d,
  evaluate,
  groupNorm,
  interpolate,
  linear,
  mul,
  openDevice,
  silu,
  slice,
  type Tensor,
  tensor,
} from "../../engine/index.ts";
import { storageBytes } from "../../engine/memory.ts";
import { lower } from "../../engine/program.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { runAll } from "../support/fused.ts";
import { maxError } from "../support/golden.ts";
import { random } from "../support/random.ts";

/** Less than a row of most pictures below: bands of one row, or of very few. */
const BAND = 1024;

const r = random(5);
const picture = (
  batch: number,
  height: number,
  width: number,
  channels: number,
  at = 0,
): Tensor => {
  const shape = [batch, height, width, channels];
  const values = Array.from({ length: shape.reduce((a, b) => a * b) }, () => at + r.normal());
  return tensor(values, shape);
};
const weight = (...shape: number[]) =>
  tensor(
    Array.from({ length: shape.reduce((a, b) => a * b) }, () => r.normal() / 4),
    shape,
  );

/** What the name says, on pictures larger than BAND. */
function cases(): Record<string, Tensor> {
  const x = picture(2, 13, 9, 8);
  const small = picture(1, 6, 11, 8);
  const up = (t: Tensor) => interpolate(t, { size: [2 * t.shape[1]!, 2 * t.shape[2]!] });
  const bias = weight(12);
  const resnet = (x: Tensor) => {
    const h = conv2d(silu(groupNorm(x, 4)), weight(8, 8, 3, 3), weight(8), { padding: 1 });
    return add(conv2d(silu(groupNorm(h, 4)), weight(8, 8, 3, 3), null, { padding: 1 }), x);
  };
  return {
    "a convolution": conv2d(x, weight(12, 8, 3, 3), bias, { padding: 1 }),
    "a large kernel": conv2d(x, weight(12, 8, 5, 4), bias, { padding: [3, 2, 1, 2] }),
    "stride 2, padding below only": conv2d(x, weight(12, 8, 3, 3), bias, {
      ...{ stride: 2, padding: [0, 1, 0, 1] as const },
    }),
    "stride 3": conv2d(x, weight(12, 8, 3, 3), bias, { stride: 3, padding: 1 }),
    "a convolution of 1x1": conv2d(x, weight(12, 8, 1, 1), bias),
    "an enlarged picture": conv2d(up(small), weight(12, 8, 3, 3), bias, { padding: 1 }),
    "twice enlarged": conv2d(
      up(conv2d(up(small), weight(8, 8, 3, 3), null, { padding: 1 })),
      weight(4, 8, 3, 3),
      null,
      { padding: 1 },
    ),
    "a product with residual": add(linear(x, weight(8, 8), weight(8)), x),
    "a group norm far from zero": groupNorm(picture(2, 13, 9, 8, 100), 4, weight(8), weight(8)),
    "a group norm of channels that are no multiple of four": groupNorm(picture(2, 13, 9, 6), 3),
    resnets: resnet(resnet(x)),
    "one row, column or number for all": mul(
      add(x, picture(1, 1, 9, 8)),
      add(picture(2, 13, 1, 1), tensor([2], [1])),
    ),
    "channels side by side, then cut": slice(concat([x, silu(x)], 3), 3, 4, 13),
    "columns side by side, then cut": slice(concat([x, silu(x)], 2), 2, 3, 12),
    "rows joined, which no band does": conv2d(concat([x, silu(x)], 1), weight(4, 8, 3, 3), null, {
      padding: 1,
    }),
    "another dtype": cast(silu(cast(x, "f16")), "f32"),
  };
}

describeOnEveryAdapter("pictures in bands", (getDevice) => {
  it("come to what they are in one piece, fused and not", async () => {
    const outputs = cases();
    const whole = await runAll(getDevice(), outputs);
    for (const fuse of [true, false]) {
      const banded = await runAll(getDevice(), outputs, { fuse, bandBytes: BAND });
      for (const [name, actual] of Object.entries(banded)) {
        const limit = name === "another dtype" ? 1e-3 : 2e-5;
        const error = maxError(actual, whole[name]!);
        assert.ok(error <= limit, `${name} is off by ${error}`);
      }
    }
  });

  it("are small, but for what is put together at the end", () => {
    const largest = (t: Tensor, bandBytes: number) => {
      const program = lower({ y: t }, getDevice().target, { bandBytes });
      const results = new Set(Object.values(program.outputs).map(({ storage }) => storage));
      const made = new Set(
        program.dispatches.flatMap(({ kernel, operands }) =>
          kernel.operands
            .filter(({ access, name }) => access === "write" && operands[name]?.tensor)
            .map(({ name }) => operands[name]!),
        ),
      );
      const inner = [...made].filter(
        (storage) => !results.has(storage) && storage.tensor!.op !== "concat",
      );
      return Math.max(...inner.map(storageBytes));
    };
    const { resnets } = cases();
    // 2 pictures of 9 columns and 8 channels: 576 bytes a row.
    assert.ok(largest(resnets!, 4 * 576) <= 4 * 576);
    assert.equal(largest(resnets!, Number.POSITIVE_INFINITY), 13 * 576);
  });

  it("leave the graph alone where all fits", () => {
    const { target } = getDevice();
    const outputs = cases();
    const names = (bandBytes?: number) =>
      lower(outputs, target, bandBytes ? { bandBytes } : {}).dispatches.map((d) => d.kernel.name);
    assert.deepEqual(names(), names(Number.POSITIVE_INFINITY));
    assert.ok(names(BAND).length > 2 * names().length);
  });
});

describe("a picture that no binding of a device with default limits holds", () => {
  let device: Device;
  before(async () => {
    device = await openDevice({ minimal: true });
  });
  after(() => device.destroy());

  it("goes through a group norm and a convolution", async () => {
    const [height, width] = [4200, 2000];
    assert.ok(height * width * 16 > device.target.maxBindingSize);
    const column = Array.from({ length: height }, (_, i) => Math.sin(i));
    const row = Array.from({ length: width }, (_, i) => Math.cos(3 * i));
    const every = 100;
    const y = await evaluate(device, () => {
      const x = mul(
        add(tensor(column, [1, height, 1, 1]), tensor(new Float32Array(4), [1, 1, 1, 4])),
        tensor(row, [1, 1, width, 1]),
      );
      const first = tensor([1, 0, 0, 0], [1, 4, 1, 1]);
      return conv2d(groupNorm(x, 1, null, null, 0), first, null, { stride: every });
    });
    const average = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const squares = (values: number[]) => average(values.map((v) => v * v));
    const mean = average(column) * average(row);
    const deviation = Math.sqrt(squares(column) * squares(row) - mean * mean);
    const expected = column
      .filter((_, i) => i % every === 0)
      .flatMap((c) => row.filter((_, i) => i % every === 0).map((v) => (c * v - mean) / deviation));
    const error = maxError(y, expected);
    assert.ok(error < 1e-4, `off by ${error}`);
  });
});
