/** `npm run bench -- image`: from the start of a process to its first picture, and the pictures after it. */
import { spawn } from "node:child_process";
import { join } from "node:path";

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
  const said = await runProcess(JSON.stringify(options));
  const { firstAt, ...rest } = JSON.parse(said) as Omit<ImageRow, "coldMs"> & { firstAt: number };
  return { ...rest, coldMs: firstAt - start };
}

function runProcess(argument: string): Promise<string> {
  const program = join(import.meta.dirname, "image-process.ts");
  const child = spawn(process.execPath, [...process.execArgv, program, argument], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [said, complaint] = ["", ""];
  child.stdout.on("data", (data) => {
    said += data;
  });
  child.stderr.on("data", (data) => {
    complaint += data;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(said);
      else reject(new Error(`the process that paints ended with ${code}:\n${complaint}`));
    });
  });
}
