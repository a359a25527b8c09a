/** Time by the wall and by what the process used of the CPU: a machine with other work shows in the first. */

export interface Elapsed {
  readonly wallMs: number;
  /** Of all threads of this process together. */
  readonly cpuMs: number;
}

export async function timed<T>(work: () => T | Promise<T>): Promise<{ value: T } & Elapsed> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const value = await work();
  const wallMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { value, wallMs, cpuMs: (user + system) / 1000 };
}

/** The least wall time and the least CPU time of `runs` runs, after one that does not count. */
export async function best(runs: number, work: () => void | Promise<void>): Promise<Elapsed> {
  await work();
  let [wallMs, cpuMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < runs; i++) {
    const run = await timed(work);
    wallMs = Math.min(wallMs, run.wallMs);
    cpuMs = Math.min(cpuMs, run.cpuMs);
  }
  return { wallMs, cpuMs };
}
