/** Records of tuning in a browser's IndexedDB, one a device. */
import type { TuningStore } from "../tuning/record.ts";

const DATABASE = "wgsl-diffusion tuning";
const TABLE = "records";

/** The origin's store; none where the browser has no IndexedDB (some private windows). */
export function tuningStore(): TuningStore | undefined {
  return globalThis.indexedDB && indexedDbTuningStore(globalThis.indexedDB);
}

export function indexedDbTuningStore(factory: IDBFactory): TuningStore {
  return {
    read: (device) => inTable(factory, "readonly", (table) => table.get(device)),
    async write(device, text) {
      await inTable(factory, "readwrite", (table) => table.put(text, device));
    },
  };
}

/** One request in a transaction of its own; resolves when the transaction is complete. */
async function inTable<T>(
  factory: IDBFactory,
  mode: IDBTransactionMode,
  request: (table: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const database = await opened(factory);
  try {
    const transaction = database.transaction(TABLE, mode);
    const asked = request(transaction.objectStore(TABLE));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
    return asked.result;
  } finally {
    database.close();
  }
}

function opened(factory: IDBFactory): Promise<IDBDatabase> {
  const request = factory.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
