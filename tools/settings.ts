/** The settings that a picture's texts hold: from our own record, else from the web UI's `parameters`. */
import { type PictureText, recordOf } from "./metadata.ts";
import { parseWebUi, schedulerOf } from "./web-ui.ts";

/** Foreign text, all of it: each field is judged by whoever uses it. */
export interface Settings {
  readonly prompt: string;
  readonly request: Readonly<Record<string, unknown>>;
  readonly model: unknown;
}

/** Undefined where neither can be read. */
export function settingsOf(texts: readonly PictureText[]): Settings | undefined {
  return fromRecord(recordOf(texts)) ?? fromWebUi(texts);
}

function fromRecord(record: unknown): Settings | undefined {
  const request = fieldsOf(fieldsOf(record)?.request);
  if (typeof request?.prompt !== "string") return undefined;
  return { prompt: request.prompt, request, model: fieldsOf(fieldsOf(record)?.model)?.name };
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
  };
  return { prompt, request, model: fields.get("Model") };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null ? { ...value } : undefined;
}
