/** What the pictures of a sheet differ in: the fields of its request that are lists, and the cells that they make. */
import { bad, seedOf, show } from "../checks.ts";
import type { GenerateRequest, StepEvent } from "../request.ts";

/**
 * The fields that may be lists, and how their values are written beside the pictures. The last of those that
 * are lists goes from left to right, the others down.
 */
const LABELS = {
  scheduler: (value: unknown) => `${value}`,
  seed: (value: unknown) => `seed ${value}`,
  steps: (value: unknown) => (value === 1 ? "1 step" : `${value} steps`),
  guidanceScale: (value: unknown) => `guidance ${value}`,
} as const;

export type SheetField = keyof typeof LABELS;

export const SHEET_FIELDS = Object.keys(LABELS) as readonly SheetField[];

/** At most so many pictures: more are no overview. */
export const MAX_CELLS = 256;

type OneOrMore<T> = T | readonly T[] | undefined;

/** A request in which some of `SHEET_FIELDS` are lists; it paints one picture for each combination. */
export interface SheetRequest
  extends Omit<GenerateRequest, SheetField | "numImages" | "perImageSeeds" | "output" | "onStep"> {
  readonly scheduler?: OneOrMore<string>;
  readonly seed?: OneOrMore<number>;
  readonly steps?: OneOrMore<number>;
  readonly guidanceScale?: OneOrMore<number>;
  readonly onStep?: ((event: SheetEvent) => void) | undefined;
}

/** A step of the whole sheet; picture number `cell` of `cells` is being painted. */
export interface SheetEvent extends StepEvent {
  readonly cell: number;
  readonly cells: number;
}

export interface Axis {
  readonly field: SheetField;
  readonly values: readonly unknown[];
}

export interface CellPlan {
  readonly row: number;
  readonly column: number;
  readonly request: GenerateRequest;
}

export interface SheetPlan {
  readonly axes: readonly Axis[];
  readonly rows: number;
  readonly columns: number;
  /** In reading order. */
  readonly cells: readonly CellPlan[];
}

/** Whether a request has lists. */
export function isSheet(request: object): boolean {
  return SHEET_FIELDS.some((field) => Array.isArray((request as SheetRequest)[field]));
}

/**
 * The cells of a sheet. One list is wrapped into rows; of two, the one is down and the other across; of more, the
 * combinations of all but the last are down. Random seeds are drawn here, so that all cells of a row or column
 * have the same. Values are not judged, that is `validateRequest`'s. Throws BAD_REQUEST for a list that is
 * empty or has a value twice, too many cells, and fields that a sheet has not.
 */
export function planSheet(request: SheetRequest): SheetPlan {
  refuseOthers(request);
  const { seed } = request;
  const seeds = Array.isArray(seed) ? seed.map(seedOf) : seedOf(seed);
  const fixed = { ...request, seed: seeds } as SheetRequest;
  const axes = SHEET_FIELDS.filter((field) => Array.isArray(fixed[field])).map((field) => ({
    field,
    values: checkedList(field, fixed[field] as readonly unknown[]),
  }));
  if (axes.length === 0) throw bad(`a sheet needs a list: of ${SHEET_FIELDS.join(", ")}`);
  const count = axes.reduce((product, { values }) => product * values.length, 1);
  if (count > MAX_CELLS) throw bad(`a sheet has at most ${MAX_CELLS} pictures (got ${count})`);
  const columns = axes.length === 1 ? wrapped(count) : axes.at(-1)!.values.length;
  const cells = combinations(axes).map((values, i) => ({
    row: Math.floor(i / columns),
    column: i % columns,
    request: { ...fixed, ...Object.fromEntries(values) } as GenerateRequest,
  }));
  return { axes, rows: Math.ceil(count / columns), columns, cells };
}

/** A picture's values as they are written beside it, down first. */
export function labelsOf(
  { axes }: SheetPlan,
  request: Pick<GenerateRequest, SheetField>,
): string[] {
  return axes.map(({ field }) => LABELS[field](request[field]));
}

function refuseOthers(request: SheetRequest): void {
  const { numImages, perImageSeeds, output } = request as Partial<GenerateRequest>;
  if (numImages !== undefined && numImages !== 1)
    throw bad(
      `a sheet paints one picture for each of its values (got numImages ${show(numImages)})`,
    );
  if (perImageSeeds) throw bad("a sheet takes a list of seeds, and no perImageSeeds");
  if (output === "latent") throw bad("a sheet is a picture: it has no latents");
}

function checkedList(field: SheetField, values: readonly unknown[]): readonly unknown[] {
  if (values.length === 0) throw bad(`${field}: the list is empty`);
  const twice = values.find((value, i) => values.indexOf(value) < i);
  if (twice !== undefined) throw bad(`${field}: ${show(twice)} is in the list twice`);
  return values;
}

/** Every choice of one value for each axis; the last axis runs fastest. */
function combinations(axes: readonly Axis[]): (readonly [SheetField, unknown])[][] {
  return axes.reduce<(readonly [SheetField, unknown])[][]>(
    (made, { field, values }) =>
      made.flatMap((before) => values.map((value) => [...before, [field, value] as const])),
    [[]],
  );
}

/** Columns for so many cells: up to twice as wide as high, with the fewest places left empty. */
function wrapped(count: number): number {
  const [least, most] = [Math.ceil(Math.sqrt(count)), Math.ceil(Math.sqrt(2 * count))];
  const empty = (columns: number) => columns * Math.ceil(count / columns) - count;
  let best = least;
  for (let columns = least; columns <= most; columns++)
    if (empty(columns) <= empty(best)) best = columns;
  return best;
}
