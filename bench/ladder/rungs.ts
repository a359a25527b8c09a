/** The rungs: y = x · w in halves, from the plainest kernel to the one that ships. */
import { custom, type Device, input, linear, type Tensor, transpose } from "../../engine/index.ts";
import { packLinear } from "../../engine/lower/matrix.ts";
import { parameter } from "../../engine/tensor.ts";
import { NO_EPILOGUE } from "../../shaders/epilogue.ts";
import { type Kernel, linearGrid } from "../../shaders/kernel.ts";
import { chooseMatrixTiling, type MatrixUnit, packedRight } from "../../shaders/matrix.ts";
import { type MatrixGemmParams, matrixGemm } from "../../shaders/matrix-gemm.ts";

/** M, N and K: multiples of 256, or K of 32. */
export interface LadderSize {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

export interface Rung {
  readonly name: string;
  /** What is new on this rung. */
  readonly about: string;
  /** Whether the matrix units are on. */
  readonly matrix: boolean;
  /** Terms of the sum in one round of its loop, sums of a thread, and fragments that a subgroup of 16x16x16 multiplies. */
  readonly round: number;
  readonly sums: number;
  readonly fragments: number;
  readonly runsOn: (device: Device) => boolean;
  readonly build: (size: LadderSize, weight: Tensor, device: Device) => Tensor;
}

const OPERANDS = [
  { name: "x", access: "read" },
  { name: "w", access: "read" },
  { name: "y", access: "write" },
] as const;

/** The text is here, not in shaders/: only what ships is there. */
const here = (name: string) => `../bench/ladder/${name}`;

const WORKGROUP = 64;

const dims = ({ M, N, K }: LadderSize) => ({ M, N4: N / 4, K4: K / 4 });
const flops = ({ M, N, K }: LadderSize) => 2 * M * N * K;

const naive: Kernel<LadderSize> = {
  name: here("naive"),
  operands: OPERANDS,
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims,
  workgroups: ({ M, N }) => linearGrid((M * N) / 4, WORKGROUP),
  flops,
};

const tiled: Kernel<LadderSize> = {
  name: here("tiled"),
  operands: OPERANDS,
  constants: () => ({}),
  dims,
  workgroups: ({ M, N }) => [N / 64, M / 16, 1],
  flops,
};

const subgroup: Kernel<LadderSize> = {
  name: here("subgroup"),
  operands: OPERANDS,
  preface: () => ["enable subgroups;"],
  constants: () => ({}),
  dims,
  workgroups: ({ M, N }) => [N / 256, M / 8, 1],
  flops,
};

/** matrix-gemm without prefetch and without epilogue. */
function matrix(unit: MatrixUnit): Kernel<MatrixGemmParams> {
  const whole = matrixGemm(unit);
  const own = whole.operands.filter(({ optional }) => !optional);
  const lib = whole.lib!.filter((stem) => !["activation", "epilogue"].includes(stem));
  return { ...whole, name: here("matrix"), operands: own, lib };
}

function plain(kernel: Kernel<LadderSize>): Rung["build"] {
  return (size, weight) => {
    const w = transpose(weight, 0, 1);
    return custom(kernel, size, { x: left(size), w }, [size.M, size.N], "f16");
  };
}

function left({ M, K }: LadderSize): Tensor {
  return input("x", [M, K], "f16");
}

export const RUNGS: readonly Rung[] = [
  {
    name: "naive",
    about: "everything out of storage",
    matrix: false,
    ...{ round: 4, sums: 4, fragments: 0 },
    runsOn: () => true,
    build: plain(naive),
  },
  {
    name: "tiled",
    about: "tiles in workgroup memory",
    matrix: false,
    ...{ round: 16, sums: 4, fragments: 0 },
    runsOn: () => true,
    build: plain(tiled),
  },
  {
    name: "subgroup",
    about: "eight rows a thread, passed round a subgroup",
    matrix: false,
    ...{ round: 4, sums: 32, fragments: 0 },
    runsOn: ({ target }) => target.features.has("subgroups"),
    build: plain(subgroup),
  },
  {
    name: "gemm",
    about: "eight by eight sums a thread, the next panel in registers (shaders/gemm)",
    matrix: false,
    ...{ round: 16, sums: 64, fragments: 0 },
    runsOn: () => true,
    build: (size, weight) => linear(left(size), weight),
  },
  {
    name: "matrix",
    about: "matrix units, weights packed in fragments",
    matrix: true,
    ...{ round: 32, sums: 64, fragments: 16 },
    runsOn: ({ target }) => target.matrix !== undefined,
    build(size, weight, { target }) {
      const unit = target.matrix!;
      const { M, N, K } = size;
      const product = { batch: 1, M, N, K, gated: false };
      const { tile } = chooseMatrixTiling(product, unit, target);
      const params: MatrixGemmParams = {
        ...{ ...product, ...NO_EPILOGUE, unit, tile, wBatch: 0 },
        ...{ xOffset: 0, xPitch: K / 8, xBatch: 0, right: packedRight(unit, K, N) },
      };
      const w = packLinear(transpose(weight, 0, 1), unit, false);
      return custom(matrix(unit), params, { x: left(size), w }, [M, N], "f16");
    },
  },
  {
    name: "matrix-gemm",
    about: "the next panel and fragments on their way meanwhile (shaders/matrix-gemm)",
    matrix: true,
    ...{ round: 32, sums: 64, fragments: 16 },
    runsOn: ({ target }) => target.matrix !== undefined,
    build: (size, weight) => linear(left(size), weight),
  },
];

/** Small numbers of both signs, the same each time; sums of 8192 products stay about 1. */
export function ladderWeight({ N, K }: LadderSize): Tensor {
  const read = async (offset: number, length: number) => {
    const halves = new Uint16Array(length / 2);
    for (let i = 0; i < halves.length; i++) halves[i] = weightBits(offset / 2 + i);
    return new Uint8Array(halves.buffer);
  };
  return parameter({ name: "weight", type: "f16", shape: [N, K], read });
}

/** ±(1/64 + ...): the sign and the last bits go their own ways. */
export function weightBits(i: number): number {
  const hash = Math.imul(i, 0x9e3779b1) >>> 0;
  return ((hash >>> 31) << 15) | 0x2400 | ((hash >>> 12) & 1023);
}
