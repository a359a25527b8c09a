/** Which matrix units an adapter has that the kernels can use, and how its WGSL spells them. */
import { dialectLib, type MatrixUnit, matrixPreface, PANEL } from "../shaders/matrix.ts";

/** Dawn's, not yet WebGPU's. */
interface Configuration {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

export const MATRIX_FEATURE = "chromium-experimental-subgroup-matrix";

/** What the kernels need beside it. */
const NEEDED = [MATRIX_FEATURE, "shader-f16", "subgroups"];

const PINNING = "subgroup-size-control";

/** A subgroup of more lanes would leave each too few sums, one of fewer too many. */
const LANES = 16;

/** f16 -> f32 as `[M, N, K]`, the most arithmetic to a load first. */
const PREFERRED = ["16x16x16", "16x8x16", "8x16x16", "16x8x8", "8x8x8"];

/** All but the dialect, which only a device can tell; undefined where the adapter has no such unit. */
export function matrixUnitOf(adapter: GPUAdapter): Omit<MatrixUnit, "dialect"> | undefined {
  if (NEEDED.some((name) => !adapter.features.has(name))) return undefined;
  const { subgroupMinSize, subgroupMaxSize } = adapter.info;
  const subgroup = Math.min(Math.max(LANES, subgroupMinSize), subgroupMaxSize);
  const pinned = subgroupMinSize !== subgroupMaxSize;
  if (pinned && !adapter.features.has(PINNING)) return undefined;
  const [best] = configurations(adapter.info)
    .filter(isSummedUp)
    .filter(({ M, N, K }) => subgroup % M === 0 && N % 8 === 0 && PANEL % K === 0 && K % 8 === 0)
    .sort((a, b) => rank(a) - rank(b));
  return best && { m: best.M, n: best.N, k: best.K, subgroup, pinned };
}

function isSummedUp({ componentType, resultComponentType }: Configuration): boolean {
  return componentType === "f16" && resultComponentType === "f32";
}

function rank({ M, N, K }: Configuration): number {
  const place = PREFERRED.indexOf(`${M}x${N}x${K}`);
  return place < 0 ? PREFERRED.length : place;
}

export function configurations(info: GPUAdapterInfo): readonly Configuration[] {
  return (info as { subgroupMatrixConfigs?: Configuration[] }).subgroupMatrixConfigs ?? [];
}

/** The unit in the dialect that this device compiles; undefined if it takes neither. */
export async function withDialect(
  gpu: GPUDevice,
  unit: Omit<MatrixUnit, "dialect">,
  read: (stem: string) => Promise<string>,
): Promise<MatrixUnit | undefined> {
  for (const dialect of ["template", "bool"] as const) {
    if (await compiles(gpu, { ...unit, dialect }, await read(`lib/${dialectLib(dialect)}`)))
      return { ...unit, dialect };
  }
  return undefined;
}

async function compiles(gpu: GPUDevice, unit: MatrixUnit, lib: string): Promise<boolean> {
  gpu.pushErrorScope("validation");
  const code = [...matrixPreface(unit), "const POOL = 64u;", lib].join("\n");
  const module = gpu.createShaderModule({ label: `${unit.dialect} matrices`, code });
  const { messages } = await module.getCompilationInfo();
  await gpu.popErrorScope();
  return messages.every(({ type }) => type !== "error");
}
