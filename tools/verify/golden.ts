/** Tensors that PyTorch wrote, as our layout has them: pictures channels last. */
import { openFile } from "../../engine/platform/file.node.ts";
import { readSafetensors, type StoredTensor } from "../../engine/safetensors.ts";

export interface Golden {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** Every tensor of a small file. Throws what `readSafetensors` throws. */
export async function readGolden(path: string): Promise<(name: string) => Golden> {
  const source = await openFile(path);
  const found = new Map<string, Golden>();
  try {
    const { tensors } = await readSafetensors(source);
    for (const [name, tensor] of tensors) found.set(name, channelsLast(await whole(tensor)));
  } finally {
    await source.close();
  }
  return (name) => {
    const tensor = found.get(name);
    if (!tensor) throw new Error(`${path} has no tensor ${name}`);
    return tensor;
  };
}

async function whole({ dtype, shape, byteLength, read }: StoredTensor): Promise<Golden> {
  const bytes = (await read(0, byteLength)).slice().buffer;
  if (dtype === "U8") return { shape, data: new Uint8Array(bytes) };
  return { shape, data: dtype === "I32" ? new Int32Array(bytes) : new Float32Array(bytes) };
}

/** f32 of [B, C, H, W] to [B, H, W, C]; all else stays. */
function channelsLast(x: Golden): Golden {
  if (x.shape.length !== 4 || !(x.data instanceof Float32Array)) return x;
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const data = new Float32Array(x.data.length);
  for (let b = 0; b < B; b++) {
    for (let c = 0; c < C; c++) {
      for (let p = 0; p < H * W; p++) {
        data[(b * H * W + p) * C + c] = x.data[(b * C + c) * H * W + p]!;
      }
    }
  }
  return { shape: [B, H, W, C], data };
}
