/**
 * The command that paints a picture again, from what the picture says. That is foreign text: it only
 * ever becomes the quoted value of an option that is known here.
 */
import type { PictureText } from "../metadata.ts";
import { fieldsOf, settingsOf } from "../settings.ts";

/** Options by the field of our record, in the order in which they are printed. */
const OPTIONS: readonly (readonly [field: string, option: string])[] = [
  ["negativePrompt", "--negative-prompt"],
  ["steps", "--steps"],
  ["guidanceScale", "--guidance-scale"],
  ["guidanceRescale", "--guidance-rescale"],
  ["guidanceStart", "--guidance-start"],
  ["guidanceStop", "--guidance-stop"],
  ["guidanceSchedule", "--guidance-schedule"],
  ["guidanceFrom", "--guidance-from"],
  ["thresholding", "--thresholding"],
  ["thresholdingRatio", "--thresholding-ratio"],
  ["sampleMaxValue", "--sample-max-value"],
  ["mimicScale", "--mimic-scale"],
  ["scheduler", "--scheduler"],
  ["seed", "--seed"],
  ["rng", "--rng"],
  ["width", "--width"],
  ["height", "--height"],
  ["numImages", "--num-images"],
  ["timesteps", "--timesteps"],
  ["timestepSpacing", "--timestep-spacing"],
  ["schedulerConfig", "--scheduler-config"],
  ["strength", "--strength"],
  ["maskMode", "--mask-mode"],
  ["noiseLevel", "--noise-level"],
  ["tile", "--tile"],
  ["tileOverlap", "--tile-overlap"],
  ["eta", "--eta"],
  ["clipSkip", "--clip-skip"],
  ["promptSyntax", "--prompt-syntax"],
];

/** The same for switches. */
const SWITCHES: readonly (readonly [field: string, option: string])[] = [
  ["rescaleBetasZeroSnr", "--rescale-betas-zero-snr"],
  ["perImageSeeds", "--per-image-seeds"],
  ["vaeTiling", "--vae-tiling"],
  ["watermark", "--watermark"],
];

/** What stands beside the request: files that the picture was made from, and how the checkpoint was opened. */
const GIVEN: typeof OPTIONS = [
  ["image", "--image"],
  ["mask", "--mask"],
  ["depth", "--depth"],
  ["dtype", "--dtype"],
  ["prediction", "--prediction"],
  ["config", "--config"],
];

/** What need not be said: it is so without. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  ...{ negativePrompt: "", guidanceRescale: 0, numImages: 1, eta: 0, clipSkip: 0, rng: "torch" },
  ...{ promptSyntax: "plain", maskMode: "white" },
  ...{ guidanceStart: 0, guidanceStop: 1, guidanceSchedule: "constant" },
};

/** The checkpoint that runs where none is named (default-model.node.ts), by its folder's name. */
const SHIPPED = "shapes";

/** From our own record, else from the web UI's `parameters`; undefined where neither can be read. */
export function repeatCommand(texts: readonly PictureText[]): string | undefined {
  const settings = settingsOf(texts);
  return settings && commandOf(settings.prompt, settings.request, settings.model, settings.given);
}

function commandOf(
  prompt: string,
  request: Readonly<Record<string, unknown>>,
  model: unknown,
  given: Readonly<Record<string, unknown>> = {},
): string {
  const words = [
    // A prompt that looks like an option has to be the value of one.
    ...(prompt.startsWith("-") ? optionOf("--prompt", prompt) : [shellQuote(prompt)]),
    ...(typeof model === "string" && model !== SHIPPED ? optionOf("--model", model) : []),
    ...optionsOf(OPTIONS, request),
    ...optionsOf(GIVEN, given),
    ...SWITCHES.filter(([field]) => request[field] === true).map(([, option]) => option),
  ];
  return `wgsl-diffusion generate ${words.join(" ")}`;
}

function optionsOf(table: typeof OPTIONS, values: Readonly<Record<string, unknown>>): string[] {
  return table
    .filter(([field]) => Object.hasOwn(values, field) && values[field] !== DEFAULTS[field])
    .map(([field, option]) => [option, textOf(field, values[field])] as const)
    .flatMap(([option, text]) => (text === undefined ? [] : optionOf(option, text)));
}

/** The fields that may be a list: timesteps, and what a sheet's pictures differ in. */
const LISTS = ["timesteps", "guidanceSchedule", "steps", "guidanceScale", "scheduler", "seed"];

/** A value as it is typed: plain, a list with commas, or settings; undefined for what is none of these. */
function textOf(field: string, value: unknown): string | undefined {
  if (field === "schedulerConfig") return settingsText(Object.entries(fieldsOf(value) ?? {}));
  if (isPlain(value)) return String(value);
  return LISTS.includes(field) && isPlainList(value) ? value.join(",") : undefined;
}

function settingsText(pairs: readonly (readonly [string, unknown])[]): string | undefined {
  const known = pairs.every(([key, value]) => /^\w+$/.test(key) && isSetting(value));
  if (pairs.length === 0 || !known) return undefined;
  const said = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return pairs.map(([key, value]) => `${key}=${said(value)}`).join(",");
}

function isPlain(value: unknown): boolean {
  return typeof value === "string" || (typeof value === "number" && Number.isFinite(value));
}

function isPlainList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length > 0 && value.every(isPlain);
}

function isSetting(value: unknown): boolean {
  return isPlain(value) || typeof value === "boolean" || isPlainList(value);
}

function optionOf(option: string, value: string): string[] {
  const quoted = shellQuote(value);
  return value.startsWith("-") ? [`${option}=${quoted}`] : [option, quoted];
}

/**
 * One word for a shell, whatever the text holds. Characters that could steer a terminal become
 * escapes in $'...', which bash, zsh and ksh know. NUL cannot be in a word: it is left out.
 */
export function shellQuote(text: string): string {
  const clean = text.replaceAll("\0", "").toWellFormed();
  if (/^[\w@%+=:,./-]+$/.test(clean)) return clean;
  if (!UNPRINTABLE.test(clean)) return `'${clean.replaceAll("'", "'\\''")}'`;
  const escaped = clean
    .replace(/[\\']/g, "\\$&")
    .replaceAll("\n", "\\n")
    .replace(new RegExp(UNPRINTABLE, "gu"), octal);
  return `$'${escaped}'`;
}

/** Control characters and those that turn the direction of text. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

function octal(character: string): string {
  const bytes = [...new TextEncoder().encode(character)];
  return bytes.map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}
