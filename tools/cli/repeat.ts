/**
 * The command that paints a picture again, from what the picture says. That is foreign text: it only
 * ever becomes the quoted value of an option that is known here.
 */
import type { PictureText } from "../metadata.ts";
import { settingsOf } from "../settings.ts";

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
  ["strength", "--strength"],
  ["noiseLevel", "--noise-level"],
  ["tile", "--tile"],
  ["tileOverlap", "--tile-overlap"],
  ["eta", "--eta"],
  ["clipSkip", "--clip-skip"],
  ["promptSyntax", "--prompt-syntax"],
];

/** The same for switches. */
const SWITCHES: readonly (readonly [field: string, option: string])[] = [
  ["vaeTiling", "--vae-tiling"],
  ["watermark", "--watermark"],
];

/** What need not be said: it is so without. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  ...{ negativePrompt: "", guidanceRescale: 0, numImages: 1, eta: 0, clipSkip: 0, rng: "torch" },
  ...{ promptSyntax: "plain", guidanceStart: 0, guidanceStop: 1, guidanceSchedule: "constant" },
};

/** The checkpoint that runs where none is named (default-model.node.ts), by its folder's name. */
const SHIPPED = "shapes";

/** From our own record, else from the web UI's `parameters`; undefined where neither can be read. */
export function repeatCommand(texts: readonly PictureText[]): string | undefined {
  const settings = settingsOf(texts);
  return settings && commandOf(settings.prompt, settings.request, settings.model);
}

function commandOf(
  prompt: string,
  request: Readonly<Record<string, unknown>>,
  model: unknown,
): string {
  const options = OPTIONS.filter(([field]) => Object.hasOwn(request, field))
    .map(([field, option]) => [option, request[field], DEFAULTS[field]] as const)
    .filter(([, value, normal]) => isPlain(value) && value !== normal)
    .flatMap(([option, value]) => optionOf(option, String(value)));
  const words = [
    // A prompt that looks like an option has to be the value of one.
    ...(prompt.startsWith("-") ? optionOf("--prompt", prompt) : [shellQuote(prompt)]),
    ...(typeof model === "string" && model !== SHIPPED ? optionOf("--model", model) : []),
    ...options,
    ...SWITCHES.filter(([field]) => request[field] === true).map(([, option]) => option),
  ];
  return `wgsl-diffusion generate ${words.join(" ")}`;
}

/** Texts, numbers, and lists of numbers, which String() joins by commas. */
function isPlain(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0 && value.every(Number.isFinite);
  return typeof value === "string" || (typeof value === "number" && Number.isFinite(value));
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
