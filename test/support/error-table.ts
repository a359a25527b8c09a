/**
 * Measures every stage and every picture of both tiny checkpoints against PyTorch, and writes the tables
 * in test/README.md anew, between their markers. `npm run -s errors`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { openDevice } from "../../engine/index.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { openFolder } from "../../model/folder.node.ts";
import { StableDiffusion } from "../../model/index.ts";
import { buildBlock, isCovered, openParts } from "./blocks.ts";
import { removeCopies, withSchedulerFile } from "./checkpoint-copy.ts";
import { runAll } from "./fused.ts";
import {
  type BlockEntry,
  CHECKPOINTS,
  type CheckpointName,
  channelsLast,
  checkpointPath,
  flat,
  type GoldenTensors,
  maxError,
  openGolden,
  readGolden,
  rmsError,
} from "./golden.ts";
import { distance, type PictureCase, requestOf, samples } from "./pictures.ts";

const README = new URL("../README.md", import.meta.url);
const MARKERS = ["<!-- errors -->", "<!-- /errors -->"] as const;

const STAGES = { text_encoder: "text encoder", unet: "UNet", vae: "VAE" } as const;

interface MeasuredCase extends PictureCase {
  readonly schedulerClass: string;
  /** rms error of PyTorch's latents against the same run in float64. */
  readonly float32Error: number;
}

const device = await openDevice();
const stages = [["checkpoint", "stage", "case", "f32, max", "f16, rms"]];
const latents = ["latents f32, max", "latents f32, rms", "PyTorch's own, rms"];
const levels = ["within 1 level", "worst, levels", "f16 against f32, dB"];
const pictures = [["checkpoint", "picture", "scheduler", ...latents, ...levels]];
for (const checkpoint of CHECKPOINTS) {
  stages.push(...(await stageRows(checkpoint)));
  pictures.push(...(await pictureRows(checkpoint)));
}
removeCopies();
write(`On ${device.info.description}.\n\n${table(stages)}\n\n${table(pictures)}`);
process.exit();

/** The whole models: text encoder, UNet, VAE (vae-decode and vae-encode). */
async function stageRows(checkpoint: CheckpointName): Promise<string[][]> {
  const entries = readGolden<BlockEntry[]>(checkpoint, "blocks.json").filter(
    (entry) => entry.module === "" && isCovered(entry),
  );
  const golden = await openGolden(checkpoint, [...new Set(entries.map(({ file }) => file))]);
  const parts = await openParts(await openFolder(checkpointPath(checkpoint)));
  const run = (dtype: "f32" | "f16") => {
    const output = (entry: BlockEntry): [string, Tensor] => {
      return [entry.name, buildBlock(parts, entry, golden, dtype)[0]!];
    };
    return runAll(device, Object.fromEntries(entries.map(output)));
  };
  const [single, half] = [await run("f32"), await run("f16")];
  await parts.folder.close();
  return entries.map(({ name, component, file, output }) => {
    const expected = channelsLast(golden(file, flat(output)[0]!)).data;
    const errors = [maxError(single[name]!, expected), rmsError(half[name]!, expected)];
    return [checkpoint, STAGES[component], name, ...errors.map(exponential)];
  });
}

async function pictureRows(checkpoint: CheckpointName): Promise<string[][]> {
  const cases = readGolden<MeasuredCase[]>(checkpoint, "pictures.json");
  const golden = await openGolden(checkpoint, ["pictures.safetensors"]);
  const rows: string[][] = [];
  for (const file of new Set(cases.map(({ schedulerFile }) => schedulerFile))) {
    const folder = file === null ? checkpointPath(checkpoint) : withSchedulerFile(checkpoint, file);
    await using single = await StableDiffusion.fromPretrained(folder, { device, dtype: "f32" });
    await using half = await StableDiffusion.fromPretrained(folder, { device, dtype: "f16" });
    for (const picture of cases.filter(({ schedulerFile }) => schedulerFile === file)) {
      const cells = await pictureCells(picture, single, half, golden);
      const solver = picture.schedulerClass.replace(/(Discrete)?Scheduler$/, "");
      rows.push([checkpoint, picture.name, solver, ...cells]);
    }
  }
  return rows;
}

async function pictureCells(
  picture: MeasuredCase,
  single: StableDiffusion,
  half: StableDiffusion,
  golden: GoldenTensors,
): Promise<string[]> {
  const expected = (what: string) => golden("pictures.safetensors", `${picture.name}/${what}`).data;
  const request = requestOf(picture);
  const latents = (await single.generate({ ...request, output: "latent" })).latents!.data;
  const painted = samples((await single.generate(request)).images);
  const inHalves = samples((await half.generate(request)).images);
  const { withinOne, worst } = distance(painted, expected("pictures"));
  const errors = [
    maxError(latents, expected("latents")),
    rmsError(latents, expected("latents")),
    picture.float32Error,
  ];
  const levels = [`${(100 * withinOne).toFixed(2)} %`, String(worst)];
  return [...errors.map(exponential), ...levels, distance(inHalves, painted).psnr.toFixed(1)];
}

function exponential(value: number): string {
  return value.toExponential(1);
}

/** The first row is the head; its first three columns are names, the others numbers. */
function table([head, ...rows]: readonly (readonly string[])[]): string {
  const rule = head!.map((_, i) => (i < 3 ? "---" : "--:"));
  return [head!, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function write(text: string): void {
  const page = readFileSync(README, "utf8");
  const [start, end] = MARKERS.map((marker) => page.indexOf(marker)) as [number, number];
  if (start < 0 || end < start) throw new Error("test/README.md has lost its markers");
  const head = page.slice(0, start + MARKERS[0].length);
  writeFileSync(README, `${head}\n${text}\n${page.slice(end)}`);
  console.log(text);
}
