/**
 * `parameters`, the text by which AUTOMATIC1111's web UI and many after it say how a picture was made
 * (modules/processing.py, create_infotext; modules/infotext_utils.py): the prompt, then
 * `Negative prompt: ...`, then one line of `Key: value` pairs.
 */
import type { GenerateResult, ResolvedRequest } from "../model/request.ts";
import { SHEET_FIELDS, type SheetField } from "../model/sheet/axes.ts";
import type { ResolvedSheet } from "../model/sheet/paint.ts";

/** What requests of some tasks hold beside the rest, where the web UI has words for it. */
interface TaskFields {
  readonly strength?: number | undefined;
  /** Layers of the text encoder that are left out, as diffusers counts. */
  readonly clipSkip?: number | undefined;
  readonly rng?: string | undefined;
}

/** Guidance that changes and thresholding; `mimic` in the words of the extension "Dynamic Thresholding". */
function guidanceWords(request: ResolvedRequest): Record<string, string | number | undefined> {
  const { guidanceSchedule: schedule, thresholding, thresholdingRatio: ratio } = request;
  const dynamic = {
    Thresholding: "dynamic",
    "Thresholding ratio": ratio,
    "Sample max value": request.sampleMaxValue,
  };
  const mimic = {
    "Dynamic thresholding enabled": "True",
    "Mimic scale": request.mimicScale ?? 7,
    "Threshold percentile": Number((100 * (ratio ?? 1)).toFixed(6)),
  };
  return {
    "Guidance start": request.guidanceStart,
    "Guidance stop": request.guidanceStop,
    "Guidance schedule": typeof schedule === "object" ? schedule.join(",") : schedule,
    "Guidance from": request.guidanceFrom,
    ...(thresholding && { dynamic, mimic }[thresholding]),
  };
}

/**
 * A value with a comma, colon or newline is quoted as JSON; so is one with a quote or space at an
 * end, which the web UI's reader would take off. It reads the prompt as it stands: a line of it that
 * begins with "Negative prompt:" is taken for one. Our own record is exact.
 */
