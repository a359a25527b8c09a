import { attention, concat, evaluate, slice, tensor } from "../../engine/index.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { type AttentionSizes, attentionReference } from "../reference/attention.ts";
import { close, rounded } from "../support/close.ts";
import { describeBothForms } from "../support/devices.ts";
import { type Random, random } from "../support/random.ts";

interface Case extends AttentionSizes {
  readonly dtype?: "f32" | "f16";
  /** Standard deviation of q. */
  readonly deviation?: number;
}

/**
 * Around 8, 32 and 64 queries, 4 and 32 keys, 32 and 64 channels; heads with pads. Dtype and more than 32
 * channels of v go together, for every combination is a long compilation on a software adapter.
 */
const CASES: readonly Case[] = [
  { B: 1, N: 1, M: 1, heads: 1, d: 1, e: 1 },
  { B: 2, N: 9, M: 33, heads: 3, d: 8, e: 20 },
  { B: 1, N: 33, M: 5, heads: 2, d: 4, e: 32, causal: true },
  { B: 1, N: 65, M: 31, heads: 1, d: 128, e: 31 },
  { B: 1, N: 65, M: 77, heads: 2, d: 64, e: 64, causal: true, dtype: "f16" },
  { B: 2, N: 7, M: 65, heads: 1, d: 13, e: 33, causal: true, dtype: "f16" },
];

/** As wide as a kernel takes: for the form that has one pipeline for all widths. */
const WIDEST: Case = { B: 1, N: 35, M: 6, heads: 2, d: 128, e: 128 };

function operands(c: Case, { normals }: Random) {
  const { B, N, M, heads, d, e, dtype = "f32", deviation = 1 } = c;
  return {
    q: rounded(normals(B * N * heads * d, deviation), dtype),
    k: rounded(normals(B * M * heads * d), dtype),
    v: rounded(normals(B * M * heads * e), dtype),
  };
}

function build(c: Case, { q, k, v }: ReturnType<typeof operands>): Tensor {
  const { B, N, M, heads, d, e, causal = false, dtype = "f32" } = c;
  return attention(
    tensor(q, [B, N, heads * d], dtype),
    tensor(k, [B, M, heads * d], dtype),
    tensor(v, [B, M, heads * e], dtype),
    heads,
    { isCausal: causal, ...(c.scale === undefined ? {} : { scale: c.scale }) },
  );
}

describeBothForms("attention", (getDevice, software) => {
  it("averages the values by softmax of the scores", async () => {
    const source = random(31);
    for (const c of software ? [...CASES, WIDEST] : CASES) {
      const data = operands(c, source);
      const y = await evaluate(getDevice(), () => build(c, data));
      const expected = attentionReference(data.q, data.k, data.v, c);
      const label = JSON.stringify(c);
      close(y, expected, { dtype: c.dtype ?? "f32", terms: c.d + c.M, magnitude: 4, label });
    }
  });

  it("stays right where scores reach a thousand, and with one huge query", async () => {
    const c: Case = { B: 1, N: 12, M: 100, heads: 1, d: 16, e: 8, scale: 1 };
    const data = operands({ ...c, deviation: 100 }, random(32));
    data.q.fill(1e4, 16, 20);
    const y = await evaluate(getDevice(), () => build(c, data));
    // A score of 1e3 is rounded by 1e3 · 2^-24, one of 1e5 by 1e5 · 2^-24, and exp passes that on.
    close(y, attentionReference(data.q, data.k, data.v, c), {
      dtype: "f32",
      terms: 16,
      magnitude: 2e4,
    });
  });

  it("reads q, k and v in place out of one tensor", async () => {
    const c: Case = { B: 2, N: 17, M: 17, heads: 2, d: 8, e: 8 };
    const data = operands(c, random(33));
    const parts = [data.q, data.k, data.v].map((x) => tensor(x, [2, 17, 16]));
    const all = concat(parts, 2);
    const thirds = [0, 16, 32].map((from) => slice(all, 2, from, from + 16));
    const graph = () => attention(thirds[0]!, thirds[1]!, thirds[2]!, 2);
    const y = await evaluate(getDevice(), graph);
    close(y, attentionReference(data.q, data.k, data.v, c), {
      dtype: "f32",
      terms: 25,
      magnitude: 4,
    });
  });

  it("splits heads of 6 channels, which share vec4s", async () => {
    const c: Case = { B: 2, N: 5, M: 9, heads: 3, d: 6, e: 6 };
    const data = operands(c, random(34));
    const y = await evaluate(getDevice(), () => build(c, data));
    close(y, attentionReference(data.q, data.k, data.v, c), {
      dtype: "f32",
      terms: 15,
      magnitude: 4,
    });
  });

  it("multiplies matrices for heads of more than 128 channels", async () => {
    const c: Case = { B: 2, N: 19, M: 21, heads: 1, d: 132, e: 132 };
    const data = operands(c, random(35));
    const expected = attentionReference(data.q, data.k, data.v, c);
    // All rows of scores at once, then eight at a time.
    for (const scoreBytes of [2 ** 20, 8 * 2 * 4 * 21]) {
      const y = await evaluate(getDevice(), () => {
        const t = build(c, data);
        return { ...t, attrs: { ...t.attrs, scoreBytes } };
      });
      close(y, expected, { dtype: "f32", terms: 153, magnitude: 4, label: `${scoreBytes} bytes` });
    }
  });
});
