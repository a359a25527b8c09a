/** What an opened model is: a diffusers folder, or a single file that is seen as one. */
import type { StoredTensor } from "../engine/safetensors.ts";
import type { ModelIndex, SchedulerConfig, TextConfig, UnetConfig, VaeConfig } from "./config.ts";
import type { DptConfig, DptProcessor } from "./depth/index.ts";
import type { Detected } from "./detect.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

/** A part with weights. */
export interface WeightComponent<Config> {
  readonly config: Config;
  /**
   * The part's tensors by diffusers' names (the text encoder's without `text_model.`), checked
   * against the configuration. The file is opened by the first call, and read as tensors are.
   */
  tensors(): Promise<ReadonlyMap<string, StoredTensor>>;
}

export interface DepthComponent extends WeightComponent<DptConfig> {
  readonly processor: DptProcessor;
}

/** A model's files, opened: a diffusers folder, or a single file that is seen as one. */
export interface ModelFolder extends AsyncDisposable {
  readonly path: string;
  /** The folder's own name, or its id on the hub: what a picture says of its model, without the user's folders. */
  readonly name: string;
  readonly index: ModelIndex;
  readonly textEncoder: WeightComponent<TextConfig>;
  readonly unet: WeightComponent<UnetConfig>;
  readonly vae: WeightComponent<VaeConfig>;
  readonly scheduler: SchedulerConfig;
  readonly tokenizer: TokenizerFiles;
  /** The x4 upscaler's low_res_scheduler/scheduler_config.json. */
  readonly lowResScheduler?: Readonly<Record<string, unknown>> | undefined;
  /** A depth checkpoint's estimator, if the folder has one. */
  readonly depthEstimator?: DepthComponent | undefined;
  /** What the model is, and who says so. */
  readonly detected: Detected;
  /**
   * The depth estimator inside of a single file: its tensors by the original's names, without
   * `depth_model.model.` (`pretrained.model.cls_token`, `scratch.output_conv.4.bias`).
   */
  readonly depth?: ReadonlyMap<string, StoredTensor>;
  /** What was passed over, or guessed. */
  readonly warnings: readonly string[];
  /** Closes every file that was opened. Tensors cannot be read after it. */
  close(): Promise<void>;
}
