/** tile-cut and tile-blend: exact copies, and weighted sums in float64. */
import assert from "node:assert/strict";
import { custom, evaluate } from "../../engine/index.ts";
import { tileBlend } from "../../shaders/tile-blend.ts";
import { type TileParams, tileCut } from "../../shaders/tile-cut.ts";
import { generate, get, type Values } from "../reference/values.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand, operand } from "../support/operand.ts";
import { random } from "../support/random.ts";

interface Case extends TileParams {
  readonly top: number;
  readonly left: number;
}

/** In a corner, within, the whole canvas, one pixel; channels on vec4 borders and off them. */
const CASES: readonly Case[] = [
  { batch: 2, height: 9, width: 7, tile: { height: 4, width: 3 }, channels: 7, top: 5, left: 4 },
  { batch: 1, height: 9, width: 7, tile: { height: 4, width: 3 }, channels: 4, top: 0, left: 0 },
  { batch: 3, height: 5, width: 11, tile: { height: 3, width: 8 }, channels: 9, top: 1, left: 2 },
  { batch: 2, height: 4, width: 6, tile: { height: 4, width: 6 }, channels: 4, top: 0, left: 0 },
  { batch: 2, height: 8, width: 8, tile: { height: 1, width: 1 }, channels: 1, top: 6, left: 3 },
];

const placeOf = ({ top, left }: Case, number: number) => operand([top, left, number], [3], "i32").t;

describeOnEveryAdapter("tiles", (getDevice) => {
  for (const dtype of ["f32", "f16"] as const) {
    it(`are cut out of a canvas as they are, in ${dtype}`, async () => {
      const r = random(11);
      const canvases = CASES.map(({ batch, height, width, channels }) =>
        normalOperand(r, [batch, height, width, channels], dtype),
      );
      const results = await evaluate(getDevice(), () =>
        CASES.map((each, i) => {
          const shape = [each.batch, each.tile.height, each.tile.width, each.channels];
          const operands = { x: canvases[i]!.t, place: placeOf(each, 1) };
          return custom(tileCut, each, operands, shape, dtype);
        }),
      );
      CASES.forEach(({ top, left }, i) => {
        const { shape } = results[i]!;
        const expected = generate([...shape], ([b, y, x, c]) =>
          get(canvases[i]!.v, [b!, top + y!, left + x!, c!]),
        );
        assert.deepEqual([...results[i]!], [...expected.data]);
      });
    });

    it(`of ${dtype} are added by their shares; the first replaces the sum, NaN or not`, async () => {
      const r = random(12);
      const made = CASES.map(({ batch, height, width, tile, channels }, i) => ({
        sum: i === 0 ? undefined : normalOperand(r, [batch, height, width, channels], "f32"),
        spoilt: operand(new Float32Array(batch * height * width * channels).fill(Number.NaN), [
          ...[batch, height, width, channels],
        ]),
        m: normalOperand(r, [batch, tile.height, tile.width, channels], dtype),
        rows: normalOperand(r, [height], "f32"),
        columns: normalOperand(r, [width], "f32"),
      }));
      const results = await evaluate(getDevice(), () =>
        CASES.map((each, i) => {
          const { sum, spoilt, m, rows, columns } = made[i]!;
          const shape = [each.batch, each.height, each.width, each.channels];
          const inputs = { sum: (sum ?? spoilt).t, m: m.t, rows: rows.t, columns: columns.t };
          const place = placeOf(each, sum ? 3 : 0);
          return custom(tileBlend, each, { ...inputs, place }, shape, "f32");
        }),
      );
      CASES.forEach((each, i) => {
        const expected = blended(each, made[i]!);
        close(results[i]!, expected.data, { dtype: "f32", terms: 3, magnitude: 8, label: `${i}` });
      });
    });
  }
});

interface Operands {
  readonly sum: { readonly v: Values } | undefined;
  readonly m: { readonly v: Values };
  readonly rows: { readonly v: Values };
  readonly columns: { readonly v: Values };
}

function blended(
  { batch, height, width, tile, channels, top, left }: Case,
  { sum, m, rows, columns }: Operands,
): Values {
  return generate([batch, height, width, channels], ([b, y, x, c]) => {
    const before = sum ? get(sum.v, [b!, y!, x!, c!]) : 0;
    const [i, j] = [y! - top, x! - left];
    if (i < 0 || j < 0 || i >= tile.height || j >= tile.width) return before;
    return before + get(rows.v, [y!]) * get(columns.v, [x!]) * get(m.v, [b!, i, j, c!]);
  });
}
