/** What a file of tensors is, told by the names and shapes in it. */
export type Shapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

interface Guess {
  readonly when: (tensors: Shapes) => boolean;
  readonly what: string;
}

const has = (pattern: RegExp) => (tensors: Shapes) => {
  for (const name of tensors.keys()) if (pattern.test(name)) return true;
  return false;
};

/** Whether the first tensor whose name matches has that size on that axis. */
const sized = (pattern: RegExp, axis: number, size: number) => (tensors: Shapes) => {
  for (const [name, { shape }] of tensors) if (pattern.test(name)) return shape[axis] === size;
  return false;
};

const CONV_IN = /^conv_in\.weight$/;
const TO_TEXT = /\.attn2\.to_k\.weight$/;
const LDM_CONV_IN = /^model\.diffusion_model\.input_blocks\.0\.0\.weight$/;
const LDM_TO_TEXT = /^model\.diffusion_model\..*\.attn2\.to_k\.weight$/;
const TOKENS = /token_embedding\.weight$/;

/** Whole checkpoints in the original's layout that are no Stable Diffusion 2, and pieces of one. */
const FOREIGN: readonly Guess[] = [
  {
    when: has(/^model\.diffusion_model\.(?:joint_blocks|double_blocks)\./),
    what: "a checkpoint of SD3 or Flux",
  },
  { when: has(/^conditioner\.embedders\./), what: "a checkpoint of SDXL" },
  { when: sized(LDM_TO_TEXT, 1, 2048), what: "a checkpoint of SDXL" },
  {
    when: has(/^embedder\.model\.|^noise_augmentor\.|^model\.diffusion_model\.label_emb\.0\.0\./),
    what: "an unCLIP checkpoint, which paints from embeddings of pictures; that is not implemented",
  },
  { when: has(/^control_model\./), what: "a ControlNet in the LDM naming" },
  {
    when: has(/^cond_stage_model\.transformer\./),
    what: "a checkpoint of SD 1.x (its text encoder is OpenAI's CLIP)",
  },
  { when: sized(LDM_TO_TEXT, 1, 768), what: "a checkpoint of SD 1.x (its text is 768 wide)" },
  {
    when: sized(LDM_CONV_IN, 1, 8),
    what: "a checkpoint of InstructPix2Pix (it takes a picture beside the latents)",
  },
];

/** A guess at a file in the original's layout that is no Stable Diffusion 2; undefined if it may be one. */
export function guessForeign(tensors: Shapes): string | undefined {
  return FOREIGN.find(({ when }) => when(tensors))?.what;
}

/** The first that holds is told; the more special ones come first. */
const GUESSES: readonly Guess[] = [
  {
    when: has(/lora[_.]|\.alpha$/i),
    what: "a LoRA file: it changes a model and is not one itself",
  },
  {
    when: has(/^model\.diffusion_model\.|^model_ema\./),
    what: "a single-file (LDM) checkpoint, not one part of a diffusers folder",
  },
  {
    when: has(/^first_stage_model\.|^encoder\.down\.0\.block\./),
    what: "a VAE in the LDM naming; diffusers names its parts down_blocks",
  },
  { when: has(/^controlnet_/), what: "a ControlNet" },
  { when: has(/^add_embedding\./), what: "the UNet of SDXL" },
  { when: sized(TO_TEXT, 1, 2048), what: "the UNet of SDXL" },
  { when: sized(TO_TEXT, 1, 768), what: "the UNet of SD 1.x (its text is 768 wide)" },
  { when: sized(CONV_IN, 1, 9), what: "the *inpainting* UNet; use `inpaint`" },
  { when: sized(CONV_IN, 1, 5), what: "the *depth* UNet; use its own folder and config" },
  { when: sized(CONV_IN, 1, 7), what: "the UNet of the *x4 upscaler*; use its own folder" },
  { when: has(/^class_embedding\.linear_1\./), what: "the UNet of unCLIP" },
  { when: has(/^time_embedding\./), what: "a UNet of Stable Diffusion 2" },
  { when: has(/^decoder\.conv_in\.weight$/), what: "a VAE" },
  { when: has(/^(?:shared|encoder\.block\.0)\./), what: "a T5 text encoder" },
  { when: sized(TOKENS, 1, 768), what: "the text encoder of SD 1.x (768 wide)" },
  { when: sized(TOKENS, 1, 1280), what: "the second text encoder of SDXL (1280 wide)" },
  { when: has(TOKENS), what: "a CLIP text encoder" },
];

/** A guess in words, or undefined if no name in the file is known. */
export function guessFile(tensors: Shapes): string | undefined {
  return GUESSES.find(({ when }) => when(tensors))?.what ?? guessForeign(tensors);
}
