/** The two products that the report judges, in GFLOP/s. All operations: suite.ts. */

import { BYTES } from "../engine/dtype.ts";
import {
  compile,
  conv2d,
  type Device,
  type DType,
  input,
  linear,
  type Tensor,
  WeightCache,
} from "../engine/index.ts";
import { numel, type Shape } from "../engine/shape.ts";
import { parameter } from "../engine/tensor.ts";
import { best } from "./clock.ts";

export interface KernelCase {
  readonly name: string;
  readonly build: (dtype: DType) => { x: Tensor; y: Tensor };
}

export const KERNEL_CASES: readonly KernelCase[] = [
  {
    name: "conv3x3 320->320, 64x64",
    build(dtype) {
      const x = input("x", [1, 64, 64, 320], dtype);
      return {
        x,
        y: conv2d(x, weight([320, 320, 3, 3], dtype), weight([320], dtype), { padding: 1 }),
      };
    },
  },
  {
    name: "linear 1024 x 640->5120",
    build(dtype) {
      const x = input("x", [1024, 640], dtype);
      return { x, y: linear(x, weight([5120, 640], dtype), weight([5120], dtype)) };
    },
  },
];

export interface KernelRow {
  readonly name: string;
  readonly dtype: DType;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly gflops: number;
  /** As if the process had both cores to itself: FLOPs over half of the CPU time. */
  readonly gflopsByCpu: number;
}

/** Every case in every dtype. */
export async function benchKernels(device: Device, dtypes: readonly DType[]): Promise<KernelRow[]> {
  const rows: KernelRow[] = [];
  for (const each of KERNEL_CASES) {
    for (const dtype of dtypes) rows.push(await benchKernel(device, each, dtype));
  }
  return rows;
}

/** The best of `runs` runs of a case, weights in place. Wall and CPU time are each the least seen. */
export async function benchKernel(
  device: Device,
  { name, build }: KernelCase,
  dtype: DType,
  runs = 7,
): Promise<KernelRow> {
  const weights = new WeightCache(device);
  const { x, y } = build(dtype);
  const plan = await compile(device, { y }, { weights });
  try {
    plan.write("x", values(numel(x.shape)));
    const { wallMs, cpuMs } = await best(runs, () => {
      plan.run();
      return plan.done();
    });
    const flops = plan.program.dispatches.reduce((sum, d) => sum + d.kernel.flops(d.params), 0);
    const byCpu = flops / ((cpuMs / CORES) * 1e6);
    return { name, dtype, wallMs, cpuMs, gflops: flops / (wallMs * 1e6), gflopsByCpu: byCpu };
  } finally {
    await plan.destroy();
    await weights.destroy();
  }
}

/** The project's reference machine has two; the figure per CPU-second is scaled to that. */
const CORES = 2;

function weight(shape: Shape, dtype: DType): Tensor {
  const type = dtype === "f16" ? "f16" : "f32";
  const read = async (_offset: number, length: number) => halves(length, type);
  return parameter({ name: `weight[${shape}]`, type, shape, read });
}

/** Small numbers of both signs; subnormals would be slow and zeros perhaps too fast. */
function values(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (((i * 7919) % 1009) - 504) / 1009);
}

function halves(bytes: number, type: "f16" | "f32"): Uint8Array {
  if (type === "f32") return new Uint8Array(values(bytes / BYTES.f32).buffer);
  // 0x2c00 is 1/16; the lowest bits vary.
  return new Uint8Array(
    Uint16Array.from({ length: bytes / 2 }, (_, i) => 0x2c00 + (i % 1021)).buffer,
  );
}
