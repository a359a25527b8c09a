/** The judge of tools/train (a classifier trained on renders, never on painted pictures), on our own engine. */
import { readFileSync } from "node:fs";
import {
  type Device,
  evaluate,
  maxPool2d,
  permute,
  relu,
  reshape,
  type Tensor,
  tensor,
} from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import { readSafetensors } from "../../engine/safetensors.ts";
import { conv, dense } from "../../model/layers.ts";
import type { RgbaImage } from "../../model/request.ts";
import { memorySource } from "./byte-source.ts";

const SHAPES = ["cube", "sphere", "cylinder", "cone", "pyramid", "torus"];
const COLOURS = [
  ...["red", "orange", "yellow", "green", "cyan"],
  ...["blue", "purple", "pink", "white", "black"],
];
/** Shape logits of a colour (the last: it is not there), then where it stands: x, y up, z to the viewer. */
const ANSWERS = SHAPES.length + 1 + 3;
const CONVS = 4;

/** What stands in a colour: its likeliest shape, whether anything does, and where. */
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
  return new Map(
    COLOURS.map((colour, i) => [colour, seen([...answers].slice(i * ANSWERS, (i + 1) * ANSWERS))]),
  );
}

function network(w: Weights, picture: Tensor): Tensor {
  let x = picture;
  for (let i = 0; i < CONVS; i++)
    x = maxPool2d(relu(conv(w.at(`convs.${i}`), x, { padding: 1 })), 2);
  // PyTorch flattens [C, H, W].
  const flat = reshape(permute(x, [0, 3, 1, 2]), [1, -1]);
  return dense(w.at("head"), relu(dense(w.at("hidden"), flat)));
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

function seen(answers: readonly number[]): Seen {
  const logits = answers.slice(0, SHAPES.length + 1);
  const best = (values: readonly number[]) => values.indexOf(Math.max(...values));
  return {
    shape: SHAPES[best(logits.slice(0, SHAPES.length))]!,
    there: best(logits) !== SHAPES.length,
    place: answers.slice(SHAPES.length + 1) as [number, number, number],
  };
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
