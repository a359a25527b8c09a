/**
 * What a picture says about its making: `parameters` as AUTOMATIC1111's web UI writes and reads it,
 * our own JSON from which the request can be repeated, and the IPTC mark of generated media.
 */
import type { GenerateResult, ResolvedRequest } from "../model/request.ts";
import type { SheetResult } from "../model/sheet/paint.ts";
import { webUiGrid, webUiParameters } from "./web-ui.ts";

/** A text chunk. */
export interface PictureText {
  readonly keyword: string;
  readonly text: string;
}

/** The keyword of our own JSON. */
export const KEYWORD = "wgsl-diffusion";

/**
 * What was given beside the request and is not in it: names of files, as they were typed, and how the
 * checkpoint was opened.
 */
export interface GivenOptions {
  readonly image?: string | undefined;
  readonly mask?: string | undefined;
  readonly depth?: string | undefined;
  readonly dtype?: string | undefined;
  readonly prediction?: string | undefined;
  readonly config?: string | undefined;
}

/** A picture's texts by keyword, for picture `index` of the result. */
export function pictureTexts(
  result: GenerateResult,
  index: number,
  version: string,
  given: GivenOptions = {},
): PictureText[] {
  const { perImageSeeds, ...request } = result.request;
  // A picture with a seed of its own is made again by that alone.
  const [own, at] = perImageSeeds ? [alone(request, index), 0] : [request, index];
  return textsOf(
    webUiParameters({ ...result, request: own }, version),
    ownRecord({ ...result, request: own }, at, version, given),
  );
}

function alone(request: ResolvedRequest, index: number): ResolvedRequest {
  return { ...request, seed: request.seed + index, numImages: 1 };
}

/** The request and the model, from which `image` can be made again. */
export function ownRecord(
  { request, model }: Pick<GenerateResult, "request" | "model">,
  index: number,
  version: string,
  given: GivenOptions = {},
) {
  return { version, request, image: index, model, ...givenRecord(given) };
}

function givenRecord(given: GivenOptions): { options?: GivenOptions } {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  return said.length > 0 ? { options: Object.fromEntries(said) } : {};
}

/** The texts of a sheet: those of its first picture, with the lists that the others come from. */
export function sheetTexts(
  { cells, rows, columns, request, model }: SheetResult,
  version: string,
  given: GivenOptions = {},
): PictureText[] {
  const first = { request: cells[0]!.request, model };
  const record = { version, request, sheet: { rows, columns }, model, ...givenRecord(given) };
  return textsOf(webUiParameters(first, version, webUiGrid(request)), record);
}

function textsOf(parameters: string, record: object): PictureText[] {
  return [
    { keyword: "parameters", text: parameters },
    { keyword: KEYWORD, text: JSON.stringify(record) },
    { keyword: "XML:com.adobe.xmp", text: GENERATED_MEDIA },
  ];
}

/** XMP with the IPTC's digital source type for pictures made by a trained model. */
const GENERATED_MEDIA = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>`;

/** Our own record among a picture's texts, or undefined where there is none that can be read. */
export function recordOf(texts: readonly PictureText[]): unknown {
  const own = texts.find(({ keyword }) => keyword === KEYWORD);
  try {
    return own && JSON.parse(own.text);
  } catch {
    return undefined;
  }
}
