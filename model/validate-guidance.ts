/** Checks what a request says of guidance beyond its scale. A value that is the default is left out. */
import { bad, oneOf, real, show } from "./checks.ts";
import { GUIDANCE_SHAPES, LIMITS, THRESHOLDINGS } from "./limits.ts";
import type { GenerateRequest, ResolvedRequest } from "./request.ts";

/**
 * The fields of a request that guidance has. `steps` is how many run, undefined while that is not known: then a list
 * of scales may have any length. Throws BAD_REQUEST for values out of range, for an interval that ends before
 * it begins, for a list of another length, and for options of what is not asked for.
 */
export function guidanceFields(
  request: GenerateRequest,
  steps: number | undefined,
): Partial<ResolvedRequest> {
  const fields = {
    ...intervalOf(request),
    ...scheduleOf(request, steps),
    ...thresholdingOf(request),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function intervalOf({ guidanceStart, guidanceStop }: GenerateRequest) {
  const start = real("guidanceStart", guidanceStart ?? 0, LIMITS.guidanceStart);
  const stop = real("guidanceStop", guidanceStop ?? 1, LIMITS.guidanceStop);
  if (start > stop)
    throw bad(
      `guidanceStart ${start} is after guidanceStop ${stop}`,
      "Both are fractions of the run: 0.2 and 0.8 guide the steps between a fifth and four fifths of it.",
    );
  return { guidanceStart: start || undefined, guidanceStop: stop === 1 ? undefined : stop };
}

function scheduleOf(
  { guidanceSchedule: schedule = "constant", guidanceFrom }: GenerateRequest,
  steps: number | undefined,
) {
  const from =
    guidanceFrom === undefined
      ? undefined
      : real("guidanceFrom", guidanceFrom, LIMITS.guidanceFrom);
  const guidanceSchedule = Array.isArray(schedule)
    ? scalesOf(schedule, steps)
    : oneOf("guidanceSchedule", schedule, GUIDANCE_SHAPES);
  const rises = guidanceSchedule === "linear" || guidanceSchedule === "cosine";
  if (from !== undefined && !rises)
    throw bad("guidanceFrom is where a linear or cosine guidanceSchedule begins; there is none");
  return guidanceSchedule === "constant" ? {} : { guidanceSchedule, guidanceFrom: from };
}

function scalesOf(list: readonly unknown[], steps: number | undefined): readonly number[] {
  const scales = list.map((scale, i) =>
    real(`guidanceSchedule[${i}]`, scale, LIMITS.guidanceScale),
  );
  if (scales.length > 0 && (steps === undefined || scales.length === steps)) return scales;
  throw bad(
    `guidanceSchedule must hold a scale for each of the ${steps ?? ""} steps that run (got ${scales.length})`,
    "With a strength below 1, the last ⌊steps · strength⌋ steps run.",
  );
}

/** The options of each kind. */
const OPTIONS = {
  dynamic: ["thresholdingRatio", "sampleMaxValue"],
  mimic: ["thresholdingRatio", "mimicScale"],
} as const;

function thresholdingOf(request: GenerateRequest) {
  const thresholding =
    request.thresholding === undefined
      ? undefined
      : oneOf("thresholding", request.thresholding, THRESHOLDINGS);
  const known: readonly string[] = thresholding ? OPTIONS[thresholding] : [];
  const given = (["thresholdingRatio", "sampleMaxValue", "mimicScale"] as const).filter(
    (name) => request[name] !== undefined,
  );
  const stray = given.find((name) => !known.includes(name));
  if (stray)
    throw bad(
      `${stray} is an option of thresholding ${stray === "mimicScale" ? "mimic" : "dynamic"}` +
        ` (thresholding is ${show(thresholding ?? "off")})`,
    );
  return {
    thresholding,
    ...Object.fromEntries(given.map((name) => [name, real(name, request[name], LIMITS[name])])),
  };
}
