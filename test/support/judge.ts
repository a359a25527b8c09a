/** The judge of tools/train (a classifier trained on renders, never on painted pictures), on our own engine. */
import { readFileSync } from "node:fs";
import {
  add,
  type Device,
  evaluate,
  interpolate,
  maxPool2d,
  relu,
  type Tensor,
  tensor,
} from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import { readSafetensors } from "../../engine/safetensors.ts";
import { conv } from "../../model/layers.ts";
import type { RgbaImage } from "../../model/request.ts";
import { memorySource } from "./byte-source.ts";

const SHAPES = ["cube", "sphere", "cylinder", "cone", "pyramid", "torus"];
const COLOURS = [
  ...["red", "orange", "yellow", "green", "cyan"],
  ...["blue", "purple", "pink", "white", "black"],
];
/** A cell's answers: shapes and colours, each after "the backdrop", then where the object stands. */
const FIRST_COLOUR = 1 + SHAPES.length;
const PLACE = FIRST_COLOUR + 1 + COLOURS.length;
const ANSWERS = PLACE + 3;
/** Of a colour that is there: an edge may look like a third colour. */
const FEWEST_CELLS = 3;

/** What stands in a colour: its likeliest shape, whether anything does, and where: x, y up, z to the viewer. */
export interface Seen {
  readonly shape: string;
  readonly there: boolean;
  readonly place: readonly [number, number, number];
}

/** Reads a picture of 128 x 128: what is seen of each colour. */
export async function judge(device: Device, picture: RgbaImage): Promise<Map<string, Seen>> {
  const file = new URL("../../tools/train/judge.safetensors", import.meta.url);
  const { tensors } = await readSafetensors(memorySource(readFileSync(file), file.pathname));
  const answers = await evaluate(device, () =>
    network(Weights.of("judge", tensors), halved(picture)),
  );
  const cells = Array.from({ length: answers.length / ANSWERS }, (_, i) => [
    ...answers.slice(i * ANSWERS, (i + 1) * ANSWERS),
  ]);
  const said = cells.map((cell) => best(cell.slice(FIRST_COLOUR, PLACE)) - 1);
  return new Map(COLOURS.map((name, i) => [name, seen(cells.filter((_, n) => said[n] === i))]));
}

/** The U-Net of tools/train/judge.py. */
function network(w: Weights, picture: Tensor): Tensor {
  const block = (i: number, x: Tensor) => relu(conv(w.at(`convs.${i}`), x, { padding: 1 }));
  const half = (x: Tensor) => maxPool2d(x, 2);
  const double = (x: Tensor) => interpolate(x, { size: [2 * x.shape[1]!, 2 * x.shape[2]!] });
  const sixteen = block(2, half(block(1, half(block(0, picture)))));
  const eight = block(3, half(sixteen));
  const up = block(5, add(double(block(4, half(eight))), eight));
  return conv(w.at("head"), block(6, add(double(up), sixteen)));
}

/** Means of 2 x 2 pixels in [-1, 1], [1, H/2, W/2, 3]. */
function halved({ width, height, data }: RgbaImage): Tensor {
  const [w, h] = [width / 2, height / 2];
  const means = Float32Array.from({ length: w * h * 3 }, (_, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % w, Math.floor(i / (3 * w))];
    const at = (dx: number, dy: number) => data[4 * ((2 * y + dy) * width + 2 * x + dx) + c]!;
    return (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 510 - 1;
  });
  return tensor(means, [1, h, w, 3]);
}

/** What the cells of one colour say together. */
function seen(cells: readonly (readonly number[])[]): Seen {
  const sum = (of: (cell: readonly number[]) => number) =>
    cells.reduce((total, cell) => total + of(cell), 0);
  const shapes = SHAPES.map((_, i) =>
    sum((cell) => cell[1 + i]! - logSumExp(cell.slice(1, FIRST_COLOUR))),
  );
  const place = [0, 1, 2].map((k) => sum((cell) => cell[PLACE + k]!) / cells.length);
  return {
    shape: SHAPES[best(shapes)]!,
    there: cells.length >= FEWEST_CELLS,
    place: place as [number, number, number],
  };
}

const best = (values: readonly number[]) => values.indexOf(Math.max(...values));

function logSumExp(values: readonly number[]): number {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((total, value) => total + Math.exp(value - most), 0));
}

const RELATIONS = [
  ["left of", "right of"],
  ["under", "on top of"],
  ["behind", "in front of"],
] as const;

/** The relation of the first place to the second: along the axis on which they are farthest apart. */
export function relationBetween(a: Seen["place"], b: Seen["place"]): string {
  const apart = a.map((p, k) => p - b[k]!);
  const axis = apart.map(Math.abs).indexOf(Math.max(...apart.map(Math.abs)));
  return RELATIONS[axis]![apart[axis]! > 0 ? 1 : 0];
}
