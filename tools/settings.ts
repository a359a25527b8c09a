/** The settings that a picture's texts hold: from our own record, else from the web UI's `parameters`. */
import { type PictureText, recordOf } from "./metadata.ts";
import { ALIGNED, parseWebUi, schedulerOf, ZERO_SNR } from "./web-ui.ts";

/** Foreign text, all of it: each field is judged by whoever uses it. */
export interface Settings {
  readonly prompt: string;
  readonly request: Readonly<Record<string, unknown>>;
  readonly model: unknown;
  /** Paths of the pictures that were given, by the option's field. */
  readonly given?: Readonly<Record<string, unknown>> | undefined;
}

/** Undefined where neither can be read. */
export function settingsOf(texts: readonly PictureText[]): Settings | undefined {
  return fromRecord(recordOf(texts)) ?? fromWebUi(texts);
}

function fromRecord(record: unknown): Settings | undefined {
  const request = fieldsOf(fieldsOf(record)?.request);
  if (typeof request?.prompt !== "string") return undefined;
  const model = fieldsOf(fieldsOf(record)?.model)?.name;
  return { prompt: request.prompt, request, model, given: fieldsOf(fieldsOf(record)?.options) };
}

function fromWebUi(texts: readonly PictureText[]): Settings | undefined {
  const parameters = texts.find(({ keyword }) => keyword === "parameters");
  if (!parameters) return undefined;
  const { prompt, negativePrompt, fields } = parseWebUi(parameters.text);
  if (fields.size === 0) return undefined;
  const number = (key: string) => {
    const text = fields.get(key) ?? "";
    return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined;
  };
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(fields.get("Size") ?? "") ?? [];
  const clipSkip = number("Clip skip");
  const request = {
    ...{ negativePrompt, steps: number("Steps"), guidanceScale: number("CFG scale") },
    scheduler: schedulerOf(fields.get("Sampler") ?? "", fields.get("Schedule type")),
    seed: number("Seed"),
    ...(width && height ? { width: Number(width), height: Number(height) } : {}),
    strength: number("Denoising strength"),
    clipSkip: clipSkip && clipSkip - 1,
    ...guidanceOf(fields, number),
    promptSyntax: syntaxOf(`${prompt} ${negativePrompt}`, fields),
    timestepSpacing: fields.get("Schedule type") === ALIGNED ? "ays" : undefined,
    rescaleBetasZeroSnr: fields.get("Noise Schedule") === ZERO_SNR,
  };
  return { prompt, request, model: fields.get("Model") };
}

/** What means more than itself to the web UI, which knows but its own syntax. */
const MARKS = /[()[\]\\]|\b(?:AND|BREAK)\b/;

function syntaxOf(prompts: string, fields: ReadonlyMap<string, string>): string | undefined {
  const own = fields.get("Version")?.startsWith("wgsl-diffusion") ?? false;
  const isA1111 = own ? fields.get("Prompt syntax") === "a1111" : MARKS.test(prompts);
  return isA1111 ? "a1111" : undefined;
}

/** Ours, and what the web UI's extension "Dynamic Thresholding" says with the settings that are ours. */
function guidanceOf(
  fields: ReadonlyMap<string, string>,
  number: (key: string) => number | undefined,
): Readonly<Record<string, unknown>> {
  const schedule = fields.get("Guidance schedule");
  const percentile = number("Threshold percentile");
  const mimics = fields.get("Dynamic thresholding enabled") === "True";
  return {
    guidanceRescale: number("CFG Rescale"),
    guidanceStart: number("Guidance start"),
    guidanceStop: number("Guidance stop"),
    guidanceSchedule: /^(?:linear|cosine|[\d., ]+)$/.test(schedule ?? "") ? schedule : undefined,
    guidanceFrom: number("Guidance from"),
    ...(mimics && {
      thresholding: "mimic",
      mimicScale: number("Mimic scale"),
      thresholdingRatio:
        percentile === undefined || percentile === 100
          ? undefined
          : Number((percentile / 100).toFixed(8)),
    }),
    ...(fields.get("Thresholding") === "dynamic" && {
      thresholding: "dynamic",
      thresholdingRatio: number("Thresholding ratio"),
      sampleMaxValue: number("Sample max value"),
    }),
  };
}

export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null ? { ...value } : undefined;
}
