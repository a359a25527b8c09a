/** What the device and the options of loading give reason to say. */
import { DiffusionError } from "../engine/errors.ts";
import type { Device, DType } from "../engine/index.ts";
import { adapterName } from "../engine/software.ts";
import type { LoadOptions } from "./request.ts";

/** Throws FEATURE_MISSING with `strict` where halves would be computed with in f32. */
export function loadWarnings(device: Device, options: LoadOptions, dtype: DType): string[] {
  const warnings: string[] = [...device.warnings];
  if (device.target.software) {
    warnings.push(
      `running on ${adapterName(device.info)} (CPU): about 1000 times slower than a GPU`,
    );
  }
  if (dtype === "f16" && !device.target.features.has("shader-f16")) {
    const message =
      "the adapter lacks shader-f16: halves are stored packed and computed with in f32";
    if (options.strict) {
      throw new DiffusionError("FEATURE_MISSING", message, {
        hint: "Use --dtype f32, or leave --strict out.",
      });
    }
    warnings.push(message);
  }
  return warnings;
}
