import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { evaluate, type InterpolateOptions, interpolate, tensor } from "../../engine/index.ts";
import type { Shape } from "../../engine/shape.ts";
import * as reference from "../reference/interpolate.ts";
import { values } from "../reference/values.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

interface Golden {
  readonly mode: "nearest" | "bilinear" | "bicubic";
  readonly alignCorners: boolean;
  readonly size?: readonly [number, number];
  readonly scaleFactor?: number;
  readonly from: Shape;
  readonly to: Shape;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

// Written by tools/reference/torch_interpolate.py.
const FIXTURE = new URL("../fixtures/torch-interpolate.json", import.meta.url);
const GOLDENS = JSON.parse(readFileSync(FIXTURE, "utf8")).cases as readonly Golden[];

/** 16 neighbours, whose weights have the error of a position in f32, and PyTorch computes in f32 too. */
const TERMS = 64;

const SIZES: readonly (readonly [from: Shape, size: readonly [number, number]])[] = [
  [
    [1, 1, 1, 1],
    [3, 2],
  ],
  [
    [2, 3, 5, 7],
    [6, 10],
  ],
  [
    [1, 13, 4, 8],
    [5, 31],
  ],
  [
    [1, 4, 4, 61],
    [8, 8],
  ],
];

describe("interpolate in float64", () => {
  it("is what torch.nn.functional.interpolate gives", () => {
    for (const { x, y, from, to, ...how } of GOLDENS) {
      const size = [to[1]!, to[2]!] as const;
      const z = reference.interpolate(values(x, from), size, how);
      close(z.data, y, { dtype: "f32", terms: TERMS, label: JSON.stringify(how) });
    }
  });
});

describeOnEveryAdapter("interpolate", (getDevice) => {
  for (const mode of ["nearest", "bilinear", "bicubic"] as const) {
    it(`is PyTorch's in mode ${mode}, for sizes, scale factors and aligned corners`, async () => {
      // Compiling takes longer than all else, so only every third; the reference has been through all.
      const goldens = GOLDENS.filter((golden) => golden.mode === mode).filter(
        (_, i) => i % 3 === 0,
      );
      const results = await evaluate(getDevice(), () =>
        goldens.map(({ x, from, ...how }) => interpolate(tensor(x, from), optionsOf(how))),
      );
      goldens.forEach(({ x, from, y, to, ...how }, i) => {
        assert.deepEqual(results[i]!.shape, to);
        close(results[i]!, y, { dtype: "f32", terms: TERMS, label: JSON.stringify(how) });
      });
    });

    it(`computes mode ${mode} in f32 and f16, whatever the channels`, async () => {
      const r = random(7);
      const cases = SIZES.map(([from, size], i) => ({
        size,
        ...normalOperand(r, from, i % 2 ? "f16" : "f32"),
      }));
      const results = await evaluate(getDevice(), () =>
        cases.map(({ t, size }) => interpolate(t, { size, mode })),
      );
      cases.forEach(({ t, v, size }, i) => {
        const expected = reference.interpolate(v, size, { mode });
        close(results[i]!, expected.data, { dtype: t.dtype, terms: TERMS, label: `[${t.shape}]` });
      });
    });
  }
});

function optionsOf({
  mode,
  alignCorners,
  size,
  scaleFactor,
}: Omit<Golden, "x" | "from" | "y" | "to"> & object): InterpolateOptions {
  return { mode, alignCorners, ...(size ? { size } : { scaleFactor: scaleFactor! }) };
}
