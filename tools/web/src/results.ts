/** Pictures that were painted: the one on show, and the history, with their settings inside of the PNG. */
import { encodePng } from "../../../model/image/encode-png.ts";
import type { GenerateResult, RgbaImage } from "../../../model/request.ts";
import { pictureTexts } from "../../metadata.ts";
import { fillForm } from "./form.ts";
import { box, canvas, element, listItems } from "./page.ts";
import { clock } from "./progress.ts";

declare const __VERSION__: string;

export interface Painted {
  readonly result: GenerateResult;
  readonly ms: number;
}

let shown: Painted | undefined;
let address: string | undefined;

/** The picture on show, if one is. */
export function shownPicture(): RgbaImage | undefined {
  return shown?.result.images[0];
}

export function showPreview(image: RgbaImage): void {
  draw(canvas("picture"), image);
  canvas("picture").classList.add("preview");
}

/** Shows a finished picture, and what it takes to paint it again. */
export async function showPainted(painted: Painted): Promise<void> {
  const { result, ms } = painted;
  const image = result.images[0]!;
  shown = painted;
  draw(canvas("picture"), image);
  canvas("picture").classList.remove("preview");
  canvas("picture").setAttribute("aria-label", `The picture: ${result.request.prompt}`);
  const { steps, guidanceScale, scheduler, seed, width, height } = result.request;
  box("facts").textContent =
    `${result.request.prompt} — ${width}x${height}, ${steps} steps of ${scheduler}, guidance ${guidanceScale}, seed ${seed}; ` +
    `${result.model.name} (${result.model.dtype}) in ${clock(ms)}`;
  listItems(box("warnings"), result.warnings);
  const png = await encodePng(image, pictureTexts(result, 0, __VERSION__));
  if (shown !== painted) return;
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(new Blob([png], { type: "image/png" }));
  const link = element("download", HTMLAnchorElement);
  link.href = address;
  link.download = `${slug(result.request.prompt)}-${seed}.png`;
  box("about").hidden = false;
}

/** Adds to the history; a click shows it again and puts its settings into the form. */
export function remember(painted: Painted): void {
  const { request, images } = painted.result;
  const small = document.createElement("canvas");
  draw(small, images[0]!);
  const label = Object.assign(document.createElement("span"), { textContent: request.prompt });
  const entry = document.createElement("button");
  entry.type = "button";
  entry.title = `${request.prompt}, seed ${request.seed}: show it, and take its settings`;
  entry.append(small, label);
  entry.addEventListener("click", () => {
    fillForm(request);
    void showPainted(painted);
  });
  const item = document.createElement("li");
  item.append(entry);
  box("history").prepend(item);
  box("history-title").hidden = false;
}

function draw(to: HTMLCanvasElement, { width, height, data }: RgbaImage): void {
  [to.width, to.height] = [width, height];
  const image = new ImageData(data as Uint8ClampedArray<ArrayBuffer>, width, height);
  to.getContext("2d")?.putImageData(image, 0, 0);
}

function slug(prompt: string): string {
  return (
    prompt
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .replace(/^-|-$/g, "")
      .slice(0, 40) || "picture"
  );
}
