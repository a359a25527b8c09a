/** A picture as `generate` returns it: plain bytes, and a way to keep them. */
import type { RgbaImage } from "./request.ts";

export class Picture implements RgbaImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;

  constructor(width: number, height: number, data: Uint8ClampedArray) {
    this.width = width;
    this.height = height;
    this.data = data;
  }

  /**
   * Writes a PNG (Node only). The file appears whole or not at all; one that is there is replaced.
   * Throws OUTPUT or DISK_FULL naming the path.
   */
  async save(path: string): Promise<void> {
    const { savePng } = await import("#png");
    await savePng(this, path);
  }
}
