/**
 * Proves a placed program safe by running it on labels instead of numbers: every read must find what
 * was written for it. Independent of `place`, which it checks.
 */
import { DiffusionError } from "./errors.ts";
import type { Dispatch, Storage } from "./lower/lowering.ts";
import { type Placement, storageBytes } from "./memory.ts";
import type { Program } from "./program.ts";

/** Throws INTERNAL on aliasing of live tensors, a read before a write, or a buffer bound both ways. */
export function verify(program: Program, { buffers, bufferOf }: Placement): void {
  const holds = new Array<Storage | undefined>(buffers.length);
  const check = (storage: Storage, where: string) => {
    if (storage.kind !== "scratch") return;
    const index = bufferOf.get(storage.id);
    if (index === undefined || holds[index] !== storage) {
      const found = index === undefined ? "no buffer" : (holds[index]?.name ?? "nothing");
      throw fault(`${where} reads ${storage.name} (#${storage.id}), but its buffer holds ${found}`);
    }
  };
  program.dispatches.forEach((dispatch, index) => {
    const where = `dispatch ${index} (${dispatch.kernel.name}, ${dispatch.label})`;
    const { read, written } = accesses(dispatch);
    for (const storage of read) {
      // A kernel that adds to its result in turns (chunks) writes a storage that already holds it.
      check(storage, where);
      if (written.some((w) => sameBuffer(w, storage, bufferOf))) {
        throw fault(`${where} reads ${storage.name} and writes the same buffer`);
      }
    }
    for (const storage of written) {
      const buffer = bufferOf.get(storage.id);
      if (storage.kind !== "scratch" || buffer === undefined) {
        throw fault(`${where} writes ${storage.name}, which is no scratch storage`);
      }
      if (buffers[buffer]! < storageBytes(storage))
        throw fault(`${where}: ${storage.name} is larger than its buffer`);
      holds[buffer] = storage;
    }
  });
  for (const [name, { storage }] of Object.entries(program.outputs))
    check(storage, `output ${name}`);
}

function accesses({ kernel, operands }: Dispatch): { read: Storage[]; written: Storage[] } {
  const of = (access: string) =>
    kernel.operands.filter((o) => o.access === access).flatMap((o) => operands[o.name] ?? []);
  return { read: of("read"), written: of("write") };
}

function sameBuffer(a: Storage, b: Storage, bufferOf: ReadonlyMap<number, number>): boolean {
  return a === b || (bufferOf.has(a.id) && bufferOf.get(a.id) === bufferOf.get(b.id));
}

function fault(message: string): DiffusionError {
  return new DiffusionError("INTERNAL", `plan verifier: ${message}`);
}
