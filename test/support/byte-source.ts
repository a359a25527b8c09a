import assert from "node:assert/strict";
import { DiffusionError } from "../../engine/errors.ts";
import type { ByteSource } from "../../engine/safetensors.ts";

/** A file in memory. A read that goes beyond it fails the test: no reader may ask for one. */
export function memorySource(bytes: Uint8Array, name = "memory.safetensors"): ByteSource {
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      assert.ok(offset >= 0 && length >= 0 && offset + length <= bytes.length, "read beyond file");
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
    async close() {},
  };
}

/** A safetensors file of the given header (text, bytes or a value) and that many data bytes. */
export function fileOf(header: string | Uint8Array | object, dataBytes = 0): Uint8Array {
  const json = headerBytes(header);
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

/** Asserts that `promise` fails with a DiffusionError of this code whose message matches. */
export async function failsWith(promise: Promise<unknown>, code: string, message = /./) {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof DiffusionError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

function headerBytes(header: string | Uint8Array | object): Uint8Array {
  if (header instanceof Uint8Array) return header;
  return new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
}
