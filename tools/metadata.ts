/**
 * What a picture says about its making: `parameters` as AUTOMATIC1111's web UI writes and reads it,
 * our own JSON from which the request can be repeated, and the IPTC mark of generated media.
 */
import type { GenerateResult } from "../model/request.ts";
import { webUiParameters } from "./web-ui.ts";

/** A text chunk. */
export interface PictureText {
  readonly keyword: string;
  readonly text: string;
}

/** The keyword of our own JSON. */
export const KEYWORD = "wgsl-diffusion";

/** A picture's texts by keyword, for picture `index` of the result. */
export function pictureTexts(
  result: GenerateResult,
  index: number,
  version: string,
): PictureText[] {
  return [
    { keyword: "parameters", text: webUiParameters(result, version) },
    { keyword: KEYWORD, text: JSON.stringify(ownRecord(result, index, version)) },
    { keyword: "XML:com.adobe.xmp", text: GENERATED_MEDIA },
  ];
}

/** The request and the model, from which `image` can be made again. */
export function ownRecord(result: GenerateResult, index: number, version: string) {
  return { version, request: result.request, image: index, model: result.model };
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