export function webUiParameters(
  { request, model }: Pick<GenerateResult, "request" | "model">,
  version: string,
  more: Readonly<Record<string, string>> = {},
): string {
  const task: ResolvedRequest & TaskFields = request;
  const { sampler, schedule } = webUiSampler(request.scheduler);
  const fields: Record<string, string | number | undefined> = {
    Steps: request.steps,
    Sampler: sampler,
    "Schedule type": schedule ?? (request.timestepSpacing === "ays" ? ALIGNED : undefined),
    "CFG scale": request.guidanceScale,
    "CFG Rescale": request.guidanceRescale || undefined,
    ...guidanceWords(request),
    Seed: request.seed,
    Size: `${request.width}x${request.height}`,
    "Model hash": model.sha256?.slice(0, 10),
    Model: model.name,
    "Denoising strength": task.strength,
    "Noise Schedule": request.rescaleBetasZeroSnr ? ZERO_SNR : undefined,
    // The web UI counts from 1: 2 leaves one layer out.
    "Clip skip": task.clipSkip ? task.clipSkip + 1 : undefined,
    "Prompt syntax": request.promptSyntax,
    RNG: RANDOM_SOURCES[task.rng ?? "torch"] ?? task.rng,
    ...more,
    Version: `wgsl-diffusion ${version}`,
  };
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${quoteValue(String(value))}`);
  const negative = request.negativePrompt ? [`Negative prompt: ${request.negativePrompt}`] : [];
  return [request.prompt, ...negative, pairs.join(", ")].join("\n");
}

/** What the web UI calls our timestepSpacing "ays" and rescaleBetasZeroSnr. */
export const ALIGNED = "Align Your Steps";
export const ZERO_SNR = "Zero Terminal SNR";

/** What a sheet's pictures differ in, as the web UI's X/Y/Z plot says it: from left to right first. */
export function webUiGrid(request: ResolvedSheet): Record<string, string> {
  const lists = SHEET_FIELDS.toReversed().flatMap((field) => {
    const values: unknown = request[field];
    return Array.isArray(values) ? [[field, values] as const] : [];
  });
  const axes = lists.slice(0, 3).flatMap(([field, values], i) => {
    const named = values.map((value) => (field === "scheduler" ? webUiName(value) : value));
    const axis = "XYZ"[i];
    return [
      [`${axis} Type`, GRID_TYPES[field]],
      [`${axis} Values`, named.join(", ")],
    ];
  });
  return { Script: "X/Y/Z plot", ...Object.fromEntries(axes) };
}

const GRID_TYPES: Readonly<Record<SheetField, string>> = {
  scheduler: "Sampler",
  seed: "Seed",
  steps: "Steps",
  guidanceScale: "CFG Scale",
};

/** As before version 1.9: "DPM++ 2M Karras". */
function webUiName(scheduler: string): string {
  const { sampler, schedule } = webUiSampler(scheduler);
  return [sampler, schedule].filter(Boolean).join(" ");
}

/** The generators by the web UI's names: PyTorch's on the CPU, and that of NVIDIA's GPUs. */
const RANDOM_SOURCES: Readonly<Record<string, string>> = { torch: "CPU", cuda: "NV" };

function quoteValue(value: string): string {
  return /[,:\n]|^[\s"]|[\s"]$/.test(value) ? JSON.stringify(value) : value;
}

/** Our solvers and the names that users of the web UI and its kin know. */
const SAMPLERS: Readonly<Record<string, string>> = {
  ddim: "DDIM",
  ddpm: "DDPM",
  pndm: "PLMS",
  lms: "LMS",
  euler: "Euler",
  euler_a: "Euler a",
  heun: "Heun",
  dpm2: "DPM2",
  dpm2_a: "DPM2 a",
  dpmpp_2m: "DPM++ 2M",
  dpmpp_2m_sde: "DPM++ 2M SDE",
  dpmpp_2s: "DPM++ 2S",
  dpmpp_2s_a: "DPM++ 2S a",
  dpmpp_sde: "DPM++ SDE",
  deis: "DEIS",
  unipc: "UniPC",
  lcm: "LCM",
  tcd: "TCD",
};

/** The spacings of sigma that end our names. */
const SCHEDULES: Readonly<Record<string, string>> = {
  karras: "Karras",
  exponential: "Exponential",
  beta: "Beta",
};

/** `dpmpp_2m_karras` is the sampler DPM++ 2M with the schedule Karras. */
export function webUiSampler(scheduler: string): { sampler: string; schedule: string | undefined } {
  const spacing = Object.keys(SCHEDULES).find((each) => scheduler.endsWith(`_${each}`));
  const solver = spacing ? scheduler.slice(0, -spacing.length - 1) : scheduler;
  return {
    sampler: Object.hasOwn(SAMPLERS, solver) ? (SAMPLERS[solver] as string) : solver,
    schedule: spacing && SCHEDULES[spacing],
  };
}

/** Back to our name; also "DPM++ 2M Karras" in one, as before version 1.9. Undefined if unknown. */
export function schedulerOf(sampler: string, schedule?: string): string | undefined {
  const keyOf = (table: Readonly<Record<string, string>>, name: string | undefined) =>
    Object.keys(table).find((key) => table[key]?.toLowerCase() === name?.toLowerCase());
  const last = sampler.split(" ").at(-1);
  const inName = keyOf(SCHEDULES, last);
  const solver = keyOf(SAMPLERS, inName ? sampler.slice(0, -(last?.length ?? 0)).trim() : sampler);
  const spacing = inName ?? keyOf(SCHEDULES, schedule);
  return solver && [solver, spacing].filter(Boolean).join("_");
}

export interface WebUiText {
  readonly prompt: string;
  readonly negativePrompt: string;
  /** The pairs of the last line, in their order: foreign text, all of it. */
  readonly fields: ReadonlyMap<string, string>;
}

/** Reads `parameters` of any program. Never throws, and takes time in proportion to the text. */
export function parseWebUi(text: string): WebUiText {
  const lines = text.trimEnd().split("\n");
  const fields = pairsOf(lines.at(-1) ?? "");
  // As the web UI decides whether there is such a line at all.
  const words = fields.size >= 3 ? lines.slice(0, -1) : lines;
  const at = words.findIndex((line) => line.trimStart().startsWith(NEGATIVE));
  const [prompt, negative] = at < 0 ? [words, []] : [words.slice(0, at), words.slice(at)];
  return {
    prompt: prompt.join("\n"),
    negativePrompt: negative.join("\n").trimStart().slice(NEGATIVE.length).replace(/^ /, ""),
    fields: fields.size >= 3 ? fields : new Map(),
  };
}

const NEGATIVE = "Negative prompt:";

/** No program writes as many settings. */
const MAX_LINE = 1 << 20;

function pairsOf(line: string): Map<string, string> {
  const pairs = new Map<string, string>();
  if (line.length > MAX_LINE) return pairs;
  for (let at = 0; at < line.length; ) {
    const comma = indexOrEnd(line, ",", at);
    const colon = line.slice(at, comma).indexOf(":");
    const key = line.slice(at, at + colon).trim();
    if (colon < 0 || !/^[\p{L}\p{N}_][\p{L}\p{N}_ \-/]{0,99}$/u.test(key)) {
      at = comma + 1;
      continue;
    }
    const start = at + colon + 1;
    const quoted = quotedValue(line, start);
    pairs.set(key, quoted?.value ?? line.slice(start, comma).trim());
    at = (quoted?.end ?? comma) + 1;
  }
  return pairs;
}

function indexOrEnd(line: string, what: string, from: number): number {
  const at = line.indexOf(what, from);
  return at < 0 ? line.length : at;
}

/** A JSON string that ends where a pair ends. */
function quotedValue(line: string, from: number): { value: string; end: number } | undefined {
  const pattern = /\s*("(?:\\.|[^\\"])*")\s*(?=,|$)/y;
  pattern.lastIndex = from;
  const found = pattern.exec(line);
  if (!found?.[1]) return undefined;
  try {
    return { value: JSON.parse(found[1]), end: pattern.lastIndex };
  } catch {
    return undefined;
  }
}
