/**
 * Which storages share a buffer. WebGPU law: one buffer may not be bound read and read_write in one
 * dispatch, even on disjoint ranges, so whole buffers are shared by life span, never pieces of one.
 */
import { BYTES } from "./dtype.ts";
import type { Storage } from "./lower/lowering.ts";
import type { Program } from "./program.ts";

export interface Placement {
  /** Bytes of each buffer. */
  readonly buffers: readonly number[];
  /** Storage id -> index of its buffer. */
  readonly bufferOf: ReadonlyMap<number, number>;
}

/** First and last dispatch in which a storage is used, both included. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

export function storageBytes(storage: Storage): number {
  // Bindings must have a multiple of four bytes; a vec4 of halves has eight.
  return storage.vectors * 4 * BYTES[storage.type];
}

/** Results live to the end of the program; what is only read (inputs, weights) is not placed here. */
export function spans(program: Program): Map<Storage, Span> {
  const found = new Map<Storage, Span>();
  program.dispatches.forEach(({ operands }, index) => {
    for (const storage of Object.values(operands)) {
      found.set(storage, { first: found.get(storage)?.first ?? index, last: index });
    }
  });
  const end = program.dispatches.length;
  for (const { storage } of Object.values(program.outputs)) {
    found.set(storage, { first: found.get(storage)?.first ?? 0, last: end });
  }
  return found;
}

/**
 * Scratch storages on shared buffers: largest first, each into the first buffer that is free for its span.
 * A result gets none that is larger than itself: it may be kept when all else is freed, as weights are.
 */
export function place(program: Program): Placement {
  const scratch = [...spans(program)].filter(([storage]) => storage.kind === "scratch");
  scratch.sort(([a], [b]) => storageBytes(b) - storageBytes(a) || a.id - b.id);
  const results = new Set(Object.values(program.outputs).map((output) => output.storage));
  const buffers: { bytes: number; taken: Span[] }[] = [];
  const bufferOf = new Map<number, number>();
  for (const [storage, span] of scratch) {
    const own = storageBytes(storage);
    let index = buffers.findLastIndex(
      ({ bytes, taken }) =>
        (bytes === own || !results.has(storage)) && !taken.some((other) => overlap(span, other)),
    );
    if (index < 0) index = buffers.push({ bytes: own, taken: [] }) - 1;
    buffers[index]!.taken.push(span);
    bufferOf.set(storage.id, index);
  }
  return { buffers: buffers.map(({ bytes }) => bytes), bufferOf };
}

/** Spans that meet in one dispatch overlap: there one is read while the other is written. */
function overlap(a: Span, b: Span): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/**
 * Which of another plan's buffers can stand in for one's own: for each size needed (largest first) the index
 * of the smallest spare buffer that holds it, or undefined. Each is taken once.
 */
export function borrow(
  needed: readonly number[],
  spare: readonly number[],
): (number | undefined)[] {
  const free = spare.map((_, index) => index).sort((a, b) => spare[b]! - spare[a]!);
  return needed.map((bytes) => {
    const place = free.findLastIndex((index) => spare[index]! >= bytes);
    return place < 0 ? undefined : free.splice(place, 1)[0];
  });
}
