/** The picture to start from, and what is painted over it: the mask of what shall change. */
import type { RgbImage } from "../../../model/image/image.ts";
import { box, canvas, input } from "./page.ts";

/** The mask by itself: opaque where something was painted. */
let painted: OffscreenCanvas | undefined;
let picture: ImageData | undefined;
let touched = false;

export function watchMask(): void {
  const view = canvas("mask");
  view.addEventListener("pointerdown", (event) => {
    view.setPointerCapture(event.pointerId);
    dab(event);
  });
  view.addEventListener("pointermove", (event) => {
    if (event.buttons === 1) for (const each of event.getCoalescedEvents?.() ?? [event]) dab(each);
  });
  box("mask-clear").addEventListener("click", () => clearMask());
  box("image-clear").addEventListener("click", () => startFrom(undefined));
  input("strength").addEventListener("input", () => {
    box("strength-value").textContent = input("strength").value;
  });
}

/** Shows a picture to start from; undefined takes it away. */
export function startFrom(image: RgbImage | undefined): void {
  picture = image && rgba(image);
  for (const id of ["image-tools", "image-clear"]) box(id).hidden = !picture;
  if (!picture) return;
  const view = canvas("mask");
  [view.width, view.height] = [picture.width, picture.height];
  painted = new OffscreenCanvas(picture.width, picture.height);
  clearMask();
}

/** Paints a spot where the pointer is. */
function dab(event: PointerEvent): void {
  const view = canvas("mask");
  const context = painted?.getContext("2d");
  if (!context) return;
  const scale = view.width / view.clientWidth;
  context.fillStyle = "#ff2d87";
  context.beginPath();
  context.arc(event.offsetX * scale, event.offsetY * scale, Number(input("brush").value) / 2, 0, 7);
  context.fill();
  touched = true;
  show();
}

function clearMask(): void {
  touched = false;
  painted?.getContext("2d")?.clearRect(0, 0, painted.width, painted.height);
  show();
}

function show(): void {
  const context = canvas("mask").getContext("2d");
  if (!context || !picture || !painted) return;
  context.putImageData(picture, 0, 0);
  context.globalAlpha = 0.6;
  context.drawImage(painted, 0, 0);
  context.globalAlpha = 1;
}

export interface StartPicture {
  readonly image: RgbImage;
  readonly strength: number;
  /** Grey, of the image's size; absent where nothing was painted. */
  readonly mask: RgbImage | undefined;
}

export function startPicture(): StartPicture | undefined {
  if (!picture || !painted) return undefined;
  return { image: picture, strength: Number(input("strength").value), mask: maskOf(painted) };
}

function maskOf({ width, height }: OffscreenCanvas): RgbImage | undefined {
  if (!touched) return undefined;
  const { data } = painted!.getContext("2d")!.getImageData(0, 0, width, height);
  return {
    width,
    height,
    data: Uint8Array.from({ length: width * height }, (_, i) => data[4 * i + 3]!),
  };
}

function rgba({ width, height, data }: RgbImage): ImageData {
  const channels = data.length / (width * height);
  const all = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) all.data[4 * i + c] = data[channels * i + (channels < 3 ? 0 : c)]!;
    all.data[4 * i + 3] = channels === 4 ? data[4 * i + 3]! : 255;
  }
  return all;
}

/** The painted picture where the mask is, the first one elsewhere: for models that know no masks. */
export function keepOutside(
  result: { width: number; height: number; data: Uint8ClampedArray },
  { image, mask }: StartPicture,
): void {
  if (!mask) return;
  const { width, height, data } = result;
  const sized = (source: RgbImage) => {
    const from = new OffscreenCanvas(source.width, source.height);
    from.getContext("2d")!.putImageData(rgba(source), 0, 0);
    const to = new OffscreenCanvas(width, height).getContext("2d")!;
    to.drawImage(from, 0, 0, width, height);
    return to.getImageData(0, 0, width, height).data;
  };
  const [kept, change] = [sized(image), sized(mask)];
  for (let i = 0; i < data.length; i++) {
    const share = change[i - (i % 4)]! / 255;
    data[i] = share * data[i]! + (1 - share) * kept[i]!;
  }
}
