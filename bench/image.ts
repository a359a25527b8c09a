/** `npm run bench -- image`: from the start of a process to its first picture, and the pictures after it. */
import { talkingProcess } from "./talking-process.ts";

export interface ImageRow {
  readonly dtype: string;
  readonly steps: number;
  readonly side: number;
  /** From before the process started until it had the first picture. */
  readonly coldMs: number;
  /** CPU time of the process until then. */
  readonly coldCpuMs: number;
  /** One more picture with everything in place. */
  readonly warmMs: number;
  readonly warmCpuMs: number;
}

export interface ImageOptions {
  readonly directory: string;
  readonly dtype: string;
  readonly steps: number;
  readonly side?: number | undefined;
}

/** Throws if the process fails, with what it said. */
export async function benchImage(options: ImageOptions): Promise<ImageRow> {
  const start = Date.now();
  const said = await talkingProcess("image-process.ts", JSON.stringify(options));
  const { firstAt, ...rest } = JSON.parse(said) as Omit<ImageRow, "coldMs"> & { firstAt: number };
  return { ...rest, coldMs: firstAt - start };
}
