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

  /** A PNG as a Blob, to be shown or offered for download. */
  async toBlob(): Promise<Blob> {
    const { pngBlob } = await import("#png");
    return pngBlob(this);
  }

  /** Paints it on a canvas, which takes its size. */
  draw(canvas: HTMLCanvasElement | OffscreenCanvas): void {
    canvas.width = this.width;
    canvas.height = this.height;
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    const { data, width, height } = this;
    context.putImageData(
      new ImageData(data as Uint8ClampedArray<ArrayBuffer>, width, height),
      0,
      0,
    );
  }
}
