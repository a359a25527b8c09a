/** What to do with an answer to a request for the rest of a file, or of a piece of it. */

export interface AnswerHead {
  readonly status: number;
  readonly headers: Headers;
}

export interface Wanted {
  /** The bytes that are there already. */
  readonly start: number;
  readonly size: number;
  /** The ETag of the answer that they came from, as far as it is known. */
  readonly etag: string | undefined;
  /** Only the bytes up to this one are wanted (default: all). */
  readonly end?: number | undefined;
}

export type AnswerPlan =
  /** The body goes on where the file ends. */
  | { readonly take: "rest" }
  /** The body is the whole file: what is there is dropped. */
  | { readonly take: "whole" }
  /** What is there is of no use: drop it and ask again. */
  | { readonly take: "nothing"; readonly why: string }
  /** Not the file. `lasting`: it would be the same the next time. */
  | { readonly take: "fault"; readonly why: string; readonly lasting: boolean };

/** RFC 9110, 14 and 15.3.7; with the ways in which servers and proxies get it wrong. */
export function planAnswer({ status, headers }: AnswerHead, wanted: Wanted): AnswerPlan {
  const { start, end } = wanted;
  if (/^text\/html\b/i.test(headers.get("content-type") ?? ""))
    return fault("it sends a web page in place of the file", true);
  if (status === 206) return planPart(headers, wanted);
  if (status === 416)
    return start > 0
      ? { take: "nothing", why: "the server has no more bytes than we do" }
      : fault("it refuses every range (status 416)", false);
  if (end !== undefined && (start > 0 || end < wanted.size))
    return fault("it sends whole files only, where a part was asked for", true);
  const length = lengthOf(headers);
  if (length !== undefined && length !== wanted.size)
    return fault(`it announces ${length} bytes where the file has ${wanted.size}`, false);
  return { take: start > 0 ? "whole" : "rest" };
}

function planPart(headers: Headers, wanted: Wanted): AnswerPlan {
  const { start, etag, end } = wanted;
  const found = headers.get("etag");
  if (etag !== undefined && found !== null && found !== etag) {
    const why = "the file was changed on the server";
    if (end !== undefined) return fault(why, true);
    if (start > 0) return { take: "nothing", why };
  }
  const fits = isPart(headers, wanted);
  // A part of a compressed file cannot be joined to what is there.
  if (fits && !isEncoded(headers)) return { take: "rest" };
  const why = isEncoded(headers)
    ? "a part came compressed"
    : "another part came than was asked for";
  return start > 0 && end === undefined ? { take: "nothing", why } : fault(why, false);
}

function isPart(headers: Headers, { start, size, end = size }: Wanted): boolean {
  const range = headers.get("content-range");
  // A page may not see this header of another origin, but it may see the length.
  if (range === null) return lengthOf(headers) === end - start;
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
  return Number(first) === start && (total === "*" || Number(total) === size);
}

function fault(why: string, lasting: boolean): AnswerPlan {
  return { take: "fault", why, lasting };
}

function isEncoded(headers: Headers): boolean {
  return !/^(?:identity)?$/i.test(headers.get("content-encoding") ?? "");
}

/** Of the file; a compressed body's length says nothing of it. */
function lengthOf(headers: Headers): number | undefined {
  const length = headers.get("content-length");
  return length === null || isEncoded(headers) ? undefined : Number(length);
}

/**
 * Headers that ask for the bytes from `start` on, if the file is still the same; `plain` leaves out what
 * a browser would have to ask another origin's leave for.
 */
export function rangeHeaders({ start, end, etag }: Wanted, plain = false): Record<string, string> {
  if (start === 0 && end === undefined) return {};
  // A weak ETag may not stand in If-Range.
  const strong = etag?.startsWith('"') && !plain ? { "if-range": etag } : {};
  return { range: `bytes=${start}-${end === undefined ? "" : end - 1}`, ...strong };
}
