/** The numbers of the checkpoint that ships. What it paints was judged by tools/train/evaluate.py, which leaves evaluation.json. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Row } from "./rows.ts";

const ROOT = join(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "model/shapes");

interface Rates {
  readonly count: number;
  readonly colours: number;
  readonly shapes: number;
  readonly relation?: number;
  readonly all: number;
}

interface Evaluation {
  readonly pairs: Rates;
  readonly singles: Rates;
  readonly "reconstruction PSNR, dB": number;
}

const evaluation = (): Evaluation =>
  JSON.parse(readFileSync(join(FOLDER, "evaluation.json"), "utf8"));

const rate = (name: string, atLeast: number, of: "pairs" | "singles", key: keyof Rates): Row => ({
  name: `held-out prompts: ${name}`,
  wanted: { atLeast },
  unit: "%",
  measure() {
    const rates = evaluation()[of];
    return { value: 100 * (rates[key] ?? Number.NaN), note: `${rates.count} prompts, recorded` };
  },
});

export const SHAPES_ROWS: readonly Row[] = [
  {
    name: "the checkpoint that ships: all of its files",
    wanted: { atMost: 24 },
    unit: "MB",
    measure() {
      const files = readdirSync(FOLDER, { recursive: true, encoding: "utf8" });
      const sizes = files.map((file) => statSync(join(FOLDER, file))).filter((s) => s.isFile());
      return { value: sizes.reduce((sum, { size }) => sum + size, 0) / 1e6 };
    },
  },
  rate("both colours right", 95, "pairs", "colours"),
  rate("both shapes right", 90, "pairs", "shapes"),
  rate("relation right", 90, "pairs", "relation"),
  rate("all right", 85, "pairs", "all"),
  rate("one object, all right", 97, "singles", "all"),
  {
    name: "its autoencoder on unseen renders: PSNR",
    wanted: { atLeast: 30 },
    unit: "dB",
    measure: () => ({ value: evaluation()["reconstruction PSNR, dB"], note: "recorded" }),
  },
  {
    name: "the demo: four pictures of 25 steps",
    wanted: { atMost: 60 },
    unit: "s",
    measure() {
      const started = performance.now();
      const main = join(ROOT, "tools/cli/main.ts");
      const output = join(tmpdir(), `wgsl-diffusion-demo-${process.pid}.png`);
      const args = ["--import", "tsx", main, "demo", "-o", output];
      const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "ignore" });
      if (status !== 0) throw new Error(`the demo ended with status ${status}`);
      return { value: (performance.now() - started) / 1000 };
    },
  },
];
