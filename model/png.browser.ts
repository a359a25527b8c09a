/** PNG in a browser. There are no paths to save to: a picture becomes a Blob, which a page can offer. */
import { DiffusionError } from "../engine/errors.ts";
import { encodePng } from "./image/encode-png.ts";
import type { RgbaImage } from "./request.ts";

export async function pngBlob(image: RgbaImage): Promise<Blob> {
  return new Blob([await encodePng(image)], { type: "image/png" });
}

export async function savePng(_image: RgbaImage, path: string): Promise<void> {
  throw new DiffusionError("OUTPUT", `a browser cannot write ${path}`, {
    hint: "Use picture.toBlob(), and offer it by a link with `download`.",
  });
}
