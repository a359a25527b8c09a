/** As much of IndexedDB as a table of texts needs, in memory; events come later, as in a browser. */

type Handler = (() => void) | null;

export function fakeIndexedDb(options: { readonly fault?: Error } = {}): IDBFactory {
  const tables = new Map<string, Map<unknown, unknown>>();
  const request = <T>(result: T, then: Partial<Record<string, Handler>> = {}) =>
    ({ result, ...then }) as Record<string, unknown>;

  const transaction = (name: string, mode: IDBTransactionMode) => {
    const rows = tables.get(name);
    if (!rows) throw new Error(`NotFoundError: ${name}`);
    const running: Record<string, unknown> = { error: options.fault ?? null };
    queueMicrotask(() => {
      const event = options.fault ? running.onabort : running.oncomplete;
      (event as Handler)?.();
    });
    running.objectStore = () => ({
      get: (key: unknown) => request(rows.get(key)),
      put(value: unknown, key: unknown) {
        if (mode !== "readwrite") throw new Error("ReadOnlyError");
        if (!options.fault) rows.set(key, value);
        return request(key);
      },
    });
    return running;
  };

  return {
    open() {
      const database = {
        createObjectStore: (name: string) => tables.set(name, new Map()),
        transaction,
        close: () => undefined,
      };
      const opening = request(database);
      queueMicrotask(() => {
        if (tables.size === 0) (opening.onupgradeneeded as Handler)?.();
        (opening.onsuccess as Handler)?.();
      });
      return opening;
    },
  } as unknown as IDBFactory;
}
