/**
 * What a picture says about its making: `parameters` as AUTOMATIC1111's web UI writes and reads it,
 * our own JSON from which the request can be repeated, and the IPTC mark of generated media.
 */
import type { GenerateResult } from "../model/request.ts";

/** The keyword of our own JSON. */
export const KEYWORD = "wgsl-diffusion";

/** A picture's texts by keyword, for picture `index` of the result. */
export function pictureTexts(
  result: GenerateResult,
  index: number,
  version: string,
): { keyword: string; text: string }[] {
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

/**
 * `prompt`, `Negative prompt: ...`, then one line of `Key: value` pairs (modules/infotext_utils.py
 * of the web UI). A value with a comma, colon or newline is quoted as JSON.
 */
export function webUiParameters(result: GenerateResult, version: string): string {
  const { request, model } = result;
  const fields: Record<string, string | number | undefined> = {
    Steps: request.steps,
    Sampler: WEB_UI_SAMPLERS[request.scheduler] ?? request.scheduler,
    "CFG scale": request.guidanceScale,
    "CFG Rescale": request.guidanceRescale || undefined,
    Seed: request.seed,
    Size: `${request.width}x${request.height}`,
    "Model hash": model.sha256?.slice(0, 10),
    Model: model.name,
    RNG: "CPU",
    Version: `wgsl-diffusion ${version}`,
  };
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${quoteValue(String(value))}`);
  const negative = request.negativePrompt ? [`Negative prompt: ${request.negativePrompt}`] : [];
  return [request.prompt, ...negative, pairs.join(", ")].join("\n");
}

const WEB_UI_SAMPLERS: Readonly<Record<string, string>> = {
  ddim: "DDIM",
  pndm: "PLMS",
  euler: "Euler",
};

function quoteValue(value: string): string {
  return /[,:\n]/.test(value) ? JSON.stringify(value) : value;
}

/** XMP with the IPTC's digital source type for pictures made by a trained model. */
const GENERATED_MEDIA = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>`;

/** Our own record among a picture's texts, or undefined where there is none that can be read. */
export function recordOf(texts: readonly { keyword: string; text: string }[]): unknown {
  const own = texts.find(({ keyword }) => keyword === KEYWORD);
  try {
    return own && JSON.parse(own.text);
  } catch {
    return undefined;
  }
}
