/**
 * Pictures that no binding holds, in bands of rows, each a storage of its own: exact, because rows of a
 * convolution need a few rows more of its input, and the moments of a group norm can be merged. Runs before
 * lowering, on pictures [B, H, W, C]; whatever else reads a picture in bands gets it put together again.
 */
import { type BandRule, RULES, rowBytes } from "./band-rules.ts";
import { countUses, mapValues, type Outputs, reachable, withInputs } from "./graph.ts";
import { concat, slice } from "./ops/layout.ts";
import { createTensor, type Tensor, withScope } from "./tensor.ts";

/** Rows from..to-1 of a picture. */
interface Band {
  readonly from: number;
  readonly to: number;
  readonly tensor: Tensor;
}

/** Cheap to compute, and read once by a convolution that wants other rows than a band's: made for each reader. */
const ON_DEMAND = new Set(["group_norm", "unary", "cast"]);

/** The same outputs with no picture of more than `limit` bytes, where that can be avoided. */
export function inBands(outputs: Outputs, limit: number): Outputs {
  const order = reachable(outputs);
  if (order.every((t) => rowBytes(t) * (t.shape[1] ?? 1) <= limit)) return outputs;
  const uses = countUses(outputs);
  const banding = new Banding(limit, (t) => uses.get(t) ?? 0);
  for (const t of order) banding.add(t);
  return mapValues(outputs, (t) => banding.whole(t));
}

class Banding {
  readonly #limit: number;
  readonly #uses: (t: Tensor) => number;
  /** Pictures in bands: their first and last rows; the tensors follow when they are wanted. */
  readonly #heights = new Map<Tensor, readonly { from: number; to: number }[]>();
  readonly #bands = new Map<Tensor, readonly Band[]>();
  readonly #whole = new Map<Tensor, Tensor>();
  readonly #moments = new Map<Tensor, Tensor>();

  constructor(limit: number, uses: (t: Tensor) => number) {
    this.#limit = limit;
    this.#uses = uses;
  }

  /** Decides on a tensor whose inputs were added before. */
  add(t: Tensor): void {
    const rule = RULES[t.op];
    const wanted =
      rowBytes(t) * (t.shape[1] ?? 1) > this.#limit ||
      Object.values(t.inputs).some((input) => this.#heights.has(input));
    const heights = wanted && rule?.applies(t) ? this.#cut(t, rule) : undefined;
    if (heights) this.#heights.set(t, heights);
  }

  /** The fewest bands of which each, and all that it reads, is within the limit. */
  #cut(t: Tensor, rule: BandRule): { from: number; to: number }[] | undefined {
    const height = t.shape[1]!;
    for (let count = 1; count <= height; count++) {
      const rows = Math.ceil(height / count);
      // Even, so that a convolution that doubles the picture starts at a row of the small one.
      const bands = ranges(height, rows + (rows > 1 ? rows % 2 : 0));
      if (bands.every(({ from, to }) => this.#fits(t, rule, from, to))) return bands;
    }
    return undefined;
  }

  #fits(t: Tensor, rule: BandRule, from: number, to: number): boolean {
    const read = Object.entries(t.inputs).map(([name, input]) => {
      const [first, last] = rule.rows(t, name, from, to) ?? [0, 0];
      return rowBytes(input) * (last - first);
    });
    return Math.max(rowBytes(t) * (to - from), ...read) <= this.#limit;
  }

  whole(t: Tensor): Tensor {
    const known = this.#whole.get(t);
    if (known) return known;
    const result = this.#heights.has(t)
      ? withScope(t.label, () =>
          concat(
            this.#bandsOf(t).map(({ tensor }) => tensor),
            1,
          ),
        )
      : this.#withWholeInputs(t);
    this.#whole.set(t, result);
    return result;
  }

  #withWholeInputs(t: Tensor): Tensor {
    const inputs = mapValues(t.inputs, (input) => this.whole(input));
    const changed = Object.keys(inputs).some((name) => inputs[name] !== t.inputs[name]);
    return changed ? withInputs(t, inputs) : t;
  }

  /** All rows of t, a tensor a band. */
  #bandsOf(t: Tensor): readonly Band[] {
    const known = this.#bands.get(t);
    if (known) return known;
    const bands = this.#heights
      .get(t)!
      .map(({ from, to }) => ({ from, to, tensor: this.#compute(t, from, to) }));
    this.#bands.set(t, bands);
    return bands;
  }

  /** Rows from..to-1 of t, put together from bands as far as they are not one of them. */
  #rows(t: Tensor, from: number, to: number): Tensor {
    if (!this.#heights.has(t)) return part(this.whole(t), from, to);
    if (ON_DEMAND.has(t.op) && this.#uses(t) === 1) return this.#compute(t, from, to);
    const inside = this.#bandsOf(t).filter((band) => band.from < to && band.to > from);
    const pieces = inside.map(({ tensor, ...band }) =>
      part(tensor, Math.max(from, band.from) - band.from, Math.min(to, band.to) - band.from),
    );
    return concat(pieces, 1);
  }

  #compute(t: Tensor, from: number, to: number): Tensor {
    const rule = RULES[t.op]!;
    return withScope(t.label, () => {
      const given = Object.entries(t.inputs).map(([name, input]): [string, Tensor] => {
        const rows = rule.rows(t, name, from, to);
        return [name, rows ? this.#rows(input, ...rows) : this.whole(input)];
      });
      const inputs = Object.fromEntries(given);
      if (t.op === "group_norm") inputs.moments = this.#momentsOf(t);
      const attrs = { ...t.attrs, ...rule.attrs?.(t, from, to) };
      return createTensor(t.op, t.shape.with(1, to - from), t.dtype, inputs, attrs, t.label);
    });
  }

  /** Of a group norm: the moments of each band, merged. */
  #momentsOf(t: Tensor): Tensor {
    const known = this.#moments.get(t);
    if (known) return known;
    const x = t.inputs.x!;
    const bands = this.#heights.has(x) ? this.#heights.get(x)! : this.#heights.get(t)!;
    const shape = [t.shape[0]!, t.attrs.groups as number, 4];
    const make = (op: string, inputs: Tensor["inputs"]) =>
      createTensor(op, shape, "f32", inputs, t.attrs, t.label);
    const result = bands
      .map(({ from, to }) => make("group_moments", { x: this.#rows(x, from, to) }))
      .reduce((a, b) => make("group_moments_join", { a, b }));
    this.#moments.set(t, result);
    return result;
  }
}

function part(t: Tensor, from: number, to: number): Tensor {
  return from === 0 && to === t.shape[1] ? t : slice(t, 1, from, to);
}

function ranges(height: number, rows: number): { from: number; to: number }[] {
  const count = Math.ceil(height / rows);
  return Array.from({ length: count }, (_, i) => ({
    from: i * rows,
    to: Math.min(height, (i + 1) * rows),
  }));
}
