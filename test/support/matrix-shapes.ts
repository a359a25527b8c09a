/**
 * Every kind of product, convolution and attention that a full-size Stable Diffusion 2 runs on matrix units, cut down in
 * what is computed alike many times over (rows, columns, heads), with the real length of every sum; on matrix units and
 * on the kernels that need none, on the same adapter and the same halves.
 */
import { encodeHalf } from "../../engine/dtype.ts";
import {
  attention,
  conv2d,
  type Device,
  gelu,
  interpolate,
  linear,
  mul,
  split,
} from "../../engine/index.ts";
import type { Dispatch, Target } from "../../engine/lower/lowering.ts";
import { lower } from "../../engine/program.ts";
import { numel, type Shape } from "../../engine/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import type { AttentionParams } from "../../shaders/attention.ts";
import type { Conv2dParams } from "../../shaders/conv2d.ts";
import type { GemmParams } from "../../shaders/gemm.ts";
import { type ConfigFiles, fullSizeGraphs } from "../../tools/plans/full-size.ts";
import { DEFAULT_GPU } from "../../tools/plans/targets.ts";
import { runAll } from "./fused.ts";
import { parameterOperand } from "./operand.ts";
import { type Random, random } from "./random.ts";

export interface MatrixShape {
  /** Equal names are equal work, but for what is cut down. */
  readonly name: string;
  readonly kind: "linear" | "conv2d" | "attention";
  build(r: Random): Tensor;
}

export interface ShapeError {
  readonly name: string;
  readonly kind: MatrixShape["kind"];
  /** Largest distance in steps of an f16, of the result or of a 16th of the root mean square if that is more. */
  readonly ulps: number;
  /** rms(Δ) / rms(result). */
  readonly relative: number;
}

/** A GPU that multiplies 16x16x16, for which the plans are lowered. */
const GPU: Target = {
  ...DEFAULT_GPU,
  // Else the VAE would come in bands, which are the same work.
  maxBufferSize: 2 ** 32,
  maxBindingSize: 2 ** 32,
  maxWorkgroupStorage: 48 * 2 ** 10,
  matrix: { m: 16, n: 16, k: 16, subgroup: 32, pinned: false, dialect: "template" },
};

const [MOST_ROWS, MOST_COLUMNS, MOST_WIDTH] = [40, 48, 64];

/** Of the UNet and both directions of the VAE, at 512x512 and 768x768 pixels. */
export function matrixShapes(files: ConfigFiles): MatrixShape[] {
  const found = new Map<string, MatrixShape>();
  for (const size of [512, 768]) {
    const graphs = fullSizeGraphs(files, { dtype: "f16", size });
    for (const outputs of Object.values(graphs)) {
      for (const dispatch of lower(outputs, GPU).dispatches) {
        const shape = shapeOf(dispatch);
        if (shape) found.set(shape.name, shape);
      }
    }
  }
  return [...found.values()];
}

function shapeOf({ kernel, params }: Dispatch): MatrixShape | undefined {
  if (kernel.name === "matrix-gemm") return linearShape(params as GemmParams);
  if (kernel.name === "matrix-conv2d") return convShape(params as Conv2dParams);
  return kernel.name === "matrix-attention" ? attentionShape(params as AttentionParams) : undefined;
}

function linearShape({ M, N, K, batch, xBatch, gated }: GemmParams): MatrixShape {
  // A slice of a long sum looks like a batch.
  const whole = batch > 1 && xBatch * 8 === K ? K * batch : K;
  const rows = Math.min(M, MOST_ROWS);
  const columns = Math.min(N, MOST_COLUMNS);
  return {
    name: `${gated ? "GEGLU" : "linear"} ${rows} x ${whole} -> ${columns}`,
    kind: "linear",
    build(r) {
      const y = linear(halves(r, [rows, whole]), weight(r, [columns, whole], whole));
      if (!gated) return y;
      const [value, gate] = split(y, columns / 2, -1);
      return mul(value!, gelu(gate!));
    },
  };
}

function convShape(p: Conv2dParams): MatrixShape {
  const { inChannels, kernel, stride, top, left } = p;
  const width = Math.min(p.sourceWidth, MOST_WIDTH);
  const height = Math.min(p.sourceHeight, 1 + stride[0]);
  const outs = Math.min(p.outChannels, MOST_COLUMNS);
  const larger = p.inWidth !== p.sourceWidth;
  const step = stride[0] === 1 ? "" : `, stride ${stride}`;
  return {
    name: `conv${kernel.join("x")} ${inChannels} -> ${outs}, width ${width}${step}${larger ? ", enlarged" : ""}`,
    kind: "conv2d",
    build(r) {
      const x = halves(r, [1, height, width, inChannels]);
      const seen = larger ? interpolate(x, { size: [2 * height, 2 * width], mode: "nearest" }) : x;
      const w = weight(r, [outs, inChannels, ...kernel], inChannels * numel(kernel));
      // The encoder pads on one side only where it halves.
      const padding = [top, 1, left, 1] as const;
      return conv2d(seen, w, null, { stride, padding });
    },
  };
}

function attentionShape({ queries, keys, d, e, scale, causal }: AttentionParams): MatrixShape {
  const rows = Math.min(queries, MOST_ROWS);
  return {
    name: `attention ${rows} x ${keys}, heads of ${d}${causal ? ", causal" : ""}`,
    kind: "attention",
    build: (r) =>
      attention(halves(r, [1, rows, d]), halves(r, [1, keys, d]), halves(r, [1, keys, e]), 1, {
        scale,
        isCausal: causal,
      }),
  };
}

function halves(r: Random, shape: Shape): Tensor {
  return tensor(r.normals(numel(shape)), shape, "f16");
}

/** So that results are about 1, whatever the number of terms. */
function weight(r: Random, shape: Shape, terms: number): Tensor {
  const data = r.normals(numel(shape), 1 / Math.sqrt(terms));
  return parameterOperand(data, shape, "f16", "model.weight").t;
}

/** Runs every shape on both devices, some at a time. */
export async function shapeErrors(
  shapes: readonly MatrixShape[],
  matrices: Device,
  plain: Device,
): Promise<ShapeError[]> {
  const errors: ShapeError[] = [];
  for (let from = 0; from < shapes.length; from += 8) {
    const some = shapes.slice(from, from + 8);
    const r = random(1000 + from);
    const outputs = Object.fromEntries(some.map((shape, i) => [String(i), shape.build(r)]));
    const found = await runAll(matrices, outputs);
    const expected = await runAll(plain, outputs);
    some.forEach(({ name, kind }, i) => {
      errors.push({ name, kind, ...distance(found[i]!, expected[i]!) });
    });
  }
  return errors;
}

function distance(found: ArrayLike<number>, expected: ArrayLike<number>) {
  const rms = Math.sqrt(mean(expected, (v) => v * v));
  let ulps = 0;
  let squares = 0;
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs(found[i]! - expected[i]!);
    squares += off * off;
    // NaN is never close.
    ulps = Math.max(
      ulps,
      Number.isFinite(off) ? off / step(Math.max(Math.abs(expected[i]!), rms / 16)) : Infinity,
    );
  }
  return { ulps, relative: Math.sqrt(squares / expected.length) / rms };
}

/** From a half to the next larger one. */
function step(value: number): number {
  const exponent = (encodeHalf([value])[0]! >> 10) & 31;
  return 2 ** (Math.max(exponent, 1) - 25);
}

function mean(values: ArrayLike<number>, of: (v: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += of(values[i]!);
  return sum / values.length;
}
