/** Single operations at the sizes of Stable Diffusion 2, one sample each: data that any engine can read. */

export interface ConvCase {
  /** 3x3, padding 1, with a bias. */
  readonly op: "conv2d";
  readonly side: number;
  readonly inputs: number;
  readonly outputs: number;
}

export interface LinearCase {
  /** `geglu`: the product has twice the outputs; the first half is multiplied with the gelu of the second. */
  readonly op: "linear" | "geglu";
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
}

export interface AttentionCase {
  readonly op: "attention";
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly dim: number;
}

export interface GroupNormCase {
  /** Group norm of a picture, then silu. */
  readonly op: "group_norm_silu";
  readonly side: number;
  readonly channels: number;
  readonly groups: number;
}

export type OpCase = (ConvCase | LinearCase | AttentionCase | GroupNormCase) & {
  readonly name: string;
};

/** ε of every group norm here. */
export const EPS = 1e-5;

const conv = (side: number, inputs: number, outputs = inputs, where = "conv3x3"): OpCase => ({
  name: `${where} ${inputs}->${outputs}, ${side}x${side}`,
  ...{ op: "conv2d", side, inputs, outputs },
});

const linear = (rows: number, inputs: number, outputs: number): OpCase => ({
  name: `QKV ${rows} x ${inputs}->${outputs}`,
  ...{ op: "linear", rows, inputs, outputs },
});

const geglu = (rows: number, inputs: number, outputs: number): OpCase => ({
  name: `GEGLU ${rows} x ${inputs}->2x${outputs}`,
  ...{ op: "geglu", rows, inputs, outputs },
});

const attention = (queries: number, keys: number, heads: number, dim = 64): OpCase => ({
  name: `attention ${queries} x ${keys}, ${heads} heads`,
  ...{ op: "attention", queries, keys, heads, dim },
});

const norm = (side: number, channels: number, groups = 32): OpCase => ({
  name: `group norm + silu ${channels}, ${side}x${side}`,
  ...{ op: "group_norm_silu", side, channels, groups },
});

/** What decides the time of a picture of 512x512: UNet at three levels and the middle, VAE decoder. */
export const SD2_CASES: readonly OpCase[] = [
  conv(64, 320),
  conv(32, 640),
  conv(16, 1280),
  conv(8, 1280),
  conv(16, 2560, 1280),
  linear(4096, 320, 960),
  linear(1024, 640, 1920),
  linear(256, 1280, 3840),
  geglu(4096, 320, 1280),
  geglu(1024, 640, 2560),
  geglu(256, 1280, 5120),
  attention(4096, 4096, 5),
  attention(1024, 1024, 10),
  attention(4096, 77, 5),
  norm(64, 320),
  norm(16, 1280),
  conv(64, 512, 512, "VAE conv3x3"),
  conv(128, 512, 512, "VAE conv3x3"),
  conv(256, 256, 256, "VAE conv3x3"),
  conv(512, 128, 128, "VAE conv3x3"),
];

/** The same operations, small enough to try the harness: their times mean little. */
export const QUICK_CASES: readonly OpCase[] = [
  conv(16, 64),
  linear(256, 64, 192),
  geglu(256, 64, 128),
  attention(256, 256, 2),
  attention(256, 77, 2),
  norm(16, 64),
];
