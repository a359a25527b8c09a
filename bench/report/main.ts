/**
 * `npm run report`: measures every number that the project must reach, prints wanted and measured, and
 * exits with 1 if one falls short. `npm run report -- WORD` measures the rows whose names hold the word.
 */
import { openDevice } from "../../engine/index.ts";
import { createBench } from "./bench.ts";
import { type Measured, ROWS, type Row } from "./rows.ts";

const word = process.argv[2] ?? "";
const rows = ROWS.filter(({ name }) => name.includes(word));
const device = await openDevice();
const bench = createBench(device);
console.log(`On ${device.info.description || device.info.device}.\n`);

const width = Math.max(...rows.map(({ name }) => name.length));
let short = 0;
for (const row of rows) {
  const measured = await attempt(row);
  const ok = reached(row, measured);
  if (!ok) short++;
  console.log(`${ok ? "ok   " : "SHORT"} ${row.name.padEnd(width)}  ${cells(row, measured)}`);
}
console.log(`\n${rows.length - short} of ${rows.length} reached`);
process.exit(short > 0 || rows.length === 0 ? 1 : 0);

/** A measurement that fails is a number that is not reached. */
async function attempt({ measure }: Row): Promise<Measured> {
  try {
    return await measure(bench);
  } catch (error) {
    return { value: Number.NaN, note: String(error) };
  }
}

function reached({ wanted }: Row, { value }: Measured): boolean {
  return "atMost" in wanted ? value <= wanted.atMost : value >= wanted.atLeast;
}

function cells({ wanted, unit }: Row, { value, note }: Measured): string {
  const bound = "atMost" in wanted ? `≤ ${short4(wanted.atMost)}` : `≥ ${short4(wanted.atLeast)}`;
  return `${bound.padStart(9)} ${short4(value).padStart(9)} ${unit}${note ? ` (${note})` : ""}`;
}

/** Four digits are enough; tiny numbers with an exponent. */
function short4(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}
