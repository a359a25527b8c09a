import assert from "node:assert/strict";
import {
  add,
  input,
  linear,
  mul,
  scaledDotProductAttention,
  silu,
  type Tensor,
} from "../../engine/index.ts";
import { borrow, place, spans, storageBytes } from "../../engine/memory.ts";
import { lower, type Program } from "../../engine/program.ts";
import { verify } from "../../engine/verify.ts";
import { DEFAULT_GPU, SOFTWARE } from "../../tools/plans/targets.ts";
import { numbered } from "../support/fused.ts";
import { randomGraph } from "../support/random-graph.ts";

const x = (rows = 8) => input("x", [rows, 16]);

function chain(length: number): Tensor {
  let y = x();
  for (let i = 0; i < length; i++) y = silu(y);
  return y;
}

function scratchOf(program: Program) {
  return program.storages.filter(({ kind }) => kind === "scratch");
}

describe("placement", () => {
  it("runs a chain in two buffers", () => {
    const program = lower({ y: chain(9) }, DEFAULT_GPU);
    const { buffers, bufferOf } = place(program);
    assert.deepEqual(buffers, [512, 512]);
    assert.equal(bufferOf.size, 9);
  });

  it("gives no buffer to inputs, data and weights", () => {
    const program = lower({ y: add(x(), x()) }, DEFAULT_GPU);
    const { bufferOf } = place(program);
    assert.deepEqual(
      [...bufferOf.keys()],
      scratchOf(program).map(({ id }) => id),
    );
  });

  it("keeps apart what is read while something is written", () => {
    const program = lower({ y: chain(3) }, DEFAULT_GPU);
    const { bufferOf } = place(program);
    const [a, b, c] = scratchOf(program).map(({ id }) => bufferOf.get(id));
    assert.notEqual(a, b);
    assert.notEqual(b, c);
    assert.equal(a, c);
  });

  it("keeps outputs to the end", () => {
    const early = silu(x());
    const late = chain(5);
    const program = lower({ early, late: add(late, early) }, DEFAULT_GPU);
    const { storage } = program.outputs.early!;
    assert.equal(spans(program).get(storage)!.last, program.dispatches.length);
    const { bufferOf } = place(program);
    const sharing = [...bufferOf].filter(([, index]) => index === bufferOf.get(storage.id));
    assert.equal(sharing.length, 1);
  });

  it("puts the large ones first, so that small ones fit in", () => {
    const small = silu(input("small", [1, 16]));
    const large = silu(silu(silu(x(100))));
    const program = lower({ y: mul(large, silu(small)), z: large }, DEFAULT_GPU, { fuse: false });
    const { buffers } = place(program);
    assert.deepEqual(
      buffers,
      [...buffers].sort((a, b) => b - a),
    );
    assert.equal(buffers[0], 6400);
  });

  for (const [name, target] of Object.entries({ DEFAULT_GPU, SOFTWARE })) {
    it(`is accepted by the verifier on random graphs for ${name}`, () => {
      for (let seed = 100; seed < 140; seed++) {
        const { outputs } = randomGraph(seed, 12);
        const program = lower(numbered(outputs.map((y) => ({ y }))), target);
        const placement = place(program);
        verify(program, placement);
        const all = scratchOf(program).reduce((sum, s) => sum + storageBytes(s), 0);
        assert.ok(placement.buffers.reduce((a, b) => a + b, 0) <= all);
      }
    });
  }

  it("takes a weight that two products share once", () => {
    const w = input("w", [16, 16]);
    const { inputs } = lower({ y: linear(linear(x(), w), w) }, DEFAULT_GPU);
    assert.deepEqual(Object.keys(inputs).sort(), ["w", "x"]);
  });
});

describe("borrowing buffers of another plan", () => {
  it("takes the smallest that is large enough, and none twice", () => {
    assert.deepEqual(borrow([20, 10, 10, 4], [128, 16, 4, 12]), [0, 3, 1, 2]);
    assert.deepEqual(borrow([8, 8], [8]), [0, undefined]);
    assert.deepEqual(borrow([9], [8, 8]), [undefined]);
    assert.deepEqual(borrow([], [8]), []);
  });
});

describe("a graph that is thousands of tensors deep", () => {
  it("is lowered: attention of 512x512 pixels, some rows at a time, whose results are joined in pairs", () => {
    const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [1, 512 * 512, 144]));
    const { dispatches } = lower({ y: scaledDotProductAttention(q!, k!, v!) }, DEFAULT_GPU);
    const joins = dispatches.filter(({ kernel }) => kernel.name === "concat");
    assert.equal(joins.length, 4095);
    const moved = joins.map(({ operands }) => storageBytes(operands.y!));
    // Twelve times the whole; one after another, two thousand times.
    const whole = 4 * 512 * 512 * 144;
    assert.equal(
      moved.reduce((sum, bytes) => sum + bytes, 0),
      12 * whole,
    );
  });
});
