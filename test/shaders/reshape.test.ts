import { evaluate, reshape, tensor } from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import { close, rounded } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { random } from "../support/random.ts";

const CASES: readonly (readonly [from: readonly number[], to: readonly number[]])[] = [
  [[1], [1, 1]],
  [
    [2, 3],
    [3, 2],
  ],
  [[12], [3, 4]],
  [[3, 4], [12]],
  [[5, 7], [35]],
  [
    [7, 13, 5],
    [5, 7, 13],
  ],
  [
    [2, 8, 3],
    [2, 24],
  ],
  [
    [6, 8],
    [3, 16],
  ],
  [
    [97, 61],
    [61, 97],
  ],
];

describeOnEveryAdapter("reshape", (getDevice) => {
  for (const dtype of ["f32", "f16", "i32"] as const) {
    it(`keeps the row-major order of ${dtype}`, async () => {
      const { ints, normals } = random(1);
      const data = CASES.map(([from]) =>
        dtype === "i32" ? ints(numel(from), -(2 ** 31), 2 ** 31 - 1) : normals(numel(from)),
      );
      const results = await evaluate(getDevice(), () =>
        CASES.map(([from, to], i) => reshape(tensor(data[i]!, from, dtype), to)),
      );
      CASES.forEach(([from, to], i) => {
        const expected = dtype === "i32" ? data[i]! : rounded(data[i]!, dtype);
        close(results[i]!, expected, { dtype, label: `[${from}] to [${to}]` });
      });
    });
  }
});
