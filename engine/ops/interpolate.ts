/** Resizing of pictures. */
import { shapeError } from "../errors.ts";
import { createTensor, type Tensor } from "../tensor.ts";
import { floating } from "./elementwise.ts";

export interface InterpolateOptions {
  /** [height, width] of the result; or else scaleFactor. */
  readonly size?: readonly [number, number];
  /** The result has floor(H · f) rows; positions in x are multiples of 1 / f, as in PyTorch. */
  readonly scaleFactor?: number;
  readonly mode?: "nearest" | "bilinear" | "bicubic";
  /** Corner pixels coincide (bilinear and bicubic only). Default false. */
  readonly alignCorners?: boolean;
}

/**
 * torch.nn.functional.interpolate without antialias. x [B, H, W, C] (channels last) -> [B, h, w, C].
 * bicubic is Keys' kernel with a = -0.75, as in PyTorch. Throws SHAPE without a valid size.
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  floating("interpolate", x);
  const [B, H, W, C] = x.shape as [number, number, number, number];
  if (x.shape.length !== 4)
    throw shapeError(
      "interpolate",
      `x is [${x.shape}], but it must be [batch, height, width, channels]`,
    );
  const factor = options.scaleFactor;
  const size =
    options.size ?? (factor ? [Math.floor(H * factor), Math.floor(W * factor)] : undefined);
  if (!size) throw shapeError("interpolate", "give size or scaleFactor");
  const mode = options.mode ?? "nearest";
  const attrs = {
    mode,
    alignCorners: (options.alignCorners ?? false) && mode !== "nearest",
    ...(options.size || !factor ? {} : { scaleFactor: factor }),
  };
  return createTensor("interpolate", [B, size[0]!, size[1]!, C], x.dtype, { x }, attrs);
}
