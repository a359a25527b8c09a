/** What the tables share: the line above them that says where the numbers come from. */
import type { Result } from "./results.ts";

export function origin(results: readonly Result[]): string {
  const from = results.map(({ adapter, cpu, versions }) => {
    const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
    return `${adapter}, ${cpu}, ${packages.join(", ")}`;
  });
  return [...new Set(from)].join("; ");
}

/** Three digits that count. */
export function digits(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : String(Number(value.toPrecision(3)));
}
