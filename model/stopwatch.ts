/** Milliseconds between laps, by a clock that never jumps. */
export function stopwatch() {
  const laps: Record<string, number> = {};
  let last = performance.now();
  return {
    lap(name: string) {
      const now = performance.now();
      laps[name] = now - last;
      last = now;
    },
    times: () => laps,
  };
}
