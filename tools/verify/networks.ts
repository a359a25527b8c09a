/**
 * The networks, each on the inputs that PyTorch had: text encoder, one UNet evaluation, VAE decoder and encoder.
 * They are compiled as the pipeline compiles them: what depends on prompt or timestep alone is a plan apart.
 */
import {
  cast,
  compile,
  type Device,
  type DType,
  input,
  type Plan,
  type Shape,
  type Tensor,
  type WeightCache,
} from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import type { StoredTensor } from "../../engine/safetensors.ts";
import { textEncoder } from "../../model/clip.ts";
import { textGraph, timeGraph } from "../../model/denoise.ts";
import { encodeMoments } from "../../model/encode.ts";
import type { ModelFolder } from "../../model/folder.node.ts";
import { timestepEmbedding, unet } from "../../model/unet.ts";
import { vaeDecoder } from "../../model/vae.ts";
import type { Golden } from "./golden.ts";

export const STAGES = ["text", "unet", "vae"] as const;
export type Stage = (typeof STAGES)[number];

export interface StageInputs {
  /** `skip`: layers that are left out at the end. */
  readonly text: { readonly ids: Golden; readonly skip?: number };
  /** `label`: the x4 upscaler's noise level. */
  readonly unet: {
    readonly sample: Golden;
    readonly timestep: number;
    readonly context: Golden;
    readonly label?: number | undefined;
  };
  readonly vae: { readonly z: Golden };
}

export interface StageOptions {
  readonly device: Device;
  readonly weights: WeightCache;
  readonly dtype: DType;
  /** Hears of the length of every read of a weight. */
  readonly onRead?: (bytes: number) => void;
}

/** The folder's part that a stage reads. */
interface Part {
  readonly text: "textEncoder";
  readonly unet: "unet";
  readonly vae: "vae";
}

/** A network compiled, its weights loaded, its inputs written. */
export interface CompiledStage {
  /** In the order that they run; the last has the output `y`. */
  readonly plans: readonly Plan[];
}

type Compile<S extends Stage> = (
  folder: Pick<ModelFolder, Part[S]>,
  inputs: StageInputs[S],
  options: StageOptions,
) => Promise<CompiledStage>;

export const compileStage: { readonly [S in Stage]: Compile<S> } = {
  async text(folder, { ids, skip }, options) {
    const w = await weightsOf("text_encoder", folder.textEncoder, options);
    const x = input("ids", ids.shape, "i32");
    const y = textEncoder(w, folder.textEncoder.config, x, options.dtype, { skip });
    const plan = await compilePart(options, "text", { y: cast(y, "f32") });
    plan.write("ids", ids.data);
    return { plans: [plan] };
  },

  async unet(folder, { sample, timestep, context, label }, options) {
    const { config } = folder.unet;
    const w = await weightsOf("unet", folder.unet, options);
    const { dtype } = options;

    const textOutputs = textGraph(w, config, cast(input("context", context.shape), dtype));
    const prompt = await compilePart(options, "prompt", textOutputs);
    prompt.write("context", context.data);

    const sinusoids = timestepEmbedding([timestep], config);
    const timeOutputs = timeGraph(
      w,
      cast(input("sinusoids", [1, sinusoids.length]), dtype),
      label === undefined ? undefined : input("label", [1], "i32"),
    );
    const times = await compilePart(options, "times", timeOutputs);
    times.write("sinusoids", sinusoids);
    if (label !== undefined) times.write("label", [label]);

    const given = (name: string, { shape, dtype }: Tensor) => input(name, shape, dtype);
    const condition = {
      times: given("times", timeOutputs.times),
      text: (path: string) => given(path, textOutputs[path]!),
    };
    const y = unet(w, config, cast(input("sample", sample.shape), dtype), condition);
    const texts = Object.keys(textOutputs).map((path) => [path, prompt.buffer(path)]);
    const bind = { times: times.buffer("times"), ...Object.fromEntries(texts) };
    const step = await compilePart(options, "unet", { y: cast(y, "f32") }, bind);
    step.write("sample", sample.data);
    return { plans: [prompt, times, step] };
  },

  async vae(folder, { z }, options) {
    const w = await weightsOf("vae", folder.vae, options);
    const x = cast(input("z", z.shape), options.dtype);
    const y = cast(vaeDecoder(w, folder.vae.config, x), "f32");
    const plan = await compilePart(options, "vae", { y });
    plan.write("z", z.data);
    return { plans: [plan] };
  },
};

/** Another timestep for a compiled UNet. */
export function writeTimestep({ plans }: CompiledStage, folder: ModelFolder, timestep: number) {
  const [, times] = plans;
  times!.write("sinusoids", timestepEmbedding([timestep], folder.unet.config));
}

/** Pictures [B, H, W, 3] in -1..1 to the moments of their latents, in f32. */
export async function compileEncoder(
  folder: ModelFolder,
  picture: Golden,
  options: StageOptions,
): Promise<CompiledStage> {
  const w = await weightsOf("vae", folder.vae, options);
  const x = input("picture", picture.shape);
  const y = cast(encodeMoments(w, folder.vae.config, x, options.dtype), "f32");
  const plan = await compilePart(options, "encode", { y });
  plan.write("picture", picture.data);
  return { plans: [plan] };
}

/** Runs a compiled network once. -> y, channels last, and its shape. */
export async function runStage({
  plans,
}: CompiledStage): Promise<{ data: ArrayLike<number>; shape: Shape }> {
  for (const plan of plans) plan.run();
  const last = plans.at(-1)!;
  return { data: await last.read("y"), shape: last.program.outputs.y!.shape };
}

export async function destroyStage({ plans }: CompiledStage): Promise<void> {
  for (const plan of plans) await plan.destroy();
}

function compilePart(
  { device, weights }: StageOptions,
  label: string,
  outputs: Readonly<Record<string, Tensor>>,
  bind: Readonly<Record<string, GPUBuffer>> = {},
): Promise<Plan> {
  return compile(device, outputs, { label, weights, bind });
}

type Component = Pick<ModelFolder["unet"], "tensors">;

/** The parameters that a cache knows already: by others it would load the same weights again. */
const KNOWN = new WeakMap<WeightCache, Map<Component, Weights>>();

async function weightsOf(part: string, from: Component, options: StageOptions): Promise<Weights> {
  const known = KNOWN.get(options.weights) ?? new Map<Component, Weights>();
  KNOWN.set(options.weights, known);
  const found = known.get(from) ?? Weights.of(part, heard(await from.tensors(), options));
  known.set(from, found);
  return found;
}

type Tensors = ReadonlyMap<string, StoredTensor>;

function heard(tensors: Tensors, { onRead }: StageOptions): Tensors {
  if (!onRead) return tensors;
  const wrap = (tensor: StoredTensor): StoredTensor => ({
    ...tensor,
    async read(offset, length) {
      const bytes = await tensor.read(offset, length);
      onRead(length);
      return bytes;
    },
  });
  return new Map([...tensors].map(([name, tensor]) => [name, wrap(tensor)]));
}
