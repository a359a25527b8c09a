/**
 * Where a browser keeps what was fetched: small named blobs. A file of gigabytes is many of them, so that
 * nothing large is ever in one array, a crash loses one part at most, and what the browser evicts is
 * fetched again alone.
 */
export interface PartStore {
  readonly kind: "opfs" | "cache" | "memory";
  get(name: string): Promise<Blob | undefined>;
  /** Throws DISK_FULL. */
  put(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  delete(name: string): Promise<void>;
  names(): Promise<string[]>;
}

/** Keeps everything in this process: for tests. */
export function memoryStore(): PartStore {
  const blobs = new Map<string, Blob>();
  return {
    kind: "memory",
    get: async (name) => blobs.get(name),
    put: async (name, bytes) => void blobs.set(name, new Blob([bytes])),
    delete: async (name) => void blobs.delete(name),
    names: async () => [...blobs.keys()],
  };
}
