import { DiffusionError } from "../engine/errors.ts";

/** Device names that Windows opens in every folder, with any extension. */
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/**
 * `name` if it names a file directly in its folder under the rules of POSIX and of Windows, on
 * whichever of them we run: no separator, drive, stream, parent, device or control character.
 * Throws PATH that says where the name came from.
 */
export function safeFileName(name: unknown, from: string): string {
  if (typeof name === "string" && name.length > 0 && name.length <= 255 && isPlain(name)) {
    return name;
  }
  const shown = JSON.stringify(name)?.slice(0, 100);
  throw new DiffusionError("PATH", `${from} names the file ${shown}, which is not a plain name`, {
    hint: "a name may not leave its folder: do not trust where this file came from",
  });
}

function isPlain(name: string): boolean {
  const control = [...name].some((character) => character < " " || character === "\u007f");
  // Windows drops dots and spaces at the end, so "..  " is its parent folder.
  return !(control || /[/\\:*?"<>|]|[. ]$/.test(name) || WINDOWS_DEVICE.test(name));
}
