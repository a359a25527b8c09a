import assert from "node:assert/strict";
import {
  add,
  attention,
  concat,
  conv2d,
  DiffusionError,
  embedding,
  expand,
  gelu,
  groupNorm,
  input,
  interpolate,
  layerNorm,
  linear,
  matmul,
  maxPool2d,
  mean,
  mul,
  pad,
  parameter,
  permute,
  relu,
  reshape,
  scaledDotProductAttention,
  silu,
  slice,
  softmax,
  split,
  type Tensor,
  tensor,
  transpose,
} from "../../engine/index.ts";
import type { Shape } from "../../engine/shape.ts";

const x = (...shape: Shape) => input("x", shape);
const ids = (...shape: Shape) => input("ids", shape, "i32");

function weight(name: string, ...shape: Shape): Tensor {
  const read = () => assert.fail("a shape error must come before any byte is read");
  return parameter({ name, type: "f32", shape, read });
}

interface Case {
  readonly wrong: () => unknown;
  /** What the message must say, in this order: the op, the operand, what was found, what was expected. */
  readonly says: readonly string[];
}

const CASES: Readonly<Record<string, readonly Case[]>> = {
  tensor: [{ wrong: () => tensor([1, 2], [3]), says: ["tensor", "[3]", "3 values", "2"] }],
  add: [
    {
      wrong: () => add(x(2, 3), x(2, 4)),
      says: ["add", "[2,3]", "[2,4]", "axis 1", "3 against 4"],
    },
    { wrong: () => add(ids(3), x(3)), says: ["add", "ids is [3] of i32", "f32 or f16"] },
  ],
  mul: [{ wrong: () => mul(x(3), ids(3)), says: ["mul", "ids is [3] of i32", "f32 or f16"] }],
  silu: [{ wrong: () => silu(ids(3)), says: ["silu", "ids is [3] of i32", "f32 or f16"] }],
  gelu: [{ wrong: () => gelu(ids(3)), says: ["gelu", "ids is [3] of i32", "f32 or f16"] }],
  relu: [{ wrong: () => relu(ids(3)), says: ["relu", "ids is [3] of i32", "f32 or f16"] }],
  max_pool2d: [
    {
      wrong: () => maxPool2d(x(8, 8, 4), 2),
      says: ["max_pool2d", "x is [8,8,4]", "[batch, height, width, channels]"],
    },
    { wrong: () => maxPool2d(ids(1, 8, 8, 4), 2), says: ["max_pool2d", "i32", "f32 or f16"] },
    {
      wrong: () => maxPool2d(x(1, 2, 5, 4), 3),
      says: ["max_pool2d", "3x3", "[1,2,5,4]", "padding [0,0,0,0]"],
    },
    {
      wrong: () => maxPool2d(x(1, 8, 8, 4), 3, { padding: [0, 3, 0, 0] }),
      says: ["max_pool2d", "padding [0,3,0,0]", "3x3", "a window without a pixel"],
    },
    {
      wrong: () => maxPool2d(x(1, 8, 8, 4), 3, { stride: 0 }),
      says: ["max_pool2d", "stride 0", "at least 1"],
    },
  ],
  conv2d: [
    {
      wrong: () => conv2d(x(2, 32, 32, 640), weight("unet.conv1.weight", 640, 320, 3, 3)),
      says: [
        "conv2d",
        "unet.conv1.weight is [640,320,3,3]",
        "x is [2,32,32,640]",
        "640 channels",
        "wants 320",
      ],
    },
    {
      wrong: () =>
        conv2d(x(1, 8, 8, 4), weight("unet.w", 4, 4, 3, 3), weight("unet.conv1.bias", 5)),
      says: ["conv2d", "unet.conv1.bias is [5]", "4 channels", "expected [4]"],
    },
    {
      wrong: () => conv2d(x(8, 8, 4), weight("unet.w", 4, 4, 3, 3)),
      says: ["conv2d", "x is [8,8,4]", "[batch, height, width, channels]"],
    },
    {
      wrong: () => conv2d(x(1, 8, 8, 4), weight("unet.w", 4, 4)),
      says: ["conv2d", "unet.w is [4,4]", "[out, in, height, width]"],
    },
    {
      wrong: () => conv2d(x(1, 2, 2, 4), weight("unet.w", 4, 4, 3, 3)),
      says: ["conv2d", "3x3", "[1,2,2,4]", "padding [0,0,0,0]"],
    },
    {
      wrong: () => conv2d(x(1, 8, 8, 4), weight("unet.w", 4, 4, 3, 3), null, { stride: 0 }),
      says: ["conv2d", "stride 0", "at least 1"],
    },
  ],
  linear: [
    {
      wrong: () => linear(x(2, 77, 768), weight("text.fc1.weight", 4096, 1024)),
      says: [
        "linear",
        "text.fc1.weight is [4096,1024]",
        "x is [2,77,768]",
        "768 features",
        "wants 1024",
      ],
    },
    {
      wrong: () => linear(x(2, 8), weight("text.fc1.weight", 4, 8), weight("text.fc1.bias", 1, 4)),
      says: ["linear", "text.fc1.bias is [1,4]", "4 channels", "expected [4]"],
    },
    {
      wrong: () => linear(x(2, 8), weight("text.fc1.weight", 8)),
      says: ["linear", "text.fc1.weight is [8]", "[out, in]"],
    },
  ],
  matmul: [
    {
      wrong: () => matmul(x(3, 4), x(5, 6)),
      says: ["matmul", "a is [3,4]", "b is [5,6]", "4 columns", "5 rows"],
    },
    { wrong: () => matmul(x(), x(4, 6)), says: ["matmul", "a is []", "scalar"] },
    { wrong: () => matmul(x(2, 3, 4), x(3, 4, 6)), says: ["matmul", "[2]", "[3]", "2 against 3"] },
  ],
  group_norm: [
    {
      wrong: () => groupNorm(x(1, 8, 8, 30), 4),
      says: ["group_norm", "x is [1,8,8,30]", "30 channels", "4 groups"],
    },
    {
      wrong: () => groupNorm(x(1, 8, 8, 32), 4, weight("vae.norm1.weight", 16)),
      says: ["group_norm", "vae.norm1.weight is [16]", "32 channels", "expected [32]"],
    },
    { wrong: () => groupNorm(x(8), 4), says: ["group_norm", "x is [8]", "[batch, ..., channels]"] },
  ],
  layer_norm: [
    {
      wrong: () => layerNorm(x(2, 8), [8], null, weight("text.ln.bias", 4)),
      says: ["layer_norm", "text.ln.bias is [4]", "8 channels", "expected [8]"],
    },
    {
      wrong: () => layerNorm(x(2, 8), [4]),
      says: ["layer_norm", "x is [2,8]", "[4]", "last axis"],
    },
  ],
  softmax: [{ wrong: () => softmax(x(2, 3), 2), says: ["softmax", "dim 2", "2 axes"] }],
  attention: [
    {
      wrong: () => attention(x(1, 4, 30), x(1, 4, 30), x(1, 4, 30), 4),
      says: ["attention", "q is [1,4,30]", "k is", "v is", "4 heads", "[B, N, heads·d]"],
    },
  ],
  scaled_dot_product_attention: [
    {
      wrong: () => scaledDotProductAttention(x(1, 2, 4, 8), x(1, 3, 4, 8), x(1, 3, 4, 8)),
      says: ["scaled_dot_product_attention", "q is [1,2,4,8]", "k is [1,3,4,8]", "q [..., N, d]"],
    },
  ],
  mean: [{ wrong: () => mean(x(2, 3), [0, -3]), says: ["mean", "dim -3", "2 axes"] }],
  embedding: [
    {
      wrong: () => embedding(x(1, 77), weight("text.token.weight", 10, 4)),
      says: ["embedding", "x is [1,77] of f32", "i32"],
    },
    {
      wrong: () => embedding(ids(1, 77), weight("text.token.weight", 40)),
      says: ["embedding", "text.token.weight is [40]", "[entries, channels]"],
    },
  ],
  interpolate: [
    {
      wrong: () => interpolate(x(8, 8, 4), { scaleFactor: 2 }),
      says: ["interpolate", "x is [8,8,4]", "[batch, height, width, channels]"],
    },
    { wrong: () => interpolate(x(1, 8, 8, 4), {}), says: ["interpolate", "size or scaleFactor"] },
    {
      wrong: () => interpolate(x(1, 8, 8, 4), { size: [0, 4] }),
      says: ["interpolate", "[1,0,4,4]", "at least 1"],
    },
  ],
  reshape: [
    {
      wrong: () => reshape(x(2, 3), [4, 2]),
      says: ["reshape", "x is [2,3]", "6 elements", "[4,2]"],
    },
    { wrong: () => reshape(x(2, 3), [-1, -1]), says: ["reshape", "x is [2,3]", "[-1,-1]"] },
    { wrong: () => reshape(x(2, 3), [4, -1]), says: ["reshape", "4,1.5", "whole number"] },
  ],
  permute: [
    { wrong: () => permute(x(2, 3), [0, 0]), says: ["permute", "[0,0]", "permutation", "[2,3]"] },
    { wrong: () => permute(x(2, 3), [0]), says: ["permute", "[0]", "permutation", "[2,3]"] },
    { wrong: () => transpose(x(2, 3), 0, 2), says: ["transpose", "dim 2", "2 axes"] },
  ],
  slice: [
    { wrong: () => slice(x(2, 3), 1, 2, 2), says: ["slice", "[2, 2)", "axis 1", "[2,3]"] },
    { wrong: () => slice(x(2, 3), 1, 3), says: ["slice", "axis 1", "[2,3]", "outside"] },
    { wrong: () => split(x(2, 3), [1, 1], 1), says: ["split", "[1,1]", "axis 1", "[2,3]"] },
  ],
  concat: [
    { wrong: () => concat([x(2, 3), x(3, 3)], 1), says: ["concat", "[2,3]", "[3,3]", "axis 1"] },
    { wrong: () => concat([x(2), ids(2)]), says: ["concat", "f32", "i32"] },
    { wrong: () => concat([]), says: ["concat", "no tensors"] },
  ],
  expand: [{ wrong: () => expand(x(2, 3), [4, 3]), says: ["expand", "[2,3]", "[4,3]"] }],
  pad: [
    { wrong: () => pad(x(2, 3), [-1, 0]), says: ["pad", "[-1,0]", "at least 0", "[2,3]"] },
    { wrong: () => pad(x(3), [0, 0, 1, 1]), says: ["pad", "[0,0,1,1]", "[3]"] },
  ],
};

describe("shape errors", () => {
  for (const [op, cases] of Object.entries(CASES)) {
    it(`of ${op} name the op, the operand, what was found and what was expected`, () => {
      for (const { wrong, says } of cases) {
        assert.throws(wrong, (error) => {
          assert.ok(error instanceof DiffusionError && error.code === "SHAPE", String(error));
          let from = 0;
          for (const part of says) {
            const at = error.message.indexOf(part, from);
            assert.ok(at >= 0, `"${error.message}" lacks "${part}"`);
            from = at;
          }
          return true;
        });
      }
    });
  }
});
