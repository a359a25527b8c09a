/** What to do where the VAE's plan does not fit the device: tiles in place of the whole picture, and say so. */
import { DiffusionError } from "../engine/errors.ts";
import type { Plan } from "../engine/index.ts";
import type { VaeOptions } from "./decode.ts";

export interface Fitted {
  readonly plan: Plan;
  /** What the user should hear. */
  readonly warning?: string;
}

const TOO_LARGE: readonly string[] = ["GPU_OOM", "LIMIT"];

/**
 * Compiles the VAE (`compileDecoder` or `compileEncoder` with the options that it is given) whole, and in tiles
 * if memory or a limit of the device is too small for that. Throws GPU_OOM or LIMIT if tiles do not fit either.
 *
 *     const { plan, warning } = await compileFitting((vae) => compileDecoder(setting, checkpoint, latents, vae));
 */
export async function compileFitting(
  compile: (options: VaeOptions) => Promise<Plan>,
  options: VaeOptions = {},
): Promise<Fitted> {
  try {
    return { plan: await compile(options) };
  } catch (whole) {
    if (options.vaeTiling || !isTooLarge(whole)) throw hinted(whole);
    const plan = await compile({ ...options, vaeTiling: true }).catch((error) => {
      throw hinted(error);
    });
    const warning = `the VAE runs in tiles, for the picture in one piece is too large: ${whole.message}`;
    return { plan, warning };
  }
}

function isTooLarge(error: unknown): error is DiffusionError {
  return error instanceof DiffusionError && TOO_LARGE.includes(error.code);
}

/** For the UNet of the upscaler: what makes its plans smaller. */
export function hintingAtTiles(error: unknown): unknown {
  if (!isTooLarge(error)) return error;
  return new DiffusionError(error.code, error.message, {
    cause: error,
    hint: "Try --dtype f16, and smaller tiles of the image: --tile 256, --tile 128.",
  });
}

/** With the stage, and all that may help. */
function hinted(error: unknown): unknown {
  if (!isTooLarge(error)) return error;
  return new DiffusionError(error.code, `the VAE: ${error.message}`, {
    cause: error,
    hint: "Try --dtype f16 --vae-tiling, or a smaller picture: --width 512 --height 512.",
  });
}
