/** One labelled picture of many: a request whose lists are painted in every combination. */
import { bad } from "../checks.ts";
import { Picture } from "../picture.ts";
import type {
  CheckedRequest,
  CheckingPipeline,
  ModelInfo,
  ResolvedRequest,
  RgbaImage,
  StepEvent,
} from "../request.ts";
import { labelsOf, planSheet, type SheetField, type SheetPlan, type SheetRequest } from "./axes.ts";
import { drawSheet, type SheetLayout, sheetGeometry } from "./draw.ts";

/** A picture of the sheet: what `request` paints alone, at (x, y). */
export interface SheetCell {
  readonly row: number;
  readonly column: number;
  readonly x: number;
  readonly y: number;
  readonly labels: readonly string[];
  readonly request: ResolvedRequest;
  readonly image: RgbaImage;
  readonly timings: Readonly<Record<string, number>>;
}

export interface SheetResult {
  readonly image: Picture;
  readonly rows: number;
  readonly columns: number;
  /** In reading order. */
  readonly cells: readonly SheetCell[];
  /** What the cells have in common, and the lists. */
  readonly request: ResolvedSheet;
  readonly warnings: readonly string[];
  readonly model: ModelInfo;
}

/** A cell's request with the sheet's lists in their places. */
export type ResolvedSheet = Omit<ResolvedRequest, SheetField> & {
  readonly [field in SheetField]: ResolvedRequest[field] | readonly ResolvedRequest[field][];
};

/** More are more than PNG readers open. */
const MAX_PIXELS = 1e8;

/**
 * Paints every combination of the request's lists with one pipeline, those that share plans one after another.
 * Throws BAD_REQUEST or SCHEDULER for any cell before the first is painted, and what `generate` throws.
 */
export async function paintSheet(
  pipeline: CheckingPipeline,
  request: SheetRequest,
): Promise<SheetResult> {
  const plan = planSheet(request);
  const checked = plan.cells.map((cell) => pipeline.check(cell.request));
  const resolved = withLists(plan, checked);
  const labels = checked.map((cell) => labelsOf(plan, cell.request));
  const layout = layoutOf(plan, labels);
  const size = checked[0]!.request;
  const { width, height, places } = sheetGeometry(size, plan.cells.length, layout);
  if (width * height > MAX_PIXELS)
    throw bad(
      `the sheet would have ${width}x${height} pixels: at most ${MAX_PIXELS / 1e6} million`,
    );
  const progress = wholeSheet(checked, request.onStep);
  const painted = new Map<number, Awaited<ReturnType<CheckingPipeline["generate"]>>>();
  for (const i of inOrder(checked)) {
    const onStep = progress.cell(checked[i]!);
    painted.set(i, await pipeline.generate({ ...plan.cells[i]!.request, onStep }));
  }
  const results = plan.cells.map((_, i) => painted.get(i)!);
  const sheet = drawSheet(
    results.map(({ images }) => images[0]!),
    layout,
  );
  return {
    image: new Picture(sheet.width, sheet.height, sheet.data),
    ...{ rows: plan.rows, columns: plan.columns },
    cells: results.map(({ images, request, timings }, i) => ({
      ...{ row: plan.cells[i]!.row, column: plan.cells[i]!.column, ...places[i]! },
      ...{ labels: labels[i]!, request, image: images[0]!, timings },
    })),
    request: resolved,
    warnings: [...new Set(results.flatMap(({ warnings }) => warnings))],
    model: results[0]!.model,
  };
}

function layoutOf({ axes, rows, columns }: SheetPlan, labels: readonly string[][]): SheetLayout {
  if (axes.length === 1) return { columns, captions: labels.flat() };
  return {
    columns,
    columnLabels: labels.slice(0, columns).map((each) => each.at(-1)!),
    rowLabels: Array.from({ length: rows }, (_, row) => labels[row * columns]!.slice(0, -1)),
  };
}

/** Plans are for a number of evaluations, with guidance or without: cells that differ in neither share them. */
function inOrder(checked: readonly CheckedRequest[]): number[] {
  const key = ({ request, evaluations }: CheckedRequest) =>
    2 * evaluations + Number(isGuided(request));
  return checked.map((_, i) => i).sort((a, b) => key(checked[a]!) - key(checked[b]!) || a - b);
}

function isGuided({ guidanceScale }: ResolvedRequest): boolean {
  return guidanceScale > 1;
}

/** Each axis with its values as the cells resolved them. Throws BAD_REQUEST where two are the same by then. */
function withLists({ axes, cells }: SheetPlan, checked: readonly CheckedRequest[]): ResolvedSheet {
  const lists = axes.map(({ field, values }) => {
    const found = new Set<string | number>(cells.map((_, i) => checked[i]!.request[field]));
    if (found.size < values.length)
      throw bad(`${field}: two names of the list mean the same (${[...found].join(", ")})`);
    return [field, [...found]] as const;
  });
  return { ...checked[0]!.request, ...Object.fromEntries(lists) };
}

/** The steps of each cell as steps of the sheet; a step with guidance takes about twice as long as one without. */
function wholeSheet(checked: readonly CheckedRequest[], onStep: SheetRequest["onStep"]) {
  const weight = ({ request }: CheckedRequest) => (isGuided(request) ? 2 : 1);
  const total = (of: (each: CheckedRequest) => number) =>
    checked.reduce((sum, each) => sum + of(each), 0);
  const steps = total(({ evaluations }) => evaluations);
  const work = total((each) => each.evaluations * weight(each));
  // Of the first step: what comes before it is loading.
  let started: number | undefined;
  let [cell, stepsBefore, workBefore] = [0, 0, 0];
  return {
    /** For the cell that is painted next. */
    cell(each: CheckedRequest) {
      const before = { steps: stepsBefore, work: workBefore };
      stepsBefore += each.evaluations;
      workBefore += each.evaluations * weight(each);
      const number = ++cell;
      return (event: StepEvent) => {
        const { tile = 1, tiles = 1 } = event;
        const done = before.work + weight(each) * (event.step - 1 + tile / tiles);
        started ??= performance.now() - event.elapsedMs;
        const elapsedMs = performance.now() - started;
        onStep?.({
          ...{ ...event, step: before.steps + event.step, steps, elapsedMs },
          ...{ etaMs: (elapsedMs / done) * (work - done), cell: number, cells: checked.length },
        });
      };
    },
  };
}
