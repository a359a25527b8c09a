/** What kind of Stable Diffusion 2 a checkpoint is, and what its UNet predicts. */

export type ModelKind = "base" | "inpainting" | "depth" | "x4-upscaling";

export type PredictionType = "epsilon" | "v_prediction";

export interface Detected {
  /** What the UNet takes besides the latents. `base` paints from text, whatever it predicts. */
  readonly kind: ModelKind;
  readonly prediction: PredictionType;
  /**
   * Who says what is predicted: the `prediction` option, a scheduler_config.json, the kind (all but
   * `base` were published in one form), or the rule of the norm's bias (`prediction.ts`).
   */
  readonly by: "option" | "config" | "kind" | "norm-bias";
  /** The deviation that the rule looked at, where it was asked. */
  readonly normBias?: number;
  /** How tensors are named: by diffusers, or by the original (LDM); with `ema`, its flat averages. */
  readonly layout: "diffusers" | "ldm" | "ldm-ema";
}

/** The channels that the UNets of Stable Diffusion 2 take: latents, then what they are conditioned on. */
const KINDS: Readonly<Record<number, ModelKind>> = {
  4: "base",
  5: "depth",
  7: "x4-upscaling",
  9: "inpainting",
};

/** The kind of a UNet with that many input channels; undefined if Stable Diffusion 2 has no such one. */
export function kindOf(inChannels: number): ModelKind | undefined {
  return KINDS[inChannels];
}

/** The words of the `prediction` option, and diffusers' own. */
const PREDICTIONS: Readonly<Record<string, PredictionType>> = {
  eps: "epsilon",
  epsilon: "epsilon",
  v: "v_prediction",
  v_prediction: "v_prediction",
};

/** What the `prediction` option asks for. Undefined if it is absent or names none. */
export function predictionNamed(option: string | undefined): PredictionType | undefined {
  return option !== undefined && Object.hasOwn(PREDICTIONS, option)
    ? PREDICTIONS[option]
    : undefined;
}
