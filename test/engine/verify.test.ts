import assert from "node:assert/strict";
import { add, input, mul, silu } from "../../engine/index.ts";
import type { Storage } from "../../engine/lower/lowering.ts";
import { type Placement, place, spans } from "../../engine/memory.ts";
import { lower, type Program } from "../../engine/program.ts";
import { verify } from "../../engine/verify.ts";
import { DEFAULT_GPU } from "../../tools/plans/targets.ts";
import { numbered } from "../support/fused.ts";
import { randomGraph } from "../support/random-graph.ts";

/** silu(x), silu of that, their sum, times x: results 0, 1, 2, 3. */
function program(): Program {
  const x = input("x", [4, 8]);
  const a = silu(x);
  const b = silu(a);
  return lower({ y: mul(add(a, b), x) }, DEFAULT_GPU);
}

function rejects(program: Program, placement: Placement, message: RegExp): void {
  assert.throws(() => verify(program, placement), { code: "INTERNAL", message });
}

const scratch = ({ storages }: Program) => storages.filter(({ kind }) => kind === "scratch");

/** The placement with one storage moved to the buffer of another. */
function moved({ buffers, bufferOf }: Placement, from: Storage, to: Storage): Placement {
  return { buffers, bufferOf: new Map(bufferOf).set(from.id, bufferOf.get(to.id)!) };
}

/** Every storage in a buffer of its own. */
function apart(p: Program): Placement {
  const all = scratch(p);
  return {
    buffers: all.map(({ vectors }) => 16 * vectors),
    bufferOf: new Map(all.map(({ id }, i) => [id, i])),
  };
}

/** The program with one dispatch writing elsewhere. */
function writing(p: Program, index: number, y: Storage): Program {
  const dispatch = p.dispatches[index]!;
  const changed = { ...dispatch, operands: { ...dispatch.operands, y } };
  return { ...p, dispatches: p.dispatches.with(index, changed) };
}

describe("the verifier of plans", () => {
  it("accepts what place() makes, and a buffer for each", () => {
    const p = program();
    verify(p, place(p));
    verify(p, apart(p));
  });

  it("rejects a live tensor that is overwritten", () => {
    const p = program();
    const [a, b, sum] = scratch(p);
    rejects(p, moved(apart(p), b!, a!), /reads .* and writes the same buffer/);
    // a is read with b: after b was written to a third one's buffer, sum may have a's.
    rejects(p, moved(apart(p), sum!, a!), /reads .* and writes the same buffer/);
  });

  it("rejects a tensor that another one replaced before it is read", () => {
    const x = input("x", [4, 8]);
    const a = silu(x);
    const p = lower({ y: add(silu(silu(silu(x))), a) }, DEFAULT_GPU);
    const [first, second] = scratch(p);
    rejects(p, moved(apart(p), second!, first!), /reads .* but its buffer holds/);
  });

  it("rejects a read before the write", () => {
    const p = program();
    const { dispatches } = p;
    const swapped = { ...p, dispatches: [dispatches[1]!, dispatches[0]!, ...dispatches.slice(2)] };
    rejects(swapped, apart(p), /dispatch 0 .* reads .* its buffer holds nothing/);
  });

  it("rejects a dispatch that is left out", () => {
    const p = program();
    for (let i = 0; i < p.dispatches.length; i++) {
      const dispatches = p.dispatches.toSpliced(i, 1);
      rejects({ ...p, dispatches }, apart(p), /its buffer holds nothing/);
    }
  });

  it("rejects one storage that is both read and written", () => {
    const p = program();
    rejects(writing(p, 2, scratch(p)[0]!), apart(p), /dispatch 2 .* writes the same buffer/);
  });

  it("rejects an output that is overwritten at the end", () => {
    const p = program();
    const last = p.dispatches.at(-1)!;
    const early = scratch(p)[0]!;
    const placement = moved(apart(p), early, last.operands.y!);
    const dispatches = [...p.dispatches, p.dispatches[0]!];
    rejects({ ...p, dispatches }, placement, /output y reads/);
  });

  it("rejects a write to what is not scratch, and one without a buffer", () => {
    const p = program();
    const x = p.storages.find(({ kind }) => kind === "input")!;
    rejects(writing(p, 2, x), apart(p), /no scratch storage/);
    const bufferOf = new Map(apart(p).bufferOf);
    bufferOf.delete(scratch(p)[0]!.id);
    rejects(p, { ...apart(p), bufferOf }, /no scratch storage/);
  });

  it("rejects a buffer that is too small", () => {
    const p = program();
    const { buffers, bufferOf } = apart(p);
    rejects(p, { buffers: buffers.with(1, buffers[1]! - 4), bufferOf }, /larger than its buffer/);
  });

  it("rejects every pair of lives that overlap in one buffer, and no other pair", () => {
    const seen = { shared: 0, rejected: 0 };
    for (let seed = 1; seed <= 10; seed++) {
      const graph = randomGraph(seed, 12);
      const p = lower(numbered(graph.outputs.map((y) => ({ y }))), DEFAULT_GPU);
      const lives = [...spans(p)].filter(([{ kind }]) => kind === "scratch");
      for (const pair of lives.flatMap((a) => lives.map((b) => [a, b] as const))) {
        const [[a, first], [b, second]] = pair;
        if (a === b) continue;
        const placement = roomy(moved(apart(p), b, a));
        if (first.first <= second.last && second.first <= first.last) {
          rejects(p, placement, /plan verifier/);
          seen.rejected++;
        } else {
          verify(p, placement);
          seen.shared++;
        }
      }
    }
    assert.ok(seen.shared > 50 && seen.rejected > 50, JSON.stringify(seen));
  });
});

function roomy({ buffers, bufferOf }: Placement): Placement {
  return { buffers: buffers.map(() => 2 ** 30), bufferOf };
}
