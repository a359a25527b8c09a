/** What a picture's file is, told by its first bytes: its name may say anything. */

const KINDS: readonly (readonly [what: string, starts: RegExp])[] = [
  ["a PNG", /^\x89PNG/],
  ["a JPEG", /^\xff\xd8\xff/],
  ["a WebP", /^RIFF.{4}WEBP/s],
  ["a GIF", /^GIF8/],
  ["an AVIF", /^.{4}ftypavi[fs]/s],
  ["a HEIC", /^.{4}ftyp(?:hei|hev|mif1)/s],
  ["a TIFF", /^(?:II\*|MM.\*)/s],
  ["a JPEG XL", /^(?:\xff\n|.{4}JXL )/s],
  ["a BMP", /^BM/],
  ["an SVG", /^\s*(?:<\?xml.*)?<svg/is],
  ["an HTML page", /^\s*<(?:!doctype|html)/i],
  ["a PDF", /^%PDF/],
  ["a Git LFS pointer, not the file that it stands for", /^version https:\/\/git-lfs/],
];

/** "a JPEG", or undefined where the first bytes say nothing. */
export function recogniseImage(head: Uint8Array): string | undefined {
  // One character a byte.
  const text = String.fromCharCode(...head.subarray(0, 256));
  return KINDS.find(([, starts]) => starts.test(text))?.[0];
}
