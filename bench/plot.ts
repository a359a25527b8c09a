/** The roofline as a picture: FLOPs per byte against GFLOP/s, both logarithmic; a dot an operation. */
import { writeFileSync } from "node:fs";
import { peaksOf } from "./peaks.ts";
import type { Suite } from "./suite.ts";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [720, 420, 60, 40];
const COLOURS = { f32: "#1f6feb", f16: "#d97706" } as const;

export function writeRoofline(suite: Suite): void {
  writeFileSync(new URL("./results/roofline.svg", import.meta.url), roofline(suite));
}

/** Rates by CPU time on a software adapter, else by the clock. */
export function roofline({ peaks, rows }: Suite): string {
  const { bandwidth, f32, f16 } = peaksOf(peaks);
  const dots = rows.map((row) => {
    const ms = row.cpuMs ? row.cpuMs.median / row.cores : row.ms.median;
    return { ...row, x: row.flops / row.bytes, y: row.flops / ms / 1e6 };
  });
  const range = (values: number[]) =>
    [
      Math.floor(Math.log10(Math.min(...values))),
      Math.ceil(Math.log10(Math.max(...values))),
    ] as const;
  const [x0, x1] = range([...dots.map(({ x }) => x), f32 / bandwidth]);
  const [y0, y1] = range([...dots.map(({ y }) => y), f32, f16 ?? f32]);
  const at = (value: number, from: number, to: number, start: number, end: number) =>
    (start + ((Math.log10(value) - from) / (to - from)) * (end - start)).toFixed(1);
  const px = (x: number) => at(x, x0, x1, LEFT, WIDTH - 20);
  const py = (y: number) => at(y, y0, y1, HEIGHT - BOTTOM, 20);
  const roof = (peak: number, colour: string, name: string) => {
    const [ridge, end] = [peak / bandwidth, 10 ** x1];
    const start = 10 ** Math.max(x0, y0 - Math.log10(bandwidth));
    return `<polyline fill="none" stroke="${colour}" points="${px(start)},${py(start * bandwidth)} ${px(ridge)},${py(peak)} ${px(end)},${py(peak)}"/>
<text x="${WIDTH - 24}" y="${Number(py(peak)) - 4}" text-anchor="end" fill="${colour}">${name} ${peak.toPrecision(3)} GFLOP/s</text>`;
  };
  const powers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    ...powers(x0, x1).map(
      (p) => `<text x="${px(10 ** p)}" y="${HEIGHT - 22}" text-anchor="middle">1e${p}</text>`,
    ),
    ...powers(y0, y1).map(
      (p) => `<text x="${LEFT - 6}" y="${py(10 ** p)}" text-anchor="end">1e${p}</text>`,
    ),
    `<text x="${WIDTH / 2}" y="${HEIGHT - 6}" text-anchor="middle">FLOP per byte (copy ${bandwidth.toPrecision(3)} GB/s)</text>`,
    `<text x="6" y="14">GFLOP/s</text>`,
    roof(f32, COLOURS.f32, "f32"),
    ...(f16 === null ? [] : [roof(f16, COLOURS.f16, "f16")]),
    ...dots.map(({ x, y, dtype, name }) =>
      `<circle cx="${px(x)}" cy="${py(y)}" r="4" fill="${COLOURS[dtype as "f32" | "f16"]}"><title>${name}, ${dtype}: ${y.toPrecision(3)} GFLOP/s</title></circle>`.replaceAll(
        "->",
        "-&gt;",
      ),
    ),
    "</svg>\n",
  ].join("\n");
}
