/** What a checkpoint paints from: told by the channels that its UNet takes, and by the inputs that are given. */
import { DiffusionError } from "../../engine/errors.ts";
import type { ModelKind } from "../detect.ts";

export type Task =
  | "text-to-image"
  | "image-to-image"
  | "inpainting"
  | "depth-to-image"
  | "upscaling";

/** The inputs that only some tasks take. */
export interface TaskInputs {
  readonly image?: unknown;
  readonly mask?: unknown;
  readonly depth?: unknown;
  readonly strength?: unknown;
  readonly noiseLevel?: unknown;
  readonly tile?: unknown;
  readonly tileOverlap?: unknown;
}

type InputName = keyof TaskInputs;

interface Rule {
  /** The checkpoint, as a sentence about it begins. */
  readonly what: string;
  readonly needs: readonly InputName[];
  readonly takes: readonly InputName[];
}

const RULES: Readonly<Record<ModelKind, Rule>> = {
  base: {
    what: "this checkpoint paints from text, or from text and a picture (4 channels)",
    needs: [],
    takes: ["image", "strength"],
  },
  inpainting: {
    what: "this checkpoint repaints under a mask (9 channels)",
    needs: ["image", "mask"],
    takes: ["strength"],
  },
  depth: {
    what: "this checkpoint paints from a picture and its depth (5 channels)",
    needs: ["image"],
    takes: ["depth", "strength"],
  },
  "x4-upscaling": {
    what: "this checkpoint makes a picture four times larger (7 channels)",
    needs: ["image"],
    takes: ["noiseLevel", "tile", "tileOverlap"],
  },
};

const OPTIONS: Readonly<Record<InputName, string>> = {
  image: "--image FILE",
  mask: "--mask FILE",
  depth: "--depth FILE",
  strength: "--strength X",
  noiseLevel: "--noise-level N",
  tile: "--tile N",
  tileOverlap: "--tile-overlap N",
};

const TASKS = {
  inpainting: "inpainting",
  depth: "depth-to-image",
  "x4-upscaling": "upscaling",
} as const satisfies Partial<Record<ModelKind, Task>>;

/**
 * The task for these inputs. Throws BAD_REQUEST where the checkpoint wants others, and says which; without a
 * kind (the checkpoint is not read yet) only what is wrong for every checkpoint.
 */
export function taskOf(kind: ModelKind | undefined, inputs: TaskInputs): Task {
  const given = (Object.keys(OPTIONS) as InputName[]).filter((name) => inputs[name] !== undefined);
  if (given.length > 0 && inputs.image === undefined) {
    // Without a picture the others mean nothing, whatever the checkpoint.
    if (kind === undefined || kind === "base") {
      throw wrongInputs(`${given.join(" and ")} ${given.length > 1 ? "go" : "goes"} with image`, [
        "image",
      ]);
    }
  }
  if (kind === undefined) return given.length > 0 ? "image-to-image" : "text-to-image";
  const { what, needs, takes } = RULES[kind];
  const missing = needs.filter((name) => !given.includes(name));
  if (missing.length > 0) throw wrongInputs(`${what}: give ${needs.join(" and ")}`, needs);
  const extra = given.filter((name) => !needs.includes(name) && !takes.includes(name));
  if (extra.length > 0) throw wrongInputs(`${what}: it takes no ${extra.join(" and no ")}`, []);
  if (kind !== "base") return TASKS[kind];
  return given.length > 0 ? "image-to-image" : "text-to-image";
}

function wrongInputs(message: string, wanted: readonly InputName[]): DiffusionError {
  const options = wanted.map((name) => OPTIONS[name]).join(" ");
  const hint =
    wanted.length > 0
      ? `On the command line: ${options}.`
      : "Leave it out, or load a checkpoint that does.";
  return new DiffusionError("BAD_REQUEST", message, { hint });
}

/** What diffusers' pipelines take where a request says nothing. */
export const TASK_DEFAULTS: Readonly<
  Record<
    Task,
    {
      readonly steps: number;
      readonly guidanceScale: number;
      readonly strength?: number;
      readonly noiseLevel?: number;
    }
  >
> = {
  "text-to-image": { steps: 50, guidanceScale: 7.5 },
  "image-to-image": { steps: 50, guidanceScale: 7.5, strength: 0.8 },
  inpainting: { steps: 50, guidanceScale: 7.5, strength: 1 },
  "depth-to-image": { steps: 50, guidanceScale: 7.5, strength: 0.8 },
  upscaling: { steps: 75, guidanceScale: 9, noiseLevel: 20 },
};
