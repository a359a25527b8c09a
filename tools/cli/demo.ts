/** `wgsl-diffusion demo`: four prompts painted by the checkpoint that ships, on one sheet. */
import { Command } from "commander";
import { encodePng } from "../../model/png.node.ts";
import type { CheckingPipeline, RgbaImage, StepEvent } from "../../model/request.ts";
import { drawSheet } from "../../model/sheet/draw.ts";

import type { CliContext } from "./context.ts";
import { defaultModel } from "./default-model.node.ts";
import { openOutput } from "./output.node.ts";
import { createProgress, type Progress } from "./progress.ts";

const PROMPTS = [
  "a red cube on top of a blue sphere",
  "a yellow cone in front of a purple ball on grass",
  "a large cyan torus to the left of a small orange cube at sunset",
  "a white pyramid on a red background",
];

const STEPS = 25;
const SEED = 1;

export function demoCommand(context: CliContext): Command {
  return new Command("demo")
    .description("paint four prompts with the checkpoint that ships, on one sheet: demo.png")
    .option("-o, --output <file>", "where to", "demo.png")
    .action(({ output }: { output: string }) => demo(output, context));
}

async function demo(path: string, { load, terminal, signal }: CliContext): Promise<void> {
  const started = performance.now();
  const stdout = (data: Uint8Array) => terminal.out(data);
  const output = openOutput({ path, force: true, count: 1, stdout });
  const progress = createProgress(terminal, false);
  const images: RgbaImage[] = [];
  try {
    await using pipeline = await load(defaultModel(), { signal, onProgress: progress.load });
    for (const [i, prompt] of PROMPTS.entries())
      images.push(await paint(prompt, pipeline, wholeRun(progress, i), signal));
  } finally {
    progress.end();
  }
  const name = output.write(encodePng(drawSheet(images, { columns: 2 })), 0, 1);
  for (const prompt of PROMPTS) terminal.err(`painted "${prompt}"\n`);
  const seconds = (performance.now() - started) / 1000;
  terminal.out(`wrote ${name} (${PROMPTS.length} pictures, ${seconds.toFixed(1)} s)\n`);
}

async function paint(
  prompt: string,
  pipeline: CheckingPipeline,
  onStep: (event: StepEvent) => void,
  signal: AbortSignal,
): Promise<RgbaImage> {
  const request = { prompt, steps: STEPS, scheduler: "ddim", seed: SEED };
  const { images } = await pipeline.generate({ ...request, signal, onStep });
  return images[0]!;
}

/** The steps of picture i as steps of the whole run, so that one bar shows it. */
function wholeRun(progress: Progress, i: number): (event: StepEvent) => void {
  return (event) => {
    const step = i * event.steps + event.step;
    const steps = PROMPTS.length * event.steps;
    const elapsedMs = (event.elapsedMs / event.step) * step;
    const etaMs = (event.elapsedMs / event.step) * (steps - step);
    progress.step({ ...event, step, steps, elapsedMs, etaMs });
  };
}
