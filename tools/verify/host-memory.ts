/** What a piece of work holds in host memory at the most. */

const INTERVAL_MS = 20;

export interface HostMemory {
  /** JS heap + external + array buffers. Node counts array buffers as external too, so this errs high. */
  readonly peakBytes: number;
  readonly before: number;
}

/** Runs `work` and looks at the memory every 20 ms, and whenever `look` is called. */
export async function watchMemory<T>(
  work: (look: () => void) => Promise<T>,
): Promise<{ value: T; memory: HostMemory }> {
  const before = hostBytes();
  let peakBytes = before;
  const look = () => {
    peakBytes = Math.max(peakBytes, hostBytes());
  };
  const timer = setInterval(look, INTERVAL_MS);
  try {
    const value = await work(look);
    look();
    return { value, memory: { peakBytes, before } };
  } finally {
    clearInterval(timer);
  }
}

function hostBytes(): number {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}
