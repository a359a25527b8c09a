/** The check of what a single file predicts by asking its UNet, where the rule alone is in doubt. */
import { cast, compile, input } from "../engine/index.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { textGraph, timeGraph } from "./denoise.ts";
import type { PredictionType } from "./detect.ts";
import type { Setting } from "./painter.ts";
import { isDoubtful, PROBE, predictionByProbe } from "./prediction.ts";
import { timestepEmbedding, unet } from "./unet.ts";

/** The UNet's output [1,8,8,4] for the probe's input, as f32. All of the UNet's weights are loaded. */
export async function probeOutput(
  { device, weights, dtype, signal }: Setting,
  { unet: { weights: w, config } }: Pick<Checkpoint, "unet">,
): Promise<Float32Array> {
  const { size, tokens, timestep, value } = PROBE;
  const shape = [1, size, size, config.inChannels];
  const contextShape = [1, tokens, config.crossAttentionDim[0]!];
  const sinusoids = input("sinusoids", [1, config.blockOutChannels[0]!], "f32");
  const text = textGraph(w, config, input("context", contextShape, dtype));
  const { times } = timeGraph(w, cast(sinusoids, dtype));
  const condition = { times, text: (path: string) => text[path]! };
  const out = cast(unet(w, config, input("latents", shape, dtype), condition), "f32");
  const plan = await compile(device, { out }, { label: "probe", weights, signal });
  try {
    plan.write("sinusoids", timestepEmbedding([timestep], config));
    plan.write("context", filled(contextShape, value));
    plan.write("latents", filled(shape, value));
    plan.run();
    return (await plan.read("out")) as Float32Array;
  } finally {
    await plan.destroy();
  }
}

function filled(shape: readonly number[], value: number): Float32Array {
  return new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value);
}

/**
 * A warning if the UNet itself speaks against what the rule says, else undefined. It is asked only where the rule
 * was: within a factor of 1.5 of its bound, or always with `strict`, for it takes the whole UNet onto the device.
 */
export async function doubtOfPrediction(
  setting: Setting,
  checkpoint: Pick<Checkpoint, "unet" | "detected">,
  strict: boolean,
): Promise<string | undefined> {
  const { by, normBias = 0, prediction } = checkpoint.detected;
  if (by !== "norm-bias" || !(strict || isDoubtful(normBias))) return undefined;
  const probed = predictionByProbe(await probeOutput(setting, checkpoint));
  return probed === prediction ? undefined : disagreement(prediction, normBias, probed);
}

const OPTION: Readonly<Record<PredictionType, string>> = { epsilon: "eps", v_prediction: "v" };

function disagreement(rule: PredictionType, normBias: number, probe: PredictionType): string {
  return (
    `whether the model predicts noise or v is in doubt: by a norm's bias (${normBias.toFixed(3)}) it is ${OPTION[rule]}, ` +
    `by its answer ${OPTION[probe]}. ${OPTION[rule]} is taken; if the picture is noise, say --prediction ${OPTION[probe]}`
  );
}
