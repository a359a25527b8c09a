/** The compiled plans of a pipeline: those of the last sizes are kept, for a run that wants the same. */
import type { Plan } from "../engine/index.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { compileFitting, hintingAtTiles } from "./fit.ts";
import {
  compileDecoder,
  compilePlans,
  type Plans,
  type RunSizes,
  type Setting,
} from "./painter.ts";
import type { Sides } from "./tile-grid.ts";

/** What plans are compiled for. */
export interface Wanted {
  readonly sizes: RunSizes;
  readonly decode: boolean;
  readonly vaeTiling: boolean | undefined;
  /** The decoder makes one tile at a time: those of the run. */
  readonly decodeTile: Sides | undefined;
}

/** Plans for one set of sizes. */
export interface Compiled {
  readonly plans: Plans;
  /** Absent where latents were asked for. */
  readonly decoder: Plan | undefined;
  readonly warnings: readonly string[];
}

export class PlanCache {
  /** What `#compiled` is for, spelled out. */
  #key: string | undefined;
  #compiled: Compiled | undefined;

  /** Frees plans of other sizes: before anything else is made, for memory may hold only one set. */
  async keepOnly(want: Wanted): Promise<void> {
    if (this.#key !== JSON.stringify(want)) await this.destroy();
  }

  /** The plans that are kept, else new ones. Throws what `compile` throws. */
  async get(want: Wanted, setting: Setting, checkpoint: Checkpoint): Promise<Compiled> {
    await this.keepOnly(want);
    this.#compiled ??= await compiledFor(want, setting, checkpoint);
    this.#key = JSON.stringify(want);
    return this.#compiled;
  }

  async destroy(): Promise<void> {
    const { plans, decoder } = this.#compiled ?? {};
    this.#compiled = undefined;
    this.#key = undefined;
    await plans?.destroy();
    await decoder?.destroy();
  }
}

async function compiledFor(
  { sizes, decode, decodeTile, ...want }: Wanted,
  setting: Setting,
  checkpoint: Checkpoint,
): Promise<Compiled> {
  // Tiles of the run in place of diffusers'.
  const vaeTiling = decodeTile ? undefined : want.vaeTiling;
  // The decoder first: its buffers are the largest, and what it cannot do is said before the work.
  const fitted = decode
    ? await compileFitting(
        (vae) => compileDecoder(setting, checkpoint, sizes.latents, vae, decodeTile),
        { vaeTiling },
      )
    : undefined;
  const decoder = fitted?.plan;
  try {
    const plans = await compilePlans(setting, checkpoint, sizes, decoder);
    return { plans, decoder, warnings: fitted?.warning === undefined ? [] : [fitted.warning] };
  } catch (error) {
    await decoder?.destroy();
    throw checkpoint.detected.kind === "x4-upscaling" ? hintingAtTiles(error) : error;
  }
}
