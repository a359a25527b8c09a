/** Whether the tensors of a file are those that the configuration asks for. */
import { DiffusionError } from "../engine/errors.ts";
import type { StoredDtype } from "../engine/safetensors.ts";
import { guessFile } from "./expected/guess.ts";
import { VAE_ENCODER } from "./expected/vae.ts";

export { expectedText } from "./expected/text.ts";
export { expectedUnet } from "./expected/unet.ts";
export { expectedVae } from "./expected/vae.ts";

/** What the check needs of a stored tensor. */
export interface FoundTensor {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
}

type Component = "text_encoder" | "unet" | "vae" | "depth_estimator";
type Expected = ReadonlyMap<string, readonly number[]>;
type Found = ReadonlyMap<string, FoundTensor>;

/** What the engine widens to f32 or f16 when it uploads. */
export const WEIGHT_DTYPES: readonly StoredDtype[] = ["F32", "F16", "BF16"];
const DTYPES = WEIGHT_DTYPES.join("|");

/** Tensors that a file may leave out, all or none: painting from text needs no encoder. */
const OPTIONAL: Partial<Record<Component, RegExp>> = { vae: VAE_ENCODER };

const SHOWN = 5;

/** A buffer of old transformers that counts 0 … 76; it holds nothing that was trained. */
const IGNORED = /(?:^|\.)position_ids$/;

/**
 * Throws WEIGHTS_MISMATCH with the first 5 differences and a guess of what the file is, if a tensor
 * of `expected` is missing or has another shape, or one is there that the model does not have (a VAE may
 * come without its encoder); otherwise WEIGHTS_DTYPE, if a tensor is stored in a dtype that is not read.
 * `config` says where the expectation comes from.
 */
export function checkWeights(
  component: Component,
  expected: Expected,
  tensors: Found,
  config = `${component}/config.json`,
): void {
  const wanted = withoutAbsentGroup(expected, tensors, OPTIONAL[component]);
  const differences = [...shapeDifferences(component, wanted, tensors)];
  if (differences.length > 0) throw mismatch(config, differences, tensors);
  for (const [name, { dtype }] of tensors) {
    if (!expected.has(name) || WEIGHT_DTYPES.includes(dtype)) continue;
    const message = `${component}.${name} is stored as ${dtype}; expected ${DTYPES}`;
    const hint = "convert the file: pipeline.to(torch.float16).save_pretrained(folder)";
    throw new DiffusionError("WEIGHTS_DTYPE", message, { hint });
  }
}

/** `expected` without the names of an optional group of which the file has none. */
function withoutAbsentGroup(
  expected: Expected,
  tensors: Found,
  group: RegExp | undefined,
): Expected {
  if (!group || [...tensors.keys()].some((name) => group.test(name))) return expected;
  return new Map([...expected].filter(([name]) => !group.test(name)));
}

function* shapeDifferences(component: Component, expected: Expected, tensors: Found) {
  for (const [name, shape] of expected) {
    const found = tensors.get(name);
    if (found && sameShape(found.shape, shape)) continue;
    const is = found ? `found [${found.shape.slice(0, 8)}]` : "found none";
    yield `${component}.${name} expected [${shape}] ${DTYPES}, ${is}`;
  }
  for (const [name, { shape }] of tensors) {
    if (expected.has(name) || IGNORED.test(name)) continue;
    yield `${component}.${name.slice(0, 100)} expected none, found [${shape.slice(0, 8)}]`;
  }
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

function mismatch(config: string, differences: string[], tensors: Found): DiffusionError {
  const rest = differences.length - SHOWN;
  const more = rest > 0 ? `\n  … and ${rest} more` : "";
  const guess = guessFile(tensors);
  const looks = guess === undefined ? "" : `\n  this looks like ${guess}`;
  return new DiffusionError(
    "WEIGHTS_MISMATCH",
    `the weights do not fit ${config}:\n  ` +
      `${differences.slice(0, SHOWN).join("\n  ")}${more}${looks}`,
    {
      hint: "take config and weights from the same folder; `wgsl-diffusion inspect FILE` lists it",
    },
  );
}
